//! Attention of one new token over what is before it: one row, one head.
//!
//! The keys of a head lie one after another, as the cache holds them; nothing is laid out anew. A row's numbers depend on its
//! own query, keys and values alone.

#![allow(
    unsafe_code,
    reason = "vector instructions and loads of places that the callers' slices hold; see each function"
)]

use std::arch::x86_64::{
    __m128, __m256, _mm_add_ps, _mm_storeu_ps, _mm256_add_ps, _mm256_castps256_ps128, _mm256_extractf128_ps,
    _mm256_fmadd_ps, _mm256_hadd_ps, _mm256_loadu_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps, _mm256_sub_ps,
};

use super::exponential::exponential;

/// Numbers of a vector; the size of a head must be a multiple of it.
pub const LANES: usize = 8;
/// Keys whose products with the query are made together.
const KEYS: usize = 4;
/// Vectors of the output that are summed together.
const SUMS: usize = 4;

/// Sum over the keys of `softmax(query · key / sqrt(size)) · value`.
///
/// `query` and `output` are `[size]`, `keys` and `values` `[length, size]` row-major, at least one of them; `scores` is room
/// to work in.
///
/// # Panics
/// Where a length does not fit, or the processor lacks AVX2 or FMA.
pub fn attend(query: &[f32], keys: &[f32], values: &[f32], scores: &mut Vec<f32>, output: &mut [f32]) {
    let size = query.len();
    assert!(size > 0 && size.is_multiple_of(LANES) && output.len() == size, "a query and an output of whole vectors");
    assert!(!keys.is_empty() && keys.len().is_multiple_of(size) && keys.len() == values.len(), "a value for each key");
    assert!(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"), "AVX2 and FMA");
    let length = keys.len() / size;
    scores.clear();
    scores.resize(length.next_multiple_of(LANES), f32::NEG_INFINITY);
    // SAFETY: the instructions are there, and the lengths fit.
    unsafe {
        multiply(query, keys, length, scores);
        let sum = weigh(scores, length);
        gather(&scores[..length], values, 1.0 / sum, output);
    }
}

/// `scores[t] = query · keys[t] / sqrt(size)`.
///
/// # Safety
/// As [`attend`] checks it.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply(query: &[f32], keys: &[f32], length: usize, scores: &mut [f32]) {
    let size = query.len();
    let scale = 1.0 / (size as f32).sqrt();
    for first in (0..length).step_by(KEYS) {
        let mut sums = [_mm256_setzero_ps(); KEYS];
        for at in (0..size).step_by(LANES) {
            // SAFETY: whole vectors of the query and of a key; where fewer keys are left, the last one stands in.
            unsafe {
                let query = _mm256_loadu_ps(query.as_ptr().add(at));
                for (key, sum) in sums.iter_mut().enumerate() {
                    let key = (first + key).min(length - 1);
                    *sum = _mm256_fmadd_ps(query, _mm256_loadu_ps(keys.as_ptr().add(key * size + at)), *sum);
                }
            }
        }
        let mut four = [0.0; KEYS];
        // SAFETY: four numbers.
        unsafe { _mm_storeu_ps(four.as_mut_ptr(), totals(sums)) };
        for (score, product) in scores[first..length].iter_mut().zip(four) {
            *score = product * scale;
        }
    }
}

/// The sum of each vector.
#[target_feature(enable = "avx2,fma")]
fn totals([a, b, c, d]: [__m256; KEYS]) -> __m128 {
    let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs))
}

/// `scores[t] = exp(scores[t] - largest)`, 0 beyond `length`; their sum.
///
/// # Safety
/// `scores` are whole vectors.
#[target_feature(enable = "avx2,fma")]
unsafe fn weigh(scores: &mut [f32], length: usize) -> f32 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let largest = _mm256_set1_ps(largest);
    for vector in scores.chunks_exact_mut(LANES) {
        // SAFETY: a whole vector.
        unsafe {
            let below = _mm256_sub_ps(_mm256_loadu_ps(vector.as_ptr()), largest);
            _mm256_storeu_ps(vector.as_mut_ptr(), exponential(below));
        }
    }
    scores[length..].fill(0.0);
    let mut sum = _mm256_setzero_ps();
    for vector in scores.chunks_exact(LANES) {
        // SAFETY: a whole vector.
        sum = _mm256_add_ps(sum, unsafe { _mm256_loadu_ps(vector.as_ptr()) });
    }
    let mut four = [0.0; KEYS];
    // SAFETY: four numbers, of which the first is the sum.
    unsafe { _mm_storeu_ps(four.as_mut_ptr(), totals([sum; KEYS])) };
    four[0]
}

