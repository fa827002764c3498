use super::*;
use crate::testing::ms;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

const HOUR: Duration = Duration::from_secs(3600);

fn host(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn last_octet(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    }
}

/// Hosts 1 to 99 answer after that many milliseconds, host 100 never does, to 101 nothing can be sent.
fn answer(address: IpAddr, by: fn(Duration) -> Reply) -> Reply {
    match last_octet(address) {
        100 => Reply::None,
        101 => Reply::Error("Too many open files".to_owned()),
        octet => by(ms(octet.into())),
    }
}

fn icmp(address: IpAddr, _: Option<IpAddr>, _: Duration) -> Reply {
    answer(address, Reply::Icmp)
}

fn udp(address: IpAddr, _: Option<IpAddr>, _: Duration) -> Reply {
    answer(address, Reply::Udp)
}

fn refuse(_: IpAddr, _: Option<IpAddr>, _: Duration) -> Reply {
    Reply::Refused(EACCES)
}

/// For who should not be asked at all: the answer shows in the result.
fn give_away(_: IpAddr, _: Option<IpAddr>, _: Duration) -> Reply {
    Reply::Udp(HOUR)
}

const BY_ICMP: Method =
    // For an hour, so that a busy machine loses no sample.
    Method { ping: icmp, probe: give_away, bind: None, extra_wait: |_| HOUR };
const BY_UDP: Method = Method { ping: refuse, probe: udp, ..BY_ICMP };

/// What is reported to the observer: the line, and before it "warning: " if it is one.
fn note(lines: &mut Vec<String>) -> impl FnMut(&Event<'_>) -> ControlFlow<()> {
    |event| {
        let Event::LatencyFallback { reason, warning } = event else { panic!("{event:?}") };
        lines.push(format!("{}{reason}", if *warning { "warning: " } else { "" }));
        ControlFlow::Continue(())
    }
}

fn run(method: Method, receivers: &[IpAddr]) -> (Vec<Latency>, Vec<String>) {
    let mut lines = Vec::new();
    let latencies = measure(receivers, method, None, &mut Relay::new(&mut note(&mut lines)));
    (latencies, lines)
}

fn known(rtt: Duration, source: LatencySource) -> Latency {
    Latency { rtt, source }
}

fn pinged(rtts: &[u64]) -> Vec<Reply> {
    rtts.iter().map(|rtt| Reply::Icmp(ms(*rtt))).collect()
}

#[test]
fn a_latency_is_the_mean_of_the_answers_and_says_how_many_there_were() {
    let udp = vec![Reply::Refused(13), Reply::Udp(ms(3)), Reply::None, Reply::Udp(ms(4))];
    assert_eq!(
        fill_missing(&[pinged(&[10, 20, 60]), pinged(&[7]), udp]),
        [
            known(ms(30), LatencySource::Icmp(3)),
            known(ms(7), LatencySource::Icmp(1)),
            known(Duration::from_micros(3500), LatencySource::UdpProbe(2)),
        ]
    );
}

#[test]
fn who_does_not_answer_counts_as_the_slowest_that_did() {
    let latencies = fill_missing(&[pinged(&[]), pinged(&[10]), pinged(&[40, 60]), pinged(&[])]);
    assert_eq!(latencies[0], known(ms(50), LatencySource::NoReply));
    assert_eq!(latencies[3], latencies[0]);
    assert_eq!(latencies[1], known(ms(10), LatencySource::Icmp(1)));
}

#[test]
fn if_no_receiver_answers_all_count_alike() {
    assert_eq!(fill_missing(&[pinged(&[]), pinged(&[])]), [known(MAX_WAIT, LatencySource::Fallback); 2]);
    assert_eq!(fill_missing(&[]), []);
}

#[test]
fn an_answer_within_the_clocks_resolution_is_an_answer() {
    assert_eq!(fill_missing(&[pinged(&[0])]), [known(Duration::ZERO, LatencySource::Icmp(1))]);
}

