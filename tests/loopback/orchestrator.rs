//! The orchestrator: assigns transactions, and says what the script makes it say.

use super::case::Case;
use super::ledger::Ledger;
use super::script::{Answer, Entry, Script};
use super::servers::{SETTLED, Shared};
use super::wire;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// As recorded.
const FIRST_TID: u64 = 3740;

pub struct Orchestrator {
    pub socket: UdpSocket,
    stranger: UdpSocket,
    /// The list as text, and its addresses as far as they are addresses.
    list: String,
    listed: Vec<IpAddr>,
    /// Addresses and names of all receivers, listed or not.
    receivers: Vec<(IpAddr, String)>,
}

impl Orchestrator {
    pub fn new(
        socket: UdpSocket,
        stranger: UdpSocket,
        script: &Script,
        receivers: Vec<(IpAddr, String)>,
    ) -> Orchestrator {
        let line = |entry: &Entry| match entry {
            Entry::Text { address, name } => (address.clone(), name.clone()),
            Entry::Receiver(index) => (receivers[*index].0.to_string(), receivers[*index].1.clone()),
        };
        let entries: Vec<(String, String)> = script.entries.iter().map(line).collect();
        let addresses = entries.iter().filter_map(|(address, _)| address.parse().ok());
        Orchestrator {
            socket,
            stranger,
            // An IPv4-mapped address is the same receiver as the IPv4 address.
            listed: addresses.map(|address: IpAddr| address.to_canonical()).collect(),
            list: wire::list(&entries),
            receivers,
        }
    }
}

/// The orchestrator's thread.
pub fn serve(shared: &Arc<Shared>) {
    let mut buffer = [0; 2048];
    let mut next_tid = FIRST_TID;
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
        } else {
            shared.transactions.intent();
            assign(shared, client, next_tid);
            next_tid += 1;
        }
    }
}

fn assign(shared: &Arc<Shared>, client: SocketAddr, next_tid: u64) {
    let (script, orchestrator) = (&shared.script, &shared.orchestrator);
    let raw_tid = match &script.answers[..] {
        [Answer::Raw(bytes)] => wire::tid_of_assignment(bytes),
        _ => None,
    };
    let ledger = |(address, name): &(IpAddr, String)| (*address, Mutex::new(Ledger::new(name)));
    let case = Arc::new(Case {
        tid: raw_tid.unwrap_or(next_tid),
        client,
        assigned: OnceLock::new(),
        list: orchestrator.listed.clone(),
        ledgers: orchestrator.receivers.iter().map(ledger).collect(),
        expectation: script.expectation.clone(),
    });
    shared.transactions.open(Arc::clone(&case));
    let shared_later = Arc::clone(shared);
    shared.later(script.assign_after, move || {
        for answer in &shared_later.script.answers {
            say(&shared_later.orchestrator, &case, answer);
        }
    });
}

fn say(orchestrator: &Orchestrator, case: &Case, answer: &Answer) {
    let (socket, bytes) = match answer {
        Answer::Assignment { tid_offset, from_stranger } => {
            let socket = if *from_stranger { &orchestrator.stranger } else { &orchestrator.socket };
            (socket, wire::assignment(case.tid + tid_offset, &orchestrator.list))
        }
        Answer::Raw(bytes) => (&orchestrator.socket, bytes.clone()),
    };
    case.assigned.get_or_init(Instant::now);
    // A client that is gone does not matter here, and a list too long for a datagram is the test's to notice.
    let _ = socket.send_to(&bytes, case.client);
}
