//! The scheduler's ledger against the books: whenever it waits, and at the end.

use super::{Audit, Check, Rule, ensure};
use crate::simulation::network::Network;
use crate::simulation::scenario::Scenario;
use mdalp::protocol::scheduler::{Outcome, Scheduler};
use mdalp::protocol::worker::Worker;
use mdalp::protocol::{Seq, SeqRange};
use std::time::Duration;

impl Audit<'_> {
    /// What holds whenever all signals are handled: every packet is acknowledged, to be done by its owner, or left behind.
    pub fn settled(&self, scheduler: &Scheduler) -> Check {
        let survivors = self.receivers.iter().any(|books| !books.lost);
        let may_move = self.scenario.single.is_none() && self.scenario.failover;
        for (books, worker) in self.receivers.iter().zip(scheduler.workers()) {
            let fine = match books.lost {
                true => books.owned == 0 || !survivors || !may_move,
                false => books.owned == worker.remaining_packets(),
            };
            ensure(fine, Rule::NothingGetsLost, "packets are miscounted, or left behind")?;
        }
        Ok(())
    }

    /// The end of the transfer, and what its report says.
    pub fn ends(
        &self,
        outcome: Outcome,
        elapsed: Duration,
        scheduler: &Scheduler,
        network: &Network,
    ) -> Check {
        ensure(elapsed <= self.bound(), Rule::Ends, "the transfer takes too long")?;
        for (receiver, worker) in scheduler.workers().iter().enumerate() {
            self.report(receiver, worker)?;
        }
        let all_acked = self.seqs.iter().all(|packet| packet.acked_by.is_some());
        let is_true = match outcome {
            Outcome::Complete => all_acked,
            Outcome::Incomplete => !all_acked,
            // Complete is complete, also if the last ack came as the deadline passed.
            Outcome::Deadline => !all_acked && self.is_over(self.scenario.start() + elapsed),
        };
        ensure(is_true, Rule::OutcomeIsTrue, "the outcome is another")?;
        if outcome == Outcome::Complete {
            return self.content(network);
        }
        ensure(!self.scenario.must_complete(), Rule::CompletesIfItCan, "it does not complete")
    }

    /// The longest that the manual allows the transfer to take, and how much later wake-ups may make it.
    fn bound(&self) -> Duration {
        let Scenario { measuring, timing, scheduling, .. } = self.scenario;
        let losses = (self.seqs.len() + self.receivers.len()) as u32;
        let all = *measuring + timing.give_up * losses;
        let bound = self.scenario.deadline.map_or(all, |deadline| all.min(deadline.max(*measuring)));
        bound.mul_f64(1.0 + scheduling.late) + scheduling.latency * 4 * (losses + 1) + self.stalled
    }

    /// What is said of a receiver is what the network has seen.
    fn report(&self, receiver: usize, worker: &Worker) -> Check {
        let (books, lane) = (&self.receivers[receiver], &worker.lane);
        let seqs = |range: SeqRange| range.first().0..range.end().0;
        let mut claimed: Vec<u32> = worker.acked_ranges().into_iter().flat_map(seqs).collect();
        claimed.sort_unstable();
        let acked = self.seqs.iter().zip(0..).filter(|(packet, _)| packet.acked_by == Some(receiver));
        let (truth, bytes): (Vec<u32>, Vec<u64>) =
            acked.map(|(packet, seq)| (seq, packet.bytes.len() as u64)).unzip();
        ensure(claimed == truth, Rule::ReportIsTrue, "other SEQs are acknowledged")?;
        let right = worker.acked_bytes() == bytes.iter().sum::<u64>();
        ensure(right, Rule::ReportIsTrue, "bytes are miscounted")?;
        let mut counts = lane.counts();
        let srtt = counts.ack_rtt.take();
        let right = (lane.acked(), counts) == (books.acked, books.counts);
        ensure(right, Rule::ReportIsTrue, "packets or datagrams are miscounted")?;
        let fine = match (&books.samples, srtt) {
            (Some(samples), Some(srtt)) => samples.contains(&srtt),
            (samples, srtt) => (samples.is_none() || books.unsure) && srtt.is_none(),
        };
        ensure(fine, Rule::ReportIsTrue, "the round trip is not among its samples")
    }

    /// What the receivers have makes the payload, put together in the order of SEQs.
    pub fn content(&self, network: &Network) -> Check {
        let mut payload = Vec::with_capacity(self.scenario.payload.len());
        for seq in 0..self.seqs.len() as u32 {
            let mut stored = network.stored(Seq(seq));
            let first = stored.next().unwrap_or_default();
            let same = stored.all(|other| other == first);
            ensure(same, Rule::ContentArrives, "receivers have different contents")?;
            payload.extend_from_slice(first);
        }
        ensure(payload == self.scenario.payload, Rule::ContentArrives, "what arrived is not the payload")
    }
}
