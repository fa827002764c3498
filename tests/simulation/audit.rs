//! The promises, checked at every step with books of the simulation's own.

mod ledger;
mod work;

use super::network::Network;
use super::run::FirstPacket;
use super::scenario::Scenario;
use super::tally::{Class, Exercised};
use crate::loopback::wire;
use mdalp::protocol::Seq;
use mdalp::protocol::lane::Counts;
use mdalp::protocol::rto::MIN_RTO;
use std::fmt;
use std::ops::{Range, RangeInclusive};
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
    /// The client's own assertions hold.
    NoPanic,
}

/// A promise that was broken. The run's trace shows where.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub what: &'static str,
}

/// What is less late than this and a sixteenth of the timeout was so by the kernel's doing.
const KERNEL: Duration = Duration::from_millis(50);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

pub type Check = Result<(), Violation>;

fn ensure(holds: bool, rule: Rule, what: &'static str) -> Check {
    if holds { Ok(()) } else { Err(Violation { rule, what }) }
}

/// The simulation's own books.
pub struct Audit<'a> {
    scenario: &'a Scenario,
    deadline: Option<Instant>,
    seqs: Vec<Packet>,
    receivers: Vec<Books>,
    /// The last lost receiver whose work has moved.
    last_failover: Option<usize>,
    last_progress: Option<Instant>,
    /// How long threads were held up, all together.
    pub stalled: Duration,
    pub exercised: Exercised,
}

/// A SEQ.
struct Packet {
    /// Its bytes of the payload.
    bytes: Range<usize>,
    owner: usize,
    acked_by: Option<usize>,
}

/// A receiver.
#[derive(Clone, Default)]
struct Books {
    outstanding: Option<Outstanding>,
    lost: bool,
    /// Packets that are its to do and not acknowledged.
    owned: u32,
    acked: u32,
    /// What the lane must have counted, but for the smoothed round trip.
    counts: Counts,
    refusals: u32,
    /// The shortest and the longest sample of its round trip.
    samples: Option<RangeInclusive<Duration>>,
    /// Whether none of them is certain: an ack after a stall is a sample only if the timeout, which may be unknown, allows it.
    unsure: bool,
    /// The last SEQ acknowledged after a retransmission, and how long that took: its second ack, from an instant on, shows a sample.
    resent: Option<(Seq, Duration, Instant)>,
    /// Whether the machine is certain to remember that one.
    resent_for_certain: bool,
    /// Whether a sample may have extended the running timer.
    may_extend: bool,
    inherited: bool,
    first: Option<FirstPacket>,
}

#[derive(Clone, Copy)]
struct Outstanding {
    seq: Seq,
    first_sent: Instant,
    second_sent: Instant,
    last_sent: Instant,
    transmissions: u32,
    refused: bool,
    /// What the machine said to wait for, and how long the wait before a retransmission was.
    until: Option<Instant>,
    timeout: Duration,
    /// How long its next retransmission is held up before the send.
    stall: Duration,
    /// Whether a second ack came so late that its sample need not extend the timer.
    unextended: bool,
    /// When its receiver is lost, at the earliest and the latest: a stall does not count, and a second ack may have moved the
    /// timer that was late.
    give_up: (Instant, Instant),
}

impl Outstanding {
    /// Whether its timer is so late that it does not count, as the manual says.
    fn is_stalled(&self, now: Instant) -> bool {
        let late = |until| now.saturating_duration_since(until) > (until - self.last_sent) / 16 + KERNEL;
        self.until.is_none_or(late)
    }

    /// Whether what is handled now may make a sample, and whether it is certain to: it is not after a stall, but the timeout may
    /// be unknown.
    fn makes_samples(&self, now: Instant, deadline: Option<Instant>, may_extend: bool) -> (bool, bool) {
        let late = self.is_stalled(now);
        let timeout = self.until.filter(|&until| until < self.give_up.0 && deadline != Some(until));
        (!late || timeout.is_none() || may_extend, !late)
    }
}

impl Books {
    /// The machine takes this for a sample, or may.
    fn sample(&mut self, rtt: Duration, certain: bool) {
        self.unsure = !certain && (self.unsure || self.samples.is_none());
        self.samples = Some(match self.samples.take() {
            None => rtt..=rtt,
            Some(samples) => rtt.min(*samples.start())..=rtt.max(*samples.end()),
        });
    }
}

impl<'a> Audit<'a> {
    pub fn new(scenario: &'a Scenario) -> Self {
        let mut seqs = Vec::new();
        let mut receivers = vec![Books::default(); scenario.receivers.len()];
        for (range, &owner) in scenario.plan().ranges.iter().zip(&scenario.list) {
            let bytes = range.bytes().start as usize..range.bytes().end as usize;
            let packets = bytes.clone().step_by(100).map(|at| at..bytes.end.min(at + 100));
            seqs.extend(packets.map(|bytes| Packet { bytes, owner, acked_by: None }));
            receivers[owner].owned += range.packets();
        }
        Self {
            scenario,
            deadline: scenario.deadline.map(|limit| scenario.start() + limit),
            seqs,
            receivers,
            last_failover: None,
            last_progress: None,
            stalled: Duration::ZERO,
            exercised: Exercised::new(),
        }
    }

