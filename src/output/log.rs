//! What happens, in lines with a time stamp (`-v`), and the few of them that no one should miss (without).

use super::console::Console;
use super::json;
use mdalp::cli::{Show, local_hint};
use mdalp::event::{Listed, MoveReason, PlannedShare};
use mdalp::protocol::{QUEUE_SLOT, TRANSACTION_LIFETIME};
use mdalp::report::{Latency, LatencySource, LossReason};
use mdalp::text::{Count, Excerpt, Millis, Seconds};
use mdalp::{Event, Report};
use std::fmt;
use std::time::Duration;

/// Most bytes of a payload that a line shows, and most of another datagram.
const SHOWN: usize = 40;
const SHOWN_DATAGRAM: usize = 60;

/// Up to this many warnings of one cause are shown; more are counted. So a standard error that no one reads is not filled.
const REPEATED: usize = 4;

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
    causes: Vec<(String, usize)>,
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

    /// Writes what there is to say of an event.
    pub fn event(&mut self, event: &Event<'_>, console: &mut Console) {
        match event {
            Event::Waiting { elapsed } if *elapsed >= QUEUE_SLOT && !self.warned_of_wait => {
                self.warned_of_wait = true;
                self.warn(console, format_args!("{}", WaitHint(*elapsed, self.intent_timeout)));
            }
            Event::LatencyFallback { reason, warning: true } => {
                self.warn(console, format_args!("latencies: {reason}"));
            }
            Event::Latencies { latencies, took } => {
                let probed = latencies.iter().any(|(_, latency)| latency.source.was_probed());
                if self.level == Level::All && probed {
                    log(console, format_args!("latencies measured in {} s", Seconds(*took, 3)));
                }
            }
            Event::Planned { shares, floor, .. } => {
                self.at_work = shares.iter().map(|share| !share.range.is_empty()).collect();
                if self.level == Level::All {
                    plan(shares, *floor, console);
                }
            }
            Event::Refused { receiver, port } => {
                let cause = format!("nothing is listening on port {port}");
                let hint = "check --receiver-port; still trying";
                self.print_warning_as_json(console, format_args!("{receiver}: {cause}; {hint}"));
                self.warn_of(console, cause, |cause| format!("{}: {cause}; {hint}", receiver.address()));
            }
            Event::Lost { receiver, loss, unacked_packets } => {
                if let Some(at_work) = self.at_work.get_mut(receiver.index.0) {
                    *at_work = false;
                }
                // When no receiver is left, the error that ends the run says all this.
                if self.level == Level::All || self.at_work.contains(&true) {
                    self.warn_of_loss(console, receiver, loss, *unacked_packets);
                }
            }
            Event::ExpiryLikely { projected } => {
                let (projected, lifetime) = (Seconds(*projected, 0), TRANSACTION_LIFETIME.as_secs());
                self.warn(
                    console,
                    format_args!(
                        "at this rate it will take {projected} s; transactions expire after about {lifetime} s"
                    ),
                );
            }
            Event::Finished { report } => {
                if report.is_complete() {
                    self.warn_of_the_rest(console);
                }
                if self.level == Level::All {
                    log(console, format_args!("{}", End(report)));
                }
            }
            _ if self.level == Level::All => all(event, console),
            _ => {}
        }
    }

    /// Writes a warning, as JSON too.
    pub fn warn(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        self.print_warning_as_json(console, line);
        self.write_warning(console, line);
    }

    fn print_warning_as_json(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        if self.json {
            console.print(&json::warning(&line.to_string(), console.elapsed()));
        }
    }

    fn write_warning(&self, console: &mut Console, line: fmt::Arguments<'_>) {
        match self.level {
            Level::Quiet => {}
            Level::Warnings => console.write_line(format_args!("mdalp: warning: {line}")),
            Level::All => log(console, format_args!("warning: {line}")),
        }
    }

    /// JSON has an event of its own for it.
    fn warn_of_loss(
        &mut self,
        console: &mut Console,
        receiver: &Listed<'_>,
        reason: &LossReason,
        unacked: u32,
    ) {
        let cause = match reason {
            LossReason::Silent { .. } => "lost: no ack".to_owned(),
            LossReason::Refused { .. } => "lost: port closed".to_owned(),
            other => format!("lost: {other}"),
        };
        let hint = local_hint(reason).map_or(String::new(), |hint| format!("; {hint}"));
        let packets = Count(unacked.into(), "packet");
        self.warn_of(console, cause, |_| format!("lost {receiver}: {reason}; it leaves {packets}{hint}"));
    }

    /// Writes a warning about one receiver, unless there have been enough of that cause.
    fn warn_of(&mut self, console: &mut Console, cause: String, line: impl FnOnce(&str) -> String) {
        let known = self.causes.iter().position(|(known, _)| *known == cause).unwrap_or(self.causes.len());
        if known == self.causes.len() {
            self.causes.push((cause, 0));
        }
        let Some((cause, count)) = self.causes.get_mut(known) else { return };
        *count += 1;
        if *count <= REPEATED || self.level == Level::All {
            let line = line(cause);
            self.write_warning(console, format_args!("{line}"));
        }
    }

    fn warn_of_the_rest(&self, console: &mut Console) {
        for (cause, count) in self.causes.iter().filter(|_| self.level != Level::All) {
            if let Some(more @ 1..) = count.checked_sub(REPEATED) {
                self.write_warning(console, format_args!("{}: {cause}", Count(more as u64, "more receiver")));
            }
        }
    }
}

