//! The promises, checked at every step with books of the simulation's own.

mod ledger;

use super::network::Network;
use super::scenario::Scenario;
use mdalp::protocol::message::{Ack, Data};
use mdalp::protocol::plan::Plan;
use mdalp::protocol::rto::{MIN_RTO, RtoConfig};
use mdalp::protocol::stop_and_wait::{LostCause, MAX_REFUSALS, Received};
use mdalp::protocol::workload::Move;
use mdalp::protocol::{Seq, SeqRange, Tid};
use std::fmt;
use std::time::{Duration, Instant};

/// A promise of the manual's GUARANTEES, or what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What counts as acknowledged was acknowledged by that receiver, for its own SEQ and TID.
    AckedByItsOwnAck,
    /// What has arrived is the payload, if the transfer is complete.
    ContentArrives,
    /// Complete means that every SEQ is acknowledged, and incomplete that not.
    OutcomeIsTrue,
    /// Every run, every wait and every SEQ's time ends in its bound.
    Ends,
    /// At most one SEQ is outstanding at a receiver.
    OneOutstanding,
    /// A retransmission is of the outstanding SEQ, when its timer fires.
    RetransmitsOnTimerOnly,
    /// Each packet is sent by whose it is, with its own bytes, and not to lost receivers.
    SendsItsOwn,
    /// Nothing is sent after the deadline.
    NothingAfterDeadline,
    /// A receiver is lost for a reason.
    LostForAReason,
    /// Every SEQ is one's, and what is left of a lost receiver goes to others.
    NothingGetsLost,
    /// The report says what was.
    ReportIsTrue,
    /// Rebalancing leaves everybody the floor.
    Floor,
    /// With failover and a receiver that never fails, the transfer completes.
    CompletesIfItCan,
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

pub type Check = Result<(), Violation>;

fn ensure(holds: bool, rule: Rule, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation { rule, what: what() }) }
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    Incomplete,
    Deadline,
}

/// The simulation's own books.
#[derive(Debug)]
pub struct Audit<'a> {
    scenario: &'a Scenario,
    tid: Tid,
    timing: RtoConfig,
    start: Instant,
    deadline: Option<Instant>,
    floor: u64,
    seqs: Vec<Packet>,
    receivers: Vec<Books>,
    losses: u32,
}

/// A SEQ.
#[derive(Debug)]
struct Packet {
    /// Its bytes of the payload.
    bytes: std::ops::Range<usize>,
    owner: usize,
    acked_by: Option<usize>,
    /// It was its lost owner's, and there was nobody to take it.
    abandoned: bool,
}

/// A receiver.
#[derive(Clone, Debug, Default)]
struct Books {
    outstanding: Option<Outstanding>,
    lost: bool,
    acked: u32,
    refusals: u32,
    shortest_rtt: Option<Duration>,
    /// The last SEQ acknowledged after a retransmission, and how long that took: its second ack is a sample.
    resent: Option<(Seq, Duration, Instant)>,
    /// Whether a sample may have extended the running timer.
    may_extend: bool,
    pub inherited: bool,
}

#[derive(Clone, Copy, Debug)]
struct Outstanding {
    seq: Seq,
    first_sent: Instant,
    second_sent: Instant,
    last_sent: Instant,
    transmissions: u32,
    refused: bool,
    /// What the machine said to wait for.
    until: Option<Instant>,
}

impl<'a> Audit<'a> {
    pub fn new(scenario: &'a Scenario, plan: &Plan, start: Instant) -> Self {
        let mut seqs = Vec::new();
        for (range, &owner) in plan.ranges().iter().zip(&scenario.list) {
            let bytes = range.bytes().start as usize..range.bytes().end as usize;
            let starts = bytes.clone().step_by(100);
            seqs.extend(starts.map(|at| Packet {
                bytes: at..bytes.end.min(at + 100),
                owner,
                acked_by: None,
                abandoned: false,
            }));
        }
        Self {
            scenario,
            tid: scenario.tid,
            timing: scenario.timing,
            start,
            deadline: scenario.deadline.map(|limit| start + limit),
            floor: plan.floor(),
            seqs,
            receivers: vec![Books::default(); scenario.receivers.len()],
            losses: 0,
        }
    }

