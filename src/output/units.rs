//! Numbers as people read them: a few digits, and a unit.

use mdalp::text::{Millis, Seconds};
use std::time::Duration;

/// A number of bytes in at most seven characters: `999 B`, `12.3 kB`, `4.56 MB`.
pub fn bytes(number: u64) -> String {
    let (mut unit, mut prefixes) = (1, "kMGTPE".chars());
    let mut prefix = None;
    while number / unit >= 1000 {
        unit *= 1000;
        prefix = prefixes.next();
    }
    let (whole, Some(prefix)) = (number / unit, prefix) else { return format!("{number} B") };
    match whole {
        0..10 => format!("{whole}.{:02} {prefix}B", number % unit / (unit / 100)),
        10..100 => format!("{whole}.{} {prefix}B", number % unit / (unit / 10)),
        _ => format!("{whole} {prefix}B"),
    }
}

/// The number of bytes a second; 0 in no time.
pub fn rate(bytes: u64, time: Duration) -> u64 {
    let rate = (u128::from(bytes) * 1_000_000).checked_div(time.as_micros()).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Minutes and seconds, `1:05`; from an hour on with hours, `2:01:05`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A duration to three digits and with its unit: `23.8 ms`, `5.57 s`, `2:05 min`, `1:00:07 h`.
pub fn elapsed(time: Duration) -> String {
    match (time.as_millis() as u64, time.as_secs()) {
        (ms @ 0..1000, _) => format!("{} ms", Millis(time, decimals(ms, 3))),
        (_, s @ 0..60) => format!("{} s", Seconds(time, decimals(s, 3))),
        (_, 60..3600) => format!("{} min", clock(time)),
        _ => format!("{} h", clock(time)),
    }
}

/// Milliseconds in a column: to four digits, at least whole ones and at most microseconds.
pub fn short_millis(time: Duration) -> String {
    Millis(time, decimals(time.as_millis() as u64, 4)).to_string()
}

/// The number of decimals that make up `digits` together with those of `whole`.
fn decimals(whole: u64, digits: u32) -> u32 {
    (digits - 1).saturating_sub(whole.checked_ilog10().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_times_are_short() {
        let sizes = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_999, "999 kB"),
            (4_560_000, "4.56 MB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (n, text) in sizes {
            assert_eq!(bytes(n), text);
        }
        for (seconds, text) in [(0, "0:00"), (65, "1:05"), (7265, "2:01:05"), (360_000, "100:00:00")] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
        let times = [
            (0, "0.00 ms"),
            (1_234, "1.23 ms"),
            (23_800, "23.8 ms"),
            (238_000, "238 ms"),
            (5_569_000, "5.57 s"),
            (20_614_000, "20.6 s"),
            (125_000_000, "2:05 min"),
            (3_607_000_000, "1:00:07 h"),
        ];
        for (us, text) in times {
            assert_eq!(elapsed(Duration::from_micros(us)), text);
        }
        for (us, text) in [(123, "0.123"), (12_345, "12.35"), (335_148, "335.1"), (1_714_900, "1715")] {
            assert_eq!(short_millis(Duration::from_micros(us)), text);
        }
        assert_eq!((rate(5000, Duration::from_micros(23_800)), rate(1, Duration::ZERO)), (210_084, 0));
    }
}
