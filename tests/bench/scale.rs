//! How time, CPU and memory grow with the receivers and with the payload.

use super::Options;
use super::child::{self, Cost};
use super::echo::Echo;
use super::loopback::{Receiver, Script, Servers, ms};
use super::programs::Program;
use super::table::{Spread, Table};
use super::transfer::{Scratch, latencies, transfer};
use std::io;
use std::process::Command;
use std::time::Duration;

const ACK_DELAY: Duration = Duration::from_millis(100);
const PACKETS_EACH: u32 = 10;

pub fn measure(options: &Options) -> io::Result<()> {
    by_receivers(options)?;
    by_payload(options)?;
    by_descriptors(options)
}

/// What the rounds of one line came to.
#[derive(Default)]
struct Line {
    time: Spread,
    cpu: Spread,
    peak: Spread,
}

impl Line {
    fn add(&mut self, cost: &Cost, bound: Duration, packets: f64) {
        self.time.add(cost.elapsed.as_secs_f64() / bound.as_secs_f64());
        self.cpu.add(cost.cpu.as_secs_f64() * 1e6 / packets);
        self.peak.add(cost.peak_kib as f64 / 1024.0);
    }
}

fn by_receivers(options: &Options) -> io::Result<()> {
    let (counts, rounds): (&[usize], _) =
        if options.quick { (&[3, 100], 1) } else { (&[3, 10, 30, 100, 300, 1000], 3) };
    println!(
        "scale: receivers that acknowledge after {} ms, {PACKETS_EACH} packets each\n",
        ACK_DELAY.as_millis()
    );
    let mut table =
        Table::new(&["receivers", "program", "time ÷ bound", "CPU, µs a packet", "peak memory, MiB"]);
    for &count in counts {
        let packets = count as f64 * f64::from(PACKETS_EACH);
        let file = Scratch::sparse("scale", packets as u64 * 100)?;
        for program in &options.programs.all {
            let mut line = Line::default();
            for _ in 0..rounds {
                let arguments = latencies(&vec![ms(1); count]);
                let cost = transfer(program, delayed(count, ACK_DELAY), file.path(), &arguments)?;
                line.add(&cost, ACK_DELAY * PACKETS_EACH, packets);
            }
            let cells = [line.time.show(), line.cpu.show(), line.peak.show()];
            let [time, cpu, peak] = &cells;
            table.row(&[&count.to_string(), &program.name, time, cpu, peak]);
        }
    }
    table.print();
    Ok(())
}

fn delayed(count: usize, delay: Duration) -> Script {
    let receivers = (1..=count).map(|n| Receiver::named(format!("R{n}")).ack_delay(delay));
    Script::new().with(receivers)
}

/// Payloads of which the last one is cut by a deadline.
fn by_payload(options: &Options) -> io::Result<()> {
    let rounds = if options.quick { 1 } else { 3 };
    println!("scale: payload to three receivers, on one CPU\n");
    let mut table = Table::new(&["payload", "program", "CPU, µs a packet", "peak memory, MiB"]);
    let sizes: [(&str, u64); 6] = [
        ("5 KB", 5_000),
        ("100 KB", 100_000),
        ("1 MB", 1_000_000),
        ("10 MB", 10_000_000),
        ("100 MB", 100_000_000),
        ("1 GB, cut after 3 s", 1_000_000_000),
    ];
    let sizes = sizes.iter().filter(|(_, bytes)| !options.quick || *bytes != 100_000_000);
    for (name, bytes) in sizes {
        let file = Scratch::sparse("payload", *bytes)?;
        for program in &options.programs.all {
            let mut line = Line::default();
            for _ in 0..rounds {
                let cost = match *bytes {
                    // So that there is time to look at its memory.
                    ..1_000_000 => {
                        transfer(program, delayed(3, ms(5)), file.path(), &latencies(&[ms(1); 3]))?
                    }
                    1_000_000_000.. => to_echo(options, program, &file, &["-w", "3"], 5)?,
                    _ => to_echo(options, program, &file, &[], 0)?,
                };
                line.add(&cost, Duration::from_secs(1), *bytes as f64 / 100.0);
            }
            let cpu = if *bytes < 1_000_000_000 { line.cpu.show() } else { "-".to_owned() };
            table.row(&[name, &program.name, &cpu, &line.peak.show()]);
        }
    }
    table.print();
    println!("Up to 100 KB the acks come after 5 ms, and starting counts.\n");
    Ok(())
}

fn to_echo(
    options: &Options,
    program: &Program,
    file: &Scratch,
    arguments: &[&str],
    status: i32,
) -> io::Result<Cost> {
    let pin = Some(options.cpu);
    let echo = Echo::start(3, pin)?;
    let mut command = child::mdalp(program, pin, echo.orchestrator, echo.receivers, file.path());
    let cost = child::run(command.args(["--latency", "1,1,1"]).args(arguments))?;
    if cost.status == status { Ok(cost) } else { cost.of_success() }
}

/// 1,200 receivers, with room for their sockets and without.
fn by_descriptors(options: &Options) -> io::Result<()> {
    const RECEIVERS: usize = 1200;
    println!("scale: {RECEIVERS} receivers under a limit of open files\n");
    let file = Scratch::sparse("many", RECEIVERS as u64 * 200)?;
    let mut table = Table::new(&["ulimit -n", "program", "exit status", "peak memory, MiB", "last words"]);
    for limit in ["4096", "1024"] {
        for program in &options.programs.all {
            let servers = match Servers::try_start(delayed(RECEIVERS, ms(100))) {
                Ok(servers) => servers,
                Err(error) => {
                    println!("not measured: {error}; the receivers need {RECEIVERS} sockets themselves\n");
                    return Ok(());
                }
            };
            let mdalp = child::mdalp(
                program,
                None,
                servers.orchestrator().port(),
                servers.receiver_port(),
                file.path(),
            );
            let mut limited = Command::new("sh");
            limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", limit]).arg(mdalp.get_program());
            limited.args(mdalp.get_args()).args(latencies(&vec![ms(1); RECEIVERS]));
            let cost = child::run(&mut limited)?;
            let words = cost.said.lines().last().unwrap_or_default();
            let peak = format!("{:.1}", cost.peak_kib as f64 / 1024.0);
            table.row(&[limit, &program.name, &cost.status.to_string(), &peak, words]);
        }
    }
    table.print();
    Ok(())
}
