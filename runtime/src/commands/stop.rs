//! Ctrl-C and SIGTERM: the batch at work is finished and written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use xreport_runtime::console;

/// What a shell gives for a program that Ctrl-C ended.
const ENDED_AT_ONCE: i32 = 130;

/// A flag that Ctrl-C or SIGTERM sets; a second one ends the program at once, which loses no result either.
pub fn flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if handler.swap(true, Ordering::Relaxed) {
            std::process::exit(ENDED_AT_ONCE);
        }
        console::info("\nfinishing the images at work; Ctrl-C again stops at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
