//! Loading and the cache, over real files in a fresh folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use xreport_models::image::Preprocessing;

use super::*;

const SIDE: u32 = 4;
const BYTES: usize = (SIDE * SIDE) as usize;

/// A data folder with grey images `a0.pgm`, `a1.pgm`, … of the given levels.
struct Data {
    dir: tempfile::TempDir,
    studies: Vec<Study>,
}

impl Data {
    fn new(levels: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("images")).unwrap();
        let studies = (0..levels.len()).map(study).collect();
        let data = Self { dir, studies };
        for (at, &level) in levels.iter().enumerate() {
            data.write(at, level);
        }
        data
    }

    fn image(&self, at: usize) -> PathBuf {
        self.dir.path().join("images").join(format!("a{at}.pgm"))
    }

    /// Writes image `at`; every state of a file gets a time of its own, as on a real clock.
    fn write(&self, at: usize, level: u8) {
        let mut bytes = format!("P5\n{SIDE} {SIDE}\n255\n").into_bytes();
        bytes.extend([level; BYTES]);
        self.write_bytes(at, &bytes, u64::from(level));
    }

    fn write_bytes(&self, at: usize, bytes: &[u8], seconds: u64) {
        fs::write(self.image(at), bytes).unwrap();
        let file = fs::File::options().write(true).open(self.image(at)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
        file.set_modified(time).unwrap();
    }

    fn cache_folder(&self) -> PathBuf {
        self.dir.path().join(".xreport-cache")
    }

    fn cache_file(&self) -> PathBuf {
        let name = Preprocessing::grey(SIDE, SIDE).fingerprint();
        self.cache_folder().join(format!("{name}.bin"))
    }

    fn how(&self) -> Loading {
        Loading {
            images: self.dir.path().join("images"),
            preprocessing: Preprocessing::grey(SIDE, SIDE),
            threads: 2,
            caches: vec![self.cache_folder()],
        }
    }

    fn load(&self) -> Loaded {
        self.load_as(&self.how())
    }

    fn load_as(&self, how: &Loading) -> Loaded {
        load(self.studies.clone(), how, &|_, _| {}).unwrap()
    }
}

fn study(at: usize) -> Study {
    Study { id: format!("a{at}"), file: format!("a{at}.pgm"), text: format!("text {at}"), patient: None, part: None }
}

/// The level of each image, all pixels of which must be alike.
fn levels(images: &ImageStore) -> Vec<u8> {
    let level = |at| {
        let pixels = images.get(at).unwrap();
        assert_eq!(pixels.len(), BYTES);
        assert!(pixels.iter().all(|&pixel| pixel == pixels[0]));
        pixels[0]
    };
    (0..images.len()).map(level).collect()
}

#[test]
fn images_are_decoded_once_and_then_come_from_the_cache() {
    let data = Data::new(&[10, 20, 30]);
    let first = data.load();
    assert_eq!(levels(&first.images), [10, 20, 30]);
    assert_eq!((first.decoded, first.note), (3, None));
    // A time that no write of now could give it.
    let cache = fs::File::options().write(true).open(data.cache_file()).unwrap();
    cache.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    let second = data.load();
    assert_eq!(levels(&second.images), [10, 20, 30]);
    assert_eq!(second.decoded, 0);
    let modified = fs::metadata(data.cache_file()).unwrap().modified().unwrap();
    assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(1), "written again without need");
    // Nothing else is left in the cache folder.
    assert_eq!(fs::read_dir(data.cache_folder()).unwrap().count(), 1);
}

#[test]
fn only_what_changed_is_decoded_again() {
    let mut data = Data::new(&[10, 20, 30]);
    data.load();
    // The same size: only the time tells.
    data.write(1, 99);
    let changed = data.load();
    assert_eq!((levels(&changed.images), changed.decoded), (vec![10, 99, 30], 1));
    // One more, one fewer, another order.
    data.write(3, 40);
    data.studies = [3, 0, 2].map(study).to_vec();
    let other = data.load();
    assert_eq!((levels(&other.images), other.decoded), (vec![40, 10, 30], 1));
    assert_eq!(data.load().decoded, 0);
}

#[test]
fn another_preprocessing_has_another_cache() {
    let data = Data::new(&[10, 20]);
    data.load();
    let mut how = data.how();
    how.preprocessing = Preprocessing::grey(2, 8);
    assert_eq!(data.load_as(&how).decoded, 2);
    assert_eq!(data.load_as(&how).decoded, 0);
    assert_eq!(data.load().decoded, 0, "both are kept");
    // A cache under the wrong name is found out by what stands inside.
    let other = how.preprocessing.fingerprint();
    fs::copy(data.cache_folder().join(format!("{other}.bin")), data.cache_file()).unwrap();
    assert_eq!(levels(&data.load().images), [10, 20]);
}

