//! A hostile network in virtual time, with the receivers of the loopback servers at its ends.

use super::rng::Rng;
use super::scenario::{Profile, Scenario};
use super::tally::{Class, Exercised};
use crate::loopback::{self, Fault, Ledger, junk, wire};
use mdalp::protocol::Seq;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Something that arrives.
pub enum Arrival {
    /// A datagram at the receiver. An assured one is acknowledged without fail.
    AtReceiver { datagram: Vec<u8>, assured: bool },
    /// A datagram at the client.
    AtClient(Vec<u8>),
    /// An ICMP error at the client: the port is closed.
    Refusal,
}

/// What arrives when.
pub type Arrivals = Vec<(Instant, Arrival)>;

/// The datagrams of a flood.
const FLOOD: u32 = 100;

/// Where the client's datagrams come from.
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// The network, and the receivers' ends of it.
pub struct Network {
    tid: u64,
    start: Instant,
    /// The longest that anything assured takes one way.
    soon: Duration,
    /// The time that the shared link needs for a data packet, and when it is free again.
    bottleneck: Duration,
    link_free_at: Instant,
    rng: Rng,
    ends: Vec<End>,
    pub exercised: Exercised,
}

/// A receiver, and the way there.
struct End {
    profile: Profile,
    receiver: loopback::Model,
    /// What it has, as the judge of the loopback servers keeps it.
    ledger: Ledger,
    /// When the last of its answers so far arrives.
    last_arrival: Instant,
}

impl Network {
    pub fn new(scenario: &Scenario) -> Self {
        let (start, seed) = (scenario.start(), scenario.seed ^ 0x6e65_7477_6f72_6b00);
        let end = |(index, profile): (usize, &Profile)| End {
            profile: profile.clone(),
            receiver: loopback::Model::new(&profile.receiver(), seed, index, start),
            ledger: Ledger::new("receiver"),
            last_arrival: start,
        };
        Self {
            tid: scenario.tid.0,
            start,
            soon: scenario.timing.give_up / 16,
            bottleneck: scenario.bottleneck,
            link_free_at: start,
            rng: Rng::new(seed),
            ends: scenario.receivers.iter().enumerate().map(end).collect(),
            exercised: Exercised::new(),
        }
    }

    /// Whether the receiver has this packet, so that an ack for it is no lie.
    pub fn has(&self, receiver: usize, seq: Seq) -> bool {
        self.ends[receiver].ledger.has(seq.0)
    }

    /// The packets that came to a receiver after one whose ack was not lost.
    pub fn spurious(&self) -> u64 {
        self.ends.iter().map(|end| end.ledger.counts.spurious).sum()
    }

    /// What all receivers together have of each packet.
    pub fn stored(&self, seq: Seq) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().filter_map(move |end| end.ledger.payload_of(seq.0))
    }

    /// The client sends a datagram to a receiver, for the nth time.
    pub fn send(&mut self, now: Instant, receiver: usize, transmission: u32, datagram: &[u8]) -> Arrivals {
        let (end, rng) = (&mut self.ends[receiver], &mut self.rng);
        self.link_free_at = self.link_free_at.max(now) + self.bottleneck;
        let copies = 1 + usize::from(rng.chance(end.profile.duplication)) * (1 + rng.below(2));
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let assured = end.profile.reliable && transmission >= 2;
            let mut delay = end.profile.delay.mul_f64(1.0 + end.profile.jitter * rng.unit());
            if assured {
                delay = delay.min(self.soon);
            }
            if copies > 1 {
                self.exercised.insert(Class::Duplicate);
            }
            let arrival = Arrival::AtReceiver { datagram: datagram.into(), assured };
            arrivals.push((self.link_free_at + delay, arrival));
        }
        arrivals
    }

    /// A datagram comes to a receiver.
    pub fn receive(&mut self, now: Instant, receiver: usize, datagram: &[u8], assured: bool) -> Arrivals {
        let Some(data) = wire::parse_data(datagram).filter(|data| data.tid == self.tid) else {
            return Vec::new();
        };
        let end = &mut self.ends[receiver];
        if end.receiver.is_closed(now) {
            let sent = !self.rng.chance(0.1);
            return if sent { vec![(now + end.profile.delay, Arrival::Refusal)] } else { Vec::new() };
        }
        let seq = data.seq;
        let arrival =
            loopback::Arrival { now, since_assigned: now - self.start, data, from: CLIENT, assured };
        let reply = end.receiver.on_data(&arrival, &mut end.ledger);
        // The judge of the loopback servers has no remark: stop-and-wait, and the same bytes for the same SEQ.
        assert!(end.ledger.remarks.is_empty(), "{:?}", end.ledger.remarks);
        for class in reply.faults.iter().filter_map(class) {
            self.exercised.insert(class);
        }
        if reply.recovered {
            self.exercised.insert(Class::Comeback);
        }
        // What it has may be acknowledged by a stray, too.
        if end.ledger.has(seq) {
            end.ledger.acknowledges(seq);
        }
        let mut arrivals = Vec::new();
        for sent in reply.datagrams {
            let at = now + if assured && sent.is_ack { sent.delay.min(self.soon) } else { sent.delay };
            if at < end.last_arrival {
                self.exercised.insert(Class::Reordered);
            }
            end.last_arrival = end.last_arrival.max(at);
            arrivals.push((at, Arrival::AtClient(sent.bytes)));
        }
        if let Some(flood) = reply.flood {
            let datagram = |number: u32| {
                let at = now + flood.lasting * number / FLOOD;
                (at, Arrival::AtClient(junk(self.tid, seq, number.into())))
            };
            arrivals.extend((0..FLOOD).map(datagram));
        }
        arrivals
    }
}

/// What a fault of a receiver exercises.
fn class(fault: &Fault) -> Option<Class> {
    Some(match fault {
        Fault::LoseData | Fault::LoseAck => Class::Loss,
        Fault::Spike(_) => Class::Spike,
        Fault::CorruptAck => Class::Corrupted,
        Fault::TruncateAck => Class::Truncated,
        Fault::Forge(_) => Class::Duplicate,
        Fault::StrayAck => Class::Stray,
        Fault::Garbage => Class::Garbage,
        Fault::Flood(_) => Class::Flood,
        Fault::Stall(_) => Class::Stall,
        _ => return None,
    })
}
