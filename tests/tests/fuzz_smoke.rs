//! A smoke run of the fuzz targets with the stable compiler: seeds, changed at random, must never bring a reader down.
//!
//! `XREPORT_FUZZ_SECONDS` is the time for each target; without it a fixed number of inputs is tried.
#![allow(clippy::unwrap_used, reason = "a test whose scene cannot be set has failed")]
#![allow(clippy::print_stdout, reason = "says how much was tried")]

#[path = "../../models/src/image/dicom/samples.rs"]
#[allow(dead_code, reason = "shared with the unit tests of `models`, which use the rest")]
mod dicom_samples;
#[path = "../../models/src/image/samples.rs"]
#[allow(dead_code, reason = "as above")]
mod image_samples;
#[path = "../fuzz/readers.rs"]
mod readers;

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

use dicom_samples::{
    BIG_ENDIAN, BODY_PART, DEFLATED, DicomFile, EXPLICIT, IMPLICIT, MODALITY_LUT, RLE, SIGNED, VIEW_POSITION, VOI_LUT,
    WINDOW_CENTER, WINDOW_WIDTH, nested, rle,
};
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use xreport_tests::root;

/// Inputs of a short run, for each target.
const INPUTS: usize = 1500;
/// The random numbers' seed.
const SEED: u64 = 20_261_124;

/// Numbers by SplitMix64 (Steele, Lea and Flood, 2014): the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Numbers that break readers.
const EDGES: [u32; 8] = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF];

/// A seed with one to eight changes: bits, edge numbers, cuts, repeats, pieces of another seed.
fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let length = random.below(64).min(bytes.len() - at);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 | 3 => {
                let edge = EDGES[random.below(EDGES.len())];
                let number = if random.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let width = [1, 2, 4][random.below(3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => drop(bytes.drain(at..at + length)),
            5 => {
                let piece = bytes[at..at + length].to_vec();
                let times = 1 + random.below(40);
                drop(bytes.splice(at..at, piece.repeat(times)));
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let piece = other[from..(from + length).min(other.len())].to_vec();
                drop(bytes.splice(at..at + length, piece));
            }
        }
    }
    bytes
}

fn corpus(target: &str) -> PathBuf {
    root().join("tests/fuzz/corpus").join(target)
}

/// Seeds by the names of their files.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds for {target}");
    let name = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
    files.into_iter().map(|file| (name(&file), fs::read(file).unwrap())).collect()
}

thread_local! {
    /// While a reader is watched: the panics of our own code, which the readers may catch and tell as damage.
    static WATCHED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Panics of other crates' decoders are caught and told as damage, and their messages would only be noise here; one in our
/// own code is a fault, caught or not.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_watched = WATCHED.with_borrow_mut(|watched| {
                let Some(ours) = watched else { return false };
                if panic.location().is_some_and(|place| place.file().starts_with("models/")) {
                    ours.push(panic.to_string());
                }
                true
            });
            if !is_watched {
                usual(panic);
            }
        }));
    });
}

/// Reads `input`: whether it is accepted, or how it brought the reader down.
fn watched(read: fn(&[u8]) -> bool, input: &[u8]) -> Result<bool, String> {
    WATCHED.set(Some(Vec::new()));
    let outcome = std::panic::catch_unwind(|| read(input));
    let ours = WATCHED.take().unwrap_or_default();
    match outcome {
        _ if !ours.is_empty() => Err(ours.join("; ")),
        Ok(accepted) => Ok(accepted),
        Err(_) => Err("the reader panics".into()),
    }
}

