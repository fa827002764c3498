//! One receiver's thread: the blocking loop round one [`StopAndWait`] machine, with a socket of its own.
//!
//! A packet's way is one line: payload → buffer → socket → ack → machine → count. In the steady state that is one `send`, one
//! `recv` and one look at the clock a packet, and no message, lock, allocation or formatting.

use crate::error::{PayloadError, Plain, is_out_of_descriptors};
use crate::options::Trace;
use crate::payload::{BlockReader, Payload};
use crate::protocol::message::{DataPacket, MAX_ACK_LEN};
use crate::protocol::stop_and_wait::{LostCause, MAX_REFUSALS, Received, Step, StopAndWait};
use crate::protocol::{Seq, SeqRange, Tid};
use crate::report::LossReason;
use crate::udp;
use crossbeam_channel as channel;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Above this a single kernel time-out would be late by too much (timers of this length are rounded up by up to an
/// eighth), so the wait is taken in two slices.
const LONG_WAIT: Duration = Duration::from_millis(250);

/// No wait is right before the read time-out is set.
const UNARMED: RangeInclusive<Duration> = Duration::MAX..=Duration::ZERO;

/// After an unexpected error of `recv` that may repeat at once: enough not to spin.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// What a sender's thread tells the main thread.
pub(crate) enum Signal {
    /// Its range is acknowledged, as far as it was left to it.
    Completed,
    /// It has ended; all of its range before `first_unacked` is acknowledged.
    Ended { first_unacked: Option<Seq>, ending: Ending },
    /// A packet is sent again. Only if time-outs are traced.
    TimedOut { seq: Seq, transmissions: u32, waited: Duration },
    /// A packet was sent. Only if packets are traced.
    PacketSent { seq: Seq, transmission: u32, payload: Vec<u8> },
    /// A datagram came. Only if packets are traced.
    PacketReceived { datagram: Vec<u8>, acked_after: Option<Duration> },
}

/// Why a sender's thread has ended before its work was done.
pub(crate) enum Ending {
    /// The receiver is lost.
    Lost(LossReason),
    /// The transfer's deadline has passed, or the transfer is over otherwise.
    Stopped,
    /// The payload could not be read.
    Payload(PayloadError),
}

/// What a sender needs to know of its transfer.
pub(crate) struct Sender {
    /// The worker's number, which goes with each signal.
    pub worker: usize,
    pub tid: Tid,
    pub target: SocketAddr,
    pub bind: Option<IpAddr>,
    pub machine: StopAndWait,
    pub payload: Payload,
    pub trace: Trace,
    pub work: channel::Receiver<SeqRange>,
    pub signals: channel::Sender<(usize, Signal)>,
    /// Set when the transfer has failed elsewhere.
    pub stop: Arc<AtomicBool>,
}

impl Sender {
    /// Sends one range after another until there are no more to come, and tells the main thread of each.
    pub fn run(mut self) {
        let mut obituary = Obituary { worker: self.worker, signals: self.signals.clone(), ending: None };
        obituary.ending = Some(self.serve().err());
    }

    fn serve(&mut self) -> Result<(), Ended> {
        let socket =
            udp::connect(self.bind, self.target).map_err(|error| unusable(missing(&error), &error))?;
        let mut wire = Wire { socket, armed: UNARMED, last_error: None };
        let mut packet = DataPacket::new(self.tid);
        let mut reader = self.payload.reader(0..0);
        while let Ok(range) = self.work.recv() {
            reader.reset(range.bytes());
            self.send_range(&range, &mut wire, &mut packet, &mut reader)?;
            if self.signals.send((self.worker, Signal::Completed)).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn send_range(
        &mut self,
        range: &SeqRange,
        wire: &mut Wire,
        packet: &mut DataPacket,
        reader: &mut BlockReader,
    ) -> Result<(), Ended> {
        let mut buffer = [0; MAX_ACK_LEN + 1];
        let mut now = Instant::now();
        let mut sent = now;
        loop {
            let wait = match self.machine.poll(now) {
                Step::Transmit { .. } if self.stop.load(Relaxed) => return Err(self.ended(Ending::Stopped)),
                Step::Transmit { seq, transmission } => {
                    let payload =
                        reader.packet(range.packet_bytes(seq)).map_err(|e| self.ended(Ending::Payload(e)))?;
                    if self.trace > Trace::Off {
                        self.trace_transmission(
                            seq,
                            transmission,
                            now.saturating_duration_since(sent),
                            payload,
                        );
                    }
                    sent = now;
                    if let Some(datagram) = packet.write(seq, payload) {
                        wire.send(datagram, &mut self.machine);
                    }
                    self.machine.patience(now)
                }
                Step::Wait(until) => until.saturating_duration_since(now),
                Step::Idle => return Ok(()),
                Step::Lost(cause) => return Err(self.lost(cause, wire)),
                Step::Expired => return Err(self.ended(Ending::Stopped)),
            };
            let received = wire.receive(&mut buffer, wait, &mut self.machine);
            now = Instant::now();
            if let Some(datagram) = received.and_then(|len| buffer.get(..len)) {
                self.take(datagram, packet, now);
            }
        }
    }

    fn take(&mut self, datagram: &[u8], packet: &DataPacket, now: Instant) {
        let received = match packet.is_acked_by(datagram) {
            true => self.machine.acknowledged(now),
            false => self.machine.datagram(now, datagram),
        };
        if self.trace == Trace::Packets {
            let acked_after = match received {
                Received::Acked(after) => Some(after),
                Received::Ignored => None,
            };
            self.signal(Signal::PacketReceived { datagram: datagram.to_vec(), acked_after });
        }
    }

    #[cold]
    fn trace_transmission(&self, seq: Seq, transmission: u32, waited: Duration, payload: &[u8]) {
        if transmission > 1 {
            self.signal(Signal::TimedOut { seq, transmissions: transmission - 1, waited });
        }
        if self.trace == Trace::Packets {
            self.signal(Signal::PacketSent { seq, transmission, payload: payload.to_vec() });
        }
    }

    fn signal(&self, signal: Signal) {
        // Nobody listens any more only when the transfer is over; the thread then ends at its next wait.
        let _ = self.signals.send((self.worker, signal));
    }

    fn ended(&self, ending: Ending) -> Ended {
        Ended { first_unacked: self.machine.outstanding(), ending }
    }

    fn lost(&self, cause: LostCause, wire: &mut Wire) -> Ended {
        let seq = self.machine.outstanding().unwrap_or(Seq(0));
        self.ended(Ending::Lost(match cause {
            LostCause::Silent { waited, transmissions } => {
                let last_error = wire.last_error.take().map(|error| Plain(&error).to_string());
                LossReason::Silent { seq, waited, transmissions, last_error }
            }
            LostCause::Refused => LossReason::Refused { seq, times: MAX_REFUSALS },
        }))
    }
}

/// How a thread ended.
struct Ended {
    first_unacked: Option<Seq>,
    ending: Ending,
}

fn unusable(what: &'static str, error: &io::Error) -> Ended {
    let error = Plain(error).to_string();
    Ended { first_unacked: None, ending: Ending::Lost(LossReason::LocalFailure { what, error }) }
}

/// What is missing where there is no connected socket: what to do about it differs.
fn missing(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if is_out_of_descriptors(error) => "file descriptor",
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::AddrNotAvailable
        // A broadcast address, or a route that forbids it.
        | ErrorKind::PermissionDenied => "route",
        _ => "socket",
    }
}

/// Tells the main thread that this thread has ended, however it did: a thread that could end in silence could make the
/// main thread wait for ever.
struct Obituary {
    worker: usize,
    signals: channel::Sender<(usize, Signal)>,
    /// `None` until the thread has ended by itself, that is, after a panic.
    ending: Option<Option<Ended>>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        let panicked = || Some(unusable("thread", &io::Error::other("it panicked, which is a bug")));
        if let Some(Ended { first_unacked, ending }) = self.ending.take().unwrap_or_else(panicked) {
            let _ = self.signals.send((self.worker, Signal::Ended { first_unacked, ending }));
        }
    }
}

/// The connected socket, with its read time-out set only when it must change noticeably.
struct Wire {
    socket: UdpSocket,
    /// The waits for which the read time-out is right as it is set.
    armed: RangeInclusive<Duration>,
    /// The last error that is no refusal: why a receiver may be silent.
    last_error: Option<io::Error>,
}

impl Wire {
    /// Sends a datagram. An error counts as a loss: the machine's timer mends it.
    fn send(&mut self, datagram: &[u8], machine: &mut StopAndWait) {
        match udp::send(&self.socket, datagram) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => machine.refused(),
            Err(error) => self.last_error = Some(error),
            Ok(_) => {}
        }
    }

    /// Waits up to `wait` for a datagram; returns its length. It may return early with `None`.
    fn receive(&mut self, buffer: &mut [u8], wait: Duration, machine: &mut StopAndWait) -> Option<usize> {
        self.arm(wait);
        let error = match udp::receive(&self.socket, buffer) {
            Ok(len) => return Some(len),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::ConnectionRefused {
            machine.refused();
        } else if !udp::nothing_came(&error) {
            self.last_error = Some(error);
            std::thread::sleep(ERROR_PAUSE.min(wait));
        }
        None
    }

    /// Sets the socket's read time-out for a wait, unless it is right to a sixteenth already.
    #[inline]
    fn arm(&mut self, wait: Duration) {
        if !self.armed.contains(&wait) {
            self.set_timeout(wait);
        }
    }

    #[cold]
    fn set_timeout(&mut self, wait: Duration) {
        let slice = if wait > LONG_WAIT { wait / 8 * 7 } else { wait }.max(Duration::from_micros(1));
        let armed = self.socket.set_read_timeout(Some(slice)).is_ok();
        self.armed = if armed { wait - wait / 16..=wait + wait / 16 } else { UNARMED };
    }
}
