//! The cache file of preprocessed images, mapped into memory: only what is looked at is read from the disk.
//!
//! ```text
//! 8 bytes   magic, the last byte is the version
//! pixels    the images in the order of the entries, H x W x C each, u8
//! index     JSON: fingerprint of the preprocessing, bytes per image, one entry per image
//! 32 bytes  SHA-256 of the index
//! 8 bytes   length of the index in bytes, little-endian
//! ```
//!
//! What an entry says of its source file (path, size, time of change) tells whether it is still
//! current; its SHA-256 tells whether its pixels are undamaged, which [`super::store::ImageStore`] asks when
//! they are first used. A file that is anything else than expected is never used, and rebuilt.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use xreport_models::image::Concern;

const MAGIC: [u8; 8] = *b"XRPIXEL\x02";
/// Digest and length of the index.
const TRAILER_BYTES: u64 = 32 + 8;

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
    #[serde(with = "hexadecimal")]
    pub digest: Digest,
    /// What the gate minded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<Concern>,
}

impl Entry {
    /// Of pixels that no file was read for.
    pub fn of_pixels(pixels: &[u8]) -> Self {
        let stamp = Stamp { size: 0, modified: 0 };
        Self { file: String::new(), stamp, digest: Sha256::digest(pixels).into(), concerns: Vec::new() }
    }
}

/// Half as long as a list of numbers: an index has hundreds of thousands.
mod hexadecimal {
    use std::fmt::Write as _;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::Digest;

    pub fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in digest {
            let _ = write!(text, "{byte:02x}");
        }
        to.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = <&str>::deserialize(from)?;
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(D::Error::custom("an odd digest")) };
        let digits = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|&[high, low]| Some((digits(high)? << 4) | digits(low)?)).collect();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        digest.ok_or_else(|| D::Error::custom("64 hexadecimal digits expected"))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    fingerprint: String,
    image_bytes: usize,
    entries: Vec<Entry>,
}

/// A cache file whose frame is right; its pixels are not looked at yet.
#[derive(Debug)]
pub struct CacheFile {
    path: PathBuf,
    map: Mmap,
    image_bytes: usize,
    entries: Vec<Entry>,
}

impl CacheFile {
    /// Opens the cache at `path`. `None` where there is none, or where it is damaged or made for
    /// another preprocessing: it is then as good as none.
    pub fn open(path: &Path, fingerprint: &str, image_bytes: usize) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).ok()?;
        let trailer_at = length.checked_sub(TRAILER_BYTES)?;
        let mut trailer = [0; TRAILER_BYTES as usize];
        file.seek(SeekFrom::Start(trailer_at)).ok()?;
        file.read_exact(&mut trailer).ok()?;
        let (index_digest, index_bytes) = trailer.split_at(32);
        let index_at = trailer_at.checked_sub(u64::from_le_bytes(index_bytes.try_into().ok()?))?;
        // Before anything is allocated by what the file claims.
        if magic != MAGIC || index_at < MAGIC.len() as u64 {
            return None;
        }
        let mut index = vec![0; usize::try_from(trailer_at - index_at).ok()?];
        file.seek(SeekFrom::Start(index_at)).ok()?;
        file.read_exact(&mut index).ok()?;
        if Sha256::digest(&index)[..] != *index_digest {
            return None;
        }
        let index: Index = serde_json::from_slice(&index).ok()?;
        let pixel_bytes = (index.entries.len() as u64).checked_mul(index.image_bytes as u64)?;
        let expected = (fingerprint, image_bytes, pixel_bytes.checked_add(MAGIC.len() as u64)?);
        if (index.fingerprint.as_str(), index.image_bytes, index_at) != expected {
            return None;
        }
        Some(Self { path: path.to_owned(), map: map(&file).ok()?, image_bytes, entries: index.entries })
    }

    /// What it holds, in its order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The places of its images by their files.
    pub fn places(&self) -> HashMap<&str, usize> {
        self.entries.iter().enumerate().map(|(place, entry)| (entry.file.as_str(), place)).collect()
    }

    /// The pixels at a place, as they are on the disk.
    pub fn pixels(&self, place: usize) -> &[u8] {
        let from = MAGIC.len() + place * self.image_bytes;
        &self.map[from..from + self.image_bytes]
    }

    /// Takes the file away, so that the next run makes another; what is mapped stays.
    pub fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[allow(
    unsafe_code,
    reason = "a mapped file must not be cut by others: a cache is replaced by renaming, never rewritten"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: see the reason; who cuts another user's private cache by hand ends the run.
    unsafe { Mmap::map(file) }
}

/// Writes what comes before the pixels, has `fill` write these and tell their entries, and writes the index.
pub fn write(
    out: &mut dyn Write,
    fingerprint: &str,
    image_bytes: usize,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<Vec<Entry>>,
) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    let entries = fill(out)?;
    let index = Index { fingerprint: fingerprint.to_owned(), image_bytes, entries };
    let index = serde_json::to_vec(&index)?;
    out.write_all(&index)?;
    out.write_all(&Sha256::digest(&index))?;
    out.write_all(&(index.len() as u64).to_le_bytes())
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
