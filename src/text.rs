//! Text that is safe to show, and numbers and durations as people write them.

use std::fmt::{self, Write};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Shows text from the network or the command line with every control and formatting character escaped, so that it can
/// neither move a terminal's cursor nor reverse a line.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                c if needs_escape(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Text as [`Escaped`] shows it, cut to a number of terminal columns; `…` follows if there is more.
pub fn truncated(text: &str, columns: usize) -> String {
    let (mut shown, mut room) = (String::new(), columns);
    for c in text.chars() {
        let escaped = Escaped(c.encode_utf8(&mut [0; 4])).to_string();
        let Some(left) = room.checked_sub(width(&escaped)) else { return shown + "…" };
        room = left;
        shown += &escaped;
    }
    shown
}

/// Shows a receiver as `127.0.0.2 (5th Receiver)`: safe to print, a long name truncated.
pub struct NamedAddress<'a>(pub IpAddr, pub &'a str);

impl fmt::Display for NamedAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, truncated(self.1, 40))
    }
}

/// Roughly how many terminal columns a text takes: East Asian wide characters and emoji take two.
pub fn width(text: &str) -> usize {
    let is_wide = |c| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}'
            | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
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

/// Whether a character may not reach a terminal as it is: a control character, or an invisible one, which could reorder a
/// line: Unicode's Default_Ignorable_Code_Point, the line, paragraph and annotation separators, and the glyphs that are blank
/// without being spaces.
pub fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A number and what it counts: `1 packet`, `3 packets`.
pub struct Count(pub u64, pub &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// The system's message without Rust's `(os error 2)`.
pub struct OsMessage<'a>(pub &'a io::Error);

impl fmt::Display for OsMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let end = self.0.raw_os_error().and_then(|_| text.rfind('(')).unwrap_or(text.len());
        Escaped(text.get(..end).unwrap_or(&text).trim_end()).fmt(f)
    }
}

/// A duration in seconds with this many decimals (0 to 9), half rounded up: `26.247`. Integers only, since formatting of
/// floating-point numbers is a tenth of the binary.
pub struct Seconds(pub Duration, pub u32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed_point(f, nanos(self.0), 9, self.1)
    }
}

/// A duration that the user has set, in seconds without trailing zeros: `90`, `0.25`. To the millisecond.
pub struct TrimmedSeconds(pub Duration);

impl fmt::Display for TrimmedSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Seconds(self.0, 3).to_string().trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A duration in milliseconds with this many decimals (0 to 6): `335.148`.
pub struct Millis(pub Duration, pub u32);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed_point(f, nanos(self.0), 6, self.1)
    }
}

/// In 64 bits: what is longer than 584 years counts as that.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
        let invisible = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{2028}\u{202e}\u{2060}\u{2066}\
            \u{2800}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff0}\u{fffb}\u{1bca0}\u{1d159}\u{1d173}\u{1d17a}\u{e0001}\u{e0100}\
            \u{e01ef}\u{e0fff}";
        assert_eq!(invisible.chars().filter(|c| !needs_escape(*c)).collect::<Vec<_>>(), []);
        let visible =
            "a~\u{a0}é\u{301}ß\u{2010}…\u{2027}\u{203b}\u{2801}\u{3000}東\u{fdfd}\u{fe10}\u{fffd}\u{1d15a}😀";
        assert_eq!(visible.chars().filter(|c| needs_escape(*c)).collect::<Vec<_>>(), []);
        assert_eq!(Excerpt(b"ab\0\xff\n'\"\\", 9).to_string(), r#""ab\x00\xff\n'\"\\""#);
        assert_eq!(Excerpt(b"abcdef", 3).to_string(), "\"abc\"…");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        for (name, columns, shown) in [
            ("5th Receiver", 12, "5th Receiver"),
            ("5th Receivers", 12, "5th Receiver…"),
            ("東京東京", 5, "東京…"),
            ("a\x1b[2J", 5, "a…"),
            ("\u{202e}x", 8, "\\u{202e}…"),
            ("", 0, ""),
        ] {
            assert_eq!(truncated(name, columns), shown);
        }
    }

    #[test]
    fn one_is_singular_and_zero_is_plural() {
        assert_eq!([0, 1, 2].map(|n| Count(n, "byte").to_string()), ["0 bytes", "1 byte", "2 bytes"]);
    }

    #[test]
    fn a_system_error_is_shown_without_its_number() {
        assert_eq!(OsMessage(&io::Error::from_raw_os_error(2)).to_string(), "No such file or directory");
        assert_eq!(OsMessage(&io::Error::other("odd\x07 (very)")).to_string(), "odd\\u{7} (very)");
    }

    #[test]
    fn limits_are_shown_as_they_were_given() {
        for (ms, text) in [(90_000, "90"), (250, "0.25"), (3_600_000, "3600"), (0, "0")] {
            assert_eq!(TrimmedSeconds(Duration::from_millis(ms)).to_string(), text);
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
