//! All transactions of the servers: those that run, those that were judged, and the judge thread who decides when.

use super::case::Case;
use super::delay_queue::{Stop, lock};
use super::judge::judge;
use super::verdict::{MOST_REMARKS, Remark, Transaction, Verdict};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A client that leaves things unfinished is given this many times the idle time: it may be waiting to retransmit.
const PATIENCE: u32 = 5;

/// A client that looks finished and is quiet for this long is finished when the next one comes.
const SETTLED: Duration = Duration::from_millis(100);

/// The judge thread looks this often.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Default)]
pub struct Transactions {
    state: Mutex<State>,
    /// Notified when a transaction was judged.
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
}

struct Watched {
    case: Arc<Case>,
    judged: bool,
    packets: u64,
    quiet_since: Instant,
}

impl Transactions {
    pub fn open(&self, case: Arc<Case>) {
        let watched = Watched { case, judged: false, packets: 0, quiet_since: Instant::now() };
        lock(&self.state).cases.push(watched);
    }

    pub fn find(&self, tid: u64) -> Option<Arc<Case>> {
        let state = lock(&self.state);
        let newest = state.cases.iter().rev().find(|watched| watched.case.tid == tid);
        newest.map(|watched| Arc::clone(&watched.case))
    }

    /// Something came that belongs to no transaction: noted with the newest one.
    pub fn stray(&self, remark: Remark) {
        let mut state = lock(&self.state);
        if state.strays.len() < MOST_REMARKS {
            state.strays.push(remark);
        }
    }

    /// Counts an intent.
    pub fn intent(&self) {
        let mut state = lock(&self.state);
        state.intents += 1;
        state.new_client = true;
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

    /// The judge thread: judges what is complete, and with `idle` what is quiet for this long.
    pub fn run_judge(&self, idle: Option<Duration>, stop: &Stop) {
        while !stop.wait(PAUSE) {
            for case in self.ready(idle) {
                let transaction = self.judge(&case);
                lock(&self.state).judged.push_back(transaction);
                self.verdicts.notify_all();
            }
        }
    }

    /// The transactions whose time to be judged has come; each is returned once.
    fn ready(&self, idle: Option<Duration>) -> Vec<Arc<Case>> {
        let mut state = lock(&self.state);
        let new_client = std::mem::take(&mut state.new_client);
        let mut ready = Vec::new();
        for watched in state.cases.iter_mut().filter(|watched| !watched.judged) {
            watched.judged = watched.is_ready(idle, new_client);
            if watched.judged {
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
        let none = |state: &mut State| state.judged.is_empty();
        let waited = self.verdicts.wait_timeout_while(lock(&self.state), timeout, none);
        waited.unwrap_or_else(PoisonError::into_inner).0.judged.pop_front()
    }
}

impl Watched {
    /// Whether all that was expected has come and the client knows, or nothing has come for long enough.
    fn is_ready(&mut self, idle: Option<Duration>, new_client: bool) -> bool {
        let packets = self.case.packets();
        if packets != self.packets || self.case.assigned.get().is_none() {
            (self.packets, self.quiet_since) = (packets, Instant::now());
        }
        let quiet = self.quiet_since.elapsed();
        let complete = self.case.may_be_complete();
        let rests = idle.is_some_and(|idle| quiet >= idle || (new_client && quiet >= SETTLED));
        let looks_finished = (complete || rests) && self.case.looks_finished();
        (looks_finished && (rests || judge(&self.case).verdict != Verdict::Incomplete))
            || idle.is_some_and(|idle| quiet >= idle * PATIENCE)
    }
}
