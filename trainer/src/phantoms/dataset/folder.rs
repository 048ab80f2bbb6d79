//! Puts a folder in its place at once, and never over somebody else's files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{PhantomError, io_error};
use super::{FINDINGS_FILE, IMAGES_FOLDER, MARKER_FILE, MARKER_START, NOTICE_FILE, REPORTS_FILE};

/// Where the data set goes.
pub(super) struct Target {
    path: PathBuf,
    exists: bool,
}

/// A half-written data set; removed when it is dropped.
pub(super) struct Partial {
    pub(super) path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next run replaces the folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Target {
    pub(super) fn check(out: &Path) -> Result<Self, PhantomError> {
        let wrong = |expected| PhantomError::Target { path: out.to_owned(), expected };
        let exists = out.exists();
        let path = if exists { fs::canonicalize(out).map_err(io_error("open", out))? } else { out.to_owned() };
        if path.file_name().is_none() {
            return Err(wrong("it has no name of its own"));
        }
        if exists && !path.is_dir() {
            return Err(wrong("a file has this name"));
        }
        if exists {
            refuse_foreign(&path, out)?;
        }
        Ok(Self { path, exists })
    }

    fn sibling(&self, ending: &str) -> PathBuf {
        let name = self.path.file_name().expect("checked when the target was made").to_string_lossy();
        self.path.with_file_name(format!(".{name}.{ending}"))
    }

    pub(super) fn start(&self) -> Result<Partial, PhantomError> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        }
        let path = self.sibling("partial");
        if path.exists() {
            // Left over from a run that was killed.
            refuse_foreign(&path, &path)?;
            fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
        }
        fs::create_dir(&path).map_err(io_error("create", &path))?;
        Ok(Partial { path })
    }

    pub(super) fn finish(&self, partial: &Partial) -> Result<(), PhantomError> {
        let old = self.sibling("replaced");
        if self.exists {
            fs::rename(&self.path, &old).map_err(io_error("replace", &self.path))?;
        }
        if let Err(source) = fs::rename(&partial.path, &self.path) {
            if self.exists {
                // Put the former folder back; the error that matters is the first one.
                let _ = fs::rename(&old, &self.path);
            }
            return Err(PhantomError::Io { action: "move into place", path: self.path.clone(), source });
        }
        if self.exists {
            fs::remove_dir_all(&old).map_err(io_error("remove", &old))?;
        }
        Ok(())
    }
}

/// Refuses a folder that holds anything but a phantom data set.
fn refuse_foreign(folder: &Path, named: &Path) -> Result<(), PhantomError> {
    let names = |folder: &Path| -> Result<Vec<String>, PhantomError> {
        let read = || -> io::Result<Vec<String>> {
            fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        let mut names = read().map_err(io_error("read", folder))?;
        names.sort_unstable();
        Ok(names)
    };
    let refuse = |found: String| Err(PhantomError::NotEmpty { path: named.to_owned(), found });
    let entries = names(folder)?;
    let Some(first) = entries.first() else { return Ok(()) };
    let marker = fs::read(folder.join(MARKER_FILE)).unwrap_or_default();
    if !marker.starts_with(MARKER_START.as_bytes()) {
        return refuse(first.clone());
    }
    let ours = [IMAGES_FOLDER, REPORTS_FILE, FINDINGS_FILE, NOTICE_FILE, MARKER_FILE];
    if let Some(other) = entries.iter().find(|entry| !ours.contains(&entry.as_str())) {
        return refuse(other.clone());
    }
    let images = folder.join(IMAGES_FOLDER);
    if images.is_dir() {
        let is_foreign =
            |name: &&String| name.strip_prefix("phantom_").and_then(|rest| rest.strip_suffix(".png")).is_none();
        if let Some(other) = names(&images)?.iter().find(is_foreign) {
            return refuse(format!("{IMAGES_FOLDER}/{other}"));
        }
    }
    Ok(())
}
