//! A hostile network in virtual time, with the receivers of the loopback servers at its ends.

use super::rng::Rng;
use super::scenario::{Profile, Scenario};
use super::tally::{Class, Exercised};
use crate::loopback::{self, Condition, Fault, Flood, Forgery, Ledger, Source, Timing, When, junk, wire};
use mdalp::protocol::Seq;
use std::net::{Ipv4Addr, SocketAddr};
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

const OUTBOUND: usize = 0;
const INBOUND: usize = 1;

/// The datagrams of a flood.
const FLOOD: u32 = 100;

/// Where the client's datagrams come from.
const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// The network, and the receivers' ends of it.
pub struct Network {
    tid: u64,
    start: Instant,
    /// When all receivers fall silent.
    expiry: Option<Instant>,
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
    /// When the last thing so far arrives, there and back.
    last_arrival: [Option<Instant>; 2],
}

impl Network {
    pub fn new(scenario: &Scenario, _packets: u32, start: Instant) -> Self {
        let seed = scenario.seed ^ 0x6e65_7477_6f72_6b00;
        let end = |(index, profile): (usize, &Profile)| End {
            profile: profile.clone(),
            receiver: loopback::Model::new(&receiver(profile, scenario.expiry), seed, index, start),
            ledger: Ledger::new("receiver"),
            last_arrival: [None; 2],
        };
        Self {
            tid: scenario.tid.0,
            start,
            expiry: scenario.expiry.map(|at| start + at),
            soon: scenario.timing.give_up / 16,
            bottleneck: scenario.bottleneck,
            link_free_at: start,
            rng: Rng::new(seed),
            ends: scenario.receivers.iter().enumerate().map(end).collect(),
            exercised: Exercised::default(),
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
        let profile = &end.profile;
        let copies = 1 + usize::from(rng.chance(profile.duplication[OUTBOUND])) * (1 + rng.below(2));
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let assured = end.profile.reliable && transmission >= 2;
            let mut delay = end.profile.delay.mul_f64(1.0 + end.profile.jitter * rng.unit());
            if assured {
                delay = delay.min(self.soon);
            }
            if copies > 1 {
                self.exercised.note(Class::Duplicate);
            }
            let at = end.arrives(self.link_free_at + delay, OUTBOUND, &mut self.exercised);
            arrivals.push((at, Arrival::AtReceiver { datagram: datagram.into(), assured }));
        }
        arrivals
    }

    /// A datagram comes to a receiver.
    pub fn receive(&mut self, now: Instant, receiver: usize, datagram: &[u8], assured: bool) -> Arrivals {
        let Some(data) = wire::parse_data(datagram).filter(|data| data.tid == self.tid) else {
            return Vec::new();
        };
        if self.expiry.is_some_and(|at| now >= at) {
            self.exercised.note(Class::AllExpired);
        }
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
            self.exercised.note(class);
        }
        if reply.recovered {
            self.exercised.note(Class::Comeback);
        }
        // What it has may be acknowledged by a stray, too.
        if end.ledger.has(seq) {
            end.ledger.acknowledges(seq);
        }
        let mut arrivals = Vec::new();
        for mut sent in reply.datagrams {
            if sent.is_ack {
                sent.delay = if assured { sent.delay.min(self.soon) } else { sent.delay };
            }
            let at = end.arrives(now + sent.delay, INBOUND, &mut self.exercised);
            arrivals.push((at, Arrival::AtClient(sent.bytes.into())));
        }
        if let Some(flood) = reply.flood {
            let datagram = |number: u32| {
                let at = now + flood.lasting * number / FLOOD;
                (at, Arrival::AtClient(junk(self.tid, seq, number.into()).into()))
            };
            arrivals.extend((0..FLOOD).map(datagram));
        }
        arrivals
    }
}

impl End {
    fn arrives(&mut self, at: Instant, way: usize, exercised: &mut Exercised) -> Instant {
        let last = &mut self.last_arrival[way];
        if last.is_some_and(|last| at < last) {
            exercised.note(Class::Reordered);
        }
        *last = (*last).max(Some(at));
        at
    }
}

/// The receiver that behaves so, as the loopback servers play it. What is damaged on its way there is lost.
fn receiver(profile: &Profile, expiry: Option<Duration>) -> loopback::Receiver {
    let Profile { loss, corruption, truncation, delay, jitter, .. } = profile;
    let arrives = (1.0 - loss[OUTBOUND]) * (1.0 - corruption[OUTBOUND]) * (1.0 - truncation[OUTBOUND]);
    let lasting = delay.mul_f64(4.0);
    let duplicate = Forgery { tid: 0, seq: 0, timing: Timing::AnyTime, source: Source::Receiver };
    let flood = Flood { per_second: None, lasting };
    let chances = [
        (1.0 - arrives, Fault::LoseData),
        (loss[INBOUND], Fault::LoseAck),
        (profile.duplication[INBOUND], Fault::Forge(duplicate)),
        (corruption[INBOUND], Fault::CorruptAck),
        (truncation[INBOUND], Fault::TruncateAck),
        (profile.spike, Fault::Spike(profile.longest_spike)),
        (profile.stray, Fault::StrayAck),
        (profile.garbage, Fault::Garbage),
        (profile.flood, Fault::Flood(flood)),
    ];
    // The delay is at least this one, and at most more by that part of it.
    let mean = delay.mul_f64(1.0 + jitter / 2.0);
    let mut receiver =
        loopback::Receiver::named("").ack_delay(mean).jitter(delay.mul_f64(jitter / 12f64.sqrt()));
    if let Some(expiry) = expiry {
        receiver = receiver.rule(When::SinceAssigned(expiry), Fault::Silent(None));
    }
    for fate in &profile.fates {
        let after = When::AfterAcks(fate.after);
        receiver = match (fate.condition, fate.lasts) {
            (Condition::Stalled, lasts) => receiver.rule(after, Fault::Stall(lasts.unwrap_or_default())),
            (Condition::Silent, lasts) => receiver.rule(after, Fault::Silent(lasts)),
            (Condition::Closed, None) if fate.after == 0 => receiver.closed(),
            (Condition::Closed, Some(lasts)) if fate.after == 0 => receiver.opens_after(lasts),
            (Condition::Closed, lasts) => receiver.closes_after_acks(fate.after, lasts),
        };
    }
    for (when, fault) in &profile.rules {
        receiver = receiver.rule(when.clone(), fault.clone());
    }
    let possible = chances.into_iter().filter(|(chance, _)| *chance > 0.0);
    possible.fold(receiver, |receiver, (chance, fault)| receiver.rule(When::Chance(chance), fault))
}

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
