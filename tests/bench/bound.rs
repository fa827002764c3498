//! Against the limit on a slow network: the bound of stop-and-wait, max over receivers of packets × ack round trip.

use super::Options;
use super::loopback::{Receiver, Script, recorded};
use super::table::{Spread, Table};
use super::transfer::{Scratch, latencies, side_by_side, transfer};
use mdalp::protocol::plan;
use std::io;
use std::time::Duration;

/// The recorded transaction's seconds are divided by this.
const SCALE: f64 = 10.0;

/// Ack round trips of the recorded receivers in microseconds (mdalp(7)).
const ACKS_US: [u64; 3] = [1_714_900, 853_100, 857_400];

/// One line of the table.
struct Case {
    name: &'static str,
    script: Script,
    bytes: u64,
    arguments: Vec<String>,
    bound: Duration,
    target: Option<f64>,
}

pub fn measure(options: &Options) -> io::Result<()> {
    let rounds = if options.quick { 1 } else { 7 };
    println!("bound: delays of the recorded transaction ÷ {SCALE}, {rounds} round(s), dynamic program\n");
    let program = options.programs.ordinary()?;
    let cases = cases()?;
    let mut spreads = vec![Spread::default(); cases.len()];
    for _ in 0..rounds {
        let jobs = cases.iter().map(|case| {
            move || {
                let file = Scratch::sparse(case.name, case.bytes)?;
                let cost = transfer(program, case.script.clone(), file.path(), &case.arguments)?;
                Ok(cost.elapsed.as_secs_f64() / case.bound.as_secs_f64())
            }
        });
        for (ratio, spread) in side_by_side(jobs.collect())?.into_iter().zip(&mut spreads) {
            spread.add(ratio);
        }
    }
    let mut table = Table::new(&["receivers", "time ÷ bound", "target", ""]);
    for (case, spread) in cases.iter().zip(&spreads) {
        let target = case.target.map_or("-".to_owned(), |target| format!("≤ {target}"));
        let verdict = match case.target {
            None => "",
            Some(target) if spread.median() <= target => "met",
            Some(_) => "missed",
        };
        table.row(&[case.name, &spread.show(), &target, verdict]);
    }
    table.print();
    println!(
        "The bound is that of the plan's split without loss; with misleading pings, of the best split.\n"
    );
    Ok(())
}

fn cases() -> io::Result<Vec<Case>> {
    let pings = recorded::LATENCIES_US.map(scaled);
    let acks = ACKS_US.map(scaled);
    let bound = bound_of_plan(recorded::LENGTH as u64, &pings, &acks)?;
    let recorded_case = |name, losses, rebalance, target| Case {
        name,
        script: Script::new().with(recorded::receivers(SCALE, losses)),
        bytes: recorded::LENGTH as u64,
        arguments: arguments(&pings, rebalance),
        bound,
        target,
    };
    let mut cases = vec![
        recorded_case("as recorded, no loss", false, false, Some(1.03)),
        recorded_case("as recorded, its losses", true, false, Some(1.25)),
        recorded_case("as recorded, no loss, --rebalance", false, true, None),
        recorded_case("as recorded, its losses, --rebalance", true, true, None),
    ];
    for (name, rebalance, target) in
        [("misleading pings, 5 KB", false, None), ("misleading pings, 5 KB, --rebalance", true, Some(1.15))]
    {
        cases.push(misleading(name, 5_000, &acks, rebalance, target));
    }
    for (name, rebalance, target) in
        [("misleading pings, 50 KB", false, None), ("misleading pings, 50 KB, --rebalance", true, Some(1.15))]
    {
        // The same time in all, with packets five times quicker.
        let acks = acks.map(|ack| ack / 5);
        cases.push(misleading(name, 50_000, &acks, rebalance, target));
    }
    Ok(cases)
}

/// The receiver with the slowest acks has by far the fastest ping.
fn misleading(
    name: &'static str,
    bytes: u64,
    acks: &[Duration],
    rebalance: bool,
    target: Option<f64>,
) -> Case {
    let pings: Vec<Duration> =
        acks.iter().zip([20, 5, 5]).map(|(ack, times): (&Duration, u32)| *ack / times).collect();
    let receivers = acks
        .iter()
        .zip(1..)
        .map(|(ack, n): (&Duration, u32)| Receiver::named(format!("R{n}")).ack_delay(*ack));
    Case {
        name,
        script: Script::new().with(receivers),
        bytes,
        arguments: arguments(&pings, rebalance),
        bound: clairvoyant(bytes, acks),
        target,
    }
}

fn arguments(pings: &[Duration], rebalance: bool) -> Vec<String> {
    let mut arguments = latencies(pings).to_vec();
    arguments.extend(["-t".to_owned(), (3.0 / SCALE).to_string()]);
    arguments.extend(rebalance.then(|| "--rebalance".to_owned()));
    arguments
}

fn scaled(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds).div_f64(SCALE)
}

/// The bound of the split that these pings lead to.
pub fn bound_of_plan(bytes: u64, pings: &[Duration], acks: &[Duration]) -> io::Result<Duration> {
    let plan = plan::balanced(bytes, pings).map_err(io::Error::other)?;
    let ends = plan.ranges().iter().zip(acks).map(|(range, ack)| *ack * range.packets());
    Ok(ends.max().unwrap_or_default())
}

/// The bound of the best split that leaves everybody the floor: the shortest time in which all together can acknowledge
/// all the packets.
fn clairvoyant(bytes: u64, acks: &[Duration]) -> Duration {
    let packets = bytes.div_ceil(100);
    let floor = bytes.div_ceil(10).min(bytes / acks.len() as u64).div_ceil(100);
    let within = |time: Duration| acks.iter().map(move |ack| (time.as_nanos() / ack.as_nanos()) as u64);
    let enough = |time: Duration| within(time).all(|n| n >= floor) && within(time).sum::<u64>() >= packets;
    // Something ends exactly then, so it is a multiple of one of the round trips.
    let times = acks.iter().flat_map(|ack| (1..=packets as u32).map(|n| *ack * n));
    times.filter(|time| enough(*time)).min().unwrap_or_default()
}
