//! The cache file of preprocessed images.
//!
//! ```text
//! 8 bytes   magic, the last byte is the version
//! 8 bytes   length of the index in bytes, little-endian
//! 32 bytes  SHA-256 of the index
//! index     JSON: fingerprint of the preprocessing, bytes per image, one entry per image
//! pixels    the images in the order of the entries, H x W x C each, u8
//! ```
//!
//! What an entry says of its source file (path, size, time of change) tells whether it is still
//! current; its SHA-256 tells whether its pixels are undamaged. A file that is anything else than
//! expected is never used, and rebuilt.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use xreport_models::atomic::{AtomicError, write_file_with};
use xreport_models::image::Concern;

const MAGIC: [u8; 8] = *b"XRPIXEL\x01";
const PREFIX_BYTES: u64 = 8 + 8 + 32;

/// SHA-256 of an image's pixels.
pub type Digest = [u8; 32];

/// What tells one state of a source file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Size in bytes.
    size: u64,
    /// Time of the last change in nanoseconds since 1970; 0 for anything before.
    modified: u64,
}

impl Stamp {
    /// The present state of the file at `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let since_1970 = metadata.modified()?.duration_since(UNIX_EPOCH);
        Ok(Self { size: metadata.len(), modified: since_1970.map_or(0, |time| time.as_nanos() as u64) })
    }
}

/// What the index says of one image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Path of the source file relative to the image folder.
    pub file: String,
    /// Its state when it was decoded.
    pub stamp: Stamp,
    /// Hash of the pixels.
    pub digest: Digest,
    /// What the gate minded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<Concern>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    fingerprint: String,
    image_bytes: usize,
    entries: Vec<Entry>,
}

/// A cache file whose header and length are right; its pixels are not read yet.
pub struct CacheFile {
    file: File,
    pixels_at: u64,
    image_bytes: usize,
    entries: HashMap<String, (usize, Entry)>,
}

impl CacheFile {
    /// Opens the cache at `path`. `None` where there is none, or where it is damaged or made for
    /// another preprocessing: it is then as good as none.
    pub fn open(path: &Path, fingerprint: &str, image_bytes: usize) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut prefix = [0; PREFIX_BYTES as usize];
        file.read_exact(&mut prefix).ok()?;
        let (magic, rest) = prefix.split_at(8);
        let (index_bytes, index_digest) = rest.split_at(8);
        let index_bytes = u64::from_le_bytes(index_bytes.try_into().ok()?);
        // Before anything is allocated by what the file claims.
        if magic != MAGIC || index_bytes > length.saturating_sub(PREFIX_BYTES) {
            return None;
        }
        let mut index = vec![0; usize::try_from(index_bytes).ok()?];
        file.read_exact(&mut index).ok()?;
        if Sha256::digest(&index)[..] != *index_digest {
            return None;
        }
        let index: Index = serde_json::from_slice(&index).ok()?;
        let pixels_at = PREFIX_BYTES + index_bytes;
        let pixel_bytes = (index.entries.len() as u64).checked_mul(index.image_bytes as u64)?;
        let expected = (fingerprint, image_bytes, pixels_at.checked_add(pixel_bytes)?);
        if (index.fingerprint.as_str(), index.image_bytes, length) != expected {
            return None;
        }
        let entries = index.entries.into_iter().enumerate();
        Some(Self {
            file,
            pixels_at,
            image_bytes,
            entries: entries.map(|(at, entry)| (entry.file.clone(), (at, entry))).collect(),
        })
    }

    /// Reads the pixels that were made of `file` in the state `stamp` into `pixels`, and returns
    /// the digest that they should have, with what the gate minded; `None` where the cache has no such image.
    pub fn read(&mut self, file: &str, stamp: Stamp, pixels: &mut [u8]) -> Option<(Digest, Vec<Concern>)> {
        let (at, entry) = self.entries.get(file)?;
        if entry.stamp != stamp {
            return None;
        }
        let offset = self.pixels_at + (*at * self.image_bytes) as u64;
        self.file.seek(SeekFrom::Start(offset)).ok()?;
        self.file.read_exact(pixels).ok()?;
        Some((entry.digest, entry.concerns.clone()))
    }
}

/// Writes a cache file at `path`, whole or not at all; its folder must be there.
pub fn write(path: &Path, fingerprint: &str, entries: &[Entry], pixels: &[u8]) -> Result<(), AtomicError> {
    let image_bytes = pixels.len() / entries.len().max(1);
    let index = Index { fingerprint: fingerprint.to_owned(), image_bytes, entries: entries.to_vec() };
    let index = serde_json::to_vec(&index).expect("numbers and text are plain JSON");
    write_file_with(path, |file| {
        file.write_all(&MAGIC)?;
        file.write_all(&(index.len() as u64).to_le_bytes())?;
        file.write_all(&Sha256::digest(&index))?;
        file.write_all(&index)?;
        file.write_all(pixels)
    })
}

/// Makes a cache folder that only the user may look into: the cache shows patients' images, and
/// may lie in a more public place than they do.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Where the caches of the data folder `data` may lie, the first choice first: inside it, else in
/// the user's cache folder, named after a hash of the data folder's path.
pub fn folders(data: &Path) -> Vec<PathBuf> {
    let mut folders = vec![data.join(".xreport-cache")];
    let absolute = |variable: &str| {
        let path = std::env::var_os(variable).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let user_cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    if let (Some(user_cache), Ok(data)) = (user_cache, data.canonicalize()) {
        let name = format!("{:x}", Sha256::digest(data.as_os_str().as_encoded_bytes()));
        folders.push(user_cache.join("xreport").join(&name[..16]));
    }
    folders
}
