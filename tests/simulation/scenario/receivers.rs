//! The receivers of a seed, and what becomes of them.

use super::{Fate, Profile, Start};
use crate::loopback::Condition;
use crate::simulation::rng::Rng;
use mdalp::protocol::rto::RtoConfig;

/// How bad it may get.
#[derive(Clone, Copy)]
struct Weather {
    loss: f64,
    mischief: f64,
    fates: f64,
    delays: (f64, f64),
}

pub(super) fn profiles(distinct: usize, len: usize, timing: RtoConfig, rng: &mut Rng) -> Vec<Profile> {
    let weather = Weather {
        loss: rng.choose(&[0.0, 0.0, 0.1, 0.1, 0.1, 0.3, 0.6]),
        mischief: rng.choose(&[0.0, 0.02, 0.1, 0.3]),
        fates: rng.choose(&[0.0, 0.0, 0.1, 0.3, 0.7]),
        delays: rng.choose(&[(5e-6, 0.5), (5e-6, 0.5), (1e-4, 1e-2), (0.02, 1.0)]),
    };
    let packets = (len / 100 / distinct + 1) as f64;
    (0..distinct).map(|_| profile(weather, packets, timing, rng)).collect()
}

fn profile(weather: Weather, packets: f64, timing: RtoConfig, rng: &mut Rng) -> Profile {
    let mut two = |most: f64| [rng.unit() * most, rng.unit() * most];
    let loss = two(weather.loss);
    let duplication = two(weather.mischief);
    let corruption = two(weather.mischief);
    let truncation = two(weather.mischief / 2.0);
    let mut profile = Profile {
        loss,
        duplication,
        corruption,
        truncation,
        delay: rng.log_seconds(weather.delays.0, weather.delays.1),
        jitter: rng.choose(&[0.0, 0.02, 0.2, 1.0, 3.0]),
        spike: rng.choose(&[0.0, 0.0, 0.01, 0.05]),
        longest_spike: rng.log_seconds(0.01, 5.0),
        stray: rng.unit() * weather.mischief,
        garbage: rng.unit() * weather.mischief,
        flood: if rng.chance(0.02) { 0.02 } else { 0.0 },
        ..Profile::default()
    };
    while profile.fates.len() < 4 && rng.chance(weather.fates) {
        profile.fates.push(fate(packets, timing, rng));
    }
    profile.fates.sort_by_key(|fate| fate.after);
    if rng.chance(weather.fates / 30.0) {
        profile.start = rng.choose(&[Start::NoThread, Start::NoSocket]);
    }
    profile
}

fn fate(packets: f64, timing: RtoConfig, rng: &mut Rng) -> Fate {
    let condition =
        rng.choose(&[Condition::Silent, Condition::Silent, Condition::Closed, Condition::Stalled]);
    let give_up = timing.give_up.as_secs_f64();
    let lasts = (condition == Condition::Stalled || rng.chance(0.5))
        .then(|| rng.log_seconds(give_up / 300.0, give_up * 3.0));
    Fate { after: (rng.log_between(1.0, packets * 3.0 + 3.0) - 1.0) as u32, condition, lasts }
}

/// Makes one of them a receiver that nothing but the client's own fault can lose.
pub(super) fn make_reliable(receivers: &mut [Profile], timing: RtoConfig, rng: &mut Rng) {
    let index = rng.below(receivers.len());
    let one = &mut receivers[index];
    one.reliable = true;
    one.fates.clear();
    one.start = Start::Fine;
    one.delay = one.delay.min(timing.give_up / 100);
    one.longest_spike = one.longest_spike.min(timing.give_up / 40);
}