#[test]
fn latencies_come_in_list_order_and_when_all_goes_well_nothing_is_said() {
    let (latencies, lines) = run(BY_ICMP, &[host(30), host(10), host(20)]);
    assert_eq!(latencies, [30, 10, 20].map(|rtt| known(ms(rtt), LatencySource::Icmp(3))));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn many_receivers_are_asked_three_times_each_too() {
    let receivers: Vec<_> = (1..=99).map(host).collect();
    for method in [BY_ICMP, BY_UDP] {
        let (to, replies) = unbounded();
        probe_in_turn(method, true, &echoes(&receivers), &AtomicUsize::new(0), Instant::now() + HOUR, &to);
        drop(to);
        let mut answers = [0; 99];
        replies.iter().filter(|(_, reply)| !matches!(reply, Reply::Refused(_))).for_each(|(index, reply)| {
            let rtt = ms(index as u64 + 1);
            assert!([Reply::Icmp(rtt), Reply::Udp(rtt)].contains(&reply), "{index}: {reply:?}");
            answers[index] += 1;
        });
        assert_eq!(answers, [ECHOES; 99]);
    }
}

#[test]
fn only_a_refused_ping_is_replaced_by_a_probe_and_one_line_says_so() {
    let (latencies, lines) = run(BY_UDP, &[host(5), host(6)]);
    assert_eq!(latencies, [5, 6].map(|rtt| known(ms(rtt), LatencySource::UdpProbe(3))));
    // They answered, so there is nothing to act on.
    assert_eq!(
        lines,
        [
            "2 of 2 receivers not pinged: Permission denied, since net.ipv4.ping_group_range leaves this process \
          out; measured with UDP probes to port 33434 instead; to allow pings: \
          sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""
        ]
    );
    let (_, lines) = run(BY_UDP, &[host(5), host(100)]);
    assert!(lines[0].starts_with("warning: 2 of 2 receivers not pinged: Permission denied, "), "{lines:?}");
    // Silence and answers that are none are no reason to probe.
    let (latencies, _) = run(BY_ICMP, &[host(5), host(100), host(101)]);
    assert_eq!(latencies[1..], [known(ms(5), LatencySource::NoReply); 2]);
}

/// What the answer to the one before took is not known, and the next comes by the same way.
#[test]
fn an_echo_during_which_the_process_was_stopped_is_sent_again() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let interrupted: Probe = |address, _, _| match ASKED.fetch_add(1, Relaxed) % 2 {
        0 => Reply::Interrupted,
        _ => answer(address, Reply::Icmp),
    };
    let (latencies, lines) = run(Method { ping: interrupted, ..BY_ICMP }, &[host(5)]);
    assert_eq!((latencies, lines), (vec![known(ms(5), LatencySource::Icmp(3))], vec![]));
    let always: Probe = |_, _, _| Reply::Interrupted;
    let (to, replies) = unbounded();
    let method = Method { ping: always, ..BY_ICMP };
    probe_in_turn(method, true, &echoes(&[host(5)]), &AtomicUsize::new(0), Instant::now() + ms(200), &to);
    assert_eq!(replies.try_recv(), Ok((0, Reply::Interrupted)), "until the time is up");
}

#[test]
fn only_those_whose_ping_is_refused_are_probed() {
    let ping: Probe = |address, _, _| match last_octet(address) {
        7 => Reply::Refused(97),
        _ => answer(address, Reply::Icmp),
    };
    let (latencies, lines) = run(Method { ping, ..BY_UDP }, &[host(7), host(8)]);
    assert_eq!(latencies[0].source, LatencySource::UdpProbe(3));
    assert_eq!(latencies[1].source, LatencySource::Icmp(3));
    assert_eq!(
        lines,
        [
            "1 of 2 receivers not pinged: Address family not supported by protocol; measured with UDP probes to \
          port 33434 instead"
        ]
    );
}

#[test]
fn a_local_address_to_send_from_means_probes_from_it_and_no_word_of_pings() {
    let probe: Probe = |address, bind, _| {
        assert_eq!(bind, Some(host(250)));
        answer(address, Reply::Udp)
    };
    let (latencies, lines) = run(Method { ping: probe, probe, bind: Some(host(250)), ..BY_ICMP }, &[host(1)]);
    assert_eq!(latencies, [known(ms(1), LatencySource::UdpProbe(3))]);
    assert_eq!(lines, [""; 0]);
}

