//! The story that the servers play: which receivers there are, how quick they are, and what goes wrong.

use super::faults::{Fault, Flood, Forgery, Rule, Source, Timing, When};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One receiver. Without further words it acknowledges everything immediately.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub name: String,
    pub address: Option<IpAddr>,
    pub listed: bool,
    pub opening: Opening,
    pub delay: Duration,
    pub jitter: Duration,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Opening {
    AtStart,
    After(Duration),
    WhenTold,
    Never,
}

impl Receiver {
    pub fn named(name: impl Into<String>) -> Receiver {
        Receiver {
            name: name.into(),
            address: None,
            listed: true,
            opening: Opening::AtStart,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rules: Vec::new(),
        }
    }

    /// Another address than 127.0.0.2 and so on.
    pub fn at(mut self, address: IpAddr) -> Receiver {
        self.address = Some(address);
        self
    }

    /// There, but not in the list that clients get: a bystander to whom nothing may be sent.
    pub fn unlisted(mut self) -> Receiver {
        self.listed = false;
        self
    }

    /// In the list, but nothing listens there: `ECONNREFUSED`.
    pub fn closed(mut self) -> Receiver {
        self.opening = Opening::Never;
        self
    }

    /// The port is closed at the start and opens after this time.
    pub fn opens_after(mut self, time: Duration) -> Receiver {
        self.opening = Opening::After(time);
        self
    }

    /// The port is closed until the test says [`Servers::open`](super::Servers::open).
    pub fn opens_when_asked(mut self) -> Receiver {
        self.opening = Opening::WhenTold;
        self
    }

    /// How long an ack takes: the round trip, since loopback itself takes none.
    pub fn ack_delay(mut self, delay: Duration) -> Receiver {
        self.delay = delay;
        self
    }

    /// The standard deviation of the ack delay, by the seed; it is evenly distributed.
    pub fn jitter(mut self, deviation: Duration) -> Receiver {
        self.jitter = deviation;
        self
    }

    /// Any fault at any time: what all the methods below are made of.
    pub fn rule(mut self, when: When, fault: Fault) -> Receiver {
        self.rules.push(Rule { when, fault });
        self
    }

    /// Loses the `nth` transmission (1 is the first) of a SEQ.
    pub fn lose(self, seq: u32, nth: u32) -> Receiver {
        self.rule(When::At { seq, nth }, Fault::LoseData)
    }

    /// Receives the `nth` transmission of a SEQ, but its ack gets lost.
    pub fn lose_ack(self, seq: u32, nth: u32) -> Receiver {
        self.rule(When::At { seq, nth }, Fault::LoseAck)
    }

    /// Loses data with this probability, by the seed.
    pub fn data_loss(self, probability: f64) -> Receiver {
        self.rule(When::Chance(probability), Fault::LoseData)
    }

    /// Loses acks with this probability, by the seed.
    pub fn ack_loss(self, probability: f64) -> Receiver {
        self.rule(When::Chance(probability), Fault::LoseAck)
    }

    /// Receives, but never acknowledges; with `junk` and the like, what comes instead of an ack.
    pub fn never_acks(self) -> Receiver {
        self.rule(When::Always, Fault::LoseAck)
    }

    /// With every ack, one of the TID and SEQ that are this far from the right ones.
    fn forges(self, tid: u64, seq: i32, timing: Timing, source: Source) -> Receiver {
        self.rule(When::Always, Fault::Forge(Forgery { tid, seq: seq.cast_unsigned(), timing, source }))
    }

    /// Every ack comes twice.
    pub fn duplicates_acks(self) -> Receiver {
        self.late_duplicates(Duration::ZERO)
    }

    /// Every ack comes again this much later; with half the ack delay, during the wait for the next one.
    pub fn late_duplicates(self, late: Duration) -> Receiver {
        self.forges(0, 0, Timing::AfterAck(late), Source::Receiver)
    }

    /// After every ack, that of the SEQ after, which has not come yet.
    pub fn acks_in_advance(self) -> Receiver {
        self.forges(0, 1, Timing::AfterAck(Duration::ZERO), Source::Receiver)
    }

