//! Events and the end as JSON, one object a line (the manual, "JSON").

use super::{Outcome, report_of, status};
use mdalp::cli::explain;
use mdalp::protocol::{ListIndex, SeqRange};
use mdalp::report::{Latency, LossReason, ReceiverReport};
use mdalp::text::{Millis, Seconds, needs_escape};
use mdalp::{Event, Mode, Report};
use std::fmt::{self, Write};
use std::time::Duration;

/// Goes up when a key changes its meaning or goes away; new keys and events may come without.
const SCHEMA: u32 = 1;

/// The line for an event, if it is one that matters. `now` is the time since the start.
pub fn event(event: &Event<'_>, now: Duration) -> Option<String> {
    Some(match event {
        Event::Assigned { tid, mode, receivers, waited } => line("assigned", now, &|object| {
            object.member("tid", tid);
            object.text("mode", mode.name());
            object.seconds("waited_s", Some(*waited));
            object.objects("receivers", receivers.iter().enumerate(), |item, (index, receiver)| {
                item.member("receiver", &ListIndex(index));
                item.text("address", &receiver.address.to_string());
                item.text("name", &receiver.name);
            });
        }),
        Event::Latencies { latencies, took } => line("latencies", now, &|object| {
            object.seconds("took_s", Some(*took));
            object.objects("latencies", latencies.iter(), |item, (receiver, latency)| {
                item.member("receiver", &receiver.index);
                item.latency(Some(*latency));
            });
        }),
        Event::Planned { mode, shares, floor } => line("plan", now, &|object| {
            object.text("mode", mode.name());
            object.member("floor_bytes", floor);
            object.objects("shares", shares.iter(), |item, share| {
                item.member("receiver", &share.receiver.index);
                item.range(&share.range);
            });
        }),
        Event::Progress { elapsed, acked_bytes, payload_bytes, lanes } => line("progress", now, &|object| {
            object.seconds("elapsed_s", Some(*elapsed));
            object.member("acked_bytes", acked_bytes);
            object.member("payload_bytes", payload_bytes);
            object.member("resent_packets", &lanes.iter().map(|lane| lane.retransmissions).sum::<u64>());
        }),
        Event::Lost { receiver, loss, unacked_packets } => line("lost", now, &|object| {
            object.member("receiver", &receiver.index);
            object.text("address", &receiver.address().to_string());
            object.text("name", &receiver.receiver.name);
            object.loss(Some(loss));
            object.member("unacked_packets", unacked_packets);
        }),
        Event::Moved { from, to, range, reason } => line("moved", now, &|object| {
            object.member("from_receiver", &from.index);
            object.member("to_receiver", &to.index);
            object.range(range);
            object.text("reason", reason.name());
        }),
        _ => return None,
    })
}

/// What the user should know though the transfer goes on.
pub fn warning(message: &str, now: Duration) -> String {
    line("warning", now, &|object| object.text("message", message))
}

/// The last line of a transaction: how it ended.
pub fn summary(outcome: Outcome<'_>, mode: Mode, now: Duration) -> String {
    line("summary", now, &|object| {
        object.text("status", status(outcome).name());
        object.member("exit_status", &(status(outcome) as u8));
        object.text("mode", mode.name());
        object.text_or_null("message", outcome.err().map(explain).as_deref());
        let report = report_of(outcome);
        object.member_or_null("tid", report.map(|report| report.tid));
        object.member_or_null("payload_bytes", report.map(|report| report.payload_bytes));
        object.member_or_null("acked_bytes", report.map(Report::acked_bytes));
        object.member_or_null("payload_packets", report.map(|report| report.packets));
        object.member_or_null("acked_packets", report.map(Report::acked_packets));
        object.member_or_null("resent_packets", report.map(Report::retransmissions));
        object.seconds("elapsed_s", report.map(|report| report.elapsed));
        object.seconds("measuring_s", report.map(|report| report.measuring));
        object.seconds("last_ack_s", report.and_then(Report::last_ack));
        let receivers = report.map(|report| report.receivers.as_slice()).unwrap_or_default();
        object.objects("receivers", receivers.iter(), receiver_summary);
    })
}

