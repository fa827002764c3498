//! Machines that break one promise each, and the proof that the simulation notices.

use super::audit::Rule;
use super::machine::Machine;
use super::run;
use super::scenario::Scenario;
use crate::loopback::wire;
use mdalp::protocol::lane::Lane;
use mdalp::protocol::scheduler::Scheduler;
use mdalp::protocol::stop_and_wait::{ExitReason, Received, Step, StopAndWait};
use mdalp::protocol::{Latency, LossReason, Seq, SeqRange, WorkerId};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a machine does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Any ack of the transaction counts, as with the reference client.
    TakesAnySeq,
    /// The TID of an ack is not looked at.
    TakesAnyTid,
    /// An ack whose last `;` is missing counts.
    TakesUnfinishedAcks,
    /// A stale ack makes it send again, as the reference client does in single mode.
    ResendsOnStaleAck,
    /// Whatever wakes it up before the time makes it send again.
    ResendsOnEarlyPoll,
    /// An ack does not clear what is outstanding.
    SendsAgainAfterAck,
    /// It sends the next packet while one is outstanding.
    SendsAhead,
    /// It drops the right ack now and then.
    IgnoresAcks,
    /// It never gives up.
    NeverGivesUp,
    /// It gives up at the first time-out.
    GivesUpAtOnce,
    /// What arrives and is no ack puts its timer off.
    JunkExtendsTimer,
    /// It waits until now, that is, spins.
    Spins,
    /// It does not look at the deadline.
    NoDeadline,
    /// It says that it is done before the last packet.
    IdleTooSoon,
    /// Its back-off goes the wrong way.
    TimeoutShrinks,
}

/// The real machine in the hands of the fault.
struct Broken {
    fault: Fault,
    tid: u64,
    give_up: Duration,
    deadline: Option<Instant>,
    lane: Arc<Lane>,
    machine: StopAndWait,
    range: SeqRange,
    /// What is to be sent again at the next poll.
    resend: Option<Seq>,
    transmissions: u32,
    put_off: Duration,
    claimed: Option<Seq>,
    /// When it sends again too early.
    early: Option<Instant>,
    acks: u32,
}

impl Broken {
    fn new(fault: Fault, scenario: &Scenario, scheduler: &Scheduler, worker: WorkerId) -> Self {
        let (lane, target) = (scheduler.worker(worker).lane(), scheduler.worker(worker).target());
        let end = scenario.deadline.map(|limit| scenario.start() + limit);
        let ignored = end.filter(|_| fault == Fault::NoDeadline);
        let ping = target.latency.as_ref().and_then(Latency::measured);
        let kept = end.filter(|_| fault != Fault::NoDeadline);
        Self {
            fault,
            tid: scenario.tid.0,
            give_up: scenario.timing.give_up,
            deadline: ignored,
            lane: Arc::clone(lane),
            machine: StopAndWait::new(scenario.tid, scenario.timing, Arc::clone(lane), ping, kept),
            range: SeqRange::EMPTY,
            resend: None,
            transmissions: 0,
            put_off: Duration::ZERO,
            claimed: None,
            early: None,
            acks: 0,
        }
    }

    fn again(&mut self, seq: Seq) -> Step {
        self.transmissions += 1;
        self.transmit(seq, self.transmissions)
    }

    fn transmit(&self, seq: Seq, transmission: u32) -> Step {
        let bytes = self.range.packet_bytes(seq);
        Step::Transmit { seq, transmission, bytes, wait: Duration::from_secs(1) }
    }

    fn waits(&mut self, now: Instant, until: Instant) -> Step {
        match (self.fault, self.machine.outstanding()) {
            (Fault::ResendsOnEarlyPoll, Some(seq)) if self.claimed.replace(seq) == Some(seq) => {
                self.claimed = None;
                self.again(seq)
            }
            (Fault::SendsAhead, Some(_)) if self.claimed.is_none() => {
                self.claimed = self.lane.claim();
                self.claimed.map_or(Step::Wait(until), |seq| self.transmit(seq, 1))
            }
            (Fault::NoDeadline, Some(seq)) if self.deadline.is_some_and(|at| now >= at) => self.again(seq),
            (Fault::NoDeadline, _) => Step::Wait(self.deadline.map_or(until, |at| at.min(until))),
            (Fault::JunkExtendsTimer, _) => Step::Wait(until + self.put_off),
            (Fault::Spins, _) if self.acks == 3 => Step::Wait(now),
            (Fault::GivesUpAtOnce, _) if self.transmissions == 2 => {
                let (seq, waited) = (self.machine.outstanding().unwrap(), self.give_up);
                let reason = LossReason::Silent { seq, waited, transmissions: 4, last_error: None };
                Step::Ended(ExitReason::Lost(reason))
            }
            _ => Step::Wait(until),
        }
    }
}

impl Machine for Broken {
    fn begin(&mut self, range: SeqRange) {
        self.range = range;
        self.machine.begin(range);
    }

