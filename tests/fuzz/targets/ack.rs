//! Types 2 and 3 against any datagram: the client's codec and the loopback servers', written apart, agree, and only the
//! outstanding packet's own ack, byte for byte, moves a receiver's machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mdalp::protocol::lane::Lane;
use mdalp::protocol::message::{MAX_ACK_LEN, MAX_DATA_LEN};
use mdalp::protocol::rto::RtoConfig;
use mdalp::protocol::stop_and_wait::{ExitReason, Received, Step, StopAndWait};
use mdalp::protocol::{Ack, DataPacket, LossReason, MAX_PACKET_PAYLOAD, Seq, SeqRange, Tid};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[path = "../../loopback/wire.rs"]
#[allow(dead_code)]
mod wire;

fuzz_target!(|input: &[u8]| {
    ack(input);
    data(input);
    for first in FIRST_SEQS {
        Session::new(first).run(input);
    }
});

fn ack(datagram: &[u8]) {
    let parsed = Ack::parse(datagram).map(|ack| (ack.tid.0, ack.seq.0));
    assert_eq!(parsed, wire::parse_ack(datagram), "{}", datagram.escape_ascii());
    if let Some((tid, seq)) = parsed {
        assert_eq!(wire::ack(tid, seq), datagram);
        assert!(datagram.len() <= MAX_ACK_LEN);
    }
}

fn data(datagram: &[u8]) {
    let Some(data) = wire::parse_data(datagram).filter(|data| data.payload.len() <= MAX_PACKET_PAYLOAD)
    else {
        return;
    };
    assert!(datagram.len() <= MAX_DATA_LEN);
    let mut packet = DataPacket::new(Tid(data.tid));
    assert_eq!(packet.encode(Seq(data.seq), data.payload), datagram);
    // Again in a buffer that has had a packet of another length and number of digits.
    packet.encode(Seq(data.seq.reverse_bits()), &[b'9'; MAX_PACKET_PAYLOAD]);
    assert_eq!(packet.encode(Seq(data.seq), data.payload), datagram);
    let ack = wire::ack(data.tid, data.seq);
    assert_eq!(Ack::parse(&ack), Some(Ack { tid: Tid(data.tid), seq: Seq(data.seq) }));
}

const TID: Tid = Tid(3740);
/// Where ranges begin: at the start, where the number of digits grows, and close to the last SEQ.
const FIRST_SEQS: [u32; 3] = [0, 98, u32::MAX - 4];
const PACKETS: u32 = 4;
/// The last packet has one byte.
const BYTES: u64 = 301;
const CONFIG: RtoConfig =
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
    timer: Option<Instant>,
    /// When the outstanding SEQ was sent the second time.
    second_sent: Instant,
    /// The last acknowledged SEQ that was retransmitted, and from when on another ack of it is a sample, which may only
    /// lengthen the timeout.
    resent: Option<(u32, Instant)>,
    /// What the lane must have counted.
    acked: u32,
    ignored: u64,
    sent: u64,
}

impl Session {
    fn new(first: u32) -> Self {
        let start = Instant::now();
        let lane = Arc::new(Lane::new(start));
        let range = SeqRange::over_bytes(Seq(first), 0..BYTES).unwrap();
        lane.set_range(range.first(), range.end());
        let mut machine = StopAndWait::new(TID, CONFIG, Arc::clone(&lane), None, None);
        machine.begin(range);
        Self {
            machine,
            lane,
            now: start,
            seq: first,
            end: first + PACKETS,
            first_sent: start,
            transmissions: 0,
            timer: None,
            second_sent: start,
            resent: None,
            acked: 0,
            ignored: 0,
            sent: 0,
        }
    }

    /// Each line is a datagram, and comes the later the longer it is; after an empty one the timer fires first.
    fn run(mut self, input: &[u8]) {
        self.next_packet();
        for line in input.split(|byte| *byte == b'\n') {
            let comes = match self.timer {
                Some(timer) if line.is_empty() => timer,
                _ => self.now + Duration::from_millis(1 + line.len() as u64),
            };
            while let Some(timer) = self.timer.filter(|timer| *timer <= comes) {
                self.now = timer;
                if self.timer_fires_or_it_is_lost() {
                    return;
                }
            }
            self.now = comes;
            self.datagram(line);
        }
    }