fn plan(shares: &[PlannedShare<'_>], floor: u64, console: &mut Console) {
    for PlannedShare { receiver, latency, range } in shares.iter().filter(|share| !share.range.is_empty()) {
        let latency = LatencyOf(*latency);
        let (bytes, packets) = (Count(range.len(), "byte"), Count(range.packets().into(), "packet"));
        log(console, format_args!("{receiver}: {latency}{bytes}, {packets}, SEQ {range}"));
    }
    if floor > 0 {
        log(console, format_args!("every receiver gets {} or more", Count(floor, "byte")));
    }
}

/// A line with the time since the start.
fn log(console: &mut Console, line: fmt::Arguments<'_>) {
    let elapsed = Seconds(console.elapsed(), 6);
    console.write_line(format_args!("[{elapsed:>10}] {line}"));
}

/// The events of which there is nothing to keep.
fn all(event: &Event<'_>, console: &mut Console) {
    let mut log = |line: fmt::Arguments<'_>| log(console, line);
    match event {
        Event::IntentSent { orchestrator, attempt: 1 } => log(format_args!("intent sent to {orchestrator}")),
        Event::IntentSent { orchestrator, attempt } => {
            log(format_args!("intent sent to {orchestrator} again, number {attempt}"));
        }
        Event::LatencyFallback { reason, .. } => log(format_args!("latencies: {reason}")),
        Event::Unexpected { datagram } => {
            let shown = Excerpt(datagram, SHOWN_DATAGRAM);
            log(format_args!("ignored from the orchestrator: {shown}"));
        }
        Event::Assigned { tid, receivers, waited, .. } => {
            let (receivers, waited) = (Count(receivers.len() as u64, "receiver"), Seconds(*waited, 3));
            log(format_args!("transaction {tid} assigned after {waited} s: {receivers}"));
        }
        Event::PacketSent { receiver, seq, transmission, payload } => {
            let (address, bytes, shown) =
                (receiver.address(), Count(payload.len() as u64, "byte"), Excerpt(payload, SHOWN));
            log(format_args!("to {address}: SEQ {seq}, transmission {transmission}, {bytes}: {shown}"));
        }
        Event::PacketReceived { receiver, datagram, acked_after } => {
            let (address, shown) = (receiver.address(), Excerpt(datagram, SHOWN_DATAGRAM));
            match acked_after {
                Some(after) => log(format_args!("from {address}: {shown} after {} ms", Millis(*after, 3))),
                None => log(format_args!("from {address}: {shown}, ignored")),
            }
        }
        Event::TimedOut { receiver, seq, transmissions, waited, refused } => {
            let (address, waited) = (receiver.address(), Seconds(*waited, 3));
            let next = transmissions.saturating_add(1);
            match refused {
                true => {
                    log(format_args!("{address}: SEQ {seq} refused; transmission {next} after {waited} s"))
                }
                false => {
                    log(format_args!("{address}: no ack of SEQ {seq} in {waited} s; transmission {next}"))
                }
            }
        }
        Event::Moved { from, to, range, reason } => {
            let (from, to, seqs) = (from.address(), to.address(), range);
            let reason = if *reason == MoveReason::Rebalance { "rebalancing" } else { reason.name() };
            log(format_args!("{reason}: SEQ {seqs} from {from} to {to}"));
        }
        _ => {}
    }
}

/// Why there may be no assignment yet.
struct WaitHint(Duration, Duration);

impl fmt::Display for WaitHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waited, most) = (Seconds(self.0, 0), Seconds(self.1, 0));
        write!(
            f,
            "no assignment yet after {waited} s: a long queue, or a wrong port, or a firewall; waiting for up to {most} s"
        )
    }
}

/// A latency as it begins a plan's line.
struct LatencyOf(Option<Latency>);

impl fmt::Display for LatencyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(latency) = self.0 else { return Ok(()) };
        match latency.measured() {
            Some(rtt) => write!(f, "latency {} ms, ", Millis(rtt, 3)),
            None if latency.source == LatencySource::NoReply => {
                write!(f, "latency unknown, counted as {} ms, ", Millis(latency.rtt, 3))
            }
            None => f.write_str("latency unknown, "),
        }
    }
}

/// How it ended.
struct End<'a>(&'a Report);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let (acked, all) = (report.acked_bytes(), Count(report.payload_bytes, "byte"));
        write!(
            f,
            "end: {acked} of {all} acknowledged {} s after the assignment",
            Seconds(report.elapsed, 3)
        )?;
        write!(f, ", of which measuring latencies took {} s", Seconds(report.measuring, 3))
    }
}
