//! Stop-and-wait with one receiver: at most one SEQ is outstanding; a retransmission is only ever of that SEQ, and only
//! ever when its timer fires (RFC 1123, 4.2.3.1: a stale ack must not resend).
//!
//! No I/O. The caller asks [`StopAndWait::poll`] what to do, hands over each datagram and each refusal, and polls again by
//! the time it was given. Polling early is harmless. Whatever has arrived is to be handed over before a poll at which a
//! timer may fire.

use super::lane::Lane;
use super::message::{Ack, DataPacket};
use super::rto::{Rto, RtoConfig};
use super::{LossReason, Seq, SeqRange, Tid};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// This many transmissions refused in a row, each on its own timer, and the receiver is lost.
pub const MAX_REFUSALS: u32 = 5;

/// The kernel rounds timers of more than this up by up to an eighth.
const LONG_WAIT: Duration = Duration::from_millis(250);

/// A thread whose wait has ended gets a processor within this time, unless the process is stopped or the machine overloaded.
const SCHEDULING: Duration = Duration::from_millis(50);

/// Returns the part of a wait to have the kernel do at one time: a long wait would end too late, so it is taken in two slices.
pub fn first_slice(wait: Duration) -> Duration {
    if wait > LONG_WAIT { wait / 8 * 7 } else { wait }
}

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this packet, wait for a datagram, then poll again.
    Transmit {
        /// The packet.
        seq: Seq,
        /// The number of this transmission of it, from 1.
        transmission: u32,
        /// Its bytes of the payload.
        bytes: Range<u64>,
        /// The maximum wait.
        wait: Duration,
    },
    /// Wait for a datagram until this instant, then poll again.
    Wait(Instant),
    /// The range is acknowledged to its end: get more work.
    Idle,
    /// Nothing more is to be sent.
    Ended(ExitReason),
}

/// Why a receiver's thread ends before its work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The receiver is lost.
    Lost(LossReason),
    /// The transfer is over: its deadline has passed, or it has failed elsewhere.
    Stopped,
}

/// The machine of one receiver, for the whole transfer: ranges come and go, what it knows of the round trip stays.
#[derive(Debug)]
pub struct StopAndWait {
    tid: Tid,
    give_up: Duration,
    rto: Rto,
    lane: Arc<Lane>,
    packet: DataPacket,
    range: SeqRange,
    /// The end of the whole transfer.
    deadline: Option<Instant>,
    outstanding: Option<Outstanding>,
    /// When the outstanding packet was sent the second time, if it was.
    second_sent: Option<Instant>,
    /// The last SEQ that was acknowledged after a retransmission.
    retransmitted: Option<Retransmitted>,
    /// Transmissions refused in a row.
    refusals: u32,
    /// Why the outstanding packet may not have arrived.
    last_error: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    seq: Seq,
    first_sent: Instant,
    last_sent: Instant,
    /// The time for which retransmissions were held up here, which does not count for giving up.
    held_up: Duration,
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
    /// From the first transmission to the second.
    interval: Duration,
    acked: Instant,
}

impl Outstanding {
    /// Whether something that happens this long after the last transmission is so long after its timer was due that the process
    /// was stopped, or had no processor, meanwhile. The kernel ends a wait up to a twentieth late.
    fn is_stalled(&self, after: Duration) -> bool {
        after.checked_sub(self.rto).is_some_and(|late| late > self.rto / 16 + SCHEDULING)
    }
}

