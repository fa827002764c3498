//! `--compare`: what load balancing is worth. One balanced transaction, then one through each of its receivers alone.

use crate::output::console::Console;
use crate::output::json;
use crate::output::report::{UNKNOWN, millis, short_name};
use crate::output::table::table;
use crate::output::{Outcome, report_of, status};
use crate::run;
use mdalp::cli::Args;
use mdalp::report::{Latency, ReceiverReport};
use mdalp::text::{NamedAddress, Seconds};
use mdalp::{ExitStatus, Mode, Payload, Report};
use std::time::Duration;

/// Runs all transactions and prints the table. A row that fails does not stop the others; but without receivers, or after an
/// error that applies to all, there is nothing to compare.
pub fn run(args: &Args, payload: &Payload, console: &mut Console) -> ExitStatus {
    announce("balanced", args, console);
    let balanced = run::run(args, payload, Mode::Balance, console);
    let status = status(balanced.as_ref());
    let Some(report) = report_of(balanced.as_ref()).filter(|_| status != ExitStatus::Payload) else {
        return status;
    };
    let mut rows = vec![Row::new(None, balanced.as_ref())];
    for receiver in &report.receivers {
        let named = NamedAddress(receiver.address, &receiver.name);
        announce(&format!("{named} alone"), args, console);
        let alone = run::run(args, payload, Mode::SingleAt(receiver.address), console);
        rows.push(Row::new(Some(receiver), alone.as_ref()));
    }
    if args.show.json {
        console.print(&to_json(&rows, console.elapsed()));
    } else {
        console.print(&format!("{}\n", to_table(&rows)));
    }
    let complete = rows.iter().all(|row| row.status == ExitStatus::Success);
    if complete { ExitStatus::Success } else { ExitStatus::Incomplete }
}

fn announce(what: &str, args: &Args, console: &mut Console) {
    if !args.show.quiet {
        console.write_line(format_args!("comparison: {what}"));
    }
}

/// One transaction of the comparison.
struct Row<'a> {
    /// As the balanced one found it; `None` for that.
    receiver: Option<&'a ReceiverReport>,
    status: ExitStatus,
    resent: Option<u64>,
    /// `None` if it failed.
    elapsed: Option<Duration>,
}

impl<'a> Row<'a> {
    fn new(receiver: Option<&'a ReceiverReport>, outcome: Outcome<'_>) -> Self {
        Self {
            receiver,
            status: status(outcome),
            resent: report_of(outcome).map(Report::retransmissions),
            elapsed: outcome.ok().map(|report| report.elapsed),
        }
    }

    fn mode(&self) -> &'static str {
        if self.receiver.is_some() { "single" } else { "balance" }
    }

    fn latency(&self) -> Option<Duration> {
        self.receiver?.latency.as_ref().and_then(Latency::measured)
    }

    /// The ratio of its time to that of the balanced one, the first of `rows`, shown in hundredths.
    fn ratio(&self, rows: &[Self]) -> Option<Seconds> {
        let (elapsed, balanced) = (self.elapsed?.as_micros(), rows.first()?.elapsed?.as_micros());
        let hundredths = (elapsed * 100 + balanced / 2).checked_div(balanced)?;
        Some(Seconds(Duration::from_millis(u64::try_from(hundredths * 10).ok()?), 2))
    }
}

fn to_table(rows: &[Row<'_>]) -> String {
    let unknown = || UNKNOWN.to_owned();
    let headings = ["Mode", "Receiver", "Name", " Ping ms", " Resent", " Time s", " Ratio"];
    let cells = rows.iter().map(|row| {
        vec![
            row.mode().to_owned(),
            row.receiver.map_or_else(unknown, |receiver| receiver.address.to_string()),
            row.receiver.map_or_else(unknown, short_name),
            millis(row.latency()),
            row.resent.map_or_else(unknown, |resent| resent.to_string()),
            row.elapsed.map_or("failed".to_owned(), |elapsed| Seconds(elapsed, 3).to_string()),
            row.ratio(rows).map_or_else(unknown, |ratio| ratio.to_string()),
        ]
    });
    table(&headings, cells.collect())
}

fn to_json(rows: &[Row<'_>], now: Duration) -> String {
    json::line("comparison", now, &|object| {
        object.objects("rows", rows.iter(), |item, row| {
            item.text("mode", row.mode());
            item.text_or_null("address", row.receiver.map(|r| r.address.to_string()).as_deref());
            item.text_or_null("name", row.receiver.map(|r| r.name.as_str()));
            item.milliseconds("latency_ms", row.latency());
            item.text("status", row.status.name());
            item.member_or_null("resent_packets", row.resent);
            item.seconds("elapsed_s", row.elapsed);
            item.member_or_null("ratio", row.ratio(rows));
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdalp::report::LatencySource;

    fn receivers() -> [ReceiverReport; 2] {
        [(2, "A", 335_148), (3, "B\"\u{1b}", 162_844)].map(|(last, name, latency)| {
            let mut report = ReceiverReport::new([127, 0, 0, last].into(), name);
            let rtt = Duration::from_micros(latency);
            report.latency = Some(Latency { rtt, source: LatencySource::Icmp(3) });
            report
        })
    }

    fn rows(receivers: &[ReceiverReport; 2]) -> Vec<Row<'_>> {
        let row = |receiver, status, resent, elapsed: u64| Row {
            receiver,
            status,
            resent: Some(resent),
            elapsed: (elapsed > 0).then(|| Duration::from_millis(elapsed)),
        };
        vec![
            row(None, ExitStatus::Success, 4, 26_246),
            row(Some(&receivers[0]), ExitStatus::Incomplete, 15, 0),
            row(Some(&receivers[1]), ExitStatus::Success, 2, 48_364),
        ]
    }

    #[test]
    fn the_table_is_the_reference_s_with_the_ratio() {
        assert_eq!(
            to_table(&rows(&receivers())),
            "Mode     Receiver   Name      Ping ms  Resent  Time s  Ratio\n\
             balance  -          -               -       4  26.246   1.00\n\
             single   127.0.0.2  A           335.1      15  failed      -\n\
             single   127.0.0.3  B\"\\u{1b}    162.8       2  48.364   1.84"
        );
    }

    #[test]
    fn without_a_balanced_time_there_are_no_ratios() {
        let receivers = receivers();
        let mut rows = rows(&receivers);
        rows[0].elapsed = None;
        assert!(!to_table(&rows).contains("1.84"));
        rows[0].elapsed = Some(Duration::ZERO);
        assert!(rows[2].ratio(&rows).is_none());
    }

    #[test]
    fn as_json_each_transaction_is_an_object() {
        let line = to_json(&rows(&receivers()), Duration::from_secs(1));
        assert!(line.starts_with("{\"schema\":1,\"event\":\"comparison\",\"time_s\":1.000000,\"rows\":["));
        assert!(line.ends_with(
            "{\"mode\":\"single\",\"address\":\"127.0.0.3\",\"name\":\"B\\\"\\u001b\",\"latency_ms\":162.844,\
             \"status\":\"complete\",\"resent_packets\":2,\"elapsed_s\":48.364000,\"ratio\":1.84}]}\n"
        ));
    }
}
