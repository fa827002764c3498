//! What a receiver may do wrong, and when. A new fault is a new variant of `Fault` and its line in `Fault::apply`;
//! if it should have a name in a test's story, also a method of `Receiver` in script.rs.

use super::rng::Rng;
use super::wire;
use std::time::Duration;

/// When a rule applies. Counts are those of one transaction; all begin at 0, but transmissions and acks at 1.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    Always,
    /// The so-many-th transmission of this SEQ.
    At {
        seq: u32,
        nth: u32,
    },
    /// Every transmission of this SEQ.
    Seq(u32),
    /// The packet whose ack is the so-many-th.
    AckNumber(u32),
    /// All packets after so many acks.
    AfterAcks(u32),
    /// All packets from so long after Type 1 on.
    SinceAssigned(Duration),
    /// By the seed, with this probability.
    Chance(f64),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The packet never came, as far as the receiver knows.
    LoseData,
    /// The packet came; its ack gets lost.
    LoseAck,
    /// Neither a packet nor an ack nor anything else: as if the receiver were not there.
    Silence,
    /// This delay of the ack instead of the receiver's own.
    Delay(Duration),
    /// The ack comes twice.
    DuplicateAck,
    /// The ack comes a second time, so long after the first.
    LateDuplicate(Duration),
    /// After the ack, that of the SEQ after, which has not come yet.
    AckInAdvance,
    /// Before the ack, one with another TID.
    WrongTid,
    /// Before the ack, that of the SEQ before.
    StaleSeq,
    /// Before the ack, that of the SEQ after.
    FutureSeq,
    /// Before the ack, the same from another address (where there is only one, from another port).
    OtherAddress,
    /// Before the ack, the same from another port of the receiver's address.
    OtherPort,
    /// Before the ack, these bytes; none make an empty datagram, the most are 65,507.
    Junk(Vec<u8>),
    /// Once: junk of all kinds, at this rate or without a pause, for so long.
    Flood { per_second: Option<u32>, lasting: Duration },
    /// Once: silence from this packet on, for so long.
    Stall(Duration),
    /// The port is closed after this packet's ack, for good or for so long.
    Close { reopens_after: Option<Duration> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub when: When,
    pub fault: Fault,
}

/// The packet that a rule looks at.
pub struct Arrival {
    pub tid: u64,
    pub seq: u32,
    /// Which transmission of the SEQ it is: 1 is the first.
    pub nth: u32,
    /// Acks given so far.
    pub acks: u32,
    pub since_assigned: Duration,
}

/// What the receiver does about the packet.
#[derive(Debug, Default, PartialEq)]
pub struct Reply {
    pub silence: bool,
    pub data_lost: bool,
    pub ack_lost: bool,
    pub delay: Duration,
    pub extras: Vec<Extra>,
    pub flood: Option<Flood>,
    pub stall: Option<Duration>,
    pub close: Option<Closing>,
}

