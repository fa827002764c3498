//! The machine in virtual time: a small network that loses what the test says, and jumps from event to event.

use super::*;
use crate::testing::{Rng, ack, ms, start};
use std::collections::VecDeque;

const CONFIG: RtoConfig =
    RtoConfig { first_timeout: Duration::from_secs(3), fixed: false, give_up: Duration::from_secs(30) };
const TID: Tid = Tid(3740);

/// A machine that has begun a range of this many packets.
fn machine(
    lane: &Arc<Lane>,
    packets: u32,
    config: RtoConfig,
    ping: Option<Duration>,
    deadline: Option<Instant>,
) -> StopAndWait {
    let range = SeqRange::over_bytes(Seq(0), 0..u64::from(packets) * 100).unwrap();
    lane.set_range(range.first(), range.end());
    let mut machine = StopAndWait::new(TID, config, Arc::clone(lane), ping, deadline);
    machine.begin(range);
    machine
}

/// What a step is, without what the tests of timers do not look at.
#[derive(Debug, PartialEq)]
enum Seen {
    Transmit(u32, u32),
    Wait(Instant),
    Other,
}

fn seen(step: &Step) -> Seen {
    match step {
        Step::Transmit { seq, transmission, .. } => Seen::Transmit(seq.0, *transmission),
        Step::Wait(until) => Seen::Wait(*until),
        _ => Seen::Other,
    }
}

/// One receiver behind a network with this round trip. Everything that is sent is acknowledged, unless it is lost.
struct World<R, L> {
    machine: StopAndWait,
    lane: Arc<Lane>,
    start: Instant,
    now: Instant,
    /// The round trip of a transmission.
    rtt: R,
    /// Whether the nth transmission of a SEQ (or its ack) is lost.
    lost: L,
    acks: VecDeque<(Instant, Seq)>,
    /// Every transmission: when, which SEQ, which transmission of it.
    sent: Vec<(Duration, u32, u32)>,
}

impl<R: FnMut(Duration) -> Duration, L: FnMut(u32, u32) -> bool> World<R, L> {
    fn new(packets: u32, config: RtoConfig, rtt: R, lost: L) -> Self {
        Self::with_ping(None, packets, config, rtt, lost)
    }

    fn with_ping(ping: Option<Duration>, packets: u32, config: RtoConfig, rtt: R, lost: L) -> Self {
        let start = start();
        let lane = Arc::new(Lane::new(start));
        let machine = machine(&lane, packets, config, ping, None);
        Self { machine, lane, start, now: start, rtt, lost, acks: VecDeque::new(), sent: Vec::new() }
    }

    /// Runs until the range is done or the receiver is lost; returns that step.
    fn run(&mut self) -> Step {
        loop {
            match self.machine.poll(self.now) {
                Step::Transmit { seq, transmission, bytes, wait } => {
                    assert_eq!(bytes, u64::from(seq.0) * 100..u64::from(seq.0) * 100 + 100);
                    self.carry(seq, transmission);
                    assert_eq!(
                        self.machine.poll(self.now),
                        Step::Wait(self.now + wait),
                        "what a poll says, too"
                    );
                }
                Step::Wait(until) => self.advance(until),
                end => return end,
            }
        }
    }

    fn carry(&mut self, seq: Seq, transmission: u32) {
        let passed = self.now - self.start;
        self.sent.push((passed, seq.0, transmission));
        self.machine.encode(seq, b"payload");
        if !(self.lost)(seq.0, transmission) {
            let at = self.now + (self.rtt)(passed);
            let index = self.acks.partition_point(|&(other, _)| other <= at);
            self.acks.insert(index, (at, seq));
        }
    }

