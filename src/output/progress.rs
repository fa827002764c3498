//! How far it is: one line, redrawn in place on a terminal; elsewhere, if asked for, a plain line now and then. And as JSON.
//! The one place that limits how often: events may come more often.

use super::console::{Console, Terminal};
use super::json;
use super::units::{Bytes, Clock, rate};
use mdalp::Event;
use mdalp::cli::{ProgressWhen, Show};
use mdalp::event::LaneProgress;
use std::fmt::{self, Write};
use std::time::Duration;

/// How often the line is redrawn, and how often a plain line is written.
const REDRAW: Duration = Duration::from_millis(250);
const PLAIN: Duration = Duration::from_secs(10);

/// Up to this many receivers are shown one by one.
const FEW: usize = 8;

/// The progress of one transaction.
pub struct Progress {
    style: Style,
    json: bool,
    /// When the next line is due, in the event's own time.
    due: Duration,
    /// When the packets began, since the assignment: after measuring.
    began: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Off,
    InPlace,
    Plain,
}

impl Progress {
    pub fn new(show: Show, terminal: Terminal) -> Self {
        let style = match (show.progress, terminal) {
            (ProgressWhen::Never, _) => Style::Off,
            (ProgressWhen::Auto, _) if show.quiet => Style::Off,
            (_, Terminal::Yes) => Style::InPlace,
            (ProgressWhen::Always, _) => Style::Plain,
            (ProgressWhen::Auto, _) => Style::Off,
        };
        let json = show.json && show.progress != ProgressWhen::Never;
        Self { style, json, due: Duration::ZERO, began: None }
    }

    /// How often the client is to report it.
    pub fn interval(&self) -> Option<Duration> {
        match self.style {
            Style::Off => self.json.then_some(PLAIN),
            Style::InPlace => Some(REDRAW),
            Style::Plain => Some(PLAIN),
        }
    }

    /// Handles an event. A line that is drawn in place stays until the console clears it.
    pub fn event(&mut self, event: &Event<'_>, console: &mut Console) {
        match event {
            Event::Waiting { elapsed } if self.is_due(*elapsed) => {
                self.show(console, &format!("waiting for the orchestrator, {}", Clock(*elapsed)));
            }
            Event::Assigned { .. } => self.due = Duration::ZERO,
            Event::Latencies { took, .. } => self.began = Some(*took),
            Event::Progress { elapsed, acked_bytes, payload_bytes, lanes } if self.is_due(*elapsed) => {
                let sending = elapsed.saturating_sub(self.began.unwrap_or_default());
                let (acked_bytes, payload_bytes, elapsed) = (*acked_bytes, *payload_bytes, *elapsed);
                let line = Line { elapsed, sending, acked_bytes, payload_bytes, lanes };
                if let Some(line) =
                    Some(event).filter(|_| self.json).and_then(|e| json::event(e, console.elapsed()))
                {
                    console.print(&line);
                }
                self.show(console, &line.to_string());
            }
            Event::Finished { .. } => console.clear(),
            _ => {}
        }
    }

    /// Whether something is to be shown: once in each interval.
    fn is_due(&mut self, now: Duration) -> bool {
        let Some(interval) = self.interval() else { return false };
        let due = now >= self.due;
        if due {
            self.due =
                now + interval - Duration::from_nanos(now.as_nanos() as u64 % interval.as_nanos() as u64);
        }
        due
    }

    fn show(&self, console: &mut Console, line: &str) {
        match self.style {
            Style::Off => {}
            Style::InPlace => console.draw(line),
            Style::Plain => console.write_line(format_args!("{line}")),
        }
    }
}

/// The line: what matters comes first, since a narrow terminal cuts the end.
struct Line<'a> {
    elapsed: Duration,
    /// The part of it in which packets were sent.
    sending: Duration,
    acked_bytes: u64,
    payload_bytes: u64,
    lanes: &'a [LaneProgress],
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = percent(self.acked_bytes, self.payload_bytes);
        let (acked, all) = (Bytes(self.acked_bytes), Bytes(self.payload_bytes));
        write!(
            f,
            "{percent:>3}% {acked}/{all} {}/s {}",
            Bytes(rate(self.acked_bytes, self.sending)),
            Clock(self.elapsed)
        )?;
        match self.left() {
            Some(left) => write!(f, ", {} left", Clock(left))?,
            None => f.write_str(", --:-- left")?,
        }
        let resent: u64 = self.lanes.iter().map(|lane| lane.retransmissions).sum();
        write!(f, ", {resent} resent")?;
        let at_work = || self.lanes.iter().filter(|lane| lane.assigned > 0 || lane.lost);
        if (2..=FEW).contains(&at_work().count()) {
            f.write_char(':')?;
            at_work().try_for_each(|lane| match lane.lost {
                true => f.write_str(" lost"),
                false => {
                    write!(f, " {}%", self::percent(u64::from(lane.acked), u64::from(lane.assigned)))
                }
            })?;
        }
        Ok(())
    }
}

