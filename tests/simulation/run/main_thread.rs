//! The main thread: what `Transfer` in client/transfer.rs does.

use super::{Doing, Signal, Simulation, What, ping, tell};
use crate::simulation::audit::{Check, Outcome};
use crate::simulation::machine::Parts;
use crate::simulation::scenario::Start;
use crate::simulation::tally::Class;
use mdalp::protocol::workload::Worker;
use mdalp::protocol::{Seq, SeqRange};
use std::sync::Arc;
use std::time::Duration;

/// How often the client's main thread looks whether rebalancing has come to pay.
pub(super) const REBALANCE_TICK: Duration = Duration::from_millis(50);

impl Simulation<'_> {
    pub(super) fn main_loop_top(&mut self) -> Check {
        self.dispatch()?;
        self.audit.ledger(&self.workload)?;
        if !self.workload.is_under_way() {
            let complete = self.workload.is_complete();
            let outcome = if complete { Outcome::Complete } else { Outcome::Incomplete };
            self.main.outcome = Some((outcome, self.now));
            return Ok(());
        }
        let deadline = self.scenario.deadline.map(|limit| self.start + limit);
        if deadline.is_some_and(|at| self.now >= at) {
            self.main.outcome = Some((Outcome::Deadline, self.now));
            return Ok(());
        }
        let tick = self.policy.rebalance.then_some(self.now + self.main.tick);
        let idle = |w: &Worker| !w.is_lost() && w.remaining_packets() == 0;
        // While nobody is idle a look changes nothing, so it need not be simulated.
        let tick = tick.filter(|_| self.workload.workers().iter().any(idle));
        if self.scenario.scheduling.lazy_ticks {
            self.main.tick = (self.main.tick + self.main.tick / 16).min(Duration::from_secs(10));
        }
        self.main.wakes_at = [deadline, tick].into_iter().flatten().min();
        if let Some(at) = self.main.wakes_at {
            let at = at.max(self.now) + self.latency();
            self.at(at, What::Main);
        }
        Ok(())
    }

    pub(super) fn main_wakes(&mut self) -> Check {
        while self.main.outcome.is_none() {
            match self.main.signals.pop_front() {
                Some((worker, signal)) => {
                    self.main.tick = REBALANCE_TICK;
                    self.take(worker, signal)?;
                }
                None if self.main.wakes_at.is_some_and(|at| self.now >= at) => {}
                None => break,
            }
            self.main.wakes_at = None;
            self.main_loop_top()?;
        }
        Ok(())
    }

    fn take(&mut self, worker: usize, signal: Signal) -> Check {
        match signal {
            Signal::Completed => {
                tell!(self, "receiver {worker} has completed its range");
                self.workload.completed(worker);
                Ok(())
            }
            Signal::Lost(first_unacked) => self.lose(worker, first_unacked),
            Signal::Stopped => Ok(()),
        }
    }

    fn lose(&mut self, worker: usize, first_unacked: Option<Seq>) -> Check {
        let (left, moves) = self.workload.lost(worker, first_unacked, self.now - self.start);
        tell!(self, "receiver {worker} is lost, {left} packets go: {moves:?}");
        self.exercised.note(Class::Death);
        if self.audit.has_inherited(worker) {
            self.exercised.note(Class::HeirDied);
        }
        self.failovers += u32::from(!moves.is_empty());
        self.audit.lost(worker, left, &moves, self.policy.failover)
    }

    fn dispatch(&mut self) -> Check {
        loop {
            let elapsed = self.now - self.start;
            let moves = self.workload.rebalance(elapsed);
            if !moves.is_empty() {
                tell!(self, "rebalancing: {moves:?}");
                self.rebalances += 1;
                self.audit.rebalanced(&moves)?;
            }
            let Some((worker, range)) = self.workload.next_assignment(elapsed) else { return Ok(()) };
            self.audit.assigned(worker, range)?;
            if self.assign(worker, range).is_err() {
                self.lose(worker, None)?;
            }
        }
    }

    fn assign(&mut self, worker: usize, range: SeqRange) -> Result<(), ()> {
        tell!(self, "receiver {worker} gets SEQ {} to {}", range.first(), range.end());
        if self.threads[worker].doing == Doing::Unborn {
            if self.scenario.receivers[worker].start == Start::NoThread {
                self.exercised.note(Class::Unusable);
                return Err(());
            }
            self.spawn(worker);
        }
        self.threads[worker].work.push_back(range);
        let at = self.now + self.latency();
        self.at(at, What::Work(worker));
        Ok(())
    }

    fn spawn(&mut self, worker: usize) {
        let parts = Parts {
            tid: self.scenario.tid,
            timing: self.scenario.timing,
            lane: Arc::clone(self.workload.workers()[worker].lane()),
            ping: ping(self.scenario, worker),
            deadline: self.scenario.deadline.map(|limit| self.start + limit),
        };
        self.threads[worker].machine = Some((self.maker)(parts));
        self.threads[worker].doing = Doing::Nothing;
    }
}
