//! A receiver in words, as the command line takes it: `name=5th Receiver,delay=1714.9,jitter=7.1,lose=7:1+8:1`.

use super::faults::{Fault, When};
use super::script::Receiver;
use std::net::IpAddr;
use std::time::Duration;

/// What `--help` says of it.
pub const HELP: &str = "  name=TEXT            its name in the list
  at=ADDRESS           its address, instead of the next one of 127.0.0.2, 127.0.0.3, ...; see --address
  delay=MS             time until the ack, milliseconds (0)
  jitter=MS            standard deviation of the delay, milliseconds (0)
  lose=SEQ:NTH+...     data packets to lose: the NTH transmission (1 is the first) of SEQ
  lose-ack=SEQ:NTH+... acks to lose
  loss=P               probability to lose a data packet, 0 to 1 (0)
  ack-loss=P           probability to lose an ack, 0 to 1 (0)
  dies=N               silent after N acks; 0: from the start
  expires=SEC          silent from SEC seconds after Type 1 on
  stalls=N:MS          after N acks silent for MS milliseconds, then back
  closes=N             the port is closed after N acks (1 or more)
  closed               the port is never open
  opens=MS             the port opens after MS milliseconds
  step=N:MS            after N acks the delay is MS milliseconds
  late-dup=MS          every ack comes once more, MS milliseconds later
  flood=SEC            junk without a pause for SEC seconds, from the first packet on
  dup, wrong-tid, stale, future, other-port, other-address
                       with every ack: a duplicate, or before it a forged one
  empty, garbage, huge with every ack: before it an empty, a senseless, a 65,507-byte datagram
  no-acks              data is received, acks never come
";

/// Reads the words; an error names the one that is wrong.
pub fn parse(spec: &str, default_name: &str) -> Result<Receiver, String> {
    let mut receiver = Receiver::named(default_name);
    for word in spec.split(',') {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        receiver = apply(receiver, key, value).ok_or_else(|| format!("'{word}' is not understood"))?;
    }
    Ok(receiver)
}

fn apply(receiver: Receiver, key: &str, value: &str) -> Option<Receiver> {
    if let Some(flagged) = value.is_empty().then(|| flag(receiver.clone(), key)).flatten() {
        return Some(flagged);
    }
    Some(match key {
        "name" => receiver.renamed(value),
        "at" => receiver.at(address(value)?),
        "delay" => receiver.ack_delay(milliseconds(value)?),
        "jitter" => receiver.jitter(milliseconds(value)?),
        "lose" => packets(value)?.into_iter().fold(receiver, |r, (seq, nth)| r.lose(seq, nth)),
        "lose-ack" => packets(value)?.into_iter().fold(receiver, |r, (seq, nth)| r.lose_ack(seq, nth)),
        "loss" => receiver.data_loss(probability(value)?),
        "ack-loss" => receiver.ack_loss(probability(value)?),
        "dies" => receiver.dies_after_acks(value.parse().ok()?),
        "expires" => receiver.rule(When::SinceAssigned(seconds(value)?), Fault::Silent(None)),
        "stalls" => {
            let (acks, time) = acks_and_time(value)?;
            receiver.silent_for(acks, time)
        }
        "closes" => receiver.closes_after_acks(value.parse().ok().filter(|acks| *acks > 0)?, None),
        "opens" => receiver.opens_after(milliseconds(value)?),
        "step" => {
            let (acks, delay) = acks_and_time(value)?;
            receiver.ack_delay_after(acks, delay)
        }
        "late-dup" => receiver.late_duplicates(milliseconds(value)?),
        "flood" => receiver.flood(None, seconds(value)?),
        _ => return None,
    })
}

