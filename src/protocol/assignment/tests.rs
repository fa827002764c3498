use super::*;
use crate::testing::Rng;
use std::collections::HashSet;

/// Type 1 of the recorded transaction (PROTOCOL.md).
const RECORDED: &[u8] = b"Type:1;TID:3740;DATA:[{'ip_address': '177.71.168.45', 'name': '5th Receiver'}, \
    {'ip_address': '54.200.52.112', 'name': '4th Receiver'}, \
    {'ip_address': '18.134.193.153', 'name': '2nd Receiver'}];";

fn recorded() -> Assignment {
    let of = |address: &str, name: &str| Receiver { address: address.parse().unwrap(), name: name.into() };
    Assignment {
        tid: Tid(3740),
        receivers: vec![
            of("177.71.168.45", "5th Receiver"),
            of("54.200.52.112", "4th Receiver"),
            of("18.134.193.153", "2nd Receiver"),
        ],
    }
}

/// The one receiver of `Type:1;TID:7;DATA:<data>`.
fn only(data: &[u8]) -> Receiver {
    let datagram = [b"Type:1;TID:7;DATA:", data].concat();
    let assignment = Assignment::parse(&datagram).unwrap_or_else(|e| panic!("{}: {e}", data.escape_ascii()));
    assert_eq!((assignment.tid, assignment.receivers.len()), (Tid(7), 1));
    assignment.receivers.into_iter().next().unwrap()
}

/// The name in `[{'ip_address': '10.0.0.1', 'name': <literal>}];`.
fn name_of(literal: &[u8]) -> String {
    only(&[b"[{'ip_address': '10.0.0.1', 'name': ", literal, b"}];"].concat()).name
}

#[test]
fn the_recorded_assignment_has_the_bytes_of_the_protocol_both_ways() {
    assert_eq!(Assignment::parse(RECORDED), Ok(recorded()));
    assert_eq!(recorded().encode(), RECORDED);
    assert_eq!(RECORDED.len(), 194);
}

#[test]
fn every_accepted_way_to_write_it_reads_the_same() {
    let wanted = Receiver { address: "10.0.0.1".parse().unwrap(), name: "A".into() };
    for data in [
        "[{'ip_address': '10.0.0.1', 'name': 'A'}];",
        "[{'ip_address': '10.0.0.1', 'name': 'A'}]",
        "[{'ip_address':'10.0.0.1','name':'A'}];",
        "  [ { 'ip_address' : '10.0.0.1' , 'name' : 'A' } ]  ;",
        "[{'name': 'A', 'ip_address': '10.0.0.1'}];",
        r#"[{"ip_address": "10.0.0.1", "name": "A"}];"#,
        r#"[{'ip_address': "10.0.0.1", "name": 'A'}];"#,
        r"[{'ip\x5faddress': '\x31\60.0.0.\u0031', '\156ame': '\U00000041'}];",
        "[{'ip_address': '::ffff:10.0.0.1', 'name': 'A'}];",
        "[{'id': 5, 'ip_address': '10.0.0.1', 'name': 'A'}];",
        "[{'ip_address': '10.0.0.1', 'up': True, 'name': 'A', 'down': False, 'x': None}];",
        "[{'ip_address': '10.0.0.1', 'load': -0.25, 'name': 'A', 'n': 1e-05, 'm': 1E+16, 'o': +3.}];",
        "[{'ip_address': '10.0.0.1', 'name': 'A', 'zone': 'eu', 'zone': 0, '': ''}];",
    ] {
        assert_eq!(only(data.as_bytes()), wanted, "{data}");
    }
    assert_eq!(only(b"[{'ip_address': '2001:DB8::1', 'name': ''}];").address.to_string(), "2001:db8::1");
    assert_eq!(only(b"[{'ip_address': '::1', 'name': ''}];").address.to_string(), "::1");
    let most = Assignment::parse(b"Type:1;TID:18446744073709551615;DATA:[{'ip_address':'::1','name':''}]");
    assert_eq!(most.unwrap().tid, Tid(u64::MAX));
}