    /// Before every ack, one with another TID.
    pub fn wrong_tid_acks(self) -> Receiver {
        self.forges(1, 0, Timing::Now, Source::Receiver)
    }

    /// Before every ack, that of the SEQ before.
    pub fn stale_acks(self) -> Receiver {
        self.forges(0, -1, Timing::Now, Source::Receiver)
    }

    /// Before every ack, that of the SEQ after.
    pub fn future_acks(self) -> Receiver {
        self.forges(0, 1, Timing::Now, Source::Receiver)
    }

    /// Before every ack, the same from another address.
    pub fn acks_from_other_address(self) -> Receiver {
        self.forges(0, 0, Timing::Now, Source::OtherAddress)
    }

    /// Before every ack, the same from another port.
    pub fn acks_from_other_port(self) -> Receiver {
        self.forges(0, 0, Timing::Now, Source::OtherPort)
    }

    /// Before every ack, these bytes.
    pub fn junk(self, bytes: impl Into<Vec<u8>>) -> Receiver {
        self.rule(When::Always, Fault::Junk(bytes.into()))
    }

    /// From the first packet on: junk at this rate (`None`: without a pause) for this long.
    pub fn flood(self, per_second: Option<u32>, lasting: Duration) -> Receiver {
        self.rule(When::Always, Fault::Flood(Flood { per_second, lasting }))
    }

    /// Silent after this many acks; 0: from the start.
    pub fn dies_after_acks(self, acks: u32) -> Receiver {
        self.rule(When::AfterAcks(acks), Fault::Silent(None))
    }

    /// There, and says nothing.
    pub fn silent(self) -> Receiver {
        self.dies_after_acks(0)
    }

    /// After this many acks silent for a time, and then back.
    pub fn silent_for(self, acks: u32, time: Duration) -> Receiver {
        self.rule(When::AfterAcks(acks), Fault::Silent(Some(time)))
    }

    /// The port is closed right after this many acks (1 or more), for this long or for good.
    pub fn closes_after_acks(self, acks: u32, time: Option<Duration>) -> Receiver {
        self.rule(When::AfterAcks(acks - 1), Fault::Close(time))
    }
}

/// Something that the orchestrator says to an intent.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A Type 1 with the right list. A TID other than the right one is known to no receiver; a stranger has another port
    /// than the orchestrator's.
    Assignment { tid_offset: u64, from_stranger: bool },
    /// Any bytes. If nothing else is said, a TID in them becomes the transaction's.
    Raw(Vec<u8>),
}

const RIGHT: Answer = Answer::Assignment { tid_offset: 0, from_stranger: false };
const OTHER_TID: u64 = 1000;

/// One line of the list in Type 1.
#[derive(Clone, Debug)]
pub enum Entry {
    Receiver(usize),
    Text { address: String, name: String },
}

/// The whole story. Without further words: an orchestrator that assigns immediately, and no receivers.
#[derive(Clone, Debug)]
pub struct Script {
    pub receivers: Vec<Receiver>,
    pub entries: Vec<Entry>,
    pub answers: Vec<Answer>,
    pub assign_after: Duration,
    pub seed: u64,
    pub expectation: Option<Arc<Vec<u8>>>,
    pub idle: Option<Duration>,
    pub orchestrator_port: u16,
    pub receiver_port: u16,
    /// The orchestrator's; `[::1]` is also the only receiver's.
    pub address: IpAddr,
    /// Bytes that are kept of all payloads together; what comes beyond is lost.
    pub limit: u64,
}

impl Default for Script {
    fn default() -> Script {
        Script::new()
    }
}

impl Script {
    pub fn new() -> Script {
        Script {
            receivers: Vec::new(),
            entries: Vec::new(),
            answers: vec![RIGHT],
            assign_after: Duration::ZERO,
            seed: 1,
            expectation: None,
            idle: None,
            orchestrator_port: 0,
            receiver_port: 0,
            address: Ipv4Addr::LOCALHOST.into(),
            limit: u64::MAX,
        }
    }

