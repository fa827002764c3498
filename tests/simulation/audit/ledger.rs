//! The scheduler's ledger against the books: whenever it waits, and at the end.

use super::{Audit, Check, Rule, ensure};
use crate::simulation::network::Network;
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
        let (packets, scheduling) = (self.seqs.len() as u32, self.scenario.scheduling);
        let wakeups = 4 * (packets + self.receivers.len() as u32 + 1);
        let bound = self.scenario.bound(packets).mul_f64(1.0 + scheduling.late);
        let bound = bound + scheduling.latency * wakeups + self.stalled;
        ensure(elapsed <= bound, Rule::Ends, "the transfer takes too long")?;
        for (receiver, worker) in scheduler.workers().iter().enumerate() {
            self.report(receiver, worker)?;
        }
        let all_acked = self.seqs.iter().all(|packet| packet.acked_by.is_some());
        let is_true = match outcome {
            Outcome::Complete => all_acked,
            Outcome::Incomplete => !all_acked,
            // Complete is complete, also if the last ack came as the deadline passed.
            Outcome::Deadline => !all_acked && self.is_over(self.start + elapsed),
        };
        ensure(is_true, Rule::OutcomeIsTrue, "the outcome is another")?;
        if outcome == Outcome::Complete {
            return self.content(network);
        }
        ensure(!self.scenario.must_complete(), Rule::CompletesIfItCan, "it does not complete")
    }

    /// What is said of a receiver is what the network has seen.
    fn report(&self, receiver: usize, worker: &Worker) -> Check {
        let (books, lane) = (&self.receivers[receiver], worker.lane());
        let ranges = worker.acked_ranges();
        let mut claimed: Vec<u32> = ranges.iter().flat_map(|range| range.first().0..range.end().0).collect();
        claimed.sort_unstable();
        let acked = self.seqs.iter().zip(0..).filter(|(packet, _)| packet.acked_by == Some(receiver));
        let (truth, bytes): (Vec<u32>, Vec<u64>) =
            acked.map(|(packet, seq)| (seq, packet.bytes.len() as u64)).unzip();
        ensure(claimed == truth, Rule::ReportIsTrue, "other SEQs are acknowledged")?;
        let bytes: u64 = bytes.iter().sum();
        let counted: u64 = ranges.iter().map(SeqRange::len).sum();
        ensure(
            counted == bytes && worker.acked_bytes() == bytes,
            Rule::ReportIsTrue,
            "bytes are miscounted",
        )?;
        let mut counts = lane.counts();
        let srtt = counts.ack_rtt.take();
        let right = (lane.acked(), counts) == (books.acked, books.counts);
        ensure(right, Rule::ReportIsTrue, "packets or datagrams are miscounted")?;
        let fine = match (&books.samples, srtt) {
            (Some(samples), Some(srtt)) => samples.contains(&srtt),
            (samples, srtt) => samples.is_none() && srtt.is_none(),
        };
        ensure(fine, Rule::ReportIsTrue, "the round trip is not among its samples")
    }

    /// What the receivers have makes the payload, put together in the order of SEQs.
    fn content(&self, network: &Network) -> Check {
        let mut payload = Vec::with_capacity(self.scenario.payload.len());
        for seq in 0..self.seqs.len() as u32 {
            let mut stored = network.stored(Seq(seq));
            let first = stored.next().unwrap_or_default();
            ensure(
                stored.all(|other| other == first),
                Rule::ContentArrives,
                "receivers have different contents",
            )?;
            payload.extend_from_slice(first);
        }
        ensure(payload == self.scenario.payload, Rule::ContentArrives, "what arrived is not the payload")
    }
}
