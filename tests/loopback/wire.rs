//! The four messages of MDALP, written here a second time and apart from the client's codec, so that the two check
//! each other. Strict: what is not exactly the recorded form is not a message.

/// The client's request, whole.
pub const INTENT: &[u8] = b"Type:0;";

/// The most payload bytes a data packet may carry.
pub const MAX_PAYLOAD: usize = 100;

/// What the parts of a data packet's datagram say.
#[derive(Debug, PartialEq, Eq)]
pub struct Data<'a> {
    pub tid: u64,
    pub seq: u32,
    pub payload: &'a [u8],
}

/// Reads `Type:2;TID:3740;SEQ:30;DATA:<1 or more raw bytes>`; `None` for anything else, numbers with leading zeros
/// included.
pub fn parse_data(datagram: &[u8]) -> Option<Data<'_>> {
    let rest = datagram.strip_prefix(b"Type:2;TID:")?;
    let (tid, rest) = number(rest)?;
    let (seq, rest) = number(rest.strip_prefix(b";SEQ:")?)?;
    let payload = rest.strip_prefix(b";DATA:")?;
    if payload.is_empty() { None } else { Some(Data { tid, seq: u32::try_from(seq).ok()?, payload }) }
}

/// Reads `Type:3;TID:3740;SEQ:30;`: TID and SEQ; `None` for anything else.
pub fn parse_ack(datagram: &[u8]) -> Option<(u64, u32)> {
    let (tid, rest) = number(datagram.strip_prefix(b"Type:3;TID:")?)?;
    let (seq, rest) = number(rest.strip_prefix(b";SEQ:")?)?;
    if rest == b";" { Some((tid, u32::try_from(seq).ok()?)) } else { None }
}

/// `Type:3;TID:3740;SEQ:30;`
pub fn ack(tid: u64, seq: u32) -> Vec<u8> {
    format!("Type:3;TID:{tid};SEQ:{seq};").into_bytes()
}

/// `Type:1;TID:3740;DATA:[{'ip_address': '10.0.0.1', 'name': '5th Receiver'}, …];`, of a list that is already text.
pub fn assignment(tid: u64, list: &str) -> Vec<u8> {
    format!("Type:1;TID:{tid};DATA:{list};").into_bytes()
}

/// The list of a Type 1 as Python writes it, from pairs of address and name.
pub fn list(entries: &[(String, String)]) -> String {
    let dict = |(address, name): &(String, String)| {
        let name = name.replace('\\', "\\\\").replace('\'', "\\'");
        format!("{{'ip_address': '{address}', 'name': '{name}'}}")
    };
    format!("[{}]", entries.iter().map(dict).collect::<Vec<_>>().join(", "))
}

/// The transaction that a Type 1 of any other shape names, if it names one.
pub fn tid_of_assignment(datagram: &[u8]) -> Option<u64> {
    let at = datagram.windows(4).position(|window| window == b"TID:")?;
    Some(number(datagram.get(at + 4..)?)?.0)
}

/// A decimal number without leading zeros, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let has_leading_zero = digits > 1 && number.starts_with(b"0");
    let value = std::str::from_utf8(number).ok()?.parse().ok()?;
    if has_leading_zero { None } else { Some((value, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_packet_is_read_with_any_bytes_in_it() {
        let packet = b"Type:2;TID:3740;SEQ:30;DATA:;\0\r\n\xff";
        assert_eq!(parse_data(packet), Some(Data { tid: 3740, seq: 30, payload: b";\0\r\n\xff" }));
    }

    #[test]
    fn what_is_not_exactly_a_data_packet_is_refused() {
        for wrong in [
            "",
            "Type:0;",
            "Type:3;TID:1;SEQ:1;",
            "Type:2;TID:1;SEQ:1;DATA:",
            "Type:2;TID:01;SEQ:1;DATA:x",
            "Type:2;TID:;SEQ:1;DATA:x",
            "Type:2;TID:1;SEQ:4294967296;DATA:x",
            "Type:2;TID:1;SEQ:-1;DATA:x",
            "Type:2;TID:18446744073709551616;SEQ:1;DATA:x",
            "type:2;TID:1;SEQ:1;DATA:x",
            "Type:2;TID:1;SEQ: 1;DATA:x",
        ] {
            assert_eq!(parse_data(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn an_ack_is_exactly_as_recorded() {
        assert_eq!(ack(3740, 30), b"Type:3;TID:3740;SEQ:30;");
        assert_eq!(parse_ack(&ack(3740, 30)), Some((3740, 30)));
        for wrong in
            ["Type:3;TID:1;SEQ:1", "Type:3;TID:1;SEQ:01;", "Type:3;TID:1;SEQ:1;;", "Type:2;TID:1;SEQ:1;"]
        {
            assert_eq!(parse_ack(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn an_assignment_looks_as_recorded() {
        let list = list(
            &[("10.0.0.1", "5th Receiver"), ("10.0.0.2", "it's \\")]
                .map(|(a, n)| (a.to_string(), n.to_string())),
        );
        let expected = r"Type:1;TID:3740;DATA:[{'ip_address': '10.0.0.1', 'name': '5th Receiver'}, {'ip_address': '10.0.0.2', 'name': 'it\'s \\'}];";
        assert_eq!(String::from_utf8(assignment(3740, &list)).unwrap(), expected);
        assert_eq!(tid_of_assignment(expected.as_bytes()), Some(3740));
        assert_eq!(tid_of_assignment(b"Type:1;TID:x"), None);
    }
}
