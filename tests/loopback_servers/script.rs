//! The servers do what the script says: ports, forgeries, floods, and the orchestrator's answers.

use super::{PATIENCE, intent, start};
use crate::loopback::{Receiver, Script, Servers, Verdict, closed_port, ms};
use crate::support::payload;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// What a connected socket gets when it sends there: nothing, or that the port is closed.
fn refused(address: SocketAddr) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(ms(20))).unwrap();
    socket.send(b"?").unwrap();
    let answer = socket.recv(&mut [0; 10]);
    answer.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

#[test]
fn ports_are_closed_and_opened_as_the_script_says() {
    let script = Script::new()
        .receiver(Receiver::named("never").closed())
        .receiver(Receiver::named("later").opens_after(ms(100)))
        .receiver(Receiver::named("closes").ack_delay(ms(5)).closes_after_acks(1, None))
        .receiver(Receiver::named("returns").closes_after_acks(1, Some(ms(100))));
    let (servers, client) = start(script);
    let [never, later, closes, returns] = *servers.receivers() else { panic!("four receivers") };
    assert!(refused(never) && refused(later) && !refused(closes) && !refused(returns));
    assert_eq!((client.send(2, 0, b"a"), client.send(3, 1, b"b")), (1, 1));
    let deadline = Instant::now() + PATIENCE;
    let comes_to = |address, state| while refused(address) != state && Instant::now() < deadline {};
    comes_to(closes, true);
    comes_to(later, false);
    comes_to(returns, false);
    assert!(refused(never) && refused(closes) && !refused(later) && !refused(returns));
    assert!(refused(closed_port().unwrap()));
}

#[test]
fn forged_and_late_acks_come_before_or_after_the_real_one() {
    let hostile = Receiver::named("A")
        .ack_delay(ms(20))
        .wrong_tid_acks()
        .acks_from_other_port()
        .acks_from_other_address()
        .junk(vec![7; 65_507])
        .late_duplicates(ms(10));
    let (servers, client) = start(Script::new().receiver(hostile));
    let home = client.addresses[0];
    client.transmit(0, 5, b"a");
    let mut buffer = [0; 65535];
    let mut received = |_| {
        let (length, from) = client.socket.recv_from(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length.min(22)]).into_owned();
        (text, length, (from.ip() == home.ip(), from == home))
    };
    let (ack, wrong) = ("Type:3;TID:3740;SEQ:5;".to_string(), "Type:3;TID:3741;SEQ:5;".to_string());
    let (real, port, address) = ((true, true), (true, false), (false, false));
    let right = (ack.clone(), 22, real);
    let junk = ("\u{7}".repeat(22), 65_507, real);
    let expected =
        [(wrong, 22, real), (ack.clone(), 22, port), (ack, 22, address), junk, right.clone(), right];
    assert_eq!((0..6).map(&mut received).collect::<Vec<_>>(), expected);
    assert_eq!(servers.finish().part("A").counts.acks, 1);
}

#[test]
fn a_flood_ends_and_the_servers_end_during_one() {
    let flooding = Receiver::named("A").never_acks().flood(Some(2000), ms(100));
    let (_servers, client) = start(Script::new().receiver(flooding));
    client.transmit(0, 0, b"a");
    assert!(client.hears_within(PATIENCE, |datagram, _| datagram == b"Type:3;TID:3741;SEQ:0;"));
    let deadline = Instant::now() + PATIENCE;
    while client.hears_within(ms(150), |_, _| true) && Instant::now() < deadline {}
    assert!(Instant::now() < deadline);

    let endless = Receiver::named("A").flood(None, Duration::from_secs(3600));
    let (servers, client) = start(Script::new().receiver(endless));
    client.transmit(0, 0, b"a");
    drop(servers);
}

#[test]
fn the_orchestrator_says_what_the_script_makes_it_say() {
    let received = |script: Script, count: usize| -> Vec<(String, bool)> {
        let servers = Servers::start(script.receiver(Receiver::named("A")));
        let socket = intent(&servers);
        let mut buffer = [0; 65535];
        let mut one = |_| {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            (String::from_utf8(buffer[..length].to_vec()).unwrap(), from == servers.orchestrator())
        };
        (0..count).map(&mut one).collect()
    };
    let type_1 = |tid| format!("Type:1;TID:{tid};DATA:[{{'ip_address': '127.0.0.2', 'name': 'A'}}];");
    let (right, other) = ((type_1(3740), true), (type_1(4740), true));
    assert_eq!(received(Script::new().assigned_twice(), 2), [right.clone(), right.clone()]);
    assert_eq!(received(Script::new().assigned_again_with_other_tid(), 2), [right.clone(), other]);
    let stranger = (type_1(4740), false);
    assert_eq!(received(Script::new().stranger_assigns_first(), 2), [stranger, right.clone()]);
    let junk = Script::new().before_assignment("x").before_assignment("Type:3;");
    assert_eq!(received(junk, 3), [("x".to_string(), true), ("Type:3;".to_string(), true), right.clone()]);
    assert_eq!(received(Script::new().raw_assignment("Type:1;"), 1), [("Type:1;".to_string(), true)]);
    assert_eq!(received(Script::new().assign_after(ms(30)), 1), [right]);
}

#[test]
fn receivers_know_the_transaction_of_a_raw_assignment() {
    let raw = r#"Type:1;TID:77;DATA:[{"ip_address": "127.0.0.2"}]"#;
    let servers = Servers::start(Script::new().receivers(1).raw_assignment(raw));
    let socket = intent(&servers);
    socket.recv_from(&mut [0; 100]).unwrap();
    socket.send_to(b"Type:2;TID:77;SEQ:0;DATA:x", servers.receivers()[0]).unwrap();
    let mut buffer = [0; 100];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"Type:3;TID:77;SEQ:0;");
    let transaction = servers.finish();
    assert_eq!((transaction.tid, transaction.verdict), (77, Verdict::Completed));
}

#[test]
fn intents_and_other_datagrams_are_counted() {
    let servers = Servers::start(Script::new().receivers(1));
    let socket = intent(&servers);
    for datagram in [&b"Type:0"[..], b"Type:0;"] {
        socket.send_to(datagram, servers.orchestrator()).unwrap();
    }
    assert_eq!((servers.intents(), servers.other_datagrams()), (2, 1));
    assert_eq!(servers.judge_all().len(), 2);
}

#[test]
fn twelve_hundred_receivers_start_serve_and_stop() {
    let (servers, client) = start(Script::new().receivers(1200).expect(&payload(1200)));
    assert_eq!(client.addresses, servers.receivers());
    client.send_shares(&payload(1200), &[1; 1200]);
    assert_eq!(servers.wait_judged(PATIENCE).unwrap().verdict, Verdict::Completed);
}
