//! Machines that break one promise each, and the proof that the simulation notices.

use super::audit::{Audit, Rule};
use super::network::Network;
use super::run;
use super::scenario::Scenario;
use crate::loopback::wire;
use mdalp::protocol::LossReason;
use mdalp::protocol::stop_and_wait::{ExitReason, Step, StopAndWait};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What a machine does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Any ack counts, whatever its TID and SEQ.
    TakesAnyAck,
    /// It drops acks.
    IgnoresAcks,
    /// A stale ack makes it send again, as the reference client does in single mode.
    ResendsOnStaleAck,
    /// What is not an ack is not counted.
    CountsNoJunk,
    /// What arrives and is not an ack puts its timer off.
    JunkExtendsTimer,
    /// It waits until now, that is, spins.
    Spins,
    /// A later timeout of a packet is shorter than the one before.
    TimeoutShrinks,
    /// It sends the next packet while one is outstanding.
    SendsAhead,
    /// It leaves a byte out.
    SendsOtherBytes,
    /// It sends once more when the deadline has passed.
    SendsAfterDeadline,
    /// It says that it is done while a packet is outstanding.
    IdlesTooSoon,
    /// It says that it is done before it has sent anything.
    SendsNothing,
    /// It never gives up.
    NeverGivesUp,
    /// It gives up when its first timer fires.
    GivesUpAtOnce,
    /// It ends as if the deadline had passed.
    StopsAtOnce,
    /// The scheduler does not know of the floor.
    ForgetsFloor,
}

/// Stands between a receiver's thread and its machine, and passes everything on unless there is a mutation.
pub struct Mutant {
    mutation: Option<Mutation>,
    tid: u64,
    /// The packet that was given out last.
    last: Option<Step>,
    /// How many datagrams that are not its ack have come since, and whether one of them was a stale ack.
    junk: u32,
    stale_ack: bool,
}

impl Mutant {
    pub fn new(mutation: Option<Mutation>, scenario: &Scenario) -> Self {
        Self { mutation, tid: scenario.tid.0, last: None, junk: 0, stale_ack: false }
    }

    pub fn poll(&mut self, machine: &mut StopAndWait, now: Instant) -> Step {
        let mut step = machine.poll(now);
        let Some(mutation) = self.mutation else { return step };
        match (mutation, &mut step) {
            (Mutation::SendsOtherBytes, Step::Transmit { bytes, .. }) if bytes.end - bytes.start > 1 => {
                bytes.end -= 1
            }
            (Mutation::TimeoutShrinks, Step::Transmit { transmission: 2.., wait, .. }) => *wait /= 10,
            (Mutation::GivesUpAtOnce, &mut Step::Transmit { seq, transmission: 2, .. }) => {
                let reason =
                    LossReason::Silent { seq, waited: Duration::ZERO, transmissions: 1, last_error: None };
                step = Step::Ended(ExitReason::Lost(reason));
            }
            (Mutation::JunkExtendsTimer, Step::Wait(until)) => *until += Duration::from_millis(1) * self.junk,
            (Mutation::Spins, Step::Wait(until)) => *until = now,
            (Mutation::SendsAhead, Step::Wait(_)) => {
                self.fake_ack(machine, now);
                step = machine.poll(now);
            }
            (Mutation::ResendsOnStaleAck, Step::Wait(_)) if self.stale_ack => step = self.again(step),
            (Mutation::SendsAfterDeadline, Step::Ended(ExitReason::Stopped)) => step = self.again(step),
            (Mutation::IdlesTooSoon, Step::Wait(_)) => step = Step::Idle,
            (Mutation::SendsNothing, Step::Transmit { .. }) => step = Step::Idle,
            (Mutation::StopsAtOnce, Step::Wait(_)) => step = Step::Ended(ExitReason::Stopped),
            (Mutation::NeverGivesUp, Step::Ended(ExitReason::Lost(_))) => {
                step = Step::Wait(now + Duration::from_secs(1));
            }
            _ => {}
        }
        if let Step::Transmit { .. } = step {
            (self.last, self.junk, self.stale_ack) = (Some(step.clone()), 0, false);
        }
        step
    }

