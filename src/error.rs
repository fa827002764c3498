//! Every way a run can fail, the line that says so, and the exit status it has.

use crate::event::Cancelled;
use crate::protocol::TRANSACTION_LIFETIME;
use crate::report::{LossReason, ReceiverReport, Report};
pub(crate) use crate::text::OsMessage as Plain;
use crate::text::{Count, Escaped, NamedAddress, Seconds, TrimmedSeconds};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The exit status of the command, as the manual documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
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

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a payload cannot be sent. Shown as `what: why; what to do`.
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
        write!(f, "{}: {}; {}", Escaped(&self.what), self.why, self.hint)
    }
}

/// Why there is no assignment.
#[derive(Debug)]
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

/// Why a transfer failed. `Display` gives one line: what failed, on what, why; what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no such receiver in the list.
    ReceiverIndex {
        /// The 1-based index asked for.
        given: usize,
        /// How many the orchestrator listed.
        listed: usize,
    },
    /// The list does not have this address.
    ReceiverAddress {
        /// The address asked for.
        given: IpAddr,
    },
    /// So many latencies were stated for so many receivers.
    LatencyCount {
        /// How many were stated.
        given: usize,
        /// How many receivers the orchestrator listed.
        listed: usize,
    },
    /// The local address cannot be used with the orchestrator's.
    Bind {
        /// The local address asked for.
        given: IpAddr,
        /// Why not.
        why: String,
    },
    /// The payload cannot be had. Nothing was sent.
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
        /// Whom we asked.
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
    /// Output could not be written.
    Output(io::Error),
}

/// Before the transfer there is nothing to report.
impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled { report: None }
    }
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
            Self::Output(_) => ExitStatus::Output,
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

impl std::error::Error for Error {}

impl std::error::Error for PayloadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

impl std::error::Error for HandshakeError {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReceiverIndex { given, listed } => write!(
                f,
                "receiver {given}: the orchestrator listed only {listed}; give -s a number from 1 to {listed}"
            ),
            Self::ReceiverAddress { given } => {
                write!(f, "receiver {given}: not in the list of this transaction; send to one that is")
            }
            Self::LatencyCount { given, listed } => write!(
                f,
                "--latency: {given} given, but the orchestrator listed {listed} receivers; give one for each, in list order"
            ),
            Self::Bind { given, why } => {
                write!(f, "local address {given}: {why}; give --bind an address of this host")
            }
            Self::Payload(error) => error.fmt(f),
            Self::PayloadWhileSending { error, report } => {
                write!(f, "{}: {} ({}); {}", Escaped(&error.what), error.why, Account(report), error.hint)
            }
            Self::Orchestrator { address, problem } => write!(f, "orchestrator {address}: {problem}"),
            Self::Incomplete(report) => {
                write!(f, "transfer: {}{}; {}", Account(report), Losses(report), advice(report))
            }
            Self::Deadline { limit, report } => write!(
                f,
                "transfer: the deadline of {} s passed, {}{}; send less at once, or allow more with --deadline",
                TrimmedSeconds(*limit),
                Account(report),
                Losses(report)
            ),
            Self::Cancelled { report } => {
                f.write_str("transfer: cancelled")?;
                report.as_ref().map_or(Ok(()), |report| write!(f, ", {}", Account(report)))
            }
            Self::Output(error) => {
                write!(f, "standard output: {}; make room there, or send the output elsewhere", Plain(error))
            }
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => {
                let hint = if is_out_of_descriptors(error) {
                    MORE_FILES
                } else {
                    "check the address, and this host's network"
                };
                write!(f, "{}; {hint}", Plain(error))
            }
            Self::PortClosed => {
                f.write_str("connection refused: nobody listens there; check the address and -p")
            }
            Self::Silent { within, others, last } => {
                write!(f, "no assignment within {} s", TrimmedSeconds(*within))?;
                if *others > 0 {
                    write!(f, ", but {}, the last: {last}", Count(*others, "other datagram"))?;
                }
                f.write_str("; check the address and -p, or wait longer with --intent-timeout")
            }
            Self::Malformed(why) => {
                write!(f, "malformed assignment: {why}; tell whoever runs the orchestrator")
            }
        }
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { seq, waited, transmissions, last_error } => {
                let waited = Seconds(*waited, 1);
                write!(
                    f,
                    "no ack of SEQ {seq} in {waited} s after {}",
                    Count((*transmissions).into(), "transmission")
                )?;
                last_error.as_ref().map_or(Ok(()), |error| write!(f, " (last error: {})", Escaped(error)))
            }
            Self::Refused { seq, times } => {
                write!(f, "port closed: SEQ {seq} refused {}", Count((*times).into(), "time"))
            }
            Self::LocalFailure { what, error } => write!(f, "no {what}: {}", Escaped(error)),
        }
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
struct Account<'a>(&'a Report);

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, "{} of {} bytes acknowledged", report.acked_bytes(), report.payload_bytes)?;
        write!(f, ", {} of {} packets", report.acked_packets(), report.packets)?;
        let some = report.receivers.iter().filter(|r| r.acked_packets() > 0);
        named(f, some, ": ", |f, receiver| {
            write!(f, "{}", receiver.address)?;
            receiver
                .acked
                .iter()
                .take(RANGES)
                .enumerate()
                .try_for_each(|(i, range)| write!(f, "{}{range}", if i == 0 { " SEQ " } else { ", " }))?;
            if receiver.acked.len() > RANGES { f.write_str(", …") } else { Ok(()) }
        })
    }
}

