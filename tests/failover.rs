//! Receivers that are lost, at any moment and in any order; and what a failed transfer says of itself.

use crate::loopback::{Fault, Receiver, Remark, Script, Servers, Verdict, When, ms};
use crate::support::{Outcome, in_parallel, payload, send, short_timeouts};
use mdalp::report::{LossReason, ReceiverStatus};
use mdalp::{ExitStatus, Mode, Options};

/// Three receivers of equal latency get ten packets each.
const PACKETS: u32 = 30;

fn three(change: impl Fn(usize, Receiver) -> Receiver) -> Script {
    Script::new().with((0..).zip(["A", "B", "C"]).map(|(i, name)| change(i, Receiver::named(name))))
}

fn transfer(script: Script) -> Outcome {
    transfer_with(script, |options| options)
}

fn transfer_with(script: Script, change: impl FnOnce(Options) -> Options) -> Outcome {
    let servers = Servers::start(script);
    let options = change(short_timeouts(&servers, 3));
    send(&servers, options, &payload(PACKETS as usize * 100), Mode::Balance)
}

fn all_arrived(outcome: &Outcome, what: &str) {
    eprintln!("{what}");
    outcome.arrived(&payload(PACKETS as usize * 100));
}

fn lost(outcome: &Outcome) -> Vec<usize> {
    outcome.told.lost.iter().map(|(receiver, _)| *receiver).collect()
}

#[test]
fn any_one_receiver_may_be_lost_at_any_moment() {
    let cases: Vec<(usize, u32)> =
        (0..3).flat_map(|victim| [0, 1, 5, 9].map(|acks| (victim, acks))).collect();
    in_parallel(&cases, |&(victim, acks)| {
        let what = format!("receiver {victim} dies after {acks} acks");
        let outcome = transfer(three(|i, receiver| match i == victim {
            true => receiver.dies_after_acks(acks),
            false => receiver,
        }));
        all_arrived(&outcome, &what);
        assert_eq!(lost(&outcome), [victim], "{what}");
        let report = &outcome.report().receivers[victim];
        assert_eq!((report.acked_packets(), report.planned_bytes), (acks, 1000), "{what}");
        // What it left goes to the others in contiguous runs; to whom how much of it, their pace decides.
        let moved: u32 = outcome.told.moves.iter().map(|&(.., packets)| packets).sum();
        assert_eq!(moved, 10 - acks, "{what}");
        assert!(outcome.told.moves.iter().all(|&(from, to, ..)| from == victim && to != victim), "{what}");
        assert_eq!(
            outcome.told.moves[0].2,
            victim as u32 * 10 + acks,
            "{what}: the outstanding one included"
        );
    });
}

/// It received the packet that it never acknowledged, so that one is at two receivers, with the same bytes.
#[test]
fn a_packet_whose_ack_was_lost_with_its_receiver_is_sent_on() {
    let outcome = transfer(three(|i, receiver| match i {
        1 => receiver.rule(When::AfterAcks(3), Fault::LoseAck),
        _ => receiver,
    }));
    all_arrived(&outcome, "");
    assert_eq!(lost(&outcome), [1]);
    assert!(outcome.transaction.remarks.contains(&Remark::AtSeveralReceivers { seqs: 1 }));
}

#[test]
fn all_but_one_may_be_lost_at_the_same_time() {
    in_parallel(&[0, 1, 2], |&survivor| {
        let what = format!("only {survivor} survives");
        let outcome = transfer(three(|i, receiver| match i == survivor {
            true => receiver,
            false => receiver.dies_after_acks(2),
        }));
        all_arrived(&outcome, &what);
        assert_eq!(lost(&outcome).len(), 2, "{what}");
        assert_eq!(outcome.report().receivers[survivor].acked_packets(), PACKETS - 4, "{what}");
    });
}

/// A dies immediately; B, quick and done by then, gets nearly all of A's work and dies of it; C gets what is left, having
/// been idle for most of two give-up times.
#[test]
fn they_may_be_lost_one_after_another_each_an_heir() {
    let cases = [10, 11, 14];
    in_parallel(&cases, |&acks| {
        let what = format!("B dies after {acks} acks");
        let outcome = transfer(three(|i, receiver| match i {
            0 => receiver.silent(),
            1 => receiver.dies_after_acks(acks),
            _ => receiver.ack_delay(ms(30)),
        }));
        all_arrived(&outcome, &what);
        assert_eq!(lost(&outcome), [0, 1], "{what}");
        assert_eq!(outcome.report().receivers[1].acked_packets(), acks, "{what}");
        assert_eq!(outcome.report().receivers[2].acked_packets(), PACKETS - acks, "{what}");
    });
}

