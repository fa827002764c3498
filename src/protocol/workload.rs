//! Which ranges are whose: at the start, after a loss (failover), and when one has finished before the others
//! (rebalancing). It also keeps the ledger of what is acknowledged, which alone decides that a transfer is complete.
//!
//! The main thread owns it. A worker (one receiver, one thread) has at most one active range; more wait in its queue here.

use super::lane::Lane;
use super::{MAX_PACKET_PAYLOAD, Seq, SeqRange, order};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What may be done with work that is not where the plan put it.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// A lost receiver's work goes to the others.
    pub failover: bool,
    /// A receiver that has finished takes work from the one that would finish last.
    pub rebalance: bool,
    /// Rebalancing leaves everybody at least this many bytes.
    pub floor: u64,
}

/// Packets that went from one worker to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Whose they were.
    pub from: usize,
    /// Whose they are.
    pub to: usize,
    /// Which packets.
    pub range: SeqRange,
}

/// All the work of a transfer.
#[derive(Debug)]
pub struct Workload {
    workers: Vec<Worker>,
    policy: Policy,
    packets: u32,
}

/// One receiver's part.
#[derive(Debug)]
pub struct Worker {
    lane: Arc<Lane>,
    /// Its latency, if known: what stands for its pace until it has acknowledged something.
    ping: Option<Duration>,
    queue: VecDeque<SeqRange>,
    active: Option<SeqRange>,
    acked: Vec<SeqRange>,
    /// When its active range was assigned, since the transfer's start.
    busy_since: Duration,
    lost: bool,
}

impl Worker {
    /// A worker with these ranges to do, in this order.
    pub fn new(lane: Arc<Lane>, ping: Option<Duration>, ranges: impl IntoIterator<Item = SeqRange>) -> Self {
        let queue = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        Self { lane, ping, queue, active: None, acked: Vec::new(), busy_since: Duration::ZERO, lost: false }
    }

    /// What it shares with its thread.
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Whether it is lost.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Bytes acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.acked.iter().chain(&self.under_way()).map(SeqRange::len).sum()
    }

    /// What is acknowledged, in order of time.
    pub fn acked_ranges(&self) -> Vec<SeqRange> {
        self.acked.iter().copied().chain(self.under_way()).filter(|range| !range.is_empty()).collect()
    }

    /// The acknowledged part of the active range.
    fn under_way(&self) -> Option<SeqRange> {
        let before: u32 = self.acked.iter().map(SeqRange::packets).sum();
        let acked = self.lane.acked().saturating_sub(before);
        self.active.map(|range| range.split_at(Seq(range.first().0.saturating_add(acked))).0)
    }

    /// Packets still to be acknowledged, the outstanding one included.
    pub fn remaining_packets(&self) -> u32 {
        self.movable_packets() + u32::from(self.active.is_some())
    }

    fn is_idle(&self) -> bool {
        !self.lost && self.active.is_none() && self.queue.is_empty()
    }

    /// Packets that another worker could take: queued, or not yet claimed by the thread.
    fn movable_packets(&self) -> u32 {
        let unclaimed = if self.active.is_some() { self.lane.unclaimed() } else { 0 };
        self.queue.iter().map(SeqRange::packets).sum::<u32>() + unclaimed
    }

    fn remaining_bytes(&self) -> u64 {
        u64::from(self.movable_packets()) * MAX_PACKET_PAYLOAD as u64
    }

    /// How long it has been waiting for an ack, if it is busy.
    fn waiting(&self, elapsed: Duration) -> Duration {
        let since = self.lane.last_ack().unwrap_or_default().max(self.busy_since);
        if self.active.is_some() { elapsed.saturating_sub(since) } else { Duration::ZERO }
    }

    /// Takes the last `packets` of what is movable off the worker, as ranges.
    fn give_up_tail(&mut self, packets: u32) -> Vec<SeqRange> {
        let mut taken = Vec::new();
        let mut left = packets;
        while let Some(last) = self.queue.pop_back() {
            let keep = last.packets().saturating_sub(left);
            let (kept, tail) = last.split_at(Seq(last.first().0 + keep));
            left -= tail.packets();
            taken.push(tail);
            if !kept.is_empty() {
                self.queue.push_back(kept);
            }
            if left == 0 {
                break;
            }
        }
        if let Some(active) = self.active.filter(|_| left > 0) {
            let (kept, tail) = active.split_at(self.lane.truncate(left));
            self.active = Some(kept);
            taken.push(tail);
        }
        taken.retain(|range| !range.is_empty());
        taken.reverse();
        taken
    }
}

