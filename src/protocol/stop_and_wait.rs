//! Stop-and-wait with one receiver: at most one SEQ is outstanding; a retransmission is only ever of that SEQ, and only
//! ever when its timer fires (RFC 1123, 4.2.3.1: a stale ack must not resend).
//!
//! No I/O. The caller asks [`StopAndWait::poll`] what to do, tells of each datagram, and polls again by the deadline it was
//! given. Polling early is harmless.

use super::first_timeout::AckToPing;
use super::lane::Lane;
use super::message::Ack;
use super::rto::{Rto, Timing};
use super::{Seq, Tid};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many transmissions refused in a row, each on its own timer, and the receiver is lost.
pub const MAX_REFUSALS: u32 = 5;

/// Until the first ack the machine asks to be polled at least this often, in parts of the first time-out: what others
/// learn may bring the time-out down, and a thread that waits for a datagram hears nothing.
const FIRST_WAIT_SLICES: u32 = 12;

/// What the caller is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this packet, then poll again.
    Transmit {
        /// Which packet.
        seq: Seq,
        /// 1 the first time.
        transmission: u32,
    },
    /// Wait for a datagram until this instant, then poll again.
    Wait(Instant),
    /// The range is acknowledged to its end: get more work.
    Idle,
    /// The receiver is lost.
    Lost(LostCause),
    /// The transfer's deadline has passed.
    Expired,
}

/// Why a receiver is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCause {
    /// No ack of a SEQ in the give-up time.
    Silent {
        /// Since it was first sent.
        waited: Duration,
        /// How often it was sent.
        transmissions: u32,
    },
    /// [`MAX_REFUSALS`] in a row.
    Refused,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The outstanding packet's ack, this long after its last transmission.
    Acked(Duration),
    /// Anything else. Counted; it changes nothing.
    Ignored,
}

/// The machine of one receiver, for the whole transfer: ranges come and go, what it knows of the round trip stays.
#[derive(Debug)]
pub struct StopAndWait {
    tid: Tid,
    timing: Timing,
    rto: Rto,
    lane: Arc<Lane>,
    /// The receiver's ping and what others' acks have shown, while its own round trip is unknown.
    first: Option<(Duration, Arc<AckToPing>)>,
    /// The end of the whole transfer.
    deadline: Option<Instant>,
    outstanding: Option<Outstanding>,
    /// The last SEQ acknowledged after a retransmission, and its last time-out.
    retransmitted: Option<(Seq, Duration)>,
    refusals: u32,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    seq: Seq,
    first_sent: Instant,
    last_sent: Instant,
    transmissions: u32,
    rto: Duration,
    refused: bool,
}

