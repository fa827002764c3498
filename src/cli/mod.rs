//! The command line: what its words mean. Nothing is sent or printed here, so all of it is tested without a process.
//!
//! If an option is given twice the last one counts, as with curl. `-h` and `-V` count immediately, whatever options follow.

mod explain;
mod value;

use crate::options::{Mode, Options, Trace};
use crate::text::Escaped;
pub use explain::{explain, local_hint, output_hint};
use lexopt::Arg::{self, Long, Short};
use lexopt::Error::{MissingValue, UnexpectedArgument, UnexpectedOption, UnexpectedValue};
use lexopt::Parser;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;
use value::Value;

/// What `--help` prints: at most 80 columns, ending with a newline.
pub const HELP: &str = include_str!("help.txt");

/// What `--version` prints: `mdalp 0.1.0` and a newline.
pub const VERSION: &str = concat!("mdalp ", env!("CARGO_PKG_VERSION"), "\n");

/// What the user asked for.
#[derive(Debug)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Print [`VERSION`].
    Version,
    /// Send a payload.
    Send(Box<Args>),
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressWhen {
    /// If standard error is a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Not at all.
    Never,
}

/// A command line that sends something.
#[derive(Debug)]
pub struct Args {
    /// The orchestrator.
    pub orchestrator: SocketAddr,
    /// The payload's file name; `-` is standard input.
    pub file: OsString,
    /// How the payload is divided.
    pub mode: Mode,
    /// The receiver that `-s` names, if the mode ignores it.
    pub unused_server: Option<usize>,
    /// The settings of the library. `trace` follows from `verbose`; `progress` is left to the caller, who knows
    /// whether standard error is a terminal.
    pub options: Options,
    /// What is shown.
    pub show: Show,
    /// Compare mode 1 with each receiver alone.
    pub compare: bool,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// The number of `-v`s.
    pub verbose: u8,
    /// Neither report nor warnings, and progress only if it is asked for.
    pub quiet: bool,
    /// When to show progress.
    pub progress: ProgressWhen,
    /// Events as JSON on standard output.
    pub json: bool,
}

/// `--timeout`.
const TIMEOUT: RangeInclusive<Duration> = MILLISECOND..=Duration::from_secs(3600);
/// `--give-up`.
const GIVE_UP: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// `--deadline` and `--intent-timeout`: up to a week.
const LONG_WAIT: RangeInclusive<Duration> = MILLISECOND..=Duration::from_secs(604_800);
/// `--intent-resend`: each one may queue a transaction, so not many per second.
const RESEND: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(604_800);

const MILLISECOND: Duration = Duration::from_millis(1);

