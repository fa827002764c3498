//! What the judge says: the verdict, the remarks beside it, and the counts it rests on.

use super::ledger::Counts;
use super::runs::Run;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

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
    /// A packet for a new SEQ came before the receiver had acknowledged the one before.
    BrokenStopAndWait { receiver: String, outstanding: u32, seq: u32 },
    /// A SEQ came with other bytes than before.
    ConflictingData { receiver: String, seq: u32 },
    /// More than 100 payload bytes in a packet.
    TooLong { receiver: String, seq: u32, len: usize },
    /// SEQs came again though their ack had been sent.
    Spurious { receiver: String, packets: u64 },
    /// SEQs that came to more than one receiver, as they do after a failover.
    AtSeveralReceivers { seqs: u64 },
    /// Data for a transaction that was never assigned. Whose it is cannot be said: noted with the newest one.
    WrongTid { receiver: String, tid: u64 },
    /// A datagram to a receiver that is not a data packet. Noted with the newest transaction.
    Unparsable { receiver: String, len: usize },
    /// There is no room for more payload.
    Full { receiver: String },
    /// Data to a receiver that is not in the list.
    NotAssigned { receiver: String, packets: u64 },
    /// All SEQs are there, but the bytes are not those that were expected.
    WrongPayload,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::RangesOutOfListOrder => write!(f, "the SEQ ranges are not in the order of the list"),
            Remark::BrokenStopAndWait { receiver, outstanding, seq } => {
                write!(f, "{receiver}: SEQ {seq} came while SEQ {outstanding} was not acknowledged")
            }
            Remark::ConflictingData { receiver, seq } => {
                write!(f, "{receiver}: SEQ {seq} came again with other data")
            }
            Remark::TooLong { receiver, seq, len } => {
                write!(f, "{receiver}: SEQ {seq} has {len} payload bytes, more than 100")
            }
            Remark::Spurious { receiver, packets } => {
                write!(f, "{receiver}: {packets} spurious retransmission(s)")
            }
            Remark::AtSeveralReceivers { seqs } => write!(f, "{seqs} SEQ(s) came to more than one receiver"),
            Remark::WrongTid { receiver, tid } => {
                write!(f, "{receiver}: data for TID {tid}, which was not assigned")
            }
            Remark::Unparsable { receiver, len } => {
                write!(f, "{receiver}: {len} bytes that are no data packet")
            }
            Remark::Full { receiver } => write!(f, "{receiver}: no room for more data (--limit)"),
            Remark::NotAssigned { receiver, packets } => {
                write!(f, "{receiver}: {packets} packet(s), though it is not in the list")
            }
            Remark::WrongPayload => write!(f, "the bytes are not those that were expected"),
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
    pub runs: Vec<Run>,
}

impl Part {
    /// SEQs received, each counted once.
    pub fn seqs(&self) -> u64 {
        self.runs.iter().map(|run| run.len()).sum()
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
    /// Bytes from SEQ 0 up to the first SEQ that is missing.
    pub length: u64,
    /// These bytes themselves; empty where payloads are not kept.
    pub payload: Vec<u8>,
    /// Receivers in the order of the script.
    pub parts: Vec<Part>,
}

impl Transaction {
    pub fn completed(&self) -> bool {
        self.verdict == Verdict::Completed
    }

    /// The part of the receiver of that name; an empty one for an unknown name.
    pub fn part(&self, name: &str) -> Part {
        let known = self.parts.iter().find(|part| part.name == name).cloned();
        known.unwrap_or_else(|| Part {
            name: name.to_string(),
            address: IpAddr::from([0, 0, 0, 0]),
            counts: Counts::default(),
            runs: Vec::new(),
        })
    }

    /// Bytes at each receiver, in the order of the script.
    pub fn shares(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.counts.bytes).collect()
    }

    /// Data packets that came to any receiver, lost ones included.
    pub fn packets(&self) -> u64 {
        self.parts.iter().map(|part| part.counts.packets).sum()
    }

    /// SEQs at all receivers; one that came to two counts twice.
    pub fn seqs(&self) -> u64 {
        self.parts.iter().map(Part::seqs).sum()
    }

    /// Remarks that speak of a client's mistake: all but spurious retransmissions and SEQs at several receivers, which a
    /// slow ack and a failover excuse.
    pub fn faults(&self) -> Vec<&Remark> {
        let excused =
            |remark: &&Remark| !matches!(remark, Remark::Spurious { .. } | Remark::AtSeveralReceivers { .. });
        self.remarks.iter().filter(excused).collect()
    }
}