/// C is still busy with its own share when A and then B are lost: what it inherits waits in its queue.
#[test]
fn a_busy_heir_does_what_it_inherits_after_its_own() {
    let outcome = transfer(three(|i, receiver| match i {
        0 => receiver.dies_after_acks(1),
        1 => receiver.dies_after_acks(12),
        _ => receiver.ack_delay(ms(60)),
    }));
    all_arrived(&outcome, "");
    assert_eq!(lost(&outcome), [0, 1]);
    let acked = &outcome.report().receivers[2].acked;
    assert_eq!(acked[0].first().0, 20);
    assert_eq!(acked.iter().map(|range| range.packets()).sum::<u32>(), PACKETS - 13);
}

#[test]
fn the_only_packet_of_a_payload_survives_its_receiver() {
    // Only the fastest gets the one byte; the others have no thread until they inherit it.
    let servers = Servers::start(three(|i, receiver| if i == 1 { receiver.silent() } else { receiver }));
    let mut options = short_timeouts(&servers, 3);
    options.latencies = Some(vec![ms(3), ms(1), ms(2)]);
    let outcome = send(&servers, options, b"x", Mode::Balance);
    assert!(outcome.result.is_ok(), "{}", outcome.line());
    assert_eq!(lost(&outcome), [1]);
    assert_eq!(outcome.told.moves.len(), 1);
    assert_eq!(outcome.transaction.payload, b"x");
    assert_eq!(outcome.transaction.shares().iter().sum::<u64>(), 1);
}

#[test]
fn ten_of_eleven_may_be_lost_in_turn() {
    let script = (0..11).fold(Script::new(), |script, i| {
        let receiver = Receiver::named(format!("R{i}"));
        script.receiver(match i {
            10 => receiver,
            _ if i % 3 == 0 => receiver.closed(),
            _ => receiver.dies_after_acks(i),
        })
    });
    let servers = Servers::start(script);
    let mut options = short_timeouts(&servers, 11);
    options.give_up = ms(600);
    let bytes = payload(11_000);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!(outcome.told.lost.len(), 10);
    let (acked, at_last) = (outcome.report().acked_packets(), &outcome.report().receivers[10]);
    assert_eq!((acked, at_last.acked_packets()), (110, 110 - (1 + 2 + 4 + 5 + 7 + 8)));
}

#[test]
fn without_failover_the_others_finish_their_shares() {
    let outcome = transfer_with(
        three(|i, receiver| if i == 1 { receiver.dies_after_acks(4) } else { receiver }),
        |options| Options { failover: false, ..options },
    );
    assert_eq!(outcome.result.as_ref().unwrap_err().exit_status(), ExitStatus::Incomplete);
    assert_eq!((lost(&outcome), outcome.told.moves.len()), (vec![1], 0));
    let acked: Vec<_> = outcome.report().receivers.iter().map(|r| r.acked_packets()).collect();
    assert_eq!(acked, [10, 4, 10]);
    let line = outcome.line();
    let account = "transfer: 2400 of 3000 bytes acknowledged, 24 of 30 packets: 127.0.0.2 SEQ 0-9; \
                   127.0.0.3 SEQ 10-13; 127.0.0.4 SEQ 20-29; lost 127.0.0.3 (B), no ack of SEQ 14 in ";
    assert!(line.starts_with(account), "{line}");
    assert!(line.ends_with("; send it again") && !line.contains("fell silent"), "{line}");
    assert_eq!(outcome.transaction.verdict, Verdict::Incomplete);
    assert_eq!(outcome.transaction.part("A").counts.packets, 10);
}

#[test]
fn mode_2_has_nobody_to_fail_over_to() {
    in_parallel(&[0, 4], |&acks| {
        let servers = Servers::start(three(|i, receiver| match i {
            1 => receiver.dies_after_acks(acks),
            _ => receiver,
        }));
        let outcome = send(&servers, short_timeouts(&servers, 3), &payload(1000), Mode::Single(2));
        assert_eq!(outcome.result.as_ref().unwrap_err().exit_status(), ExitStatus::Incomplete);
        assert_eq!(outcome.report().acked_bytes(), u64::from(acks) * 100);
        assert_eq!((outcome.told.lost.len(), outcome.told.moves.len()), (1, 0));
        for other in ["A", "C"] {
            assert_eq!(outcome.transaction.part(other).counts.packets, 0, "{other}");
        }
        assert_eq!(
            outcome.line().contains("all receivers fell silent after "),
            acks > 0,
            "{}",
            outcome.line()
        );
    });
}

