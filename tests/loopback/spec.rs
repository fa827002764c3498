//! A receiver in words, as the command line takes it: `name=5th Receiver,delay=1714.9,jitter=7.1,lose=7:1+8:1`.

use super::script::Receiver;
use std::net::IpAddr;
use std::time::Duration;

/// What a word makes of a receiver and the word's value; `None` if that is not understood.
type Apply = fn(Receiver, &str) -> Option<Receiver>;

/// Each word, the value that it needs, what `--help` says of it, and what it does.
const WORDS: [(&str, &str, &str, Apply); 22] = [
    ("name", "=TEXT", "its name in the list", |r, name| Some(Receiver { name: name.to_string(), ..r })),
    ("at", "=ADDRESS", "its address, see --address", |r, at| Some(r.at(address(at)?))),
    ("delay", "=MS", "milliseconds until the ack (0)", |r, ms| Some(r.ack_delay(milliseconds(ms)?))),
    ("jitter", "=MS", "standard deviation of the delay (0)", |r, ms| Some(r.jitter(milliseconds(ms)?))),
    ("lose", "=SEQ:NTH+...", "loses the NTH transmission (1 is the first) of SEQ", |r, list| {
        Some(packets(list)?.into_iter().fold(r, |r, (seq, nth)| r.lose(seq, nth)))
    }),
    ("lose-ack", "=SEQ:NTH+...", "loses the ack of that", |r, list| {
        Some(packets(list)?.into_iter().fold(r, |r, (seq, nth)| r.lose_ack(seq, nth)))
    }),
    ("loss", "=P", "loses data packets with this probability, 0 to 1", |r, p| {
        Some(r.data_loss(probability(p)?))
    }),
    ("ack-loss", "=P", "loses acks with this probability, 0 to 1", |r, p| Some(r.ack_loss(probability(p)?))),
    ("no-acks", "", "data is received, acks never come", |r, _| Some(r.never_acks())),
    ("dies", "=N", "silent after N acks; 0: from the start", |r, n| Some(r.dies_after_acks(n.parse().ok()?))),
    ("stalls", "=N:MS", "after N acks silent for MS milliseconds, then back", |r, value| {
        let (acks, time) = value.split_once(':')?;
        Some(r.silent_for(acks.parse().ok()?, milliseconds(time)?))
    }),
    ("closes", "=N", "the port is closed after N acks (1 or more)", |r, n| {
        Some(r.closes_after_acks(positive(n)?, None))
    }),
    ("closed", "", "the port is never open", |r, _| Some(r.closed())),
    ("flood", "=SEC", "junk without a pause for SEC seconds, from the first packet on", |r, time| {
        Some(r.flood(None, seconds(time)?))
    }),
    ("late-dup", "=MS", "every ack comes once more, MS milliseconds later", |r, ms| {
        Some(r.late_duplicates(milliseconds(ms)?))
    }),
    ("dup", "", "every ack comes twice", |r, _| Some(r.duplicates_acks())),
    ("wrong-tid", "", "before every ack one of another transaction", |r, _| Some(r.wrong_tid_acks())),
    ("stale", "", "before every ack that of the SEQ before", |r, _| Some(r.stale_acks())),
    ("future", "", "before every ack that of the SEQ after", |r, _| Some(r.future_acks())),
    ("other-port", "", "before every ack the same from another port", |r, _| Some(r.acks_from_other_port())),
    ("other-address", "", "... or from another address", |r, _| Some(r.acks_from_other_address())),
    ("garbage", "", "before every ack a senseless datagram", |r, _| Some(r.junk(b"\x1b[2J no ack \x00\xff"))),
];

/// What `--help` says of the words, a line each.
pub fn help() -> String {
    let line = |(word, value, help, _): &(_, _, _, _)| format!("  {:<21}{help}\n", format!("{word}{value}"));
    WORDS.iter().map(line).collect()
}

/// Reads the words; an error names the one that is wrong.
pub fn parse(spec: &str, default_name: &str) -> Result<Receiver, String> {
    spec.split(',').try_fold(Receiver::named(default_name), |receiver, word| {
        apply(receiver, word).ok_or_else(|| format!("'{word}' is not understood"))
    })
}

fn apply(receiver: Receiver, word: &str) -> Option<Receiver> {
    let (name, value) = word.find('=').map_or((word, ""), |at| word.split_at(at));
    let (.., apply) =
        WORDS.iter().find(|(known, needs, ..)| *known == name && needs.is_empty() == value.is_empty())?;
    apply(receiver, value.trim_start_matches('='))
}

/// `7:1+8:1`
fn packets(value: &str) -> Option<Vec<(u32, u32)>> {
    let one = |word: &str| {
        let (seq, nth) = word.split_once(':')?;
        Some((seq.parse().ok()?, positive(nth)?))
    };
    value.split('+').map(one).collect()
}

fn positive(value: &str) -> Option<u32> {
    value.parse().ok().filter(|number| *number > 0)
}

fn milliseconds(value: &str) -> Option<Duration> {
    duration(value, 1e-3)
}

pub fn seconds(value: &str) -> Option<Duration> {
    duration(value, 1.0)
}

fn duration(value: &str, unit: f64) -> Option<Duration> {
    let time = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * unit).ok()?;
    Some(time).filter(|time| time.as_secs() <= 1_000_000)
}

/// An address that a server can have.
pub fn address(value: &str) -> Option<IpAddr> {
    value.parse().ok().filter(|address: &IpAddr| !address.is_unspecified() && !address.is_multicast())
}

fn probability(value: &str) -> Option<f64> {
    value.parse().ok().filter(|p| (0.0..=1.0).contains(p))
}

#[cfg(test)]
mod tests {
    use super::super::script::ms;
    use super::*;

    #[test]
    fn words_mean_what_the_methods_of_a_receiver_mean() {
        let r1 = || Receiver::named("R1");
        let fifth = Receiver::named("5th Receiver").ack_delay(Duration::from_micros(1_714_900)).jitter(ms(7));
        for (spec, expected) in [
            ("name=5th Receiver,delay=1714.9,jitter=7,lose=7:1+8:2", fifth.lose(7, 1).lose(8, 2)),
            ("loss=0.05,ack-loss=1", r1().data_loss(0.05).ack_loss(1.0)),
            ("dies=12", r1().dies_after_acks(12)),
            ("stalls=3:250", r1().silent_for(3, ms(250))),
            ("closed", r1().closed()),
            ("dup,stale,no-acks", r1().duplicates_acks().stale_acks().never_acks()),
        ] {
            assert_eq!(format!("{:?}", parse(spec, "R1").unwrap()), format!("{expected:?}"), "{spec}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let valueless = ["", "delay", "unknown"].map(str::to_owned);
        let values = [
            ("delay", &["", "-1", "x", "inf", "NaN"][..]),
            ("loss", &["1.1"]),
            ("lose", &["7", "7:0", "7:1+"]),
            ("at", &["localhost"]),
            ("closes", &["0"]),
            ("stalls", &["3"]),
            ("dup", &["1"]),
        ];
        let with_value = |(word, values): (&'static str, &'static [&str])| {
            values.iter().map(move |value| format!("{word}={value}"))
        };
        for wrong in valueless.into_iter().chain(values.into_iter().flat_map(with_value)) {
            let error = parse(&format!("name=A,{wrong}"), "R1").unwrap_err();
            assert_eq!(error, format!("'{wrong}' is not understood"));
        }
    }
}
