#![allow(clippy::disallowed_methods)] // orchestrators are threads

use super::*;
use crate::error::ExitStatus;
use crate::protocol::Tid;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ASSIGNMENT: &[u8] = b"Type:1;TID:3740;DATA:[{'ip_address': '10.0.0.1', 'name': '5th Receiver'}];";

/// An orchestrator for one client: a socket, on which `script` runs once the first intent has come.
fn orchestrator(script: impl FnOnce(&UdpSocket, SocketAddr) + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let client = next_intent(&socket);
        script(&socket, client);
    });
    address
}

fn next_intent(socket: &UdpSocket) -> SocketAddr {
    let mut buffer = [0; 100];
    let (len, client) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"Type:0;");
    client
}

/// Long enough that a test which needs it to pass is seen to hang.
fn patient() -> Options {
    Options { intent_timeout: Duration::from_secs(600), ..Options::default() }
}

fn short() -> Options {
    Options { intent_timeout: Duration::from_millis(20), ..Options::default() }
}

/// The result of a handshake, and what was reported to the observer, in short.
fn run(address: SocketAddr, options: &Options) -> (Result<Assigned, Error>, Vec<String>) {
    let mut events = Vec::new();
    let mut note = |event: &Event<'_>| {
        events.push(match event {
            Event::IntentSent { attempt, .. } => format!("intent {attempt}"),
            Event::Waiting { .. } => "waiting".to_owned(),
            Event::Unexpected { datagram } => format!("unexpected {}", datagram.escape_ascii()),
            other => panic!("{other:?}"),
        });
        ControlFlow::Continue(())
    };
    let result = request(address, options, &mut Relay::new(&mut note));
    (result, events)
}