    fn advance(&mut self, until: Instant) {
        match self.acks.front().copied().filter(|&(at, _)| at <= until) {
            Some((at, seq)) => {
                self.acks.pop_front();
                self.now = at;
                self.machine.handle_datagram(at, &ack(TID.0, seq.0));
            }
            None => self.now = until,
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    fn spurious(&self, from: u32) -> usize {
        self.sent.iter().filter(|&&(_, seq, transmission)| seq >= from && transmission > 1).count()
    }
}

fn constant(rtt: Duration) -> impl FnMut(Duration) -> Duration {
    move |_| rtt
}

fn never(_: u32, _: u32) -> bool {
    false
}

#[test]
fn without_loss_it_takes_one_round_trip_a_packet() {
    let mut world = World::new(51, CONFIG, constant(ms(857)), never);
    assert_eq!(world.run(), Step::Idle);
    assert_eq!(world.elapsed(), ms(857) * 51);
    assert_eq!(world.sent.len(), 51);
}

#[test]
fn a_loss_after_eight_samples_costs_1_1_to_1_5_round_trips() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        // As recorded: standard deviation 13 ms at 857 ms.
        let jittered = move |_| Duration::from_secs_f64(0.857 + 0.045 * (rng.unit() - 0.5));
        let clean = {
            let mut world = World::with_ping(Some(ms(157)), 20, CONFIG, jittered, never);
            world.run();
            world.elapsed()
        };
        let mut rng = Rng::new(seed);
        let jittered = move |_| Duration::from_secs_f64(0.857 + 0.045 * (rng.unit() - 0.5));
        let mut world = World::with_ping(Some(ms(157)), 20, CONFIG, jittered, |seq, n| (seq, n) == (8, 1));
        assert_eq!(world.run(), Step::Idle);
        let cost = (world.elapsed() - clean).as_secs_f64() / 0.857;
        assert!((1.1..=1.5).contains(&cost), "seed {seed}: {cost} round trips");
    }
}

#[test]
fn two_losses_in_a_row_at_different_seqs_do_not_add_up() {
    let rtt = ms(1000);
    let cost = |lost: fn(u32, u32) -> bool| {
        let mut world = World::new(20, CONFIG, constant(rtt), lost);
        assert_eq!(world.run(), Step::Idle);
        world.elapsed() - rtt * 20
    };
    let one = cost(|seq, n| (seq, n) == (10, 1));
    let two = cost(|seq, n| (seq == 10 || seq == 11) && n == 1);
    assert!(two <= one * 2, "{two:?} for two, {one:?} for one");
}

#[test]
fn the_recorded_losses_cost_a_good_round_trip_each() {
    // Receiver A of TID 3740: ten packets, SEQ 7 and 8 lost.
    let lost = |seq, n| (seq == 7 || seq == 8) && n == 1;
    let mut world = World::with_ping(Some(ms(335)), 10, CONFIG, constant(ms(1715)), lost);
    assert_eq!(world.run(), Step::Idle);
    assert_eq!(world.sent.len(), 12);
    assert!(world.elapsed() < ms(1715) * 13, "{:?}", world.elapsed());
}

#[test]
fn a_step_of_the_round_trip_settles() {
    let rtt = |passed: Duration| if passed < ms(2000) { ms(100) } else { ms(500) };
    let mut world = World::new(100, CONFIG, rtt, never);
    assert_eq!(world.run(), Step::Idle);
    assert!(world.spurious(0) > 0, "the step comes as a surprise");
    assert!(world.spurious(0) <= 8, "{:?}", world.spurious(0));
    assert_eq!(world.spurious(30), 0, "it has settled");
}

#[test]
fn constant_long_round_trips_settle() {
    for seconds in [4, 9, 15, 25] {
        for ping in [None, Some(ms(200)), Some(Duration::from_secs(seconds) / 5)] {
            let mut world = World::with_ping(ping, 40, CONFIG, constant(Duration::from_secs(seconds)), never);
            assert_eq!(world.run(), Step::Idle, "{seconds} s");
            let spurious = world.spurious(1);
            assert!(spurious <= 1, "{seconds} s, ping {ping:?}: {spurious} spurious after the first packet");
        }
    }
}

#[test]
fn a_second_ack_of_a_retransmitted_seq_is_a_sample_and_extends_the_running_timer() {
    // The first packet's ack takes longer than the first timeout, so it is sent twice, and acknowledged twice.
    let mut world = World::new(3, CONFIG, constant(ms(1200)), never);
    let now = world.now;
    let ack = |seq| ack(TID.0, seq);
    assert_eq!(seen(&world.machine.poll(now)), Seen::Transmit(0, 1));
    assert_eq!(seen(&world.machine.poll(now + ms(1000))), Seen::Transmit(0, 2));
    world.machine.encode(Seq(0), b"payload");
    let after = |ms_| now + ms(ms_);
    world.machine.handle_datagram(after(1200), &ack(0));
    assert_eq!(world.lane.counts().ack_rtt, None, "the ack of either transmission");
    assert_eq!(seen(&world.machine.poll(after(1200))), Seen::Transmit(1, 1));
    assert_eq!(world.machine.poll(after(1200)), Step::Wait(after(1200 + 1250)), "a quarter more than before");
    let other = crate::testing::ack(1, 0);
    assert_eq!(world.machine.handle_datagram(after(2100), &other), None);
    assert_eq!(world.lane.counts().ack_rtt, None, "another transaction's ack proves nothing");
    assert_eq!(world.machine.handle_datagram(after(2200), &ack(0)), None);
    assert_eq!(world.lane.counts().ack_rtt, Some(ms(1200)));
    assert_eq!(world.machine.poll(after(2200)), Step::Wait(after(1200 + 2400)), "SRTT + 4 × R/4");
    world.machine.handle_datagram(after(2300), &ack(0));
    assert_eq!(world.machine.poll(after(2300)), Step::Wait(after(1200 + 2400)), "a third ack is none");
}

