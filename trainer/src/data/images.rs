//! From image files to preprocessed pixels: decoded once, then from the cache.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use xreport_models::atomic::write_file_with;
use xreport_models::image::{Admitted, Concern, Gate, GateMode, ImageError, Preprocessing, Views};

use super::cache::{self, CacheFile, Entry, Stamp};
use super::problem::{Problem, shown};
use super::store::ImageStore;
use super::studies::Study;

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
    /// What the input gate minds of the images that were loaded, by file: they are counted, not left out.
    pub concerns: Vec<(String, Concern)>,
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
    /// No cache can be written, and the pixels do not fit into memory.
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

/// Pixels that are decoded before they are written, in bytes: the memory that loading takes beside the cache.
const AT_ONCE: usize = 1 << 26;

/// Loads the images of `studies`: from the cache where they are current there, else by decoding them into a new one.
/// Images that cannot be read cost their study only. Without a place for a cache the pixels lie in memory.
///
/// `progress(done, total)` counts the images to be decoded and is called from several threads.
pub fn load(studies: Vec<Study>, how: &Loading, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Loaded, LoadError> {
    how.preprocessing.check()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(how.threads.max(1))
        .build()
        .map_err(|source| LoadError::Threads { threads: how.threads, source })?;
    let mut caches = open_caches(how);
    let wanted = pool.install(|| find(&studies, &caches, how));
    if let Some((cache, places)) = in_one_cache(&wanted) {
        let concerns = concerns(places.iter().map(|&place| &caches[cache].entries()[place as usize]));
        let (preprocessing, folder) = (how.preprocessing.clone(), how.images.clone());
        let images = ImageStore::mapped(preprocessing, folder, caches.swap_remove(cache), places);
        return Ok(Loaded { studies, images, problems: Vec::new(), concerns, decoded: 0, note: None });
    }
    let making = Making {
        how,
        pool: &pool,
        studies: &studies,
        wanted: &wanted,
        caches: &caches,
        total: wanted.iter().filter(|wanted| wanted.cached.is_none()).count(),
        progress,
    };
    let (images, made, note) = making.store()?;
    let concerns = concerns(made.entries.iter());
    let mut unreadable = made.unreadable;
    let (mut kept, mut problems) = (Vec::new(), Vec::new());
    for (at, study) in studies.into_iter().enumerate() {
        match unreadable.remove(&at) {
            None => kept.push(study),
            Some(reason) => problems.push(Problem::UnreadableImage { file: study.file, reason }),
        }
    }
    Ok(Loaded { studies: kept, images, problems, concerns, decoded: made.decoded, note })
}

/// Where a study's pixels may come from.
struct Wanted {
    /// State of its file; `None` where it is not there.
    stamp: Option<Stamp>,
    /// The cache and the place in it where the pixels of this state lie.
    cached: Option<(usize, u32)>,
}

fn open_caches(how: &Loading) -> Vec<CacheFile> {
    let fingerprint = how.preprocessing.fingerprint();
    let open = |folder: &PathBuf| CacheFile::open(&cache_path(folder, how), &fingerprint, how.preprocessing.len());
    how.caches.iter().filter_map(open).collect()
}

fn cache_path(folder: &Path, how: &Loading) -> PathBuf {
    folder.join(format!("{}.bin", how.preprocessing.fingerprint()))
}

/// Looks each study's image up in the caches: the first that has it in its present state.
fn find(studies: &[Study], caches: &[CacheFile], how: &Loading) -> Vec<Wanted> {
    let known: Vec<HashMap<&str, usize>> = caches.iter().map(CacheFile::places).collect();
    let find = |study: &Study| {
        let stamp = Stamp::of(&how.images.join(&study.file)).ok();
        let current = |(cache, places): (usize, &HashMap<&str, usize>)| {
            let place = *places.get(study.file.as_str())?;
            (Some(caches[cache].entries()[place].stamp) == stamp).then_some((cache, place as u32))
        };
        Wanted { stamp, cached: known.iter().enumerate().find_map(current) }
    };
    studies.par_iter().map(find).collect()
}

/// The places of all images where one cache has them all.
fn in_one_cache(wanted: &[Wanted]) -> Option<(usize, Vec<u32>)> {
    let (cache, _) = wanted.first()?.cached?;
    let place = |wanted: &Wanted| wanted.cached.filter(|(of, _)| *of == cache).map(|(_, place)| place);
    Some((cache, wanted.iter().map(place).collect::<Option<_>>()?))
}

fn concerns<'e>(entries: impl Iterator<Item = &'e Entry>) -> Vec<(String, Concern)> {
    entries.flat_map(|entry| entry.concerns.iter().map(|concern| (entry.file.clone(), concern.clone()))).collect()
}