impl Workload {
    /// The work as planned.
    pub fn new(workers: Vec<Worker>, policy: Policy) -> Self {
        let packets = workers.iter().flat_map(|w| &w.queue).map(SeqRange::packets).sum();
        Self { workers, policy, packets }
    }

    /// The workers, in the order in which they were given.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Packets in the whole payload.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// The next range that a thread is to begin, and whose; `elapsed` is the time since the transfer's start. Call it
    /// until it returns `None`, at the start and after everything else that changes the work.
    pub fn next_assignment(&mut self, elapsed: Duration) -> Option<(usize, SeqRange)> {
        self.workers.iter_mut().enumerate().filter(|(_, w)| !w.lost && w.active.is_none()).find_map(
            |(i, worker)| {
                let range = worker.queue.pop_front()?;
                worker.lane.set_range(range.first(), range.end());
                worker.active = Some(range);
                worker.busy_since = elapsed;
                Some((i, range))
            },
        )
    }

    /// A worker's active range, as far as it was left to it, is acknowledged.
    pub fn completed(&mut self, worker: usize) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.acked.extend(worker.active.take());
        }
    }

    /// A worker's thread has ended before its work was done; all before `first_unacked` is acknowledged. Returns how
    /// many packets it leaves behind and, with failover, where they go: to all the others, in contiguous runs, in
    /// proportion to how fast they have proved to be.
    pub fn lost(&mut self, worker: usize, first_unacked: Option<Seq>, elapsed: Duration) -> (u32, Vec<Move>) {
        let Some(lost) = self.workers.get_mut(worker) else { return (0, Vec::new()) };
        lost.lost = true;
        let mut left = Vec::new();
        if let Some(active) = lost.active.take() {
            let (acked, rest) = active.split_at(first_unacked.unwrap_or(active.first()));
            lost.acked.push(acked);
            left.push(rest);
        }
        left.extend(lost.queue.drain(..));
        left.retain(|range| !range.is_empty());
        let packets = left.iter().map(SeqRange::packets).sum();
        let moves = if self.policy.failover { self.hand_over(worker, left, elapsed) } else { Vec::new() };
        (packets, moves)
    }

    /// Lets the fastest idle worker take the tail of the one that would finish last, where that ends the transfer
    /// sooner. Call it when a worker has become idle, and from time to time while one is.
    pub fn rebalance(&mut self, elapsed: Duration) -> Vec<Move> {
        if !self.policy.rebalance {
            return Vec::new();
        }
        if !self.workers.iter().any(Worker::is_idle) {
            return Vec::new();
        }
        let paces = self.paces(elapsed);
        let pace = |i: usize| paces.get(i).copied().unwrap_or(f64::INFINITY);
        let finish = |i: usize, w: &Worker| f64::from(w.remaining_packets()) * pace(i);
        let idle = (0..).zip(&self.workers).filter(|(_, w)| w.is_idle()).map(|(i, _)| i);
        let thief = idle.min_by(|&i, &j| pace(i).total_cmp(&pace(j)));
        // One that is silent seems to finish last for a long time; with nothing to take from it, others count.
        let busy = (0..).zip(&self.workers).filter(|(_, w)| !w.lost && w.movable_packets() > 0);
        let victim = busy.max_by(|(i, a), (j, b)| finish(*i, a).total_cmp(&finish(*j, b)));
        let (Some(thief), Some((victim, owner))) = (thief, victim) else { return Vec::new() };
        // Both finish together when x·pace(thief) = (remaining − x)·pace(victim).
        let together = finish(victim, owner) / (pace(thief) + pace(victim));
        let above_floor = (owner.acked_bytes() + owner.remaining_bytes()).saturating_sub(self.policy.floor)
            / MAX_PACKET_PAYLOAD as u64;
        let packets = (together as u32)
            .min(owner.movable_packets())
            .min(u32::try_from(above_floor).unwrap_or(u32::MAX));
        if packets == 0 {
            return Vec::new();
        }
        let taken = self.workers.get_mut(victim).map(|w| w.give_up_tail(packets)).unwrap_or_default();
        self.give(victim, thief, taken)
    }

    /// Whether every packet of the payload is in the ledger, once.
    pub fn is_complete(&self) -> bool {
        let acked: Vec<_> = self.workers.iter().flat_map(|w| &w.acked).filter(|r| !r.is_empty()).collect();
        let in_order = order::ascending(acked.iter().map(|range| range.first().0.into()));
        let covered = in_order
            .into_iter()
            .filter_map(|index| acked.get(index))
            .try_fold(0, |end, range| (range.first().0 == end).then_some(range.end().0));
        covered == Some(self.packets)
    }

    /// Whether anybody has work that may still be acknowledged.
    pub fn is_under_way(&self) -> bool {
        self.workers.iter().any(|w| !w.lost && (w.active.is_some() || !w.queue.is_empty()))
    }

    /// When the transfer would end at the pace so far, since its start; `None` while nobody's pace is known.
    pub fn projected_end(&self, elapsed: Duration) -> Option<Duration> {
        let ends = self.workers.iter().filter(|w| !w.lost).filter_map(|w| {
            Some(w.lane.time_per_packet()?.max(w.waiting(elapsed)).saturating_mul(w.remaining_packets()))
        });
        ends.max().map(|longest| elapsed.saturating_add(longest))
    }

    fn hand_over(&mut self, from: usize, left: Vec<SeqRange>, elapsed: Duration) -> Vec<Move> {
        let packets: u32 = left.iter().map(SeqRange::packets).sum();
        let paces = self.paces(elapsed);
        let heirs: Vec<(usize, f64)> = self
            .workers
            .iter()
            .zip(&paces)
            .enumerate()
            .filter(|(_, (worker, _))| !worker.lost)
            .map(|(i, (_, pace))| (i, 1.0 / pace))
            .collect();
        let speeds: Vec<f64> = heirs.iter().map(|&(_, speed)| speed).collect();
        let mut left = VecDeque::from(left);
        let mut moves = Vec::new();
        for (&(heir, _), share) in heirs.iter().zip(in_proportion(packets, &speeds)) {
            moves.extend(self.give(from, heir, take_front(&mut left, share)));
        }
        moves
    }

    fn give(&mut self, from: usize, to: usize, ranges: Vec<SeqRange>) -> Vec<Move> {
        let Some(heir) = self.workers.get_mut(to) else { return Vec::new() };
        heir.queue.extend(&ranges);
        ranges.into_iter().map(|range| Move { from, to, range }).collect()
    }

    /// Seconds a packet for each worker: what it has proved, at least what it is waiting for just now; before its first
    /// ack, its ping times what the others' acks take of theirs.
    fn paces(&self, elapsed: Duration) -> Vec<f64> {
        let proved = |w: &Worker| w.lane.time_per_packet().map(|t| t.as_secs_f64().max(1e-9));
        let ping = |w: &Worker| w.ping.map(|p| p.as_secs_f64().max(1e-6));
        let ratios: Vec<f64> = self.workers.iter().filter_map(|w| Some(proved(w)? / ping(w)?)).collect();
        let in_order = order::ascending(ratios.iter().copied().map(order::key));
        let median = in_order.get(in_order.len() / 2).and_then(|&index| ratios.get(index));
        let ratio = median.copied().unwrap_or(1.0);
        let (count, sum) =
            self.workers.iter().filter_map(proved).fold((0.0, 0.0), |(n, s), p| (n + 1.0, s + p));
        let mean = if count > 0.0 { sum / count } else { 1.0 };
        let pace = |w: &Worker| {
            let expected = proved(w).or(ping(w).map(|p| p * ratio)).unwrap_or(mean);
            expected.max(w.waiting(elapsed).as_secs_f64())
        };
        self.workers.iter().map(pace).collect()
    }
}

