//! All transactions of the servers: those that run, those that were judged, and the judge thread who decides when.

use super::case::Case;
use super::delay_queue::{Stop, lock};
use super::judge::judge;
use super::verdict::{Remark, Transaction, Verdict};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A client that leaves things unfinished is given this many times the idle time: it may be waiting to retransmit.
const PATIENCE: u32 = 5;

/// A client that looks finished and is quiet for this long is finished when the next one comes.
const SETTLED: Duration = Duration::from_millis(100);

/// The judge thread looks this often.
const PAUSE: Duration = Duration::from_millis(5);

/// More strays than this are not remembered.
const MOST_STRAYS: usize = 100;

#[derive(Default)]
pub struct Transactions {
    state: Mutex<State>,
    /// Rung when a transaction was judged.
    verdicts: Condvar,
}

#[derive(Default)]
struct State {
    cases: Vec<Watched>,
    judged: VecDeque<Transaction>,
    strays: Vec<Remark>,
    intents: u64,
    others: u64,
    /// A client is new here: whoever looks finished is.
    new_client: bool,
    stopped: bool,
}

struct Watched {
    case: Arc<Case>,
    judged: bool,
    packets: u64,
    new_bytes: u64,
    complete: bool,
    quiet_since: Instant,
}

impl Transactions {
    pub fn open(&self, case: Arc<Case>) {
        let watched = Watched {
            case,
            judged: false,
            packets: 0,
            new_bytes: 0,
            complete: false,
            quiet_since: Instant::now(),
        };
        lock(&self.state).cases.push(watched);
    }

    pub fn find(&self, tid: u64) -> Option<Arc<Case>> {
        let state = lock(&self.state);
        state
            .cases
            .iter()
            .rev()
            .find(|watched| watched.case.tid == tid)
            .map(|watched| Arc::clone(&watched.case))
    }

    /// Something came that belongs to no transaction.
    pub fn stray(&self, remark: Remark) {
        let mut state = lock(&self.state);
        if state.strays.len() < MOST_STRAYS {
            state.strays.push(remark);
        }
    }

    /// Counts an intent; returns how many there were before.
    pub fn intent(&self) -> u64 {
        let mut state = lock(&self.state);
        state.intents += 1;
        state.new_client = true;
        state.intents - 1
    }

    pub fn intents(&self) -> u64 {
        lock(&self.state).intents
    }

    /// Counts a datagram to the orchestrator that is no intent.
    pub fn other(&self) {
        lock(&self.state).others += 1;
    }

    pub fn others(&self) -> u64 {
        lock(&self.state).others
    }

    pub fn stop(&self) {
        lock(&self.state).stopped = true;
        self.verdicts.notify_all();
    }

    /// The judge thread: judges what is complete, and with `idle` what is quiet for this long; then calls `after`.
    pub fn run_judge(&self, idle: Option<Duration>, stop: &Stop, after: impl Fn(usize)) {
        while !stop.wait(PAUSE) {
            let new_client = std::mem::take(&mut lock(&self.state).new_client);
            let ready = self.ready(idle, new_client);
            for case in &ready {
                let transaction = self.judge(case);
                lock(&self.state).judged.push_back(transaction);
                self.verdicts.notify_all();
            }
            after(ready.len());
        }
    }

    /// The transactions whose time to be judged has come; each is returned once.
    fn ready(&self, idle: Option<Duration>, new_client: bool) -> Vec<Arc<Case>> {
        let mut state = lock(&self.state);
        let mut ready = Vec::new();
        for watched in state.cases.iter_mut().filter(|watched| !watched.judged) {
            watched.observe();
            if watched.is_complete() || idle.is_some_and(|idle| watched.is_over(idle, new_client)) {
                watched.judged = true;
                ready.push(Arc::clone(&watched.case));
            }
        }
        ready
    }

    /// Judges one transaction as it stands.
    fn judge(&self, case: &Case) -> Transaction {
        let mut transaction = judge(case);
        let state = lock(&self.state);
        if state.cases.last().is_some_and(|newest| newest.case.tid == case.tid) {
            transaction.remarks.extend(state.strays.iter().cloned());
        }
        transaction
    }

    /// Judges all transactions as they stand, in the order of their assignment.
    pub fn judge_all(&self) -> Vec<Transaction> {
        let cases: Vec<Arc<Case>> =
            lock(&self.state).cases.iter().map(|watched| Arc::clone(&watched.case)).collect();
        cases.iter().map(|case| self.judge(case)).collect()
    }

    /// The next transaction that was judged, waited for this long.
    pub fn next_judged(&self, timeout: Duration) -> Option<Transaction> {
        let state = lock(&self.state);
        let waiting = |state: &mut State| state.judged.is_empty() && !state.stopped;
        let (mut state, _) =
            self.verdicts.wait_timeout_while(state, timeout, waiting).unwrap_or_else(PoisonError::into_inner);
        state.judged.pop_front()
    }
}

impl Watched {
    /// Notes whether anything came since the last look.
    fn observe(&mut self) {
        let packets = self.case.packets();
        if packets != self.packets || self.case.assigned.get().is_none() {
            (self.packets, self.quiet_since) = (packets, Instant::now());
        }
    }

    /// Whether all that was expected has come, and the client knows. Looks closely only when there are new bytes.
    fn is_complete(&mut self) -> bool {
        let before = std::mem::replace(&mut self.new_bytes, self.case.new_bytes());
        if !self.complete && self.new_bytes > before && self.case.may_be_complete() {
            self.complete = judge(&self.case).verdict != Verdict::Incomplete;
        }
        self.complete && self.case.all_acknowledged()
    }

    fn is_over(&self, idle: Duration, new_client: bool) -> bool {
        let quiet = self.quiet_since.elapsed();
        match self.case.looks_finished() {
            true => quiet >= idle || (new_client && quiet >= SETTLED),
            false => quiet >= idle * PATIENCE,
        }
    }
}
