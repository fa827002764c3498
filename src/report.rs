//! The result of a transfer, as numbers.

use crate::protocol::worker::Worker;
use crate::protocol::{SeqRange, Tid};
use std::net::IpAddr;
use std::time::Duration;

pub use crate::protocol::lane::Counts;
pub use crate::protocol::{Latency, LatencySource, LossReason};

// What follows are the words of JSON, so that a new variant cannot go without one.

impl LatencySource {
    /// In a word, as in JSON, and the number of replies.
    pub fn name(self) -> (&'static str, Option<u8>) {
        match self {
            Self::Icmp(replies) => ("icmp", Some(replies)),
            Self::UdpProbe(replies) => ("udp", Some(replies)),
            Self::NoReply => ("silent", None),
            Self::Fallback => ("equal", None),
            Self::Given => ("stated", None),
        }
    }
}

impl LossReason {
    /// In a word, as in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "silent",
            Self::Refused { .. } => "refused",
            Self::LocalFailure { .. } => "unusable",
        }
    }
}

/// How it ended at one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiverStatus {
    /// It acknowledged everything that was assigned to it, perhaps nothing.
    Done,
    /// It was lost.
    Lost(LossReason),
    /// The transfer ended before it had acknowledged all.
    Stopped,
}

/// What happened at one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverReport {
    /// Its address. An address that is listed twice is one receiver here.
    pub address: IpAddr,
    /// Its name, any text; the first one if the address is listed twice.
    pub name: String,
    /// Its latency; `None` in mode 2.
    pub latency: Option<Latency>,
    /// The number of bytes that were planned for it.
    pub planned_bytes: u64,
    /// The packets that it acknowledged, in that order.
    pub acked: Vec<SeqRange>,
    /// What was sent to it and came from it.
    pub counts: Counts,
    /// How it ended.
    pub status: ReceiverStatus,
}

impl ReceiverReport {
    /// A report of a receiver that nothing was planned for or sent to, for the tests of who shows reports.
    pub fn new(address: IpAddr, name: impl Into<String>) -> Self {
        Self {
            address,
            name: name.into(),
            latency: None,
            planned_bytes: 0,
            acked: Vec::new(),
            counts: Counts::default(),
            status: ReceiverStatus::Done,
        }
    }

    pub(crate) fn of(worker: &Worker) -> Self {
        let target = &worker.target;
        Self {
            address: target.receiver.address,
            name: target.receiver.name.clone(),
            latency: target.latency,
            planned_bytes: target.ranges.iter().map(SeqRange::len).sum(),
            acked: worker.acked_ranges(),
            counts: worker.lane.counts(),
            status: match &worker.loss {
                Some(loss) => ReceiverStatus::Lost(loss.clone()),
                None if worker.remaining_packets() == 0 => ReceiverStatus::Done,
                None => ReceiverStatus::Stopped,
            },
        }
    }

    /// Returns the number of bytes that it acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.acked.iter().map(SeqRange::len).sum()
    }

    /// Returns the number of packets that it acknowledged.
    pub fn acked_packets(&self) -> u32 {
        self.acked.iter().map(SeqRange::packets).sum()
    }

    /// Whether it had something to do and did it.
    pub fn is_done_with_work(&self) -> bool {
        self.status == ReceiverStatus::Done && !self.acked.is_empty()
    }

    /// Whether it had nothing to do.
    pub fn is_idle(&self) -> bool {
        self.status == ReceiverStatus::Done && self.acked.is_empty()
    }

    /// Its status in a word, as in JSON: `done`, `idle`, `stopped` or `lost`.
    pub fn status_name(&self) -> &'static str {
        match &self.status {
            ReceiverStatus::Done if self.is_idle() => "idle",
            ReceiverStatus::Done => "done",
            ReceiverStatus::Stopped => "stopped",
            ReceiverStatus::Lost(_) => "lost",
        }
    }

    /// Why it was lost; `None` if it was not.
    pub fn loss(&self) -> Option<&LossReason> {
        match &self.status {
            ReceiverStatus::Lost(reason) => Some(reason),
            ReceiverStatus::Done | ReceiverStatus::Stopped => None,
        }
    }
}

/// The result of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The transaction.
    pub tid: Tid,
    /// Bytes in the payload.
    pub payload_bytes: u64,
    /// Packets (SEQs) that carry them.
    pub packets: u32,
    /// From the assignment to the end.
    pub elapsed: Duration,
    /// Of that, measuring the latencies.
    pub measuring: Duration,
    /// The receivers in list order.
    pub receivers: Vec<ReceiverReport>,
}

impl Report {
    /// A report of a transfer in which nothing has happened yet.
    pub fn new(tid: Tid, payload_bytes: u64, packets: u32) -> Self {
        let (elapsed, measuring) = (Duration::ZERO, Duration::ZERO);
        Self { tid, payload_bytes, packets, elapsed, measuring, receivers: Vec::new() }
    }

    /// Returns the number of bytes acknowledged by all receivers. After a failover a packet counts once.
    pub fn acked_bytes(&self) -> u64 {
        self.receivers.iter().map(ReceiverReport::acked_bytes).sum()
    }

    /// Returns the number of packets acknowledged by all receivers.
    pub fn acked_packets(&self) -> u32 {
        self.receivers.iter().map(ReceiverReport::acked_packets).sum()
    }

    /// Iterates over the receivers that were lost, and why.
    pub fn losses(&self) -> impl Iterator<Item = (&ReceiverReport, &LossReason)> {
        self.receivers.iter().filter_map(|receiver| Some((receiver, receiver.loss()?)))
    }

    /// Returns the number of retransmissions to all receivers.
    pub fn retransmissions(&self) -> u64 {
        self.receivers.iter().map(|r| r.counts.retransmissions).sum()
    }

    /// Returns the time from the assignment to the last ack of all; `None` if there was none.
    pub fn last_ack(&self) -> Option<Duration> {
        self.receivers.iter().filter_map(|r| r.counts.last_ack).max()
    }

    /// Whether every byte was acknowledged.
    pub fn is_complete(&self) -> bool {
        self.acked_bytes() == self.payload_bytes
    }
}
