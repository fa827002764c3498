//! One receiver's thread: takes data, and acknowledges it as the script says.

use super::case::Case;
use super::faults::{Arrival, Closing, Extra, From, Reply, Rule, Timing, junk, reply};
use super::orchestrator::pour;
use super::post::lock;
use super::rng::Rng;
use super::script::{Opening, Receiver};
use super::servers::Shared;
use super::verdict::Remark;
use super::wire::{self, Data};
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Larger than any data packet; what is longer is cut, and remarked all the same.
const BUFFER: usize = 2048;

/// A port that was free may be somebody's for a moment when we come back to it.
const REOPEN_TRIES: u32 = 100;

pub struct Server {
    pub shared: Arc<Shared>,
    pub spec: Receiver,
    pub index: usize,
    pub address: SocketAddr,
    rng: Rng,
    rules: Vec<Rule>,
    /// The transaction that the last packet belonged to.
    case: Option<Arc<Case>>,
    memories: HashMap<u64, Memory>,
    stalled_until: Option<Instant>,
}

/// What rules need to know of a transaction.
#[derive(Default)]
struct Memory {
    acks: u32,
    transmissions: HashMap<u32, u32>,
}

enum End {
    Stopped,
    Closed(Closing),
}

impl Server {
    pub fn new(shared: Arc<Shared>, spec: Receiver, index: usize, address: SocketAddr) -> Server {
        Server {
            rng: Rng::stream(shared.script.seed, index as u64),
            rules: spec.rules.clone(),
            shared,
            spec,
            index,
            address,
            case: None,
            memories: HashMap::new(),
            stalled_until: None,
        }
    }

    /// The receiver's thread. The socket is open already, unless it is to open later.
    pub fn run(mut self, socket: Option<UdpSocket>) {
        let mut socket = match (socket, self.spec.opening) {
            (None, Opening::After(time)) => self.open_after(time),
            (None, Opening::WhenTold) => self.open_when_told(),
            (socket, _) => socket,
        };
        while let Some(open) = socket {
            let end = match self.spec.is_plain() {
                true => self.serve_plainly(&open),
                false => self.serve_by_script(Arc::new(open)),
            };
            socket = match end {
                End::Closed(Closing { reopens_after: Some(time) }) => self.open_after(time),
                End::Closed(_) | End::Stopped => None,
            };
        }
    }

    fn open_when_told(&self) -> Option<UdpSocket> {
        while !self.shared.is_told_to_open(&self.spec.name) {
            if self.shared.stop.wait(Duration::from_millis(1)) {
                return None;
            }
        }
        self.open_after(Duration::ZERO)
    }

    fn open_after(&self, time: Duration) -> Option<UdpSocket> {
        let mut pause = time;
        for _ in 0..REOPEN_TRIES {
            if self.shared.stop.wait(pause) {
                return None;
            }
            if let Ok(socket) = UdpSocket::bind(self.address) {
                return Some(socket);
            }
            pause = Duration::from_millis(1);
        }
        None
    }

    /// Receive, count, acknowledge: as quick as it can be, for measurements.
    fn serve_plainly(&mut self, socket: &UdpSocket) -> End {
        let mut buffer = [0; BUFFER];
        loop {
            let received = socket.recv_from(&mut buffer);
            if self.shared.stop.requested() {
                return End::Stopped;
            }
            let Ok((length, from)) = received else { continue };
            let Some(datagram) = buffer.get_mut(..length) else { continue };
            let Some(data) = self.understand(datagram) else { continue };
            let Some(case) = self.case.as_deref() else { continue };
            let Some(ledger) = case.ledger(self.index) else { continue };
            let new_bytes = {
                let mut ledger = lock(ledger);
                ledger.arrives(&data, from);
                ledger.answers(data.seq);
                ledger.acknowledges(data.seq);
                ledger.receives(&data)
            };
            let payload = data.payload.len();
            let _ = socket.send_to(wire::turn_into_ack(datagram, payload), from);
            case.count_new(new_bytes);
            self.shared.book.acknowledged(case);
        }
    }

    fn serve_by_script(&mut self, socket: Arc<UdpSocket>) -> End {
        let mut buffer = [0; BUFFER];
        loop {
            let received = socket.recv_from(&mut buffer);
            if self.shared.stop.requested() {
                return End::Stopped;
            }
            let Ok((length, from)) = received else { continue };
            let Some(data) = buffer.get(..length).and_then(|datagram| self.understand(datagram)) else {
                continue;
            };
            let Some(case) = self.case.clone() else { continue };
            let reply = self.decide(&case, &data);
            self.take(&case, &data, from, &reply);
            self.send(&socket, &case, &data, from, &reply);
            if let Some(closing) = reply.close {
                return End::Closed(closing);
            }
        }
    }

