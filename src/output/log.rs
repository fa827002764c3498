//! What happens, in lines with a time stamp (`-v`), and the few of them that no one should miss (without).

use super::console::Console;
use super::json;
use mdalp::cli::{Show, local_hint};
use mdalp::event::{MoveReason, PlannedShare};
use mdalp::protocol::{QUEUE_SLOT, TRANSACTION_LIFETIME};
use mdalp::report::{Latency, LatencySource, LossReason};
use mdalp::text::{Count, Excerpt, Millis, Seconds};
use mdalp::{Event, Mode, Options};
use std::net::IpAddr;
use std::time::Duration;

/// The maximum number of bytes of a payload that a line shows, and of another datagram.
const SHOWN: usize = 40;
const SHOWN_DATAGRAM: usize = 60;

/// Up to this many warnings of one cause are shown; more are counted. So a standard error that no one reads is not filled.
const REPEATED: u64 = 4;

/// The log of one transaction.
pub struct Log {
    show: Show,
    intent_timeout: Duration,
    failover: bool,
    warned_of_wait: bool,
    /// Who is at work or could be.
    at_work: Vec<IpAddr>,
    /// What receivers were warned about, and how many of them.
    causes: Vec<(String, u64)>,
}

impl Log {
    pub fn new(show: Show, &Options { intent_timeout, failover, .. }: &Options) -> Self {
        let (at_work, causes) = (Vec::new(), Vec::new());
        Self { show, intent_timeout, failover, warned_of_wait: false, at_work, causes }
    }

    /// Writes the line for an event, if there is one.
    pub fn event(&mut self, event: &Event<'_>, console: &mut Console) {
        let line = match *event {
            Event::IntentSent { orchestrator, attempt: 1 } => format!("intent sent to {orchestrator}"),
            Event::IntentSent { orchestrator, attempt } => {
                format!("intent sent to {orchestrator} again, number {attempt}")
            }
            Event::Waiting { elapsed } if elapsed >= QUEUE_SLOT && !self.warned_of_wait => {
                self.warned_of_wait = true;
                let (waited, limit) = (Seconds(elapsed, 0), Seconds(self.intent_timeout, 0));
                let why = "a long queue, or a wrong port, or a firewall";
                let line = format!("no assignment yet after {waited} s: {why}; waiting for up to {limit} s");
                return self.warn(console, &line);
            }
            Event::Unexpected { datagram } => {
                format!("ignored from the orchestrator: {}", Excerpt(datagram, SHOWN_DATAGRAM))
            }
            Event::Assigned { tid, receivers, waited, .. } => {
                let (receivers, waited) = (Count(receivers.len() as u64, "receiver"), Seconds(waited, 3));
                format!("transaction {tid} assigned after {waited} s: {receivers}")
            }
            Event::LatencyFallback { reason, warning: true } => {
                return self.warn(console, &format!("latencies: {reason}"));
            }
            Event::LatencyFallback { reason, .. } => format!("latencies: {reason}"),
            Event::Latencies { latencies, took } if latencies.iter().any(|(_, l)| l.source.was_probed()) => {
                format!("latencies measured in {} s", Seconds(took, 3))
            }
            Event::Planned { mode, shares, floor } => {
                let heirs = self.failover && mode == Mode::Balance;
                let at_work = shares.iter().filter(|share| heirs || !share.range.is_empty());
                self.at_work = at_work.map(|share| share.receiver.address()).collect();
                return self.log_plan(console, shares, floor);
            }
            Event::PacketSent { receiver, seq, transmission, payload } => {
                let (bytes, shown) = (Count(payload.len() as u64, "byte"), Excerpt(payload, SHOWN));
                format!("to {}: SEQ {seq}, transmission {transmission}, {bytes}: {shown}", receiver.address())
            }
            Event::PacketReceived { receiver, datagram, acked_after } => {
                let shown = Excerpt(datagram, SHOWN_DATAGRAM);
                let what =
                    acked_after.map_or(", ignored".to_owned(), |t| format!(" after {} ms", Millis(t, 3)));
                format!("from {}: {shown}{what}", receiver.address())
            }
            Event::TimedOut { receiver, seq, transmissions, waited, refused } => {
                let (from, waited, next) = (receiver.address(), Seconds(waited, 3), transmissions + 1);
                match refused {
                    true => format!("{from}: SEQ {seq} refused; transmission {next} after {waited} s"),
                    false => format!("{from}: no ack of SEQ {seq} in {waited} s; transmission {next}"),
                }
            }
            Event::Refused { receiver, port } => {
                let cause = format!("nothing is listening on port {port}");
                let line = format!("{}: {cause}; check --receiver-port; still trying", receiver.address());
                self.print_json(console, &line);
                return self.warn_of_one(console, cause, &line);
            }
            // When no receiver is left, the error that ends the run says all this. JSON has its own event.
            Event::Lost { receiver, loss, unacked_packets } => {
                self.at_work.retain(|&address| address != receiver.address());
                if self.show.verbose == 0 && self.at_work.is_empty() {
                    return;
                }
                let packets = Count(unacked_packets.into(), "packet");
                let hint = local_hint(loss).map_or(String::new(), |hint| format!("; {hint}"));
                let line = format!("lost {receiver}: {loss}; it leaves {packets}{hint}");
                let cause = match loss {
                    LossReason::LocalFailure { .. } => format!("lost: {loss}"),
                    _ => format!("lost: {}", loss.name()),
                };
                return self.warn_of_one(console, cause, &line);
            }
            Event::Moved { from, to, range, reason } => {
                let reason = if reason == MoveReason::Rebalance { "rebalancing" } else { "failover" };
                format!("{reason}: SEQ {range} from {} to {}", from.address(), to.address())
            }
            Event::ExpiryLikely { projected } => {
                let (projected, lifetime) = (Seconds(projected, 0), TRANSACTION_LIFETIME.as_secs());
                let expiry = format!("transactions expire after about {lifetime} s");
                return self.warn(console, &format!("at this rate it will take {projected} s; {expiry}"));
            }
            Event::Finished { report } => {
                if report.is_complete() && self.show.verbose == 0 {
                    self.warn_of_the_rest(console);
                }
                let (acked, all) = (report.acked_bytes(), Count(report.payload_bytes, "byte"));
                let (elapsed, measuring) = (Seconds(report.elapsed, 3), Seconds(report.measuring, 3));
                format!(
                    "end: {acked} of {all} acknowledged {elapsed} s after the assignment, \
                     of which measuring latencies took {measuring} s"
                )
            }
            _ => return,
        };
        self.log(console, &line);
    }