    /// Adds a receiver, and its line in the list.
    pub fn receiver(mut self, receiver: Receiver) -> Script {
        if receiver.listed {
            self.entries.push(Entry::Receiver(self.receivers.len()));
        }
        self.receivers.push(receiver);
        self
    }

    pub fn with(self, receivers: impl IntoIterator<Item = Receiver>) -> Script {
        receivers.into_iter().fold(self, Script::receiver)
    }

    /// Adds receivers without delays or faults, named `R1` and so on.
    pub fn receivers(self, count: usize) -> Script {
        self.with((1..=count).map(|number| Receiver::named(format!("R{number}"))))
    }

    /// Lists a receiver once more; an unknown name is ignored.
    pub fn listed_again(mut self, name: &str) -> Script {
        if let Some(index) = self.receivers.iter().position(|receiver| receiver.name == name) {
            self.entries.push(Entry::Receiver(index));
        }
        self
    }

    /// Lists an address, any text, behind which there is no receiver of ours.
    pub fn listed_text(mut self, address: &str, name: &str) -> Script {
        self.entries.push(Entry::Text { address: address.to_string(), name: name.to_string() });
        self
    }

    /// Everything on [::1], where there is room for one receiver.
    pub fn ipv6(mut self) -> Script {
        self.address = Ipv6Addr::LOCALHOST.into();
        self
    }

    /// The orchestrator never answers.
    pub fn silent_orchestrator(self) -> Script {
        Script { answers: Vec::new(), ..self }
    }

    /// Before the assignment, this datagram. Said twice, two datagrams in that order.
    pub fn before_assignment(mut self, bytes: impl Into<Vec<u8>>) -> Script {
        let at = self.answers.iter().position(|answer| *answer == RIGHT).unwrap_or(0);
        self.answers.insert(at, Answer::Raw(bytes.into()));
        self
    }

    /// Instead of the assignment, these bytes.
    pub fn raw_assignment(self, bytes: impl Into<Vec<u8>>) -> Script {
        Script { answers: vec![Answer::Raw(bytes.into())], ..self }
    }

    /// Every answer comes this much later.
    pub fn assign_after(self, assign_after: Duration) -> Script {
        Script { assign_after, ..self }
    }

    /// The assignment comes twice.
    pub fn assigned_twice(mut self) -> Script {
        self.answers.push(RIGHT);
        self
    }

    /// After the assignment another one comes, with another TID.
    pub fn assigned_again_with_other_tid(mut self) -> Script {
        self.answers.push(Answer::Assignment { tid_offset: OTHER_TID, from_stranger: false });
        self
    }

    /// Before the assignment another one comes, from a stranger, with another TID.
    pub fn stranger_assigns_first(mut self) -> Script {
        self.answers.insert(0, Answer::Assignment { tid_offset: OTHER_TID, from_stranger: true });
        self
    }

    /// Every receiver so far loses data with this probability.
    pub fn data_loss(self, probability: f64) -> Script {
        self.each(|receiver| receiver.data_loss(probability))
    }

    /// The acks of every receiver so far get lost with this probability.
    pub fn ack_loss(self, probability: f64) -> Script {
        self.each(|receiver| receiver.ack_loss(probability))
    }

    fn each(mut self, change: impl Fn(Receiver) -> Receiver) -> Script {
        self.receivers = self.receivers.into_iter().map(change).collect();
        self
    }

    /// What all chance in this story comes from.
    pub fn seed(mut self, seed: u64) -> Script {
        self.seed = seed;
        self
    }

    /// The payload that is to come: a transaction is complete when it is there, and judged immediately.
    pub fn expect(self, payload: &[u8]) -> Script {
        Script { expectation: Some(Arc::new(payload.to_vec())), ..self }
    }

    /// Judges a transaction without traffic for this long; five times that, while something seems to be missing.
    pub fn idle(mut self, time: Duration) -> Script {
        self.idle = Some(time);
        self
    }
}
