//! Numbers as people read them: a few digits, and a unit.

use mdalp::text::{Millis, Seconds};
use std::fmt;
use std::time::Duration;

/// A number of bytes in at most seven characters: `999 B`, `12.3 kB`, `4.56 MB`.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 1u64;
        for prefix in ["", "k", "M", "G", "T", "P", "E"] {
            let next = unit.saturating_mul(1000);
            if self.0 < next || prefix == "E" {
                let whole = self.0 / unit;
                return match (unit, whole) {
                    (1, _) => write!(f, "{whole} B"),
                    (_, 0..10) => write!(f, "{whole}.{:02} {prefix}B", self.0 % unit / (unit / 100)),
                    (_, 10..100) => write!(f, "{whole}.{} {prefix}B", self.0 % unit / (unit / 10)),
                    _ => write!(f, "{whole} {prefix}B"),
                };
            }
            unit = next;
        }
        Ok(())
    }
}

/// The number of bytes a second; 0 in no time.
pub fn rate(bytes: u64, time: Duration) -> u64 {
    let rate = (u128::from(bytes) * 1_000_000).checked_div(time.as_micros()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Minutes and seconds, `1:05`; from an hour on with hours, `2:01:05`.
pub struct Clock(pub Duration);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match hours {
            0 => write!(f, "{minutes}:{seconds:02}"),
            _ => write!(f, "{hours}:{minutes:02}:{seconds:02}"),
        }
    }
}

/// A duration to three digits and with its unit: `23.8 ms`, `5.57 s`, `2:05 min`, `1:00:07 h`.
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = |tens: u64| if tens < 10 { 2 } else { u32::from(tens < 100) };
        match (self.0.as_millis() as u64, self.0.as_secs()) {
            (ms @ 0..1000, _) => write!(f, "{} ms", Millis(self.0, decimals(ms))),
            (_, s @ 0..60) => write!(f, "{} s", Seconds(self.0, decimals(s))),
            (_, 60..3600) => write!(f, "{} min", Clock(self.0)),
            _ => write!(f, "{} h", Clock(self.0)),
        }
    }
}

/// Milliseconds in a column: to four digits, at least whole ones and at most microseconds.
pub struct ShortMillis(pub Duration);

impl fmt::Display for ShortMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.0.as_millis() {
            0..10 => 3,
            10..100 => 2,
            100..1000 => 1,
            _ => 0,
        };
        Millis(self.0, decimals).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_times_are_short() {
        let bytes = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_999, "999 kB"),
            (4_560_000, "4.56 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (n, text) in bytes {
            assert_eq!(Bytes(n).to_string(), text);
        }
        for (seconds, text) in [(0, "0:00"), (65, "1:05"), (7265, "2:01:05"), (360_000, "100:00:00")] {
            assert_eq!(Clock(Duration::from_secs(seconds)).to_string(), text);
        }
        let elapsed = [
            (0, "0.00 ms"),
            (1_234, "1.23 ms"),
            (23_800, "23.8 ms"),
            (238_000, "238 ms"),
            (5_569_000, "5.57 s"),
            (20_614_000, "20.6 s"),
            (125_000_000, "2:05 min"),
            (3_607_000_000, "1:00:07 h"),
        ];
        for (us, text) in elapsed {
            assert_eq!(Elapsed(Duration::from_micros(us)).to_string(), text);
        }
        for (us, text) in [(123, "0.123"), (12_345, "12.35"), (335_148, "335.1"), (1_714_900, "1715")] {
            assert_eq!(ShortMillis(Duration::from_micros(us)).to_string(), text);
        }
        assert_eq!((rate(5000, Duration::from_micros(23_800)), rate(1, Duration::ZERO)), (210_084, 0));
    }
}
