//! One transaction, shown while it goes on.

use crate::output::Display;
use crate::output::console::Console;
use mdalp::cli::Invocation;
use mdalp::{Client, Error, Mode, Payload, Report};

/// Sends the payload in this mode, otherwise as `invocation` says.
pub fn run(
    invocation: &Invocation,
    payload: &Payload,
    mode: Mode,
    console: &mut Console,
) -> Result<Report, Error> {
    let mut display = Display::new(invocation, console);
    let client = Client::with_options(invocation.orchestrator, display.options(invocation));
    let result = client.send_observed(payload, mode, &mut display);
    display.end(result.as_ref());
    result
}

/// The payload that `invocation` names.
///
/// # Errors
///
/// What is wrong with it, which has been shown.
pub fn payload(invocation: &Invocation, console: &mut Console) -> Result<Payload, Error> {
    let payload =
        if invocation.file == "-" { Payload::standard_input() } else { Payload::open(&invocation.file) };
    payload.map_err(|error| {
        let error = Error::Payload(error);
        Display::new(invocation, console).end(Err(&error));
        error
    })
}
