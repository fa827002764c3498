//! What losses cost: time against the bound times the expected transmissions.

use super::Options;
use super::bound::bound_of_plan;
use super::loopback::{Receiver, Script, ms};
use super::table::Table;
use super::transfer::{Scratch, delayed, in_rounds, latencies, transfer};
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
    let program = &options.programs[0];
    let file = Scratch::sparse("loss", bytes)?;
    let (pings, acks) = (PINGS_US.map(Duration::from_micros), ACKS_US.map(Duration::from_micros));
    let bound = bound_of_plan(bytes, &pings, &acks)?;
    let cases: Vec<(f64, bool)> = RATES.iter().flat_map(|rate| [(*rate, false), (*rate, true)]).collect();
    let spreads = in_rounds(rounds, &cases, |&(rate, fixed), round| {
        let mut arguments = latencies(&pings).to_vec();
        arguments.extend(["-t", TIMEOUT].map(str::to_owned));
        arguments.extend(fixed.then(|| "--fixed-timeout".to_owned()));
        let script = delayed(acks).data_loss(rate).ack_loss(rate).seed(round + 1);
        let cost = transfer(program, script, file.path(), &arguments)?;
        let expected = 1.0 / ((1.0 - rate) * (1.0 - rate));
        Ok(cost.elapsed.as_secs_f64() / (bound.as_secs_f64() * expected))
    })?;
    let mut table = Table::new(&["lost each way", "adaptive", "--fixed-timeout"]);
    for (rate, pair) in RATES.iter().zip(spreads.chunks(2)) {
        table.row(&[&format!("{} %", rate * 100.0), &pair[0].show(), &pair[1].show()]);
    }
    table.print();
    println!("Time ÷ (bound without loss × expected transmissions); a loss is noticed after a timeout.\n");
    single_losses(options)
}

/// Loses some of what a receiver gets or sends whose first SEQ is this one.
type Loses = fn(Receiver, u32) -> Receiver;

/// Single losses at three near receivers, where the first timeout decides: each at most a fifth of 0.1.0's time.
fn single_losses(options: &Options) -> io::Result<()> {
    let file = Scratch::sparse("single-losses", 5_000)?;
    // And the seconds that 0.1.0 takes.
    let cases: [(&str, Loses, f64); 3] = [
        ("the ack of each first packet lost", |receiver, first| receiver.lose_ack(first, 1), 3.2),
        ("all first packets lost", |receiver, first| receiver.lose(first, 1), 3.2),
        (
            "every ack lost once",
            |receiver, first| (first..first + 17).fold(receiver, |receiver, seq| receiver.lose_ack(seq, 1)),
            99.3,
        ),
    ];
    let times = in_rounds(1, &cases, |(_, loses, _), _| {
        let near = |first| loses(Receiver::named(format!("R{first}")).ack_delay(ms(9)), first);
        let script = Script::new().with([0, 17, 34].map(near));
        let pings = latencies(&[Duration::from_micros(800); 3]);
        Ok(transfer(&options.programs[0], script, file.path(), &pings)?.elapsed.as_secs_f64())
    })?;
    let mut table = Table::new(&["near receivers", "seconds", "0.1.0", "÷ 0.1.0", "target"]);
    for (time, (name, _, before)) in times.iter().zip(cases) {
        let seconds = time.median();
        let cells = [format!("{seconds:.2}"), format!("{before:.1}"), format!("{:.3}", seconds / before)];
        table.row(&[name, &cells[0], &cells[1], &cells[2], "≤ 0.2"]);
    }
    table.print();
    println!(
        "5000 bytes to three receivers, pings of 0.8 ms, acks of 9 ms; the bound without loss is 0.15 s.\n"
    );
    Ok(())
}