/// `output = factor · sum of weights[t] · values[t]`.
///
/// # Safety
/// As [`attend`] checks it.
#[target_feature(enable = "avx2,fma")]
unsafe fn gather(weights: &[f32], values: &[f32], factor: f32, output: &mut [f32]) {
    let size = output.len();
    let mut at = 0;
    while at < size {
        // SAFETY: whole vectors of the output and of each value.
        unsafe {
            if at + SUMS * LANES <= size {
                columns::<SUMS>(weights, values, factor, output, at);
                at += SUMS * LANES;
            } else {
                columns::<1>(weights, values, factor, output, at);
                at += LANES;
            }
        }
    }
}

/// `COUNT` vectors of the output from `at` on.
///
/// # Safety
/// They lie within the output.
#[target_feature(enable = "avx2,fma")]
unsafe fn columns<const COUNT: usize>(weights: &[f32], values: &[f32], factor: f32, output: &mut [f32], at: usize) {
    let size = output.len();
    let mut sums = [_mm256_setzero_ps(); COUNT];
    for (key, &weight) in weights.iter().enumerate() {
        let weight = _mm256_set1_ps(weight);
        for (index, sum) in sums.iter_mut().enumerate() {
            // SAFETY: within the value of the key.
            let value = unsafe { _mm256_loadu_ps(values.as_ptr().add(key * size + at + index * LANES)) };
            *sum = _mm256_fmadd_ps(weight, value, *sum);
        }
    }
    for (index, sum) in sums.iter().enumerate() {
        // SAFETY: within the output.
        unsafe {
            let to = output.as_mut_ptr().add(at + index * LANES);
            _mm256_storeu_ps(to, _mm256_mul_ps(*sum, _mm256_set1_ps(factor)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 37 + seed * 101) % 1009) as f32 / 252.0 - 2.0).collect()
    }

    /// The same in 64 bits.
    fn expected(query: &[f32], keys: &[f32], values: &[f32]) -> Vec<f64> {
        let size = query.len();
        let product = |key: &[f32]| query.iter().zip(key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>();
        let scores: Vec<f64> = keys.chunks_exact(size).map(|key| product(key) / (size as f64).sqrt()).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let of = |at: usize| {
            let values = values.chunks_exact(size).map(|value| f64::from(value[at]));
            weights.iter().zip(values).map(|(weight, value)| weight * value).sum::<f64>() / sum
        };
        (0..size).map(of).collect()
    }

    #[test]
    fn it_is_what_64_bits_say() {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
            return;
        }
        let mut scores = Vec::new();
        for size in [8, 16, 24, 32, 40, 64, 72] {
            for length in [1, 2, 3, 4, 5, 7, 8, 9, 49, 128] {
                let (query, keys, values) =
                    (numbers(size, 1), numbers(size * length, 2), numbers(size * length, length));
                let mut output = vec![f32::NAN; size];
                attend(&query, &keys, &values, &mut scores, &mut output);
                for (found, expected) in output.iter().zip(expected(&query, &keys, &values)) {
                    let apart = (f64::from(*found) - expected).abs();
                    assert!(apart < 2e-5, "{size}, {length}: {found} and {expected}");
                }
            }
        }
    }

    #[test]
    fn a_key_far_above_the_others_is_all_that_counts() {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") {
            return;
        }
        let query = [100.0; 8];
        let keys: Vec<f32> = [[1.0; 8], [-1.0; 8], [0.0; 8]].concat();
        let values: Vec<f32> = [[5.0; 8], [7.0; 8], [9.0; 8]].concat();
        let mut output = [0.0; 8];
        attend(&query, &keys, &values, &mut Vec::new(), &mut output);
        assert!(output.iter().all(|number| (number - 5.0).abs() < 1e-6), "{output:?}");
    }
}