    pub fn packets(&self) -> u32 {
        self.seqs.len() as u32
    }

    pub fn has_inherited(&self, receiver: usize) -> bool {
        self.receivers[receiver].inherited
    }

    /// Whether the first time-out at this receiver may still come down.
    pub fn is_new(&self, receiver: usize) -> bool {
        self.receivers[receiver].acked == 0
    }

    /// A machine has a datagram sent.
    pub fn transmits(
        &mut self,
        now: Instant,
        receiver: usize,
        (seq, transmission): (Seq, u32),
        datagram: &[u8],
    ) -> Check {
        let told = || format!("SEQ {seq}, transmission {transmission}, to receiver {receiver}");
        let past = self.deadline.is_some_and(|deadline| now >= deadline);
        ensure(!past, Rule::NothingAfterDeadline, told)?;
        let packet = self.seqs.get(seq.0 as usize);
        let wanted = packet.and_then(|packet| self.scenario.payload.get(packet.bytes.clone()));
        let right = Data::parse(datagram)
            .is_some_and(|data| data.tid == self.tid && data.seq == seq && Some(data.payload) == wanted);
        ensure(right, Rule::SendsItsOwn, || format!("wrong bytes: {}", told()))?;
        let books = &self.receivers[receiver];
        ensure(!books.lost, Rule::SendsItsOwn, || format!("after its loss: {}", told()))?;
        if transmission == 1 {
            self.first_transmission(now, receiver, seq)
        } else {
            self.retransmission(now, receiver, seq, transmission)
        }
    }

    fn first_transmission(&mut self, now: Instant, receiver: usize, seq: Seq) -> Check {
        let packet = &self.seqs[seq.0 as usize];
        ensure(packet.owner == receiver, Rule::SendsItsOwn, || {
            format!("receiver {receiver} gets SEQ {seq} of receiver {}", packet.owner)
        })?;
        ensure(packet.acked_by.is_none(), Rule::SendsItsOwn, || {
            format!("SEQ {seq} is acknowledged already")
        })?;
        let books = &mut self.receivers[receiver];
        let out = books.outstanding.map(|out| out.seq);
        ensure(out.is_none(), Rule::OneOutstanding, || {
            format!("SEQ {seq} is sent to receiver {receiver} while {out:?} is outstanding")
        })?;
        books.outstanding = Some(Outstanding {
            seq,
            first_sent: now,
            second_sent: now,
            last_sent: now,
            transmissions: 1,
            refused: false,
            until: None,
        });
        Ok(())
    }

    fn retransmission(&mut self, now: Instant, receiver: usize, seq: Seq, transmission: u32) -> Check {
        let told = |why| format!("SEQ {seq}, transmission {transmission}, to receiver {receiver}: {why}");
        let broken = Rule::RetransmitsOnTimerOnly;
        let first = self.timing.first_timeout.min(self.timing.give_up / 4);
        let books = &mut self.receivers[receiver];
        let out = books.outstanding.as_mut().filter(|out| out.seq == seq);
        let Some(out) = out else { return ensure(false, broken, || told("it is not outstanding")) };
        ensure(transmission == out.transmissions + 1, broken, || told("miscounted"))?;
        let fired = out.until.is_some_and(|until| now >= until);
        ensure(fired, broken, || told("before its timer"))?;
        let least = match books.shortest_rtt {
            _ if self.timing.fixed => first,
            // RTO is at least 1.25 × SRTT, which is at least the shortest round trip, but for rounding.
            Some(rtt) => {
                (rtt * 5 / 4).saturating_sub(Duration::from_nanos(100)).max(MIN_RTO).min(self.timing.give_up)
            }
            None => first.min(Duration::from_millis(100)),
        };
        ensure(now >= out.last_sent + least, broken, || told("sooner than any time-out"))?;
        if !out.refused {
            books.refusals = 0;
        }
        if transmission == 2 {
            out.second_sent = now;
        }
        (out.last_sent, out.transmissions, out.refused, out.until) = (now, transmission, false, None);
        Ok(())
    }

