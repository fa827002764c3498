//! Stop-and-wait with one receiver: at most one SEQ is outstanding; a retransmission is only ever of that SEQ, and only
//! ever when its timer fires (RFC 1123, 4.2.3.1: a stale ack must not resend).
//!
//! No I/O. The caller asks [`StopAndWait::poll`] what to do, tells of each datagram, and polls again by the deadline it was
//! given. Polling early is harmless.

use super::lane::Lane;
use super::message::Ack;
use super::rto::{Rto, RtoConfig};
use super::{Seq, Tid};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many transmissions refused in a row, each on its own timer, and the receiver is lost.
pub const MAX_REFUSALS: u32 = 5;

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
    give_up: Duration,
    rto: Rto,
    lane: Arc<Lane>,
    /// The end of the whole transfer.
    deadline: Option<Instant>,
    outstanding: Option<Outstanding>,
    /// The last SEQ that was acknowledged after a retransmission.
    retransmitted: Option<Retransmitted>,
    refusals: u32,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    seq: Seq,
    first_sent: Instant,
    /// The first retransmission; `first_sent` before it.
    second_sent: Instant,
    last_sent: Instant,
    transmissions: u32,
    rto: Duration,
    refused: bool,
}

/// What a second ack of a SEQ makes a sample of.
#[derive(Clone, Copy, Debug)]
struct Retransmitted {
    seq: Seq,
    /// From the first transmission to the first ack.
    round_trip: Duration,
    second_sent: Instant,
}

impl StopAndWait {
    /// A machine with nothing outstanding. A `ping` that was measured or given makes the first timeout. After `deadline` it
    /// sends nothing more.
    pub fn new(
        tid: Tid,
        config: RtoConfig,
        lane: Arc<Lane>,
        ping: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Self {
        let (give_up, rto) = (config.give_up, Rto::new(config, ping));
        Self { tid, give_up, rto, lane, deadline, outstanding: None, retransmitted: None, refusals: 0 }
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
        let given_up = out.first_sent + self.give_up;
        if now >= given_up {
            let waited = now.saturating_duration_since(out.first_sent);
            return Step::Lost(LostCause::Silent { waited, transmissions: out.transmissions });
        }
        let timer = out.last_sent + out.rto;
        if now >= timer {
            return self.retransmit(out, now);
        }
        let until = timer.min(given_up);
        Step::Wait(self.deadline.map_or(until, |deadline| deadline.min(until)))
    }

    /// How long to wait for a datagram before the next poll, right after a transmission at `now`: what polling at once
    /// would say, but in the usual case without reckoning with the clock.
    pub fn patience(&mut self, now: Instant) -> Duration {
        let usual = self.deadline.is_none() && self.refusals == 0;
        match &self.outstanding {
            Some(out) if usual && out.transmissions == 1 => out.rto.min(self.give_up),
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
            (Some(ack), _) if ack.tid == self.tid => self.stale(ack.seq, now),
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
        let rto = self.rto.timeout();
        self.outstanding = Some(Outstanding {
            seq,
            first_sent: now,
            second_sent: now,
            last_sent: now,
            transmissions: 1,
            rto,
            refused: false,
        });
        self.lane.count_transmission(1);
        Step::Transmit { seq, transmission: 1 }
    }

    fn retransmit(&mut self, out: Outstanding, now: Instant) -> Step {
        if !out.refused {
            self.refusals = 0;
        }
        let transmission = out.transmissions.saturating_add(1);
        let rto = self.rto.backed_off(out.rto);
        let second_sent = if transmission == 2 { now } else { out.second_sent };
        self.outstanding = Some(Outstanding {
            second_sent,
            last_sent: now,
            transmissions: transmission,
            rto,
            refused: false,
            ..out
        });
        self.lane.count_transmission(transmission);
        Step::Transmit { seq: out.seq, transmission }
    }

    fn acked(&mut self, out: Outstanding, now: Instant) -> Received {
        let round_trip = now.saturating_duration_since(out.first_sent);
        let mut after = round_trip;
        if out.transmissions == 1 {
            self.sample(round_trip);
        } else {
            self.rto.on_ambiguous_ack();
            let Outstanding { seq, second_sent, .. } = out;
            self.retransmitted = Some(Retransmitted { seq, round_trip, second_sent });
            after = now.saturating_duration_since(out.last_sent);
        }
        self.outstanding = None;
        self.refusals = 0;
        self.lane.count_ack(now, round_trip);
        Received::Acked(after)
    }

    /// A second ack of a retransmitted SEQ shows that its first transmission had arrived: its two acks are two round trips.
    /// The shorter one is the sample, since a network that duplicates the only ack makes the other one too long.
    fn stale(&mut self, seq: Seq, now: Instant) -> Received {
        if let Some(resent) = self.retransmitted.take_if(|resent| resent.seq == seq) {
            self.sample(resent.round_trip.min(now.saturating_duration_since(resent.second_sent)));
            let timeout = self.rto.timeout();
            if let Some(out) = &mut self.outstanding {
                out.rto = out.rto.max(timeout);
            }
        }
        self.ignored()
    }

    fn sample(&mut self, round_trip: Duration) {
        self.rto.on_sample(round_trip);
        self.rto.srtt().inspect(|&srtt| self.lane.publish_srtt(srtt));
    }

    fn ignored(&mut self) -> Received {
        self.lane.count_ignored();
        Received::Ignored
    }
}

#[cfg(test)]
mod tests;
