//! Receivers that are lost, at any moment and in any order; and what a failed transfer says of itself.

use crate::loopback::{Fault, Receiver, Remark, Script, Servers, Verdict, When, ms};
use crate::support::{Outcome, in_parallel, payload, send, short_timeouts};
use mdalp::report::{LossReason, ReceiverStatus};
use mdalp::{ExitStatus, Mode, Options};

/// More acks than a receiver has to give.
const ALIVE: u32 = u32::MAX;

/// Receivers A, B and C, each silent after this many acks. They are of equal latency: each gets ten of thirty packets.
fn three(acks: [u32; 3]) -> [Receiver; 3] {
    let receiver = |i| Receiver::named(["A", "B", "C"][i]).dies_after_acks(acks[i]);
    std::array::from_fn(receiver)
}

fn transfer(receivers: [Receiver; 3]) -> Outcome {
    let servers = Servers::start(Script::new().with(receivers));
    send(&servers, short_timeouts(&servers, 3), &payload(3000), Mode::Balance)
}

fn success(receivers: [Receiver; 3]) -> Outcome {
    let outcome = transfer(receivers);
    outcome.arrived(&payload(3000));
    outcome
}

/// Packets that each receiver acknowledged.
fn acked(outcome: &Outcome) -> Vec<u32> {
    outcome.report().receivers.iter().map(|receiver| receiver.acked_packets()).collect()
}

#[test]
fn any_one_receiver_may_be_lost_at_any_moment() {
    let cases: Vec<_> = (0..3).flat_map(|victim| [0, 1, 5, 9].map(|acks| (victim, acks))).collect();
    in_parallel(&cases, |&(victim, acks)| {
        let mut fates = [ALIVE; 3];
        fates[victim] = acks;
        let outcome = success(three(fates));
        assert_eq!((outcome.lost(), acked(&outcome)[victim]), (vec![victim], acks));
        assert_eq!(outcome.report().receivers[victim].planned_bytes, 1000);
        // What it left goes to the others in contiguous runs; to whom how much of it, their pace decides.
        let moves = &outcome.events.moves;
        assert!(moves.iter().all(|&(from, to, ..)| from == victim && to != victim), "{moves:?}");
        assert_eq!(moves.iter().map(|&(.., packets)| packets).sum::<u32>(), 10 - acks);
        assert_eq!(moves[0].2, victim as u32 * 10 + acks, "the outstanding one included");
    });
}

/// It received the packet that it never acknowledged, so that one is at two receivers, with the same bytes.
#[test]
fn a_packet_whose_ack_was_lost_with_its_receiver_is_sent_on() {
    let [a, b, c] = three([ALIVE; 3]);
    let outcome = success([a, b.rule(When::AfterAcks(3), Fault::LoseAck), c]);
    assert_eq!(outcome.lost(), [1]);
    assert!(outcome.transaction.remarks.contains(&Remark::AtSeveralReceivers { seqs: 1 }));
}

#[test]
fn all_but_one_may_be_lost_at_the_same_time() {
    in_parallel(&[0, 1, 2], |&survivor| {
        let mut fates = [2; 3];
        fates[survivor] = ALIVE;
        let outcome = success(three(fates));
        assert_eq!((outcome.lost().len(), acked(&outcome)[survivor]), (2, 26));
    });
}

/// A dies immediately; B, quick and done by then, gets nearly all of A's work and dies of it; C gets what is left, having
/// been idle for most of two give-up times.
#[test]
fn they_may_be_lost_one_after_another_each_an_heir() {
    in_parallel(&[10, 11, 14], |&acks| {
        let [a, b, c] = three([0, acks, ALIVE]);
        let outcome = success([a, b, c.ack_delay(ms(30))]);
        assert_eq!((outcome.lost(), acked(&outcome)), (vec![0, 1], vec![0, acks, 30 - acks]));
    });
}

/// C is still busy with its own share when A and then B are lost: what it inherits waits in its queue.
#[test]
fn a_busy_heir_does_what_it_inherits_after_its_own() {
    let [a, b, c] = three([1, 12, ALIVE]);
    let outcome = success([a, b, c.ack_delay(ms(60))]);
    assert_eq!((outcome.lost(), acked(&outcome)), (vec![0, 1], vec![1, 12, 17]));
    assert_eq!(outcome.report().receivers[2].acked[0].first().0, 20);
}

/// Only the fastest gets the one byte; the others have no thread until they inherit it.
#[test]
fn the_only_packet_of_a_payload_survives_its_receiver() {
    let servers = Servers::start(Script::new().with(three([ALIVE, 0, ALIVE])));
    let options = Options { latencies: Some(vec![ms(3), ms(1), ms(2)]), ..short_timeouts(&servers, 3) };
    let outcome = send(&servers, options, b"x", Mode::Balance);
    outcome.arrived(b"x");
    assert_eq!((outcome.lost(), outcome.events.moves.len()), (vec![1], 1));
    assert_eq!(outcome.transaction.shares().iter().sum::<u64>(), 1);
}

#[test]
fn ten_of_eleven_may_be_lost_in_turn() {
    let receiver = |i| match Receiver::named(format!("R{i}")) {
        receiver if i == 10 => receiver,
        receiver if i % 3 == 0 => receiver.closed(),
        receiver => receiver.dies_after_acks(i),
    };
    let servers = Servers::start(Script::new().with((0..11).map(receiver)));
    let options = Options { give_up: ms(600), ..short_timeouts(&servers, 11) };
    let bytes = payload(11_000);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!(outcome.lost().len(), 10);
    assert_eq!(acked(&outcome)[10], 110 - (1 + 2 + 4 + 5 + 7 + 8));
}

