//! One text file per image, in folders that mirror the input.

use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use xreport_models::atomic::{AtomicError, write_file};

use super::OutputError;

/// Bytes of a file's name that the usual file systems take; one that takes less says so itself.
const LONGEST_NAME: usize = 255;

/// A folder of text files.
#[derive(Debug, Clone)]
pub struct TextFiles {
    folder: PathBuf,
}

impl TextFiles {
    /// In `folder`, which is created when needed.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Whether the file of `id` can have its name, as far as that is known before it is written.
    ///
    /// # Errors
    /// [`OutputError::Name`].
    pub fn check(&self, id: &str) -> Result<(), OutputError> {
        let name = text_name(id);
        match name.iter().map(OsStr::len).find(|&length| length > LONGEST_NAME) {
            None => Ok(()),
            Some(long) => {
                let problem =
                    format!("its name would have {long} bytes, {LONGEST_NAME} are the most that a name can have");
                Err(OutputError::Name { id: id.to_owned(), problem })
            }
        }
    }

    /// Writes the draft of `id`, whole or not at all.
    ///
    /// # Errors
    /// [`OutputError::Name`] where this file's name alone is the reason.
    pub fn write(&self, id: &str, text: &str, notice: &str) -> Result<(), OutputError> {
        let path = self.path(id);
        let name = |problem: String| OutputError::Name { id: id.to_owned(), problem };
        self.check(id)?;
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent).map_err(|source| match source.kind() {
            _ if is_of_the_name(&source) => name(source.to_string()),
            _ => OutputError::Write { path: path.clone(), source },
        })?;
        match write_file(&path, format!("{text}\n\n[{notice}]\n").as_bytes()) {
            Err(AtomicError::WrongKind { found, .. }) => Err(name(format!("{found} stands in its place"))),
            Err(AtomicError::Io { source, .. }) if is_of_the_name(&source) => Err(name(source.to_string())),
            written => Ok(written?),
        }
    }

    /// Whether `id` has a file.
    pub fn has(&self, id: &str) -> bool {
        self.path(id).is_file()
    }

    /// Removes an older draft of `id`, of which there is none now.
    pub fn remove(&self, id: &str) -> Result<(), OutputError> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound && !is_of_the_name(&source) => {
                Err(OutputError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(text_name(id))
    }
}

/// Whether a name is too long or of the wrong kind, or another file stands where a folder would be: the next file's may not.
fn is_of_the_name(error: &Error) -> bool {
    use ErrorKind::{AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | InvalidFilename | InvalidInput | IsADirectory | NotADirectory)
}

/// The text file's name: the image's whole name, extension included, so that `a.png` and `a.jpg` do not collide. What
/// could lead out of the folder, or is no file name somewhere, is escaped as in a URL: two ids never share a file.
fn text_name(id: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in format!("{id}.txt").split('/') {
        // An id can come from a list that somebody wrote: nothing in it may lead out of the folder.
        match part {
            "" => path.push("%"),
            "." => path.push("%2E"),
            ".." => path.push("%2E%2E"),
            part => path.push(part.replace('%', "%25").replace(':', "%3A").replace('\\', "%5C")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mirror_the_input_and_stay_inside() {
        assert_eq!(text_name("a/b.png"), Path::new("a/b.png.txt"));
        for (one, other) in [("b.jpg", "b.png"), ("a:b.png", "a_b.png"), ("../x.png", "_/x.png"), ("a:b", "a%3Ab")] {
            assert_ne!(text_name(one), text_name(other));
        }
        assert_eq!(text_name("../../etc/x.png"), Path::new("%2E%2E/%2E%2E/etc/x.png.txt"));
        assert_eq!(text_name("/abs.png"), Path::new("%/abs.png.txt"));
    }
}
