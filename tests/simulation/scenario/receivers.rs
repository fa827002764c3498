//! The receivers of a seed, and what goes wrong there.

use super::Profile;
use crate::loopback::{Fault, Flood, Forgery, Opening, Source, Timing, When};
use crate::simulation::rng::Rng;
use mdalp::protocol::rto::RtoConfig;
use std::time::Duration;

/// How bad it may get.
#[derive(Clone, Copy)]
struct Weather {
    loss: f64,
    mischief: f64,
    /// How often a receiver falls silent, stalls or closes its port.
    failure: f64,
    delays: (f64, f64),
}

/// Mostly one of them is a receiver that nothing but the client's own fault can lose.
pub(super) fn profiles(distinct: usize, len: usize, timing: RtoConfig, rng: &mut Rng) -> Vec<Profile> {
    let weather = Weather {
        loss: rng.choose(&[0.0, 0.0, 0.1, 0.1, 0.1, 0.3, 0.6]),
        mischief: rng.choose(&[0.0, 0.02, 0.1, 0.3]),
        failure: rng.choose(&[0.0, 0.0, 0.1, 0.3, 0.7]),
        delays: rng.choose(&[(5e-6, 0.5), (5e-6, 0.5), (1e-4, 1e-2), (0.02, 1.0)]),
    };
    let packets = (len / 100 / distinct + 1) as f64;
    let reliable = rng.chance(0.7).then(|| rng.below(distinct));
    (0..distinct).map(|index| profile(weather, packets, timing, reliable == Some(index), rng)).collect()
}

fn profile(weather: Weather, packets: f64, timing: RtoConfig, reliable: bool, rng: &mut Rng) -> Profile {
    let Weather { loss, mischief, failure, delays } = weather;
    let most = |usual: Duration, part| if reliable { usual.min(timing.give_up / part) } else { usual };
    let delay = most(rng.log_seconds(delays.0, delays.1), 100);
    let spike = most(rng.log_seconds(0.01, 5.0), 40);
    let mut profile = Profile::new(delay, rng.choose(&[0.0, 0.02, 0.2, 1.0, 3.0]));
    profile.reliable = reliable;
    profile.duplication = rng.unit() * mischief;
    let failures = if reliable { 0.0 } else { failure };
    while rng.chance(failures) {
        fail(&mut profile, packets, timing, rng);
    }
    if rng.chance(failures / 30.0) {
        profile.lacks = Some(rng.choose(&["thread", "socket"]));
    }
    let duplicate = Forgery { tid: 0, seq: 0, timing: Timing::AnyTime, source: Source::Receiver };
    let flood = Flood { per_second: None, lasting: delay.mul_f64(4.0) };
    for (chance, fault) in [
        (rng.unit() * loss, Fault::LoseData),
        // What is damaged on its way there is lost.
        (rng.unit() * mischief, Fault::LoseData),
        (rng.unit() * loss, Fault::LoseAck),
        (rng.unit() * mischief, Fault::Forge(duplicate)),
        (rng.unit() * mischief, Fault::CorruptAck),
        (rng.unit() * mischief / 2.0, Fault::TruncateAck),
        (rng.choose(&[0.0, 0.0, 0.01, 0.05]), Fault::Spike(spike)),
        (rng.unit() * mischief, Fault::StrayAck),
        (rng.unit() * mischief, Fault::Garbage),
        (4e-4, Fault::Flood(flood)),
    ] {
        profile.add(When::Chance(chance), fault);
    }
    profile
}

/// After some acks it falls silent, closes its port or stalls, for a time or for good.
fn fail(profile: &mut Profile, packets: f64, timing: RtoConfig, rng: &mut Rng) {
    let give_up = timing.give_up.as_secs_f64();
    let time = rng.log_seconds(give_up / 300.0, give_up * 3.0);
    let lasts = rng.chance(0.5).then_some(time);
    let after = (rng.log_between(1.0, packets * 3.0 + 3.0) - 1.0) as u32;
    match rng.below(4) {
        0 => profile.add(When::AfterAcks(after), Fault::Stall(time)),
        1 if after == 0 => profile.script.opening = lasts.map_or(Opening::Never, Opening::After),
        1 => profile.add(When::AfterAcks(after), Fault::Close(lasts)),
        _ => profile.add(When::AfterAcks(after), Fault::Silent(lasts)),
    }
}
