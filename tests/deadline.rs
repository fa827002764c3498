//! The bound on a whole transfer, and times that no clock can count.

use crate::loopback::{Receiver, Script, Servers, ms};
use crate::support::{Outcome, in_parallel, long_timeouts, payload, send, send_payload, short_timeouts};
use mdalp::{Event, ExitStatus, Mode, Options, Payload, Trace};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// It ended with the deadline's status and line, and nothing came to a receiver afterwards: not one packet more than the
/// report, which is made at the deadline, says.
fn ended_by_the_deadline(servers: &Servers, outcome: &Outcome, limit: &str) {
    let line = outcome.failure(ExitStatus::Deadline);
    assert!(line.starts_with(&format!("transfer: the deadline of {limit} s passed, ")), "{line}");
    assert!(line.contains(" bytes acknowledged, ") && line.ends_with("allow more with --deadline"), "{line}");
    // Two and a half timers: whoever were still at it would send.
    std::thread::sleep(ms(250));
    let sent: u64 = outcome.report().receivers.iter().map(|r| r.counts.transmissions).sum();
    assert_eq!(servers.judge().unwrap().packets(), sent);
}

#[test]
fn the_deadline_ends_any_transfer_in_either_mode() {
    let hour = Duration::from_secs(3600);
    let receivers: [fn(Receiver) -> Receiver; 4] = [
        Receiver::silent,
        |receiver| receiver.ack_delay(ms(30)),
        |receiver| receiver.dies_after_acks(3),
        |receiver| receiver.never_acks().flood(Some(10_000), Duration::from_secs(3600)),
    ];
    let cases: Vec<_> =
        receivers.iter().flat_map(|make| [(make, Mode::Balance), (make, Mode::Single(2))]).collect();
    in_parallel(&cases, |(make, mode)| {
        let script = Script::new().receiver(make(Receiver::named("A"))).receiver(make(Receiver::named("B")));
        let servers = Servers::start(script);
        let options = Options { deadline: Some(ms(400)), give_up: hour, ..short_timeouts(&servers, 2) };
        let outcome = send(&servers, options, &payload(10_000), *mode);
        ended_by_the_deadline(&servers, &outcome, "0.4");
        assert!(outcome.report().elapsed >= ms(400));
        assert!(!outcome.report().is_complete());
    });
}

/// Measuring by UDP, as the local address makes it, waits a second for this socket, which says nothing.
#[test]
fn the_deadline_includes_the_measuring() {
    let silent = "127.77.0.1";
    let _probed = UdpSocket::bind((silent, 33434)).unwrap();
    let servers = Servers::start(Script::new().receiver(Receiver::named("R").at(silent.parse().unwrap())));
    let options = Options {
        bind: Some("127.0.0.1".parse().unwrap()),
        latencies: None,
        deadline: Some(ms(200)),
        ..long_timeouts(&servers, 1)
    };
    let mut reasons = Vec::new();
    let whole = Payload::from_bytes("payload").unwrap();
    let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| {
        if let Event::LatencyFallback { reason, .. } = event {
            reasons.push((*reason).to_owned());
        }
    });
    ended_by_the_deadline(&servers, &outcome, "0.2");
    assert!(reasons.iter().any(|reason| reason.contains("answered within 0.")), "{reasons:?}");
    assert!(!outcome.report().measuring.is_zero());
    assert_eq!(outcome.report().receivers[0].counts.transmissions, 0);
}

/// The last ack came in time; that the client looked at it later (here an observer takes its time) is no failure.
#[test]
fn what_was_acknowledged_in_time_is_not_lost_to_the_deadline() {
    let servers = Servers::start(Script::new().receivers(1));
    let options = Options { deadline: Some(ms(1000)), trace: Trace::Packets, ..long_timeouts(&servers, 1) };
    let bytes = payload(300);
    let whole = Payload::from_bytes(&bytes[..]).unwrap();
    let start = Instant::now();
    let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| {
        if let Event::PacketSent { .. } = event {
            std::thread::sleep(ms(1100).saturating_sub(start.elapsed()));
        }
    });
    outcome.arrived(&bytes);
}

#[test]
fn times_that_no_clock_can_count_are_clamped() {
    for time in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(1 << 40)] {
        let servers = Servers::start(Script::new().receiver(Receiver::named("R").lose(1, 1)).receivers(1));
        let options = Options {
            intent_timeout: time,
            intent_resend: Some(time),
            give_up: time,
            deadline: Some(time),
            progress: Some(time),
            latencies: Some(vec![time; 2]),
            first_timeout: ms(50),
            ..long_timeouts(&servers, 2)
        };
        let bytes = payload(500);
        send(&servers, options, &bytes, Mode::Balance).arrived(&bytes);
    }
    let none = Duration::ZERO;
    let servers = Servers::start(Script::new().receiver(Receiver::named("R").silent()));
    let options = Options {
        intent_resend: Some(none),
        give_up: none,
        progress: Some(none),
        latencies: Some(vec![none]),
        first_timeout: none,
        ..long_timeouts(&servers, 1)
    };
    let outcome = send(&servers, options, b"x", Mode::Balance);
    outcome.failure(ExitStatus::Incomplete);
    assert!(outcome.report().receivers[0].counts.transmissions <= 5, "{:?}", outcome.report());
    // The first timeout may be beyond counting, too.
    let servers = Servers::start(Script::new().receivers(1));
    let options =
        Options { first_timeout: Duration::MAX, give_up: Duration::MAX, ..long_timeouts(&servers, 1) };
    send(&servers, options, b"x", Mode::Balance).arrived(b"x");
}
