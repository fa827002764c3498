use super::*;
use crate::protocol::{LatencySource, ListIndex, LossReason, Receiver, Seq, stop_and_wait};
use crate::testing::{ms, start};

const CONFIG: Config = Config {
    tid: Tid(3740),
    rto: RtoConfig { first_timeout: Duration::from_secs(3), fixed: false, give_up: Duration::from_secs(30) },
    failover: true,
    rebalance: false,
    floor: 0,
    deadline: None,
    progress: None,
    watch_expiry: false,
};
const REBALANCING: Config = Config { rebalance: true, ..CONFIG };

/// A scheduler in virtual time, and what it has said so far.
struct World {
    scheduler: Scheduler,
    start: Instant,
    now: Instant,
    /// Worker, first SEQ, end.
    assigned: Vec<(usize, u32, u32)>,
    notices: Vec<Notice>,
}

impl World {
    /// Workers with this many packets each, in SEQ order.
    fn new(packets: &[u32], config: Config) -> Self {
        let mut first = 0;
        let ranges = packets.iter().map(|&n| {
            first += n;
            vec![range(first - n, first)]
        });
        Self::with_ranges(ranges.collect(), config)
    }

    fn with_ranges(ranges: Vec<Vec<SeqRange>>, config: Config) -> Self {
        let target = |(index, ranges): (usize, Vec<SeqRange>)| Target {
            index: ListIndex(index),
            receiver: Receiver { address: [10, 0, 0, index as u8].into(), name: String::new() },
            latency: Some(Latency { rtt: ms(100), source: LatencySource::Given }),
            ranges,
        };
        let start = start();
        let targets = ranges.into_iter().enumerate().map(target).collect();
        let scheduler = Scheduler::new(targets, config, start);
        Self { scheduler, start, now: start, assigned: Vec::new(), notices: Vec::new() }
    }

    /// Polls until there is nothing more to do at `now`; returns that step.
    fn poll(&mut self) -> Step {
        loop {
            match self.scheduler.poll(self.now) {
                Step::Assign(worker, range) => {
                    self.assigned.push((worker.0, range.first().0, range.end().0));
                }
                Step::Report(notice) => self.notices.push(notice),
                step => return step,
            }
        }
    }

    fn signal(&mut self, worker: usize, signal: Signal) -> Step {
        self.scheduler.handle(self.now, WorkerId(worker), signal);
        self.poll()
    }

    /// The worker's thread acknowledges this many packets, each after `pace`.
    fn acknowledge(&mut self, worker: usize, packets: u32, pace: Duration) {
        let lane = &self.scheduler.workers()[worker].lane;
        for _ in 0..packets {
            lane.claim().unwrap();
            lane.count_ack(self.start + pace * (lane.acked() + 1), pace);
        }
    }

    /// All that is left to the worker is acknowledged, and its thread says so.
    fn complete(&mut self, worker: usize) -> Step {
        let left = self.scheduler.workers()[worker].lane.unclaimed();
        self.acknowledge(worker, left, ms(1));
        self.signal(worker, Signal::Completed)
    }

    /// The next packet is sent and never acknowledged.
    fn lose(&mut self, worker: usize) -> Step {
        let _ = self.scheduler.workers()[worker].lane.claim();
        self.signal(worker, lost())
    }

    /// From, to, first SEQ, end.
    fn moves(&self) -> Vec<(usize, usize, u32, u32)> {
        let moved = |notice: &Notice| match notice {
            Notice::Moved { from, to, range, .. } => Some((from.0, to.0, range.first().0, range.end().0)),
            _ => None,
        };
        self.notices.iter().filter_map(moved).collect()
    }
}

fn range(first: u32, end: u32) -> SeqRange {
    SeqRange::over_bytes(Seq(first), u64::from(first) * 100..u64::from(end) * 100).unwrap()
}

fn lost() -> Signal {
    Signal::Exited(ExitReason::Lost(LossReason::Refused { seq: Seq(0), times: 5 }))
}

#[test]
fn every_worker_gets_the_planned_range_and_acks_decide_the_end() {
    let mut world = World::new(&[10, 0, 20], CONFIG);
    assert_eq!(world.poll(), Step::Wait(None));
    assert_eq!(world.assigned, [(0, 0, 10), (2, 10, 30)]);
    assert_eq!(world.complete(0), Step::Wait(None));
    assert_eq!(world.complete(2), Step::Done(Outcome::Complete));
}