/// A route that forbids it, or a firewall: what refuses the ping refuses the probe.
#[test]
fn a_receiver_that_nothing_may_be_sent_to_is_not_blamed_on_the_permission_to_ping() {
    let ping: Probe = |address, _, _| match last_octet(address) {
        8 => Reply::Refused(EACCES),
        _ => answer(address, Reply::Icmp),
    };
    let probe: Probe = |_, _, _| Reply::Error("Permission denied".to_owned());
    let (_, lines) = run(Method { ping, probe, ..BY_ICMP }, &[host(7), host(8)]);
    assert_eq!(
        lines,
        ["warning: 1 of 2 receivers did not answer within 1 s (Permission denied); \
          counted as the slowest that did"]
    );
}

#[test]
fn silence_is_reported_in_one_line_with_what_else_went_wrong() {
    let (_, lines) = run(BY_ICMP, &[host(1), host(100), host(101)]);
    assert_eq!(
        lines,
        ["warning: 2 of 3 receivers did not answer within 1 s (Too many open files); \
          counted as the slowest that did"]
    );
    let (latencies, lines) = run(BY_ICMP, &[host(100), host(100)]);
    assert_eq!(latencies, [known(MAX_WAIT, LatencySource::Fallback); 2]);
    assert_eq!(lines, ["warning: no receiver answered within 1 s; all get equal shares"]);
}

#[test]
fn after_the_deadline_no_receiver_is_asked() {
    let method = Method { ping: give_away, ..BY_ICMP };
    let mut lines = Vec::new();
    let latencies = measure(&[host(1)], method, Some(Instant::now()), &mut Relay::new(&mut note(&mut lines)));
    assert_eq!(latencies, [known(MAX_WAIT, LatencySource::Fallback)]);
    assert_eq!(
        lines,
        ["warning: no receiver answered within 0 s (no time left to ask); all get equal shares"]
    );
    assert_eq!(run(BY_ICMP, &[]), (vec![], vec![]));
}

#[test]
fn every_receiver_is_asked_once_before_any_is_asked_again() {
    let order = echoes(&[host(1), host(2)]);
    let round = [(0, host(1)), (1, host(2))];
    assert_eq!(order, [round, round, round].concat());
}

/// Starts threads in virtual time: at which milliseconds. `work` makes of the time and the number of threads so far how many
/// echoes have been taken, and whether an answer came.
fn starts(receivers: usize, end: u64, work: impl Fn(u64, usize) -> (usize, bool)) -> Vec<u64> {
    let start = Instant::now();
    let mut starter = Starter::new(receivers, start, start + ms(end));
    let mut at = Vec::new();
    for now in 0.. {
        let (taken, answered) = work(now, starter.started);
        if answered {
            starter.pause_from(start + ms(now));
        }
        let Some(next) = starter.next(start + ms(now), taken) else { break };
        assert!(next <= start + ms(now) + MAX_PAUSE);
        if next <= start + ms(now) {
            at.push(now);
            starter.started += 1;
            starter.pause_from(start + ms(now));
        }
    }
    at
}

#[test]
fn receivers_that_answer_quickly_are_asked_by_one_thread() {
    assert_eq!(starts(3, 1000, |now, _| (now as usize / 4, now % 4 == 3)), [0]);
}

#[test]
fn far_receivers_are_asked_in_parallel_by_one_more_thread_each_pause() {
    let far = |_, threads| (threads, false);
    assert_eq!(starts(3, 1000, far), [0, 5, 10, 15, 20, 25, 30, 35, 40]);
    // The more there are, the shorter the pauses, which come to some 100 ms for all echoes.
    assert!(starts(12, 1000, far).into_iter().eq((0..36).map(|i| i * 3)));
    for (receivers, threads) in [(1, 3), (32, 96), (33, 96), (96, 96), (97, 97), (1000, 1000)] {
        assert_eq!(starts(receivers, 10_000, far).len(), threads, "{receivers} receivers");
    }
}

#[test]
fn a_thread_that_has_not_begun_yet_gets_no_company() {
    assert_eq!(starts(3, 1000, |now, _| (usize::from(now >= 50), false)), [0, 50]);
}

#[test]
fn no_thread_starts_once_the_time_is_up() {
    // On a slow processor each takes 14 ms to begin.
    let slow = |now, threads| (threads - usize::from(now % 14 != 0), false);
    assert_eq!(starts(500, 1000, slow).len(), 72);
}

/// Whoever waits for an answer from host 200 waits until the test lets go of this.
static STUCK: Mutex<()> = Mutex::new(());

fn hold() -> MutexGuard<'static, ()> {
    STUCK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn get_stuck(address: IpAddr, _: Option<IpAddr>, _: Duration) -> Reply {
    if last_octet(address) != 200 {
        return answer(address, Reply::Icmp);
    }
    drop(hold());
    Reply::None
}

