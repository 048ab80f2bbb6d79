//! The images of a data set as the network takes them: in the mapped cache, or in memory.

use std::path::PathBuf;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};
use xreport_models::image::Preprocessing;

use super::cache::{CacheFile, Digest, Entry};
use super::images::decode;

/// Preprocessed images, one per study and in the order of the studies.
///
/// Mapped pixels are checked when they are first used; damaged ones are decoded again, and the cache is made anew by the
/// next run.
#[derive(Debug)]
pub struct ImageStore {
    preprocessing: Preprocessing,
    /// Where the files lie that the pixels were made from.
    folder: PathBuf,
    pixels: Pixels,
    /// For each image its place among the pixels.
    places: Vec<u32>,
    checked: Vec<OnceLock<Checked>>,
}

#[derive(Debug)]
enum Pixels {
    Mapped(CacheFile),
    /// N x H x W x C.
    Memory(Vec<u8>, Vec<Entry>),
}

/// What came of the first look at an image.
#[derive(Debug)]
enum Checked {
    Sound,
    Mended(Box<[u8]>),
    Lost(String),
}

/// An image that was damaged in the cache and cannot be decoded again.
#[derive(Debug, thiserror::Error)]
#[error(
    "the pixels of `{file}` are damaged in the image cache, and cannot be made again: {reason}\n\
     hint: bring the image back as it was, or take it out of the data set"
)]
pub struct LostImage {
    /// The file, as the table names it.
    pub file: String,
    /// What went wrong.
    pub reason: String,
}

impl ImageStore {
    /// A store of pixels that are preprocessed already: N x H x W x C, u8.
    ///
    /// # Panics
    /// Where the pixels are no whole number of images.
    pub fn of_pixels(preprocessing: Preprocessing, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len() % preprocessing.len(), 0, "whole images of {preprocessing:?}");
        let entries = pixels.chunks(preprocessing.len()).map(Entry::of_pixels).collect();
        Self::in_memory(preprocessing, PathBuf::new(), pixels, entries)
    }

    /// A store of the pixels that lie in memory in the order of `entries`.
    pub(super) fn in_memory(
        preprocessing: Preprocessing,
        folder: PathBuf,
        pixels: Vec<u8>,
        entries: Vec<Entry>,
    ) -> Self {
        let checked = entries.iter().map(|_| OnceLock::from(Checked::Sound)).collect();
        let places = (0..entries.len() as u32).collect();
        Self { preprocessing, folder, pixels: Pixels::Memory(pixels, entries), places, checked }
    }

    /// A store of the images at these places of a cache.
    pub(super) fn mapped(preprocessing: Preprocessing, folder: PathBuf, cache: CacheFile, places: Vec<u32>) -> Self {
        let checked = places.iter().map(|_| OnceLock::new()).collect();
        Self { preprocessing, folder, pixels: Pixels::Mapped(cache), places, checked }
    }

    /// The pixels of image `at`: H x W x C, row-major with channels last, u8, 0 (black) to 255.
    ///
    /// # Errors
    /// Where they are damaged and cannot be made again.
    ///
    /// # Panics
    /// Where `at` is not below [`len`](Self::len).
    pub fn get(&self, at: usize) -> Result<&[u8], LostImage> {
        let stored = self.stored(at);
        match self.checked[at].get_or_init(|| self.check(at, stored)) {
            Checked::Sound => Ok(stored),
            Checked::Mended(pixels) => Ok(pixels),
            Checked::Lost(reason) => Err(LostImage { file: self.entry(at).file.clone(), reason: reason.clone() }),
        }
    }

    fn stored(&self, at: usize) -> &[u8] {
        let place = self.places[at] as usize;
        let length = self.preprocessing.len();
        match &self.pixels {
            Pixels::Mapped(cache) => cache.pixels(place),
            Pixels::Memory(pixels, _) => &pixels[place * length..(place + 1) * length],
        }
    }

    fn entry(&self, at: usize) -> &Entry {
        let entries = match &self.pixels {
            Pixels::Mapped(cache) => cache.entries(),
            Pixels::Memory(_, entries) => entries,
        };
        &entries[self.places[at] as usize]
    }

    fn check(&self, at: usize, stored: &[u8]) -> Checked {
        let entry = self.entry(at);
        if Sha256::digest(stored)[..] == entry.digest {
            return Checked::Sound;
        }
        if let Pixels::Mapped(cache) = &self.pixels {
            cache.discard();
        }
        match decode(&self.folder, &entry.file, &self.preprocessing) {
            Ok(admitted) if Sha256::digest(&admitted.pixels)[..] == entry.digest => {
                Checked::Mended(admitted.pixels.into())
            }
            Ok(_) => Checked::Lost("the file has changed".to_owned()),
            Err(reason) => Checked::Lost(reason),
        }
    }

    /// SHA-256 of the pixels of image `at`.
    pub fn digest(&self, at: usize) -> &Digest {
        &self.entry(at).digest
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How the images were preprocessed; gives H, W and C.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }
}
