//! The end, for a person: a table, and one line.

use super::table::Table;
use mdalp::Report;
use mdalp::report::{Latency, LossReason, ReceiverReport, ReceiverStatus};
use mdalp::text::{Count, Millis, Seconds, Truncated};
use std::fmt;
use std::time::Duration;

/// The widest that a name is shown, in columns.
pub const NAME: usize = 24;

/// What a value that is not known looks like.
pub const UNKNOWN: &str = "-";

/// A row for each receiver.
pub fn table(report: &Report) -> Table {
    let mut table = Table::new(&[
        "Receiver",
        "Name",
        " Latency ms",
        " Planned B",
        " Acked B",
        " Packets",
        " Resent",
        " Ack RTT ms",
        " Time s",
        "Status",
    ]);
    for receiver in &report.receivers {
        table.row(vec![
            receiver.address.to_string(),
            Truncated(&receiver.name, NAME).to_string(),
            millis(receiver.latency.as_ref().and_then(Latency::measured)),
            receiver.planned_bytes.to_string(),
            receiver.acked_bytes().to_string(),
            receiver.acked_packets().to_string(),
            receiver.retransmissions.to_string(),
            millis(receiver.ack_rtt),
            receiver.last_ack.map_or(UNKNOWN.to_owned(), |time| Seconds(time, 2).to_string()),
            status(receiver),
        ]);
    }
    table
}

/// The last line: `5000 bytes acknowledged in 20.61 s, 51 packets, 4 resent`.
pub struct LastLine<'a>(pub &'a Report);

impl fmt::Display for LastLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let (bytes, elapsed) = (Count(report.acked_bytes(), "byte"), Seconds(report.elapsed, 2));
        let (packets, resent) = (Count(report.acked_packets().into(), "packet"), report.retransmissions());
        write!(f, "{bytes} acknowledged in {elapsed} s, {packets}, {resent} resent")
    }
}

/// Milliseconds, if they are known.
pub fn millis(time: Option<Duration>) -> String {
    time.map_or(UNKNOWN.to_owned(), |time| Millis(time, 3).to_string())
}

/// In a few words.
fn status(receiver: &ReceiverReport) -> String {
    match &receiver.status {
        ReceiverStatus::Done if receiver.is_done_with_work() => "done".to_owned(),
        ReceiverStatus::Done => "idle".to_owned(),
        ReceiverStatus::Stopped => "stopped".to_owned(),
        ReceiverStatus::Lost(LossReason::Silent { .. }) => "lost: silent".to_owned(),
        ReceiverStatus::Lost(LossReason::Refused { .. }) => "lost: port closed".to_owned(),
        ReceiverStatus::Lost(LossReason::LocalFailure { what, .. }) => format!("lost: no {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdalp::protocol::{Seq, SeqRange, Tid};
    use mdalp::report::LatencySource;

    fn receiver(last: u8, name: &str, bytes: u64, status: ReceiverStatus) -> ReceiverReport {
        let acked = SeqRange::over_bytes(Seq(0), 0..bytes).unwrap();
        ReceiverReport {
            address: [127, 0, 0, last].into(),
            name: name.to_owned(),
            latency: Some(Latency { rtt: Duration::from_micros(335_148), source: LatencySource::Icmp(3) }),
            planned_bytes: 2000,
            acked: if bytes > 0 { vec![acked] } else { Vec::new() },
            transmissions: 12,
            retransmissions: 2,
            ignored: 0,
            ack_rtt: (bytes > 0).then(|| Duration::from_micros(1_714_900)),
            last_ack: (bytes > 0).then(|| Duration::from_millis(20_614)),
            status,
        }
    }

    fn report(receivers: Vec<ReceiverReport>) -> Report {
        Report {
            tid: Tid(3740),
            payload_bytes: 5000,
            packets: 51,
            elapsed: Duration::from_millis(20_614),
            measuring: Duration::ZERO,
            receivers,
        }
    }

    #[test]
    fn the_table_is_aligned_whatever_the_names_are() {
        let refused = ReceiverStatus::Lost(LossReason::Refused { seq: Seq(0), times: 5 });
        let mut unknown = receiver(4, &"long ".repeat(20), 0, ReceiverStatus::Done);
        unknown.latency = Some(Latency { rtt: Duration::from_secs(1), source: LatencySource::NoReply });
        let report = report(vec![
            receiver(2, "5th Receiver", 963, ReceiverStatus::Done),
            receiver(3, "東京\u{1b}[2J", 0, refused),
            unknown,
        ]);
        let expected = "\
Receiver   Name                       Latency ms  Planned B  Acked B  Packets  Resent  Ack RTT ms  Time s  Status
127.0.0.2  5th Receiver                  335.148       2000      963       10       2    1714.900   20.61  done
127.0.0.3  東京\\u{1b}[2J                 335.148       2000        0        0       2           -       -  lost: port closed
127.0.0.4  long long long long long…           -       2000        0        0       2           -       -  idle";
        assert_eq!(table(&report).to_string(), expected);
    }

    #[test]
    fn the_last_line_counts_what_was_acknowledged() {
        let all = report(vec![receiver(2, "A", 5000, ReceiverStatus::Done)]);
        assert_eq!(LastLine(&all).to_string(), "5000 bytes acknowledged in 20.61 s, 50 packets, 2 resent");
        let one = report(vec![receiver(2, "A", 1, ReceiverStatus::Done)]);
        assert_eq!(LastLine(&one).to_string(), "1 byte acknowledged in 20.61 s, 1 packet, 2 resent");
    }
}
