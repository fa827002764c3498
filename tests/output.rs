//! What the program shows and how it ends: exit status, standard output, standard error, with and without a terminal.

use crate::loopback::{Receiver, Script, Servers, closed_port, ms};
use crate::support::{Scratch, agree, has_tool};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mdalp");
const MAN: &str = include_str!("../man/mdalp.1");

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
fn a_lost_receiver_is_told_of_even_if_the_others_take_over() {
    let script = Script::new().receivers(2).receiver(Receiver::named("gone").closed());
    let (servers, payload) = (Servers::start(script), Payload::new(3000));
    let words = "--latency 1,1,1 -t 0.02 --give-up 10";
    let shown = run(sending(&servers, &payload, words));
    assert_eq!((shown.status, shown.out.as_str(), shown.err.lines().count()), (0, "", 3), "{}", shown.err);
    let port = servers.receiver_port();
    let warnings = format!(
        "mdalp: warning: 127.0.0.4: nothing is listening on port {port}; check --receiver-port; still trying\n\
         mdalp: warning: lost 127.0.0.4 (gone): port closed: SEQ 20 refused 5 times; it leaves 10 packets\n"
    );
    assert!(shown.err.starts_with(&warnings), "{}", shown.err);
    let shown = run(sending(&servers, &payload, &format!("{words} -v")));
    assert!(shown.err.contains("] 127.0.0.4: SEQ 20 refused; transmission 2 after 0.0"), "{}", shown.err);
    assert!(!shown.err.contains("127.0.0.4: no ack of"), "{}", shown.err);
    assert!(
        shown.err.contains("\n127.0.0.4 (gone): 0 bytes, 1000 planned; lost: port closed: "),
        "{}",
        shown.err
    );
    let shown = run(sending(&servers, &payload, &format!("{words} -q")));
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
}

#[test]
fn an_s_that_mode_1_ignores_is_a_warning() {
    let (servers, payload) = (three(), Payload::new(300));
    for (words, why) in [("-s 2", "in mode 1; add -m 2"), ("-s 2 --compare", "with --compare")] {
        let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} --json {words}")));
        assert_eq!(shown.status, 0);
        let warning = format!("-s 2 has no effect {why}");
        assert_eq!(shown.err.matches("has no effect").count(), 1, "{}", shown.err);
        assert!(shown.err.starts_with(&format!("mdalp: warning: {warning}\n")), "{}", shown.err);
        let event = format!("\"message\":\"{warning}\"}}\n");
        assert!(shown.out.lines().next().unwrap().contains("\"event\":\"warning\""), "{}", shown.out);
        assert!(shown.out.contains(&event), "{}", shown.out);
    }
    let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -q -s 2")));
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
}

