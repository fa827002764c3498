//! A hostile network with its receivers, in virtual time.
//!
//! Corruption that makes a well-formed message of this transaction out of another is left out, since UDP's checksum
//! catches nearly all of it and the protocol has no means against the rest (the manual's CAVEATS): such a datagram is
//! lost.

use super::rng::Rng;
use super::scenario::{Condition, Profile, Scenario};
use super::tally::{Class, Exercised};
use crate::loopback::wire;
use mdalp::protocol::message::MAX_ACK_LEN;
use mdalp::protocol::{Seq, Tid};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Something that arrives.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A datagram at the receiver. An assured one is acknowledged without fail.
    AtReceiver { datagram: Rc<[u8]>, assured: bool },
    /// A datagram at the client.
    AtClient(Rc<[u8]>),
    /// An ICMP error at the client: the port is closed.
    Refusal,
}

/// What arrives when.
pub type Arrivals = Vec<(Instant, Arrival)>;

const THERE: usize = 0;
const BACK: usize = 1;

/// The most datagrams in a flood.
const FLOOD: usize = 150;

/// The network, and the receivers' ends of it.
#[derive(Debug)]
pub struct Network {
    tid: Tid,
    packets: u32,
    give_up: Duration,
    /// When all receivers fall silent.
    expiry: Option<Instant>,
    rng: Rng,
    ends: Vec<End>,
    pub exercised: Exercised,
}

/// A receiver.
#[derive(Debug)]
struct End {
    profile: Profile,
    /// The payload of each SEQ that it has.
    stored: Vec<Option<Box<[u8]>>>,
    /// Data packets that it has got.
    received: u32,
    condition: Condition,
    /// When it is well again; `None` for never.
    until: Option<Instant>,
    fates: usize,
    was_silent: bool,
    /// When the last thing so far arrives, there and back.
    last_arrival: [Option<Instant>; 2],
}

impl Network {
    pub fn new(scenario: &Scenario, packets: u32, start: Instant) -> Self {
        let end = |profile: &Profile| End {
            profile: profile.clone(),
            stored: vec![None; packets as usize],
            received: 0,
            condition: Condition::Well,
            until: None,
            fates: 0,
            was_silent: false,
            last_arrival: [None; 2],
        };
        Self {
            tid: scenario.tid,
            packets,
            give_up: scenario.timing.give_up,
            expiry: scenario.expiry.map(|at| start + at),
            rng: Rng::new(scenario.seed ^ 0x6e65_7477_6f72_6b00),
            ends: scenario.receivers.iter().map(end).collect(),
            exercised: Exercised::default(),
        }
    }

    /// Whether the receiver has this packet, so that an ack for it is no lie.
    pub fn has(&self, receiver: usize, seq: Seq) -> bool {
        self.ends[receiver].stored.get(seq.0 as usize).is_some_and(Option::is_some)
    }

