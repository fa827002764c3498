//! What the tests of whole transfers share: payloads, options for a purpose, and a transfer with all that it showed.

use crate::loopback::{Remark, Servers, Transaction, Verdict};
use mdalp::cli::explain;
use mdalp::event::MoveReason;
use mdalp::report::LossReason;
use mdalp::{Client, Error, Event, ExitStatus, Mode, Options, Payload, Report, Trace};
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A payload in which every byte value comes, `\r\n` and NUL among them, and no two packets are alike.
pub fn payload(len: usize) -> Vec<u8> {
    let counted =
        (0u32..).flat_map(|i| i.to_le_bytes().into_iter().chain([b'\r', b'\n', 0, (i * 7 + 128) as u8]));
    counted.take(len).collect()
}

/// Options for these servers and this many list entries of equal latency.
pub fn options(servers: &Servers, entries: usize) -> Options {
    Options {
        receiver_port: servers.receiver_port(),
        latencies: Some(vec![Duration::from_millis(1); entries]),
        trace: Trace::Timeouts,
        ..Options::default()
    }
}

/// For receivers that acknowledge everything: no timer fires however busy the machine is, so that whatever is sent twice
/// was sent twice for another reason.
pub fn long_timeouts(servers: &Servers, entries: usize) -> Options {
    Options {
        first_timeout: Duration::from_secs(30),
        fixed_timeout: true,
        give_up: Duration::from_secs(120),
        ..options(servers, entries)
    }
}

/// For receivers that are lost: every timer is 100 ms, and a receiver is given up after 800 ms. A busy machine may be late
/// by several timers before a live receiver counts as lost.
pub fn short_timeouts(servers: &Servers, entries: usize) -> Options {
    Options {
        first_timeout: Duration::from_millis(100),
        fixed_timeout: true,
        give_up: Duration::from_millis(800),
        ..options(servers, entries)
    }
}

/// A transfer that is over.
pub struct Outcome {
    pub result: Result<Report, Error>,
    pub events: Events,
    /// As the servers stood when the client returned.
    pub transaction: Transaction,
}

/// What was reported to the observer.
#[derive(Default)]
pub struct Events {
    pub intents: u32,
    /// Lengths of what came instead of an assignment, cut by the client.
    pub unexpected: Vec<usize>,
    /// Receivers that were lost, by list entry, in order.
    pub lost: Vec<(usize, LossReason)>,
    /// From, to, first SEQ, packets.
    pub moves: Vec<(usize, usize, u32, u32)>,
    pub too_slow: Vec<Duration>,
}

impl Outcome {
    /// The report, whether the transfer succeeded or not.
    pub fn report(&self) -> &Report {
        match &self.result {
            Ok(report) => report,
            Err(error) => error.report().unwrap_or_else(|| panic!("no report: {error}")),
        }
    }

    /// It succeeded, with every byte in its place and no fault of the client's but that what went to another receiver is
    /// out of the list's order.
    #[track_caller]
    pub fn arrived(&self, bytes: &[u8]) -> &Report {
        let report = self.result.as_ref().unwrap_or_else(|error| panic!("{}", explain(error)));
        assert!(report.is_complete() && report.acked_bytes() == bytes.len() as u64, "{report:?}");
        assert!(self.transaction.payload == bytes);
        let faults = self.transaction.faults();
        assert!(faults.iter().all(|fault| **fault == Remark::RangesOutOfListOrder), "{faults:?}");
        report
    }

    /// It succeeded, and the judge has no remark: nothing was sent twice, out of turn or to another receiver.
    #[track_caller]
    pub fn flawless(&self, bytes: &[u8]) -> &Report {
        let report = self.arrived(bytes);
        assert_eq!((self.transaction.verdict, &self.transaction.remarks[..]), (Verdict::Completed, &[][..]));
        report
    }

    /// The error's line, as the program shows it; the program would exit with this status.
    #[track_caller]
    pub fn failure(&self, status: ExitStatus) -> String {
        let Err(error) = &self.result else { panic!("it succeeded") };
        assert_eq!(error.exit_status(), status, "{error}");
        explain(error)
    }

    /// The list entries of the receivers that were lost, in order.
    pub fn lost(&self) -> Vec<usize> {
        self.events.lost.iter().map(|(entry, _)| *entry).collect()
    }
}

/// Sends `bytes`, and records all events.
pub fn send(servers: &Servers, options: Options, bytes: &[u8], mode: Mode) -> Outcome {
    send_payload(servers, options, &Payload::from_bytes(bytes).unwrap(), mode, |_| {})
}

/// Sends the payload; `also` gets every event, too.
pub fn send_payload(
    servers: &Servers,
    options: Options,
    payload: &Payload,
    mode: Mode,
    mut also: impl FnMut(&Event<'_>),
) -> Outcome {
    let mut events = Events::default();
    let result = Client::with_options(servers.orchestrator(), options).send_observed(
        payload,
        mode,
        &mut |event: &Event<'_>| {
            events.record(event);
            also(event);
            ControlFlow::Continue(())
        },
    );
    let transaction = servers.judge().unwrap_or_else(|| panic!("no intent came"));
    Outcome { result, events, transaction }
}

