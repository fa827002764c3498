use super::*;
use crate::testing::{ms, start};

/// Workers with so many packets each, in SEQ order.
fn workload(packets: &[u32], policy: Policy) -> Workload {
    let begin = start();
    let mut first = 0;
    let workers = packets.iter().map(|&n| {
        let range =
            SeqRange::over_bytes(Seq(first), u64::from(first) * 100..u64::from(first + n) * 100).unwrap();
        first += n;
        Worker::new(Arc::new(Lane::new(begin)), Some(ms(100)), [range])
    });
    Workload::new(workers.collect(), policy)
}

const FAILOVER: Policy = Policy { failover: true, rebalance: false, floor: 0 };

/// Everybody who has work does so many packets of it, each in `pace`.
fn acknowledge(work: &Workload, worker: usize, packets: u32, pace: Duration) {
    let lane = work.workers()[worker].lane();
    for _ in 0..packets {
        lane.claim().unwrap();
        lane.count_ack(start() + pace * (lane.acked() + 1), pace);
    }
}

fn assign_all(work: &mut Workload) -> Vec<(usize, u32, u32)> {
    std::iter::from_fn(|| work.next_assignment(Duration::ZERO))
        .map(|(i, range)| (i, range.first().0, range.end().0))
        .collect()
}

#[test]
fn everybody_gets_the_planned_range_and_the_ledger_decides_the_end() {
    let mut work = workload(&[10, 0, 20], FAILOVER);
    assert_eq!(assign_all(&mut work), [(0, 0, 10), (2, 10, 30)]);
    work.completed(0);
    assert!(work.is_under_way() && !work.is_complete());
    work.completed(2);
    assert!(!work.is_under_way() && work.is_complete());
}

#[test]
fn a_lost_receivers_work_goes_to_all_the_others_in_proportion_to_their_speed() {
    let mut work = workload(&[100, 20, 20, 20], FAILOVER);
    assign_all(&mut work);
    acknowledge(&work, 0, 7, ms(50));
    acknowledge(&work, 1, 2, ms(100));
    acknowledge(&work, 2, 2, ms(200));
    acknowledge(&work, 3, 2, ms(200));
    work.workers()[0].lane().claim(); // SEQ 7 is outstanding
    let (left, moves) = work.lost(0, Some(Seq(7)), Duration::ZERO);
    assert_eq!(left, 93);
    let moves: Vec<_> = moves.iter().map(|m| (m.to, m.range.first().0, m.range.end().0)).collect();
    assert_eq!(moves, [(1, 7, 54), (2, 54, 77), (3, 77, 100)]);
    assert_eq!(work.workers()[0].acked_bytes(), 700);
}

#[test]
fn the_loss_of_all_but_one_is_survived_also_of_one_that_was_just_given_a_lost_ones_work() {
    let mut work = workload(&[5, 5, 5, 5], FAILOVER);
    assign_all(&mut work);
    work.completed(3);
    for (worker, first) in [(0, 0), (1, 5), (2, 10)] {
        work.workers()[worker].lane().claim();
        let (_, moves) = work.lost(worker, Some(Seq(first)), Duration::ZERO);
        assert!(!moves.is_empty());
        assign_all(&mut work);
    }
    for _ in 0..20 {
        work.completed(3);
        assign_all(&mut work);
    }
    assert!(work.is_complete());
    assert_eq!(work.workers()[3].acked_bytes(), 2000);
}

#[test]
fn when_the_last_receiver_is_lost_the_transfer_is_over_and_incomplete() {
    let mut work = workload(&[5, 5], FAILOVER);
    assign_all(&mut work);
    work.lost(0, Some(Seq(0)), Duration::ZERO);
    let (left, moves) = work.lost(1, Some(Seq(8)), Duration::ZERO);
    assert_eq!((left, moves.len()), (7, 0), "its own two, and the five that it had inherited");
    assert!(!work.is_under_way() && !work.is_complete());
}

#[test]
fn without_failover_the_others_go_on_and_the_end_is_incomplete() {
    let mut work = workload(&[5, 5], Policy { failover: false, ..FAILOVER });
    assign_all(&mut work);
    assert_eq!(work.lost(0, Some(Seq(3)), Duration::ZERO), (2, vec![]));
    assert!(work.is_under_way());
    work.completed(1);
    assert!(!work.is_under_way() && !work.is_complete());
    assert_eq!(work.workers()[0].acked_ranges()[0].packets(), 3);
}

