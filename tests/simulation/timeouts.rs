//! What timeouts cost, and how often they are wrong, in virtual time over many kinds of networks.
//!
//! 5000 bytes to three receivers, 300 seeds each. *Time* is over that of a sender which waits for every ack on the same
//! network without loss, times the expected transmissions, plus the longest silence of a receiver in outages and bursts; it
//! may be below 1 where a retransmission overtakes a delayed packet. *Spurious* are the retransmissions per 100 packets that
//! arrive after one whose ack is not lost.
//!
//! | 0.1.0 → now                        | time, median | mean         | spurious      | given up |
//! |------------------------------------|--------------|--------------|---------------|----------|
//! | as recorded                        | 1.00 → 1.00  | 1.00 → 1.00  | 0.00 → 0.00   | 0 → 0    |
//! | its losses                         | 1.21 → 1.19  | 1.21 → 1.19  | 0.00 → 0.00   | 0 → 0    |
//! | near: ping 0.5–1.5 ms, ack 4–20 ms | 1.00 → 1.00  | 1.00 → 1.00  | 0.00 → 0.00   | 0 → 0    |
//! | near, 1 % lost each way            | 0.99 → 0.98  | 1.08 → 1.02  | 0.00 → 0.00   | 0 → 0    |
//! | near, 5 %                          | 1.13 → 1.05  | 1.55 → 1.12  | 0.00 → 0.00   | 0 → 0    |
//! | near, 10 %                         | 1.47 → 1.20  | 2.98 → 1.29  | 0.00 → 0.00   | 0 → 0    |
//! | near, 20 %                         | 3.41 → 1.64  | 13.49 → 2.37 | 0.00 → 0.00   | 3 → 0    |
//! | far: ping 50–400 ms, ack 3–9 pings | 1.00 → 1.00  | 1.00 → 1.00  | 0.07 → 0.06   | 0 → 0    |
//! | far, 5 %                           | 1.09 → 1.04  | 1.13 → 1.06  | 0.06 → 0.07   | 0 → 0    |
//! | far, 20 %                          | 1.73 → 1.30  | 1.79 → 1.36  | 0.03 → 0.04   | 6 → 1    |
//! | satellite: 600–700 ms, 5 %         | 1.18 → 1.12  | 1.23 → 1.14  | 0.00 → 0.00   | 0 → 0    |
//! | radio: 2–5 s, 5 %                  | 1.09 → 1.07  | 1.11 → 1.08  | 3.46 → 0.00   | 1 → 0    |
//! | heavy-tailed delays, 5 %           | 1.01 → 0.94  | 1.06 → 0.94  | 6.72 → 8.01   | 0 → 0    |
//! | 40, then 400, then 40 ms, 5 %      | 1.21 → 1.46  | 1.30 → 1.46  | 32.54 → 25.33 | 0 → 0    |
//! | near, bursts of loss               | 1.11 → 1.05  | 1.10 → 1.04  | 0.00 → 0.00   | 0 → 0    |
//! | far, bursts of loss                | 0.94 → 0.90  | 0.93 → 0.89  | 0.07 → 0.06   | 0 → 0    |
//! | near, an outage of 2 s             | 1.66 → 1.14  | 1.61 → 1.13  | 0.00 → 0.00   | 0 → 0    |
//! | near, an outage of 8 s             | 1.25 → 1.16  | 1.25 → 1.16  | 0.00 → 0.00   | 0 → 0    |
//! | far, an outage of 2 s              | 1.08 → 1.05  | 1.09 → 1.05  | 0.07 → 0.06   | 0 → 0    |
//! | far, an outage of 8 s              | 1.06 → 1.07  | 1.07 → 1.07  | 0.07 → 0.06   | 0 → 0    |
//! | near, no ping, 10 %                | 1.80 → 1.33  | 9.51 → 3.38  | 0.00 → 0.00   | 0 → 0    |
//! | near, mode 2, 10 %                 | 1.18 → 1.11  | 2.50 → 1.56  | 0.00 → 0.00   | 0 → 0    |
//! | far, mode 2, 10 %                  | 1.12 → 1.07  | 1.14 → 1.08  | 0.01 → 0.56   | 0 → 0    |
//! | geometric mean; mean               |              | 1.54 → 1.21  | 1.87 → 1.49   |          |
//!
//! `MDALP_TABLE=300 cargo test --test mdalp timeouts -- --nocapture` prints the right half.

