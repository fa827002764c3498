//! Who sends what: byte shares by inverse latency, and the SEQ ranges that carry them: mdalp(7), "LOAD BALANCING".

use super::{MAX_PACKET_PAYLOAD, Seq, SeqRange};
use std::time::Duration;

/// Shorter latencies count as this one: a receiver next door must not get everything, and nothing is divided by zero.
const SHORTEST_LATENCY: Duration = Duration::from_micros(1);

/// The most bytes that 32-bit SEQs can number.
pub const MAX_PAYLOAD_LEN: u64 = u32::MAX as u64 * MAX_PACKET_PAYLOAD as u64;

/// The packets that each receiver gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Each receiver's range, in list order: contiguous from SEQ 0 and byte 0 on; some may be empty.
    pub ranges: Vec<SeqRange>,
    /// The minimum number of bytes of each receiver; 0 if one receiver gets all.
    pub floor: u64,
}

/// Mode 1: shares the payload out among receivers of these latencies, at least one, as [`shares`] does. `None` if it has
/// more packets than SEQs can number: it has over 400 GiB, or close to that and many receivers.
pub fn balanced(payload_len: u64, latencies: &[Duration]) -> Option<Plan> {
    assert!(!latencies.is_empty(), "there are no receivers");
    // Before anything is computed: shares are for lengths that floating-point numbers hold exactly.
    if payload_len > MAX_PAYLOAD_LEN {
        return None;
    }
    to_ranges(shares(payload_len, latencies), floor(payload_len, latencies.len()))
}

/// Mode 2: assigns everything to the receiver at `index`, from 0, in a list of `receivers`. `None` as for [`balanced`].
pub fn single(payload_len: u64, receivers: usize, index: usize) -> Option<Plan> {
    assert!(index < receivers, "there is no receiver {index} in a list of {receivers}");
    to_ranges((0..receivers).map(|i| if i == index { payload_len } else { 0 }), 0)
}

/// Ranges of these numbers of bytes, one after the other. Each starts a new packet.
fn to_ranges(shares: impl IntoIterator<Item = u64>, floor: u64) -> Option<Plan> {
    let (mut seq, mut byte) = (Seq(0), 0u64);
    let mut ranges = Vec::new();
    for share in shares {
        let end = byte.checked_add(share)?;
        let range = SeqRange::over_bytes(seq, byte..end)?;
        (seq, byte) = (range.end(), end);
        ranges.push(range);
    }
    Some(Plan { ranges, floor })
}

/// Returns how many of `len` bytes, at most [`MAX_PAYLOAD_LEN`], each receiver gets, by inverse latency.
///
/// The sum is exactly `len`. No receiver gets fewer bytes than `min(ceil(len / 10), floor(len / n))`. A lower latency
/// never gets fewer bytes than a higher one. Equal latencies get the same, give or take a byte of rounding; the bytes
/// that rounding leaves over, at most half a byte a receiver, all go to the fastest receiver, the first of equals.
pub fn shares(len: u64, latencies: &[Duration]) -> Vec<u64> {
    let latencies: Vec<_> = latencies.iter().map(|&latency| latency.max(SHORTEST_LATENCY)).collect();
    let mut counts = in_proportion(len, &latencies);
    let given: u64 = counts.iter().sum();
    if let Some(surplus) = given.checked_sub(len) {
        take_off(&mut counts, &latencies, surplus);
    } else if let Some((_, count)) = latencies.iter().zip(&mut counts).min_by_key(|(latency, _)| **latency) {
        *count += len - given;
    }
    counts
}

/// The minimum share: a tenth of the bytes, or an equal share if there are more than ten receivers.
fn floor(len: u64, receivers: usize) -> u64 {
    len.div_ceil(10).min(len / receivers as u64)
}

/// Shares by inverse latency, which is not zero, none under the floor, each rounded half to even: their sum may be off.
///
/// Every step is monotonic, in floating-point numbers as well: a lower latency has no lower weight, a higher weight
/// no lower share, and a higher share rounds no lower. So near-ties cannot change places.
fn in_proportion(len: u64, latencies: &[Duration]) -> Vec<u64> {
    let floor = floor(len, latencies.len());
    let weight = |latency: &Duration| 1.0 / latency.as_secs_f64();
    // `None` for those that have been raised to the floor. That leaves less for the others, so that more of them may fall
    // below it: each round but the last raises at least one.
    let mut weights: Vec<Option<f64>> = latencies.iter().map(|latency| Some(weight(latency))).collect();
    loop {
        let raised = weights.iter().filter(|weight| weight.is_none()).count() as u64;
        let rest = len.saturating_sub(floor.saturating_mul(raised)) as f64;
        let all: f64 = weights.iter().flatten().sum();
        let share = |weight: f64| rest * weight / all;
        let is_under = |weight: &mut f64| share(*weight) < floor as f64;
        let under = weights.iter_mut().filter_map(|weight| weight.take_if(is_under)).count();
        if under == 0 {
            let rounded = |weight: f64| share(weight).round_ties_even() as u64;
            return weights.into_iter().map(|weight| weight.map_or(floor, rounded)).collect();
        }
    }
}

