//! What losses cost: time against the bound times the expected transmissions.

use super::Options;
use super::bound::bound_of_plan;
use super::loopback::{Receiver, Script};
use super::table::{Spread, Table};
use super::transfer::{Scratch, latencies, side_by_side, transfer};
use std::io;
use std::time::Duration;

/// The probability of a loss, each way.
const RATES: [f64; 5] = [0.0, 0.01, 0.05, 0.1, 0.2];

/// Of the receivers: about the recorded ones', twenty times faster.
const PINGS_US: [u64; 3] = [16_757, 8_142, 7_843];
const ACKS_US: [u64; 3] = [85_745, 42_655, 42_870];

/// The protocol's 3 s, twenty times faster.
const TIMEOUT: &str = "0.15";

pub fn measure(options: &Options) -> io::Result<()> {
    let (rounds, bytes) = if options.quick { (1, 5_000) } else { (5, 20_000) };
    println!("loss: {bytes} bytes to three receivers, {rounds} round(s), dynamic program\n");
    let program = options.programs.ordinary()?;
    let file = Scratch::sparse("loss", bytes)?;
    let (pings, acks) = (PINGS_US.map(Duration::from_micros), ACKS_US.map(Duration::from_micros));
    let bound = bound_of_plan(bytes, &pings, &acks)?;
    let cases: Vec<(f64, bool)> = RATES.iter().flat_map(|rate| [(*rate, false), (*rate, true)]).collect();
    let mut spreads = vec![Spread::default(); cases.len()];
    for seed in 0..rounds {
        let (file, pings, acks) = (&file, &pings, &acks);
        let jobs = cases.iter().map(|&(rate, fixed)| {
            move || {
                let mut arguments = latencies(pings).to_vec();
                arguments.extend(["-t", TIMEOUT].map(str::to_owned));
                arguments.extend(fixed.then(|| "--fixed-timeout".to_owned()));
                let cost = transfer(program, lossy(acks, rate, seed), file.path(), &arguments)?;
                let expected = 1.0 / ((1.0 - rate) * (1.0 - rate));
                Ok(cost.elapsed.as_secs_f64() / (bound.as_secs_f64() * expected))
            }
        });
        for (ratio, spread) in side_by_side(jobs.collect())?.into_iter().zip(&mut spreads) {
            spread.add(ratio);
        }
    }
    let mut table = Table::new(&["lost each way", "adaptive", "--fixed-timeout"]);
    for (rate, pair) in RATES.iter().zip(spreads.chunks(2)) {
        let shown: Vec<String> = pair.iter().map(Spread::show).collect();
        let cells: Vec<&str> = shown.iter().map(String::as_str).collect();
        table.row(&[&[format!("{} %", rate * 100.0).as_str()], cells.as_slice()].concat());
    }
    table.print();
    println!("Time ÷ (bound without loss × expected transmissions); a loss is noticed after a timeout.\n");
    single_losses(options)
}

/// Loses some of what a receiver gets or sends whose first SEQ is this one.
type Loses = fn(Receiver, u32) -> Receiver;

/// Single losses at three near receivers, where the first timeout decides: each at most a fifth of 0.1.0's time.
fn single_losses(options: &Options) -> io::Result<()> {
    let program = options.programs.ordinary()?;
    let file = Scratch::sparse("single-losses", 5_000)?;
    let (pings, acks) = ([Duration::from_micros(800); 3], [Duration::from_millis(9); 3]);
    let firsts = [0, 17, 34];
    // Seconds that 0.1.0 takes.
    let cases: [(&str, Loses, f64); 3] = [
        ("the ack of each first packet lost", |receiver, seq| receiver.lose_ack(seq, 1), 3.2),
        ("all first packets lost", |receiver, seq| receiver.lose(seq, 1), 3.2),
        (
            "every ack lost once",
            |receiver, first| (first..first + 17).fold(receiver, |receiver, seq| receiver.lose_ack(seq, 1)),
            99.3,
        ),
    ];
    let jobs = cases.iter().map(|(_, loses, _)| {
        let receivers = acks
            .iter()
            .zip(firsts)
            .map(|(ack, first)| loses(Receiver::named(format!("R{first}")).ack_delay(*ack), first));
        let script = receivers.fold(Script::new(), Script::receiver);
        let file = &file;
        move || transfer(program, script, file.path(), &latencies(&pings))
    });
    let mut table = Table::new(&["near receivers", "seconds", "0.1.0", "÷ 0.1.0", "target"]);
    for (cost, (name, _, before)) in side_by_side(jobs.collect())?.into_iter().zip(cases) {
        let seconds = cost.elapsed.as_secs_f64();
        let cells = [format!("{seconds:.2}"), format!("{before:.1}"), format!("{:.3}", seconds / before)];
        table.row(&[name, &cells[0], &cells[1], &cells[2], "≤ 0.2"]);
    }
    table.print();
    println!(
        "5000 bytes to three receivers, pings of 0.8 ms, acks of 9 ms; the bound without loss is 0.15 s.\n"
    );
    Ok(())
}

fn lossy(acks: &[Duration], rate: f64, seed: u64) -> Script {
    let receivers = acks
        .iter()
        .zip(1..)
        .map(|(ack, n): (&Duration, u32)| Receiver::named(format!("R{n}")).ack_delay(*ack).jitter(*ack / 64));
    let script = Script::new().with(receivers);
    script.data_loss(rate).ack_loss(rate).seed(seed + 1)
}