use super::rng::Rng;
use super::run::transfer;
use super::scenario::{Profile, Scenario, Scheduling};
use super::tally::Class;
use crate::loopback::{Fault, When};
use mdalp::protocol::scheduler::Outcome;
use std::time::Duration;

/// A kind of network. An ack takes ping × ratio + processing; each receiver draws its own.
#[derive(Clone, Copy)]
struct Population {
    name: &'static str,
    /// Milliseconds, log-uniform.
    ping: Span,
    /// Log-uniform.
    ratio: Span,
    /// Milliseconds, uniform.
    processing: Span,
    /// Probability of a loss, each way.
    loss: f64,
    special: Special,
    /// The mean time and the spurious retransmissions per 100 packets are at most this.
    limit: (f64, f64),
}

/// From, to.
type Span = (f64, f64);

/// What else is special about a network.
type Special = fn(&mut Scenario, &mut Rng);

const NEAR: Population = of("near: ping 0.5–1.5 ms, ack 4–20 ms", (0.5, 1.5), (1.0, 1.0), (3.5, 18.5));
const FAR: Population = of("far: ping 50–400 ms, ack 3–9 pings", (50.0, 400.0), (3.0, 9.0), (0.0, 0.0));
const SATELLITE: Population = of("", (600.0, 650.0), (1.0, 1.0), (4.0, 50.0));
const RADIO: Population = of("", (1500.0, 4000.0), (1.0, 1.25), (500.0, 500.0));
const MIDDLE: Population = of("", (10.0, 50.0), (3.0, 9.0), (0.0, 0.0));
const FORTY: Population = of("", (8.0, 8.0), (5.0, 5.0), (0.0, 0.0));

const POPULATIONS: &[Population] = &[
    NEAR.with("as recorded", 0.0, |s, _| recorded(s, &[]), (1.01, 0.0)),
    NEAR.with("its losses", 0.0, |s, _| recorded(s, &[7, 8, 10, 46]), (1.21, 0.0)),
    NEAR,
    NEAR.with("near, 1 % lost each way", 0.01, plain, (1.05, 0.0)),
    NEAR.with("near, 5 %", 0.05, plain, (1.2, 0.0)),
    NEAR.with("near, 10 %", 0.1, plain, (1.5, 0.0)),
    NEAR.with("near, 20 %", 0.2, plain, (3.0, 0.0)),
    FAR,
    FAR.with("far, 5 %", 0.05, plain, (1.15, 1.0)),
    FAR.with("far, 20 %", 0.2, plain, (1.6, 1.0)),
    SATELLITE.with("satellite: 600–700 ms, 5 %", 0.05, plain, (1.25, 0.0)),
    RADIO.with("radio: 2–5 s, 5 %", 0.05, plain, (1.2, 0.2)),
    MIDDLE.with("heavy-tailed delays, 5 %", 0.05, heavy_tailed, (1.2, 12.0)),
    FORTY.with("40, then 400, then 40 ms, 5 %", 0.05, slower_for_a_while, (1.7, 28.0)),
    NEAR.with("near, bursts of loss", 0.0, bursts, (1.2, 0.0)),
    FAR.with("far, bursts of loss", 0.0, bursts, (1.1, 1.0)),
    NEAR.with("near, an outage of 2 s", 0.0, |s, _| outage(s, 2), (1.5, 0.0)),
    NEAR.with("near, an outage of 8 s", 0.0, |s, _| outage(s, 8), (1.5, 0.0)),
    FAR.with("far, an outage of 2 s", 0.0, |s, _| outage(s, 2), (1.2, 1.0)),
    FAR.with("far, an outage of 8 s", 0.0, |s, _| outage(s, 8), (1.2, 1.0)),
    NEAR.with("near, no ping, 10 %", 0.1, |s, _| s.pinged = false, (4.5, 0.0)),
    NEAR.with("near, mode 2, 10 %", 0.1, mode_2, (2.5, 0.0)),
    FAR.with("far, mode 2, 10 %", 0.1, mode_2, (1.2, 2.0)),
];

