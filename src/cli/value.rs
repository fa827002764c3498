//! The value of an option: read strictly, and quoted in the error when it is not what the option needs.

use super::UsageError;
use crate::text::{Escaped, TrimmedSeconds};
use lexopt::Parser;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// The longest latency that can be given: an hour.
const LONGEST_LATENCY: Duration = Duration::from_secs(3600);

/// The durations that an option takes, both ends included. Shown in seconds: `0.001 to 3600`.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub min: Duration,
    pub max: Duration,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", TrimmedSeconds(self.min), TrimmedSeconds(self.max))
    }
}

/// A value and the option that it belongs to, as the user wrote both.
pub(super) struct Value {
    option: String,
    given: OsString,
}

impl Value {
    pub fn new(option: String, given: OsString) -> Self {
        Self { option, given }
    }

    /// The value of the option that the parser has just come to.
    pub fn of(option: String, parser: &mut Parser) -> Result<Self, UsageError> {
        match parser.value() {
            Ok(given) => Ok(Self { option, given }),
            Err(_) => Err(UsageError(format!("{option}: requires a value"))),
        }
    }

    /// `option 'value': why`.
    pub fn wrong(&self, why: impl fmt::Display) -> UsageError {
        let given = self.given.to_string_lossy();
        UsageError(format!("{} '{}': {why}", self.option, Escaped(&given)))
    }

    /// The value as text. Only a file name may be something else.
    pub fn text(&self) -> Option<&str> {
        self.given.to_str()
    }

    pub fn file(self) -> Result<OsString, UsageError> {
        if self.given.is_empty() {
            return Err(self.wrong("a file name is required; - is standard input"));
        }
        Ok(self.given)
    }

    /// A local address: an IP literal, in brackets or not.
    pub fn address(&self) -> Result<IpAddr, UsageError> {
        let text = self.text().unwrap_or_default();
        match ip_literal(text) {
            Some(address) => Ok(address),
            None if text.parse::<SocketAddr>().is_ok() => {
                Err(self.wrong("an address without a port is required; the system chooses the local port"))
            }
            None => Err(self.wrong(not_an_address(text))),
        }
    }

    /// The address of one host, with or without a port; port 0 stands for none.
    pub fn orchestrator(&self) -> Result<SocketAddr, UsageError> {
        let text = self.text().unwrap_or_default();
        let (host, port) = match text.rsplit_once(':') {
            // A colon in an IPv6 address comes before a port only if that address is in brackets.
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
            _ => (text, None),
        };
        let port = port.map_or(Ok(0), |port| parse_port(port).ok_or_else(|| self.wrong(PORT_RANGE)))?;
        let not_an_address = || self.wrong(not_an_address(host));
        let bracketed = host.strip_prefix('[');
        let bare = bracketed.map_or(Some(host), |rest| rest.strip_suffix(']')).ok_or_else(not_an_address)?;
        let (bare, zone) = bare.split_once('%').map_or((bare, None), |(bare, zone)| (bare, Some(zone)));
        let mut address = SocketAddr::new(bare.parse().map_err(|_| not_an_address())?, port);
        match (&mut address, zone) {
            (SocketAddr::V6(address), Some(zone)) => {
                let no_interface = || self.wrong("this host has no such network interface; see 'ip link'");
                address.set_scope_id(scope_id(zone).ok_or_else(no_interface)?);
            }
            (SocketAddr::V6(address), None) if address.ip().is_unicast_link_local() => {
                return Err(
                    self.wrong("a link-local address needs its network interface, as in fe80::1%eth0")
                );
            }
            (SocketAddr::V4(_), zone) if bracketed.is_some() || zone.is_some() => {
                return Err(not_an_address());
            }
            _ => {}
        }
        if address.ip().is_multicast() || address.ip() == Ipv4Addr::BROADCAST {
            return Err(self.wrong("not the address of one host"));
        }
        Ok(address)
    }

    pub fn port(&self) -> Result<u16, UsageError> {
        self.text().and_then(parse_port).ok_or_else(|| self.wrong(PORT_RANGE))
    }

    /// Whether it names mode 2.
    pub fn mode_is_single(&self) -> Result<bool, UsageError> {
        match self.text() {
            Some("1" | "balance") => Ok(false),
            Some("2" | "single") => Ok(true),
            _ => Err(self.wrong("a mode is 1 (balance) or 2 (single)")),
        }
    }