fn receiver_summary(item: &mut Object, receiver: &ReceiverReport) {
    item.text("address", &receiver.address.to_string());
    item.text("name", &receiver.name);
    item.text("status", receiver.status_name());
    item.loss(receiver.loss());
    item.latency(receiver.latency);
    item.member("planned_bytes", &receiver.planned_bytes);
    item.member("acked_bytes", &receiver.acked_bytes());
    item.member("acked_packets", &receiver.acked_packets());
    item.member("sent_packets", &receiver.counts.transmissions);
    item.member("resent_packets", &receiver.counts.retransmissions);
    item.member("ignored_datagrams", &receiver.counts.ignored);
    item.milliseconds("ack_rtt_ms", receiver.counts.ack_rtt);
    item.seconds("last_ack_s", receiver.counts.last_ack);
}

/// A line with what every line has, and with what `fill` adds.
pub fn line(event: &str, now: Duration, fill: &dyn Fn(&mut Object)) -> String {
    let mut object = Object::default();
    object.member("schema", &SCHEMA);
    object.text("event", event);
    object.seconds("time_s", Some(now));
    fill(&mut object);
    format!("{{{}}}\n", object.0)
}

/// The members of an object, so far.
#[derive(Default)]
pub struct Object(String);

impl Object {
    /// A member whose value shows as JSON, a number for instance.
    pub fn member(&mut self, key: &str, value: &dyn fmt::Display) {
        let comma = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{comma}\"{key}\":{value}");
    }

    /// The same, if it is known.
    pub fn member_or_null(&mut self, key: &str, value: Option<impl fmt::Display>) {
        match value {
            Some(value) => self.member(key, &value),
            None => self.member(key, &"null"),
        }
    }

    /// Any text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.member(key, &Text(value));
    }

    /// The same, if it is known.
    pub fn text_or_null(&mut self, key: &str, value: Option<&str>) {
        self.member_or_null(key, value.map(Text));
    }

    /// Seconds to the microsecond.
    pub fn seconds(&mut self, key: &str, time: Option<Duration>) {
        self.member_or_null(key, time.map(|time| Seconds(time, 6)));
    }

    /// Milliseconds to the microsecond.
    pub fn milliseconds(&mut self, key: &str, time: Option<Duration>) {
        self.member_or_null(key, time.map(|time| Millis(time, 3)));
    }

    /// An array of objects, each made by `make`.
    pub fn objects<T>(&mut self, key: &str, items: impl Iterator<Item = T>, make: impl Fn(&mut Self, T)) {
        let mut array = String::new();
        for item in items {
            let mut object = Self::default();
            make(&mut object, item);
            let comma = if array.is_empty() { "" } else { "," };
            let _ = write!(array, "{comma}{{{}}}", object.0);
        }
        self.member(key, &format_args!("[{array}]"));
    }

    /// A latency, and how it was measured.
    pub fn latency(&mut self, latency: Option<Latency>) {
        self.milliseconds("latency_ms", latency.as_ref().and_then(Latency::measured));
        let (source, replies) = latency.map(|latency| latency.source.name()).unzip();
        self.text_or_null("latency_source", source);
        self.member_or_null("latency_replies", replies.flatten());
    }

    fn range(&mut self, range: &SeqRange) {
        let last = range.end().0.checked_sub(1).filter(|_| !range.is_empty());
        self.member("bytes", &range.len());
        self.member("packets", &range.packets());
        self.member_or_null("first_seq", last.map(|_| range.first()));
        self.member_or_null("last_seq", last);
    }

    fn loss(&mut self, loss: Option<&LossReason>) {
        self.text_or_null("loss", loss.map(LossReason::name));
        self.text_or_null("loss_message", loss.map(|loss| loss.to_string()).as_deref());
    }
}

