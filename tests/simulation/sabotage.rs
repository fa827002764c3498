//! Machines that break one promise each, and the proof that the simulation notices.

use super::audit::Rule;
use super::machine::{Machine, Parts};
use super::run;
use super::scenario::Scenario;
use mdalp::protocol::lane::Lane;
use mdalp::protocol::message::Ack;
use mdalp::protocol::stop_and_wait::{Received, Step, StopAndWait};
use mdalp::protocol::{Seq, Tid};
use std::collections::BTreeMap;
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
    /// A loss leaves the outstanding packet behind.
    ForgetsOutstandingAtLoss,
    /// It says at its loss that one packet less is acknowledged.
    ForgetsAnAckAtLoss,
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
}

/// The real machine in the hands of the fault.
struct Broken {
    fault: Fault,
    tid: Tid,
    give_up: Duration,
    deadline: Option<Instant>,
    lane: Arc<Lane>,
    machine: StopAndWait,
    /// What is to be sent again at the next poll.
    resend: Option<Seq>,
    transmissions: u32,
    last_acked: Option<Seq>,
    put_off: Duration,
    claimed: Option<Seq>,
    acks: u32,
    lost: bool,
}

impl Broken {
    fn new(fault: Fault, mut parts: Parts) -> Self {
        let deadline = parts.deadline.take_if(|_| fault == Fault::NoDeadline);
        Self {
            fault,
            tid: parts.tid,
            give_up: parts.timing.give_up,
            deadline,
            lane: Arc::clone(&parts.lane),
            machine: parts.machine(),
            resend: None,
            transmissions: 0,
            last_acked: None,
            put_off: Duration::ZERO,
            claimed: None,
            acks: 0,
            lost: false,
        }
    }

    fn again(&mut self, seq: Seq) -> Step {
        self.transmissions += 1;
        Step::Transmit { seq, transmission: self.transmissions }
    }

    fn waits(&mut self, now: Instant, until: Instant) -> Step {
        match (self.fault, self.machine.outstanding()) {
            (Fault::ResendsOnEarlyPoll, Some(seq)) if self.claimed.replace(seq) == Some(seq) => {
                self.claimed = None;
                self.again(seq)
            }
            (Fault::SendsAhead, Some(_)) if self.claimed.is_none() => {
                self.claimed = self.lane.claim();
                match self.claimed {
                    Some(seq) => Step::Transmit { seq, transmission: 1 },
                    None => Step::Wait(until),
                }
            }
            (Fault::NoDeadline, _) => {
                Step::Wait(self.deadline.filter(|&deadline| deadline > now).map_or(until, |at| at.min(until)))
            }
            (Fault::JunkExtendsTimer, _) => Step::Wait(until + self.put_off),
            (Fault::Spins, _) if self.acks == 3 => Step::Wait(now),
            (Fault::GivesUpAtOnce, _) if self.transmissions == 2 => self.gives_up(),
            _ => Step::Wait(until),
        }
    }

    fn gives_up(&mut self) -> Step {
        use mdalp::protocol::stop_and_wait::LostCause;
        self.lost = true;
        Step::Lost(LostCause::Silent { waited: self.give_up, transmissions: 4 })
    }
}

impl Machine for Broken {
    fn poll(&mut self, now: Instant) -> Step {
        if let Some(seq) = self.resend.take() {
            return self.again(seq);
        }
        match self.machine.poll(now) {
            Step::Transmit { seq, transmission } => {
                self.transmissions = transmission;
                self.put_off = Duration::ZERO;
                let soon = self.fault == Fault::IdleTooSoon && self.lane.unclaimed() == 0 && seq.0 % 4 == 3;
                if soon { Step::Idle } else { Step::Transmit { seq, transmission } }
            }
            Step::Wait(until) => self.waits(now, until),
            Step::Lost(_) if self.fault == Fault::NeverGivesUp => Step::Wait(now + Duration::from_secs(1)),
            Step::Lost(cause) => {
                self.lost = true;
                Step::Lost(cause)
            }
            step => step,
        }
    }

    fn acknowledged(&mut self, now: Instant) -> Received {
        let acks = self.machine.outstanding().map(|seq| Ack { tid: self.tid, seq }.encode());
        self.datagram(now, &acks.unwrap_or_default())
    }