/// More receivers than descriptors, and a standard error that no one reads and whose pipe is nearly full already.
#[test]
fn many_lost_receivers_fill_no_pipe() {
    let script = Script::new().receivers(300);
    let (servers, payload) = (Servers::start(script), Payload::new(60_000));
    let latencies = ["1"; 300].join(",");
    let transfer = sending(&servers, &payload, &format!("--latency {latencies} -t 30 --give-up 120"));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""])
        .arg(transfer.get_program())
        .args(transfer.get_args());
    let shown = run_with(shell, Stdio::piped(), Stdio::piped());
    assert_eq!(shown.status, 0, "{}", shown.err);
    let lines: Vec<&str> = shown.err.lines().collect();
    assert_eq!(lines.len(), 6, "{}", shown.err);
    let (start, end) = ("mdalp: warning: lost 127.0.", "; raise the limit on open files (ulimit -n)");
    assert!(lines[..4].iter().all(|line| line.starts_with(start) && line.ends_with(end)), "{}", shown.err);
    let cause = " more receivers: lost: no file descriptor: Too many open files";
    assert!(lines[4].starts_with("mdalp: warning: 2") && lines[4].ends_with(cause), "{}", shown.err);
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
fn json_is_what_the_manual_says_under_hostile_names() {
    // As the list writes them: quotes and backslashes, control characters, invisible ones, no UTF-8.
    let names = [r#"'"\\\\"'"#, r"'\x1b[2J\x00\n\x7f\u009b'", r"'{\'a\': \u202e\U000e0001東}'", "'\u{7f}#'"];
    let entry = |(i, name)| format!("{{'ip_address': '127.0.0.{}', 'name': {name}}}", i + 2);
    let entries: Vec<String> = (0..).zip(names).map(entry).collect();
    let mut list = format!("Type:1;TID:3740;DATA:[{}];", entries.join(", ")).into_bytes();
    list.iter_mut().filter(|byte| **byte == b'#').for_each(|byte| *byte = 0xff);
    let servers = Servers::start(Script::new().receivers(4).raw_assignment(list));
    let payload = Payload::new(5000);
    let shown = run(sending(&servers, &payload, "--latency 1,1,1,1 -t 30 --json"));
    assert_eq!(shown.status, 0, "{}", shown.err);
    assert_no_control_bytes(&shown.out);
    let events: Vec<&str> = shown.out.lines().map(|line| line.split('"').nth(5).unwrap()).collect();
    assert_eq!(events, ["assigned", "latencies", "plan", "summary"]);
    let expected = r#"['"\\\\"', '\x1b[2J\x00\n\x7f\x9b', "{'a': \u202e\U000e0001東}", '\x7f#']"#;
    let expected = format!("{}\n", expected.replace('#', "\u{fffd}"));
    let read = "import json\n\
                lines = [json.loads(line) for line in open(0, encoding='utf-8')]\n\
                names = [[r['name'] for r in line['receivers']] for line in lines if 'receivers' in line]\n\
                assert len(names) == 2 and names[0] == names[1], names\n\
                assert [type(line['schema']) for line in lines] == [int] * 4\n\
                assert lines[-1]['acked_bytes'] == 5000 and lines[-1]['exit_status'] == 0\n\
                assert type(lines[-1]['elapsed_s']) is float and lines[-1]['message'] is None\n\
                print(names[0])\n";
    if let Some(said) = python(read, &shown.out) {
        assert_eq!(said, expected);
    }
}

/// The keys of every kind of event are in the manual, and those in the manual are written.
#[test]
fn the_manual_names_every_key_and_every_event() {
    let script = Script::new().receivers(2).receiver(Receiver::named("gone").closed());
    let (servers, payload) = (Servers::start(script), Payload::new(3000));
    let words = "--latency 1,1,1 -t 0.02 --give-up 10 --json --compare";
    let shown = run(sending(&servers, &payload, words));
    assert_eq!(shown.status, 1, "{}", shown.err);
    // Progress that is drawn on a terminal is written four times a second.
    let (servers, payload) = (slow(), Payload::new(6000));
    let transfer = sending(&servers, &payload, &format!("{LONG_TIMEOUTS} --json"));
    let Some(written) = on_a_terminal(transfer, "xterm") else { return };
    let progress = screen(&written).into_iter().filter(|line| line.contains("\"event\":\"progress\""));
    let lines = shown.out + &progress.collect::<Vec<_>>().join("\n");
    let read = "import json\n\
                keys, events = set(), set()\n\
                def walk(value):\n\
                \x20   for item in value.values() if type(value) is dict else value if type(value) is list else []:\n\
                \x20       walk(item)\n\
                \x20   keys.update(value if type(value) is dict else [])\n\
                for line in open(0, encoding='utf-8'):\n\
                \x20   line = json.loads(line)\n\
                \x20   walk(line)\n\
                \x20   events.add(line['event'])\n\
                print(*sorted(keys))\n\
                print(*sorted(events))\n";
    let Some(said) = python(read, &lines) else { return };
    let schema = MAN.split("BEGIN JSON SCHEMA").nth(1).unwrap().split("END JSON SCHEMA").next().unwrap();
    let named = |macro_name: &str| -> BTreeSet<&str> {
        let lines = schema.lines().filter_map(|line| line.strip_prefix(macro_name));
        lines.map(|line| line.trim().split(' ').next().unwrap()).collect()
    };
    let written: Vec<BTreeSet<&str>> = said.lines().map(|line| line.split(' ').collect()).collect();
    agree("man/mdalp.1, JSON, .Va", written[0].clone(), named(".Va"));
    let mut events = named(".It");
    assert!(events.remove("every"));
    agree("man/mdalp.1, JSON, .It", written[1].clone(), events);
}

#[test]
fn a_comparison_goes_on_after_a_row_that_failed() {
    let script = Script::new().receivers(2).receiver(Receiver::named("gone").closed());
    let (servers, payload) = (Servers::start(script), Payload::new(3000));
    let shown = run(sending(&servers, &payload, "--latency 1,2.5,4 -t 0.02 --give-up 10 --compare -q"));
    assert_eq!(shown.status, 1, "{}", shown.err);
    assert!(shown.line().contains("lost 127.0.0.4 (gone), port closed"), "{}", shown.err);
    let rows: Vec<Vec<&str>> = shown
        .out
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["Mode", "Receiver", "Name", "Ping ms", "Resent", "Time s", "Ratio"]);
    assert_eq!((rows.len(), rows[1][0], rows[1][1], rows[1][6]), (5, "balance", "-", "1.00"));
    assert_eq!(rows[2][..4], ["single", "127.0.0.2", "R1", "1.000"]);
    assert_eq!(rows[3][..4], ["single", "127.0.0.3", "R2", "2.500"]);
    assert_eq!((rows[4][1], rows[4][5], rows[4][6]), ("127.0.0.4", "failed", "-"));
    assert_eq!(servers.judge_all().len(), 4);
}

