//! Python literals, as far as an assignment has them: strings, numbers, `True`, `False`, `None` (The Python Language
//! Reference, 2.4 "Literals"). Nothing is evaluated, and nothing recurses.

use super::AssignmentError;
use crate::text::Excerpt;
use std::ops::RangeInclusive;

/// The most bytes that an error quotes.
const QUOTED: usize = 28;

/// A datagram and how far it has been read.
pub(super) struct Scanner<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(datagram: &'a [u8]) -> Self {
        Self { datagram, at: 0 }
    }

    /// The offset of what comes next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.datagram.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.datagram.get(self.at).copied()
    }

    /// Goes on to `rest`, which is the end of what there was.
    pub(super) fn advance_to(&mut self, rest: &[u8]) {
        self.at = self.datagram.len() - rest.len();
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.eat(b" ") {}
    }

    /// Skips `bytes` if they are next.
    pub(super) fn eat(&mut self, bytes: &[u8]) -> bool {
        let found = self.rest().starts_with(bytes);
        if found {
            self.at += bytes.len();
        }
        found
    }

    /// Skips `bytes`; it is an error if something else is next.
    pub(super) fn expect(&mut self, bytes: &[u8], otherwise: &'static str) -> Result<(), AssignmentError> {
        if self.eat(bytes) { Ok(()) } else { Err(self.error(otherwise)) }
    }

    /// An error at what comes next.
    pub(super) fn error(&self, what: &'static str) -> AssignmentError {
        self.error_at(self.at, what)
    }

    pub(super) fn error_at(&self, offset: usize, what: &'static str) -> AssignmentError {
        let rest = self.datagram.get(offset..).filter(|rest| !rest.is_empty());
        AssignmentError { what, offset, excerpt: rest.map(|rest| Excerpt(rest, QUOTED).to_string()) }
    }

    /// Reads a string, or a number, `True`, `False` or `None`, which give `None`: no one needs to know which.
    pub(super) fn value(&mut self) -> Result<Option<String>, AssignmentError> {
        if let Some(string) = self.string()? {
            Ok(Some(string))
        } else if matches!(self.peek(), Some(b'-' | b'+' | b'0'..=b'9')) {
            self.number().map(|()| None)
        } else if self.eat(b"True") || self.eat(b"False") || self.eat(b"None") {
            Ok(None)
        } else {
            Err(self.error("expected a plain string, a number, True, False or None"))
        }
    }

    /// Reads a decimal integer or a floating-point number. What else it might be (`0x1f`, `1_000`, `1j`) goes on with
    /// what no value is followed by.
    fn number(&mut self) -> Result<(), AssignmentError> {
        let start = self.at;
        let _ = self.eat(b"-") || self.eat(b"+");
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let mut good = whole > 0 && (whole == 1 || !leading_zero);
        if self.eat(b".") {
            self.digits();
        }
        if self.eat(b"e") || self.eat(b"E") {
            let _ = self.eat(b"-") || self.eat(b"+");
            good &= self.digits() > 0;
        }
        if good { Ok(()) } else { Err(self.error_at(start, "the value is not a decimal number")) }
    }

    /// Skips digits and returns how many there were.
    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// Reads a string, if a quote is next. A second string right after it, which Python would join to it, is for the
    /// caller to refuse.
    pub(super) fn string(&mut self) -> Result<Option<String>, AssignmentError> {
        let Some(quote @ (b'\'' | b'"')) = self.peek() else { return Ok(None) };
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            // What needs no second look goes over in one piece, and is decoded as one: what stands on both sides of an
            // escape never joins to a character.
            let is_plain = |byte: &u8| *byte != quote && !matches!(byte, b'\\' | b'\n' | b'\r');
            let plain = self.rest().iter().take_while(|byte| is_plain(byte)).count();
            text.push_str(&String::from_utf8_lossy(self.rest().get(..plain).unwrap_or_default()));
            self.at += plain;
            match self.peek() {
                Some(b'\\') => text.extend(self.escape()?),
                Some(b'\n' | b'\r') => return Err(self.error("line break in a string")),
                Some(_) => break,
                None => return Err(self.error_at(start, "unterminated string")),
            }
        }
        self.at += 1;
        Ok(Some(text))
    }

    /// Resolves the escape that comes next; a line break has no character. An unknown one keeps its backslash, as in
    /// Python.
    fn escape(&mut self) -> Result<Option<char>, AssignmentError> {
        let start = self.at;
        self.at += 1;
        if self.eat(b"\r\n") || self.eat(b"\n") || self.eat(b"\r") {
            return Ok(None);
        }
        let letter = self.peek();
        self.at += 1;
        let code = match letter {
            Some(same @ (b'\\' | b'\'' | b'"')) => Some(u32::from(same)),
            Some(b'a') => Some(7),
            Some(b'b') => Some(8),
            Some(b't') => Some(9),
            Some(b'n') => Some(10),
            Some(b'v') => Some(11),
            Some(b'f') => Some(12),
            Some(b'r') => Some(13),
            Some(b'0'..=b'7') => {
                self.at -= 1;
                self.code(1..=3, 8)
            }
            Some(b'x') => self.code(2..=2, 16),
            Some(b'u') => self.code(4..=4, 16),
            Some(b'U') => self.code(8..=8, 16).filter(|code| *code <= u32::from(char::MAX)),
            Some(b'N') => None,
            _ => {
                // The character itself is read next: it may have several bytes, or be missing.
                self.at -= 1;
                Some(u32::from(b'\\'))
            }
        };
        let code = code.ok_or_else(|| self.error_at(start, "invalid escape"))?;
        // Surrogates are the only codes left without a character.
        Ok(Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)))
    }

    /// Reads a number of this many digits, at most 8.
    fn code(&mut self, digits: RangeInclusive<usize>, radix: u32) -> Option<u32> {
        let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
        let found = self.rest().iter().take(*digits.end()).take_while(is_digit).count();
        let text = self.rest().get(..found).filter(|_| digits.contains(&found))?;
        self.at += found;
        u32::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
    }
}