impl Line<'_> {
    /// Until the receiver that needs longest is done, if each goes on as it did; `None` while one has acknowledged
    /// nothing.
    fn left(&self) -> Option<Duration> {
        let left = |lane: &LaneProgress| {
            let rest = lane.assigned.saturating_sub(lane.acked);
            if rest == 0 || lane.lost { Some(Duration::ZERO) } else { scaled(self.sending, rest, lane.acked) }
        };
        self.lanes.iter().map(left).try_fold(Duration::ZERO, |most, left| Some(most.max(left?)))
    }
}

/// `time * factor / divisor`, to the millisecond.
fn scaled(time: Duration, factor: u32, divisor: u32) -> Option<Duration> {
    let ms = (time.as_millis() * u128::from(factor)).checked_div(u128::from(divisor))?;
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
}

/// Rounded down, so that 100 % is all.
fn percent(part: u64, whole: u64) -> u64 {
    let percent = (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(100);
    u64::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::super::console::tests::console;
    use super::*;

    const LANES: [LaneProgress; 4] = [
        LaneProgress { acked: 5, assigned: 10, retransmissions: 2, lost: false },
        LaneProgress { acked: 15, assigned: 20, retransmissions: 1, lost: false },
        LaneProgress { acked: 1, assigned: 1, retransmissions: 0, lost: true },
        LaneProgress { acked: 0, assigned: 0, retransmissions: 0, lost: false },
    ];

    fn when(progress: ProgressWhen) -> Show {
        Show { progress, ..Show::default() }
    }

    fn progress(elapsed: u64, lanes: &[LaneProgress]) -> Event<'_> {
        let elapsed = Duration::from_millis(elapsed);
        Event::Progress { elapsed, acked_bytes: 2100, payload_bytes: 5000, lanes }
    }

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let (mut console, _, err) = console(Terminal::No);
        let mut shown = Progress::new(when(ProgressWhen::Always), Terminal::No);
        shown.event(&Event::Latencies { latencies: &[], took: Duration::from_secs(1) }, &mut console);
        shown.event(&progress(21_000, &LANES), &mut console);
        let expected = " 42% 2.10 kB/5.00 kB 105 B/s 0:21, 0:20 left, 3 resent: 50% 75% lost\n";
        assert_eq!(err.text(), expected);
    }

    #[test]
    fn what_is_not_known_yet_is_not_made_up() {
        let none = [LaneProgress { assigned: 10, ..LaneProgress::default() }];
        let line = Line {
            elapsed: Duration::ZERO,
            sending: Duration::ZERO,
            acked_bytes: 0,
            payload_bytes: 1,
            lanes: &none,
        };
        assert_eq!(line.to_string(), "  0% 0 B/1 B 0 B/s 0:00, --:-- left, 0 resent");
        let many = [LANES[1]; FEW + 1];
        assert!(!Line { lanes: &many, ..line }.to_string().contains("75%"));
    }

    #[test]
    fn in_place_it_is_drawn_four_times_a_second() {
        let (mut console, _, err) = console(Terminal::Yes);
        let mut shown = Progress::new(when(ProgressWhen::Auto), Terminal::Yes);
        assert_eq!(shown.interval(), Some(REDRAW));
        (0..1000).for_each(|elapsed| shown.event(&progress(elapsed, &LANES), &mut console));
        assert_eq!(err.text().matches("\x1b[?7l").count(), 4);
        assert!(!err.text().contains('\n'));
        console.clear();
        assert!(err.text().ends_with("\x1b[?7h\r\x1b[K"));
    }

    #[test]
    fn elsewhere_it_is_a_plain_line_every_ten_seconds_on_request() {
        for terminal in [Terminal::No, Terminal::Dumb] {
            let (mut console, _, err) = console(terminal);
            let mut shown = Progress::new(when(ProgressWhen::Always), terminal);
            for seconds in 0..30 {
                shown.event(&Event::Waiting { elapsed: Duration::from_secs(seconds) }, &mut console);
            }
            assert_eq!(err.text().lines().count(), 3, "{}", err.text());
            assert_eq!(err.text().lines().last(), Some("waiting for the orchestrator, 0:20"));
            assert!(!err.text().contains(['\r', '\x1b']));
            assert_eq!(Progress::new(when(ProgressWhen::Auto), terminal).interval(), None);
        }
        assert_eq!(Progress::new(when(ProgressWhen::Never), Terminal::Yes).interval(), None);
        let quiet = Show { quiet: true, ..Show::default() };
        assert_eq!(Progress::new(quiet, Terminal::Yes).interval(), None);
    }

    #[test]
    fn as_json_it_comes_at_the_same_pace_unless_it_is_never_wanted() {
        let (mut console, out, err) = console(Terminal::No);
        let json = Show { json: true, quiet: true, ..Show::default() };
        let mut shown = Progress::new(json, Terminal::No);
        assert_eq!(shown.interval(), Some(PLAIN));
        (0..300).for_each(|elapsed| shown.event(&progress(elapsed * 100, &LANES), &mut console));
        assert_eq!((out.text().lines().count(), err.text().as_str()), (3, ""), "{}", out.text());
        assert!(out.text().ends_with(
            "\"elapsed_s\":20.000000,\"acked_bytes\":2100,\"payload_bytes\":5000,\"resent_packets\":3}\n"
        ));
        let never = Show { progress: ProgressWhen::Never, ..json };
        assert_eq!(Progress::new(never, Terminal::No).interval(), None);
    }
}
