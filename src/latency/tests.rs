use super::*;
use crate::testing::ms;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
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

/// Hosts 1 to 99 answer after so many milliseconds, host 100 never does, to 101 nothing can be sent.
fn answer(address: IpAddr, _: Option<IpAddr>, _: Duration) -> Result<Duration, Failure> {
    match last_octet(address) {
        100 => Err(Failure::Silent),
        101 => Err(Failure::Trouble("Too many open files".to_owned())),
        octet => Ok(ms(octet.into())),
    }
}

fn refuse(_: IpAddr, _: Option<IpAddr>, _: Duration) -> Result<Duration, Failure> {
    Err(Failure::Refused { code: EACCES, why: "Permission denied".to_owned() })
}

/// For who should not be asked at all: the answer shows in the result.
fn give_away(_: IpAddr, _: Option<IpAddr>, _: Duration) -> Result<Duration, Failure> {
    Ok(HOUR)
}

/// So that a busy machine loses no sample.
fn for_ever(_: Duration) -> Duration {
    HOUR
}

const BY_ICMP: Method = Method { ping: Some(answer), probe: give_away, bind: None, long_enough: for_ever };
const BY_UDP: Method = Method { ping: Some(refuse), probe: answer, ..BY_ICMP };

fn run(method: Method, receivers: &[IpAddr]) -> (Vec<Latency>, Vec<String>) {
    let mut lines = Vec::new();
    let latencies = measure_by(method, receivers, None, &mut |event: &Event<'_>| {
        let Event::LatencyFallback { reason } = event else { panic!("{event:?}") };
        lines.push((*reason).to_owned());
    });
    (latencies, lines)
}

fn latency(rtt: Duration, source: LatencySource) -> Latency {
    Latency { rtt, source }
}

fn icmp(rtts: &[u64]) -> Replies {
    Replies { icmp: rtts.iter().map(|rtt| ms(*rtt)).collect(), ..Replies::default() }
}

#[test]
fn a_latency_is_the_mean_of_the_answers_and_says_how_many_there_were() {
    let replies = [icmp(&[10, 20, 60]), icmp(&[7])];
    let udp = Replies { udp: vec![ms(3), ms(4)], refused: Some((13, String::new())), ..Replies::default() };
    assert_eq!(
        combine(&[&replies[..], &[udp]].concat()),
        [
            latency(ms(30), LatencySource::Icmp(3)),
            latency(ms(7), LatencySource::Icmp(1)),
            latency(Duration::from_micros(3500), LatencySource::UdpProbe(2)),
        ]
    );
}

#[test]
fn who_does_not_answer_counts_as_the_slowest_that_did() {
    let latencies = combine(&[icmp(&[]), icmp(&[10]), icmp(&[40, 60]), icmp(&[])]);
    assert_eq!(latencies[0], latency(ms(50), LatencySource::Silent));
    assert_eq!(latencies[3], latencies[0]);
    assert_eq!(latencies[1], latency(ms(10), LatencySource::Icmp(1)));
}

#[test]
fn if_nobody_answers_all_count_alike() {
    assert_eq!(combine(&[icmp(&[]), icmp(&[])]), [latency(BOUND, LatencySource::Equal); 2]);
    assert_eq!(combine(&[]), []);
}

#[test]
fn an_answer_within_the_clocks_resolution_is_an_answer() {
    assert_eq!(combine(&[icmp(&[0])]), [latency(Duration::ZERO, LatencySource::Icmp(1))]);
}

#[test]
fn latencies_come_in_list_order_and_when_all_goes_well_nothing_is_said() {
    let (latencies, lines) = run(BY_ICMP, &[host(30), host(10), host(20)]);
    assert_eq!(latencies, [30, 10, 20].map(|rtt| latency(ms(rtt), LatencySource::Icmp(3))));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn an_address_that_comes_twice_is_asked_three_times_in_all() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let ping: Ask = |address, bind, wait| {
        ASKED.fetch_add(1, Ordering::Relaxed);
        answer(address, bind, wait)
    };
    let (latencies, _) = run(Method { ping: Some(ping), ..BY_ICMP }, &[host(1), host(2), host(1), host(1)]);
    assert_eq!(latencies.iter().map(|l| l.rtt).collect::<Vec<_>>(), [ms(1), ms(2), ms(1), ms(1)]);
    assert_eq!(ASKED.load(Ordering::Relaxed), 6);
}

