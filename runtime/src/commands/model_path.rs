//! Which bundle is meant when none is named.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// Where xreport-train leaves checkpoints.
const CHECKPOINTS: &str = "checkpoints";
/// The bundle that comes with the project.
const DEMO: &str = "models/demo";

/// The bundle folder to use: the one named; else the newest checkpoint's; else the demo bundle of the project.
pub fn resolve(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    if let Some(path) = newest_checkpoint(Path::new(CHECKPOINTS)).or_else(demo_bundle) {
        eprintln!("model: `{}` (name another with --model)", path.display());
        return Ok(path);
    }
    bail!(
        "no model found: neither a checkpoint with a bundle in `{CHECKPOINTS}/` nor `{DEMO}`\nhint: name a bundle with --model"
    )
}

/// The checkpoint in `folder` whose bundle was written last.
fn newest_checkpoint(folder: &Path) -> Option<PathBuf> {
    let written =
        |path: &Path| std::fs::metadata(path.join("bundle/bundle.json")).and_then(|meta| meta.modified()).ok();
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|path| Some((written(&path)?, path)))
        .max()
        .map(|(_, path)| path)
}

/// The demo bundle in the working folder, or in a source tree or a deployed folder around this program.
fn demo_bundle() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let around = program.ancestors().skip(1).take(4).map(|folder| folder.join(DEMO));
    std::iter::once(PathBuf::from(DEMO)).chain(around).find(|path| path.join("bundle.json").is_file())
}
