//! How long it takes when no receiver ever answers.

use super::run::transfer;
use super::scenario::{Profile, Scenario};
use crate::loopback::Receiver;
use mdalp::protocol::scheduler::Outcome;

/// The scenario of the seed, with receivers that are all dead from the beginning.
fn dead(seed: u64) -> Scenario {
    let mut scenario = Scenario::of_seed(seed);
    scenario.deadline = None;
    scenario.scheduling.stall = 0.0;
    for profile in &mut scenario.receivers {
        let script = Receiver::named("").silent();
        *profile = Profile { script, reliable: false, lacks: None, ..profile.clone() };
    }
    scenario
}

/// As the manual says, if every receiver has something to do.
#[test]
fn if_no_receiver_answers_the_transfer_ends_after_one_give_up_time() {
    let mut runs = 0;
    for scenario in (0..300).map(dead) {
        if scenario.single.is_none() && scenario.plan().ranges.iter().any(|range| range.is_empty()) {
            continue;
        }
        let (summary, seed) = (transfer(&scenario), scenario.seed);
        assert_eq!(summary.outcome, Outcome::Incomplete, "seed {seed}");
        let give_up = scenario.timing.give_up;
        let late = give_up.mul_f64(scenario.scheduling.late) + scenario.scheduling.latency * 100;
        let took = summary.elapsed - scenario.measuring;
        assert!(took >= give_up && took <= give_up + late, "seed {seed}: {took:?}, give-up {give_up:?}");
        runs += 1;
    }
    assert!(runs > 100, "only {runs} runs");
}

/// Receivers that were idle inherit one after another: the manual's general bound holds for them.
#[test]
fn a_byte_for_dead_receivers_takes_a_give_up_time_for_each_of_them() {
    let mut scenario = dead(0);
    (scenario.single, scenario.failover) = (None, true);
    scenario.payload.truncate(1);
    scenario.scheduling = Default::default();
    let took = transfer(&scenario).elapsed - scenario.measuring;
    assert_eq!(took, scenario.timing.give_up * scenario.receivers.len() as u32);
}
