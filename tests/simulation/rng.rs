//! What the simulation draws from the tests' generator.

pub use crate::loopback::Rng;
use std::time::Duration;

impl Rng {
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number between the two, every order of magnitude as likely as the others.
    pub fn log_between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// Seconds between the two, every order of magnitude as likely as the others.
    pub fn log_seconds(&mut self, low: f64, high: f64) -> Duration {
        Duration::from_secs_f64(self.log_between(low, high))
    }
}
