//! What the operating system refuses: routes, descriptors, threads, and calls that a signal interrupts.

use crate::loopback::{Receiver, Script, Servers, Verdict, ms};
use crate::support::{
    PROGRAM, PayloadFile, finish, has_tool, payload, run, send, send_payload, sending, shell, short_timeouts,
    skipped, start,
};
use mdalp::report::LossReason;
use mdalp::{Event, ExitStatus, Mode, Options, Payload, Trace};
use std::net::UdpSocket;
use std::process::{Child, Command};

/// Whether this test runs in its own network, from which nothing can reach any other host; if not, it is run again
/// in one, and has to succeed there. Where the system does not let this user have one, as in many containers, CI's among
/// them, the test has nothing to say.
fn in_own_network(test: &str) -> bool {
    if std::env::var_os("MDALP_OWN_NETWORK").is_some() {
        return true;
    }
    if !(has_tool("unshare") && has_tool("ip")) {
        return false;
    }
    let probe = Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output().unwrap();
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr);
        skipped(&format!("this user gets no network namespace: {}", why.trim_end()));
        return false;
    }
    let script = "ip link set lo up && exec \"$0\" --exact \"$1\" --nocapture";
    let own = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.args(["-rn", "sh", "-c", script]).arg(own).arg(test).env("MDALP_OWN_NETWORK", "1");
    let ran = run(&mut again, 0);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
    false
}

fn ip(args: &str) {
    run(Command::new("ip").args(args.split(' ')), 0);
}

#[test]
fn an_orchestrator_without_a_route_is_status_4_and_says_why() {
    if !in_own_network("system_errors::an_orchestrator_without_a_route_is_status_4_and_says_why") {
        return;
    }
    let file = PayloadFile::new(b"payload");
    ip("route add unreachable 192.0.2.7/32");
    ip("route add prohibit 192.0.2.8/32");
    for (address, why) in [
        ("192.0.2.1", "Network is unreachable"),
        ("2001:db8::1", "Network is unreachable"),
        ("192.0.2.7", "No route to host"),
        ("192.0.2.8", "Permission denied"),
    ] {
        let ran = run(Command::new(PROGRAM).args(["-a", address, "-p", "4650", "-f", file.name()]), 4);
        let end = format!(":4650: {why}; check the address, and this host's network");
        assert!(ran.line().starts_with("orchestrator ") && ran.line().ends_with(&end), "{}", ran.line());
    }
}

#[test]
fn receivers_without_a_route_are_lost_immediately() {
    if !in_own_network("system_errors::receivers_without_a_route_are_lost_immediately") {
        return;
    }
    ip("route add unreachable 192.0.2.7/32");
    let bytes = payload(1000);
    for (address, why) in [
        ("192.0.2.1", "no route: Network is unreachable"),
        ("2001:db8::1", "no route: Network is unreachable"),
        ("192.0.2.7", "no route: No route to host"),
    ] {
        let servers = Servers::start(Script::new().receivers(1).listed_text(address, "nowhere"));
        // Measuring, too, has to cope.
        let options = Options { latencies: None, ..short_timeouts(&servers, 2) };
        let outcome = send(&servers, options, &bytes, Mode::Balance);
        assert_eq!(outcome.arrived(&bytes).receivers[1].counts.transmissions, 0);
        assert_eq!(outcome.lost(), [1]);
        assert_eq!(outcome.events.lost[0].1.to_string(), why);

        let alone = Servers::start(Script::new().listed_text(address, "nowhere"));
        let outcome = send(&alone, short_timeouts(&alone, 1), &bytes, Mode::Balance);
        let line = outcome.failure(ExitStatus::Incomplete);
        assert!(line.ends_with(&format!("{why}; check this host's network, and send it again")), "{line}");
    }
}

