//! The retransmission timeout (RTO) of one receiver: RFC 6298, with the changes that stop-and-wait needs when one packet
//! in ten is lost.
//!
//! What differs, and why:
//! - The first timeout comes from the ping, not from a constant: RFC 8961, section 4 (1), asks for a second only "in the
//!   absence of any knowledge about the latency". An ack takes 5 pings from a far receiver and up to 18 from a near one
//!   (mdalp(7)), so ten of them and 100 ms are conservative.
//! - The variance term is at least SRTT/4 and not the clock granularity: acks jitter little, so the pure formula would
//!   converge to the round trip itself and retransmit spuriously at the first hiccup.
//! - RTTVAR starts at R/4 and not at R/2, since a loss among the first packets would cost too much.
//! - The minimum is 10 ms and not 1 s (RFC 6298, 2.4), since losses are common and a retransmission costs one packet.
//! - Back-off is by a quarter (section 5.5 doubles; RFC 8961, section 4 (4), asks that it be exponential) and belongs to one
//!   SEQ: where the round trip is known, losses in a row are mostly chance, and at 9 % loss a back-off kept until the next
//!   sample (5.7) costs more than all losses together. Before the first sample, when the round trip may be any, it doubles
//!   and is kept.
//! - A second ack of a retransmitted SEQ shows that its first transmission had arrived, so that round trip is a sample.

use std::time::Duration;

/// The shortest timeout once a round trip has been measured.
pub const MIN_RTO: Duration = Duration::from_millis(10);

/// The protocol's own timeout, which the reference client uses for every packet.
pub const PROTOCOL_TIMEOUT: Duration = Duration::from_secs(3);

/// The first timeout where nothing is known of the latency (RFC 8961, section 4 (1)).
const UNKNOWN_LATENCY: Duration = Duration::from_secs(1);

/// What an ack may take that has nothing to do with the distance.
const PROCESSING: Duration = Duration::from_millis(100);

/// A back-off ends here, or at the RTO if that is longer: losses in a row must cost seconds and not minutes.
const MAX_BACKOFF: Duration = PROTOCOL_TIMEOUT;

/// The settings behind every timeout.
#[derive(Clone, Copy, Debug)]
pub struct RtoConfig {
    /// Upper bound on the first timeout: 3 s by default.
    pub first_timeout: Duration,
    /// Whether every timeout is `first_timeout`, like the reference client's.
    pub fixed: bool,
    /// After this long without an ack for one SEQ its receiver is lost. At most some decades.
    pub give_up: Duration,
}

impl RtoConfig {
    /// The timeout before the first sample: min(10·ping + 100 ms, max(`first_timeout`, 2·ping + 100 ms)), or 1 s without a
    /// ping. A `first_timeout` below the protocol's 3 s is the user's own wish: no ping lifts it. At most a quarter of
    /// the give-up time, so that the first packet is sent again before its receiver is lost.
    fn initial_rto(&self, ping: Option<Duration>) -> Duration {
        let pings = |n| ping.map(|ping| ping.saturating_mul(n).saturating_add(PROCESSING));
        let lifted = pings(2).filter(|_| self.first_timeout >= PROTOCOL_TIMEOUT).unwrap_or_default();
        let estimate = if self.fixed { self.first_timeout } else { pings(10).unwrap_or(UNKNOWN_LATENCY) };
        estimate.min(self.first_timeout.max(lifted)).min(self.give_up / 4)
    }
}

/// What is known of one receiver's ack round trip, and the timeouts that follow.
#[derive(Clone, Debug)]
pub struct Rto {
    config: RtoConfig,
    /// The give-up time in nanoseconds.
    give_up: u64,
    /// The timeout before the first sample; with a fixed timeout the only one.
    initial: Duration,
    estimate: Option<Estimate>,
    /// The minimum timeout of the next SEQs while there is no sample: the round trip may be longer than any timeout so far.
    kept_backoff: Duration,
    /// The shortest time from the first transmission of a SEQ to its ack, however often it was sent: an upper bound on a
    /// round trip.
    longest_rtt: Duration,
}

/// SRTT and RTTVAR in nanoseconds (RFC 6298, section 2).
#[derive(Clone, Copy, Debug)]
struct Estimate {
    srtt: u64,
    rttvar: u64,
}

impl Rto {
    /// Nothing is known yet but the ping, if that was measured or given.
    pub fn new(config: RtoConfig, ping: Option<Duration>) -> Self {
        let (give_up, initial) = (nanos(config.give_up), config.initial_rto(ping));
        Self {
            config,
            give_up,
            initial,
            estimate: None,
            kept_backoff: Duration::ZERO,
            longest_rtt: Duration::MAX,
        }
    }

