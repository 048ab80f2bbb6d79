//! What a decoder's steps are wanted for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether who runs a decoder's session wants the scores of all tokens, or the best one alone, which may take half the time.
/// Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Scores(Arc<AtomicBool>);

impl Default for Scores {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Scores {
    /// From the next run on.
    pub fn want(&self, wanted: bool) {
        self.0.store(wanted, Ordering::Relaxed);
    }

    /// What was said last; all at first.
    pub fn wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
