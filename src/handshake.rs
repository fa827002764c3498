//! The talk with the orchestrator: one intent, and a long, visible wait for the assignment.

use crate::error::{Error, HandshakeError};
use crate::event::{Event, Relay};
use crate::options::{MAX_TIMEOUT, Options};
use crate::protocol::message::INTENT;
use crate::protocol::{Assignment, Receiver, Tid};
use crate::text::Excerpt;
use crate::udp;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The longest UDP datagram there can be, headers included.
const MAX_DATAGRAM: usize = 65_535;

/// The most bytes of an unexpected datagram that an event has, and an error.
const EXCERPT: usize = 100;
const SHORT_EXCERPT: usize = 40;

/// Between two [`Event::Waiting`]. Also the longest single wait in the kernel, whose timeouts are the later the longer they
/// are.
const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// The shortest wait: a socket refuses a timeout of zero.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// What the orchestrator assigned.
#[derive(Debug)]
pub(crate) struct Assigned {
    /// The transaction.
    pub(crate) tid: Tid,
    /// The receivers in list order.
    pub(crate) receivers: Vec<Receiver>,
    /// When the assignment came: the transfer's time starts here.
    pub(crate) at: Instant,
    /// From the first intent to the assignment.
    pub(crate) waited: Duration,
}

/// Sends the intent and waits for the assignment. Emits an event for each intent, while waiting, and for whatever else
/// comes; the caller emits the assignment.
///
/// # Errors
///
/// [`Error::Bind`] if the local address cannot be used, [`Error::Cancelled`], else [`Error::Orchestrator`]. No later than
/// `options.intent_timeout`, whatever arrives.
pub(crate) fn request(
    orchestrator: SocketAddr,
    options: &Options,
    observer: &mut Relay<'_>,
) -> Result<Assigned, Error> {
    let socket = open(orchestrator, options.bind)?;
    await_assignment(&socket, orchestrator, options, observer)
        .map_err(|problem| Error::Orchestrator { address: orchestrator, problem })?
        .ok_or(Error::Cancelled { report: None })
}

fn open(orchestrator: SocketAddr, bind: Option<IpAddr>) -> Result<UdpSocket, Error> {
    let differs = bind.is_some_and(|local| local.is_ipv4() != orchestrator.is_ipv4());
    udp::connect(bind, orchestrator).map_err(|error| {
        let why = match error.kind() {
            _ if differs => Some("it is not of the same family, IPv4 or IPv6, as the orchestrator's"),
            ErrorKind::AddrNotAvailable => Some("this host does not have that address"),
            ErrorKind::InvalidInput => Some("the orchestrator cannot be reached from that address"),
            _ => None,
        };
        match bind.zip(why) {
            Some((given, why)) => Error::Bind { given, why, error },
            None => Error::Orchestrator { address: orchestrator, problem: HandshakeError::Socket(error) },
        }
    })
}

/// `None` if the observer has asked to end the wait.
fn await_assignment(
    socket: &UdpSocket,
    orchestrator: SocketAddr,
    options: &Options,
    observer: &mut Relay<'_>,
) -> Result<Option<Assigned>, HandshakeError> {
    let started = Instant::now();
    let mut timers = Timers::new(started, options);
    let mut inbox = Inbox { socket, started, buffer: vec![0; MAX_DATAGRAM], others: 0, last: String::new() };
    let mut attempt = 1;
    udp::send(socket, INTENT).map_err(socket_error)?;
    observer.event(&Event::IntentSent { orchestrator, attempt });
    while observer.check().is_ok() {
        let assigned = match timers.poll(Instant::now()) {
            Step::Wait(wait) => inbox.receive(wait, observer)?,
            Step::ReportWaiting(elapsed) => {
                observer.event(&Event::Waiting { elapsed });
                None
            }
            Step::Resend => {
                let assigned = inbox.receive_pending(observer)?;
                // The first intent stands in the queue, so a resend that fails is only one that was lost.
                if assigned.is_none() && udp::send(socket, INTENT).is_ok() {
                    attempt += 1;
                    observer.event(&Event::IntentSent { orchestrator, attempt });
                }
                assigned
            }
            Step::TimedOut => {
                let assigned = inbox.receive_pending(observer)?;
                let (within, others, last) = (options.intent_timeout, inbox.others, inbox.last);
                return assigned.ok_or(HandshakeError::Silent { within, others, last }).map(Some);
            }
        };
        if assigned.is_some() {
            return Ok(assigned);
        }
    }
    Ok(None)
}

