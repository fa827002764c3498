//! Python literals, as far as an assignment has them: strings, numbers, `True`, `False`, `None` (The Python Language
//! Reference, 2.4 "Literals"). Nothing is evaluated, and nothing recurses.

use super::error::{AssignmentError, Problem};

/// A value without structure.
pub(super) enum Scalar {
    /// A string, its escapes resolved.
    Text(String),
    /// A number, `True`, `False` or `None`: nobody needs to know which.
    Other,
}

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
        self.from(self.at)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.datagram.get(self.at).copied()
    }

    /// Goes on to `rest`, which is the end of what there was.
    pub(super) fn advance_to(&mut self, rest: &[u8]) {
        self.at = self.datagram.len().saturating_sub(rest.len());
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.eat(b' ') {}
    }

    /// Takes `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        self.eat_all(&[byte])
    }

    /// Takes `bytes` if they are next.
    pub(super) fn eat_all(&mut self, bytes: &[u8]) -> bool {
        let found = self.rest().starts_with(bytes);
        if found {
            self.at += bytes.len();
        }
        found
    }

    /// An error at what comes next.
    pub(super) fn error(&self, problem: Problem) -> AssignmentError {
        self.error_at(self.at, problem)
    }

    /// An error at an offset.
    pub(super) fn error_at(&self, offset: usize, problem: Problem) -> AssignmentError {
        AssignmentError::new(problem, offset, self.from(offset))
    }

    /// An error in what has been read since an offset.
    pub(super) fn error_between(&self, offset: usize, problem: Problem) -> AssignmentError {
        AssignmentError::new(problem, offset, self.datagram.get(offset..self.at).unwrap_or_default())
    }

    /// Reads a string, a number, `True`, `False` or `None`; `missing` is what is wrong if nothing like a value
    /// comes.
    pub(super) fn scalar(&mut self, missing: Problem) -> Result<Scalar, AssignmentError> {
        match self.peek() {
            Some(quote @ (b'\'' | b'"')) => self.text(quote).map(Scalar::Text),
            Some(b'[' | b'{' | b'(') => Err(self.error(Problem::Nested)),
            Some(b'-' | b'+' | b'0'..=b'9') => self.number(),
            Some(b'_' | b'a'..=b'z' | b'A'..=b'Z') => self.word(),
            _ => Err(self.error(missing)),
        }
    }

    /// Reads `True`, `False` or `None`.
    fn word(&mut self) -> Result<Scalar, AssignmentError> {
        let length = self.rest().iter().take_while(|byte| is_word_byte(**byte)).count();
        let (word, after) = self.rest().split_at_checked(length).unwrap_or_default();
        if matches!(word, b"True" | b"False" | b"None") {
            self.at += length;
            return Ok(Scalar::Other);
        }
        // Python's prefixes have one or two letters: b, f, r, t, u, br, fr, …
        let is_prefix = length <= 2 && matches!(after.first(), Some(b'\'' | b'"'));
        Err(self.error(if is_prefix { Problem::PrefixedString } else { Problem::Code }))
    }

    /// Reads a decimal integer or a floating-point number.
    fn number(&mut self) -> Result<Scalar, AssignmentError> {
        let start = self.at;
        if matches!(self.peek(), Some(b'-' | b'+')) {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let mut good = whole == 1 || (whole > 1 && !leading_zero);
        if self.eat(b'.') {
            self.digits();
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'-') || self.eat(b'+');
            good &= self.digits() > 0;
        }
        // `1_000`, `0x1`, `1j` or `1if` would go on.
        good &= !self.peek().is_some_and(is_word_byte);
        if good { Ok(Scalar::Other) } else { Err(self.error_at(start, Problem::Code)) }
    }

    /// Skips digits and returns how many there were.
    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// Reads a string that begins with `quote`, and makes sure that no other string follows at once, which Python
    /// would join to it.
    fn text(&mut self, quote: u8) -> Result<String, AssignmentError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            // What needs no second look goes over in one piece, and is decoded as one: what stands on both sides of an
            // escape never joins to a character.
            let plain = self.rest().iter().take_while(|&&byte| is_plain(byte, quote)).count();
            text.push_str(&String::from_utf8_lossy(self.rest().get(..plain).unwrap_or_default()));
            self.at += plain;
            match self.peek() {
                None => return Err(self.error_at(start, Problem::UnterminatedString)),
                Some(b'\\') => self.escape(start, &mut text)?,
                Some(b'\n' | b'\r') => return Err(self.error(Problem::LineBreak)),
                // The closing quote.
                Some(_) => break,
            }
        }
        self.at += 1;
        self.skip_spaces();
        if matches!(self.peek(), Some(b'\'' | b'"')) {
            return Err(self.error(Problem::Concatenation));
        }
        Ok(text)
    }

    /// Resolves the escape that comes next, in the string that began at `start`. An unknown one keeps its
    /// backslash, as in Python.
    fn escape(&mut self, start: usize, text: &mut String) -> Result<(), AssignmentError> {
        let escape_at = self.at;
        self.at += 1;
        let Some(letter) = self.peek() else {
            return Err(self.error_at(start, Problem::UnterminatedString));
        };
        self.at += 1;
        let code = match letter {
            b'\n' => return Ok(()),
            b'\r' => {
                self.eat(b'\n');
                return Ok(());
            }
            b'\\' | b'\'' | b'"' => Some(u32::from(letter)),
            b'a' => Some(7),
            b'b' => Some(8),
            b't' => Some(9),
            b'n' => Some(10),
            b'v' => Some(11),
            b'f' => Some(12),
            b'r' => Some(13),
            b'0'..=b'7' => {
                self.at -= 1;
                self.code(3, 8).map(|(code, _)| code)
            }
            b'x' => self.whole_code(2),
            b'u' => self.whole_code(4),
            b'U' => self.whole_code(8).filter(|code| *code <= u32::from(char::MAX)),
            b'N' => None,
            _ => {
                // The character itself is read next: it may have several bytes.
                self.at -= 1;
                Some(u32::from(b'\\'))
            }
        };
        let code = code.ok_or_else(|| self.error_at(escape_at, Problem::BadEscape))?;
        // Surrogates are what is left that is no character.
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(())
    }

    /// Reads exactly so many hexadecimal digits.
    fn whole_code(&mut self, digits: usize) -> Option<u32> {
        self.code(digits, 16).filter(|(_, found)| *found == digits).map(|(code, _)| code)
    }

    /// Reads up to so many digits, at most 8, and returns their value and number.
    fn code(&mut self, most: usize, radix: u32) -> Option<(u32, usize)> {
        let mut code = 0u32;
        let mut found = 0;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) {
            if found == most {
                break;
            }
            code = code.checked_mul(radix)?.checked_add(digit)?;
            found += 1;
            self.at += 1;
        }
        Some((code, found))
    }

    fn from(&self, offset: usize) -> &'a [u8] {
        self.datagram.get(offset..).unwrap_or_default()
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// Whether a byte stands for itself in a string.
fn is_plain(byte: u8, quote: u8) -> bool {
    byte != quote && !matches!(byte, b'\\' | b'\n' | b'\r')
}

/// Appends `name` as Python's `repr` writes it: in single quotes, or in double ones if it has single ones only, and
/// control characters escaped.
pub(super) fn push_quoted(text: &mut String, name: &str) {
    let quote = if name.contains('\'') && !name.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for c in name.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // All control characters are below U+0100.
            _ if c.is_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ => {
                if c == '\\' || c == quote {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    text.push(quote);
}
