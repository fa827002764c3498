//! Types 2 and 3 against any datagram: the client's codec and the loopback servers', written apart, agree, and only the
//! outstanding packet's own ack, byte for byte, moves a receiver's machine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mdalp::protocol::lane::Lane;
use mdalp::protocol::message::{MAX_ACK_LEN, MAX_DATA_LEN};
use mdalp::protocol::rto::RtoConfig;
use mdalp::protocol::stop_and_wait::{Step, StopAndWait};
use mdalp::protocol::{Ack, DataPacket, MAX_PACKET_PAYLOAD, Seq, SeqRange, Tid};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[path = "../../loopback/wire.rs"]
#[allow(dead_code)]
mod wire;

fuzz_target!(|input: &[u8]| {
    ack(input);
    data(input);
    FIRST_SEQS.into_iter().for_each(|first| session(first, input));
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

/// Feeds a machine the input's lines as datagrams: each comes the later the longer it is, an empty one when the timer is due.
/// Whether the timer is right is for the simulation to say.
fn session(first: u32, input: &[u8]) {
    let mut now = Instant::now();
    let lane = Arc::new(Lane::new(now));
    let range = SeqRange::over_bytes(Seq(first), 0..BYTES).unwrap();
    lane.set_range(range.first(), range.end());
    let mut machine = StopAndWait::new(TID, CONFIG, Arc::clone(&lane), None, None);
    machine.begin(range);
    let (mut acked, mut ignored, mut sent, mut transmissions) = (0, 0, 0, 0);
    let (mut first_sent, mut timer, mut late) = (now, now, Duration::ZERO);
    for line in input.split(|byte| *byte == b'\n') {
        let out = Seq(first + acked);
        match machine.poll(now) {
            Step::Transmit { seq, transmission, bytes, wait } => {
                if transmissions == 0 {
                    (first_sent, late) = (now, Duration::ZERO);
                } else {
                    assert!(now >= timer, "SEQ {seq} is sent again before its timer");
                    late += now - timer;
                }
                transmissions += 1;
                sent += 1;
                assert_eq!((seq, transmission), (out, transmissions));
                let at = u64::from(acked) * 100;
                assert_eq!(bytes, at..(at + 100).min(BYTES));
                let payload = &[b'x'; MAX_PACKET_PAYLOAD][..(bytes.end - bytes.start) as usize];
                let data = wire::parse_data(machine.encode(seq, payload));
                assert_eq!(data, Some(wire::Data { tid: TID.0, seq: seq.0, payload }));
                timer = now + wait;
            }
            Step::Wait(until) => {
                // What is late may be so by a stall, which does not count for giving up.
                let give_up = first_sent + CONFIG.give_up + late;
                assert!(transmissions > 0 && timer <= until && until <= give_up);
                timer = until;
            }
            Step::Idle => assert_eq!(acked, PACKETS),
            Step::Ended(_) => return assert!(now >= first_sent + CONFIG.give_up),
        }
        let pause = Duration::from_millis(1 + line.len() as u64);
        now = if line.is_empty() { timer.max(now) } else { now + pause };
        let is_ack = acked < PACKETS && line == wire::ack(TID.0, out.0);
        let received = machine.handle_datagram(now, line);
        assert_eq!(received.is_some(), is_ack, "SEQ {out} is out: {}", line.escape_ascii());
        let outstanding = (acked < PACKETS && !is_ack).then_some(out);
        if is_ack {
            acked += 1;
            transmissions = 0;
        } else {
            ignored += 1;
        }
        assert_eq!(machine.outstanding(), outstanding);
        let counts = lane.counts();
        assert_eq!((lane.acked(), counts.ignored, counts.transmissions), (acked, ignored, sent));
    }
}
