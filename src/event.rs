//! The one stream of events that drives log lines, progress and JSON. The library itself prints nothing.

use crate::protocol::{Receiver, Seq, SeqRange, Tid};
use crate::report::{Latency, Loss, Report};
use std::net::SocketAddr;
use std::time::Duration;

/// Why work went to another receiver than the plan's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveReason {
    /// Its receiver was lost.
    Failover,
    /// A receiver that had finished takes it over.
    Rebalance,
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

/// What happens in a transaction, in order. Receivers are given by their index (from 0) in
/// [`Event::Assigned`]'s list; an address that the list has twice always goes by its first index.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The intent was sent.
    IntentSent {
        /// To whom.
        orchestrator: SocketAddr,
        /// 1 the first time.
        attempt: u32,
    },
    /// Still waiting for the assignment. Comes as often as progress is wanted, but at most four times a second, and once
    /// at 180 s in any case.
    Waiting {
        /// Since the intent was first sent.
        elapsed: Duration,
    },
    /// A datagram from the orchestrator that is no assignment was ignored.
    Unexpected {
        /// Its first bytes.
        datagram: &'a [u8],
    },
    /// The orchestrator assigned a transaction. The transfer's time starts here.
    Assigned {
        /// The transaction.
        tid: Tid,
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
        /// In list order.
        latencies: &'a [Latency],
        /// How long measuring took.
        took: Duration,
    },
    /// The payload is shared out.
    Planned {
        /// What each list entry gets, in list order; may be empty ranges.
        ranges: &'a [SeqRange],
        /// The fewest bytes anybody gets in mode 1; 0 in mode 2.
        floor: u64,
    },
    /// A data packet was sent. Only with [`Trace::Packets`](crate::Trace::Packets).
    PacketSent {
        /// To whom.
        receiver: usize,
        /// Which packet.
        seq: Seq,
        /// 1 for its first transmission.
        transmission: u32,
        /// Its payload.
        payload: &'a [u8],
    },
    /// A datagram came from a receiver. Only with [`Trace::Packets`](crate::Trace::Packets).
    PacketReceived {
        /// From whom.
        receiver: usize,
        /// All of it, up to the longest that an ack can be.
        datagram: &'a [u8],
        /// Since the outstanding packet was last sent, if it acknowledged that.
        acked_after: Option<Duration>,
    },
    /// No ack came in time; the packet is sent again. Only with [`Trace::Timeouts`](crate::Trace::Timeouts) or
    /// more.
    TimedOut {
        /// At whom.
        receiver: usize,
        /// Which packet.
        seq: Seq,
        /// How often it had been sent.
        transmissions: u32,
        /// Since it was last sent.
        waited: Duration,
    },
    /// A receiver is lost.
    Lost {
        /// Which.
        receiver: usize,
        /// Why.
        loss: &'a Loss,
        /// Packets that it leaves behind.
        unacked_packets: u32,
    },
    /// Packets go to another receiver than before.
    Moved {
        /// Whose they were.
        from: usize,
        /// Whose they are now.
        to: usize,
        /// Which packets.
        range: SeqRange,
        /// Why.
        reason: MoveReason,
    },
    /// At this pace the transfer ends after the transaction has probably expired (PROTOCOL.md: about 90 s).
    ProbablyTooSlow {
        /// When it would end, since the assignment.
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
    /// It is over, one way or the other.
    Finished {
        /// What it came to.
        report: &'a Report,
    },
}

/// Who is told of the events: log, progress, JSON, a test.
pub trait Observer {
    /// One event. Called on the client's main thread, never on the packet path.
    fn event(&mut self, event: &Event<'_>);
}

/// Any closure observes.
impl<F: FnMut(&Event<'_>)> Observer for F {
    fn event(&mut self, event: &Event<'_>) {
        self(event);
    }
}