/// The process was stopped meanwhile.
#[test]
fn a_second_ack_long_after_the_timer_was_due_is_no_sample() {
    // SEQ 1 is sent after 12 s, with a timeout of 3 s. What is more than a sixteenth of that and 50 ms late is a stall.
    for (second, extended) in [(15_237, true), (15_238, false)] {
        let mut world = World::new(3, CONFIG, constant(ms(12_000)), never);
        let at = |milliseconds| world.start + ms(milliseconds);
        for sent in [0, 1000, 3000, 6000, 9000] {
            assert!(matches!(world.machine.poll(at(sent)), Step::Transmit { .. }));
        }
        world.machine.encode(Seq(0), b"payload");
        world.machine.handle_datagram(at(12_000), &ack(TID.0, 0));
        assert!(matches!(world.machine.poll(at(12_000)), Step::Transmit { wait, .. } if wait == ms(3000)));
        world.machine.handle_datagram(at(second), &ack(TID.0, 0));
        assert_eq!(world.lane.counts().ack_rtt, extended.then_some(ms(12_000)));
        let waits = world.machine.poll(at(second)) == Step::Wait(at(12_000 + 15_000));
        assert_eq!(waits, extended, "{second}");
    }
}

#[test]
fn the_timeouts_of_one_seq_never_shrink() {
    for give_up in [8, 30, 300] {
        let config = RtoConfig { give_up: Duration::from_secs(give_up), ..CONFIG };
        for lost_seq in [0, 4] {
            let mut world = World::new(6, config, constant(ms(700)), |seq, _| seq == lost_seq);
            world.run();
            let sent: Vec<_> =
                world.sent.iter().filter(|sent| sent.1 == lost_seq).map(|sent| sent.0).collect();
            let timeouts: Vec<_> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(timeouts.len() > 1 && timeouts.is_sorted(), "{timeouts:?}");
        }
    }
}

#[test]
fn at_36_percent_loss_hardly_a_run_is_given_up() {
    let runs = 2000;
    let given_up = (0..runs)
        .filter(|&seed| {
            let mut rng = Rng::new(seed);
            let mut world = World::new(51, CONFIG, constant(ms(860)), move |_, _| rng.unit() < 0.36);
            world.run() != Step::Idle
        })
        .count();
    assert!(given_up * 50 < runs as usize, "{given_up} of {runs} given up");
}

#[test]
fn the_fixed_time_out_is_the_references() {
    let fixed = RtoConfig { fixed: true, ..CONFIG };
    let mut world = World::new(20, fixed, constant(ms(100)), |seq, n| seq == 10 && n <= 2);
    assert_eq!(world.run(), Step::Idle);
    assert_eq!(world.elapsed(), ms(100) * 20 + ms(3000) * 2);
}

#[test]
fn a_silent_receiver_is_lost_after_the_give_up_time_and_at_least_three_transmissions() {
    for give_up in [1, 2, 30, 3600] {
        let config = RtoConfig { give_up: Duration::from_secs(give_up), ..CONFIG };
        let mut world = World::new(3, config, constant(ms(10)), |seq, _| seq == 1);
        let end = world.run();
        let Step::Ended(ExitReason::Lost(LossReason::Silent { seq, waited, transmissions, .. })) = end else {
            panic!("{end:?}")
        };
        assert_eq!(seq, Seq(1));
        assert_eq!(waited, config.give_up);
        assert!(transmissions >= 3);
        assert_eq!(world.machine.outstanding(), Some(Seq(1)));
    }
}

