//! One transfer in virtual time. The two machines decide everything; this is only what threads, sockets, channels and clocks
//! do for them in the client: wait, send, receive, hand over.

mod main_thread;
mod sender;

use super::audit::{Audit, Rule, Violation};
use super::machine::{Machine, Maker};
use super::network::{Arrival, Network};
use super::rng::Rng;
use super::scenario::Scenario;
use super::tally::{Class, Exercised};
use mdalp::protocol::scheduler::{Outcome, Scheduler, Signal};
use mdalp::protocol::{SeqRange, WorkerId};
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
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
    /// Of these, the ones that came to a receiver after one whose ack is not lost.
    pub spurious: u64,
    pub steps: u64,
    /// The first packet to each receiver.
    pub first: Vec<FirstPacket>,
}

/// How the first packet to a receiver fared.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstPacket {
    pub transmissions: u32,
    pub resent_after: Option<Duration>,
    pub acked_after: Option<Duration>,
}

/// Runs the scenario. With `verbose`, each step is traced to standard error.
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
    scheduler: Scheduler,
    threads: Vec<Thread>,
    /// What the threads have said and the main thread has not handled yet.
    signals: VecDeque<(WorkerId, Signal)>,
    /// How much later than wanted the main thread looks again, where the scenario is lazy.
    laziness: Duration,
    /// The main thread is held up until then.
    held_until: Instant,
    outcome: Option<(Outcome, Instant)>,
    exercised: Exercised,
    steps: u64,
}

/// A receiver's thread and its socket.
struct Thread {
    state: ThreadState,
    machine: Option<Box<dyn Machine>>,
    work: VecDeque<SeqRange>,
    inbox: VecDeque<Rc<[u8]>>,
    pending_refusal: bool,
    /// When its wait ends, and the event that is to end it.
    wakes_at: Option<Instant>,
    timer: Option<Instant>,
    /// What the machine waits for.
    until: Instant,
    first: FirstPacket,
    first_sent: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum ThreadState {
    NotStarted,
    WaitingForWork,
    Sending,
    Ended,
}

struct Event {
    at: Instant,
    order: u64,
    what: What,
}

enum What {
    Main,
    Resume(usize),
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

macro_rules! trace {
    ($of:expr, $($text:tt)*) => {
        if $of.verbose {
            eprintln!("{:>14.6} {}", ($of.now - $of.start).as_secs_f64(), format_args!($($text)*));
        }
    };
}
use trace;

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, maker: Maker<'a>, verbose: bool) -> Self {
        let start = scenario.start();
        let scheduler = scenario.scheduler();
        let thread = |_| Thread {
            state: ThreadState::NotStarted,
            machine: None,
            work: VecDeque::new(),
            inbox: VecDeque::new(),
            pending_refusal: false,
            wakes_at: None,
            timer: None,
            until: start,
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
            network: Network::new(scenario, scheduler.packets(), start),
            audit: Audit::new(scenario, start),
            threads: scheduler.workers().iter().map(thread).collect(),
            scheduler,
            signals: VecDeque::new(),
            laziness: Duration::ZERO,
            held_until: start,
            outcome: None,
            exercised: Exercised::default(),
            steps: 0,
        }
    }

    fn run(mut self) -> Result<Summary, Violation> {
        self.main_thread_runs()?;
        // After the main thread's end the others go on until they notice, and must not send any more.
        while let Some(Reverse(event)) = self.events.pop() {
            self.now = self.now.max(event.at);
            self.steps += 1;
            match event.what {
                What::Main => self.main_thread_wakes()?,
                What::Resume(worker) => self.send_range(worker, true)?,
                What::Work(worker) => self.thread_gets_work(worker)?,
                What::Timer(worker) => self.timer_fires(worker, event.at)?,
                What::Arrival(worker, arrival) => self.arrives(worker, arrival),
            }
        }
        let Some((outcome, at)) = self.outcome else {
            return Err(Violation { rule: Rule::Ends, what: "the main thread waits for ever".to_owned() });
        };
        let elapsed = at - self.start;
        trace!(self, "ended {outcome:?} after {elapsed:?}");
        Ok(self.summary(outcome, elapsed))
    }

    fn at(&mut self, at: Instant, what: What) {
        self.order += 1;
        self.events.push(Reverse(Event { at, order: self.order, what }));
    }

    /// How late a thread wakes up.
    fn latency(&mut self) -> Duration {
        let most = self.scenario.scheduling.latency;
        if most.is_zero() { most } else { most.mul_f64(self.rng.unit()) }
    }

    /// How long a thread is held up, if it is.
    fn stall(&mut self) -> Option<Duration> {
        let scheduling = self.scenario.scheduling;
        let stall =
            self.rng.chance(scheduling.stall).then(|| scheduling.longest_stall.mul_f64(self.rng.unit()));
        self.audit.stalled += stall.unwrap_or_default();
        stall
    }

    fn summary(mut self, outcome: Outcome, elapsed: Duration) -> Summary {
        for (class, noted) in [
            (Class::Single, self.scenario.single.is_some()),
            (Class::ManyReceivers, self.scenario.receivers.len() > 10),
            (Class::SameAddress, self.scenario.list.len() > self.scenario.receivers.len()),
            (Class::LargePayload, self.scenario.payload.len() > 100_000),
            (Class::Deadline, outcome == Outcome::Deadline),
            (Class::GivenUp, outcome == Outcome::Incomplete),
            (Class::Complete, outcome == Outcome::Complete),
            (Class::HadToComplete, self.scenario.must_complete()),
            (
                Class::CompleteAfterLoss,
                outcome == Outcome::Complete && self.audit.exercised.has(Class::Death),
            ),
        ] {
            if noted {
                self.exercised.note(class);
            }
        }
        let workers = self.scheduler.workers();
        Summary {
            outcome,
            elapsed,
            exercised: self.exercised | self.network.exercised | self.audit.exercised,
            packets: self.scheduler.packets(),
            transmissions: workers.iter().map(|worker| worker.lane().transmissions()).sum(),
            spurious: self.network.spurious(),
            steps: self.steps,
            first: self.threads.iter().map(|thread| thread.first).collect(),
        }
    }
}