#[test]
fn many_receivers_are_asked_three_times_each_too() {
    let receivers: Vec<_> = (1..=99).map(host).collect();
    for method in [BY_ICMP, BY_UDP] {
        let (latencies, _) = run(method, &receivers);
        assert_eq!(latencies.len(), 99);
        for (latency, octet) in latencies.iter().zip(1..) {
            assert_eq!(latency.rtt, ms(octet));
            assert!(matches!(latency.source, LatencySource::Icmp(3) | LatencySource::UdpProbe(3)));
        }
    }
}

#[test]
fn only_a_refused_ping_is_replaced_by_a_probe_and_one_line_says_so() {
    let (latencies, lines) = run(BY_UDP, &[host(5), host(6)]);
    assert_eq!(latencies, [5, 6].map(|rtt| latency(ms(rtt), LatencySource::UdpProbe(3))));
    assert_eq!(
        lines,
        [
            "2 of 2 receivers not pinged: Permission denied, since net.ipv4.ping_group_range leaves this process \
          out; measured with UDP probes to port 33434 instead; to allow pings: \
          sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""
        ]
    );
    // Silence and other trouble are no reason to probe.
    let (latencies, _) = run(BY_ICMP, &[host(5), host(100), host(101)]);
    assert_eq!(latencies[1..], [latency(ms(5), LatencySource::Silent); 2]);
}

#[test]
fn only_those_whose_ping_is_refused_are_probed() {
    let ping: Ask = |address, bind, wait| match last_octet(address) {
        7 => Err(Failure::Refused { code: 97, why: "Address family not supported".to_owned() }),
        _ => answer(address, bind, wait),
    };
    let (latencies, lines) = run(Method { ping: Some(ping), ..BY_UDP }, &[host(7), host(8)]);
    assert_eq!(latencies[0].source, LatencySource::UdpProbe(3));
    assert_eq!(latencies[1].source, LatencySource::Icmp(3));
    assert_eq!(
        lines,
        [
            "1 of 2 receivers not pinged: Address family not supported; measured with UDP probes to port 33434 \
          instead"
        ]
    );
}

#[test]
fn a_local_address_to_send_from_means_probes_and_a_line_that_says_so() {
    let probe: Ask = |address, bind, wait| {
        assert_eq!(bind, Some(host(250)));
        answer(address, bind, wait)
    };
    let method = Method { ping: None, probe, bind: Some(host(250)), ..BY_ICMP };
    let (latencies, lines) = run(method, &[host(1)]);
    assert_eq!(latencies, [latency(ms(1), LatencySource::UdpProbe(3))]);
    assert_eq!(
        lines,
        ["1 of 1 receivers not pinged: a ping cannot be sent from 10.0.0.250; measured with UDP probes to \
          port 33434 instead"]
    );
}

/// A route that forbids it, or a firewall: what refuses the ping refuses the probe.
#[test]
fn a_receiver_that_nothing_may_be_sent_to_is_not_blamed_on_the_permission_to_ping() {
    fn ping(address: IpAddr, _: Option<IpAddr>, _: Duration) -> Result<Duration, Failure> {
        if last_octet(address) == 8 { refuse(address, None, HOUR) } else { answer(address, None, HOUR) }
    }
    fn probe(_: IpAddr, _: Option<IpAddr>, _: Duration) -> Result<Duration, Failure> {
        Err(Failure::Trouble("Permission denied".to_owned()))
    }
    let (_, lines) = run(Method { ping: Some(ping), probe, ..BY_ICMP }, &[host(7), host(8)]);
    assert_eq!(
        lines,
        ["1 of 2 receivers did not answer within 1 s (Permission denied); counted as the slowest that did"]
    );
}

