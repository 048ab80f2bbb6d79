//! All images of a data set in memory, as the network takes them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use xreport_models::image::{Admitted, Concern, Gate, GateMode, ImageError, Preprocessing, Views, gate};

use super::cache::{self, CacheFile, Digest, Entry, Stamp};
use super::problem::Problem;
use super::studies::Study;

/// Preprocessed images, one per study and in the order of the studies.
pub struct ImageStore {
    preprocessing: Preprocessing,
    digests: Vec<Digest>,
    /// N x H x W x C.
    pixels: Vec<u8>,
}

impl ImageStore {
    /// A store of pixels that are preprocessed already: N x H x W x C, u8.
    ///
    /// # Panics
    /// Where the pixels are no whole number of images.
    pub fn of_pixels(preprocessing: Preprocessing, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len() % preprocessing.len(), 0, "whole images of {preprocessing:?}");
        let digests = pixels.chunks(preprocessing.len()).map(|image| Sha256::digest(image).into()).collect();
        Self { preprocessing, digests, pixels }
    }

    /// The pixels of image `at`: H x W x C, row-major with channels last, u8, 0 (black) to 255.
    ///
    /// # Panics
    /// Where `at` is not below [`len`](Self::len).
    pub fn get(&self, at: usize) -> &[u8] {
        let length = self.preprocessing.len();
        &self.pixels[at * length..(at + 1) * length]
    }

    /// SHA-256 of the pixels of image `at`.
    pub fn digest(&self, at: usize) -> &[u8; 32] {
        &self.digests[at]
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// How the images were preprocessed; gives H, W and C.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }
}

/// How images are loaded.
#[derive(Debug, Clone)]
pub struct Loading {
    /// The folder that the studies' files are relative to.
    pub images: PathBuf,
    /// What is made of each file.
    pub preprocessing: Preprocessing,
    /// Threads that decode, at least 1.
    pub threads: usize,
    /// Where a cache may lie, the first choice first, see [`super::cache_folders`]; empty for none.
    pub caches: Vec<PathBuf>,
}

/// What came of loading.
pub struct Loaded {
    /// The studies whose image could be read, in their order.
    pub studies: Vec<Study>,
    /// Their images.
    pub images: ImageStore,
    /// The other studies.
    pub problems: Vec<Problem>,
    /// What the input gate minds of the images that were loaded: they are counted, not left out.
    pub concerns: Vec<Concern>,
    /// How many images were decoded; the others came from the cache.
    pub decoded: usize,
    /// What a user should know of the cache, if anything.
    pub note: Option<String>,
}

/// What the trainer looks for: which images a data set is made of is its maker's choice, so nothing is refused.
const GATE: Gate = Gate { mode: GateMode::Warn, views: Views::Frontal };

/// No image could be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The preprocessing is out of range.
    #[error(transparent)]
    Preprocessing(#[from] ImageError),
    /// The pixels do not fit into memory.
    #[error(
        "not enough memory for {count} images: expected {bytes} bytes to be free\n\
         hint: use a smaller model.IMG_SHAPE, or fewer studies with dataset.SAMPLE_SIZE"
    )]
    Memory {
        /// Number of images.
        count: usize,
        /// What they take together.
        bytes: u128,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {source}\nhint: set a smaller training.NUM_PROCESSORS")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        source: rayon::ThreadPoolBuildError,
    },
}

/// One image on its way into memory.
struct Slot<'a> {
    file: &'a str,
    stamp: Option<Stamp>,
    pixels: &'a mut [u8],
    outcome: Outcome,
}

/// `None` as long as there are no pixels, else their digest and what the gate minds, or why there will be none.
type Outcome = Option<Result<(Digest, Vec<Concern>), String>>;

