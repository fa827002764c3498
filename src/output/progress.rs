//! How far it is: one line, redrawn in place on a terminal; elsewhere, if asked for, a plain line now and then. And as JSON.
//! The one place that limits how often: events may come more often.

use super::console::{Console, Terminal};
use super::json;
use super::units::{bytes, clock, rate};
use mdalp::Event;
use mdalp::cli::{ProgressWhen, Show};
use mdalp::event::LaneProgress;
use std::time::Duration;

/// How often the line is redrawn, and how often a plain line is written.
const REDRAW: Duration = Duration::from_millis(250);
const PLAIN: Duration = Duration::from_secs(10);

/// Up to this many receivers are shown one by one.
const FEW: usize = 8;

/// The progress of one transaction.
pub struct Progress {
    /// Whether it is shown as a line.
    shown: bool,
    json: bool,
    /// How often the client is to report it.
    pub interval: Option<Duration>,
    /// When the next line is due, in the event's own time.
    due: Duration,
    /// When the packets began, since the assignment: after measuring.
    began: Duration,
}

impl Progress {
    pub fn new(show: Show, terminal: Terminal) -> Self {
        let shown = match show.progress {
            ProgressWhen::Auto => terminal == Terminal::Yes && !show.quiet,
            when => when == ProgressWhen::Always,
        };
        let wanted = shown || show.json && show.progress != ProgressWhen::Never;
        let pace = if shown && terminal == Terminal::Yes { REDRAW } else { PLAIN };
        let interval = wanted.then_some(pace);
        Self { shown, json: show.json, interval, due: Duration::ZERO, began: Duration::ZERO }
    }

    /// Handles an event. A line that is drawn in place stays until the console clears it.
    pub fn event(&mut self, event: &Event<'_>, console: &mut Console) {
        match *event {
            Event::Waiting { elapsed } if self.is_due(elapsed) && self.shown => {
                console.draw(&format!("waiting for the orchestrator, {}", clock(elapsed)));
            }
            Event::Assigned { .. } => self.due = self.interval.unwrap_or_default(),
            Event::Latencies { took, .. } => self.began = took,
            Event::Progress { elapsed, acked_bytes, payload_bytes, lanes } if self.is_due(elapsed) => {
                if self.json
                    && let Some(line) = json::event(event, console.elapsed())
                {
                    console.print(&line);
                }
                if self.shown {
                    let sending = elapsed.saturating_sub(self.began);
                    console.draw(&line(elapsed, sending, acked_bytes, payload_bytes, lanes));
                }
            }
            Event::Finished { .. } => console.clear(),
            _ => {}
        }
    }

    /// Whether something is to be shown: once in each interval.
    fn is_due(&mut self, now: Duration) -> bool {
        let Some(interval) = self.interval else { return false };
        let due = now >= self.due;
        if due {
            self.due =
                now + interval - Duration::from_nanos(now.as_nanos() as u64 % interval.as_nanos() as u64);
        }
        due
    }
}

/// The line: what matters comes first, since a narrow terminal cuts the end. Packets were sent in the last `sending` of
/// `elapsed`.
fn line(elapsed: Duration, sending: Duration, acked: u64, all: u64, lanes: &[LaneProgress]) -> String {
    let resent: u64 = lanes.iter().map(|lane| lane.retransmissions).sum();
    let mut line = format!(
        "{:>3}% {}/{} {}/s {}, {} left, {resent} resent",
        percent(acked, all),
        bytes(acked),
        bytes(all),
        bytes(rate(acked, sending)),
        clock(elapsed),
        time_left(sending, lanes).map_or("--:--".to_owned(), clock),
    );
    let at_work = || lanes.iter().filter(|lane| lane.assigned > 0 || lane.lost);
    if (2..=FEW).contains(&at_work().count()) {
        line.push(':');
        at_work().for_each(|lane| match lane.lost {
            true => line += " lost",
            false => line += &format!(" {}%", percent(lane.acked.into(), lane.assigned.into())),
        });
    }
    line
}

/// Until the receiver that needs longest is done, if each goes on as it did; `None` while one has acknowledged nothing.
fn time_left(sending: Duration, lanes: &[LaneProgress]) -> Option<Duration> {
    let left = |lane: &LaneProgress| match lane.assigned.saturating_sub(lane.acked) {
        rest if rest > 0 && !lane.lost => sending.saturating_mul(rest).checked_div(lane.acked),
        _ => Some(Duration::ZERO),
    };
    lanes.iter().map(left).try_fold(Duration::ZERO, |most, left| Some(most.max(left?)))
}

/// Rounded down, so that 100 % is all.
fn percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(100) as u64
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
        let shown = |lanes: &[LaneProgress]| line(Duration::ZERO, Duration::ZERO, 0, 1, lanes);
        assert_eq!(shown(&none), "  0% 0 B/1 B 0 B/s 0:00, --:-- left, 0 resent");
        assert!(!shown(&[LANES[1]; FEW + 1]).contains("75%"));
    }

    #[test]
    fn in_place_it_is_drawn_four_times_a_second() {
        let (mut console, _, err) = console(Terminal::Yes);
        let mut shown = Progress::new(when(ProgressWhen::Auto), Terminal::Yes);
        assert_eq!(shown.interval, Some(REDRAW));
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
            assert_eq!(Progress::new(when(ProgressWhen::Auto), terminal).interval, None);
        }
        assert_eq!(Progress::new(when(ProgressWhen::Never), Terminal::Yes).interval, None);
        let quiet = Show { quiet: true, ..Show::default() };
        assert_eq!(Progress::new(quiet, Terminal::Yes).interval, None);
    }

    #[test]
    fn as_json_it_comes_at_the_same_pace_unless_it_is_never_wanted() {
        let (mut console, out, err) = console(Terminal::No);
        let json = Show { json: true, quiet: true, ..Show::default() };
        let mut shown = Progress::new(json, Terminal::No);
        assert_eq!(shown.interval, Some(PLAIN));
        // From the assignment on; the client's other ticks bring the event, too.
        let (mode, waited, receivers) = (mdalp::Mode::Balance, Duration::ZERO, &[][..]);
        shown.event(&Event::Assigned { tid: mdalp::Tid(1), mode, receivers, waited }, &mut console);
        (0..310).for_each(|elapsed| shown.event(&progress(elapsed * 100, &LANES), &mut console));
        assert_eq!((out.text().lines().count(), err.text().as_str()), (3, ""), "{}", out.text());
        assert!(out.text().ends_with(
            "\"elapsed_s\":30.000000,\"acked_bytes\":2100,\"payload_bytes\":5000,\"resent_packets\":3}\n"
        ));
        let never = Show { progress: ProgressWhen::Never, ..json };
        assert_eq!(Progress::new(never, Terminal::No).interval, None);
    }
}
