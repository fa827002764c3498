//! Helpers of the unit tests: seeded random numbers, and an instant, which the tests of the pure parts may not take
//! themselves.

use std::time::{Duration, Instant};

/// Returns some instant, to which tests add durations.
pub fn start() -> Instant {
    Instant::now()
}

/// Returns a duration of `n` milliseconds.
pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Reports that a test skips something: on standard error itself, since a test's output is shown only if it fails.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let line = format!("{}: SKIPPED, at least in part: {why}\n", test.name().unwrap_or("a test"));
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

/// The datagram that acknowledges a packet.
pub fn ack(tid: u64, seq: u32) -> Vec<u8> {
    format!("Type:3;TID:{tid};SEQ:{seq};").into_bytes()
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): one seed makes one sequence, on
/// every machine.
pub struct Rng(u64);

impl Rng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// A number of up to `bits` bits (1 to 64), every order of magnitude equally likely.
    pub fn magnitude(&mut self, bits: u32) -> u64 {
        let shift = 64 - self.below(u64::from(bits) + 1) as u32;
        self.bits().checked_shr(shift).unwrap_or(0)
    }

    /// One of these.
    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}