/// Which receivers were lost, and why.
struct Losses<'a>(&'a Report);

impl fmt::Display for Losses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.0.losses();
        named(f, lost, "; lost ", |f, (receiver, loss)| {
            write!(f, "{}, {loss}", NamedAddress(receiver.address, &receiver.name))
        })
    }
}

/// The first few of `items`, after `start`, and how many more there are.
fn named<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = T>,
    start: &str,
    mut show: impl FnMut(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let mut more = 0u32;
    for (i, item) in items.enumerate() {
        if i < NAMED {
            f.write_str(if i == 0 { start } else { "; " })?;
            show(f, item)?;
        } else {
            more += 1;
        }
    }
    if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
}

/// What to do about an incomplete transfer.
fn advice(report: &Report) -> String {
    let any = |is: fn(&LossReason) -> bool| report.losses().any(|(_, loss)| is(loss));
    match report.last_ack() {
        Some(last) if fell_silent_together(report) => {
            format!(
                "the last ack came {} s after the assignment, then there was silence: the transaction has probably \
                 expired (as a rule after about {} s), or the network has failed; send it again",
                Seconds(last, 1),
                TRANSACTION_LIFETIME.as_secs()
            )
        }
        _ if any(|loss| matches!(loss, LossReason::LocalFailure { what: "file descriptor", .. })) => {
            format!("{MORE_FILES}, and send it again")
        }
        _ if any(|loss| matches!(loss, LossReason::LocalFailure { what: "thread", .. })) => {
            "raise the limit on threads or memory (ulimit -u, ulimit -v), and send it again".to_owned()
        }
        _ if any(|loss| matches!(loss, LossReason::LocalFailure { .. })) => {
            "check this host's network, and send it again".to_owned()
        }
        _ if any(|loss| matches!(loss, LossReason::Refused { .. })) => {
            "check --receiver-port, and send it again".to_owned()
        }
        None => "check that no firewall drops UDP to or from the receivers, and --receiver-port".to_owned(),
        Some(_) => "send it again".to_owned(),
    }
}

/// Whether it looks as if the transaction had expired, which ends all receivers' acks at once: nobody finished, all that
/// were lost were silent, and when the first that had acknowledged something was given up no ack came any more. (The
/// time alone tells nothing: that receivers acknowledge for 90 s is inferred from two captures.)
fn fell_silent_together(report: &Report) -> bool {
    let given_up = |(receiver, loss): (&ReceiverReport, &LossReason)| match loss {
        LossReason::Silent { waited, .. } => Some(receiver.last_ack?.saturating_add(*waited)),
        _ => None,
    };
    let first = report.losses().filter_map(given_up).min();
    report.losses().all(|(_, loss)| matches!(loss, LossReason::Silent { .. }))
        && !report.receivers.iter().any(ReceiverReport::is_done_with_work)
        && first.zip(report.last_ack()).is_some_and(|(first, last)| last <= first)
}