/// The last row counts like the others.
#[test]
fn a_comparison_whose_last_row_failed_is_exit_status_1() {
    let script = Script::new().receivers(1).receiver(Receiver::named("gone").closed());
    let (servers, payload) = (Servers::start(script), Payload::new(3000));
    let shown = run(sending(&servers, &payload, "--latency 1,1 -t 0.02 --give-up 10 --compare -q"));
    let results: Vec<&str> =
        shown.out.lines().skip(1).map(|line| line.split_whitespace().nth(5).unwrap()).collect();
    assert_eq!((shown.status, results[2]), (1, "failed"), "{}", shown.out);
    assert!(results[..2].iter().all(|result| *result != "failed"), "{}", shown.out);
}

/// A payload that has changed is wrong for all receivers: nothing more is sent.
#[test]
fn a_comparison_ends_with_a_payload_that_has_changed() {
    let servers = slow();
    let payload = Payload::new(6000);
    let mut command = sending(&servers, &payload, &format!("{LONG_TIMEOUTS} --compare -q --json"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("\"event\":\"plan\"") {
        assert!(out.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    OpenOptions::new().append(true).open(&payload.path).unwrap().write_all(b"more").unwrap();
    out.read_to_string(&mut lines).unwrap();
    let shown = shown(child.wait_with_output().unwrap());
    assert_eq!((shown.status, servers.judge_all().len()), (3, 1), "{}", shown.err);
    assert_eq!(lines.matches("\"event\":\"summary\"").count(), 1, "{lines}");
    assert!(!lines.contains("comparison"), "{lines}");
}

#[test]
fn a_comparison_needs_receivers_and_succeeds_without_failures() {
    let (servers, payload) = (three(), Payload::new(3000));
    let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} --compare")));
    assert_eq!((shown.status, shown.out.lines().count()), (0, 5), "{}", shown.err);
    assert_eq!(shown.err.lines().filter(|line| line.starts_with("3000 bytes in ")).count(), 4);
    let closed = closed_port().unwrap();
    let shown = run(sending_to(closed, &servers, &payload, "--compare -q"));
    assert_eq!((shown.status, shown.out.as_str(), shown.err.lines().count()), (4, "", 1), "{}", shown.err);
}

/// Slow enough that a progress line is due several times before it can be over.
fn slow() -> Servers {
    let receiver = |name| Receiver::named(name).ack_delay(ms(40));
    Servers::start(Script::new().receiver(receiver("東京")).receiver(receiver("B")).receiver(receiver("C")))
}

#[test]
fn on_a_terminal_progress_is_drawn_cleared_and_not_left_behind() {
    let (servers, payload) = (slow(), Payload::new(6000));
    let Some(written) = on_a_terminal(sending(&servers, &payload, LONG_TIMEOUTS), "xterm") else { return };
    let draws = written.matches("\x1b[?7l").count();
    assert!(draws >= 2, "{written:?}");
    assert_eq!(
        written.matches("\x1b[K\x1b[?7h").count(),
        draws,
        "autowrap is off between two draws: {written:?}"
    );
    assert!(written.contains("% ") && written.contains("/6.00 kB "), "{written:?}");
    let screen = screen(&written);
    assert!(screen[0].starts_with("Receiver   Name"), "{screen:?}");
    assert!(screen[1].starts_with("127.0.0.2  東京  "), "{screen:?}");
    assert!(screen[4].starts_with("6000 bytes in ") && screen.len() == 5, "{screen:?}");
}

/// Addresses and names as long as they come, on a terminal of 80 columns: nothing is broken into two lines.
#[test]
fn tables_fit_a_terminal_of_80_columns() {
    let receiver = |name: &str, host: u8| Receiver::named(name).at([127, 255, 255, 200 + host].into());
    let script = Script::new()
        .receiver(receiver("sixteen columns!", 1))
        .receiver(receiver("a longer name than that", 2));
    let (servers, payload) = (Servers::start(script), Payload::new(6000));
    for (words, rows) in [("", 1), ("-m 2 -s 2", 0), ("--compare", 4)] {
        let words = format!("--latency 999.1,999.1 -t 30 --give-up 120 {words}");
        let Some(written) = on_a_terminal(sending(&servers, &payload, &words), "xterm") else { return };
        let screen = screen(&written);
        assert!(screen.iter().all(|line| line.chars().count() <= 79), "{screen:#?}");
        let with = |text: &str| screen.iter().filter(|line| line.contains(text)).count();
        assert_eq!((with("127.255.255.201 "), with(" a longer name t… ") > 0), (rows, true), "{screen:#?}");
    }
}

#[test]
fn a_line_in_between_clears_progress_first() {
    let (servers, payload) = (slow(), Payload::new(6000));
    let Some(written) = on_a_terminal(sending(&servers, &payload, &format!("{LONG_TIMEOUTS} -vv")), "xterm")
    else {
        return;
    };
    assert!(written.matches("\x1b[?7l").count() >= 2, "{written:?}");
    let screen = screen(&written);
    let is_text =
        |line: &String| ["[", "Receiver ", "127.0.0.", "6000 bytes"].iter().any(|s| line.starts_with(s));
    assert!(screen.iter().all(is_text) && screen.len() > 120, "{screen:#?}");
}

#[test]
fn a_terminal_that_is_dumb_gets_no_control_bytes() {
    let (servers, payload) = (slow(), Payload::new(3000));
    for words in ["", " --progress=always"] {
        let command = sending(&servers, &payload, &format!("{LONG_TIMEOUTS}{words}"));
        let Some(written) = on_a_terminal(command, "dumb") else { return };
        assert_no_control_bytes(&written.replace("\r\n", "\n"));
        assert!(written.contains("3000 bytes in "), "{written}");
    }
}

#[test]
fn in_a_pipe_there_is_not_one_control_byte() {
    let (servers, payload) = (slow(), Payload::new(6000));
    for words in ["", " --progress=always", " -v", " -vv"] {
        let shown = run(sending(&servers, &payload, &format!("{LONG_TIMEOUTS}{words}")));
        assert_eq!((shown.status, shown.out.as_str()), (0, ""));
        assert_no_control_bytes(&shown.err);
    }
}

fn assert_no_control_bytes(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

/// What the lines of a terminal show in the end, as far as progress needs one: carriage return, erase to the end of
/// the line, autowrap (lines here are as wide as need be).
fn screen(written: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    let text = written.replace("\x1b[?7l", "").replace("\x1b[?7h", "").replace("\x1b[K", "\u{1b}");
    for c in text.chars() {
        let line = lines.last_mut().unwrap();
        match c {
            '\r' => column = 0,
            '\n' => lines.push(String::new()),
            '\u{1b}' => *line = line.chars().take(column).collect(),
            c => {
                assert!(!c.is_control(), "{c:?} in {written:?}");
                let (before, after): (String, String) =
                    (line.chars().take(column).collect(), line.chars().skip(column + 1).collect());
                *line = format!("{before}{c}{after}");
                column += 1;
            }
        }
    }
    assert_eq!(lines.pop().as_deref(), Some(""), "something is left behind: {written:?}");
    lines
}

/// Runs a command on a pseudo-terminal; what it wrote there, if python3 is here to make one. It must succeed.
fn on_a_terminal(command: Command, term: &str) -> Option<String> {
    if !has_tool("python3") {
        return None;
    }
    let script = "import os, pty, sys\n\
                  child, terminal = pty.fork()\n\
                  if child == 0:\n\
                  \x20   os.execv(sys.argv[1], sys.argv[1:])\n\
                  while True:\n\
                  \x20   try:\n\
                  \x20       data = os.read(terminal, 65536)\n\
                  \x20   except OSError:\n\
                  \x20       break\n\
                  \x20   if not data:\n\
                  \x20       break\n\
                  \x20   os.write(1, data)\n\
                  sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n";
    let mut python = Command::new("python3");
    python.arg("-c").arg(script).arg(command.get_program()).args(command.get_args()).env("TERM", term);
    let output = python.stdin(Stdio::null()).output().unwrap();
    let shown = shown(output);
    assert_eq!((shown.status, shown.err.as_str()), (0, ""), "{}", shown.out);
    Some(shown.out)
}

/// What a Python program prints about this input, if python3 is here. It must succeed.
fn python(program: &str, input: &str) -> Option<String> {
    if !has_tool("python3") {
        return None;
    }
    let input_file = Payload::of(input.as_bytes());
    let mut python = Command::new("python3");
    python.arg("-c").arg(program).stdin(File::open(input_file.name()).unwrap()).env("PYTHONUTF8", "1");
    let shown = shown(python.output().unwrap());
    assert_eq!((shown.status, shown.err.as_str()), (0, ""), "{input}");
    Some(shown.out)
}