    fn poll(&mut self, now: Instant) -> Step {
        if let Some(seq) = self.resend.take() {
            return self.again(seq);
        }
        if let (Some(early), Some(seq)) = (self.early, self.machine.outstanding()) {
            if now < early {
                return Step::Wait(early);
            }
            self.early = None;
            return self.again(seq);
        }
        match self.machine.poll(now) {
            Step::Transmit { seq, transmission, bytes, mut wait } => {
                if let Some(deadline) = self.deadline.filter(|&deadline| deadline > now) {
                    wait = wait.min(deadline - now);
                }
                if self.fault == Fault::TimeoutShrinks && transmission > 1 {
                    wait /= 10;
                    self.early = Some(now + wait);
                }
                self.transmissions = transmission;
                self.put_off = Duration::ZERO;
                let soon = self.fault == Fault::IdleTooSoon && self.lane.unclaimed() == 0 && seq.0 % 4 == 3;
                if soon { Step::Idle } else { Step::Transmit { seq, transmission, bytes, wait } }
            }
            Step::Wait(until) => self.waits(now, until),
            Step::Ended(ExitReason::Lost(_)) if self.fault == Fault::NeverGivesUp => {
                Step::Wait(now + Duration::from_secs(1))
            }
            step => step,
        }
    }

    fn postpone(&mut self, now: Instant) -> Step {
        self.machine.postpone(now)
    }

    fn encode(&mut self, seq: Seq, payload: &[u8]) -> Vec<u8> {
        self.machine.encode(seq, payload).to_vec()
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Received {
        let outstanding = self.machine.outstanding();
        let parsed = match wire::parse_ack(datagram) {
            None if self.fault == Fault::TakesUnfinishedAcks => wire::parse_ack(&[datagram, b";"].concat()),
            parsed => parsed,
        };
        let taken = parsed.zip(outstanding).is_some_and(|((tid, seq), out)| match self.fault {
            Fault::TakesAnySeq => tid == self.tid,
            Fault::TakesAnyTid => seq == out.0,
            Fault::IgnoresAcks => false,
            _ => (tid, seq) == (self.tid, out.0),
        });
        let received = match outstanding {
            Some(seq) if taken => self.machine.handle_datagram(now, &wire::ack(self.tid, seq.0)),
            _ if self.fault == Fault::IgnoresAcks && self.acks == 5 => Received::Ignored,
            _ => self.machine.handle_datagram(now, datagram),
        };
        match received {
            Received::Acked(_) => {
                self.acks += 1;
                self.early = None;
                if self.fault == Fault::SendsAgainAfterAck && self.acks == 2 {
                    self.resend = outstanding;
                }
            }
            Received::Ignored => {
                self.put_off += Duration::from_millis(100);
                if self.fault == Fault::ResendsOnStaleAck && parsed.is_some_and(|(tid, _)| tid == self.tid) {
                    self.resend = outstanding;
                }
            }
        }
        received
    }

    fn handle_refusal(&mut self) {
        self.machine.handle_refusal();
    }

    fn outstanding(&self) -> Option<Seq> {
        self.machine.outstanding()
    }
}

/// Runs in which each fault has its chance.
const RUNS: u64 = 200;

/// How many of the runs break which rule, or are ended by the scheduler's own assertion.
fn caught(fault: Fault) -> BTreeMap<Option<Rule>, u32> {
    let mut caught = BTreeMap::new();
    for seed in 0..RUNS {
        let scenario = Scenario::of_seed(seed);
        let broken = |scenario: &Scenario, scheduler: &Scheduler, worker| -> Box<dyn Machine> {
            Box::new(Broken::new(fault, scenario, scheduler, worker))
        };
        let run = || run::run(&scenario, &broken, false).err().map(|violation| violation.rule);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(None) => {}
            Ok(rule) => *caught.entry(rule).or_insert(0) += 1,
            Err(_) => *caught.entry(None).or_insert(0) += 1,
        }
    }
    caught
}

#[test]
fn a_machine_that_breaks_a_promise_is_caught_by_the_rule_that_says_so() {
    // The fewest of the runs that must catch it: a fault shows only where its occasion arises.
    let table = [
        (Fault::TakesAnySeq, Some(Rule::AckedByItsOwnAck), 5),
        (Fault::TakesAnyTid, Some(Rule::AckedByItsOwnAck), 5),
        (Fault::TakesUnfinishedAcks, Some(Rule::AckedByItsOwnAck), 5),
        (Fault::ResendsOnStaleAck, Some(Rule::RetransmitsOnTimerOnly), 20),
        (Fault::ResendsOnEarlyPoll, Some(Rule::RetransmitsOnTimerOnly), 20),
        (Fault::SendsAgainAfterAck, Some(Rule::RetransmitsOnTimerOnly), 20),
        (Fault::SendsAhead, Some(Rule::OneOutstanding), 20),
        (Fault::IgnoresAcks, Some(Rule::Ends), 20),
        (Fault::NeverGivesUp, Some(Rule::Ends), 20),
        (Fault::GivesUpAtOnce, Some(Rule::LostForAReason), 20),
        (Fault::JunkExtendsTimer, Some(Rule::Ends), 20),
        (Fault::Spins, Some(Rule::Ends), 20),
        (Fault::NoDeadline, Some(Rule::NothingAfterDeadline), 5),
        (Fault::IdleTooSoon, None, 20),
        (Fault::TimeoutShrinks, Some(Rule::RetransmitsOnTimerOnly), 20),
    ];
    let mut missed = Vec::new();
    for (fault, rule, least) in table {
        let caught = caught(fault);
        // Shown if the test fails, and with --nocapture.
        println!("{fault:?}, {RUNS} runs: {caught:?}");
        if caught.get(&rule).copied().unwrap_or(0) < least {
            missed.push((fault, rule));
        }
    }
    assert!(missed.is_empty(), "no longer caught often enough: {missed:?}");
}
