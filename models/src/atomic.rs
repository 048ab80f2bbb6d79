//! Files and folders that appear whole or not at all.
//!
//! Everything is first written beside its target, synced to the disk, and then renamed into place. Whatever interrupts
//! the work leaves the old state; at worst a hidden `.NAME.….tmp` beside it, which nothing reads.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// Why something could not be written; every variant names the target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtomicError {
    /// No space or quota is left.
    #[error("cannot write `{}`: no space left on the disk\nhint: free some space or choose another folder", path.display())]
    DiskFull {
        /// The target.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder or file may not be written.
    #[error("cannot write `{}`: no permission ({source})\nhint: check the owner and the access rights of the folder", path.display())]
    NoPermission {
        /// The target.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder that should hold the target does not exist.
    #[error("cannot write `{}`: the folder `{}` does not exist\nhint: create it, or check the path", path.display(), parent.display())]
    MissingParent {
        /// The target.
        path: PathBuf,
        /// The missing folder.
        parent: PathBuf,
    },
    /// The target is there already and was not to be replaced.
    #[error("cannot write `{}`: it exists already\nhint: remove it or choose another name", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The target is a folder where a file is expected, the other way round, or a path without a name.
    #[error("cannot write `{}`: expected {expected}, found {found}", path.display())]
    WrongKind {
        /// The target.
        path: PathBuf,
        /// What the target should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Anything else.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The target.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl AtomicError {
    fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull { path, source },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::NoPermission { path, source },
            ErrorKind::NotFound => {
                let parent = parent_of(&path).to_path_buf();
                if parent.is_dir() { Self::Io { path, source } } else { Self::MissingParent { path, parent } }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// Writes `bytes` to `path`, replacing a file that is there. See [`write_file_with`].
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), AtomicError> {
    write_file_with(path, |file| file.write_all(bytes))
}

/// Writes a file through a closure: to a temporary file in the same folder, synced, then renamed to `path`.
///
/// After an error or a panic of the closure the old file stands untouched and the temporary one is gone. A symbolic
/// link at `path` is replaced, not followed; a device, a pipe or a socket, or a link to one, is refused: a file in the
/// place of `/dev/null` would harm more than this program.
///
/// # Errors
/// One [`AtomicError`] per cause, the closure's I/O errors included.
pub fn write_file_with(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), AtomicError> {
    let path = path.as_ref();
    let failed = |source| AtomicError::new(path, source);
    let temporary = Temporary::beside(path, PART)?;
    let wrong = |found| AtomicError::WrongKind { path: path.to_path_buf(), expected: "a file", found };
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => return Err(wrong("a folder")),
        Ok(kind) if !kind.is_file() => return Err(wrong("a device, pipe or socket")),
        _ => {}
    }
    // Not the `tempfile` crate: its files are private to the user, these keep the usual access rights.
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary.path).map_err(failed)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer).map_err(failed)?;
    let file = writer.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    // Windows does not rename an open file.
    drop(file);
    fs::rename(&temporary.path, path).map_err(failed)?;
    sync_folder(parent_of(path));
    Ok(())
}

/// What [`Staging::commit`] does when the target exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Refuse with [`AtomicError::Exists`].
    Never,
    /// Move the old folder aside, the new one into place, then remove the old one.
    Existing,
}

/// A folder in the making, beside its target. Dropped without [`commit`](Self::commit), it vanishes.
#[derive(Debug)]
pub struct Staging {
    temporary: Temporary,
    target: PathBuf,
}

impl Staging {
    /// Makes an empty hidden folder beside `target`, which need not exist; its parent must.
    ///
    /// If an earlier replacement of `target` was interrupted between its two renames, the old folder is put back first.
    pub fn beside(target: impl AsRef<Path>) -> Result<Self, AtomicError> {
        let target = target.as_ref().to_path_buf();
        recover(&target)?;
        let temporary = Temporary::beside(&target, STAGING)?;
        fs::create_dir(&temporary.path).map_err(|source| AtomicError::new(&target, source))?;
        Ok(Self { temporary, target })
    }

    /// The folder to write into.
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Syncs everything in the folder to the disk and renames it to the target.
    ///
    /// A crash in the middle of a replacement leaves the old folder complete under a hidden name; the next
    /// [`Staging::beside`] or [`recover`] puts it back.
    ///
    /// # Errors
    /// After an error the old target stands as it was and the staging folder is gone.
    pub fn commit(self, replace: Replace) -> Result<(), AtomicError> {
        let failed = |source| AtomicError::new(&self.target, source);
        sync_tree(&self.temporary.path).map_err(failed)?;
        match fs::symlink_metadata(&self.target) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                fs::rename(&self.temporary.path, &self.target).map_err(failed)?;
            }
            Err(e) => return Err(failed(e)),
            Ok(_) if replace == Replace::Never => {
                return Err(AtomicError::Exists { path: self.target.clone() });
            }
            Ok(metadata) if !metadata.is_dir() => {
                return Err(AtomicError::WrongKind {
                    path: self.target.clone(),
                    expected: "a folder",
                    found: if metadata.is_symlink() { "a symbolic link" } else { "a file" },
                });
            }
            Ok(_) => self.replace().map_err(failed)?,
        }
        sync_folder(parent_of(&self.target));
        Ok(())
    }

    fn replace(&self) -> io::Result<()> {
        let retired = hidden_name(&self.target, RETIRED);
        fs::rename(&self.target, &retired)?;
        if let Err(e) = fs::rename(&self.temporary.path, &self.target) {
            // Nothing stands at the target: the old folder goes back.
            fs::rename(&retired, &self.target)?;
            return Err(e);
        }
        // The new folder is in place; remains of the old one are litter, not an error.
        let _ = fs::remove_dir_all(&retired);
        Ok(())
    }
}

