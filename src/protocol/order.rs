//! Sorting, for all of the protocol: by a heap of one type, since the standard library's sorts cost the program some 8 kB
//! for each type that is sorted, and here there are few things to sort, and rarely.

use std::collections::BinaryHeap;

/// The indexes of `keys`, lowest key first; equal keys stay in their order.
pub fn ascending(keys: impl IntoIterator<Item = u64>) -> Vec<usize> {
    let heap: BinaryHeap<(u64, usize)> = keys.into_iter().zip(0..).collect();
    heap.into_sorted_vec().into_iter().map(|(_, index)| index).collect()
}

/// The same, highest key first; equal keys stay in their order.
pub fn descending(keys: impl IntoIterator<Item = u64>) -> Vec<usize> {
    ascending(keys.into_iter().map(|key| u64::MAX - key))
}

/// A key for a number that is not negative: in the order of the numbers.
pub fn key(number: f64) -> u64 {
    number.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_stay_in_their_order_both_ways() {
        let keys = [3, 1, 3, 0, 1, u64::MAX];
        assert_eq!(ascending(keys), [3, 1, 4, 0, 2, 5]);
        assert_eq!(descending(keys), [5, 0, 2, 1, 4, 3]);
    }

    #[test]
    fn numbers_that_are_not_negative_keep_their_order() {
        let numbers = [0.0, f64::MIN_POSITIVE, 1e-9, 0.5, 1.0, 1.5, 1e9, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
    }
}
