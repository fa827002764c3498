//! The wire codec of the data path: intent, data packets and acks, in plain byte code, strict in what it accepts (mdalp(7),
//! "MESSAGES"). The list in an assignment is [`assignment`](super::assignment)'s.
#![expect(clippy::indexing_slicing, reason = "offsets in a buffer of this file's own layout")]

use super::{MAX_PACKET_PAYLOAD, Seq, Tid};

/// The whole intent (Type 0).
pub const INTENT: &[u8] = b"Type:0;";

/// The longest ack in bytes. A receive buffer needs one more, so that a longer datagram shows as longer.
pub const MAX_ACK_LEN: usize = ACK_START.len() + TID_DIGITS + SEQ_FIELD.len() + SEQ_DIGITS + 1;

/// The longest data packet in bytes.
pub const MAX_DATA_LEN: usize = PAYLOAD_AT + MAX_PACKET_PAYLOAD;

const DATA_START: &[u8] = b"Type:2;TID:";
/// An ack begins with this, and goes on like the header of the packet that it acknowledges does after as many bytes.
const ACK_TYPE: &[u8; 6] = b"Type:3";
const ACK_START: &[u8] = b"Type:3;TID:";
const SEQ_FIELD: &[u8] = b";SEQ:";
const DATA_FIELD: &[u8] = b";DATA:";

/// Digits of `u64::MAX` and of `u32::MAX`.
const TID_DIGITS: usize = 20;
const SEQ_DIGITS: usize = 10;

/// Room for everything up to and with `SEQ:`.
const PREFIX_LEN: usize = DATA_START.len() + TID_DIGITS + SEQ_FIELD.len();
/// Where the SEQ's digits end and `;DATA:` begins, the last of them, and where the payload begins, in a [`DataPacket`]'s buffer.
const SEQ_END: usize = PREFIX_LEN + SEQ_DIGITS;
const LAST_DIGIT: usize = SEQ_END - 1;
const PAYLOAD_AT: usize = SEQ_END + DATA_FIELD.len();

/// A data packet (Type 2) in a buffer that is used for one packet after the other, without allocation.
///
/// The payload stands at a fixed place and the header before it grows to the left, so that per packet only the
/// SEQ's digits are written, and the rest of the header moves only when a SEQ has another number of digits.
#[derive(Clone, Debug)]
pub struct DataPacket {
    buffer: [u8; MAX_DATA_LEN],
    /// `Type:2;TID:…;SEQ:`, of which the first `prefix_len` bytes count.
    prefix: [u8; PREFIX_LEN],
    prefix_len: usize,
    /// Digits of the SEQ before which the prefix now stands; 0 at first.
    digits: usize,
    /// The SEQ after the one that is written; 0 at first.
    next: u64,
}

impl DataPacket {
    /// A buffer for packets of transaction `tid`. It holds no packet yet.
    pub fn new(tid: Tid) -> Self {
        let text = [DATA_START, tid.to_string().as_bytes(), SEQ_FIELD].concat();
        let mut prefix = [0; PREFIX_LEN];
        prefix[..text.len()].copy_from_slice(&text);
        let mut buffer = [0; MAX_DATA_LEN];
        buffer[SEQ_END..PAYLOAD_AT].copy_from_slice(DATA_FIELD);
        Self { buffer, prefix, prefix_len: text.len(), digits: 0, next: 0 }
    }

    /// Returns the datagram that carries `payload`, 1 to [`MAX_PACKET_PAYLOAD`] bytes, as packet `seq`.
    pub fn encode(&mut self, seq: Seq, payload: &[u8]) -> &[u8] {
        assert!((1..=MAX_PACKET_PAYLOAD).contains(&payload.len()), "SEQ {seq} with {} bytes", payload.len());
        self.buffer[PAYLOAD_AT..][..payload.len()].copy_from_slice(payload);
        let digits = self.write_digits(seq);
        let start = SEQ_END - digits - self.prefix_len;
        if digits != self.digits {
            self.digits = digits;
            self.buffer[start..][..self.prefix_len].copy_from_slice(&self.prefix[..self.prefix_len]);
        }
        &self.buffer[start..PAYLOAD_AT + payload.len()]
    }

    /// Whether `datagram` is the ack of packet `seq`, which must be the one encoded last: its own header up to the SEQ, with
    /// another type.
    pub fn is_acked_by(&self, seq: Seq, datagram: &[u8]) -> bool {
        let start = SEQ_END - self.digits - self.prefix_len + ACK_TYPE.len();
        self.next == u64::from(seq.0) + 1
            && datagram
                .split_first_chunk()
                .is_some_and(|(kind, rest)| kind == ACK_TYPE && rest == &self.buffer[start..=SEQ_END])
    }