/// Loads the images of `studies` from the cache where they are current there, else by decoding,
/// and renews the cache if anything was decoded. Images that cannot be read cost their study only.
///
/// `progress(done, total)` counts the images to be decoded and is called from several threads.
pub fn load(studies: Vec<Study>, how: &Loading, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Loaded, LoadError> {
    how.preprocessing.check()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(how.threads.max(1))
        .build()
        .map_err(|source| LoadError::Threads { threads: how.threads, source })?;
    let mut pixels = allocate(studies.len(), how.preprocessing.len())?;
    let mut slots: Vec<_> = studies
        .iter()
        .zip(pixels.chunks_exact_mut(how.preprocessing.len()))
        .map(|(study, pixels)| Slot {
            file: &study.file,
            stamp: Stamp::of(&how.images.join(&study.file)).ok(),
            pixels,
            outcome: None,
        })
        .collect();
    pool.install(|| read_caches(&mut slots, how));
    let decoded = pool.install(|| decode_missing(&mut slots, how, progress));
    let outcomes: Vec<_> = slots.into_iter().map(|slot| (slot.stamp, slot.outcome)).collect();
    let (mut loaded, entries) = keep_readable(studies, outcomes, pixels, &how.preprocessing);
    loaded.decoded = decoded;
    // An image without a stamp (its file vanished in between) cannot be cached.
    if decoded > 0 && !entries.is_empty() && entries.len() == loaded.images.len() {
        loaded.note = write_cache(&entries, &loaded.images.pixels, how);
    }
    Ok(loaded)
}

fn allocate(count: usize, image_bytes: usize) -> Result<Vec<u8>, LoadError> {
    let no_memory = || LoadError::Memory { count, bytes: count as u128 * image_bytes as u128 };
    let total = count.checked_mul(image_bytes).ok_or_else(no_memory)?;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(total).map_err(|_| no_memory())?;
    pixels.resize(total, 0);
    Ok(pixels)
}

fn cache_path(folder: &Path, how: &Loading) -> PathBuf {
    folder.join(format!("{}.bin", how.preprocessing.fingerprint()))
}

/// Fills the slots from the caches, the first that has an image in its present state.
fn read_caches(slots: &mut [Slot<'_>], how: &Loading) {
    let fingerprint = how.preprocessing.fingerprint();
    for folder in &how.caches {
        let path = cache_path(folder, how);
        if let Some(cache) = CacheFile::open(&path, &fingerprint, how.preprocessing.len()) {
            read_cache(slots, cache);
        }
    }
}

fn read_cache(slots: &mut [Slot<'_>], mut cache: CacheFile) {
    let mut filled = Vec::new();
    for slot in slots.iter_mut().filter(|slot| slot.outcome.is_none()) {
        let Some(stamp) = slot.stamp else { continue };
        if let Some(cached) = cache.read(slot.file, stamp, slot.pixels) {
            filled.push((slot, cached));
        }
    }
    filled.into_par_iter().for_each(|(slot, (expected, concerns))| {
        // Damaged pixels stay without an outcome, and are decoded.
        let found: Digest = Sha256::digest(&*slot.pixels).into();
        slot.outcome = (found == expected).then_some(Ok((found, concerns)));
    });
}

/// Decodes what the cache did not have; returns how many images that were.
fn decode_missing(slots: &mut [Slot<'_>], how: &Loading, progress: &(dyn Fn(usize, usize) + Sync)) -> usize {
    let missing: Vec<_> = slots.iter_mut().filter(|slot| slot.outcome.is_none()).collect();
    let (total, done) = (missing.len(), AtomicUsize::new(0));
    missing.into_par_iter().for_each(|slot| {
        slot.outcome = Some(decode(slot, how));
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
    });
    total
}

fn decode(slot: &mut Slot<'_>, how: &Loading) -> Result<(Digest, Vec<Concern>), String> {
    let path = how.images.join(slot.file);
    // The message names the file as the table does, without the folders above.
    let Admitted { pixels, concerns } = how
        .preprocessing
        .admit(&path, GATE)
        .map_err(|error| error.to_string().replace(&path.display().to_string(), slot.file))?;
    slot.pixels.copy_from_slice(&pixels);
    Ok((Sha256::digest(&pixels).into(), concerns))
}

/// Closes the gaps that unreadable images left.
fn keep_readable(
    studies: Vec<Study>,
    outcomes: Vec<(Option<Stamp>, Outcome)>,
    mut pixels: Vec<u8>,
    preprocessing: &Preprocessing,
) -> (Loaded, Vec<Entry>) {
    let length = preprocessing.len();
    let (mut kept, mut digests) = (Vec::new(), Vec::new());
    let (mut problems, mut entries, mut minded) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (study, (stamp, outcome))) in studies.into_iter().zip(outcomes).enumerate() {
        match outcome.expect("every slot was read or decoded") {
            Ok((digest, concerns)) => {
                minded.extend(concerns.iter().cloned());
                pixels.copy_within(at * length..(at + 1) * length, kept.len() * length);
                if let Some(stamp) = stamp {
                    let file = study.file.clone();
                    entries.push(Entry { file, stamp, digest, concerns });
                }
                digests.push(digest);
                kept.push(study);
            }
            Err(reason) => problems.push(Problem::UnreadableImage { file: study.file, reason }),
        }
    }
    pixels.truncate(kept.len() * length);
    let loaded = Loaded {
        studies: kept,
        images: ImageStore { preprocessing: preprocessing.clone(), digests, pixels },
        problems,
        concerns: minded,
        decoded: 0,
        note: None,
    };
    (loaded, entries)
}

/// Writes the cache into the first folder that takes it; a note where that is not the first.
fn write_cache(entries: &[Entry], pixels: &[u8], how: &Loading) -> Option<String> {
    let mut refused: Option<String> = None;
    for folder in &how.caches {
        match write_cache_to(folder, entries, pixels, how) {
            Ok(()) => {
                return refused.map(|why| format!("{why}; the image cache lies in `{}`", folder.display()));
            }
            Err(why) => {
                refused.get_or_insert(why);
            }
        }
    }
    refused.map(|why| format!("{why}; without an image cache, images are decoded at each start"))
}

fn write_cache_to(folder: &Path, entries: &[Entry], pixels: &[u8], how: &Loading) -> Result<(), String> {
    cache::create_folder(folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    cache::write(&cache_path(folder, how), &how.preprocessing.fingerprint(), entries, pixels).map_err(|error| {
        // The note says what follows; the hint of the error is for files that a user asked for.
        let message = error.to_string();
        message.lines().next().unwrap_or_default().to_owned()
    })
}

/// What the input gate minds, counted by reason; `None` where it minds nothing.
pub fn gate_summary(loaded: &Loaded) -> Option<String> {
    (!loaded.concerns.is_empty()).then(|| {
        format!(
            "warning: of {} images the input gate minds {}\n  hint: they are used all the same; \
             `xreport generate` refuses such images unless `--gate warn` is given",
            loaded.images.len(),
            gate::counted(&loaded.concerns)
        )
    })
}

/// What the data was, for provenance: SHA-256 (64 hex digits) over id, text and pixels of every
/// study and over the preprocessing. The order of the studies plays no part.
pub fn fingerprint(studies: &[Study], images: &ImageStore) -> String {
    let mut order: Vec<_> = (0..studies.len()).collect();
    order.sort_by(|&a, &b| studies[a].id.cmp(&studies[b].id));
    let mut hash = Sha256::new();
    // Lengths keep "ab" + "c" apart from "a" + "bc".
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(images.preprocessing.fingerprint().as_bytes());
    for at in order {
        add(studies[at].id.as_bytes());
        add(studies[at].text.as_bytes());
        add(images.digest(at));
    }
    format!("{:x}", hash.finalize())
}