#[test]
fn a_damaged_byte_anywhere_is_found_and_mended() {
    let data = Data::new(&[10, 20]);
    data.load();
    let whole = fs::read(data.cache_file()).unwrap();
    // All of the fixed part, and enough of the rest.
    for at in (0..whole.len()).filter(|at| *at < 48 || at % 7 == 0) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        replace(&data.cache_file(), &damaged);
        let loaded = data.load();
        assert_eq!(levels(&loaded.images), [10, 20], "byte {at}");
        // Damage to the frame is found at once, damage to pixels when they are used.
        let in_pixels = (8..8 + 2 * BYTES).contains(&at);
        assert_eq!(loaded.decoded, if in_pixels { 0 } else { 2 }, "byte {at}");
        data.load();
        assert!(fs::read(data.cache_file()).unwrap() == whole, "byte {at}");
    }
}

#[test]
fn damaged_pixels_whose_image_is_gone_are_lost() {
    let data = Data::new(&[10, 20]);
    data.load();
    let mut damaged = fs::read(data.cache_file()).unwrap();
    damaged[8] ^= 1;
    replace(&data.cache_file(), &damaged);
    let loaded = data.load();
    fs::remove_file(data.image(0)).unwrap();
    let told = loaded.images.get(0).unwrap_err().to_string();
    assert!(told.contains("`a0.pgm` are damaged") && !told.contains(data.dir.path().to_str().unwrap()), "{told}");
    assert_eq!(loaded.images.get(1).unwrap()[0], 20);
}

#[test]
fn a_part_of_the_data_set_leaves_the_rest_in_the_cache() {
    let mut data = Data::new(&[10, 20, 30]);
    data.studies = vec![study(0), study(1)];
    data.load();
    data.studies = vec![study(2)];
    assert_eq!(data.load().decoded, 1);
    data.studies = vec![study(1), study(2), study(0)];
    let all = data.load();
    assert_eq!((levels(&all.images), all.decoded), (vec![20, 30, 10], 0));
}

/// As a run replaces a cache: what others have mapped stays.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_cut_or_lengthened_cache_is_rebuilt() {
    let data = Data::new(&[10, 20]);
    data.load();
    let whole = fs::read(data.cache_file()).unwrap();
    let longer = [&whole[..], b"x"].concat();
    let mut claims = whole.clone();
    let length = claims.len();
    claims[length - 8..].copy_from_slice(&u64::MAX.to_le_bytes());
    for bytes in [&whole[..0], &whole[..20], &whole[..60], &whole[..whole.len() - 1], &longer, &claims] {
        replace(&data.cache_file(), bytes);
        let loaded = data.load();
        assert_eq!((levels(&loaded.images), loaded.decoded), (vec![10, 20], 2));
        assert_eq!(data.load().decoded, 0);
    }
}

