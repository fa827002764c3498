//! What one receiver got in one transaction. The judge knows nothing else.

use super::verdict::{MOST_REMARKS, Remark};
use super::wire::{Data, MAX_PAYLOAD};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub struct Ledger {
    name: String,
    pub counts: Counts,
    seqs: BTreeMap<u32, Packet>,
    outstanding: Option<u32>,
    last_source: Option<SocketAddr>,
    pub remarks: Vec<Remark>,
}

/// What is known of one SEQ.
#[derive(Default)]
struct Packet {
    transmissions: u32,
    /// That of the first transmission that was not lost.
    payload: Option<Box<[u8]>>,
    answered: bool,
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
    pub fn new(name: &str) -> Ledger {
        Ledger {
            name: name.to_string(),
            counts: Counts::default(),
            seqs: BTreeMap::new(),
            outstanding: None,
            last_source: None,
            remarks: Vec::new(),
        }
    }

    /// A data packet came to the socket; returns how often its SEQ has come so far. Whether the packet is received or lost
    /// is the script's business, and comes next.
    pub fn arrives(&mut self, data: &Data<'_>, from: SocketAddr) -> u32 {
        let seq = data.seq;
        self.counts.packets += 1;
        if self.last_source != Some(from) {
            self.last_source = Some(from);
            self.counts.sources += 1;
        }
        if self.outstanding != Some(seq) && !self.has(seq) {
            if let Some(outstanding) = self.outstanding {
                self.remark(format!("SEQ {seq} came while SEQ {outstanding} was not acknowledged"));
            }
            self.outstanding = Some(seq);
        }
        let packet = self.seqs.entry(seq).or_default();
        packet.transmissions += 1;
        packet.transmissions
    }

    /// Receives the packet; returns how many bytes of it were new.
    pub fn receives(&mut self, data: &Data<'_>) -> usize {
        let (seq, len) = (data.seq, data.payload.len());
        if len > MAX_PAYLOAD {
            self.remark(format!("SEQ {seq} has {len} payload bytes, more than {MAX_PAYLOAD}"));
        }
        let packet = self.seqs.entry(seq).or_default();
        let Some(known) = &packet.payload else {
            packet.payload = Some(data.payload.into());
            self.counts.bytes += len as u64;
            return len;
        };
        self.counts.duplicates += 1;
        self.counts.spurious += u64::from(packet.answered);
        if **known != *data.payload {
            self.remark(format!("SEQ {seq} came again with other data"));
        }
        0
    }

    /// The ack of this SEQ is decided on: from here on a retransmission is spurious.
    pub fn answers(&mut self, seq: u32) {
        self.counts.acks += 1;
        self.seqs.entry(seq).or_default().answered = true;
    }

    /// The ack of this SEQ is about to be sent: from here on the next SEQ may come.
    pub fn acknowledges(&mut self, seq: u32) {
        self.outstanding.take_if(|outstanding| *outstanding == seq);
    }

    pub fn outstanding(&self) -> Option<u32> {
        self.outstanding
    }

    pub fn has_acknowledged(&self, seq: u32) -> bool {
        self.outstanding != Some(seq) && self.seqs.get(&seq).is_some_and(|packet| packet.answered)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a SEQ was received.
    pub fn has(&self, seq: u32) -> bool {
        self.payload_of(seq).is_some()
    }

    /// The payload of a SEQ, if it was received.
    pub fn payload_of(&self, seq: u32) -> Option<&[u8]> {
        self.seqs.get(&seq)?.payload.as_deref()
    }

    /// The SEQs that were received, ascending, and their payloads.
    pub fn received(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.seqs.iter().filter_map(|(seq, packet)| Some((*seq, packet.payload.as_deref()?)))
    }

    fn remark(&mut self, what: String) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push(Remark::at(&self.name, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaches_of_manners_are_remarked() {
        let mut ledger = Ledger::new("A");
        let mut arrives = |seq, payload, is_lost: bool| {
            let data = Data { tid: 1, seq, payload };
            ledger.arrives(&data, SocketAddr::from(([127, 0, 0, 1], 9)));
            if !is_lost {
                ledger.receives(&data);
                ledger.answers(seq);
                ledger.acknowledges(seq);
            }
        };
        // The first packet is lost by the script: moving on is remarked all the same.
        arrives(0, b"x", true);
        arrives(1, b"one", false);
        arrives(1, b"two", false);
        arrives(2, &[0; 101], false);
        assert_eq!(ledger.payload_of(1), Some(&b"one"[..]));
        assert_eq!((ledger.counts.duplicates, ledger.counts.spurious), (1, 1));
        let remarks: Vec<String> = ledger.remarks.iter().map(Remark::to_string).collect();
        let expected = [
            "A: SEQ 1 came while SEQ 0 was not acknowledged",
            "A: SEQ 1 came again with other data",
            "A: SEQ 2 has 101 payload bytes, more than 100",
        ];
        assert_eq!(remarks, expected);
    }
}
