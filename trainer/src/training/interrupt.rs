//! Ctrl-C and SIGTERM: the running step is finished, the run saved.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::ranks::{Ranks, say};

/// A launcher passes on the Ctrl-C that the terminal has sent to its processes already: what comes so soon is no second
/// one.
const PASSED_ON: Duration = Duration::from_secs(5);

/// A flag that Ctrl-C or SIGTERM sets; a second one ends the program at once.
pub fn flag(ranks: Ranks) -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let (handler, first) = (Arc::clone(&flag), OnceLock::new());
    ctrlc::set_handler(move || {
        let now = Instant::now();
        let since = now.duration_since(*first.get_or_init(|| now));
        if handler.swap(true, Ordering::Relaxed) && (!ranks.several() || since > PASSED_ON) {
            std::process::exit(130);
        }
        say("\nfinishing this step and saving; press Ctrl-C again to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