#[test]
fn a_thread_that_does_not_come_back_is_not_waited_for() {
    let held = hold();
    let end = Instant::now() + ms(100);
    let method = Method { ping: get_stuck, ..BY_ICMP };
    let replies = probe_all(method, &[host(1), host(200)], end, end);
    // Were it waited for, this test would never end.
    assert_eq!(latency(&replies[1]), None);
    drop(held);
}

#[test]
fn one_lost_echo_does_not_cost_the_whole_second() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let held = hold();
    let ping: Probe = |address, bind, wait| match ASKED.fetch_add(1, Relaxed) {
        1 => get_stuck(host(200), bind, wait),
        _ => answer(address, Reply::Icmp),
    };
    let end = Instant::now() + HOUR;
    let replies = probe_all(Method { ping, extra_wait, ..BY_ICMP }, &[host(1), host(2)], end, end);
    // Were the lost one waited for, this test would never end.
    assert!(replies.iter().all(|replies| latency(replies).is_some()));
    assert!(replies.concat().len() <= 5);
    drop(held);
}

#[test]
fn the_wait_for_more_begins_when_all_have_answered_and_goes_by_the_slowest() {
    let ping: Probe = |address, _, _| {
        if address == host(60) {
            thread::sleep(ms(50));
        }
        answer(address, Reply::Icmp)
    };
    let extra_wait = |slowest| {
        assert_eq!(slowest, ms(60));
        HOUR
    };
    let end = Instant::now() + HOUR;
    let method = Method { ping, extra_wait, ..BY_ICMP };
    assert_eq!(probe_all(method, &[host(60), host(10)], end, end).concat().len(), 2 * ECHOES);
}

/// Their sockets would take descriptors from the transfer.
#[test]
fn with_many_receivers_no_thread_is_left_behind() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let ping: Probe = |_, _, _| {
        if ASKED.fetch_add(1, Relaxed) == 100 {
            thread::sleep(ms(200));
        }
        Reply::Icmp(ms(1))
    };
    let end = Instant::now() + HOUR;
    let method = Method { ping, extra_wait: |_| Duration::ZERO, ..BY_ICMP };
    assert_eq!(probe_all(method, &[host(1); 97], end, end).concat().len(), 97 * ECHOES);
}

#[test]
fn what_is_missing_is_waited_for_as_long_as_it_may_reasonably_take() {
    assert_eq!(extra_wait(ms(400)), ms(520), "a quarter more than the slowest answer took");
    assert_eq!(extra_wait(Duration::ZERO), ms(20));
}

#[test]
fn no_ping_or_probe_waits_for_less_than_a_timeout_can_express() {
    // ping_rs cuts below a microsecond, and a timeout of zero means forever.
    let now = Instant::now();
    assert_eq!(time_left(now), None);
    assert!(time_left(now + HOUR).is_some_and(|left| left > ms(1)));
}

/// A port of an address that no other test binds, so that it stays closed.
fn closed(address: impl Into<IpAddr>) -> SocketAddr {
    UdpSocket::bind((address.into(), 0)).unwrap().local_addr().unwrap()
}

fn answered(peer: SocketAddr, bind: Option<IpAddr>) -> bool {
    matches!(udp_probe_to(peer, bind, HOUR), Ok(Reply::Udp(_)))
}

#[test]
fn a_closed_port_answers_a_probe() {
    let v4 = closed([127, 8, 8, 11]);
    assert!(answered(v4, None));
    assert!(answered(v4, Some([127, 8, 8, 12].into())));
    assert!(answered(closed(Ipv6Addr::LOCALHOST), None));
}

#[test]
fn an_open_port_that_answers_answers_a_probe_and_one_that_is_silent_does_not() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = server.local_addr().unwrap();
    assert_eq!(udp_probe_to(address, None, ms(5)).unwrap(), Reply::None);
    let mut buffer = [0; 100];
    server.recv_from(&mut buffer).unwrap();
    let echo = thread::spawn(move || {
        let (len, client) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(client.ip(), IpAddr::from([127, 8, 8, 13]), "the probe comes from the address given");
        server.send_to(&buffer[..len], client).unwrap();
    });
    assert!(answered(address, Some([127, 8, 8, 13].into())));
    echo.join().unwrap();
}

