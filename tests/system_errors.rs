//! What the operating system refuses: routes, descriptors, threads, and calls that a signal interrupts.

use crate::loopback::{Receiver, Script, Servers, Verdict, ms};
use crate::support::{
    CommandOutput, Outcome, Scratch, addressed_to, finish, has_tool, mdalp, payload, run, send, send_payload,
    short_timeouts, skipped, start,
};
use mdalp::report::LossReason;
use mdalp::{Event, Mode, Payload};
use std::process::{Command, Stdio};

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
    let probe = run(Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]));
    if probe.status != Some(0) {
        skipped(&format!("this user gets no network namespace: {}", probe.stderr.trim_end()));
        return false;
    }
    let script = "ip link set lo up && exec \"$0\" --exact \"$1\" --nocapture";
    let own = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.args(["-rn", "sh", "-c", script]).arg(own).arg(test).env("MDALP_OWN_NETWORK", "1");
    let ran = run(&mut again);
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("1 passed"), "{}", ran.stdout);
    false
}

fn ip(args: &str) {
    let ran = run(Command::new("ip").args(args.split(' ')));
    assert_eq!(ran.status, Some(0), "ip {args}: {}", ran.stderr);
}

fn file_of(scratch: &Scratch, bytes: &[u8]) -> String {
    scratch.file("payload", bytes).to_str().unwrap().to_owned()
}

fn the_only_loss(outcome: &Outcome) -> String {
    let [(_, loss)] = &outcome.told.lost[..] else { panic!("{:?}", outcome.told.lost) };
    loss.to_string()
}

#[test]
fn an_orchestrator_without_a_route_is_status_4_and_says_why() {
    if !in_own_network("system_errors::an_orchestrator_without_a_route_is_status_4_and_says_why") {
        return;
    }
    let scratch = Scratch::new();
    let file = file_of(&scratch, b"payload");
    ip("route add unreachable 192.0.2.7/32");
    ip("route add prohibit 192.0.2.8/32");
    for (address, why) in [
        ("192.0.2.1", "Network is unreachable"),
        ("2001:db8::1", "Network is unreachable"),
        ("192.0.2.7", "No route to host"),
        ("192.0.2.8", "Permission denied"),
    ] {
        let program = env!("CARGO_BIN_EXE_mdalp");
        let ran = run(Command::new(program).args(["-q", "-a", address, "-p", "4650", "-f", &file]));
        assert_eq!(ran.status, Some(4), "{address}: {}", ran.stderr);
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
        let mut options = short_timeouts(&servers, 2);
        // Measuring, too, has to cope.
        options.latencies = None;
        let outcome = send(&servers, options, &bytes, Mode::Balance);
        outcome.arrived(&bytes);
        assert_eq!(the_only_loss(&outcome), why);
        assert_eq!(outcome.report().receivers[1].transmissions, 0);

        let alone = Servers::start(Script::new().listed_text(address, "nowhere"));
        let line = send(&alone, short_timeouts(&alone, 1), &bytes, Mode::Balance).line();
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
        let mut options = short_timeouts(&servers, 2);
        options.trace = mdalp::Trace::Packets;
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
            assert!(back && outcome.told.lost.is_empty(), "{:?}", outcome.told.lost);
            assert!(outcome.report().retransmissions() >= 2);
        } else {
            let LossReason::Silent { last_error: Some(why), .. } = &outcome.told.lost[0].1 else {
                panic!("{:?}", outcome.told.lost)
            };
            assert_eq!(why, "No route to host");
            ip(&format!("route del {route}"));
        }
    }
}

/// Twenty receivers, and descriptors for a few of them.
#[test]
fn receivers_without_a_descriptor_are_lost() {
    let scratch = Scratch::new();
    let bytes = payload(20_000);
    let file = file_of(&scratch, &bytes);
    for latency in [true, false] {
        let servers = Servers::start(Script::new().receivers(20));
        let stated = ["1"; 20].join(",");
        let limited = format!(
            "ulimit -n 12; exec \"$0\" -v \"$@\" -f '{file}' {}",
            if latency { format!("--latency {stated}") } else { String::new() }
        );
        let mut command = Command::new("sh");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_mdalp")]).args(addressed_to(&servers));
        let ran = run(&mut command);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let lost = ran.stderr.matches("no file descriptor: ").count();
        assert!((8..20).contains(&lost), "{lost}: {}", ran.stderr);
        let transaction = servers.finish();
        assert!(transaction.payload == bytes);
        assert_eq!(transaction.parts.iter().filter(|part| part.counts.bytes > 0).count(), 20 - lost);
        assert_eq!(transaction.verdict, Verdict::Violation, "by then no one can be at the floor everywhere");
    }
}

#[test]
fn without_a_descriptor_for_the_orchestrator_nothing_begins() {
    let scratch = Scratch::new();
    let file = file_of(&scratch, b"payload");
    let servers = Servers::start(Script::new().receivers(1));
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 6; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mdalp")])
        .args(addressed_to(&servers))
        .args(["-f", &file]);
    let ran = run(&mut command);
    assert_eq!((ran.status, servers.intents()), (Some(4), 0), "{}", ran.stderr);
    assert!(ran.line().ends_with("; raise the limit on open files (ulimit -n)"), "{}", ran.line());
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).stdout == "0\n"
}

