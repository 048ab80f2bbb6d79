//! Writes the phantom data set to a folder, and reads its truth back.
//!
//! ```text
//! DIR/images/phantom_000001.png …  films, 8-bit grey
//! DIR/XREPORT_dataset.csv          id,text,patient
//! DIR/findings.csv                 id,observations,boxes: what is drawn on each film
//! DIR/PHANTOMS.txt                 how the set was made; marks the folder as one of ours
//! ```

mod error;
mod folder;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::draw::{Anatomy, FindingBox, Phantom, draw};
use super::findings::Findings;
use super::observation::Observation;
use super::report;
pub use error::PhantomError;
use error::io_error;
use folder::Target;
use table::write_tables;
pub use table::{Drawn, read_findings};

/// The reports: `id,text,patient`.
pub const REPORTS_FILE: &str = "XREPORT_dataset.csv";
/// What is drawn: `id,observations,boxes`.
pub const FINDINGS_FILE: &str = "findings.csv";
/// The films.
pub const IMAGES_FOLDER: &str = "images";
/// What results of a model trained on phantoms repeat.
pub const NOTICE_FILE: &str = "NOTICE.txt";
/// Marks a folder as a phantom data set.
pub const MARKER_FILE: &str = "PHANTOMS.txt";

/// Image sides that can be drawn, in pixels.
pub const SIZES: std::ops::RangeInclusive<u32> = 64..=2048;
/// Sample counts that can be written: ids have six digits.
pub const SAMPLES: std::ops::RangeInclusive<usize> = 1..=999_999;

const NOTICE: &str = "trained on drawings (phantoms), never on a patient\n";
const MARKER_START: &str = "xreport phantoms 1\n";
/// Share of images that are a further film of the patient before.
const FOLLOW_UP_SHARE: f64 = 0.1;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Images and reports.
    pub samples: usize,
    /// Patients; some have two images.
    pub patients: usize,
    /// Images without a finding.
    pub normal: usize,
    /// How many images show each observation.
    pub observations: BTreeMap<Observation, usize>,
}

/// Purposes of randomness. Each sample has a stream of its own for each, so that its content depends on
/// nothing but the seed and its index.
#[derive(Clone, Copy)]
enum Stream {
    Patients,
    Anatomy,
    Findings,
    Film,
    Report,
}

fn stream(seed: u64, purpose: Stream, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((index as u64) << 3) | purpose as u64);
    rng
}

/// The patient index of every sample. The first `n` samples are the same whatever the sample count.
fn patients(seed: u64, samples: usize) -> Vec<usize> {
    let mut rng = stream(seed, Stream::Patients, 0);
    let mut patients: Vec<usize> = Vec::with_capacity(samples);
    for index in 0..samples {
        let roll = rng.random_bool(FOLLOW_UP_SHARE);
        let patient = match patients[..] {
            [] => 0,
            [.., before, last] if before == last => last + 1,
            [.., last] => last + usize::from(!roll),
        };
        debug_assert!(patient <= index);
        patients.push(patient);
    }
    patients
}

/// One sample, before it is written.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What is drawn.
    pub findings: Findings,
    /// The film and its boxes.
    pub phantom: Phantom,
    /// The report.
    pub text: String,
}

/// Makes the sample at `index` (from 0) of the set with this seed, on the chest of `patient`.
///
/// `size` is the image's side in pixels; findings, report and pose do not depend on it.
pub fn sample(seed: u64, index: usize, patient: usize, size: u32) -> Sample {
    let findings = Findings::sample(&mut stream(seed, Stream::Findings, index));
    let anatomy = Anatomy::sample(&mut stream(seed, Stream::Anatomy, patient));
    let phantom = draw(&findings, &anatomy, size, &mut stream(seed, Stream::Film, index));
    let text = report::write(&findings, &mut stream(seed, Stream::Report, index));
    Sample { findings, phantom, text }
}

