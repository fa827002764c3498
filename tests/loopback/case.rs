//! A transaction while it runs: who asked, whom it was assigned to, and what each receiver has got.

use super::delay_queue::lock;
use super::ledger::Ledger;
use super::runs::Run;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

pub struct Case {
    pub tid: u64,
    pub client: SocketAddr,
    /// When Type 1 was sent; not yet while the assignment is delayed.
    pub assigned: OnceLock<Instant>,
    /// The addresses in Type 1, in its order.
    pub list: Vec<IpAddr>,
    /// One for each receiver of the script.
    pub ledgers: Vec<(IpAddr, Mutex<Ledger>)>,
    /// The payload, if the judge was told it beforehand.
    pub expectation: Option<Arc<Vec<u8>>>,
    /// No atomic: not every processor has one of 64 bits.
    new_bytes: Mutex<u64>,
}

impl Case {
    pub fn new(
        tid: u64,
        client: SocketAddr,
        list: Vec<IpAddr>,
        ledgers: Vec<(IpAddr, Ledger)>,
        expectation: Option<Arc<Vec<u8>>>,
    ) -> Case {
        Case {
            tid,
            client,
            assigned: OnceLock::new(),
            list,
            ledgers: ledgers.into_iter().map(|(address, ledger)| (address, Mutex::new(ledger))).collect(),
            expectation,
            new_bytes: Mutex::new(0),
        }
    }

    pub fn ledger(&self, receiver: usize) -> &Mutex<Ledger> {
        &self.ledgers[receiver].1
    }

    pub fn count_new(&self, bytes: usize) {
        *lock(&self.new_bytes) += bytes as u64;
    }

    /// Bytes that were new at their receiver, so far. One that came to two receivers counts twice.
    pub fn new_bytes(&self) -> u64 {
        *lock(&self.new_bytes)
    }

    /// Whether the expected number of bytes may have come; the judge has to look more closely.
    pub fn may_be_complete(&self) -> bool {
        self.expectation.as_ref().is_some_and(|expected| self.new_bytes() >= expected.len() as u64)
    }

    pub fn since_assigned(&self) -> Duration {
        self.assigned.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Packets that came to any receiver so far.
    pub fn packets(&self) -> u64 {
        self.ledgers.iter().map(|(_, ledger)| lock(ledger).counts.packets).sum()
    }

    /// Whether a client that is quiet now has nothing left to do, as far as the wire tells: no gap among the SEQs, and
    /// nothing unacknowledged.
    pub fn looks_finished(&self) -> bool {
        self.has_no_gap() && self.all_acknowledged()
    }

    /// Whether every SEQ that came was acknowledged, by that receiver or, after a failover, by another.
    pub fn all_acknowledged(&self) -> bool {
        let outstanding = self.ledgers.iter().filter_map(|(_, ledger)| lock(ledger).outstanding());
        let outstanding: Vec<u32> = outstanding.collect();
        let acknowledged =
            |seq: &u32| self.ledgers.iter().any(|(_, ledger)| lock(ledger).has_acknowledged(*seq));
        outstanding.iter().all(acknowledged)
    }

    fn has_no_gap(&self) -> bool {
        let received = self.ledgers.iter().map(|(_, ledger)| lock(ledger).received.as_slice().to_vec());
        let mut runs: Vec<Run> = received.flatten().collect();
        runs.sort_unstable_by_key(|run| run.first);
        let mut next = 0;
        for run in &runs {
            if u64::from(run.first) > next {
                return false;
            }
            next = next.max(u64::from(run.last) + 1);
        }
        next > 0
    }
}
