//! The images that readers look at: the latest in memory, all of them on disk only where that was asked for.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xreport_models::atomic;

use crate::platform;

/// Bytes of files, as they were handed in, that are held at a time.
const IN_MEMORY: u64 = 128 * 1024 * 1024;

#[derive(Debug, Default)]
struct Recent {
    /// SHA-256 and content, the oldest first.
    files: VecDeque<(String, Arc<[u8]>)>,
    bytes: u64,
}

/// Image files by their SHA-256.
#[derive(Debug)]
pub struct Images {
    recent: Mutex<Recent>,
    folder: Option<PathBuf>,
}

impl Images {
    /// Kept in `folder`, or nowhere but in memory.
    pub fn new(folder: Option<PathBuf>) -> io::Result<Self> {
        if let Some(folder) = &folder {
            platform::make_private_folder(folder)?;
        }
        Ok(Self { recent: Mutex::default(), folder })
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds an image; writes it down where images are kept.
    pub fn put(&self, sha256: &str, file: Arc<[u8]>) -> io::Result<()> {
        if let Some(folder) = &self.folder {
            let path = folder.join(sha256);
            if !path.exists() {
                atomic::write_file(&path, &file).map_err(io::Error::other)?;
            }
        }
        let mut recent = self.recent();
        if recent.files.iter().any(|(known, _)| known == sha256) {
            return Ok(());
        }
        recent.bytes += file.len() as u64;
        recent.files.push_back((sha256.to_owned(), file));
        while recent.bytes > IN_MEMORY && recent.files.len() > 1 {
            let gone = recent.files.pop_front().map_or(0, |(_, file)| file.len() as u64);
            recent.bytes -= gone;
        }
        Ok(())
    }

    /// An image, where it is still there.
    pub fn get(&self, sha256: &str) -> Option<Arc<[u8]>> {
        let known = self.recent().files.iter().find(|(known, _)| known == sha256).map(|(_, file)| Arc::clone(file));
        known.or_else(|| Some(std::fs::read(self.folder.as_ref()?.join(sha256)).ok()?.into()))
    }

    /// Forgets an image, on disk too.
    pub fn forget(&self, sha256: &str) -> io::Result<()> {
        let mut recent = self.recent();
        if let Some(place) = recent.files.iter().position(|(known, _)| known == sha256)
            && let Some((_, file)) = recent.files.remove(place)
        {
            recent.bytes -= file.len() as u64;
        }
        match self.folder.as_ref().map(|folder| std::fs::remove_file(folder.join(sha256))) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Bytes that are held in memory.
    pub fn bytes_in_memory(&self) -> u64 {
        self.recent().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_kept_only_where_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("images");
        let images = Images::new(Some(kept.clone())).unwrap();
        images.put("aa", Arc::from(*b"pixels")).unwrap();
        assert_eq!(std::fs::read(kept.join("aa")).unwrap(), b"pixels");
        let later = Images::new(Some(kept.clone())).unwrap();
        assert_eq!(later.get("aa").as_deref(), Some(&b"pixels"[..]));
        later.forget("aa").unwrap();
        assert!(later.get("aa").is_none() && !kept.join("aa").exists());
        let nowhere = Images::new(None).unwrap();
        nowhere.put("bb", Arc::from(*b"pixels")).unwrap();
        assert!(nowhere.get("bb").is_some() && nowhere.bytes_in_memory() == 6);
        assert!(Images::new(None).unwrap().get("bb").is_none());
    }

    #[test]
    fn memory_has_an_end() {
        let images = Images::new(None).unwrap();
        for name in ["a", "b", "c"] {
            images.put(name, vec![0; IN_MEMORY as usize / 2].into()).unwrap();
        }
        assert!(images.get("a").is_none() && images.get("b").is_some() && images.get("c").is_some());
        assert!(images.bytes_in_memory() <= IN_MEMORY);
    }
}