    /// A machine says until when to wait.
    pub fn waits(&mut self, now: Instant, receiver: usize, until: Instant) -> Check {
        let (start, deadline, timing) = (self.start, self.deadline, self.timing);
        let out = self.receivers[receiver].outstanding.as_mut();
        let Some(out) = out else {
            return ensure(false, Rule::Ends, || {
                format!("receiver {receiver} waits with nothing outstanding")
            });
        };
        let bound = out.first_sent + timing.give_up;
        let bound = deadline.map_or(bound, |deadline| deadline.min(bound));
        ensure(until > now && until <= bound, Rule::Ends, || {
            let of = |at: Instant| at.saturating_duration_since(start);
            format!("at {:?} receiver {receiver} waits until {:?}, bound {:?}", of(now), of(until), of(bound))
        })?;
        let before = out.until.replace(until).unwrap_or(until);
        let may_extend = std::mem::take(&mut self.receivers[receiver].may_extend);
        ensure(until == before || (until > before && may_extend), Rule::Ends, || {
            format!("receiver {receiver} moves its timer")
        })
    }

    /// A refusal came for the outstanding packet, if there is one.
    pub fn refused(&mut self, receiver: usize) {
        let books = &mut self.receivers[receiver];
        if let Some(out) = books.outstanding.as_mut().filter(|out| !out.refused) {
            out.refused = true;
            books.refusals += 1;
        }
    }

    /// A machine has taken a datagram; `after` is what is outstanding now.
    pub fn received(
        &mut self,
        now: Instant,
        receiver: usize,
        (datagram, received): (&[u8], Received),
        after: Option<Seq>,
        network: &Network,
    ) -> Check {
        let books = &mut self.receivers[receiver];
        let before = books.outstanding;
        let own = before.filter(|out| Ack { tid: self.tid, seq: out.seq }.encode() == datagram);
        let told = |why| format!("receiver {receiver}, {before:?}: {why}: {}", datagram.escape_ascii());
        if received == Received::Ignored {
            ensure(own.is_none(), Rule::Ends, || told("an ack is ignored"))?;
            let second = |(seq, ..): &mut (Seq, Duration, Instant)| {
                Ack::parse(datagram) == Some(Ack { tid: self.tid, seq: *seq })
            };
            if let Some((_, first, second_sent)) = books.resent.take_if(second) {
                let rtt = first.min(now - second_sent);
                books.shortest_rtt = Some(books.shortest_rtt.map_or(rtt, |shortest| shortest.min(rtt)));
                books.may_extend = true;
            }
            return ensure(after == before.map(|out| out.seq), Rule::OneOutstanding, || {
                told("something moved")
            });
        }
        let broken = Rule::AckedByItsOwnAck;
        let Some(out) = own else { return ensure(false, broken, || told("taken for an ack")) };
        ensure(network.has(receiver, out.seq), broken, || told("the receiver does not have it"))?;
        ensure(after.is_none(), Rule::OneOutstanding, || told("it stays outstanding"))?;
        let packet = &mut self.seqs[out.seq.0 as usize];
        ensure(packet.acked_by.is_none(), broken, || told("it was acknowledged before"))?;
        packet.acked_by = Some(receiver);
        books.outstanding = None;
        books.refusals = 0;
        books.acked += 1;
        books.may_extend = false;
        let rtt = now.saturating_duration_since(out.first_sent);
        if out.transmissions > 1 {
            books.resent = Some((out.seq, rtt, out.second_sent));
        } else {
            books.shortest_rtt = Some(books.shortest_rtt.map_or(rtt, |shortest| shortest.min(rtt)));
        }
        Ok(())
    }

    /// A machine has no more to do.
    pub fn idle(&self, receiver: usize) -> Check {
        let out = self.receivers[receiver].outstanding;
        ensure(out.is_none(), Rule::NothingGetsLost, || format!("receiver {receiver} idles with {out:?}"))
    }

    /// A machine says that the deadline has passed.
    pub fn expired(&self, now: Instant, receiver: usize) -> Check {
        let passed = self.deadline.is_some_and(|deadline| now >= deadline);
        ensure(passed, Rule::OutcomeIsTrue, || format!("receiver {receiver} expired before the deadline"))
    }

