//! One transfer in virtual time. The two machines decide everything; this is only what threads, sockets, channels and clocks
//! do for them in the client: wait, send, receive, hand over.

mod main_thread;
mod sender;

use super::audit::{Audit, Rule, Violation};
use super::network::{Arrival, Network};
use super::rng::Rng;
use super::sabotage::{Mutant, Mutation};
use super::scenario::Scenario;
use super::tally::{Class, Exercised};
use mdalp::protocol::scheduler::{Outcome, Scheduler, Signal};
use mdalp::protocol::stop_and_wait::StopAndWait;
use mdalp::protocol::{SeqRange, WorkerId};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The result of a run.
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
    /// The first packet that each receiver has acknowledged, if any.
    pub first: Vec<Option<FirstPacket>>,
}

/// What became of the first packet to a receiver.
#[derive(Clone, Copy, Debug)]
pub struct FirstPacket {
    pub transmissions: u32,
    /// From its first transmission to its second; zero if there is none.
    pub resent_after: Duration,
    pub acked_after: Duration,
}

/// Runs the scenario, with a machine that has the mutation, if any. With `verbose`, each step is traced to standard error.
///
/// # Errors
/// The promise that was broken.
pub fn run(scenario: &Scenario, mutation: Option<Mutation>, verbose: bool) -> Result<Summary, Violation> {
    let run = || Simulation::new(scenario, mutation, verbose).run();
    let panicked = |_| Err(Violation { rule: Rule::NoPanic, what: "see above" });
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(panicked)
}

/// Runs a scenario in which no promise may be broken.
pub fn transfer(scenario: &Scenario) -> Summary {
    run(scenario, None, false).unwrap_or_else(|violation| panic!("seed {}: {violation}", scenario.seed))
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    verbose: bool,
    now: Instant,
    rng: Rng,
    events: BTreeMap<EventKey, Event>,
    /// How many events there have been.
    count: u64,
    network: Network,
    audit: Audit<'a>,
    scheduler: Scheduler,
    threads: Vec<Thread>,
    /// What the threads have said and the main thread has not handled yet.
    signals: VecDeque<(WorkerId, Signal)>,
    /// The event that ends the main thread's wait.
    main_timer: Option<EventKey>,
    /// The main thread is held up until then.
    held_until: Instant,
    outcome: Option<(Outcome, Duration)>,
}

/// A receiver's thread and its socket.
struct Thread {
    machine: StopAndWait,
    mutant: Mutant,
    inbox: VecDeque<Vec<u8>>,
    pending_refusal: bool,
    /// What the machine waits for, and the event that ends the thread's wait.
    until: Instant,
    timer: Option<EventKey>,
    ended: bool,
}

/// When, and which of those at the same time comes first.
type EventKey = (Instant, u64);

enum Event {
    MainWakes,
    Work(usize, SeqRange),
    /// A sender that was held up before a send goes on.
    Resume(usize),
    Timer(usize),
    /// A sender that was held up after its wait goes on.
    Wakes(usize),
    Arrival(usize, Arrival),
}

macro_rules! trace {
    ($of:expr, $($text:tt)*) => {
        if $of.verbose {
            eprintln!("{:>14.6} {}", ($of.now - $of.scenario.start()).as_secs_f64(), format_args!($($text)*));
        }
    };
}
use trace;

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, mutation: Option<Mutation>, verbose: bool) -> Self {
        let start = scenario.start();
        let forgets_floor = mutation == Some(Mutation::ForgetsFloor);
        let floor = if forgets_floor { 0 } else { scenario.plan().floor };
        let scheduler = scenario.scheduler(floor);
        let thread = |worker| Thread {
            machine: scheduler.machine(WorkerId(worker)),
            mutant: Mutant::new(mutation, scenario),
            inbox: VecDeque::new(),
            pending_refusal: false,
            until: start,
            timer: None,
            ended: false,
        };
        Self {
            scenario,
            verbose,
            now: start + scenario.measuring,
            rng: Rng::new(scenario.seed ^ 0x7363_6865_6400),
            events: BTreeMap::new(),
            count: 0,
            network: Network::new(scenario),
            audit: Audit::new(scenario),
            threads: (0..scenario.receivers.len()).map(thread).collect(),
            scheduler,
            signals: VecDeque::new(),
            main_timer: None,
            held_until: start,
            outcome: None,
        }
    }

    fn run(mut self) -> Result<Summary, Violation> {
        self.wake_main(self.now);
        // After the main thread's end the others go on until they notice, and must not send any more.
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            match event {
                Event::MainWakes => self.main_wakes()?,
                Event::Work(worker, range) => self.begin(worker, range)?,
                Event::Resume(worker) => self.send_range(worker, true)?,
                Event::Timer(worker) => self.timer_fires(worker)?,
                Event::Wakes(worker) => self.wakes(worker)?,
                Event::Arrival(worker, arrival) => self.arrives(worker, arrival),
            }
        }
        let forever = Violation { rule: Rule::Ends, what: "the main thread waits forever" };
        let (outcome, elapsed) = self.outcome.ok_or(forever)?;
        trace!(self, "ended {outcome:?} after {elapsed:?}");
        Ok(self.summary(outcome, elapsed))
    }

    fn at(&mut self, at: Instant, event: Event) -> EventKey {
        self.count += 1;
        self.events.insert((at, self.count), event);
        (at, self.count)
    }

    /// Brings a timer's event forward to this time, unless it comes before.
    fn at_the_latest(&mut self, timer: Option<EventKey>, at: Instant, event: Event) -> EventKey {
        match timer {
            Some(timer) if timer.0 <= at => timer,
            _ => {
                timer.and_then(|timer| self.events.remove(&timer));
                self.at(at, event)
            }
        }
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

    fn summary(self, outcome: Outcome, elapsed: Duration) -> Summary {
        let (scenario, complete) = (self.scenario, outcome == Outcome::Complete);
        let mut exercised = &self.network.exercised | &self.audit.exercised;
        let classes = [
            (Class::Single, scenario.single.is_some()),
            (Class::ManyReceivers, scenario.receivers.len() > 10),
            (Class::SameAddress, scenario.list.len() > scenario.receivers.len()),
            (Class::LargePayload, scenario.payload.len() > 100_000),
            (Class::AllExpired, scenario.expiry.is_some_and(|expiry| elapsed >= expiry)),
            (Class::Deadline, outcome == Outcome::Deadline),
            (Class::GivenUp, outcome == Outcome::Incomplete),
            (Class::Complete, complete),
            (Class::HadToComplete, scenario.must_complete()),
            (Class::CompleteAfterLoss, complete && exercised.contains(&Class::Death)),
        ];
        exercised.extend(classes.into_iter().filter_map(|(class, noted)| noted.then_some(class)));
        Summary {
            outcome,
            elapsed,
            exercised,
            packets: self.scheduler.packets(),
            transmissions: self.audit.transmissions(),
            spurious: self.network.spurious(),
            first: self.audit.first_packets(),
        }
    }
}
