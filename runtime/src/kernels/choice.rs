//! The most probable of a row's tokens and its log-probability.

#![allow(
    unsafe_code,
    reason = "vector instructions and loads of places that the callers' slices hold; see each function"
)]

use std::arch::x86_64::{
    _mm256_add_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm256_sub_ps,
};

use super::exponential::exponential;

/// Numbers of a vector.
const LANES: usize = 8;
/// Numbers that are looked at together.
const BLOCK: usize = 512;

/// A token that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Its place among the scores.
    pub token: usize,
    /// Natural logarithm of its probability; no number where a score is none.
    pub log_probability: f32,
}

/// The highest of the scores, the first of equals, and the logarithm of its share in the sum of all exponentials.
///
/// # Panics
/// Where there is no score, or the processor lacks AVX2 or FMA.
pub fn best(scores: &[f32]) -> Choice {
    let (token, largest) = first_highest(scores);
    Choice { token, log_probability: log_share(largest, scores) }
}

/// Place and value of the highest score, the first of equals.
///
/// # Panics
/// As [`best`].
pub fn first_highest(scores: &[f32]) -> (usize, f32) {
    check();
    let (mut token, mut largest) = (0, scores[0]);
    for (block, scores) in scores.chunks(BLOCK).enumerate() {
        // SAFETY: the instructions are there.
        let its = unsafe { highest(scores) };
        if its > largest {
            largest = its;
            token = block * BLOCK + scores.iter().position(|&score| score >= its).unwrap_or(0);
        }
    }
    (token, largest)
}

/// The highest score of every `LENGTH` that follow each other; what is no number does not count.
///
/// # Panics
/// As [`best`].
pub fn highest_of_each<const LENGTH: usize>(scores: &[f32]) -> Vec<f32> {
    check();
    // SAFETY: the instructions are there.
    scores.as_chunks::<LENGTH>().0.iter().map(|scores| unsafe { highest(scores) }).collect()
}

/// Logarithm of `exp(score)` over the sum of the exponentials of `scores`, of which it should be about the highest.
///
/// # Panics
/// As [`best`].
pub fn log_share(score: f32, scores: &[f32]) -> f32 {
    check();
    // SAFETY: the instructions are there.
    let sum: f64 = scores.chunks(BLOCK).map(|scores| unsafe { exponentials(scores, score) }).sum();
    -(sum.ln() as f32)
}

fn check() {
    assert!(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"), "AVX2 and FMA");
}

/// The highest of at most a block's scores; what is no number does not count.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,fma")]
unsafe fn highest(scores: &[f32]) -> f32 {
    let mut all = _mm256_set1_ps(f32::NEG_INFINITY);
    let (vectors, rest) = scores.as_chunks::<LANES>();
    for vector in vectors {
        // SAFETY: a whole vector.
        all = _mm256_max_ps(unsafe { _mm256_loadu_ps(vector.as_ptr()) }, all);
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: a whole vector.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), all) };
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The sum of `exp(score - largest)` over at most a block's scores.
///
/// # Safety
/// The processor has the instructions.
#[target_feature(enable = "avx2,fma")]
unsafe fn exponentials(scores: &[f32], largest: f32) -> f64 {
    let from = _mm256_set1_ps(largest);
    let mut sum = _mm256_setzero_ps();
    let (vectors, rest) = scores.as_chunks::<LANES>();
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    for vector in vectors.iter().chain((!rest.is_empty()).then_some(&last)) {
        // SAFETY: a whole vector.
        let below = _mm256_sub_ps(unsafe { _mm256_loadu_ps(vector.as_ptr()) }, from);
        sum = _mm256_add_ps(sum, exponential(below));
    }
    let mut lanes = [0.0; LANES];
    // SAFETY: a whole vector.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
    lanes.iter().map(|&sum| f64::from(sum)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(scores: &[f32]) -> Choice {
        let token = (0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best });
        let sum: f64 = scores.iter().map(|&score| (f64::from(score) - f64::from(scores[token])).exp()).sum();
        Choice { token, log_probability: -sum.ln() as f32 }
    }

    fn has_instructions() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    #[test]
    fn it_is_what_64_bits_say() {
        if !has_instructions() {
            return;
        }
        for length in [1, 2, 7, 8, 9, 63, 512, 513, 1030, 30_522] {
            for seed in [1, 2, 3] {
                let of = |at: usize| ((at * 7919 + seed * 101) % 10_007) as f32 / 400.0 - 12.0;
                let scores: Vec<f32> = (0..length).map(of).collect();
                let (found, expected) = (best(&scores), expected(&scores));
                assert_eq!(found.token, expected.token, "{length}");
                assert!((found.log_probability - expected.log_probability).abs() < 1e-6, "{length}: {found:?}");
            }
        }
    }

    #[test]
    fn the_first_of_equals_is_chosen() {
        if !has_instructions() {
            return;
        }
        for places in [[3, 4], [0, 1029], [511, 512], [700, 1025]] {
            let mut scores = vec![-1.0; 1030];
            for place in places {
                scores[place] = 2.0;
            }
            assert_eq!(best(&scores).token, places[0]);
        }
        assert_eq!(best(&[0.5; 40]), Choice { token: 0, log_probability: -(40f32.ln()) });
    }

    #[test]
    fn what_is_no_number_gives_none() {
        if !has_instructions() {
            return;
        }
        for place in [0, 5, 8, 16] {
            for damaged in [f32::NAN, f32::INFINITY] {
                let mut scores = [0.25; 17];
                scores[place] = damaged;
                assert!(best(&scores).log_probability.is_nan(), "{damaged} at {place}");
            }
        }
        assert!(best(&[f32::NEG_INFINITY; 3]).log_probability.is_nan());
    }
}
