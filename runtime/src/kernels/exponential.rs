//! Powers of e, eight at a time.

#![allow(unsafe_code, reason = "vector instructions that the callers have asked for")]

use std::arch::x86_64::{
    __m256, _mm256_add_epi32, _mm256_add_ps, _mm256_castsi256_ps, _mm256_cvtps_epi32, _mm256_fmadd_ps,
    _mm256_fnmadd_ps, _mm256_max_ps, _mm256_mul_ps, _mm256_round_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_slli_epi32,
};

/// `e` to numbers of at most 0, within 3e-7 of their own size: 2 to a whole number times a polynomial over half an octave to
/// both sides (the coefficients are those of Cephes' `expf`).
#[target_feature(enable = "avx2,fma")]
pub fn exponential(of: __m256) -> __m256 {
    let constant = |value: f32| _mm256_set1_ps(value);
    // Below, the result would not be a normal number. What is no number at all stays so: the second one is taken then.
    let of = _mm256_max_ps(constant(-87.0), of);
    let octaves = _mm256_round_ps::<0>(_mm256_mul_ps(of, constant(std::f32::consts::LOG2_E)));
    let rest = _mm256_fnmadd_ps(octaves, constant(0.693_359_4), of);
    let rest = _mm256_fnmadd_ps(octaves, constant(-2.121_944_4e-4), rest);
    let mut sum = constant(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        sum = _mm256_fmadd_ps(sum, rest, constant(coefficient));
    }
    let sum = _mm256_fmadd_ps(sum, _mm256_mul_ps(rest, rest), _mm256_add_ps(rest, constant(1.0)));
    let power = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(octaves), _mm256_set1_epi32(127)));
    _mm256_mul_ps(sum, _mm256_castsi256_ps(power))
}
