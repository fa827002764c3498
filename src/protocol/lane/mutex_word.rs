//! A 64-bit word for processors without 64-bit atomics (MIPS32, 32-bit PowerPC, ARMv5): the part of the standard
//! library's `AtomicU64` that a lane uses, with a lock.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct AtomicU64(Mutex<u64>);

impl AtomicU64 {
    pub(super) const fn new(value: u64) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn load(&self, _: Ordering) -> u64 {
        *self.lock()
    }

    pub(super) fn store(&self, value: u64, _: Ordering) {
        *self.lock() = value;
    }

    pub(super) fn fetch_update(
        &self,
        _: Ordering,
        _: Ordering,
        step: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let mut word = self.lock();
        let before = *word;
        *word = step(before).ok_or(before)?;
        Ok(before)
    }

    /// A panic cannot leave half a word behind.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn it_does_what_the_standard_one_does() {
        let word = AtomicU64::new(1 << 40);
        assert_eq!(word.load(Relaxed), 1 << 40);
        word.store(7, Relaxed);
        assert_eq!(word.fetch_update(Relaxed, Relaxed, |before| Some(before * 3)), Ok(7));
        assert_eq!(word.fetch_update(Relaxed, Relaxed, |_| None), Err(21));
        assert_eq!(word.load(Relaxed), 21);
    }
}
