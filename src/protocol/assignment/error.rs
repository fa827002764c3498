//! What can be wrong with an assignment, in words for one line of a terminal.

use crate::text::EscapedBytes;
use std::fmt;

/// How many bytes of the offending part a message shows, so that it stays under some 200 characters.
const SHOWN: usize = 28;

/// Why a datagram is not an assignment. `Display` says what is wrong, at which byte (from 0), and shows the bytes
/// there, escaped and cut: at most 200 characters, without a line break or a full stop at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentError {
    problem: Problem,
    offset: usize,
    /// The bytes at `offset`: one more than is shown, so that it can be seen that there are more.
    near: Vec<u8>,
}

impl AssignmentError {
    /// `part` is what is wrong, or begins with it.
    pub(super) fn new(problem: Problem, offset: usize, part: &[u8]) -> Self {
        Self { problem, offset, near: part.iter().copied().take(SHOWN + 1).collect() }
    }

    /// What is wrong.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// Where: bytes from the start of the datagram.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl std::error::Error for AssignmentError {}

impl fmt::Display for AssignmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem.text())?;
        if self.near.is_empty() {
            write!(f, ", at byte {}, where the datagram ends", self.offset)
        } else {
            write!(f, ", at byte {}: {}", self.offset, EscapedBytes(&self.near, SHOWN))
        }
    }
}

/// What is wrong with an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It does not begin with `Type:1;`.
    NotAnAssignment,
    /// A zero byte somewhere.
    Nul,
    /// No `TID:` after the type.
    MissingTid,
    /// The TID is empty, signed, has leading zeros or other characters, or over 64 bits.
    BadTid,
    /// No `DATA:` after the TID.
    MissingData,
    /// DATA is no list.
    NotAList,
    /// The list has no receivers.
    EmptyList,
    /// A list item is no dictionary.
    NotADict,
    /// Neither `,` nor `]` after a list item.
    UnexpectedInList,
    /// Neither `,` nor `}` after a value.
    UnexpectedInDict,
    /// Something other than a list's or dictionary's item after a comma.
    TrailingComma,
    /// A key is no string.
    KeyNotText,
    /// No `:` after a key.
    MissingColon,
    /// No value after a key.
    MissingValue,
    /// `ip_address` or `name` twice in one dictionary.
    DuplicateKey,
    /// A dictionary without `ip_address`.
    MissingAddress,
    /// A dictionary without `name`.
    MissingName,
    /// The value of `ip_address` or `name` is no string.
    ValueNotText,
    /// A list, tuple, dictionary or parenthesis in place of a key or value.
    Nested,
    /// A name, call or operator in place of a key or value.
    Code,
    /// A string with a prefix such as `b`, `f`, `r` or `u`.
    PrefixedString,
    /// Two strings side by side, or triple quotes.
    Concatenation,
    /// A string without its closing quote.
    UnterminatedString,
    /// A line break within a string.
    LineBreak,
    /// A `\x`, `\u` or `\U` that Python does not take either, or a `\N{…}`.
    BadEscape,
    /// The address is no IP literal.
    NotAnAddress,
    /// The address is a name.
    HostName,
    /// The address has a port.
    AddressWithPort,
    /// The address has an IPv6 zone.
    AddressWithZone,
    /// The address is `0.0.0.0` or `::`.
    Unspecified,
    /// The address is of a group of hosts.
    Multicast,
    /// The address is 255.255.255.255.
    Broadcast,
    /// Something after the list.
    TrailingBytes,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Self::NotAnAssignment => "it does not begin with Type:1;",
            Self::Nul => "a NUL byte",
            Self::MissingTid => "no TID: after the type",
            Self::BadTid => "the TID is no plain decimal number of at most 64 bits",
            Self::MissingData => "no DATA: after the TID",
            Self::NotAList => "DATA is not a list",
            Self::EmptyList => "the list of receivers is empty",
            Self::NotADict => "a list item is not a dictionary",
            Self::UnexpectedInList => "neither , nor ] after a list item",
            Self::UnexpectedInDict => "neither , nor } after a value",
            Self::TrailingComma => "nothing between a comma and the end of a list or dictionary",
            Self::KeyNotText => "a key is not a quoted string",
            Self::MissingColon => "no : after a key",
            Self::MissingValue => "no string, number, True, False or None as a value",
            Self::DuplicateKey => "a key that was there before",
            Self::MissingAddress => "no ip_address in the dictionary",
            Self::MissingName => "no name in the dictionary",
            Self::ValueNotText => "the value of ip_address or name is not a string",
            Self::Nested => "a bracket where a string or number should be",
            Self::Code => "code (nothing is ever evaluated)",
            Self::PrefixedString => "a string with a prefix",
            Self::Concatenation => "two strings side by side",
            Self::UnterminatedString => "a string without its closing quote",
            Self::LineBreak => "a line break within a string",
            Self::BadEscape => "a bad escape in a string",
            Self::NotAnAddress => "the address is not an IP literal",
            Self::HostName => "the address is a host name, not an IP literal",
            Self::AddressWithPort => "the address has a port",
            Self::AddressWithZone => "the address has a zone",
            Self::Unspecified => "the address is the unspecified one",
            Self::Multicast => "the address is a multicast one",
            Self::Broadcast => "the address is the broadcast one",
            Self::TrailingBytes => "something after the list",
        }
    }
}
