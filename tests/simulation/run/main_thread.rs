//! The main thread: it hands over what is pending, and does what the scheduler says.

use super::{Event, Simulation, trace};
use crate::simulation::audit::Check;
use crate::simulation::scenario::Start;
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::{Signal, Step};
use mdalp::protocol::stop_and_wait::ExitReason;
use mdalp::protocol::{LossReason, SeqRange, WorkerId};
use std::time::Instant;

impl Simulation<'_> {
    /// Ends the main thread's wait at this time, unless it ends before; one that is held up comes later.
    pub(super) fn wake_main(&mut self, at: Instant) {
        let at = at.max(self.held_until);
        if self.outcome.is_some() || self.main_timer.is_some_and(|(before, _)| before <= at) {
            return;
        }
        if let Some(later) = self.main_timer.take() {
            self.events.remove(&later);
        }
        self.main_timer = Some(self.at(at, Event::MainWakes));
    }

    pub(super) fn main_wakes(&mut self) -> Check {
        self.main_timer = None;
        if let Some(stall) = self.stall() {
            self.audit.exercised.insert(Class::MainStall);
            self.held_until = self.now + stall;
            self.wake_main(self.held_until);
            return Ok(());
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
                    self.audit.notice(self.now, &notice)?;
                }
                Step::Wait(until) => {
                    self.audit.settled(&self.scheduler)?;
                    if let Some(until) = until {
                        let at = until.max(self.now) + self.latency();
                        self.wake_main(at);
                    }
                    return Ok(());
                }
                Step::Done(outcome) => {
                    let elapsed = self.now - self.start;
                    self.audit.settled(&self.scheduler)?;
                    self.audit.ends(outcome, elapsed, &self.scheduler, &self.network)?;
                    self.outcome = Some((outcome, elapsed));
                    return Ok(());
                }
            }
        }
    }

    fn assign(&mut self, worker: WorkerId, range: SeqRange) {
        trace!(self, "receiver {worker:?} gets SEQ {range}");
        if self.scenario.receivers[worker.0].start == Start::NoThread {
            self.audit.exercised.insert(Class::Unusable);
            let reason = LossReason::LocalFailure { what: "thread", error: String::new() };
            self.scheduler.handle(self.now, worker, Signal::Exited(ExitReason::Lost(reason)));
            return;
        }
        let at = self.now + self.latency();
        self.at(at, Event::Work(worker.0, range));
    }
}
