//! What all images that are decoded at a time may hold together.
//!
//! [`Limits`](super::Limits) bound one image. Threads decode several, so a large picture waits until the others leave it
//! room; ordinary radiographs are so small that none waits.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes; what one image may take by default.
const TOTAL: u64 = 448 * 1024 * 1024;

static TAKEN: Mutex<u64> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// Memory that was taken, given back when this goes. A thread takes one at a time, so nobody waits for himself.
#[derive(Debug)]
pub(super) struct Permit {
    bytes: u64,
}

impl Permit {
    /// Waits until there is room for `bytes`, or until nobody else has any: what is larger than all goes alone.
    pub fn take(bytes: u64) -> Self {
        // A count is whole whatever panicked beside it.
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = GIVEN_BACK
            .wait_while(taken, |taken| *taken > 0 && taken.saturating_add(bytes) > TOTAL)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += bytes;
        Self { bytes }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        GIVEN_BACK.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_total_is_kept_and_everybody_has_his_turn() {
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8u64 {
                let (held, most) = (&held, &most);
                scope.spawn(move || {
                    for round in 0..50 {
                        let bytes = TOTAL / 4 + (thread * 7919 + round * 104_729) % (TOTAL / 2);
                        let permit = Permit::take(bytes);
                        most.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(bytes, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= TOTAL, "{most:?}");
        // Larger than all: alone, but not never.
        drop(Permit::take(2 * TOTAL));
    }
}
