use super::*;
use crate::testing;

#[test]
fn a_range_is_claimed_in_order_and_then_used_up() {
    let lane = Lane::new(testing::start());
    assert_eq!((lane.claim(), lane.unclaimed()), (None, 0));
    lane.set_range(Seq(7), Seq(9));
    assert_eq!((lane.truncate(0), lane.unclaimed()), (Seq(9), 2));
    assert_eq!([lane.claim(), lane.claim(), lane.claim()], [Some(Seq(7)), Some(Seq(8)), None]);
    assert_eq!((lane.truncate(0), lane.unclaimed()), (Seq(9), 0));
    lane.set_range(Seq(u32::MAX - 1), Seq(u32::MAX));
    assert_eq!([lane.claim(), lane.claim()], [Some(Seq(u32::MAX - 1)), None]);
}

#[test]
fn truncating_stops_at_what_is_claimed() {
    let lane = Lane::new(testing::start());
    lane.set_range(Seq(0), Seq(5));
    assert_eq!(lane.claim(), Some(Seq(0)));
    assert_eq!((lane.truncate(1), lane.truncate(0), lane.unclaimed()), (Seq(4), Seq(4), 3));
    assert_eq!((lane.truncate(9), lane.truncate(0), lane.unclaimed()), (Seq(1), Seq(1), 0));
    assert_eq!((lane.claim(), lane.truncate(9)), (None, Seq(1)));
}

#[test]
fn counts_add_up() {
    let epoch = testing::start();
    let lane = Lane::new(epoch);
    assert_eq!((lane.counts(), lane.time_per_packet()), (Counts::default(), None));
    lane.count_transmission(1);
    lane.count_transmission(2);
    lane.count_transmission(3);
    lane.count_ack(epoch + Duration::from_secs(4), Duration::from_secs(3));
    lane.count_ack(epoch + Duration::from_secs(5), Duration::from_secs(1));
    assert_eq!((lane.acked(), lane.counts().transmissions, lane.counts().retransmissions), (2, 3, 2));
    assert_eq!(lane.counts().last_ack, Some(Duration::from_secs(5)));
    assert_eq!(lane.time_per_packet(), Some(Duration::from_secs(2)));
    lane.count_ignored();
    lane.publish_srtt(Duration::from_millis(2));
    assert_eq!((lane.counts().ignored, lane.counts().ack_rtt), (1, Some(Duration::from_millis(2))));
}

type Step = fn(u64) -> Option<u64>;

/// One of the two threads: the updates that it still has to do, and what it has read for the first of them.
#[derive(Clone)]
struct Thread {
    updates: Vec<Step>,
    read: Option<u64>,
}

impl Thread {
    /// Does the next access of `fetch_update` to the shared word, a load or a compare-exchange; returns the word before
    /// and after if it changed.
    fn access(&mut self, word: &mut u64) -> Option<(u64, u64)> {
        let step = self.updates[0];
        if let Some(before) = self.read
            && let Some(after) = step(before)
            && before == *word
        {
            *word = after;
            self.next_update();
            return Some((before, after));
        }
        // A load, or a compare-exchange that failed and thereby loads.
        self.read = Some(*word);
        if step(*word).is_none() {
            self.next_update();
        }
        None
    }

    fn next_update(&mut self) {
        self.updates.remove(0);
        self.read = None;
    }
}

/// Walks through every order of the two threads' accesses from here, and returns the number of orders. So far the SEQs
/// below `claimed` are claimed and those from `end` on are taken off.
fn interleave(word: u64, [claiming, truncating]: [&Thread; 2], claimed: u32, end: u32) -> u32 {
    let mut orders = u32::from(claiming.updates.is_empty() && truncating.updates.is_empty());
    if !claiming.updates.is_empty() {
        let (mut word, mut claiming, mut claimed) = (word, claiming.clone(), claimed);
        if let Some((before, after)) = claiming.access(&mut word) {
            assert_eq!((unpack(before), unpack(after)), ((claimed, end), (claimed + 1, end)));
            assert!(claimed < end, "SEQ {claimed} is claimed, but everything from {end} on was taken off");
            claimed += 1;
        }
        orders += interleave(word, [&claiming, truncating], claimed, end);
    }
    if !truncating.updates.is_empty() {
        let (mut word, mut truncating, mut end) = (word, truncating.clone(), end);
        if let Some((before, after)) = truncating.access(&mut word) {
            let (next, new_end) = unpack(after);
            assert_eq!((unpack(before), next), ((claimed, end), claimed));
            assert!(claimed <= new_end && new_end <= end, "{claimed} claimed, {end} cut to {new_end}");
            end = new_end;
        }
        orders += interleave(word, [claiming, &truncating], claimed, end);
    }
    assert_eq!(unpack(word), (claimed, end));
    orders
}

#[test]
fn a_seq_is_claimed_or_taken_off_and_never_both_in_any_order_of_accesses() {
    let claims = |n| Thread { updates: vec![claim_step; n], read: None };
    let truncations: [[Step; 2]; 3] = [
        [|word| Some(truncate_step(word, 1)), |word| Some(truncate_step(word, 1))],
        [|word| Some(truncate_step(word, 2)), |word| Some(truncate_step(word, 9))],
        [|word| Some(truncate_step(word, 9)), |word| Some(truncate_step(word, 1))],
    ];
    for updates in truncations {
        for packets in 0..=5 {
            let truncating = Thread { updates: updates.to_vec(), read: None };
            let orders = interleave(pack(0, packets), [&claims(5), &truncating], 0, packets);
            assert!(orders > 100, "{orders} orders of {packets} packets");
        }
    }
}
