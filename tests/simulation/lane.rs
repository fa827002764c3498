//! The one thing that virtual time cannot show: a claim and a cut at the same moment, on real threads.

use mdalp::protocol::Seq;
use mdalp::protocol::lane::Lane;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

#[test]
fn a_seq_is_claimed_or_cut_off_and_never_both() {
    const PACKETS: u32 = 2_000;
    const ROUNDS: u32 = 200;
    let mut met = 0;
    for _ in 0..ROUNDS {
        let lane = Lane::new(Instant::now());
        lane.open(Seq(0), Seq(PACKETS));
        let together = Barrier::new(2);
        let (claimed, end) = thread::scope(|scope| {
            let claiming = scope.spawn(|| {
                together.wait();
                // On a single CPU too, both are to get at the lane in turn.
                let give_way = |seq: &u32| {
                    if seq.is_multiple_of(64) {
                        thread::yield_now()
                    }
                };
                std::iter::from_fn(|| lane.claim()).map(|seq| seq.0).inspect(give_way).collect::<Vec<_>>()
            });
            together.wait();
            let mut end = Seq(PACKETS);
            // More than is left, now and then: the cut must stop at what is claimed.
            for packets in (1..40).chain([PACKETS]) {
                let cut = lane.cut(packets);
                assert!(cut <= end);
                end = cut;
                thread::yield_now();
            }
            (claiming.join().unwrap(), end)
        });
        let exact = claimed.iter().copied().eq(0..end.0);
        assert!(exact, "{} claimed, up to {:?}, but the rest begins at {end}", claimed.len(), claimed.last());
        // Had either been done before the other began, all or nothing would be claimed.
        met += u32::from((1..PACKETS).contains(&end.0));
    }
    println!("{met} of {ROUNDS} times both were at work");
    assert!(met > 0, "claims and cuts never met, so nothing was shown");
}
