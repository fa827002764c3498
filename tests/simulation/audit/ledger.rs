//! The client's ledger against the books: at every step of the main thread, and at the end.

use super::{Audit, Check, Outcome, Rule, ensure};
use crate::simulation::network::Network;
use mdalp::protocol::workload::{Worker, Workload};
use mdalp::protocol::{Seq, SeqRange};
use std::time::Duration;

impl Audit<'_> {
    /// What holds of the ledger at any time: every packet is acknowledged, to be done, or left behind.
    pub fn ledger(&self, workload: &Workload) -> Check {
        let abandoned = self.seqs.iter().filter(|packet| packet.abandoned).count() as u32;
        let mut counted = abandoned;
        let mut uncertain = 0;
        for (books, worker) in self.receivers.iter().zip(workload.workers()) {
            let acked = worker.lane().acked();
            ensure(books.acked == acked, Rule::ReportIsTrue, || format!("{acked} acked, {books:?}"))?;
            counted += acked + worker.remaining_packets();
            // The outstanding packet counts as one to come, also when there is none just now.
            uncertain += u32::from(books.outstanding.is_none() && worker.remaining_packets() > 0);
        }
        let packets = self.packets();
        ensure((packets..=packets + uncertain).contains(&counted), Rule::NothingGetsLost, || {
            format!("{counted} packets in the ledger, {packets} in the payload, {uncertain} uncertain")
        })
    }

    /// The end of the transfer, and what its report says.
    pub fn ends(&self, outcome: Outcome, elapsed: Duration, workload: &Workload, network: &Network) -> Check {
        let late = self.scenario.scheduling.late;
        let bound = self.scenario.bound(self.packets());
        let latency =
            self.scenario.scheduling.latency * (4 * (self.packets() + self.receivers.len() as u32 + 1));
        let bound = bound.mul_f64(1.0 + late) + latency;
        ensure(elapsed <= bound, Rule::Ends, || format!("after {elapsed:?}, bound {bound:?}"))?;
        self.report(workload.workers())?;
        let unacked = self.seqs.iter().position(|packet| packet.acked_by.is_none());
        let told = || format!("{outcome:?}, first SEQ without ack: {unacked:?}");
        match outcome {
            Outcome::Complete => {
                ensure(unacked.is_none(), Rule::OutcomeIsTrue, told)?;
                self.content(network)?;
            }
            Outcome::Incomplete => ensure(unacked.is_some(), Rule::OutcomeIsTrue, told)?,
            Outcome::Deadline => {
                let passed = self.deadline.is_some_and(|deadline| self.start + elapsed >= deadline);
                let known = workload.is_complete();
                ensure(passed && !known, Rule::OutcomeIsTrue, told)?;
            }
        }
        let fine = outcome == Outcome::Complete || !self.scenario.must_complete();
        ensure(fine, Rule::CompletesIfItCan, told)
    }

    /// What each receiver is said to have acknowledged is what it did.
    fn report(&self, workers: &[Worker]) -> Check {
        let mut claimed = vec![None; self.seqs.len()];
        for (receiver, worker) in workers.iter().enumerate() {
            let ranges = worker.acked_ranges();
            for seq in ranges.iter().flat_map(|range| range.first().0..range.end().0) {
                let before = claimed[seq as usize].replace(receiver);
                ensure(before.is_none(), Rule::ReportIsTrue, || format!("SEQ {seq} is in the report twice"))?;
            }
            let bytes: u64 = ranges.iter().map(SeqRange::len).sum();
            let of = self.seqs.iter().filter(|packet| packet.acked_by == Some(receiver));
            let truth: u64 = of.map(|packet| packet.bytes.len() as u64).sum();
            ensure(bytes == truth && worker.acked_bytes() == truth, Rule::ReportIsTrue, || {
                format!("receiver {receiver}: {bytes} and {} bytes, not {truth}", worker.acked_bytes())
            })?;
        }
        let truth = self.seqs.iter().map(|packet| packet.acked_by);
        let wrong = claimed.iter().copied().zip(truth).position(|(claimed, truth)| claimed != truth);
        ensure(wrong.is_none(), Rule::ReportIsTrue, || format!("SEQ {wrong:?} is claimed wrongly"))
    }

    /// What the receivers have makes the payload, put together in the order of SEQs.
    fn content(&self, network: &Network) -> Check {
        let mut payload = Vec::with_capacity(self.scenario.payload.len());
        for seq in (0..self.packets()).map(Seq) {
            let mut stored = network.stored(seq);
            let Some(first) = stored.next() else {
                return ensure(false, Rule::ContentArrives, || format!("nobody has SEQ {seq}"));
            };
            let same = stored.all(|other| other == first);
            ensure(same, Rule::ContentArrives, || format!("two contents of SEQ {seq}"))?;
            payload.extend_from_slice(first);
        }
        let same = payload == self.scenario.payload;
        ensure(same, Rule::ContentArrives, || "what arrived is not the payload".to_owned())
    }
}