/// Shares of `total` in proportion to `weights`, by largest remainder; the sum is exact if there is any weight.
fn in_proportion(total: u32, weights: &[f64]) -> Vec<u32> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|w| f64::from(total) * w / sum).collect();
    let mut shares: Vec<u32> = exact.iter().map(|&x| (x as u32).min(total)).collect();
    let by_remainder = order::descending(exact.iter().map(|x| order::key(x.fract())));
    let missing = total.saturating_sub(shares.iter().fold(0, |sum, &n| n.saturating_add(sum)));
    for i in by_remainder.into_iter().cycle().take(missing as usize) {
        if let Some(share) = shares.get_mut(i) {
            *share += 1;
        }
    }
    shares
}

/// The first `packets` of `ranges`, taken off them.
fn take_front(ranges: &mut VecDeque<SeqRange>, packets: u32) -> Vec<SeqRange> {
    let mut taken = Vec::new();
    let mut wanted = packets;
    while wanted > 0 {
        let Some(range) = ranges.pop_front() else { break };
        let (head, tail) = range.split_at(Seq(range.first().0.saturating_add(wanted)));
        wanted -= head.packets();
        taken.push(head);
        if !tail.is_empty() {
            ranges.push_front(tail);
        }
    }
    taken
}

#[cfg(test)]
mod tests;
