//! What happens, in lines with a time stamp (`-v`), and the few of them that no one should miss (without).

use super::console::Console;
use super::json;
use mdalp::Event;
use mdalp::cli::{Show, local_hint};
use mdalp::event::{MoveReason, PlannedShare};
use mdalp::protocol::{QUEUE_SLOT, TRANSACTION_LIFETIME};
use mdalp::report::{LatencySource, LossReason};
use mdalp::text::{Count, Excerpt, Millis, Seconds};
use std::fmt;
use std::time::Duration;

/// The maximum number of bytes of a payload that a line shows, and of another datagram.
const SHOWN: usize = 40;
const SHOWN_DATAGRAM: usize = 60;

/// Up to this many warnings of one cause are shown; more are counted. So a standard error that no one reads is not filled.
const REPEATED: u64 = 4;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// Nothing.
    Quiet,
    /// What a user should know though the transfer goes on.
    Warnings,
    /// What happens.
    All,
}

/// The log of one transaction.
pub struct Log {
    level: Level,
    json: bool,
    intent_timeout: Duration,
    warned_of_wait: bool,
    /// Of each receiver, whether it is at work or could be.
    at_work: Vec<bool>,
    /// What receivers were warned about, and how many of them.
    causes: Vec<(String, u64)>,
}

impl Log {
    pub fn new(show: Show, intent_timeout: Duration) -> Self {
        let level = match (show.verbose, show.quiet) {
            (0, true) => Level::Quiet,
            (0, false) => Level::Warnings,
            _ => Level::All,
        };
        let (at_work, causes) = (Vec::new(), Vec::new());
        Self { level, json: show.json, intent_timeout, warned_of_wait: false, at_work, causes }
    }

    /// Writes the line for an event, if there is one.
    pub fn event(&mut self, event: &Event<'_>, console: &mut Console) {
        match event {
            Event::IntentSent { orchestrator, attempt: 1 } => {
                self.log(console, format_args!("intent sent to {orchestrator}"));
            }
            Event::IntentSent { orchestrator, attempt } => {
                self.log(console, format_args!("intent sent to {orchestrator} again, number {attempt}"));
            }
            Event::Waiting { elapsed } if *elapsed >= QUEUE_SLOT && !self.warned_of_wait => {
                self.warned_of_wait = true;
                let (waited, limit) = (Seconds(*elapsed, 0), Seconds(self.intent_timeout, 0));
                let why = "a long queue, or a wrong port, or a firewall";
                let line =
                    format_args!("no assignment yet after {waited} s: {why}; waiting for up to {limit} s");
                self.warn(console, line);
            }
            Event::Unexpected { datagram } => {
                let shown = Excerpt(datagram, SHOWN_DATAGRAM);
                self.log(console, format_args!("ignored from the orchestrator: {shown}"));
            }
            Event::Assigned { tid, receivers, waited, .. } => {
                let (receivers, waited) = (Count(receivers.len() as u64, "receiver"), Seconds(*waited, 3));
                self.log(console, format_args!("transaction {tid} assigned after {waited} s: {receivers}"));
            }
            Event::LatencyFallback { reason, warning: true } => {
                self.warn(console, format_args!("latencies: {reason}"));
            }
            Event::LatencyFallback { reason, .. } => self.log(console, format_args!("latencies: {reason}")),
            Event::Latencies { latencies, took } if latencies.iter().any(|(_, l)| l.source.was_probed()) => {
                self.log(console, format_args!("latencies measured in {} s", Seconds(*took, 3)));
            }
            Event::Planned { shares, floor, .. } => {
                self.at_work = shares.iter().map(|share| !share.range.is_empty()).collect();
                for share in shares.iter().filter(|share| !share.range.is_empty()) {
                    let (receiver, latency, range) = (share.receiver, latency_of(share), share.range);
                    let (bytes, packets) =
                        (Count(range.len(), "byte"), Count(range.packets().into(), "packet"));
                    let line = format_args!("{receiver}: {latency}{bytes}, {packets}, SEQ {range}");
                    self.log(console, line);
                }
                if *floor > 0 {
                    self.log(console, format_args!("every receiver gets {} or more", Count(*floor, "byte")));
                }
            }
            Event::PacketSent { receiver, seq, transmission, payload } => {
                let (to, bytes, shown) =
                    (receiver.address(), Count(payload.len() as u64, "byte"), Excerpt(payload, SHOWN));
                let line = format_args!("to {to}: SEQ {seq}, transmission {transmission}, {bytes}: {shown}");
                self.log(console, line);
            }
            Event::PacketReceived { receiver, datagram, acked_after } => {
                let (from, shown) = (receiver.address(), Excerpt(datagram, SHOWN_DATAGRAM));
                let what =
                    acked_after.map_or(", ignored".to_owned(), |t| format!(" after {} ms", Millis(t, 3)));
                self.log(console, format_args!("from {from}: {shown}{what}"));
            }
            Event::TimedOut { receiver, seq, transmissions, waited, refused } => {
                let (from, waited, next) = (receiver.address(), Seconds(*waited, 3), transmissions + 1);
                if *refused {
                    let line =
                        format_args!("{from}: SEQ {seq} refused; transmission {next} after {waited} s");
                    self.log(console, line);
                } else {
                    let line = format_args!("{from}: no ack of SEQ {seq} in {waited} s; transmission {next}");
                    self.log(console, line);
                }
            }
            Event::Refused { receiver, port } => {
                let cause = format!("nothing is listening on port {port}");
                let from = receiver.address();
                let line = format!("{from}: {cause}; check --receiver-port; still trying");
                self.print_json(console, format_args!("{line}"));
                self.warn_of_one(console, cause, &line);
            }
            Event::Lost { receiver, loss, unacked_packets } => {
                if let Some(at_work) = self.at_work.get_mut(receiver.index.0) {
                    *at_work = false;
                }
                // When no receiver is left, the error that ends the run says all this. JSON has an event of its own.
                if self.level == Level::All || self.at_work.contains(&true) {
                    let packets = Count((*unacked_packets).into(), "packet");
                    let hint = local_hint(loss).map_or(String::new(), |hint| format!("; {hint}"));
                    let line = format!("lost {receiver}: {loss}; it leaves {packets}{hint}");
                    let cause = match loss {
                        LossReason::LocalFailure { .. } => format!("lost: {loss}"),
                        _ => format!("lost: {}", loss.name()),
                    };
                    self.warn_of_one(console, cause, &line);
                }
            }
            Event::Moved { from, to, range, reason } => {
                let (from, to) = (from.address(), to.address());
                let reason = if *reason == MoveReason::Rebalance { "rebalancing" } else { "failover" };
                self.log(console, format_args!("{reason}: SEQ {range} from {from} to {to}"));
            }
            Event::ExpiryLikely { projected } => {
                let (projected, lifetime) = (Seconds(*projected, 0), TRANSACTION_LIFETIME.as_secs());
                let expiry = format_args!("transactions expire after about {lifetime} s");
                self.warn(console, format_args!("at this rate it will take {projected} s; {expiry}"));
            }
            Event::Finished { report } => {
                if report.is_complete() && self.level == Level::Warnings {
                    self.warn_of_the_rest(console);
                }
                let (acked, all) = (report.acked_bytes(), Count(report.payload_bytes, "byte"));
                let (elapsed, measuring) = (Seconds(report.elapsed, 3), Seconds(report.measuring, 3));
                self.log(
                    console,
                    format_args!(
                        "end: {acked} of {all} acknowledged {elapsed} s after the assignment, \
                         of which measuring latencies took {measuring} s"
                    ),
                );
            }
            _ => {}
        }
    }

