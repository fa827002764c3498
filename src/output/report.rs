//! The end, for a person: a table, what is special about a receiver, and one line.

use super::table::table;
use super::units::{bytes, elapsed, rate, short_millis};
use mdalp::report::{Latency, ReceiverReport};
use mdalp::text::{Count, NamedAddress, Seconds, truncated, width};
use mdalp::{Mode, Report};
use std::time::Duration;

/// The maximum of a name's width, in columns, so that the table fits a terminal.
const NAME: usize = 16;

/// What stands for an unknown value.
pub const UNKNOWN: &str = "-";

/// Receivers about which more is said than fits a row.
const NOTES: usize = 8;

/// A row for each receiver, in mode 2 without the idle ones, and a line for each that was lost or did not get its planned
/// bytes.
pub fn receivers(report: &Report, mode: Mode) -> String {
    let headings = ["Receiver", "Name", " Ping ms", " Bytes", " Resent", " RTT ms", " Time s", "Status"];
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for receiver in report.receivers.iter().filter(|r| mode == Mode::Balance || !r.is_idle()) {
        let acked = receiver.acked_bytes();
        rows.push(vec![
            receiver.address.to_string(),
            short_name(receiver),
            millis(receiver.latency.as_ref().and_then(Latency::measured)),
            // Nine digits fit a terminal.
            if acked < 1_000_000_000 { acked.to_string() } else { bytes(acked) },
            receiver.counts.retransmissions.to_string(),
            millis(receiver.counts.ack_rtt),
            receiver.counts.last_ack.map_or(UNKNOWN.to_owned(), |time| Seconds(time, 2).to_string()),
            receiver.status_name().to_owned(),
        ]);
        notes.extend(note(receiver));
    }
    let mut text = table(&headings, rows);
    notes.iter().take(NOTES).for_each(|note| text += note);
    if notes.len() > NOTES {
        text += &format!("\nand {} more", notes.len() - NOTES);
    }
    text
}

/// What is special about a receiver, if there is anything, on a separate line.
fn note(receiver: &ReceiverReport) -> Option<String> {
    let (acked, planned) = (receiver.acked_bytes(), receiver.planned_bytes);
    let mut what = Vec::new();
    if acked != planned {
        what.push(format!("{}, {planned} planned", Count(acked, "byte")));
    }
    what.extend(receiver.loss().map(|reason| format!("lost: {reason}")));
    let named = NamedAddress(receiver.address, &receiver.name);
    (!what.is_empty()).then(|| format!("\n{named}: {}", what.join("; ")))
}

/// The last line: `5000 bytes in 23.8 ms (210 kB/s), 51 packets, 4 resent`.
pub fn summary(report: &Report) -> String {
    let acked = Count(report.acked_bytes(), "byte");
    let packets = Count(report.acked_packets().into(), "packet");
    let (elapsed, rate) = (elapsed(report.elapsed), bytes(rate(acked.0, report.elapsed)));
    format!("{acked} in {elapsed} ({rate}/s), {packets}, {} resent", report.retransmissions())
}

/// A name in a column, with its `…` if it is too long.
pub fn short_name(receiver: &ReceiverReport) -> String {
    let whole = truncated(&receiver.name, NAME);
    if width(&whole) <= NAME { whole } else { truncated(&receiver.name, NAME - 1) }
}

