//! How machines end, and what the main thread does with work: it hands out ranges, moves them, and reports losses.

use super::{Audit, Check, Packet, Rule, ensure};
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::{MoveReason, Notice};
use mdalp::protocol::stop_and_wait::{ExitReason, MAX_REFUSALS};
use mdalp::protocol::{LossReason, SeqRange, TRANSACTION_LIFETIME, WorkerId};
use std::time::Instant;

impl Audit<'_> {
    /// A machine has no more to do.
    pub fn idle(&self, receiver: usize) -> Check {
        let nothing = self.receivers[receiver].outstanding.is_none();
        ensure(nothing, Rule::NothingGetsLost, "a machine idles while a packet is outstanding")
    }

    /// A machine has ended.
    pub fn exits(&mut self, now: Instant, receiver: usize, reason: &ExitReason) -> Check {
        let ExitReason::Lost(reason) = reason else {
            return ensure(self.is_over(now), Rule::OutcomeIsTrue, "a machine stops before the deadline");
        };
        let books = &self.receivers[receiver];
        let Some(out) = books.outstanding else {
            return ensure(false, Rule::LostForAReason, "nothing is outstanding");
        };
        let silent_for = now.saturating_duration_since(out.first_sent);
        // No retransmission was due long before: the last wait was for this, or nearly.
        let earliest = out.give_up.0;
        let waited = out.until.is_some_and(|until| until >= earliest) || !out.is_stalled(now);
        let given_up = now >= earliest && waited;
        let good = match *reason {
            LossReason::Silent { seq, waited, transmissions, .. } => {
                // A measured round trip may leave no time for more.
                let tried = !out.refused && (transmissions >= 3 || books.samples.is_some());
                let counted = (seq, transmissions) == (out.seq, out.transmissions);
                counted && tried && waited == silent_for && given_up
            }
            LossReason::Refused { seq, times } => {
                self.exercised.insert(Class::LostToRefusals);
                let enough = times >= MAX_REFUSALS || (out.refused && given_up);
                seq == out.seq && times == books.refusals && enough
            }
            LossReason::LocalFailure { .. } => false,
            _ => panic!("no rule for {reason:?}"),
        };
        ensure(good, Rule::LostForAReason, "the reason is not true, or not good enough")
    }

    /// The main thread reports something.
    pub fn notice(&mut self, now: Instant, notice: &Notice) -> Check {
        match *notice {
            Notice::Lost { worker, unacked_packets } => self.lost(worker.0, unacked_packets),
            Notice::Moved { from, to, range, reason } => self.moved(from.0, to.0, range, reason),
            Notice::ExpiryLikely { projected } => {
                let fresh = self.exercised.insert(Class::ExpiryLikely) && self.scenario.watch_expiry;
                let late = projected > TRANSACTION_LIFETIME && self.scenario.start() + projected >= now;
                ensure(fresh && late, Rule::ReportIsTrue, "an expiry is reported twice, or is not likely")
            }
            Notice::Progress => {
                let last = self.last_progress.replace(now).unwrap_or(self.scenario.start());
                let due = self.scenario.progress.is_some() && now > last;
                ensure(due && !self.is_over(now), Rule::ReportIsTrue, "progress is reported too often")
            }
        }
    }

    fn lost(&mut self, receiver: usize, left: u32) -> Check {
        let books = &mut self.receivers[receiver];
        books.lost = true;
        self.exercised.insert(Class::Death);
        if books.inherited {
            self.exercised.insert(Class::HeirDied);
        }
        ensure(books.owned == left, Rule::NothingGetsLost, "what a lost receiver leaves is miscounted")
    }

    fn moved(&mut self, from: usize, to: usize, range: SeqRange, reason: MoveReason) -> Check {
        let broken = Rule::NothingGetsLost;
        ensure(from != to && !self.receivers[to].lost, broken, "packets go to a lost receiver")?;
        let giver = &self.receivers[from];
        ensure(giver.lost == (reason == MoveReason::Failover), broken, "packets move without a reason")?;
        let out = giver.outstanding.filter(|_| !giver.lost).map(|out| out.seq.0);
        for seq in range.first().0..range.end().0 {
            let packet = &mut self.seqs[seq as usize];
            let movable = packet.owner == from && packet.acked_by.is_none() && out != Some(seq);
            ensure(movable, broken, "a packet moves that is done, outstanding or another's")?;
            packet.owner = to;
        }
        self.receivers[from].owned -= range.packets();
        self.receivers[to].owned += range.packets();
        match reason {
            MoveReason::Failover => {
                self.receivers[to].inherited = true;
                self.exercised.insert(Class::Failover);
                if self.last_failover.replace(from).is_some_and(|last| last != from) {
                    self.exercised.insert(Class::Failovers);
                }
                Ok(())
            }
            MoveReason::Rebalance => {
                if !self.exercised.insert(Class::Rebalance) {
                    self.exercised.insert(Class::Rebalances);
                }
                let bytes = |p: &Packet| p.bytes.len() as u64;
                let after: u64 = self.seqs.iter().filter(|p| p.owner == from).map(bytes).sum();
                let floor = self.scenario.plan().floor.min(after + range.len());
                let losses = self.receivers.iter().any(|books| books.lost);
                ensure(losses || after >= floor, Rule::Floor, "a receiver is left under the floor")
            }
            _ => panic!("no rule for {reason:?}"),
        }
    }

    /// The main thread hands out a range.
    pub fn assigned(&self, now: Instant, worker: WorkerId, range: SeqRange) -> Check {
        ensure(!self.is_over(now), Rule::NothingAfterDeadline, "work is handed out")?;
        let owned = (range.first().0..range.end().0).all(|seq| {
            self.seqs.get(seq as usize).is_some_and(|p| p.owner == worker.0 && p.acked_by.is_none())
        });
        let fine = owned && !self.receivers[worker.0].lost;
        ensure(fine, Rule::NothingGetsLost, "a range is handed out that is done or another's")
    }
}
