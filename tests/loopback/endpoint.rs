//! One receiver's thread: drives the pure receiver of receiver.rs with a socket and the clock.

use super::case::Case;
use super::faults::{Flood, Source, junk};
use super::receiver::{Arrival, Datagram, Model, Reply};
use super::script::{Opening, Receiver};
use super::servers::{SETTLED, Shared};
use super::verdict::Remark;
use super::wire::{self, Data};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Larger than any data packet; what is longer is cut, and remarked all the same.
const BUFFER: usize = 2048;

/// A port that was free may be another program's for a moment when we come back to it.
const REOPEN_TRIES: u32 = 100;

pub struct Endpoint {
    shared: Arc<Shared>,
    /// Of the receiver in the script.
    index: usize,
    address: SocketAddr,
    model: Model,
    /// The transaction that the last packet belonged to.
    case: Option<Arc<Case>>,
}

impl Endpoint {
    pub fn new(shared: Arc<Shared>, index: usize, address: SocketAddr) -> Endpoint {
        let script = &shared.script;
        let model = Model::new(&script.receivers[index], script.seed, index, Instant::now());
        Endpoint { shared, index, address, model, case: None }
    }

    fn spec(&self) -> &Receiver {
        &self.shared.script.receivers[self.index]
    }

    /// The receiver's thread. The socket is open already, unless it is to open later.
    pub fn run(mut self, socket: Option<UdpSocket>) {
        let mut socket = match (socket, self.spec().opening) {
            (None, Opening::After(time)) => self.open_after(time),
            (None, Opening::WhenTold) => self.open_when_asked(),
            (socket, _) => socket,
        };
        while let Some(open) = socket {
            socket = self.serve(Arc::new(open)).and_then(|time| self.open_after(time));
        }
    }

    fn open_when_asked(&self) -> Option<UdpSocket> {
        while !self.shared.is_asked_to_open(&self.spec().name) {
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

    /// Serves until everything stops, or the port closes: then it returns for how long, if not for good.
    fn serve(&mut self, socket: Arc<UdpSocket>) -> Option<Duration> {
        let mut buffer = [0; BUFFER];
        loop {
            let received = socket.recv_from(&mut buffer);
            if self.shared.stop.requested() {
                return None;
            }
            let Ok((length, from)) = received else { continue };
            let datagram = &mut buffer[..length];
            if datagram == SETTLED {
                let _ = socket.send_to(datagram, from);
                continue;
            }
            let Some((data, case)) = self.understand(datagram) else { continue };
            if self.shared.is_full() {
                self.stray("no room for more data (--limit)".to_string());
                continue;
            }
            let (now, since_assigned, seq) = (Instant::now(), case.since_assigned(), data.seq);
            let arrival = Arrival { now, since_assigned, data, from, assured: false };
            let reply = self.model.on_data(&arrival, &mut case.ledger(self.index));
            self.shared.keeps(reply.new_bytes);
            let closes = reply.closes;
            self.send(&socket, &case, seq, from, reply);
            if let Some(time) = closes {
                return time;
            }
        }
    }

    /// A data packet of a transaction that was assigned, which is then `self.case`; anything else is a stray.
    fn understand<'a>(&mut self, datagram: &'a [u8]) -> Option<(Data<'a>, Arc<Case>)> {
        let Some(data) = wire::parse_data(datagram) else {
            self.stray(format!("{} bytes that are no data packet", datagram.len()));
            return None;
        };
        if self.case.as_ref().is_none_or(|case| case.tid != data.tid) {
            self.case = self.shared.transactions.find(data.tid);
        }
        let Some(case) = &self.case else {
            self.stray(format!("data for TID {}, which was not assigned", data.tid));
            return None;
        };
        Some((data, Arc::clone(case)))
    }

    fn stray(&self, what: String) {
        self.shared.transactions.stray(Remark::at(&self.spec().name, what));
    }

    fn send(&self, socket: &Arc<UdpSocket>, case: &Arc<Case>, seq: u32, to: SocketAddr, reply: Reply) {
        if let Some(flood) = reply.flood {
            let (shared, socket, tid) = (Arc::clone(&self.shared), Arc::clone(socket), case.tid);
            // Where the system has no thread left, there is no flood.
            let _ = self.shared.spawn("flood", move || {
                pour(&shared, flood, |number| {
                    let _ = socket.send_to(&junk(tid, seq, number), to);
                });
            });
        }
        for Datagram { delay, bytes, source, is_ack } in reply.datagrams {
            let (socket, case) = (Arc::clone(socket), Arc::clone(case));
            let (index, address) = (self.index, self.address);
            let send = move || {
                // The next SEQ may come as soon as the ack is on the wire, so that has to be noted just before.
                if is_ack {
                    case.ledger(index).acknowledges(seq);
                }
                let _ = send_from(source, &socket, address, &bytes, to);
            };
            match reply.closes {
                // The port closes when this thread lets go of the socket, so the last ack cannot be left to another.
                Some(_) if self.shared.stop.wait(delay) => {}
                Some(_) => send(),
                None => self.shared.later(delay, send),
            }
        }
    }
}

fn send_from(
    source: Source,
    socket: &UdpSocket,
    address: SocketAddr,
    bytes: &[u8],
    to: SocketAddr,
) -> io::Result<usize> {
    let other = match (source, address) {
        (Source::Receiver, _) => return socket.send_to(bytes, to),
        (Source::OtherAddress, SocketAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
        (Source::OtherAddress | Source::OtherPort, address) => address.ip(),
    };
    UdpSocket::bind((other, 0))?.send_to(bytes, to)
}

/// Sends junk as long as it lasts, or until the end of everything.
fn pour(shared: &Shared, flood: Flood, send: impl Fn(u64)) {
    let start = Instant::now();
    for number in 0.. {
        let due = flood.per_second.map_or(Duration::ZERO, |rate| Duration::from_secs(number) / rate.max(1));
        if shared.stop.wait(due.saturating_sub(start.elapsed())) || start.elapsed() >= flood.lasting {
            return;
        }
        send(number);
    }
}
