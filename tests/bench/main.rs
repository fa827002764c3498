//! How close the client comes to what stop-and-wait allows: `make bench`, or `cargo run --release --example bench -- --help`.
//!
//! The built programs are measured as child processes, never the library. What is compared runs in turn, in the same
//! minute on the same machine; a table shows the median of the ratios and their range.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::print_stdout)]

mod bound;
mod child;
mod echo;
#[path = "../loopback/mod.rs"]
mod loopback;
mod loss;
mod programs;
mod raw;
mod scale;
mod size;
mod table;
mod transfer;

use lexopt::prelude::*;
use programs::Programs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: bench [OPTION]...

Measures the built mdalp against a bare socket loop and against the bounds of stop-and-wait, on loopback.

  --only PART        one part: raw, bound, loss, scale or size; may be given several times
  --quick            fewer repetitions and smaller payloads: a first look, no figures to quote
  --ordinary PATH    the dynamic program [beside this one]
  --static PATH      the static program [the newest one beside this one]
  --cpu N            the processor that everything of `raw` is pinned to [the last one]
  -h, --help         this text

raw    packets a second and CPU a packet, as ratios to a bare send/recv loop with the same receiver
bound  time of the recorded transaction's delays, ten times faster, as a ratio to the bound of its split
loss   time under losses each way, as a ratio to the bound times the expected transmissions
scale  time, CPU a packet and peak memory by receivers and by payload
size   bytes and user instructions a packet of every program in the target directory

Exit status: 0 measured, 1 a system's error or a transfer that failed, 2 a mistake in the command.
";

/// What to measure.
struct Options {
    quick: bool,
    cpu: usize,
    programs: Programs,
}

struct Words {
    parts: Vec<Part>,
    quick: bool,
    ordinary: Option<PathBuf>,
    stat: Option<PathBuf>,
    cpu: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Raw,
    Bound,
    Loss,
    Scale,
    Size,
}

const PARTS: [(&str, Part); 5] = [
    ("raw", Part::Raw),
    ("bound", Part::Bound),
    ("loss", Part::Loss),
    ("scale", Part::Scale),
    ("size", Part::Size),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Pinned processes of its own.
    let helper = match args.split_first() {
        Some((word, rest)) if word == "echo" => Some(echo::serve(rest)),
        Some((word, rest)) if word == "loop" => Some(raw::bare_loop(rest)),
        _ => None,
    };
    let outcome = match (helper, words(&args)) {
        (Some(done), _) => done,
        (None, Ok(Some(words))) => measure(words),
        (None, Ok(None)) => {
            print!("{USAGE}");
            Ok(())
        }
        (None, Err(error)) => {
            eprintln!("bench: {error}; try --help");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: Words) -> io::Result<()> {
    let last_cpu = std::thread::available_parallelism()?.get() - 1;
    let options = Options {
        quick: words.quick,
        cpu: words.cpu.unwrap_or(last_cpu),
        programs: Programs::find(words.ordinary, words.stat)?,
    };
    table::heading(&options)?;
    for part in words.parts {
        match part {
            Part::Raw => raw::measure(&options)?,
            Part::Bound => bound::measure(&options)?,
            Part::Loss => loss::measure(&options)?,
            Part::Scale => scale::measure(&options)?,
            Part::Size => size::measure()?,
        }
    }
    Ok(())
}

fn words(args: &[String]) -> Result<Option<Words>, lexopt::Error> {
    let mut words = Words { parts: Vec::new(), quick: false, ordinary: None, stat: None, cpu: None };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => words.parts.push(parser.value()?.parse_with(part)?),
            Long("quick") => words.quick = true,
            Long("ordinary") => words.ordinary = Some(parser.value()?.into()),
            Long("static") => words.stat = Some(parser.value()?.into()),
            Long("cpu") => words.cpu = Some(parser.value()?.parse()?),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if words.parts.is_empty() {
        words.parts = PARTS.iter().map(|(_, part)| *part).collect();
    }
    Ok(Some(words))
}

fn part(name: &str) -> Result<Part, &'static str> {
    let known = PARTS.iter().find(|(word, _)| *word == name);
    known.map(|(_, part)| *part).ok_or("the parts are raw, bound, loss, scale and size")
}
