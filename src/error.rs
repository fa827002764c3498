//! Every way a run can fail, and the exit status for it.

use crate::protocol::SeqRange;
use crate::report::{LossReason, Report};
use crate::text::{Count, Escaped, NamedAddress, OsMessage, Seconds, TrimmedSeconds};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The exit status of the command, as the manual documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ExitStatus {
    /// Every byte was acknowledged.
    Success = 0,
    /// Some receiver, or all, lost: the payload is incomplete.
    Incomplete = 1,
    /// The command line is wrong, `-s` beyond the list and a wrong number of latencies included.
    Usage = 2,
    /// The payload is missing, unreadable, empty, or changed while it was sent.
    Payload = 3,
    /// The orchestrator refused, was silent, or sent a malformed assignment.
    Orchestrator = 4,
    /// The deadline passed.
    Deadline = 5,
    /// Output could not be written.
    Output = 6,
}

impl ExitStatus {
    /// In a word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "complete",
            Self::Incomplete => "incomplete",
            Self::Usage => "usage",
            Self::Payload => "payload",
            Self::Orchestrator => "orchestrator",
            Self::Deadline => "deadline",
            Self::Output => "output",
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a payload cannot be sent. `Display` gives `what: why`.
#[derive(Debug)]
#[non_exhaustive]
pub struct PayloadError {
    /// The file's name as given, or "standard input".
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do about it.
    pub hint: &'static str,
    /// The system's error, if there was one.
    pub source: Option<io::Error>,
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Escaped(&self.what), self.why)
    }
}

/// Why there was no assignment.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// No socket, or no route: the system's error.
    Socket(io::Error),
    /// Nothing is listening on the orchestrator's port.
    PortClosed,
    /// No assignment came in time.
    Silent {
        /// The time.
        within: Duration,
        /// The number of datagrams that were no assignment.
        others: u64,
        /// The beginning of the last one, quoted and safe to print.
        last: String,
    },
    /// The assignment is malformed; the text says what exactly, safe to print.
    Malformed(String),
}

/// Why a transfer failed. `Display` gives one line: what failed, on what, and why. The system's error, if there was one, is
/// its source.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The list is not that long.
    ReceiverIndex {
        /// The requested index, counted from 1. 0 is refused before the orchestrator is asked.
        given: usize,
        /// The number of receivers that the orchestrator listed.
        listed: usize,
    },
    /// The list does not have this address.
    ReceiverAddress {
        /// The requested address.
        given: IpAddr,
    },
    /// The number of given latencies is not that of the receivers.
    LatencyCount {
        /// The number of them.
        given: usize,
        /// The number of receivers that the orchestrator listed.
        listed: usize,
    },
    /// The local address cannot be used with the orchestrator's.
    Bind {
        /// The requested local address.
        given: IpAddr,
        /// Why not.
        why: &'static str,
        /// The system's error.
        error: io::Error,
    },
    /// The payload is unavailable. Nothing was sent.
    Payload(PayloadError),
    /// The payload could not be read, or changed, while it was sent.
    PayloadWhileSending {
        /// What happened.
        error: PayloadError,
        /// How far it came.
        report: Box<Report>,
    },
    /// There was no assignment.
    Orchestrator {
        /// Its address.
        address: SocketAddr,
        /// What went wrong.
        problem: HandshakeError,
    },
    /// Not every byte was acknowledged, since receivers were lost.
    Incomplete(Box<Report>),
    /// The deadline passed.
    Deadline {
        /// The bound that was set.
        limit: Duration,
        /// How far it came.
        report: Box<Report>,
    },
    /// The observer asked to end the transaction.
    Cancelled {
        /// How far the transfer came; `None` if it had not begun.
        report: Option<Box<Report>>,
    },
}

