//! Receivers, and strangers in their place, that send what they should not.

use crate::loopback::{Fault, Flood, Receiver, Script, Servers, Verdict, When, ms};
use crate::support::{Outcome, in_parallel, long_timeouts, payload, send, send_payload, short_timeouts};
use mdalp::report::LossReason;
use mdalp::{Event, ExitStatus, Mode, Options, Payload, Seq};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// One receiver is `hostile`, one is honest; the hostile one gets SEQs 0 to 14. Its datagrams that are no ack of the
/// outstanding packet change nothing: not one packet more is sent, and not one out of turn. The client sees `ignored` of
/// them.
#[track_caller]
fn changes_nothing(hostile: Receiver, ignored: u64) {
    let bytes = payload(3000);
    let servers = Servers::start(Script::new().receiver(hostile).receiver(Receiver::named("honest")));
    let outcome = send(&servers, long_timeouts(&servers, 2), &bytes, Mode::Balance);
    let report = outcome.flawless(&bytes);
    assert_eq!((outcome.transaction.packets(), report.retransmissions()), (30, 0));
    assert_eq!(report.receivers.iter().map(|r| r.counts.ignored).collect::<Vec<_>>(), [ignored, 0]);
}

#[test]
fn acks_that_are_not_of_the_outstanding_packet_change_nothing() {
    let hostile = || Receiver::named("H");
    changes_nothing(hostile().wrong_tid_acks(), 15);
    changes_nothing(hostile().stale_acks(), 15);
    changes_nothing(hostile().future_acks(), 15);
    // The last one comes when nothing is outstanding any more, and no one reads it.
    changes_nothing(hostile().duplicates_acks(), 14);
    // During the wait for the next ack.
    changes_nothing(hostile().ack_delay(ms(20)).late_duplicates(ms(10)), 14);
    // These never reach the client.
    changes_nothing(hostile().acks_from_other_address(), 0);
    changes_nothing(hostile().acks_from_other_port(), 0);
}

#[test]
fn garbage_of_any_length_changes_nothing() {
    let mut garbage: Vec<_> = [0, 1, 22, 23, 47, 48, 49, 100, 1472, 65_507].map(|len| vec![0xff; len]).into();
    let list = "Type:1;TID:3740;DATA:[{'ip_address': '127.0.0.1', 'name': 'X'}];";
    garbage.extend(["Type:0;", list, "Type:2;TID:3740;SEQ:0;DATA:x"].map(Vec::from));
    for datagram in garbage {
        changes_nothing(Receiver::named("H").junk(datagram), 15);
    }
}

#[test]
fn all_faults_together_change_nothing() {
    let hostile = Receiver::named("H")
        .ack_delay(ms(4))
        .wrong_tid_acks()
        .stale_acks()
        .future_acks()
        .acks_from_other_address()
        .acks_from_other_port()
        .junk("")
        .junk(vec![b'T'; 65_507])
        .duplicates_acks()
        .late_duplicates(ms(2));
    // Five before each ack, two after each but the last.
    changes_nothing(hostile, 15 * 5 + 14 * 2);
}

/// An ack that waits in the socket when its packet is sent cannot be distinguished from one that came after it. Whoever sends it
/// lies about having the packet, as it could at any time; everybody else's bytes are none the worse for it.
#[test]
fn a_receiver_that_acknowledges_in_advance_is_taken_at_its_word() {
    let script = Script::new().receiver(Receiver::named("H").acks_in_advance()).receivers(1);
    let servers = Servers::start(script);
    let outcome = send(&servers, long_timeouts(&servers, 2), &payload(3000), Mode::Balance);
    let report = outcome.report();
    assert_eq!((report.acked_bytes(), report.retransmissions()), (3000, 0));
    let honest = outcome.transaction.part("R1");
    assert_eq!((honest.counts.bytes, honest.counts.packets), (1500, 15));
    assert_eq!(report.receivers[0].counts.transmissions, 15, "every packet is sent, once");
}

