//! The retransmission time-out of one receiver: RFC 6298, with the changes that stop-and-wait needs when one packet in
//! ten is lost.
//!
//! What differs, and why:
//! - The variance term is at least SRTT/4 and not the clock granularity: acks jitter little (PROTOCOL.md), so the pure
//!   formula would converge to the round trip itself and resend needlessly at the first hiccup.
//! - The least time-out is 10 ms and not 1 s (RFC 6298, 2.4), since losses are common and a resend costs one packet.
//! - Doubling (5.5) belongs to one SEQ. At 9 % loss a back-off kept until the next clean sample (5.7) costs more than
//!   all losses together. It outlasts its SEQ only where it has proved right: before the first sample, or when a
//!   second ack shows that a retransmission was needless.

use std::time::Duration;

/// The shortest time-out once a round trip has been measured.
pub const MIN_RTO: Duration = Duration::from_nanos(MIN_RTO_NANOS);
const MIN_RTO_NANOS: u64 = 10_000_000;

/// The settings behind every time-out.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The time-out before anything is known: 3 s in the protocol.
    pub first_timeout: Duration,
    /// Whether every time-out is the first one, like the reference client's.
    pub fixed: bool,
    /// After this long without an ack for one SEQ its receiver is lost.
    pub give_up: Duration,
}

impl Timing {
    /// The longest time-out of all: a quarter of the give-up time, so that a SEQ is sent at least four times.
    pub fn longest(&self) -> Duration {
        self.give_up / 4
    }

    /// The first time-out that is in force: no longer than the longest.
    pub fn first(&self) -> Duration {
        self.first_timeout.min(self.longest())
    }
}

/// What is known of one receiver's ack round trip, and the time-outs that follow.
#[derive(Clone, Debug)]
pub struct Rto {
    timing: Timing,
    /// The longest time-out of all, in nanoseconds.
    longest: u64,
    estimate: Option<Estimate>,
    /// The least time-out of the next SEQs: a back-off that has proved right, until the next clean sample.
    lasting: Duration,
    /// A retransmission was proved needless, so the usual cap of the back-off is too low.
    proved_needless: bool,
}

/// SRTT and RTTVAR in nanoseconds (RFC 6298, section 2).
#[derive(Clone, Copy, Debug)]
struct Estimate {
    srtt: u64,
    rttvar: u64,
}

impl Rto {
    /// Nothing is known yet.
    pub fn new(timing: Timing) -> Self {
        let longest = nanos(timing.longest());
        Self { timing, longest, estimate: None, lasting: Duration::ZERO, proved_needless: false }
    }

    /// The smoothed round trip (SRTT); `None` before the first clean sample.
    pub fn srtt(&self) -> Option<Duration> {
        self.estimate.map(|e| Duration::from_nanos(e.srtt))
    }

    /// The time-out for the first transmission of a SEQ.
    pub fn initial(&self) -> Duration {
        if self.timing.fixed { self.timing.first() } else { self.base().max(self.lasting) }
    }

    /// The time-out for the next transmission of a SEQ whose last one had `current`: twice as long, up to a cap.
    pub fn backed_off(&self, current: Duration) -> Duration {
        if self.timing.fixed {
            self.timing.first()
        } else {
            current.saturating_mul(2).min(self.cap()).max(current)
        }
    }

    /// Takes the round trip of a SEQ that was sent once (Karn's algorithm: RFC 6298, section 3). It ends any lasting
    /// back-off.
    pub fn clean_sample(&mut self, rtt: Duration) {
        let rtt = nanos(rtt);
        self.estimate = Some(match self.estimate {
            None => Estimate { srtt: rtt, rttvar: rtt / 2 },
            Some(Estimate { srtt, rttvar }) => Estimate {
                rttvar: rttvar - rttvar / 4 + srtt.abs_diff(rtt) / 4,
                srtt: srtt - srtt / 8 + rtt / 8,
            },
        });
        self.lasting = Duration::ZERO;
        self.proved_needless = false;
    }

    /// A SEQ was acknowledged after a retransmission, with `current` in force: no sample, since the ack may belong to
    /// any of its transmissions. Before the first sample the back-off lasts, since the round trip may be that long.
    pub fn ambiguous_ack(&mut self, current: Duration) {
        if self.estimate.is_none() {
            self.lasting = self.lasting.max(current);
        }
    }

    /// A second ack came for a SEQ that was acknowledged with `current` in force: its retransmission was needless, so
    /// the time-out is too short, and the back-off lasts.
    pub fn needless_retransmission(&mut self, current: Duration) {
        self.lasting = self.lasting.max(current);
        self.proved_needless = true;
    }

