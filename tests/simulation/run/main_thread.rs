//! The main thread: it hands over what is pending, and does what the scheduler says.

use super::{Simulation, ThreadState, What, trace};
use crate::simulation::audit::Check;
use crate::simulation::scenario::Start;
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::{Signal, Step};
use mdalp::protocol::stop_and_wait::ExitReason;
use mdalp::protocol::{LossReason, SeqRange, WorkerId};
use std::time::{Duration, Instant};

impl Simulation<'_> {
    pub(super) fn main_thread_wakes(&mut self) -> Check {
        if self.now < self.held_until {
            return Ok(());
        }
        if self.outcome.is_none()
            && let Some(stall) = self.stall()
        {
            self.exercised.note(Class::MainStall);
            self.held_until = self.now + stall;
            self.at(self.held_until, What::Main);
            return Ok(());
        }
        self.main_thread_runs()
    }

    pub(super) fn main_thread_runs(&mut self) -> Check {
        if self.outcome.is_some() {
            return Ok(());
        }
        if !self.signals.is_empty() {
            self.laziness = Duration::ZERO;
        }
        while let Some((worker, signal)) = self.signals.pop_front() {
            trace!(self, "receiver {worker:?}: {signal:?}");
            self.scheduler.handle(self.now, worker, signal);
        }
        loop {
            match self.scheduler.poll(self.now) {
                Step::Assign(worker, range) => {
                    self.audit.assigned(self.now, worker, range)?;
                    self.assign(worker, range);
                }
                Step::Report(notice) => {
                    trace!(self, "{notice:?}");
                    self.audit.notice(&notice)?;
                }
                Step::Wait(until) => {
                    self.audit.settled(&self.scheduler)?;
                    self.look_again(until);
                    return Ok(());
                }
                Step::Done(outcome) => {
                    self.audit.settled(&self.scheduler)?;
                    self.audit.ends(outcome, self.now - self.start, &self.scheduler, &self.network)?;
                    self.outcome = Some((outcome, self.now));
                    return Ok(());
                }
            }
        }
    }

    /// A thread that waits is woken late, but a lazy one only where the exact end does not matter.
    fn look_again(&mut self, until: Option<Instant>) {
        let Some(until) = until else { return };
        let deadline = self.scenario.deadline.map(|limit| self.start + limit);
        let mut at = until.max(self.now) + self.latency();
        if self.scenario.scheduling.lazy_ticks {
            self.laziness = (self.laziness * 17 / 16 + Duration::from_millis(3)).min(Duration::from_secs(10));
            at = deadline.unwrap_or(at + self.laziness).min(at + self.laziness);
        }
        self.at(at, What::Main);
    }

    fn assign(&mut self, worker: WorkerId, range: SeqRange) {
        trace!(self, "receiver {worker:?} gets SEQ {range}");
        let at = self.now + self.latency();
        let start = self.scenario.receivers[worker.0].start;
        let thread = &mut self.threads[worker.0];
        if thread.state == ThreadState::NotStarted {
            if start == Start::NoThread {
                self.exercised.note(Class::Unusable);
                let reason = LossReason::LocalFailure { what: "thread", error: String::new() };
                self.scheduler.handle(self.now, worker, Signal::Exited(ExitReason::Lost(reason)));
                return;
            }
            thread.machine = Some((self.maker)(self.scenario, &self.scheduler, worker));
            thread.state = ThreadState::WaitingForWork;
        }
        thread.work.push_back(range);
        self.at(at, What::Work(worker.0));
    }
}