/// Each receiver answers its one packet with something that is nearly its ack, and with nothing else. The unit tests of
/// `message` have every byte of it.
#[test]
fn what_is_nearly_an_ack_is_none() {
    let nearly = |seq: usize| {
        [
            format!("Type:3;TID:3740;SEQ:{seq}"),
            format!("Type:3;TID:3740;SEQ:{seq};\0"),
            format!("Type:3;TID:3740;SEQ:{seq};DATA:x"),
            format!("Type:3;TID:3740;SEQ:0{seq};"),
            format!("Type:2;TID:3740;SEQ:{seq};"),
            format!("Type:3;TID:3740;SEQ:{};", seq as u64 + (1 << 32)),
            format!("Type:3;TID:{};SEQ:{seq};", 3740 + (1u128 << 64)),
            format!("Type:3;TID:3740;SEQ:{seq};Type:3;TID:3740;SEQ:{seq};"),
            format!("Type:3;TID:3740;SEQ:{seq};{}", " ".repeat(65_000)),
        ]
    };
    let count = nearly(0).len();
    let receiver = |seq: usize| Receiver::named("R").never_acks().junk(nearly(seq)[seq].as_str());
    let servers = Servers::start(Script::new().with((0..count).map(receiver)));
    let options = Options { failover: false, ..short_timeouts(&servers, count) };
    let outcome = send(&servers, options, &payload(100 * count), Mode::Balance);
    outcome.failure(ExitStatus::Incomplete);
    for (seq, receiver) in outcome.report().receivers.iter().enumerate() {
        assert_eq!(receiver.acked_packets(), 0, "{:.99}", nearly(seq)[seq]);
        assert!(receiver.counts.ignored > 0 && receiver.counts.ignored <= receiver.counts.transmissions);
    }
    assert_eq!(outcome.transaction.faults(), [] as [&_; 0]);
}

/// A flood that moved the timer would leave the one transmission that there was; one that caused retransmissions would
/// leave thousands.
#[test]
fn a_flood_moves_neither_the_timer_nor_the_give_up() {
    let rates = [None, Some(20_000), Some(100)];
    in_parallel(&rates, |rate| {
        let flooding = Receiver::named("F").never_acks().flood(*rate, HOUR);
        let servers = Servers::start(Script::new().receiver(flooding));
        let options = Options { give_up: ms(2000), ..short_timeouts(&servers, 1) };
        let outcome = send(&servers, options, b"one packet", Mode::Balance);
        let LossReason::Silent { waited, transmissions, .. } = outcome.events.lost[0].1 else {
            panic!("{:?}", outcome.events.lost)
        };
        assert!(waited >= ms(2000));
        // One every 100 ms; a timer never fires early, and a busy machine may be late by several.
        assert!((2..=20).contains(&transmissions), "{transmissions}");
        assert!(outcome.report().receivers[0].counts.ignored > 10, "{:?}", outcome.report());
        assert_eq!(outcome.report().receivers[0].counts.transmissions, u64::from(transmissions));
        assert_eq!(outcome.transaction.packets(), u64::from(transmissions));
    });
}

#[test]
fn an_ack_is_found_in_a_flood() {
    let flooding = Receiver::named("F")
        .lose_ack(4, 1)
        .lose(4, 2)
        .rule(When::At { seq: 4, nth: 1 }, Fault::Flood(Flood { per_second: Some(5000), lasting: HOUR }));
    let servers = Servers::start(Script::new().receiver(flooding));
    let options = Options { first_timeout: ms(200), give_up: HOUR, ..short_timeouts(&servers, 1) };
    let bytes = payload(500);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert!(outcome.report().retransmissions() >= 2);
}

#[test]
fn a_port_that_is_closed_for_a_while_costs_retransmissions_only() {
    let servers = Servers::start(Script::new().receiver(Receiver::named("R").opens_when_asked()));
    let bytes = payload(500);
    let whole = Payload::from_bytes(&bytes[..]).unwrap();
    // The first transmission is refused; the second may be or not.
    let options = Options { give_up: HOUR, first_timeout: ms(500), ..short_timeouts(&servers, 1) };
    let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| {
        if let Event::TimedOut { .. } = event {
            servers.open("R");
        }
    });
    assert!(outcome.arrived(&bytes).retransmissions() >= 1);
}

/// `hostile` and an honest receiver get five packets each; only refusals make the client give up.
fn beside_an_honest_one(hostile: Receiver) -> Outcome {
    let servers = Servers::start(Script::new().receiver(hostile).receiver(Receiver::named("R")));
    let options = Options { give_up: HOUR, ..short_timeouts(&servers, 2) };
    let bytes = payload(1000);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    outcome
}

