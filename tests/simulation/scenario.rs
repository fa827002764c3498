//! What a seed stands for: a transfer, its options, and a network with its own will.

mod receivers;

use super::rng::Rng;
use crate::loopback::{self, Fault, Rule, When};
use mdalp::protocol::plan::{self, Plan};
use mdalp::protocol::rto::RtoConfig;
use mdalp::protocol::scheduler::{Config, Scheduler};
use mdalp::protocol::worker::Target;
use mdalp::protocol::{Latency, LatencySource, Receiver, SeqRange, Tid};
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One transfer and its network.
#[derive(Debug)]
pub struct Scenario {
    pub seed: u64,
    pub tid: Tid,
    pub payload: Vec<u8>,
    /// The orchestrator's list: which receiver each entry names. A receiver may be named more than once.
    pub list: Vec<usize>,
    /// The latency of each list entry, as the plan takes it; in mode 2 there is none.
    pub latencies: Vec<Duration>,
    /// Whether the latency of each receiver is known, and not only assumed.
    pub pinged: bool,
    /// Mode 2: the list entry that gets all.
    pub single: Option<usize>,
    pub failover: bool,
    pub rebalance: bool,
    pub timing: RtoConfig,
    pub deadline: Option<Duration>,
    /// How often progress is wanted.
    pub progress: Option<Duration>,
    /// Whether to report that the transaction will probably expire.
    pub watch_expiry: bool,
    /// From the assignment to the first packet.
    pub measuring: Duration,
    pub scheduling: Scheduling,
    pub receivers: Vec<Profile>,
    /// From this time on no receiver acknowledges anything.
    pub expiry: Option<Duration>,
    /// The time that the link to all receivers needs for a data packet; later ones queue up.
    pub bottleneck: Duration,
}

/// How the machine that the client runs on behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduling {
    /// A wait may end later by this part of its length.
    pub late: f64,
    /// Every wake-up may be later by this.
    pub latency: Duration,
    /// How often a wait ends early with nothing.
    pub spurious: f64,
    /// How often a sender is held up between a poll and its send, or the main thread before it looks, and how long at most.
    pub stall: f64,
    pub longest_stall: Duration,
}

/// A receiver and the way there and back.
#[derive(Clone, Debug)]
pub struct Profile {
    /// One way.
    pub delay: Duration,
    /// The delay varies by this part of itself.
    pub jitter: f64,
    /// The probability that a data packet is duplicated on its way.
    pub duplication: f64,
    /// When its port opens, and what else may happen to packets and acks, as the loopback servers play it.
    pub script: loopback::Receiver,
    /// Whether every retransmission of a packet is acknowledged, and soon.
    pub reliable: bool,
    /// What its thread does not get: "thread" or "socket".
    pub lacks: Option<&'static str>,
}

impl Profile {
    /// A receiver that acknowledges everything.
    pub fn new(delay: Duration, jitter: f64) -> Self {
        let script = loopback::Receiver::named("");
        Self { delay, jitter, duplication: 0.0, script, reliable: false, lacks: None }
    }

    pub fn add(&mut self, when: When, fault: Fault) {
        self.script.rules.push(Rule { when, fault });
    }

    /// As the loopback servers play it.
    pub fn receiver(&self) -> loopback::Receiver {
        // The delay is at least this one, and at most more by that part of it.
        let mean = self.delay.mul_f64(1.0 + self.jitter / 2.0);
        self.script.clone().ack_delay(mean).jitter(self.delay.mul_f64(self.jitter / 12f64.sqrt()))
    }
}

