//! What the judge says: the verdict, the remarks beside it, and the counts it rests on.

use super::ledger::Counts;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// A hostile or broken client must not fill the memory with remarks.
pub const MOST_REMARKS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Completed,
    Violation,
    Incomplete,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Completed => "Transaction completed!",
            Verdict::Violation => "Transaction failed! Complete data but load balancing violation!",
            Verdict::Incomplete => "Transaction failed! Load balancing violation and incomplete data!",
        })
    }
}

/// Something that does not change the verdict, but should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The receivers, in the order of their SEQ ranges, are not in the order of the list.
    RangesOutOfListOrder,
    /// SEQs came again though their ack had been sent.
    Spurious { receiver: String, packets: u64 },
    /// SEQs that came to more than one receiver, as they do after a failover.
    AtSeveralReceivers { seqs: u64 },
    /// Anything else, in words.
    Other(String),
}

impl Remark {
    /// What was seen at a receiver.
    pub fn at(receiver: &str, what: impl fmt::Display) -> Remark {
        Remark::Other(format!("{receiver}: {what}"))
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::RangesOutOfListOrder => write!(f, "the SEQ ranges are not in the order of the list"),
            Remark::Spurious { receiver, packets } => {
                write!(f, "{receiver}: {packets} spurious retransmission(s)")
            }
            Remark::AtSeveralReceivers { seqs } => write!(f, "{seqs} SEQ(s) came to more than one receiver"),
            Remark::Other(what) => f.write_str(what),
        }
    }
}

/// One receiver's part in a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub address: IpAddr,
    pub counts: Counts,
    /// The SEQs received, as contiguous runs.
    pub runs: Vec<RangeInclusive<u32>>,
}

impl Part {
    /// SEQs received, each counted once.
    pub fn seqs(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.end() - run.start()) + 1).sum()
    }

    /// Data packets beyond the first of each SEQ that came through.
    pub fn retransmissions(&self) -> u64 {
        self.counts.packets.saturating_sub(self.seqs())
    }
}

/// A transaction, judged.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub tid: u64,
    pub client: SocketAddr,
    pub verdict: Verdict,
    pub remarks: Vec<Remark>,
    /// The bytes from SEQ 0 up to the first SEQ that is missing.
    pub payload: Vec<u8>,
    /// Receivers in the order of the script.
    pub parts: Vec<Part>,
}

impl Transaction {
    pub fn completed(&self) -> bool {
        self.verdict == Verdict::Completed
    }

    /// The part of the receiver of that name, which must be in the script.
    #[allow(clippy::unwrap_used)] // A test that asks for no receiver of its script is wrong.
    pub fn part(&self, name: &str) -> &Part {
        self.parts.iter().find(|part| part.name == name).unwrap()
    }

    /// Bytes at each receiver, in the order of the script.
    pub fn shares(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.counts.bytes).collect()
    }

    /// Data packets that came to any receiver, lost ones included.
    pub fn packets(&self) -> u64 {
        self.parts.iter().map(|part| part.counts.packets).sum()
    }

    /// Remarks that speak of a client's mistake: all but spurious retransmissions and SEQs at several receivers, which a
    /// slow ack and a failover excuse.
    pub fn faults(&self) -> Vec<&Remark> {
        let excused =
            |remark: &&Remark| !matches!(remark, Remark::Spurious { .. } | Remark::AtSeveralReceivers { .. });
        self.remarks.iter().filter(excused).collect()
    }
}
