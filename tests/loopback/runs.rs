//! A set of SEQs, kept as the contiguous runs it consists of: a few of them however many packets there are.

/// SEQs `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub first: u32,
    pub last: u32,
}

impl Run {
    fn precedes(self, seq: u32) -> bool {
        self.last.checked_add(1) == Some(seq)
    }

    pub fn len(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Ascending, with a gap between any two.
    runs: Vec<Run>,
    /// Where the last SEQ went: the next one nearly always follows it.
    hint: usize,
}

impl Runs {
    /// Adds a SEQ; says whether it was new.
    pub fn insert(&mut self, seq: u32) -> bool {
        let next_is_apart =
            self.runs.get(self.hint + 1).is_none_or(|next| next.first > seq.saturating_add(1));
        match self.runs.get_mut(self.hint) {
            Some(run) if run.precedes(seq) && next_is_apart => {
                run.last = seq;
                true
            }
            Some(run) if run.first <= seq && seq <= run.last => false,
            _ => self.insert_anywhere(seq),
        }
    }

    fn insert_anywhere(&mut self, seq: u32) -> bool {
        if self.contains(seq) {
            return false;
        }
        let at = self.runs.partition_point(|run| run.last < seq);
        let before = at.checked_sub(1).and_then(|i| self.runs.get(i)).is_some_and(|run| run.precedes(seq));
        let first = match self.runs.get(at.wrapping_sub(1)) {
            Some(run) if before => run.first,
            _ => seq,
        };
        let (last, after) = match self.runs.get(at) {
            Some(run) if seq.checked_add(1) == Some(run.first) => (run.last, true),
            _ => (seq, false),
        };
        let start = at - usize::from(before);
        self.runs.splice(start..at + usize::from(after), [Run { first, last }]);
        self.hint = start;
        true
    }

    pub fn contains(&self, seq: u32) -> bool {
        let at = self.runs.partition_point(|run| run.last < seq);
        self.runs.get(at).is_some_and(|run| run.first <= seq)
    }

    /// How many SEQs are in it.
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|run| run.len()).sum()
    }

    pub fn as_slice(&self) -> &[Run] {
        &self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn runs_are_the_same_set_as_a_tree_in_any_order_of_arrival() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut runs, mut tree) = (Runs::default(), BTreeSet::new());
            for _ in 0..60 {
                let seq = (rng.bits() % 40) as u32;
                assert_eq!(runs.insert(seq), tree.insert(seq), "seed {seed}");
            }
            assert_eq!(runs.count(), tree.len() as u64);
            let flat: Vec<u32> = runs.as_slice().iter().flat_map(|run| run.first..=run.last).collect();
            assert_eq!(flat, tree.into_iter().collect::<Vec<u32>>(), "seed {seed}");
            assert!(runs.as_slice().windows(2).all(|pair| pair[0].last + 1 < pair[1].first), "seed {seed}");
            assert!((0..40).all(|seq| runs.contains(seq) == flat.contains(&seq)));
        }
    }

    #[test]
    fn the_highest_seq_is_one_like_any_other() {
        let mut runs = Runs::default();
        assert!(runs.insert(u32::MAX) && runs.insert(u32::MAX - 1) && !runs.insert(u32::MAX));
        assert_eq!(runs.as_slice(), [Run { first: u32::MAX - 1, last: u32::MAX }]);
    }
}
