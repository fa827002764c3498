//! The servers as a whole: bound before `start` returns, gone when dropped.

use super::delay_queue::{DelayQueue, Stop, lock};
use super::endpoint::Endpoint;
use super::orchestrator::{self, Orchestrator};
use super::script::{Opening, Receiver, Script};
use super::transactions::Transactions;
use super::verdict::Transaction;
use super::wire::MAX_PAYLOAD;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Some receivers keep a 2 KiB buffer on it, and a build without optimisation is generous with the rest.
const STACK: usize = 128 * 1024;

/// One port must be free at every receiver's address: how many are tried.
const PORT_TRIES: usize = 100;

/// Tenths of a second that a busy server may take.
const SETTLE_TRIES: u32 = 300;

/// No receiver's address, on which the receivers' port is held, so that no socket of another program gets it on all addresses
/// while a receiver of ours is closed.
const GUARD: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);

/// A server sends this back when it has dealt with all that came before it.
pub const SETTLED: &[u8] = b"settled?";

/// What all threads of the servers share.
pub struct Shared {
    pub script: Script,
    pub orchestrator: Orchestrator,
    pub transactions: Transactions,
    pub stop: Stop,
    delay_queue: DelayQueue,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Bytes that were kept, of all transactions.
    kept: Mutex<u64>,
    /// Receivers whose ports the test has said to open.
    asked_to_open: Mutex<Vec<String>>,
}

impl Shared {
    /// Does something later; without delay, now.
    pub fn later(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        if delay.is_zero() { job() } else { self.delay_queue.later(delay, job) }
    }

    pub fn keeps(&self, new_bytes: usize) {
        *lock(&self.kept) += new_bytes as u64;
    }

    /// Whether there is no room for another packet.
    pub fn is_full(&self) -> bool {
        lock(&self.kept).saturating_add(MAX_PAYLOAD as u64) > self.script.limit
    }

    pub fn is_asked_to_open(&self, name: &str) -> bool {
        lock(&self.asked_to_open).iter().any(|asked| asked == name)
    }

    /// Starts a thread that ends when `stop` is requested.
    pub fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(format!("loopback {name}")).stack_size(STACK).spawn(work)?;
        lock(&self.threads).push(thread);
        Ok(())
    }
}

/// An orchestrator and its receivers, running.
pub struct Servers {
    shared: Arc<Shared>,
    orchestrator: SocketAddr,
    receivers: Vec<SocketAddr>,
    receiver_port: u16,
    _guard: Option<UdpSocket>,
}

impl Servers {
    /// Binds every socket and starts every thread. Panics where the system does not let it.
    #[allow(clippy::panic)] // A test without its servers has nothing to go on with.
    pub fn start(script: Script) -> Servers {
        Servers::try_start(script).unwrap_or_else(|error| panic!("loopback servers: {error}"))
    }

    pub fn try_start(script: Script) -> io::Result<Servers> {
        let (home, receivers) = (script.address, &script.receivers);
        let addresses: Vec<IpAddr> =
            (0..).zip(receivers).map(|(i, r)| r.address.unwrap_or(usual_address(&script, i))).collect();
        let bound = Bound::on_one_port(script.receiver_port, receivers, &addresses)?;
        let socket = bind(SocketAddr::new(home, script.orchestrator_port))?;
        let orchestrator = socket.local_addr()?;
        let names = addresses.iter().copied().zip(receivers.iter().map(|r| r.name.clone())).collect();
        let shared = Arc::new(Shared {
            orchestrator: Orchestrator::new(socket, UdpSocket::bind((home, 0))?, &script, names),
            script,
            transactions: Transactions::default(),
            stop: Stop::default(),
            delay_queue: DelayQueue::default(),
            threads: Mutex::default(),
            kept: Mutex::new(0),
            asked_to_open: Mutex::default(),
        });
        let servers = Servers {
            shared,
            orchestrator,
            receivers: addresses.iter().map(|address| SocketAddr::new(*address, bound.port)).collect(),
            receiver_port: bound.port,
            _guard: bound.guard,
        };
        servers.start_threads(bound.sockets)?;
        Ok(servers)
    }

    fn start_threads(&self, sockets: Vec<Option<UdpSocket>>) -> io::Result<()> {
        let (queue, judge, desk) = (self.share(), self.share(), self.share());
        self.shared.spawn("delay queue", move || queue.delay_queue.run())?;
        // Without either, nothing is ever judged by itself.
        if self.shared.script.idle.is_some() || self.shared.script.expectation.is_some() {
            let run = move || judge.transactions.run_judge(judge.script.idle, &judge.stop);
            self.shared.spawn("judge", run)?;
        }
        self.shared.spawn("orchestrator", move || orchestrator::serve(&desk))?;
        for ((index, socket), address) in sockets.into_iter().enumerate().zip(&self.receivers) {
            let endpoint = Endpoint::new(self.share(), index, *address);
            self.shared.spawn("receiver", move || endpoint.run(socket))?;
        }
        Ok(())
    }