    /// Writes the SEQ so that it ends at `SEQ_END`, and returns how many digits it has.
    fn write_digits(&mut self, seq: Seq) -> usize {
        // Mostly it is the next one, and only its last digit another: 10 ns a packet, where writing all takes 45.
        if u64::from(seq.0) == self.next
            && let last @ b'0'..=b'8' = &mut self.buffer[LAST_DIGIT]
        {
            *last += 1;
            self.next = u64::from(seq.0) + 1;
            return self.digits;
        }
        self.next = u64::from(seq.0) + 1;
        let mut left = seq.0;
        let mut digits = 0;
        for place in self.buffer.iter_mut().take(SEQ_END).rev() {
            *place = b'0' + (left % 10) as u8;
            left /= 10;
            digits += 1;
            if left == 0 {
                break;
            }
        }
        digits
    }
}

/// An acknowledgement (Type 3): the receiver has this packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    /// The transaction.
    pub tid: Tid,
    /// The packet.
    pub seq: Seq,
}

impl Ack {
    /// Reads exactly `Type:3;TID:<u64>;SEQ:<u32>;`, numbers without leading zeros. The last `;` must be there:
    /// without it a `SEQ:30;` that was cut short would read as SEQ 3.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let (tid, seq, rest) = ids(datagram.strip_prefix(ACK_START)?)?;
        (rest == b";").then_some(Self { tid, seq })
    }
}

/// Reads `<u64>;SEQ:<u32>` and returns what follows it.
fn ids(bytes: &[u8]) -> Option<(Tid, Seq, &[u8])> {
    let (tid, rest) = decimal(bytes)?;
    let (seq, rest) = decimal(rest.strip_prefix(SEQ_FIELD)?)?;
    Some((Tid(tid), Seq(u32::try_from(seq).ok()?), rest))
}

