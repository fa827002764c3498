//! `--rebalance` against a clairvoyant split: pings mislead, the acks tell the truth.

use super::rng::Rng;
use super::run::{Summary, transfer};
use super::scenario::{Profile, Scenario};
use mdalp::protocol::scheduler::Outcome;
use std::time::Duration;

/// The most that rebalancing may take of what a clairvoyant split takes.
const LIMIT: f64 = 1.15;

/// Receivers, with what they ping and what they take to acknowledge.
#[derive(Clone, Debug)]
struct Receivers {
    pings: Vec<Duration>,
    acks: Vec<Duration>,
}

impl Receivers {
    fn of_ms(of: &[(f64, f64)]) -> Self {
        let ms = |n: f64| Duration::from_secs_f64(n / 1000.0);
        Self {
            pings: of.iter().map(|&(p, _)| ms(p)).collect(),
            acks: of.iter().map(|&(_, a)| ms(a)).collect(),
        }
    }

    /// A transfer of this many bytes to them over a network without fault.
    fn scenario(&self, bytes: usize, rebalance: bool) -> Scenario {
        let profile = |ack: &Duration| Profile::new(*ack / 2, 0.0);
        let receivers = self.pings.iter().copied().zip(self.acks.iter().map(profile)).collect();
        Scenario { rebalance, ..Scenario::usual(1, bytes, receivers) }
    }

    fn transfer(&self, bytes: usize, rebalance: bool) -> Summary {
        let summary = transfer(&self.scenario(bytes, rebalance));
        assert_eq!(summary.outcome, Outcome::Complete);
        summary
    }

    /// The time of the best split that leaves everybody the floor, by who knows the acks.
    fn clairvoyant(&self, bytes: usize) -> Duration {
        let floor = bytes.div_ceil(10).min(bytes / self.acks.len()).div_ceil(100) as u32;
        let packets = bytes.div_ceil(100) as u32;
        let least = self.acks.iter().map(|ack| *ack * floor).max().unwrap_or_default();
        let in_time = |limit: Duration| -> f64 {
            self.acks.iter().map(|ack| (limit.as_secs_f64() / ack.as_secs_f64() + 1e-9).floor()).sum()
        };
        let (mut low, mut high) = (least, least + self.acks[0] * packets);
        while high - low > Duration::from_micros(1) {
            let middle = low + (high - low) / 2;
            if in_time(middle) >= f64::from(packets) { high = middle } else { low = middle }
        }
        if in_time(least) >= f64::from(packets) { least } else { high }
    }

    fn ratio(&self, bytes: usize) -> f64 {
        self.transfer(bytes, true).elapsed.as_secs_f64() / self.clairvoyant(bytes).as_secs_f64()
    }
}

#[test]
fn with_misleading_pings_rebalancing_comes_close_to_a_clairvoyant_split() {
    let table: &[(&str, &[(f64, f64)])] = &[
        (
            "one pings like the others and acknowledges ten times slower",
            &[(10.0, 50.0), (10.0, 50.0), (10.0, 500.0)],
        ),
        ("the slowest pings fastest", &[(10.0, 1715.0), (163.0, 853.0), (157.0, 857.0)]),
        ("the other way round", &[(10.0, 400.0), (20.0, 200.0), (40.0, 100.0)]),
        (
            "one of five hides behind a near ping",
            &[(1.0, 900.0), (30.0, 150.0), (30.0, 160.0), (40.0, 190.0), (60.0, 300.0)],
        ),
        ("one is much better than its ping", &[(20.0, 100.0), (20.0, 100.0), (200.0, 100.0)]),
        ("two", &[(5.0, 600.0), (50.0, 60.0)]),
        ("loopback", &[(0.1, 2.0), (0.1, 0.2), (0.1, 0.4)]),
    ];
    for &(what, receivers) in table {
        for bytes in [20_000, 60_000] {
            let receivers = Receivers::of_ms(receivers);
            let ratio = receivers.ratio(bytes);
            let without = receivers.transfer(bytes, false).elapsed.as_secs_f64()
                / receivers.clairvoyant(bytes).as_secs_f64();
            println!("{what}, {bytes} bytes: {ratio:.3}, without rebalancing {without:.3}");
            assert!(ratio <= LIMIT, "{what}, {bytes} bytes: {ratio:.3} of a clairvoyant split's time");
            assert!(ratio <= without + 1e-6 && without > LIMIT, "{what}: there was nothing to rebalance");
        }
    }
}

#[test]
fn rebalancing_comes_close_to_a_clairvoyant_split_whatever_the_pings() {
    let mut ratios = Vec::new();
    for seed in 0..120 {
        let mut rng = Rng::new(seed);
        let spread = rng.log_between(1.1, 30.0);
        let receivers: Vec<_> = (0..2 + rng.below(10))
            .map(|_| (rng.log_between(1.0, 30.0), rng.log_between(20.0, 20.0 * spread)))
            .collect();
        let bytes = 100 * receivers.len() * (40 + rng.below(100));
        ratios.push((Receivers::of_ms(&receivers).ratio(bytes), seed));
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("median {:.3}, 99 % {:.3}, worst {:.3}", ratios[60].0, ratios[118].0, ratios[119].0);
    let &(worst, seed) = ratios.last().unwrap();
    assert!(worst <= LIMIT, "seed {seed}: {worst:.3} of a clairvoyant split's time");
}