    fn log_plan(&self, console: &mut Console, shares: &[PlannedShare<'_>], floor: u64) {
        for PlannedShare { receiver, latency, range } in shares.iter().filter(|s| !s.range.is_empty()) {
            let (latency, bytes) = (latency.map_or(String::new(), latency_text), Count(range.len(), "byte"));
            let packets = Count(range.packets().into(), "packet");
            self.log(console, &format!("{receiver}: {latency}{bytes}, {packets}, SEQ {range}"));
        }
        if floor > 0 {
            self.log(console, &format!("every receiver gets {} or more", Count(floor, "byte")));
        }
    }

    /// Writes a line with the time since the start.
    fn log(&self, console: &mut Console, line: &str) {
        if self.show.verbose > 0 {
            let elapsed = Seconds(console.elapsed(), 6);
            console.write_line(format_args!("[{elapsed:>10}] {line}"));
        }
    }

    /// Writes a warning, as JSON too.
    pub fn warn(&self, console: &mut Console, line: &str) {
        self.print_json(console, line);
        self.write_warning(console, line);
    }

    fn print_json(&self, console: &mut Console, line: &str) {
        if self.show.json {
            console.print(&json::warning(line, console.elapsed()));
        }
    }

    fn write_warning(&self, console: &mut Console, line: &str) {
        if self.show.verbose > 0 {
            self.log(console, &format!("warning: {line}"));
        } else if !self.show.quiet {
            console.write_line(format_args!("mdalp: warning: {line}"));
        }
    }

    /// Writes a warning about one receiver, unless there have been enough of that cause.
    fn warn_of_one(&mut self, console: &mut Console, cause: String, line: &str) {
        let known = self.causes.iter_mut().find(|(known, _)| *known == cause);
        let before = known.map_or(0, |(_, count)| std::mem::replace(count, *count + 1));
        if before == 0 {
            self.causes.push((cause, 1));
        }
        if before < REPEATED || self.show.verbose > 0 {
            self.write_warning(console, line);
        }
    }

    fn warn_of_the_rest(&self, console: &mut Console) {
        for (cause, count) in self.causes.iter().filter(|(_, count)| *count > REPEATED) {
            let more = Count(count - REPEATED, "more receiver");
            self.write_warning(console, &format!("{more}: {cause}"));
        }
    }
}

/// A latency as it begins a plan's line.
fn latency_text(latency: Latency) -> String {
    let ms = Millis(latency.rtt, 3);
    match (latency.measured(), latency.source) {
        (Some(_), _) => format!("latency {ms} ms, "),
        (None, LatencySource::NoReply) => format!("latency unknown, counted as {ms} ms, "),
        (None, _) => "latency unknown, ".to_owned(),
    }
}
