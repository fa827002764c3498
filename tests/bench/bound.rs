//! Against the limit on a slow network: the bound of stop-and-wait, max over receivers of packets × ack round trip.

use super::Options;
use super::loopback::{Script, floor, recorded};
use super::table::Table;
use super::transfer::{Scratch, delayed, in_rounds, latencies, transfer};
use mdalp::protocol::plan;
use std::io;
use std::time::Duration;

/// The recorded transaction's seconds are divided by this.
const SCALE: f64 = 10.0;

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
    let cases = cases()?;
    let spreads = in_rounds(rounds, &cases, |case, _| {
        let file = Scratch::sparse(case.name, case.bytes)?;
        let script = case.script.clone();
        let cost = transfer(&options.programs[0], script, file.path(), &case.arguments)?;
        Ok(cost.elapsed.as_secs_f64() / case.bound.as_secs_f64())
    })?;
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
    let acks = recorded::RECEIVERS.map(|(_, ack, ..)| scaled(ack));
    let bytes = recorded::LENGTH as u64;
    let bound = bound_of_plan(bytes, &pings, &acks)?;
    let mut cases = Vec::new();
    for (name, losses, rebalance, target) in [
        ("as recorded, no loss", false, false, Some(1.03)),
        ("as recorded, its losses", true, false, Some(1.25)),
        ("as recorded, no loss, --rebalance", false, true, None),
        ("as recorded, its losses, --rebalance", true, true, None),
    ] {
        let script = Script::new().with(recorded::receivers(SCALE, losses));
        let arguments = arguments(&pings, rebalance);
        cases.push(Case { name, script, bytes, arguments, bound, target });
    }
    // The larger payload takes the same time, with acks this many times faster.
    for (name, bytes, faster, rebalance, target) in [
        ("misleading pings, 5 KB", 5_000, 1, false, None),
        ("misleading pings, 5 KB, --rebalance", 5_000, 1, true, Some(1.15)),
        ("misleading pings, 50 KB", 50_000, 5, false, None),
        ("misleading pings, 50 KB, --rebalance", 50_000, 5, true, Some(1.15)),
    ] {
        let acks = acks.map(|ack| ack / faster);
        // The receiver with the slowest acks has by far the fastest ping.
        let pings = [acks[0] / 20, acks[1] / 5, acks[2] / 5];
        let (script, arguments) = (delayed(acks), arguments(&pings, rebalance));
        cases.push(Case { name, script, bytes, arguments, bound: clairvoyant(bytes, &acks), target });
    }
    Ok(cases)
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
    let plan = plan::balanced(bytes, pings).ok_or(io::ErrorKind::InvalidInput)?;
    let ends = plan.ranges.iter().zip(acks).map(|(range, ack)| *ack * range.packets());
    Ok(ends.max().unwrap_or_default())
}

/// The bound of the best split that leaves everybody the floor: the shortest time in which all together can acknowledge
/// all the packets.
fn clairvoyant(bytes: u64, acks: &[Duration]) -> Duration {
    let packets = bytes.div_ceil(100);
    let floor = floor(bytes, acks.len() as u64).div_ceil(100);
    let within = |time: Duration| acks.iter().map(move |ack| (time.as_nanos() / ack.as_nanos()) as u64);
    let enough = |time: Duration| within(time).all(|n| n >= floor) && within(time).sum::<u64>() >= packets;
    // Something ends exactly then, so it is a multiple of one of the round trips.
    let times = acks.iter().flat_map(|ack| (1..=packets as u32).map(|n| *ack * n));
    times.filter(|time| enough(*time)).min().unwrap_or_default()
}
