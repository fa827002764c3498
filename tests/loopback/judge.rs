//! The judge: from what the receivers got, and nothing else, to a verdict.

use super::case::{Case, Ledgers};
use super::ledger::Ledger;
use super::verdict::{Part, Remark, Transaction, Verdict};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// By SEQ, the receivers (by index) that have it and what they have.
type Copies<'a> = BTreeMap<u32, Vec<(usize, &'a [u8])>>;

pub fn judge(case: &Case) -> Transaction {
    let ledgers = case.lock();
    let mut copies = Copies::new();
    for (index, (_, ledger)) in ledgers.iter().enumerate() {
        for (seq, payload) in ledger.received() {
            copies.entry(seq).or_default().push((index, payload));
        }
    }
    let until_gap = copies.iter().zip(0..).take_while(|((seq, _), next)| *seq == next);
    let packets: Vec<&[u8]> = until_gap.map(|((_, owners), _)| owners[0].1).collect();
    let payload = packets.concat();
    let complete = packets.len() == copies.len() && !payload.is_empty();
    let expected = case.expectation.as_deref();
    let verdict = if !complete || expected.is_some_and(|expected| *expected != payload) {
        Verdict::Incomplete
    } else if everyone_at_the_floor(&ledgers, &case.list, payload.len() as u64) {
        Verdict::Completed
    } else {
        Verdict::Violation
    };
    let mut remarks = remarks(&ledgers, &copies, &case.list);
    if expected.is_some_and(|expected| !expected.starts_with(&payload)) {
        remarks.push(Remark::Other("the bytes are not those that were expected".to_string()));
    }
    let parts = ledgers.iter().map(|(address, ledger)| part(*address, ledger)).collect();
    Transaction { tid: case.tid, client: case.client, verdict, remarks, payload, parts }
}

/// What each receiver must have at least: a tenth of the payload, or an equal share if there are more than ten.
pub fn floor(length: u64, receivers: u64) -> u64 {
    length.div_ceil(10).min(length.checked_div(receivers).unwrap_or(0))
}

/// A receiver that is listed twice counts twice among the receivers, and is judged on all it got.
fn everyone_at_the_floor(ledgers: &Ledgers<'_>, list: &[IpAddr], length: u64) -> bool {
    let floor = floor(length, list.len() as u64);
    let bytes_at = |address: &IpAddr| -> u64 {
        ledgers.iter().filter(|(at, _)| at == address).map(|(_, ledger)| ledger.counts.bytes).sum()
    };
    list.iter().all(|address| bytes_at(address) >= floor)
}

fn remarks(ledgers: &Ledgers<'_>, copies: &Copies<'_>, list: &[IpAddr]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    // The receivers' addresses, in the order of their ranges, must come in that order in the list.
    let mut order: Vec<IpAddr> = copies.values().map(|owners| ledgers[owners[0].0].0).collect();
    order.dedup();
    let mut listed = list.iter();
    if !order.iter().all(|address| listed.any(|entry| entry == address)) {
        remarks.push(Remark::RangesOutOfListOrder);
    }
    remarks.extend(ledgers.iter().flat_map(|(_, ledger)| ledger.remarks.iter().cloned()));
    for (seq, owners) in copies {
        for (index, _) in owners.iter().filter(|(_, payload)| *payload != owners[0].1) {
            let other_data = format!("SEQ {seq} came again with other data");
            remarks.push(Remark::at(ledgers[*index].1.name(), other_data));
        }
    }
    for (address, ledger) in ledgers {
        let (receiver, counts) = (ledger.name(), &ledger.counts);
        if counts.spurious > 0 {
            remarks.push(Remark::Spurious { receiver: receiver.to_string(), packets: counts.spurious });
        }
        if counts.packets > 0 && !list.contains(address) {
            let strange = format!("{} packet(s), though it is not in the list", counts.packets);
            remarks.push(Remark::at(receiver, strange));
        }
    }
    let seqs = copies.values().filter(|owners| owners.len() > 1).count() as u64;
    if seqs > 0 {
        remarks.push(Remark::AtSeveralReceivers { seqs });
    }
    remarks
}

fn part(address: IpAddr, ledger: &Ledger) -> Part {
    let mut runs: Vec<RangeInclusive<u32>> = Vec::new();
    for (seq, _) in ledger.received() {
        match runs.last_mut() {
            Some(run) if run.end() + 1 == seq => *run = *run.start()..=seq,
            _ => runs.push(seq..=seq),
        }
    }
    Part { name: ledger.name().to_string(), address, counts: ledger.counts.clone(), runs }
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
