//! One transfer in virtual time: what `client/transfer.rs` and `sender.rs` do with the machines, without their threads, sockets and
//! clock. Whoever changes those changes this.

mod main_thread;
mod sender;

use super::audit::{Audit, Outcome, Rule, Violation};
use super::machine::{Machine, Maker};
use super::network::{Arrival, Network};
use super::rng::Rng;
use super::scenario::Scenario;
use super::tally::{Class, Exercised};
use main_thread::REBALANCE_TICK;
use mdalp::protocol::lane::Lane;
use mdalp::protocol::message::DataPacket;
use mdalp::protocol::workload::{Policy, Worker, Workload};
use mdalp::protocol::{Seq, SeqRange};
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What came of a run.
#[derive(Debug)]
pub struct Summary {
    pub outcome: Outcome,
    /// From the assignment to the end.
    pub elapsed: Duration,
    pub exercised: Exercised,
    pub packets: u32,
    pub transmissions: u64,
    pub steps: u64,
    /// Of each receiver: whether its first packet was sent again before an ack for it came, and when its first ack came.
    pub first: Vec<FirstPacket>,
}

/// How the first packet to a receiver fared.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstPacket {
    pub transmissions: u32,
    pub resent_after: Option<Duration>,
    pub acked_after: Option<Duration>,
}

/// Runs the scenario. With `verbose`, tells each step on standard error.
///
/// # Errors
/// The promise that was broken.
pub fn run(scenario: &Scenario, maker: Maker<'_>, verbose: bool) -> Result<Summary, Violation> {
    Simulation::new(scenario, maker, verbose).run()
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    maker: Maker<'a>,
    verbose: bool,
    now: Instant,
    start: Instant,
    rng: Rng,
    events: BinaryHeap<Reverse<Event>>,
    order: u64,
    network: Network,
    audit: Audit<'a>,
    workload: Workload,
    policy: Policy,
    threads: Vec<Thread>,
    main: Main,
    exercised: Exercised,
    failovers: u32,
    rebalances: u32,
    steps: u64,
}

/// The main thread.
#[derive(Default)]
struct Main {
    signals: VecDeque<(usize, Signal)>,
    wakes_at: Option<Instant>,
    tick: Duration,
    outcome: Option<(Outcome, Instant)>,
}

enum Signal {
    Completed,
    Lost(Option<Seq>),
    Stopped,
}

/// A receiver's thread.
struct Thread {
    doing: Doing,
    machine: Option<Box<dyn Machine>>,
    packet: DataPacket,
    work: VecDeque<SeqRange>,
    inbox: VecDeque<Rc<[u8]>>,
    pending_refusal: bool,
    /// When its wait ends, and the event that is to end it.
    wakes_at: Option<Instant>,
    timer: Option<Instant>,
    /// What the machine waits for.
    until: Instant,
    /// The SEQs whose retransmission nobody has proved needless.
    retransmitted: Option<Seq>,
    first: FirstPacket,
    first_sent: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Unborn,
    /// It waits for work.
    Nothing,
    Sending(SeqRange),
    Ended,
}

struct Event {
    at: Instant,
    order: u64,
    what: What,
}

