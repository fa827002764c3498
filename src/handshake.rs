//! The talk with the orchestrator: one intent, and a long, visible wait for the assignment.

use crate::error::{Error, HandshakeError};
use crate::event::{Event, Relay};
use crate::options::Options;
use crate::protocol::message::INTENT;
use crate::protocol::{Assignment, QUEUE_SLOT, Receiver, Tid};
use crate::udp;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The longest UDP datagram there can be, headers included.
const MAX_DATAGRAM: usize = 65_535;

/// Most bytes of an unexpected datagram that are reported.
const SHOWN: usize = 100;

/// The longest single wait in the kernel, whose time-outs are the later the longer they are. Also the shortest
/// interval between two [`Event::Waiting`].
const SLICE: Duration = Duration::from_millis(250);

/// The shortest wait: a socket refuses a time-out of nothing.
const SHORTEST: Duration = Duration::from_millis(1);

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

/// Sends the intent and waits for the assignment. Tells the observer of each intent, of the waiting and of what came
/// instead; the caller tells of the assignment.
///
/// # Errors
///
/// [`Error::Bind`] if the local address cannot be used, else [`Error::Orchestrator`]. No later than
/// `options.intent_timeout`, whatever arrives.
pub(crate) fn request(
    orchestrator: SocketAddr,
    options: &Options,
    observer: &mut Relay<'_>,
) -> Result<Assigned, Error> {
    let socket = open(orchestrator, options.bind)?;
    exchange(&socket, orchestrator, options, observer)
}

fn open(orchestrator: SocketAddr, bind: Option<IpAddr>) -> Result<UdpSocket, Error> {
    let unusable = |why: &str| bind.map(|given| Error::Bind { given, why: why.to_owned() });
    let differs = bind.is_some_and(|local| local.is_ipv4() != orchestrator.is_ipv4());
    udp::connect(bind, orchestrator).map_err(|error| {
        let bind_error = match error.kind() {
            _ if differs => unusable("it is not of the same family, IPv4 or IPv6, as the orchestrator's"),
            ErrorKind::AddrNotAvailable => unusable("this host does not have that address"),
            ErrorKind::InvalidInput => unusable("the orchestrator cannot be reached from that address"),
            _ => None,
        };
        let problem = HandshakeError::Socket(error);
        bind_error.unwrap_or(Error::Orchestrator { address: orchestrator, problem })
    })
}

fn exchange(
    socket: &UdpSocket,
    orchestrator: SocketAddr,
    options: &Options,
    observer: &mut Relay<'_>,
) -> Result<Assigned, Error> {
    let failed = |problem| Error::Orchestrator { address: orchestrator, problem };
    let started = Instant::now();
    let mut schedule = Schedule::new(started, options);
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut attempt = 1;
    udp::send(socket, INTENT).map_err(|error| failed(refused_or(error)))?;
    observer.event(&Event::IntentSent { orchestrator, attempt });
    loop {
        observer.check()?;
        match schedule.next(Instant::now()) {
            Step::End => return Err(failed(HandshakeError::Silent(options.intent_timeout))),
            Step::Tell(elapsed) => observer.event(&Event::Waiting { elapsed }),
            // The first intent stands in the queue, so a resend that fails is only one that was lost.
            Step::Resend => {
                if udp::send(socket, INTENT).is_ok() {
                    attempt += 1;
                    observer.event(&Event::IntentSent { orchestrator, attempt });
                }
            }
            Step::Wait(slice) => {
                let Some(datagram) = receive(socket, slice, &mut buffer).map_err(failed)? else { continue };
                let at = Instant::now();
                if !is_assignment(datagram) {
                    let datagram = datagram.get(..SHOWN).unwrap_or(datagram);
                    observer.event(&Event::Unexpected { datagram });
                    continue;
                }
                let Assignment { tid, receivers } = Assignment::parse(datagram)
                    .map_err(|error| failed(HandshakeError::Malformed(error.to_string())))?;
                return Ok(Assigned { tid, receivers, at, waited: at - started });
            }
        }
    }
}

/// The next datagram, or `None` if there was none for about this long.
fn receive<'b>(
    socket: &UdpSocket,
    slice: Duration,
    buffer: &'b mut [u8],
) -> Result<Option<&'b [u8]>, HandshakeError> {
    socket.set_read_timeout(Some(slice)).map_err(HandshakeError::Socket)?;
    match udp::receive(socket, buffer) {
        Ok(len) => Ok(buffer.get(..len)),
        Err(error) if udp::nothing_came(&error) => Ok(None),
        Err(error) => Err(refused_or(error)),
    }
}

fn refused_or(error: io::Error) -> HandshakeError {
    match error.kind() {
        ErrorKind::ConnectionRefused => HandshakeError::Refused,
        _ => HandshakeError::Socket(error),
    }
}

/// Whether it wants to be a Type 1. If so, whatever is wrong with it is an error and no reason to wait on.
fn is_assignment(datagram: &[u8]) -> bool {
    datagram.strip_prefix(b"Type:1").is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_digit))
}

/// When to do what while waiting. A time that the clock cannot express never comes.
struct Schedule {
    started: Instant,
    end: Option<Instant>,
    queue_slot: Option<Instant>,
    tell: Option<Periodic>,
    resend: Option<Periodic>,
}

struct Periodic {
    every: Duration,
    next: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Stop waiting.
    End,
    /// Tell that it has been so long.
    Tell(Duration),
    /// Send another intent.
    Resend,
    /// Wait for a datagram, at most so long.
    Wait(Duration),
}

impl Schedule {
    fn new(started: Instant, options: &Options) -> Self {
        let periodic = |every: Duration| Periodic { every, next: started.checked_add(every) };
        Self {
            started,
            end: started.checked_add(options.intent_timeout),
            queue_slot: started.checked_add(QUEUE_SLOT),
            tell: options.progress.map(|every| periodic(every.max(SLICE))),
            resend: options.intent_resend.map(|every| periodic(every.max(SHORTEST))),
        }
    }

    fn next(&mut self, now: Instant) -> Step {
        if self.end.is_some_and(|end| now >= end) {
            return Step::End;
        }
        if self.resend.as_mut().is_some_and(|resend| resend.is_due(now)) {
            return Step::Resend;
        }
        let slot_over = self.queue_slot.take_if(|at| now >= *at).is_some();
        let tell = self.tell.as_mut().is_some_and(|tell| tell.is_due(now));
        if slot_over || tell {
            return Step::Tell(now - self.started);
        }
        let periodic = [&self.tell, &self.resend].map(|p| p.as_ref().and_then(|p| p.next));
        let next = [self.end, self.queue_slot].into_iter().chain(periodic).flatten().min();
        let wait = next.map_or(SLICE, |next| next.saturating_duration_since(now));
        Step::Wait(wait.clamp(SHORTEST, SLICE))
    }
}

impl Periodic {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| now >= next);
        if due {
            self.next = now.checked_add(self.every);
        }
        due
    }
}

#[cfg(test)]
mod tests;