#[test]
fn a_lost_receivers_work_is_shared_in_proportion_to_speed() {
    let mut world = World::new(&[100, 20, 20, 20], CONFIG);
    world.poll();
    world.acknowledge(0, 7, ms(50));
    world.acknowledge(1, 2, ms(100));
    world.acknowledge(2, 2, ms(200));
    world.acknowledge(3, 2, ms(200));
    world.lose(0);
    assert_eq!(world.notices[0], Notice::Lost { worker: WorkerId(0), unacked_packets: 93 });
    assert_eq!(world.moves(), [(0, 1, 7, 54), (0, 2, 54, 77), (0, 3, 77, 100)]);
    assert_eq!(world.scheduler.workers()[0].acked_bytes(), 700);
}

#[test]
fn before_its_first_ack_a_receiver_counts_by_its_latency() {
    // Acks take twenty latencies elsewhere, so here as well.
    let mut world = World::new(&[60, 20, 20, 20, 20], CONFIG);
    world.poll();
    world.acknowledge(1, 1, ms(500));
    world.acknowledge(2, 1, ms(500));
    world.acknowledge(3, 1, ms(5000));
    world.now += ms(500);
    world.lose(0);
    let shares: Vec<_> = world.moves().iter().map(|&(_, to, first, end)| (to, end - first)).collect();
    assert_eq!(shares, [(1, 26), (2, 25), (3, 3), (4, 6)]);
}

#[test]
fn a_receiver_counts_as_slow_while_it_is_silent_but_only_since_it_has_work() {
    let mut world = World::new(&[60, 49, 20, 1], CONFIG);
    world.poll();
    let lane = |world: &World, worker: usize, at| {
        let lane = &world.scheduler.workers()[worker].lane;
        lane.claim().unwrap();
        lane.count_ack(world.start + at, ms(100));
    };
    lane(&world, 1, ms(4900));
    lane(&world, 2, ms(100));
    lane(&world, 3, ms(100));
    world.signal(3, Signal::Completed);
    world.now += ms(5000);
    world.lose(0);
    // At 100 ms a packet, but for the one that has been silent for 4.9 s: 98, 2 and 98 of 198 parts.
    let shares =
        |moves: &[(usize, usize, u32, u32)]| moves.iter().map(|m| (m.1, m.3 - m.2)).collect::<Vec<_>>();
    assert_eq!(shares(&world.moves()), [(1, 30), (3, 30)]);
    world.now += ms(100);
    let before = world.moves().len();
    world.lose(1);
    // The one that was idle until then has not been silent for 5 s.
    assert_eq!(shares(&world.moves()[before..]), [(2, 2), (3, 46), (3, 30)]);
}

#[test]
fn one_of_all_receivers_is_enough() {
    let mut world = World::new(&[5, 5, 5, 5], CONFIG);
    world.poll();
    world.complete(3);
    for worker in [0, 1, 2] {
        let before = world.moves().len();
        world.lose(worker);
        assert!(world.moves().len() > before);
    }
    let end = (0..20).map(|_| world.complete(3)).find(|step| matches!(step, Step::Done(_)));
    assert_eq!(end, Some(Step::Done(Outcome::Complete)));
    assert_eq!(world.scheduler.workers()[3].acked_bytes(), 2000);
}

#[test]
fn when_the_last_receiver_is_lost_the_transfer_is_incomplete() {
    let mut world = World::new(&[5, 5], CONFIG);
    world.poll();
    world.lose(0);
    world.acknowledge(1, 3, ms(1));
    assert_eq!(world.lose(1), Step::Done(Outcome::Incomplete));
    let last = Notice::Lost { worker: WorkerId(1), unacked_packets: 7 };
    assert_eq!(world.notices.last(), Some(&last), "its own two, and the five that it had inherited");
}

#[test]
fn without_failover_the_others_go_on_and_the_end_is_incomplete() {
    let mut world = World::new(&[5, 5], Config { failover: false, ..CONFIG });
    world.poll();
    world.acknowledge(0, 3, ms(1));
    assert_eq!(world.lose(0), Step::Wait(None));
    assert_eq!(world.notices, [Notice::Lost { worker: WorkerId(0), unacked_packets: 2 }]);
    assert_eq!(world.complete(1), Step::Done(Outcome::Incomplete));
    assert_eq!(world.scheduler.workers()[0].acked_ranges(), [range(0, 3)]);
    assert_eq!(world.scheduler.workers()[0].loss, Some(LossReason::Refused { seq: Seq(0), times: 5 }));
}

#[test]
fn two_ranges_of_one_receiver_are_served_in_turn() {
    let mut world = World::with_ranges(vec![vec![range(0, 3), range(3, 6)]], CONFIG);
    world.poll();
    assert_eq!(world.assigned, [(0, 0, 3)]);
    world.complete(0);
    assert_eq!(world.assigned, [(0, 0, 3), (0, 3, 6)]);
    assert_eq!(world.complete(0), Step::Done(Outcome::Complete));
}

