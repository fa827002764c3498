//! The command line: what the words of an invocation mean. Nothing is opened, sent or printed here, so that all of
//! it is tested without a process.
//!
//! Where the same option comes twice the last one counts, as with curl. `-h` and `-V` count at once, whatever
//! comes after them.

mod value;

use crate::options::{Mode, Options, Trace};
use crate::text::Escaped;
use lexopt::Arg::{self, Long, Short};
use lexopt::Parser;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
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
    Send(Box<Invocation>),
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressWhen {
    /// If standard error is a terminal.
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// A command line that sends something.
#[derive(Debug)]
pub struct Invocation {
    /// The orchestrator.
    pub orchestrator: SocketAddr,
    /// The payload's file name; `-` is standard input.
    pub file: OsString,
    /// How the payload is shared out.
    pub mode: Mode,
    /// What the library is to be told. `trace` follows from `verbose`; `progress` is left to the caller, who knows
    /// whether standard error is a terminal.
    pub options: Options,
    /// How often `-v` was given.
    pub verbose: u8,
    /// No report and no progress.
    pub quiet: bool,
    /// When to show progress. `--quiet` has turned [`ProgressWhen::Auto`] into [`ProgressWhen::Never`].
    pub progress: ProgressWhen,
    /// Events as JSON on standard output.
    pub json: bool,
    /// Compare mode 1 with each receiver alone.
    pub compare: bool,
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
const TIMEOUT: Bounds = Bounds { least: Duration::from_millis(1), most: Duration::from_secs(3600) };
/// `--give-up`.
const GIVE_UP: Bounds = Bounds { least: SECOND, most: Duration::from_secs(3600) };
/// `--deadline` and `--intent-timeout`: up to a week.
const LONG_WAIT: Bounds = Bounds { least: Duration::from_millis(1), most: Duration::from_secs(604_800) };
/// `--intent-resend`: each one may queue a transaction, so not too many a second.
const INTENT_RESEND: Bounds =
    Bounds { least: Duration::from_millis(100), most: Duration::from_secs(604_800) };

/// Reads the arguments of a command line, the program's name not among them.
///
/// # Errors
///
/// The first thing that is wrong, in the order given; what is missing comes last.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(args);
    let mut words = Words::default();
    while let Some(arg) = parser.next().map_err(lexical)? {
        let option = spelled(&arg);
        let value = |parser: &mut Parser| Value::of(option.clone(), parser);
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Short('V') | Long("version") => return Ok(Command::Version),

            Short('a') | Long("addr") => words.address = Some(value(&mut parser)?.orchestrator()?),
            Short('p') | Long("port") => words.port = Some(value(&mut parser)?.port()?),
            Short('f') | Long("file") => words.file = Some(value(&mut parser)?.file()?),
            Short('m') | Long("mode") => words.single = value(&mut parser)?.mode_is_single()?,
            Short('s') | Long("server") => words.server = Some(value(&mut parser)?.index()?),
            Short('b') | Long("bind") => words.options.bind = Some(value(&mut parser)?.address()?),
            Long("receiver-port") => words.options.receiver_port = value(&mut parser)?.port()?,

            Short('t') | Long("timeout") => {
                words.options.first_timeout = value(&mut parser)?.seconds(TIMEOUT)?;
            }
            Long("fixed-timeout") => words.options.fixed_timeout = true,
            Long("give-up") => words.options.give_up = value(&mut parser)?.seconds(GIVE_UP)?,
            Short('w') | Long("deadline") => {
                words.options.deadline = Some(value(&mut parser)?.seconds(LONG_WAIT)?);
            }
            Long("intent-timeout") => {
                words.options.intent_timeout = value(&mut parser)?.seconds(LONG_WAIT)?;
            }
            Long("intent-resend") => {
                words.options.intent_resend = Some(value(&mut parser)?.seconds(INTENT_RESEND)?);
            }

            Long("latency") => words.options.latencies = Some(value(&mut parser)?.latencies()?),
            Long("no-failover") => words.options.failover = false,
            Long("rebalance") => words.options.rebalance = true,
            Long("compare") => words.compare = true,

            Long("json") => words.json = true,
            Long("progress") => words.progress = Some(progress(option, &mut parser)?),
            Short('q') | Long("quiet") => words.quiet = true,
            Short('v') | Long("verbose") => words.verbose = words.verbose.saturating_add(1),

            Arg::Value(stray) => return Err(stray_argument(&stray)),
            Short(_) | Long(_) => return Err(UsageError(format!("{option}: unknown option"))),
        }
    }
    words.invocation().map(|invocation| Command::Send(Box::new(invocation)))
}

/// What the words said so far.
#[derive(Default)]
struct Words {
    address: Option<IpAddr>,
    port: Option<u16>,
    file: Option<OsString>,
    single: bool,
    server: Option<usize>,
    options: Options,
    verbose: u8,
    quiet: bool,
    progress: Option<ProgressWhen>,
    json: bool,
    compare: bool,
}

impl Words {
    /// All of them together, if they make sense together.
    fn invocation(self) -> Result<Invocation, UsageError> {
        let (Some(address), Some(port), Some(file)) = (self.address, self.port, self.file.clone()) else {
            return Err(self.missing());
        };
        if self.compare && self.single {
            return Err(UsageError("--compare: runs both modes by itself; leave out -m 2".to_owned()));
        }
        let mode = if self.single { Mode::Single(self.server.unwrap_or(1)) } else { Mode::Balance };
        let progress = match self.progress.unwrap_or(ProgressWhen::Auto) {
            ProgressWhen::Auto if self.quiet => ProgressWhen::Never,
            when => when,
        };
        let trace = match self.verbose {
            0 => Trace::Off,
            1 => Trace::Timeouts,
            _ => Trace::Packets,
        };
        Ok(Invocation {
            orchestrator: SocketAddr::new(address, port),
            file,
            mode,
            options: Options { trace, ..self.options },
            verbose: self.verbose,
            quiet: self.quiet,
            progress,
            json: self.json,
            compare: self.compare,
        })
    }

    /// Names every required option that was not given.
    fn missing(&self) -> UsageError {
        let required = [
            (self.address.is_none(), "-a ADDR"),
            (self.port.is_none(), "-p PORT"),
            (self.file.is_none(), "-f FILE"),
        ];
        let missing: Vec<&str> =
            required.iter().filter(|(missing, _)| *missing).map(|(_, name)| *name).collect();
        UsageError(format!("required option missing: {}", missing.join(", ")))
    }
}

/// An option as the user wrote it, without its value, safe to print.
fn spelled(arg: &Arg<'_>) -> String {
    match arg {
        Short(letter) => Escaped(&format!("-{letter}")).to_string(),
        Long(name) => Escaped(&format!("--{name}")).to_string(),
        Arg::Value(_) => String::new(),
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

/// What lexopt itself finds: a value where none belongs. (It finds missing values, too: see [`Value::of`].)
fn lexical(error: lexopt::Error) -> UsageError {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            Value::new(Escaped(&option).to_string(), value).wrong("this option takes no value")
        }
        other => UsageError(Escaped(&other.to_string()).to_string()),
    }
}

#[cfg(test)]
mod tests;
