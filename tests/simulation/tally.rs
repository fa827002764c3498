//! What a run exercised, and how many runs did: so that it shows what the simulation no longer covers.

use super::run::Summary;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

macro_rules! classes {
    ($($class:ident $minimum:literal $text:literal,)*) => {
        /// What a run may exercise.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Class { $($class,)* }

        impl Class {
            /// Every class, the runs in a thousand that exercise it at the minimum, and its name.
            const ALL: &[(Self, u64, &str)] = &[$((Self::$class, $minimum, $text),)*];
        }
    };
}

classes! {
    Single 50 "one receiver for all (mode 2)",
    ManyReceivers 50 "more than ten receivers",
    SameAddress 50 "an address listed twice",
    LargePayload 1 "a payload over 100 kB",
    Loss 300 "a datagram lost",
    Duplicate 200 "a datagram duplicated",
    Reordered 100 "a datagram overtaken",
    Spike 100 "a delay spike",
    Corrupted 200 "a datagram corrupted",
    Truncated 100 "a datagram truncated",
    Stray 100 "a stray ack (SEQ or TID of another)",
    Garbage 100 "garbage received",
    Flood 2 "a flood",
    Retransmission 300 "a retransmission",
    Spurious 100 "a second ack of a retransmitted packet",
    EarlyPoll 300 "a wake-up before the time",
    Stall 20 "a receiver that stalled",
    SenderStall 100 "a sender held up before a send",
    LateWakeUp 100 "a sender held up after a wait",
    MainStall 100 "a main thread held up",
    Refusal 30 "a refusal by ICMP",
    LostToRefusals 10 "a receiver lost to refusals",
    Unusable 5 "a receiver without thread or socket",
    Death 150 "a receiver lost",
    Comeback 20 "a receiver silent, then back in time",
    TooLateBack 2 "an ack of a receiver that was given up",
    AllExpired 10 "all receivers silent from some time on",
    Failover 100 "a failover",
    Failovers 30 "two failovers or more",
    HeirDied 20 "the loss of an heir",
    Rebalance 50 "a rebalance",
    Rebalances 20 "two rebalances or more",
    ExpiryLikely 1 "an expiry that is likely, reported",
    Deadline 30 "ended by the deadline",
    GivenUp 50 "incomplete",
    Complete 500 "complete",
    HadToComplete 200 "completion was certain to be possible",
    CompleteAfterLoss 50 "complete in spite of lost receivers",
}

/// What one run exercised.
pub type Exercised = BTreeSet<Class>;

/// How many runs exercised what.
#[derive(Debug, Default)]
pub struct Tally {
    pub runs: u64,
    packets: u64,
    transmissions: u64,
    counts: BTreeMap<Class, u64>,
}

impl Tally {
    pub fn add(&mut self, summary: &Summary) {
        self.runs += 1;
        self.packets += u64::from(summary.packets);
        self.transmissions += summary.transmissions;
        for &class in &summary.exercised {
            *self.counts.entry(class).or_default() += 1;
        }
    }

    fn count(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or_default()
    }

    /// The classes that too few runs exercised.
    pub fn uncovered(&self) -> Vec<String> {
        let line = |&(class, minimum, text): &(Class, u64, &str)| {
            let (count, runs) = (self.count(class), self.runs);
            let too_few = count * 1000 < minimum * runs;
            too_few.then(|| format!("{text}: {count} of {runs} runs, not {minimum} in 1000"))
        };
        Class::ALL.iter().filter_map(line).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, packets, transmissions, .. } = self;
        writeln!(f, "{runs} transfers, {packets} packets, {transmissions} transmissions")?;
        for &(class, _, text) in Class::ALL {
            let count = self.count(class);
            let share = 100.0 * count as f64 / (*runs).max(1) as f64;
            writeln!(f, "{count:>10} {share:>6.2} %  {text}")?;
        }
        Ok(())
    }
}
