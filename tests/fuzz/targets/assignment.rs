//! Type 1 against any datagram: it is refused with a message that is fit for a terminal, or it is read, and then what
//! was read can be sent to, is no larger than the datagram warrants, and survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mdalp::protocol::{Ack, Assignment, AssignmentError, Receiver};
use mdalp::text::Escaped;
use std::net::IpAddr;

/// Bytes of the shortest list item, `{'ip_address':'::1','name':''}`, and its comma.
const SHORTEST_ITEM: usize = 31;

/// Longest message in characters, by the documentation of `AssignmentError`.
const LONGEST_MESSAGE: usize = 200;

fuzz_target!(|datagram: &[u8]| {
    match Assignment::parse(datagram) {
        Ok(assignment) => accepted(datagram, &assignment),
        Err(error) => refused(&error),
    }
    reads_like_text(datagram);
});

/// Bytes that are no UTF-8 read as U+FFFD, wherever they stand: no two of them ever join to a character.
fn reads_like_text(datagram: &[u8]) {
    let problem = |error: AssignmentError| error.to_string().split(" at byte ").next().map(str::to_owned);
    let text = String::from_utf8_lossy(datagram);
    let (raw, replaced) = (Assignment::parse(datagram), Assignment::parse(text.as_bytes()));
    assert_eq!(raw.map_err(problem), replaced.map_err(problem), "{}", datagram.escape_ascii());
}

fn accepted(datagram: &[u8], assignment: &Assignment) {
    assert!(datagram.starts_with(b"Type:1;"));
    assert_eq!(Ack::parse(datagram), None);
    assert!(!assignment.receivers.is_empty());
    assert!(assignment.receivers.len() * SHORTEST_ITEM <= datagram.len());
    let names: usize = assignment.receivers.iter().map(|receiver| receiver.name.len()).sum();
    // A byte that is no UTF-8 becomes the three of U+FFFD.
    assert!(names <= 3 * datagram.len());
    for receiver in &assignment.receivers {
        assert!(is_one_host(receiver.address), "{}", receiver.address);
        assert_shown_safely(&receiver.name);
    }
    survives_writing(assignment);
    is_refused_when_cut(datagram);
}

fn survives_writing(assignment: &Assignment) {
    let written = written(assignment);
    let read = Assignment::parse(&written);
    assert_eq!(read.as_ref(), Ok(assignment), "{}", written.escape_ascii());
    assert_eq!(
        Assignment::parse(&written[..written.len() - 1]).as_ref(),
        Ok(assignment),
        "without the last ;"
    );
}

/// The datagram, all names in escapes: no part of it can be mistaken for anything else.
fn written(assignment: &Assignment) -> Vec<u8> {
    let dictionary = |receiver: &Receiver| {
        let name: String = receiver.name.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
        format!("{{'ip_address': '{}', 'name': '{name}'}}", receiver.address)
    };
    let list: Vec<String> = assignment.receivers.iter().map(dictionary).collect();
    format!("Type:1;TID:{};DATA:[{}];", assignment.tid, list.join(", ")).into_bytes()
}

/// What the network cut short must not read as a shorter list.
fn is_refused_when_cut(datagram: &[u8]) {
    let close = datagram.iter().rposition(|byte| *byte == b']').expect("a list has an end");
    for cut in [close, close / 2] {
        assert!(Assignment::parse(&datagram[..cut]).is_err(), "{}", datagram[..cut].escape_ascii());
    }
}

fn refused(error: &AssignmentError) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.chars().count() <= LONGEST_MESSAGE, "{message}");
    assert!(message.chars().all(|c| c == ' ' || c == '…' || c.is_ascii_graphic()), "{message:?}");
}

/// By the bits, so that it does not lean on what the parser leans on: RFC 1122, 3.2.1.3; RFC 4291, 2.4.
fn is_one_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !matches!(v4.octets(), [0, 0, 0, 0] | [224..=239, ..] | [255, 255, 255, 255]),
        IpAddr::V6(v6) => match v6.octets() {
            [0xff, ..] => false,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..] => false, // stands for an IPv4 address
            octets => octets != [0; 16],
        },
    }
}

fn assert_shown_safely(name: &str) {
    let shown = Escaped(name).to_string();
    let is_invisible = |c| {
        matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{115f}' | '\u{2800}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0000}'..='\u{e0fff}')
    };
    assert!(!shown.contains(|c: char| c.is_control() || is_invisible(c)), "{shown:?}");
    // `\u{1b}` for one byte is the worst.
    assert!(shown.len() <= 6 * name.len());
}
