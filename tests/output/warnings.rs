//! What a user should know though the transfer goes on.

use super::{file, run, sending, three};
use crate::loopback::{Receiver, Script, Servers};
use crate::support::shell;

#[test]
fn a_lost_receiver_is_reported_even_if_others_take_over() {
    let script = Script::new().receivers(2).receiver(Receiver::named("gone").closed());
    let (servers, file) = (Servers::start(script), file(3000));
    let shown = |v| run(&mut sending(&servers, &file, &format!("-t 0.02 --give-up 10 {v}")), 0).stderr;
    let port = servers.receiver_port();
    let warnings = format!(
        "mdalp: warning: 127.0.0.4: nothing is listening on port {port}; check --receiver-port; still trying\n\
         mdalp: warning: lost 127.0.0.4 (gone): port closed: SEQ 20 refused 5 times; it leaves 10 packets\n"
    );
    let normal = shown("");
    assert!(normal.starts_with(&warnings) && normal.lines().count() == 3, "{normal}");
    let verbose = shown("-v");
    assert!(verbose.contains("] 127.0.0.4: SEQ 20 refused; transmission 2 after "), "{verbose}");
    assert!(!verbose.contains("127.0.0.4: no ack of"), "{verbose}");
    let note = "\n127.0.0.4 (gone): 0 bytes, 1000 planned; lost: port closed: ";
    assert!(verbose.contains(note), "{verbose}");
    assert_eq!(shown("-q"), "");
}

/// Where there are fewer bytes than receivers, those without a share take over; who is listed twice cannot.
#[test]
fn a_lost_receiver_is_reported_as_long_as_anyone_could_take_over() {
    let gone = || Receiver::named("gone").at([127, 0, 0, 9].into()).closed();
    for (script, words, status, lost) in [
        (Script::new().receiver(gone()).receivers(1), "--latency 1,2", 0, 1),
        (Script::new().receiver(gone()).receivers(1), "--latency 1,2 --no-failover", 1, 0),
        (Script::new().receiver(gone()).receiver(gone()), "--latency 1,2", 1, 0),
    ] {
        let (servers, file) = (Servers::start(script), file(1));
        let shown = run(&mut sending(&servers, &file, &format!("-t 0.02 {words}")), status).stderr;
        assert_eq!(shown.matches("mdalp: warning: lost 127.0.0.9 (gone)").count(), lost, "{words}: {shown}");
    }
}

#[test]
fn an_s_that_mode_1_ignores_is_a_warning() {
    let (servers, file) = (three(), file(300));
    for (words, why) in [("-s 2", "in mode 1; add -m 2"), ("-s 2 --compare", "with --compare")] {
        let shown = run(&mut sending(&servers, &file, &format!("--json {words}")), 0);
        let warning = format!("mdalp: warning: -s 2 has no effect {why}\n");
        assert!(shown.stderr.starts_with(&warning), "{}", shown.stderr);
        assert_eq!(shown.stderr.matches("has no effect").count(), 1, "{}", shown.stderr);
        let event = shown.stdout.lines().next().unwrap();
        assert!(event.contains("\"event\":\"warning\""), "{event}");
        assert!(event.ends_with(&format!("\"message\":\"-s 2 has no effect {why}\"}}")), "{event}");
    }
    assert_eq!(run(&mut sending(&servers, &file, "-q -s 2"), 0).stderr, "");
}

/// More receivers than descriptors. However many they are, a standard error that no one reads takes what is written, so
/// that it cannot delay a deadline.
#[test]
fn many_lost_receivers_fill_no_pipe() {
    let (servers, file) = (Servers::start(Script::new().receivers(300)), file(60_000));
    let latencies = ["1"; 300].join(",");
    let words = format!("-f {} --latency {latencies} -t 30 --give-up 120", file.name());
    let stderr = run(&mut shell(&servers, &format!("ulimit -n 100; \"$0\" \"$@\" {words}")), 0).stderr;
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 6, "{stderr}");
    let (start, end) = ("mdalp: warning: lost 127.0.", "; raise the limit on open files (ulimit -n)");
    assert!(lines[..4].iter().all(|line| line.starts_with(start) && line.ends_with(end)), "{stderr}");
    let cause = " more receivers: lost: no file descriptor: Too many open files";
    assert!(lines[4].starts_with("mdalp: warning: 2") && lines[4].ends_with(cause), "{stderr}");
}