#[test]
fn only_the_outstanding_seqs_ack_moves_it_and_nothing_else_extends_the_deadline() {
    let mut world = World::new(3, CONFIG, constant(ms(10)), never);
    let now = world.now;
    assert_eq!(seen(&world.machine.poll(now)), Seen::Transmit(0, 1));
    world.machine.encode(Seq(0), b"payload");
    let deadline = world.machine.poll(now);
    let huge = [b'x'; 65_507];
    let other_tid = ack(3741, 0);
    let stale = ack(TID.0, 9);
    for datagram in
        [&b""[..], b"Type:3;TID:3740;SEQ:0", b"Type:3;TID:3740;SEQ:00;", &other_tid, &stale, &huge]
    {
        assert_eq!(world.machine.handle_datagram(now + ms(5), datagram), None);
        assert_eq!(world.machine.poll(now + ms(5)), deadline);
    }
    assert_eq!(world.lane.counts().ignored, 6);
    assert_eq!((world.lane.acked(), world.lane.counts().transmissions), (0, 1));
    let ack = ack(TID.0, 0);
    assert_eq!(world.machine.handle_datagram(now + ms(7), &ack), Some(ms(7)));
    assert_eq!(seen(&world.machine.poll(now + ms(7))), Seen::Transmit(1, 1));
    assert_eq!(world.machine.handle_datagram(now + ms(8), &ack), None, "a duplicate is stale");
    assert!(matches!(world.machine.poll(now + ms(8)), Step::Wait(_)), "and does not resend");
}

#[test]
fn five_refusals_in_a_row_each_on_its_own_timer_lose_the_receiver() {
    let mut world = World::new(1, CONFIG, constant(ms(10)), |_, _| true);
    let mut transmissions = 0;
    let end = loop {
        match world.machine.poll(world.now) {
            Step::Transmit { .. } => {
                transmissions += 1;
                world.machine.handle_refusal();
                world.machine.handle_refusal(); // several errors for one transmission count once
            }
            Step::Wait(until) => world.now = until,
            end => break end,
        }
    };
    let refused = LossReason::Refused { seq: Seq(0), times: MAX_REFUSALS };
    assert_eq!((end, transmissions), (Step::Ended(ExitReason::Lost(refused)), MAX_REFUSALS));
    assert!(world.elapsed() < CONFIG.give_up);
}

#[test]
fn a_short_give_up_time_does_not_hide_refusals() {
    let config = RtoConfig { give_up: ms(1000), ..CONFIG };
    let mut world = World::new(1, config, constant(ms(10)), |_, _| true);
    let end = loop {
        match world.machine.poll(world.now) {
            Step::Transmit { .. } => _ = world.machine.handle_refusal(),
            Step::Wait(until) => world.now = until,
            end => break end,
        }
    };
    assert_eq!(end, Step::Ended(ExitReason::Lost(LossReason::Refused { seq: Seq(0), times: 3 })));
    assert_eq!(world.elapsed(), ms(1000));
}

#[test]
fn one_answer_among_the_refusals_keeps_the_receiver() {
    let mut world = World::new(2, CONFIG, constant(ms(10)), |_, n| n <= 4);
    let end = loop {
        match world.machine.poll(world.now) {
            Step::Transmit { seq, transmission, .. } if transmission <= 4 => {
                world.carry(seq, transmission);
                world.machine.handle_refusal();
            }
            Step::Transmit { seq, transmission, .. } => world.carry(seq, transmission),
            Step::Wait(until) => world.advance(until),
            end => break end,
        }
    };
    assert_eq!(end, Step::Idle, "four refusals of each SEQ are not five in a row");
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let begin = start();
    let lane = Arc::new(Lane::new(begin));
    let mut machine = machine(&lane, 5, CONFIG, None, Some(begin + ms(900)));
    assert!(matches!(machine.poll(begin), Step::Transmit { .. }));
    assert_eq!(machine.poll(begin), Step::Wait(begin + ms(900)), "the deadline comes before the timer");
    assert_eq!(machine.poll(begin + ms(900)), Step::Ended(ExitReason::Stopped));
    assert_eq!(machine.outstanding(), Some(Seq(0)));
}