    fn patience(&mut self, _: Instant) -> Option<Duration> {
        None
    }

    fn datagram(&mut self, now: Instant, datagram: &[u8]) -> Received {
        let outstanding = self.machine.outstanding();
        let parsed = match Ack::parse(datagram) {
            None if self.fault == Fault::TakesUnfinishedAcks => Ack::parse(&[datagram, b";"].concat()),
            parsed => parsed,
        };
        let taken = parsed.zip(outstanding).is_some_and(|(ack, out)| match self.fault {
            Fault::TakesAnySeq => ack.tid == self.tid,
            Fault::TakesAnyTid => ack.seq == out,
            Fault::IgnoresAcks => false,
            _ => ack.tid == self.tid && ack.seq == out,
        });
        let received = match outstanding {
            Some(seq) if taken => self.machine.datagram(now, &Ack { tid: self.tid, seq }.encode()),
            _ if self.fault == Fault::IgnoresAcks && self.acks == 5 => Received::Ignored,
            _ => self.machine.datagram(now, datagram),
        };
        match received {
            Received::Acked(_) => {
                self.acks += 1;
                self.last_acked = outstanding;
                if self.fault == Fault::SendsAgainAfterAck && self.acks == 2 {
                    self.resend = outstanding;
                }
            }
            Received::Ignored => {
                self.put_off += Duration::from_millis(100);
                if self.fault == Fault::ResendsOnStaleAck && parsed.is_some_and(|ack| ack.tid == self.tid) {
                    self.resend = outstanding;
                }
            }
        }
        received
    }

    fn refused(&mut self) {
        self.machine.refused();
    }

    fn outstanding(&self) -> Option<Seq> {
        let outstanding = self.machine.outstanding();
        match self.fault {
            Fault::ForgetsOutstandingAtLoss if self.lost => outstanding.map(|seq| Seq(seq.0 + 1)),
            Fault::ForgetsAnAckAtLoss if self.lost && self.last_acked.is_some() => self.last_acked,
            _ => outstanding,
        }
    }
}

/// Runs in which each fault has its chance.
const RUNS: u64 = 200;

/// How many of the runs break which rule.
fn caught(fault: Fault) -> BTreeMap<Rule, u32> {
    let mut caught = BTreeMap::new();
    for seed in 0..RUNS {
        let scenario = Scenario::of_seed(seed);
        let broken = |parts: Parts| -> Box<dyn Machine> { Box::new(Broken::new(fault, parts)) };
        if let Err(violation) = run::run(&scenario, &broken, false) {
            *caught.entry(violation.rule).or_insert(0) += 1;
        }
    }
    caught
}

#[test]
fn a_machine_that_breaks_a_promise_is_caught_by_the_rule_that_says_so() {
    // The fewest of the runs that must catch it: a fault shows only where its occasion arises.
    let table = [
        (Fault::TakesAnySeq, Rule::AckedByItsOwnAck, 5),
        (Fault::TakesAnyTid, Rule::AckedByItsOwnAck, 5),
        (Fault::TakesUnfinishedAcks, Rule::AckedByItsOwnAck, 5),
        (Fault::ResendsOnStaleAck, Rule::RetransmitsOnTimerOnly, 20),
        (Fault::ResendsOnEarlyPoll, Rule::RetransmitsOnTimerOnly, 20),
        (Fault::SendsAgainAfterAck, Rule::RetransmitsOnTimerOnly, 20),
        (Fault::SendsAhead, Rule::OneOutstanding, 20),
        (Fault::ForgetsOutstandingAtLoss, Rule::NothingGetsLost, 20),
        (Fault::ForgetsAnAckAtLoss, Rule::NothingGetsLost, 10),
        (Fault::IgnoresAcks, Rule::Ends, 20),
        (Fault::NeverGivesUp, Rule::Ends, 20),
        (Fault::GivesUpAtOnce, Rule::LostForAReason, 20),
        (Fault::JunkExtendsTimer, Rule::Ends, 20),
        (Fault::Spins, Rule::Ends, 20),
        (Fault::NoDeadline, Rule::NothingAfterDeadline, 5),
        (Fault::IdleTooSoon, Rule::NothingGetsLost, 20),
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
