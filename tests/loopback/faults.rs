//! What a receiver may do wrong, and when, on sockets and in the simulation. A new fault is a variant of [`Fault`] and
//! its line in [`Fault::apply`]; if it should have a name in a test's story, also a method of `Receiver` in script.rs.

use super::rng::Rng;
use super::wire;
use std::time::Duration;

/// When a rule applies. Counts are those of one transaction; acks are those given so far, from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    Always,
    /// The nth transmission of this SEQ; 1 is the first.
    At {
        seq: u32,
        nth: u32,
    },
    /// All packets after this many acks.
    AfterAcks(u32),
    /// All packets from this long after Type 1 on.
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
    /// The ack takes this long instead of the receiver's own delay.
    Delay(Duration),
    /// The ack takes up to this much longer.
    Spike(Duration),
    /// The ack arrives with some bits flipped; it is lost if that makes it an ack of the transaction again.
    CorruptAck,
    /// The ack arrives cut short.
    TruncateAck,
    /// Another ack beside the right one.
    Forge(Forgery),
    /// An ack of any other SEQ, now or later, or of another transaction.
    StrayAck,
    /// Now or later, no ack at all, if sometimes nearly one.
    Garbage,
    /// Before the ack, these bytes; none make an empty datagram, the most are 65,507.
    Junk(Vec<u8>),
    /// Once: junk of all kinds from this packet on.
    Flood(Flood),
    /// Once: from this packet on neither takes nor sends anything, for this long or for good.
    Silent(Option<Duration>),
    /// Once: from this packet on for this long, answers nothing before the end of that time.
    Stall(Duration),
    /// Once: the port is closed after this packet's ack, for this long or for good.
    Close(Option<Duration>),
}

/// An ack of the TID and SEQ this far from the right ones (modulo their ranges).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forgery {
    pub tid: u64,
    pub seq: u32,
    pub timing: Timing,
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Timing {
    /// Before the ack, whether there is one or not.
    Now,
    /// This long after the ack, if there is one.
    AfterAck(Duration),
    /// Any time within twice the receiver's delay, if the packet came.
    AnyTime,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    Receiver,
    OtherPort,
    /// Where the receiver has only one address, another port.
    OtherAddress,
}

/// Junk at this rate, or without a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flood {
    pub per_second: Option<u32>,
    pub lasting: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub when: When,
    pub fault: Fault,
}

/// The packet that a rule looks at.
pub struct Packet {
    pub tid: u64,
    pub seq: u32,
    /// Which transmission of the SEQ it is; 1 is the first.
    pub nth: u32,
    /// Acks given so far.
    pub acks: u32,
    pub since_assigned: Duration,
    /// Chance has no say.
    pub assured: bool,
}

/// What the rules make of the packet.
#[derive(Default)]
pub struct Draft {
    pub data_lost: bool,
    pub ack_lost: bool,
    pub delay: Duration,
    /// What arrives in the place of the ack.
    pub damaged: Option<Vec<u8>>,
    pub extras: Vec<(Vec<u8>, Timing, Source)>,
    pub flood: Option<Flood>,
    pub condition: Option<(Condition, Option<Duration>)>,
}

/// What a receiver can be besides well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Silent,
    Stalled,
    Closed,
}

impl When {
    pub fn holds(&self, packet: &Packet, rng: &mut Rng) -> bool {
        match *self {
            When::Always => true,
            When::At { seq, nth } => packet.seq == seq && packet.nth == nth,
            When::AfterAcks(acks) => packet.acks >= acks,
            When::SinceAssigned(time) => packet.since_assigned >= time,
            When::Chance(probability) => !packet.assured && rng.chance(probability),
        }
    }
}

impl Fault {
    /// Whether it puts the receiver into a condition; those are entered one after another.
    pub fn is_condition(&self) -> bool {
        matches!(self, Fault::Silent(_) | Fault::Stall(_) | Fault::Close(_))
    }

    pub fn acts_once(&self) -> bool {
        self.is_condition() || matches!(self, Fault::Flood(_))
    }