    /// RTO = SRTT + max(4·RTTVAR, SRTT/4), between 10 ms and the longest; the first time-out without a sample.
    fn base(&self) -> Duration {
        let Some(Estimate { srtt, rttvar }) = self.estimate else { return self.timing.first() };
        let rto = srtt.saturating_add(rttvar.saturating_mul(4).max(srtt / 4));
        Duration::from_nanos(rto.max(MIN_RTO_NANOS).min(self.longest))
    }

    /// How far a back-off may go. It must stay short enough that losses in a row cost seconds and not minutes, but a
    /// round trip longer than the cap could never be measured: the proof of a needless retransmission lifts it.
    fn cap(&self) -> Duration {
        let usual = match self.estimate {
            None => self.timing.first().saturating_mul(2),
            Some(_) => self.timing.first().max(self.base()),
        };
        if self.proved_needless { self.timing.longest() } else { usual.min(self.timing.longest()) }
    }
}

/// Nanoseconds; a time of decades is cut, so that there is room to reckon.
fn nanos(time: Duration) -> u64 {
    super::nanos(time).min(u64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ms;

    const TIMING: Timing =
        Timing { first_timeout: Duration::from_secs(3), fixed: false, give_up: Duration::from_secs(30) };

    fn after_samples(rtts: &[u64]) -> Rto {
        let mut rto = Rto::new(TIMING);
        rtts.iter().for_each(|&rtt| rto.clean_sample(ms(rtt)));
        rto
    }

    #[test]
    fn the_first_sample_follows_rfc_6298_2_2() {
        let rto = after_samples(&[1000]);
        assert_eq!(rto.srtt(), Some(ms(1000)));
        assert_eq!(rto.initial(), ms(3000), "SRTT + 4 × R/2");
    }

    #[test]
    fn later_samples_follow_rfc_6298_2_3() {
        // RTTVAR = 3/4 × 500 + 1/4 × 200 = 425; SRTT = 7/8 × 1000 + 1/8 × 800 = 975.
        let rto = after_samples(&[1000, 800]);
        assert_eq!(rto.srtt(), Some(ms(975)));
        assert_eq!(rto.initial(), ms(975 + 4 * 425));
    }

    #[test]
    fn a_steady_round_trip_ends_at_one_and_a_quarter_of_it() {
        assert_eq!(after_samples(&[800; 60]).initial(), ms(1000));
        assert_eq!(after_samples(&[0; 3]).initial(), MIN_RTO);
    }

    #[test]
    fn doubling_belongs_to_one_seq_once_there_is_a_sample() {
        let mut rto = after_samples(&[800; 60]);
        let doubled = rto.backed_off(rto.initial());
        assert_eq!(doubled, ms(2000));
        assert_eq!(rto.backed_off(doubled), ms(3000), "capped at the first time-out");
        rto.ambiguous_ack(doubled);
        assert_eq!(rto.initial(), ms(1000));
    }

    #[test]
    fn before_the_first_sample_a_back_off_lasts() {
        let mut rto = Rto::new(TIMING);
        let doubled = rto.backed_off(rto.initial());
        assert_eq!(doubled, ms(6000), "capped at twice the first time-out");
        assert_eq!(rto.backed_off(doubled), ms(6000));
        rto.ambiguous_ack(doubled);
        assert_eq!(rto.initial(), ms(6000));
        rto.clean_sample(ms(100));
        assert_eq!(rto.initial(), ms(300));
    }

    #[test]
    fn a_proved_needless_retransmission_lasts_and_lifts_the_cap_until_a_clean_sample() {
        let mut rto = after_samples(&[100; 60]);
        rto.needless_retransmission(ms(4000));
        assert_eq!(rto.initial(), ms(4000));
        assert_eq!(rto.backed_off(ms(4000)), ms(7500), "a quarter of the give-up time");
        rto.clean_sample(ms(100));
        assert_eq!(rto.initial(), ms(125));
        assert_eq!(rto.backed_off(ms(2900)), ms(3000));
    }

    #[test]
    fn no_time_out_exceeds_a_quarter_of_the_give_up_time() {
        let short = Timing { give_up: Duration::from_secs(2), ..TIMING };
        assert_eq!(Rto::new(short).initial(), ms(500));
        assert_eq!(Rto::new(Timing { fixed: true, ..short }).initial(), ms(500));
        assert_eq!(after_samples(&[20_000]).initial(), ms(7500));
    }

    #[test]
    fn a_fixed_time_out_never_changes() {
        let mut rto = Rto::new(Timing { fixed: true, ..TIMING });
        rto.clean_sample(ms(100));
        rto.needless_retransmission(ms(6000));
        assert_eq!((rto.initial(), rto.backed_off(rto.initial())), (ms(3000), ms(3000)));
    }
}
