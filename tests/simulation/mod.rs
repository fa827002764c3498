//! Whole transfers in virtual time against a seeded, hostile network, with the promises of the manual's GUARANTEES checked
//! at every step.
//!
//! A seed is a run. `MDALP_SEED=n cargo test simulation -- --nocapture` shows that run step by step; `make soak N=…` runs
//! as many as wanted.

mod audit;
mod network;
mod rebalance;
mod rng;
mod run;
mod sabotage;
mod scenario;
mod silence;
mod tally;
mod timeouts;

use audit::Violation;
use scenario::Scenario;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;
use tally::Tally;

/// Runs in an ordinary test.
const RUNS: u64 = 10_000;

#[test]
fn every_promise_holds_in_ten_thousand_transfers_over_hostile_networks() {
    let number = |name| std::env::var(name).ok().and_then(|value: String| value.parse::<u64>().ok());
    if let Some(seed) = number("MDALP_SEED") {
        let scenario = Scenario::of_seed(seed);
        let bytes = scenario.payload.len();
        eprintln!("{bytes} bytes, {:#?}", Scenario { payload: Vec::new(), ..Scenario::of_seed(seed) });
        run::run(&scenario, None, true).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        return;
    }
    let soak = number("MDALP_SOAK");
    let (runs, first) = (soak.unwrap_or(RUNS), number("MDALP_SOAK_FROM").unwrap_or(0));
    let (tally, failures) = many(first..first + runs);
    if soak.is_some() {
        eprintln!("{tally}");
    }
    if let Some((seed, violation)) = failures.first() {
        let mut by_rule = BTreeMap::new();
        for (_, violation) in &failures {
            *by_rule.entry(violation.rule).or_insert(0) += 1;
        }
        panic!("seed {seed}: {violation}\nin all {by_rule:?} of {runs} runs; see MDALP_SEED={seed}");
    }
    assert_eq!(tally.runs, runs);
    let uncovered = tally.uncovered();
    assert!(
        runs < 1000 || uncovered.is_empty(),
        "the simulation no longer exercises {uncovered:#?}\n{tally}"
    );
}

#[test]
fn a_seed_makes_the_same_run_every_time() {
    for seed in 0..200 {
        let summary = || format!("{:?}", run::run(&Scenario::of_seed(seed), None, false).unwrap());
        assert_eq!(summary(), summary(), "seed {seed}");
    }
}

/// Runs the seeds on two threads; returns the failed ones with what they broke.
fn many(seeds: Range<u64>) -> (Tally, Vec<(u64, Violation)>) {
    let (seeds, results) = (Mutex::new(seeds), Mutex::new((Tally::default(), Vec::new())));
    let next = || seeds.lock().unwrap().next();
    let work = || {
        while let Some(seed) = next() {
            let result = run::run(&Scenario::of_seed(seed), None, false);
            let (tally, failures) = &mut *results.lock().unwrap();
            match result {
                Ok(summary) => tally.add(&summary),
                Err(violation) => failures.push((seed, violation)),
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let (tally, mut failures) = results.into_inner().unwrap();
    failures.sort_by_key(|(seed, _)| *seed);
    (tally, failures)
}
