//! The judge: from what the receivers got, and nothing else, to a verdict.

use super::case::Case;
use super::delay_queue::lock;
use super::ledger::Ledger;
use super::runs::Run;
use super::verdict::{Part, Remark, Transaction, Verdict};
use std::net::IpAddr;
use std::sync::MutexGuard;

/// One receiver as the judge sees it.
struct Seen<'a> {
    address: IpAddr,
    ledger: MutexGuard<'a, Ledger>,
}

/// SEQs that the same receivers (by index) got.
struct Segment {
    first: u64,
    end: u64,
    owners: Vec<usize>,
}

/// What reading the payload in the order of the SEQs showed.
struct Reading {
    length: u64,
    payload: Vec<u8>,
    gap: bool,
    wrong: bool,
    conflicts: Vec<Remark>,
}

pub fn judge(case: &Case) -> Transaction {
    let seen: Vec<Seen<'_>> = case
        .ledgers
        .iter()
        .map(|(address, ledger)| Seen { address: *address, ledger: lock(ledger) })
        .collect();
    let segments = segments(&seen);
    let reading = read(&seen, &segments, case.expectation.as_ref().map(|expected| &expected[..]));
    let complete = !reading.gap
        && !reading.wrong
        && reading.length > 0
        && case.expectation.as_ref().is_none_or(|expected| expected.len() as u64 == reading.length);
    let verdict = match complete {
        false => Verdict::Incomplete,
        true if everyone_at_the_floor(&seen, &case.list, reading.length) => Verdict::Completed,
        true => Verdict::Violation,
    };
    Transaction {
        tid: case.tid,
        client: case.client,
        verdict,
        remarks: remarks(case, &seen, &segments, &reading),
        length: reading.length,
        payload: reading.payload,
        parts: seen.iter().map(part).collect(),
    }
}

/// What each receiver must have at least: a tenth of the payload, or an equal share if there are more than ten.
pub fn floor(length: u64, receivers: u64) -> u64 {
    length.div_ceil(10).min(length.checked_div(receivers).unwrap_or(0))
}

/// A receiver that is listed twice counts twice among the receivers, and is judged on all it got.
fn everyone_at_the_floor(seen: &[Seen<'_>], list: &[IpAddr], length: u64) -> bool {
    let floor = floor(length, list.len() as u64);
    let bytes_at = |address: &IpAddr| -> u64 {
        seen.iter().filter(|s| s.address == *address).map(|s| s.ledger.counts.bytes).sum()
    };
    list.iter().all(|address| bytes_at(address) >= floor)
}

fn segments(seen: &[Seen<'_>]) -> Vec<Segment> {
    let runs = seen.iter().flat_map(|s| s.ledger.received.as_slice());
    let mut edges: Vec<u64> = runs.flat_map(|run| [u64::from(run.first), u64::from(run.last) + 1]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut segments = Vec::new();
    for (first, end) in edges.iter().zip(edges.iter().skip(1)) {
        let seq = u32::try_from(*first).unwrap_or(u32::MAX);
        let owners: Vec<usize> =
            (0..).zip(seen).filter(|(_, s)| s.ledger.received.contains(seq)).map(|(i, _)| i).collect();
        if !owners.is_empty() {
            segments.push(Segment { first: *first, end: *end, owners });
        }
    }
    segments
}

/// Reads the payload from SEQ 0 to the first gap.
fn read(seen: &[Seen<'_>], segments: &[Segment], expected: Option<&[u8]>) -> Reading {
    let mut reading =
        Reading { length: 0, payload: Vec::new(), gap: false, wrong: false, conflicts: Vec::new() };
    let mut next = 0;
    for segment in segments {
        if segment.first != next {
            reading.gap = true;
            break;
        }
        next = segment.end;
        let owners: Vec<&Ledger> = segment.owners.iter().map(|&i| &*seen[i].ledger).collect();
        for seq in (segment.first..segment.end).map(|seq| seq as u32) {
            reading.length += owners[0].length_of(seq) as u64;
            reading.payload.extend_from_slice(owners[0].payload_of(seq).unwrap_or_default());
            compare_owners(&owners, seq, &mut reading.conflicts);
        }
    }
    reading.wrong = expected.is_some_and(|expected| !expected.starts_with(&reading.payload));
    reading
}

/// The same SEQ at several receivers must be the same bytes, as far as they are kept.
fn compare_owners(owners: &[&Ledger], seq: u32, conflicts: &mut Vec<Remark>) {
    let first = owners[0];
    for other in &owners[1..] {
        if other.payload_of(seq) != first.payload_of(seq) || other.length_of(seq) != first.length_of(seq) {
            conflicts.push(Remark::ConflictingData { receiver: other.name().to_string(), seq });
        }
    }
}

fn remarks(case: &Case, seen: &[Seen<'_>], segments: &[Segment], reading: &Reading) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if !in_list_order(seen, segments, &case.list) {
        remarks.push(Remark::RangesOutOfListOrder);
    }
    for s in seen {
        remarks.extend(s.ledger.remarks.iter().cloned());
    }
    remarks.extend(reading.conflicts.iter().cloned());
    for s in seen {
        let (receiver, counts) = (s.ledger.name().to_string(), &s.ledger.counts);
        if counts.spurious > 0 {
            remarks.push(Remark::Spurious { receiver: receiver.clone(), packets: counts.spurious });
        }
        if counts.packets > 0 && !case.list.contains(&s.address) {
            remarks.push(Remark::NotAssigned { receiver, packets: counts.packets });
        }
    }
    let shared = segments.iter().filter(|segment| segment.owners.len() > 1);
    let seqs: u64 = shared.map(|segment| segment.end - segment.first).sum();
    if seqs > 0 {
        remarks.push(Remark::AtSeveralReceivers { seqs });
    }
    if reading.wrong {
        remarks.push(Remark::WrongPayload);
    }
    remarks
}

/// Whether the receivers' addresses, in the order of their ranges, appear in that order in the list.
fn in_list_order(seen: &[Seen<'_>], segments: &[Segment], list: &[IpAddr]) -> bool {
    let owners = segments.iter().filter_map(|segment| segment.owners.first());
    let mut order: Vec<IpAddr> = owners.filter_map(|&i| Some(seen.get(i)?.address)).collect();
    order.dedup();
    let mut listed = list.iter();
    order.iter().all(|address| listed.any(|entry| entry == address))
}

fn part(seen: &Seen<'_>) -> Part {
    let runs: Vec<Run> = seen.ledger.received.as_slice().to_vec();
    Part {
        name: seen.ledger.name().to_string(),
        address: seen.address,
        counts: seen.ledger.counts.clone(),
        runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_a_tenth_or_an_equal_share() {
        let cases =
            [(5000, 3, 500), (1001, 2, 101), (1, 1, 1), (2, 3, 0), (29, 10, 2), (30, 10, 3), (1000, 30, 33)];
        for (length, receivers, expected) in cases {
            assert_eq!(floor(length, receivers), expected, "{length} bytes, {receivers} receivers");
        }
        assert_eq!(floor(10, 0), 0);
    }
}