impl StopAndWait {
    /// A machine with nothing outstanding. With `first` (the receiver's ping, and what all receivers share), the first
    /// time-out may come down. After `deadline` it sends nothing more.
    pub fn new(
        tid: Tid,
        timing: Timing,
        lane: Arc<Lane>,
        first: Option<(Duration, Arc<AckToPing>)>,
        deadline: Option<Instant>,
    ) -> Self {
        let first = first.filter(|_| !timing.fixed);
        let rto = Rto::new(timing);
        Self { tid, timing, rto, lane, first, deadline, outstanding: None, retransmitted: None, refusals: 0 }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Instant) -> Step {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Step::Expired;
        }
        let Some(out) = self.outstanding else { return self.transmit_next(now) };
        if self.refusals >= MAX_REFUSALS {
            return Step::Lost(LostCause::Refused);
        }
        let given_up = out.first_sent + self.timing.give_up;
        if now >= given_up {
            let waited = now.saturating_duration_since(out.first_sent);
            return Step::Lost(LostCause::Silent { waited, transmissions: out.transmissions });
        }
        let timer = self.timer(&out);
        if now >= timer { self.retransmit(out, now) } else { self.wait(timer.min(given_up), now) }
    }

    /// How long to wait for a datagram before the next poll, right after a transmission at `now`: what polling at once
    /// would say, but in the usual case without reckoning with the clock.
    pub fn patience(&mut self, now: Instant) -> Duration {
        let usual = self.first.is_none() && self.deadline.is_none() && self.refusals == 0;
        match &self.outstanding {
            Some(out) if usual && out.transmissions == 1 => out.rto,
            _ => match self.poll(now) {
                Step::Wait(until) => until.saturating_duration_since(now),
                _ => Duration::ZERO,
            },
        }
    }

    /// Takes a datagram that came at `now`. Only the outstanding SEQ's ack moves the machine.
    pub fn datagram(&mut self, now: Instant, datagram: &[u8]) -> Received {
        match (Ack::parse(datagram), self.outstanding) {
            (Some(ack), Some(out)) if ack.tid == self.tid && ack.seq == out.seq => self.acked(out, now),
            (Some(ack), _) if ack.tid == self.tid => self.stale(ack.seq),
            _ => self.ignored(),
        }
    }

    /// The outstanding packet's ack came at `now`, as [`DataPacket::is_acked_by`](super::DataPacket::is_acked_by) found:
    /// the quick way of what [`datagram`](Self::datagram) does.
    pub fn acknowledged(&mut self, now: Instant) -> Received {
        match self.outstanding {
            Some(out) => self.acked(out, now),
            None => self.ignored(),
        }
    }

    /// The last transmission was refused: nobody listens at the receiver's port.
    pub fn refused(&mut self) {
        if let Some(out) = self.outstanding.as_mut().filter(|out| !out.refused) {
            out.refused = true;
            self.refusals += 1;
        }
    }

    /// The packet that waits for its ack.
    pub fn outstanding(&self) -> Option<Seq> {
        self.outstanding.map(|out| out.seq)
    }

    fn transmit_next(&mut self, now: Instant) -> Step {
        let Some(seq) = self.lane.claim() else { return Step::Idle };
        let rto = self.rto.initial();
        self.outstanding =
            Some(Outstanding { seq, first_sent: now, last_sent: now, transmissions: 1, rto, refused: false });
        self.lane.count_transmission(1);
        Step::Transmit { seq, transmission: 1 }
    }

    fn retransmit(&mut self, out: Outstanding, now: Instant) -> Step {
        if !out.refused {
            self.refusals = 0;
        }
        let transmission = out.transmissions.saturating_add(1);
        // What really passed and not what was set: the first time-out may have come down meanwhile.
        let passed = self.timer(&out).saturating_duration_since(out.last_sent);
        let rto = self.rto.backed_off(passed);
        self.outstanding =
            Some(Outstanding { last_sent: now, transmissions: transmission, rto, refused: false, ..out });
        self.lane.count_transmission(transmission);
        Step::Transmit { seq: out.seq, transmission }
    }

    /// When the outstanding packet's timer fires.
    fn timer(&self, out: &Outstanding) -> Instant {
        let expected = match &self.first {
            Some((ping, known)) if out.transmissions == 1 => known.first_timeout(*ping),
            _ => None,
        };
        out.last_sent + expected.map_or(out.rto, |expected| expected.min(out.rto))
    }

    fn wait(&self, until: Instant, now: Instant) -> Step {
        let until = self.deadline.map_or(until, |deadline| deadline.min(until));
        Step::Wait(match self.first {
            Some(_) => until.min(now + self.timing.first() / FIRST_WAIT_SLICES),
            None => until,
        })
    }

    fn acked(&mut self, out: Outstanding, now: Instant) -> Received {
        let round_trip = now.saturating_duration_since(out.first_sent);
        let mut after = round_trip;
        if out.transmissions == 1 {
            self.rto.clean_sample(round_trip);
            self.rto.srtt().inspect(|&srtt| self.lane.publish_srtt(srtt));
            if let Some((ping, known)) = &self.first {
                known.learn(round_trip, *ping);
            }
        } else {
            self.rto.ambiguous_ack(out.rto);
            self.retransmitted = Some((out.seq, out.rto));
            after = now.saturating_duration_since(out.last_sent);
        }
        self.first = None;
        self.outstanding = None;
        self.refusals = 0;
        self.lane.count_ack(now, round_trip);
        Received::Acked(after)
    }

    fn stale(&mut self, seq: Seq) -> Received {
        if let Some((_, rto)) = self.retransmitted.take_if(|(retransmitted, _)| *retransmitted == seq) {
            self.rto.needless_retransmission(rto);
        }
        self.ignored()
    }

    fn ignored(&mut self) -> Received {
        self.lane.count_ignored();
        Received::Ignored
    }
}

#[cfg(test)]
mod tests;
