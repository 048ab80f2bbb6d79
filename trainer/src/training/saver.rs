//! Checkpoints written beside the training: the run goes on while the disk works.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::Context;

use super::checkpoint::{self, CheckpointError, KEPT};

/// Writes one file at a time, in the order asked for.
#[derive(Debug, Default)]
pub struct Saver {
    at_work: Option<JoinHandle<Result<(), CheckpointError>>>,
}

impl Saver {
    /// Begins to write `bytes` as `path`, when the file before is written. `keep`: under which name a copy stays, and how
    /// many copies.
    ///
    /// # Errors
    /// Where the file before could not be written.
    pub fn save(&mut self, path: PathBuf, bytes: Vec<u8>, keep: Option<(String, usize)>) -> anyhow::Result<()> {
        self.finish()?;
        self.at_work = Some(thread::spawn(move || {
            checkpoint::write(&path, &bytes)?;
            if let (Some((name, most)), Some(folder)) = (keep, path.parent()) {
                keep_copy(&path, folder, &name, most)?;
            }
            Ok(())
        }));
        Ok(())
    }

    /// Waits until everything is on the disk.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        let Some(at_work) = self.at_work.take() else { return Ok(()) };
        let written = at_work.join().map_err(|_| anyhow::anyhow!("the thread that writes checkpoints has ended"))?;
        written.context("the checkpoint was not saved; the one before it is still whole")
    }
}

/// Lets the file stay under another name, and removes the oldest copies beyond `most`.
fn keep_copy(path: &Path, folder: &Path, name: &str, most: usize) -> Result<(), CheckpointError> {
    let copy = folder.join(name);
    let failed = |source| CheckpointError::Keep { path: copy.clone(), source };
    let _ = std::fs::remove_file(&copy);
    // A checkpoint is never changed, only replaced: the link costs nothing.
    std::fs::hard_link(path, &copy).or_else(|_| std::fs::copy(path, &copy).map(drop)).map_err(failed)?;
    let mut copies: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(KEPT)))
        .collect();
    copies.sort();
    for old in copies.iter().rev().skip(most) {
        std::fs::remove_file(old).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copies_stay() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut saver = Saver::default();
        for epoch in 1..=5u8 {
            let keep = Some((checkpoint::kept_name(epoch.into()), 2));
            saver.save(folder.path().join("last"), vec![epoch], keep).expect("the one before is written");
        }
        saver.finish().expect("written");
        let read = |name: &str| std::fs::read(folder.path().join(name)).ok();
        assert_eq!(read("last"), Some(vec![5]));
        let copies: Vec<_> = (1..=5).map(|epoch| read(&checkpoint::kept_name(epoch))).collect();
        assert_eq!(copies, [None, None, None, Some(vec![4]), Some(vec![5])]);
    }

    #[test]
    fn a_failed_write_is_told_at_the_next() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut saver = Saver::default();
        saver.save(folder.path().join("no/such/folder/last"), vec![1], None).expect("nothing was before");
        let told = format!("{:#}", saver.save(folder.path().join("last"), vec![2], None).expect_err("not written"));
        assert!(told.contains("the one before it is still whole") && told.contains("does not exist"), "{told}");
    }
}
