//! What the program shows and how it ends: exit status, standard output, standard error, with and without a terminal.

use crate::loopback::{Receiver, Script, Servers};
use crate::support::{self, CommandOutput, PROGRAM, PayloadFile, finish, payload, run, shell};
use std::fs::File;
use std::process::{Command, Stdio};

mod comparison;
mod json;
mod terminal;
mod warnings;

/// What sends `file` to these servers. Unless the words say otherwise: equal latencies for three receivers, and no timer
/// that a busy machine could let fire.
fn sending(servers: &Servers, file: &PayloadFile, words: &str) -> Command {
    let long_timeouts = "--latency 1,1,1 -t 30 --fixed-timeout --give-up 120";
    support::sending(servers, file, &format!("{long_timeouts} {words}"))
}

fn three() -> Servers {
    Servers::start(Script::new().receivers(3))
}

fn file(len: usize) -> PayloadFile {
    PayloadFile::new(&payload(len))
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = format!("mdalp {}\n", env!("CARGO_PKG_VERSION"));
    for (words, text) in [("--help", mdalp::cli::HELP), ("-v -h -Z", mdalp::cli::HELP), ("-V", &version)] {
        let shown = run(Command::new(PROGRAM).args(words.split(' ')), 0);
        assert_eq!((shown.stdout.as_str(), shown.stderr.as_str()), (text, ""));
    }
}

/// What the lines say is tested where they are made: `cli::tests`, `explain::tests`, `failover`, `deadline`.
#[test]
fn every_failure_is_one_line_and_its_exit_status() {
    let script = Script::new().receiver(Receiver::named("A\u{1b}[2J").silent());
    let script = script.receiver(Receiver::named("B").closed()).receivers(1);
    let (servers, file) = (Servers::start(script), file(300));
    let lost = "transfer: 0 of 300 bytes acknowledged, 0 of 3 packets; lost";
    let no_ack = format!(r"{lost} 127.0.0.2 (A\u{{1b}}[2J), no ack of SEQ 0 in ");
    let refused = format!("{lost} 127.0.0.3 (B), port closed: SEQ 0 refused 5 times");
    for (words, status, start, end) in [
        ("-s 0", 2, "-s '0': receivers are counted from 1", "; try 'mdalp --help'"),
        ("-m 2 -s 9", 2, "receiver 9: the orchestrator listed only 3", "; give -s a number from 1 to 3"),
        ("--latency 1,2", 2, "latencies: 2 given, but the orchestrator listed 3 receivers", " in list order"),
        ("--bind 192.0.2.77", 2, "local address 192.0.2.77: ", "; give --bind an address of this host"),
        ("-m 2 -s 1 -t 0.02 --give-up 1", 1, &no_ack, ", and --receiver-port"),
        ("-m 2 -s 2 -t 0.02", 1, &refused, "; check --receiver-port, and send it again"),
        ("-m 2 -s 1 -w 0.25", 5, "transfer: the deadline of 0.25 s passed, ", "allow more with --deadline"),
    ] {
        let shown = run(&mut sending(&servers, &file, &format!("-q {words}")), status);
        let line = shown.line();
        assert!(line.starts_with(start) && line.ends_with(end), "{words}: {line}");
    }
    let shown = run(&mut Command::new(PROGRAM), 2);
    assert_eq!(shown.line(), "missing required option: -a ADDR, -p PORT, -f FILE; try 'mdalp --help'");
}

#[test]
fn a_success_is_one_line_none_when_quiet_a_table_when_verbose() {
    let (servers, file) = (three(), file(5000));
    let shown = |words| run(&mut sending(&servers, &file, words), 0).stderr;
    let line = shown("");
    assert!(line.starts_with("5000 bytes in ") && line.lines().count() == 1, "{line}");
    assert!(line.contains("s (") && line.ends_with("B/s), 51 packets, 0 resent\n"), "{line}");
    assert_eq!(shown("--quiet"), "");

    let verbose = shown("-v");
    let lines: Vec<&str> = verbose.lines().collect();
    let (log, rest) = lines.split_at(lines.len() - 5);
    assert!(log.iter().all(|line| line.starts_with('[') && line.as_bytes()[11] == b']'), "{verbose}");
    assert!(log.is_sorted_by_key(|line| line.split(']').next()), "{verbose}");
    assert!(log[0].ends_with(&format!("] intent sent to {}", servers.orchestrator())), "{verbose}");
    assert!(log[2].ends_with("] 127.0.0.2 (R1): latency 1.000 ms, 1666 bytes, 17 packets, SEQ 0-16"));
    assert!(log[log.len() - 1].contains("] end: 5000 of 5000 bytes acknowledged "), "{verbose}");
    assert!(rest[0].starts_with("Receiver   Name  Ping ms  Bytes  Resent  RTT ms  Time s  Status"));
    assert!(rest[1].starts_with("127.0.0.2  R1      1.000   1666       0  "), "{verbose}");
    assert!(rest[4].starts_with("5000 bytes in "), "{verbose}");
}

/// A full device is complained about, a reader that has gone is not.
#[test]
fn standard_output_that_cannot_be_written_is_exit_status_6() {
    fn full() -> Stdio {
        File::options().write(true).open("/dev/full").unwrap().into()
    }
    fn without_a_reader() -> Stdio {
        std::io::pipe().unwrap().1.into()
    }
    let complaint =
        "mdalp: standard output: No space left on device; make room there, or send the output elsewhere\n";
    let (servers, file) = (three(), file(5000));
    for (unwritable, said) in [(full as fn() -> Stdio, complaint), (without_a_reader, "")] {
        for words in ["--help", "--version", "-q --json"] {
            let mut command = sending(&servers, &file, words);
            assert_eq!(run_into(&mut command, unwritable(), Stdio::piped(), 6).stderr, said, "{words}");
        }
        // The transfer went on nevertheless.
        assert!(servers.judge().unwrap().completed());
        // Standard error is not essential.
        run_into(&mut sending(&servers, &file, "-v"), Stdio::piped(), unwritable(), 0);
    }
}

#[test]
fn closed_outputs_count_as_dev_null() {
    let (servers, file) = (three(), file(5000));
    let line = format!("\"$0\" \"$@\" -f {} --latency 1,1,1 -v --json <&- >&- 2>&-", file.name());
    run(&mut shell(&servers, &line), 0);
    assert!(servers.judge().unwrap().completed());
}

fn run_into(command: &mut Command, out: Stdio, err: Stdio, status: i32) -> CommandOutput {
    finish(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap(), status)
}

#[test]
fn in_a_pipe_there_is_not_one_control_byte() {
    let (servers, file) = (terminal::slow(), file(6000));
    for (words, packets) in [("", 0), ("--progress=always", 0), ("-vv", 60)] {
        let shown = run(&mut sending(&servers, &file, words), 0);
        assert_eq!(shown.stdout, "");
        assert_no_control_bytes(&shown.stderr);
        assert_eq!(shown.stderr.matches(", transmission 1, 100 bytes: \"").count(), packets);
        assert_eq!(shown.stderr.matches("\"Type:3;TID:").count(), packets, "{}", shown.stderr);
    }
}

fn assert_no_control_bytes(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}