#[test]
fn escapes_mean_what_python_says() {
    for (literal, name) in [
        (r"'\\ \' \42'", "\\ ' \""),
        (r#""\" ' \'""#, "\" ' '"),
        (r"'\a\b\f\n\r\t\v'", "\x07\x08\x0c\n\r\t\x0b"),
        (r"'\0\08\7\101\1011\777'", "\0\08\x07AA1\u{1ff}"),
        (r"'\x41\xe9\x00g'", "Aé\0g"),
        (r"'\u6771\U0001F600'", "東😀"),
        (r"'\ud83d\ude00\U0000dfff'", "\u{fffd}\u{fffd}\u{fffd}"),
        (r"'\q\é\ \9'", "\\q\\é\\ \\9"),
        ("'a\\\nb\\\r\nc\\\rd'", "abcd"),
        ("'東 é'", "東 é"),
        ("'\x1b[2J\x7f\t'", "\x1b[2J\x7f\t"),
        ("''", ""),
    ] {
        assert_eq!(name_of(literal.as_bytes()), name, "{literal}");
    }
    assert_eq!(name_of(b"'a\xffb\xc3'"), "a\u{fffd}b\u{fffd}");
    assert_eq!(name_of(b"'\xc3\\xa9'"), "\u{fffd}©", "raw bytes and escapes do not join to a character");
    assert_eq!(name_of(b"'\xc3\\\n\xa9'"), "\u{fffd}\u{fffd}", "nor do raw bytes on two lines");
}

/// A malformed datagram and the whole message about it.
const MALFORMED: &[(&str, &str)] = &[
    ("", "it does not begin with Type:1;, at byte 0, where the datagram ends"),
    ("Type:3;TID:7;SEQ:1;", "it does not begin with Type:1;, at byte 0: Type:3;TID:7;SEQ:1;"),
    ("Type:1", "it does not begin with Type:1;, at byte 0: Type:1"),
    ("Type:01;TID:7;DATA:[]", "it does not begin with Type:1;, at byte 0: Type:01;TID:7;DATA:[]"),
    ("Type:1;", "no TID: after the type, at byte 7, where the datagram ends"),
    ("Type:1;DATA:[];", "no TID: after the type, at byte 7: DATA:[];"),
    (
        "Type:1;TID:",
        "the TID is no plain decimal number of at most 64 bits, at byte 11, where the datagram ends",
    ),
    ("Type:1;TID:;DATA:[]", "the TID is no plain decimal number of at most 64 bits, at byte 11: ;DATA:[]"),
    ("Type:1;TID:x7;", "the TID is no plain decimal number of at most 64 bits, at byte 11: x7;"),
    ("Type:1;TID:7x;", "the TID is no plain decimal number of at most 64 bits, at byte 11: 7x;"),
    ("Type:1;TID:-7;", "the TID is no plain decimal number of at most 64 bits, at byte 11: -7;"),
    ("Type:1;TID: 7;", "the TID is no plain decimal number of at most 64 bits, at byte 11:  7;"),
    ("Type:1;TID:07;", "the TID is no plain decimal number of at most 64 bits, at byte 11: 07;"),
    (
        "Type:1;TID:18446744073709551616;",
        "the TID is no plain decimal number of at most 64 bits, at byte 11: 18446744073709551616;",
    ),
    ("Type:1;TID:7", "no DATA: after the TID, at byte 12, where the datagram ends"),
    ("Type:1;TID:7;", "no DATA: after the TID, at byte 13, where the datagram ends"),
    ("Type:1;TID:7;SEQ:1;", "no DATA: after the TID, at byte 13: SEQ:1;"),
    ("Type:1;TID:7;DATA:[{\0}];", "a NUL byte, at byte 20: \\x00}];"),
];

/// The same for what follows `Type:1;TID:7;DATA:`, where byte 18 is the first.
const MALFORMED_DATA: &[(&str, &str)] = &[
    ("", "DATA is not a list, at byte 18, where the datagram ends"),
    (";", "DATA is not a list, at byte 18: ;"),
    ("{'name': 'A'};", "DATA is not a list, at byte 18: {\\'name\\': \\'A\\'};"),
    ("({},);", "DATA is not a list, at byte 18: ({},);"),
    ("'10.0.0.1';", "DATA is not a list, at byte 18: \\'10.0.0.1\\';"),
    ("None;", "DATA is not a list, at byte 18: None;"),
    (
        "__import__('os').system('id');",
        "DATA is not a list, at byte 18: __import__(\\'os\\').system(\\'id\\'…",
    ),
    ("[];", "the list of receivers is empty, at byte 19: ];"),
    ("[  ]", "the list of receivers is empty, at byte 21: ]"),
    ("[", "a list item is not a dictionary, at byte 19, where the datagram ends"),
    ("[,];", "a list item is not a dictionary, at byte 19: ,];"),
    ("['10.0.0.1'];", "a list item is not a dictionary, at byte 19: \\'10.0.0.1\\'];"),
    ("[[{}]];", "a list item is not a dictionary, at byte 19: [{}]];"),
    ("[dict(name=1)];", "a list item is not a dictionary, at byte 19: dict(name=1)];"),
    ("[{}];", "no ip_address in the dictionary, at byte 19: {}];"),
    ("[{'name': 'A'}];", "no ip_address in the dictionary, at byte 19: {\\'name\\': \\'A\\'}];"),
    ("[{'ip_address': '::1'}];", "no name in the dictionary, at byte 19: {\\'ip_address\\': \\'::1\\'}];"),
    ("[{", "a key is not a quoted string, at byte 20, where the datagram ends"),
    ("[{,}];", "a key is not a quoted string, at byte 20: ,}];"),
    ("[{1: 'A'}];", "a key is not a quoted string, at byte 20: 1: \\'A\\'}];"),
    ("[{None: 'A'}];", "a key is not a quoted string, at byte 20: None: \\'A\\'}];"),
    ("[{name: 'A'}];", "code (nothing is ever evaluated), at byte 20: name: \\'A\\'}];"),
    ("[{**x}];", "a key is not a quoted string, at byte 20: **x}];"),
    ("[{('a',): 1}];", "a bracket where a string or number should be, at byte 20: (\\'a\\',): 1}];"),
    ("[{'name'}];", "no : after a key, at byte 26: }];"),
    ("[{'name', 'A'}];", "no : after a key, at byte 26: , \\'A\\'}];"),
    ("[{'name'", "no : after a key, at byte 26, where the datagram ends"),
    ("[{'name': }];", "no string, number, True, False or None as a value, at byte 28: }];"),
    ("[{'name':", "no string, number, True, False or None as a value, at byte 27, where the datagram ends"),
    ("[{'name': 'A', 'name': 'B'}];", "a key that was there before, at byte 33: \\'name\\': \\'B\\'}];"),
    (
        "[{'ip_address': '::1', 'ip_address': '::1'}];",
        "a key that was there before, at byte 41: \\'ip_address\\': \\'::1\\'}];",
    ),
    ("[{'name': 5}];", "the value of ip_address or name is not a string, at byte 28: 5}];"),
    ("[{'name': None}];", "the value of ip_address or name is not a string, at byte 28: None}];"),
    (
        "[{'ip_address': 167772161}];",
        "the value of ip_address or name is not a string, at byte 34: 167772161}];",
    ),
    ("[{'name': ['A']}];", "a bracket where a string or number should be, at byte 28: [\\'A\\']}];"),
    ("[{'x': {'y': 1}}];", "a bracket where a string or number should be, at byte 25: {\\'y\\': 1}}];"),
    ("[{'x': (1)}];", "a bracket where a string or number should be, at byte 25: (1)}];"),
    (
        "[{'name': __import__('os').system('id')}];",
        "code (nothing is ever evaluated), at byte 28: __import__(\\'os\\').system(\\'id\\'…",
    ),
    ("[{'name': lambda: 0}];", "code (nothing is ever evaluated), at byte 28: lambda: 0}];"),
    ("[{'name': Truex}];", "code (nothing is ever evaluated), at byte 28: Truex}];"),
    ("[{'x': true}];", "code (nothing is ever evaluated), at byte 25: true}];"),
    ("[{'x': -y}];", "code (nothing is ever evaluated), at byte 25: -y}];"),
    ("[{'x': 0x1f}];", "code (nothing is ever evaluated), at byte 25: 0x1f}];"),
    ("[{'x': 1_000}];", "code (nothing is ever evaluated), at byte 25: 1_000}];"),
    ("[{'x': 007}];", "code (nothing is ever evaluated), at byte 25: 007}];"),
    ("[{'x': 1e}];", "code (nothing is ever evaluated), at byte 25: 1e}];"),
    ("[{'x': 1j}];", "code (nothing is ever evaluated), at byte 25: 1j}];"),
    ("[{'x': 9**9}];", "neither , nor } after a value, at byte 26: **9}];"),
    ("[{'name': 'A' + 'B'}];", "neither , nor } after a value, at byte 32: + \\'B\\'}];"),
    ("[{'name': 'A' * 9999}];", "neither , nor } after a value, at byte 32: * 9999}];"),
    ("[{'name': 'A'.upper()}];", "neither , nor } after a value, at byte 31: .upper()}];"),
    ("[{'name': 'A' if 1 else 'B'}];", "neither , nor } after a value, at byte 32: if 1 else \\'B\\'}];"),
    ("[{'name': 'A'", "neither , nor } after a value, at byte 31, where the datagram ends"),
    ("[{'name': 'A' # B\n}];", "neither , nor } after a value, at byte 32: # B\\n}];"),
    ("[{'name': 'A'\n}];", "neither , nor } after a value, at byte 31: \\n}];"),
    ("[{'name': b'A'}];", "a string with a prefix, at byte 28: b\\'A\\'}];"),
    ("[{'name': f'{exit()}'}];", "a string with a prefix, at byte 28: f\\'{exit()}\\'}];"),
    ("[{'name': u\"A\"}];", "a string with a prefix, at byte 28: u\\\"A\\\"}];"),
    ("[{'name': Rb'A'}];", "a string with a prefix, at byte 28: Rb\\'A\\'}];"),
    ("[{r'name': 'A'}];", "a string with a prefix, at byte 20: r\\'name\\': \\'A\\'}];"),
    ("[{'name': 'A' 'B'}];", "two strings side by side, at byte 32: \\'B\\'}];"),
    ("[{'na' 'me': 'A'}];", "two strings side by side, at byte 25: \\'me\\': \\'A\\'}];"),
    ("[{'name': '''A'''}];", "two strings side by side, at byte 30: \\'A\\'\\'\\'}];"),
    ("[{'name': 'A}];", "a string without its closing quote, at byte 28: \\'A}];"),
    ("[{'name': \"A'}];", "a string without its closing quote, at byte 28: \\\"A\\'}];"),
    ("[{'name': 'A\\", "a string without its closing quote, at byte 28: \\'A\\\\"),
    ("[{'name': 'A\\'}];", "a string without its closing quote, at byte 28: \\'A\\\\\\'}];"),
    ("[{'name': 'A\nB'}];", "a line break within a string, at byte 30: \\nB\\'}];"),
    ("[{'name': 'A\rB'}];", "a line break within a string, at byte 30: \\rB\\'}];"),
    ("[{'name': '\\x4'}];", "a bad escape in a string, at byte 29: \\\\x4\\'}];"),
    ("[{'name': '\\xg1'}];", "a bad escape in a string, at byte 29: \\\\xg1\\'}];"),
    ("[{'name': '\\u12'}];", "a bad escape in a string, at byte 29: \\\\u12\\'}];"),
    ("[{'name': '\\U00110000'}];", "a bad escape in a string, at byte 29: \\\\U00110000\\'}];"),
    ("[{'name': '\\Uffffffff'}];", "a bad escape in a string, at byte 29: \\\\Uffffffff\\'}];"),
    ("[{'name': '\\N{BULLET}'}];", "a bad escape in a string, at byte 29: \\\\N{BULLET}\\'}];"),
    ("[{'name': 'A',}];", "nothing between a comma and the end of a list or dictionary, at byte 32: }];"),
    (
        "[{'ip_address':'::1','name':'A'},];",
        "nothing between a comma and the end of a list or dictionary, at byte 51: ];",
    ),
    (
        "[{'ip_address':'::1','name':'A'}",
        "neither , nor ] after a list item, at byte 50, where the datagram ends",
    ),
    ("[{'ip_address':'::1','name':'A'};", "neither , nor ] after a list item, at byte 50: ;"),
    ("[{'ip_address':'::1','name':'A'} {}];", "neither , nor ] after a list item, at byte 51: {}];"),
    (
        "[{'ip_address':'::1','name':'A'} for x in y];",
        "neither , nor ] after a list item, at byte 51: for x in y];",
    ),
    ("[{'ip_address':'::1','name':'A'}, 5];", "a list item is not a dictionary, at byte 52: 5];"),
    ("[{'ip_address':'::1','name':'A'}, {}];", "no ip_address in the dictionary, at byte 52: {}];"),
    ("[{'ip_address':'::1','name':'A'}];;", "something after the list, at byte 52: ;"),
    ("[{'ip_address':'::1','name':'A'}]; ", "something after the list, at byte 52:  "),
    ("[{'ip_address':'::1','name':'A'}][0];", "something after the list, at byte 51: [0];"),
    ("[{'ip_address':'::1','name':'A'}]*99;", "something after the list, at byte 51: *99;"),
    ("[{'ip_address':'::1','name':'A'}];Type:1;", "something after the list, at byte 52: Type:1;"),
];

/// The same for the text of an address, with byte 34 its opening quote.
const REFUSED_ADDRESSES: &[(&str, &str)] = &[
    ("", "the address is not an IP literal"),
    ("10.0.0", "the address is not an IP literal"),
    ("10.0.0.256", "the address is not an IP literal"),
    ("010.0.0.1", "the address is not an IP literal"),
    ("10.0.0.1 ", "the address is not an IP literal"),
    ("10.0.0.1/24", "the address is not an IP literal"),
    ("167772161", "the address is not an IP literal"),
    ("1::2::3", "the address is not an IP literal"),
    ("[::1]", "the address is not an IP literal"),
    ("-oProxy command", "the address is not an IP literal"),
    ("localhost", "the address is a host name, not an IP literal"),
    ("receiver-5.example.org", "the address is a host name, not an IP literal"),
    ("0x7f.0.0.1", "the address is a host name, not an IP literal"),
    ("10.0.0.1:4650", "the address has a port"),
    ("10.0.0.1:", "the address has a port"),
    ("[::1]:4650", "the address has a port"),
    ("fe80::1%eth0", "the address has a zone"),
    ("[fe80::1%2]:80", "the address has a zone"),
    ("0.0.0.0", "the address is the unspecified one"),
    ("::", "the address is the unspecified one"),
    ("::ffff:0.0.0.0", "the address is the unspecified one"),
    ("224.0.0.1", "the address is a multicast one"),
    ("239.255.255.255", "the address is a multicast one"),
    ("::ffff:224.0.0.1", "the address is a multicast one"),
    ("ff02::1", "the address is a multicast one"),
    ("255.255.255.255", "the address is the broadcast one"),
    ("::ffff:ffff:ffff", "the address is the broadcast one"),
];

fn message(datagram: &[u8]) -> String {
    match Assignment::parse(datagram) {
        Ok(assignment) => panic!("{} is {assignment:?}", datagram.escape_ascii()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn everything_malformed_is_refused_and_says_what_is_wrong_and_where() {
    assert!(MALFORMED.len() + MALFORMED_DATA.len() >= 100);
    for (datagram, wanted) in MALFORMED {
        assert_eq!(message(datagram.as_bytes()), *wanted, "{datagram}");
    }
    for (data, wanted) in MALFORMED_DATA {
        assert_eq!(message(format!("Type:1;TID:7;DATA:{data}").as_bytes()), *wanted, "{data}");
    }
}

#[test]
fn an_address_that_is_no_ip_literal_of_one_host_is_refused_with_the_reason() {
    for (address, reason) in REFUSED_ADDRESSES {
        for order in [
            format!("[{{'ip_address': '{address}', 'name': 'A'}}];"),
            format!("[{{'ip_address': '{address}'}}];"),
        ] {
            let wanted = format!("{reason}, at byte 34: \\'{address}\\'");
            assert_eq!(message(format!("Type:1;TID:7;DATA:{order}").as_bytes()), wanted);
        }
    }
    for good in ["127.0.0.1", "10.255.255.255", "223.255.255.255", "240.0.0.1", "fe80::1", "::ffff:1.2.3.4"] {
        only(format!("[{{'ip_address': '{good}', 'name': 'A'}}]").as_bytes());
    }
}

#[test]
fn a_cut_datagram_is_an_error_until_only_the_last_semicolon_is_missing() {
    for length in 0..RECORDED.len() {
        let parsed = Assignment::parse(&RECORDED[..length]);
        assert_eq!(parsed.is_ok(), length == RECORDED.len() - 1, "{length}: {parsed:?}");
    }
}

#[test]
fn nothing_from_the_datagram_reaches_a_message_unescaped_or_at_length() {
    let hostile = "\x1b[2J\u{202e}\x07\u{9b}".repeat(2_000);
    for data in [
        hostile.clone(),
        format!("[{{'{hostile}"),
        format!("[{{'ip_address': '{hostile}', 'name': 'A'}}];"),
        format!("[{{'ip_address': '::1', 'name': {hostile}}}];"),
    ] {
        let text = message(format!("Type:1;TID:7;DATA:{data}").as_bytes());
        assert_presentable(&text);
    }
}

fn assert_presentable(text: &str) {
    assert!(text.chars().count() <= 200, "{} characters: {text}", text.chars().count());
    assert!(text.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()), "{text:?}");
}

#[test]
fn a_full_datagram_of_receivers_is_read() {
    let mut text = String::from("Type:1;TID:1;DATA:[");
    let mut listed = 0;
    while text.len() < 65_400 {
        let (high, low) = (listed / 250, listed % 250);
        text += &format!(
            "{}{{'ip_address': '10.0.{high}.{low}', 'name': 'R{listed}'}}",
            if listed == 0 { "" } else { ", " }
        );
        listed += 1;
    }
    text += "];";
    assert!(text.len() <= 65_507, "{} bytes fit a datagram", text.len());
    let assignment = Assignment::parse(text.as_bytes()).unwrap();
    assert!(listed >= 1_200);
    assert_eq!(assignment.receivers.len(), listed);
    assert_eq!(assignment.encode(), text.as_bytes());
}

#[test]
fn deep_nesting_costs_no_stack() {
    for open in ["[", "{", "(", "[{'a':", "-", "'' ", "\\"] {
        message(format!("Type:1;TID:1;DATA:[{{'x': {}", open.repeat(60_000 / open.len())).as_bytes());
        message(format!("Type:1;TID:1;DATA:{}", open.repeat(60_000 / open.len())).as_bytes());
    }
}

#[test]
fn any_name_comes_back_from_its_encoding() {
    let special = [
        '\'', '"', '\\', '\n', '\r', '\0', '\x1b', '\x7f', '\u{9b}', '\u{202e}', '\u{fffd}', 'é', '😀', 'x',
        '0',
    ];
    let mut rng = Rng::new(2);
    for _ in 0..20_000 {
        let name = (0..rng.below(12)).map(|_| match rng.below(4) {
            0 => char::from_u32(rng.magnitude(21) as u32).unwrap_or('?'),
            _ => *rng.choose(&special),
        });
        let receiver = Receiver { address: "10.0.0.1".parse().unwrap(), name: name.collect() };
        let assignment = Assignment { tid: Tid(rng.magnitude(64)), receivers: vec![receiver] };
        let datagram = assignment.encode();
        assert!(!datagram.contains(&0) && !datagram.contains(&b'\n'));
        assert_eq!(Assignment::parse(&datagram), Ok(assignment));
    }
}

#[test]
fn whatever_is_changed_in_an_assignment_it_is_read_right_or_refused_but_never_a_panic() {
    let seeds: [&[u8]; 4] = [
        RECORDED,
        br#"Type:1;TID:1;DATA:[{"name": "\x41\u6771\U0001F600\0\'", 'ip_address': '::1', 'n': -1.5e+3}]"#,
        b"Type:1;TID:1;DATA:[{'ip_address': '10.0.0.1', 'name': '\xc3\xa9\xff', 'up': True, 'x': None}];",
        b"Type:1;TID:18446744073709551615;DATA:[ { 'name' : '' , 'ip_address' : '::ffff:1.2.3.4' } ] ;",
    ];
    seeds.iter().for_each(|seed| drop(Assignment::parse(seed).unwrap()));
    let mut rng = Rng::new(3);
    let (mut accepted, mut problems) = (0, HashSet::new());
    for _ in 0..100_000 {
        let mut datagram = rng.choose(&seeds).to_vec();
        for _ in 0..1 + rng.below(3) {
            mutate(&mut datagram, &mut rng);
        }
        match Assignment::parse(&datagram) {
            Ok(assignment) => {
                accepted += 1;
                assert_eq!(
                    Assignment::parse(&assignment.encode()),
                    Ok(assignment),
                    "{}",
                    datagram.escape_ascii()
                );
            }
            Err(error) => {
                problems.insert(error.problem() as usize);
                assert!(error.offset() <= datagram.len());
                assert_presentable(&error.to_string());
            }
        }
    }
    // So that it is plain that both sides were reached, and nearly every error.
    assert!((2_000..50_000).contains(&accepted), "{accepted} of 100000 accepted");
    assert!(problems.len() >= 30, "{} kinds of errors", problems.len());
}

/// Changes, inserts, removes, repeats or cuts something somewhere.
fn mutate(datagram: &mut Vec<u8>, rng: &mut Rng) {
    const TOKENS: [&[u8]; 24] = [
        b"'",
        b"\"",
        b"\\",
        b"\\x",
        b"\\u12",
        b"\\N",
        b"\n",
        b"\0",
        b"[",
        b"]",
        b"{",
        b"}",
        b"(",
        b",",
        b":",
        b";",
        b" ",
        b"0",
        b"b'",
        b"None",
        b"'name': ",
        b"'ip_address': '0.0.0.0', ",
        b"__import__('os')",
        b"\xed\xa0\x80",
    ];
    let at = rng.below(datagram.len() as u64 + 1) as usize;
    let end = (at + rng.below(9) as usize).min(datagram.len());
    match rng.below(6) {
        0 => datagram.truncate(at.max(datagram.len() / 2)),
        1 => drop(datagram.drain(at..end)),
        2 => drop(datagram.splice(at..at, datagram[at..end].to_vec())),
        3 => drop(datagram.splice(at..end, rng.choose(&TOKENS).iter().copied())),
        4 => drop(datagram.splice(at..at, rng.choose(&TOKENS).iter().copied())),
        _ => {
            if let Some(byte) = datagram.get_mut(at) {
                *byte = rng.bits() as u8;
            }
        }
    }
}