/// Milliseconds, if they are known.
pub fn millis(time: Option<Duration>) -> String {
    time.map_or(UNKNOWN.to_owned(), short_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdalp::protocol::{Seq, SeqRange, Tid};
    use mdalp::report::{LatencySource, LossReason, ReceiverStatus};

    fn receiver(last: u8, name: &str, bytes: u64, status: ReceiverStatus) -> ReceiverReport {
        let mut report = ReceiverReport::new([127, 0, 0, last].into(), name);
        report.latency =
            Some(Latency { rtt: Duration::from_micros(335_148), source: LatencySource::Icmp(3) });
        report.planned_bytes = bytes;
        if bytes > 0 {
            report.acked = vec![SeqRange::over_bytes(Seq(0), 0..bytes).unwrap()];
            report.counts.ack_rtt = Some(Duration::from_micros(1_714_900));
            report.counts.last_ack = Some(Duration::from_millis(20_614));
        }
        report.counts.retransmissions = 2;
        report.status = status;
        report
    }

    fn report(receivers: Vec<ReceiverReport>) -> Report {
        let mut report = Report::new(Tid(3740), 5000, 51);
        report.elapsed = Duration::from_millis(20_614);
        report.receivers = receivers;
        report
    }

    #[test]
    fn the_table_is_aligned_whatever_the_names_are() {
        let refused = ReceiverStatus::Lost(LossReason::Refused { seq: Seq(0), times: 5 });
        let mut unknown = receiver(4, &"long ".repeat(20), 0, ReceiverStatus::Done);
        unknown.latency = Some(Latency { rtt: Duration::from_secs(1), source: LatencySource::NoReply });
        let mut lost = receiver(3, "東京\u{1b}[2J", 0, refused);
        lost.planned_bytes = 1981;
        let report = report(vec![receiver(2, "5th Receiver", 963, ReceiverStatus::Done), lost, unknown]);
        let rows = "\
Receiver   Name              Ping ms  Bytes  Resent  RTT ms  Time s  Status
127.0.0.2  5th Receiver        335.1    963       2    1715   20.61  done
127.0.0.3  東京\\u{1b}[2J       335.1      0       2       -       -  lost";
        let idle = "\n127.0.0.4  long long long …        -      0       2       -       -  idle";
        let note =
            "\n127.0.0.3 (東京\\u{1b}[2J): 0 bytes, 1981 planned; lost: port closed: SEQ 0 refused 5 times";
        assert_eq!(receivers(&report, Mode::Balance), format!("{rows}{idle}{note}"));
        let single = receivers(&report, Mode::Single(1));
        assert!(single.lines().count() == 4 && !single.contains("127.0.0.4"), "{single}");
    }

    #[test]
    fn the_table_fits_79_columns_with_long_names_and_numbers() {
        let mut wide = receiver(2, "sixteen columns!", 999_999_999, ReceiverStatus::Stopped);
        wide.address = "255.255.255.255".parse().unwrap();
        wide.counts.last_ack = Some(Duration::from_millis(604_800));
        let mut wider = receiver(3, &"name ".repeat(9), 123_456_789_000, ReceiverStatus::Done);
        wider.address = wide.address;
        let shown = receivers(&report(vec![wide, wider]), Mode::Balance);
        assert!(shown.lines().all(|line| line.chars().count() <= 79), "{shown}");
        assert!(shown.contains("\n255.255.255.255 sixteen columns!   335.1 999999999 "), "{shown}");
        assert!(shown.contains("123 GB"), "{shown}");
    }

    #[test]
    fn many_special_receivers_are_counted() {
        let special = (0..20).map(|i| {
            let mut special = receiver(i, "A", 100, ReceiverStatus::Done);
            special.planned_bytes = 200;
            special
        });
        let shown = receivers(&report(special.collect()), Mode::Balance);
        assert_eq!(shown.lines().count(), 1 + 20 + NOTES + 1);
        assert!(shown.ends_with("\n127.0.0.7 (A): 100 bytes, 200 planned\nand 12 more"), "{shown}");
    }

    #[test]
    fn the_last_line_counts_what_was_acknowledged() {
        let all = report(vec![receiver(2, "A", 5000, ReceiverStatus::Done)]);
        assert_eq!(summary(&all), "5000 bytes in 20.6 s (242 B/s), 50 packets, 2 resent");
        let one = report(vec![receiver(2, "A", 1, ReceiverStatus::Done)]);
        assert_eq!(summary(&one), "1 byte in 20.6 s (0 B/s), 1 packet, 2 resent");
    }
}