    pub fn first_packets(&self) -> Vec<Option<FirstPacket>> {
        self.receivers.iter().map(|books| books.first).collect()
    }

    pub fn transmissions(&self) -> u64 {
        self.receivers.iter().map(|books| books.counts.transmissions).sum()
    }

    /// Whether the deadline has passed.
    fn is_over(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Whether the datagram is the ack of this SEQ in this transaction.
    fn acks(&self, datagram: &[u8], seq: Seq) -> bool {
        wire::parse_ack(datagram) == Some((self.scenario.tid.0, seq.0))
    }

    /// A machine begins a range: from then on no duplicate that came before is taken for a second ack.
    pub fn begins(&mut self, receiver: usize) {
        self.receivers[receiver].resent = None;
    }

    /// A machine has a datagram sent.
    pub fn transmits(
        &mut self,
        now: Instant,
        receiver: usize,
        (seq, transmission): (Seq, u32),
        datagram: &[u8],
    ) -> Check {
        ensure(!self.is_over(now), Rule::NothingAfterDeadline, "a packet is sent")?;
        let packet = self.seqs.get(seq.0 as usize);
        let wanted = packet.and_then(|packet| self.scenario.payload.get(packet.bytes.clone()));
        let right = wire::parse_data(datagram).is_some_and(|data| {
            (data.tid, data.seq) == (self.scenario.tid.0, seq.0) && Some(data.payload) == wanted
        });
        ensure(right, Rule::SendsItsOwn, "the packet has wrong bytes")?;
        let books = &mut self.receivers[receiver];
        ensure(!books.lost, Rule::SendsItsOwn, "the receiver is lost")?;
        books.counts.transmissions += 1;
        if transmission == 1 {
            self.first_transmission(now, receiver, seq)
        } else {
            self.retransmission(now, receiver, seq, transmission)
        }
    }

    fn first_transmission(&mut self, now: Instant, receiver: usize, seq: Seq) -> Check {
        let packet = &self.seqs[seq.0 as usize];
        ensure(packet.owner == receiver, Rule::SendsItsOwn, "the packet is another receiver's")?;
        ensure(packet.acked_by.is_none(), Rule::SendsItsOwn, "the packet is acknowledged already")?;
        let books = &mut self.receivers[receiver];
        ensure(books.outstanding.is_none(), Rule::OneOutstanding, "another packet is outstanding")?;
        books.outstanding = Some(Outstanding {
            seq,
            first_sent: now,
            second_sent: now,
            last_sent: now,
            transmissions: 1,
            refused: false,
            until: None,
            timeout: Duration::ZERO,
            stall: Duration::ZERO,
            unextended: false,
            give_up: (now + self.scenario.timing.give_up, now + self.scenario.timing.give_up),
        });
        Ok(())
    }

    fn retransmission(&mut self, now: Instant, receiver: usize, seq: Seq, transmission: u32) -> Check {
        self.exercised.insert(Class::Retransmission);
        let broken = Rule::RetransmitsOnTimerOnly;
        let timing = self.scenario.timing;
        let first = timing.first_timeout.min(timing.give_up / 4);
        let books = &mut self.receivers[receiver];
        books.counts.retransmissions += 1;
        let out = books.outstanding.as_mut().filter(|out| out.seq == seq);
        let Some(out) = out else { return ensure(false, broken, "the packet is not outstanding") };
        ensure(transmission == out.transmissions + 1, broken, "transmissions are miscounted")?;
        let late = out.until.and_then(|until| now.checked_duration_since(until));
        let Some(late) = late else { return ensure(false, broken, "the timer has not fired") };
        let stall = std::mem::take(&mut out.stall);
        let late = Some(late - stall).filter(|_| out.is_stalled(now - stall)).unwrap_or_default();
        out.give_up.0 += stall + if books.may_extend { Duration::ZERO } else { late };
        out.give_up.1 += stall + late;
        let unmeasured = first.min(Duration::from_millis(100));
        let least = match books.samples.as_ref().map(|samples| *samples.start()) {
            _ if timing.fixed => first,
            Some(rtt) if books.unsure || out.unextended => unmeasured.min(rtt),
            // RTO is at least 1.25 × SRTT, which is at least the shortest round trip, but for rounding.
            Some(rtt) => {
                (rtt * 5 / 4).saturating_sub(Duration::from_nanos(100)).max(MIN_RTO).min(timing.give_up)
            }
            None => unmeasured,
        };
        ensure(now >= out.last_sent + least, broken, "the timeout was shorter than any may be")?;
        if !out.refused {
            books.refusals = 0;
        }
        if transmission == 2 {
            out.second_sent = now;
        }
        (out.last_sent, out.transmissions, out.refused, out.until) = (now, transmission, false, None);
        Ok(())
    }

    /// The sender is held up before a send.
    pub fn held_up(&mut self, receiver: usize, transmission: u32, stall: Duration) {
        self.exercised.insert(Class::SenderStall);
        if let Some(out) = self.receivers[receiver].outstanding.as_mut().filter(|_| transmission > 1) {
            out.stall = stall;
        }
    }

    /// A machine says until when to wait.
    pub fn waits(&mut self, now: Instant, receiver: usize, until: Instant) -> Check {
        let books = &mut self.receivers[receiver];
        let may_extend = std::mem::take(&mut books.may_extend);
        let Some(out) = &mut books.outstanding else {
            return ensure(false, Rule::Ends, "a machine waits with nothing outstanding");
        };
        let bound = |at: Instant| self.deadline.map_or(at, |deadline| deadline.min(at));
        let bounds = bound(out.give_up.0)..=bound(out.give_up.1);
        ensure(
            until > now && until <= *bounds.end(),
            Rule::Ends,
            "a wait ends now, or after the give-up time",
        )?;
        let before = out.until.replace(until).unwrap_or(until);
        let fine = until == before || (until > before && may_extend);
        ensure(fine, Rule::Ends, "a machine moves its timer")?;
        // The timeouts of one SEQ never shrink, but where something else ends the wait.
        let timeout = until - out.last_sent;
        let fine = timeout >= out.timeout || bounds.contains(&until);
        ensure(fine, Rule::RetransmitsOnTimerOnly, "a timeout is shorter than the one before")?;
        out.timeout = timeout;
        Ok(())
    }

    /// A refusal came for the outstanding packet, if there is one.
    pub fn refused(&mut self, receiver: usize) {
        let books = &mut self.receivers[receiver];
        if let Some(out) = books.outstanding.as_mut().filter(|out| !out.refused) {
            out.refused = true;
            books.refusals += 1;
            self.exercised.insert(Class::Refusal);
        }
    }

    /// A machine has handled a datagram; `after` is what is outstanding now.
    pub fn received(
        &mut self,
        now: Instant,
        receiver: usize,
        (datagram, received): (&[u8], Option<Duration>),
        after: Option<Seq>,
        network: &Network,
    ) -> Check {
        let before = self.receivers[receiver].outstanding;
        let own = before.filter(|out| self.acks(datagram, out.seq));
        if received.is_none() {
            ensure(own.is_none(), Rule::Ends, "an ack is ignored")?;
            self.may_be_second_ack(now, receiver, datagram);
            let unmoved = after == before.map(|out| out.seq);
            return ensure(unmoved, Rule::OneOutstanding, "what is outstanding changes without an ack");
        }
        let broken = Rule::AckedByItsOwnAck;
        let Some(out) = own else { return ensure(false, broken, "something else is taken for an ack") };
        ensure(network.has(receiver, out.seq), broken, "the receiver does not have the packet")?;
        ensure(after.is_none(), Rule::OneOutstanding, "the packet stays outstanding")?;
        let packet = &mut self.seqs[out.seq.0 as usize];
        ensure(packet.acked_by.is_none(), broken, "the packet was acknowledged before")?;
        packet.acked_by = Some(receiver);
        let books = &mut self.receivers[receiver];
        books.outstanding = None;
        books.refusals = 0;
        books.acked += 1;
        books.owned -= 1;
        books.counts.last_ack = Some(now - self.scenario.start());
        let may_extend = std::mem::take(&mut books.may_extend);
        let rtt = now.saturating_duration_since(out.first_sent);
        let interval = out.second_sent - out.first_sent;
        let (possible, certain) = out.makes_samples(now, self.deadline, may_extend);
        if out.transmissions > 1 {
            let held_up = |at: Instant| at - out.first_sent - self.scenario.timing.give_up <= rtt / 8;
            let remembered = possible && held_up(out.give_up.0);
            books.resent = remembered.then_some((out.seq, rtt, now + interval / 2));
            books.resent_for_certain = certain && held_up(out.give_up.1);
        } else if possible {
            books.sample(rtt, certain);
        }
        books.first.get_or_insert(FirstPacket {
            transmissions: out.transmissions,
            resent_after: interval,
            acked_after: rtt,
        });
        Ok(())
    }

    /// A second ack of a retransmitted SEQ is a sample, which may extend the running timer.
    fn may_be_second_ack(&mut self, now: Instant, receiver: usize, datagram: &[u8]) {
        let resent = self.receivers[receiver].resent;
        let resent = resent.filter(|&(seq, _, from)| now >= from && self.acks(datagram, seq));
        let books = &mut self.receivers[receiver];
        books.counts.ignored += 1;
        let out = books.outstanding.as_mut();
        let (possible, certain) =
            out.as_ref().map_or((true, true), |out| out.makes_samples(now, self.deadline, books.may_extend));
        if let Some((_, round_trip, _)) = resent.filter(|_| possible) {
            let certain = certain && books.resent_for_certain;
            if let Some(out) = out {
                out.unextended |= !certain;
            }
            books.resent = None;
            books.sample(round_trip, certain);
            books.may_extend = true;
            self.exercised.insert(Class::Spurious);
        }
    }
}
