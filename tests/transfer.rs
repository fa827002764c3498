//! Whole transfers between the library and real servers: the recorded transaction, and every shape of payload and list.

use crate::loopback::{Receiver, Remark, Script, Servers, Transaction, Verdict, ms, recorded};
use crate::support::payload;
use mdalp::protocol::Seq;
use mdalp::report::ReceiverStatus;
use mdalp::{Client, Event, Mode, Options, Payload, Report, Trace};
use std::ops::ControlFlow;
use std::time::Duration;

/// The recorded transaction runs this many times faster.
const SCALE: f64 = 10.0;

/// Options for these servers, with everything stated, so that nothing depends on the host.
fn options(servers: &Servers, latencies: &[u32]) -> Options {
    let stated = latencies.iter().map(|&us| Duration::from_micros(us.into())).collect();
    Options { receiver_port: servers.receiver_port(), latencies: Some(stated), ..Options::default() }
}

fn send(servers: Servers, options: Options, bytes: &[u8], mode: Mode) -> (Report, Transaction) {
    let client = Client::with_options(servers.orchestrator(), options);
    let report = client.send(&Payload::from_bytes(bytes).unwrap(), mode).unwrap();
    (report, servers.finish())
}

/// The judge's remarks, but for spurious retransmissions: a busy machine may hold a receiver up for longer than the
/// shortest timeout.
fn serious(transaction: &Transaction) -> impl Iterator<Item = &Remark> {
    transaction.remarks.iter().filter(|remark| !matches!(remark, Remark::Spurious { .. }))
}

#[test]
fn the_recorded_transaction_comes_out_as_recorded() {
    let bytes = payload(5000);
    let servers = Servers::start(Script::new().with(recorded::receivers(SCALE, true)));
    let options = Options {
        first_timeout: Duration::from_secs_f64(3.0 / SCALE),
        ..options(&servers, &[335_148, 162_844, 156_857])
    };
    let (report, transaction) = send(servers, options, &bytes, Mode::Balance);
    let shares: Vec<_> = report.receivers.iter().map(|r| (r.acked_bytes(), r.acked[0].first().0)).collect();
    assert_eq!(shares, [(963, 0), (1981, 10), (2056, 30)]);
    // At this scale a timeout leaves 20 ms to spare, and a busy machine may be away for longer. The judge sees that.
    let parts = report.receivers.iter().zip(&transaction.parts);
    let transmissions: Vec<_> = parts.map(|(r, part)| r.transmissions - part.counts.duplicates).collect();
    assert_eq!(transmissions, [12, 21, 22]);
    assert_eq!(serious(&transaction).next(), None);
    assert_eq!(report.packets, 51);

    assert_eq!(transaction.verdict.to_string(), "Transaction completed!");
    assert_eq!(transaction.tid, 3740);
    assert!(transaction.payload == bytes);
}

#[test]
fn any_bytes_of_any_size_arrive_at_any_number_of_receivers() {
    let sizes = [1, 2, 3, 29, 30, 99, 100, 101, 299, 1000, 5000, 1_000_000];
    for (case, count) in [1, 2, 3, 10, 11, 30, 100].into_iter().enumerate() {
        for len in sizes {
            let servers = Servers::start(Script::new().receivers(count));
            let latencies: Vec<u32> =
                (0..count as u32).map(|i| 1000 + (i * 7919 + case as u32) % 977).collect();
            let options = options(&servers, &latencies);
            let bytes = payload(len);
            let (report, transaction) = send(servers, options, &bytes, Mode::Balance);
            let what = format!("{len} bytes to {count} receivers");

            assert!(transaction.payload == bytes, "{what}");
            assert_eq!(transaction.verdict, Verdict::Completed, "{what}");
            assert_eq!(serious(&transaction).next(), None, "{what}");
            let shares: Vec<u64> = report.receivers.iter().map(|r| r.acked_bytes()).collect();
            assert_eq!(shares.iter().sum::<u64>(), len as u64, "{what}");
            let floor = (len as u64).div_ceil(10).min(len as u64 / count as u64);
            assert!(shares.iter().all(|&share| share >= floor), "{what}: {shares:?}");
            for (a, latency) in shares.iter().zip(&latencies) {
                let fewer = shares.iter().zip(&latencies).find(|(b, other)| other < &latency && b < &a);
                assert_eq!(fewer, None, "{what}: a lower latency never gets fewer bytes");
            }
        }
    }
}

