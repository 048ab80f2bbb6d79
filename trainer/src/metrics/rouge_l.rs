//! ROUGE-L (Lin, 2004): the longest common subsequence of words, F with β = 1.2.

use std::collections::HashMap;

/// Recall counts β² times as much as precision.
const BETA: f64 = 1.2;

/// F of precision and recall of the longest common subsequence; texts as word numbers, each with at least one.
pub(super) fn score(generated: &[u32], reference: &[u32]) -> f64 {
    let common = longest_common_subsequence(generated, reference) as f64;
    if common == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (common / generated.len() as f64, common / reference.len() as f64);
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// Its length, by Hyyrö's bit-parallel recurrence (2004): a bit per word of `second` stays set until a common
/// subsequence reaches it. Time is words × words / 64, memory linear.
fn longest_common_subsequence(first: &[u32], second: &[u32]) -> usize {
    let mut places: HashMap<u32, Vec<(usize, u64)>> = HashMap::with_capacity(second.len());
    for (at, &word) in second.iter().enumerate() {
        let (block, bit) = (at / 64, 1u64 << (at % 64));
        let blocks = places.entry(word).or_default();
        match blocks.last_mut() {
            Some((last, bits)) if *last == block => *bits |= bit,
            _ => blocks.push((block, bit)),
        }
    }
    let mut state = vec![u64::MAX; second.len().div_ceil(64)];
    for word in first {
        let Some(blocks) = places.get(word) else { continue };
        let mut blocks = blocks.iter().peekable();
        let mut carry = false;
        for (block, bits) in state.iter_mut().enumerate() {
            let matches = blocks.next_if(|(at, _)| *at == block).map_or(0, |&(_, bits)| bits);
            let reached = *bits & matches;
            let (sum, first_over) = bits.overflowing_add(reached);
            let (sum, second_over) = sum.overflowing_add(u64::from(carry));
            carry = first_over || second_over;
            *bits = sum | (*bits & !matches);
        }
    }
    let unused = state.len() * 64 - second.len();
    let zeros: u32 = state.iter().map(|bits| bits.count_zeros()).sum();
    // Bits behind the last word may have been cleared by a carry.
    let behind =
        if unused == 0 { 0 } else { (state[state.len() - 1] >> (64 - unused) | u64::MAX << unused).count_zeros() };
    (zeros - behind) as usize
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::*;

    /// The textbook's table.
    fn by_table(first: &[u32], second: &[u32]) -> usize {
        let mut row = vec![0; second.len() + 1];
        for a in first {
            let mut diagonal = 0;
            for (at, b) in second.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if a == b { diagonal + 1 } else { above.max(row[at]) };
                diagonal = above;
            }
        }
        row[second.len()]
    }

    #[test]
    fn bits_and_table_agree_across_block_borders() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for round in 0..400 {
            let words = 1 + round % 40;
            let mut text = |longest| -> Vec<u32> {
                let length = rng.random_range(1..longest);
                (0..length).map(|_| rng.random_range(0..words)).collect()
            };
            let (first, second) = (text(220), text(220));
            assert_eq!(longest_common_subsequence(&first, &second), by_table(&first, &second), "{first:?} {second:?}");
        }
        for length in [63, 64, 65, 128] {
            let same: Vec<u32> = (0..length).collect();
            assert_eq!(longest_common_subsequence(&same, &same), length as usize);
        }
    }

    #[test]
    fn recall_weighs_more_than_precision() {
        let (short, long) = ([1, 2], [1, 2, 3, 4]);
        let (missing, padded) = (score(&short, &long), score(&long, &short));
        assert!((missing - 2.44 * 0.5 / (0.5 + 1.44)).abs() < 1e-12, "{missing}");
        assert!(padded > missing);
        assert!((score(&[5], &[6])).abs() < 1e-12);
    }
}
