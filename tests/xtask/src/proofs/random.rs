//! Random moments that repeat.

/// SplitMix64 (Steele et al. 2014): small, and the same everywhere.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// In 0..1.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_are_spread_and_repeat() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.fraction()).collect::<Vec<_>>()
        };
        let moments = draw(1);
        assert!(moments.iter().all(|moment| (0.0..1.0).contains(moment)));
        assert!(moments.iter().any(|&moment| moment < 0.1) && moments.iter().any(|&moment| moment > 0.9));
        assert_eq!(moments, draw(1));
        assert_ne!(moments, draw(2));
    }
}
