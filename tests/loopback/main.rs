//! MDALP servers, to try a client by hand: `cargo run --example loopback -- --help`.

#![allow(clippy::disallowed_methods, clippy::indexing_slicing, clippy::print_stderr, clippy::print_stdout)]

#[path = "mod.rs"]
mod loopback;

use lexopt::prelude::*;
use loopback::{Part, Script, Servers, Transaction, recorded, spec};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const USAGE: &str = "\
Usage: loopback [OPTION]...

An MDALP orchestrator on 127.0.0.1 and receivers on 127.0.0.2, 127.0.0.3, ..., to send files to from another
terminal. They assign transactions, acknowledge, and judge every transaction by what came.

Receivers (three with different delays, if none are named):
  --receivers N        N receivers that acknowledge immediately
  --receiver SPEC      one receiver in words, see below; may be given several times
  --profile recorded   the three receivers of the recorded transaction, with its delays and losses
  --scale S            divides the delays of the profile (1)
  --losses on|off      the four losses of the profile (on)
  --loss P             probability to lose a data packet, at every receiver, 0 to 1 (0)
  --ack-loss P         probability to lose an ack, at every receiver, 0 to 1 (0)
  --seed N             where chance begins (1)

Addresses:
  --port N             the orchestrator's port; 0: any free one (4650)
  --receiver-port N    the port of all receivers; 0: any free one (4650)
  --ipv6               everything on [::1], with one receiver, by default on port 4651
  --address ADDRESS    the orchestrator's address, for a laboratory's network; each receiver then needs an at=ADDRESS.
                       Nothing is authenticated: whoever can reach the servers can fill --limit bytes
  --ready-file PATH    when ready, gets one line: orchestrator address, its port, the receivers' port

Transactions:
  --expect FILE        judge a transaction as soon as the bytes of FILE have come
  --idle SEC           judge one that looks finished after SEC quiet seconds, any other after five times that (2)
  --one-at-a-time      keep clients waiting while a transaction is not judged
  --assign-after SEC   answer an intent this much later (0)
  --store DIR          write every payload to DIR/TID.bin
  --limit BYTES        keep at most this much of all payloads together; more is not acknowledged (1000000000)
  --fast               keep no payloads, and judge by lengths only, for measurements with large files
  --transactions N     end with exit status 0 after N judged transactions
  -h, --help           this text

SPEC is a list of words with commas between them:
";

const ENDING: &str = "
Each judged transaction is one line on standard output, TID, IP address, Status and Comments, with remarks and each
receiver's part below it. Exit status: 0 after N transactions, 1 a system's error, 2 a mistake in the command.
";

const PORTS: &str = "a port, 0 to 65535";
const SECONDS: &str = "a number of seconds, 0 to 1000000";

/// The port of orchestrator and receivers, which have addresses of their own.
const PORT: u16 = 4650;

struct Options {
    script: Script,
    receivers: usize,
    profile: bool,
    scale: f64,
    losses: bool,
    ready_file: Option<PathBuf>,
    expect: Option<PathBuf>,
    store: Option<PathBuf>,
    transactions: Option<u64>,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => return printed(io::stdout().write_all(help().as_bytes())),
        Err(error) => {
            eprintln!("loopback: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    printed(run(options))
}

fn help() -> String {
    format!("{USAGE}{}{ENDING}", spec::HELP)
}

/// Who closes our standard output has seen enough.
fn printed(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loopback: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    let script = Script {
        orchestrator_port: PORT,
        receiver_port: PORT,
        idle: Some(Duration::from_secs(2)),
        limit: 1_000_000_000,
        ..Script::new()
    };
    let mut options = Options {
        script,
        receivers: 0,
        profile: false,
        scale: 1.0,
        losses: true,
        ready_file: None,
        expect: None,
        store: None,
        transactions: None,
    };
    let mut receiver_port = None;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let script = &mut options.script;
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("receivers") => options.receivers = number(&mut parser, "--receivers", "a number")?,
            Long("receiver") => add_receiver(script, &parser.value()?.string()?)?,
            Long("profile") => options.profile = take(&mut parser, "--profile", profile, "'recorded'")?,
            Long("scale") => options.scale = take(&mut parser, "--scale", scale, "0.001 to 1000000")?,
            Long("losses") => options.losses = take(&mut parser, "--losses", on_or_off, "'on' or 'off'")?,
            Long("loss") => script.data_loss = take(&mut parser, "--loss", spec::probability, "0 to 1")?,
            Long("ack-loss") => {
                script.ack_loss = take(&mut parser, "--ack-loss", spec::probability, "0 to 1")?
            }
            Long("seed") => script.seed = number(&mut parser, "--seed", "a number")?,
            Long("port") => script.orchestrator_port = number(&mut parser, "--port", PORTS)?,
            Long("receiver-port") => receiver_port = Some(number(&mut parser, "--receiver-port", PORTS)?),
            Long("ipv6") => script.address = Ipv6Addr::LOCALHOST.into(),
            Long("address") => {
                script.address = take(&mut parser, "--address", spec::address, "an address of this host")?;
            }
            Long("ready-file") => options.ready_file = Some(parser.value()?.into()),
            Long("expect") => options.expect = Some(parser.value()?.into()),
            Long("idle") => script.idle = Some(take(&mut parser, "--idle", spec::seconds, SECONDS)?),
            Long("one-at-a-time") => script.one_at_a_time = true,
            Long("assign-after") => {
                script.answers[0].after = take(&mut parser, "--assign-after", spec::seconds, SECONDS)?;
            }
            Long("store") => options.store = Some(parser.value()?.into()),
            Long("limit") => script.limit = number(&mut parser, "--limit", "a number")?,
            Long("fast") => script.keep_payload = false,
            Long("transactions") => {
                options.transactions = Some(number(&mut parser, "--transactions", "a number")?);
            }
            other => return Err(other.unexpected()),
        }
    }
    let usual = if options.script.address == Ipv6Addr::LOCALHOST { PORT + 1 } else { PORT };
    options.script.receiver_port = receiver_port.unwrap_or(usual);
    options.check()?;
    Ok(Some(options))
}

