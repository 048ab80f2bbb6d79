//! Which bundle is meant when none is named.

use std::path::{Path, PathBuf};

use anyhow::bail;
use xreport_runtime::console;

/// Where xreport-train leaves checkpoints.
const CHECKPOINTS: &str = "checkpoints";
/// The bundle that a deployed folder was made with, and those that come with the project: the one that has seen radiographs,
/// and the one that has seen drawings alone.
const OWN: [&str; 3] = ["models/installed", "models/radiographs", "models/demo"];

/// The bundle folder to use: the one named; else the newest checkpoint's; else the project's own.
pub fn resolve(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_path_buf());
    }
    if let Some(path) = newest_checkpoint(Path::new(CHECKPOINTS)).or_else(own_bundle) {
        console::info(format_args!("model: `{}` (name another with --model)", path.display()));
        return Ok(path);
    }
    bail!(
        "no model found: neither a checkpoint with a bundle in `{CHECKPOINTS}/` nor `{}`\nhint: name a bundle with --model",
        OWN.join("`, `")
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

/// The project's own bundle in the working folder, or in a source tree or a deployed folder around this program; of
/// several, the first.
fn own_bundle() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let places: Vec<PathBuf> =
        std::iter::once(PathBuf::new()).chain(program.ancestors().skip(1).take(4).map(Path::to_path_buf)).collect();
    let found =
        |bundle: &str| places.iter().map(|place| place.join(bundle)).find(|path| path.join("bundle.json").is_file());
    OWN.into_iter().find_map(found)
}