    /// What all receivers together have of each packet.
    pub fn stored(&self, seq: Seq) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().filter_map(move |end| end.stored[seq.0 as usize].as_deref())
    }

    /// The client sends a datagram to a receiver, for the nth time.
    pub fn send(&mut self, now: Instant, receiver: usize, transmission: u32, datagram: &[u8]) -> Arrivals {
        if std::mem::take(&mut self.ends[receiver].profile.loses_first) {
            return Vec::new();
        }
        let assured = self.ends[receiver].profile.reliable && transmission >= 2;
        let make = move |datagram| Arrival::AtReceiver { datagram, assured };
        self.carry(now, receiver, THERE, datagram.into(), assured, make)
    }

    /// A datagram comes to a receiver.
    pub fn receive(&mut self, now: Instant, receiver: usize, datagram: &[u8], assured: bool) -> Arrivals {
        let Some(data) = wire::parse_data(datagram) else { return Vec::new() };
        let condition = self.condition(receiver, now);
        let end = &mut self.ends[receiver];
        end.received = end.received.saturating_add(u32::from(condition == Condition::Well));
        let answer_at = match condition {
            Condition::Silent => return Vec::new(),
            Condition::Closed => {
                let sent = !self.rng.chance(0.1);
                let at = now + end.profile.delay;
                return if sent { vec![(at, Arrival::Refusal)] } else { Vec::new() };
            }
            Condition::Stalled => end.until.unwrap_or(now),
            Condition::Well => now,
        };
        if end.was_silent {
            self.exercised.note(Class::Comeback);
        }
        if data.tid == self.tid.0 {
            end.stored[data.seq as usize] = Some(data.payload.into());
        }
        let ack = wire::ack(data.tid, data.seq).into();
        let mut arrivals = self.carry(answer_at, receiver, BACK, ack, assured, Arrival::AtClient);
        self.mischief(answer_at, receiver, Seq(data.seq), &mut arrivals);
        arrivals
    }

    /// How the receiver does at `now`, when a packet comes.
    fn condition(&mut self, receiver: usize, now: Instant) -> Condition {
        if self.expiry.is_some_and(|at| now >= at) {
            self.exercised.note(Class::AllExpired);
            return Condition::Silent;
        }
        let end = &mut self.ends[receiver];
        if end.condition != Condition::Well && end.until.is_some_and(|until| now >= until) {
            end.was_silent |= end.condition != Condition::Stalled;
            end.condition = Condition::Well;
        }
        let next = end.profile.fates.get(end.fates).copied();
        if let Some(fate) = next.filter(|f| end.condition == Condition::Well && end.received >= f.after) {
            end.fates += 1;
            end.condition = fate.condition;
            end.until = fate.lasts.map(|lasts| now + lasts);
            if end.condition == Condition::Stalled {
                self.exercised.note(Class::Stall);
            }
        }
        end.condition
    }

    /// What the network makes of one datagram on its way.
    fn carry(
        &mut self,
        now: Instant,
        receiver: usize,
        way: usize,
        datagram: Rc<[u8]>,
        assured: bool,
        arrival: impl Fn(Rc<[u8]>) -> Arrival,
    ) -> Arrivals {
        let mut arrivals = Vec::new();
        let end = &mut self.ends[receiver];
        let (profile, rng) = (&end.profile, &mut self.rng);
        let copies = 1 + usize::from(rng.chance(profile.duplication[way])) * (1 + rng.below(2));
        if copies > 1 {
            self.exercised.note(Class::Duplicate);
        }
        for copy in 0..copies {
            let assured = assured && copy == 0;
            if !assured && rng.chance(profile.loss[way]) {
                self.exercised.note(Class::Loss);
                continue;
            }
            let mut delay = profile.delay.mul_f64(1.0 + profile.jitter * rng.unit());
            if rng.chance(profile.spike) {
                self.exercised.note(Class::Spike);
                delay += profile.longest_spike.mul_f64(rng.unit());
            }
            let datagram = if assured {
                delay = delay.min(self.give_up / 16);
                Rc::clone(&datagram)
            } else {
                match damaged(&datagram, way, profile, self.tid, rng, &mut self.exercised) {
                    Some(datagram) => datagram,
                    None => continue,
                }
            };
            let at = now + delay;
            if end.last_arrival[way].is_some_and(|last| at < last) {
                self.exercised.note(Class::Reordered);
            }
            end.last_arrival[way] = end.last_arrival[way].max(Some(at));
            arrivals.push((at, arrival(datagram)));
        }
        arrivals
    }

    /// What else comes from where the ack of `seq` comes from.
    fn mischief(&mut self, now: Instant, receiver: usize, seq: Seq, arrivals: &mut Arrivals) {
        let profile = &self.ends[receiver].profile;
        let (delay, tid, packets) = (profile.delay, self.tid, self.packets);
        let (stray, garbage, flood) = (profile.stray, profile.garbage, profile.flood);
        let rng = &mut self.rng;
        let mut add = |rng: &mut Rng, datagram: Vec<u8>| {
            arrivals.push((now + delay.mul_f64(rng.unit() * 4.0), Arrival::AtClient(datagram.into())));
        };
        if rng.chance(stray) {
            let datagram = stray_ack(tid, seq, packets, rng);
            add(rng, datagram);
            self.exercised.note(Class::Stray);
        }
        if rng.chance(garbage) {
            let datagram = garbage_datagram(tid, seq, rng);
            add(rng, datagram);
            self.exercised.note(Class::Garbage);
        }
        if rng.chance(flood) {
            for _ in 0..rng.below(FLOOD) {
                let datagram = if rng.chance(0.5) {
                    stray_ack(tid, seq, packets, rng)
                } else {
                    garbage_datagram(tid, seq, rng)
                };
                add(rng, datagram);
            }
            self.exercised.note(Class::Flood);
        }
    }
}

