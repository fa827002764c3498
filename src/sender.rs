//! One receiver's thread: the blocking loop around one [`StopAndWait`] machine, with its own socket.
//!
//! A packet's way is one line: payload → buffer → socket → ack → machine → count. In the steady state that is one `send`, one
//! `recv` and one look at the clock a packet, and no message, lock, allocation or formatting.

use crate::error::PayloadError;
use crate::options::Trace;
use crate::payload::{BlockReader, Payload};
use crate::protocol::scheduler::Signal;
use crate::protocol::stop_and_wait::{ExitReason, Step, StopAndWait};
use crate::protocol::{LossReason, Seq, SeqRange, WorkerId};
use crate::text::OsMessage;
use crate::udp::{self, AckSocket};
use crossbeam_channel as channel;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// After an error of `recv`, which may repeat immediately: enough not to spin.
const ERROR_PAUSE: Duration = Duration::from_millis(5);

/// What a sender's thread reports to the main thread.
pub(crate) enum Message {
    /// Something that changes the work.
    Signal(Signal),
    /// The payload could not be read, and the thread has ended.
    PayloadFailed(PayloadError),
    /// The receiver's port is closed: the first refusal in a row.
    Refused,
    /// A packet is sent again. Only if timeouts are traced.
    TimedOut { seq: Seq, transmissions: u32, waited: Duration, refused: bool },
    /// A packet was sent. Only if packets are traced.
    PacketSent { seq: Seq, transmission: u32, payload: Vec<u8> },
    /// A datagram came. Only if packets are traced.
    PacketReceived { datagram: Vec<u8>, acked_after: Option<Duration> },
}

/// What a sender needs to know of its transfer.
pub(crate) struct Sender {
    pub worker: WorkerId,
    pub target: SocketAddr,
    pub bind: Option<IpAddr>,
    pub machine: StopAndWait,
    pub payload: Payload,
    pub trace: Trace,
    pub work: channel::Receiver<SeqRange>,
    pub messages: channel::Sender<(WorkerId, Message)>,
    /// Set when the transfer is over.
    pub stop: Arc<AtomicBool>,
}

impl Sender {
    /// Sends one range after another until there are no more to come, and reports each to the main thread.
    pub fn run(mut self) {
        // A thread that ended in silence, also by a panic, could make the main thread wait forever.
        let ended = panic::catch_unwind(AssertUnwindSafe(|| self.run_ranges())).unwrap_or_else(|_| {
            let panicked = io::Error::other("it panicked; this is a bug, please report it");
            Err(lost(LossReason::local("thread", &panicked)))
        });
        if let Err(last) = ended {
            self.report(last);
        }
    }

    fn run_ranges(&mut self) -> Result<(), Message> {
        let socket = AckSocket::connect(self.bind, self.target);
        let mut socket = socket.map_err(|error| lost(LossReason::no_socket(&error)))?;
        let mut reader = self.payload.reader(0..0);
        while let Ok(range) = self.work.recv() {
            reader.range = range.bytes();
            self.machine.begin(range);
            self.send_range(&mut socket, &mut reader)?;
            self.report(Message::Signal(Signal::Completed));
        }
        Ok(())
    }

    fn send_range(&mut self, socket: &mut AckSocket, reader: &mut BlockReader) -> Result<(), Message> {
        let mut now = Instant::now();
        let mut sent = now;
        loop {
            let wait = match self.machine.poll(now) {
                Step::Transmit { seq, transmission, bytes, mut wait } => {
                    let payload = match reader.held(&bytes) {
                        Some(payload) if self.trace == Trace::Off => payload,
                        _ => {
                            let payload = reader.packet(&bytes).map_err(Message::PayloadFailed)?;
                            self.trace_transmission(seq, transmission, now - sent, payload);
                            // Reading and reporting may have taken their time.
                            now = Instant::now();
                            wait = match self.machine.postpone(now) {
                                Step::Transmit { wait, .. } => wait,
                                _ => {
                                    // What came before the deadline counts.
                                    self.receive_pending(socket, now);
                                    return Err(exited(ExitReason::Stopped));
                                }
                            };
                            payload
                        }
                    };
                    if self.stop.load(Relaxed) {
                        return Err(exited(ExitReason::Stopped));
                    }
                    sent = now;
                    if let Err(error) = socket.send(self.machine.encode(seq, payload)) {
                        self.on_error(&error);
                    }
                    wait
                }
                Step::Wait(until) => until - now,
                Step::Idle => return Ok(()),
                Step::Ended(reason) => return Err(exited(reason)),
            };
            now = self.receive(socket, now, wait)?;
        }
    }