#[test]
fn an_idle_receiver_takes_the_tail_of_the_slowest_and_leaves_the_floor() {
    let moves = |floor| {
        let mut world = World::new(&[10, 10, 100], Config { floor, ..REBALANCING });
        world.poll();
        world.acknowledge(1, 1, ms(10));
        world.acknowledge(2, 9, ms(90));
        let _ = world.scheduler.workers()[2].lane.claim();
        world.acknowledge(0, 10, ms(10));
        world.now += ms(90);
        world.signal(0, Signal::Completed);
        world.moves()
    };
    // 91 packets left at 90 ms, and the taker needs 10 ms: nine tenths of them.
    assert_eq!(moves(0), [(2, 0, 120 - 81, 120)]);
    assert_eq!(moves(6000), [(2, 0, 120 - 39, 120)], "60 of its 100 packets stay");
    assert_eq!(moves(10_000), []);
}

#[test]
fn of_several_idle_receivers_the_fastest_takes_work() {
    let mut world = World::new(&[1, 1, 5], REBALANCING);
    world.poll();
    world.acknowledge(0, 1, ms(900));
    world.acknowledge(1, 1, ms(10));
    world.acknowledge(2, 1, ms(100));
    let _ = world.scheduler.workers()[2].lane.claim();
    world.now += ms(100);
    world.scheduler.handle(world.now, WorkerId(0), Signal::Completed);
    world.signal(1, Signal::Completed);
    assert_eq!(world.moves(), [(2, 1, 4, 7)]);
}

#[test]
fn a_receiver_with_nothing_to_take_does_not_block_rebalancing() {
    let mut world = World::new(&[1, 1, 10], REBALANCING);
    world.poll();
    let _ = world.scheduler.workers()[1].lane.claim(); // and is silent
    world.acknowledge(2, 5, ms(1000));
    let _ = world.scheduler.workers()[2].lane.claim();
    world.now += ms(5500);
    world.complete(0);
    assert_eq!(world.moves().iter().map(|m| (m.0, m.1)).collect::<Vec<_>>(), [(2, 0)]);
}

#[test]
fn rebalancing_ends_when_it_no_longer_pays() {
    let mut world = World::new(&[1, 2], REBALANCING);
    world.poll();
    world.acknowledge(1, 1, ms(100));
    let _ = world.scheduler.workers()[1].lane.claim();
    world.acknowledge(0, 1, ms(900));
    world.now += ms(100);
    let step = world.signal(0, Signal::Completed);
    assert_eq!(world.moves(), [], "only the outstanding packet is left");
    assert_eq!(step, Step::Wait(Some(world.now + REBALANCE_TICK)), "but a receiver is idle");
}

#[test]
fn queued_ranges_are_taken_from_the_end_and_keep_their_order() {
    let ranges = vec![vec![range(0, 1)], vec![range(1, 3), range(3, 6), range(6, 8)]];
    let mut world = World::with_ranges(ranges, Config { rebalance: true, ..CONFIG });
    world.poll();
    world.acknowledge(0, 1, ms(1));
    world.acknowledge(1, 1, ms(1));
    let _ = world.scheduler.workers()[1].lane.claim();
    world.now += ms(1);
    world.signal(0, Signal::Completed);
    // Six packets left, three of them go: half of (3, 6) and all of (6, 8).
    assert_eq!(world.moves(), [(1, 0, 5, 6), (1, 0, 6, 8)]);
}

#[test]
fn nothing_is_assigned_after_the_deadline() {
    let start = start();
    let mut world = World::new(&[5], Config { deadline: Some(start + ms(500)), ..CONFIG });
    world.now = start + ms(600);
    assert_eq!(world.poll(), Step::Done(Outcome::Deadline));
    assert_eq!(world.assigned, []);
}