/// Puts a folder back that an interrupted [`Staging::commit`] had moved aside, if nothing stands at `target`.
/// Returns whether it did.
pub fn recover(target: impl AsRef<Path>) -> Result<bool, AtomicError> {
    let target = target.as_ref();
    let failed = |source| AtomicError::new(target, source);
    if fs::symlink_metadata(target).is_ok() {
        return Ok(false);
    }
    let Ok(entries) = fs::read_dir(parent_of(target)) else {
        return Ok(false);
    };
    let prefix = hidden_prefix(target, RETIRED);
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(&prefix) && entry.path().is_dir() {
            fs::rename(entry.path(), target).map_err(failed)?;
            sync_folder(parent_of(target));
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ending of every hidden name.
const SUFFIX: &str = ".tmp";
/// Purpose of a file in the making.
const PART: &str = "part";
/// Purpose of a folder in the making.
const STAGING: &str = "staging";
/// Purpose of an old folder that is being replaced.
const RETIRED: &str = "old";

/// A hidden file or folder beside a target, removed on drop if it is still there.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(target: &Path, purpose: &str) -> Result<Self, AtomicError> {
        if target.file_name().is_none() {
            return Err(AtomicError::WrongKind {
                path: target.to_path_buf(),
                expected: "a path that ends in a name",
                found: "none",
            });
        }
        Ok(Self { path: hidden_name(target, purpose) })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Renamed into place, there is nothing left to remove.
        if self.path.is_dir() {
            let _ = fs::remove_dir_all(&self.path);
        } else {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the temporary files and folders that killed writers left in `folder`; how many there were.
///
/// Only for a folder in which nobody else writes at the moment: what another process is writing looks the same.
pub fn clear_leftovers(folder: impl AsRef<Path>) -> io::Result<usize> {
    let mut cleared = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_leftover(&entry.file_name().to_string_lossy()) {
            let path = entry.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
            cleared += 1;
        }
    }
    Ok(cleared)
}

/// Whether a file or folder of that name is what a writer of this module has not finished.
pub fn is_leftover(name: &str) -> bool {
    let ours = [PART, STAGING].iter().any(|purpose| name.contains(&format!(".{purpose}-")));
    name.starts_with('.') && name.ends_with(SUFFIX) && ours
}

/// `.NAME.PURPOSE-PROCESS-COUNT.tmp` beside the target, a name of its own for every call.
fn hidden_name(target: &Path, purpose: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let prefix = hidden_prefix(target, purpose);
    parent_of(target).join(format!("{prefix}{}-{count}{SUFFIX}", process::id()))
}

fn hidden_prefix(target: &Path, purpose: &str) -> String {
    format!(".{}.{purpose}-", shortened(&target.file_name().unwrap_or_default().to_string_lossy()))
}

/// A name that leaves room for what is put around it: file systems take 255 bytes. A long one keeps its beginning and its
/// extension; a hash tells it from others.
fn shortened(name: &str) -> Cow<'_, str> {
    const LONGEST: usize = 200;
    const BEGINNING: usize = 150;
    if name.len() <= LONGEST {
        return Cow::Borrowed(name);
    }
    let beginning = &name[..name.floor_char_boundary(BEGINNING)];
    let hash = format!("{:x}", Sha256::digest(name.as_bytes()));
    let extension = name.rsplit_once('.').map(|(_, extension)| extension).filter(|extension| extension.len() <= 16);
    Cow::Owned(format!("{beginning}~{}.{}", &hash[..16], extension.unwrap_or_default()))
}

/// The folder of a path; `.` for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Syncs every file below a folder, then the folders.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            // Windows syncs only through a handle that may write.
            match OpenOptions::new().write(true).open(entry.path()) {
                Ok(file) => file.sync_all()?,
                Err(_) => File::open(entry.path())?.sync_all().or_else(ignore_read_only)?,
            }
        }
    }
    sync_folder(folder);
    Ok(())
}

/// A read-only file that cannot be synced was written by someone else before; that is not this module's failure.
fn ignore_read_only(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::PermissionDenied => Ok(()),
        _ => Err(error),
    }
}

