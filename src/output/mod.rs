//! The output for people and scripts: all of it is made from the library's events and its result.

pub mod console;
pub mod json;
mod log;
mod progress;
pub mod report;
pub mod table;
mod units;

use console::{Console, Terminal};
use log::Log;
use mdalp::cli::{Args, Explained};
use mdalp::{Error, Event, ExitStatus, Mode, Observer, Options, Report};
use progress::Progress;
use std::ops::ControlFlow;

/// How a transaction ended.
pub type Outcome<'a> = Result<&'a Report, &'a Error>;

/// The exit status for it.
pub fn status(outcome: Outcome<'_>) -> ExitStatus {
    outcome.map_or_else(Error::exit_status, |_| ExitStatus::Success)
}

/// How far it came, also if it failed; `None` if it did not begin.
pub fn report_of(outcome: Outcome<'_>) -> Option<&Report> {
    outcome.map_or_else(Error::report, Some)
}

/// Shows one transaction while it goes on, and its end.
pub struct Display<'a> {
    console: &'a mut Console,
    mode: Mode,
    log: Log,
    progress: Progress,
    json: bool,
    with_table: bool,
    with_summary_line: bool,
}

impl<'a> Display<'a> {
    /// Shows what `args` ask for.
    pub fn new(args: &Args, mode: Mode, console: &'a mut Console) -> Self {
        let show = args.show;
        Self {
            mode,
            log: Log::new(show, args.options.intent_timeout),
            progress: Progress::new(show, console.terminal()),
            json: show.json,
            with_table: !show.quiet && (show.verbose > 0 || console.terminal() != Terminal::No),
            with_summary_line: !show.quiet,
            console,
        }
    }

    /// The client's options, with progress as often as it is shown.
    pub fn options(&self, args: &Args) -> Options {
        Options { progress: self.progress.interval(), ..args.options.clone() }
    }

    /// Warns of what the command line has without effect.
    pub fn warn_of_unused(&mut self, args: &Args) {
        let Some(server) = args.unused_server else { return };
        let why = if args.compare { "with --compare" } else { "in mode 1; add -m 2" };
        self.log.warn(self.console, &format!("-s {server} has no effect {why}"));
    }

    /// Shows the end. An error is shown in any case.
    pub fn end(self, outcome: Outcome<'_>) {
        if self.json {
            self.console.print(&json::summary(outcome, self.mode, self.console.elapsed()));
        }
        if let Some(report) = report_of(outcome).filter(|_| self.with_table) {
            self.console.write_line(format_args!("{}", report::Receivers(report, self.mode)));
        }
        match outcome {
            Ok(report) if self.with_summary_line => {
                self.console.write_line(format_args!("{}", report::SummaryLine(report)));
            }
            Ok(_) => {}
            Err(error) => self.console.error(&Explained(error)),
        }
    }
}

impl Observer for Display<'_> {
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        // Progress minds its own pace.
        let wanted = self.json && !matches!(event, Event::Progress { .. });
        let now = self.console.elapsed();
        if let Some(line) = Some(event).filter(|_| wanted).and_then(|event| json::event(event, now)) {
            self.console.print(&line);
        }
        self.log.event(event, self.console);
        self.progress.event(event, self.console);
        ControlFlow::Continue(())
    }
}