/// Takes `surplus` bytes off, one by one, each off the largest count at that moment; among equals off the slowest
/// receiver's, then off the first in the list. There are few: at most half a byte a receiver.
///
/// No count falls below the floor: the largest one is above it as long as the sum is too large.
fn take_off(counts: &mut [u64], latencies: &[Duration], surplus: u64) {
    for _ in 0..surplus {
        // Reversed, since `max_by_key` returns the last of equals.
        let counted = counts.iter_mut().zip(latencies).rev();
        if let Some((largest, _)) = counted.max_by_key(|(count, latency)| (**count, **latency)) {
            *largest -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;
    use std::cmp::Reverse;

    /// The number of packets of all receivers together.
    fn packets(plan: &Plan) -> u32 {
        plan.ranges.last().map_or(0, |range| range.end().0)
    }

    fn micros(of: &[u64]) -> Vec<Duration> {
        of.iter().map(|us| Duration::from_micros(*us)).collect()
    }

    #[test]
    fn the_recorded_transaction_comes_out_to_the_byte() {
        let latencies = micros(&[335_148, 162_844, 156_857]);
        assert_eq!(shares(5000, &latencies), [963, 1981, 2056]);
        let plan = balanced(5000, &latencies).unwrap();
        let shown: Vec<_> = plan.ranges.iter().map(|r| (r.first().0, r.end().0 - 1, r.bytes())).collect();
        assert_eq!(shown, [(0, 9, 0..963), (10, 29, 963..2944), (30, 50, 2944..5000)]);
        for (range, last, bytes) in [(0, 9, 63), (1, 29, 81), (2, 50, 56)] {
            let packet = plan.ranges[range].packet_bytes(Seq(last));
            assert_eq!(packet.end - packet.start, bytes);
        }
        assert_eq!((plan.floor, packets(&plan)), (500, 51));
    }

    #[test]
    fn small_cases_come_out_as_by_hand() {
        let table: &[(u64, &[u64], &[u64])] = &[
            // Missing bytes go to the fastest, the first of them; a surplus byte comes off the first of the slowest.
            (1000, &[50, 50, 50], &[334, 333, 333]),
            (200, &[50, 50, 50], &[66, 67, 67]),
            (11, &[20, 20, 10, 20], &[2, 2, 5, 2]),
            // Half to even: 2.5 and 2.5 become 2 and 2, 1.5 and 1.5 become 2 and 2.
            (5, &[9, 9], &[3, 2]),
            (3, &[9, 9], &[1, 2]),
            // The floor, and those that only come under it once the first ones have been raised.
            (1000, &[10, 1_000_000], &[900, 100]),
            (1000, &[10, 10_000, 1_000_000], &[800, 100, 100]),
            (1000, &[100, 100, 818], &[450, 450, 100]),
            (1000, &[20, 150, 167], &[794, 106, 100]),
            // More receivers than ten: an equal share is the floor, and all that is left over is the fastest's.
            (23, &[5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 1], &[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]),
            // Less than a byte each.
            (1, &[30, 10, 20], &[0, 1, 0]),
            (2, &[10, 10, 10], &[0, 1, 1]),
            // All at or under the shortest latency that counts are equal.
            (10, &[0, 1], &[5, 5]),
            (3, &[0, 1], &[1, 2]),
            (0, &[3, 4], &[0, 0]),
            (77, &[3], &[77]),
        ];
        for (len, latencies, wanted) in table {
            assert_eq!(shares(*len, &micros(latencies)), *wanted, "{len} {latencies:?}");
        }
    }

    #[test]
    fn shares_that_come_under_the_floor_later_are_raised_too() {
        // By weight alone 100 ms has 0.104 of it; with 1 s raised from 0.010 to the floor only 0.094 is left for it.
        let latencies = micros(&[11_750, 100_000, 1_000_000]);
        assert_eq!(shares(100_000, &latencies), [80_000, 10_000, 10_000]);
    }

    #[test]
    fn one_receiver_gets_all_in_mode_2() {
        let plan = single(250, 3, 1).unwrap();
        let shown: Vec<_> = plan.ranges.iter().map(|r| (r.first().0, r.end().0, r.bytes())).collect();
        assert_eq!(shown, [(0, 0, 0..0), (0, 3, 0..250), (3, 3, 250..250)]);
        assert_eq!((plan.floor, packets(&plan)), (0, 3));
    }

    #[test]
    fn what_cannot_be_planned_is_an_error() {
        let most = MAX_PAYLOAD_LEN;
        assert_eq!(single(most, 1, 0).map(|plan| packets(&plan)), Some(u32::MAX));
        assert_eq!(single(most + 1, 1, 0), None);
        assert_eq!(balanced(most, &micros(&[7])).map(|plan| packets(&plan)), Some(u32::MAX));
        assert_eq!(balanced(most + 1, &micros(&[7])), None);
        assert_eq!(balanced(u64::MAX, &micros(&[7, 8, 9])), None);
        // Ranges that do not end with a full packet need one SEQ more.
        assert_eq!(balanced(most, &micros(&[7, 9])), None);
    }

    #[test]
    fn the_last_seqs_can_be_planned_split_and_sent() {
        for plan in [
            single(MAX_PAYLOAD_LEN, 2, 1),
            balanced(MAX_PAYLOAD_LEN - 100, &micros(&[7, 9])),
            balanced(MAX_PAYLOAD_LEN - 1_200 * 100, &micros(&[7; 1_200])),
        ] {
            let plan = plan.unwrap();
            let last = plan.ranges.last().unwrap();
            assert!(packets(&plan) >= u32::MAX - 1_200 && packets(&plan) == last.end().0);
            let seq = Seq(last.end().0 - 1);
            assert_eq!(last.packet_bytes(seq).end, last.bytes().end);
            let (head, tail) = last.split_at(seq);
            assert_eq!((head.packets(), tail.packets()), (last.packets() - 1, 1));
            assert_eq!(tail.bytes(), last.packet_bytes(seq));
            assert!(last.packet_bytes(Seq(u32::MAX)).is_empty());
            assert!(last.split_at(Seq(u32::MAX)).1.is_empty());
        }
    }

    #[test]
    fn a_surplus_for_thousands_of_receivers_comes_off_quickly() {
        // Each of them rounds up by almost half a byte, which is the most that there can be.
        let counts = shares(4_000 * 3 / 2 + 1, &micros(&[7; 4_000]));
        assert_eq!(counts.iter().sum::<u64>(), 6_001);
        assert_eq!(counts.iter().filter(|count| **count == 1).count(), 1_999);
    }

    #[test]
    fn the_rules_hold_for_any_payload_and_any_few_receivers() {
        for seed in 0..20_000 {
            let mut rng = Rng::new(seed);
            let receivers = 1 + rng.below(14) as usize;
            check_rules(seed, receivers, &mut rng);
        }
    }

    #[test]
    fn the_rules_hold_for_up_to_1200_receivers() {
        for seed in 0..400 {
            let mut rng = Rng::new(seed);
            let receivers = 1 + rng.below(1_200) as usize;
            check_rules(seed, receivers, &mut rng);
        }
        check_rules(1, 1_200, &mut Rng::new(1));
    }

    fn check_rules(seed: u64, receivers: usize, rng: &mut Rng) {
        let latencies = latencies(receivers, rng);
        let len = payload_len(receivers as u64, rng);
        let of = format!("seed {seed}, {receivers} receivers, {len} bytes");
        let counts = shares(len, &latencies);
        assert_eq!(counts.iter().sum::<u64>(), len, "{of}");
        let floor = len.div_ceil(10).min(len / receivers as u64);
        assert!(counts.iter().all(|count| *count >= floor), "{of}: under {floor}: {counts:?}");
        check_order(&latencies, &counts, &of);
        check_proportion(len, &latencies, &counts, &of);
        if let Some(plan) = balanced(len, &latencies) {
            check_ranges(&plan, &counts, &of);
            assert_eq!(plan.floor, floor);
        } else {
            assert!(len.div_ceil(100) + receivers as u64 > u64::from(u32::MAX), "{of}");
        }
    }

    /// Zeros, ties, near-ties and seven orders of magnitude, separately and mixed.
    fn latencies(receivers: usize, rng: &mut Rng) -> Vec<Duration> {
        let base = 1_000 + rng.magnitude(33);
        let kind = rng.below(6);
        let mut one = || {
            let wide = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
            let nanos = match if kind == 5 { rng.below(5) } else { kind } {
                0 => *rng.choose(&wide) * (1_000 + rng.below(9_000)) / 1_000,
                1 => base,
                2 => base + rng.below(3),
                3 => rng.below(3) * 500,
                _ => base * (1 + rng.below(3)),
            };
            Duration::from_nanos(nanos)
        };
        (0..receivers).map(|_| one()).collect()
    }

    fn payload_len(receivers: u64, rng: &mut Rng) -> u64 {
        match rng.below(4) {
            0 => 1 + rng.below(40),
            1 => (receivers * rng.magnitude(20) + rng.below(3)).saturating_sub(1).max(1),
            2 => MAX_PAYLOAD_LEN - rng.magnitude(38),
            _ => 1 + rng.magnitude(38),
        }
    }

    /// A lower latency never has fewer bytes, and equal ones differ by a byte at most, the fastest's first apart.
    fn check_order(latencies: &[Duration], counts: &[u64], of: &str) {
        let counted = latencies.iter().map(|&latency| latency.max(SHORTEST_LATENCY));
        let mut sorted: Vec<_> = counted.zip(counts).collect();
        sorted.sort_by_key(|(latency, _)| *latency);
        let mut fewest_of_faster = u64::MAX;
        for (at, group) in sorted.chunk_by(|a, b| a.0 == b.0).enumerate() {
            let (least, most) =
                (group.iter().map(|g| *g.1).min().unwrap(), group.iter().map(|g| *g.1).max().unwrap());
            assert!(most <= fewest_of_faster, "{of}: {latencies:?} {counts:?}");
            fewest_of_faster = least;
            let equals = if at == 0 { &group[1..] } else { group };
            let spread = equals.iter().map(|g| *g.1).max().unwrap_or(0)
                - equals.iter().map(|g| *g.1).min().unwrap_or(0);
            assert!(spread <= 1, "{of}: {latencies:?} {counts:?}");
        }
    }

    /// Those above the floor are in proportion: off by what rounding can move, half a byte a receiver.
    fn check_proportion(len: u64, latencies: &[Duration], counts: &[u64], of: &str) {
        let floor = len.div_ceil(10).min(len / counts.len() as u64);
        let slack = counts.len() as f64 / 2.0 + 1.0 + len as f64 * 1e-12;
        let clamped = |latency: &Duration| latency.as_nanos().max(1_000) as f64;
        let above =
            || latencies.iter().zip(counts).filter(|(_, count)| **count > floor + counts.len() as u64);
        let all: f64 = above().map(|(latency, _)| 1.0 / clamped(latency)).sum();
        let bytes: f64 = above().map(|(_, count)| *count as f64).sum();
        for (latency, count) in above() {
            let wanted = bytes / clamped(latency) / all;
            assert!((*count as f64 - wanted).abs() <= 2.0 * slack, "{of}: {count} for {wanted}");
        }
    }

    fn check_ranges(plan: &Plan, counts: &[u64], of: &str) {
        let (mut seq, mut byte) = (0, 0);
        assert_eq!(plan.ranges.len(), counts.len());
        for (range, count) in plan.ranges.iter().zip(counts) {
            assert_eq!((range.first().0, range.bytes()), (seq, byte..byte + count), "{of}");
            assert_eq!(u64::from(range.packets()), count.div_ceil(100), "{of}");
            (seq, byte) = (range.end().0, byte + count);
        }
        assert_eq!(packets(plan), seq);
    }

    #[test]
    fn surplus_bytes_come_off_one_by_one_off_the_largest_the_slowest_the_first() {
        for seed in 0..5_000 {
            let mut rng = Rng::new(seed);
            let latencies = micros(&(0..1 + rng.below(12)).map(|_| rng.below(4)).collect::<Vec<_>>());
            let mut counts: Vec<u64> = latencies.iter().map(|_| rng.below(30)).collect();
            let surplus = rng.below(counts.iter().sum::<u64>() + 1);
            let mut wanted = counts.clone();
            for _ in 0..surplus {
                let largest =
                    (0..wanted.len()).max_by_key(|&i| (wanted[i], latencies[i], Reverse(i))).unwrap();
                wanted[largest] -= 1;
            }
            take_off(&mut counts, &latencies, surplus);
            assert_eq!(counts, wanted, "seed {seed}");
        }
    }
}
