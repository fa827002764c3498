//! The assignment (Type 1): a transaction and its receivers, which the orchestrator writes as a Python list of
//! dictionaries. It is read as a literal, strictly bounded, and never evaluated.

mod error;
mod literal;
#[cfg(test)]
mod tests;

pub use error::{AssignmentError, Problem};

use super::message::decimal;
use super::{Receiver, Tid};
use literal::{Scalar, Scanner};
use std::net::IpAddr;

const TID_FIELD: &[u8] = b"TID:";
const DATA_FIELD: &[u8] = b"DATA:";

/// What the orchestrator assigns: `Type:1;TID:<u64>;DATA:[{'ip_address': '…', 'name': '…'}, …];`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The transaction.
    pub tid: Tid,
    /// Whom to send to, in the order in which the SEQ space is shared out; at least one.
    pub receivers: Vec<Receiver>,
}

impl Assignment {
    /// Reads an assignment.
    ///
    /// The keys `ip_address` and `name` may come in any order, in single or double quotes, with Python's escapes;
    /// keys that are not known are skipped if their values are strings, numbers, `True`, `False` or `None`. Spaces
    /// may stand between tokens, and the last `;` may be missing. Addresses are unicast IP literals; an
    /// IPv4-mapped IPv6 address counts as the IPv4 one. Bytes of a name that are no UTF-8 become U+FFFD.
    ///
    /// Time and memory are in proportion to the datagram's length.
    ///
    /// # Errors
    /// Everything else: what is wrong, and where.
    pub fn parse(datagram: &[u8]) -> Result<Self, AssignmentError> {
        let mut scanner = Scanner::new(datagram);
        let tid = header(datagram, &mut scanner)?;
        let receivers = list(&mut scanner)?;
        scanner.skip_spaces();
        scanner.eat(b';');
        if scanner.peek().is_some() {
            Err(scanner.error(Problem::TrailingBytes))
        } else {
            Ok(Self { tid, receivers })
        }
    }

    /// The datagram, as the reference's orchestrator writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("Type:1;TID:{};DATA:[", self.tid);
        for (index, receiver) in self.receivers.iter().enumerate() {
            text.push_str(if index == 0 { "{'ip_address': '" } else { ", {'ip_address': '" });
            text.push_str(&receiver.address.to_string());
            text.push_str("', 'name': ");
            literal::push_quoted(&mut text, &receiver.name);
            text.push('}');
        }
        text.push_str("];");
        text.into_bytes()
    }
}

/// Reads up to and with `DATA:`.
fn header(datagram: &[u8], scanner: &mut Scanner<'_>) -> Result<Tid, AssignmentError> {
    if !scanner.eat_all(b"Type:1;") {
        return Err(scanner.error(Problem::NotAnAssignment));
    }
    if let Some(at) = datagram.iter().position(|&byte| byte == 0) {
        return Err(scanner.error_at(at, Problem::Nul));
    }
    if !scanner.eat_all(TID_FIELD) {
        return Err(scanner.error(Problem::MissingTid));
    }
    let (tid, rest) = decimal(scanner.rest()).ok_or_else(|| scanner.error(Problem::BadTid))?;
    if !matches!(rest, [] | [b';', ..]) {
        return Err(scanner.error(Problem::BadTid));
    }
    scanner.advance_to(rest);
    scanner.eat(b';');
    if scanner.eat_all(DATA_FIELD) { Ok(Tid(tid)) } else { Err(scanner.error(Problem::MissingData)) }
}

/// Reads `[{…}, {…}]`.
fn list(scanner: &mut Scanner<'_>) -> Result<Vec<Receiver>, AssignmentError> {
    scanner.skip_spaces();
    if !scanner.eat(b'[') {
        return Err(scanner.error(Problem::NotAList));
    }
    scanner.skip_spaces();
    if scanner.peek() == Some(b']') {
        return Err(scanner.error(Problem::EmptyList));
    }
    let mut receivers = Vec::new();
    loop {
        receivers.push(dict(scanner)?);
        if !another(scanner, b']', Problem::UnexpectedInList)? {
            return Ok(receivers);
        }
    }
}

