//! The `mdalp` command.
#![forbid(unsafe_code)]

mod compare;
mod output;
mod run;

use mdalp::cli::{self, Args, Command};
use mdalp::{Error, ExitStatus, Payload};
use output::console::Console;
use output::{Display, status};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut console = Console::standard();
    let status = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => console.print(cli::HELP),
        Ok(Command::Version) => console.print(cli::VERSION),
        Ok(Command::Send(args)) => send(&args, &mut console),
        Err(error) => {
            console.error(&format!("{error}; try 'mdalp --help'"));
            ExitStatus::Usage
        }
    };
    console.finish(status).into()
}

fn send(args: &Args, console: &mut Console) -> ExitStatus {
    let mut display = Display::new(args, args.mode, console);
    let payload = if args.file == "-" { Payload::standard_input() } else { Payload::open(&args.file) };
    let payload = match payload {
        Ok(payload) => payload,
        Err(error) => return display.end(Err(&Error::Payload(error))),
    };
    display.warn_of_unused(args);
    match args.compare {
        true => compare::run(args, &payload, console),
        false => status(run::run(args, &payload, args.mode, console).as_ref()),
    }
}
