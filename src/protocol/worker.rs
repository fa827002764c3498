//! One receiver's part of a transfer: which ranges are its own, and how far it has come.

use super::lane::Lane;
use super::range::{packets_in, take_front};
use super::{Latency, ListIndex, LossReason, MAX_PACKET_PAYLOAD, Receiver, Seq, SeqRange};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A receiver as the plan has it. An address that the orchestrator listed more than once is one target: two sockets to one
/// receiver would break stop-and-wait there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its first place in the orchestrator's list.
    pub index: ListIndex,
    /// Its address, and its first name.
    pub receiver: Receiver,
    /// Its latency; `None` if no receiver was pinged.
    pub latency: Option<Latency>,
    /// The packets to send to it, in this order.
    pub ranges: Vec<SeqRange>,
}

impl Target {
    /// Returns each address of the orchestrator's list once, in the order of their first entries, and for each entry the index of
    /// its target. They have no shares yet.
    pub fn merge(receivers: &[Receiver]) -> (Vec<Self>, Vec<usize>) {
        let mut targets: Vec<Self> = Vec::new();
        let mut list = Vec::with_capacity(receivers.len());
        for (index, receiver) in receivers.iter().enumerate() {
            // A scan and no map: lists are short, at most some thousand entries.
            let known = targets.iter().position(|target| target.receiver.address == receiver.address);
            list.push(known.unwrap_or(targets.len()));
            if known.is_none() {
                let (index, receiver) = (ListIndex(index), receiver.clone());
                targets.push(Self { index, receiver, latency: None, ranges: Vec::new() });
            }
        }
        (targets, list)
    }

    /// Adds the share of one of its entries in the list.
    pub fn add_share(&mut self, range: SeqRange, latency: Option<Latency>) {
        self.latency = self.latency.or(latency);
        self.ranges.push(range);
    }
}

/// A receiver at work. It has at most one active range, which its thread sends; more wait in its queue.
#[derive(Debug)]
pub struct Worker {
    /// Its receiver, and what was planned for it.
    pub target: Target,
    /// What it shares with its thread.
    pub lane: Arc<Lane>,
    /// Why it is lost, if it is.
    pub loss: Option<LossReason>,
    queue: VecDeque<SeqRange>,
    active: Option<SeqRange>,
    acked: Vec<SeqRange>,
    /// The time at which its active range was assigned, since the start.
    busy_since: Duration,
}

impl Worker {
    /// A worker that begins at `start`, from which its lane counts.
    pub(super) fn new(target: Target, start: Instant) -> Self {
        let queue = target.ranges.iter().copied().filter(|range| !range.is_empty()).collect();
        let lane = Arc::new(Lane::new(start));
        Self { target, lane, queue, active: None, acked: Vec::new(), busy_since: Duration::ZERO, loss: None }
    }

    /// Returns what is acknowledged, in order of time.
    pub fn acked_ranges(&self) -> Vec<SeqRange> {
        let active = self.active.map(|range| range.split_at(self.first_unacked(range)).0);
        self.acked.iter().copied().chain(active).filter(|range| !range.is_empty()).collect()
    }

