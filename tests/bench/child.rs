//! Runs a child process and says what it cost: time, CPU, peak memory.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a child is looked at. The kernel keeps the sums and the peak, so that only its last moments are missed.
const LOOK: Duration = Duration::from_millis(2);

/// A tick of the kernel's accounts: USER_HZ is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// What a run cost.
#[derive(Clone, Debug)]
pub struct Cost {
    /// From before it was started to after it was gone.
    pub elapsed: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Peak resident memory in KiB.
    pub peak_kib: u64,
    /// Its exit status; -1 if a signal ended it.
    pub status: i32,
    /// What it said on standard error.
    pub said: String,
}

impl Cost {
    /// The cost of a run that must have succeeded.
    pub fn of_success(self) -> io::Result<Cost> {
        match self.status {
            0 => Ok(self),
            status => {
                Err(io::Error::other(format!("a measured program ended with {status}: {}", self.said.trim())))
            }
        }
    }
}

/// Runs it to its end, without input and output, and looks at it all the while. Where the CPU time counts, only one child
/// may run at a time.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let ticks_before = cpu_of_children()?;
    let start = Instant::now();
    let mut child = command.spawn()?;
    let said = child.stderr.take();
    let (pid, gone) = (child.id(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watch = scope.spawn(|| watch(pid, &gone));
        let mut text = Vec::new();
        let read = said.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut text));
        let status = child.wait();
        let elapsed = start.elapsed();
        gone.store(true, Ordering::Relaxed);
        read?;
        let (cpu, peak_kib) = watch.join().unwrap_or_default();
        // On a busy machine the last look may have come too early; the coarse account misses nothing.
        let ticks = cpu_of_children()?.saturating_sub(ticks_before);
        let cpu = if cpu + 2 * TICK < ticks { ticks } else { cpu };
        let said = String::from_utf8_lossy(&text).into_owned();
        Ok(Cost { elapsed, cpu, peak_kib, status: status?.code().unwrap_or(-1), said })
    })
}

/// Adds where to send what.
pub fn send(command: &mut Command, orchestrator: u16, receivers: u16, file: &Path) {
    let (port, receiver_port) = (orchestrator.to_string(), receivers.to_string());
    command.args(["-a", "127.0.0.1", "-p", &port, "--receiver-port", &receiver_port, "-f"]).arg(file);
}

/// A command on one CPU only, if one is named.
pub fn pinned(program: &Path, pin: Option<usize>) -> Command {
    match pin {
        None => Command::new(program),
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &cpu.to_string()]).arg(program);
            command
        }
    }
}

/// A child that ends when this does.
pub struct Kept(pub Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Adds up what each thread of the child has run for, in nanoseconds, where the accounts of ended children are in ticks of
/// 10 ms; threads that have ended count as they were last seen. Until the child is gone: its CPU time and peak memory in KiB.
fn watch(pid: u32, gone: &AtomicBool) -> (Duration, u64) {
    let mut threads: HashMap<String, u64> = HashMap::new();
    let mut peak_kib = 0;
    while !gone.load(Ordering::Relaxed) {
        let start = Instant::now();
        // The peak itself never falls, but the first looks may find what comes before exec: this program, or taskset.
        peak_kib = peak_of(pid).unwrap_or(peak_kib);
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let name = task.file_name().to_string_lossy().into_owned();
            let known = threads.entry(name).or_default();
            *known = runtime_of(&task.path()).unwrap_or(0).max(*known);
        }
        // A look at a thousand threads takes a while, and must not become a load itself.
        thread::sleep(LOOK.max(start.elapsed() * 10));
    }
    (Duration::from_nanos(threads.values().sum()), peak_kib)
}

/// VmHWM in KiB.
fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// Nanoseconds on a processor, the first number of schedstat.
fn runtime_of(task: &Path) -> Option<u64> {
    let stat = std::fs::read_to_string(task.join("schedstat")).ok()?;
    stat.split_whitespace().next()?.parse().ok()
}

/// User and system time of all children that were waited for, in ticks.
fn cpu_of_children() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // After the name, which is in brackets and may have blanks: state is field 3, cutime and cstime are 16 and 17.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(13).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}