/// The option's value, or an error that says what it must be.
fn take<T>(
    parser: &mut lexopt::Parser,
    option: &str,
    read: impl Fn(&str) -> Option<T>,
    must_be: &str,
) -> Result<T, lexopt::Error> {
    let value = parser.value()?.string()?;
    read(&value).ok_or_else(|| format!("option '{option}': '{value}' is not {must_be}").into())
}

fn number<T: std::str::FromStr>(
    parser: &mut lexopt::Parser,
    option: &str,
    must_be: &str,
) -> Result<T, lexopt::Error> {
    take(parser, option, |value| value.parse().ok(), must_be)
}

fn profile(value: &str) -> Option<bool> {
    (value == "recorded").then_some(true)
}

fn scale(value: &str) -> Option<f64> {
    value.parse().ok().filter(|scale| (0.001..=1e6).contains(scale))
}

fn on_or_off(value: &str) -> Option<bool> {
    ["off", "on"].iter().position(|word| *word == value).map(|position| position == 1)
}

fn add_receiver(script: &mut Script, words: &str) -> Result<(), lexopt::Error> {
    let name = format!("Receiver {}", script.receivers.len() + 1);
    let receiver = spec::parse(words, &name).map_err(|error| format!("option '--receiver': {error}"))?;
    *script = std::mem::take(script).receiver(receiver);
    Ok(())
}

impl Options {
    fn check(&self) -> Result<(), String> {
        let named = &self.script.receivers;
        let kinds = [self.receivers > 0, !named.is_empty(), self.profile];
        if kinds.iter().filter(|kind| **kind).count() > 1 {
            return Err("--receivers, --receiver and --profile exclude each other".into());
        }
        if !self.script.keep_payload && self.store.is_some() {
            return Err("--fast keeps no payloads that --store could write".into());
        }
        let reachable = !self.script.address.is_loopback();
        if reachable && (named.is_empty() || named.iter().any(|receiver| receiver.address.is_none())) {
            return Err("with --address every receiver needs an address: --receiver at=ADDRESS".into());
        }
        Ok(())
    }

    /// The story that the options tell.
    fn script(&mut self) -> io::Result<Script> {
        let mut script = std::mem::take(&mut self.script);
        if let Some(file) = &self.expect {
            script.expectation = Some(Arc::new(std::fs::read(file).map_err(at(file))?));
        }
        Ok(match (self.profile, self.receivers, script.receivers.len()) {
            (true, ..) => script.with(recorded::receivers(self.scale, self.losses)),
            (false, 0, 0) if script.address.is_ipv6() => script.receivers(1),
            (false, 0, 0) => script.with(recorded::receivers(20.0, false)),
            (false, 0, _) => script,
            (false, count, _) => script.receivers(count),
        })
    }
}