impl Scenario {
    /// What the seed stands for.
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x6d64_616c_7000);
        let distinct = match rng.below(20) {
            0..2 => 1,
            2..14 => 2 + rng.below(4),
            14..18 => 6 + rng.below(7),
            _ => 13 + rng.below(28),
        };
        let list = list(distinct, &mut rng);
        let payload = payload(&mut rng);
        let timing = timing(&mut rng);
        let receivers = receivers::profiles(distinct, payload.len(), timing, &mut rng);
        let (latencies, pinged) = latencies(&list, &receivers, &mut rng);
        let single = rng.chance(0.12).then(|| rng.below(list.len()));
        let mut scenario = Self {
            tid: Tid(rng.choose(&[0, 1, 7, 3740, u64::MAX])),
            single,
            failover: rng.chance(0.85),
            rebalance: rng.chance(0.4),
            measuring: Duration::from_secs_f64(rng.unit() * rng.unit()),
            scheduling: scheduling(timing, &mut rng),
            timing,
            payload,
            list,
            latencies,
            pinged: pinged && single.is_none(),
            receivers,
            ..Self::usual(seed, 0, Vec::new())
        };
        let expected = scenario.expected_seconds();
        let mut limit = |chance, least, most| {
            rng.chance(chance).then(|| Duration::from_secs_f64(expected * rng.between(least, most)))
        };
        (scenario.deadline, scenario.expiry) = (limit(0.12, 0.1, 4.0), limit(0.05, 0.1, 1.5));
        scenario.progress = limit(0.3, 0.02, 0.5);
        scenario.watch_expiry = rng.chance(0.3);
        if let Some(expiry) = scenario.expiry {
            let add = |receiver: &mut Profile| receiver.add(When::SinceAssigned(expiry), Fault::Silent(None));
            scenario.receivers.iter_mut().for_each(add);
        }
        scenario
    }

    /// How long it takes without any fault, about.
    fn expected_seconds(&self) -> f64 {
        let seconds = |(range, &receiver): (&SeqRange, &usize)| {
            let Profile { delay, jitter, .. } = self.receivers[receiver];
            f64::from(range.packets()) * delay.as_secs_f64() * (2.0 + jitter)
        };
        let longest = self.plan().ranges.iter().zip(&self.list).map(seconds).fold(0.0, f64::max);
        self.measuring.as_secs_f64() + longest
    }

    /// A transfer of `bytes` to these receivers, each with its ping, by a client with the default options.
    pub fn usual(seed: u64, bytes: usize, receivers: Vec<(Duration, Profile)>) -> Self {
        let (latencies, receivers): (Vec<_>, Vec<_>) = receivers.into_iter().unzip();
        Self {
            seed,
            tid: Tid(3740),
            payload: vec![7; bytes],
            list: (0..receivers.len()).collect(),
            latencies,
            pinged: true,
            single: None,
            failover: true,
            rebalance: false,
            timing: RtoConfig {
                first_timeout: Duration::from_secs(3),
                fixed: false,
                give_up: Duration::from_secs(30),
            },
            deadline: None,
            progress: None,
            watch_expiry: false,
            measuring: Duration::ZERO,
            scheduling: Scheduling::default(),
            receivers,
            expiry: None,
            bottleneck: Duration::ZERO,
        }
    }

    /// The plan, as the client makes it.
    pub fn plan(&self) -> Plan {
        let len = self.payload.len() as u64;
        match self.single {
            Some(index) => plan::single(len, self.list.len(), index).unwrap(),
            None => plan::balanced(len, &self.latencies).unwrap(),
        }
    }

    /// When the assignment comes: an instant to count from; nothing depends on which.
    pub fn start(&self) -> Instant {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        *EPOCH.get_or_init(Instant::now)
    }

    /// The machine of the main thread, as the client makes it.
    pub fn scheduler(&self, floor: u64) -> Scheduler {
        let (start, plan) = (self.start(), self.plan());
        let source = if self.pinged { LatencySource::Given } else { LatencySource::Fallback };
        let address = |of: &usize| Ipv4Addr::from_bits(0x0a00_0001 + *of as u32).into();
        let listed = |of| Receiver { address: address(of), name: String::new() };
        let receivers: Vec<Receiver> = self.list.iter().map(listed).collect();
        let (mut targets, merged) = Target::merge(&receivers);
        assert_eq!(merged, self.list);
        for ((range, &rtt), target) in plan.ranges.iter().zip(&self.latencies).zip(merged) {
            let latency = self.single.is_none().then_some(Latency { rtt, source });
            targets[target].add_share(*range, latency);
        }
        let balance = self.single.is_none();
        let config = Config {
            tid: self.tid,
            rto: self.timing,
            failover: balance && self.failover,
            rebalance: balance && self.rebalance,
            floor,
            deadline: self.deadline.map(|limit| start + limit),
            progress: self.progress,
            watch_expiry: self.watch_expiry,
        };
        Scheduler::new(targets, config, start)
    }

    /// Whether a receiver is there that never fails, and everything may go to it if need be.
    pub fn must_complete(&self) -> bool {
        let may = |i: &usize| self.receivers[*i].reliable;
        self.deadline.is_none()
            && self.expiry.is_none()
            && match self.single {
                Some(index) => may(&self.list[index]),
                None => self.failover && self.list.iter().any(may),
            }
    }
}