impl Error {
    /// The exit status that the command has for it.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::ReceiverIndex { .. }
            | Self::ReceiverAddress { .. }
            | Self::LatencyCount { .. }
            | Self::Bind { .. } => ExitStatus::Usage,
            Self::Payload(_) | Self::PayloadWhileSending { .. } => ExitStatus::Payload,
            Self::Orchestrator { .. } => ExitStatus::Orchestrator,
            Self::Incomplete(_) | Self::Cancelled { .. } => ExitStatus::Incomplete,
            Self::Deadline { .. } => ExitStatus::Deadline,
        }
    }

    /// How far the transfer came, if it began.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::PayloadWhileSending { report, .. }
            | Self::Incomplete(report)
            | Self::Deadline { report, .. } => Some(report),
            Self::Cancelled { report } => report.as_deref(),
            _ => None,
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Payload(error) | Self::PayloadWhileSending { error, .. } => error.source(),
            Self::Orchestrator { problem, .. } => problem.source(),
            Self::Bind { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for PayloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Socket(error) = self { Some(error) } else { None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (came, lost) = self.report().map(|r| (progress(r), losses(r))).unwrap_or_default();
        match self {
            Self::ReceiverIndex { given: 0, .. } => f.write_str("receiver 0: receivers are counted from 1"),
            Self::ReceiverIndex { given, listed } => {
                write!(f, "receiver {given}: the orchestrator listed only {listed}")
            }
            Self::ReceiverAddress { given } => {
                write!(f, "receiver {given}: not in the list of this transaction")
            }
            Self::LatencyCount { given, listed } => {
                let listed = Count(*listed as u64, "receiver");
                write!(f, "latencies: {given} given, but the orchestrator listed {listed}")
            }
            Self::Bind { given, why, .. } => write!(f, "local address {given}: {why}"),
            Self::Payload(error) => error.fmt(f),
            Self::PayloadWhileSending { error, .. } => write!(f, "{error} ({came})"),
            Self::Orchestrator { address, problem } => write!(f, "orchestrator {address}: {problem}"),
            Self::Incomplete(_) => write!(f, "transfer: {came}{lost}"),
            Self::Deadline { limit, .. } => {
                write!(f, "transfer: the deadline of {} s passed, {came}{lost}", TrimmedSeconds(*limit))
            }
            Self::Cancelled { report: None } => f.write_str("transfer: cancelled"),
            Self::Cancelled { .. } => write!(f, "transfer: cancelled, {came}"),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => OsMessage(error).fmt(f),
            Self::PortClosed => f.write_str("connection refused: nothing is listening on that port"),
            Self::Silent { within, others, last } => {
                write!(f, "no assignment within {} s", TrimmedSeconds(*within))?;
                if *others > 0 {
                    write!(f, ", but {}, the last: {last}", Count(*others, "other datagram"))?;
                }
                Ok(())
            }
            Self::Malformed(why) => write!(f, "malformed assignment: {why}"),
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { seq, waited, transmissions, last_error } => {
                let (waited, sent) = (Seconds(*waited, 1), Count((*transmissions).into(), "transmission"));
                write!(f, "no ack of SEQ {seq} in {waited} s after {sent}")?;
                last_error.as_ref().map_or(Ok(()), |error| write!(f, " (last error: {})", Escaped(error)))
            }
            Self::Refused { seq, times } => {
                write!(f, "port closed: SEQ {seq} refused {}", Count((*times).into(), "time"))
            }
            Self::LocalFailure { what, error } => write!(f, "no {what}: {}", Escaped(error)),
        }
    }
}

impl LossReason {
    /// This host has no `what` for a receiver.
    pub(crate) fn local(what: &'static str, error: &io::Error) -> Self {
        Self::LocalFailure { what, error: OsMessage(error).to_string() }
    }

    /// There is no connected socket: what is missing differs, and so what to do about it.
    pub(crate) fn no_socket(error: &io::Error) -> Self {
        use ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable, PermissionDenied};
        let what = match error.kind() {
            _ if is_out_of_descriptors(error) => "file descriptor",
            // Permission is denied by a broadcast address, or a route that forbids it.
            NetworkUnreachable | HostUnreachable | AddrNotAvailable | PermissionDenied => "route",
            _ => "socket",
        };
        Self::local(what, error)
    }
}

/// `EMFILE` and `ENFILE`, which std gives no kinds to; their numbers are the same on every Linux.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23))
}

/// What to do about it.
pub(crate) const MORE_FILES: &str = "raise the limit on open files (ulimit -n)";

/// At most this many receivers are named in one line, with at most this many SEQ ranges each: after a failover a receiver
/// may have many.
const NAMED: usize = 4;
const RANGES: usize = 4;

/// How far a transfer came: bytes and SEQs acknowledged, and by whom.
fn progress(report: &Report) -> String {
    let (bytes, packets) = (Count(report.payload_bytes, "byte"), Count(report.packets.into(), "packet"));
    let (acked_bytes, acked_packets) = (report.acked_bytes(), report.acked_packets());
    let mut by_whom = Vec::new();
    for receiver in report.receivers.iter().filter(|r| r.acked_packets() > 0) {
        let mut ranges: Vec<_> = receiver.acked.iter().take(RANGES).map(SeqRange::to_string).collect();
        if receiver.acked.len() > RANGES {
            ranges.push("…".to_owned());
        }
        by_whom.push(format!("{} SEQ {}", receiver.address, ranges.join(", ")));
    }
    let by_whom = list_first(": ", by_whom);
    format!("{acked_bytes} of {bytes} acknowledged, {acked_packets} of {packets}{by_whom}")
}

/// Which receivers were lost, and why.
fn losses(report: &Report) -> String {
    let lost = report
        .losses()
        .map(|(receiver, loss)| format!("{}, {loss}", NamedAddress(receiver.address, &receiver.name)));
    list_first("; lost ", lost.collect())
}

/// The first few of `items`, after `start`, and how many more there are; nothing if there are none.
fn list_first(start: &str, mut items: Vec<String>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let more = items.len().saturating_sub(NAMED);
    if more > 0 {
        items.truncate(NAMED);
        items.push(format!("and {more} more"));
    }
    format!("{start}{}", items.join("; "))
}
