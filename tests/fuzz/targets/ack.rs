//! Types 2 and 3 against any datagram: what is accepted is exactly what would have been written, and only the outstanding
//! packet's own ack, byte for byte, moves a receiver's machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mdalp::protocol::lane::Lane;
use mdalp::protocol::message::{Data, MAX_ACK_LEN, MAX_DATA_LEN};
use mdalp::protocol::rto::RtoConfig;
use mdalp::protocol::stop_and_wait::{LostCause, Received, Step, StopAndWait};
use mdalp::protocol::{Ack, DataPacket, MAX_PACKET_PAYLOAD, Seq, Tid};
use std::sync::Arc;
use std::time::{Duration, Instant};

fuzz_target!(|input: &[u8]| {
    ack(input);
    data(input);
    for first in FIRST_SEQS {
        Session::new(first).run(input);
    }
});

fn ack(datagram: &[u8]) {
    let parsed = Ack::parse(datagram);
    assert_eq!(parsed, ack_by_text(datagram), "{}", datagram.escape_ascii());
    if let Some(ack) = parsed {
        assert_eq!(ack.encode(), datagram);
        assert!(datagram.len() <= MAX_ACK_LEN);
    }
}

/// The same by the standard library: the numbers of which the whole datagram is the ack.
fn ack_by_text(datagram: &[u8]) -> Option<Ack> {
    let text = std::str::from_utf8(datagram).ok()?;
    let (tid, seq) = text.strip_prefix("Type:3;TID:")?.strip_suffix(';')?.split_once(";SEQ:")?;
    let (tid, seq): (u64, u32) = (tid.parse().ok()?, seq.parse().ok()?);
    (format!("Type:3;TID:{tid};SEQ:{seq};") == text).then_some(Ack { tid: Tid(tid), seq: Seq(seq) })
}

fn data(datagram: &[u8]) {
    let Some(data) = Data::parse(datagram) else { return };
    assert!((1..=MAX_PACKET_PAYLOAD).contains(&data.payload.len()));
    assert!(datagram.len() <= MAX_DATA_LEN);
    let mut packet = DataPacket::new(data.tid);
    assert_eq!(packet.write(data.seq, data.payload), Some(datagram));
    // Again in a buffer that has had a packet of another length and number of digits.
    assert!(packet.write(Seq(data.seq.0.reverse_bits()), &[b'9'; MAX_PACKET_PAYLOAD]).is_some());
    assert_eq!(packet.write(data.seq, data.payload), Some(datagram));
    let ack = Ack { tid: data.tid, seq: data.seq };
    assert_eq!(Ack::parse(&ack.encode()), Some(ack));
}

const TID: Tid = Tid(3740);
/// Where ranges begin: at the start, where the number of digits grows, and close to the last SEQ.
const FIRST_SEQS: [u32; 3] = [0, 98, u32::MAX - 4];
const PACKETS: u32 = 4;
const TIMING: RtoConfig =
    RtoConfig { first_timeout: Duration::from_secs(3), fixed: false, give_up: Duration::from_secs(30) };

/// A machine that is fed the input's lines as datagrams, beside a plain account of what must be true of it.
struct Session {
    machine: StopAndWait,
    lane: Arc<Lane>,
    now: Instant,
    /// The SEQ that must be outstanding; `end` when all are acknowledged.
    seq: u32,
    end: u32,
    first_sent: Instant,
    transmissions: u32,
    /// What the machine waits for; `None` when it is idle.
    deadline: Option<Instant>,
    /// What the lane must have counted.
    acked: u32,
    ignored: u64,
    sent: u64,
}

impl Session {
    fn new(first: u32) -> Self {
        let start = Instant::now();
        let lane = Arc::new(Lane::new(start));
        lane.set_range(Seq(first), Seq(first + PACKETS));
        Self {
            machine: StopAndWait::new(TID, TIMING, Arc::clone(&lane), None, None),
            lane,
            now: start,
            seq: first,
            end: first + PACKETS,
            first_sent: start,
            transmissions: 0,
            deadline: None,
            acked: 0,
            ignored: 0,
            sent: 0,
        }
    }

    /// Each line is a datagram, and comes the later the longer it is; after an empty one the timer fires first.
    fn run(mut self, input: &[u8]) {
        self.next_packet();
        for line in input.split(|byte| *byte == b'\n') {
            let comes = match self.deadline {
                Some(deadline) if line.is_empty() => deadline,
                _ => self.now + Duration::from_millis(1 + line.len() as u64),
            };
            while let Some(deadline) = self.deadline.filter(|deadline| *deadline <= comes) {
                self.now = deadline;
                if self.timer_fires_or_it_is_lost() {
                    return;
                }
            }
            self.now = comes;
            self.datagram(line);
        }
    }

    fn datagram(&mut self, line: &[u8]) {
        let wanted = format!("Type:3;TID:{TID};SEQ:{};", self.seq);
        let received = self.machine.datagram(self.now, line);
        if self.deadline.is_some() && line == wanted.as_bytes() {
            assert!(matches!(received, Received::Acked(_)), "the outstanding packet's ack is {received:?}");
            assert_eq!(self.machine.outstanding(), None);
            self.acked += 1;
            self.seq += 1;
            self.next_packet();
        } else {
            assert_eq!(received, Received::Ignored, "SEQ {} is out: {}", self.seq, line.escape_ascii());
            self.ignored += 1;
            let unmoved = self.deadline.map_or(Step::Idle, Step::Wait);
            assert_eq!(self.machine.poll(self.now), unmoved, "after {}", line.escape_ascii());
        }
        self.agrees();
    }

    /// The next SEQ is sent at once, or there is none left.
    fn next_packet(&mut self) {
        let step = self.machine.poll(self.now);
        if self.seq == self.end {
            assert_eq!(step, Step::Idle);
            self.deadline = None;
        } else {
            (self.first_sent, self.transmissions) = (self.now, 0);
            self.transmitted(step);
        }
    }

    /// At the deadline: the same SEQ again, or the receiver is lost, which is the end.
    fn timer_fires_or_it_is_lost(&mut self) -> bool {
        let step = self.machine.poll(self.now);
        let waited = self.now - self.first_sent;
        if waited < TIMING.give_up {
            self.transmitted(step);
            self.agrees();
            return false;
        }
        assert_eq!(step, Step::Lost(LostCause::Silent { waited, transmissions: self.transmissions }));
        true
    }

    fn transmitted(&mut self, step: Step) {
        self.transmissions += 1;
        self.sent += 1;
        assert_eq!(step, Step::Transmit { seq: Seq(self.seq), transmission: self.transmissions });
        let Step::Wait(until) = self.machine.poll(self.now) else { panic!("nothing to wait for") };
        assert!(self.now < until && until <= self.first_sent + TIMING.give_up);
        self.deadline = Some(until);
    }

    fn agrees(&self) {
        assert_eq!(self.machine.outstanding(), (self.seq != self.end).then_some(Seq(self.seq)));
        let counted = (self.lane.acked(), self.lane.ignored(), self.lane.transmissions());
        assert_eq!(counted, (self.acked, self.ignored, self.sent));
    }
}