    /// A machine gives its receiver up.
    pub fn gives_up(&self, now: Instant, receiver: usize, cause: LostCause) -> Check {
        let books = &self.receivers[receiver];
        let told = || format!("receiver {receiver}: {cause:?}, {books:?}");
        let Some(out) = books.outstanding else { return ensure(false, Rule::LostForAReason, told) };
        let silent_for = now.saturating_duration_since(out.first_sent);
        let reason = match cause {
            LostCause::Silent { waited, transmissions } => {
                let tried = transmissions == out.transmissions
                    && (transmissions >= 3 || books.shortest_rtt.is_some());
                tried && waited == silent_for && waited >= self.timing.give_up
            }
            LostCause::Refused => books.refusals >= MAX_REFUSALS,
        };
        ensure(reason, Rule::LostForAReason, told)
    }

    /// The main thread has heard of a loss, and moved what was left.
    pub fn lost(&mut self, receiver: usize, left: u32, moves: &[Move], may_move: bool) -> Check {
        self.losses += 1;
        self.receivers[receiver].lost = true;
        let told = |what: &str| format!("the loss of receiver {receiver}: {what}: {left} left, {moves:?}");
        let unacked =
            self.seqs.iter().filter(|p| p.owner == receiver && p.acked_by.is_none() && !p.abandoned);
        ensure(unacked.count() == left as usize, Rule::NothingGetsLost, || told("miscounted"))?;
        for moved in moves {
            ensure(moved.from == receiver, Rule::NothingGetsLost, || told("moved another's"))?;
            self.moves(moved)?;
            self.receivers[moved.to].inherited = true;
        }
        let heirs = may_move && self.receivers.iter().any(|books| !books.lost);
        let mut left_behind = self.seqs.iter_mut().filter(|p| p.owner == receiver && p.acked_by.is_none());
        if heirs {
            return ensure(left_behind.next().is_none(), Rule::NothingGetsLost, || told("left behind"));
        }
        left_behind.for_each(|packet| packet.abandoned = true);
        Ok(())
    }

    /// Work was rebalanced.
    pub fn rebalanced(&mut self, moves: &[Move]) -> Check {
        for moved in moves {
            let before = self.bytes_of(moved.from);
            self.moves(moved)?;
            let (after, floor) = (self.bytes_of(moved.from), self.floor.min(before));
            ensure(self.losses > 0 || after >= floor, Rule::Floor, || {
                format!("{after} bytes left: {moved:?}")
            })?;
        }
        Ok(())
    }

    fn bytes_of(&self, receiver: usize) -> u64 {
        self.seqs.iter().filter(|p| p.owner == receiver).map(|p| p.bytes.len() as u64).sum()
    }

    fn moves(&mut self, moved: &Move) -> Check {
        let Move { from, to, range } = *moved;
        let told = |why| format!("{why}: {moved:?}");
        let broken = Rule::NothingGetsLost;
        ensure(from != to && !self.receivers[to].lost, broken, || told("to a lost receiver"))?;
        let out = self.receivers[from].outstanding.filter(|_| !self.receivers[from].lost);
        for packet in range.first().0..range.end().0 {
            ensure(out.is_none_or(|out| out.seq != Seq(packet)), broken, || told("it is outstanding"))?;
            let packet = &mut self.seqs[packet as usize];
            ensure(packet.owner == from && packet.acked_by.is_none(), broken, || told("it is not theirs"))?;
            packet.owner = to;
        }
        Ok(())
    }

    /// The main thread hands out a range.
    pub fn assigned(&self, receiver: usize, range: SeqRange) -> Check {
        let owned = (range.first().0..range.end().0).all(|seq| {
            self.seqs.get(seq as usize).is_some_and(|p| p.owner == receiver && p.acked_by.is_none())
        });
        let fine = owned && !self.receivers[receiver].lost;
        ensure(fine, Rule::NothingGetsLost, || format!("receiver {receiver} is given {range:?}"))
    }
}
