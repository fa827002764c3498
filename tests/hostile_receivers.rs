//! Receivers, and strangers in their place, that send what they should not.

use crate::loopback::{Fault, Flood, Receiver, Script, Servers, Verdict, When, ms};
use crate::support::{in_parallel, long_timeouts, payload, send, send_payload, short_timeouts};
use mdalp::report::LossReason;
use mdalp::{Event, ExitStatus, Mode, Options, Payload};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// One receiver is `hostile`, one is honest; the hostile one gets SEQs 0 to 14. Its datagrams that are no ack of the
/// outstanding packet change nothing: not one packet more is sent, and not one out of turn. Returns how many the client
/// saw.
fn changes_nothing(hostile: Receiver) -> u64 {
    let bytes = payload(3000);
    let servers = Servers::start(Script::new().receiver(hostile).receiver(Receiver::named("honest")));
    let outcome = send(&servers, long_timeouts(&servers, 2), &bytes, Mode::Balance);
    let report = outcome.result.unwrap();
    assert_eq!((report.acked_bytes(), report.retransmissions()), (3000, 0));
    let transaction = servers.finish();
    assert_eq!((transaction.verdict, &transaction.remarks[..]), (Verdict::Completed, &[][..]));
    assert!(transaction.payload == bytes);
    assert_eq!(transaction.packets(), 30);
    assert_eq!(report.receivers[1].ignored, 0);
    report.receivers[0].ignored
}

#[test]
fn an_ack_with_another_tid_changes_nothing() {
    assert_eq!(changes_nothing(Receiver::named("H").wrong_tid_acks()), 15);
}

#[test]
fn a_stale_ack_changes_nothing() {
    assert_eq!(changes_nothing(Receiver::named("H").stale_acks()), 15);
}

#[test]
fn an_ack_of_the_seq_to_come_changes_nothing() {
    assert_eq!(changes_nothing(Receiver::named("H").future_acks()), 15);
}

/// The last one comes when nothing is outstanding any more, and no one reads it.
#[test]
fn a_duplicate_of_every_ack_changes_nothing() {
    assert_eq!(changes_nothing(Receiver::named("H").duplicates_acks()), 14);
}

#[test]
fn a_late_duplicate_during_the_next_packet_changes_nothing() {
    let late = Receiver::named("H").ack_delay(ms(20)).late_duplicates(ms(10));
    assert_eq!(changes_nothing(late), 14);
}

#[test]
fn acks_from_another_address_or_port_never_reach_the_client() {
    assert_eq!(changes_nothing(Receiver::named("H").acks_from_other_address()), 0);
    assert_eq!(changes_nothing(Receiver::named("H").acks_from_other_port()), 0);
}

#[test]
fn garbage_of_any_length_changes_nothing() {
    for len in [0, 1, 22, 23, 47, 48, 49, 100, 1472, 65_507] {
        assert_eq!(changes_nothing(Receiver::named("H").junk(vec![0xff; len])), 15, "{len} bytes");
    }
    let looks_like = |text: &str| changes_nothing(Receiver::named("H").junk(text));
    assert_eq!(looks_like("Type:0;"), 15);
    assert_eq!(looks_like("Type:1;TID:3740;DATA:[{'ip_address': '127.0.0.1', 'name': 'X'}];"), 15);
    assert_eq!(looks_like("Type:2;TID:3740;SEQ:0;DATA:x"), 15);
}

#[test]
fn everything_at_once_changes_nothing() {
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
    assert_eq!(changes_nothing(hostile), 15 * 5 + 14 * 2);
}

/// An ack that waits in the socket when its packet is sent cannot be told from one that came after it. Whoever sends it
/// lies about having the packet, as it could at any time; everybody else's bytes are none the worse for it.
#[test]
fn a_receiver_that_acknowledges_in_advance_is_taken_at_its_word() {
    let servers = Servers::start(
        Script::new().receiver(Receiver::named("H").acks_in_advance()).receiver(Receiver::named("R")),
    );
    let bytes = payload(3000);
    let outcome = send(&servers, long_timeouts(&servers, 2), &bytes, Mode::Balance);
    let report = outcome.result.unwrap();
    assert_eq!((report.acked_bytes(), report.retransmissions()), (3000, 0));
    let honest = outcome.transaction.part("R");
    assert_eq!((honest.counts.bytes, honest.counts.packets), (1500, 15));
    assert_eq!(report.receivers[0].transmissions, 15, "every packet is sent, once");
}

