//! A receiver's thread: what `Sender` in sender.rs does.

use super::{Doing, Signal, Simulation, What, tell};
use crate::simulation::audit::{Check, Rule, Violation};
use crate::simulation::network::Arrival;
use crate::simulation::scenario::Start;
use crate::simulation::tally::Class;
use mdalp::protocol::message::Ack;
use mdalp::protocol::stop_and_wait::{LostCause, Received, Step};
use mdalp::protocol::{Seq, SeqRange};
use std::time::{Duration, Instant};

/// Waits above this are taken in slices by the sender.
const LONG_WAIT: Duration = Duration::from_millis(250);

/// So many datagrams fit into a socket's buffer.
const SOCKET_BUFFER: usize = 256;

/// So many polls at one instant make an endless loop.
const MOST_POLLS: u32 = 5_000;

impl Simulation<'_> {
    pub(super) fn signal(&mut self, worker: usize, signal: Signal) {
        self.main.signals.push_back((worker, signal));
        let at = self.now + self.latency();
        self.at(at, What::Main);
    }

    fn end(&mut self, worker: usize, signal: Signal) {
        self.threads[worker].doing = Doing::Ended;
        self.signal(worker, signal);
    }

    pub(super) fn thread_takes_work(&mut self, worker: usize) -> Check {
        if self.threads[worker].doing != Doing::Nothing {
            return Ok(());
        }
        if self.scenario.receivers[worker].start == Start::NoSocket {
            self.exercised.note(Class::Unusable);
            self.end(worker, Signal::Lost(None));
            return Ok(());
        }
        let Some(range) = self.threads[worker].work.pop_front() else { return Ok(()) };
        self.threads[worker].doing = Doing::Sending(range);
        self.send_range(worker)
    }

    /// `Sender::send_range` from one blocking wait to the next.
    fn send_range(&mut self, worker: usize) -> Check {
        let Doing::Sending(range) = self.threads[worker].doing else { return Ok(()) };
        self.threads[worker].wakes_at = None;
        for _ in 0..MOST_POLLS {
            let Some(machine) = self.threads[worker].machine.as_mut() else { return Ok(()) };
            match machine.poll(self.now) {
                Step::Transmit { seq, transmission } => {
                    // The sender waits so long without asking again: it must be what a poll would say.
                    let patience = machine.patience(self.now);
                    self.transmit(worker, &range, seq, transmission)?;
                    self.is_patient(worker, patience)?;
                }
                Step::Wait(until) => {
                    self.audit.waits(self.now, worker, until)?;
                    self.threads[worker].until = until;
                    if !self.receives_at_once(worker)? {
                        self.block(worker, until);
                        return Ok(());
                    }
                }
                Step::Idle => {
                    self.audit.idle(worker)?;
                    self.threads[worker].doing = Doing::Nothing;
                    self.signal(worker, Signal::Completed);
                    return Ok(());
                }
                Step::Lost(cause) => {
                    tell!(self, "receiver {worker} is given up: {cause:?}");
                    let first_unacked = machine.outstanding();
                    self.audit.gives_up(self.now, worker, cause)?;
                    if cause == LostCause::Refused {
                        self.exercised.note(Class::LostToRefusals);
                    }
                    self.end(worker, Signal::Lost(first_unacked));
                    return Ok(());
                }
                Step::Expired => {
                    self.audit.expired(self.now, worker)?;
                    self.end(worker, Signal::Stopped);
                    return Ok(());
                }
            }
        }
        Err(Violation { rule: Rule::Ends, what: format!("receiver {worker} polls without end") })
    }

    fn is_patient(&mut self, worker: usize, patience: Option<Duration>) -> Check {
        let (Some(patience), Some(machine)) = (patience, self.threads[worker].machine.as_mut()) else {
            return Ok(());
        };
        match machine.poll(self.now) {
            Step::Wait(until) if until == self.now + patience => Ok(()),
            step => Err(Violation {
                rule: Rule::Ends,
                what: format!("waits {patience:?}, but a poll says {step:?}"),
            }),
        }
    }

    fn transmit(&mut self, worker: usize, range: &SeqRange, seq: Seq, transmission: u32) -> Check {
        tell!(self, "SEQ {seq} to receiver {worker}, transmission {transmission}");
        let bytes = range.packet_bytes(seq);
        let payload = &self.scenario.payload[bytes.start as usize..bytes.end as usize];
        let thread = &mut self.threads[worker];
        let datagram = thread.packet.write(seq, payload).unwrap_or_default();
        self.audit.transmits(self.now, worker, (seq, transmission), datagram)?;
        if transmission > 1 {
            self.exercised.note(Class::Retransmission);
            thread.retransmitted = Some(seq);
        }
        if self.audit.is_new(worker) {
            thread.first.transmissions = transmission;
            thread.first_sent.get_or_insert(self.now);
            if let Some(sent) = thread.first_sent.filter(|_| transmission == 2) {
                thread.first.resent_after.get_or_insert(self.now - sent);
            }
        }
        // A pending error is reported by the send, which then is repeated and succeeds.
        thread.pending_refusal = false;
        for (at, arrival) in self.network.send(self.now, worker, transmission, datagram) {
            self.at(at, What::Arrival(worker, arrival));
        }
        Ok(())
    }

    /// `Wire::receive`, if it need not wait. Returns whether it has received anything.
    fn receives_at_once(&mut self, worker: usize) -> Result<bool, Violation> {
        let thread = &mut self.threads[worker];
        let Some(machine) = thread.machine.as_mut() else { return Ok(false) };
        if std::mem::take(&mut thread.pending_refusal) {
            tell!(self, "receiver {worker} refuses");
            machine.refused();
            self.audit.refused(worker);
            self.exercised.note(Class::Refusal);
            return Ok(true);
        }
        let Some(datagram) = thread.inbox.pop_front() else { return Ok(false) };
        let ack = Ack::parse(&datagram).filter(|ack| ack.tid == self.scenario.tid);
        let outstanding = machine.outstanding();
        if ack.is_some_and(|ack| Some(ack.seq) == outstanding && !self.network.has(worker, ack.seq)) {
            // A receiver that lies: nobody can tell.
            return Ok(true);
        }
        if self.now < thread.until {
            self.exercised.note(Class::EarlyPoll);
        }
        let received = match thread.packet.is_acked_by(&datagram) {
            true => machine.acknowledged(self.now),
            false => machine.datagram(self.now, &datagram),
        };
        let after = machine.outstanding();
        tell!(self, "from receiver {worker}: {}: {received:?}", datagram.escape_ascii());
        self.audit.received(self.now, worker, (&datagram, received), after, &self.network)?;
        if let Received::Acked(_) = received {
            let first_sent = thread.first_sent.unwrap_or(self.now);
            thread.first.acked_after.get_or_insert(self.now - first_sent);
        } else if ack.is_some_and(|ack| thread.retransmitted == Some(ack.seq)) {
            self.exercised.note(Class::Needless);
        }
        Ok(true)
    }

    /// Blocks in `recv` until the wait, or its first slice, ends.
    fn block(&mut self, worker: usize, until: Instant) {
        let wait = until - self.now;
        let scheduling = self.scenario.scheduling;
        let mut slice = if wait > LONG_WAIT { wait / 8 * 7 } else { wait };
        if self.rng.chance(scheduling.spurious) {
            slice = slice.mul_f64(self.rng.unit());
        } else if scheduling.late > 0.0 {
            slice = slice.mul_f64(1.0 + scheduling.late * self.rng.unit());
        }
        let latency = self.latency();
        self.wake(worker, self.now + slice + latency);
    }

    fn wake(&mut self, worker: usize, at: Instant) {
        let thread = &mut self.threads[worker];
        thread.wakes_at = Some(at);
        // An event that comes before does as well: it then sees that it is too early.
        if thread.timer.is_none_or(|timer| timer > at) {
            thread.timer = Some(at);
            self.at(at, What::Timer(worker));
        }
    }

    pub(super) fn timer_fires(&mut self, worker: usize, at: Instant) -> Check {
        let thread = &mut self.threads[worker];
        if thread.timer != Some(at) {
            return Ok(());
        }
        thread.timer = None;
        match thread.wakes_at {
            Some(wakes_at) if wakes_at > self.now => self.wake(worker, wakes_at),
            Some(_) => {
                if self.now < thread.until {
                    self.exercised.note(Class::EarlyPoll);
                }
                // A thread that was waiting has whatever arrived meanwhile.
                self.receives_at_once(worker)?;
                return self.send_range(worker);
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn arrives(&mut self, worker: usize, arrival: Arrival) -> Check {
        match arrival {
            Arrival::AtReceiver { datagram, assured } => {
                for (at, arrival) in self.network.receive(self.now, worker, &datagram, assured) {
                    self.at(at, What::Arrival(worker, arrival));
                }
                return Ok(());
            }
            Arrival::AtClient(datagram) => {
                let ended = self.threads[worker].doing == Doing::Ended;
                let ack = Ack::parse(&datagram).filter(|ack| ack.tid == self.scenario.tid);
                if ended && ack.is_some_and(|ack| self.network.has(worker, ack.seq)) {
                    self.exercised.note(Class::TooLateBack);
                }
                let assured = self.scenario.receivers[worker].reliable;
                let inbox = &mut self.threads[worker].inbox;
                if !ended && (inbox.len() < SOCKET_BUFFER || assured) {
                    inbox.push_back(datagram);
                }
            }
            Arrival::Refusal => self.threads[worker].pending_refusal = true,
        }
        if let Some(wakes_at) = self.threads[worker].wakes_at {
            let latency = self.latency();
            self.wake(worker, wakes_at.min(self.now + latency));
        }
        Ok(())
    }
}