/// Reads the arguments of a command line, the program's name not among them.
///
/// # Errors
///
/// The first thing that is wrong, in the order given; what is missing comes last. One line, `what: why`, safe to print.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_args(args);
    let (mut address, mut port, mut file) = (None, None, None);
    let (mut single, mut server, mut compare) = (false, None, false);
    let (mut options, mut show) = (Options::default(), Show::default());
    while let Some(arg) = parser.next().map_err(refusal)? {
        let option = option_name(&arg);
        let value = |parser: &mut Parser| match parser.value() {
            Ok(given) => Ok(Value { option: &option, given }),
            Err(error) => Err(refusal(error)),
        };
        match arg {
            Short('h') | Long("help") => return alone(Command::Help, &mut parser),
            Short('V') | Long("version") => return alone(Command::Version, &mut parser),

            Short('a') | Long("addr") => address = Some(value(&mut parser)?.orchestrator()?),
            Short('p') | Long("port") => port = Some(value(&mut parser)?.port()?),
            Short('f') | Long("file") => file = Some(value(&mut parser)?.file()?),
            Short('m') | Long("mode") => single = value(&mut parser)?.mode_is_single()?,
            Short('s') | Long("server") => server = Some(value(&mut parser)?.index()?),
            Short('b') | Long("bind") => options.bind = Some(value(&mut parser)?.address()?),
            Long("receiver-port") => options.receiver_port = value(&mut parser)?.port()?,

            Short('t') | Long("timeout") => options.first_timeout = value(&mut parser)?.seconds(TIMEOUT)?,
            Long("fixed-timeout") => options.fixed_timeout = true,
            Long("give-up") => options.give_up = value(&mut parser)?.seconds(GIVE_UP)?,
            Short('w') | Long("deadline") => options.deadline = Some(value(&mut parser)?.seconds(LONG_WAIT)?),
            Long("intent-timeout") => options.intent_timeout = value(&mut parser)?.seconds(LONG_WAIT)?,
            Long("intent-resend") => options.intent_resend = Some(value(&mut parser)?.seconds(RESEND)?),

            Long("latency") => options.latencies = Some(value(&mut parser)?.latencies()?),
            Long("no-failover") => options.failover = false,
            Long("rebalance") => options.rebalance = true,
            Long("compare") => compare = true,

            Long("json") => show.json = true,
            Long("progress") => show.progress = progress(&option, &mut parser)?,
            Short('q') | Long("quiet") => show.quiet = true,
            Short('v') | Long("verbose") => show.verbose = show.verbose.saturating_add(1),

            unknown => return Err(refusal(unknown.unexpected())),
        }
    }

    // `-p`, or else the port in `-a`.
    let port = port.or(address.map(|address: SocketAddr| address.port()).filter(|port| *port != 0));
    let (Some(mut orchestrator), Some(port), Some(file)) = (address, port, file.clone()) else {
        let required =
            [(address.is_some(), "-a ADDR"), (port.is_some(), "-p PORT"), (file.is_some(), "-f FILE")];
        let missing: Vec<_> = required.iter().filter_map(|(given, name)| (!given).then_some(*name)).collect();
        return Err(format!("missing required option: {}", missing.join(", ")));
    };
    orchestrator.set_port(port);
    if compare && single {
        return Err("--compare: runs both modes by itself; leave out -m 2".to_owned());
    }
    let mode = if single { Mode::Single(server.unwrap_or(1)) } else { Mode::Balance };
    options.trace = match show.verbose {
        0 => Trace::Off,
        1 => Trace::Timeouts,
        _ => Trace::Packets,
    };
    let unused_server = server.filter(|_| !single);
    Ok(Command::Send(Box::new(Args { orchestrator, file, mode, unused_server, options, show, compare })))
}

/// An option as the user wrote it, without its value.
fn option_name(arg: &Arg<'_>) -> String {
    match arg {
        Short(letter) => format!("-{letter}"),
        Long(name) => format!("--{name}"),
        Arg::Value(_) => String::new(),
    }
}

/// Help or version: no value, and no stray argument after it.
fn alone(command: Command, parser: &mut Parser) -> Result<Command, String> {
    match parser.next().map_err(refusal)? {
        Some(stray @ Arg::Value(_)) => Err(refusal(stray.unexpected())),
        _ => Ok(command),
    }
}

/// `--progress` alone means always. Since there are no positional arguments, its value may stand apart as well.
fn progress(option: &str, parser: &mut Parser) -> Result<ProgressWhen, String> {
    if let Some(given) = parser.optional_value() {
        let value = Value { option, given };
        return when(value.text()).ok_or_else(|| value.wrong("must be auto, always or never"));
    }
    let next = parser.try_raw_args().and_then(|mut rest| rest.next_if(|word| when(word.to_str()).is_some()));
    Ok(next.and_then(|word| when(word.to_str())).unwrap_or(ProgressWhen::Always))
}

fn when(word: Option<&str>) -> Option<ProgressWhen> {
    match word? {
        "auto" => Some(ProgressWhen::Auto),
        "always" => Some(ProgressWhen::Always),
        "never" => Some(ProgressWhen::Never),
        _ => None,
    }
}

/// What is wrong with the words themselves, whatever their options mean.
fn refusal(error: lexopt::Error) -> String {
    match error {
        MissingValue { option: Some(option) } => format!("{option}: requires a value"),
        UnexpectedOption(option) => format!("{}: unknown option", Escaped(&option)),
        UnexpectedArgument(stray) => {
            let stray = stray.to_string_lossy();
            format!("'{}': unexpected argument; the payload is named with -f", Escaped(&stray))
        }
        UnexpectedValue { option, value } => {
            Value { option: &option, given: value }.wrong("this option takes no value")
        }
        // Only conversions, which are not used here, fail in other ways; their texts would be some 600 bytes of the program.
        _ => "unreadable command line".to_owned(),
    }
}

#[cfg(test)]
mod tests;