    /// Returns the number of bytes acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.acked_ranges().iter().map(SeqRange::len).sum()
    }

    /// Returns the number of packets still to be acknowledged.
    pub fn remaining_packets(&self) -> u32 {
        let active = self.active.map_or(0, |range| range.end().0 - self.first_unacked(range).0);
        packets_in(&self.queue) + active
    }

    /// The first SEQ of the active range that is not acknowledged.
    fn first_unacked(&self, active: SeqRange) -> Seq {
        let acked = self.lane.acked() - packets_in(&self.acked);
        Seq(active.first().0 + acked)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.loss.is_some()
    }

    /// Whether it has work that may still be acknowledged.
    pub(super) fn is_busy(&self) -> bool {
        !self.is_lost() && (self.active.is_some() || !self.queue.is_empty())
    }

    /// Whether its thread is at work.
    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Whether it could do more.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_lost() && !self.is_busy()
    }

    /// Begins the next range of its queue, unless it is at work.
    pub(super) fn begin_next(&mut self, elapsed: Duration) -> Option<SeqRange> {
        if self.is_lost() || self.active.is_some() {
            return None;
        }
        let range = self.queue.pop_front()?;
        self.lane.set_range(range.first(), range.end());
        self.active = Some(range);
        self.busy_since = elapsed;
        Some(range)
    }

    /// Its active range, as far as it was left to it, is acknowledged.
    pub(super) fn complete(&mut self) {
        let active = self.active.take();
        self.acked.extend(active);
        assert_eq!(packets_in(&self.acked), self.lane.acked(), "{active:?} is not acknowledged");
    }

    /// Its thread has ended: what it has acknowledged stays, the rest is returned.
    pub(super) fn lose(&mut self, reason: LossReason) -> VecDeque<SeqRange> {
        self.stop();
        self.loss = Some(reason);
        std::mem::take(&mut self.queue)
    }

    /// Ends its work: from here on an ack changes nothing.
    pub(super) fn stop(&mut self) {
        if let Some(active) = self.active {
            let (acked, rest) = active.split_at(self.first_unacked(active));
            self.active = None;
            self.acked.push(acked);
            if !rest.is_empty() {
                self.queue.push_front(rest);
            }
        }
    }

    /// Gets more work.
    pub(super) fn add(&mut self, ranges: &VecDeque<SeqRange>) {
        self.queue.extend(ranges);
    }

    /// Packets that another worker could take: queued, or not yet claimed by the thread.
    pub(super) fn movable_packets(&self) -> u32 {
        let unclaimed = if self.active.is_some() { self.lane.unclaimed() } else { 0 };
        packets_in(&self.queue) + unclaimed
    }

    /// Packets that can be taken off it so that at least `floor` bytes stay, acknowledged ones included.
    pub(super) fn packets_above(&self, floor: u64) -> u32 {
        let packet = MAX_PACKET_PAYLOAD as u64;
        let bytes = self.acked_bytes() + u64::from(self.movable_packets()) * packet;
        let packets = u32::try_from(bytes.saturating_sub(floor) / packet).unwrap_or(u32::MAX);
        packets.min(self.movable_packets())
    }

    /// Takes the last `packets` of what is movable off it.
    pub(super) fn split_off_tail(&mut self, packets: u32) -> VecDeque<SeqRange> {
        let queued = packets_in(&self.queue);
        let kept = take_front(&mut self.queue, queued.saturating_sub(packets));
        let mut taken = std::mem::replace(&mut self.queue, kept);
        if let Some(active) = self.active {
            let (kept, tail) = active.split_at(self.lane.truncate(packets.saturating_sub(queued)));
            self.active = Some(kept);
            if !tail.is_empty() {
                taken.push_front(tail);
            }
        }
        taken
    }

    /// Seconds a packet, as far as acks have shown it.
    pub(super) fn measured_pace(&self) -> Option<f64> {
        self.lane.time_per_packet().map(|time| time.as_secs_f64().max(1e-9))
    }

    /// Its latency in seconds, also if that is only assumed; a microsecond in mode 2.
    pub(super) fn latency(&self) -> f64 {
        self.target.latency.map_or(0.0, |latency| latency.rtt.as_secs_f64()).max(1e-6)
    }

    /// The time for which it has been waiting for an ack; zero if it is not at work.
    pub(super) fn waiting(&self, elapsed: Duration) -> Duration {
        let since = self.lane.counts().last_ack.unwrap_or_default().max(self.busy_since);
        if self.active.is_some() { elapsed.saturating_sub(since) } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::LatencySource;
    use crate::testing::start;

    #[test]
    fn an_address_that_is_listed_twice_is_one_target() {
        let receivers: Vec<_> = ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
            .into_iter()
            .zip(["A", "B", "C"])
            .map(|(address, name)| Receiver { address: address.parse().unwrap(), name: name.to_owned() })
            .collect();
        let (mut targets, list) = Target::merge(&receivers);
        let names: Vec<_> = targets.iter().map(|t| (t.index.0, t.receiver.name.as_str())).collect();
        assert_eq!((names, list), (vec![(0, "A"), (1, "B")], vec![0, 1, 0]));
        let latency = |ms| Some(Latency { rtt: Duration::from_millis(ms), source: LatencySource::Given });
        let [first, last] = [0..200, 900..1000].map(|bytes| SeqRange::over_bytes(Seq(0), bytes).unwrap());
        targets[0].add_share(first, latency(3));
        targets[0].add_share(last, latency(7));
        assert_eq!((&targets[0].ranges[..], targets[0].latency), (&[first, last][..], latency(3)));
    }

    #[test]
    fn a_tail_comes_off_the_queue_and_then_off_what_is_unclaimed() {
        let [active, queued] =
            [(0, 0..500), (5, 500..700)].map(|(seq, bytes)| SeqRange::over_bytes(Seq(seq), bytes).unwrap());
        let receiver = Receiver { address: [10, 0, 0, 1].into(), name: "A".to_owned() };
        let latency = Some(Latency { rtt: Duration::from_millis(20), source: LatencySource::Fallback });
        let ranges = vec![active, queued];
        let mut worker = Worker::new(Target { index: ListIndex(0), receiver, latency, ranges }, start());
        assert_eq!(worker.latency(), 0.02);
        worker.begin_next(Duration::ZERO);
        worker.lane.claim();
        assert_eq!(worker.split_off_tail(3), [active.split_at(Seq(4)).1, queued]);
        assert_eq!((worker.movable_packets(), worker.split_off_tail(0).len()), (3, 0));
    }

    #[test]
    fn what_is_acknowledged_of_the_second_range_counts_after_the_first() {
        let [first, second] =
            [(0, 0..200), (7, 700..900)].map(|(seq, bytes)| SeqRange::over_bytes(Seq(seq), bytes).unwrap());
        let receiver = Receiver { address: [10, 0, 0, 1].into(), name: "A".to_owned() };
        let ranges = vec![first, second];
        let mut worker =
            Worker::new(Target { index: ListIndex(0), receiver, latency: None, ranges }, start());
        for (range, acks, left) in [(first, 2, 2), (second, 1, 1)] {
            assert_eq!(worker.begin_next(Duration::ZERO), Some(range));
            (0..acks).for_each(|_| worker.lane.count_ack(start(), Duration::ZERO));
            assert_eq!(worker.remaining_packets(), left);
            if left == 2 {
                worker.complete();
            }
        }
        assert_eq!(worker.acked_ranges(), [first, second.split_at(Seq(8)).0]);
    }
}
