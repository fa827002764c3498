//! One transfer to scripted receivers, checked by their judge.

use super::child::{self, Cost};
use super::loopback::{Script, Servers, Verdict};
use super::programs::Program;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Sends `file` to the script's receivers; an error unless every byte arrived.
pub fn transfer(program: &Program, script: Script, file: &Path, arguments: &[String]) -> io::Result<Cost> {
    let servers = Servers::try_start(script)?;
    let mut command =
        child::mdalp(program, None, servers.orchestrator().port(), servers.receiver_port(), file);
    let cost = child::run(command.args(arguments))?.of_success()?;
    match servers.judge() {
        Some(transaction) if transaction.verdict != Verdict::Incomplete => Ok(cost),
        _ => Err(io::Error::other("the receivers have not got every byte")),
    }
}

/// Runs all of them side by side, since they wait and do not work; the results in their order.
pub fn side_by_side<T: Send>(jobs: Vec<impl FnOnce() -> io::Result<T> + Send>) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = jobs.into_iter().map(|job| scope.spawn(job)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, io::Result<T>>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a measuring thread panicked")))
        };
        threads.into_iter().map(join).collect()
    })
}

/// `--latency` and its value.
pub fn latencies(latencies: &[Duration]) -> [String; 2] {
    let all: Vec<String> = latencies.iter().map(|l| format!("{:.6}", l.as_secs_f64() * 1000.0)).collect();
    ["--latency".to_owned(), all.join(",")]
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
