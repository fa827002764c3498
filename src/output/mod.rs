//! What a person or a script is shown. The library prints nothing: all of it follows from its events and its result.

pub mod console;
pub mod json;
mod log;
mod progress;
pub mod report;
pub mod table;

use console::{Console, Terminal};
use log::{Level, Log};
use mdalp::cli::Invocation;
use mdalp::{Error, Event, ExitStatus, Observer, Options, Report};
use progress::Progress;
use std::ops::ControlFlow;

/// What a transaction came to.
pub type Outcome<'a> = Result<&'a Report, &'a Error>;

/// The exit status for it.
pub fn status(outcome: Outcome<'_>) -> ExitStatus {
    outcome.map_or_else(Error::exit_status, |_| ExitStatus::Success)
}

/// How far it came, also if it failed; `None` if it did not begin.
pub fn report_of<'a>(outcome: Outcome<'a>) -> Option<&'a Report> {
    outcome.map_or_else(Error::report, Some)
}

/// Shows one transaction while it goes on, and its end.
pub struct Display<'a> {
    console: &'a mut Console,
    log: Log,
    progress: Progress,
    json: bool,
    /// Whether the table and the last line are shown.
    with_table: bool,
    with_last_line: bool,
}

impl<'a> Display<'a> {
    /// Shows what `invocation` asks for.
    pub fn new(invocation: &Invocation, console: &'a mut Console) -> Self {
        let level = match (invocation.verbose, invocation.quiet) {
            (0, true) => Level::Quiet,
            (0, false) => Level::Warnings,
            _ => Level::All,
        };
        Self {
            log: Log::new(level, invocation.options.intent_timeout),
            progress: Progress::new(invocation.progress, console.terminal()),
            json: invocation.json,
            with_table: !invocation.quiet && (invocation.verbose > 0 || console.terminal() != Terminal::No),
            with_last_line: !invocation.quiet,
            console,
        }
    }

    /// The client's options, with progress as often as it is shown.
    pub fn options(&self, invocation: &Invocation) -> Options {
        Options { progress: self.progress.interval(), ..invocation.options.clone() }
    }

    /// Shows the end. An error is shown in any case.
    pub fn end(self, outcome: Outcome<'_>) {
        if self.json {
            self.console.print(&json::summary(outcome, self.console.elapsed()));
        }
        if let Some(report) = report_of(outcome).filter(|_| self.with_table) {
            self.console.tell(format_args!("{}", report::table(report)));
        }
        match outcome {
            Ok(report) if self.with_last_line => {
                self.console.tell(format_args!("{}", report::LastLine(report)));
            }
            Ok(_) => {}
            Err(error) => self.console.error(error),
        }
    }
}

impl Observer for Display<'_> {
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let now = self.console.elapsed();
        if let Some(line) = Some(event).filter(|_| self.json).and_then(|e| json::event(e, now)) {
            self.console.print(&line);
        }
        self.log.event(event, self.console);
        self.progress.event(event, self.console);
        ControlFlow::Continue(())
    }
}
