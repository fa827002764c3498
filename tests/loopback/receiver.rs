//! A receiver without socket, clock or thread: a packet and the time go in, what is to be sent and when comes out. The
//! loopback servers drive it with sockets, the simulation in virtual time.

use super::faults::{Condition, Draft, Fault, Flood, Packet, Rule, Source, Timing};
use super::ledger::Ledger;
use super::rng::Rng;
use super::script::{Opening, Receiver};
use super::wire::{self, Data};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub struct Model {
    delay: Duration,
    jitter: Duration,
    rules: Vec<Rule>,
    rng: Rng,
    /// What it is besides well, and until when.
    condition: Option<(Condition, Option<Instant>)>,
}

/// A data packet at the receiver.
pub struct Arrival<'a> {
    pub now: Instant,
    pub since_assigned: Duration,
    pub data: Data<'a>,
    pub from: SocketAddr,
    /// Nothing happens to it by chance.
    pub assured: bool,
}

/// What the receiver does about it.
#[derive(Debug, Default)]
pub struct Reply {
    pub new_bytes: usize,
    /// In the order of sending where the times are equal.
    pub datagrams: Vec<Datagram>,
    pub flood: Option<Flood>,
    /// The port closes after the last of the datagrams, for this long or for good.
    pub closes: Option<Option<Duration>>,
    /// What went wrong.
    pub faults: Vec<Fault>,
    /// It was silent or closed, and is back.
    pub recovered: bool,
}

#[derive(Debug)]
pub struct Datagram {
    /// From the packet's arrival.
    pub delay: Duration,
    pub bytes: Vec<u8>,
    pub source: Source,
    /// Whether it is the packet's ack, after which the next SEQ may come.
    pub is_ack: bool,
}

impl Model {
    /// `stream` distinguishes the receivers of one seed.
    pub fn new(spec: &Receiver, seed: u64, stream: usize, start: Instant) -> Model {
        Model {
            delay: spec.delay,
            jitter: spec.jitter,
            rules: spec.rules.clone(),
            rng: Rng::stream(seed, stream as u64),
            condition: match spec.opening {
                Opening::AtStart | Opening::WhenTold => None,
                Opening::After(time) => Some((Condition::Closed, Some(start + time))),
                Opening::Never => Some((Condition::Closed, None)),
            },
        }
    }

    /// Whether the port is closed; one who has a socket knows by other means.
    pub fn is_closed(&self, now: Instant) -> bool {
        let open = |until: Option<Instant>| until.is_some_and(|until| now >= until);
        self.condition.is_some_and(|(condition, until)| condition == Condition::Closed && !open(until))
    }

    /// A data packet arrives at the open port: notes it in the transaction's ledger, and decides on the answers.
    pub fn on_data(&mut self, arrival: &Arrival<'_>, ledger: &mut Ledger) -> Reply {
        let (data, mut reply) = (&arrival.data, Reply::default());
        let packet = Packet {
            tid: data.tid,
            seq: data.seq,
            nth: ledger.arrives(data, arrival.from),
            acks: ledger.counts.acks as u32,
            since_assigned: arrival.since_assigned,
            assured: arrival.assured,
        };
        if self.condition.is_some_and(|(_, until)| until.is_some_and(|until| arrival.now >= until)) {
            reply.recovered = self.condition.take().is_some_and(|(was, _)| was != Condition::Stalled);
        }
        let draft = self.draft(&packet, arrival.now, &mut reply);
        let silent = self.condition.is_some_and(|(condition, _)| condition == Condition::Silent);
        if silent || draft.data_lost {
            ledger.counts.lost += 1;
        } else {
            reply.new_bytes = ledger.receives(data);
            ledger.counts.acks_lost += u64::from(draft.ack_lost);
        }
        if !silent {
            reply.flood = draft.flood;
            self.answer(&packet, draft, ledger, &mut reply);
            if let Some((Condition::Stalled, Some(until))) = self.condition {
                let rest = until - arrival.now;
                reply.datagrams.iter_mut().for_each(|datagram| datagram.delay += rest);
            }
        }
        reply
    }

    /// Goes through the rules, unless it is silent; those that act once are taken out when they have.
    fn draft(&mut self, packet: &Packet, now: Instant, reply: &mut Reply) -> Draft {
        let Model { rules, rng, condition, .. } = self;
        // Evenly distributed.
        let deviation = self.jitter.as_secs_f64() * (rng.unit() - 0.5) * 12f64.sqrt();
        let delay = Duration::from_secs_f64((self.delay.as_secs_f64() + deviation).max(0.0));
        let mut draft = Draft { delay, ..Draft::default() };
        if condition.is_some_and(|(condition, _)| condition == Condition::Silent) {
            return draft;
        }
        rules.retain(|rule| {
            let free = condition.is_none() || !rule.fault.is_condition();
            if !(free && rule.when.holds(packet, rng)) {
                return true;
            }
            rule.fault.apply(packet, &mut draft, rng);
            if let Some((entered, time)) = draft.condition.take() {
                *condition = Some((entered, time.map(|time| now + time)));
                reply.closes = Some(time).filter(|_| entered == Condition::Closed);
            }
            reply.faults.push(rule.fault.clone());
            !rule.fault.acts_once()
        });
        draft
    }

