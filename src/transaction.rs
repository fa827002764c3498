//! One transaction, shown while it goes on.

use crate::output::Display;
use crate::output::console::Console;
use mdalp::cli::Invocation;
use mdalp::protocol::Receiver;
use mdalp::{Client, Error, ExitStatus, Mode, Payload, Report};

/// What it came to.
pub struct Outcome {
    pub result: Result<Report, Error>,
    /// What the orchestrator listed, if it did.
    pub receivers: Vec<Receiver>,
}

impl Outcome {
    pub fn status(&self) -> ExitStatus {
        self.result.as_ref().map_or_else(Error::exit_status, |_| ExitStatus::Success)
    }

    /// How far it came, also if it failed, unless it did not begin.
    pub fn report(&self) -> Option<&Report> {
        self.result.as_ref().map_or_else(Error::report, Some)
    }
}

/// Sends the payload in this mode, otherwise as `invocation` says.
pub fn run(invocation: &Invocation, payload: &Payload, mode: Mode, console: &mut Console) -> Outcome {
    let mut display = Display::new(invocation, console);
    let client = Client::with_options(invocation.orchestrator, display.options(invocation));
    let result = client.send_observed(payload, mode, &mut display);
    display.end(result)
}

/// The payload that `invocation` names.
///
/// # Errors
///
/// The outcome, which has been shown: it cannot be had.
pub fn payload(invocation: &Invocation, console: &mut Console) -> Result<Payload, Outcome> {
    let payload =
        if invocation.file == "-" { Payload::standard_input() } else { Payload::open(&invocation.file) };
    payload.map_err(|error| Display::new(invocation, console).end(Err(Error::Payload(error))))
}
