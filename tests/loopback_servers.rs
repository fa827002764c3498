//! The loopback servers themselves, proved with a stop-and-wait client of a few lines, so that what they say about the
//! real one can be believed.

mod script;

use crate::loopback::{Receiver, Remark, Script, Servers, Transaction, Verdict, ms};
use crate::support::payload;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Long enough for anything that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// The simplest client: one receiver after the other, a packet at a time.
struct Client {
    socket: UdpSocket,
    tid: u64,
    addresses: Vec<SocketAddr>,
}

impl Client {
    fn assigned_by(servers: &Servers) -> Client {
        let socket = intent(servers);
        let mut buffer = [0; 65535];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from, servers.orchestrator());
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let tid = text.strip_prefix("Type:1;TID:").unwrap().split(';').next().unwrap().parse().unwrap();
        let address = |part: &str| -> IpAddr { part.split('\'').next().unwrap().parse().unwrap() };
        let addresses = text.split("'ip_address': '").skip(1).map(address);
        let port = servers.receiver_port();
        let addresses = addresses.map(|address| SocketAddr::new(address, port)).collect();
        Client { socket, tid, addresses }
    }

    /// Sends a packet until it is acknowledged; returns the number of transmissions.
    fn send(&self, receiver: usize, seq: u32, payload: &[u8]) -> u32 {
        let give_up = Instant::now() + PATIENCE;
        for transmissions in 1.. {
            assert!(Instant::now() < give_up, "SEQ {seq} is never acknowledged");
            self.transmit(receiver, seq, payload);
            if self.await_ack(receiver, seq, ms(150)) {
                return transmissions;
            }
        }
        unreachable!()
    }

    fn transmit(&self, receiver: usize, seq: u32, payload: &[u8]) {
        let mut packet = format!("Type:2;TID:{};SEQ:{seq};DATA:", self.tid).into_bytes();
        packet.extend_from_slice(payload);
        self.socket.send_to(&packet, self.addresses[receiver]).unwrap();
    }

    fn await_ack(&self, receiver: usize, seq: u32, time: Duration) -> bool {
        let ack = format!("Type:3;TID:{};SEQ:{seq};", self.tid).into_bytes();
        let from = self.addresses[receiver];
        self.hears_within(time, |datagram, source| datagram == ack && source == from)
    }

    fn hears_within(&self, time: Duration, wanted: impl Fn(&[u8], SocketAddr) -> bool) -> bool {
        let deadline = Instant::now() + time;
        let mut buffer = [0; 65535];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            if let Ok((length, source)) = self.socket.recv_from(&mut buffer)
                && wanted(&buffer[..length], source)
            {
                return true;
            }
        }
    }

    /// Sends the payload in shares of these lengths in bytes, in list order.
    fn send_shares(&self, payload: &[u8], shares: &[usize]) {
        let (mut seqs, mut rest) = (0.., payload);
        for (receiver, share) in shares.iter().enumerate() {
            let (mine, others) = rest.split_at(*share);
            rest = others;
            for (packet, seq) in mine.chunks(100).zip(&mut seqs) {
                self.send(receiver, seq, packet);
            }
        }
    }
}

fn start(script: Script) -> (Servers, Client) {
    let servers = Servers::start(script);
    let client = Client::assigned_by(&servers);
    (servers, client)
}

fn intent(servers: &Servers) -> UdpSocket {
    let home = if servers.orchestrator().is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
    let socket = UdpSocket::bind(home).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"Type:0;", servers.orchestrator()).unwrap();
    socket
}

fn remark(what: &str) -> Remark {
    Remark::Other(what.to_string())
}

fn run(script: Script, payload: &[u8], shares: &[usize]) -> Transaction {
    let (servers, client) = start(script);
    client.send_shares(payload, shares);
    servers.finish()
}

#[test]
fn all_bytes_in_fair_shares_are_a_completed_transaction() {
    let payload = payload(5000);
    let transaction = run(Script::new().receivers(3).expect(&payload), &payload, &[963, 1981, 2056]);
    assert_eq!((transaction.verdict, transaction.tid), (Verdict::Completed, 3740));
    assert_eq!(transaction.payload, payload);
    assert_eq!(transaction.remarks, []);
    assert_eq!(transaction.shares(), [963, 1981, 2056]);
    assert_eq!((transaction.parts[1].seqs(), transaction.packets()), (20, 51));
}