/// Makes a rename last through a power cut where the system can sync a folder; Windows cannot, and needs not.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_name_as_long_as_a_file_system_takes_is_written() {
        let folder = tempfile::tempdir().unwrap();
        for letter in ["x", "é"] {
            let path = folder.path().join(format!("{}.txt", letter.repeat(251 / letter.len())));
            write_file(&path, b"one").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"one");
        }
        let [one, other] =
            ["a", "b"].map(|end| hidden_prefix(Path::new(&format!("{}{end}.txt", "x".repeat(250))), PART));
        assert!(one != other && one.contains(".txt.") && one.len() < 200, "{one}");
        assert_eq!(hidden_prefix(Path::new("a.txt"), PART), format!(".a.txt.{PART}-"));
    }

    #[test]
    fn what_killed_writers_left_is_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = hidden_name(&folder.path().join("last.safetensors"), PART);
        fs::write(&left, b"half").unwrap();
        fs::create_dir(hidden_name(&folder.path().join("bundle"), STAGING)).unwrap();
        let kept = [".hidden.tmp", "a.part-1.tmp", "last.safetensors"];
        for name in kept {
            fs::write(folder.path().join(name), b"whole").unwrap();
        }
        assert_eq!(clear_leftovers(folder.path()).unwrap(), 2);
        assert_eq!(names(folder.path()), kept);
    }

    #[test]
    fn a_file_is_written_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_file(&path, b"old").unwrap();
        let outcome = write_file_with(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(ErrorKind::StorageFull))
        });
        assert!(matches!(outcome, Err(AtomicError::DiskFull { .. })), "{outcome:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_panic_while_writing_leaves_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let outcome = std::panic::catch_unwind(|| {
            write_file_with(&path, |file| {
                file.write_all(b"half")?;
                panic!("while writing")
            })
        });
        assert!(outcome.is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn the_target_appears_only_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_file_with(&path, |file| {
            file.write_all(b"x")?;
            assert!(!path.exists());
            Ok(())
        })
        .unwrap();
        assert!(path.exists());
    }

    #[test]
    fn causes_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let no_parent = write_file(folder.path().join("none/a.json"), b"x");
        assert!(matches!(no_parent, Err(AtomicError::MissingParent { .. })), "{no_parent:?}");
        let message = no_parent.unwrap_err().to_string();
        assert!(message.contains("a.json") && message.contains("none` does not exist"), "{message}");
        let staging = Staging::beside(folder.path().join("none/bundle"));
        assert!(matches!(staging, Err(AtomicError::MissingParent { .. })), "{staging:?}");
        let onto_folder = write_file(folder.path(), b"x");
        assert!(matches!(onto_folder, Err(AtomicError::WrongKind { .. })), "{onto_folder:?}");
        let nameless = write_file("..", b"x");
        assert!(matches!(nameless, Err(AtomicError::WrongKind { .. })), "{nameless:?}");
        for (kind, expected) in [
            (ErrorKind::StorageFull, "no space"),
            (ErrorKind::QuotaExceeded, "no space"),
            (ErrorKind::PermissionDenied, "no permission"),
            (ErrorKind::ReadOnlyFilesystem, "no permission"),
        ] {
            let message = AtomicError::new(Path::new("a"), kind.into()).to_string();
            assert!(message.contains(expected) && message.contains("hint:"), "{message}");
        }
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_committed_folder_replaces_only_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("bundle");
        let stage = |content: &[u8]| {
            let staging = Staging::beside(&target).unwrap();
            fs::create_dir(staging.path().join("sub")).unwrap();
            fs::write(staging.path().join("sub/a"), content).unwrap();
            staging
        };
        stage(b"one").commit(Replace::Never).unwrap();
        let refused = stage(b"two").commit(Replace::Never);
        assert!(matches!(refused, Err(AtomicError::Exists { .. })), "{refused:?}");
        assert_eq!(fs::read(target.join("sub/a")).unwrap(), b"one");
        fs::write(target.join("only in the old one"), b"").unwrap();
        stage(b"three").commit(Replace::Existing).unwrap();
        assert_eq!(fs::read(target.join("sub/a")).unwrap(), b"three");
        assert_eq!(names(&target), ["sub"]);
        assert_eq!(names(folder.path()), ["bundle"]);
    }

    #[test]
    fn a_dropped_staging_folder_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::beside(folder.path().join("bundle")).unwrap();
        fs::write(staging.path().join("a"), b"x").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(staging);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("bundle");
        fs::write(&target, b"precious").unwrap();
        let outcome = Staging::beside(&target).unwrap().commit(Replace::Existing);
        assert!(matches!(outcome, Err(AtomicError::WrongKind { .. })), "{outcome:?}");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(names(folder.path()), ["bundle"]);
    }

    #[test]
    fn an_interrupted_replacement_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("bundle");
        // What a crash between the two renames leaves.
        let retired = hidden_name(&target, RETIRED);
        fs::create_dir(&retired).unwrap();
        fs::write(retired.join("a"), b"old").unwrap();
        assert!(recover(&target).unwrap());
        assert_eq!(fs::read(target.join("a")).unwrap(), b"old");
        assert!(!recover(&target).unwrap());
        assert_eq!(names(folder.path()), ["bundle"]);
    }
}
