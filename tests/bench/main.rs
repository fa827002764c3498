//! How close the client comes to what stop-and-wait allows: `make bench`, or `cargo run --release --example bench -- --help`.
//!
//! The built programs are measured as child processes, never the library. What is compared runs in turn, in the same
//! minute on the same machine; a table shows the median of the ratios and their range.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::print_stderr, clippy::print_stdout)]

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
use programs::Program;
use std::io;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: bench [OPTION]...

Measures the built mdalp against a bare socket loop and against the bounds of stop-and-wait, on loopback.

  --only PART        one part: raw, bound, loss, scale or size; may be given several times
  --quick            fewer repetitions and smaller payloads: a first look, no figures to quote
  -h, --help         this text

raw    packets a second and CPU a packet, as ratios to a bare send/recv loop with the same receiver, on the last processor
bound  time of the recorded transaction's delays, ten times faster, as a ratio to the bound of its split
loss   time under losses each way, as a ratio to the bound times the expected transmissions
scale  time, CPU a packet and peak memory by receivers and by payload
size   bytes and user instructions a packet of every program in the target directory

Exit status: 0 measured, 1 a system's error or a transfer that failed, 2 a mistake in the command.
";

/// What all parts measure.
struct Options {
    quick: bool,
    /// The processor that what must not be disturbed is pinned to.
    cpu: usize,
    /// The dynamic program, and the static ones for this processor.
    programs: Vec<Program>,
}

type Part = fn(&Options) -> io::Result<()>;

const PARTS: [(&str, Part); 5] = [
    ("raw", raw::measure),
    ("bound", bound::measure),
    ("loss", loss::measure),
    ("scale", scale::measure),
    ("size", size::measure),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        // Separate processes.
        Some((word, rest)) if word == "echo" => echo::serve(rest),
        Some((word, rest)) if word == "loop" => raw::bare_loop(rest),
        _ => match parse(&args) {
            Ok(Some((parts, quick))) => measure(&parts, quick),
            Ok(None) => {
                print!("{USAGE}");
                Ok(())
            }
            Err(error) => {
                eprintln!("bench: {error}; try --help");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The parts to measure, and whether quickly.
fn parse(args: &[String]) -> Result<Option<(Vec<Part>, bool)>, lexopt::Error> {
    let (mut parts, mut quick) = (Vec::new(), false);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => parts.push(parser.value()?.parse_with(part)?),
            Long("quick") => quick = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if parts.is_empty() {
        parts.extend(PARTS.map(|(_, part)| part));
    }
    Ok(Some((parts, quick)))
}

fn part(name: &str) -> Result<Part, &'static str> {
    let known = PARTS.iter().find(|(word, _)| *word == name);
    known.map(|(_, part)| *part).ok_or("the parts are raw, bound, loss, scale and size")
}

fn measure(parts: &[Part], quick: bool) -> io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let mut programs = programs::built()?;
    programs.retain(|program| program.is_native() && !program.name.starts_with("tiny"));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("{cores} cores, Linux {}; medians (and the range) of ratios\n", kernel.trim());
    if quick {
        println!("A quick look: no figures to quote.\n");
    }
    if programs.len() < 2 {
        println!("There is no static build to measure: run 'make static' first.\n");
    }
    let options = Options { quick, cpu: cores - 1, programs };
    parts.iter().try_for_each(|part| part(&options))
}