    pub fn handle_datagram(
        &mut self,
        machine: &mut StopAndWait,
        now: Instant,
        datagram: &[u8],
    ) -> Option<Duration> {
        let Some(mutation) = self.mutation else { return machine.handle_datagram(now, datagram) };
        let ack = wire::parse_ack(datagram);
        let own = machine.outstanding().map(|seq| (self.tid, seq.0));
        let received = match mutation {
            Mutation::TakesAnyAck if ack.is_some() => self.fake_ack(machine, now),
            Mutation::IgnoresAcks if ack.is_some() => None,
            Mutation::CountsNoJunk if ack != own => None,
            _ => machine.handle_datagram(now, datagram),
        };
        if received.is_none() {
            self.junk += 1;
            self.stale_ack |= ack.is_some_and(|(tid, _)| tid == self.tid);
        }
        received
    }

    /// Makes the machine believe that the outstanding packet is acknowledged.
    fn fake_ack(&self, machine: &mut StopAndWait, now: Instant) -> Option<Duration> {
        let seq = machine.outstanding().map_or(0, |seq| seq.0);
        machine.handle_datagram(now, &wire::ack(self.tid, seq))
    }

    /// The last packet once more; `step` if there is none.
    fn again(&self, step: Step) -> Step {
        match self.last.clone() {
            Some(Step::Transmit { seq, transmission, bytes, wait }) => {
                Step::Transmit { seq, transmission: transmission + 1, bytes, wait }
            }
            _ => step,
        }
    }
}

/// Runs in which each mutation has its chance.
const RUNS: u64 = 200;

#[test]
fn a_machine_that_breaks_a_promise_is_caught_by_the_rule_that_says_so() {
    // The fewest of the runs that must catch it: a mutation shows only where its occasion arises.
    let table = [
        (Mutation::TakesAnyAck, Rule::AckedByItsOwnAck, 20),
        (Mutation::IgnoresAcks, Rule::Ends, 20),
        (Mutation::ResendsOnStaleAck, Rule::RetransmitsOnTimerOnly, 20),
        (Mutation::CountsNoJunk, Rule::ReportIsTrue, 20),
        (Mutation::JunkExtendsTimer, Rule::Ends, 20),
        (Mutation::Spins, Rule::Ends, 20),
        (Mutation::TimeoutShrinks, Rule::RetransmitsOnTimerOnly, 20),
        (Mutation::SendsAhead, Rule::OneOutstanding, 20),
        (Mutation::SendsOtherBytes, Rule::SendsItsOwn, 20),
        (Mutation::SendsAfterDeadline, Rule::NothingAfterDeadline, 5),
        (Mutation::IdlesTooSoon, Rule::NothingGetsLost, 20),
        (Mutation::SendsNothing, Rule::NoPanic, 20),
        (Mutation::NeverGivesUp, Rule::Ends, 20),
        (Mutation::GivesUpAtOnce, Rule::LostForAReason, 20),
        (Mutation::StopsAtOnce, Rule::OutcomeIsTrue, 20),
        (Mutation::ForgetsFloor, Rule::Floor, 5),
    ];
    for (mutation, rule, least) in table {
        let mut caught = BTreeMap::new();
        for seed in 0..RUNS {
            if let Err(violation) = run::run(&Scenario::of_seed(seed), Some(mutation), false) {
                *caught.entry(violation.rule).or_insert(0) += 1;
            }
        }
        println!("{mutation:?}, {RUNS} runs: {caught:?}");
        assert!(
            caught.get(&rule).is_some_and(|&runs| runs >= least),
            "{mutation:?} is not caught by {rule:?}"
        );
    }
}

#[test]
fn a_transfer_that_need_not_fail_and_content_that_is_not_there_are_noticed() {
    let mut scenario = (0..).map(Scenario::of_seed).find(Scenario::must_complete).unwrap();
    let content = Audit::new(&scenario).content(&Network::new(&scenario));
    assert_eq!(content.unwrap_err().rule, Rule::ContentArrives);
    scenario.receivers.iter_mut().for_each(|receiver| receiver.lacks = Some("socket"));
    assert_eq!(run::run(&scenario, None, false).unwrap_err().rule, Rule::CompletesIfItCan);
}