    /// A 1-based index. How many receivers there are is known only later.
    pub fn index(&self) -> Result<usize, UsageError> {
        match self.text().and_then(whole_number).and_then(|n| usize::try_from(n).ok()) {
            Some(index) if index != 0 => Ok(index),
            _ => Err(self.wrong("receivers are counted from 1")),
        }
    }

    pub fn seconds(&self, bounds: Bounds) -> Result<Duration, UsageError> {
        match self.text().and_then(|text| decimal(text, SECOND)) {
            Some(time) if bounds.min <= time && time <= bounds.max => Ok(time),
            _ => Err(self.wrong(format_args!("must be {bounds} seconds"))),
        }
    }

    /// Milliseconds, separated by commas.
    pub fn latencies(&self) -> Result<Vec<Duration>, UsageError> {
        let latency = |text: &str| decimal(text, MILLISECOND).filter(|time| *time <= LONGEST_LATENCY);
        let all = self.text().and_then(|text| text.split(',').map(latency).collect());
        all.ok_or_else(|| self.wrong("must be milliseconds, 0 to 3600000, separated by commas"))
    }
}

const PORT_RANGE: &str = "a port must be 1 to 65535";

fn parse_port(text: &str) -> Option<u16> {
    whole_number(text).and_then(|n| u16::try_from(n).ok()).filter(|port| *port != 0)
}

fn not_an_address(text: &str) -> String {
    if looks_like_a_host_name(text) {
        format!("not an IP address; find it with 'getent ahosts {text}'")
    } else {
        "not an IPv4 or IPv6 address".to_owned()
    }
}

/// The number of a network interface, which an IPv6 zone gives directly or by name. Linux shows it in a file; std has no
/// call for it.
fn scope_id(zone: &str) -> Option<u32> {
    let by_name = || {
        let is_name = !zone.is_empty() && !zone.starts_with('.') && !zone.contains('/');
        let file = is_name.then(|| format!("/sys/class/net/{zone}/ifindex"))?;
        std::fs::read_to_string(file).ok()?.trim_ascii().parse().ok()
    };
    whole_number(zone).map_or_else(by_name, |id| u32::try_from(id).ok())
}

fn ip_literal(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// Whether it is worth asking the resolver about: the characters of a host name, and not only those of an IPv4
/// address.
fn looks_like_a_host_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Decimal digits and nothing else: no sign, no blank.
fn whole_number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A decimal number of `unit`s (a power of ten of nanoseconds): `3`, `0.3`, `.5`; no sign, no exponent. Digits below a
/// nanosecond count for nothing. By integers, since parsing of floating-point numbers would be a tenth of the binary.
fn decimal(text: &str, unit: Duration) -> Option<Duration> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (if whole.is_empty() { "0" } else { whole }, fraction),
        None => (text, "0"),
    };
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let unit = u64::try_from(unit.as_nanos()).ok()?;
    let mut nanos = whole_number(whole)?.checked_mul(unit)?;
    let mut place = unit / 10;
    for digit in fraction.bytes() {
        nanos = nanos.checked_add(u64::from(digit - b'0') * place)?;
        place /= 10;
    }
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        let cases = [
            ("3", 3_000_000_000),
            ("0.3", 300_000_000),
            (".5", 500_000_000),
            ("007.250", 7_250_000_000),
            ("0", 0),
            ("0.123456789", 123_456_789),
            ("0.0000000019", 1),
            ("18446744073.709551615", u64::MAX),
        ];
        for (text, nanos) in cases {
            assert_eq!(decimal(text, SECOND), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(decimal("335.148", MILLISECOND), Some(Duration::from_nanos(335_148_000)));
        assert_eq!(decimal("0.0000019", MILLISECOND), Some(Duration::from_nanos(1)));
    }

    #[test]
    fn what_is_no_decimal_is_not_guessed_at() {
        let cases = [
            "",
            ".",
            "3.",
            "-1",
            "+3",
            "1e3",
            "nan",
            "inf",
            "0x3",
            "3s",
            " 3",
            "3 ",
            "1.2.3",
            "1,5",
            "1_000",
            "٣",
            "0.-1",
            "18446744073.709551616",
            "18446744073709551616",
        ];
        for text in cases {
            assert_eq!(decimal(text, SECOND), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_shown_without_trailing_zeros() {
        let bounds = Bounds { min: Duration::from_millis(100), max: Duration::from_secs(3600) };
        assert_eq!(bounds.to_string(), "0.1 to 3600");
        assert_eq!(Bounds { min: SECOND, max: SECOND }.to_string(), "1 to 1");
    }
}
