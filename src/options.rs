//! The settings of a client.

use std::net::IpAddr;
use std::time::Duration;

/// How the payload is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Mode 1: to every receiver, in inverse proportion to its latency.
    Balance,
    /// Mode 2: everything to one receiver, without pings.
    Single(
        /// The receiver, counted from 1 in the order of the orchestrator's list.
        usize,
    ),
    /// Everything to the receiver with this address, wherever the list has it: for a comparison over several
    /// transactions, whose lists may differ.
    SingleAt(
        /// The address.
        IpAddr,
    ),
}

/// Which of the frequent events the observer wants. The rest are few, and always come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Trace {
    /// Neither timeouts nor packets: the packet path sends no messages.
    Off,
    /// Each retransmission.
    Timeouts,
    /// Each packet sent and received, too. Slow.
    Packets,
}

/// Settings of a [`Client`](crate::Client). `Options::default()` is what the command line does without options.
///
/// Any duration will do: each counts as at most ten years, and `first_timeout`, `give_up`, `intent_resend` and `progress` as at
/// least a millisecond.
#[derive(Clone, Debug)]
pub struct Options {
    /// The UDP port of all receivers: 4650.
    pub receiver_port: u16,
    /// The local address to send from; `None` lets the kernel choose.
    pub bind: Option<IpAddr>,
    /// How long to wait for the assignment: 3600 s.
    pub intent_timeout: Duration,
    /// Send the intent again each time this has passed; `None` sends it once. A duplicate may queue a second
    /// transaction.
    pub intent_resend: Option<Duration>,
    /// The latencies of the receivers in list order, instead of measuring them: as many as the orchestrator lists. Less
    /// than a microsecond counts as one.
    pub latencies: Option<Vec<Duration>>,
    /// The maximum of the first retransmission timeout of a receiver: 3 s, the protocol's own.
    pub first_timeout: Duration,
    /// Use `first_timeout` for every packet, like the reference client, instead of adapting.
    pub fixed_timeout: bool,
    /// A receiver that has not acknowledged a packet for this long since it was first sent is lost: 30 s.
    pub give_up: Duration,
    /// In mode 1, redistribute what a lost receiver has left to the others: on.
    pub failover: bool,
    /// In mode 1, let a receiver that has finished take work from the one that would finish last: off.
    pub rebalance: bool,
    /// Limit for the whole transfer, from the assignment on, measuring included; `None` for no limit.
    pub deadline: Option<Duration>,
    /// Which of the frequent events to report.
    pub trace: Trace,
    /// How often to report progress; `None` for never.
    pub progress: Option<Duration>,
}

impl Mode {
    /// In a word, as in JSON: `balance` or `single`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Single(_) | Self::SingleAt(_) => "single",
        }
    }
}

/// Longer than anyone waits, and short enough to be added to any clock's present time.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A shorter timeout would only keep a processor busy.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

impl Options {
    /// Limits all times to ten years, so that they can be added to the present time, and those of timers to a millisecond at
    /// least.
    pub(crate) fn clamped(self) -> Self {
        let clamped = |time: Duration| time.clamp(MIN_TIMEOUT, MAX_TIMEOUT);
        Self {
            intent_timeout: self.intent_timeout.min(MAX_TIMEOUT),
            intent_resend: self.intent_resend.map(clamped),
            first_timeout: clamped(self.first_timeout),
            give_up: clamped(self.give_up),
            deadline: self.deadline.map(|limit| limit.min(MAX_TIMEOUT)),
            progress: self.progress.map(clamped),
            ..self
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            receiver_port: 4650,
            bind: None,
            intent_timeout: Duration::from_secs(3600),
            intent_resend: None,
            latencies: None,
            first_timeout: Duration::from_secs(3),
            fixed_timeout: false,
            give_up: Duration::from_secs(30),
            failover: true,
            rebalance: false,
            deadline: None,
            trace: Trace::Off,
            progress: None,
        }
    }
}
