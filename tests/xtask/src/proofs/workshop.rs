//! Where a proof works: a folder that is empty at first, and the programs that run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::programs::Programs;
use crate::phases::succeeds;
use crate::workspace::Workspace;

/// A proof's folder and the programs.
pub struct Workshop {
    folder: PathBuf,
    programs: Programs,
}

impl Workshop {
    /// Builds the programs and empties `target/proofs/NAME`.
    pub fn new(workspace: &Workspace, name: &str) -> Result<Self> {
        let programs = Programs::built(workspace)?;
        let folder = workspace.path("target/proofs").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("`{}` cannot be removed", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        Ok(Self { folder, programs })
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// Where a program lies.
    pub fn program(&self, name: &str) -> Result<&Path> {
        self.programs.path(name)
    }

    /// Runs `program` in the folder, its command line shown; an error where it fails.
    pub fn run(&self, program: &str, words: &[&str]) -> Result<()> {
        println!("   {program} {}", words.join(" "));
        let mut command = Command::new(self.programs.path(program)?);
        ensure!(succeeds(command.args(words).current_dir(&self.folder))?, "it failed: see above");
        Ok(())
    }
}
