//! How machines end, and what the main thread does with work: it hands out ranges, moves them, and reports losses.

use super::{Audit, Check, Packet, Rule, ensure};
use crate::simulation::tally::Class;
use mdalp::protocol::scheduler::{MoveReason, Notice};
use mdalp::protocol::stop_and_wait::{ExitReason, MAX_REFUSALS};
use mdalp::protocol::{LossReason, Seq, SeqRange, WorkerId};
use std::time::Instant;

impl Audit<'_> {
    /// A machine has no more to do.
    pub fn idle(&self, receiver: usize) -> Check {
        let out = self.receivers[receiver].outstanding;
        ensure(out.is_none(), Rule::NothingGetsLost, || format!("receiver {receiver} idles with {out:?}"))
    }

    /// A machine has ended.
    pub fn exits(&mut self, now: Instant, receiver: usize, reason: &ExitReason) -> Check {
        let books = &self.receivers[receiver];
        let told = || format!("receiver {receiver}: {reason:?}, {books:?}");
        let reason = match reason {
            ExitReason::Stopped => {
                let passed = self.deadline.is_some_and(|deadline| now >= deadline);
                return ensure(passed, Rule::OutcomeIsTrue, told);
            }
            ExitReason::Lost(reason) => reason,
        };
        let Some(out) = books.outstanding else { return ensure(false, Rule::LostForAReason, told) };
        let silent_for = now.saturating_duration_since(out.first_sent);
        let good = match *reason {
            LossReason::Silent { seq, waited, transmissions, .. } => {
                // A measured round trip may be so long that there is no time for more.
                let tried = !out.refused && (transmissions >= 3 || books.samples.is_some());
                let counted = (seq, transmissions) == (out.seq, out.transmissions);
                counted && tried && waited == silent_for && waited >= self.timing.give_up + out.held_up
            }
            LossReason::Refused { seq, times } => {
                let in_time = silent_for < self.timing.give_up + out.held_up;
                let enough = times >= MAX_REFUSALS || (out.refused && !in_time);
                seq == out.seq && times == books.refusals && enough
            }
            LossReason::LocalFailure { .. } => false,
            _ => panic!("no rule for {reason:?}"),
        };
        ensure(good, Rule::LostForAReason, told)?;
        if matches!(reason, LossReason::Refused { .. }) {
            self.exercised.note(Class::LostToRefusals);
        }
        Ok(())
    }

    /// The main thread reports something.
    pub fn notice(&mut self, notice: &Notice) -> Check {
        match *notice {
            Notice::Lost { worker, unacked_packets } => self.lost(worker.0, unacked_packets),
            Notice::Moved { from, to, range, reason } => self.moved(from.0, to.0, range, reason),
            Notice::ExpiryLikely { .. } | Notice::Progress => Ok(()),
        }
    }

    fn lost(&mut self, receiver: usize, left: u32) -> Check {
        self.losses += 1;
        self.exercised.note(Class::Death);
        let books = &mut self.receivers[receiver];
        if books.inherited {
            self.exercised.note(Class::HeirDied);
        }
        books.lost = true;
        ensure(books.owned == left, Rule::NothingGetsLost, || {
            format!("receiver {receiver} is lost, {left} packets left: {books:?}")
        })
    }

    fn moved(&mut self, from: usize, to: usize, range: SeqRange, reason: MoveReason) -> Check {
        let told = |why| format!("{why}: SEQ {range} from {from} to {to}, {reason:?}");
        let broken = Rule::NothingGetsLost;
        ensure(from != to && !self.receivers[to].lost, broken, || told("to a lost receiver"))?;
        let giver = &self.receivers[from];
        ensure(giver.lost == (reason == MoveReason::Failover), broken, || told("without a reason"))?;
        let out = giver.outstanding.filter(|_| !giver.lost);
        for seq in range.first().0..range.end().0 {
            ensure(out.is_none_or(|out| out.seq != Seq(seq)), broken, || told("it is outstanding"))?;
            let packet = &mut self.seqs[seq as usize];
            ensure(packet.owner == from && packet.acked_by.is_none(), broken, || told("it is not theirs"))?;
            packet.owner = to;
        }
        self.receivers[from].owned -= range.packets();
        self.receivers[to].owned += range.packets();
        match reason {
            MoveReason::Failover => {
                self.receivers[to].inherited = true;
                self.exercised.note(Class::Failover);
                if self.last_failover.replace(from).is_some_and(|last| last != from) {
                    self.exercised.note(Class::Failovers);
                }
                Ok(())
            }
            MoveReason::Rebalance => {
                let before = std::mem::replace(&mut self.rebalanced, true);
                self.exercised.note(if before { Class::Rebalances } else { Class::Rebalance });
                let bytes = |p: &Packet| p.bytes.len() as u64;
                let after: u64 = self.seqs.iter().filter(|p| p.owner == from).map(bytes).sum();
                let floor = self.floor.min(after + range.len());
                ensure(self.losses > 0 || after >= floor, Rule::Floor, || told("under the floor"))
            }
            _ => panic!("no rule for {reason:?}"),
        }
    }

    /// The main thread hands out a range.
    pub fn assigned(&self, now: Instant, worker: WorkerId, range: SeqRange) -> Check {
        let receiver = worker.0;
        let past = self.deadline.is_some_and(|deadline| now >= deadline);
        ensure(!past, Rule::NothingAfterDeadline, || format!("receiver {receiver} is given {range}"))?;
        let owned = (range.first().0..range.end().0).all(|seq| {
            self.seqs.get(seq as usize).is_some_and(|p| p.owner == receiver && p.acked_by.is_none())
        });
        let fine = owned && !self.receivers[receiver].lost;
        ensure(fine, Rule::NothingGetsLost, || format!("receiver {receiver} is given {range}"))
    }
}