/// What comes from the orchestrator.
struct Inbox<'a> {
    socket: &'a UdpSocket,
    started: Instant,
    buffer: Vec<u8>,
    /// How many datagrams were no assignment, and the last of them.
    others: u64,
    last: String,
}

impl Inbox<'_> {
    /// Waits for a datagram, up to this long. What came before an error counts before it.
    fn receive(
        &mut self,
        wait: Duration,
        observer: &mut Relay<'_>,
    ) -> Result<Option<Assigned>, HandshakeError> {
        self.socket.set_read_timeout(Some(wait)).map_err(HandshakeError::Socket)?;
        match self.socket.recv(&mut self.buffer) {
            Ok(len) => self.handle(len, observer),
            Err(error) if udp::nothing_came(&error) => Ok(None),
            Err(error) => {
                let assigned = self.receive_pending(observer)?;
                assigned.ok_or_else(|| socket_error(error)).map(Some)
            }
        }
    }

    /// All that has arrived already, before a timer counts: this process may have been stopped, or had no processor.
    fn receive_pending(&mut self, observer: &mut Relay<'_>) -> Result<Option<Assigned>, HandshakeError> {
        let mut failure = None;
        self.socket.set_nonblocking(true).map_err(HandshakeError::Socket)?;
        for _ in 0..udp::MAX_PENDING {
            match self.socket.recv(&mut self.buffer) {
                Ok(len) => {
                    let assigned = self.handle(len, observer)?;
                    if assigned.is_some() {
                        return Ok(assigned);
                    }
                }
                Err(error) if udp::nothing_came(&error) => break,
                Err(error) => failure = Some(error),
            }
        }
        self.socket.set_nonblocking(false).map_err(HandshakeError::Socket)?;
        failure.map_or(Ok(None), |error| Err(socket_error(error)))
    }

    fn handle(&mut self, len: usize, observer: &mut Relay<'_>) -> Result<Option<Assigned>, HandshakeError> {
        let at = Instant::now();
        let datagram = self.buffer.get(..len).unwrap_or(&self.buffer);
        if is_assignment(datagram) {
            let Assignment { tid, receivers } =
                Assignment::parse(datagram).map_err(|error| HandshakeError::Malformed(error.to_string()))?;
            return Ok(Some(Assigned { tid, receivers, at, waited: at - self.started }));
        }
        self.others += 1;
        self.last = Excerpt(datagram, SHORT_EXCERPT).to_string();
        observer.event(&Event::Unexpected { datagram: datagram.get(..EXCERPT).unwrap_or(datagram) });
        Ok(None)
    }
}

fn socket_error(error: io::Error) -> HandshakeError {
    match error.kind() {
        ErrorKind::ConnectionRefused => HandshakeError::PortClosed,
        _ => HandshakeError::Socket(error),
    }
}

/// Whether it wants to be a Type 1. If so, whatever is wrong with it is an error and no reason to wait on.
fn is_assignment(datagram: &[u8]) -> bool {
    datagram.strip_prefix(b"Type:1").is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
}

/// When to do what while waiting.
struct Timers {
    started: Instant,
    end: Instant,
    report: Instant,
    resend: Instant,
    resend_interval: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Stop waiting.
    TimedOut,
    /// Report that the wait has lasted this long.
    ReportWaiting(Duration),
    /// Send another intent.
    Resend,
    /// Wait for a datagram, up to this long.
    Wait(Duration),
}

impl Timers {
    fn new(started: Instant, options: &Options) -> Self {
        // No wait lasts so long that the intent would be sent again then.
        let resend_interval = options.intent_resend.unwrap_or(MAX_TIMEOUT);
        Self {
            started,
            end: started + options.intent_timeout,
            report: started + REPORT_INTERVAL,
            resend: started + resend_interval,
            resend_interval,
        }
    }

    fn poll(&mut self, now: Instant) -> Step {
        if now >= self.end {
            return Step::TimedOut;
        }
        if now >= self.report {
            self.report = now + REPORT_INTERVAL;
            return Step::ReportWaiting(now - self.started);
        }
        if now >= self.resend {
            self.resend = now + self.resend_interval;
            return Step::Resend;
        }
        let next = self.end.min(self.report).min(self.resend);
        Step::Wait((next - now).max(MIN_WAIT))
    }
}

#[cfg(test)]
mod tests;