/// Draws `samples` phantoms of `size` × `size` pixels and writes the data set to `out`.
///
/// The same seed gives byte-identical files on one machine, whatever the number of threads. `progress`
/// is called once after each image, from any thread, with the number of images done so far.
///
/// Everything is written to a folder beside `out` and renamed at the end. A folder that holds a phantom
/// data set and nothing else is replaced; any other folder that is not empty is refused.
pub fn write(
    out: &Path,
    samples: usize,
    seed: u64,
    size: u32,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Summary, PhantomError> {
    if !SAMPLES.contains(&samples) {
        return Err(PhantomError::Samples { found: samples });
    }
    if !SIZES.contains(&size) {
        return Err(PhantomError::Size { found: size });
    }
    let target = Target::check(out)?;
    let partial = target.start()?;
    let marker = format!("{MARKER_START}samples {samples}\nseed {seed}\nsize {size}\n");
    put(&partial.path.join(MARKER_FILE), marker.as_bytes())?;
    put(&partial.path.join(NOTICE_FILE), NOTICE.as_bytes())?;
    let images = partial.path.join(IMAGES_FOLDER);
    fs::create_dir(&images).map_err(io_error("create", &images))?;

    let patients = patients(seed, samples);
    let done = AtomicU64::new(0);
    let rows: Vec<Row> = patients
        .par_iter()
        .enumerate()
        .map(|(index, &patient)| {
            let sample = sample(seed, index, patient, size);
            let row = Row::new(index, patient, sample.text, sample.phantom.boxes);
            save(&images.join(format!("{}.png", row.id)), &sample.phantom.image)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(row)
        })
        .collect::<Result<_, PhantomError>>()?;
    write_tables(&partial.path, &rows)?;
    target.finish(&partial)?;
    Ok(summary(&rows))
}

/// One row of both tables.
struct Row {
    id: String,
    patient: usize,
    text: String,
    boxes: Vec<FindingBox>,
}

impl Row {
    fn new(index: usize, patient: usize, text: String, boxes: Vec<FindingBox>) -> Self {
        Self { id: format!("phantom_{:06}", index + 1), patient, text, boxes }
    }
}

fn summary(rows: &[Row]) -> Summary {
    let mut observations = BTreeMap::new();
    for one in rows.iter().flat_map(|row| &row.boxes) {
        *observations.entry(one.observation).or_default() += 1;
    }
    Summary {
        samples: rows.len(),
        patients: rows.last().map_or(0, |row| row.patient + 1),
        normal: rows.iter().filter(|row| row.boxes.is_empty()).count(),
        observations,
    }
}

fn save(path: &Path, image: &image::GrayImage) -> Result<(), PhantomError> {
    let mut bytes = Vec::with_capacity(image.len());
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Up)
        .write_image(image, image.width(), image.height(), ExtendedColorType::L8)
        .map_err(|source| PhantomError::Image { path: path.to_owned(), source })?;
    put(path, &bytes)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), PhantomError> {
    fs::write(path, bytes).map_err(io_error("write", path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::super::read::observations_in;
    use super::*;

    const SIZE: u32 = 64;

    fn quiet(_: u64) {}

    fn write_small(out: &Path, samples: usize, seed: u64) -> Result<Summary, PhantomError> {
        write(out, samples, seed, SIZE, &quiet)
    }

    /// Every file below a folder with its bytes.
    fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                all.extend(contents(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
            } else {
                all.insert(name, fs::read(&path).expect("a file"));
            }
        }
        all
    }

    fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(work)
    }

    #[test]
    fn the_seed_decides_every_byte_and_the_thread_count_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = |name: &str, seed, threads| {
            let out = folder.path().join(name);
            with_threads(threads, || write_small(&out, 24, seed)).expect("written");
            contents(&out)
        };
        let one = made("one", 7, 1);
        assert_eq!(one.len(), 24 + 4);
        assert!(one == made("four", 7, 4), "the thread count changed a file");
        let other = made("other", 8, 2);
        for (name, bytes) in one.iter().filter(|(name, _)| name.as_str() != NOTICE_FILE) {
            assert!(other[name] != *bytes, "{name} is the same for another seed");
        }
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 3, "something was left beside the data sets: {left:?}");
    }

    #[test]
    fn a_longer_set_begins_with_the_shorter_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = |name: &str, samples| {
            let out = folder.path().join(name);
            write_small(&out, samples, 3).expect("written");
            contents(&out)
        };
        let (short, long) = (made("short", 5), made("long", 9));
        for (name, bytes) in short.iter().filter(|(name, _)| name.as_str() != MARKER_FILE) {
            assert!(long[name].starts_with(bytes), "{name}");
        }
    }

    #[test]
    fn tables_agree_with_each_other_and_with_the_images() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("set");
        let counted = Mutex::new(BTreeSet::new());
        let progress = |done| assert!(counted.lock().expect("no panic before").insert(done), "{done} twice");
        let summary = write(&out, 200, 1, SIZE, &progress).expect("written");
        assert_eq!(counted.into_inner().expect("no panic before"), (1..=200).collect());

        let drawn = read_findings(&out.join(FINDINGS_FILE)).expect("readable");
        assert_eq!(drawn.len(), 200);
        let mut reports = csv::Reader::from_path(out.join(REPORTS_FILE)).expect("readable");
        assert_eq!(reports.headers().expect("a header"), vec!["id", "text", "patient"]);
        let mut patients: BTreeMap<String, usize> = BTreeMap::new();
        for row in reports.records() {
            let row = row.expect("a row");
            let drawn = &drawn[&row[0]];
            assert_eq!(observations_in(&row[1]), drawn.observations, "{row:?}");
            assert!(drawn.boxes.iter().map(|one| one.observation).eq(drawn.observations.iter().copied()));
            assert!(drawn.boxes.iter().all(|one| one.x1 <= SIZE && one.y1 <= SIZE), "{row:?}");
            *patients.entry(row[2].to_owned()).or_default() += 1;
            let film = image::open(out.join(IMAGES_FOLDER).join(format!("{}.png", &row[0]))).expect("a film");
            assert_eq!((film.width(), film.height(), film.color()), (SIZE, SIZE, image::ColorType::L8));
        }
        assert_eq!(patients.len(), summary.patients);
        assert_eq!(patients.keys().next().map(String::as_str), Some("phantom-000001"));
        assert_eq!(patients.values().max(), Some(&2));
        let normal = drawn.values().filter(|one| one.observations.is_empty()).count();
        assert_eq!((summary.samples, summary.normal), (200, normal));
    }

    #[test]
    fn boxes_lie_on_the_side_that_they_name() {
        let middle = SIZE / 2;
        for index in 0..300 {
            let sample = sample(5, index, index, SIZE);
            for one in sample.phantom.boxes {
                let centre = u32::midpoint(one.x0, one.x1);
                match one.observation.side() {
                    Some(super::super::observation::Side::Left) => assert!(centre > middle, "{one:?}"),
                    Some(super::super::observation::Side::Right) => assert!(centre < middle, "{one:?}"),
                    None => {}
                }
            }
        }
    }

    #[test]
    fn only_its_own_folders_are_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("set");
        fs::create_dir(&out).expect("made");
        write_small(&out, 2, 1).expect("an empty folder is taken");
        write_small(&out, 3, 1).expect("its own folder is replaced");
        assert_eq!(contents(&out).len(), 3 + 4);
        for foreign in ["notes.txt", "images/scan.png"] {
            fs::write(out.join(foreign), "mine").expect("written");
            let before = contents(&out);
            let error = write_small(&out, 2, 1).expect_err("a foreign file").to_string();
            assert!(error.contains(foreign) && error.contains("hint:"), "{error}");
            assert!(contents(&out) == before, "a refused folder was changed");
            fs::remove_file(out.join(foreign)).expect("removed");
        }
        fs::remove_file(out.join(MARKER_FILE)).expect("removed");
        assert!(matches!(write_small(&out, 2, 1), Err(PhantomError::NotEmpty { .. })));
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(matches!(write_small(&file, 2, 1), Err(PhantomError::Target { .. })));
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let left = folder.path().join(".set.partial");
        fs::create_dir(&left).expect("made");
        fs::write(left.join(MARKER_FILE), MARKER_START).expect("written");
        write_small(&folder.path().join("set"), 1, 1).expect("written");
        assert!(!left.exists());
    }

    #[test]
    fn counts_and_sizes_out_of_range_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("set");
        assert!(matches!(write_small(&out, 0, 1), Err(PhantomError::Samples { found: 0 })));
        assert!(matches!(write(&out, 1, 1, 32, &quiet), Err(PhantomError::Size { found: 32 })));
        assert!(!out.exists());
    }
}