    /// Waits up to `wait` from `began` on for a datagram and handles it; returns the time then. It may return early.
    fn receive(
        &mut self,
        socket: &mut AckSocket,
        began: Instant,
        wait: Duration,
    ) -> Result<Instant, Message> {
        socket.set_timeout(wait).map_err(|error| lost(LossReason::local("socket", &error)))?;
        let received = socket.receive();
        let failed = received.as_ref().is_err_and(|error| !udp::nothing_came(error));
        if failed {
            std::thread::sleep(ERROR_PAUSE);
        }
        let now = Instant::now();
        let acked = self.on_received(received, now);
        if !acked && (failed || now.saturating_duration_since(began) >= wait) {
            self.receive_pending(socket, now);
        }
        Ok(now)
    }

    /// Handles all that has arrived by `now`, when a timer is about to fire, or a refusal to count: only if nothing is waiting.
    #[cold]
    fn receive_pending(&mut self, socket: &mut AckSocket, now: Instant) {
        for _ in 0..udp::MAX_PENDING {
            let received = socket.receive_pending();
            let nothing = received.as_ref().is_err_and(udp::nothing_came);
            if nothing || self.on_received(received, now) {
                return;
            }
        }
    }

    /// Handles what `recv` has returned; says whether it was the outstanding packet's ack.
    #[inline]
    fn on_received(&mut self, received: io::Result<&[u8]>, now: Instant) -> bool {
        let Ok(datagram) = received.inspect_err(|error| self.on_error(error)) else { return false };
        let acked_after = self.machine.handle_datagram(now, datagram);
        if self.trace == Trace::Packets {
            self.report(Message::PacketReceived { datagram: datagram.to_vec(), acked_after });
        }
        acked_after.is_some()
    }

    #[cold]
    fn on_error(&mut self, error: &io::Error) {
        if error.kind() == ErrorKind::ConnectionRefused {
            if self.machine.handle_refusal() {
                self.report(Message::Refused);
            }
        } else if !udp::nothing_came(error) {
            self.machine.handle_error(OsMessage(error).to_string());
        }
    }

    #[cold]
    fn trace_transmission(&self, seq: Seq, transmission: u32, waited: Duration, payload: &[u8]) {
        if self.trace >= Trace::Timeouts && transmission > 1 {
            let refused = self.machine.is_refused();
            self.report(Message::TimedOut { seq, transmissions: transmission - 1, waited, refused });
        }
        if self.trace == Trace::Packets {
            self.report(Message::PacketSent { seq, transmission, payload: payload.to_vec() });
        }
    }

    fn report(&self, message: Message) {
        // No one listens any more only when the transfer is over; the thread then ends at its next wait.
        let _ = self.messages.send((self.worker, message));
    }
}

fn exited(reason: ExitReason) -> Message {
    Message::Signal(Signal::Exited(reason))
}

