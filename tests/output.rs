//! What the program shows and how it ends: exit status, standard output, standard error, with and without a terminal.

use crate::loopback::{Receiver, Script, Servers, closed_port};
use crate::support::Scratch;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

mod comparison;
mod json;
mod terminal;
mod warnings;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mdalp");

/// A payload in a file, which goes with it.
struct Payload {
    path: PathBuf,
    _directory: Scratch,
}

impl Payload {
    fn new(len: usize) -> Self {
        Self::of(&crate::support::payload(len))
    }

    fn of(bytes: &[u8]) -> Self {
        let directory = Scratch::new();
        Self { path: directory.file("payload", bytes), _directory: directory }
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// The program with these arguments.
fn mdalp(words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words.split_whitespace()).stdin(Stdio::null()).env("TERM", "xterm");
    command
}

/// What sends `payload` to these servers. Equal latencies, and no timer that a busy machine could let fire.
fn sending(servers: &Servers, payload: &Payload, words: &str) -> Command {
    sending_to(servers.orchestrator(), servers, payload, words)
}

fn sending_to(orchestrator: SocketAddr, servers: &Servers, payload: &Payload, words: &str) -> Command {
    let (address, port, receiver_port) = (orchestrator.ip(), orchestrator.port(), servers.receiver_port());
    let mut command = mdalp(&format!("-a {address} -p {port} --receiver-port {receiver_port} {words}"));
    command.args(["-f", payload.name()]);
    command
}

const LONG_TIMEOUTS: &str = "--latency 1,1,1 -t 30 --fixed-timeout --give-up 120";

fn three() -> Servers {
    Servers::start(Script::new().receivers(3))
}

/// The result of a command.
struct CommandOutput {
    status: i32,
    out: String,
    err: String,
}

impl CommandOutput {
    /// The only line on standard error.
    fn line(&self) -> &str {
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self.err.trim_end_matches('\n')
    }
}

fn run(mut command: Command) -> CommandOutput {
    shown(command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

fn shown(output: Output) -> CommandOutput {
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    CommandOutput {
        status: output.status.code().expect("no signal"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for words in ["-h", "--help", "-v --help -Z"] {
        let shown = run(mdalp(words));
        assert_eq!((shown.status, shown.out.as_str(), shown.err.as_str()), (0, mdalp::cli::HELP, ""));
    }
    let shown = run(mdalp("--version"));
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
    assert_eq!(shown.out, format!("mdalp {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_usage_error_is_one_line_that_names_option_and_value() {
    let cases = [
        ("", "mdalp: missing required option: -a ADDR, -p PORT, -f FILE; try 'mdalp --help'"),
        ("-x", "mdalp: -x: unknown option; try 'mdalp --help'"),
        ("--addres 1", "mdalp: --addres: unknown option; try 'mdalp --help'"),
        ("-p 65536", "mdalp: -p '65536': a port must be 1 to 65535; try 'mdalp --help'"),
        ("-s 0", "mdalp: -s '0': receivers are counted from 1; try 'mdalp --help'"),
    ];
    for (words, line) in cases {
        let shown = run(mdalp(words));
        assert_eq!((shown.status, shown.line(), shown.out.as_str()), (2, line, ""), "{words}");
    }
}

#[test]
fn an_unavailable_payload_is_refused_before_the_intent() {
    let servers = three();
    let (address, port) = (servers.orchestrator().ip(), servers.orchestrator().port());
    let empty = Payload::new(0);
    let cases = [
        ("/nonexistent\u{1b}[2J", "mdalp: /nonexistent\\u{1b}[2J: no such file; "),
        ("/", "mdalp: /: is a directory; "),
        (empty.name(), &format!("mdalp: {}: is empty; ", empty.name())),
        ("-", "mdalp: standard input: is empty; "),
    ];
    for (file, line) in cases {
        let mut command = mdalp(&format!("-a {address} -p {port}"));
        command.args(["-f", file]);
        let shown = run(command);
        assert_eq!((shown.status, shown.out.as_str()), (3, ""), "{file}");
        assert!(shown.line().starts_with(line), "{}", shown.err);
    }
    assert_eq!(servers.intents(), 0);
}

#[test]
fn what_is_wrong_with_the_orchestrator_is_exit_status_4() {
    let payload = Payload::new(300);
    let silent = Servers::start(Script::new().receivers(3).silent_orchestrator());
    let shown = run(sending(&silent, &payload, "--intent-timeout 0.05"));
    assert_eq!((shown.status, shown.out.as_str()), (4, ""));
    let address = silent.orchestrator();
    let line = format!("mdalp: orchestrator {address}: no assignment within 0.05 s; ");
    assert!(shown.line().starts_with(&line), "{}", shown.err);

    let malformed = Servers::start(Script::new().receivers(3).raw_assignment("Type:1;TID:1;DATA:\u{1b}[2J;"));
    let shown = run(sending(&malformed, &payload, ""));
    assert_eq!((shown.status, shown.out.as_str()), (4, ""));
    assert!(shown.line().contains(": malformed assignment: "), "{}", shown.err);
    assert!(!shown.err.contains('\u{1b}'), "{}", shown.err);

    let closed = closed_port().unwrap();
    let shown = run(sending_to(closed, &silent, &payload, ""));
    assert_eq!((shown.status, shown.out.as_str()), (4, ""));
    let line = format!("mdalp: orchestrator {closed}: connection refused: ");
    assert!(shown.line().starts_with(&line), "{}", shown.err);
}

#[test]
fn what_does_not_fit_the_list_is_a_usage_error() {
    let (servers, payload) = (three(), Payload::new(300));
    let cases = [
        ("-m 2 -s 9", "mdalp: receiver 9: the orchestrator listed only 3; give -s a number from 1 to 3"),
        ("--latency 1,2", "mdalp: latencies: 2 given, but the orchestrator listed 3 receivers; "),
    ];
    for (words, line) in cases {
        let shown = run(sending(&servers, &payload, words));
        assert_eq!((shown.status, shown.out.as_str()), (2, ""), "{words}");
        assert!(shown.line().starts_with(line), "{}", shown.err);
    }
}

#[test]
fn a_receiver_that_is_lost_for_good_is_exit_status_1() {
    let script = Script::new().receiver(Receiver::named("A\u{1b}[2J").silent());
    let servers = Servers::start(script.receiver(Receiver::named("B").closed()));
    let payload = Payload::new(300);
    let cases = [
        (1, "no ack of SEQ 0 in 1", "; check that no firewall drops UDP"),
        (2, "port closed: SEQ 0 refused 5 times", "; check --receiver-port, and send it again"),
    ];
    for (receiver, why, hint) in cases {
        let words = format!("-m 2 -s {receiver} -t 0.02 --give-up 1");
        let shown = run(sending(&servers, &payload, &words));
        assert_eq!((shown.status, shown.out.as_str()), (1, ""), "{receiver}");
        let lines: Vec<&str> = shown.err.lines().collect();
        if receiver == 2 {
            let port = servers.receiver_port();
            let warning = format!(
                "127.0.0.3: nothing is listening on port {port}; check --receiver-port; still trying"
            );
            assert_eq!(lines[0], format!("mdalp: warning: {warning}"));
        }
        assert_eq!(lines.len(), receiver, "{}", shown.err);
        let line = lines[receiver - 1];
        assert!(
            line.starts_with("mdalp: transfer: 0 of 300 bytes acknowledged, 0 of 3 packets; lost "),
            "{line}"
        );
        assert!(line.contains(why) && line.contains(hint) && !line.contains('\u{1b}'), "{line}");
    }
}

#[test]
fn a_deadline_that_passes_is_exit_status_5() {
    let script = Script::new().receiver(Receiver::named("A").silent());
    let (servers, payload) = (Servers::start(script), Payload::new(300));
    let shown = run(sending(&servers, &payload, "--latency 1 -w 0.25"));
    assert_eq!((shown.status, shown.out.as_str()), (5, ""));
    let line =
        "mdalp: transfer: the deadline of 0.25 s passed, 0 of 300 bytes acknowledged, 0 of 3 packets; ";
    assert!(shown.line().starts_with(line), "{}", shown.err);
}

#[test]
fn a_success_is_one_line_none_when_quiet_a_table_when_verbose() {
    let (servers, payload) = (three(), Payload::new(5000));
    let shown = run(sending(&servers, &payload, LONG_TIMEOUTS));
    assert_eq!((shown.status, shown.out.as_str()), (0, ""));
    let line = shown.line();
    assert!(line.starts_with("5000 bytes in ") && line.contains("s ("), "{line}");
    assert!(line.ends_with("B/s), 51 packets, 0 resent"), "{line}");

    let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} --quiet")));
    assert_eq!((shown.status, shown.out.as_str(), shown.err.as_str()), (0, "", ""));

    let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -v")));
    assert_eq!((shown.status, shown.out.as_str()), (0, ""));
    let is_log = |line: &&str| line.starts_with('[') && line.as_bytes()[11] == b']';
    let log: Vec<&str> = shown.err.lines().take_while(is_log).collect();
    assert!(log[0].ends_with(&format!("] intent sent to {}", servers.orchestrator())), "{}", shown.err);
    assert!(
        log[2].ends_with("] 127.0.0.2 (R1): latency 1.000 ms, 1666 bytes, 17 packets, SEQ 0-16"),
        "{}",
        log[2]
    );
    assert!(log[log.len() - 1].contains("] end: 5000 of 5000 bytes acknowledged "), "{}", shown.err);
    let stamps: Vec<&str> = log.iter().map(|line| line.split(']').next().unwrap()).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    let rest: Vec<&str> = shown.err.lines().skip(log.len()).collect();
    assert!(
        rest[0].starts_with("Receiver   Name  Ping ms  Bytes  Resent  RTT ms  Time s  Status"),
        "{}",
        rest[0]
    );
    assert!(rest[1].starts_with("127.0.0.2  R1      1.000   1666       0  "), "{}", rest[1]);
    assert!(rest[4].starts_with("5000 bytes in ") && rest.len() == 5, "{}", shown.err);
}

#[test]
fn with_two_vs_each_packet_is_shown_safely() {
    let (servers, payload) = (three(), Payload::new(2900));
    let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -vv")));
    assert_eq!((shown.status, shown.out.as_str()), (0, ""));
    assert_eq!(shown.err.matches(", transmission 1, 100 bytes: \"").count(), 27, "{}", shown.err);
    assert_eq!(shown.err.matches("Type:3;TID:3740;SEQ:").count(), 30, "{}", shown.err);
    assert_no_control_bytes(&shown.err);
}

#[test]
fn standard_output_that_cannot_be_written_is_exit_status_6() {
    let (servers, payload) = (three(), Payload::new(5000));
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let transfer = || sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -q --json"));
    for command in [mdalp("--help"), mdalp("--version"), transfer()] {
        let output = run_with(command, full().into(), Stdio::piped());
        assert_eq!(output.status, 6);
        let line =
            "mdalp: standard output: No space left on device; make room there, or send the output elsewhere";
        assert_eq!(output.line(), line);
    }
    // The transfer went on nevertheless.
    assert!(servers.judge().unwrap().completed());
    // A failure of the transfer is worse news.
    let failing = sending(&servers, &payload, "--json -m 2 -s 9");
    assert_eq!(run_with(failing, full().into(), Stdio::piped()).status, 2);
    // Standard error is not essential.
    let shown =
        run_with(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -v")), Stdio::piped(), full().into());
    assert_eq!((shown.status, shown.out.as_str()), (0, ""));
}

#[test]
fn closed_outputs_count_as_dev_null() {
    let (servers, payload) = (three(), Payload::new(5000));
    let transfer = sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -v --json"));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"])
        .arg(transfer.get_program())
        .args(transfer.get_args());
    assert_eq!(run(shell).status, 0);
    assert!(servers.judge().unwrap().completed());
}

#[test]
fn a_reader_that_has_gone_is_not_complained_about() {
    let (servers, payload) = (three(), Payload::new(5000));
    let transfer = sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -q --json"));
    for command in [mdalp("--help"), transfer] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let shown = run_with(command, writer.into(), Stdio::piped());
        assert_eq!((shown.status, shown.err.as_str()), (6, ""));
    }
    assert!(servers.judge().unwrap().completed());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let shown =
        run_with(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -v")), Stdio::piped(), writer.into());
    assert_eq!((shown.status, shown.out.as_str()), (0, ""));
}

fn run_with(mut command: Command, out: Stdio, err: Stdio) -> CommandOutput {
    let child = command.stdout(out).stderr(err).spawn().unwrap();
    // Its own copies of the pipes' ends would keep them open.
    drop(command);
    shown(child.wait_with_output().unwrap())
}

#[test]
fn in_a_pipe_there_is_not_one_control_byte() {
    let (servers, payload) = (terminal::slow(), Payload::new(6000));
    for words in ["", " --progress=always", " -v", " -vv"] {
        let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS}{words}")));
        assert_eq!((shown.status, shown.out.as_str()), (0, ""));
        assert_no_control_bytes(&shown.err);
    }
}

fn assert_no_control_bytes(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}