/// Reads one `{…}`.
fn dict(scanner: &mut Scanner<'_>) -> Result<Receiver, AssignmentError> {
    let start = scanner.at();
    if !scanner.eat(b'{') {
        return Err(scanner.error(Problem::NotADict));
    }
    scanner.skip_spaces();
    let mut entry = Entry::default();
    if !scanner.eat(b'}') {
        while entry.read_pair(scanner)? {}
    }
    let address = entry.address.ok_or_else(|| scanner.error_at(start, Problem::MissingAddress))?;
    let name = entry.name.ok_or_else(|| scanner.error_at(start, Problem::MissingName))?;
    Ok(Receiver { address, name })
}

/// What has been read of one receiver.
#[derive(Default)]
struct Entry {
    address: Option<IpAddr>,
    name: Option<String>,
}

impl Entry {
    /// Reads `key: value` and what ends it, and returns whether another pair follows. A key that is not known may
    /// come twice, as in Python: nobody looks at it.
    fn read_pair(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, AssignmentError> {
        let key_at = scanner.at();
        let Scalar::Text(key) = scanner.scalar(Problem::KeyNotText)? else {
            return Err(scanner.error_at(key_at, Problem::KeyNotText));
        };
        scanner.skip_spaces();
        if !scanner.eat(b':') {
            return Err(scanner.error(Problem::MissingColon));
        }
        scanner.skip_spaces();
        let value_at = scanner.at();
        let value = scanner.scalar(Problem::MissingValue)?;
        match key.as_str() {
            "ip_address" if self.address.is_some() => Err(scanner.error_at(key_at, Problem::DuplicateKey)),
            "name" if self.name.is_some() => Err(scanner.error_at(key_at, Problem::DuplicateKey)),
            "ip_address" => {
                let text = text_value(value).map_err(|problem| scanner.error_at(value_at, problem))?;
                let address = unicast(&text).map_err(|problem| scanner.error_between(value_at, problem))?;
                self.address = Some(address);
                Ok(())
            }
            "name" => {
                self.name = Some(text_value(value).map_err(|problem| scanner.error_at(value_at, problem))?);
                Ok(())
            }
            _ => Ok(()),
        }?;
        another(scanner, b'}', Problem::UnexpectedInDict)
    }
}

/// After an item: takes a comma, then another item must follow; or `close`, then that was all.
fn another(scanner: &mut Scanner<'_>, close: u8, otherwise: Problem) -> Result<bool, AssignmentError> {
    scanner.skip_spaces();
    if scanner.eat(close) {
        return Ok(false);
    }
    if !scanner.eat(b',') {
        return Err(scanner.error(otherwise));
    }
    scanner.skip_spaces();
    if scanner.peek() == Some(close) { Err(scanner.error(Problem::TrailingComma)) } else { Ok(true) }
}

fn text_value(value: Scalar) -> Result<String, Problem> {
    match value {
        Scalar::Text(text) => Ok(text),
        Scalar::Other => Err(Problem::ValueNotText),
    }
}

/// The address that data can be sent to: an IP literal of one host. An IPv4-mapped IPv6 address becomes the IPv4
/// address that it stands for.
fn unicast(text: &str) -> Result<IpAddr, Problem> {
    let address = text.parse::<IpAddr>().map_err(|_| why_no_literal(text))?.to_canonical();
    if address.is_unspecified() {
        return Err(Problem::Unspecified);
    }
    if address.is_multicast() {
        return Err(Problem::Multicast);
    }
    if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        return Err(Problem::Broadcast);
    }
    Ok(address)
}

/// What stands in place of an IP literal.
fn why_no_literal(text: &str) -> Problem {
    let is_address = |part: &str| {
        let bare = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(part);
        bare.parse::<IpAddr>().is_ok()
    };
    if text.rsplit_once(':').is_some_and(|(host, _)| is_address(host)) {
        return Problem::AddressWithPort;
    }
    if text.split_once('%').is_some_and(|(host, _)| is_address(host.trim_start_matches('['))) {
        return Problem::AddressWithZone;
    }
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.bytes().all(is_host_byte) && text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return Problem::HostName;
    }
    Problem::NotAnAddress
}