/// The program, with this many threads. Root is not bound by that limit, so it becomes a user who is, and who has no other
/// process whose threads would count. `None` where there are no tools for that.
fn with_threads(threads: u32, servers: &Servers, scratch: &Scratch, args: &[&str]) -> Option<CommandOutput> {
    if !(has_tool("prlimit") && has_tool("setpriv")) {
        return None;
    }
    // The directory of the build may be closed to that user.
    let program = scratch.path("mdalp");
    std::fs::copy(env!("CARGO_BIN_EXE_mdalp"), &program).unwrap();
    let limit = format!("--nproc={threads}:{threads}");
    let mut command = Command::new(if is_root() { "setpriv" } else { "prlimit" });
    if is_root() {
        let user = format!("--reuid={}", 1_000_000_000 + std::process::id());
        command.args([&user, "--regid=65534", "--clear-groups", "prlimit"]);
    }
    Some(run(command.arg(&limit).arg(&program).args(addressed_to(servers)).args(args)))
}

#[test]
fn receivers_without_a_thread_are_lost() {
    let scratch = Scratch::new();
    let bytes = payload(1200);
    let file = file_of(&scratch, &bytes);
    let args = ["-f", &file, "--latency", "1,1,1,1"];
    let servers = Servers::start(Script::new().receivers(4));
    let Some(ran) = with_threads(1, &servers, &scratch, &args) else { return };
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    let line = ran.line();
    assert!(
        line.starts_with("transfer: 0 of 1200 bytes acknowledged, 0 of 12 packets; lost 127.0.0.2"),
        "{line}"
    );
    assert!(line.contains("(R1), no thread: Resource temporarily unavailable; "), "{line}");
    let hint = "; raise the limit on threads or memory (ulimit -u, ulimit -v), and send it again";
    assert!(line.ends_with(hint), "{line}");
    assert_eq!(servers.finish().packets(), 0);
    // Another user's processes count, too, so no one can say how many threads are left.
    if !is_root() {
        return;
    }
    // Measuring wants threads as well, and goes without.
    for args in [&args[..], &args[..2]] {
        let servers = Servers::start(Script::new().receivers(4));
        let Some(ran) = with_threads(3, &servers, &scratch, args) else { return };
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let transaction = servers.finish();
        assert!(transaction.payload == bytes);
        let used = transaction.parts.iter().filter(|part| part.counts.bytes > 0).count();
        // A thread that has measured may not be gone yet when the receivers' threads are made.
        let measured = args.len() == 2;
        assert!(used == 2 || measured && used == 1, "{used} receivers");
    }
}

/// A stopped process that continues finds its waits interrupted (EINTR): at the orchestrator and at a receiver.
#[test]
fn being_stopped_and_continued_changes_nothing() {
    let slow = Receiver::named("R").ack_delay(ms(60));
    let servers = Servers::start(Script::new().receiver(slow).assign_after(ms(300)));
    let scratch = Scratch::new();
    let bytes = payload(1000);
    let file = file_of(&scratch, &bytes);
    let mut command = mdalp(&servers, &["-f", &file, "--latency", "1", "-t", "30", "--fixed-timeout"]);
    let child = start(command.stdin(Stdio::null()));
    let signal =
        |name: &str| run(Command::new("sh").args(["-c", &format!("kill {name} {}", child.id())])).status;
    let mut signals = 0;
    while servers.judge().is_none_or(|transaction| transaction.packets() < 9) {
        for name in ["-STOP", "-CONT", "-WINCH", "-CONT"] {
            assert_eq!(signal(name), Some(0));
        }
        signals += 1;
        assert!(signals < 2000, "it does not go on");
        std::thread::sleep(ms(10));
    }
    let ran = finish(child);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(signals > 0);
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
    let scratch = Scratch::new();
    let bytes = payload(100);
    let file = file_of(&scratch, &bytes);
    let args =
        ["-f", &file, "--latency", "1", "--give-up", "1", "--intent-timeout", "1", "--intent-resend", "0.9"];
    let child = start(mdalp(&servers, &args).stdin(Stdio::null()));
    let signal = |name: &str| {
        let ran = run(Command::new("sh").args(["-c", &format!("kill {name} {}", child.id())]));
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    };
    let until = |done: &dyn Fn() -> bool| {
        for _ in 0..2000 {
            if done() {
                return;
            }
            std::thread::sleep(ms(5));
        }
        panic!("it does not go on");
    };
    let pause = || {
        signal("-STOP");
        std::thread::sleep(ms(1500));
        signal("-CONT");
    };
    until(&|| servers.intents() > 0);
    pause();
    until(&|| servers.judge().is_some_and(|transaction| transaction.packets() > 0));
    pause();
    let ran = finish(child);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(servers.intents(), 1, "nothing was asked for twice");
    assert!(servers.finish().payload == bytes);
}
