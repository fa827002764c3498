//! A shorter first time-out, from what the other receivers' first acks tell.
//!
//! Before its first ack a receiver's round trip is unknown, and a loss there costs the protocol's 3 s, more than all
//! later losses together. Its ping is known, though, and once others have acknowledged, so is how acks and pings relate on
//! this network.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What an ack takes that has nothing to do with the distance, at least: 4 to 10 ms (PROTOCOL.md). Without taking this
/// off, one near receiver's ratio (9 ms to a ping of 0.5 ms) would be taken for that of the far ones.
const PROCESSING: Duration = Duration::from_millis(10);

/// The least ratio of ack to ping that is believed, in thousandths. Of several receivers those with the lowest ratios
/// answer first; this keeps them from being taken for typical.
const LEAST_RATIO: u64 = 4_000;

/// How many times its ping a receiver's ack takes: the largest ratio that any receiver's first ack has shown. Shared by
/// all receivers of a transfer.
#[derive(Debug, Default)]
pub struct AckToPing {
    /// In thousandths; 0 while nothing is known.
    largest: AtomicU64,
}

impl AckToPing {
    /// A receiver with this ping acknowledged its first packet after `ack`.
    pub fn learn(&self, ack: Duration, ping: Duration) {
        let travelled = ack.saturating_sub(PROCESSING);
        let ratio = travelled.as_micros().saturating_mul(1000) / ping.as_micros().max(1);
        self.largest.fetch_max(u64::try_from(ratio).unwrap_or(u64::MAX).max(LEAST_RATIO), Relaxed);
    }

    /// When to expect the first ack of a receiver with this ping at the latest: 2.5 × the largest ratio × its ping +
    /// 100 ms; `None` while no receiver has acknowledged.
    ///
    /// Chosen by simulation: with pings from 0.5 to 400 ms, and ratios that differ by a factor of three between
    /// receivers, wherever that range lies between 1 and 36, at most 0.8 % of first packets are sent again needlessly.
    pub fn first_timeout(&self, ping: Duration) -> Option<Duration> {
        let ratio = self.largest.load(Relaxed);
        let micros = ping.as_micros().saturating_mul(u128::from(ratio)) / 1000;
        let expected = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX / 8));
        (ratio > 0).then(|| expected.saturating_mul(5) / 2 + Duration::from_millis(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ms;

    #[test]
    fn the_largest_ratio_counts() {
        let known = AckToPing::default();
        assert_eq!(known.first_timeout(ms(100)), None);
        known.learn(ms(510), ms(100));
        known.learn(ms(90), ms(30));
        assert_eq!(known.first_timeout(ms(160)), Some(ms(2100)));
    }

    #[test]
    fn a_near_receiver_says_little_of_the_far_ones() {
        let known = AckToPing::default();
        known.learn(ms(9), ms(1));
        assert_eq!(known.first_timeout(ms(160)), Some(ms(1700)));
    }

    #[test]
    fn a_ping_of_nothing_makes_no_ratio_to_rely_on() {
        let known = AckToPing::default();
        known.learn(ms(50), Duration::ZERO);
        assert!(known.first_timeout(ms(1)).unwrap() > ms(9000));
        known.learn(Duration::MAX, Duration::ZERO);
        assert!(known.first_timeout(Duration::MAX).unwrap() > ms(9000));
    }
}