/// A datagram beside the ack.
#[derive(Debug, PartialEq)]
pub struct Extra {
    pub bytes: Vec<u8>,
    pub timing: Timing,
    pub from: From,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timing {
    AtOnce,
    AfterAck(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum From {
    Receiver,
    OtherPort,
    OtherAddress,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flood {
    pub per_second: Option<u32>,
    pub lasting: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closing {
    pub reopens_after: Option<Duration>,
}

/// Goes through the rules; those that act once are taken out when they have.
pub fn reply(rules: &mut Vec<Rule>, arrival: &Arrival, delay: Duration, rng: &mut Rng) -> Reply {
    let mut reply = Reply { delay, ..Reply::default() };
    rules.retain(|rule| {
        let holds = rule.when.holds(arrival, rng);
        if holds {
            rule.fault.apply(arrival, &mut reply);
        }
        !(holds && rule.fault.acts_once())
    });
    reply
}

impl When {
    fn holds(&self, arrival: &Arrival, rng: &mut Rng) -> bool {
        match *self {
            When::Always => true,
            When::At { seq, nth } => arrival.seq == seq && arrival.nth == nth,
            When::Seq(seq) => arrival.seq == seq,
            When::AckNumber(number) => arrival.acks + 1 == number,
            When::AfterAcks(acks) => arrival.acks >= acks,
            When::SinceAssigned(time) => arrival.since_assigned >= time,
            When::Chance(probability) => rng.chance(probability),
        }
    }
}

impl Fault {
    fn acts_once(&self) -> bool {
        matches!(self, Fault::Flood { .. } | Fault::Stall(_) | Fault::Close { .. })
    }

    fn apply(&self, arrival: &Arrival, reply: &mut Reply) {
        let (tid, seq) = (arrival.tid, arrival.seq);
        let extra = |bytes, timing, from| Extra { bytes, timing, from };
        let before = |bytes| extra(bytes, Timing::AtOnce, From::Receiver);
        match self {
            Fault::LoseData => reply.data_lost = true,
            Fault::LoseAck => reply.ack_lost = true,
            Fault::Silence => reply.silence = true,
            Fault::Delay(delay) => reply.delay = *delay,
            Fault::DuplicateAck => {
                let timing = Timing::AfterAck(Duration::ZERO);
                reply.extras.push(extra(wire::ack(tid, seq), timing, From::Receiver));
            }
            Fault::LateDuplicate(late) => {
                reply.extras.push(extra(wire::ack(tid, seq), Timing::AfterAck(*late), From::Receiver));
            }
            Fault::AckInAdvance => {
                let timing = Timing::AfterAck(Duration::ZERO);
                reply.extras.push(extra(wire::ack(tid, seq.wrapping_add(1)), timing, From::Receiver));
            }
            Fault::WrongTid => reply.extras.push(before(wire::ack(tid + 1, seq))),
            Fault::StaleSeq => reply.extras.push(before(wire::ack(tid, seq.wrapping_sub(1)))),
            Fault::FutureSeq => reply.extras.push(before(wire::ack(tid, seq.wrapping_add(1)))),
            Fault::OtherAddress => {
                reply.extras.push(extra(wire::ack(tid, seq), Timing::AtOnce, From::OtherAddress));
            }
            Fault::OtherPort => {
                reply.extras.push(extra(wire::ack(tid, seq), Timing::AtOnce, From::OtherPort));
            }
            Fault::Junk(bytes) => reply.extras.push(before(bytes.clone())),
            Fault::Flood { per_second, lasting } => {
                reply.flood = Some(Flood { per_second: *per_second, lasting: *lasting });
            }
            Fault::Stall(time) => reply.stall = Some(*time),
            Fault::Close { reopens_after } => reply.close = Some(Closing { reopens_after: *reopens_after }),
        }
    }
}

/// Datagrams that no client should believe: what a flood consists of.
pub fn junk(tid: u64, seq: u32, number: u64) -> Vec<u8> {
    match number % 7 {
        0 => wire::ack(tid, seq.wrapping_sub(1)),
        1 => wire::ack(tid + 1, seq),
        2 => wire::ack(tid, seq.wrapping_add(1)),
        3 => Vec::new(),
        4 => vec![0xff; 2000],
        5 => b"Type:3;TID:;SEQ:;".to_vec(),
        _ => format!("Type:1;TID:{tid};DATA:[];").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(seq: u32, nth: u32, acks: u32) -> Arrival {
        Arrival { tid: 3740, seq, nth, acks, since_assigned: Duration::from_secs(2) }
    }

    fn replies(when: When, fault: Fault, arrivals: &[(u32, u32, u32)]) -> Vec<Reply> {
        let (mut rules, mut rng) = (vec![Rule { when, fault }], Rng::new(1));
        let each = |&(seq, nth, acks)| reply(&mut rules, &arrival(seq, nth, acks), Duration::ZERO, &mut rng);
        arrivals.iter().map(each).collect()
    }

    fn lost(when: When, arrivals: &[(u32, u32, u32)]) -> Vec<bool> {
        replies(when, Fault::LoseData, arrivals).iter().map(|reply| reply.data_lost).collect()
    }

    #[test]
    fn rules_apply_to_the_packets_they_name() {
        let arrivals = [(7, 1, 0), (7, 2, 0), (8, 1, 1), (9, 1, 2)];
        assert_eq!(lost(When::At { seq: 7, nth: 1 }, &arrivals), [true, false, false, false]);
        assert_eq!(lost(When::Seq(7), &arrivals), [true, true, false, false]);
        assert_eq!(lost(When::AckNumber(2), &arrivals), [false, false, true, false]);
        assert_eq!(lost(When::AfterAcks(1), &arrivals), [false, false, true, true]);
        assert_eq!(lost(When::SinceAssigned(Duration::from_secs(3)), &arrivals), [false; 4]);
        assert_eq!(lost(When::Chance(1.0), &arrivals), [true; 4]);
        assert_eq!(lost(When::Chance(0.0), &arrivals), [false; 4]);
    }

    #[test]
    fn a_stall_begins_once() {
        let replies = replies(
            When::AfterAcks(1),
            Fault::Stall(Duration::from_secs(1)),
            &[(0, 1, 0), (1, 1, 1), (2, 1, 2)],
        );
        let stalls: Vec<bool> = replies.iter().map(|reply| reply.stall.is_some()).collect();
        assert_eq!(stalls, [false, true, false]);
    }

    #[test]
    fn a_stale_ack_before_seq_0_wraps_round() {
        let replies = replies(When::Always, Fault::StaleSeq, &[(0, 1, 0)]);
        assert_eq!(replies[0].extras[0].bytes, wire::ack(3740, u32::MAX));
    }

    #[test]
    fn no_junk_is_an_ack_that_counts() {
        assert!((0..50).all(|number| junk(3740, 5, number) != wire::ack(3740, 5)));
    }
}