impl StopAndWait {
    /// A machine with nothing to do. A `ping` that was measured or given makes the first timeout. After `deadline` it
    /// sends nothing more.
    pub fn new(
        tid: Tid,
        config: RtoConfig,
        lane: Arc<Lane>,
        ping: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            tid,
            give_up: config.give_up,
            rto: Rto::new(config, ping),
            lane,
            packet: DataPacket::new(tid),
            range: SeqRange::EMPTY,
            deadline,
            outstanding: None,
            second_sent: None,
            retransmitted: None,
            refusals: 0,
            last_error: None,
        }
    }

    /// Begins another range, for which the lane has been set. The range before must be done.
    pub fn begin(&mut self, range: SeqRange) {
        assert!(self.outstanding.is_none(), "a packet is outstanding");
        self.range = range;
        // While there was no work no one received: a duplicate that came then would seem late enough for a second ack.
        self.retransmitted = None;
    }

    /// Returns what to do at `now`.
    pub fn poll(&mut self, now: Instant) -> Step {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return Step::Ended(ExitReason::Stopped);
        }
        let Some(mut out) = self.outstanding else { return self.transmit_next(now) };
        let refused = LossReason::Refused { seq: out.seq, times: self.refusals };
        if self.refusals >= MAX_REFUSALS {
            return lost(refused);
        }
        let timer = out.last_sent + out.rto;
        let until = timer.min(self.give_up_at(&out));
        if now < until {
            return Step::Wait(self.deadline.map_or(until, |deadline| deadline.min(until)));
        }
        // What a stall has put off past giving up is still sent.
        if out.is_stalled(now - out.last_sent) {
            out.held_up += now - timer;
        }
        if now < self.give_up_at(&out) {
            return self.retransmit(out, now);
        }
        if out.refused {
            return lost(refused);
        }
        let waited = now.saturating_duration_since(out.first_sent);
        let (seq, transmissions, last_error) = (out.seq, out.transmissions, self.last_error.take());
        lost(LossReason::Silent { seq, waited, transmissions, last_error })
    }

    /// The packet that `poll` has just given out leaves only at `now`, since the caller was held up: its timers start there,
    /// unless the deadline has passed meanwhile.
    pub fn postpone(&mut self, now: Instant) -> Step {
        let Some(out) = &mut self.outstanding else { return self.poll(now) };
        match out.transmissions {
            1 => out.first_sent = now,
            _ => out.held_up += now.saturating_duration_since(out.last_sent),
        }
        if out.transmissions == 2 {
            self.second_sent = Some(now);
        }
        out.last_sent = now;
        let out = *out;
        match self.deadline {
            Some(deadline) if now >= deadline => Step::Ended(ExitReason::Stopped),
            _ => self.transmit_again(&out),
        }
    }

    /// Returns the datagram that carries `payload` as packet `seq`, which is about to be sent, and counts it.
    pub fn encode(&mut self, seq: Seq, payload: &[u8]) -> &[u8] {
        self.lane.count_transmission(self.outstanding.map_or(1, |out| out.transmissions));
        self.packet.encode(seq, payload)
    }

    /// Handles a datagram that came at `now`. Only the outstanding SEQ's ack makes way for the next packet; how long after its
    /// last transmission it came is returned. Anything else is counted, and the packet stays outstanding.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Option<Duration> {
        match self.outstanding {
            Some(out) if self.packet.is_acked_by(out.seq, datagram) => Some(self.on_ack(out, now)),
            _ => {
                self.on_other_datagram(now, datagram);
                None
            }
        }
    }

    /// The last transmission was refused: nothing is listening at the receiver's port. Returns whether this is the first
    /// refusal in a row.
    pub fn handle_refusal(&mut self) -> bool {
        match &mut self.outstanding {
            Some(out) if !out.refused => {
                out.refused = true;
                self.refusals += 1;
                self.refusals == 1
            }
            _ => false,
        }
    }

    /// Whether the last transmission was refused.
    pub fn is_refused(&self) -> bool {
        self.refusals > 0
    }

    /// Another error of the system, which counts as a loss; `error` is named if nothing is acknowledged after it.
    pub fn handle_error(&mut self, error: String) {
        self.last_error = Some(error);
    }

    /// Returns the packet that waits for its ack.
    pub fn outstanding(&self) -> Option<Seq> {
        self.outstanding.map(|out| out.seq)
    }

    fn transmit_next(&mut self, now: Instant) -> Step {
        let Some(seq) = self.lane.claim() else { return Step::Idle };
        let rto = self.rto.timeout();
        self.outstanding = Some(Outstanding {
            seq,
            first_sent: now,
            last_sent: now,
            held_up: Duration::ZERO,
            transmissions: 1,
            rto,
            refused: false,
        });
        self.transmit(seq, 1, now, rto)
    }

    fn retransmit(&mut self, out: Outstanding, now: Instant) -> Step {
        if !out.refused {
            self.refusals = 0;
        }
        let transmissions = out.transmissions.saturating_add(1);
        self.second_sent.get_or_insert(now);
        let rto = self.rto.backed_off(out.rto);
        let out = Outstanding { last_sent: now, transmissions, rto, refused: false, ..out };
        self.outstanding = Some(out);
        self.transmit_again(&out)
    }

    fn transmit_again(&self, out: &Outstanding) -> Step {
        let left = self.give_up_at(out) - out.last_sent;
        self.transmit(out.seq, out.transmissions, out.last_sent, out.rto.min(left))
    }

    fn give_up_at(&self, out: &Outstanding) -> Instant {
        out.first_sent + self.give_up + out.held_up
    }

    #[inline]
    fn transmit(&self, seq: Seq, transmission: u32, now: Instant, mut wait: Duration) -> Step {
        if let Some(deadline) = self.deadline {
            wait = wait.min(deadline.saturating_duration_since(now));
        }
        Step::Transmit { seq, transmission, bytes: self.range.packet_bytes(seq), wait }
    }

    fn on_ack(&mut self, out: Outstanding, now: Instant) -> Duration {
        let round_trip = now.saturating_duration_since(out.first_sent);
        let mut after = round_trip;
        if let Some(second_sent) = self.second_sent.take() {
            after = now.saturating_duration_since(out.last_sent);
            self.rto.on_ambiguous_ack(out.rto, round_trip, after);
            let interval = second_sent - out.first_sent;
            let resent = Retransmitted { seq: out.seq, round_trip, interval, acked: now };
            // An ack may have been waiting here during a stall, or while a retransmission was held up: a trace holds it up for
            // microseconds.
            let in_time = !out.is_stalled(after) && out.held_up <= round_trip / 8;
            self.retransmitted = in_time.then_some(resent);
        } else if !out.is_stalled(round_trip) {
            self.on_sample(round_trip);
        }
        self.outstanding = None;
        self.refusals = 0;
        self.last_error = None;
        self.lane.count_ack(now, round_trip);
        after
    }

    /// A second ack of a retransmitted SEQ shows that its first transmission had arrived, so the first ack was for that. It
    /// comes as much later as the second transmission left; what comes sooner may be a duplicate that the network has made of
    /// the only ack.
    #[cold]
    fn on_other_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let ack = Ack::parse(datagram).filter(|ack| ack.tid == self.tid);
        let in_time = !self.outstanding.is_some_and(|out| out.is_stalled(now - out.last_sent));
        let is_second = |resent: &mut Retransmitted| {
            in_time
                && ack.is_some_and(|ack| ack.seq == resent.seq)
                && now >= resent.acked + resent.interval / 2
        };
        if let Some(resent) = self.retransmitted.take_if(is_second) {
            self.on_sample(resent.round_trip);
            let timeout = self.rto.timeout();
            if let Some(out) = &mut self.outstanding {
                out.rto = out.rto.max(timeout);
            }
        }
        self.lane.count_ignored();
    }

    fn on_sample(&mut self, round_trip: Duration) {
        self.rto.on_sample(round_trip);
        self.rto.srtt().inspect(|&srtt| self.lane.publish_srtt(srtt));
    }
}

#[cold]
fn lost(reason: LossReason) -> Step {
    Step::Ended(ExitReason::Lost(reason))
}

#[cfg(test)]
mod tests;