    /// The smoothed round trip (SRTT); `None` before the first sample.
    pub fn srtt(&self) -> Option<Duration> {
        self.estimate.map(|e| Duration::from_nanos(e.srtt))
    }

    /// The timeout for the first transmission of a SEQ: RTO = SRTT + max(4·RTTVAR, SRTT/4), between 10 ms and the give-up
    /// time. RTTVAR alone does not lift it above half of that, so that a SEQ is sent again before its receiver is lost.
    pub fn timeout(&self) -> Duration {
        match self.estimate {
            Some(Estimate { srtt, rttvar }) if !self.config.fixed => {
                let minimum = srtt + srtt / 4;
                let limit = (self.give_up / 2).max(minimum);
                let rto = (srtt + 4 * rttvar).max(minimum).min(limit);
                Duration::from_nanos(rto.max(nanos(MIN_RTO)).min(self.give_up))
            }
            _ => self.initial.max(self.kept_backoff),
        }
    }

    /// The timeout for the next transmission of a SEQ whose last one had `current`: a quarter longer, or twice as long
    /// before the first sample, up to a cap, and never less than `current`.
    pub fn backed_off(&self, current: Duration) -> Duration {
        let (more, cap) = match self.estimate {
            _ if self.config.fixed => (Duration::ZERO, current),
            None => (current, MAX_BACKOFF),
            Some(_) => (current / 4, MAX_BACKOFF.max(self.timeout())),
        };
        (current + more).min(cap).max(current)
    }

    /// Takes the round trip of a SEQ that was sent once (Karn's algorithm: RFC 6298, section 3), or whose second ack has
    /// shown that the first ack was for its first transmission.
    pub fn on_sample(&mut self, rtt: Duration) {
        let rtt = nanos(rtt);
        self.estimate = Some(match self.estimate {
            None => Estimate { srtt: rtt, rttvar: rtt / 4 },
            Some(Estimate { srtt, rttvar }) => Estimate {
                rttvar: rttvar - rttvar / 4 + srtt.abs_diff(rtt) / 4,
                srtt: srtt - srtt / 8 + rtt / 8,
            },
        });
    }

    /// A SEQ was acknowledged after a retransmission, this long after it was first and last sent, with the timeout `current`:
    /// no sample, since the ack may belong to any of its transmissions. Before the first sample the next SEQ gets more time:
    /// a quarter, if the ack came so soon that it is for the last transmission (a quarter of the first timeout: 2.5 pings and
    /// 25 ms), and else all of the back-off, lest senders on one slow link fill it with copies.
    /// No round trip is longer than the shortest `since_first`, and a quarter of the give-up time is the limit.
    pub fn on_ambiguous_ack(&mut self, current: Duration, since_first: Duration, since_last: Duration) {
        if self.estimate.is_none() && !self.config.fixed {
            self.longest_rtt = self.longest_rtt.min(since_first);
            let limit = (self.longest_rtt + self.longest_rtt / 4).min(self.config.give_up / 4);
            let first = self.timeout();
            let kept = if since_last <= self.initial / 4 { first + first / 4 } else { current };
            self.kept_backoff = kept.min(limit);
        }
    }
}