const fn of(name: &'static str, ping: Span, ratio: Span, processing: Span) -> Population {
    Population { name, ping, ratio, processing, loss: 0.0, special: plain, limit: (1.01, 1.0) }
}

fn plain(_: &mut Scenario, _: &mut Rng) {}

fn heavy_tailed(scenario: &mut Scenario, _: &mut Rng) {
    for receiver in &mut scenario.receivers {
        for (chance, times) in [(0.3, 1), (0.1, 5), (0.02, 50)] {
            receiver.add(When::Chance(chance), Fault::Spike(receiver.delay * times));
        }
    }
}

fn slower_for_a_while(scenario: &mut Scenario, _: &mut Rng) {
    for (range, receiver) in scenario.plan().ranges.iter().zip(&mut scenario.receivers) {
        for (n, nth) in (6..12).flat_map(|n| (1..30).map(move |nth| (n, nth))) {
            receiver.add(When::At { seq: range.first().0 + n, nth }, Fault::Delay(receiver.delay * 19));
        }
    }
}

/// The recorded transaction (mdalp(7)): pings, acks and their standard deviations, and SEQs that were lost.
fn recorded(scenario: &mut Scenario, lost: &[u32]) {
    let receivers = [(335.148, 1714.9, 7.1), (162.844, 853.1, 11.8), (156.857, 857.4, 13.3)];
    for (index, (ping, ack, deviation)) in receivers.into_iter().enumerate() {
        // The sum of two uniform delays of this width has the standard deviation.
        let width = deviation * 6_f64.sqrt();
        let least = (ack - width) / 2.0;
        scenario.latencies[index] = ms(ping);
        scenario.receivers[index] = Profile::new(ms(least), width / least);
        lost.iter().for_each(|&seq| lose_first(&mut scenario.receivers[index], seq));
    }
}

/// The first transmission of this SEQ is lost.
fn lose_first(receiver: &mut Profile, seq: u32) {
    receiver.add(When::At { seq, nth: 1 }, Fault::LoseData);
}

fn bursts(scenario: &mut Scenario, rng: &mut Rng) {
    for receiver in &mut scenario.receivers {
        let mut after = 0;
        for _ in 0..4 {
            after += 1 + rng.below(8) as u32;
            silence(receiver, after, receiver.delay.mul_f64(rng.between(1.0, 8.0)));
        }
    }
}

fn outage(scenario: &mut Scenario, seconds: u64) {
    scenario.receivers.iter_mut().for_each(|receiver| silence(receiver, 5, Duration::from_secs(seconds)));
}

fn silence(receiver: &mut Profile, after: u32, lasts: Duration) {
    receiver.add(When::AfterAcks(after), Fault::Silent(Some(lasts)));
}

