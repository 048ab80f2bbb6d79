//! A run in named phases, each with its time.

use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

/// Runs `work` under a heading and says how long it took.
pub fn phase<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {title}");
    // What a started program prints must come after its heading, in a file as well.
    std::io::stdout().flush().context("stdout cannot be written")?;
    let start = Instant::now();
    let outcome = work();
    println!("   {title}: {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

/// Runs `command` with its output shown; whether it ended well.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("`{program}` cannot be started"))?;
    Ok(status.success())
}