#[test]
fn a_packet_that_was_held_up_starts_its_timers_when_it_leaves() {
    let mut world = World::new(2, CONFIG, constant(ms(10)), never);
    let now = world.now;
    let at = |milliseconds| now + ms(milliseconds);
    let wait = |step| match step {
        Step::Transmit { wait, .. } => wait,
        step => panic!("{step:?}"),
    };
    assert_eq!(wait(world.machine.poll(now)), ms(1000));
    assert_eq!(wait(world.machine.postpone(at(40_000))), ms(1000));
    world.machine.encode(Seq(0), b"payload");
    assert_eq!(world.machine.poll(at(40_000)), Step::Wait(at(41_000)));
    // The retransmission as well, and the time that it was held up does not count for giving up.
    assert_eq!(wait(world.machine.poll(at(41_000))), ms(2000));
    assert_eq!(wait(world.machine.postpone(at(81_000))), ms(2000));
    assert_eq!(world.machine.poll(at(81_000)), Step::Wait(at(83_000)));
    assert_eq!(wait(world.machine.poll(at(83_000))), ms(3000));
    assert_eq!(wait(world.machine.postpone(at(83_500))), ms(3000));
    let give_up = at(40_000 + 30_000 + 40_000 + 500);
    let mut now = at(83_500);
    let end = loop {
        match world.machine.poll(now) {
            Step::Wait(until) => now = until,
            Step::Transmit { wait, .. } => assert!(wait <= give_up - now),
            end => break end,
        }
    };
    assert_eq!(now, give_up);
    let Step::Ended(ExitReason::Lost(LossReason::Silent { waited, .. })) = end else { panic!("{end:?}") };
    assert_eq!(waited, ms(70_500), "what it says is what passed");
}

/// The process is stopped, or has no processor, for longer than the give-up time.
#[test]
fn a_retransmission_that_is_due_before_giving_up_is_sent_however_late() {
    let mut world = World::new(2, CONFIG, constant(ms(10)), never);
    let at = |milliseconds| world.start + ms(milliseconds);
    world.machine.poll(at(0));
    let again = world.machine.poll(at(70_000));
    assert!(matches!(again, Step::Transmit { transmission: 2, wait, .. } if wait == ms(2000)), "{again:?}");
    // It was due after 1 s, so 29 s were left.
    let mut now = at(70_000);
    let end = loop {
        match world.machine.poll(now) {
            Step::Wait(until) => now = until,
            Step::Transmit { .. } => {}
            end => break end,
        }
    };
    assert!(matches!(end, Step::Ended(ExitReason::Lost(LossReason::Silent { .. }))), "{end:?}");
    assert_eq!(now, at(99_000));

    // A kernel that is a little late does not put it off.
    for (late, held_up) in [(112_500, 0), (112_501, 112_501)] {
        let [late, held_up] = [late, held_up].map(Duration::from_micros);
        let mut world = World::new(2, CONFIG, constant(ms(10)), never);
        world.machine.poll(world.start);
        world.machine.poll(world.start + ms(1000) + late);
        assert_eq!(world.machine.outstanding.map(|out| out.held_up), Some(held_up));
    }
}

/// The process was stopped meanwhile.
#[test]
fn an_ack_that_was_waiting_here_long_after_its_timer_is_no_sample() {
    // 1 s is the timeout; a sixteenth of that, and 50 ms, may be the kernel's doing.
    for (acked, srtt) in [(1112, Some(ms(1112))), (1113, None)] {
        let mut world = World::new(2, CONFIG, constant(ms(10)), never);
        world.machine.poll(world.start);
        world.machine.encode(Seq(0), b"payload");
        world.machine.handle_datagram(world.start + ms(acked), &ack(TID.0, 0));
        assert_eq!(world.lane.counts().ack_rtt, srtt);
    }
}

#[test]
fn whoever_had_every_chance_is_given_up_at_the_first_look() {
    // A timeout, and how late the look is that comes after the timers before: the next one is due as the receiver is lost, or
    // shortly before.
    for (timeout, end) in [(7500, 70_000), (7400, 30_000)] {
        let config = RtoConfig { first_timeout: ms(timeout), fixed: true, ..CONFIG };
        let mut world = World::new(2, config, constant(ms(10)), never);
        for sent in 0..4 {
            let step = world.machine.poll(world.start + ms(timeout) * sent);
            assert!(matches!(step, Step::Transmit { .. }), "{step:?}");
        }
        let step = world.machine.poll(world.start + ms(end));
        assert!(matches!(step, Step::Ended(ExitReason::Lost(LossReason::Silent { .. }))), "{step:?}");
    }
}

