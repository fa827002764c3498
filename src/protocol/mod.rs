//! The protocol without I/O: no socket, clock, thread, file or print. Time comes in as `now: Instant` and leaves
//! as a deadline, so the code that the threads run is the code that the tests run in virtual time.
//!
//! What [`Event`](crate::Event) and [`Report`](crate::Report) are made of is re-exported here: [`Receiver`], [`Seq`],
//! [`SeqRange`], [`Tid`]. The modules are public for the tests, the fuzzing targets and the curious: they are the inside of
//! the client, and change when it does, whatever the version says.

pub mod assignment;
pub mod ids;
pub mod lane;
pub mod message;
pub mod plan;
pub mod range;
pub mod receiver;
pub mod rto;
pub mod scheduler;
pub mod stop_and_wait;
pub mod worker;

pub use assignment::{Assignment, AssignmentError};
pub use ids::{ListIndex, Seq, Tid, WorkerId};
pub use message::{Ack, DataPacket};
pub use plan::Plan;
pub use range::SeqRange;
pub use receiver::{Latency, LatencySource, LossReason, Receiver};

use std::time::Duration;

/// The maximum number of payload bytes that one data packet carries (mdalp(7)).
pub const MAX_PACKET_PAYLOAD: usize = 100;

/// The time after the assignment for which receivers acknowledge: inferred from two captures (mdalp(7)).
pub const TRANSACTION_LIFETIME: Duration = Duration::from_secs(90);

/// One slot of the orchestrator's queue (mdalp(7)): after a longer wait for an assignment the user is warned that something
/// may be wrong.
pub const QUEUE_SLOT: Duration = Duration::from_secs(180);

/// In 64 bits: 584 years, and what is longer counts as that.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