/// A JSON string (RFC 8259, section 7). What could move a terminal's cursor or reorder a line is escaped,
/// too.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if needs_escape(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(f, "\\u{unit:04x}")?;
                    }
                }
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdalp::event::{Listed, PlannedShare};
    use mdalp::protocol::{Receiver, Seq, Tid};
    use mdalp::report::LatencySource;

    fn receivers() -> [Receiver; 2] {
        [
            Receiver { address: [127, 0, 0, 2].into(), name: "5th \"R\"\\".to_owned() },
            Receiver { address: [127, 0, 0, 3].into(), name: "\u{1b}[2J\u{7f}\u{9b}\u{e0001}東".to_owned() },
        ]
    }

    fn listed(receivers: &[Receiver; 2]) -> [Listed<'_>; 2] {
        [0, 1].map(|index| Listed { index: ListIndex(index), receiver: &receivers[index] })
    }

    fn assigned(receivers: &[Receiver]) -> Event<'_> {
        Event::Assigned { tid: Tid(3740), mode: Mode::Balance, receivers, waited: Duration::from_millis(14) }
    }

    fn shown(what: &Event<'_>) -> String {
        event(what, Duration::from_micros(15_000)).unwrap()
    }

    #[test]
    fn names_are_escaped_as_json_and_for_terminals() {
        assert_eq!(
            shown(&assigned(&receivers())),
            "{\"schema\":1,\"event\":\"assigned\",\"time_s\":0.015000,\"tid\":3740,\"mode\":\"balance\",\"waited_s\":0.014000,\
             \"receivers\":[{\"receiver\":1,\"address\":\"127.0.0.2\",\"name\":\"5th \\\"R\\\"\\\\\"},\
             {\"receiver\":2,\"address\":\"127.0.0.3\",\
             \"name\":\"\\u001b[2J\\u007f\\u009b\\udb40\\udc01東\"}]}\n"
        );
    }

    #[test]
    fn what_is_unknown_is_null() {
        let latencies = [
            Latency { rtt: Duration::from_micros(335_148), source: LatencySource::Icmp(3) },
            Latency { rtt: Duration::from_micros(335_148), source: LatencySource::NoReply },
        ];
        let receivers = receivers();
        let [a, b] = listed(&receivers);
        let latencies = [(a, latencies[0]), (b, latencies[1])];
        let shown = shown(&Event::Latencies { latencies: &latencies, took: Duration::from_secs(1) });
        assert!(shown.ends_with(
            "\"took_s\":1.000000,\"latencies\":[\
             {\"receiver\":1,\"latency_ms\":335.148,\"latency_source\":\"icmp\",\"latency_replies\":3},\
             {\"receiver\":2,\"latency_ms\":null,\"latency_source\":\"silent\",\"latency_replies\":null}]}\n"
        ));
    }

    #[test]
    fn a_share_names_its_first_and_last_packet_if_there_are_any() {
        let ranges =
            [SeqRange::over_bytes(Seq(0), 0..963).unwrap(), SeqRange::over_bytes(Seq(10), 963..963).unwrap()];
        let receivers = receivers();
        let shares: Vec<_> = listed(&receivers)
            .into_iter()
            .zip(ranges)
            .map(|(receiver, range)| PlannedShare { receiver, latency: None, range })
            .collect();
        let shown = shown(&Event::Planned { mode: Mode::Balance, shares: &shares, floor: 500 });
        assert!(shown.ends_with(
            "\"mode\":\"balance\",\"floor_bytes\":500,\"shares\":[\
             {\"receiver\":1,\"bytes\":963,\"packets\":10,\"first_seq\":0,\"last_seq\":9},\
             {\"receiver\":2,\"bytes\":0,\"packets\":0,\"first_seq\":null,\"last_seq\":null}]}\n"
        ));
    }

    #[test]
    fn a_run_that_ends_before_it_begins_has_a_summary_too() {
        let error = mdalp::Error::ReceiverIndex { given: 9, listed: 3 };
        let shown = summary(Err(&error), Mode::Single(9), Duration::ZERO);
        let begin = "{\"schema\":1,\"event\":\"summary\",\"time_s\":0.000000,\"status\":\"usage\",\
                     \"exit_status\":2,\"mode\":\"single\",\"message\":\"";
        assert!(shown.starts_with(begin), "{shown}");
        assert!(shown.contains("\"tid\":null,\"payload_bytes\":null,"), "{shown}");
        assert!(shown.ends_with("\"last_ack_s\":null,\"receivers\":[]}\n"), "{shown}");
    }

    #[test]
    fn events_that_are_many_are_not_shown() {
        assert_eq!(event(&Event::Waiting { elapsed: Duration::ZERO }, Duration::ZERO), None);
    }
}