#[test]
fn everything_goes_to_the_one_receiver_that_is_named() {
    for (len, nth) in [(1, 1), (100, 2), (101, 3), (5000, 1), (1_000_000, 3)] {
        let servers = Servers::start(Script::new().receivers(3));
        let options = Options { latencies: None, ..options(&servers, &[]) };
        let bytes = payload(len);
        let (report, transaction) = send(servers, options, &bytes, Mode::Single(nth));
        assert!(transaction.payload == bytes);
        assert_eq!(serious(&transaction).next(), None);
        assert_eq!(transaction.parts.iter().filter(|part| part.counts.packets > 0).count(), 1);
        assert_eq!(transaction.parts[nth - 1].counts.bytes, len as u64);
        assert!(report.receivers.iter().all(|r| r.latency.is_none()), "no receiver is pinged");
        assert_eq!(report.receivers[nth - 1].acked_bytes(), len as u64);
    }
}

#[test]
fn mode_2_is_a_violation_by_the_protocol() {
    let servers = Servers::start(Script::new().receivers(3));
    let options = options(&servers, &[]);
    let (_, transaction) =
        send(servers, Options { latencies: None, ..options }, &payload(5000), Mode::Single(2));
    assert_eq!(transaction.verdict, Verdict::Violation);
}

#[test]
fn a_single_receiver_can_be_picked_by_its_address() {
    let servers = Servers::start(Script::new().receivers(3));
    let address = servers.receivers()[2].ip();
    let options = options(&servers, &[]);
    let (report, _) = send(servers, options, &payload(250), Mode::SingleAt(address));
    assert_eq!(report.receivers[2].acked_packets(), 3);
}

#[test]
fn a_receiver_without_bytes_is_left_alone() {
    let servers = Servers::start(Script::new().receivers(3));
    let options = options(&servers, &[300, 200, 100]);
    let (report, transaction) = send(servers, options, b"x", Mode::Balance);
    assert_eq!(transaction.parts.iter().map(|part| part.seqs()).collect::<Vec<_>>(), [0, 0, 1]);
    assert!(report.receivers.iter().all(|r| r.status == ReceiverStatus::Done));
}

#[test]
fn losses_each_way_change_nothing_but_the_count() {
    let servers = Servers::start(Script::new().receivers(3).data_loss(0.05).ack_loss(0.05).seed(7));
    let options = options(&servers, &[1000, 1500, 2000]);
    let bytes = payload(60_000);
    let (report, transaction) = send(servers, options, &bytes, Mode::Balance);
    assert!(transaction.payload == bytes && transaction.completed());
    assert!(report.retransmissions() > 20, "{}", report.retransmissions());
    let sent: u64 = report.receivers.iter().map(|r| r.transmissions).sum();
    assert_eq!(sent, u64::from(report.packets) + report.retransmissions());
}

#[test]
fn the_events_tell_the_whole_story_in_order() {
    let servers = Servers::start(Script::new().receivers(2).receiver(Receiver::named("late").lose(6, 1)));
    let options = Options {
        trace: Trace::Packets,
        progress: Some(ms(1)),
        first_timeout: ms(50),
        ..options(&servers, &[1000; 3])
    };
    let mut story = Vec::new();
    let (mut sent, mut acked) = (0, 0);
    let client = Client::with_options(servers.orchestrator(), options);
    let result = client.send_observed(
        &Payload::from_bytes(payload(900)).unwrap(),
        Mode::Balance,
        &mut |event: &Event<'_>| {
            match event {
                Event::PacketSent { payload, .. } => {
                    assert!(!payload.is_empty());
                    sent += 1;
                }
                Event::PacketReceived { acked_after, .. } => acked += usize::from(acked_after.is_some()),
                Event::IntentSent { .. } => story.push("intent"),
                Event::Assigned { receivers, .. } => {
                    assert_eq!(receivers[2].name, "late");
                    story.push("assigned");
                }
                Event::Latencies { .. } => story.push("latencies"),
                Event::Planned { shares, floor, .. } => {
                    assert_eq!((shares.len(), *floor), (3, 90));
                    story.push("planned");
                }
                Event::TimedOut { receiver, seq: Seq(6), transmissions: 1, .. } => {
                    assert_eq!(receiver.index.0, 2);
                    story.push("timed out");
                }
                Event::Finished { report } => {
                    assert!(report.is_complete());
                    story.push("finished");
                }
                _ => {}
            }
            ControlFlow::Continue(())
        },
    );
    assert!(result.is_ok());
    assert_eq!(story, ["intent", "assigned", "latencies", "planned", "timed out", "finished"]);
    assert_eq!(acked, 9);
    assert!(sent >= 10, "{sent}");
}

#[test]
fn no_remark_is_made_of_a_transfer_with_jitter() {
    let servers = Servers::start(Script::new().receiver(Receiver::named("A").ack_delay(ms(8)).jitter(ms(1))));
    let options = options(&servers, &[1000]);
    let (_, transaction) = send(servers, options, &payload(3000), Mode::Balance);
    assert_eq!(serious(&transaction).next(), None);
}