/// The datagram as it arrives; `None` if that would be a well-formed message of the transaction.
fn damaged(
    datagram: &Rc<[u8]>,
    way: usize,
    profile: &Profile,
    tid: Tid,
    rng: &mut Rng,
    exercised: &mut Exercised,
) -> Option<Rc<[u8]>> {
    let corrupt = rng.chance(profile.corruption[way]);
    let truncate = rng.chance(profile.truncation[way]);
    if !corrupt && !truncate {
        return Some(Rc::clone(datagram));
    }
    let mut bytes = datagram.to_vec();
    if corrupt {
        exercised.note(Class::Corrupted);
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
    }
    if truncate {
        exercised.note(Class::Truncated);
        bytes.truncate(rng.below(bytes.len() + 1));
    }
    let passes_for_whole = wire::parse_data(&bytes).is_some_and(|data| data.tid == tid.0)
        || wire::parse_ack(&bytes).is_some_and(|(other, _)| other == tid.0);
    (!passes_for_whole).then(|| bytes.into())
}

/// A well-formed ack of something else. That it acknowledges what the receiver does not have, and the client has
/// just sent, is prevented where it is received.
fn stray_ack(tid: Tid, seq: Seq, packets: u32, rng: &mut Rng) -> Vec<u8> {
    let other_tid = Tid(rng.choose(&[0, 1, 3741, tid.0 ^ 1, tid.0.wrapping_add(1), u64::MAX - 1]));
    let near = Seq(rng.choose(&[seq.0.saturating_sub(1), seq.0.saturating_add(1), seq.0, 0]));
    let any = Seq(rng.below(packets as usize + 2) as u32);
    let (tid, seq) = match rng.below(5) {
        0 | 1 => (tid, near),
        2 => (tid, any),
        3 => (tid, Seq(rng.bits() as u32)),
        _ => (other_tid, near),
    };
    wire::ack(tid.0, seq.0)
}

/// No ack at all, if sometimes nearly one.
fn garbage_datagram(tid: Tid, seq: Seq, rng: &mut Rng) -> Vec<u8> {
    match rng.below(8) {
        0 => Vec::new(),
        1 => format!("Type:3;TID:{tid};SEQ:{seq}").into_bytes(),
        2 => format!("Type:3;TID:{tid};SEQ:0{seq};").into_bytes(),
        3 => format!("Type:3;TID:0{tid};SEQ:{seq};").into_bytes(),
        4 => format!("Type:2;TID:{tid};SEQ:{seq};DATA:x").into_bytes(),
        5 => format!("Type:3;TID:{tid};SEQ:{seq};;").into_bytes(),
        // What is left of a huge datagram in the client's buffer.
        6 => vec![b'x'; MAX_ACK_LEN + 1],
        _ => (0..rng.below(MAX_ACK_LEN + 2)).map(|_| rng.bits() as u8).collect(),
    }
}