/// Reads the decimal number that `bytes` begins with, and returns what follows it. `None` if there is no digit,
/// a leading zero that is not the only digit, or more than 64 bits.
pub(super) fn decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = bytes;
    let mut value = 0u64;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        rest = after;
    }
    match bytes.len() - rest.len() {
        0 => None,
        1 => Some((value, rest)),
        _ => (bytes.first() != Some(&b'0')).then_some((value, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, ack};

    /// Packet `seq` with `payload`, as bytes.
    fn written(packet: &mut DataPacket, seq: u32, payload: &[u8]) -> Vec<u8> {
        packet.encode(Seq(seq), payload).to_vec()
    }

    #[test]
    fn a_data_packet_has_the_bytes_of_the_protocol() {
        let mut packet = DataPacket::new(Tid(3740));
        assert_eq!(written(&mut packet, 30, b"a;\0\r\n\xff"), b"Type:2;TID:3740;SEQ:30;DATA:a;\0\r\n\xff");
        assert_eq!(written(&mut packet, 30, b"a"), b"Type:2;TID:3740;SEQ:30;DATA:a", "again");
        assert_eq!(written(&mut packet, 31, b"b"), b"Type:2;TID:3740;SEQ:31;DATA:b");
        assert_eq!(written(&mut DataPacket::new(Tid(0)), 0, b"x"), b"Type:2;TID:0;SEQ:0;DATA:x");
        let longest = written(&mut DataPacket::new(Tid(u64::MAX)), u32::MAX, &[7; 100]);
        assert!(longest.starts_with(b"Type:2;TID:18446744073709551615;SEQ:4294967295;DATA:\x07"));
        assert_eq!(longest.len(), MAX_DATA_LEN);
    }

    #[test]
    fn a_reused_packet_is_right_whenever_the_number_of_digits_changes() {
        let mut packet = DataPacket::new(Tid(42));
        for seq in
            [9, 10, 11, 12, 99, 100, 5, 6, 4_294_967_295, 0, 1, 1, 2, 1_000_000, 999_999, 1_000_000, 11, 0]
        {
            let wanted = format!("Type:2;TID:42;SEQ:{seq};DATA:payload");
            assert_eq!(written(&mut packet, seq, b"payload"), wanted.as_bytes());
        }
    }

    #[test]
    fn any_packet_is_its_header_and_its_payload() {
        let mut rng = Rng::new(1);
        for _ in 0..20_000 {
            let (tid, seq) = (rng.magnitude(64), rng.magnitude(32) as u32);
            let payload: Vec<u8> = (0..=rng.below(99)).map(|_| rng.bits() as u8).collect();
            let mut packet = DataPacket::new(Tid(tid));
            packet.encode(Seq(rng.magnitude(32) as u32), b"before");
            let header = format!("Type:2;TID:{tid};SEQ:{seq};DATA:").into_bytes();
            assert_eq!(packet.encode(Seq(seq), &payload), [header, payload].concat());
            assert_eq!(Ack::parse(&ack(tid, seq)), Some(Ack { tid: Tid(tid), seq: Seq(seq) }));
        }
    }

    #[test]
    #[should_panic(expected = "SEQ 5 with 101 bytes")]
    fn a_payload_over_100_bytes_is_a_bug() {
        DataPacket::new(Tid(1)).encode(Seq(5), &[0; 101]);
    }

    #[test]
    #[should_panic(expected = "SEQ 5 with 0 bytes")]
    fn an_empty_payload_is_a_bug() {
        DataPacket::new(Tid(1)).encode(Seq(5), b"");
    }

    #[test]
    fn a_packet_is_acked_by_its_own_ack_and_nothing_else() {
        let mut packet = DataPacket::new(Tid(3740));
        assert!(!packet.is_acked_by(Seq(0), b"Type:3;TID:3740;SEQ:;"), "nothing is encoded yet");
        for seq in [9, 10, 11, 4_294_967_295, 0] {
            assert!(!packet.is_acked_by(Seq(seq), &ack(3740, seq)), "not encoded yet");
            packet.encode(Seq(seq), b"payload");
            let whole = ack(3740, seq);
            assert!(packet.is_acked_by(Seq(seq), &whole), "{seq}");
            assert!(!packet.is_acked_by(Seq(seq), &[&whole, &b";"[..]].concat()));
            for cut in 0..whole.len() {
                assert!(!packet.is_acked_by(Seq(seq), &whole[..cut]));
                for value in 0..=255 {
                    let mut changed = whole.clone();
                    changed[cut] = value;
                    assert_eq!(packet.is_acked_by(Seq(seq), &changed), changed == whole);
                }
            }
        }
    }

    #[test]
    fn an_ack_has_the_bytes_of_the_protocol() {
        let parsed = |tid, seq| Some(Ack { tid: Tid(tid), seq: Seq(seq) });
        assert_eq!(Ack::parse(b"Type:3;TID:3740;SEQ:30;"), parsed(3740, 30));
        assert_eq!(Ack::parse(b"Type:3;TID:0;SEQ:0;"), parsed(0, 0));
        let longest = b"Type:3;TID:18446744073709551615;SEQ:4294967295;";
        assert_eq!(Ack::parse(longest), parsed(u64::MAX, u32::MAX));
        assert_eq!(longest.len(), MAX_ACK_LEN);
    }

    #[test]
    fn everything_that_is_not_exactly_an_ack_is_refused() {
        let table: [&[u8]; 29] = [
            b"",
            b"Type:3;",
            b"Type:3;TID:3740;SEQ:30",
            b"Type:3;TID:3740;SEQ:30;;",
            b"Type:3;TID:3740;SEQ:30; ",
            b"Type:3;TID:3740;SEQ:30;\n",
            b"Type:3;TID:3740;SEQ:30;\0",
            b"Type:3;TID:3740;SEQ:30;DATA:x",
            b" Type:3;TID:3740;SEQ:30;",
            b"type:3;TID:3740;SEQ:30;",
            b"Type:2;TID:3740;SEQ:30;",
            b"Type:03;TID:3740;SEQ:30;",
            b"Type:3;TID:3740,SEQ:30;",
            b"Type:3;SEQ:30;TID:3740;",
            b"Type:3;TID:3740;",
            b"Type:3;TID:;SEQ:30;",
            b"Type:3;TID:3740;SEQ:;",
            b"Type:3;TID:3740;SEQ:030;",
            b"Type:3;TID:03740;SEQ:30;",
            b"Type:3;TID:3740;SEQ:00;",
            b"Type:3;TID:3740;SEQ:-30;",
            b"Type:3;TID:3740;SEQ:+30;",
            b"Type:3;TID:3740;SEQ: 30;",
            b"Type:3;TID:3740;SEQ:3x;",
            b"Type:3;TID:3740;SEQ:4294967296;",
            b"Type:3;TID:3740;SEQ:18446744073709551646;",
            b"Type:3;TID:18446744073709551616;SEQ:30;",
            b"Type:3;TID:00000000000000000000;SEQ:30;",
            b"\xff\xfe\0\x01",
        ];
        for datagram in table {
            assert_eq!(Ack::parse(datagram), None, "{}", datagram.escape_ascii());
        }
    }

    #[test]
    fn an_ack_cut_short_or_with_one_byte_changed_is_never_the_same_ack() {
        let whole = ack(3740, 30);
        let parsed = Ack::parse(&whole);
        for cut in 0..whole.len() {
            assert_eq!(Ack::parse(&whole[..cut]), None);
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[cut] = value;
                assert_eq!(Ack::parse(&changed) == parsed, changed == whole);
            }
        }
        assert_eq!(Ack::parse(&[b'0'; 65_535]), None);
        assert_eq!(Ack::parse(&[ACK_START, &[b'1'; 65_000]].concat()), None);
    }
}
