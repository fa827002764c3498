//! The first time-out over widely differing receivers: what a lost first packet costs, and how often one is sent again
//! that is not lost.

use super::machine;
use super::rng::Rng;
use super::run::{self, FirstPacket};
use super::scenario::{Profile, Scenario, Scheduling};
use mdalp::protocol::Tid;
use mdalp::protocol::rto::RtoConfig;
use std::time::Duration;

/// Transfers of each kind.
const RUNS: u64 = 250;

/// How acks relate to pings: ack = ping × ratio + processing.
struct Population {
    what: &'static str,
    /// Milliseconds, log-uniform.
    pings: (f64, f64),
    /// Log-uniform.
    ratios: (f64, f64),
    /// Milliseconds, uniform.
    processing: (f64, f64),
    /// The time-out of a lost first packet is at most this in the mean, in seconds.
    mean: f64,
}

const POPULATIONS: &[Population] = &[
    Population {
        what: "as recorded",
        pings: (0.5, 400.0),
        ratios: (4.5, 6.0),
        processing: (4.0, 10.0),
        mean: 1.0,
    },
    Population {
        what: "ratios differ by a factor of three",
        pings: (0.5, 400.0),
        ratios: (3.0, 9.0),
        processing: (4.0, 10.0),
        mean: 1.1,
    },
    Population {
        what: "the same, all far",
        pings: (50.0, 400.0),
        ratios: (3.0, 9.0),
        processing: (4.0, 10.0),
        mean: 2.5,
    },
    Population {
        what: "slow receivers",
        pings: (0.5, 400.0),
        ratios: (6.0, 18.0),
        processing: (4.0, 10.0),
        mean: 1.5,
    },
    Population {
        what: "fast receivers",
        pings: (0.5, 400.0),
        ratios: (1.0, 3.0),
        processing: (1.0, 10.0),
        mean: 0.9,
    },
    Population {
        what: "busy receivers",
        pings: (0.5, 400.0),
        ratios: (4.5, 6.0),
        processing: (4.0, 100.0),
        mean: 1.8,
    },
];

impl Population {
    /// A transfer of a packet or two to each of `receivers`, over a network that loses nothing, or all first packets to
    /// one of them.
    fn scenario(&self, seed: u64, receivers: usize, lost: Option<usize>) -> Scenario {
        let mut rng = Rng::new(seed);
        let mut latencies = Vec::new();
        let mut profiles = Vec::new();
        for receiver in 0..receivers {
            let ping = rng.log_between(self.pings.0, self.pings.1) / 1000.0;
            let processing = rng.between(self.processing.0, self.processing.1) / 1000.0;
            let ack = ping * rng.log_between(self.ratios.0, self.ratios.1) + processing;
            latencies.push(Duration::from_secs_f64(ping));
            profiles.push(Profile {
                delay: Duration::from_secs_f64(ack / 2.0),
                loses_first: lost == Some(receiver),
                ..Profile::default()
            });
        }
        Scenario {
            seed,
            tid: Tid(3740),
            payload: vec![7; receivers * 200],
            list: (0..receivers).collect(),
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
            measuring: Duration::ZERO,
            // As threads are: a wait ends late, never early.
            scheduling: Scheduling { late: 0.1, ..Scheduling::default() },
            receivers: profiles,
            expiry: None,
        }
    }

    fn first_packets(&self, seed: u64, receivers: usize, lost: Option<usize>) -> Vec<FirstPacket> {
        let scenario = self.scenario(seed, receivers, lost);
        run::run(&scenario, &machine::real, false).unwrap_or_else(|v| panic!("seed {seed}: {v}")).first
    }

    /// The part of first packets that is sent again though nothing is lost and their ack would come within the
    /// protocol's time-out.
    fn needless(&self, receivers: usize) -> f64 {
        let all = (0..RUNS).flat_map(|seed| self.first_packets(seed, receivers, None));
        let (mut needless, mut count) = (0, 0);
        for first in all {
            let in_time = first.acked_after.is_some_and(|after| after < Duration::from_secs(3));
            needless += u32::from(in_time && first.transmissions > 1);
            count += 1;
        }
        f64::from(needless) / f64::from(count)
    }

    /// The mean of the seconds until a lost first packet is sent again.
    fn mean_timeout(&self, receivers: usize) -> f64 {
        let of = |seed: u64| {
            let lost = seed as usize % receivers;
            self.first_packets(seed, receivers, Some(lost))[lost].resent_after.unwrap().as_secs_f64()
        };
        (0..RUNS).map(of).sum::<f64>() / RUNS as f64
    }
}

#[test]
fn hardly_a_first_packet_is_resent_needlessly_and_a_lost_one_costs_much_less_than_3_s() {
    for population in POPULATIONS {
        for receivers in [3, 10] {
            let needless = population.needless(receivers);
            let mean = population.mean_timeout(receivers);
            let told = format!(
                "{}, {receivers} receivers: {:.2} % needless, a loss noticed after {mean:.2} s",
                population.what,
                needless * 100.0
            );
            println!("{told}");
            // Ten pings are less than what every third slow receiver takes.
            let limit = if population.what == "slow receivers" { 0.2 } else { 0.01 };
            assert!(needless <= limit && mean <= population.mean, "{told}");
        }
    }
}