    fn answer(&mut self, packet: &Packet, draft: Draft, ledger: &mut Ledger, reply: &mut Reply) {
        let mut send = |delay, bytes, source, is_ack| {
            reply.datagrams.push(Datagram { delay, bytes, source, is_ack });
        };
        let (now, later): (Vec<_>, Vec<_>) =
            draft.extras.into_iter().partition(|(_, timing, _)| *timing == Timing::Now);
        for (bytes, _, source) in now {
            send(Duration::ZERO, bytes, source, false);
        }
        let acked = !draft.data_lost && !draft.ack_lost && draft.damaged.is_none();
        if acked {
            ledger.answers(packet.seq);
            send(draft.delay, wire::ack(packet.tid, packet.seq), Source::Receiver, true);
        } else if let Some(damaged) = draft.damaged.filter(|_| !draft.data_lost && !draft.ack_lost) {
            send(draft.delay, damaged, Source::Receiver, false);
        }
        for (bytes, timing, source) in later {
            match timing {
                // A duplicate of an ack that was lost, or of what never came, would be the ack itself.
                Timing::AfterAck(time) if acked => send(draft.delay + time, bytes, source, false),
                Timing::AnyTime if !draft.data_lost => {
                    send(self.delay.mul_f64(2.0 * self.rng.unit()), bytes, source, false);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{When, junk};
    use super::super::script::ms;
    use super::*;

    /// What the model answers to packets that come a millisecond apart.
    fn replies(spec: Receiver, seqs: &[u32]) -> Vec<Reply> {
        let start = Instant::now();
        let mut model = Model::new(&spec, 1, 0, start);
        let mut ledger = Ledger::new("A");
        let mut on_data = |(i, &seq): (u32, &u32)| {
            let data = Data { tid: 3740, seq, payload: b"x" };
            let (now, from) = (start + ms(1) * i, SocketAddr::from(([127, 0, 0, 1], 9)));
            let since_assigned = ms(1) * i;
            model.on_data(&Arrival { now, since_assigned, data, from, assured: false }, &mut ledger)
        };
        (0..).zip(seqs).map(&mut on_data).collect()
    }

    fn acked(spec: Receiver, seqs: &[u32]) -> Vec<bool> {
        let is_acked = |reply: &Reply| reply.datagrams.iter().any(|datagram| datagram.is_ack);
        replies(spec, seqs).iter().map(is_acked).collect()
    }

    #[test]
    fn rules_apply_to_the_packets_they_name() {
        let loses = |when| acked(Receiver::named("A").rule(when, Fault::LoseData), &[7, 7, 8, 9]);
        assert_eq!(loses(When::At { seq: 7, nth: 1 }), [false, true, true, true]);
        assert_eq!(loses(When::AfterAcks(2)), [true, true, false, false]);
        assert_eq!(loses(When::SinceAssigned(ms(3))), [true, true, true, false]);
        assert_eq!(loses(When::Chance(1.0)), [false; 4]);
        assert_eq!(loses(When::Chance(0.0)), [true; 4]);
    }

    #[test]
    fn conditions_begin_once_one_after_another_and_end() {
        let silences = Receiver::named("A").silent_for(1, ms(2)).silent_for(1, ms(1));
        assert_eq!(acked(silences, &[0, 1, 1, 1, 1, 2]), [true, false, false, false, true, true]);
        let closes = replies(Receiver::named("A").closes_after_acks(1, Some(ms(2))), &[0, 1, 2]);
        assert_eq!(closes[0].closes, Some(Some(ms(2))));
        assert!(closes[0].datagrams.len() == 1 && closes[2].recovered);
        let stalls = replies(Receiver::named("A").rule(When::Always, Fault::Stall(ms(2))), &[0, 0, 1]);
        let delays: Vec<Duration> = stalls.iter().map(|reply| reply.datagrams[0].delay).collect();
        assert_eq!(delays, [ms(2), ms(1), ms(0)]);
    }

    #[test]
    fn what_is_forged_damaged_or_stray_is_never_the_right_ack() {
        let ack = wire::ack(3740, 5);
        assert!((0..50).all(|number| junk(3740, 5, number) != ack));
        for fault in [Fault::CorruptAck, Fault::TruncateAck] {
            for reply in replies(Receiver::named("A").rule(When::Always, fault), &[5; 200]) {
                assert_ne!(reply.datagrams[0].bytes, ack);
            }
        }
        let stale = replies(Receiver::named("A").stale_acks(), &[0]);
        assert_eq!(stale[0].datagrams[0].bytes, wire::ack(3740, u32::MAX), "before SEQ 0 it wraps around");
    }
}