    pub fn apply(&self, packet: &Packet, draft: &mut Draft, rng: &mut Rng) {
        let (tid, seq) = (packet.tid, packet.seq);
        let mut extra = |bytes, timing, source| draft.extras.push((bytes, timing, source));
        match self {
            Fault::LoseData => draft.data_lost = true,
            Fault::LoseAck => draft.ack_lost = true,
            Fault::Delay(delay) => draft.delay = *delay,
            Fault::Spike(longest) => draft.delay += longest.mul_f64(rng.unit()),
            Fault::CorruptAck => draft.damaged = Some(corrupted(tid, seq, rng)),
            Fault::TruncateAck => {
                let mut ack = wire::ack(tid, seq);
                ack.truncate(rng.below(ack.len()));
                draft.damaged = Some(ack);
            }
            Fault::Forge(forged) => {
                let ack = wire::ack(tid.wrapping_add(forged.tid), seq.wrapping_add(forged.seq));
                extra(ack, forged.timing, forged.source);
            }
            Fault::StrayAck => extra(stray_ack(tid, seq, rng), Timing::AnyTime, Source::Receiver),
            Fault::Garbage => extra(garbage(tid, seq, rng), Timing::AnyTime, Source::Receiver),
            Fault::Junk(bytes) => extra(bytes.clone(), Timing::Now, Source::Receiver),
            Fault::Flood(flood) => draft.flood = Some(*flood),
            Fault::Silent(time) => draft.condition = Some((Condition::Silent, *time)),
            Fault::Stall(time) => draft.condition = Some((Condition::Stalled, Some(*time))),
            Fault::Close(time) => draft.condition = Some((Condition::Closed, *time)),
        }
    }
}

/// Corruption that makes an ack of the transaction out of another is left out, since UDP's checksum catches nearly all of
/// it and the protocol has no means against the rest (the manual's CAVEATS).
fn corrupted(tid: u64, seq: u32, rng: &mut Rng) -> Vec<u8> {
    loop {
        let mut ack = wire::ack(tid, seq);
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(ack.len());
            ack[at] ^= 1 << rng.below(8);
        }
        if wire::parse_ack(&ack).is_none_or(|(other, _)| other != tid) {
            return ack;
        }
    }
}

fn stray_ack(tid: u64, seq: u32, rng: &mut Rng) -> Vec<u8> {
    let near = rng.choose(&[seq.wrapping_sub(1), seq.wrapping_add(1), seq, 0]);
    let other_tid = rng.choose(&[0, 1, 3741, tid ^ 1, tid.wrapping_add(1), u64::MAX - 1]);
    match rng.below(5) {
        0 | 1 => wire::ack(tid, near),
        2 => wire::ack(tid, rng.below(2 * seq as usize + 2) as u32),
        3 => wire::ack(tid, rng.bits() as u32),
        _ => wire::ack(other_tid, near),
    }
}

fn garbage(tid: u64, seq: u32, rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => Vec::new(),
        1 => format!("Type:3;TID:{tid};SEQ:{seq}").into_bytes(),
        2 => format!("Type:3;TID:{tid};SEQ:0{seq};").into_bytes(),
        3 => format!("Type:3;TID:0{tid};SEQ:{seq};").into_bytes(),
        4 => format!("Type:2;TID:{tid};SEQ:{seq};DATA:x").into_bytes(),
        5 => format!("Type:3;TID:{tid};SEQ:{seq};;").into_bytes(),
        6 => vec![b'x'; 2000],
        _ => (0..rng.below(60)).map(|_| rng.bits() as u8).collect(),
    }
}

/// Datagrams that no client should believe: what a flood consists of.
pub fn junk(tid: u64, seq: u32, number: u64) -> Vec<u8> {
    match number % 7 {
        0 => wire::ack(tid, seq.wrapping_sub(1)),
        1 => wire::ack(tid.wrapping_add(1), seq),
        2 => wire::ack(tid, seq.wrapping_add(1)),
        3 => Vec::new(),
        4 => vec![0xff; 2000],
        5 => b"Type:3;TID:;SEQ:;".to_vec(),
        _ => format!("Type:1;TID:{tid};DATA:[];").into_bytes(),
    }
}
