//! The main thread: it hands over what is pending, and does what the scheduler says.

use super::{Event, Simulation, trace};
use crate::simulation::audit::Check;
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::Step;
use mdalp::protocol::{SeqRange, WorkerId};
use std::time::Instant;

impl Simulation<'_> {
    /// Ends the main thread's wait by this time; one that is held up comes later.
    pub(super) fn wake_main(&mut self, at: Instant) {
        if self.outcome.is_none() {
            let timer = self.at_the_latest(self.main_timer, at.max(self.held_until), Event::MainWakes);
            self.main_timer = Some(timer);
        }
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
                    let elapsed = self.now - self.scenario.start();
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
        if let Some(exited) = self.cannot_start(worker.0, "thread") {
            self.scheduler.handle(self.now, worker, exited);
            return;
        }
        let at = self.now + self.latency();
        self.at(at, Event::Work(worker.0, range));
    }
}