    /// A data packet of a transaction that was assigned, which is then `self.case`; anything else is a stray.
    fn understand<'a>(&mut self, datagram: &'a [u8]) -> Option<Data<'a>> {
        let Some(data) = wire::parse_data(datagram) else {
            self.shared
                .book
                .stray(Remark::Unparsable { receiver: self.spec.name.clone(), len: datagram.len() });
            return None;
        };
        if self.case.as_ref().is_none_or(|case| case.tid != data.tid) {
            self.case = self.shared.book.find(data.tid);
        }
        if self.case.is_none() {
            self.shared.book.stray(Remark::WrongTid { receiver: self.spec.name.clone(), tid: data.tid });
            return None;
        }
        Some(data)
    }

    fn decide(&mut self, case: &Case, data: &Data<'_>) -> Reply {
        let memory = self.memories.entry(case.tid).or_default();
        let nth = memory.transmissions.entry(data.seq).or_default();
        *nth += 1;
        let arrival = Arrival {
            tid: data.tid,
            seq: data.seq,
            nth: *nth,
            acks: memory.acks,
            since_assigned: case.since_assigned(),
        };
        let mut reply = reply(&mut self.rules, &arrival, self.spec.delay, &mut self.rng);
        if !self.spec.jitter.is_zero() {
            let jittered = reply.delay.as_secs_f64() + self.spec.jitter.as_secs_f64() * self.rng.bell();
            reply.delay = Duration::from_secs_f64(jittered.max(0.0));
        }
        let now = Instant::now();
        if let Some(time) = reply.stall {
            self.stalled_until = Some(now + time);
        }
        reply.silence |= self.stalled_until.is_some_and(|until| now < until);
        memory.acks += u32::from(reply.acknowledges());
        reply
    }

    fn take(&self, case: &Case, data: &Data<'_>, from: SocketAddr, reply: &Reply) {
        let Some(ledger) = case.ledger(self.index) else { return };
        let new_bytes = {
            let mut ledger = lock(ledger);
            ledger.arrives(data, from);
            let lost = reply.silence || reply.data_lost;
            let new_bytes = if lost { 0 } else { ledger.receives(data) };
            ledger.counts.lost += u64::from(lost);
            ledger.counts.acks_lost += u64::from(!lost && reply.ack_lost);
            if reply.acknowledges() {
                ledger.answers(data.seq);
            }
            new_bytes
        };
        case.count_new(new_bytes);
    }

    fn send(
        &self,
        socket: &Arc<UdpSocket>,
        case: &Arc<Case>,
        data: &Data<'_>,
        to: SocketAddr,
        reply: &Reply,
    ) {
        if let Some(flood) = reply.flood {
            let (shared, socket) = (Arc::clone(&self.shared), Arc::clone(socket));
            let (tid, seq) = (data.tid, data.seq);
            self.shared.spawn("flood", move || {
                pour(&shared, &socket, to, flood.per_second, flood.lasting, |n| junk(tid, seq, n));
            });
        }
        if reply.silence {
            return;
        }
        for extra in reply.extras.iter().filter(|extra| extra.timing == Timing::AtOnce) {
            self.send_extra(socket, extra, to);
        }
        // A duplicate of an ack that was lost, or of what never came, would be the ack itself.
        if !reply.acknowledges() {
            return;
        }
        self.send_ack(socket, case, data, to, reply);
        for extra in &reply.extras {
            if let Timing::AfterAck(time) = extra.timing {
                let (server, socket, bytes) =
                    (Arc::clone(&self.shared), Arc::clone(socket), extra.bytes.clone());
                server.later(reply.delay + time, move || {
                    let _ = socket.send_to(&bytes, to);
                });
            }
        }
    }

    /// The next SEQ may come as soon as the ack is on the wire, so that has to be noted just before.
    fn send_ack(
        &self,
        socket: &Arc<UdpSocket>,
        case: &Arc<Case>,
        data: &Data<'_>,
        to: SocketAddr,
        reply: &Reply,
    ) {
        let (shared, socket, case) = (Arc::clone(&self.shared), Arc::clone(socket), Arc::clone(case));
        let (index, seq) = (self.index, data.seq);
        let ack = wire::ack(data.tid, seq);
        let send = move || {
            if let Some(ledger) = case.ledger(index) {
                lock(ledger).acknowledges(seq);
            }
            let _ = socket.send_to(&ack, to);
            shared.book.acknowledged(&case);
        };
        match reply.close {
            // The port closes when this thread lets go of the socket, so the last ack cannot be left to another.
            Some(_) if self.shared.stop.wait(reply.delay) => {}
            Some(_) => send(),
            None => self.shared.later(reply.delay, send),
        }
    }

    fn send_extra(&self, socket: &UdpSocket, extra: &Extra, to: SocketAddr) {
        let other = match (extra.from, self.address) {
            (From::Receiver, _) => None,
            (From::OtherAddress, SocketAddr::V4(_)) => Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            (From::OtherAddress | From::OtherPort, address) => Some(SocketAddr::new(address.ip(), 0)),
        };
        let _ = match other.map(UdpSocket::bind) {
            None => socket.send_to(&extra.bytes, to),
            Some(Ok(other)) => other.send_to(&extra.bytes, to),
            Some(Err(error)) => Err(error),
        };
    }
}

impl Reply {
    fn acknowledges(&self) -> bool {
        !self.silence && !self.data_lost && !self.ack_lost
    }
}
