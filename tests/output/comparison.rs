//! `--compare`: which rows there are, and the exit status.

use super::terminal::slow;
use super::{file, finish, run, sending, three};
use crate::loopback::{Receiver, Script, Servers, closed_port};
use crate::support::{PROGRAM, start};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

/// The last row counts like the others.
#[test]
fn a_comparison_goes_on_after_a_row_that_failed() {
    for gone in 0..3 {
        let receiver = |i| if i == gone { Receiver::named("gone").closed() } else { Receiver::named("R") };
        let (servers, file) = (Servers::start(Script::new().with((0..3).map(receiver))), file(3000));
        let words = "--latency 1,2.5,4 -t 0.02 --give-up 10 --compare -q";
        let shown = run(&mut sending(&servers, &file, words), 1);
        let lost = format!("lost 127.0.0.{} (gone), port closed", gone + 2);
        assert!(shown.stderr.contains(&lost) && shown.stderr.lines().count() == 1, "{}", shown.stderr);
        let cells = |line| str::split(line, "  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let rows: Vec<Vec<&str>> = shown.stdout.lines().map(cells).collect();
        assert_eq!(rows[0], ["Mode", "Receiver", "Name", "Ping ms", "Resent", "Time s", "Ratio"]);
        assert_eq!((rows.len(), rows[1][0], rows[1][1], rows[1][6]), (5, "balance", "-", "1.00"));
        for (i, ping) in ["1.000", "2.500", "4.000"].into_iter().enumerate() {
            let (address, name) = (format!("127.0.0.{}", i + 2), if i == gone { "gone" } else { "R" });
            assert_eq!(rows[2 + i][..4], ["single", &address, name, ping]);
            assert_eq!((rows[2 + i][5] == "failed", rows[2 + i][6] == "-"), (i == gone, i == gone));
        }
        assert_eq!(servers.judge_all().len(), 4);
    }
}

/// A payload that has changed is wrong for all receivers: nothing more is sent.
#[test]
fn a_comparison_ends_with_a_payload_that_has_changed() {
    let (servers, file) = (slow(), file(6000));
    let mut child = start(sending(&servers, &file, "--compare -q --json").stdin(Stdio::null()));
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("\"event\":\"plan\"") {
        assert!(out.read_line(&mut lines).unwrap() > 0, "{lines}");
    }
    OpenOptions::new().append(true).open(&file.path).unwrap().write_all(b"more").unwrap();
    out.read_to_string(&mut lines).unwrap();
    finish(child, 3);
    assert_eq!(servers.judge_all().len(), 1);
    assert_eq!(lines.matches("\"event\":\"summary\"").count(), 1, "{lines}");
    assert!(!lines.contains("comparison"), "{lines}");
}

#[test]
fn a_comparison_needs_receivers_and_succeeds_without_failures() {
    let (servers, file) = (three(), file(3000));
    let shown = run(&mut sending(&servers, &file, "--compare"), 0);
    assert_eq!(shown.stdout.lines().count(), 5, "{}", shown.stdout);
    assert_eq!(shown.stderr.matches("3000 bytes in ").count(), 4, "{}", shown.stderr);
    let nowhere = closed_port().unwrap().to_string();
    let refused = run(Command::new(PROGRAM).args(["--compare", "-q", "-a", &nowhere, "-f", file.name()]), 4);
    let why = "connection refused: nothing is listening on that port; check the address and -p";
    assert_eq!(refused.line(), format!("orchestrator {nowhere}: {why}"));
}
