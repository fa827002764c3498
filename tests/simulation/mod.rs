//! Whole transfers in virtual time against a seeded, hostile network, with the promises of the manual's GUARANTEES checked
//! at every step.
//!
//! A seed is a run. `MDALP_SEED=n cargo test simulation -- --nocapture` shows that run step by step; `make soak N=…` runs
//! as many as wanted.

mod audit;
mod machine;
mod network;
mod rebalance;
mod rng;
mod run;
mod sabotage;
mod scenario;
mod silence;
mod tally;
mod timeouts;

use run::Summary;
use scenario::Scenario;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use tally::Tally;

/// Runs in an ordinary test.
const RUNS: u64 = 10_000;

/// Seeds that a thread takes at once.
const BATCH: u64 = 64;

#[test]
fn every_promise_holds_in_ten_thousand_transfers_over_hostile_networks() {
    let number = |name| std::env::var(name).ok().and_then(|value: String| value.parse::<u64>().ok());
    if let Some(seed) = number("MDALP_SEED") {
        let scenario = Scenario::of_seed(seed);
        let bytes = scenario.payload.len();
        eprintln!("{bytes} bytes, {:#?}", Scenario { payload: Vec::new(), ..scenario });
        one(seed, true).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        return;
    }
    let soak = number("MDALP_SOAK");
    let (runs, first) = (soak.unwrap_or(RUNS), number("MDALP_SOAK_FROM").unwrap_or(0));
    let (tally, failures) = many(first, runs);
    if soak.is_some() {
        eprintln!("{tally}");
    }
    if let Some((seed, failure)) = failures.first() {
        let mut by_rule = BTreeMap::new();
        for (_, failure) in &failures {
            *by_rule.entry(failure.split(':').next()).or_insert(0) += 1;
        }
        panic!("seed {seed}: {failure}\nin all {by_rule:?} of {runs} runs; see MDALP_SEED={seed}");
    }
    assert_eq!(tally.runs, runs);
    let toothless = tally.toothless();
    assert!(
        runs < 1000 || toothless.is_empty(),
        "the simulation no longer exercises {toothless:#?}\n{tally}"
    );
}

#[test]
fn a_seed_makes_the_same_run_every_time() {
    for seed in 0..200 {
        let told = || format!("{:?}", one(seed, false).unwrap());
        assert_eq!(told(), told(), "seed {seed}");
    }
}

/// Runs the seeds from `first` on, on two threads; returns the failed ones with what they broke.
fn many(first: u64, runs: u64) -> (Tally, Vec<(u64, String)>) {
    let next = Mutex::new(first);
    let end = first + runs;
    let work = || {
        let (mut tally, mut failures) = (Tally::default(), Vec::new());
        loop {
            let from = {
                let mut next = next.lock().unwrap();
                *next += BATCH;
                *next - BATCH
            };
            if from >= end {
                return (tally, failures);
            }
            for seed in from..end.min(from + BATCH) {
                match one(seed, false) {
                    Ok(summary) => tally.add(&summary),
                    Err(failure) => failures.push((seed, failure)),
                }
            }
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        let (mut tally, mut failures) = work();
        let (more, others) = other.join().unwrap();
        tally += more;
        failures.extend(others);
        failures.sort_unstable();
        (tally, failures)
    })
}

/// Runs a seed; a failure begins with what was broken and a colon.
fn one(seed: u64, verbose: bool) -> Result<Summary, String> {
    let scenario = Scenario::of_seed(seed);
    match catch_unwind(AssertUnwindSafe(|| run::run(&scenario, &machine::real, verbose))) {
        Ok(result) => result.map_err(|violation| violation.to_string()),
        Err(_) => Err("Panic: see above".to_owned()),
    }
}
