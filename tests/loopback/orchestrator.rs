//! The orchestrator: queues clients, assigns transactions, and says what the script makes it say.

use super::case::Case;
use super::delay_queue::lock;
use super::faults::{Flood, junk};
use super::ledger::Ledger;
use super::script::{Answer, Entry, Says, Script};
use super::servers::{SETTLED, Shared};
use super::wire;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A TID that no receiver knows, as far from the right one as this.
const OTHER_TID: u64 = 1000;

/// As recorded.
const FIRST_TID: u64 = 3740;

pub struct Orchestrator {
    pub socket: UdpSocket,
    stranger: UdpSocket,
    /// The list as text, and its addresses as far as they are addresses.
    list: String,
    listed: Vec<IpAddr>,
    /// Of all receivers, listed or not.
    receivers: Vec<(IpAddr, String)>,
    queue: Mutex<Queue>,
}

struct Queue {
    waiting: VecDeque<SocketAddr>,
    /// Assigned, but not judged.
    open: usize,
    next_tid: u64,
}

impl Orchestrator {
    pub fn new(
        socket: UdpSocket,
        stranger: UdpSocket,
        script: &Script,
        receivers: Vec<(IpAddr, String)>,
    ) -> Orchestrator {
        let entries: Vec<(String, String)> =
            script.entries.iter().filter_map(|entry| line(entry, &receivers)).collect();
        Orchestrator {
            socket,
            stranger,
            listed: entries.iter().filter_map(|(address, _)| address.parse().ok()).map(canonical).collect(),
            list: wire::list(entries),
            receivers,
            queue: Mutex::new(Queue { waiting: VecDeque::new(), open: 0, next_tid: FIRST_TID }),
        }
    }
}

/// An IPv4-mapped address is the same receiver as the IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Address and name of an entry.
fn line(entry: &Entry, receivers: &[(IpAddr, String)]) -> Option<(String, String)> {
    match entry {
        Entry::Text { address, name } => Some((address.clone(), name.clone())),
        Entry::Receiver(index) => {
            receivers.get(*index).map(|(address, name)| (address.to_string(), name.clone()))
        }
    }
}

/// The orchestrator's thread.
pub fn serve(shared: &Arc<Shared>) {
    let mut buffer = [0; 2048];
    loop {
        let received = shared.orchestrator.socket.recv_from(&mut buffer);
        if shared.stop.requested() {
            return;
        }
        let Ok((length, client)) = received else { continue };
        let datagram = &buffer[..length];
        if datagram == SETTLED {
            let _ = shared.orchestrator.socket.send_to(datagram, client);
        } else if datagram != wire::INTENT {
            shared.transactions.other();
        } else if shared.transactions.intent() >= shared.script.lost_intents {
            flood(shared, client);
            lock(&shared.orchestrator.queue).waiting.push_back(client);
            assign_next(shared, 0);
        }
    }
}

/// So many transactions were judged: assigns whatever may be assigned now.
pub fn assign_next(shared: &Arc<Shared>, judged: usize) {
    let mut queue = lock(&shared.orchestrator.queue);
    queue.open = queue.open.saturating_sub(judged);
    while !(shared.script.one_at_a_time && queue.open > 0) {
        let Some(client) = queue.waiting.pop_front() else { return };
        queue.open += 1;
        let tid = queue.next_tid;
        queue.next_tid += 1;
        assign(shared, client, tid);
    }
}

fn assign(shared: &Arc<Shared>, client: SocketAddr, tid: u64) {
    let said = shared.script.answers.iter().find_map(|answer| match &answer.says {
        Says::Raw(bytes) => wire::tid_of_assignment(bytes),
        _ => None,
    });
    let assigns = |answer: &Answer| answer.says == Says::Assignment;
    let tid = if shared.script.answers.iter().any(assigns) { tid } else { said.unwrap_or(tid) };
    let case = Arc::new(open_case(shared, client, tid));
    shared.transactions.open(Arc::clone(&case));
    for answer in shared.script.answers.clone() {
        let (shared_later, case, after) = (Arc::clone(shared), Arc::clone(&case), answer.after);
        shared.later(after, move || say(&shared_later, &case, &answer));
    }
}

fn open_case(shared: &Shared, client: SocketAddr, tid: u64) -> Case {
    let ledger =
        |(address, name): &(IpAddr, String)| (*address, Ledger::new(name, shared.script.keep_payload));
    let orchestrator = &shared.orchestrator;
    let ledgers = orchestrator.receivers.iter().map(ledger).collect();
    Case::new(tid, client, orchestrator.listed.clone(), ledgers, shared.script.expectation.clone())
}

fn say(shared: &Shared, case: &Case, answer: &Answer) {
    let orchestrator = &shared.orchestrator;
    let bytes = match &answer.says {
        Says::Assignment => wire::assignment(case.tid, &orchestrator.list),
        Says::AssignmentOfOtherTid => wire::assignment(case.tid + OTHER_TID, &orchestrator.list),
        Says::Raw(bytes) => bytes.clone(),
    };
    case.assigned.get_or_init(Instant::now);
    let socket = if answer.from_stranger { &orchestrator.stranger } else { &orchestrator.socket };
    // A client that is gone does not matter here, and a list too long for a datagram is the test's to notice.
    let _ = socket.send_to(&bytes, case.client);
}

fn flood(shared: &Arc<Shared>, client: SocketAddr) {
    let Some(kind) = shared.script.orchestrator_flood else { return };
    let flooded = Arc::clone(shared);
    shared.spawn("flood", move || {
        // Without the seventh kind, a Type 1, which would end the client's wait.
        pour(&flooded, &flooded.orchestrator.socket, client, kind, |number| {
            junk(0, 0, number / 6 * 7 + number % 6)
        });
    });
}

/// Sends junk as long as it lasts, or until the end of everything.
pub fn pour(
    shared: &Shared,
    socket: &UdpSocket,
    to: SocketAddr,
    flood: Flood,
    junk: impl Fn(u64) -> Vec<u8>,
) {
    let start = Instant::now();
    for number in 0.. {
        let pause = match flood.per_second {
            Some(rate) => (Duration::from_secs(number) / rate.max(1)).saturating_sub(start.elapsed()),
            None => Duration::ZERO,
        };
        let stopped = if pause.is_zero() { shared.stop.requested() } else { shared.stop.wait(pause) };
        if stopped || start.elapsed() >= flood.lasting {
            return;
        }
        let _ = socket.send_to(&junk(number), to);
    }
}
