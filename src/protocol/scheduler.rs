//! Everything that the main thread decides while packets are sent: whose work is what, what is next, when to look again, and
//! when the transfer is over. Failover, rebalancing, deadline and ticks happen here, in this order; what is acknowledged, and
//! nothing else, makes a transfer complete.
//!
//! No I/O. The caller hands over every signal that is pending, and then asks [`Scheduler::poll`] what to do.
#![expect(
    clippy::indexing_slicing,
    reason = "a WorkerId is an index of the workers, which never change in number"
)]

use super::range::{packets_in, take_front};
use super::rto::RtoConfig;
use super::stop_and_wait::{ExitReason, StopAndWait};
use super::worker::{Target, Worker};
use super::{Latency, SeqRange, TRANSACTION_LIFETIME, Tid, WorkerId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The interval at which to check whether rebalancing has come to pay, while a receiver is idle.
const REBALANCE_TICK: Duration = Duration::from_millis(50);

/// The interval at which to check whether the transaction will probably expire.
const EXPIRY_TICK: Duration = Duration::from_secs(1);

/// The longest that threads are waited for once the deadline has passed: an ack may have come in time and still be waiting,
/// where the process was stopped, or had no processor.
const LAST_REPORTS: Duration = Duration::from_millis(250);

/// What a transfer is to do, besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The transaction.
    pub tid: Tid,
    /// The timeouts.
    pub rto: RtoConfig,
    /// A lost receiver's work goes to the others.
    pub failover: bool,
    /// A receiver that has finished takes work from the one that would finish last.
    pub rebalance: bool,
    /// Rebalancing leaves every receiver at least this many bytes.
    pub floor: u64,
    /// The end of the transfer, whatever its state.
    pub deadline: Option<Instant>,
    /// The interval at which progress is wanted; `None` for never.
    pub progress: Option<Duration>,
    /// Whether to report, once, that the transaction will probably expire first.
    pub watch_expiry: bool,
}

/// What a receiver's thread reports to the main thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Its range is acknowledged, as far as it was left to it.
    Completed,
    /// It has ended.
    Exited(ExitReason),
}

/// What the caller is to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Have this range sent by this worker's thread, which is idle or not yet running.
    Assign(WorkerId, SeqRange),
    /// Report this.
    Report(Notice),
    /// Wait for a signal until this instant, or forever.
    Wait(Option<Instant>),
    /// It is over.
    Done(Outcome),
}

/// How a transfer has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every packet is acknowledged.
    Complete,
    /// Not every packet is acknowledged, and no receiver is left that could.
    Incomplete,
    /// The deadline has passed before every packet was acknowledged.
    Deadline,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A receiver is lost.
    Lost {
        /// The receiver's worker.
        worker: WorkerId,
        /// The packets that it leaves behind.
        unacked_packets: u32,
    },
    /// Packets go to another receiver.
    Moved {
        /// The worker that they were assigned to.
        from: WorkerId,
        /// The worker that they are assigned to now.
        to: WorkerId,
        /// The packets.
        range: SeqRange,
        /// Why.
        reason: MoveReason,
    },
    /// At this pace the transfer ends after the transaction has probably expired.
    ExpiryLikely {
        /// The projected end, since the assignment.
        projected: Duration,
    },
    /// It is time to report progress.
    Progress,
}

/// Why work goes to another receiver than the plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveReason {
    /// Its receiver was lost.
    Failover,
    /// A receiver that had finished takes it over.
    Rebalance,
}

/// The machine of the main thread.
#[derive(Debug)]
pub struct Scheduler {
    workers: Vec<Worker>,
    config: Config,
    start: Instant,
    notices: VecDeque<Notice>,
    last_tick: Instant,
    /// When not to wait any longer for the threads' last reports, once the deadline has been seen to pass.
    end: Option<Instant>,
    outcome: Option<Outcome>,
}

impl Scheduler {
    /// The work as planned. Times are counted from `start`, the assignment.
    pub fn new(targets: Vec<Target>, config: Config, start: Instant) -> Self {
        Self {
            workers: targets.into_iter().map(|target| Worker::new(target, start)).collect(),
            config,
            start,
            notices: VecDeque::new(),
            last_tick: start,
            end: None,
            outcome: None,
        }
    }

    /// Returns the transaction.
    pub fn tid(&self) -> Tid {
        self.config.tid
    }

