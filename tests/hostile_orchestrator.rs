//! Orchestrators, and strangers in their place, that send what they should not, or nothing.

use crate::loopback::{Receiver, Script, Servers, ms};
use crate::support::{PayloadFile, Scratch, long_timeouts, payload, run, send, sending, short_timeouts};
use mdalp::{Client, Error, ExitStatus, Mode, Payload};

#[test]
fn silence_ends_with_the_intent_timeout() {
    let servers = Servers::start(Script::new().receivers(1).silent_orchestrator());
    let ran = run(&mut sending(&servers, &PayloadFile::new(b"x"), "-q --intent-timeout 0.1"), 4);
    let hint = "check the address and -p, or wait longer with --intent-timeout";
    let address = servers.orchestrator();
    assert_eq!(ran.line(), format!("orchestrator {address}: no assignment within 0.1 s; {hint}"));
    assert_eq!(servers.intents(), 1);
}

/// Messages of other types, a stranger's assignment, the same once more and another TID: the transfer is as it would have
/// been without.
#[test]
fn whatever_else_comes_the_first_right_assignment_counts() {
    let others = [
        "",
        "Type:0;",
        "Type:2;TID:3740;SEQ:0;DATA:x",
        "Type:3;TID:3740;SEQ:0;",
        "Type:4;",
        "Type:10;TID:1;DATA:[];",
        "Type:11;TID:1;DATA:[{'ip_address': '127.0.0.1', 'name': 'x'}];",
        "type:1;TID:1;DATA:[{'ip_address': '127.0.0.1', 'name': 'x'}];",
        " Type:1;TID:1;DATA:[{'ip_address': '127.0.0.1', 'name': 'x'}];",
        "Typ",
        "\0\0\0\0\0\0\0",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
    ];
    let script = others.iter().fold(Script::new(), |script, other| script.before_assignment(*other));
    let script = script.before_assignment(vec![0xff; 65_507]).stranger_assigns_first();
    let script = script.assigned_twice().assigned_again_with_other_tid().assigned_twice();
    let servers = Servers::start(script.receivers(2).assign_after(ms(300)));
    let bytes = payload(1000);
    let outcome = send(&servers, long_timeouts(&servers, 2), &bytes, Mode::Balance);
    assert_eq!(outcome.flawless(&bytes).tid.0, 3740);
    assert_eq!((servers.intents(), servers.other_datagrams(), outcome.events.intents), (1, 0, 1));
    let lengths: Vec<usize> = others.iter().map(|other| other.len()).chain([100]).collect();
    assert_eq!(outcome.events.unexpected, lengths);
}

/// One line, exit status 4, and not a datagram to anybody, even where the rest of the list is right or a right assignment
/// follows. The unit tests of the parser have more of what is malformed; here `@` stands for a right entry and MARK for a
/// file that code in the list would make.
#[test]
fn a_malformed_assignment_is_one_safe_line_and_status_4() {
    let scratch = Scratch::new();
    let (file, mark) = (PayloadFile::new(b"payload"), scratch.path("mark"));
    // 64 KiB, the largest datagrams: the answer comes, and is short.
    let fill = |start: &str, rest: &str| start.to_owned() + &rest.repeat((65_507 - start.len()) / rest.len());
    for (wanted, text) in [
        ("expected ';DATA:'", "Type:1;TID:0x7;DATA:[@];"),
        ("the TID is not a 64-bit decimal number", "Type:1;TID:\u{1b}[2J;DATA:[@];"),
        ("trailing data", "Type:1;TID:7;DATA:[@]; Type:1;TID:8;DATA:[@];"),
        ("NUL byte", "Type:1;TID:7;DATA:[@]\0;"),
        ("the list of receivers is empty", "Type:1;TID:7;DATA:[];"),
        ("DATA is not a list", "Type:1;TID:7;DATA:__import__('os').system('touch MARK');"),
        ("expected a plain string", "Type:1;TID:7;DATA:[{'ip_address': open('MARK', 'w').name}];"),
        ("not an IP address", "Type:1;TID:7;DATA:[{'ip_address': '$(touch MARK)', 'name': 'R'}];"),
        ("not an IP address", "Type:1;TID:7;DATA:[{'ip_address': '\u{9b}\u{202e}1.0.0.721', 'name': 'R'}];"),
        ("not a unicast address", "Type:1;TID:7;DATA:[@, {'ip_address': '0.0.0.0', 'name': 'second'}];"),
        ("the list item is not a dictionary", &fill("Type:1;TID:7;DATA:", "[")),
        ("the TID is not a 64-bit decimal number", &fill("Type:1;TID:", "9")),
        ("unterminated string", &fill("Type:1;TID:7;DATA:[{'", "\\x41")),
        (" at byte 65", &fill("Type:1;TID:7;DATA:[", "{'ip_address': '127.0.0.2', 'name': 'R'}, ")),
    ] {
        let entry = "{'ip_address': '127.0.0.2', 'name': 'R'}";
        let datagram = text.replace('@', entry).replace("MARK", mark.to_str().unwrap());
        let servers = Servers::start(Script::new().receivers(1).before_assignment(datagram));
        let ran = run(&mut sending(&servers, &file, "-q"), 4);
        let start = format!("orchestrator {}: malformed assignment: ", servers.orchestrator());
        let why = ran.line().strip_prefix(&start).unwrap_or_else(|| panic!("{text:.99}: {}", ran.line()));
        assert!(why.contains(wanted) && why.contains(" at byte "), "{text:.99}: {why}, not {wanted}");
        assert!(why.ends_with("; tell whoever runs the orchestrator") && why.len() < 250, "{why}");
        assert!(why.chars().all(|c| c.is_ascii_graphic() || " …".contains(c)), "{text:.99}: {why:?}");
        assert!(!mark.exists(), "{text:.99}");
        assert_eq!(servers.finish().packets(), 0, "{text:.99}");
    }
}