#[test]
fn a_gap_or_a_missing_end_is_an_incomplete_transaction() {
    let (servers, client) = start(Script::new().receivers(1));
    for seq in [0, 2, 3, u32::MAX, u32::MAX - 1, 0] {
        client.send(0, seq, b"some");
    }
    let transaction = servers.finish();
    assert_eq!(transaction.verdict, Verdict::Incomplete);
    assert_eq!(transaction.payload, b"some");
    assert_eq!(transaction.parts[0].runs, [0..=0, 2..=3, u32::MAX - 1..=u32::MAX]);

    let transaction = run(Script::new().receivers(1).expect(&payload(300)), &payload(300)[..200], &[200]);
    assert_eq!(transaction.verdict, Verdict::Incomplete);
    assert_eq!(transaction.remarks, []);
}

#[test]
fn other_bytes_than_expected_are_never_completed() {
    let script = || Script::new().receivers(1).expect(&payload(250));
    let mut wrong = payload(250);
    wrong[120] ^= 1;
    let transaction = run(script(), &wrong, &[250]);
    assert_eq!(transaction.verdict, Verdict::Incomplete);
    assert_eq!(transaction.remarks, [remark("the bytes are not those that were expected")]);
    assert_eq!(run(script(), &payload(250), &[250]).verdict, Verdict::Completed);
}

#[test]
fn listed_losses_cost_one_transmission_each() {
    let script = Script::new().receiver(Receiver::named("A").lose(0, 1).lose(0, 2).lose_ack(1, 1));
    let (servers, client) = start(script);
    assert_eq!((client.send(0, 0, b"a"), client.send(0, 1, b"b"), client.send(0, 2, b"c")), (3, 2, 1));
    let transaction = servers.finish();
    let part = transaction.part("A");
    assert_eq!(transaction.verdict, Verdict::Completed);
    assert_eq!((part.counts.packets, part.counts.lost, part.counts.acks_lost), (6, 2, 1));
    assert_eq!((part.counts.duplicates, part.counts.spurious, part.retransmissions()), (1, 0, 3));
    assert_eq!(transaction.remarks, []);
}

#[test]
fn an_ack_takes_as_long_as_the_script_says() {
    let (servers, client) = start(Script::new().receiver(Receiver::named("A").ack_delay(ms(30))));
    let start = Instant::now();
    for seq in 0..5 {
        client.transmit(0, seq, b"x");
        assert!(client.await_ack(0, seq, PATIENCE));
    }
    assert!(start.elapsed() >= ms(149));
    assert_eq!(servers.finish().remarks, []);
}

#[test]
fn what_comes_during_a_slow_ack_is_spurious_or_broken_stop_and_wait() {
    let (servers, client) = start(Script::new().receiver(Receiver::named("A").ack_delay(ms(200))));
    for (seq, payload) in [(0, b"a"), (0, b"a"), (1, b"b")] {
        client.transmit(0, seq, payload);
    }
    assert!(client.await_ack(0, 1, PATIENCE));
    let transaction = servers.finish();
    let broken = remark("A: SEQ 1 came while SEQ 0 was not acknowledged");
    assert_eq!(transaction.remarks, [broken, Remark::Spurious { receiver: "A".to_string(), packets: 1 }]);
    assert_eq!(transaction.verdict, Verdict::Completed);
}

#[test]
fn ranges_out_of_list_order_and_data_for_strangers_are_remarked() {
    let bystander = Receiver::named("bystander").unlisted();
    let (servers, mut client) = start(Script::new().receivers(2).receiver(bystander));
    assert_eq!(client.addresses, servers.receivers()[..2]);
    client.addresses = servers.receivers().to_vec();
    client.send(1, 0, b"a");
    client.send(0, 1, b"b");
    client.send(2, 2, b"c");
    let remarks = servers.finish().remarks;
    assert!(remarks.contains(&Remark::RangesOutOfListOrder), "{remarks:?}");
    assert!(remarks.contains(&remark("bystander: 1 packet(s), though it is not in the list")));
}

#[test]
fn a_receiver_listed_twice_is_judged_on_all_it_got() {
    let script = || Script::new().receivers(2).listed_again("R1");
    let transaction = run(script(), &payload(300), &[100, 100, 100]);
    assert_eq!((transaction.verdict, transaction.shares()), (Verdict::Completed, vec![200, 100]));
    assert_eq!(transaction.remarks, []);
    assert_eq!(run(script(), &payload(300), &[270, 30]).verdict, Verdict::Completed);
    assert_eq!(run(script(), &payload(300), &[271, 29]).verdict, Verdict::Violation);
}

