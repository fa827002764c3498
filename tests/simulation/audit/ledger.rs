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
        let broken = Rule::NothingGetsLost;
        let survivors = self.receivers.iter().any(|books| !books.lost);
        let may_move = self.scenario.single.is_none() && self.scenario.failover;
        for (books, worker) in self.receivers.iter().zip(scheduler.workers()) {
            let told =
                |what: &str| format!("{what}: {books:?}, {} in the ledger", worker.remaining_packets());
            if books.lost {
                ensure(books.owned == 0 || !survivors || !may_move, broken, || told("left behind"))?;
            } else {
                ensure(books.owned == worker.remaining_packets(), broken, || told("miscounted"))?;
            }
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
        let late = self.scenario.scheduling.late;
        let bound = self.scenario.bound(self.packets());
        let latency =
            self.scenario.scheduling.latency * (4 * (self.packets() + self.receivers.len() as u32 + 1));
        let bound = bound.mul_f64(1.0 + late) + latency + self.stalled;
        ensure(elapsed <= bound, Rule::Ends, || format!("after {elapsed:?}, bound {bound:?}"))?;
        for (receiver, worker) in scheduler.workers().iter().enumerate() {
            self.report(receiver, worker)?;
        }
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
                // Complete is complete, also if the last ack came as the deadline passed.
                ensure(passed && unacked.is_some(), Rule::OutcomeIsTrue, told)?;
            }
        }
        let fine = outcome == Outcome::Complete || !self.scenario.must_complete();
        ensure(fine, Rule::CompletesIfItCan, told)
    }

    /// What is said of a receiver is what the network has seen.
    fn report(&self, receiver: usize, worker: &Worker) -> Check {
        let books = &self.receivers[receiver];
        let told = |what: &str| format!("receiver {receiver}: {what}: {books:?}, {:?}", worker.lane());
        let ranges = worker.acked_ranges();
        let mut claimed: Vec<u32> = ranges.iter().flat_map(|range| range.first().0..range.end().0).collect();
        claimed.sort_unstable();
        let acked = self.seqs.iter().zip(0..).filter(|(packet, _)| packet.acked_by == Some(receiver));
        let (truth, bytes): (Vec<u32>, Vec<u64>) =
            acked.map(|(packet, seq)| (seq, packet.bytes.len() as u64)).unzip();
        ensure(claimed == truth, Rule::ReportIsTrue, || told("acknowledged SEQs"))?;
        let bytes: u64 = bytes.iter().sum();
        let counted: u64 = ranges.iter().map(SeqRange::len).sum();
        ensure(counted == bytes && worker.acked_bytes() == bytes, Rule::ReportIsTrue, || told("bytes"))?;
        let lane = worker.lane();
        let counts = (lane.acked(), lane.transmissions(), lane.retransmissions(), lane.ignored());
        let truth = (books.acked, books.transmissions, books.retransmissions, books.ignored);
        ensure(counts == truth, Rule::ReportIsTrue, || told("counts"))?;
        ensure(lane.last_ack() == books.last_ack, Rule::ReportIsTrue, || told("last ack"))?;
        let sampled = books.samples.as_ref().map(|samples| samples.start()..=samples.end());
        let srtt = lane.srtt();
        let fine = match (&sampled, &srtt) {
            (Some(samples), Some(srtt)) => samples.contains(&srtt),
            (samples, srtt) => samples.is_none() && srtt.is_none(),
        };
        ensure(fine, Rule::ReportIsTrue, || told("round trip"))
    }

    /// What the receivers have makes the payload, put together in the order of SEQs.
    fn content(&self, network: &Network) -> Check {
        let mut payload = Vec::with_capacity(self.scenario.payload.len());
        for seq in (0..self.packets()).map(Seq) {
            let mut stored = network.stored(seq);
            let Some(first) = stored.next() else {
                return ensure(false, Rule::ContentArrives, || format!("no receiver has SEQ {seq}"));
            };
            let same = stored.all(|other| other == first);
            ensure(same, Rule::ContentArrives, || format!("two contents of SEQ {seq}"))?;
            payload.extend_from_slice(first);
        }
        let same = payload == self.scenario.payload;
        ensure(same, Rule::ContentArrives, || "what arrived is not the payload".to_owned())
    }
}
