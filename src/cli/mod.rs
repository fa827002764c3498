//! The command line: what its words mean. Nothing is sent or printed here, so all of it is tested without a process.
//!
//! If an option is given twice the last one counts, as with curl. `-h` and `-V` count immediately, whatever options follow.

mod explain;
mod value;

use crate::options::{Mode, Options, Trace};
use crate::text::Escaped;
pub use explain::{Explained, local_hint};
use lexopt::Arg::{self, Long, Short};
use lexopt::Parser;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use value::{Bounds, SECOND, Value};

/// What `--help` prints: at most 80 columns, ending with a newline.
pub const HELP: &str = include_str!("help.txt");

/// What `--version` prints, without the newline: `mdalp 0.1.0`.
pub fn version() -> String {
    concat!("mdalp ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// What the user asked for.
#[derive(Debug)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Print [`version`].
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

/// What is wrong with a command line: one line, `what: why`, safe to print.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// `--timeout`.
const TIMEOUT: Bounds = Bounds { min: Duration::from_millis(1), max: Duration::from_secs(3600) };
/// `--give-up`.
const GIVE_UP: Bounds = Bounds { min: SECOND, max: Duration::from_secs(3600) };
/// `--deadline` and `--intent-timeout`: up to a week.
const LONG_WAIT: Bounds = Bounds { min: Duration::from_millis(1), max: Duration::from_secs(604_800) };
/// `--intent-resend`: each one may queue a transaction, so not many per second.
const INTENT_RESEND: Bounds = Bounds { min: Duration::from_millis(100), max: Duration::from_secs(604_800) };

/// Reads the arguments of a command line, the program's name not among them.
///
/// # Errors
///
/// The first thing that is wrong, in the order given; what is missing comes last.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(args);
    let mut raw = RawArgs::default();
    while let Some(arg) = parser.next().map_err(lexopt_error)? {
        let option = option_name(&arg);
        let value = |parser: &mut Parser| Value::of(option.clone(), parser);
        match arg {
            Short('h') | Long("help") => return alone(Command::Help, &mut parser),
            Short('V') | Long("version") => return alone(Command::Version, &mut parser),

            Short('a') | Long("addr") => raw.address = Some(value(&mut parser)?.orchestrator()?),
            Short('p') | Long("port") => raw.port = Some(value(&mut parser)?.port()?),
            Short('f') | Long("file") => raw.file = Some(value(&mut parser)?.file()?),
            Short('m') | Long("mode") => raw.single = value(&mut parser)?.mode_is_single()?,
            Short('s') | Long("server") => raw.server = Some(value(&mut parser)?.index()?),
            Short('b') | Long("bind") => raw.options.bind = Some(value(&mut parser)?.address()?),
            Long("receiver-port") => raw.options.receiver_port = value(&mut parser)?.port()?,

            Short('t') | Long("timeout") => {
                raw.options.first_timeout = value(&mut parser)?.seconds(TIMEOUT)?;
            }
            Long("fixed-timeout") => raw.options.fixed_timeout = true,
            Long("give-up") => raw.options.give_up = value(&mut parser)?.seconds(GIVE_UP)?,
            Short('w') | Long("deadline") => {
                raw.options.deadline = Some(value(&mut parser)?.seconds(LONG_WAIT)?);
            }
            Long("intent-timeout") => {
                raw.options.intent_timeout = value(&mut parser)?.seconds(LONG_WAIT)?;
            }
            Long("intent-resend") => {
                raw.options.intent_resend = Some(value(&mut parser)?.seconds(INTENT_RESEND)?);
            }

            Long("latency") => raw.options.latencies = Some(value(&mut parser)?.latencies()?),
            Long("no-failover") => raw.options.failover = false,
            Long("rebalance") => raw.options.rebalance = true,
            Long("compare") => raw.compare = true,

            Long("json") => raw.show.json = true,
            Long("progress") => raw.show.progress = progress(option, &mut parser)?,
            Short('q') | Long("quiet") => raw.show.quiet = true,
            Short('v') | Long("verbose") => raw.show.verbose = raw.show.verbose.saturating_add(1),

            Arg::Value(stray) => return Err(stray_argument(&stray)),
            Short(_) | Long(_) => return Err(UsageError(format!("{option}: unknown option"))),
        }
    }
    raw.args().map(|args| Command::Send(Box::new(args)))
}

/// The options so far.
#[derive(Default)]
struct RawArgs {
    /// With port 0 if none was in it.
    address: Option<SocketAddr>,
    port: Option<u16>,
    file: Option<OsString>,
    single: bool,
    server: Option<usize>,
    options: Options,
    show: Show,
    compare: bool,
}

impl RawArgs {
    /// All of them, if they make sense together.
    fn args(self) -> Result<Args, UsageError> {
        let (Some(mut orchestrator), Some(port), Some(file)) = (self.address, self.port(), self.file.clone())
        else {
            return Err(self.missing());
        };
        orchestrator.set_port(port);
        if self.compare && self.single {
            return Err(UsageError("--compare: runs both modes by itself; leave out -m 2".to_owned()));
        }
        let mode = if self.single { Mode::Single(self.server.unwrap_or(1)) } else { Mode::Balance };
        let trace = match self.show.verbose {
            0 => Trace::Off,
            1 => Trace::Timeouts,
            _ => Trace::Packets,
        };
        Ok(Args {
            orchestrator,
            file,
            mode,
            unused_server: self.server.filter(|_| !self.single),
            options: Options { trace, ..self.options },
            show: self.show,
            compare: self.compare,
        })
    }

    /// `-p`, or else the port in `-a`.
    fn port(&self) -> Option<u16> {
        self.port.or_else(|| self.address.map(|address| address.port()).filter(|port| *port != 0))
    }

    /// Names every required option that was not given.
    fn missing(&self) -> UsageError {
        let required = [
            (self.address.is_none(), "-a ADDR"),
            (self.port().is_none(), "-p PORT"),
            (self.file.is_none(), "-f FILE"),
        ];
        let missing: Vec<&str> =
            required.iter().filter(|(missing, _)| *missing).map(|(_, name)| *name).collect();
        UsageError(format!("missing required option: {}", missing.join(", ")))
    }
}

/// An option as the user wrote it, without its value, safe to print.
fn option_name(arg: &Arg<'_>) -> String {
    match arg {
        Short(letter) => Escaped(&format!("-{letter}")).to_string(),
        Long(name) => Escaped(&format!("--{name}")).to_string(),
        Arg::Value(_) => String::new(),
    }
}

/// Help or version: no value, and no stray argument after it.
fn alone(command: Command, parser: &mut Parser) -> Result<Command, UsageError> {
    match parser.next() {
        Ok(Some(Arg::Value(stray))) => Err(stray_argument(&stray)),
        Err(error) => Err(lexopt_error(error)),
        Ok(_) => Ok(command),
    }
}

/// `--progress` alone means always. Since there are no positional arguments, its value may stand apart as well.
fn progress(option: String, parser: &mut Parser) -> Result<ProgressWhen, UsageError> {
    if let Some(given) = parser.optional_value() {
        let value = Value::new(option, given);
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

fn stray_argument(stray: &OsStr) -> UsageError {
    let stray = stray.to_string_lossy();
    UsageError(format!("'{}': unexpected argument; the payload is named with -f", Escaped(&stray)))
}

/// What lexopt itself finds: a value where none belongs. For missing values see [`Value::of`].
fn lexopt_error(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            Value::new(Escaped(&option).to_string(), value).wrong("this option takes no value")
        }
        other => UsageError(Escaped(&other.to_string()).to_string()),
    }
}

#[cfg(test)]
mod tests;
