//! The `mdalp` command.
#![forbid(unsafe_code)]

mod compare;
mod output;
mod run;

use mdalp::ExitStatus;
use mdalp::cli::{self, Command, Invocation};
use output::console::Console;
use output::status;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut console = Console::standard();
    let status = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => console.print(cli::HELP),
        Ok(Command::Version) => console.print(&format!("{}\n", cli::version())),
        Ok(Command::Send(invocation)) => send(&invocation, &mut console),
        Err(error) => console.usage(&error),
    };
    console.close(status).into()
}

fn send(invocation: &Invocation, console: &mut Console) -> ExitStatus {
    match run::payload(invocation, console) {
        Ok(payload) if invocation.compare => compare::run(invocation, &payload, console),
        Ok(payload) => status(run::run(invocation, &payload, invocation.mode, console).as_ref()),
        Err(error) => error.exit_status(),
    }
}
