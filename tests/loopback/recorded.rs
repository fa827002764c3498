//! The recorded transaction of mdalp(7), as a script.

use super::script::Receiver;
use std::time::Duration;

/// The payload's length, and the latencies that lead to its shares.
pub const LENGTH: usize = 5000;
pub const LATENCIES_US: [u64; 3] = [335_148, 162_844, 156_857];

/// Ack round trip and its standard deviation in microseconds, and the SEQs whose first transmission was lost.
pub const RECEIVERS: [(&str, u64, u64, &[u32]); 3] = [
    ("5th Receiver", 1_714_900, 7_100, &[7, 8]),
    ("4th Receiver", 853_100, 11_800, &[10]),
    ("2nd Receiver", 857_400, 13_300, &[46]),
];

/// The three receivers, all times divided by `scale`.
pub fn receivers(scale: f64, losses: bool) -> impl Iterator<Item = Receiver> {
    RECEIVERS.iter().map(move |(name, delay, jitter, lost)| {
        let scaled = |us: &u64| Duration::from_micros(*us).div_f64(scale);
        let receiver = Receiver::named(*name).ack_delay(scaled(delay)).jitter(scaled(jitter));
        let lost = if losses { *lost } else { &[] };
        lost.iter().fold(receiver, |receiver, seq| receiver.lose(*seq, 1))
    })
}
