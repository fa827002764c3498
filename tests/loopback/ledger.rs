//! What one receiver got in one transaction. The judge knows nothing else.

use super::runs::Runs;
use super::verdict::Remark;
use super::wire::{Data, MAX_PAYLOAD};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A hostile or broken client must not fill the memory with remarks.
const MOST_REMARKS: usize = 100;

pub struct Ledger {
    name: String,
    pub counts: Counts,
    pub received: Runs,
    answered: Runs,
    outstanding: Option<u32>,
    /// Every byte, if payloads are kept.
    packets: Option<BTreeMap<u32, Box<[u8]>>>,
    /// The lengths that are not 100.
    odd_lengths: BTreeMap<u32, usize>,
    last_source: Option<SocketAddr>,
    /// How often each SEQ came, as far as somebody asks.
    transmissions: BTreeMap<u32, u32>,
    pub remarks: Vec<Remark>,
}

/// Numbers of packets and bytes at one receiver, in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Data packets that came to the receiver's socket, those that a script lost included.
    pub packets: u64,
    /// Of these, the ones that a script lost.
    pub lost: u64,
    /// Payload bytes received, every SEQ counted once.
    pub bytes: u64,
    /// Acks sent, or on their way; duplicates and forgeries that a script added are not counted.
    pub acks: u64,
    /// Acks that a script lost.
    pub acks_lost: u64,
    /// Packets for a SEQ that had been received before.
    pub duplicates: u64,
    /// Of these, the ones for a SEQ whose ack had been sent or was on its way: spurious retransmissions.
    pub spurious: u64,
    /// Sockets that data came from, one after another; more than one in a transaction is odd.
    pub sources: u64,
}

impl Ledger {
    pub fn new(name: &str, keep_payload: bool) -> Ledger {
        Ledger {
            name: name.to_string(),
            counts: Counts::default(),
            received: Runs::default(),
            answered: Runs::default(),
            outstanding: None,
            packets: keep_payload.then(BTreeMap::new),
            odd_lengths: BTreeMap::new(),
            last_source: None,
            transmissions: BTreeMap::new(),
            remarks: Vec::new(),
        }
    }

    /// A data packet came to the socket: looks at the client's manners. Whether the packet is received or lost is the
    /// script's business, and comes next.
    pub fn arrives(&mut self, data: &Data<'_>, from: SocketAddr) {
        self.counts.packets += 1;
        if self.last_source != Some(from) {
            self.last_source = Some(from);
            self.counts.sources += 1;
        }
        if self.outstanding == Some(data.seq) {
            return;
        }
        if !self.received.contains(data.seq) {
            if let Some(outstanding) = self.outstanding {
                self.remark(|receiver| Remark::BrokenStopAndWait { receiver, outstanding, seq: data.seq });
            }
            self.outstanding = Some(data.seq);
        }
    }

    /// Counts a transmission of the SEQ, from 1.
    pub fn transmission(&mut self, seq: u32) -> u32 {
        let count = self.transmissions.entry(seq).or_default();
        *count += 1;
        *count
    }

    /// Takes the packet in; returns how many bytes of it were new.
    pub fn receives(&mut self, data: &Data<'_>) -> usize {
        let (seq, len) = (data.seq, data.payload.len());
        if len > MAX_PAYLOAD {
            self.remark(|receiver| Remark::TooLong { receiver, seq, len });
        }
        if self.received.insert(seq) {
            if let Some(packets) = &mut self.packets {
                packets.insert(seq, data.payload.into());
            }
            if len != MAX_PAYLOAD {
                self.odd_lengths.insert(seq, len);
            }
            self.counts.bytes += len as u64;
            return len;
        }
        self.counts.duplicates += 1;
        self.counts.spurious += u64::from(self.answered.contains(seq));
        let same = self.payload_of(seq).is_none_or(|known| known == data.payload);
        if !same || self.length_of(seq) != len {
            self.remark(|receiver| Remark::ConflictingData { receiver, seq });
        }
        0
    }

    /// The ack of this SEQ is decided on: from here on a retransmission is spurious.
    pub fn answers(&mut self, seq: u32) {
        self.counts.acks += 1;
        self.answered.insert(seq);
    }

    /// The ack of this SEQ is about to be sent: from here on the next SEQ may come.
    pub fn acknowledges(&mut self, seq: u32) {
        if self.outstanding == Some(seq) {
            self.outstanding = None;
        }
    }

    pub fn outstanding(&self) -> Option<u32> {
        self.outstanding
    }

    pub fn has_acknowledged(&self, seq: u32) -> bool {
        self.answered.contains(seq) && self.outstanding != Some(seq)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload length of a SEQ that was received.
    pub fn length_of(&self, seq: u32) -> usize {
        self.odd_lengths.get(&seq).copied().unwrap_or(MAX_PAYLOAD)
    }

    /// The payload of a SEQ, if it was received and kept.
    pub fn payload_of(&self, seq: u32) -> Option<&[u8]> {
        Some(self.packets.as_ref()?.get(&seq)?)
    }

    fn remark(&mut self, remark: impl FnOnce(String) -> Remark) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push(remark(self.name.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    fn packet(seq: u32, payload: &[u8]) -> Data<'_> {
        Data { tid: 1, seq, payload }
    }

    fn take(ledger: &mut Ledger, seq: u32, payload: &[u8]) -> usize {
        ledger.arrives(&packet(seq, payload), source());
        ledger.receives(&packet(seq, payload))
    }

    fn answer(ledger: &mut Ledger, seq: u32) {
        ledger.answers(seq);
        ledger.acknowledges(seq);
    }

    #[test]
    fn breaches_of_manners_are_remarked() {
        let mut ledger = Ledger::new("A", true);
        let receiver = || "A".to_string();
        // The first packet is lost by the script: moving on is remarked all the same.
        ledger.arrives(&packet(0, b"x"), source());
        assert_eq!(take(&mut ledger, 1, b"one"), 3);
        answer(&mut ledger, 1);
        assert_eq!(take(&mut ledger, 1, b"two"), 0);
        assert_eq!(ledger.payload_of(1), Some(&b"one"[..]));
        assert_eq!((ledger.counts.duplicates, ledger.counts.spurious), (1, 1));
        take(&mut ledger, 2, &[0; 101]);
        let broken = Remark::BrokenStopAndWait { receiver: receiver(), outstanding: 0, seq: 1 };
        let conflict = Remark::ConflictingData { receiver: receiver(), seq: 1 };
        assert_eq!(
            ledger.remarks,
            [broken, conflict, Remark::TooLong { receiver: receiver(), seq: 2, len: 101 }]
        );
    }
}
