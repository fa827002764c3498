//! What to do about an error. The library's texts name no options of the command; these hints do.

use crate::error::{Error, HandshakeError, MORE_FILES, is_out_of_descriptors};
use crate::protocol::TRANSACTION_LIFETIME;
use crate::report::{LossReason, ReceiverReport, Report};
use crate::text::Seconds;
use std::io;
use std::time::Duration;

/// Silence that begins earlier is not put down to the transaction's lifetime.
const EXPIRY_LIKELY: Duration = Duration::from_secs(80);

/// An error as the command shows it: `what: why; what to do`.
pub fn explain(error: &Error) -> String {
    let hint = match error {
        Error::ReceiverIndex { listed, .. } => &format!("give -s a number from 1 to {listed}"),
        Error::Incomplete(report) => &advice(report),
        Error::ReceiverAddress { .. } => "send to one that is",
        Error::LatencyCount { .. } => "give --latency one for each, in list order",
        Error::Bind { .. } => "give --bind an address of this host",
        Error::Payload(error) | Error::PayloadWhileSending { error, .. } => error.hint,
        Error::Orchestrator { problem, .. } => match problem {
            HandshakeError::Socket(error) if is_out_of_descriptors(error) => MORE_FILES,
            HandshakeError::Socket(_) => "check the address, and this host's network",
            HandshakeError::PortClosed => "check the address and -p",
            HandshakeError::Silent { .. } => "check the address and -p, or wait longer with --intent-timeout",
            HandshakeError::Malformed(_) => "tell whoever runs the orchestrator",
        },
        Error::Deadline { .. } => "send less in one transaction, or allow more with --deadline",
        Error::Cancelled { .. } => return error.to_string(),
    };
    format!("{error}; {hint}")
}

/// What to do about a cause that is this host's own.
pub fn local_hint(reason: &LossReason) -> Option<&'static str> {
    let LossReason::LocalFailure { what, .. } = reason else { return None };
    Some(match *what {
        "file descriptor" => MORE_FILES,
        "thread" => "raise the limit on threads or memory (ulimit -u, ulimit -v)",
        _ => "check this host's network",
    })
}

/// What to do about standard output that could not be written.
pub fn output_hint(error: &io::Error) -> &'static str {
    if is_out_of_descriptors(error) { MORE_FILES } else { "make room there, or send the output elsewhere" }
}

/// What to do about an incomplete transfer.
fn advice(report: &Report) -> String {
    let silence = report.last_ack().filter(|_| fell_silent_together(report));
    let local = report.losses().find_map(|(_, reason)| local_hint(reason));
    let refused = report.losses().any(|(_, reason)| matches!(reason, LossReason::Refused { .. }));
    match (silence, local) {
        (Some(last), _) if last >= EXPIRY_LIKELY => format!(
            "the last ack came {} s after the assignment, then there was silence: the transaction has probably \
             expired (as a rule after about {} s), or the network has failed; send it again",
            Seconds(last, 1),
            TRANSACTION_LIFETIME.as_secs()
        ),
        (Some(last), _) => format!(
            "all receivers fell silent after {} s: check the network, and send it again",
            Seconds(last, 1)
        ),
        (None, Some(hint)) => format!("{hint}, and send it again"),
        _ if refused => "check --receiver-port, and send it again".to_owned(),
        _ if report.last_ack().is_none() => {
            "check that no firewall drops UDP to or from the receivers, and --receiver-port".to_owned()
        }
        _ => "send it again".to_owned(),
    }
}

/// Whether all receivers stopped acknowledging together: none finished, all that were lost were silent, and when the first
/// that had acknowledged something was given up no ack came any more.
fn fell_silent_together(report: &Report) -> bool {
    let given_up = |(receiver, reason): (&ReceiverReport, &LossReason)| match reason {
        LossReason::Silent { waited, .. } => Some(receiver.counts.last_ack?.saturating_add(*waited)),
        _ => None,
    };
    let first = report.losses().filter_map(given_up).min();
    report.losses().all(|(_, reason)| matches!(reason, LossReason::Silent { .. }))
        && !report.receivers.iter().any(ReceiverReport::is_done_with_work)
        && first.zip(report.last_ack()).is_some_and(|(first, last)| last <= first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Seq, SeqRange, Tid};
    use crate::report::ReceiverStatus;

    /// The hint where the last ack came after `seconds`, and then this ended it.
    fn hint(seconds: u64, reason: LossReason) -> String {
        let mut receiver = ReceiverReport::new([127, 0, 0, 2].into(), "A");
        receiver.acked = SeqRange::over_bytes(Seq(0), 0..100).into_iter().collect();
        receiver.counts.last_ack = Some(Duration::from_secs(seconds));
        receiver.status = ReceiverStatus::Lost(reason);
        let mut report = Report::new(Tid(1), 200, 2);
        report.receivers = vec![receiver];
        let line = explain(&Error::Incomplete(Box::new(report)));
        line.rsplit_once("; lost ").unwrap().1.split_once("; ").unwrap().1.to_owned()
    }

    #[test]
    fn only_a_late_silence_is_put_down_to_the_lifetime() {
        let waited = Duration::from_secs(30);
        let silent = || LossReason::Silent { seq: Seq(1), waited, transmissions: 5, last_error: None };
        let expired = "the last ack came 80.0 s after the assignment, then there was silence: the transaction has \
                       probably expired (as a rule after about 90 s), or the network has failed; send it again";
        assert_eq!(hint(80, silent()), expired);
        let early = "all receivers fell silent after 79.0 s: check the network, and send it again";
        assert_eq!(hint(79, silent()), early);
        let refused = LossReason::Refused { seq: Seq(1), times: 5 };
        assert_eq!(hint(80, refused), "check --receiver-port, and send it again");
        let what = "thread";
        let local = LossReason::LocalFailure { what, error: "Resource temporarily unavailable".to_owned() };
        assert!(hint(80, local).starts_with("raise the limit on threads or memory ("));
    }
}
