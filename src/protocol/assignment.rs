//! The assignment (Type 1): a transaction and its receivers, which the orchestrator writes as a Python list of
//! dictionaries. It is read as a literal, strictly bounded, and never evaluated.

mod literal;

use super::message::decimal;
use super::{Receiver, Tid};
use literal::Scanner;
use std::fmt;
use std::net::IpAddr;

/// What the orchestrator assigns: `Type:1;TID:<u64>;DATA:[{'ip_address': '…', 'name': '…'}, …];`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The transaction.
    pub tid: Tid,
    /// The receivers, in the order in which the SEQ space is shared out; at least one.
    pub receivers: Vec<Receiver>,
}

/// Why a datagram is not an assignment: what is wrong, at which byte (from 0), and the bytes there. `Display` gives at
/// most 200 printable characters, without a full stop at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentError {
    what: &'static str,
    offset: usize,
    /// The bytes at `offset`, quoted; `None` at the datagram's end.
    excerpt: Option<String>,
}

impl std::error::Error for AssignmentError {}

impl fmt::Display for AssignmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, ": {excerpt}"),
            None => f.write_str(", where the datagram ends"),
        }
    }
}

impl Assignment {
    /// Reads an assignment.
    ///
    /// The keys `ip_address` and `name` may come in any order, in single or double quotes, with Python's escapes;
    /// unknown keys are skipped if their values are strings, numbers, `True`, `False` or `None`. Spaces may stand
    /// between tokens, and the last `;` may be missing. Addresses are unicast IP literals; an IPv4-mapped IPv6
    /// address counts as the IPv4 one. Bytes of a name that are not UTF-8 become U+FFFD.
    ///
    /// Time and memory are linear in the datagram's length.
    ///
    /// # Errors
    /// Everything else: what is wrong, and where.
    pub fn parse(datagram: &[u8]) -> Result<Self, AssignmentError> {
        let mut scanner = Scanner::new(datagram);
        let tid = header(&mut scanner)?;
        let receivers = list(&mut scanner)?;
        scanner.skip_spaces();
        scanner.eat(b";");
        if scanner.rest().is_empty() {
            Ok(Self { tid, receivers })
        } else {
            Err(scanner.error("trailing data"))
        }
    }
}

/// Reads up to and including `DATA:`.
fn header(scanner: &mut Scanner<'_>) -> Result<Tid, AssignmentError> {
    scanner.expect(b"Type:1;", "expected 'Type:1;'")?;
    if let Some(before) = scanner.rest().iter().position(|&byte| byte == 0) {
        return Err(scanner.error_at(scanner.at() + before, "NUL byte"));
    }
    scanner.expect(b"TID:", "expected 'TID:'")?;
    let (tid, rest) =
        decimal(scanner.rest()).ok_or_else(|| scanner.error("the TID is not a 64-bit decimal number"))?;
    scanner.advance_to(rest);
    scanner.expect(b";DATA:", "expected ';DATA:'")?;
    Ok(Tid(tid))
}

/// Reads `[{…}, {…}]`.
fn list(scanner: &mut Scanner<'_>) -> Result<Vec<Receiver>, AssignmentError> {
    scanner.skip_spaces();
    scanner.expect(b"[", "DATA is not a list")?;
    scanner.skip_spaces();
    if scanner.peek() == Some(b']') {
        return Err(scanner.error("the list of receivers is empty"));
    }
    let mut receivers = vec![dictionary(scanner)?];
    while another(scanner, b']', "expected ',' or ']'")? {
        receivers.push(dictionary(scanner)?);
    }
    Ok(receivers)
}

/// Reads one `{…}`. An unknown key may come twice, as in Python.
fn dictionary(scanner: &mut Scanner<'_>) -> Result<Receiver, AssignmentError> {
    let start = scanner.at();
    scanner.expect(b"{", "the list item is not a dictionary")?;
    scanner.skip_spaces();
    let (mut address, mut name) = (None, None);
    let mut more = !scanner.eat(b"}");
    while more {
        let key_at = scanner.at();
        let key = scanner.string()?.ok_or_else(|| scanner.error("the key is not a string"))?;
        scanner.skip_spaces();
        scanner.expect(b":", "expected ':'")?;
        scanner.skip_spaces();
        let value_at = scanner.at();
        let value = scanner.value()?;
        let text = || value.ok_or_else(|| scanner.error_at(value_at, "the value is not a string"));
        let is_new = match &*key {
            "ip_address" => {
                address.replace(unicast(&text()?).map_err(|what| scanner.error_at(value_at, what))?).is_none()
            }
            "name" => name.replace(text()?).is_none(),
            _ => true,
        };
        if !is_new {
            return Err(scanner.error_at(key_at, "duplicate key"));
        }
        more = another(scanner, b'}', "expected ',' or '}'")?;
    }
    let address = address.ok_or_else(|| scanner.error_at(start, "the key 'ip_address' is missing"))?;
    let name = name.ok_or_else(|| scanner.error_at(start, "the key 'name' is missing"))?;
    Ok(Receiver { address, name })
}

/// After an item: reads a comma, which another item must follow, or `close`, which ends it.
fn another(scanner: &mut Scanner<'_>, close: u8, expected: &'static str) -> Result<bool, AssignmentError> {
    scanner.skip_spaces();
    if scanner.eat(&[close]) {
        return Ok(false);
    }
    scanner.expect(b",", expected)?;
    scanner.skip_spaces();
    if scanner.peek() == Some(close) { Err(scanner.error("trailing comma")) } else { Ok(true) }
}

/// An address that data can be sent to: an IP literal of one host. An IPv4-mapped IPv6 address becomes the IPv4 address
/// that it stands for.
fn unicast(text: &str) -> Result<IpAddr, &'static str> {
    let address = text.parse::<IpAddr>().map_err(|_| "the value is not an IP address")?.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err("the address is not a unicast address");
    }
    Ok(address)
}

#[cfg(test)]
mod tests;
