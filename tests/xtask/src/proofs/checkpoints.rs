//! The trained checkpoint that a proof looks at: the demo's, or one that is trained for it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::programs::{Programs, output};
use crate::workspace::Workspace;

/// The demo's checkpoint.
const DEMO: &str = "demo/checkpoints/phantoms";

/// Folder of a trained checkpoint with its bundle: the demo's where `cargo xtask demo` has made one, else one that is trained for minutes in `folder`, at the
/// demo's settings with fewer steps.
pub fn demo_or_quick(workspace: &Workspace, programs: &Programs, folder: &Path) -> Result<PathBuf> {
    let demo = workspace.path(DEMO);
    if demo.join("bundle/bundle.json").is_file() {
        println!("   checkpoint of the demo: {DEMO}");
        return Ok(demo);
    }
    println!("   `{DEMO}` is not there (cargo xtask demo): training a small one");
    let draw = "dataset phantoms --out training --samples 1000 --seed 1";
    output(&mut programs.command("xreport-train", folder, draw)?)?;
    let settings = workspace.path("settings/demo.json");
    let mut train = programs.command(
        "xreport-train",
        folder,
        "train --data training --out quick --set training.MAX_STEPS=200 --set dataset.VALIDATION_SIZE=0.2",
    )?;
    output(train.arg("--settings").arg(settings))?;
    Ok(folder.join("quick"))
}
