//! A receiver's thread: it waits, sends, receives, and does what the machine says.

use super::{Event, Simulation, trace};
use crate::loopback::wire;
use crate::simulation::audit::{Check, Violation};
use crate::simulation::network::{Arrival, Arrivals};
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::Signal;
use mdalp::protocol::stop_and_wait::{ExitReason, Step, first_slice};
use mdalp::protocol::{LossReason, Seq, SeqRange, WorkerId};
use std::ops::Range;

impl Simulation<'_> {
    fn signal(&mut self, worker: usize, signal: Signal) {
        self.signals.push_back((WorkerId(worker), signal));
        let at = self.now + self.latency();
        self.wake_main(at);
    }

    fn exit(&mut self, worker: usize, exited: Signal) {
        self.threads[worker].ended = true;
        self.signal(worker, exited);
    }

    /// The end of a thread, if this is what it lacks.
    pub(super) fn cannot_start(&mut self, worker: usize, what: &'static str) -> Option<Signal> {
        let reason = LossReason::LocalFailure { what, error: String::new() };
        let lacks = self.scenario.receivers[worker].lacks == Some(what);
        lacks.then(|| {
            self.audit.exercised.insert(Class::Unusable);
            Signal::Exited(ExitReason::Lost(reason))
        })
    }

    pub(super) fn begin(&mut self, worker: usize, range: SeqRange) -> Check {
        if let Some(exited) = self.cannot_start(worker, "socket") {
            self.exit(worker, exited);
            return Ok(());
        }
        self.threads[worker].machine.begin(range);
        self.audit.begins(worker);
        self.send_range(worker, false)
    }

    /// From one blocking wait to the next. A thread may be held up between the poll that gives a packet out and the send, by a
    /// slow disk or by whoever reads its trace.
    pub(super) fn send_range(&mut self, worker: usize, mut held_up: bool) -> Check {
        loop {
            let thread = &mut self.threads[worker];
            let step = match held_up {
                true => thread.machine.postpone(self.now),
                false => thread.mutant.poll(&mut thread.machine, self.now),
            };
            let until = match step {
                Step::Transmit { seq, transmission, bytes, wait } => {
                    if !std::mem::take(&mut held_up)
                        && let Some(stall) = self.stall()
                    {
                        self.audit.held_up(worker, transmission, stall);
                        self.at(self.now + stall, Event::Resume(worker));
                        return Ok(());
                    }
                    self.transmit(worker, seq, transmission, bytes)?;
                    self.now + wait
                }
                Step::Wait(until) => {
                    self.audit.exercised.insert(Class::EarlyPoll);
                    until
                }
                Step::Idle => {
                    self.audit.idle(worker)?;
                    self.signal(worker, Signal::Completed);
                    return Ok(());
                }
                Step::Ended(reason) => {
                    trace!(self, "receiver {worker} ends: {reason:?}");
                    self.audit.exits(self.now, worker, &reason)?;
                    self.exit(worker, Signal::Exited(reason));
                    return Ok(());
                }
            };
            self.audit.waits(self.now, worker, until)?;
            self.threads[worker].until = until;
            if !self.receive(worker)? {
                self.block(worker);
                return Ok(());
            }
        }
    }

    fn transmit(&mut self, worker: usize, seq: Seq, transmission: u32, bytes: Range<u64>) -> Check {
        trace!(self, "SEQ {seq} to receiver {worker}, transmission {transmission}");
        let payload = &self.scenario.payload[bytes.start as usize..bytes.end as usize];
        let thread = &mut self.threads[worker];
        // A pending error is reported by the send, which then is repeated and succeeds.
        thread.pending_refusal = false;
        let datagram = thread.machine.encode(seq, payload);
        self.audit.transmits(self.now, worker, (seq, transmission), datagram)?;
        let arrivals = self.network.send(self.now, worker, transmission, datagram);
        self.schedule(worker, arrivals);
        Ok(())
    }

    fn schedule(&mut self, worker: usize, arrivals: Arrivals) {
        for (at, arrival) in arrivals {
            self.at(at, Event::Arrival(worker, arrival));
        }
    }

    /// Receives one datagram. When the timer is due, it counts only if nothing is waiting: then, all up to an ack. Returns
    /// whether there was any.
    fn receive(&mut self, worker: usize) -> Result<bool, Violation> {
        let mut any = false;
        while let Some(acked) = self.receive_one(worker)? {
            any = true;
            if acked || self.now < self.threads[worker].until {
                break;
            }
        }
        Ok(any)
    }

    /// Receives one datagram, if any is waiting; returns whether it was the outstanding packet's ack.
    fn receive_one(&mut self, worker: usize) -> Result<Option<bool>, Violation> {
        let thread = &mut self.threads[worker];
        if std::mem::take(&mut thread.pending_refusal) {
            trace!(self, "receiver {worker} refuses");
            thread.machine.handle_refusal();
            self.audit.refused(worker);
            return Ok(Some(false));
        }
        let Some(datagram) = thread.inbox.pop_front() else { return Ok(None) };
        let outstanding = thread.machine.outstanding();
        let ack = wire::parse_ack(&datagram).filter(|&(tid, _)| tid == self.scenario.tid.0);
        if ack.is_some_and(|(_, seq)| Some(Seq(seq)) == outstanding && !self.network.has(worker, Seq(seq))) {
            // A receiver that lies: no client can tell.
            return Ok(Some(false));
        }
        let received = thread.mutant.handle_datagram(&mut thread.machine, self.now, &datagram);
        let after = thread.machine.outstanding();
        trace!(self, "from receiver {worker}: {}: {received:?}", datagram.escape_ascii());
        self.audit.received(self.now, worker, (&datagram, received), after, &self.network)?;
        Ok(Some(received.is_some()))
    }

    /// Blocks in `recv` until the wait, or its first slice, ends.
    fn block(&mut self, worker: usize) {
        let wait = self.threads[worker].until.saturating_duration_since(self.now);
        let scheduling = self.scenario.scheduling;
        let mut slice = first_slice(wait);
        if self.rng.chance(scheduling.spurious) {
            slice = slice.mul_f64(self.rng.unit());
        } else if scheduling.late > 0.0 {
            slice = slice.mul_f64(1.0 + scheduling.late * self.rng.unit());
        }
        let at = self.now + slice + self.latency();
        self.threads[worker].timer = Some(self.at(at, Event::Timer(worker)));
    }

    /// A thread may be held up when its wait has ended: then it comes later, whatever arrives meanwhile.
    pub(super) fn timer_fires(&mut self, worker: usize) -> Check {
        self.threads[worker].timer = None;
        if let Some(stall) = self.stall() {
            self.audit.exercised.insert(Class::LateWakeUp);
            self.at(self.now + stall, Event::Wakes(worker));
            return Ok(());
        }
        self.wakes(worker)
    }

    pub(super) fn wakes(&mut self, worker: usize) -> Check {
        self.receive(worker)?;
        self.send_range(worker, false)
    }

    pub(super) fn arrives(&mut self, worker: usize, arrival: Arrival) {
        match arrival {
            Arrival::AtReceiver { datagram, assured } => {
                let arrivals = self.network.receive(self.now, worker, &datagram, assured);
                self.schedule(worker, arrivals);
                return;
            }
            Arrival::AtClient(datagram) if self.threads[worker].ended => {
                let ack = wire::parse_ack(&datagram).filter(|&(tid, _)| tid == self.scenario.tid.0);
                if ack.is_some_and(|(_, seq)| self.network.has(worker, Seq(seq))) {
                    self.audit.exercised.insert(Class::TooLateBack);
                }
            }
            Arrival::AtClient(datagram) => self.threads[worker].inbox.push_back(datagram),
            Arrival::Refusal => self.threads[worker].pending_refusal = true,
        }
        // It ends the wait.
        if let Some(timer) = self.threads[worker].timer {
            let at = self.now + self.latency();
            self.threads[worker].timer = Some(self.at_the_latest(Some(timer), at, Event::Timer(worker)));
        }
    }
}