#[test]
fn when_all_fall_silent_together_the_line_says_when() {
    let outcome = transfer(three(|_, receiver| receiver.dies_after_acks(3)));
    let Err(error) = &outcome.result else { panic!("nine packets were acknowledged") };
    assert_eq!(error.exit_status(), ExitStatus::Incomplete);
    let line = outcome.line();
    assert!(line.starts_with("transfer: 900 of 3000 bytes acknowledged, 9 of 30 packets: "), "{line}");
    for by_whom in ["127.0.0.2 SEQ 0-2; ", "127.0.0.3 SEQ 10-12; ", "127.0.0.4 SEQ 20-22; "] {
        assert!(line.contains(by_whom), "{line}");
    }
    for why in
        ["lost 127.0.0.2 (A), no ack of SEQ 3 in ", "(B), no ack of SEQ 13 in ", "(C), no ack of SEQ 23 in "]
    {
        assert!(line.contains(why), "{line}");
    }
    let end = " s: check the network, and send it again";
    assert!(line.contains("; all receivers fell silent after ") && line.ends_with(end), "{line}");
    let report = outcome.report();
    assert!(report.last_ack().is_some_and(|last| last < report.elapsed));
    assert!(report.losses().all(|(_, loss)| matches!(loss, LossReason::Silent { .. })));
}

/// B and C acknowledge a part of what A leaves: when it was given up the transaction was alive.
#[test]
fn silence_of_one_after_another_is_no_sign_of_expiry() {
    let outcome = transfer(three(|i, receiver| receiver.dies_after_acks(if i == 0 { 1 } else { 12 })));
    assert_eq!((lost(&outcome).len(), outcome.report().acked_packets()), (3, 25));
    let line = outcome.line();
    assert!(line.ends_with("; send it again") && !line.contains("fell silent"), "{line}");
}

/// All is at rest when the last one has been given up: nothing is shared out any more, and nothing hangs.
#[test]
fn silence_from_the_start_points_to_firewalls() {
    let outcome = transfer(three(|_, receiver| receiver.silent()));
    let line = outcome.line();
    assert!(line.starts_with("transfer: 0 of 3000 bytes acknowledged, 0 of 30 packets; lost "), "{line}");
    assert!(line.contains("firewall") && !line.contains("fell silent"), "{line}");
    assert_eq!(outcome.told.lost.len(), 3);
    assert!(outcome.report().receivers.iter().all(|r| matches!(r.status, ReceiverStatus::Lost(_))));
}

/// Whatever the observer hears, a long list is named in part only.
#[test]
fn a_long_list_of_losses_stays_one_line() {
    let names = |i: usize| format!("R{i}\u{1b}[2J\u{202e}");
    let script = (0..40).fold(Script::new(), |script, i| script.receiver(Receiver::named(names(i)).closed()));
    let servers = Servers::start(script);
    let mut options = short_timeouts(&servers, 40);
    options.first_timeout = ms(20);
    let outcome = send(&servers, options, &payload(4000), Mode::Balance);
    let line = outcome.line();
    assert!(
        line.contains(r"(R0\u{1b}[2J\u{202e}), port closed") && line.contains("; and 36 more; "),
        "{line}"
    );
    assert!(line.len() < 600 && !line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line}");
}

#[test]
fn who_is_too_slow_for_the_transaction_is_warned_of() {
    let servers = Servers::start(three(|_, receiver| receiver.ack_delay(ms(50))));
    let mut options = short_timeouts(&servers, 3);
    // 3000 packets at each, 50 ms for each of them.
    options.deadline = Some(ms(2500));
    let outcome = send(&servers, options, &payload(900_000), Mode::Balance);
    assert_eq!(outcome.result.as_ref().unwrap_err().exit_status(), ExitStatus::Deadline);
    let [projected] = outcome.told.too_slow[..] else { panic!("{:?}", outcome.told.too_slow) };
    assert!(projected.as_secs() > 90, "{projected:?}");
}
