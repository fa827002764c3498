//! What a user should know though the transfer goes on.

use super::{LONG_TIMEOUTS, Payload, run, run_with, sending, three};
use crate::loopback::{Receiver, Script, Servers};
use std::process::{Command, Stdio};

#[test]
fn a_lost_receiver_is_reported_even_if_others_take_over() {
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

/// More receivers than descriptors. However many they are, a standard error that no one reads takes what is written, so
/// that it cannot delay a deadline.
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
