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
use mdalp::cli::{Args, Show, explain};
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
    show: Show,
    log: Log,
    progress: Progress,
}

impl<'a> Display<'a> {
    /// Shows what `args` ask for.
    pub fn new(args: &Args, mode: Mode, console: &'a mut Console) -> Self {
        let log = Log::new(args.show, &args.options);
        let progress = Progress::new(args.show, console.terminal);
        Self { console, mode, show: args.show, log, progress }
    }

    /// The client's options, with progress as often as it is shown.
    pub fn options(&self, args: &Args) -> Options {
        Options { progress: self.progress.interval, ..args.options.clone() }
    }

    /// Warns of what the command line has without effect.
    pub fn warn_of_unused(&mut self, args: &Args) {
        let Some(server) = args.unused_server else { return };
        let why = if args.compare { "with --compare" } else { "in mode 1; add -m 2" };
        self.log.warn(self.console, &format!("-s {server} has no effect {why}"));
    }

    /// Shows the end. An error is shown in any case.
    pub fn end(self, outcome: Outcome<'_>) -> ExitStatus {
        let Self { console, mode, show, .. } = self;
        if show.json {
            console.print(&json::summary(outcome, mode, console.elapsed()));
        }
        let with_table = !show.quiet && (show.verbose > 0 || console.terminal != Terminal::No);
        if let Some(report) = report_of(outcome).filter(|_| with_table) {
            console.write_line(format_args!("{}", report::receivers(report, mode)));
        }
        match outcome {
            Ok(_) if show.quiet => {}
            Ok(report) => console.write_line(format_args!("{}", report::summary(report))),
            Err(error) => console.error(&explain(error)),
        }
        status(outcome)
    }
}

impl Observer for Display<'_> {
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        // Progress minds its own pace.
        if self.show.json
            && !matches!(event, Event::Progress { .. })
            && let Some(line) = json::event(event, self.console.elapsed())
        {
            self.console.print(&line);
        }
        self.log.event(event, self.console);
        self.progress.event(event, self.console);
        ControlFlow::Continue(())
    }
}
