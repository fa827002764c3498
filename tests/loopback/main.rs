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

Addresses:
  --port N             the orchestrator's port; 0: any free one (4650)
  --receiver-port N    the port of all receivers; 0: any free one (4650)
  --address ADDRESS    the orchestrator's address: ::1 for IPv6, where there is room for one receiver, by default on
                       port 4651; or one in a laboratory's network, where each receiver then needs an at=ADDRESS.
                       Nothing is authenticated: whoever can reach the servers can fill --limit bytes
  --ready-file PATH    when ready, gets one line: orchestrator address, its port, the receivers' port

Transactions:
  --expect FILE        judge a transaction as soon as the bytes of FILE have come
  --idle SEC           judge one that looks finished after SEC quiet seconds, any other after five times that (2)
  --store DIR          write every payload to DIR/TID.bin
  --limit BYTES        keep at most this much of all payloads together; more is not acknowledged (1000000000)
  --transactions N     end with exit status 0 after N judged transactions
  -h, --help           this text

SPEC is a list of words with commas between them:
";

const ENDING: &str = "
Each judged transaction is one line on standard output, TID, IP address, Status and Comments, with remarks and each
receiver's part below it. Exit status: 0 after N transactions, 1 a system's error, 2 a mistake in the command.
";

/// The port of orchestrator and receivers, which have separate addresses.
const PORT: u16 = 4650;

struct Options {
    script: Script,
    ready_file: Option<PathBuf>,
    expect: Option<PathBuf>,
    store: Option<PathBuf>,
    transactions: u64,
}

fn main() -> ExitCode {
    let result = match parse() {
        Ok(Some(options)) => run(options),
        Ok(None) => write!(io::stdout(), "{USAGE}{}{ENDING}", spec::help()),
        Err(error) => {
            eprintln!("loopback: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match result {
        // Whoever closes our standard output has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("loopback: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn parse() -> Result<Option<Options>, lexopt::Error> {
    let mut script = Script {
        orchestrator_port: PORT,
        idle: Some(Duration::from_secs(2)),
        limit: 1_000_000_000,
        ..Script::new()
    };
    let (mut profile, mut scale, mut receiver_port) = (false, 1.0, None);
    let (mut ready_file, mut expect, mut store, mut transactions) = (None, None, None, u64::MAX);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("receivers") => script = script.receivers(parser.value()?.parse()?),
            Long("receiver") => {
                let name = format!("Receiver {}", script.receivers.len() + 1);
                script = script.receiver(parser.value()?.parse_with(|words| spec::parse(words, &name))?);
            }
            Long("profile") => {
                profile = parser.value()?.parse_with(|name| match name {
                    "recorded" => Ok(true),
                    _ => Err("the only profile is 'recorded'"),
                })?;
            }
            Long("scale") => scale = parser.value()?.parse_with(divisor)?,
            Long("port") => script.orchestrator_port = parser.value()?.parse()?,
            Long("receiver-port") => receiver_port = Some(parser.value()?.parse()?),
            Long("address") => {
                let address = |text: &str| spec::address(text).ok_or("not an address of this host");
                script.address = parser.value()?.parse_with(address)?;
            }
            Long("ready-file") => ready_file = Some(PathBuf::from(parser.value()?)),
            Long("expect") => expect = Some(PathBuf::from(parser.value()?)),
            Long("idle") => {
                let seconds = |text: &str| spec::seconds(text).ok_or("not 0 to 1000000 seconds");
                script.idle = Some(parser.value()?.parse_with(seconds)?);
            }
            Long("store") => store = Some(PathBuf::from(parser.value()?)),
            Long("limit") => script.limit = parser.value()?.parse()?,
            Long("transactions") => transactions = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    let is_ipv6 = script.address == Ipv6Addr::LOCALHOST;
    script.receiver_port = receiver_port.unwrap_or(if is_ipv6 { PORT + 1 } else { PORT });
    if profile {
        script = script.with(recorded::receivers(scale, true));
    }
    if !script.address.is_loopback()
        && (script.receivers.is_empty() || script.receivers.iter().any(|r| r.address.is_none()))
    {
        return Err("with --address every receiver needs an address: --receiver at=ADDRESS".into());
    }
    if script.receivers.is_empty() {
        script = if is_ipv6 { script.receivers(1) } else { script.with(recorded::receivers(20.0, false)) };
    }
    Ok(Some(Options { script, ready_file, expect, store, transactions }))
}

fn divisor(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|scale| (0.001..=1e6).contains(scale)).ok_or("not 0.001 to 1000000")
}

/// Says which file an error is about.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn run(options: Options) -> io::Result<()> {
    let Options { mut script, ready_file, expect, store, transactions } = options;
    if let Some(file) = &expect {
        script.expectation = Some(Arc::new(std::fs::read(file).map_err(at(file))?));
    }
    if let Some(store) = &store {
        std::fs::create_dir_all(store).map_err(at(store))?;
    }
    let servers = Servers::try_start(script)?;
    let mut out = io::stdout();
    out.write_all(welcome(&servers).as_bytes())?;
    out.flush()?;
    if let Some(file) = &ready_file {
        write_ready(file, &servers).map_err(at(file))?;
    }
    let mut judged = 0;
    while judged < transactions {
        let Some(transaction) = servers.wait_judged(Duration::from_secs(3600)) else { continue };
        judged += 1;
        if let Some(store) = &store {
            let file = store.join(format!("{}.bin", transaction.tid));
            std::fs::write(&file, &transaction.payload).map_err(at(&file))?;
        }
        out.write_all(report(&transaction).as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// The first screen.
fn welcome(servers: &Servers) -> String {
    let (orchestrator, port, script) = (servers.orchestrator(), servers.receiver_port(), servers.script());
    let mut text = format!("MDALP orchestrator at {orchestrator}, receivers at port {port} of\n");
    for (address, receiver) in servers.receivers().iter().zip(&script.receivers) {
        let _ = writeln!(text, "  {:<15}  {}", address.ip(), receiver.name.escape_debug());
    }
    if !servers.receivers().iter().chain([&orchestrator]).all(|address| address.ip().is_loopback()) {
        let _ = writeln!(
            text,
            "Other hosts can reach these addresses, and nothing is authenticated: whoever does can make these servers\n\
             keep up to {} bytes (--limit), in memory and, with --store, on disk.",
            script.limit
        );
    }
    let latencies: Vec<String> = (0..script.receivers.len()).map(latency).collect();
    let _ = write!(
        text,
        "\nIn another terminal, with any FILE:\n  \
         cargo run --release -- -a {} -p {} --receiver-port {port} --latency {} -f FILE\n\
         (--latency, milliseconds in list order, since on one machine a measured latency is noise)\n\
         Ctrl-C ends.\n\n{:<6}  {:<15}  {:<6}  Comments\n",
        orchestrator.ip(),
        orchestrator.port(),
        latencies.join(","),
        "TID",
        "IP address",
        "Status"
    );
    text
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
    for part in transaction.parts.iter().filter(|part| part.counts.packets > 0) {
        let _ = writeln!(text, "        {}", describe(part));
    }
    let (bytes, packets) = (transaction.payload.len(), transaction.packets());
    let _ = writeln!(text, "        {bytes} bytes, {packets} data packets");
    text
}

fn describe(part: &Part) -> String {
    let counts = &part.counts;
    let runs: Vec<String> = part.runs.iter().map(|run| format!("{}-{}", run.start(), run.end())).collect();
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
