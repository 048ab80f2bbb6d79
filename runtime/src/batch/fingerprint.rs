//! Whether a file is the one that was seen before.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use xreport_models::image::Limits;

/// What a folder's listing tells of a file, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, where the file system tells.
    pub modified: Option<Timestamp>,
}

impl Look {
    /// Looks at a file; an error where it is a pipe or a device, which could block or never end.
    pub fn at(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        Ok(Self { bytes: metadata.len(), modified })
    }
}

/// A file's look and its content's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size and time.
    pub look: Look,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
}

impl Fingerprint {
    /// Reads the whole file. The look is taken first: a file that changes meanwhile will not look the same again.
    pub fn of(path: &Path) -> io::Result<Self> {
        let look = Look::at(path)?;
        let limit = Limits::default().max_file_bytes;
        if look.bytes > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than any image may be"));
        }
        let mut file = File::open(path)?.take(limit);
        let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut block)? {
                0 => break,
                read => hash.update(&block[..read]),
            }
        }
        Ok(Self { look, sha256: hash.finalize().into() })
    }

    /// Whether the file at `path` still is this one. Read again only where size or time differ: a copy that kept its
    /// content is the same file.
    pub fn still_holds(&self, path: &Path) -> bool {
        match Look::at(path) {
            Ok(look) if look == self.look && look.modified.is_some() => true,
            Ok(look) if look.bytes == self.look.bytes => Self::of(path).is_ok_and(|now| now.sha256 == self.sha256),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_is_the_same_and_a_changed_one_is_not() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.png");
        std::fs::write(&path, b"one").expect("written");
        let before = Fingerprint::of(&path).expect("read");
        assert!(before.still_holds(&path));
        let file = File::options().write(true).open(&path).expect("opened");
        file.set_modified(std::time::UNIX_EPOCH).expect("touched");
        assert!(before.still_holds(&path), "another time, the same content");
        std::fs::write(&path, b"two").expect("written");
        assert!(!before.still_holds(&path));
        std::fs::remove_file(&path).expect("removed");
        assert!(!before.still_holds(&path));
        assert!(Fingerprint::of(&path).is_err());
    }
}