#[test]
fn control_characters_in_a_name_never_reach_the_terminal() {
    let name = "\u{1b}[2J\u{7}\u{9b}\u{202e}\u{200b}%s\\";
    let servers = Servers::start(Script::new().receiver(Receiver::named(name).closed()));
    let words = "--latency 1 -t 0.05 -v -v";
    let ran = run(&mut sending(&servers, &PayloadFile::new(b"payload"), words), 1);
    let shown = r"(\u{1b}[2J\u{7}\u{9b}\u{202e}\u{200b}%s\\)";
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.starts_with("mdalp: transfer: ") && last.contains(shown), "{}", ran.stderr);
    let is_unsafe = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert!(!ran.stderr.contains(is_unsafe), "{:?}", ran.stderr);
}

/// An address that cannot be sent to, but is no malformed one: it is lost, the rest gets it all.
#[test]
fn a_broadcast_address_of_a_network_is_a_lost_receiver() {
    let list = |receivers| Script::new().receivers(receivers).listed_text("127.255.255.255", "everybody");
    let bytes = payload(1000);
    let servers = Servers::start(list(1));
    let outcome = send(&servers, short_timeouts(&servers, 2), &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!(outcome.lost(), [1]);
    let alone = Servers::start(list(0));
    let line = send(&alone, short_timeouts(&alone, 1), &bytes, Mode::Balance).failure(ExitStatus::Incomplete);
    let why = "(everybody), no route: Permission denied; check this host's network, and send it again";
    assert!(line.ends_with(why), "{line}");
}

/// One thread serves all entries in turn: with two, a second packet would come before the ack of the first.
#[test]
fn an_address_listed_more_than_once_is_one_receiver() {
    let bytes = payload(3000);
    for (entries, shares) in [
        (&["127.0.0.2"][..], [2000, 1000]),
        (&["127.0.0.2", "127.0.0.2"], [2250, 750]),
        (&["::ffff:127.0.0.2"], [2000, 1000]),
        (&["::FFFF:7f00:3", "127.0.0.2", "::ffff:127.0.0.3"], [1200, 1800]),
    ] {
        let two = Script::new().with(["A", "B"].map(|name| Receiver::named(name).ack_delay(ms(2))));
        let again = |script: Script, address: &&str| script.listed_text(address, "again");
        let servers = Servers::start(entries.iter().fold(two, again));
        let outcome = send(&servers, long_timeouts(&servers, 2 + entries.len()), &bytes, Mode::Balance);
        assert_eq!(outcome.flawless(&bytes).receivers.len(), 2, "{entries:?}");
        assert_eq!(outcome.transaction.shares(), shares, "{entries:?}");
        let sources = outcome.transaction.parts.iter().map(|part| part.counts.sources);
        assert!(sources.eq([1, 1]), "{entries:?}: one socket each");
    }
}

/// B's last range comes after A's second one.
#[test]
fn an_address_listed_twice_is_lost_once_with_both_ranges() {
    let script = Script::new().receiver(Receiver::named("A").dies_after_acks(12));
    let servers = Servers::start(script.receiver(Receiver::named("B")).listed_again("A"));
    let bytes = payload(3000);
    let outcome = send(&servers, short_timeouts(&servers, 3), &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!((outcome.lost(), &outcome.events.moves[..]), (vec![0], &[(0, 1, 22, 8)][..]));
}

/// Where there is no IPv6 at all, the error says so instead.
#[test]
fn ipv6_literals_work_for_orchestrator_and_receivers() {
    let Ok(servers) = Servers::try_start(Script::new().ipv6().receivers(1)) else {
        let client = Client::new("[::1]:9".parse().unwrap());
        let error = client.send(&Payload::from_bytes("x").unwrap(), Mode::Balance).unwrap_err();
        assert!(matches!(error, Error::Orchestrator { .. }), "{error}");
        return;
    };
    let bytes = payload(1000);
    send(&servers, long_timeouts(&servers, 1), &bytes, Mode::Balance).flawless(&bytes);
    // The orchestrator on IPv6, receivers of both kinds: the same port is not free on both for sure, so one is closed.
    let mixed = Servers::start(Script::new().ipv6().receivers(1).listed_text("127.0.0.2", "IPv4"));
    send(&mixed, short_timeouts(&mixed, 2), &bytes, Mode::Balance).arrived(&bytes);
    run(&mut sending(&servers, &PayloadFile::new(&bytes), "-q --latency 1"), 0);
    assert!(servers.finish().payload == bytes);
}