fn problem(result: Result<Assigned, Error>) -> HandshakeError {
    match result.unwrap_err() {
        Error::Orchestrator { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_intent_brings_one_assignment() {
    let address = orchestrator(|socket, client| {
        socket.send_to(ASSIGNMENT, client).unwrap();
    });
    let before = Instant::now();
    let (result, events) = run(address, &patient());
    let assigned = result.unwrap();
    assert_eq!(assigned.tid, Tid(3740));
    assert_eq!(assigned.receivers[0].address, IpAddr::from([10, 0, 0, 1]));
    assert!(assigned.at > before && assigned.waited <= assigned.at - before);
    assert_eq!(events, ["intent 1"]);
}

#[test]
fn an_orchestrator_with_an_ipv6_address_is_asked_too() {
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let server = thread::spawn(move || {
        let client = next_intent(&socket);
        socket.send_to(ASSIGNMENT, client).unwrap();
    });
    assert_eq!(run(address, &patient()).0.unwrap().tid, Tid(3740));
    server.join().unwrap();
}

#[test]
fn the_intent_comes_from_the_address_it_is_bound_to() {
    let bind = IpAddr::from([127, 0, 0, 9]);
    let address = orchestrator(move |socket, client| {
        if client.ip() == bind {
            socket.send_to(ASSIGNMENT, client).unwrap();
        }
    });
    let options = Options { bind: Some(bind), intent_timeout: Duration::from_secs(10), ..patient() };
    run(address, &options).0.unwrap();
}

#[test]
fn a_local_address_that_does_not_fit_is_a_mistake_in_the_command() {
    let try_from = |bind: &str, to: &str| {
        let options = Options { bind: Some(bind.parse().unwrap()), ..short() };
        let error = run(to.parse().unwrap(), &options).0.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Usage);
        match error {
            Error::Bind { why, .. } => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(try_from("::1", "127.0.0.1:9").contains("family"));
    assert!(try_from("127.0.0.1", "[::1]:9").contains("family"));
    assert!(try_from("192.0.2.77", "127.0.0.1:9").contains("does not have"));
}

/// Only opens the socket, so that nothing is sent.
#[test]
fn an_orchestrator_out_of_reach_of_the_local_address_is_a_mistake_too() {
    let error = open("198.51.100.1:9".parse().unwrap(), Some([127, 0, 0, 1].into())).unwrap_err();
    match error {
        Error::Bind { why, .. } => assert!(why.contains("cannot be reached from that address")),
        Error::Orchestrator { problem: HandshakeError::Socket(error), .. }
            if error.kind() == ErrorKind::NetworkUnreachable =>
        {
            crate::testing::skipped("this host has no route to other hosts");
        }
        other => panic!("{other:?}"),
    }
}

/// Connecting to a broadcast address is forbidden, so nothing is sent.
#[test]
fn what_has_nothing_to_do_with_the_local_address_is_not_blamed_on_it() {
    for bind in [None, Some([127, 0, 0, 1].into())] {
        let options = Options { bind, ..short() };
        let error = run("255.255.255.255:9".parse().unwrap(), &options).0.unwrap_err();
        assert_eq!(error.exit_status(), ExitStatus::Orchestrator, "{error}");
        assert!(matches!(problem(Err(error)), HandshakeError::Socket(_)));
    }
}

#[test]
fn a_closed_port_is_an_immediate_error() {
    // No other test binds this address, so the port is free.
    let free = UdpSocket::bind(("127.8.8.8".parse::<Ipv4Addr>().unwrap(), 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    assert!(matches!(problem(run(address, &patient()).0), HandshakeError::PortClosed));
}

#[test]
fn an_orchestrator_that_closes_its_port_later_is_noticed_by_a_resend() {
    let address = {
        let socket = UdpSocket::bind(("127.8.8.9".parse::<Ipv4Addr>().unwrap(), 0)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || next_intent(&socket));
        address
    };
    let options = Options { intent_resend: Some(Duration::from_millis(5)), ..patient() };
    assert!(matches!(problem(run(address, &options).0), HandshakeError::PortClosed));
}

#[test]
fn a_refusal_that_the_system_reports_late_does_not_swallow_an_intent() {
    let peer = UdpSocket::bind(("127.8.8.10".parse::<Ipv4Addr>().unwrap(), 0)).unwrap();
    let address = peer.local_addr().unwrap();
    drop(peer);
    let socket = udp::connect(None, address).unwrap();
    socket.send(b"refused").unwrap();
    let peer = UdpSocket::bind(address).unwrap();
    udp::send(&socket, INTENT).unwrap();
    assert_eq!(next_intent(&peer), socket.local_addr().unwrap());
}

#[test]
fn silence_ends_with_the_intent_timeout() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (result, events) = run(silent.local_addr().unwrap(), &short());
    let error = result.unwrap_err();
    assert!(error.to_string().ends_with(": no assignment within 0.02 s"), "{error}");
    assert_eq!(error.exit_status(), ExitStatus::Orchestrator);
    assert_eq!(events, ["intent 1"]);
}

#[test]
fn a_flood_of_junk_does_not_move_the_timeout() {
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let stop = over.clone();
    let address = orchestrator(move |socket, client| {
        // Were the timeout moved by junk, the assignment that follows it would still be taken.
        let flood = Instant::now();
        while !stop.load(Ordering::Relaxed) && flood.elapsed() < Duration::from_secs(10) {
            socket.send_to(b"junk", client).ok();
        }
        socket.send_to(ASSIGNMENT, client).ok();
    });
    let (result, events) = run(address, &Options { intent_timeout: Duration::from_millis(100), ..patient() });
    over.store(true, Ordering::Relaxed);
    let HandshakeError::Silent { others, last, .. } = problem(result) else { panic!("not silent") };
    assert_eq!(last, "\"junk\"");
    assert_eq!(others as usize, events.iter().filter(|event| *event == "unexpected junk").count());
}

#[test]
fn silence_says_what_came_instead_escaped_and_cut() {
    let text = |others, last: &[u8]| {
        let last = Excerpt(last, SHORT_EXCERPT).to_string();
        HandshakeError::Silent { within: Duration::from_secs(5), others, last }.to_string()
    };
    assert_eq!(
        text(1, b"\x1b[2J\0"),
        "no assignment within 5 s, but 1 other datagram, the last: \"\\x1b[2J\\x00\""
    );
    let long = format!("no assignment within 5 s, but 2 other datagrams, the last: \"{}\"…", "x".repeat(40));
    assert!(text(2, &[b'x'; 41]).starts_with(&long));
}

/// What becomes of an assignment that has come, after other datagrams, before any timer is looked at, as after a stop; and
/// the intents that the orchestrator then finds, if it is still there.
fn late(options: &Options, is_there: bool) -> (Result<Option<Assigned>, HandshakeError>, usize) {
    let peer = UdpSocket::bind(("127.8.8.11".parse::<Ipv4Addr>().unwrap(), 0)).unwrap();
    let address = peer.local_addr().unwrap();
    let socket = udp::connect(None, address).unwrap();
    for datagram in [&b"junk"[..], b"more", ASSIGNMENT] {
        peer.send_to(datagram, socket.local_addr().unwrap()).unwrap();
    }
    peer.set_nonblocking(true).unwrap();
    let peer = Some(peer).filter(|_| is_there);
    let mut ignore = |_: &Event<'_>| ControlFlow::Continue(());
    let assigned = await_assignment(&socket, address, options, &mut Relay::new(&mut ignore));
    let intents = std::iter::from_fn(|| peer.as_ref()?.recv(&mut [0; 100]).ok());
    (assigned, intents.count())
}

#[test]
fn an_assignment_that_is_there_when_a_timer_is_due_counts() {
    let time_is_up = Options { intent_timeout: Duration::ZERO, ..Options::default() };
    let resend_is_due = Options { intent_resend: Some(Duration::ZERO), ..patient() };
    for options in [time_is_up, resend_is_due] {
        for is_there in [true, false] {
            let (assigned, intents) = late(&options, is_there);
            assert_eq!(assigned.unwrap().unwrap().tid, Tid(3740));
            assert_eq!(intents, usize::from(is_there), "no second one");
        }
    }
}

#[test]
fn an_assignment_counts_before_a_refusal() {
    let (assigned, _) = late(&patient(), false);
    assert_eq!(assigned.unwrap().unwrap().tid, Tid(3740));
}

/// No answer ever comes; only the observer can end this.
#[test]
fn the_observer_can_end_the_wait() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut until_waiting = |event: &Event<'_>| match event {
        Event::Waiting { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let result = request(silent.local_addr().unwrap(), &patient(), &mut Relay::new(&mut until_waiting));
    assert!(matches!(result, Err(Error::Cancelled { report: None })));
}

#[test]
fn what_is_no_assignment_is_reported_and_ignored() {
    let junk: [&[u8]; 6] =
        [b"", b"Type:0;", b"Type:10;TID:1;", b"Type:3;TID:1;SEQ:0;", b"\xff\0\n", b"Type:"];
    let address = orchestrator(move |socket, client| {
        for datagram in junk {
            socket.send_to(datagram, client).unwrap();
        }
        socket.send_to(&[b'x'; 60_000], client).unwrap();
        socket.send_to(ASSIGNMENT, client).unwrap();
    });
    let (result, events) = run(address, &patient());
    assert_eq!(result.unwrap().tid, Tid(3740));
    let mut expected = vec!["intent 1".to_owned()];
    expected.extend(junk.map(|j| format!("unexpected {}", j.escape_ascii())));
    expected.push(format!("unexpected {}", "x".repeat(EXCERPT)));
    assert_eq!(events, expected);
}

#[test]
fn what_others_send_never_arrives() {
    let address = orchestrator(|socket, client| {
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        other.send_to(b"Type:1;TID:1;DATA:[{'ip_address': '10.6.6.6', 'name': ''}];", client).unwrap();
        socket.send_to(ASSIGNMENT, client).unwrap();
    });
    let (result, events) = run(address, &patient());
    assert_eq!(result.unwrap().tid, Tid(3740));
    assert_eq!(events, ["intent 1"]);
}

#[test]
fn a_malformed_assignment_ends_the_wait() {
    for malformed in [&b"Type:1"[..], b"Type:1;", b"Type:1 ", b"Type:1;TID:;DATA:[];", b"Type:1\x1b[2J"] {
        let address = orchestrator(move |socket, client| {
            socket.send_to(malformed, client).unwrap();
        });
        match problem(run(address, &patient()).0) {
            HandshakeError::Malformed(text) => assert!(!text.contains('\x1b'), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_intent_is_sent_again_only_on_request() {
    let address = orchestrator(|socket, client| {
        assert_eq!(next_intent(socket), client);
        assert_eq!(next_intent(socket), client);
        socket.send_to(ASSIGNMENT, client).unwrap();
    });
    let options = Options { intent_resend: Some(Duration::from_millis(5)), ..patient() };
    let (result, events) = run(address, &options);
    result.unwrap();
    assert_eq!(events[..3], ["intent 1", "intent 2", "intent 3"]);
}

/// Runs the timers in virtual time, where nothing ever arrives: what is done at which millisecond.
fn virtual_wait(options: &Options) -> Vec<(u64, Step)> {
    let start = Instant::now();
    let mut timers = Timers::new(start, options);
    let mut now = start;
    let mut done = Vec::new();
    loop {
        match timers.poll(now) {
            Step::Wait(wait) => {
                assert!(wait >= MIN_WAIT && wait <= REPORT_INTERVAL);
                now += wait;
            }
            step => {
                let end = step == Step::TimedOut;
                done.push(((now - start).as_millis() as u64, step));
                if end {
                    return done;
                }
            }
        }
    }
}

#[test]
fn the_wait_is_reported_four_times_a_second_whatever_the_options() {
    for progress in [None, Some(Duration::from_secs(10)), Some(MIN_WAIT)] {
        let options = Options { progress, intent_timeout: Duration::from_millis(900), ..Options::default() };
        let report = |at| (at, Step::ReportWaiting(Duration::from_millis(at)));
        assert_eq!(virtual_wait(&options), [report(250), report(500), report(750), (900, Step::TimedOut)]);
    }
}

#[test]
fn resends_keep_to_their_interval_and_times_beyond_the_clock_never_come() {
    let options = Options { intent_resend: Some(Duration::from_secs(30)), ..Options::default() };
    let mut steps = virtual_wait(&Options { intent_timeout: Duration::from_secs(100), ..options });
    steps.retain(|(_, step)| *step == Step::Resend);
    assert_eq!(steps.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [30_000, 60_000, 90_000]);
    let never =
        Options { intent_timeout: Duration::MAX, intent_resend: Some(Duration::MAX), ..Options::default() };
    let start = Instant::now();
    assert_eq!(Timers::new(start, &never.clamped()).poll(start), Step::Wait(REPORT_INTERVAL));
}

#[test]
fn resends_in_quick_succession_leave_time_to_report_the_wait() {
    let options = Options { intent_resend: Some(Duration::ZERO), ..Options::default() }.clamped();
    let start = Instant::now();
    let mut timers = Timers::new(start, &options);
    // Each resend takes longer than the interval between them.
    let steps = (1..=600).map(|i| timers.poll(start + Duration::from_millis(i * 5)));
    assert_eq!(steps.filter(|step| matches!(step, Step::ReportWaiting(_))).count(), 12);
}