#[test]
fn silence_is_told_in_one_line_with_what_else_went_wrong() {
    let (_, lines) = run(BY_ICMP, &[host(1), host(100), host(101)]);
    assert_eq!(
        lines,
        ["2 of 3 receivers did not answer within 1 s (Too many open files); counted as the slowest that did"]
    );
    let (latencies, lines) = run(BY_ICMP, &[host(100), host(100)]);
    assert_eq!(latencies, [latency(BOUND, LatencySource::Equal); 2]);
    assert_eq!(lines, ["no receiver answered within 1 s; all get equal shares"]);
}

#[test]
fn after_the_deadline_nobody_is_asked() {
    let method = Method { ping: Some(give_away), ..BY_ICMP };
    let mut lines = 0;
    let latencies = measure_by(method, &[host(1)], Some(Instant::now()), &mut |_: &Event<'_>| lines += 1);
    assert_eq!(latencies, [latency(BOUND, LatencySource::Equal)]);
    assert_eq!(lines, 1);
    assert_eq!(run(BY_ICMP, &[]), (vec![], vec![]));
}

/// Whoever waits for an answer from host 200 waits until the test lets go of this.
static STUCK: Mutex<()> = Mutex::new(());

fn hold() -> MutexGuard<'static, ()> {
    STUCK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn get_stuck(address: IpAddr, bind: Option<IpAddr>, wait: Duration) -> Result<Duration, Failure> {
    if last_octet(address) != 200 {
        return answer(address, bind, wait);
    }
    drop(hold());
    Err(Failure::Silent)
}

#[test]
fn a_thread_that_does_not_come_back_is_not_waited_for() {
    let held = hold();
    let start = Instant::now();
    let end = start + ms(100);
    let method = Method { ping: Some(get_stuck), ..BY_ICMP };
    let replies = ask_all(method, &[host(1), host(200)], Times { start, end, until: end });
    // Were it waited for, this test would never end.
    assert!(!replies[1].is_answered());
    drop(held);
}

#[test]
fn one_lost_echo_does_not_cost_the_whole_bound() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let held = hold();
    let ping: Ask = |address, bind, wait| match ASKED.fetch_add(1, Ordering::Relaxed) {
        1 => get_stuck(host(200), bind, wait),
        _ => answer(address, bind, wait),
    };
    let start = Instant::now();
    let end = start + HOUR;
    let method = Method { ping: Some(ping), long_enough, ..BY_ICMP };
    let replies = ask_all(method, &[host(1), host(2)], Times { start, end, until: end });
    assert!(replies.iter().all(Replies::is_answered));
    assert!(replies.iter().map(|r| r.icmp.len()).sum::<usize>() <= 5, "the lost one was not waited for");
    drop(held);
}

#[test]
fn what_is_missing_is_waited_for_as_long_as_it_may_reasonably_take() {
    assert_eq!(long_enough(ms(400)), ms(520), "a quarter more than the slowest first answer took");
    assert_eq!(long_enough(Duration::ZERO), ms(20));
}

#[test]
fn no_ping_or_probe_waits_for_less_than_a_time_out_can_express() {
    // ping_rs cuts below a microsecond, and a time-out of nothing means for ever.
    let now = Instant::now();
    assert_eq!(time_left(now), None);
    assert!(time_left(now + HOUR).is_some_and(|left| left > ms(1)));
}

#[test]
fn the_errors_by_which_the_kernel_refuses_pings_are_known() {
    for (code, refusal) in
        [(EPERM, true), (EACCES, true), (101, false), (113, false), (24, false), (11, false)]
    {
        assert_eq!(is_refusal(code), refusal, "{code}");
    }
    let named = |code: u32| io::Error::from_raw_os_error(code as i32).to_string();
    let [protocol, socket, family] = NO_SUCH_SOCKET.map(named);
    assert!(protocol.starts_with("Protocol not supported"), "{protocol}");
    assert!(socket.starts_with("Socket type not supported"), "{socket}");
    assert!(family.starts_with("Address family not supported"), "{family}");
    assert!(named(EACCES).starts_with("Permission denied"));
    assert!(named(EPERM).starts_with("Operation not permitted"));
}

