//! The machine that is put to the test: the real one, or one of those that break a promise.

use mdalp::protocol::lane::Lane;
use mdalp::protocol::rto::RtoConfig;
use mdalp::protocol::stop_and_wait::{Received, Step, StopAndWait};
use mdalp::protocol::{Seq, Tid};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a sender's thread uses of its machine.
pub trait Machine {
    fn poll(&mut self, now: Instant) -> Step;
    fn datagram(&mut self, now: Instant, datagram: &[u8]) -> Received;
    /// The outstanding packet's ack, found by comparing it with the packet.
    fn acknowledged(&mut self, now: Instant) -> Received;
    /// How long to wait right after a transmission; `None` if the machine only answers to `poll`.
    fn patience(&mut self, now: Instant) -> Option<Duration>;
    fn refused(&mut self);
    fn outstanding(&self) -> Option<Seq>;
}

impl Machine for StopAndWait {
    fn poll(&mut self, now: Instant) -> Step {
        self.poll(now)
    }

    fn datagram(&mut self, now: Instant, datagram: &[u8]) -> Received {
        self.datagram(now, datagram)
    }

    fn acknowledged(&mut self, now: Instant) -> Received {
        self.acknowledged(now)
    }

    fn patience(&mut self, now: Instant) -> Option<Duration> {
        Some(self.patience(now))
    }

    fn refused(&mut self) {
        self.refused();
    }

    fn outstanding(&self) -> Option<Seq> {
        self.outstanding()
    }
}

/// What a machine is made of.
pub struct Parts {
    pub tid: Tid,
    pub timing: RtoConfig,
    pub lane: Arc<Lane>,
    pub ping: Option<Duration>,
    pub deadline: Option<Instant>,
}

impl Parts {
    /// The machine that the client uses.
    pub fn machine(self) -> StopAndWait {
        StopAndWait::new(self.tid, self.timing, self.lane, self.ping, self.deadline)
    }
}

/// Makes a receiver's machine.
pub type Maker<'a> = &'a dyn Fn(Parts) -> Box<dyn Machine>;

/// Makes the real one.
pub fn real(parts: Parts) -> Box<dyn Machine> {
    Box::new(parts.machine())
}