fn lost(reason: LossReason) -> Message {
    exited(ExitReason::Lost(reason))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // stands in for the transfer
    use super::*;
    use crate::protocol::Tid;
    use crate::protocol::lane::Lane;
    use crate::protocol::message::MAX_ACK_LEN;
    use crate::protocol::rto::RtoConfig;
    use crate::testing::{ack, ms, start};
    use std::fs::File;
    use std::net::{TcpListener, UdpSocket};

    const TID: u64 = u64::MAX;
    const LAST: u32 = u32::MAX - 1;

    /// A sender of one packet with the longest header there is, to a socket that acknowledges by hand.
    fn sender() -> (Sender, channel::Receiver<(WorkerId, Message)>, channel::Sender<SeqRange>, UdpSocket) {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        // What never comes fails the test.
        receiver.set_read_timeout(Some(ms(10_000))).unwrap();
        let lane = Arc::new(Lane::new(start()));
        lane.set_range(Seq(LAST), Seq(LAST + 1));
        let hour = Duration::from_secs(3600);
        let config = RtoConfig { first_timeout: hour, fixed: true, give_up: hour * 4 };
        let (to_main, messages) = channel::unbounded();
        let (work, work_to_do) = channel::bounded(1);
        let sender = Sender {
            worker: WorkerId(7),
            target: receiver.local_addr().unwrap(),
            bind: None,
            machine: StopAndWait::new(Tid(TID), config, lane, None, None),
            payload: Payload::from_bytes("payload").unwrap(),
            trace: Trace::Packets,
            work: work_to_do,
            messages: to_main,
            stop: Arc::default(),
        };
        (sender, messages, work, receiver)
    }

    fn range() -> SeqRange {
        SeqRange::over_bytes(Seq(LAST), 0..7).unwrap()
    }

    /// A sender whose packet is outstanding since that instant, its socket, and that of its receiver, which sends to it alone.
    fn waiting() -> (Sender, AckSocket, UdpSocket, Instant) {
        let (mut sender, _, _, receiver) = sender();
        let socket = AckSocket::connect(None, sender.target).unwrap();
        let now = Instant::now();
        sender.machine.begin(range());
        assert!(matches!(sender.machine.poll(now), Step::Transmit { .. }));
        socket.send(sender.machine.encode(Seq(LAST), b"payload")).unwrap();
        let (_, from) = receiver.recv_from(&mut [0; 200]).unwrap();
        receiver.connect(from).unwrap();
        (sender, socket, receiver, now)
    }

    #[test]
    fn the_longest_ack_and_one_byte_more_is_no_ack() {
        let (sender, messages, work, receiver) = sender();
        work.send(range()).unwrap();
        drop(work);
        std::thread::spawn(|| sender.run());
        let (_, from) = receiver.recv_from(&mut [0; 200]).unwrap();
        let longest = ack(TID, LAST);
        assert_eq!(longest.len(), MAX_ACK_LEN);
        receiver.send_to(&[&longest[..], b"x"].concat(), from).unwrap();
        receiver.send_to(&longest, from).unwrap();
        // All until the thread ends, or is stuck.
        let reported = std::iter::from_fn(|| messages.recv_timeout(ms(10_000)).ok());
        let reported: Vec<_> = reported.map(|(worker, message)| (worker.0, message)).collect();
        assert!(
            matches!(
                &reported[..],
                [
                    (7, Message::PacketSent { transmission: 1, .. }),
                    (7, Message::PacketReceived { datagram, acked_after: None }),
                    (7, Message::PacketReceived { acked_after: Some(_), .. }),
                    (7, Message::Signal(Signal::Completed)),
                ] if datagram.len() == MAX_ACK_LEN + 1
            ),
            "{} messages",
            reported.len()
        );
    }

    #[test]
    fn what_has_arrived_is_handled_before_a_timer_counts() {
        let (mut sender, mut socket, receiver, now) = waiting();
        receiver.send(b"junk").unwrap();
        receiver.send(&ack(TID, LAST)).unwrap();
        // A timer was due long ago; junk and ack wait in the socket.
        let began = now - Duration::from_secs(9000);
        assert!(sender.receive(&mut socket, began, Duration::from_secs(1)).is_ok());
        assert_eq!(sender.machine.outstanding(), None);
        // Nothing is waiting: the socket says so instead of waiting.
        sender.receive_pending(&mut socket, now);
    }

    #[test]
    fn what_has_arrived_is_handled_before_a_refusal_counts() {
        let (mut sender, mut socket, receiver, now) = waiting();
        receiver.send(&ack(TID, LAST)).unwrap();
        drop(receiver);
        socket.send(b"refused").unwrap();
        assert!(sender.receive(&mut socket, now, ms(10_000)).is_ok());
        assert_eq!(sender.machine.outstanding(), None);
    }

    #[test]
    fn what_arrives_while_a_report_is_held_up_until_the_deadline_counts() {
        let (mut sender, _, work, receiver) = sender();
        sender.trace = Trace::Timeouts;
        let lane = Arc::new(Lane::new(start()));
        lane.set_range(Seq(LAST), Seq(LAST + 1));
        let config = RtoConfig { first_timeout: ms(1), fixed: true, give_up: ms(3_600_000) };
        let deadline = Instant::now() + ms(1000);
        sender.machine = StopAndWait::new(Tid(TID), config, Arc::clone(&lane), None, Some(deadline));
        // A report waits until it is taken.
        let (to_main, messages) = channel::bounded(0);
        sender.messages = to_main;
        work.send(range()).unwrap();
        std::thread::spawn(|| sender.run());
        let mut reported = channel::Select::new();
        reported.recv(&messages);
        assert!(reported.ready_timeout(ms(10_000)).is_ok());
        let (_, from) = receiver.recv_from(&mut [0; 200]).unwrap();
        receiver.send_to(&ack(TID, LAST), from).unwrap();
        std::thread::sleep(deadline - Instant::now());
        let said: Vec<_> = messages.iter().map(|(_, message)| message).collect();
        assert!(
            matches!(
                said[..],
                [Message::TimedOut { .. }, Message::Signal(Signal::Exited(ExitReason::Stopped))]
            ),
            "{} messages",
            said.len()
        );
        assert_eq!(lane.acked(), 1);
    }

    #[test]
    fn a_stopped_sender_sends_nothing_more() {
        let (sender, messages, work, receiver) = sender();
        sender.stop.store(true, Relaxed);
        work.send(range()).unwrap();
        sender.run();
        let last = messages.iter().last().map(|(_, message)| message);
        assert!(matches!(last, Some(Message::Signal(Signal::Exited(ExitReason::Stopped)))));
        receiver.set_nonblocking(true).unwrap();
        assert!(receiver.recv(&mut [0; 200]).is_err());
    }

    /// All that a sender says whose timeouts are short and whose receiver acknowledges nothing, and its last word.
    fn reports(
        mut sender: Sender,
        work: &channel::Sender<SeqRange>,
        give_up: u64,
    ) -> (Vec<Message>, ExitReason) {
        let lane = Arc::new(Lane::new(start()));
        lane.set_range(Seq(LAST), Seq(LAST + 1));
        let config = RtoConfig { first_timeout: ms(1), fixed: true, give_up: ms(give_up) };
        sender.machine = StopAndWait::new(Tid(TID), config, lane, None, None);
        let (to_main, messages) = channel::unbounded();
        sender.messages = to_main;
        work.send(range()).unwrap();
        sender.run();
        let mut said: Vec<_> = messages.iter().map(|(_, message)| message).collect();
        match said.pop() {
            Some(Message::Signal(Signal::Exited(reason))) => (said, reason),
            _ => panic!("it ended without a reason"),
        }
    }

    #[test]
    fn a_closed_port_is_reported_once_and_then_loses_the_receiver() {
        let (mut sender, _, work, _receiver) = sender();
        sender.trace = Trace::Timeouts;
        // A port of an address that no other test binds, so that it stays closed.
        sender.target = UdpSocket::bind("127.3.9.1:0").unwrap().local_addr().unwrap();
        let (said, reason) = reports(sender, &work, 3_600_000);
        assert_eq!(reason, ExitReason::Lost(LossReason::Refused { seq: Seq(LAST), times: 5 }));
        assert_eq!(said.iter().filter(|message| matches!(message, Message::Refused)).count(), 1);
        let again = |message: &Message| match *message {
            Message::TimedOut { seq: Seq(LAST), transmissions, refused: true, .. } => Some(transmissions),
            _ => None,
        };
        assert_eq!(said.iter().filter_map(again).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(said.len(), 5);
    }

    #[test]
    fn silence_is_no_error_and_no_trace_means_no_word() {
        let (mut sender, _, work, _receiver) = sender();
        sender.trace = Trace::Off;
        let (said, reason) = reports(sender, &work, 20);
        assert!(
            matches!(reason, ExitReason::Lost(LossReason::Silent { last_error: None, .. })),
            "{reason:?}"
        );
        assert!(said.is_empty());
    }

    /// Without a timeout a silent receiver would be waited for forever.
    #[test]
    fn a_socket_whose_timeout_cannot_be_set_loses_its_receiver() {
        let (mut sender, _messages, _work, _receiver) = sender();
        let mut socket = udp::tests::socket_of(File::open("/dev/null").unwrap().into());
        let ended = sender.receive(&mut socket, Instant::now(), ms(1000));
        let Err(Message::Signal(Signal::Exited(ExitReason::Lost(reason)))) = ended else {
            panic!("it goes on")
        };
        assert_eq!(reason.to_string(), "no socket: Socket operation on non-socket");
    }

    #[test]
    fn an_error_that_repeats_neither_spins_nor_holds_a_timer_up() {
        let (mut sender, _messages, _work, _receiver) = sender();
        // All of it works but to receive.
        let mut socket = udp::tests::socket_of(TcpListener::bind("127.0.0.1:0").unwrap().into());
        let began = Instant::now();
        assert!(sender.receive(&mut socket, began, ms(10_000)).is_ok());
        let received = Instant::now();
        assert!(received - began >= ERROR_PAUSE);
        sender.receive_pending(&mut socket, received);
        assert!(received.elapsed() < ERROR_PAUSE * udp::MAX_PENDING);
    }

    #[test]
    fn an_error_of_the_system_is_named_when_the_receiver_is_lost() {
        let (mut sender, _messages, _work, _receiver) = sender();
        let mut now = Instant::now();
        sender.machine.begin(range());
        sender.machine.poll(now);
        sender.on_error(&io::Error::from_raw_os_error(101));
        sender.on_error(&ErrorKind::WouldBlock.into());
        let reason = loop {
            match sender.machine.poll(now) {
                Step::Wait(until) => now = until,
                Step::Ended(ExitReason::Lost(reason)) => break reason,
                step => assert!(matches!(step, Step::Transmit { .. }), "{step:?}"),
            }
        };
        assert!(reason.to_string().ends_with(" (last error: Network is unreachable)"), "{reason}");
    }

    #[test]
    fn an_ack_is_all_that_is_received_at_one_time() {
        let (mut sender, mut socket, receiver, now) = waiting();
        receiver.send(&ack(TID, LAST)).unwrap();
        receiver.send(b"the next packet's").unwrap();
        assert!(sender.receive(&mut socket, now - ms(9000), ms(1000)).is_ok());
        assert_eq!(socket.receive_pending().unwrap(), b"the next packet's");
    }
}
