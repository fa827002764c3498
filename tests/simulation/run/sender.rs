//! A receiver's thread: it waits, sends, receives, and does what the machine says.

use super::{Simulation, ThreadState, What, trace};
use crate::loopback::wire;
use crate::simulation::audit::{Check, Rule, Violation};
use crate::simulation::network::Arrival;
use crate::simulation::scenario::Start;
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::Signal;
use mdalp::protocol::stop_and_wait::{ExitReason, Received, Step};
use mdalp::protocol::{LossReason, Seq, WorkerId};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Waits above this are taken in slices by the sender.
const LONG_WAIT: Duration = Duration::from_millis(250);

/// So many datagrams fit into a socket's buffer.
const SOCKET_BUFFER: usize = 256;

/// So many polls at one instant make an endless loop.
const MOST_POLLS: u32 = 5_000;

impl Simulation<'_> {
    fn signal(&mut self, worker: usize, signal: Signal) {
        self.signals.push_back((WorkerId(worker), signal));
        let at = self.now + self.latency();
        self.at(at, What::Main);
    }

    fn exit(&mut self, worker: usize, reason: ExitReason) {
        self.threads[worker].state = ThreadState::Ended;
        self.signal(worker, Signal::Exited(reason));
    }

    pub(super) fn thread_gets_work(&mut self, worker: usize) -> Check {
        if self.threads[worker].state != ThreadState::WaitingForWork {
            return Ok(());
        }
        if self.scenario.receivers[worker].start == Start::NoSocket {
            self.exercised.note(Class::Unusable);
            let reason = LossReason::LocalFailure { what: "socket", error: String::new() };
            self.exit(worker, ExitReason::Lost(reason));
            return Ok(());
        }
        let thread = &mut self.threads[worker];
        let (Some(range), Some(machine)) = (thread.work.pop_front(), &mut thread.machine) else {
            return Ok(());
        };
        machine.begin(range);
        thread.state = ThreadState::Sending;
        self.send_range(worker, false)
    }

    /// From one blocking wait to the next. A thread may be held up between the poll that gives a packet out and the send, by a
    /// slow disk or by whoever reads its trace.
    pub(super) fn send_range(&mut self, worker: usize, mut held_up: bool) -> Check {
        self.threads[worker].wakes_at = None;
        for _ in 0..MOST_POLLS {
            let Some(machine) = &mut self.threads[worker].machine else { return Ok(()) };
            let step = if held_up { machine.postpone(self.now) } else { machine.poll(self.now) };
            match step {
                Step::Transmit { seq, transmission, bytes, wait } => {
                    if !std::mem::take(&mut held_up)
                        && let Some(stall) = self.stall()
                    {
                        self.exercised.note(Class::SenderStall);
                        self.audit.held_up(worker, transmission, stall);
                        self.at(self.now + stall, What::Resume(worker));
                        return Ok(());
                    }
                    self.transmit(worker, seq, transmission, bytes)?;
                    self.threads[worker].until = self.now + wait;
                }
                Step::Wait(until) => self.threads[worker].until = until,
                Step::Idle => {
                    self.audit.idle(worker)?;
                    self.threads[worker].state = ThreadState::WaitingForWork;
                    self.signal(worker, Signal::Completed);
                    return Ok(());
                }
                Step::Ended(reason) => {
                    trace!(self, "receiver {worker} ends: {reason:?}");
                    self.audit.exits(self.now, worker, &reason)?;
                    self.exit(worker, reason);
                    return Ok(());
                }
            }
            self.audit.waits(self.now, worker, self.threads[worker].until)?;
            if !self.receive_one(worker)? {
                self.block(worker);
                return Ok(());
            }
            // A timer counts only if nothing is waiting.
            while self.now >= self.threads[worker].until && self.receive_one(worker)? {}
        }
        Err(Violation { rule: Rule::Ends, what: format!("receiver {worker} polls without end") })
    }

    fn transmit(&mut self, worker: usize, seq: Seq, transmission: u32, bytes: Range<u64>) -> Check {
        trace!(self, "SEQ {seq} to receiver {worker}, transmission {transmission}");
        let payload = &self.scenario.payload[bytes.start as usize..bytes.end as usize];
        let thread = &mut self.threads[worker];
        let datagram =
            thread.machine.as_mut().map(|machine| machine.encode(seq, payload)).unwrap_or_default();
        self.audit.transmits(self.now, worker, (seq, transmission), &datagram)?;
        if self.audit.is_new(worker) {
            thread.first.transmissions = transmission;
            let first_sent = *thread.first_sent.get_or_insert(self.now);
            if transmission == 2 {
                thread.first.resent_after.get_or_insert(self.now - first_sent);
            }
        }
        // A pending error is reported by the send, which then is repeated and succeeds.
        thread.pending_refusal = false;
        for (at, arrival) in self.network.send(self.now, worker, transmission, &datagram) {
            self.at(at, What::Arrival(worker, arrival));
        }
        Ok(())
    }

    /// `recv`, if it need not wait. Returns whether it has received anything.
    fn receive_one(&mut self, worker: usize) -> Result<bool, Violation> {
        let thread = &mut self.threads[worker];
        let Some(machine) = thread.machine.as_mut() else { return Ok(false) };
        if std::mem::take(&mut thread.pending_refusal) {
            trace!(self, "receiver {worker} refuses");
            machine.handle_refusal();
            self.audit.refused(worker);
            return Ok(true);
        }
        let Some(datagram) = thread.inbox.pop_front() else { return Ok(false) };
        let ack = wire::parse_ack(&datagram).filter(|&(tid, _)| tid == self.scenario.tid.0);
        let outstanding = machine.outstanding();
        if ack.is_some_and(|(_, seq)| Some(Seq(seq)) == outstanding && !self.network.has(worker, Seq(seq))) {
            // A receiver that lies: no client can tell.
            return Ok(true);
        }
        if self.now < thread.until {
            self.exercised.note(Class::EarlyPoll);
        }
        let received = machine.handle_datagram(self.now, &datagram);
        let after = machine.outstanding();
        trace!(self, "from receiver {worker}: {}: {received:?}", datagram.escape_ascii());
        self.audit.received(self.now, worker, (&datagram, received), after, &self.network)?;
        if received != Received::Ignored {
            let first_sent = thread.first_sent.unwrap_or(self.now);
            thread.first.acked_after.get_or_insert(self.now - first_sent);
        }
        Ok(true)
    }

    /// Blocks in `recv` until the wait, or its first slice, ends.
    fn block(&mut self, worker: usize) {
        let wait = self.threads[worker].until.saturating_duration_since(self.now);
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
                // One datagram ends the wait; a timer counts only if none is waiting.
                while self.receive_one(worker)? && self.now >= self.threads[worker].until {}
                return self.send_range(worker, false);
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn arrives(&mut self, worker: usize, arrival: Arrival) {
        match arrival {
            Arrival::AtReceiver { datagram, assured } => {
                for (at, arrival) in self.network.receive(self.now, worker, &datagram, assured) {
                    self.at(at, What::Arrival(worker, arrival));
                }
                return;
            }
            Arrival::AtClient(datagram) => {
                let ended = self.threads[worker].state == ThreadState::Ended;
                let ack = wire::parse_ack(&datagram).filter(|&(tid, _)| tid == self.scenario.tid.0);
                if ended && ack.is_some_and(|(_, seq)| self.network.has(worker, Seq(seq))) {
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
    }
}