/// Says which file an error is about.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn run(mut options: Options) -> io::Result<()> {
    let script = options.script()?;
    if let Some(store) = &options.store {
        std::fs::create_dir_all(store).map_err(at(store))?;
    }
    let (limit, names) =
        (script.limit, script.receivers.iter().map(|receiver| receiver.name.clone()).collect());
    let servers = Servers::try_start(script)?;
    let mut out = io::stdout();
    out.write_all(welcome(&servers, names, limit).as_bytes())?;
    out.flush()?;
    if let Some(file) = &options.ready_file {
        write_ready(file, &servers).map_err(at(file))?;
    }
    let mut judged = 0;
    while options.transactions.is_none_or(|wanted| judged < wanted) {
        let Some(transaction) = servers.wait_judged(Duration::from_secs(3600)) else { continue };
        judged += 1;
        if let Some(store) = &options.store {
            let file = store.join(format!("{}.bin", transaction.tid));
            std::fs::write(&file, &transaction.payload).map_err(at(&file))?;
        }
        out.write_all(report(&transaction).as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// The first screen.
fn welcome(servers: &Servers, names: Vec<String>, limit: u64) -> String {
    const SHOWN: usize = 12;
    let (orchestrator, port) = (servers.orchestrator(), servers.receiver_port());
    let mut text = format!("MDALP orchestrator at {orchestrator}, receivers at port {port} of\n");
    for (address, name) in servers.receivers().iter().zip(&names).take(SHOWN) {
        let _ = writeln!(text, "  {:<15}  {}", address.ip(), name.escape_debug());
    }
    if names.len() > SHOWN {
        let _ = writeln!(text, "  and {} more", names.len() - SHOWN);
    }
    if !servers.receivers().iter().chain([&orchestrator]).all(|address| address.ip().is_loopback()) {
        let _ = writeln!(
            text,
            "Other hosts can reach these addresses, and nothing is authenticated: whoever does can make these servers\n\
             keep up to {limit} bytes (--limit), in memory and, with --store, on disk."
        );
    }
    let mut command = format!("{} -a {} -p {}", program(), orchestrator.ip(), orchestrator.port());
    if port != PORT {
        let _ = write!(command, " --receiver-port {port}");
    }
    if names.len() <= SHOWN {
        let latencies: Vec<String> = (0..names.len()).map(latency).collect();
        let _ = write!(command, " --latency {}", latencies.join(","));
    }
    let _ = write!(
        text,
        "\nIn another terminal, with any FILE:\n  {command} -f FILE\n\
         (--latency, milliseconds in list order, since on one machine a measured latency is noise)\n\
         Ctrl-C ends.\n\n{:<6}  {:<15}  {:<6}  Comments\n",
        "TID", "IP address", "Status"
    );
    text
}

/// The client that was built beside this program, if it was; else how to build and run it.
fn program() -> String {
    let beside = |exe: PathBuf| Some(exe.parent()?.parent()?.join("mdalp"));
    let built = std::env::current_exe().ok().and_then(beside).filter(|path| path.is_file());
    let Some(built) = built else { return "cargo run --release --".to_string() };
    let here = std::env::current_dir().unwrap_or_default();
    built.strip_prefix(&here).unwrap_or(&built).display().to_string()
}

/// Latencies to plan with: the recorded ones, over and over.
fn latency(receiver: usize) -> String {
    let us = recorded::LATENCIES_US[receiver % recorded::LATENCIES_US.len()];
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// Whole or not at all, so that a script that waits for the file never reads half a line.
fn write_ready(file: &Path, servers: &Servers) -> io::Result<()> {
    let (orchestrator, port) = (servers.orchestrator(), servers.receiver_port());
    let half = file.with_extension("part");
    std::fs::write(&half, format!("{} {} {port}\n", orchestrator.ip(), orchestrator.port()))?;
    std::fs::rename(&half, file)
}

fn report(transaction: &Transaction) -> String {
    let status = if transaction.completed() { "True" } else { "False" };
    let client = transaction.client.ip().to_string();
    let mut text = format!("{:<6}  {client:<15}  {status:<6}  {}\n", transaction.tid, transaction.verdict);
    for remark in &transaction.remarks {
        let _ = writeln!(text, "        remark: {}", remark.to_string().escape_debug());
    }
    let busy = transaction.parts.iter().filter(|part| part.counts.packets > 0);
    for part in busy {
        let _ = writeln!(text, "        {}", describe(part));
    }
    let _ = writeln!(text, "        {} bytes, {} data packets", transaction.length, transaction.packets());
    text
}

fn describe(part: &Part) -> String {
    let counts = &part.counts;
    let runs: Vec<String> = part.runs.iter().map(|run| format!("{}-{}", run.first, run.last)).collect();
    let seqs = if runs.is_empty() { "none".to_string() } else { runs.join(" ") };
    format!(
        "{:<15}  {}: {} bytes, SEQ {seqs}, {} packets, {} resent, {} acks",
        part.address.to_string(),
        part.name.escape_debug(),
        counts.bytes,
        counts.packets,
        part.retransmissions(),
        counts.acks
    )
}
