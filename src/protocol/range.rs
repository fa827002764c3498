//! A run of consecutive packets: which SEQs, and which bytes of the payload they carry.

use super::{MAX_PACKET_PAYLOAD, Seq};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

/// Consecutive SEQs and the payload bytes that they carry. Every packet is full but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    first: u32,
    end: u32,
    first_byte: u64,
    end_byte: u64,
}

/// Returns the number of packets in all of `ranges`, which together are part of one SEQ space.
pub(super) fn packets_in<'a>(ranges: impl IntoIterator<Item = &'a SeqRange>) -> u32 {
    ranges.into_iter().map(SeqRange::packets).sum()
}

/// The first `packets` of `ranges`, taken off them.
pub(super) fn take_front(ranges: &mut VecDeque<SeqRange>, packets: u32) -> VecDeque<SeqRange> {
    let mut taken = VecDeque::new();
    let mut wanted = packets;
    while wanted > 0
        && let Some(range) = ranges.pop_front()
    {
        let (head, tail) = range.split_at(Seq(range.first.saturating_add(wanted)));
        wanted -= head.packets();
        taken.push_back(head);
        if !tail.is_empty() {
            ranges.push_front(tail);
        }
    }
    taken
}

impl SeqRange {
    /// A range without packets.
    pub const EMPTY: Self = Self { first: 0, end: 0, first_byte: 0, end_byte: 0 };

    /// Returns the packets for `bytes`, the first of them numbered `first`; `None` if the SEQs do not fit 32 bits or
    /// `bytes` ends before it begins.
    pub fn over_bytes(first: Seq, bytes: Range<u64>) -> Option<Self> {
        let packets = bytes.end.checked_sub(bytes.start)?.div_ceil(MAX_PACKET_PAYLOAD as u64);
        let end = first.0.checked_add(u32::try_from(packets).ok()?)?;
        Some(Self { first: first.0, end, first_byte: bytes.start, end_byte: bytes.end })
    }

    /// Returns the first SEQ.
    pub fn first(&self) -> Seq {
        Seq(self.first)
    }

    /// Returns the SEQ after the last one.
    pub fn end(&self) -> Seq {
        Seq(self.end)
    }

    /// Returns the number of packets.
    pub fn packets(&self) -> u32 {
        self.end - self.first
    }

    /// Returns the payload bytes of the whole range, as positions in the payload.
    pub fn bytes(&self) -> Range<u64> {
        self.first_byte..self.end_byte
    }

    /// Returns the number of payload bytes.
    pub fn len(&self) -> u64 {
        self.end_byte - self.first_byte
    }

    /// Whether it has no packets.
    pub fn is_empty(&self) -> bool {
        self.first == self.end
    }

    /// Returns the payload bytes of packet `seq`; empty if `seq` is outside of the range.
    pub fn packet_bytes(&self, seq: Seq) -> Range<u64> {
        self.start_of(seq)..self.start_of(Seq(seq.0.saturating_add(1)))
    }

    /// Splits it into the packets before `seq` and those from `seq` on. A `seq` outside of the range leaves one side empty.
    pub fn split_at(&self, seq: Seq) -> (Self, Self) {
        let seq = Seq(seq.0.clamp(self.first, self.end));
        let byte = self.start_of(seq);
        (Self { end: seq.0, end_byte: byte, ..*self }, Self { first: seq.0, first_byte: byte, ..*self })
    }

    /// Where packet `seq` starts in the payload; the end of the range for a `seq` at or after its end.
    fn start_of(&self, seq: Seq) -> u64 {
        let before = u64::from(seq.0.saturating_sub(self.first)) * MAX_PACKET_PAYLOAD as u64;
        (self.first_byte + before).min(self.end_byte)
    }
}

/// Its SEQs: `0-9`, or `7` if there is but one.
impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first, self.end.saturating_sub(1));
        if first >= last { first.fmt(f) } else { write!(f, "{first}-{last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_packet_is_short_and_splits_keep_the_packet_boundaries() {
        let range = SeqRange::over_bytes(Seq(10), 963..963 + 1981).unwrap();
        assert_eq!((range.first(), range.end(), range.packets(), range.len()), (Seq(10), Seq(30), 20, 1981));
        assert_eq!(range.packet_bytes(Seq(10)), 963..1063);
        assert_eq!(range.packet_bytes(Seq(29)), 2863..2944);
        let (head, tail) = range.split_at(Seq(29));
        assert_eq!((head.packets(), head.bytes()), (19, 963..2863));
        assert_eq!((tail.first(), tail.bytes()), (Seq(29), 2863..2944));
        assert_eq!(tail.packet_bytes(Seq(29)), 2863..2944);
        assert_eq!([head, tail].map(|range| range.to_string()), ["10-28", "29"]);
        assert!(range.split_at(Seq(3)).0.is_empty());
        assert!(range.split_at(Seq(99)).1.is_empty());
    }

    #[test]
    fn what_32_bit_seqs_cannot_number_is_refused() {
        assert!(SeqRange::over_bytes(Seq(0), 0..u64::from(u32::MAX) * 100).is_some());
        assert!(SeqRange::over_bytes(Seq(0), 0..u64::from(u32::MAX) * 100 + 1).is_none());
        assert!(SeqRange::over_bytes(Seq(1), 0..u64::from(u32::MAX) * 100).is_none());
        assert!(SeqRange::over_bytes(Seq(0), std::ops::Range { start: 5, end: 4 }).is_none());
    }
}
