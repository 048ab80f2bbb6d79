//! How fast this machine's memory is, for one thread.

use std::hint::black_box;
use std::time::Instant;

/// Larger than any cache.
const BYTES: usize = 256 << 20;
const REPEATS: usize = 3;

/// Gigabytes that one thread reads in a second, in order; the best of three.
pub fn gigabytes_per_second() -> f64 {
    let words: Vec<u64> = (0..(BYTES / 8) as u64).collect();
    let read = |words: &[u64]| {
        // Several sums at once: a single one would wait for itself.
        let mut sums = [0u64; 8];
        for block in words.as_chunks::<8>().0 {
            for (sum, word) in sums.iter_mut().zip(block) {
                *sum = sum.wrapping_add(*word);
            }
        }
        sums
    };
    (0..REPEATS)
        .map(|_| {
            let started = Instant::now();
            black_box(read(black_box(&words)));
            BYTES as f64 / started.elapsed().as_secs_f64() / 1e9
        })
        .fold(0.0, f64::max)
}
