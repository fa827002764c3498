//! One transaction, shown while it goes on.

use crate::output::Display;
use crate::output::console::Console;
use mdalp::cli::Args;
use mdalp::{Client, Error, Mode, Payload, Report};

/// Sends the payload in this mode, otherwise as `args` says.
pub fn run(args: &Args, payload: &Payload, mode: Mode, console: &mut Console) -> Result<Report, Error> {
    let mut display = Display::new(args, mode, console);
    let client = Client::with_options(args.orchestrator, display.options(args));
    let result = client.send_observed(payload, mode, &mut display);
    display.end(result.as_ref());
    result
}
