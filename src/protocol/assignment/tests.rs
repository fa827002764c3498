use super::*;
use crate::testing::Rng;
use std::collections::HashSet;

/// Type 1 of the recorded transaction, mdalp(7).
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
fn the_recorded_assignment_is_read_to_the_byte() {
    assert_eq!(Assignment::parse(RECORDED), Ok(recorded()));
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

/// Malformed datagrams, `¦` between them, under what their error says and at which byte; `␊`, `␍` and `␀` stand for control
/// characters.
const MALFORMED: &str = r#"
# 0 expected 'Type:1;'
¦Type:3;TID:7;SEQ:1;¦Type:1¦Type:01;TID:7;DATA:[]
# 7 expected 'TID:'
Type:1;¦Type:1;DATA:[];
# 11 the TID is not a 64-bit decimal number
Type:1;TID:¦Type:1;TID:;DATA:[]¦Type:1;TID:x7;¦Type:1;TID:-7;¦Type:1;TID: 7;¦Type:1;TID:07;
Type:1;TID:18446744073709551616;
# 12 expected ';DATA:'
Type:1;TID:7¦Type:1;TID:7;¦Type:1;TID:7x;¦Type:1;TID:7;SEQ:1;
# 20 NUL byte
Type:1;TID:7;DATA:[{␀}];
"#;

/// The same for what follows `Type:1;TID:7;DATA:`, where byte 18 is the first.
const MALFORMED_DATA: &str = r#"
# 18 DATA is not a list
¦;¦{'name': 'A'};¦({},);¦'10.0.0.1';¦None;¦__import__('os').system('id');
# 19 the list of receivers is empty
[];
# 21 the list of receivers is empty
[  ]
# 19 the list item is not a dictionary
[¦[,];¦['10.0.0.1'];¦[[{}]];¦[dict(name=1)];
# 52 the list item is not a dictionary
[{'ip_address':'::1','name':'A'}, 5];
# 19 the key 'ip_address' is missing
[{}];¦[{'name': 'A'}];
# 52 the key 'ip_address' is missing
[{'ip_address':'::1','name':'A'}, {}];
# 19 the key 'name' is missing
[{'ip_address': '::1'}];
# 20 the key is not a string
[{¦[{,}];¦[{1: 'A'}];¦[{None: 'A'}];¦[{name: 'A'}];¦[{**x}];¦[{('a',): 1}];¦[{r'name': 'A'}];
# 26 expected ':'
[{'name'}];¦[{'name', 'A'}];¦[{'name'
# 25 expected ':'
[{'na' 'me': 'A'}];
# 33 duplicate key
[{'name': 'A', 'name': 'B'}];
# 41 duplicate key
[{'ip_address': '::1', 'ip_address': '::1'}];
# 28 the value is not a string
[{'name': 5}];¦[{'name': None}];
# 34 the value is not a string
[{'ip_address': 167772161}];
# 27 expected a plain string, a number, True, False or None
[{'name':
# 28 expected a plain string, a number, True, False or None
[{'name': }];¦[{'name': ['A']}];¦[{'name': __import__('os').system('id')}];¦[{'name': lambda: 0}];
[{'name': b'A'}];¦[{'name': f'{exit()}'}];¦[{'name': u"A"}];¦[{'name': Rb'A'}];
# 25 expected a plain string, a number, True, False or None
[{'x': {'y': 1}}];¦[{'x': (1)}];¦[{'x': true}];
# 25 the value is not a decimal number
[{'x': -y}];¦[{'x': 007}];¦[{'x': 1e}];¦[{'x': -
# 26 expected ',' or '}'
[{'x': 0x1f}];¦[{'x': 1_000}];¦[{'x': 1j}];¦[{'x': 9**9}];¦[{'x': 1if 1 else 2}];
# 29 expected ',' or '}'
[{'x': Truex}];¦[{'x': None()}];
# 30 expected ',' or '}'
[{'name': '''A'''}];
# 31 expected ',' or '}'
[{'name': 'A'¦[{'name': 'A'.upper()}];¦[{'name': 'A'␊}];
# 32 expected ',' or '}'
[{'name': 'A' + 'B'}];¦[{'name': 'A' * 9999}];¦[{'name': 'A' if 1 else 'B'}];¦[{'name': 'A' # B␊}];
[{'name': 'A' 'B'}];
# 28 unterminated string
[{'name': 'A}];¦[{'name': "A'}];¦[{'name': 'A\¦[{'name': 'A\'}];
# 30 line break in a string
[{'name': 'A␊B'}];¦[{'name': 'A␍B'}];
# 29 invalid escape
[{'name': '\x4'}];¦[{'name': '\xg1'}];¦[{'name': '\u12'}];¦[{'name': '\U00110000'}];
[{'name': '\Uffffffff'}];¦[{'name': '\N{BULLET}'}];
# 32 trailing comma
[{'name': 'A',}];
# 51 trailing comma
[{'ip_address':'::1','name':'A'},];
# 50 expected ',' or ']'
[{'ip_address':'::1','name':'A'}¦[{'ip_address':'::1','name':'A'};
# 51 expected ',' or ']'
[{'ip_address':'::1','name':'A'} {}];¦[{'ip_address':'::1','name':'A'} for x in y];
# 51 trailing data
[{'ip_address':'::1','name':'A'}][0];¦[{'ip_address':'::1','name':'A'}]*99;
# 52 trailing data
[{'ip_address':'::1','name':'A'}];;¦[{'ip_address':'::1','name':'A'}];␠
[{'ip_address':'::1','name':'A'}];Type:1;
"#;

const NO_ADDRESSES: &str = "|10.0.0|10.0.0.256|010.0.0.1|10.0.0.1 |10.0.0.1/24|167772161|1::2::3|[::1]|-oProxy command|\
    localhost|receiver-5.example.org|0x7f.0.0.1|10.0.0.1:4650|[::1]:4650|fe80::1%eth0|[fe80::1%2]:80";

const NOT_UNICAST: &str = "0.0.0.0|::|::ffff:0.0.0.0|224.0.0.1|239.255.255.255|::ffff:224.0.0.1|ff02::1|255.255.255.255|\
    ::ffff:ffff:ffff";

fn error(datagram: &[u8]) -> AssignmentError {
    match Assignment::parse(datagram) {
        Ok(assignment) => panic!("{} is {assignment:?}", datagram.escape_ascii()),
        Err(error) => error,
    }
}

#[test]
fn every_malformed_datagram_is_refused_with_what_and_where() {
    let mut refused = 0;
    for (table, start) in [(MALFORMED, ""), (MALFORMED_DATA, "Type:1;TID:7;DATA:")] {
        let mut wanted = (0, "");
        for line in table.lines().skip(1) {
            if let Some((offset, what)) = line.strip_prefix("# ").and_then(|line| line.split_once(' ')) {
                wanted = (offset.parse().unwrap(), what);
                continue;
            }
            for datagram in line.split('¦') {
                let datagram = datagram.replace('␊', "\n").replace('␍', "\r").replace('␀', "\0");
                let error = error(format!("{start}{datagram}").as_bytes());
                assert_eq!((error.offset, error.what), wanted, "{datagram}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 90, "{refused}");
}

#[test]
fn only_ip_literals_of_one_host_are_addresses() {
    let cases = [
        (NO_ADDRESSES, "the value is not an IP address"),
        (NOT_UNICAST, "the address is not a unicast address"),
    ];
    for (addresses, what) in cases {
        for address in addresses.split('|') {
            let datagram = format!("Type:1;TID:7;DATA:[{{'ip_address': '{address}', 'name': 'A'}}];");
            let error = error(datagram.as_bytes());
            assert_eq!((error.what, error.offset), (what, 34), "{address}");
        }
    }
    for good in ["127.0.0.1", "10.255.255.255", "223.255.255.255", "240.0.0.1", "fe80::1", "::ffff:1.2.3.4"] {
        only(format!("[{{'ip_address': '{good}', 'name': 'A'}}]").as_bytes());
    }
}

#[test]
fn an_error_quotes_the_bytes_at_its_offset() {
    for (data, message) in [
        ("[", "the list item is not a dictionary at byte 19, where the datagram ends"),
        ("[{'name': 'A',}];", r#"trailing comma at byte 32: "}];""#),
        (
            "[{'ip_address': '10.0.0.1:4650'}];",
            r#"the value is not an IP address at byte 34: "'10.0.0.1:4650'}];""#,
        ),
        ("\"\x1b\u{e9}", r#"DATA is not a list at byte 18: "\"\x1b\xc3\xa9""#),
        (
            "__import__('os').system('rm -rf /');",
            r#"DATA is not a list at byte 18: "__import__('os').system('rm "…"#,
        ),
    ] {
        assert_eq!(error(format!("Type:1;TID:7;DATA:{data}").as_bytes()).to_string(), message);
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
        assert_presentable(&error(format!("Type:1;TID:7;DATA:{data}").as_bytes()));
    }
}

fn assert_presentable(error: &AssignmentError) {
    let text = error.to_string();
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
    let last = assignment.receivers.last().unwrap();
    assert_eq!(last.name, format!("R{}", listed - 1));
}

#[test]
fn deep_nesting_costs_no_stack() {
    for open in ["[", "{", "(", "[{'a':", "-", "'' ", "\\"] {
        error(format!("Type:1;TID:1;DATA:[{{'x': {}", open.repeat(60_000 / open.len())).as_bytes());
        error(format!("Type:1;TID:1;DATA:{}", open.repeat(60_000 / open.len())).as_bytes());
    }
}

/// The datagram of an assignment, each character of a name written in one of the ways that Python has.
fn written(assignment: &Assignment, rng: &mut Rng) -> Vec<u8> {
    let mut character = |c: char| match (rng.below(5), u32::from(c)) {
        (0, code @ 0..=0o777) => format!("\\{code:03o}"),
        (1, code @ 0..=0xff) => format!("\\x{code:02x}"),
        (2, code @ 0..=0xffff) => format!("\\u{code:04X}"),
        (3, code) if !matches!(c, '\'' | '\\' | '\n' | '\r' | '\0') => {
            char::from_u32(code).unwrap().to_string()
        }
        (_, code) => format!("\\U{code:08x}"),
    };
    let mut dictionary = |receiver: &Receiver| {
        let name: String = receiver.name.chars().map(&mut character).collect();
        format!("{{'ip_address': '{}', 'name': '{name}'}}", receiver.address)
    };
    let list: Vec<String> = assignment.receivers.iter().map(&mut dictionary).collect();
    format!("Type:1;TID:{};DATA:[{}];", assignment.tid, list.join(", ")).into_bytes()
}

#[test]
fn any_name_is_read_as_it_was_written() {
    let special =
        ['\'', '"', '\\', '\n', '\r', '\0', '\x1b', '\u{9b}', '\u{202e}', '\u{fffd}', 'é', '😀', '0'];
    let mut rng = Rng::new(2);
    for _ in 0..20_000 {
        let name = (0..rng.below(12)).map(|_| match rng.below(4) {
            0 => char::from_u32(rng.magnitude(21) as u32).unwrap_or('?'),
            _ => *rng.choose(&special),
        });
        let receiver = Receiver { address: "10.0.0.1".parse().unwrap(), name: name.collect() };
        let assignment = Assignment { tid: Tid(rng.magnitude(64)), receivers: vec![receiver] };
        let datagram = written(&assignment, &mut rng);
        assert_eq!(Assignment::parse(&datagram), Ok(assignment), "{}", datagram.escape_ascii());
    }
}

#[test]
fn a_mutated_assignment_is_read_or_refused_without_a_panic() {
    let seeds: [&[u8]; 4] = [
        RECORDED,
        br#"Type:1;TID:1;DATA:[{"name": "\x41\u6771\U0001F600\0\'", 'ip_address': '::1', 'n': -1.5e+3}]"#,
        b"Type:1;TID:1;DATA:[{'ip_address': '10.0.0.1', 'name': '\xc3\xa9\xff', 'up': True, 'x': None}];",
        b"Type:1;TID:18446744073709551615;DATA:[ { 'name' : '' , 'ip_address' : '::ffff:1.2.3.4' } ] ;",
    ];
    seeds.iter().for_each(|seed| drop(Assignment::parse(seed).unwrap()));
    let mut rng = Rng::new(3);
    let (mut accepted, mut errors) = (0, HashSet::new());
    for _ in 0..30_000 {
        let mut datagram = rng.choose(&seeds).to_vec();
        for _ in 0..1 + rng.below(3) {
            mutate(&mut datagram, &mut rng);
        }
        match Assignment::parse(&datagram) {
            Ok(assignment) => {
                accepted += 1;
                let again = written(&assignment, &mut rng);
                assert_eq!(Assignment::parse(&again), Ok(assignment), "{}", datagram.escape_ascii());
            }
            Err(error) => {
                errors.insert(error.what);
                assert!(error.offset <= datagram.len());
                assert_presentable(&error);
            }
        }
    }
    // Both outcomes were reached, and every error.
    assert!((600..15_000).contains(&accepted), "{accepted} of 30000 accepted");
    assert_eq!(errors.len(), 25, "{errors:?}");
}

/// Changes, inserts, removes, repeats or cuts something somewhere.
fn mutate(datagram: &mut Vec<u8>, rng: &mut Rng) {
    const TOKENS: &str = "'|\"|\\|\\x|\\u12|\\N|\n|\0|[|]|{|}|(|,|:|;| |0|b'|None|'name': |'ip_address': '0.0.0.0', |\
        __import__('os')|\u{e9}";
    let tokens: Vec<&[u8]> = TOKENS.split('|').map(str::as_bytes).chain([&b"\xed\xa0\x80"[..]]).collect();
    let at = rng.below(datagram.len() as u64 + 1) as usize;
    let end = (at + rng.below(9) as usize).min(datagram.len());
    match rng.below(6) {
        0 => datagram.truncate(at.max(datagram.len() / 2)),
        1 => drop(datagram.drain(at..end)),
        2 => drop(datagram.splice(at..at, datagram[at..end].to_vec())),
        3 => drop(datagram.splice(at..end, rng.choose(&tokens).iter().copied())),
        4 => drop(datagram.splice(at..at, rng.choose(&tokens).iter().copied())),
        _ => {
            if let Some(byte) = datagram.get_mut(at) {
                *byte = rng.bits() as u8;
            }
        }
    }
}
