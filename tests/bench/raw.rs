//! Against the limit on a fast network: a bare `send`/`recv` loop of equal packets, with the same receiver.

use super::Options;
use super::child::{self, Cost};
use super::echo::{self, Echo, TID};
use super::table::{Spread, Table};
use super::transfer::Scratch;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
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
        let ratios = compare(options, pin, receivers, bytes, rounds)?;
        for (program, Ratios { rate, cpu }) in options.programs.iter().zip(ratios) {
            let met = rate.median() >= LEAST_RATE && cpu.median() <= MOST_CPU;
            let (cpus, verdict) = match pin {
                Some(_) => ("one", if met { "met" } else { "missed" }),
                None => ("all", "shown only"),
            };
            table.row(&[cpus, &receivers.to_string(), &program.name, &rate.show(), &cpu.show(), verdict]);
        }
    }
    table.print();
    println!(
        "Targets on one CPU: at least {LEAST_RATE} of its packets a second, at most {MOST_CPU} of its CPU.\n"
    );
    Ok(())
}

/// Those of one program to the loop, over all rounds.
#[derive(Clone, Default)]
struct Ratios {
    rate: Spread,
    cpu: Spread,
}

/// Rounds of the loop and each program; the order changes from round to round.
fn compare(
    options: &Options,
    pin: Option<usize>,
    receivers: u8,
    bytes: u64,
    rounds: usize,
) -> io::Result<Vec<Ratios>> {
    let (echo, file) = (Echo::start(receivers, pin)?, Scratch::sparse("raw", bytes)?);
    let bare_loop = || -> io::Result<Command> {
        let mut command = child::pinned(&std::env::current_exe()?, pin);
        let numbers = [echo.receivers.to_string(), receivers.to_string(), bytes.to_string()];
        command.arg("loop").args(numbers);
        Ok(command)
    };
    let mut all = vec![Ratios::default(); options.programs.len()];
    for round in 0..rounds {
        let mut costs: Vec<Option<Cost>> = vec![None; all.len() + 1];
        for turn in 0..costs.len() {
            let which = (round + turn) % costs.len();
            let mut command = match which {
                0 => bare_loop()?,
                _ => echo.client(&options.programs[which - 1], pin, &file),
            };
            costs[which] = Some(child::run(&mut command)?.of_success()?);
        }
        let mut costs = costs.into_iter().flatten();
        let Some(bare) = costs.next() else { continue };
        for (cost, ratios) in costs.zip(&mut all) {
            ratios.rate.add(bare.elapsed.as_secs_f64() / cost.elapsed.as_secs_f64());
            ratios.cpu.add(cost.cpu.as_secs_f64() / bare.cpu.as_secs_f64());
        }
    }
    Ok(all)
}

/// The bare loop's process: a thread a receiver, each with a connected socket, its packet made beforehand, no timeout and
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