    fn share(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub fn orchestrator(&self) -> SocketAddr {
        self.orchestrator
    }

    /// The one port of all receivers.
    pub fn receiver_port(&self) -> u16 {
        self.receiver_port
    }

    /// The receivers' addresses, in the order of the script.
    pub fn receivers(&self) -> &[SocketAddr] {
        &self.receivers
    }

    /// What they play.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// Opens the port of a receiver that waits for it.
    pub fn open(&self, name: &str) {
        lock(&self.shared.asked_to_open).push(name.to_string());
    }

    /// Intents that came.
    pub fn intents(&self) -> u64 {
        settle(&[self.orchestrator]);
        self.shared.transactions.intents()
    }

    /// Datagrams to the orchestrator that were no intents.
    pub fn other_datagrams(&self) -> u64 {
        settle(&[self.orchestrator]);
        self.shared.transactions.others()
    }

    /// The next transaction that was judged by itself: complete as `expect` says, or quiet for `idle`.
    pub fn wait_judged(&self, timeout: Duration) -> Option<Transaction> {
        self.shared.transactions.next_judged(timeout)
    }

    /// Judges all transactions with all that was sent so far, in the order of their assignment.
    pub fn judge_all(&self) -> Vec<Transaction> {
        settle(&self.receivers);
        self.shared.transactions.judge_all()
    }

    /// Judges the newest transaction as it stands now, if there is one.
    pub fn judge(&self) -> Option<Transaction> {
        self.judge_all().pop()
    }

    /// Judges the newest transaction, and stops. Panics if no client ever came.
    #[allow(clippy::panic)] // So that a test may go on with a transaction in its hands.
    pub fn finish(self) -> Transaction {
        self.judge().unwrap_or_else(|| panic!("no intent came to the orchestrator"))
    }

    /// Wakes every thread that waits for a datagram.
    fn wake_readers(&self) {
        for address in self.receivers.iter().chain([&self.orchestrator]) {
            let _ = UdpSocket::bind((address.ip(), 0)).and_then(|socket| socket.send_to(&[], address));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.shared.stop.request();
        self.shared.delay_queue.stop();
        self.wake_readers();
        // A thread may have started another one in the meantime.
        loop {
            let threads = std::mem::take(&mut *lock(&self.shared.threads));
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                let _ = thread.join();
            }
        }
    }
}

/// Waits until these servers have dealt with all that is in their sockets, however busy the machine is. A port may be
/// closed.
fn settle(servers: &[SocketAddr]) {
    let wait = |address: &SocketAddr| -> io::Result<()> {
        let socket = UdpSocket::bind((address.ip(), 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        for _ in 0..SETTLE_TRIES {
            socket.send(SETTLED)?;
            match socket.recv(&mut [0; SETTLED.len()]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => return answer.map(drop),
            }
        }
        Ok(())
    };
    for address in servers {
        let _ = wait(address);
    }
}

/// Binds, or says what could not be bound.
fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(address).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// 127.0.0.2 to 127.0.0.251, 127.0.1.2 and so on.
fn usual_address(script: &Script, index: usize) -> IpAddr {
    if script.address == Ipv6Addr::LOCALHOST {
        return Ipv6Addr::LOCALHOST.into();
    }
    let [high, low] = [index / 250, 2 + index % 250].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    Ipv4Addr::new(127, 0, high, low).into()
}

/// The receivers' sockets, all on one port.
struct Bound {
    port: u16,
    guard: Option<UdpSocket>,
    /// `None` for those that are closed for now.
    sockets: Vec<Option<UdpSocket>>,
}

impl Bound {
    /// Port 0 is any that is free at all addresses.
    fn on_one_port(port: u16, receivers: &[Receiver], addresses: &[IpAddr]) -> io::Result<Bound> {
        let mut tries = if port == 0 { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Bound::bind(port, receivers, addresses) {
                Err(error) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
    }

    fn bind(port: u16, receivers: &[Receiver], addresses: &[IpAddr]) -> io::Result<Bound> {
        // Where 127.0.0.0/8 is not all ours, as on other systems than Linux, it goes without the guard.
        let guard = match bind((GUARD, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            other => other.ok(),
        };
        let mut port = match &guard {
            Some(guard) => guard.local_addr()?.port(),
            None => port,
        };
        let mut sockets = Vec::new();
        for (receiver, address) in receivers.iter().zip(addresses) {
            let socket = bind(SocketAddr::new(*address, port))?;
            port = socket.local_addr()?.port();
            sockets.push(Some(socket).filter(|_| receiver.opening == Opening::AtStart));
        }
        Ok(Bound { port, guard, sockets })
    }
}

/// An address on which nothing listens, for a while: a port that was just free.
pub fn closed_port() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
