//! The events of a transaction, from which log, progress and JSON are made. The library itself prints nothing.

use crate::error::Error;
use crate::options::Mode;
use crate::protocol::{ListIndex, Receiver, Seq, SeqRange, Tid};
use crate::report::{Latency, LossReason, Report};
use crate::text::NamedAddress;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::time::Duration;

pub use crate::protocol::scheduler::MoveReason;

impl MoveReason {
    /// In a word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Rebalance => "rebalance",
        }
    }
}

/// One receiver's progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneProgress {
    /// Packets acknowledged.
    pub acked: u32,
    /// Packets that it has or had to do: acknowledged ones and those still to come.
    pub assigned: u32,
    /// Retransmissions.
    pub retransmissions: u64,
    /// Whether it is lost.
    pub lost: bool,
}

/// A receiver and its place in the orchestrator's list. A receiver that is listed twice goes by its first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its place.
    pub index: ListIndex,
    /// Its address and name.
    pub receiver: &'a Receiver,
}

/// Shows `127.0.0.2 (5th Receiver)`: safe to print, a long name truncated.
impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        NamedAddress(self.receiver.address, &self.receiver.name).fmt(f)
    }
}

impl<'a> Listed<'a> {
    /// The receiver's address.
    pub fn address(&self) -> IpAddr {
        self.receiver.address
    }

    /// All receivers of a list with their places.
    pub(crate) fn all(receivers: &'a [Receiver]) -> impl Iterator<Item = Self> {
        receivers.iter().enumerate().map(|(index, receiver)| Self { index: ListIndex(index), receiver })
    }
}

/// The share of one entry of the orchestrator's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedShare<'a> {
    /// The receiver.
    pub receiver: Listed<'a>,
    /// Its latency; `None` in mode 2.
    pub latency: Option<Latency>,
    /// Its packets; may be empty.
    pub range: SeqRange,
}

/// What happens in a transaction, in order. Variants may get more fields: match them with `..`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The intent was sent.
    IntentSent {
        /// The orchestrator.
        orchestrator: SocketAddr,
        /// 1 the first time.
        attempt: u32,
    },
    /// Still waiting for the assignment. Comes four times a second, whatever progress is wanted, so that an observer can
    /// cancel.
    Waiting {
        /// Since the intent was first sent.
        elapsed: Duration,
    },
    /// A datagram from the orchestrator was ignored, since it is not an assignment.
    Unexpected {
        /// Its first bytes.
        datagram: &'a [u8],
    },
    /// The orchestrator assigned a transaction. The transfer's time starts here.
    Assigned {
        /// The transaction.
        tid: Tid,
        /// How the payload will be divided.
        mode: Mode,
        /// The receivers in list order.
        receivers: &'a [Receiver],
        /// Since the intent was first sent.
        waited: Duration,
    },
    /// Latencies could not be measured as usual: why, and what happens instead. One line, safe to print.
    LatencyFallback {
        /// The line.
        reason: &'a str,
        /// Whether the user should act on it: not where another way to measure was answered.
        warning: bool,
    },
    /// The latencies are known.
    Latencies {
        /// Of each list entry, in list order.
        latencies: &'a [(Listed<'a>, Latency)],
        /// How long measuring took.
        took: Duration,
    },
    /// The payload is divided.
    Planned {
        /// How the payload is divided.
        mode: Mode,
        /// What each list entry gets, in list order.
        shares: &'a [PlannedShare<'a>],
        /// The minimum number of bytes for each receiver in mode 1; 0 in mode 2.
        floor: u64,
    },
    /// A data packet was sent. Only with [`Trace::Packets`](crate::Trace::Packets).
    PacketSent {
        /// The receiver.
        receiver: Listed<'a>,
        /// The packet.
        seq: Seq,
        /// 1 for its first transmission.
        transmission: u32,
        /// Its payload.
        payload: &'a [u8],
    },
    /// A datagram came from a receiver. Only with [`Trace::Packets`](crate::Trace::Packets).
    PacketReceived {
        /// The receiver.
        receiver: Listed<'a>,
        /// All of it, up to the longest that an ack can be.
        datagram: &'a [u8],
        /// Since the outstanding packet was last sent, if it acknowledged that.
        acked_after: Option<Duration>,
    },
    /// No ack came in time; the packet is sent again. Only with [`Trace::Timeouts`](crate::Trace::Timeouts) or
    /// more.
    TimedOut {
        /// The receiver.
        receiver: Listed<'a>,
        /// The packet.
        seq: Seq,
        /// The number of times that it had been sent.
        transmissions: u32,
        /// Since it was last sent.
        waited: Duration,
        /// Whether it was refused: nothing is listening on the receiver's port.
        refused: bool,
    },
    /// A packet was refused, for the first time in a row: nothing is listening on the receiver's port.
    Refused {
        /// The receiver.
        receiver: Listed<'a>,
        /// The port.
        port: u16,
    },
    /// A receiver is lost.
    Lost {
        /// The receiver.
        receiver: Listed<'a>,
        /// Why.
        loss: &'a LossReason,
        /// The number of packets that it leaves.
        unacked_packets: u32,
    },
    /// Packets go to another receiver than before.
    Moved {
        /// The receiver that they were assigned to.
        from: Listed<'a>,
        /// The receiver that they are assigned to now.
        to: Listed<'a>,
        /// The packets.
        range: SeqRange,
        /// Why.
        reason: MoveReason,
    },
    /// At this rate the transfer ends after the transaction has probably expired (after about 90 s; mdalp(7)).
    ExpiryLikely {
        /// The projected end, since the assignment.
        projected: Duration,
    },
    /// How far it is. Only if progress is wanted.
    Progress {
        /// Since the assignment.
        elapsed: Duration,
        /// Bytes acknowledged.
        acked_bytes: u64,
        /// Bytes in the payload.
        payload_bytes: u64,
        /// Each receiver, in list order.
        lanes: &'a [LaneProgress],
    },
    /// The transfer is over, one way or the other. Not sent if it did not begin, because of the assignment or the plan, or if
    /// the observer has cancelled.
    Finished {
        /// The result.
        report: &'a Report,
    },
}

/// Receives the events.
pub trait Observer {
    /// Handles an event. Called on the client's main thread, never on the packet path. [`ControlFlow::Break`] ends the transaction
    /// with [`Error::Cancelled`], and no further event comes.
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()>;
}

/// Any closure observes.
impl<F: FnMut(&Event<'_>) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// The user's observer, and whether it has asked to end the transaction: whoever emits events checks that in its loop.
pub(crate) struct Relay<'a> {
    observer: &'a mut dyn Observer,
    cancelled: bool,
}

impl<'a> Relay<'a> {
    pub fn new(observer: &'a mut dyn Observer) -> Self {
        Self { observer, cancelled: false }
    }

    /// Passes an event on, unless there are to be no more.
    pub fn event(&mut self, event: &Event<'_>) {
        self.cancelled = self.cancelled || self.observer.event(event).is_break();
    }

    /// # Errors
    ///
    /// [`Error::Cancelled`] once the observer has asked for that, without a report.
    pub fn check(&self) -> Result<(), Error> {
        if self.cancelled { Err(Error::Cancelled { report: None }) } else { Ok(()) }
    }
}