/// `refused`: seeds that are no good file, and must be refused.
fn smoke(target: &str, read: fn(&[u8]) -> bool, refused: &[&str]) {
    watch_panics();
    let seconds = std::env::var("XREPORT_FUZZ_SECONDS").ok().map(|text| text.parse::<u64>().expect("seconds"));
    let seeds = seeds(target);
    for (name, seed) in &seeds {
        assert_eq!(watched(read, seed), Ok(!refused.contains(&name.as_str())), "seed {name} of {target}");
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let mut random = Random(SEED);
    let (started, mut tried, mut slowest) = (Instant::now(), 0usize, Duration::ZERO);
    while seconds.map_or(tried < INPUTS, |seconds| started.elapsed() < Duration::from_secs(seconds)) {
        let input = mutated(&seeds, &mut random);
        let one = Instant::now();
        let outcome = watched(read, &input);
        slowest = slowest.max(one.elapsed());
        if let Err(problem) = outcome {
            let path = std::env::temp_dir().join(format!("xreport-fuzz-{target}-{tried}"));
            fs::write(&path, &input).unwrap();
            panic!("{target}: input {tried} of seed {SEED}: {problem}; it lies in `{}`", path.display());
        }
        tried += 1;
    }
    println!("{target}: {tried} inputs of seed {SEED} from {} files, the slowest took {slowest:.1?}", seeds.len());
}

#[test]
fn dicom() {
    smoke("dicom", readers::dicom, &["nested"]);
}

#[test]
fn jpeg2000() {
    smoke("jpeg2000", readers::jpeg2000, &["cut-after-its-size-marker"]);
}

#[test]
fn image_files() {
    smoke("image", readers::image, &["tiff-big", "jpeg-xl", "heic"]);
}

#[test]
fn bundle() {
    smoke("bundle", readers::bundle, &[]);
}

#[test]
fn table() {
    smoke("table", readers::table, &["sheet", "utf-32"]);
}

/// Every value representation of the names that follow, in lower case.
fn lower_case(mut file: Vec<u8>) -> Vec<u8> {
    for at in 0..file.len().saturating_sub(2) {
        if [&b"CS"[..], b"US", b"DS", b"OW"].iter().any(|vr| file[at..].starts_with(vr)) {
            file[at..at + 2].make_ascii_lowercase();
        }
    }
    file
}

/// A TIFF whose only directory is followed by a copy of itself.
fn two_pages(mut file: Vec<u8>) -> Vec<u8> {
    let end = 10 + 12 * usize::from(u16::from_le_bytes([file[8], file[9]]));
    let (directory, second) = (file[8..end].to_vec(), file.len() as u32);
    file[end..end + 4].copy_from_slice(&second.to_le_bytes());
    [file, directory, vec![0; 4]].concat()
}

/// Writes the seeds anew.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let pixels: Vec<u16> = (0..256).map(|at| at * 16).collect();
    let file = DicomFile::grey(16, 16, 12, &pixels).text(WINDOW_CENTER, "DS", "2000").text(WINDOW_WIDTH, "DS", "3000");
    let small: Vec<u16> = (0..16).collect();
    let picture = GrayImage::from_fn(16, 16, |x, y| Luma([(x * 13 + y * 5) as u8]));
    let encoded = |format: ImageFormat| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = DynamicImage::ImageLuma8(picture.clone());
        let picture = match format {
            ImageFormat::WebP => picture.to_rgb8().into(),
            ImageFormat::Gif => picture.to_rgba8().into(),
            _ => picture,
        };
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    for (name, file) in [
        ("explicit", file.clone()),
        ("implicit", file.clone().syntax(IMPLICIT)),
        ("big-endian", file.clone().syntax(BIG_ENDIAN)),
        ("deflated", file.clone().syntax(DEFLATED)),
        ("rle", file.clone().encapsulated(RLE, &[rle(&pixels)])),
        ("tables", file.clone().lut(MODALITY_LUT, 0, 12, &small).lut(VOI_LUT, 3, 8, &small)),
        ("jpeg", file.clone().encapsulated("1.2.840.10008.1.2.4.50", &[encoded(ImageFormat::Jpeg)])),
        ("table-short", file.clone().lut_as(VOI_LUT, "US", [4096, 0, 12], "OW", vec![7; 100])),
        ("table-promised", file.clone().lut_as(VOI_LUT, "US", [0, 0, 16], "OW", vec![1; 512])),
        ("table-bytes", file.clone().lut_as(VOI_LUT, "SS", [256, 40_000, 8], "OB", (0..=255).collect())),
        ("table-empty", file.clone().items(VOI_LUT, vec![dicom_samples::Item::new()])),
        ("signed", file.clone().number(SIGNED, 1)),
        ("number-with-comma", file.clone().text(WINDOW_WIDTH, "DS", "1,5")),
        ("words", file.clone().text(BODY_PART, "CS", "TÓRAX").text(VIEW_POSITION, "CS", "L LAT")),
    ] {
        write("dicom", name, &file.build()[132..]);
    }
    let implicit = file.clone().syntax(IMPLICIT);
    write("dicom", "implicit-as-explicit", &[&file.head(EXPLICIT)[132..], &implicit.data_set()].concat());
    write("dicom", "no-syntax", &[&file.head("")[132..], &file.data_set()].concat());
    write("dicom", "lower-case", &lower_case(file.build()[132..].to_vec()));
    write("image", "dicom-without-meta", &implicit.data_set());
    let wide: Vec<u16> = (0..256).map(|at| at * 16).collect();
    let words: Vec<u8> = wide.iter().flat_map(|word| word.to_le_bytes()).collect();
    let tags = |more: &[(u16, u16, u32)]| [image_samples::grey_tiff_tags(16, 16, 16, 1, 1), more.to_vec()].concat();
    write("image", "tiff-max-sample-value", &image_samples::tiff(&tags(&[(281, 3, 4095)]), &words));
    write("image", "tiff-two-pages", &two_pages(image_samples::tiff(&tags(&[]), &words)));
    write("image", "tiff-big", b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0");
    write("image", "jpeg-xl", b"\xff\x0a\x41\x12\x00\x00");
    write("image", "heic", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic");
    let lines: Vec<u8> = wide
        .chunks(16)
        .flat_map(|line| [vec![0], line.iter().flat_map(|word| word.to_be_bytes()).collect()].concat())
        .collect();
    let animation = image_samples::png_chunk(*b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let significant = image_samples::png_chunk(*b"sBIT", &[12]);
    let png = [
        image_samples::png_header(16, 16, 16, 0),
        animation,
        significant,
        image_samples::png_pixels(&lines),
        image_samples::png_end(),
    ];
    write("image", "png-animated-12-bits", &png.concat());
    write("image", "pnm-two-of-12-bits", &[&b"P5 16 16 4095\n"[..], &words, b"P5 16 16 4095\n", &words].concat());
    write("dicom", "nested", &nested(4)[132..]);
    for (name, format) in [
        ("png", ImageFormat::Png),
        ("jpeg", ImageFormat::Jpeg),
        ("bmp", ImageFormat::Bmp),
        ("tiff", ImageFormat::Tiff),
        ("webp", ImageFormat::WebP),
        ("gif", ImageFormat::Gif),
        ("pnm", ImageFormat::Pnm),
    ] {
        write("image", name, &encoded(format));
    }
    for (name, bytes) in table_seeds() {
        write("table", name, &bytes);
    }
    let folder = readers::bundle_folder();
    for (which, file) in [(0u8, "encoder.onnx"), (0, "decoder.onnx"), (2, "bundle.json"), (3, "bundle.json")] {
        let content = fs::read(folder.join(file)).unwrap();
        write("bundle", &format!("{which}-{file}"), &[&[which][..], &content].concat());
    }
    // The whole tokenizer is half a megabyte: one with a few words reads the same way.
    let tokenizer: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("tokenizer.json")).unwrap()).unwrap();
    let mut tokenizer = tokenizer;
    if let Some(vocabulary) = tokenizer.pointer_mut("/model/vocab").and_then(|vocab| vocab.as_object_mut()) {
        vocabulary.retain(|_, id| id.as_u64().is_some_and(|id| id < 120));
    }
    write("bundle", "1-tokenizer.json", &[&[1][..], tokenizer.to_string().as_bytes()].concat());
}

/// Tables in the forms that spreadsheets and databases write, right and wrong.
fn table_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let plain =
        "id,text,split\np1/a.png,\"Clear, no effusion.\",train\nM\u{fc}ller 1,\"two\nlines, \"\"so\"\" said\",test\n";
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
    let tabs = "\u{feff}id\ttext\r\na\tOne; two.\r\n\u{10348}\tThree.\r\n";
    vec![
        ("commas", plain.as_bytes().to_vec()),
        ("cr", plain.replace('\n', "\r").into_bytes()),
        ("semicolons", "\u{feff}sep=;\r\n\" ID \";Text\r\na;One.\r\n\r\n;;\r\n".into()),
        ("tabs", utf16(tabs, u16::to_le_bytes)),
        ("big-endian", utf16(tabs, u16::to_be_bytes)),
        ("unmarked", utf16("id|text\na|One.\n", u16::to_le_bytes)),
        ("half-a-unit", [utf16("\u{feff}path\na", u16::to_le_bytes), vec![0xd8]].concat()),
        (
            "one-column",
            "path\nDoe, John/1.png\nimages\\p1\\e\u{301}.PNG\n./../x.dcm\n/abs/a.png\nC:\\scans\\a.png\n".into(),
        ),
        ("quotes", "id,text\na,\"open\nb, \"spaced\"\nc,\"ends\" here\nd,5\" tube\n\"e".into()),
        ("ragged", b"id,text\na\nb,c,d\n,\n\0,\xff\nM\xfcller,x\n".to_vec()),
        ("headless", "p10000032/s1.png\np10000032/s2.png\n".into()),
        ("repeated", "id,ID,text,text\na,b,c,d\n".into()),
        ("sheet", b"PK\x03\x04\x14\0\x06\0\x08\0".to_vec()),
        ("utf-32", b"\xff\xfe\0\0i\0\0\0d\0\0\0\n\0\0\0".to_vec()),
    ]
}