#[test]
fn a_seq_at_two_receivers_counts_once_and_must_be_the_same() {
    let (servers, client) = start(Script::new().receivers(2).expect(b"ab"));
    client.send(0, 0, b"a");
    client.send(1, 0, b"a");
    assert!(servers.wait_judged(ms(50)).is_none(), "two bytes came, but they are one");
    client.send(1, 1, b"b");
    let transaction = servers.wait_judged(PATIENCE).unwrap();
    assert_eq!((transaction.verdict, &transaction.payload[..]), (Verdict::Completed, &b"ab"[..]));
    assert_eq!(transaction.remarks, [Remark::AtSeveralReceivers { seqs: 1 }]);
    client.send(1, 0, b"x");
    client.send(0, 1, b"y");
    let conflicts = servers.finish().remarks;
    assert!(conflicts.contains(&remark("R2: SEQ 0 came again with other data")));
    assert!(conflicts.contains(&remark("R2: SEQ 1 came again with other data")));
}

#[test]
fn a_complete_transaction_is_judged_only_when_the_client_knows() {
    let script = Script::new().receiver(Receiver::named("A").lose_ack(0, 1)).receivers(1).expect(b"a");
    let (servers, client) = start(script.clone());
    client.transmit(0, 0, b"a");
    assert!(servers.wait_judged(ms(50)).is_none(), "the ack got lost");
    client.send(0, 0, b"a");
    assert!(servers.wait_judged(PATIENCE).is_some());

    let (servers, client) = start(script);
    client.transmit(0, 0, b"a");
    client.send(1, 0, b"a");
    assert!(servers.wait_judged(PATIENCE).is_some(), "the ack came from another receiver");
}

#[test]
fn data_of_no_transaction_and_junk_are_not_acknowledged() {
    let (servers, mut client) = start(Script::new().receivers(1));
    client.socket.send_to(b"hello", client.addresses[0]).unwrap();
    client.tid = 1;
    client.transmit(0, 0, b"a");
    client.tid = 3740;
    client.send(0, 0, b"a");
    let [junk, stray] = ["R1: 5 bytes that are no data packet", "R1: data for TID 1, which was not assigned"];
    assert_eq!(servers.finish().remarks, [junk, stray].map(remark));
}

#[test]
fn what_would_exceed_the_limit_is_neither_kept_nor_acknowledged() {
    let (servers, client) = start(Script { limit: 150, ..Script::new().receivers(1) });
    client.send(0, 0, &[b'x'; 100]);
    client.transmit(0, 1, b"y");
    // Until it has come.
    while servers.judge().unwrap().remarks.is_empty() {
        assert!(!client.await_ack(0, 1, ms(20)));
    }
    assert!(!client.await_ack(0, 1, ms(20)));
    let transaction = servers.finish();
    assert_eq!(transaction.payload, [b'x'; 100]);
    assert_eq!(transaction.remarks, [remark("R1: no room for more data (--limit)")]);
}

#[test]
fn quiet_transactions_are_judged_and_unfinished_ones_later() {
    let (servers, client) = start(Script::new().receivers(1).idle(ms(20)));
    client.send(0, 0, b"a");
    assert_eq!(servers.wait_judged(PATIENCE).unwrap().verdict, Verdict::Completed);
    let client = Client::assigned_by(&servers);
    client.send(0, 1, b"b");
    let transaction = servers.wait_judged(PATIENCE).unwrap();
    assert_eq!((transaction.verdict, transaction.tid), (Verdict::Incomplete, 3741));
    assert!(servers.wait_judged(ms(1)).is_none());
}

#[test]
fn a_finished_transaction_is_judged_when_the_next_client_comes() {
    let servers = Servers::start(Script::new().receivers(1).idle(Duration::from_secs(3600)));
    Client::assigned_by(&servers).send(0, 0, b"a");
    assert!(servers.wait_judged(ms(300)).is_none());
    Client::assigned_by(&servers);
    assert_eq!(servers.wait_judged(PATIENCE).unwrap().tid, 3740);
}

#[test]
fn a_share_one_byte_under_the_floor_is_a_violation() {
    let payload = payload(1001);
    let verdict = |shares: &[usize]| run(Script::new().receivers(shares.len()), &payload, shares).verdict;
    assert_eq!(verdict(&[101, 900]), Verdict::Completed);
    assert_eq!(verdict(&[100, 901]), Verdict::Violation);
    assert_eq!(verdict(&[0, 1001, 0]), Verdict::Violation);
}
