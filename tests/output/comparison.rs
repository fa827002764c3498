//! `--compare`: which rows there are, and the exit status.

use super::terminal::slow;
use super::{LONG_TIMEOUTS, Payload, run, sending, sending_to, shown, three};
use crate::loopback::{Receiver, Script, Servers, closed_port};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

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