/// Each receiver answers its one packet with something that is nearly its ack, and with nothing else.
#[test]
fn what_is_nearly_an_ack_is_none() {
    let nearly: Vec<fn(usize) -> Vec<u8>> = vec![
        |seq| format!("Type:3;TID:3740;SEQ:{seq}").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq};;").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq};\n").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq};\0").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq};DATA:x").into(),
        |seq| format!(" Type:3;TID:3740;SEQ:{seq};").into(),
        |seq| format!("type:3;tid:3740;seq:{seq};").into(),
        |seq| format!("Type:3;TID:3740; SEQ:{seq};").into(),
        |seq| format!("Type:3;TID:3740;SEQ:+{seq};").into(),
        |seq| format!("Type:3;TID:3740;SEQ:0{seq};").into(),
        |seq| format!("Type:3;TID:03740;SEQ:{seq};").into(),
        |seq| format!("Type:3;TID:-3740;SEQ:{seq};").into(),
        |seq| format!("Type:3;SEQ:{seq};TID:3740;").into(),
        |seq| format!("Type:3;TID:3740,SEQ:{seq};").into(),
        |seq| format!("Type:3;TID:;SEQ:{seq};").into(),
        |_| "Type:3;TID:3740;SEQ:;".into(),
        |seq| format!("Type:03;TID:3740;SEQ:{seq};").into(),
        |seq| format!("Type:33;TID:3740;SEQ:{seq};").into(),
        |seq| format!("Type:2;TID:3740;SEQ:{seq};").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{};", seq as u64 + (1 << 32)).into(),
        |seq| format!("Type:3;TID:{};SEQ:{seq};", 3740 + (1u128 << 64)).into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq}e0;").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq};Type:3;TID:3740;SEQ:{seq};").into(),
        |seq| format!("Type:3;TID:3740;SEQ:{seq};{}", " ".repeat(65_000)).into(),
    ];
    let script = nearly.iter().enumerate().fold(Script::new(), |script, (seq, text)| {
        script.receiver(Receiver::named(format!("R{seq}")).never_acks().junk(text(seq)))
    });
    let servers = Servers::start(script);
    let mut options = short_timeouts(&servers, nearly.len());
    options.failover = false;
    let outcome = send(&servers, options, &payload(100 * nearly.len()), Mode::Balance);
    assert_eq!(outcome.result.as_ref().unwrap_err().exit_status(), ExitStatus::Incomplete);
    for (seq, receiver) in outcome.report().receivers.iter().enumerate() {
        let text = nearly[seq](seq);
        assert_eq!(receiver.acked_packets(), 0, "{}", text.escape_ascii());
        assert!(receiver.ignored > 0 && receiver.ignored <= receiver.transmissions);
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
        let LossReason::Silent { waited, transmissions, .. } = outcome.told.lost[0].1 else {
            panic!("{:?}", outcome.told.lost)
        };
        assert!(waited >= ms(2000));
        // One every 100 ms; a timer never fires early, and a busy machine may be late by several.
        assert!((2..=20).contains(&transmissions), "{transmissions}");
        assert!(outcome.report().receivers[0].ignored > 10, "{:?}", outcome.report());
        assert_eq!(outcome.report().receivers[0].transmissions, u64::from(transmissions));
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
    let mut options = short_timeouts(&servers, 1);
    options.give_up = Duration::from_secs(60);
    options.first_timeout = ms(200);
    let bytes = payload(500);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert!(outcome.report().retransmissions() >= 2);
}

#[test]
fn a_port_that_is_closed_for_a_while_costs_retransmissions_only() {
    let script = Script::new().receiver(Receiver::named("R").opens_when_told());
    let servers = Servers::start(script);
    let bytes = payload(500);
    let whole = Payload::from_bytes(&bytes[..]).unwrap();
    // The first transmission is refused; the second may be or not.
    let options = Options { give_up: HOUR, first_timeout: ms(500), ..short_timeouts(&servers, 1) };
    let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| {
        if let Event::TimedOut { .. } = event {
            servers.open("R");
        }
    });
    outcome.arrived(&bytes);
    assert!(outcome.report().retransmissions() >= 1);
}

