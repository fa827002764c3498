//! The one thing that virtual time cannot show: a claim and a cut at the same moment, on real threads.

use mdalp::protocol::Seq;
use mdalp::protocol::lane::Lane;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

#[test]
fn a_seq_is_claimed_or_cut_off_and_never_both() {
    const PACKETS: u32 = 2_000;
    let mut met = 0;
    for _ in 0..200 {
        let lane = Lane::new(Instant::now());
        lane.open(Seq(0), Seq(PACKETS));
        let together = Barrier::new(2);
        let (claimed, end) = thread::scope(|scope| {
            let claiming = scope.spawn(|| {
                together.wait();
                std::iter::from_fn(|| lane.claim()).map(|seq| seq.0).collect::<Vec<_>>()
            });
            together.wait();
            let mut end = Seq(PACKETS);
            // More than is left, now and then: the cut must stop at what is claimed.
            for packets in (1..40).chain([PACKETS]) {
                let cut = lane.cut(packets);
                assert!(cut <= end);
                end = cut;
            }
            (claiming.join().unwrap(), end)
        });
        let exact = claimed.iter().copied().eq(0..end.0);
        assert!(exact, "{} claimed, up to {:?}, but the rest begins at {end}", claimed.len(), claimed.last());
        met += u32::from(end.0 > 0 && end.0 < PACKETS - 780);
    }
    println!("{met} times both were at work");
}