/// Each receiver at least once, in the order of their first entries.
fn list(distinct: usize, rng: &mut Rng) -> Vec<usize> {
    let again = if rng.chance(0.2) { 0.3 } else { 0.0 };
    let mut list = Vec::new();
    for receiver in 0..distinct {
        list.push(receiver);
        while rng.chance(again) {
            list.push(rng.below(receiver + 1));
        }
    }
    list
}

fn payload(rng: &mut Rng) -> Vec<u8> {
    let (shortest, longest) = match rng.below(1000) {
        0..200 => (1.0, 300.0),
        200..700 => (300.0, 3_000.0),
        700..960 => (1_000.0, 12_000.0),
        960..997 => (5_000.0, 60_000.0),
        _ => (50_000.0, 1_000_000.0),
    };
    let len = if rng.chance(0.02) { longest as usize } else { rng.log_between(shortest, longest) as usize };
    let mut payload = Vec::with_capacity(len + 8);
    while payload.len() < len {
        payload.extend(rng.bits().to_le_bytes());
    }
    payload.truncate(len);
    payload
}

fn timing(rng: &mut Rng) -> RtoConfig {
    let give_up = match rng.below(10) {
        0..5 => 30.0,
        5..7 => rng.choose(&[1.0, 2.0, 5.0]),
        _ => rng.log_between(1.0, 300.0).round(),
    };
    // Many timeouts in one give-up time take many steps to simulate, and show nothing new.
    let first = if rng.chance(0.6) { 3.0 } else { rng.log_between(give_up / 400.0, 10.0) };
    let fixed = rng.chance(0.12);
    RtoConfig {
        first_timeout: Duration::from_secs_f64(first),
        fixed,
        give_up: Duration::from_secs_f64(give_up),
    }
}

fn scheduling(timing: RtoConfig, rng: &mut Rng) -> Scheduling {
    let exact = Scheduling {
        stall: rng.choose(&[0.0, 0.0, 0.01, 0.1]),
        longest_stall: rng.log_seconds(1e-3, timing.give_up.as_secs_f64() * 2.0),
        ..Scheduling::default()
    };
    match rng.below(4) {
        0 => exact,
        1 => Scheduling { latency: Duration::from_micros(50), spurious: 0.01, ..exact },
        2 => Scheduling { late: 0.1, latency: Duration::from_micros(100), spurious: 0.05, ..exact },
        _ => Scheduling { late: 0.1, latency: Duration::from_millis(15), spurious: 0.2, ..exact },
    }
}

/// What the pings say, truly or not, and whether they were answered.
fn latencies(list: &[usize], receivers: &[Profile], rng: &mut Rng) -> (Vec<Duration>, bool) {
    let truth = |i: &usize| receivers[*i].delay * 2;
    match rng.below(6) {
        0..3 => (list.iter().map(truth).collect(), true),
        3 => (list.iter().map(|i| truth(i).mul_f64(rng.log_between(0.01, 100.0))).collect(), true),
        4 => (vec![Duration::ZERO; list.len()], true),
        _ => (vec![Duration::from_millis(1); list.len()], false),
    }
}