#[test]
fn without_failover_the_others_finish_their_shares() {
    let servers = Servers::start(Script::new().with(three([ALIVE, 4, ALIVE])));
    let options = Options { failover: false, ..short_timeouts(&servers, 3) };
    let outcome = send(&servers, options, &payload(3000), Mode::Balance);
    assert_eq!((outcome.lost(), outcome.events.moves.len()), (vec![1], 0));
    assert_eq!(acked(&outcome), [10, 4, 10]);
    let line = outcome.failure(ExitStatus::Incomplete);
    let account = "transfer: 2400 of 3000 bytes acknowledged, 24 of 30 packets: 127.0.0.2 SEQ 0-9; \
                   127.0.0.3 SEQ 10-13; 127.0.0.4 SEQ 20-29; lost 127.0.0.3 (B), no ack of SEQ 14 in ";
    assert!(line.starts_with(account), "{line}");
    assert!(line.ends_with("; send it again") && !line.contains("fell silent"), "{line}");
    assert_eq!(outcome.transaction.verdict, Verdict::Incomplete);
    assert_eq!(outcome.transaction.part("A").counts.packets, 10);
}

#[test]
fn mode_2_has_no_receiver_to_fail_over_to() {
    in_parallel(&[0, 4], |&acks| {
        let servers = Servers::start(Script::new().with(three([ALIVE, acks, ALIVE])));
        let outcome = send(&servers, short_timeouts(&servers, 3), &payload(1000), Mode::Single(2));
        let line = outcome.failure(ExitStatus::Incomplete);
        assert_eq!(line.contains("all receivers fell silent after "), acks > 0, "{line}");
        assert_eq!(acked(&outcome), [0, acks, 0]);
        assert_eq!((outcome.lost().len(), outcome.events.moves.len()), (1, 0));
        assert!(["A", "C"].iter().all(|other| outcome.transaction.part(other).counts.packets == 0));
    });
}

#[test]
fn when_all_fall_silent_together_the_line_says_when() {
    let outcome = transfer(three([3, 3, 3]));
    let line = outcome.failure(ExitStatus::Incomplete);
    let account = "transfer: 900 of 3000 bytes acknowledged, 9 of 30 packets: \
                   127.0.0.2 SEQ 0-2; 127.0.0.3 SEQ 10-12; 127.0.0.4 SEQ 20-22; lost ";
    assert!(line.starts_with(account), "{line}");
    for lost in
        ["127.0.0.2 (A), no ack of SEQ 3 in ", "(B), no ack of SEQ 13 in ", "(C), no ack of SEQ 23 in "]
    {
        assert!(line.contains(lost), "{line}");
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
    let outcome = transfer(three([1, 12, 12]));
    assert_eq!((outcome.lost().len(), acked(&outcome)), (3, vec![1, 12, 12]));
    let line = outcome.failure(ExitStatus::Incomplete);
    assert!(line.ends_with("; send it again") && !line.contains("fell silent"), "{line}");
}

/// All is at rest when the last one has been given up: nothing is shared out any more, and nothing hangs.
#[test]
fn silence_from_the_start_points_to_firewalls() {
    let outcome = transfer(three([0, 0, 0]));
    let line = outcome.failure(ExitStatus::Incomplete);
    assert!(line.starts_with("transfer: 0 of 3000 bytes acknowledged, 0 of 30 packets; lost "), "{line}");
    assert!(line.contains("firewall") && !line.contains("fell silent"), "{line}");
    assert_eq!(outcome.lost().len(), 3);
    assert!(outcome.report().receivers.iter().all(|r| matches!(r.status, ReceiverStatus::Lost(_))));
}

/// Whatever is reported to the observer, a long list is named in part only.
#[test]
fn a_long_list_of_losses_stays_one_line() {
    let receiver = |i| Receiver::named(format!("R{i}\u{1b}[2J\u{202e}")).closed();
    let servers = Servers::start(Script::new().with((0..40).map(receiver)));
    let options = Options { first_timeout: ms(20), ..short_timeouts(&servers, 40) };
    let outcome = send(&servers, options, &payload(4000), Mode::Balance);
    let line = outcome.failure(ExitStatus::Incomplete);
    let first = r"(R0\u{1b}[2J\u{202e}), port closed";
    assert!(line.contains(first) && line.contains("; and 36 more; ") && line.len() < 600, "{line}");
    assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
}

#[test]
fn who_is_too_slow_for_the_transaction_is_warned_of() {
    let slow = three([ALIVE; 3]).map(|receiver| receiver.ack_delay(ms(50)));
    let servers = Servers::start(Script::new().with(slow));
    // 3000 packets at each, 50 ms for each of them.
    let options = Options { deadline: Some(ms(2500)), ..short_timeouts(&servers, 3) };
    let outcome = send(&servers, options, &payload(900_000), Mode::Balance);
    outcome.failure(ExitStatus::Deadline);
    let [projected] = outcome.events.too_slow[..] else { panic!("{:?}", outcome.events.too_slow) };
    assert!(projected.as_secs() > 90, "{projected:?}");
}
