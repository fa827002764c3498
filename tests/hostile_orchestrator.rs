//! Orchestrators, and strangers in their place, that send what they should not, or nothing.

use crate::loopback::{Receiver, Script, Servers, Verdict, closed_port, ms};
use crate::support::{Scratch, long_timeouts, mdalp, payload, run, send, short_timeouts};
use mdalp::cli::Explained;
use mdalp::{Client, Error, ExitStatus, Mode, Options, Payload};
use std::time::Duration;

/// What a client that gets no assignment says, and how it exits.
fn no_assignment(servers: &Servers, patience: Duration) -> String {
    let options = Options { intent_timeout: patience, ..long_timeouts(servers, 1) };
    let payload = Payload::from_bytes("x").unwrap();
    let error =
        Client::with_options(servers.orchestrator(), options).send(&payload, Mode::Balance).unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Orchestrator);
    assert!(error.report().is_none());
    Explained(&error).to_string()
}

#[test]
fn silence_ends_with_the_intent_timeout() {
    let servers = Servers::start(Script::new().receivers(1).silent_orchestrator());
    let line = no_assignment(&servers, ms(100));
    let wanted = format!(
        "orchestrator {}: no assignment within 0.1 s; check the address and -p, or wait longer with --intent-timeout",
        servers.orchestrator()
    );
    assert_eq!((line, servers.intents()), (wanted, 1));
}

#[test]
fn a_flood_does_not_move_the_end_of_the_wait() {
    for rate in [None, Some(5000)] {
        let script = Script::new().receivers(1).silent_orchestrator();
        let servers = Servers::start(script.orchestrator_floods(rate, Duration::from_secs(3600)));
        let line = no_assignment(&servers, ms(200));
        assert!(line.contains("no assignment within 0.2 s"), "{line}");
    }
}

#[test]
fn a_closed_port_is_an_error_at_once() {
    let address = closed_port().unwrap();
    let options = Options { intent_timeout: Duration::from_secs(604_800), ..Options::default() };
    let payload = Payload::from_bytes("x").unwrap();
    let error = Client::with_options(address, options).send(&payload, Mode::Balance).unwrap_err();
    assert_eq!(error.exit_status(), ExitStatus::Orchestrator);
    let why = "connection refused: nothing is listening on that port; check the address and -p";
    assert_eq!(Explained(&error).to_string(), format!("orchestrator {address}: {why}"));
}

#[test]
fn an_assignment_from_a_stranger_is_none() {
    let servers = Servers::start(Script::new().receivers(1).only_stranger_assigns());
    assert!(no_assignment(&servers, ms(200)).contains("no assignment within 0.2 s"));
    assert_eq!(servers.finish().packets(), 0);
}

/// The transfer is as it would have been without what the orchestrator says besides.
fn one_right_assignment(script: Script) -> crate::support::Told {
    let servers = Servers::start(script.receivers(2));
    let bytes = payload(1000);
    let outcome = send(&servers, long_timeouts(&servers, 2), &bytes, Mode::Balance);
    let report = outcome.result.unwrap();
    assert_eq!((report.tid.0, report.acked_bytes(), report.retransmissions()), (3740, 1000, 0));
    let transaction = servers.judge().unwrap();
    assert_eq!((transaction.verdict, &transaction.remarks[..]), (Verdict::Completed, &[][..]));
    assert!(transaction.payload == bytes);
    assert_eq!((servers.intents(), servers.other_datagrams(), outcome.told.intents), (1, 0, 1));
    outcome.told
}

#[test]
fn a_strangers_assignment_does_not_spoil_the_right_one() {
    assert_eq!(one_right_assignment(Script::new().stranger_assigns_first()).unexpected, []);
}

#[test]
fn a_second_assignment_is_ignored_whatever_its_tid() {
    one_right_assignment(Script::new().assigned_twice());
    one_right_assignment(Script::new().assigned_again_with_other_tid());
    one_right_assignment(Script::new().assigned_twice().assigned_again_with_other_tid().assigned_twice());
}

#[test]
fn messages_of_other_types_are_waited_past() {
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
    let told = one_right_assignment(script.before_assignment(vec![0xff; 65_507]));
    let lengths: Vec<usize> = others.iter().map(|other| other.len()).chain([100]).collect();
    assert_eq!(told.unexpected, lengths);
}