#[test]
fn a_probe_that_cannot_be_sent_is_an_error_and_no_answer() {
    for bind in [IpAddr::from(Ipv6Addr::LOCALHOST), [192, 0, 2, 77].into()] {
        let reply = udp_probe(Ipv4Addr::LOCALHOST.into(), Some(bind), HOUR);
        assert!(matches!(reply, Reply::Error(_)), "{bind}: {reply:?}");
    }
}

/// Whether the kernel lets this process ping (icmp(7): one of its groups is in the range).
fn pings_are_allowed() -> bool {
    let read = |file| std::fs::read_to_string(file).unwrap();
    let numbers = |text: &str| -> Vec<u32> { text.split_whitespace().map(|n| n.parse().unwrap()).collect() };
    let range = numbers(&read("/proc/sys/net/ipv4/ping_group_range"));
    let status = read("/proc/self/status");
    let field = |name| numbers(status.lines().find_map(|line| line.strip_prefix(name)).unwrap());
    let effective = field("Gid:")[1];
    let groups = field("Groups:");
    groups.into_iter().chain([effective]).any(|gid| range[0] <= gid && gid <= range[1])
}

#[test]
fn a_ping_succeeds_where_the_kernel_allows_it_and_is_refused_where_not() {
    let allowed = pings_are_allowed();
    match icmp_echo(Ipv4Addr::LOCALHOST.into(), None, HOUR) {
        Reply::Icmp(rtt) => assert!(allowed && rtt > Duration::ZERO),
        Reply::Refused(EACCES) => assert!(!allowed),
        other => panic!("allowed: {allowed}, but {other:?}"),
    }
}

#[test]
fn a_ping_means_what_ping_rs_says_of_it() {
    let of = |result| icmp_reply(host(5), result, ms(30));
    let answer = |address, rtt| Ok(ping_rs::PingReply { address, rtt });
    assert_eq!(of(answer(host(5), 40)), Reply::Icmp(ms(30)));
    // Making the socket took the most of it.
    assert_eq!(of(answer(host(5), 2)), Reply::Icmp(ms(3)));
    assert_eq!(of(answer(host(6), 2)), Reply::None);
    // The socket's timeout, and that of ping_rs.
    assert_eq!(of(Err(io::Error::from_raw_os_error(11).into())), Reply::None);
    assert_eq!(of(Err(PingError::TimedOut)), Reply::None);
    let error = |number| of(Err(io::Error::from_raw_os_error(number).into()));
    assert_eq!(error(4), Reply::Interrupted, "the process was stopped and continued: EINTR");
    assert_eq!(error(13), Reply::Refused(EACCES));
    assert_eq!(of(Err(PingError::IpError(0))), Reply::Error("not an echo reply".to_owned()));
}

#[test]
fn hosts_on_the_loopback_net_are_measured_by_whatever_the_kernel_allows() {
    let allowed = pings_are_allowed();
    let method = Method { ping: icmp_echo, probe: udp_probe, ..BY_ICMP };
    for count in [1, 3, 40, 200] {
        let receivers: Vec<IpAddr> = (1..=count).map(|i| [127, 8, 9, i].into()).collect();
        let end = Instant::now() + HOUR;
        let replies = probe_all(method, &receivers, end, end);
        let source = if allowed { LatencySource::Icmp(3) } else { LatencySource::UdpProbe(3) };
        for replies in &replies {
            assert!(
                latency(replies).is_some_and(|l| l.source == source && l.rtt > Duration::ZERO),
                "{replies:?}"
            );
        }
        assert_eq!(replies.len(), receivers.len());
        let mut lines = Vec::new();
        report_fallbacks(&replies, MAX_WAIT, &mut Relay::new(&mut note(&mut lines)));
        assert!(lines.len() == usize::from(!allowed) && !lines.concat().contains("warning"), "{lines:?}");
    }
}

#[test]
fn measuring_from_a_given_address_uses_it() {
    let mut lines = Vec::new();
    let bind = Some([127, 8, 8, 14].into());
    let latencies =
        measure(&[[127, 8, 8, 15].into()], Method::new(bind), None, &mut Relay::new(&mut note(&mut lines)));
    assert!(matches!(latencies[0].source, LatencySource::UdpProbe(1..=3)), "{latencies:?}");
    assert_eq!(lines, [""; 0]);
}
