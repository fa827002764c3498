//! Text that is safe to show, and durations as people write them.

use crate::protocol::nanos;
use std::fmt::{self, Write};
use std::time::Duration;

/// Shows text from the network or the command line with every control and formatting character escaped, so that it can
/// neither move a terminal's cursor nor reverse a line.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if needs_escape(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else if c == '\\' {
                f.write_str("\\\\")?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// Shows a name as [`Escaped`] does, but at most so many characters of it, then `…`.
pub struct Name<'a>(pub &'a str, pub usize);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(self.1).map_or(self.0.len(), |(end, _)| end);
        let (shown, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        Escaped(shown).fmt(f)?;
        if rest.is_empty() { Ok(()) } else { f.write_char('…') }
    }
}

/// Shows bytes as text in double quotes: printable ASCII as it is, the rest as `\xNN`; at most the given number of
/// bytes, then `…`.
pub struct Excerpt<'a>(pub &'a [u8], pub usize);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..self.1).unwrap_or(self.0);
        f.write_char('"')?;
        for byte in shown {
            match byte {
                b'\'' => f.write_char('\''),
                byte => write!(f, "{}", byte.escape_ascii()),
            }?;
        }
        f.write_str(if shown.len() < self.0.len() { "\"…" } else { "\"" })
    }
}

/// Whether a character may not reach a terminal as it is: a control character, or one that is invisible and can reorder
/// a line.
pub fn needs_escape(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Bidirectional controls, zero-width and separator characters: invisible, and able to reorder what stands around them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A duration in seconds with so many decimals (0 to 9), half rounded up: `26.247`. Integers only, since formatting of
/// floating-point numbers is a tenth of the binary.
pub struct Seconds(pub Duration, pub u32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed_point(f, nanos(self.0), 9, self.1)
    }
}

/// A duration that somebody set, in seconds without needless zeros: `90`, `0.25`. To the millisecond.
pub struct Limit(pub Duration);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Seconds(self.0, 3).to_string().trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A duration in milliseconds with so many decimals (0 to 6): `335.148`.
pub struct Millis(pub Duration, pub u32);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed_point(f, nanos(self.0), 6, self.1)
    }
}

/// `value / 10^digits` with `decimals` of them shown, padded as the format asks.
fn fixed_point(f: &mut fmt::Formatter<'_>, value: u64, digits: u32, decimals: u32) -> fmt::Result {
    let decimals = decimals.min(digits);
    let unit = 10u64.pow(digits - decimals);
    let rounded = value.saturating_add(unit / 2) / unit;
    let scale = 10u64.pow(decimals);
    let (whole, part) = (rounded / scale, rounded % scale);
    let text = if decimals == 0 {
        format!("{whole}")
    } else {
        format!("{whole}.{part:0width$}", width = decimals as usize)
    };
    // `pad` would cut at the format's precision; there is none.
    f.pad(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_formatting_characters_never_come_through() {
        assert_eq!(Escaped("5th Receiver").to_string(), "5th Receiver");
        assert_eq!(Escaped("a\x1b[2J\r\n\u{9b}1m").to_string(), "a\\u{1b}[2J\\u{d}\\u{a}\\u{9b}1m");
        assert_eq!(Escaped("\u{202e}gpj\u{200b}\u{feff}").to_string(), "\\u{202e}gpj\\u{200b}\\u{feff}");
        assert_eq!(Escaped("é 東\\").to_string(), "é 東\\\\");
        assert_eq!(Excerpt(b"ab\0\xff\n'\"\\", 9).to_string(), r#""ab\x00\xff\n'\"\\""#);
        assert_eq!(Excerpt(b"abcdef", 3).to_string(), "\"abc\"…");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(Name("東京", 2).to_string(), "東京");
        assert_eq!(Name("東京\u{1b}x", 3).to_string(), "東京\\u{1b}…");
        assert_eq!(Name("", 0).to_string(), "");
    }

    #[test]
    fn limits_are_shown_as_they_were_given() {
        for (ms, text) in [(90_000, "90"), (250, "0.25"), (3_600_000, "3600"), (0, "0")] {
            assert_eq!(Limit(Duration::from_millis(ms)).to_string(), text);
        }
    }

    #[test]
    fn durations_are_rounded_not_cut() {
        let t = Duration::from_nanos(26_246_762_644);
        assert_eq!(Seconds(t, 3).to_string(), "26.247");
        assert_eq!(Seconds(t, 0).to_string(), "26");
        assert_eq!(format!("[{:>8}]", Seconds(t, 2)), "[   26.25]");
        assert_eq!(Millis(Duration::from_nanos(335_148_000), 3).to_string(), "335.148");
        assert_eq!(Millis(Duration::from_nanos(999_999), 1).to_string(), "1.0");
        assert_eq!(Seconds(Duration::MAX, 0).to_string(), "18446744073");
    }
}