/// A port of an address that no other test binds, so that it stays closed.
fn closed(address: impl Into<IpAddr>) -> SocketAddr {
    UdpSocket::bind((address.into(), 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_closed_port_answers_a_probe() {
    let v4 = closed([127, 8, 8, 11]);
    assert!(udp_probe_to(v4, None, HOUR).is_ok());
    assert!(udp_probe_to(v4, Some([127, 8, 8, 12].into()), HOUR).is_ok());
    assert!(udp_probe_to(closed(Ipv6Addr::LOCALHOST), None, HOUR).is_ok());
}

#[test]
fn an_open_port_that_answers_answers_a_probe_and_one_that_is_silent_does_not() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = server.local_addr().unwrap();
    assert_eq!(udp_probe_to(address, None, ms(5)), Err(Failure::Silent));
    let mut buffer = [0; 100];
    server.recv_from(&mut buffer).unwrap();
    let echo = thread::spawn(move || {
        let (len, client) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(client.ip(), IpAddr::from([127, 8, 8, 13]), "the probe comes from the address given");
        server.send_to(&buffer[..len], client).unwrap();
    });
    assert!(udp_probe_to(address, Some([127, 8, 8, 13].into()), HOUR).is_ok());
    echo.join().unwrap();
}

#[test]
fn a_probe_that_cannot_be_sent_is_trouble_and_no_answer() {
    let peer = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PROBE_PORT);
    for bind in [IpAddr::from(Ipv6Addr::LOCALHOST), [192, 0, 2, 77].into()] {
        assert!(matches!(udp_probe_to(peer, Some(bind), HOUR), Err(Failure::Trouble(_))), "{bind}");
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
    match icmp_echo(Ipv4Addr::LOCALHOST.into(), None, ms(900)) {
        Ok(rtt) => assert!(allowed && rtt > Duration::ZERO),
        Err(Failure::Refused { code: EACCES, .. }) => assert!(!allowed),
        Err(other) => panic!("allowed: {allowed}, but {other:?}"),
    }
}

#[test]
fn hosts_on_the_loopback_net_are_measured_by_whatever_the_kernel_allows() {
    let allowed = pings_are_allowed();
    for count in [1, 3, 40, 200] {
        let receivers: Vec<IpAddr> = (1..=count).map(|i| [127, 8, 9, i].into()).collect();
        let mut lines = Vec::new();
        let latencies = measure(&receivers, None, None, &mut |event: &Event<'_>| {
            let Event::LatencyFallback { reason } = event else { panic!("{event:?}") };
            lines.push((*reason).to_owned());
        });
        assert_eq!(latencies.len(), receivers.len());
        for latency in &latencies {
            let source = latency.source;
            match allowed {
                true => assert!(matches!(source, LatencySource::Icmp(1..=3)), "{source:?} {lines:?}"),
                false => {
                    assert!(matches!(source, LatencySource::UdpProbe(1..=3)), "{source:?} {lines:?}")
                }
            }
            assert!(latency.rtt > Duration::ZERO && latency.rtt < BOUND);
        }
        assert_eq!(lines.len(), usize::from(!allowed), "{lines:?}");
    }
}

#[test]
fn measuring_from_a_given_address_uses_it() {
    let mut lines = 0;
    let bind = Some([127, 8, 8, 14].into());
    let latencies = measure(&[[127, 8, 8, 15].into()], bind, None, &mut |_: &Event<'_>| lines += 1);
    assert!(matches!(latencies[0].source, LatencySource::UdpProbe(1..=3)), "{latencies:?}");
    assert_eq!(lines, 1);
}