    /// Writes a line with the time since the start.
    fn log(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        if self.level == Level::All {
            let elapsed = Seconds(console.elapsed(), 6);
            console.write_line(format_args!("[{elapsed:>10}] {line}"));
        }
    }

    /// Writes a warning, as JSON too.
    pub fn warn(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        self.print_json(console, line);
        self.write_warning(console, line);
    }

    fn print_json(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        if self.json {
            console.print(&json::warning(&line.to_string(), console.elapsed()));
        }
    }

    fn write_warning(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        match self.level {
            Level::Quiet => {}
            Level::Warnings => console.write_line(format_args!("mdalp: warning: {line}")),
            Level::All => self.log(console, format_args!("warning: {line}")),
        }
    }

    /// Writes a warning about one receiver, unless there have been enough of that cause.
    fn warn_of_one(&mut self, console: &mut Console, cause: String, line: &str) {
        let before = match self.causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => std::mem::replace(count, *count + 1),
            None => {
                self.causes.push((cause, 1));
                0
            }
        };
        if before < REPEATED || self.level == Level::All {
            self.write_warning(console, format_args!("{line}"));
        }
    }

    fn warn_of_the_rest(&self, console: &mut Console) {
        for (cause, count) in self.causes.iter().filter(|(_, count)| *count > REPEATED) {
            let more = Count(count - REPEATED, "more receiver");
            self.write_warning(console, format_args!("{more}: {cause}"));
        }
    }
}

/// A latency as it begins a plan's line.
fn latency_of(share: &PlannedShare<'_>) -> String {
    let Some(latency) = share.latency else { return String::new() };
    match (latency.measured(), latency.source) {
        (Some(rtt), _) => format!("latency {} ms, ", Millis(rtt, 3)),
        (None, LatencySource::NoReply) => {
            format!("latency unknown, counted as {} ms, ", Millis(latency.rtt, 3))
        }
        (None, _) => "latency unknown, ".to_owned(),
    }
}