/// The network of one receiver fails during the transfer: for a moment, which costs retransmissions; for good, which
/// loses it, with the system's reason in the account.
#[test]
fn a_failing_network_loses_packets_and_then_the_receiver() {
    if !in_own_network("system_errors::a_failing_network_loses_packets_and_then_the_receiver") {
        return;
    }
    let bytes = payload(4000);
    for comes_back in [true, false] {
        let script = Script::new().receivers(1).receiver(Receiver::named("F").ack_delay(ms(10)));
        let servers = Servers::start(script);
        let whole = Payload::from_bytes(&bytes[..]).unwrap();
        let options = Options { trace: Trace::Packets, ..short_timeouts(&servers, 2) };
        let route = "unreachable 127.0.0.3/32 table local";
        let (mut failed, mut back) = (false, false);
        let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| match event {
            Event::PacketReceived { receiver, .. } if receiver.index.0 == 1 && !failed => {
                ip(&format!("route add {route}"));
                failed = true;
            }
            Event::TimedOut { receiver, transmissions: 2, .. }
                if receiver.index.0 == 1 && comes_back && !back =>
            {
                ip(&format!("route del {route}"));
                back = true;
            }
            _ => {}
        });
        outcome.arrived(&bytes);
        assert!(outcome.transaction.faults().iter().all(|fault| fault.to_string().contains("list")));
        if comes_back {
            assert!(back && outcome.events.lost.is_empty(), "{:?}", outcome.events.lost);
            assert!(outcome.report().retransmissions() >= 2);
        } else {
            let LossReason::Silent { last_error: Some(why), .. } = &outcome.events.lost[0].1 else {
                panic!("{:?}", outcome.events.lost)
            };
            assert_eq!(why, "No route to host");
            ip(&format!("route del {route}"));
        }
    }
}

/// Twenty receivers, and descriptors for a few of them; measuring, too, has to cope.
#[test]
fn receivers_without_a_descriptor_are_lost() {
    let bytes = payload(20_000);
    let file = PayloadFile::new(&bytes);
    for latency in [format!("--latency {}", ["1"; 20].join(",")), String::new()] {
        let servers = Servers::start(Script::new().receivers(20));
        let line = format!("ulimit -n 12; \"$0\" \"$@\" -v -f {} {latency}", file.name());
        let ran = run(&mut shell(&servers, &line), 0);
        let lost = ran.stderr.matches("] warning: lost ").count();
        assert!((8..20).contains(&lost), "{lost}: {}", ran.stderr);
        let transaction = servers.finish();
        assert!(transaction.payload == bytes);
        assert_eq!(transaction.shares().iter().filter(|bytes| **bytes > 0).count(), 20 - lost);
        assert_eq!(transaction.verdict, Verdict::Violation, "by then no one can be at the floor everywhere");
    }
}

#[test]
fn without_a_descriptor_for_the_orchestrator_nothing_begins() {
    let servers = Servers::start(Script::new().receivers(1));
    let file = PayloadFile::new(b"payload");
    let ran = run(&mut shell(&servers, &format!("ulimit -n 6; \"$0\" \"$@\" -f {}", file.name())), 4);
    assert!(ran.line().ends_with("; raise the limit on open files (ulimit -n)"), "{}", ran.line());
    assert_eq!(servers.intents(), 0);
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u"), 0).stdout == "0\n"
}

/// Sends a file with this many threads. Root is not bound by that limit, so it becomes a user who is, and who has no other
/// process whose threads would count. `None` where there are no tools for that.
fn with_threads(threads: u32, servers: &Servers, file: &PayloadFile, words: &str) -> Option<Command> {
    if !(has_tool("prlimit") && has_tool("setpriv")) {
        return None;
    }
    // The directory of the build may be closed to that user.
    let program = file.path.with_file_name("mdalp");
    std::fs::copy(PROGRAM, &program).unwrap();
    let mut command = Command::new(if is_root() { "setpriv" } else { "prlimit" });
    if is_root() {
        let user = format!("--reuid={}", 1_000_000_000 + std::process::id());
        command.args([&user, "--regid=65534", "--clear-groups", "prlimit"]);
    }
    command.arg(format!("--nproc={threads}:{threads}")).arg(program);
    command.args(sending(servers, file, words).get_args());
    Some(command)
}

#[test]
fn receivers_without_a_thread_are_lost() {
    let bytes = payload(1200);
    let file = PayloadFile::new(&bytes);
    let servers = Servers::start(Script::new().receivers(4));
    let Some(mut command) = with_threads(1, &servers, &file, "-q --latency 1,1,1,1") else { return };
    let ran = run(&mut command, 1);
    let line = ran.line();
    let account = "transfer: 0 of 1200 bytes acknowledged, 0 of 12 packets; lost 127.0.0.2 (R1), ";
    assert!(line.starts_with(&format!("{account}no thread: Resource temporarily unavailable; ")), "{line}");
    let hint = "; raise the limit on threads or memory (ulimit -u, ulimit -v), and send it again";
    assert!(line.ends_with(hint), "{line}");
    assert_eq!(servers.finish().packets(), 0);
    // Another user's processes count, too, so no one can say how many threads are left.
    if !is_root() {
        return;
    }
    // Measuring wants threads as well, and goes without. A thread that has measured may not be gone yet when the receivers'
    // threads are made.
    for (words, used) in [("--latency 1,1,1,1", 2..=2), ("", 1..=2)] {
        let servers = Servers::start(Script::new().receivers(4));
        run(&mut with_threads(3, &servers, &file, words).unwrap(), 0);
        let transaction = servers.finish();
        assert!(transaction.payload == bytes);
        let receivers = transaction.shares().iter().filter(|bytes| **bytes > 0).count();
        assert!(used.contains(&receivers), "{receivers} receivers");
    }
}

