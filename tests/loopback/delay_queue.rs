//! What happens later: one thread that does small jobs when they are due, and the sign at which everything stops.
//!
//! A condition variable's wait is a high-resolution timer (late by some 50 µs); a socket's read timeout is a tick of the
//! kernel (late by 4 to 8 ms at HZ=250). So delays are waited for here, and sockets are read without timeouts.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// The kernel lets a timer run this much over time (its default slack), so it is set that much earlier.
const SLACK: Duration = Duration::from_micros(50);

#[derive(Default)]
pub struct DelayQueue {
    state: Mutex<State>,
    wakeup: Condvar,
}

#[derive(Default)]
struct State {
    /// By the time at which they are due, and then in the order they came.
    jobs: BTreeMap<(Instant, u64), Job>,
    count: u64,
    stopped: bool,
}

impl DelayQueue {
    /// Does the job after `delay`, from the queue's own thread; jobs due at one time are done in the order they came.
    pub fn later(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.state);
        let key = (Instant::now() + delay, state.count);
        state.count += 1;
        state.jobs.insert(key, Box::new(job));
        if state.jobs.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.wakeup.notify_one();
        }
    }

    /// The queue's thread: returns when stopped. Jobs not yet due are dropped.
    pub fn run(&self) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let due = state.jobs.keys().next().map(|(at, _)| at.saturating_duration_since(Instant::now()));
            state = match due {
                None => self.wakeup.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) if wait > SLACK => {
                    let waited = self.wakeup.wait_timeout(state, wait - SLACK);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let first = state.jobs.pop_first();
                    drop(state);
                    if let Some((_, job)) = first {
                        job();
                    }
                    lock(&self.state)
                }
            };
        }
        state.jobs.clear();
    }

    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        self.wakeup.notify_all();
    }
}

/// The sign at which every thread of the servers ends.
#[derive(Default)]
pub struct Stop {
    requested: Mutex<bool>,
    wakeup: Condvar,
}

impl Stop {
    pub fn request(&self) {
        *lock(&self.requested) = true;
        self.wakeup.notify_all();
    }

    pub fn requested(&self) -> bool {
        *lock(&self.requested)
    }

    /// Sleeps, but not beyond the request; says whether it came.
    pub fn wait(&self, time: Duration) -> bool {
        let waited = self.wakeup.wait_timeout_while(lock(&self.requested), time, |requested| !*requested);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A lock is still good after a thread that held it panicked: a test that fails must not fail a second time at its end.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_are_done_by_time_and_then_in_order() {
        let queue = DelayQueue::default();
        let (sender, receiver) = mpsc::channel();
        for (delay, name) in [(20, "third"), (0, "first"), (10, "second"), (20, "fourth")] {
            let sender = sender.clone();
            queue.later(Duration::from_millis(delay), move || sender.send(name).unwrap());
        }
        std::thread::scope(|scope| {
            scope.spawn(|| queue.run());
            let order: Vec<&str> = receiver.iter().take(4).collect();
            queue.stop();
            assert_eq!(order, ["first", "second", "third", "fourth"]);
        });
    }
}
