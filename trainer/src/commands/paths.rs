//! The folders that users of the original know.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xreport_runtime::console;

/// Data set.
pub const DATA: &str = "dataset";
/// Settings.
pub const SETTINGS: &str = "settings/configurations.json";
/// Checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// What evaluations write.
pub const RESULTS: &str = "results";

/// A folder for a new checkpoint, named by the time.
pub fn new_checkpoint() -> PathBuf {
    let now = jiff::Timestamp::now().strftime("XREPORT-%Y%m%d-%H%M%S").to_string();
    Path::new(CHECKPOINTS).join(now)
}

/// The checkpoint in `checkpoints/` that was written last.
pub fn newest_checkpoint() -> anyhow::Result<PathBuf> {
    let written = |path: &Path| std::fs::metadata(path.join("last.safetensors")).and_then(|meta| meta.modified()).ok();
    let entries = std::fs::read_dir(CHECKPOINTS).into_iter().flatten();
    let newest = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| Some((written(&path)?, path)))
        .max()
        .map(|(_, path)| path)
        .with_context(|| {
            format!("no checkpoint in `{CHECKPOINTS}/`\nhint: name one, or make one with `xreport-train train`")
        })?;
    console::info(format_args!("checkpoint: `{}`", newest.display()));
    Ok(newest)
}
