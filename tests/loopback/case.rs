//! A transaction while it runs: who asked, whom it was assigned to, and what each receiver has got.

use super::delay_queue::lock;
use super::ledger::Ledger;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// The receivers' addresses and ledgers, in the order of the script.
pub type Ledgers<'a> = Vec<(IpAddr, MutexGuard<'a, Ledger>)>;

pub struct Case {
    pub tid: u64,
    pub client: SocketAddr,
    /// When Type 1 was sent; not yet while the assignment is delayed.
    pub assigned: OnceLock<Instant>,
    /// The addresses in Type 1, in its order.
    pub list: Vec<IpAddr>,
    /// One for each receiver of the script.
    pub ledgers: Vec<(IpAddr, Mutex<Ledger>)>,
    /// The payload, if the judge was given it beforehand.
    pub expectation: Option<Arc<Vec<u8>>>,
}

impl Case {
    pub fn ledger(&self, receiver: usize) -> MutexGuard<'_, Ledger> {
        lock(&self.ledgers[receiver].1)
    }

    pub fn lock(&self) -> Ledgers<'_> {
        self.ledgers.iter().map(|(address, ledger)| (*address, lock(ledger))).collect()
    }

    pub fn since_assigned(&self) -> Duration {
        self.assigned.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Packets that came to any receiver so far.
    pub fn packets(&self) -> u64 {
        self.lock().iter().map(|(_, ledger)| ledger.counts.packets).sum()
    }

    /// Whether the expected number of bytes may have come; what came to two receivers counts twice.
    pub fn may_be_complete(&self) -> bool {
        let bytes = self.lock().iter().map(|(_, ledger)| ledger.counts.bytes).sum::<u64>();
        self.expectation.as_ref().is_some_and(|expected| bytes >= expected.len() as u64)
    }

    /// Whether a client that is quiet now has nothing left to do, as far as the wire shows: there is no gap among the SEQs,
    /// and each was acknowledged by its receiver or, after a failover, by another.
    pub fn looks_finished(&self) -> bool {
        let ledgers = self.lock();
        let is_acknowledged = |seq| ledgers.iter().any(|(_, ledger)| ledger.has_acknowledged(seq));
        let mut outstanding = ledgers.iter().filter_map(|(_, ledger)| ledger.outstanding());
        let seqs: BTreeSet<u32> =
            ledgers.iter().flat_map(|(_, ledger)| ledger.received()).map(|(seq, _)| seq).collect();
        let has_no_gap = seqs.last().is_some_and(|last| u64::from(*last) + 1 == seqs.len() as u64);
        has_no_gap && outstanding.all(is_acknowledged)
    }
}