#[test]
fn a_second_ack_that_came_while_there_was_no_work_is_no_sample() {
    let mut world = World::new(1, CONFIG, constant(ms(10)), never);
    let at = |milliseconds| world.start + ms(milliseconds);
    world.machine.poll(at(0));
    world.machine.poll(at(1000));
    world.machine.encode(Seq(0), b"payload");
    world.machine.handle_datagram(at(1010), &ack(TID.0, 0));
    assert_eq!(world.machine.poll(at(1010)), Step::Idle);
    let range = SeqRange::over_bytes(Seq(1), 0..100).unwrap();
    world.lane.set_range(range.first(), range.end());
    world.machine.begin(range);
    assert_eq!(seen(&world.machine.poll(at(9000))), Seen::Transmit(1, 1));
    world.machine.handle_datagram(at(9001), &ack(TID.0, 0));
    assert_eq!(world.lane.counts().ack_rtt, None);
}

#[test]
fn a_duplicate_of_the_only_ack_is_no_sample() {
    let srtts = |held_up: u64| {
        let mut world = World::new(2, CONFIG, constant(ms(10)), never);
        let at = |milliseconds| world.start + ms(milliseconds);
        let (start, second, left) = (at(0), at(1000), at(1000 + held_up));
        let half = (1000 + held_up).div_ceil(2);
        let times = [at(1410), at(1410 + half - 1), at(1410 + half)];
        world.machine.poll(start);
        world.machine.poll(second);
        world.machine.postpone(left);
        world.machine.encode(Seq(0), b"payload");
        times.map(|now| {
            world.machine.handle_datagram(now, &ack(TID.0, 0));
            world.lane.counts().ack_rtt
        })
    };
    assert_eq!(srtts(0), [None, None, Some(ms(1410))], "half of the time between the transmissions decides");
    assert_eq!(srtts(176), srtts(0), "an eighth of the round trip is near enough");
    assert_eq!(srtts(177), [None; 3], "the ack may have been waiting here");
}

#[test]
fn if_every_first_transmission_is_lost_the_timeout_does_not_grow() {
    let mut world = World::with_ping(Some(ms(1)), 40, CONFIG, constant(ms(9)), |_, n| n == 1);
    assert_eq!(world.run(), Step::Idle);
    assert!(world.elapsed() < ms(160) * 40, "{:?}", world.elapsed());
}

#[test]
fn nothing_that_was_held_up_leaves_after_the_deadline() {
    let begin = start();
    let lane = Arc::new(Lane::new(begin));
    let mut machine = machine(&lane, 5, CONFIG, None, Some(begin + ms(900)));
    assert!(matches!(machine.poll(begin), Step::Transmit { .. }));
    assert!(matches!(machine.postpone(begin + ms(400)), Step::Transmit { wait, .. } if wait == ms(500)));
    assert_eq!(machine.postpone(begin + ms(900)), Step::Ended(ExitReason::Stopped));
    assert_eq!(lane.counts().transmissions, 0);
}

#[test]
fn an_error_that_an_ack_has_outlived_is_not_the_reason() {
    for (seq, expected) in [(0, Some("no buffer space".to_owned())), (1, None)] {
        let mut world = World::new(3, CONFIG, constant(ms(10)), move |lost, _| lost == seq);
        world.machine.handle_error("no buffer space".to_owned());
        let end = world.run();
        let Step::Ended(ExitReason::Lost(LossReason::Silent { last_error, .. })) = end else {
            panic!("{end:?}")
        };
        assert_eq!(last_error, expected);
    }
}

#[test]
fn the_first_refusal_in_a_row_is_reported() {
    let mut world = World::new(2, CONFIG, constant(ms(10)), |_, n| n <= 2);
    assert!(!world.machine.handle_refusal(), "nothing is outstanding");
    let mut firsts = Vec::new();
    let end = loop {
        match world.machine.poll(world.now) {
            Step::Transmit { seq, transmission, .. } => {
                world.carry(seq, transmission);
                if transmission <= 2 {
                    firsts.push(world.machine.handle_refusal());
                    assert!(world.machine.is_refused());
                }
            }
            Step::Wait(until) => world.advance(until),
            end => break end,
        }
    };
    assert_eq!((end, firsts), (Step::Idle, vec![true, false, true, false]));
    assert!(!world.machine.is_refused());
}

#[test]
fn waits_of_more_than_a_quarter_second_are_taken_in_two_slices() {
    for (wait, slice) in [(0, 0), (249, 249), (250, 250), (256, 224), (8000, 7000)] {
        assert_eq!(first_slice(ms(wait)), ms(slice), "{wait} ms");
    }
}