#[test]
fn a_closed_port_loses_its_receiver_after_five_refusals() {
    let servers =
        Servers::start(Script::new().receiver(Receiver::named("C").closed()).receiver(Receiver::named("R")));
    let bytes = payload(1000);
    let mut options = short_timeouts(&servers, 2);
    options.give_up = HOUR;
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    let [(0, LossReason::Refused { seq, times: 5 })] = outcome.told.lost[..] else {
        panic!("{:?}", outcome.told.lost)
    };
    assert_eq!((seq.0, outcome.report().receivers[0].transmissions), (0, 5));
    assert_eq!(outcome.transaction.part("R").counts.packets, 10);
}

#[test]
fn refusals_alone_fail_the_transfer_and_the_line_says_so() {
    let servers = Servers::start(Script::new().receiver(Receiver::named("C").closed()));
    let mut options = short_timeouts(&servers, 1);
    options.give_up = HOUR;
    let outcome = send(&servers, options, &payload(1000), Mode::Balance);
    assert_eq!(
        outcome.line(),
        "transfer: 0 of 1000 bytes acknowledged, 0 of 10 packets; lost 127.0.0.2 (C), port closed: SEQ 0 \
         refused 5 times; check --receiver-port, and send it again"
    );
}

/// Refused in the middle: the outstanding packet and all after it go elsewhere.
#[test]
fn a_port_that_closes_during_the_transfer_is_a_lost_receiver() {
    for acks in [1, 4] {
        let servers = Servers::start(
            Script::new()
                .receiver(Receiver::named("C").closes_after_acks(acks, None))
                .receiver(Receiver::named("R")),
        );
        let bytes = payload(1000);
        let options = Options { give_up: HOUR, ..short_timeouts(&servers, 2) };
        let outcome = send(&servers, options, &bytes, Mode::Balance);
        outcome.arrived(&bytes);
        assert!(matches!(outcome.told.lost[..], [(0, LossReason::Refused { seq, .. })] if seq.0 == acks));
    }
}

#[test]
fn a_receiver_that_stalls_and_comes_back_is_not_lost() {
    let servers = Servers::start(
        Script::new().receiver(Receiver::named("S").silent_for(2, ms(350))).receiver(Receiver::named("R")),
    );
    let mut options = short_timeouts(&servers, 2);
    options.give_up = Duration::from_secs(60);
    let bytes = payload(1000);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!(outcome.told.lost, []);
    assert!(outcome.report().receivers[0].retransmissions >= 1);
    assert_eq!(outcome.transaction.verdict, Verdict::Completed);
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
    let script = Script::new().receiver(hostile("A")).receiver(hostile("B")).receiver(hostile("C"));
    let servers = Servers::start(script.data_loss(0.15).ack_loss(0.15).seed(3));
    let mut options = short_timeouts(&servers, 3);
    (options.first_timeout, options.fixed_timeout, options.give_up) = (ms(40), false, HOUR);
    let bytes = payload(6000);
    let outcome = send(&servers, options, &bytes, Mode::Balance);
    let report = outcome.result.unwrap();
    assert_eq!(report.acked_bytes(), 6000);
    assert!(report.retransmissions() > 0);
    assert!(outcome.transaction.payload == bytes);
    assert_eq!(outcome.transaction.verdict, Verdict::Completed);
    assert_eq!(outcome.transaction.faults(), [] as [&_; 0]);
}

#[test]
fn nothing_goes_to_whom_the_list_does_not_name() {
    let bystander = |name: &str| Receiver::named(name).unlisted();
    let script = Script::new()
        .receiver(bystander("before"))
        .receiver(Receiver::named("A").acks_from_other_address().dies_after_acks(2))
        .receiver(bystander("between"))
        .receiver(
            Receiver::named("B").junk("Type:1;TID:3740;DATA:[{'ip_address': '127.0.0.2', 'name': 'x'}];"),
        )
        .receiver(bystander("after"))
        .assigned_again_with_other_tid();
    let servers = Servers::start(script);
    let bytes = payload(1000);
    let outcome = send(&servers, short_timeouts(&servers, 2), &bytes, Mode::Balance);
    assert!(outcome.result.is_ok(), "{}", outcome.line());
    for name in ["before", "between", "after"] {
        assert_eq!(outcome.transaction.part(name).counts.packets, 0, "{name}");
    }
    assert_eq!(outcome.transaction.faults(), [] as [&_; 0]);
    assert_eq!(servers.other_datagrams(), 0);
}