/// A store in the making.
struct Making<'a> {
    how: &'a Loading,
    pool: &'a ThreadPool,
    studies: &'a [Study],
    wanted: &'a [Wanted],
    caches: &'a [CacheFile],
    /// Images that are in no cache.
    total: usize,
    progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// What became of the studies.
#[derive(Default)]
struct Made {
    /// Of the readable images, in the order of the studies.
    entries: Vec<Entry>,
    /// Why the others are not, by the study's index.
    unreadable: HashMap<usize, String>,
    decoded: usize,
}

impl Making<'_> {
    /// In the first folder that takes a cache, else in memory; with what a user should know of it.
    fn store(&self) -> Result<(ImageStore, Made, Option<String>), LoadError> {
        let mut refused: Option<String> = None;
        for folder in &self.how.caches {
            match self.in_cache(folder) {
                Ok((images, made)) => {
                    let note = refused.map(|why| format!("{why}; the image cache lies in `{}`", folder.display()));
                    return Ok((images, made, note));
                }
                Err(why) => drop(refused.get_or_insert(why)),
            }
        }
        let note = refused.map(|why| format!("{why}; without an image cache, images are decoded at each start"));
        let (images, made) = self.in_memory()?;
        Ok((images, made, note))
    }

    fn in_cache(&self, folder: &Path) -> Result<(ImageStore, Made), String> {
        let Self { how, .. } = self;
        let (fingerprint, image_bytes) = (how.preprocessing.fingerprint(), how.preprocessing.len());
        if self.studies.is_empty() {
            return Ok((ImageStore::of_pixels(how.preprocessing.clone(), Vec::new()), Made::default()));
        }
        cache::create_folder(folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
        let path = cache_path(folder, how);
        let mut made = Made::default();
        write_file_with(&path, |out| {
            cache::write(out, &fingerprint, image_bytes, |out| {
                made = self.make(&mut |pixels| out.write_all(pixels))?;
                let mut entries = made.entries.clone();
                for (pixels, entry) in self.others() {
                    out.write_all(pixels)?;
                    entries.push(entry.clone());
                }
                Ok(entries)
            })
        })
        .map_err(|error| {
            // The note says what follows; the hint of the error is for files that a user asked for.
            let message = error.to_string();
            message.lines().next().unwrap_or_default().to_owned()
        })?;
        let cache = CacheFile::open(&path, &fingerprint, image_bytes)
            .ok_or_else(|| format!("`{}` does not read back as it was written", path.display()))?;
        let places = (0..made.entries.len() as u32).collect();
        Ok((ImageStore::mapped(how.preprocessing.clone(), how.images.clone(), cache, places), made))
    }

    /// What the caches hold of the data set's other images, which another run will want: an evaluation takes the test part
    /// alone.
    fn others(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        let mut taken: HashSet<&str> = self.studies.iter().map(|study| study.file.as_str()).collect();
        let all =
            self.caches.iter().flat_map(|cache| cache.entries().iter().enumerate().map(move |each| (cache, each)));
        all.filter_map(move |(cache, (place, entry))| {
            let is_current = || Stamp::of(&self.how.images.join(&entry.file)).is_ok_and(|stamp| stamp == entry.stamp);
            (taken.insert(&entry.file) && is_current()).then(|| (cache.pixels(place), entry))
        })
    }

    fn in_memory(&self) -> Result<(ImageStore, Made), LoadError> {
        let (count, each) = (self.studies.len(), self.how.preprocessing.len());
        let no_memory = || LoadError::Memory { count, bytes: count as u128 * each as u128 };
        let mut all = Vec::new();
        all.try_reserve_exact(count.checked_mul(each).ok_or_else(no_memory)?).map_err(|_| no_memory())?;
        let made = self.make(&mut |pixels| {
            all.extend_from_slice(pixels);
            Ok(())
        });
        // Memory takes every pixel.
        let made = made.map_err(|_| no_memory())?;
        let (preprocessing, folder) = (self.how.preprocessing.clone(), self.how.images.clone());
        Ok((ImageStore::in_memory(preprocessing, folder, all, made.entries.clone()), made))
    }

    /// Hands the pixels of every readable image to `take`, in the order of the studies.
    fn make(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<Made> {
        let (mut made, decoded) = (Made::default(), AtomicUsize::new(0));
        let chunk = (AT_ONCE / self.how.preprocessing.len()).max(1);
        for from in (0..self.studies.len()).step_by(chunk) {
            let indices = from..(from + chunk).min(self.studies.len());
            let outcomes: Vec<_> =
                self.pool.install(|| indices.into_par_iter().map(|at| self.image(at, &decoded)).collect());
            for (at, outcome) in (from..).zip(outcomes) {
                match outcome {
                    Ok((pixels, entry)) => {
                        take(&pixels)?;
                        made.entries.push(entry);
                    }
                    Err(reason) => drop(made.unreadable.insert(at, reason)),
                }
            }
        }
        made.decoded = decoded.into_inner();
        Ok(made)
    }

    /// The pixels of study `at`: undamaged from a cache, else decoded.
    fn image(&self, at: usize, decoded: &AtomicUsize) -> Result<(Cow<'_, [u8]>, Entry), String> {
        let (study, wanted) = (&self.studies[at], &self.wanted[at]);
        if let Some((cache, place)) = wanted.cached {
            let (cache, place) = (&self.caches[cache], place as usize);
            let (pixels, entry) = (cache.pixels(place), &cache.entries()[place]);
            if Sha256::digest(pixels)[..] == entry.digest {
                return Ok((Cow::Borrowed(pixels), entry.clone()));
            }
        }
        let outcome = decode(&self.how.images, &study.file, &self.how.preprocessing);
        let done = decoded.fetch_add(1, Ordering::Relaxed) + 1;
        (self.progress)(done, self.total.max(done));
        let Admitted { pixels, concerns, .. } = outcome?;
        let stamp = wanted.stamp.or_else(|| Stamp::of(&self.how.images.join(&study.file)).ok());
        let stamp = stamp.ok_or_else(|| format!("`{}` vanished while it was read", study.file))?;
        let digest = Sha256::digest(&pixels).into();
        Ok((Cow::Owned(pixels), Entry { file: study.file.clone(), stamp, digest, concerns }))
    }
}

/// What is made of an image file; the message names it as the table does, without the folders above.
pub(super) fn decode(folder: &Path, file: &str, preprocessing: &Preprocessing) -> Result<Admitted, String> {
    let path = folder.join(file);
    preprocessing.admit(&path, GATE).map_err(|error| error.to_string().replace(&path.display().to_string(), file))
}

/// What the input gate minds, counted by reason; `None` where it minds nothing.
pub fn gate_summary(loaded: &Loaded) -> Option<String> {
    (!loaded.concerns.is_empty()).then(|| {
        format!(
            "warning: of {} images the input gate minds {}\n  hint: they are used all the same; \
             `xreport generate` refuses such images unless `--gate warn` is given",
            loaded.images.len(),
            counted(&loaded.concerns)
        )
    })
}

/// How many images give rise to each concern, by its code and the most frequent first, with the first few of them:
/// `3 grey-range (a.png, b.png, c.png), 1 lateral-view (d.dcm)`.
fn counted(concerns: &[(String, Concern)]) -> String {
    const EXAMPLES: usize = 3;
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (file, concern) in concerns {
        files.entry(concern.code()).or_default().push(file);
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
    let shown = |(code, files): (&str, Vec<&str>)| {
        let examples: Vec<_> = files.iter().take(EXAMPLES).map(|file| shown(file)).collect();
        let more = if files.len() > EXAMPLES { ", …" } else { "" };
        format!("{} {code} ({}{more})", files.len(), examples.join(", "))
    };
    files.into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// What tells a study's text and pixels from any other: the first 16 hexadecimal digits of their SHA-256, by the id.
pub fn study_digests(studies: &[Study], images: &ImageStore) -> BTreeMap<String, String> {
    let digest = |(at, study): (usize, &Study)| {
        let hash = Sha256::new().chain_update(images.digest(at)).chain_update(&study.text).finalize();
        (study.id.clone(), format!("{hash:x}")[..16].to_owned())
    };
    studies.iter().enumerate().map(digest).collect()
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
    add(images.preprocessing().fingerprint().as_bytes());
    for at in order {
        add(studies[at].id.as_bytes());
        add(studies[at].text.as_bytes());
        add(images.digest(at));
    }
    format!("{:x}", hash.finalize())
}
