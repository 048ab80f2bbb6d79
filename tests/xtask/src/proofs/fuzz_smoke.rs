//! The fuzz targets' smoke run at length: a minute each, with the stable compiler.

use anyhow::Result;

use super::words::Words;
use crate::phases::succeeds;
use crate::workspace::Workspace;

/// Runs `prove fuzz-smoke [--seconds N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("fuzz-smoke", arguments, &["--seconds"], &[])?;
    let seconds = words.number("--seconds", 60u64)?;
    // One target after the other, so that each has its time to itself.
    succeeds(
        workspace
            .cargo()
            .args([
                "test",
                "--package",
                "xreport-tests",
                "--test",
                "fuzz_smoke",
                "--",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("XREPORT_FUZZ_SECONDS", seconds.to_string()),
    )
}