/// The words without a value.
fn flag(receiver: Receiver, key: &str) -> Option<Receiver> {
    Some(match key {
        "closed" => receiver.closed(),
        "dup" => receiver.duplicates_acks(),
        "wrong-tid" => receiver.wrong_tid_acks(),
        "stale" => receiver.stale_acks(),
        "future" => receiver.future_acks(),
        "other-port" => receiver.acks_from_other_port(),
        "other-address" => receiver.acks_from_other_address(),
        "empty" => receiver.junk(""),
        "garbage" => receiver.junk(b"\x1b[2J no ack \x00\xff"),
        "huge" => receiver.junk(vec![b'#'; 65_507]),
        "no-acks" => receiver.never_acks(),
        _ => return None,
    })
}

/// `7:1+8:1`
fn packets(value: &str) -> Option<Vec<(u32, u32)>> {
    let one = |word: &str| {
        let (seq, nth) = word.split_once(':')?;
        Some((seq.parse().ok()?, nth.parse().ok().filter(|nth| *nth > 0)?))
    };
    value.split('+').map(one).collect()
}

fn acks_and_time(value: &str) -> Option<(u32, Duration)> {
    let (acks, time) = value.split_once(':')?;
    Some((acks.parse().ok()?, milliseconds(time)?))
}

pub fn milliseconds(value: &str) -> Option<Duration> {
    duration(value, 1e-3)
}

pub fn seconds(value: &str) -> Option<Duration> {
    duration(value, 1.0)
}

fn duration(value: &str, unit: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value.parse::<f64>().ok()? * unit)
        .ok()
        .filter(|time| time.as_secs() <= 1_000_000)
}

/// An address that a server can have.
pub fn address(value: &str) -> Option<IpAddr> {
    value.parse().ok().filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast())
}

pub fn probability(value: &str) -> Option<f64> {
    value.parse().ok().filter(|p| (0.0..=1.0).contains(p))
}

#[cfg(test)]
mod tests {
    use super::super::script::ms;
    use super::*;

    fn same(spec: &str, expected: Receiver) {
        assert_eq!(format!("{:?}", parse(spec, "R1").unwrap()), format!("{expected:?}"), "{spec}");
    }

    #[test]
    fn words_mean_what_the_methods_of_a_receiver_mean() {
        let fifth = Receiver::named("5th Receiver").ack_delay(Duration::from_micros(1_714_900)).jitter(ms(7));
        same("name=5th Receiver,delay=1714.9,jitter=7,lose=7:1+8:2", fifth.lose(7, 1).lose(8, 2));
        same("loss=0.05,ack-loss=1", Receiver::named("R1").data_loss(0.05).ack_loss(1.0));
        same("dies=12", Receiver::named("R1").dies_after_acks(12));
        same("stalls=3:250,step=4:9", Receiver::named("R1").silent_for(3, ms(250)).ack_delay_after(4, ms(9)));
        same("closed", Receiver::named("R1").closed());
        same("dup,stale,no-acks", Receiver::named("R1").duplicates_acks().stale_acks().never_acks());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for wrong in [
            "",
            "delay",
            "delay=",
            "delay=-1",
            "delay=x",
            "delay=inf",
            "delay=NaN",
            "loss=1.1",
            "lose=7",
            "lose=7:0",
            "lose=7:1+",
            "at=localhost",
            "closes=0",
            "dup=1",
            "unknown=1",
            "stalls=3",
        ] {
            let error = parse(&format!("name=A,{wrong}"), "R1").unwrap_err();
            assert_eq!(error, format!("'{wrong}' is not understood"));
        }
    }

    #[test]
    fn every_word_is_in_the_help() {
        let source = include_str!("spec.rs").split("#[cfg(test)]").next().unwrap();
        let code = &source[source.find("fn apply").unwrap()..];
        let keys: Vec<&str> = code
            .lines()
            .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => ").map(|(key, _)| key))
            .collect();
        assert!(keys.len() > 25, "{keys:?}");
        let word = |c: char| !(c.is_alphanumeric() || c == '-');
        for key in keys {
            assert!(HELP.split(word).any(|helped| helped == key), "{key} is not in the help");
        }
    }
}