enum What {
    Main,
    Work(usize),
    Timer(usize),
    Arrival(usize, Arrival),
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

/// An instant to count from; nothing depends on which.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

macro_rules! tell {
    ($of:expr, $($text:tt)*) => {
        if $of.verbose {
            eprintln!("{:>14.6} {}", ($of.now - $of.start).as_secs_f64(), format_args!($($text)*));
        }
    };
}
use tell;

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, maker: Maker<'a>, verbose: bool) -> Self {
        let start = epoch();
        let plan = scenario.plan();
        let balance = scenario.single.is_none();
        let policy = Policy {
            failover: balance && scenario.failover,
            rebalance: balance && scenario.rebalance,
            floor: plan.floor(),
        };
        let worker = |receiver: usize| {
            let entries = plan.ranges().iter().zip(&scenario.list);
            let ranges = entries.filter(|&(_, &of)| of == receiver).map(|(&range, _)| range);
            Worker::new(Arc::new(Lane::new(start)), ping(scenario, receiver), ranges)
        };
        let workers: Vec<_> = (0..scenario.receivers.len()).map(worker).collect();
        let thread = |_| Thread {
            doing: Doing::Unborn,
            machine: None,
            packet: DataPacket::new(scenario.tid),
            work: VecDeque::new(),
            inbox: VecDeque::new(),
            pending_refusal: false,
            wakes_at: None,
            timer: None,
            until: start,
            retransmitted: None,
            first: FirstPacket::default(),
            first_sent: None,
        };
        Self {
            scenario,
            maker,
            verbose,
            now: start + scenario.measuring,
            start,
            rng: Rng::new(scenario.seed ^ 0x7363_6865_6400),
            events: BinaryHeap::new(),
            order: 0,
            network: Network::new(scenario, plan.packets(), start),
            audit: Audit::new(scenario, &plan, start),
            threads: workers.iter().map(thread).collect(),
            workload: Workload::new(workers, policy),
            policy,
            main: Main { tick: REBALANCE_TICK, ..Main::default() },
            exercised: Exercised::default(),
            failovers: 0,
            rebalances: 0,
            steps: 0,
        }
    }

    fn run(mut self) -> Result<Summary, Violation> {
        self.main_loop_top()?;
        // After the main thread's end the others go on until they notice, and must not send any more.
        while let Some(Reverse(event)) = self.events.pop() {
            self.now = self.now.max(event.at);
            self.steps += 1;
            match event.what {
                What::Main => self.main_wakes()?,
                What::Work(worker) => self.thread_takes_work(worker)?,
                What::Timer(worker) => self.timer_fires(worker, event.at)?,
                What::Arrival(worker, arrival) => self.arrives(worker, arrival)?,
            }
        }
        let Some((outcome, at)) = self.main.outcome else {
            return Err(Violation { rule: Rule::Ends, what: "the main thread waits for ever".to_owned() });
        };
        let elapsed = at - self.start;
        tell!(self, "ended {outcome:?} after {elapsed:?}");
        self.audit.ends(outcome, elapsed, &self.workload, &self.network)?;
        Ok(self.summary(outcome, elapsed))
    }

    fn at(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.events.push(Reverse(Event { at, order: self.order, what }));
    }

    /// How late somebody wakes up.
    fn latency(&mut self) -> Duration {
        let most = self.scenario.scheduling.latency;
        if most.is_zero() { most } else { most.mul_f64(self.rng.unit()) }
    }

    fn summary(mut self, outcome: Outcome, elapsed: Duration) -> Summary {
        for (class, noted) in [
            (Class::Single, self.scenario.single.is_some()),
            (Class::ManyReceivers, self.scenario.receivers.len() > 10),
            (Class::SameAddress, self.scenario.list.len() > self.scenario.receivers.len()),
            (Class::LargePayload, self.scenario.payload.len() > 100_000),
            (Class::Failover, self.failovers > 0),
            (Class::Failovers, self.failovers > 1),
            (Class::Rebalance, self.rebalances > 0),
            (Class::Rebalances, self.rebalances > 1),
            (Class::Deadline, outcome == Outcome::Deadline),
            (Class::GivenUp, outcome == Outcome::Incomplete),
            (Class::Complete, outcome == Outcome::Complete),
            (Class::HadToComplete, self.scenario.must_complete()),
            (Class::CompleteAfterLoss, outcome == Outcome::Complete && self.exercised.has(Class::Death)),
        ] {
            if noted {
                self.exercised.note(class);
            }
        }
        let workers = self.workload.workers();
        Summary {
            outcome,
            elapsed,
            exercised: self.exercised | self.network.exercised,
            packets: self.workload.packets(),
            transmissions: workers.iter().map(|w| w.lane().transmissions()).sum(),
            steps: self.steps,
            first: self.threads.iter().map(|thread| thread.first).collect(),
        }
    }
}

/// A receiver's ping, if it is known: the latency of its first entry in the list.
fn ping(scenario: &Scenario, receiver: usize) -> Option<Duration> {
    let entry = scenario.list.iter().position(|&of| of == receiver)?;
    scenario.latencies.get(entry).copied().filter(|_| scenario.pinged)
}
