//! What is known of a receiver: who it is, how far away, and why it was lost.

use super::Seq;
use std::net::IpAddr;
use std::time::Duration;

/// One entry of the list that the orchestrator assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Where the data goes: an IP literal in the message.
    pub address: IpAddr,
    /// What the orchestrator calls it. Any text: escape it before it reaches a terminal.
    pub name: String,
}

/// Where a latency comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LatencySource {
    /// The mean of this many ICMP echo replies.
    Icmp(u8),
    /// The mean of this many answers to UDP probes, where the kernel sends no pings or `Options::bind` rules them out.
    UdpProbe(u8),
    /// It did not answer, so it counts as the slowest that did.
    NoReply,
    /// No receiver answered, so all count alike.
    Fallback,
    /// The user gave it.
    Given,
}

impl LatencySource {
    /// Whether the receiver was asked for it, with an answer or without.
    pub fn was_probed(self) -> bool {
        match self {
            Self::Icmp(_) | Self::UdpProbe(_) | Self::NoReply | Self::Fallback => true,
            Self::Given => false,
        }
    }
}

/// A receiver's latency, the weight of its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The round-trip time.
    pub rtt: Duration,
    /// Where it comes from.
    pub source: LatencySource,
}

impl Latency {
    /// The round-trip time if it is this receiver's own, measured or given; `None` if it only counts like others.
    pub fn measured(&self) -> Option<Duration> {
        match self.source {
            LatencySource::Icmp(_) | LatencySource::UdpProbe(_) | LatencySource::Given => Some(self.rtt),
            LatencySource::NoReply | LatencySource::Fallback => None,
        }
    }
}

/// Why a receiver is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// One packet was not acknowledged for as long as the give-up time.
    Silent {
        /// The packet.
        seq: Seq,
        /// The time since its first transmission.
        waited: Duration,
        /// The number of its transmissions.
        transmissions: u32,
        /// The last error of the system on this socket, if there was one.
        last_error: Option<String>,
    },
    /// Its port is closed: several transmissions in a row were refused.
    Refused {
        /// The packet.
        seq: Seq,
        /// The number of refused transmissions in a row.
        times: u32,
    },
    /// Nothing could be sent to it at all: no thread, no socket, no way there.
    LocalFailure {
        /// What was unavailable: "thread", "file descriptor", "socket", "route".
        what: &'static str,
        /// The system's reason.
        error: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_probed_or_given_and_the_receivers_own_or_assumed() {
        for (source, was_probed, is_own) in [
            (LatencySource::Icmp(3), true, true),
            (LatencySource::UdpProbe(1), true, true),
            (LatencySource::NoReply, true, false),
            (LatencySource::Fallback, true, false),
            (LatencySource::Given, false, true),
        ] {
            let rtt = Duration::from_millis(7);
            assert_eq!(source.was_probed(), was_probed, "{source:?}");
            assert_eq!(Latency { rtt, source }.measured(), is_own.then_some(rtt), "{source:?}");
        }
    }
}