/// Nanoseconds; a time of decades is cut, so that there is room to compute.
fn nanos(time: Duration) -> u64 {
    super::nanos(time).min(u64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ms;

    const CONFIG: RtoConfig =
        RtoConfig { first_timeout: PROTOCOL_TIMEOUT, fixed: false, give_up: Duration::from_secs(30) };

    fn unmeasured() -> Rto {
        Rto::new(CONFIG, None)
    }

    fn after_samples(rtts: &[u64]) -> Rto {
        let mut rto = unmeasured();
        rtts.iter().for_each(|&rtt| rto.on_sample(ms(rtt)));
        rto
    }

    #[test]
    fn the_first_timeout_comes_from_the_ping() {
        let first = |ping: Option<u64>, first_timeout, give_up| {
            let config = RtoConfig { first_timeout: ms(first_timeout), fixed: false, give_up: ms(give_up) };
            Rto::new(config, ping.map(ms)).timeout()
        };
        // ping, first_timeout, give_up → timeout, in milliseconds
        let table = [
            (Some(0), 3000, 30_000, 100),
            (Some(1), 3000, 30_000, 110),
            (Some(163), 3000, 30_000, 1730),
            (Some(335), 3000, 30_000, 3000),
            (Some(2000), 3000, 30_000, 4100),
            (Some(9000), 3000, 30_000, 7500),
            (Some(9000), 3000, 80_000, 18_100),
            (None, 3000, 30_000, 1000),
            // Capped by the user's own bound, and by a quarter of the give-up time.
            (Some(335), 500, 30_000, 500),
            (Some(2000), 500, 30_000, 500),
            (None, 500, 30_000, 500),
            (Some(900), 10_000, 80_000, 9100),
            (Some(335), 3000, 4000, 1000),
            (None, 3000, 2000, 500),
        ];
        for (ping, first_timeout, give_up, expected) in table {
            assert_eq!(
                first(ping, first_timeout, give_up),
                ms(expected),
                "{ping:?} {first_timeout} {give_up}"
            );
        }
        assert_eq!(Rto::new(CONFIG, Some(Duration::MAX)).timeout(), ms(7500));
    }

    #[test]
    fn the_first_sample_sets_srtt_and_rttvar() {
        let rto = after_samples(&[1000]);
        assert_eq!(rto.srtt(), Some(ms(1000)));
        assert_eq!(rto.timeout(), ms(2000), "SRTT + 4 × R/4");
    }

    #[test]
    fn later_samples_follow_rfc_6298_2_3() {
        // RTTVAR = 200 + (600 − 200)/4 = 300; SRTT = 7/8 × 800 + 1/8 × 1400 = 875.
        let rto = after_samples(&[800, 1400]);
        assert_eq!(rto.srtt(), Some(ms(875)));
        assert_eq!(rto.timeout(), ms(875 + 4 * 300));
        // RTTVAR = 200 − (200 − 40)/4 = 160; SRTT = 7/8 × 800 + 1/8 × 760 = 795.
        let rto = after_samples(&[800, 760]);
        assert_eq!(rto.timeout(), ms(795 + 4 * 160));
    }

    #[test]
    fn a_steady_round_trip_ends_at_one_and_a_quarter_of_it() {
        assert_eq!(after_samples(&[800; 60]).timeout(), ms(1000));
        assert_eq!(after_samples(&[0; 3]).timeout(), MIN_RTO);
        assert_eq!(after_samples(&[29_000; 3]).timeout(), CONFIG.give_up);
        assert_eq!(after_samples(&[8000]).timeout(), ms(15_000), "half of the give-up time");
        assert_eq!(
            after_samples(&[14_000]).timeout(),
            ms(17_500),
            "but not less than the round trip and a quarter"
        );
        assert_eq!(after_samples(&[u64::MAX; 3]).timeout(), CONFIG.give_up);
    }

    #[test]
    fn back_off_is_by_a_quarter_and_ends_at_3_s_or_the_rto() {
        let mut rto = after_samples(&[800; 60]);
        assert_eq!(rto.backed_off(ms(1000)), ms(1250));
        assert_eq!(rto.backed_off(ms(2500)), ms(3000));
        assert_eq!(rto.backed_off(ms(4000)), ms(4000), "never shorter");
        rto.on_ambiguous_ack(ms(9000), ms(60_000), ms(60_000));
        assert_eq!(rto.timeout(), ms(1000), "it belongs to one SEQ");
        assert_eq!(after_samples(&[8000; 60]).backed_off(ms(9000)), ms(10_000));
    }

    #[test]
    fn before_the_first_sample_back_off_doubles_and_is_kept_unless_it_looks_like_a_loss() {
        let mut rto = unmeasured();
        assert_eq!(rto.backed_off(ms(1000)), ms(2000));
        assert_eq!(rto.backed_off(ms(2000)), ms(3000));
        assert_eq!(rto.backed_off(ms(7000)), ms(7000), "never shorter");
        // 1 s is the first timeout: an ack within a quarter of it is that of the last transmission.
        rto.on_ambiguous_ack(ms(4000), ms(60_000), ms(250));
        assert_eq!(rto.timeout(), ms(1250));
        rto.on_ambiguous_ack(ms(4000), ms(60_000), ms(251));
        assert_eq!(rto.timeout(), ms(4000));
        rto.on_ambiguous_ack(ms(9000), ms(60_000), ms(300));
        assert_eq!(rto.timeout(), ms(7500), "a quarter of the give-up time");
        rto.on_ambiguous_ack(ms(9000), ms(1600), ms(300));
        rto.on_ambiguous_ack(ms(9000), ms(2400), ms(300));
        assert_eq!(rto.timeout(), ms(2000), "no round trip is longer than 1.6 s");
        rto.on_sample(ms(100));
        assert_eq!(rto.timeout(), ms(200));
    }

    #[test]
    fn a_fixed_timeout_never_changes() {
        let mut rto = Rto::new(RtoConfig { fixed: true, ..CONFIG }, Some(ms(1)));
        rto.on_ambiguous_ack(ms(9000), ms(60_000), ms(60_000));
        rto.on_sample(ms(100));
        assert_eq!((rto.timeout(), rto.backed_off(rto.timeout())), (ms(3000), ms(3000)));
        assert_eq!(rto.backed_off(ms(300)), ms(300));
        let short = RtoConfig { fixed: true, give_up: ms(2000), ..CONFIG };
        assert_eq!(Rto::new(short, None).timeout(), ms(500));
    }
}