fn mode_2(scenario: &mut Scenario, _: &mut Rng) {
    (scenario.single, scenario.pinged) = (Some(1), false);
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

impl Population {
    const fn with(self, name: &'static str, loss: f64, special: Special, limit: (f64, f64)) -> Self {
        Self { name, loss, special, limit, ..self }
    }

    fn scenario(&self, seed: u64, receivers: usize, bytes: usize) -> Scenario {
        let mut rng = Rng::new(seed);
        let receivers = (0..receivers).map(|_| {
            let ping = rng.log_between(self.ping.0, self.ping.1);
            let processing = rng.between(self.processing.0, self.processing.1);
            let delay = ms((ping * rng.log_between(self.ratio.0, self.ratio.1) + processing) / 2.0);
            (ms(ping), Profile::new(delay, 0.1))
        });
        let mut scenario = Scenario::usual(seed, bytes, receivers.collect());
        // As threads are: a wait ends late, never early.
        scenario.scheduling = Scheduling { late: 0.1, ..Scheduling::default() };
        (self.special)(&mut scenario, &mut rng);
        for receiver in &mut scenario.receivers {
            receiver.add(When::Chance(self.loss), Fault::LoseData);
            receiver.add(When::Chance(self.loss), Fault::LoseAck);
        }
        scenario
    }
}

/// What a transfer takes whose sender knows which packets are lost, about: see the top.
fn bound(mut scenario: Scenario) -> Duration {
    let (mut expected, mut silent) = (1.0_f64, Duration::ZERO);
    for receiver in &mut scenario.receivers {
        let (mut arrives, mut silences) = (1.0, Duration::ZERO);
        receiver.script.rules.retain(|rule| {
            match (&rule.when, &rule.fault) {
                (When::Chance(loss), Fault::LoseData | Fault::LoseAck) => arrives *= 1.0 - loss,
                (_, Fault::Silent(Some(time))) => silences += *time,
                (_, Fault::LoseData) => {}
                _ => return true,
            }
            false
        });
        (expected, silent) = (expected.max(1.0 / arrives), silent.max(silences));
    }
    // A sender that waits for every ack.
    scenario.timing.fixed = true;
    scenario.timing.first_timeout = Duration::from_secs(10_000);
    scenario.timing.give_up = Duration::from_secs(100_000);
    let summary = transfer(&scenario);
    assert_eq!((summary.outcome, summary.transmissions), (Outcome::Complete, u64::from(summary.packets)));
    summary.elapsed.mul_f64(expected) + silent
}

/// What came of transfers over one kind of network.
#[derive(Debug)]
struct Figures {
    /// Median and mean of time ÷ bound.
    median: f64,
    mean: f64,
    /// Spurious retransmissions per 100 packets.
    spurious: f64,
    /// Transfers that gave a receiver up.
    given_up: u32,
}

impl Figures {
    fn of(scenarios: impl Iterator<Item = Scenario>) -> Self {
        let (mut ratios, mut spurious, mut packets, mut given_up) = (Vec::new(), 0, 0, 0);
        for scenario in scenarios {
            let summary = transfer(&scenario);
            spurious += summary.spurious;
            packets += summary.packets;
            given_up += u32::from(summary.exercised.contains(&Class::Death));
            ratios.push(summary.elapsed.as_secs_f64() / bound(scenario).as_secs_f64());
        }
        ratios.sort_by(f64::total_cmp);
        Self {
            median: ratios[ratios.len() / 2],
            mean: ratios.iter().sum::<f64>() / ratios.len() as f64,
            spurious: 100.0 * spurious as f64 / f64::from(packets),
            given_up,
        }
    }
}

#[test]
fn timeouts_cost_little_and_are_seldom_spurious() {
    let seeds = std::env::var("MDALP_TABLE").ok().and_then(|seeds| seeds.parse().ok());
    for population in POPULATIONS {
        let scenarios = (0..seeds.unwrap_or(60)).map(|seed| population.scenario(seed, 3, 5000));
        let figures = Figures::of(scenarios);
        let Figures { median, mean, spurious, given_up } = figures;
        println!("| {} | {median:.2} | {mean:.2} | {spurious:.2} | {given_up} |", population.name);
        let (most_time, most_spurious) = population.limit;
        assert!(mean <= most_time && spurious <= most_spurious, "{}: {figures:?}", population.name);
    }
}

/// First packets, with the limits on the part that is retransmitted though its ack comes within 3 s, and on the mean of the
/// seconds until a lost one is sent again.
const FIRST_PACKETS: &[(Population, f64, f64)] = &[
    (of("as recorded", (0.5, 400.0), (4.5, 6.0), (4.0, 10.0)), 0.01, 0.8),
    (of("ratios differ by a factor of three", (0.5, 400.0), (3.0, 9.0), (4.0, 10.0)), 0.01, 0.8),
    (of("the same, all far", (50.0, 400.0), (3.0, 9.0), (4.0, 10.0)), 0.01, 2.0),
    // Ten pings are less than what every third of them takes.
    (of("slow receivers", (0.5, 400.0), (6.0, 18.0), (4.0, 10.0)), 0.2, 0.8),
    (of("fast receivers", (0.5, 400.0), (1.0, 3.0), (1.0, 10.0)), 0.01, 0.8),
    (of("busy receivers", (0.5, 400.0), (4.5, 6.0), (4.0, 100.0)), 0.01, 0.8),
];

#[test]
fn first_packets_are_seldom_retransmitted_spuriously_and_soon_when_lost() {
    const RECEIVERS: usize = 10;
    const SEEDS: u64 = 150;
    for (population, most_spurious, most_seconds) in FIRST_PACKETS {
        let (mut spurious, mut seconds) = (0, 0.0);
        for seed in 0..SEEDS {
            let mut scenario = population.scenario(seed, RECEIVERS, 200 * RECEIVERS);
            let first = |scenario: &Scenario| transfer(scenario).first.into_iter().map(Option::unwrap);
            let in_time = Duration::from_secs(3);
            spurious += first(&scenario).filter(|f| f.acked_after < in_time && f.transmissions > 1).count();
            for (range, receiver) in scenario.plan().ranges.iter().zip(&mut scenario.receivers) {
                lose_first(receiver, range.first().0);
            }
            seconds += first(&scenario).map(|f| f.resent_after.as_secs_f64()).sum::<f64>();
        }
        let count = (RECEIVERS as u64 * SEEDS) as f64;
        let (spurious, seconds) = (spurious as f64 / count, seconds / count);
        let line = format!("{}: {spurious:.4} spurious, lost ones after {seconds:.2} s", population.name);
        println!("{line}");
        assert!(spurious <= *most_spurious && seconds <= *most_seconds, "{line}");
    }
}

/// Only its second acks show the round trip of a receiver that takes longer than every timeout.
#[test]
fn a_long_constant_round_trip_settles_after_the_first_packet() {
    for seconds in [4, 9, 15, 25] {
        let mut scenario = NEAR.scenario(0, 1, 3000);
        scenario.receivers[0].delay = Duration::from_secs(seconds) / 2;
        let summary = transfer(&scenario);
        let after_the_first = summary.spurious - u64::from(summary.first[0].unwrap().transmissions - 1);
        assert_eq!(summary.outcome, Outcome::Complete);
        assert!(after_the_first * 10 <= u64::from(summary.packets), "{seconds} s: {after_the_first}");
    }
}

#[test]
fn ten_senders_on_a_link_of_half_a_second_a_packet_do_not_collapse() {
    // A ping over this link waits for it, too; where one misleads, as when it was given, a receiver may be lost.
    for (ping, deaths) in
        [(None, 0), (Some(500.0), 0), (Some(100.0), 0), (Some(20.0), 1), (Some(1.0), 1), (Some(0.01), 1)]
    {
        let mut scenario = NEAR.scenario(0, 10, 20_000);
        scenario.bottleneck = Duration::from_millis(500);
        scenario.latencies.fill(ms(ping.unwrap_or(500.0)));
        scenario.pinged = ping.is_some();
        assert_eq!(transfer(&scenario).outcome, Outcome::Complete, "ping {ping:?}");
        let figures = Figures::of([scenario].into_iter());
        println!("ping {ping:?}: {figures:?}");
        let fine = figures.spurious <= 65.0 && figures.given_up <= deaths && figures.mean < 1.7;
        assert!(fine, "ping {ping:?}: {figures:?}");
    }
}

#[test]
fn a_receiver_that_loses_a_third_of_the_packets_is_not_given_up() {
    let lossy = of("", (160.0, 160.0), (1.0, 1.0), (660.0, 660.0)).with("", 0.2, plain, (2.0, 0.0));
    let figures = Figures::of((0..100).map(|seed| lossy.scenario(seed, 1, 5000)));
    assert!(figures.given_up <= 2, "{figures:?}");
}