    /// Returns the time from the assignment to `now`.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Returns the workers, in the order of the targets.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Returns a worker.
    pub fn worker(&self, id: WorkerId) -> &Worker {
        &self.workers[id.0]
    }

    /// Returns the number of packets in the whole payload.
    pub fn packets(&self) -> u32 {
        self.workers.iter().map(|worker| packets_in(&worker.target.ranges)).sum()
    }

    /// Makes the machine of a worker's thread. Only a latency that was measured or given makes its first timeout.
    pub fn machine(&self, id: WorkerId) -> StopAndWait {
        let worker = self.worker(id);
        let Config { tid, rto, deadline, .. } = self.config;
        let ping = worker.target.latency.as_ref().and_then(Latency::measured);
        StopAndWait::new(tid, rto, Arc::clone(&worker.lane), ping, deadline)
    }

    /// Handles a worker's signal.
    pub fn handle(&mut self, now: Instant, id: WorkerId, signal: Signal) {
        match signal {
            Signal::Completed => self.workers[id.0].complete(),
            Signal::Exited(ExitReason::Lost(reason)) => {
                let left = self.workers[id.0].lose(reason);
                self.notices.push_back(Notice::Lost { worker: id, unacked_packets: packets_in(&left) });
                if self.config.failover {
                    self.redistribute(self.elapsed(now), id, left);
                }
            }
            // The deadline has passed.
            Signal::Exited(ExitReason::Stopped) => self.workers[id.0].stop(),
        }
    }

    /// Returns what to do at `now`.
    pub fn poll(&mut self, now: Instant) -> Step {
        if self.notices.is_empty()
            && self.outcome.is_none()
            && let Some(step) = self.decide(now)
        {
            return step;
        }
        match (self.notices.pop_front(), self.outcome) {
            (Some(notice), _) => Step::Report(notice),
            (None, Some(outcome)) => Step::Done(outcome),
            (None, None) => Step::Wait([self.config.deadline, self.next_tick()].into_iter().flatten().min()),
        }
    }

    /// Everything that the time alone, or an idle worker, may make necessary. What happens is noted; returns what is to be
    /// done by the caller.
    fn decide(&mut self, now: Instant) -> Option<Step> {
        if self.config.deadline.is_some_and(|deadline| now >= deadline) {
            let end = *self.end.get_or_insert(now + LAST_REPORTS);
            if now < end && self.workers.iter().any(Worker::is_active) {
                return Some(Step::Wait(Some(end)));
            }
            self.finish(Outcome::Deadline);
            return None;
        }
        let elapsed = self.elapsed(now);
        self.rebalance(elapsed);
        if !self.notices.is_empty() {
            return None;
        }
        let mut workers = self.workers.iter_mut().enumerate();
        let assignment =
            workers.find_map(|(i, worker)| Some(Step::Assign(WorkerId(i), worker.begin_next(elapsed)?)));
        if assignment.is_none() && !self.workers.iter().any(Worker::is_busy) {
            self.finish(Outcome::Incomplete);
        } else if self.next_tick().is_some_and(|tick| now >= tick) {
            self.last_tick = now;
            self.tick(elapsed);
        }
        assignment
    }

    /// Ends the transfer with this outcome, unless every packet is acknowledged: complete is complete, also if the last ack
    /// came as the deadline passed. What comes from now on changes nothing.
    pub fn finish(&mut self, outcome: Outcome) {
        self.workers.iter_mut().for_each(Worker::stop);
        let outcome = if self.is_complete() { Outcome::Complete } else { outcome };
        self.outcome.get_or_insert(outcome);
    }

    /// Whether every packet of the payload is acknowledged: each of them is one worker's at any time.
    fn is_complete(&self) -> bool {
        self.workers.iter().map(|worker| packets_in(&worker.acked_ranges())).sum::<u32>() == self.packets()
    }

    fn next_tick(&self) -> Option<Instant> {
        let may_rebalance = self.config.rebalance && self.workers.iter().any(Worker::is_idle);
        let rebalance = may_rebalance.then_some(REBALANCE_TICK);
        let expiry = self.config.watch_expiry.then_some(EXPIRY_TICK);
        let tick = [self.config.progress, rebalance, expiry].into_iter().flatten().min();
        self.last_tick.checked_add(tick?)
    }

    fn tick(&mut self, elapsed: Duration) {
        if self.config.progress.is_some() {
            self.notices.push_back(Notice::Progress);
        }
        if self.config.watch_expiry {
            let projected = self.projected_end(elapsed).filter(|&end| end > TRANSACTION_LIFETIME);
            self.config.watch_expiry = projected.is_none();
            self.notices.extend(projected.map(|projected| Notice::ExpiryLikely { projected }));
        }
    }