#[test]
fn a_closed_port_loses_its_receiver_after_five_refusals() {
    let outcome = beside_an_honest_one(Receiver::named("C").closed());
    let [(0, LossReason::Refused { seq: Seq(0), times: 5 })] = outcome.events.lost[..] else {
        panic!("{:?}", outcome.events.lost)
    };
    assert_eq!(outcome.report().receivers[0].counts.transmissions, 5);
    assert_eq!(outcome.transaction.part("R").counts.packets, 10);
}

#[test]
fn refusals_alone_fail_the_transfer_and_the_line_says_so() {
    let servers = Servers::start(Script::new().receiver(Receiver::named("C").closed()));
    let options = Options { give_up: HOUR, ..short_timeouts(&servers, 1) };
    let outcome = send(&servers, options, &payload(1000), Mode::Balance);
    assert_eq!(
        outcome.failure(ExitStatus::Incomplete),
        "transfer: 0 of 1000 bytes acknowledged, 0 of 10 packets; lost 127.0.0.2 (C), port closed: SEQ 0 \
         refused 5 times; check --receiver-port, and send it again"
    );
}

/// Refused in the middle: the outstanding packet and all after it go elsewhere.
#[test]
fn a_port_that_closes_during_the_transfer_is_a_lost_receiver() {
    for acks in [1, 4] {
        let outcome = beside_an_honest_one(Receiver::named("C").closes_after_acks(acks, None));
        assert!(matches!(outcome.events.lost[..], [(0, LossReason::Refused { seq, .. })] if seq.0 == acks));
    }
}

#[test]
fn a_receiver_that_stalls_and_comes_back_is_not_lost() {
    let outcome = beside_an_honest_one(Receiver::named("S").silent_for(2, ms(350)));
    assert_eq!((outcome.lost(), outcome.transaction.verdict), (vec![], Verdict::Completed));
    assert!(outcome.report().receivers[0].counts.retransmissions >= 1);
}

/// An hour's worth of waiting is asked for, so only the acks can have ended it.
#[test]
fn losses_and_hostile_answers_leave_every_byte_in_place() {
    let hostile = |name: &str| {
        Receiver::named(name)
            .ack_delay(ms(1))
            .wrong_tid_acks()
            .stale_acks()
            .duplicates_acks()
            .junk("Type:3;TID:3740;SEQ:")
            .acks_from_other_port()
            .late_duplicates(ms(3))
    };
    let script = Script::new().with(["A", "B", "C"].map(hostile));
    let servers = Servers::start(script.data_loss(0.15).ack_loss(0.15).seed(3));
    let mut options = short_timeouts(&servers, 3);
    (options.first_timeout, options.fixed_timeout, options.give_up) = (ms(40), false, HOUR);
    let bytes = payload(6000);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    let report = outcome.arrived(&bytes);
    let sent: u64 = report.receivers.iter().map(|r| r.counts.transmissions).sum();
    assert!(report.retransmissions() > 0);
    assert_eq!(sent, u64::from(report.packets) + report.retransmissions());
    assert_eq!(outcome.transaction.verdict, Verdict::Completed);
    assert_eq!(outcome.transaction.faults(), [] as [&_; 0]);
}

#[test]
fn nothing_goes_to_whom_the_list_does_not_name() {
    let list = "Type:1;TID:3740;DATA:[{'ip_address': '127.0.0.2', 'name': 'x'}];";
    let receivers = [
        Receiver::named("before").unlisted(),
        Receiver::named("A").acks_from_other_address().dies_after_acks(2),
        Receiver::named("between").unlisted(),
        Receiver::named("B").junk(list),
        Receiver::named("after").unlisted(),
    ];
    let servers = Servers::start(Script::new().with(receivers).assigned_again_with_other_tid());
    let bytes = payload(1000);
    let outcome = send(&servers, short_timeouts(&servers, 2), &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    for name in ["before", "between", "after"] {
        assert_eq!(outcome.transaction.part(name).counts.packets, 0, "{name}");
    }
    assert_eq!(outcome.transaction.faults(), [] as [&_; 0]);
    assert_eq!(servers.other_datagrams(), 0);
}