#[test]
fn a_lost_intent_is_sent_again_only_if_asked() {
    one_right_assignment(Script::new().assign_after(ms(300)));
    let servers = Servers::start(Script::new().receivers(1).lose_intents(2));
    assert!(no_assignment(&servers, ms(100)).contains("no assignment"));
    assert_eq!(servers.intents(), 1);
    let options = Options { intent_resend: Some(ms(50)), ..long_timeouts(&servers, 1) };
    let outcome = send(&servers, options, b"x", Mode::Balance);
    assert!(outcome.result.is_ok() && outcome.told.intents >= 2, "{}", outcome.told.intents);
}

/// An entry of the list, as the orchestrator writes it.
const ENTRY: &str = "{'ip_address': '127.0.0.2', 'name': 'R'}";

/// What the error says of datagrams that begin as an assignment and are none; the unit tests of the parser have more. `@`
/// stands for [`ENTRY`], MARK for a file that code in it would make, `\u{…}` for characters that would move a cursor, ring a
/// bell or turn a line around.
const MALFORMED: &str = r#"
expected 'Type:1;'|Type:1 ;TID:7;DATA:[@];
expected 'TID:'|Type:1;DATA:[@];
the TID is not a 64-bit decimal number|Type:1;TID:18446744073709551616;DATA:[@];
the TID is not a 64-bit decimal number|Type:1;TID:\u{1b}[2J;DATA:[@];
expected ';DATA:'|Type:1;TID:0x7;DATA:[@];
trailing data|Type:1;TID:7;DATA:[@]; Type:1;TID:8;DATA:[@];
NUL byte|Type:1;TID:7;DATA:[@]\u{0};
DATA is not a list|Type:1;TID:7;DATA:
DATA is not a list|Type:1;TID:7;DATA:(@,);
DATA is not a list|Type:1;TID:7;DATA:\u{1b}]0;owned\u{7}
the list of receivers is empty|Type:1;TID:7;DATA:[];
expected ',' or ']'|Type:1;TID:7;DATA:[@
trailing comma|Type:1;TID:7;DATA:[@,];
the list item is not a dictionary|Type:1;TID:7;DATA:[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
the key 'ip_address' is missing|Type:1;TID:7;DATA:[{'name': 'R'}];
the value is not a string|Type:1;TID:7;DATA:[{'ip_address': 2130706434, 'name': 'R'}];
duplicate key|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2', 'ip_address': '127.0.0.3', 'name': 'R'}];
unterminated string|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2', 'name': 'R
invalid escape|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2', 'name': '\xZZ'}];
DATA is not a list|Type:1;TID:7;DATA:__import__('os').system('touch MARK');
the list item is not a dictionary|Type:1;TID:7;DATA:[__import__('os').system('touch MARK')];
expected a plain string|Type:1;TID:7;DATA:[{'ip_address': __import__('os').system('touch MARK'), 'name': 'R'}];
expected a plain string|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2', 'name': open('MARK', 'w').name}];
expected a plain string|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2', 'name': f'{open("MARK", "w")}'}];
expected ',' or ']'|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2', 'name': 'R'} for _ in [open('MARK', 'w')]];
not an IP address|Type:1;TID:7;DATA:[{'ip_address': '$(touch MARK)', 'name': 'R'}];
not an IP address|Type:1;TID:7;DATA:[{'ip_address': 'localhost', 'name': 'R'}];
not an IP address|Type:1;TID:7;DATA:[{'ip_address': '127.0.0.2:4650', 'name': 'R'}];
not an IP address|Type:1;TID:7;DATA:[{'ip_address': '\u{202e}1.0.0.721', 'name': 'R'}];
not an IP address|Type:1;TID:7;DATA:[{'ip_address': '\u{1b}[31m\u{9b}2J', 'name': 'R'}];
not a unicast address|Type:1;TID:7;DATA:[{'ip_address': '::ffff:224.0.0.1', 'name': 'R'}];
not a unicast address|Type:1;TID:7;DATA:[@, {'ip_address': '0.0.0.0', 'name': 'second'}];
"#;

/// One line, exit status 4, and not a datagram to anybody, even where the rest of the list is right.
#[test]
fn a_malformed_assignment_is_one_safe_line_and_status_4() {
    let scratch = Scratch::new();
    let (file, mark) = (scratch.file("payload", b"payload"), scratch.path("mark"));
    for line in MALFORMED.lines().skip(1) {
        let (wanted, text) = line.split_once('|').unwrap();
        let mut datagram = text.replace('@', ENTRY).replace("MARK", mark.to_str().unwrap());
        for c in ['\0', '\u{7}', '\u{1b}', '\u{9b}', '\u{202e}'] {
            datagram = datagram.replace(&c.escape_unicode().to_string(), &c.to_string());
        }
        let servers = Servers::start(Script::new().receivers(1).raw_assignment(datagram));
        let ran = run(&mut mdalp(&servers, &["-f", file.to_str().unwrap()]));
        assert_eq!(ran.status, Some(4), "{text:?}: {:?}", ran.stderr);
        let start = format!("orchestrator {}: malformed assignment: ", servers.orchestrator());
        let why = ran.line().strip_prefix(&start).unwrap_or_else(|| panic!("{text:?}: {}", ran.line()));
        assert!(why.contains(wanted), "{text:?}: {why}, not {wanted}");
        assert!(why.contains(" at byte ") && why.ends_with("; tell whoever runs the orchestrator"), "{why}");
        assert!(why.is_ascii() || why.contains('…'), "{text:?}: {why}");
        assert!(ran.line().len() < 300 && !ran.line().contains('\u{202e}'), "{text:?}: {why}");
        assert!(ran.stdout.is_empty() && !mark.exists(), "{text:?}");
        assert_eq!(servers.finish().packets(), 0, "{text:?}");
    }
}

/// The first Type 1 decides, so no one can be made to wait by malformed ones.
#[test]
fn a_right_assignment_after_a_malformed_one_is_too_late() {
    let servers = Servers::start(Script::new().receivers(1).before_assignment("Type:1;TID:7;DATA:[];"));
    assert!(no_assignment(&servers, Duration::from_secs(3600)).contains("the list of receivers is empty"));
}

/// 64 KiB of every shape: the answer comes, and is short.
#[test]
fn the_largest_datagrams_are_read_in_no_time_and_quoted_in_part() {
    let fill = |head: &str, body: &str| head.to_owned() + &body.repeat((65_507 - head.len()) / body.len());
    for (datagram, wanted) in [
        (fill("Type:1;TID:7;DATA:", "["), "the list item is not a dictionary"),
        (fill("Type:1;TID:", "9"), "the TID is not a 64-bit decimal number"),
        (fill("Type:1;TID:7;DATA:[{'", "\\x41"), "unterminated string"),
        (fill("Type:1;TID:7;DATA:[", "{'a':1,"), "a list item"),
        (fill("Type:1;TID:7;DATA:[{", "'a': 1, "), "trailing comma"),
        (fill("Type:1;TID:7;DATA:[", "{'ip_address': '127.0.0.2', 'name': 'R'}, "), "a list item"),
    ] {
        let servers = Servers::start(Script::new().receivers(1).raw_assignment(datagram));
        let line = no_assignment(&servers, Duration::from_secs(3600));
        assert!(line.contains("malformed assignment") && line.len() < 300, "{line}");
        assert!(line.contains(wanted) || line.contains(" at byte "), "{line}");
    }
}

#[test]
fn control_characters_in_a_name_never_reach_the_terminal() {
    let name = "\u{1b}[2J\u{7}\u{9b}\u{202e}\u{200b}%s\\";
    let servers = Servers::start(Script::new().receiver(Receiver::named(name).closed()));
    let scratch = Scratch::new();
    let file = scratch.file("payload", b"payload");
    let args = ["-f", file.to_str().unwrap(), "--latency", "1", "-t", "0.05", "-v", "-v"];
    let ran = run(&mut mdalp(&servers, &args));
    assert_eq!(ran.status, Some(1), "{}", ran.stderr);
    let shown = r"(\u{1b}[2J\u{7}\u{9b}\u{202e}\u{200b}%s\\)";
    assert!(
        ran.stderr.lines().any(|line| line.starts_with("mdalp: transfer: ") && line.contains(shown)),
        "{}",
        ran.stderr
    );
    let unsafe_char = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert!(!ran.stderr.chars().any(unsafe_char), "{:?}", ran.stderr);
}

/// A list of addresses that cannot be sent to, but are no malformed ones: they are lost, the rest gets it all.
#[test]
fn a_broadcast_address_of_a_network_is_a_lost_receiver() {
    let script = Script::new().receivers(1).listed_text("127.255.255.255", "everybody");
    let servers = Servers::start(script);
    let bytes = payload(1000);
    let outcome = send(&servers, short_timeouts(&servers, 2), &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!(outcome.told.lost.len(), 1);
    assert_eq!(outcome.told.lost[0].1.to_string(), "no route: Permission denied");
    let alone = Servers::start(Script::new().listed_text("127.255.255.255", "everybody"));
    let line = send(&alone, short_timeouts(&alone, 1), &bytes, Mode::Balance).line();
    assert!(
        line.ends_with(
            "(everybody), no route: Permission denied; check this host's network, and send it again"
        ),
        "{line}"
    );
}

/// One thread serves all entries in turn: with two, a second packet would come before the ack of the first.
#[test]
fn an_address_listed_more_than_once_is_one_receiver() {
    let again = |script: Script, entries: &[&str]| {
        entries.iter().fold(script, |script, address| script.listed_text(address, "again"))
    };
    for (entries, shares) in [
        (&["127.0.0.2"][..], [2000, 1000]),
        (&["127.0.0.2", "127.0.0.2"], [2250, 750]),
        (&["::ffff:127.0.0.2"], [2000, 1000]),
        (&["::FFFF:7f00:3", "127.0.0.2", "::ffff:127.0.0.3"], [1200, 1800]),
    ] {
        let two = Script::new()
            .receiver(Receiver::named("A").ack_delay(ms(2)))
            .receiver(Receiver::named("B").ack_delay(ms(2)));
        let servers = Servers::start(again(two, entries));
        let bytes = payload(3000);
        let outcome = send(&servers, long_timeouts(&servers, 2 + entries.len()), &bytes, Mode::Balance);
        let report = outcome.result.unwrap();
        assert_eq!((report.receivers.len(), report.acked_bytes()), (2, 3000), "{entries:?}");
        let transaction = servers.finish();
        assert_eq!(
            (transaction.verdict, &transaction.remarks[..]),
            (Verdict::Completed, &[][..]),
            "{entries:?}"
        );
        assert!(transaction.payload == bytes, "{entries:?}");
        assert_eq!(transaction.shares(), shares, "{entries:?}");
        assert!(
            transaction.parts.iter().all(|part| part.counts.sources == 1),
            "{entries:?}: one socket each"
        );
    }
}

#[test]
fn an_address_listed_twice_is_lost_once_with_both_ranges() {
    let servers = Servers::start(
        Script::new()
            .receiver(Receiver::named("A").dies_after_acks(12))
            .receiver(Receiver::named("B"))
            .listed_again("A"),
    );
    let bytes = payload(3000);
    let outcome = send(&servers, short_timeouts(&servers, 3), &bytes, Mode::Balance);
    outcome.arrived(&bytes);
    assert_eq!(outcome.told.lost.iter().map(|(entry, _)| *entry).collect::<Vec<_>>(), [0]);
    assert_eq!(outcome.told.moves, [(0, 1, 22, 8)]);
    // B's last range comes after A's second one.
}

/// Where there is no IPv6 at all, the error says so instead.
#[test]
fn ipv6_literals_work_for_orchestrator_and_receivers() {
    let servers = match Servers::try_start(Script::new().ipv6().receivers(1)) {
        Ok(servers) => servers,
        Err(_) => {
            let client = Client::new("[::1]:9".parse().unwrap());
            let error = client.send(&Payload::from_bytes("x").unwrap(), Mode::Balance).unwrap_err();
            assert!(matches!(error, Error::Orchestrator { .. }), "{error}");
            return;
        }
    };
    let bytes = payload(1000);
    let outcome = send(&servers, long_timeouts(&servers, 1), &bytes, Mode::Balance);
    assert_eq!(outcome.result.unwrap().acked_bytes(), 1000);
    assert!(outcome.transaction.payload == bytes && outcome.transaction.remarks.is_empty());
    // The orchestrator on IPv6, receivers of both kinds: the same port is not free on both for sure, so one is closed.
    let mixed = Servers::start(Script::new().ipv6().receivers(1).listed_text("127.0.0.2", "IPv4"));
    let outcome = send(&mixed, short_timeouts(&mixed, 2), &bytes, Mode::Balance);
    assert!(outcome.result.is_ok(), "{}", outcome.line());
    let scratch = Scratch::new();
    let file = scratch.file("payload", &bytes);
    let servers = Servers::start(Script::new().ipv6().receivers(1));
    let ran = run(&mut mdalp(&servers, &["-f", file.to_str().unwrap(), "--latency", "1"]));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(servers.finish().payload == bytes);
}
