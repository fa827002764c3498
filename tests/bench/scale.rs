//! How time, CPU and memory grow with the receivers and with the payload.

use super::Options;
use super::child::{self, Cost};
use super::echo::Echo;
use super::loopback::ms;
use super::table::{Spread, Table};
use super::transfer::{Scratch, delayed, latencies, transfer};
use std::io;
use std::time::Duration;

const ACK_DELAY: Duration = Duration::from_millis(100);
const PACKETS_EACH: u32 = 10;

pub fn measure(options: &Options) -> io::Result<()> {
    by_receivers(options)?;
    by_payload(options)
}

/// The results of the rounds of one line.
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
        for program in &options.programs {
            let mut line = Line::default();
            for _ in 0..rounds {
                let arguments = latencies(&vec![ms(1); count]);
                let cost = transfer(program, delayed(vec![ACK_DELAY; count]), file.path(), &arguments)?;
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

fn by_payload(options: &Options) -> io::Result<()> {
    let rounds = if options.quick { 1 } else { 3 };
    println!("scale: payload to three receivers, on one CPU\n");
    let mut table = Table::new(&["payload", "program", "CPU, µs a packet", "peak memory, MiB"]);
    let mut sizes = vec![("5 KB", 5_000), ("100 KB", 100_000), ("1 MB", 1_000_000), ("10 MB", 10_000_000)];
    sizes.extend((!options.quick).then_some(("100 MB", 100_000_000)));
    for (name, bytes) in sizes {
        let file = Scratch::sparse("payload", bytes)?;
        for program in &options.programs {
            let mut line = Line::default();
            for _ in 0..rounds {
                let cost = if bytes < 1_000_000 {
                    // So that there is time to look at its memory.
                    transfer(program, delayed([ms(5); 3]), file.path(), &latencies(&[ms(1); 3]))?
                } else {
                    let echo = Echo::start(3, Some(options.cpu))?;
                    child::run(&mut echo.client(program, Some(options.cpu), &file))?.of_success()?
                };
                line.add(&cost, Duration::from_secs(1), bytes as f64 / 100.0);
            }
            table.row(&[name, &program.name, &line.cpu.show(), &line.peak.show()]);
        }
    }
    table.print();
    println!("Up to 100 KB the acks come after 5 ms, and starting counts.\n");
    Ok(())
}
