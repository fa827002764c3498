//! The machine that is put to the test: the real one, or a mutant.

use super::scenario::Scenario;
use mdalp::protocol::scheduler::Scheduler;
use mdalp::protocol::stop_and_wait::{Received, Step, StopAndWait};
use mdalp::protocol::{Seq, SeqRange, WorkerId};
use std::time::Instant;

/// What a sender's thread uses of its machine.
pub trait Machine {
    fn begin(&mut self, range: SeqRange);
    fn poll(&mut self, now: Instant) -> Step;
    fn postpone(&mut self, now: Instant) -> Step;
    fn encode(&mut self, seq: Seq, payload: &[u8]) -> Vec<u8>;
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Received;
    fn handle_refusal(&mut self);
    /// For the audit alone.
    fn outstanding(&self) -> Option<Seq>;
}

impl Machine for StopAndWait {
    fn begin(&mut self, range: SeqRange) {
        self.begin(range);
    }

    fn poll(&mut self, now: Instant) -> Step {
        self.poll(now)
    }

    fn postpone(&mut self, now: Instant) -> Step {
        self.postpone(now)
    }

    fn encode(&mut self, seq: Seq, payload: &[u8]) -> Vec<u8> {
        self.encode(seq, payload).to_vec()
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Received {
        self.handle_datagram(now, datagram)
    }

    fn handle_refusal(&mut self) {
        self.handle_refusal();
    }

    fn outstanding(&self) -> Option<Seq> {
        self.outstanding()
    }
}

/// Makes a receiver's machine.
pub type Maker<'a> = &'a dyn Fn(&Scenario, &Scheduler, WorkerId) -> Box<dyn Machine>;

/// Makes the real one.
pub fn real(_: &Scenario, scheduler: &Scheduler, worker: WorkerId) -> Box<dyn Machine> {
    Box::new(scheduler.machine(worker))
}
