//! Against the limit on a fast network: a bare `send`/`recv` loop of equal packets, with the same receiver.

use super::Options;
use super::child::{self, Cost};
use super::echo::{self, Echo, TID};
use super::programs::Program;
use super::table::{Spread, Table};
use super::transfer::Scratch;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;

const LEAST_RATE: f64 = 0.95;
const MOST_CPU: f64 = 1.07;

pub fn measure(options: &Options) -> io::Result<()> {
    let (bytes, rounds) = if options.quick { (10_000_000, 5) } else { (20_000_000, 21) };
    println!("raw: against a bare send/recv loop, {} MB, {rounds} rounds\n", bytes / 1_000_000);
    let mut table =
        Table::new(&["CPUs", "receivers", "program", "packets/s ÷ loop", "CPU a packet ÷ loop", ""]);
    let cases = [(Some(options.cpu), 1), (Some(options.cpu), 3), (None, 1), (None, 3)];
    for (pin, receivers) in cases {
        // On all CPUs it takes longer, and is no more than a look.
        let (bytes, rounds) = if pin.is_some() { (bytes, rounds) } else { (bytes / 2, rounds.min(5)) };
        let file = Scratch::sparse("raw", bytes)?;
        let setting = Setting { options, receivers, bytes, pin, file: file.path() };
        for (program, ratios) in setting.compare(rounds)? {
            let (cpus, verdict) = match pin {
                Some(_) => ("one", ratios.verdict()),
                None => ("all", "shown only"),
            };
            let [rate, cpu] = [&ratios.rate, &ratios.cpu].map(Spread::show);
            table.row(&[cpus, &receivers.to_string(), &program, &rate, &cpu, verdict]);
        }
    }
    table.print();
    println!(
        "Targets on one CPU: at least {LEAST_RATE} of its packets a second, at most {MOST_CPU} of its CPU.\n"
    );
    Ok(())
}

struct Setting<'a> {
    options: &'a Options,
    receivers: u8,
    bytes: u64,
    pin: Option<usize>,
    file: &'a Path,
}

#[derive(Default)]
struct Ratios {
    rate: Spread,
    cpu: Spread,
}

impl Ratios {
    fn verdict(&self) -> &'static str {
        let met = self.rate.median() >= LEAST_RATE && self.cpu.median() <= MOST_CPU;
        if met { "met" } else { "missed" }
    }
}

impl Setting<'_> {
    /// Rounds of the loop and each program; the order changes from round to round.
    fn compare(&self, rounds: usize) -> io::Result<Vec<(String, Ratios)>> {
        let echo = Echo::start(usize::from(self.receivers), self.pin)?;
        let programs = &self.options.programs.all;
        let mut all: Vec<(String, Ratios)> =
            programs.iter().map(|program| (program.name.clone(), Ratios::default())).collect();
        for round in 0..rounds {
            let mut costs: Vec<Option<Cost>> = vec![None; programs.len() + 1];
            for turn in 0..costs.len() {
                let which = (round + turn) % costs.len();
                let mut command = match which.checked_sub(1).and_then(|index| programs.get(index)) {
                    Some(program) => self.client(program, &echo),
                    None => self.bare(&echo)?,
                };
                if let Some(slot) = costs.get_mut(which) {
                    *slot = Some(child::run(&mut command)?.of_success()?);
                }
            }
            let mut costs = costs.into_iter().flatten();
            let Some(bare) = costs.next() else { continue };
            for (cost, (_, ratios)) in costs.zip(&mut all) {
                ratios.rate.add(bare.elapsed.as_secs_f64() / cost.elapsed.as_secs_f64());
                ratios.cpu.add(cost.cpu.as_secs_f64() / bare.cpu.as_secs_f64());
            }
        }
        Ok(all)
    }

    fn client(&self, program: &Program, echo: &Echo) -> Command {
        let mut command = child::mdalp(program, self.pin, echo.orchestrator, echo.receivers, self.file);
        match self.receivers {
            1 => command.args(["-m", "2"]),
            many => command.args(["--latency", &vec!["1"; usize::from(many)].join(",")]),
        };
        command
    }

    fn bare(&self, echo: &Echo) -> io::Result<Command> {
        let mut command = child::pinned(&std::env::current_exe()?, self.pin);
        let numbers = [echo.receivers.to_string(), self.receivers.to_string(), self.bytes.to_string()];
        command.arg("loop").args(numbers);
        Ok(command)
    }
}

/// The bare loop's process: a thread a receiver, each with a connected socket, its packet made beforehand, no time-out and
/// no look at what comes back.
pub fn bare_loop(args: &[String]) -> io::Result<()> {
    let mut numbers = args.iter().map(|arg| arg.parse::<u64>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let (port, receivers, bytes) = (next() as u16, next() as u8, next());
    let packets = bytes.div_ceil(100).div_ceil(u64::from(receivers));
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..receivers).map(|index| scope.spawn(move || send_and_receive(index, port, packets))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread of the loop panicked")))
        })
    })
}

fn send_and_receive(index: u8, port: u16, packets: u64) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((echo::address(index), port))?;
    // A SEQ of as many digits as most of a payload's have.
    let packet = [format!("Type:2;TID:{TID};SEQ:123456;DATA:").as_bytes(), &[0; 100]].concat();
    let mut ack = [0; 64];
    for _ in 0..packets {
        socket.send(&packet)?;
        socket.recv(&mut ack)?;
    }
    Ok(())
}
