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

    /// Returns the end of the range.
    pub fn end(&self) -> Seq {
        Seq(unpack(self.claim.load(Relaxed)).1)
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

    /// Returns the number of data packets sent, retransmissions included.
    pub fn transmissions(&self) -> u64 {
        self.transmissions.load(Relaxed)
    }

    /// Returns the number of retransmissions.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions.load(Relaxed)
    }

    /// Returns the number of datagrams that were not an ack of the outstanding packet.
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    /// Returns the time from the assignment to the last ack.
    pub fn last_ack(&self) -> Option<Duration> {
        self.last_ack.load(Relaxed).checked_sub(1).map(Duration::from_nanos)
    }

    /// Returns the smoothed round-trip time.
    pub fn srtt(&self) -> Option<Duration> {
        self.srtt.load(Relaxed).checked_sub(1).map(Duration::from_nanos)
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
    u64::from(next) << 32 | u64::from(end)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests;
