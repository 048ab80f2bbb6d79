//! One seed, many independent streams: each use of randomness has a name.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Initial weights.
    Weights,
    /// Order of the studies in an epoch.
    Shuffle,
    /// Augmentation of one image in one epoch.
    Augment,
    /// libtorch's own generator (dropout) at one step.
    Dropout,
    /// Sequences for the check of an untrained export.
    Verification,
    /// Baselines and resamples of an evaluation.
    Evaluation,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Shuffle => "shuffle",
            Self::Augment => "augment",
            Self::Dropout => "dropout",
            Self::Verification => "verification",
            Self::Evaluation => "evaluation",
        }
    }

    /// A seed for this use at these places (epoch, step, study …), from the run's seed. Nothing about random state needs
    /// to be saved: a resumed run derives the same.
    pub fn seed(self, seed: u64, places: &[u64]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.name());
        hash.update(seed.to_le_bytes());
        for place in places {
            hash.update(place.to_le_bytes());
        }
        let digest = hash.finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// A generator with that seed.
    pub fn rng(self, seed: u64, places: &[u64]) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed(seed, places))
    }
}
