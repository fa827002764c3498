//! The value of an option: read strictly, and quoted in the error when it is not what the option needs.

use crate::text::{Escaped, TrimmedSeconds};
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The longest latency that can be given: an hour.
const LONGEST_LATENCY: Duration = Duration::from_secs(3600);

/// A value and the option that it belongs to, as the user wrote both.
pub(super) struct Value<'a> {
    pub option: &'a str,
    pub given: OsString,
}

impl Value<'_> {
    /// `option 'value': why`.
    pub fn wrong(&self, why: impl fmt::Display) -> String {
        let given = self.given.to_string_lossy();
        format!("{} '{}': {why}", Escaped(self.option), Escaped(&given))
    }

    /// The value as text. Only a file name may be something else.
    pub fn text(&self) -> Option<&str> {
        self.given.to_str()
    }

    pub fn file(self) -> Result<OsString, String> {
        if self.given.is_empty() {
            return Err(self.wrong("a file name is required; - is standard input"));
        }
        Ok(self.given)
    }

    /// A local address: an IP literal, in brackets or not.
    pub fn address(&self) -> Result<IpAddr, String> {
        let text = self.text().unwrap_or_default();
        let address = ip_literal(text).ok_or_else(|| match text.parse::<SocketAddr>() {
            Ok(_) => self.wrong("an address without a port is required; the system chooses the local port"),
            Err(_) => self.wrong(not_an_address(text)),
        })?;
        self.of_one_host(address)?;
        Ok(address)
    }

    fn of_one_host(&self, address: IpAddr) -> Result<(), String> {
        if address.is_multicast() || address == Ipv4Addr::BROADCAST {
            return Err(self.wrong("not the address of one host"));
        }
        Ok(())
    }

    /// The address of one host, with or without a port; port 0 stands for none.
    pub fn orchestrator(&self) -> Result<SocketAddr, String> {
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
        self.of_one_host(address.ip())?;
        Ok(address)
    }

    pub fn port(&self) -> Result<u16, String> {
        self.text().and_then(parse_port).ok_or_else(|| self.wrong(PORT_RANGE))
    }

    /// Whether it names mode 2.
    pub fn mode_is_single(&self) -> Result<bool, String> {
        match self.text() {
            Some("1" | "balance") => Ok(false),
            Some("2" | "single") => Ok(true),
            _ => Err(self.wrong("a mode is 1 (balance) or 2 (single)")),
        }
    }

    /// A 1-based index. How many receivers there are is known only later.
    pub fn index(&self) -> Result<usize, String> {
        let index = self.text().and_then(whole_number).filter(|index| *index != 0);
        index.ok_or_else(|| self.wrong("receivers are counted from 1"))
    }

    pub fn seconds(&self, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
        let time = self.text().and_then(|text| decimal(text, 9)).filter(|time| allowed.contains(time));
        let (min, max) = (TrimmedSeconds(*allowed.start()), TrimmedSeconds(*allowed.end()));
        time.ok_or_else(|| self.wrong(format_args!("must be {min} to {max} seconds")))
    }

    /// Milliseconds, separated by commas.
    pub fn latencies(&self) -> Result<Vec<Duration>, String> {
        let latency = |text: &str| decimal(text, 6).filter(|time| *time <= LONGEST_LATENCY);
        let all = self.text().and_then(|text| text.split(',').map(latency).collect());
        all.ok_or_else(|| self.wrong("must be milliseconds, 0 to 3600000, separated by commas"))
    }
}

const PORT_RANGE: &str = "a port must be 1 to 65535";

fn parse_port(text: &str) -> Option<u16> {
    whole_number(text).filter(|port| *port != 0)
}

fn not_an_address(text: &str) -> String {
    // Worth asking the resolver about: the characters of a host name, and not only those of an IPv4 address.
    let is_host_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    if is_host_name {
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
    whole_number(zone).or_else(by_name)
}

fn ip_literal(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// Decimal digits and nothing else: no sign, no blank.
fn whole_number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A decimal number of a unit that is `places` powers of ten longer than a nanosecond: `3`, `0.3`, `.5`; no sign, no exponent.
/// Digits below a nanosecond count for nothing. By integers, since parsing of floating-point numbers would be a tenth of the
/// binary.
fn decimal(text: &str, places: usize) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !text.ends_with(|c: char| c.is_ascii_digit()) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The whole, followed by that many digits of the fraction, is the number of nanoseconds.
    whole_number(&format!("{whole}{fraction:0<places$.places$}")).map(Duration::from_nanos)
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
            assert_eq!(decimal(text, 9), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(decimal("335.148", 6), Some(Duration::from_nanos(335_148_000)));
        assert_eq!(decimal("0.0000019", 6), Some(Duration::from_nanos(1)));
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
            assert_eq!(decimal(text, 9), None, "{text}");
        }
    }
}
