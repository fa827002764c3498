//! What happens later: one thread that does small jobs when they are due, and the sign at which everything stops.
//!
//! A condition variable's wait is a high-resolution timer (late by some 50 µs); a socket's read timeout is a tick of the
//! kernel (late by 4 to 8 ms at HZ=250). So delays are waited for here, and sockets are read without timeouts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// The kernel lets a timer run this much over time (its default slack), so it is set that much earlier.
const SLACK: Duration = Duration::from_micros(50);

/// Jobs by the time at which they are due.
#[derive(Default)]
pub struct DelayQueue {
    state: Mutex<State>,
    wakeup: Condvar,
}

#[derive(Default)]
struct State {
    jobs: BinaryHeap<Reverse<Due>>,
    count: u64,
    stopped: bool,
}

struct Due {
    at: Instant,
    number: u64,
    job: Job,
}

impl DelayQueue {
    /// Does the job after `delay`, from the queue's own thread; jobs due at one time are done in the order they came.
    pub fn later(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        let mut state = lock(&self.state);
        let due = Due { at: Instant::now() + delay, number: state.count, job: Box::new(job) };
        let earliest = state.jobs.peek().is_none_or(|Reverse(first)| due < *first);
        state.count += 1;
        state.jobs.push(Reverse(due));
        if earliest {
            self.wakeup.notify_one();
        }
    }

    /// The queue's thread: returns when stopped. Jobs not yet due are dropped.
    pub fn run(&self) {
        let mut state = lock(&self.state);
        while !state.stopped {
            let now = Instant::now();
            state = match state.jobs.peek().map(|Reverse(due)| due.at) {
                None => self.wakeup.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) if at > now + SLACK => {
                    self.wakeup
                        .wait_timeout(state, at - now - SLACK)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                Some(_) => {
                    let due = state.jobs.pop();
                    drop(state);
                    if let Some(Reverse(due)) = due {
                        (due.job)();
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

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The sign at which every thread of the servers ends.
#[derive(Default)]
pub struct Stop {
    flag: std::sync::atomic::AtomicBool,
    lock: Mutex<()>,
    wakeup: Condvar,
}

impl Stop {
    pub fn request(&self) {
        let _guard = lock(&self.lock);
        self.flag.store(true, std::sync::atomic::Ordering::SeqCst);
        self.wakeup.notify_all();
    }

    pub fn requested(&self) -> bool {
        self.flag.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Sleeps, but not beyond the request; says whether it came.
    pub fn wait(&self, time: Duration) -> bool {
        let guard = lock(&self.lock);
        let waited = self.wakeup.wait_timeout_while(guard, time, |()| !self.requested());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.requested()
    }
}

/// A lock is still good after a thread that held it panicked: a test that fails must not fail a second time at its end.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};

    #[test]
    fn jobs_are_done_by_time_and_then_in_order() {
        let queue = Arc::new(DelayQueue::default());
        let (sender, receiver) = mpsc::channel();
        for (delay, name) in [(20, "third"), (0, "first"), (10, "second"), (20, "fourth")] {
            let sender = sender.clone();
            queue.later(Duration::from_millis(delay), move || sender.send(name).unwrap());
        }
        let thread = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.run()
        });
        let order: Vec<&str> = receiver.iter().take(4).collect();
        queue.stop();
        thread.join().unwrap();
        assert_eq!(order, ["first", "second", "third", "fourth"]);
    }
}