#[test]
fn unreadable_images_cost_their_study_only() {
    let data = Data::new(&[10, 20, 30, 40]);
    data.write_bytes(0, b"no image at all", 1);
    data.write_bytes(2, b"P5\n4 4\n255\ncut", 2);
    fs::remove_file(data.image(3)).unwrap();
    for _ in 0..2 {
        let loaded = data.load();
        assert_eq!(levels(&loaded.images), [20]);
        assert_eq!(loaded.studies, [study(1)]);
        let files: Vec<_> = loaded
            .problems
            .iter()
            .map(|problem| match problem {
                Problem::UnreadableImage { file, reason } => {
                    assert!(!reason.is_empty());
                    &file[..]
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(files, ["a0.pgm", "a2.pgm", "a3.pgm"]);
        let text = summary(&loaded.problems);
        assert!(text.contains("3 images cannot be read: `a0.pgm` is not an image"), "{text}");
        assert!(!text.contains(data.dir.path().to_str().unwrap()), "{text}");
    }
}

#[test]
fn progress_counts_what_is_decoded() {
    let data = Data::new(&[10, 20, 30]);
    let calls = Mutex::new(Vec::new());
    let count = |done, total| calls.lock().unwrap().push((done, total));
    load(data.studies.clone(), &data.how(), &count).unwrap();
    let mut seen = calls.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn without_a_writable_place_there_is_a_note_and_no_cache() {
    let data = Data::new(&[10, 20]);
    // A file where the folder should be: refused even to an administrator.
    fs::write(data.cache_folder(), "").unwrap();
    let loaded = data.load();
    assert_eq!(levels(&loaded.images), [10, 20]);
    let note = loaded.note.unwrap();
    assert!(note.contains(".xreport-cache") && note.contains("decoded at each start"), "{note}");
    // The second choice is taken, said, and found again.
    let second = data.dir.path().join("elsewhere/deep");
    let mut how = data.how();
    how.caches.push(second.clone());
    let note = data.load_as(&how).note.unwrap();
    assert!(note.contains("lies in") && note.contains(second.to_str().unwrap()), "{note}");
    assert_eq!(data.load_as(&how).decoded, 0);
    // No place asked for: no note.
    how.caches.clear();
    let loaded = data.load_as(&how);
    assert_eq!((loaded.decoded, loaded.note), (2, None));
}

#[test]
fn a_later_cache_fills_what_an_earlier_one_lacks() {
    let data = Data::new(&[10, 20]);
    data.load();
    let second = data.dir.path().join("second");
    fs::create_dir(&second).unwrap();
    let moved = second.join(data.cache_file().file_name().unwrap());
    fs::rename(data.cache_file(), moved).unwrap();
    let mut only_first = data.how();
    data.write(1, 99);
    only_first.images = data.how().images;
    load(vec![study(1)], &only_first, &|_, _| {}).unwrap();
    let mut both = data.how();
    both.caches.push(second);
    let loaded = data.load_as(&both);
    assert_eq!((levels(&loaded.images), loaded.decoded), (vec![10, 99], 0));
}

#[test]
fn the_caches_are_in_the_data_folder_first_and_apart_for_each_data_set() {
    let (a, b) = (Data::new(&[]), Data::new(&[]));
    let (of_a, of_b) = (cache_folders(a.dir.path()), cache_folders(b.dir.path()));
    assert_eq!(of_a[0], a.cache_folder());
    assert_eq!(of_a, cache_folders(a.dir.path()));
    assert!(of_a.iter().all(|folder| !of_b.contains(folder)));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_into_the_cache() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = Data::new(&[10]);
    data.load();
    let mode = fs::metadata(data.cache_folder()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn impossible_sizes_are_refused() {
    let data = Data::new(&[10]);
    let mut how = data.how();
    how.preprocessing.width = 0;
    assert!(matches!(load(data.studies.clone(), &how, &|_, _| {}), Err(LoadError::Preprocessing(_))));
    let empty = load(Vec::new(), &data.how(), &|_, _| {}).unwrap();
    assert!(empty.images.is_empty());
    assert!(!data.cache_file().exists());
}

#[test]
fn the_fingerprint_covers_ids_texts_and_pixels_but_not_the_order() {
    let data = Data::new(&[10, 20]);
    let of = |loaded: &Loaded| fingerprint(&loaded.studies, &loaded.images);
    let first = data.load();
    let original = of(&first);
    assert_eq!(original.len(), 64);
    assert_eq!(of(&data.load()), original, "the cache makes no difference");

    let mut turned = data.load();
    turned.studies.reverse();
    let reversed = load(turned.studies.clone(), &data.how(), &|_, _| {}).unwrap();
    assert_eq!(of(&reversed), original);

    let mut text = data.load();
    text.studies[0].text.push('.');
    assert_ne!(of(&text), original);
    let mut id = data.load();
    id.studies[0].id.push('x');
    assert_ne!(of(&id), original);
    // Letters that move from one field to the next.
    let mut moved = data.load();
    let study = &mut moved.studies[0];
    study.text = format!("{}{}", &study.id[1..], study.text);
    study.id.truncate(1);
    assert_ne!(of(&moved), original);
    // Images that change places.
    assert_ne!(fingerprint(&turned.studies, &first.images), of(&reversed));
    data.write(0, 11);
    assert_ne!(of(&data.load()), original);
}

#[test]
fn what_the_input_gate_minds_is_counted_and_shown_from_the_cache_too() {
    let data = Data::new(&[1; 5]);
    for at in 0..4 {
        // A picture of 12 bits in a file of 16: whole, and nearly black.
        let mut bytes = format!("P5\n{SIDE} {SIDE}\n65535\n").into_bytes();
        bytes.extend((0..BYTES).flat_map(|place| (place as u16 * 256).to_be_bytes()));
        data.write_bytes(at, &bytes, 100);
    }
    for decoded in [5, 0] {
        let loaded = data.load();
        assert_eq!(loaded.decoded, decoded);
        let told = gate_summary(&loaded).unwrap();
        assert!(told.contains("of 5 images the input gate minds 4 grey-range (a0.pgm, a1.pgm, a2.pgm, …)"), "{told}");
        assert!(told.contains("1 constant (a4.pgm)"), "{told}");
    }
}
