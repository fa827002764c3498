//! What the main thread and one receiver's thread share: the claim on SEQs, and the counts.
//!
//! The thread claims one SEQ after another; the main thread may cut the end off while it does, which is how work moves
//! between receivers without a lock. The counts have one writer, the thread, and are only read elsewhere.

use super::{Seq, nanos};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One receiver's lane. Nothing in it publishes other memory, so relaxed atomics do.
#[derive(Debug)]
#[repr(align(64))] // a cache line or two of its own: neighbours count at full speed
pub struct Lane {
    /// The next SEQ to claim in the upper half, the end of the range in the lower.
    claim: AtomicU64,
    acked: AtomicU32,
    transmissions: AtomicU64,
    retransmissions: AtomicU64,
    ignored: AtomicU64,
    /// Nanoseconds between first transmission and ack, summed over the acknowledged packets.
    busy: AtomicU64,
    /// Nanoseconds from `epoch` to the last ack, and 1 more; 0 if there was none.
    last_ack: AtomicU64,
    /// SRTT in nanoseconds, and 1 more; 0 without a sample.
    srtt: AtomicU64,
    epoch: Instant,
}

impl Lane {
    /// An empty lane; times are counted from `epoch`, the assignment.
    pub fn new(epoch: Instant) -> Self {
        Self {
            claim: AtomicU64::new(0),
            acked: AtomicU32::new(0),
            transmissions: AtomicU64::new(0),
            retransmissions: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            last_ack: AtomicU64::new(0),
            srtt: AtomicU64::new(0),
            epoch,
        }
    }

    /// Puts SEQs `first` up to and without `end` up for claiming. Only while the thread is idle.
    pub fn open(&self, first: Seq, end: Seq) {
        self.claim.store(pack(first.0, end.0), Relaxed);
    }

    /// Claims the next SEQ; `None` when the range is used up.
    pub fn claim(&self) -> Option<Seq> {
        self.claim
            .fetch_update(Relaxed, Relaxed, |word| {
                let (next, end) = unpack(word);
                (next < end).then(|| pack(next + 1, end))
            })
            .ok()
            .map(|word| Seq(unpack(word).0))
    }

    /// Takes up to `packets` unclaimed SEQs off the end; returns where the range ends now.
    pub fn cut(&self, packets: u32) -> Seq {
        let cut = |word| {
            let (next, end) = unpack(word);
            pack(next, end - packets.min(end.saturating_sub(next)))
        };
        match self.claim.fetch_update(Relaxed, Relaxed, |word| Some(cut(word))) {
            Ok(before) | Err(before) => Seq(unpack(cut(before)).1),
        }
    }

    /// Where the open range ends.
    pub fn end(&self) -> Seq {
        Seq(unpack(self.claim.load(Relaxed)).1)
    }

    /// How many SEQs of the open range nobody has claimed yet.
    pub fn unclaimed(&self) -> u32 {
        let (next, end) = unpack(self.claim.load(Relaxed));
        end.saturating_sub(next)
    }

    /// Counts a transmission.
    pub fn count_transmission(&self, transmission: u32) {
        add(&self.transmissions, 1);
        if transmission > 1 {
            add(&self.retransmissions, 1);
        }
    }

    /// Counts a datagram that was no ack of the outstanding packet.
    pub fn count_ignored(&self) {
        add(&self.ignored, 1);
    }

    /// Counts an ack: it came at `now`, and this long after the packet was first sent.
    pub fn count_ack(&self, now: Instant, after: Duration) {
        self.acked.store(self.acked.load(Relaxed).wrapping_add(1), Relaxed);
        add(&self.busy, nanos(after));
        self.last_ack.store(nanos(now.saturating_duration_since(self.epoch)).saturating_add(1), Relaxed);
    }

    /// Publishes the smoothed round trip.
    pub fn publish_srtt(&self, srtt: Duration) {
        self.srtt.store(nanos(srtt).saturating_add(1), Relaxed);
    }

    /// Packets acknowledged.
    pub fn acked(&self) -> u32 {
        self.acked.load(Relaxed)
    }

    /// Data packets sent, retransmissions included.
    pub fn transmissions(&self) -> u64 {
        self.transmissions.load(Relaxed)
    }

    /// Retransmissions.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions.load(Relaxed)
    }

    /// Datagrams that were no ack of the outstanding packet.
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    /// From the assignment to the last ack.
    pub fn last_ack(&self) -> Option<Duration> {
        self.last_ack.load(Relaxed).checked_sub(1).map(Duration::from_nanos)
    }

    /// The smoothed ack round trip.
    pub fn srtt(&self) -> Option<Duration> {
        self.srtt.load(Relaxed).checked_sub(1).map(Duration::from_nanos)
    }

    /// Mean time from a packet's first transmission to its ack, losses included; `None` before the first ack.
    pub fn time_per_packet(&self) -> Option<Duration> {
        Duration::from_nanos(self.busy.load(Relaxed)).checked_div(self.acked())
    }
}

/// One writer, so a load and a store do; an atomic addition would cost a locked instruction a packet.
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
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_cut_never_takes_what_is_claimed() {
        let lane = Lane::new(testing::start());
        lane.open(Seq(0), Seq(3));
        assert_eq!(lane.claim(), Some(Seq(0)));
        assert_eq!(lane.cut(9), Seq(1));
        assert_eq!(lane.claim(), None);
        assert_eq!(lane.cut(9), Seq(1));
    }

    #[test]
    fn counts_add_up() {
        let epoch = testing::start();
        let lane = Lane::new(epoch);
        assert_eq!((lane.last_ack(), lane.time_per_packet(), lane.srtt()), (None, None, None));
        lane.count_transmission(1);
        lane.count_transmission(2);
        lane.count_ack(epoch + Duration::from_secs(4), Duration::from_secs(3));
        lane.count_ack(epoch + Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!((lane.acked(), lane.transmissions(), lane.retransmissions()), (2, 2, 1));
        assert_eq!(lane.last_ack(), Some(Duration::from_secs(5)));
        assert_eq!(lane.time_per_packet(), Some(Duration::from_secs(2)));
    }
}
