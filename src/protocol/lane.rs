//! What the main thread and one receiver's thread share: the SEQs left to claim, and the counts.
//!
//! The thread claims one SEQ after another; meanwhile the main thread may truncate the range, which is how work moves
//! between receivers without a lock. The counts have a single writer, the thread; everyone else only reads them.

#[cfg(any(test, not(target_has_atomic = "64")))]
mod mutex_word;

use super::{Seq, nanos};
#[cfg(not(target_has_atomic = "64"))]
use mutex_word::AtomicU64;
#[cfg(target_has_atomic = "64")]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What has happened at one receiver, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Data packets sent to it, retransmissions included.
    pub transmissions: u64,
    /// The number of retransmissions among them.
    pub retransmissions: u64,
    /// Datagrams from it other than an ack of the outstanding packet.
    pub ignored: u64,
    /// Smoothed round-trip time of its acks (SRTT); `None` without a clean sample.
    pub ack_rtt: Option<Duration>,
    /// From the assignment to its last ack; `None` if it acknowledged nothing.
    pub last_ack: Option<Duration>,
}

/// One receiver's lane. It publishes no other memory, so relaxed atomics are enough.
#[derive(Debug)]
#[repr(align(64))] // its own cache lines, so that neighbours do not slow each other down
pub struct Lane {
    /// The next SEQ to claim in the upper half, the end of the range in the lower.
    claim: AtomicU64,
    acked: AtomicU32,
    transmissions: AtomicU64,
    retransmissions: AtomicU64,
    ignored: AtomicU64,
    /// Nanoseconds between first transmission and ack, summed over the acknowledged packets.
    total_ack_time: AtomicU64,
    /// Nanoseconds from `epoch` to the last ack, plus 1; 0 without an ack.
    last_ack: AtomicU64,
    /// SRTT in nanoseconds, plus 1; 0 without a sample.
    srtt: AtomicU64,
    epoch: Instant,
}

impl Lane {
    /// Returns an empty lane whose times count from `epoch`, the assignment.
    pub fn new(epoch: Instant) -> Self {
        Self {
            claim: AtomicU64::new(0),
            acked: AtomicU32::new(0),
            transmissions: AtomicU64::new(0),
            retransmissions: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            total_ack_time: AtomicU64::new(0),
            last_ack: AtomicU64::new(0),
            srtt: AtomicU64::new(0),
            epoch,
        }
    }

    /// Offers the SEQs from `first` up to but not including `end`. Only while the thread is idle.
    pub fn set_range(&self, first: Seq, end: Seq) {
        self.claim.store(pack(first.0, end.0), Relaxed);
    }

    /// Claims the next SEQ; `None` when the range is used up.
    pub fn claim(&self) -> Option<Seq> {
        self.claim.fetch_update(Relaxed, Relaxed, claim_step).ok().map(|before| Seq(unpack(before).0))
    }

    /// Takes up to `packets` unclaimed SEQs off the end; returns the new end of the range.
    pub fn truncate(&self, packets: u32) -> Seq {
        let step = |word| truncate_step(word, packets);
        match self.claim.fetch_update(Relaxed, Relaxed, |word| Some(step(word))) {
            Ok(before) | Err(before) => Seq(unpack(step(before)).1),
        }
    }

    /// Returns the number of SEQs in the range that are not claimed yet.
    pub fn unclaimed(&self) -> u32 {
        let (next, end) = unpack(self.claim.load(Relaxed));
        end.saturating_sub(next)
    }

    /// Counts a transmission; all but a packet's first, number 1, are retransmissions.
    pub fn count_transmission(&self, transmission: u32) {
        add(&self.transmissions, 1);
        if transmission > 1 {
            add(&self.retransmissions, 1);
        }
    }

    /// Counts a datagram that was not an ack of the outstanding packet.
    pub fn count_ignored(&self) {
        add(&self.ignored, 1);
    }

    /// Counts an ack that came at `now`, `after` the packet's first transmission.
    pub fn count_ack(&self, now: Instant, after: Duration) {
        self.acked.store(self.acked.load(Relaxed).wrapping_add(1), Relaxed);
        add(&self.total_ack_time, nanos(after));
        self.last_ack.store(nanos(now.saturating_duration_since(self.epoch)).saturating_add(1), Relaxed);
    }

    /// Publishes the smoothed round-trip time.
    pub fn publish_srtt(&self, srtt: Duration) {
        self.srtt.store(nanos(srtt).saturating_add(1), Relaxed);
    }

    /// Returns the number of packets acknowledged.
    pub fn acked(&self) -> u32 {
        self.acked.load(Relaxed)
    }

    /// Returns what has happened so far.
    pub fn counts(&self) -> Counts {
        let time = |nanos: &AtomicU64| nanos.load(Relaxed).checked_sub(1).map(Duration::from_nanos);
        Counts {
            transmissions: self.transmissions.load(Relaxed),
            retransmissions: self.retransmissions.load(Relaxed),
            ignored: self.ignored.load(Relaxed),
            ack_rtt: time(&self.srtt),
            last_ack: time(&self.last_ack),
        }
    }

    /// Returns the mean time from a packet's first transmission to its ack, losses included; `None` before the first ack.
    pub fn time_per_packet(&self) -> Option<Duration> {
        Duration::from_nanos(self.total_ack_time.load(Relaxed)).checked_div(self.acked())
    }
}

/// The word after claiming its next SEQ; `None` if none is left.
fn claim_step(word: u64) -> Option<u64> {
    let (next, end) = unpack(word);
    (next < end).then(|| pack(next + 1, end))
}

/// The word after taking up to `packets` unclaimed SEQs off its end.
fn truncate_step(word: u64, packets: u32) -> u64 {
    let (next, end) = unpack(word);
    pack(next, end - packets.min(end.saturating_sub(next)))
}

/// There is one writer, so a load and a store are enough; an atomic addition would cost a locked instruction a packet.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

fn pack(next: u32, end: u32) -> u64 {
    (u64::from(next) << 32) + u64::from(end)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests;
