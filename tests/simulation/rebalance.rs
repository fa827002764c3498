//! `--rebalance` against a clairvoyant split: pings mislead, the acks tell the truth.

use super::rng::Rng;
use super::run::transfer;
use super::scenario::{Profile, Scenario};
use mdalp::protocol::scheduler::Outcome;
use std::time::Duration;

/// The most that rebalancing may take of what a clairvoyant split takes.
const LIMIT: f64 = 1.15;

/// Each receiver's ping, and how long it takes to acknowledge, in milliseconds.
type Receivers<'a> = &'a [(f64, f64)];

/// The time of a transfer over a network without fault, over that of the best split.
fn ratio(receivers: Receivers<'_>, bytes: usize, rebalance: bool) -> f64 {
    let ms = |n: f64| Duration::from_secs_f64(n / 1000.0);
    let profiles = receivers.iter().map(|&(ping, ack)| (ms(ping), Profile::new(ms(ack) / 2, 0.0)));
    let scenario = Scenario { rebalance, ..Scenario::usual(1, bytes, profiles.collect()) };
    let summary = transfer(&scenario);
    assert_eq!(summary.outcome, Outcome::Complete);
    summary.elapsed.as_secs_f64() * 1000.0 / clairvoyant(receivers, bytes)
}

/// The milliseconds of the best split that leaves every receiver the floor, by one who knows the acks: each packet above it goes
/// to the receiver that has acknowledged it first.
fn clairvoyant(receivers: Receivers<'_>, bytes: usize) -> f64 {
    let floor = bytes.div_ceil(10).min(bytes / receivers.len()).div_ceil(100);
    let mut ends: Vec<f64> = receivers.iter().map(|(_, ack)| ack * floor as f64).collect();
    for _ in floor * receivers.len()..bytes.div_ceil(100) {
        let next = ends.iter_mut().zip(receivers).map(|(end, (_, ack))| (*end + ack, end));
        if let Some((next, end)) = next.min_by(|a, b| a.0.total_cmp(&b.0)) {
            *end = next;
        }
    }
    ends.into_iter().fold(0.0, f64::max)
}

#[test]
fn with_misleading_pings_rebalancing_comes_close_to_a_clairvoyant_split() {
    let table: &[(&str, Receivers<'_>)] = &[
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
            let [with, without] = [true, false].map(|rebalance| ratio(receivers, bytes, rebalance));
            println!("{what}, {bytes} bytes: {with:.3}, without rebalancing {without:.3}");
            assert!(with <= LIMIT, "{what}, {bytes} bytes: {with:.3} of a clairvoyant split's time");
            assert!(with <= without + 1e-6 && without > LIMIT, "{what}: there was nothing to rebalance");
        }
    }
}

#[test]
fn rebalancing_comes_close_to_a_clairvoyant_split_whatever_the_pings() {
    let ratio_of_seed = |seed| {
        let mut rng = Rng::new(seed);
        let spread = rng.log_between(1.1, 30.0);
        let receivers: Vec<_> = (0..2 + rng.below(10))
            .map(|_| (rng.log_between(1.0, 30.0), rng.log_between(20.0, 20.0 * spread)))
            .collect();
        let bytes = 100 * receivers.len() * (40 + rng.below(100));
        (ratio(&receivers, bytes, true), seed)
    };
    let mut ratios: Vec<(f64, u64)> = (0..120).map(ratio_of_seed).collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("median {:.3}, 99 % {:.3}, worst {:.3}", ratios[60].0, ratios[118].0, ratios[119].0);
    let (worst, seed) = ratios[119];
    assert!(worst <= LIMIT, "seed {seed}: {worst:.3} of a clairvoyant split's time");
}