    /// The projected end of the transfer at the pace so far, since the assignment; `None` while no receiver's pace is known.
    fn projected_end(&self, elapsed: Duration) -> Option<Duration> {
        let left = |worker: &Worker| {
            let pace = worker.lane.time_per_packet()?.max(worker.waiting(elapsed));
            Some(pace.saturating_mul(worker.remaining_packets()))
        };
        let longest = self.workers.iter().filter(|worker| !worker.is_lost()).filter_map(left).max()?;
        Some(elapsed.saturating_add(longest))
    }

    /// Gives what a lost worker has left to all others, in contiguous runs, in proportion to how fast they have proved to be.
    fn redistribute(&mut self, elapsed: Duration, from: WorkerId, mut left: VecDeque<SeqRange>) {
        let paces = self.seconds_per_packet(elapsed);
        let survivors: Vec<usize> = (0..self.workers.len()).filter(|&i| !self.workers[i].is_lost()).collect();
        let speeds: Vec<f64> = survivors.iter().map(|&i| 1.0 / paces[i]).collect();
        for (&to, share) in survivors.iter().zip(in_proportion(packets_in(&left), &speeds)) {
            let ranges = take_front(&mut left, share);
            self.give(from, WorkerId(to), &ranges, MoveReason::Failover);
        }
    }

    /// Lets the fastest idle worker take the tail of the one that would finish last, where that ends the transfer sooner.
    fn rebalance(&mut self, elapsed: Duration) {
        if !self.config.rebalance || !self.workers.iter().any(Worker::is_idle) {
            return;
        }
        let paces = self.seconds_per_packet(elapsed);
        let finish = |i: usize| f64::from(self.workers[i].remaining_packets()) * paces[i];
        let all = 0..self.workers.len();
        let idle = all.clone().filter(|&i| self.workers[i].is_idle());
        let taker = idle.min_by(|&i, &j| paces[i].total_cmp(&paces[j]));
        // One that is silent seems to finish last for a long time; with nothing to take from it, others count.
        let busy = all.filter(|&i| !self.workers[i].is_lost() && self.workers[i].movable_packets() > 0);
        let giver = busy.max_by(|&i, &j| finish(i).total_cmp(&finish(j)));
        let (Some(taker), Some(giver)) = (taker, giver) else { return };
        // Both finish together when x·pace(taker) = (remaining − x)·pace(giver).
        let together = (finish(giver) / (paces[taker] + paces[giver])) as u32;
        let packets = together.min(self.workers[giver].packets_above(self.config.floor));
        let ranges = self.workers[giver].split_off_tail(packets);
        self.give(WorkerId(giver), WorkerId(taker), &ranges, MoveReason::Rebalance);
    }

    fn give(&mut self, from: WorkerId, to: WorkerId, ranges: &VecDeque<SeqRange>, reason: MoveReason) {
        self.workers[to.0].add(ranges);
        self.notices.extend(ranges.iter().map(|&range| Notice::Moved { from, to, range, reason }));
    }

    /// Seconds a packet for each worker: what its acks have shown, at least what it is waiting for just now; before its first
    /// ack its latency times what the others' acks take of theirs.
    fn seconds_per_packet(&self, elapsed: Duration) -> Vec<f64> {
        let measured = || self.workers.iter().filter_map(|w| Some((w.measured_pace()?, w.latency())));
        let paces: f64 = measured().map(|(pace, _)| pace).sum();
        let latencies: f64 = measured().map(|(_, latency)| latency).sum();
        let ratio = if latencies > 0.0 { paces / latencies } else { 1.0 };
        let pace = |w: &Worker| {
            w.measured_pace().unwrap_or(w.latency() * ratio).max(w.waiting(elapsed).as_secs_f64())
        };
        self.workers.iter().map(pace).collect()
    }
}

/// Shares of `total` in proportion to `weights`: the sum is exact, and no share is off by more than one.
fn in_proportion(total: u32, weights: &[f64]) -> impl Iterator<Item = u32> {
    let sum: f64 = weights.iter().sum();
    weights.iter().scan((0.0, 0), move |(weight, given), more| {
        *weight += more;
        let end = (f64::from(total) * *weight / sum).round() as u32;
        Some(end - std::mem::replace(given, end))
    })
}

#[cfg(test)]
mod tests;
