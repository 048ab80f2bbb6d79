//! What a decoder's steps are wanted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Whether who runs a decoder's session wants the scores of all tokens, or the best one alone, which may take half the time.
/// Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Scores(Arc<State>);

#[derive(Debug)]
struct State {
    wanted: AtomicBool,
    spared: AtomicU64,
}

impl Default for Scores {
    fn default() -> Self {
        Self(Arc::new(State { wanted: AtomicBool::new(true), spared: AtomicU64::new(0) }))
    }
}

impl Scores {
    /// From the next run on.
    pub fn want(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Relaxed);
    }

    /// What was said last; all at first.
    pub fn wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    /// Says how many bytes of weights a step does not read that is wanted for the best token alone.
    pub fn spare(&self, bytes: u64) {
        self.0.spared.store(bytes, Ordering::Relaxed);
    }

    /// What was said of them last; none at first.
    pub fn spared(&self) -> u64 {
        self.0.spared.load(Ordering::Relaxed)
    }
}