impl Events {
    fn record(&mut self, event: &Event<'_>) {
        match event {
            Event::IntentSent { .. } => self.intents += 1,
            Event::Unexpected { datagram } => self.unexpected.push(datagram.len()),
            Event::Lost { receiver, loss, .. } => self.lost.push((receiver.index.0, (*loss).clone())),
            Event::Moved { from, to, range, reason } => {
                assert_eq!(*reason, MoveReason::Failover);
                self.moves.push((from.index.0, to.index.0, range.first().0, range.packets()));
            }
            Event::ExpiryLikely { projected } => self.too_slow.push(*projected),
            _ => {}
        }
    }
}

/// Runs all cases in parallel: most of a test's time here is waiting for timers.
pub fn in_parallel<T: Sync + std::fmt::Debug>(cases: &[T], run: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = cases.iter().map(|case| scope.spawn(|| run(case))).collect();
        for (thread, case) in threads.into_iter().zip(cases) {
            // The panic's own message has been shown.
            assert!(thread.join().is_ok(), "{case:?} failed");
        }
    });
}

/// What a command wrote that has ended.
pub struct CommandOutput {
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    /// The one line of standard error, without `mdalp: `. Standard output is empty.
    pub fn line(&self) -> &str {
        let line = self.stderr.strip_prefix("mdalp: ").and_then(|rest| rest.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("not one line of mdalp's: {:?}", self.stderr));
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert_eq!(self.stdout, "", "{line}");
        line
    }
}

/// The program that is tested.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mdalp");

/// The program with these words and the address of these servers.
pub fn mdalp(servers: &Servers, words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(addressed_to(servers)).args(words.split_whitespace());
    command
}

/// The program with these words, sending this file to these servers.
pub fn sending(servers: &Servers, file: &PayloadFile, words: &str) -> Command {
    let mut command = mdalp(servers, words);
    command.args(["-f", file.name()]);
    command
}

/// A line for the shell, in which `"$0" "$@"` is the program and the address of these servers.
pub fn shell(servers: &Servers, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, PROGRAM]).args(addressed_to(servers));
    command
}

/// The options that say where these servers are.
fn addressed_to(servers: &Servers) -> [String; 4] {
    let (orchestrator, receiver_port) = (servers.orchestrator(), servers.receiver_port());
    ["-a".into(), orchestrator.to_string(), "--receiver-port".into(), receiver_port.to_string()]
}

/// Runs a command to its end, with nothing on its standard input. It must exit with this status.
#[track_caller]
pub fn run(command: &mut Command, status: i32) -> CommandOutput {
    command.stdin(Stdio::null());
    finish(start(command), status)
}

pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end, which must come with this status. A program that hangs is killed after a time that no busy machine
/// excuses.
#[track_caller]
pub fn finish(mut child: Child, status: i32) -> CommandOutput {
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let give_up = Instant::now() + Duration::from_secs(60);
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None if Instant::now() < give_up => std::thread::sleep(Duration::from_millis(2)),
            None => {
                child.kill().unwrap();
                panic!("it hangs: {:?}", stderr.join().unwrap());
            }
        }
    };
    let output = CommandOutput { stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    assert_eq!(ended.code(), Some(status), "{}{}", output.stdout, output.stderr);
    output
}

/// What comes out of a pipe, if the output goes to one.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || pipe.map_or(String::new(), |pipe| std::io::read_to_string(pipe).unwrap()))
}

/// Whether this host has a tool that a test needs. In CI, which installs them all, one that is missing is a failure;
/// elsewhere the test leaves out what needs it, and says so.
pub fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "CI has no {tool}");
        skipped(&format!("there is no {tool}"));
    }
    found
}

/// Says aloud that the test that runs this leaves something out: to standard error itself, since what a test prints is
/// shown only if it fails.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let line = format!("{}: SKIPPED, at least in part: {why}\n", test.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A directory of a test's own, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mdalp-test-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with these contents; its path.
    pub fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A payload in a file, which is removed with it.
pub struct PayloadFile {
    pub path: PathBuf,
    _directory: Scratch,
}

impl PayloadFile {
    pub fn new(bytes: &[u8]) -> Self {
        let directory = Scratch::new();
        Self { path: directory.file("payload", bytes), _directory: directory }
    }

    pub fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// Fails unless two lists have the same names in any order, and says which names of `place` are missing or superfluous.
#[track_caller]
pub fn agree<T: PartialEq + std::fmt::Debug>(
    place: &str,
    expected: impl IntoIterator<Item = T>,
    found: impl IntoIterator<Item = T>,
) {
    let (expected, found) = (Vec::from_iter(expected), Vec::from_iter(found));
    let missing: Vec<_> = expected.iter().filter(|name| !found.contains(name)).collect();
    let is_odd = |i: &usize| !expected.contains(&found[*i]) || found[..*i].contains(&found[*i]);
    let superfluous: Vec<_> = (0..found.len()).filter(is_odd).map(|i| &found[i]).collect();
    let same = missing.is_empty() && superfluous.is_empty();
    assert!(same, "{place}: missing: {missing:?}; superfluous: {superfluous:?}");
}
