//! Tiles of a product on x86-64: a few rows of inputs by a few panels of a matrix, all sums in registers.
//!
//! Each sum takes its products one after another in the order of the inputs, by fused multiply-add, whatever the width of the
//! vectors, the size of the tile and the number of rows: a row's numbers do not depend on its neighbours, nor on the machine.
//!
//! Reading the matrix is what takes the time. One stream of addresses does not keep a core's memory pipeline full, so a tile
//! of few rows reads up to eight panels side by side and asks for lines long before it needs them.

#![allow(
    unsafe_code,
    reason = "vector instructions and loads of places that the callers' slices hold; see each function"
)]

use std::arch::x86_64::{
    __m256, __m512, _MM_HINT_T0, _mm_loadl_epi64, _mm_loadu_si128, _mm_prefetch, _mm256_cvtepi8_epi32,
    _mm256_cvtepi32_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::products::{LANES, Panels};

/// How far ahead of its use a line is asked for, in bytes.
const AHEAD: usize = 4096;
/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Where a tile lies: `rows` inputs of `panels.depth` numbers at `input`, sums to `output`, whose rows are `width` apart.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// First number of the first row of inputs.
    pub input: *const f32,
    /// First sum of the first row.
    pub output: *mut f32,
    /// Numbers from one row of sums to the next.
    pub width: usize,
}

/// Functions that make tiles with one set of instructions.
macro_rules! tiles {
    ($name:ident, $weight:ty, $features:literal, $floats:literal, $zero:ident, $weights:ident, $load:ident, $store:ident, $all:ident, $add:ident) => {
        pub mod $name {
            use super::*;

            const VECTORS: usize = LANES / $floats;

            /// `ROWS` rows by `SIDE` panels from `first` on.
            ///
            /// # Safety
            /// The processor has the instructions; `place` holds `ROWS` rows of inputs and of sums, `SIDE` panels wide;
            /// the panels exist.
            #[target_feature(enable = $features)]
            pub unsafe fn tile<const ROWS: usize, const SIDE: usize>(
                panels: &Panels<$weight>,
                first: usize,
                place: Place,
            ) {
                let depth = panels.depth();
                let mut sums = [[[$zero(); VECTORS]; SIDE]; ROWS];
                let starts: [*const $weight; SIDE] = std::array::from_fn(|side| panels.panel(first + side));
                for at in 0..depth {
                    let mut weights = [[$zero(); VECTORS]; SIDE];
                    for (weights, start) in weights.iter_mut().zip(starts) {
                        // SAFETY: a panel holds LANES numbers for each input; asking for a line beyond them is harmless.
                        unsafe {
                            let from = start.add(at * LANES);
                            if (at * LANES * size_of::<$weight>()).is_multiple_of(LINE) {
                                _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>().wrapping_add(AHEAD));
                            }
                            for (index, vector) in weights.iter_mut().enumerate() {
                                *vector = $weights(from.add(index * $floats));
                            }
                        }
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the row's input `at`.
                        let input = $all(unsafe { *place.input.add(row * depth + at) });
                        for (sums, weights) in sums.iter_mut().zip(&weights) {
                            for (sum, weight) in sums.iter_mut().zip(weights) {
                                *sum = $add(input, *weight, *sum);
                            }
                        }
                    }
                }
                for (row, sums) in sums.iter().enumerate() {
                    for (side, sums) in sums.iter().enumerate() {
                        let (scale, bias) = panels.scale_and_bias(first + side);
                        for (index, sum) in sums.iter().enumerate() {
                            let column = index * $floats;
                            // SAFETY: within the panel's scales and biases and the row's sums.
                            unsafe {
                                let sum = $add(*sum, $load(scale.add(column)), $load(bias.add(column)));
                                $store(place.output.add(row * place.width + side * LANES + column), sum);
                            }
                        }
                    }
                }
            }
        }
    };
}

/// Sixteen bytes as numbers.
///
/// # Safety
/// They are there.
#[target_feature(enable = "avx512f")]
unsafe fn sixteen(bytes: *const i8) -> __m512 {
    // SAFETY: see above.
    let bytes = unsafe { _mm_loadu_si128(bytes.cast()) };
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))
}

/// Eight bytes as numbers.
///
/// # Safety
/// They are there.
#[target_feature(enable = "avx2")]
unsafe fn eight(bytes: *const i8) -> __m256 {
    // SAFETY: see above.
    let bytes = unsafe { _mm_loadl_epi64(bytes.cast()) };
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))
}

macro_rules! with_avx512 {
    ($name:ident, $weight:ty, $weights:ident) => {
        tiles!(
            $name,
            $weight,
            "avx512f",
            16,
            _mm512_setzero_ps,
            $weights,
            _mm512_loadu_ps,
            _mm512_storeu_ps,
            _mm512_set1_ps,
            _mm512_fmadd_ps
        );
    };
}

macro_rules! with_avx2 {
    ($name:ident, $weight:ty, $weights:ident) => {
        tiles!(
            $name,
            $weight,
            "avx2,fma",
            8,
            _mm256_setzero_ps,
            $weights,
            _mm256_loadu_ps,
            _mm256_storeu_ps,
            _mm256_set1_ps,
            _mm256_fmadd_ps
        );
    };
}

with_avx512!(avx512, f32, _mm512_loadu_ps);
with_avx512!(avx512_bytes, i8, sixteen);
with_avx2!(avx2, f32, _mm256_loadu_ps);
with_avx2!(avx2_bytes, i8, eight);
