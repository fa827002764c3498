//! Transfers to scripted receivers, checked by their judge.

use super::child::{self, Cost};
use super::loopback::{Receiver, Script, Servers, Verdict};
use super::programs::Program;
use super::table::Spread;
use std::fs::File;
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Sends `file` to the script's receivers; an error unless every byte arrived.
pub fn transfer(program: &Program, script: Script, file: &Path, arguments: &[String]) -> io::Result<Cost> {
    let servers = Servers::try_start(script)?;
    let mut command = child::pinned(&program.path, None);
    child::send(&mut command, servers.orchestrator().port(), servers.receiver_port(), file);
    let cost = child::run(command.args(arguments))?.of_success()?;
    match servers.judge() {
        Some(transaction) if transaction.verdict != Verdict::Incomplete => Ok(cost),
        _ => Err(io::Error::other("the receivers have not got every byte")),
    }
}

/// The figure of each case over some rounds. The cases run in parallel, since they wait and do not work.
pub fn in_rounds<C: Sync>(
    rounds: u64,
    cases: &[C],
    figure: impl Fn(&C, u64) -> io::Result<f64> + Sync,
) -> io::Result<Vec<Spread>> {
    let mut spreads = vec![Spread::default(); cases.len()];
    for round in 0..rounds {
        let figures: Vec<io::Result<f64>> = thread::scope(|scope| {
            let figure = &figure;
            let threads: Vec<_> = cases.iter().map(|case| scope.spawn(move || figure(case, round))).collect();

            let join = |thread: thread::ScopedJoinHandle<_>| {
                thread.join().unwrap_or_else(|why| panic::resume_unwind(why))
            };
            threads.into_iter().map(join).collect()
        });
        for (figure, spread) in figures.into_iter().zip(&mut spreads) {
            spread.add(figure?);
        }
    }
    Ok(spreads)
}

/// `--latency` and its value.
pub fn latencies(latencies: &[Duration]) -> [String; 2] {
    let all: Vec<String> = latencies.iter().map(|l| format!("{:.6}", l.as_secs_f64() * 1000.0)).collect();
    ["--latency".to_owned(), all.join(",")]
}

/// Receivers that acknowledge after these times.
pub fn delayed(acks: impl IntoIterator<Item = Duration>) -> Script {
    let receiver = |(ack, n): (Duration, u32)| Receiver::named(format!("R{n}")).ack_delay(ack);
    Script::new().with(acks.into_iter().zip(1..).map(receiver))
}

/// A file of zeros that takes no room, removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn sparse(name: &str, bytes: u64) -> io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("mdalp-bench-{}-{name}", std::process::id()));
        File::create(&path)?.set_len(bytes)?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