    fn datagram(&mut self, line: &[u8]) {
        let received = self.machine.handle_datagram(self.now, line);
        if self.timer.is_some() && line == wire::ack(TID.0, self.seq) {
            assert!(matches!(received, Received::Acked(_)), "the outstanding packet's ack is {received:?}");
            assert_eq!(self.machine.outstanding(), None);
            if self.transmissions > 1 {
                self.resent = Some((self.seq, self.now + (self.second_sent - self.first_sent) / 2));
            }
            self.acked += 1;
            self.seq += 1;
            self.next_packet();
        } else {
            assert_eq!(received, Received::Ignored, "SEQ {} is out: {}", self.seq, line.escape_ascii());
            self.ignored += 1;
            self.may_be_second_ack(line);
            let unmoved = self.timer.map_or(Step::Idle, Step::Wait);
            assert_eq!(self.machine.poll(self.now), unmoved, "after {}", line.escape_ascii());
        }
        self.agrees();
    }

    fn may_be_second_ack(&mut self, line: &[u8]) {
        let now = self.now;
        if self.resent.take_if(|(seq, from)| now >= *from && line == wire::ack(TID.0, *seq)).is_none() {
            return;
        }
        if let Some(timer) = self.timer {
            let Step::Wait(until) = self.machine.poll(self.now) else { panic!("the timer is not due") };
            assert!(timer <= until && until <= self.first_sent + CONFIG.give_up);
            self.timer = Some(until);
        }
    }

    /// The next SEQ is sent immediately, or there is none left.
    fn next_packet(&mut self) {
        let step = self.machine.poll(self.now);
        if self.seq == self.end {
            assert_eq!(step, Step::Idle);
            self.timer = None;
        } else {
            (self.first_sent, self.transmissions) = (self.now, 0);
            self.transmitted(step);
        }
    }

    /// When the timer fires: the same SEQ again, or the receiver is lost, which is the end.
    fn timer_fires_or_it_is_lost(&mut self) -> bool {
        let step = self.machine.poll(self.now);
        let waited = self.now - self.first_sent;
        if waited < CONFIG.give_up {
            self.transmitted(step);
            self.agrees();
            return false;
        }
        let (seq, transmissions) = (Seq(self.seq), self.transmissions);
        let reason = LossReason::Silent { seq, waited, transmissions, last_error: None };
        assert_eq!(step, Step::Ended(ExitReason::Lost(reason)));
        true
    }

    fn transmitted(&mut self, step: Step) {
        self.transmissions += 1;
        self.sent += 1;
        if self.transmissions == 2 {
            self.second_sent = self.now;
        }
        let Step::Transmit { seq, transmission, bytes, wait } = step else {
            panic!("{step:?} instead of a packet")
        };
        assert_eq!((seq.0, transmission), (self.seq, self.transmissions));
        let at = u64::from(PACKETS - (self.end - self.seq)) * 100;
        assert_eq!(bytes, at..(at + 100).min(BYTES));
        let payload = &[b'x'; MAX_PACKET_PAYLOAD][..(bytes.end - bytes.start) as usize];
        let data = wire::parse_data(self.machine.encode(seq, payload))
            .map(|data| (data.tid, data.seq, data.payload));
        assert_eq!(data, Some((TID.0, self.seq, payload)));
        let until = self.now + wait;
        assert_eq!(self.machine.poll(self.now), Step::Wait(until));
        assert!(self.now < until && until <= self.first_sent + CONFIG.give_up);
        self.timer = Some(until);
    }

    fn agrees(&self) {
        assert_eq!(self.machine.outstanding(), (self.seq != self.end).then_some(Seq(self.seq)));
        let counted = (self.lane.acked(), self.lane.counts().ignored, self.lane.counts().transmissions);
        assert_eq!(counted, (self.acked, self.ignored, self.sent));
    }
}