fn signal(child: &Child, name: &str) {
    run(Command::new("sh").args(["-c", &format!("kill {name} {}", child.id())]), 0);
}

/// Repeats `step` until `done`; a program that hangs is given up after a time that no busy machine excuses.
fn until(done: impl Fn() -> bool, step: impl Fn()) {
    for _ in 0..2000 {
        if done() {
            return;
        }
        step();
        std::thread::sleep(ms(10));
    }
    panic!("it does not go on");
}

/// A stopped process that continues finds its waits interrupted (EINTR): at the orchestrator and at a receiver.
#[test]
fn being_stopped_and_continued_changes_nothing() {
    let slow = Receiver::named("R").ack_delay(ms(60));
    let servers = Servers::start(Script::new().receiver(slow).assign_after(ms(300)));
    let bytes = payload(1000);
    let file = PayloadFile::new(&bytes);
    let child = start(&mut sending(&servers, &file, "--latency 1 -t 30 --fixed-timeout"));
    let is_nearly_done = || servers.judge().is_some_and(|transaction| transaction.packets() >= 9);
    until(is_nearly_done, || {
        ["-STOP", "-CONT", "-WINCH", "-CONT"].iter().for_each(|name| signal(&child, name))
    });
    finish(child, 0);
    let transaction = servers.finish();
    assert!(transaction.payload == bytes);
    assert_eq!(transaction.packets(), 10, "no packet was sent twice");
    assert_eq!(transaction.remarks, []);
}

/// Stopped (Ctrl-Z) for longer than a receiver is waited for, and longer than the wait for the assignment: what came
/// meanwhile came in time.
#[test]
fn what_arrives_while_the_process_is_stopped_counts() {
    let slow = Receiver::named("R").ack_delay(ms(400));
    let servers = Servers::start(Script::new().receiver(slow).assign_after(ms(400)));
    let bytes = payload(100);
    let file = PayloadFile::new(&bytes);
    let words = "--latency 1 --give-up 1 --intent-timeout 1 --intent-resend 0.9";
    let child = start(&mut sending(&servers, &file, words));
    let pause = || {
        signal(&child, "-STOP");
        std::thread::sleep(ms(1500));
        signal(&child, "-CONT");
    };
    until(|| servers.intents() > 0, || {});
    pause();
    until(|| servers.judge().is_some_and(|transaction| transaction.packets() > 0), || {});
    pause();
    finish(child, 0);
    assert_eq!(servers.intents(), 1, "nothing was asked for twice");
    assert!(servers.finish().payload == bytes);
}

/// A stop ends every wait for an answer. The probes are by UDP, as the local address makes them.
#[test]
fn a_stop_while_latencies_are_measured_silences_no_receiver() {
    let address = "127.78.0.1";
    let probed = UdpSocket::bind((address, 33434)).unwrap();
    probed.set_read_timeout(Some(ms(10_000))).unwrap();
    let servers = Servers::start(Script::new().receiver(Receiver::named("R").at(address.parse().unwrap())));
    let file = PayloadFile::new(b"payload");
    let child = start(&mut sending(&servers, &file, "--bind 127.0.0.1"));
    // All three wait. They are answered after the stop, and so is who asks again.
    let waiting = [(); 3].map(|()| probed.recv_from(&mut [0; 8]).unwrap().1);
    signal(&child, "-STOP");
    signal(&child, "-CONT");
    for from in waiting {
        let _ = probed.send_to(b"answer", from);
    }
    std::thread::spawn(move || {
        while let Ok((_, from)) = probed.recv_from(&mut [0; 8]) {
            let _ = probed.send_to(b"answer", from);
        }
    });
    let stderr = finish(child, 0).stderr;
    assert!(!stderr.contains("latencies:"), "{stderr}");
}