/// The process was stopped until after the deadline, and looks at the acks that came before it.
#[test]
fn as_the_deadline_passes_the_threads_are_heard_and_complete_is_complete() {
    let begin = start();
    let stopped = || Signal::Exited(ExitReason::Stopped);
    let late = || {
        let mut world = World::new(&[5, 5], Config { deadline: Some(begin + ms(500)), ..CONFIG });
        assert_eq!(world.poll(), Step::Wait(Some(begin + ms(500))));
        world.now = begin + ms(4000);
        assert_eq!(world.poll(), Step::Wait(Some(begin + ms(4250))));
        world.now = begin + ms(4249);
        assert_eq!(world.complete(0), Step::Wait(Some(begin + ms(4250))));
        world
    };
    assert_eq!(late().complete(1), Step::Done(Outcome::Complete));

    let mut world = late();
    world.acknowledge(1, 4, ms(1));
    assert_eq!(world.signal(1, stopped()), Step::Done(Outcome::Deadline));
    assert_eq!(world.scheduler.workers()[1].acked_bytes(), 400);

    // One that does not say anything.
    let mut world = late();
    world.now = begin + ms(4250);
    assert_eq!(world.poll(), Step::Done(Outcome::Deadline));
    world.acknowledge(1, 1, ms(1));
    assert_eq!(world.scheduler.workers()[1].acked_bytes(), 0, "what comes from now on changes nothing");

    // Or has not said so yet.
    let mut world = late();
    world.acknowledge(1, 5, ms(1));
    world.now = begin + ms(4250);
    assert_eq!(world.poll(), Step::Done(Outcome::Complete));
}

#[test]
fn progress_and_expiry_are_reported_in_time_and_expiry_once() {
    let config = Config { progress: Some(ms(250)), watch_expiry: true, ..CONFIG };
    let mut world = World::new(&[100, 1], config);
    assert_eq!(world.poll(), Step::Wait(Some(world.start + ms(250))));
    world.acknowledge(0, 1, ms(1000));
    world.now += ms(1000);
    assert_eq!(world.poll(), Step::Wait(Some(world.now + ms(250))));
    let expiry = Notice::ExpiryLikely { projected: ms(1000 + 99 * 1000) };
    assert_eq!(world.notices, [Notice::Progress, expiry]);
    world.now += ms(250);
    world.poll();
    assert_eq!(world.notices[2..], [Notice::Progress]);
    assert_eq!(world.lose(0), Step::Wait(Some(world.now + ms(250))));
}

#[test]
fn an_expiry_is_likely_only_beyond_the_lifetime() {
    for (packets, notices) in [(90, 0), (91, 1)] {
        let mut world = World::new(&[packets], Config { watch_expiry: true, ..CONFIG });
        world.poll();
        world.acknowledge(0, 1, ms(1000));
        world.now += ms(1000);
        world.poll();
        assert_eq!(world.notices.len(), notices, "{packets} s");
    }
}

#[test]
fn a_lost_receiver_does_not_count_in_the_projection() {
    let mut world = World::new(&[1000, 10], Config { failover: false, watch_expiry: true, ..CONFIG });
    world.poll();
    world.acknowledge(0, 1, ms(1000));
    world.acknowledge(1, 1, ms(1000));
    world.lose(0);
    world.now += ms(1000);
    world.poll();
    assert_eq!(world.notices.len(), 1, "nine seconds are left: {:?}", world.notices);
}

#[test]
fn the_largest_payload_counts_right() {
    let all = SeqRange::over_bytes(Seq(0), 0..u64::from(u32::MAX) * 100).unwrap();
    let mut world = World::with_ranges(vec![vec![all]], CONFIG);
    world.poll();
    let worker = &world.scheduler.workers()[0];
    assert_eq!((worker.remaining_packets(), worker.acked_bytes()), (u32::MAX, 0));
}

#[test]
fn only_a_latency_that_was_measured_or_given_makes_the_first_timeout() {
    let wait = |source| {
        let mut world = World::new(&[1], CONFIG);
        let mut targets = vec![world.scheduler.workers()[0].target.clone()];
        targets[0].latency = Some(Latency { rtt: ms(100), source });
        world.scheduler = Scheduler::new(targets, CONFIG, world.start);
        world.poll();
        let mut machine = world.scheduler.machine(WorkerId(0));
        machine.begin(range(0, 1));
        match machine.poll(world.now) {
            stop_and_wait::Step::Transmit { wait, .. } => wait,
            step => panic!("{step:?}"),
        }
    };
    for source in [LatencySource::Icmp(3), LatencySource::UdpProbe(1), LatencySource::Given] {
        assert_eq!(wait(source), ms(1100));
    }
    for source in [LatencySource::NoReply, LatencySource::Fallback] {
        assert_eq!(wait(source), ms(1000));
    }
}

#[test]
fn shares_in_proportion_are_exact() {
    let shares = |total, weights: &[f64]| in_proportion(total, weights).collect::<Vec<_>>();
    assert_eq!(shares(10, &[1.0, 1.0, 1.0]), [3, 4, 3]);
    assert_eq!(shares(93, &[2.0, 1.0, 1.0]), [47, 23, 23]);
    assert_eq!(shares(1, &[1e-9, 1e9]), [0, 1]);
    assert_eq!(shares(u32::MAX, &[0.1; 30]).iter().sum::<u32>(), u32::MAX);
    assert_eq!(shares(5, &[]), [0; 0]);
}