#[test]
fn an_idle_receiver_takes_the_tail_of_the_one_that_would_finish_last_and_leaves_it_the_floor() {
    let rebalance = |floor| {
        let mut work = workload(&[10, 10, 100], Policy { failover: true, rebalance: true, floor });
        assign_all(&mut work);
        acknowledge(&work, 0, 10, ms(10));
        acknowledge(&work, 1, 1, ms(10));
        acknowledge(&work, 2, 9, ms(90));
        work.workers()[2].lane().claim();
        work.completed(0);
        work.rebalance(ms(90))
    };
    let [Move { from: 2, to: 0, range }] = rebalance(0)[..] else { panic!("{:?}", rebalance(0)) };
    // 91 packets left at 90 ms, and the taker needs 10 ms: nine tenths of them.
    assert_eq!((range.first().0, range.end().0), (120 - 81, 120));
    let [Move { range, .. }] = rebalance(6000)[..] else { panic!("{:?}", rebalance(6000)) };
    assert_eq!(range.packets(), 39, "60 of its 100 packets stay");
    assert_eq!(rebalance(10_000), []);
}

#[test]
fn of_several_idle_receivers_the_fastest_takes_work() {
    let mut work = workload(&[1, 1, 5], Policy { failover: true, rebalance: true, floor: 0 });
    assign_all(&mut work);
    acknowledge(&work, 0, 1, ms(900));
    acknowledge(&work, 1, 1, ms(10));
    acknowledge(&work, 2, 1, ms(100));
    work.workers()[2].lane().claim();
    work.completed(0);
    work.completed(1);
    let [Move { from: 2, to: 1, range }] = work.rebalance(ms(100))[..] else { panic!("the slow one's turn") };
    assert_eq!(range.packets(), 3);
}

#[test]
fn a_receiver_with_nothing_to_take_keeps_nobody_from_being_relieved() {
    let mut work = workload(&[1, 1, 10], Policy { failover: true, rebalance: true, floor: 0 });
    assign_all(&mut work);
    acknowledge(&work, 0, 1, ms(10));
    work.completed(0);
    work.workers()[1].lane().claim(); // and is silent
    acknowledge(&work, 2, 5, ms(1000));
    work.workers()[2].lane().claim();
    let moves = work.rebalance(ms(5500));
    assert!(matches!(moves[..], [Move { from: 2, to: 0, .. }]), "{moves:?}");
}

#[test]
fn rebalancing_ends_when_it_no_longer_pays() {
    let mut work = workload(&[1, 2], Policy { failover: true, rebalance: true, floor: 0 });
    assign_all(&mut work);
    acknowledge(&work, 0, 1, ms(900));
    acknowledge(&work, 1, 1, ms(100));
    work.workers()[1].lane().claim();
    work.completed(0);
    assert_eq!(work.rebalance(ms(100)), [], "only the outstanding packet is left");
}

#[test]
fn two_ranges_of_one_receiver_are_served_in_turn() {
    let begin = start();
    let range =
        |first: u32| SeqRange::over_bytes(Seq(first), u64::from(first) * 100..u64::from(first) * 100 + 250);
    let ranges = [range(0).unwrap(), range(3).unwrap()];
    let mut work = Workload::new(vec![Worker::new(Arc::new(Lane::new(begin)), None, ranges)], FAILOVER);
    assert_eq!(assign_all(&mut work), [(0, 0, 3)]);
    work.completed(0);
    assert_eq!(assign_all(&mut work), [(0, 3, 6)]);
    work.completed(0);
    assert!(work.is_complete());
}

#[test]
fn shares_in_proportion_are_exact() {
    assert_eq!(in_proportion(10, &[1.0, 1.0, 1.0]).iter().sum::<u32>(), 10);
    assert_eq!(in_proportion(93, &[2.0, 1.0, 1.0]), [47, 23, 23]);
    assert_eq!(in_proportion(1, &[1e-9, 1e9]), [0, 1]);
    assert_eq!(in_proportion(5, &[]), [0; 0]);
}
