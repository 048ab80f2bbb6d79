//! Radiographs of 10 and 12 bits in files that say otherwise: the same drafts as from the 8-bit original, or a refusal; none
//! that differs without a word.
//!
//! On 6 radiographs in the suite, on 80 by `cargo xtask prove fewer-bits`. They lie beside the tree; without them the test is
//! skipped.
#![allow(clippy::unwrap_used, reason = "a test whose scene cannot be set has failed")]

#[path = "../../models/src/image/dicom/samples.rs"]
#[allow(dead_code, reason = "shared with the unit tests of `models`, which use the rest")]
mod dicom_samples;
#[path = "../../models/src/image/samples.rs"]
#[allow(dead_code, reason = "as above")]
mod image_samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dicom_samples::{DicomFile, VOI_LUT};
use serde_json::Value;
use xreport_models::image::{Limits, Raster, decode, read_file};
use xreport_tests::{Run, command, root, shared};

/// How many radiographs are tried.
const IMAGES: &str = "XREPORT_FEWER_BITS_IMAGES";

/// A form of a picture of 8 bits, 0 to 255.
type Form = fn(width: u16, height: u16, grey: &[u8]) -> Vec<u8>;

const FORMS: [(&str, Form); 6] = [
    ("10-bits.png", |width, height, grey| png16(width, height, grey, 10)),
    ("12-bits.png", |width, height, grey| png16(width, height, grey, 12)),
    ("12-bits.tif", |width, height, grey| tiff16(width, height, grey, &[])),
    ("12-bits-told.tif", |width, height, grey| tiff16(width, height, grey, &[(281, 3, 4095)])),
    ("short-table.dcm", |width, height, grey| with_table(width, height, grey, [1024, 0, 8], 1000)),
    ("promising-table.dcm", |width, height, grey| with_table(width, height, grey, [1024, 0, 16], 1024)),
];

/// The value of `bits` bits that stands for a grey value.
fn widened(grey: u8, bits: u32) -> u16 {
    let white = (1u32 << bits) - 1;
    ((u32::from(grey) * white + 127) / 255) as u16
}

fn png16(width: u16, height: u16, grey: &[u8], bits: u32) -> Vec<u8> {
    let samples = grey.iter().map(|&grey| widened(grey, bits)).collect();
    let picture = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_raw(width.into(), height.into(), samples);
    image_samples::encode(&picture.unwrap().into(), image::ImageFormat::Png)
}

fn tiff16(width: u16, height: u16, grey: &[u8], more: &[(u16, u16, u32)]) -> Vec<u8> {
    let samples: Vec<u8> = grey.iter().flat_map(|&grey| widened(grey, 12).to_le_bytes()).collect();
    let tags = [image_samples::grey_tiff_tags(width.into(), height.into(), 16, 1, 1), more.to_vec()].concat();
    image_samples::tiff(&tags, &samples)
}

/// 10 bits whose table has 8-bit entries, in words: the first `entries` of 1,024.
fn with_table(width: u16, height: u16, grey: &[u8], descriptor: [u16; 3], entries: u16) -> Vec<u8> {
    let stored: Vec<u16> = grey.iter().map(|&grey| (u16::from(grey) << 2) | (u16::from(grey) >> 6)).collect();
    let table: Vec<u8> = (0..entries).flat_map(|value| (value >> 2).to_le_bytes()).collect();
    DicomFile::grey(width, height, 10, &stored).lut_as(VOI_LUT, "US", descriptor, "OW", table).build()
}

/// The radiographs of children beside the tree, evenly taken, as files of 8-bit grey.
fn radiographs(count: usize) -> Option<Vec<(String, Raster)>> {
    let mut files = Vec::new();
    walk(&shared("data/pneumonia")?, &mut files);
    files.sort();
    let step = (files.len() / count).max(1);
    let chosen = files.iter().step_by(step).take(count).enumerate();
    let read = |(at, path): (usize, &PathBuf)| {
        let raster = decode(&read_file(path, &Limits::default()).unwrap(), path, 1, &Limits::default()).unwrap();
        (format!("{at:03}"), raster)
    };
    Some(chosen.map(read).collect())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "jpeg" || extension == "jpg") {
            files.push(path);
        }
    }
}

/// Status, text and warnings of each image of a folder, by its file name.
fn drafts(images: &Path, out: &Path) -> BTreeMap<String, (String, String, String)> {
    let mut command = command("xreport");
    command.arg("generate").arg(images).arg("--model").arg(root().join("models/radiographs")).arg("--out").arg(out);
    let run = Run::of(command.args(["--batch-size", "1"]));
    assert!(matches!(run.code, Some(0 | 1)), "{run}");
    let rows = fs::read_to_string(out).unwrap();
    rows.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            (text("id"), (text("status"), text("text"), text("warnings")))
        })
        .collect()
}

#[test]
fn fewer_bits_than_said_change_no_draft_without_a_word() {
    let count = std::env::var(IMAGES).map_or(6, |text| text.parse().unwrap());
    let Some(radiographs) = radiographs(count) else { return };
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    for (name, raster) in &radiographs {
        let grey: Vec<u8> = raster.samples().iter().map(|&sample| (sample / 257) as u8).collect();
        let (width, height) = (raster.width() as u16, raster.height() as u16);
        let original = image::GrayImage::from_raw(width.into(), height.into(), grey.clone()).unwrap();
        original.save(images.join(format!("{name}-original.png"))).unwrap();
        for (form, make) in FORMS {
            fs::write(images.join(format!("{name}-{form}")), make(width, height, &grey)).unwrap();
        }
    }
    let drafts = drafts(&images, &folder.path().join("reports.jsonl"));
    assert_eq!(drafts.len(), radiographs.len() * (1 + FORMS.len()));
    let mut silent = Vec::new();
    for (form, _) in FORMS {
        let (mut same, mut refused, mut told) = (0, 0, 0);
        for (name, _) in &radiographs {
            let (status, original, _) = &drafts[&format!("{name}-original.png")];
            assert_eq!(status, "ok", "{name}");
            match &drafts[&format!("{name}-{form}")] {
                (status, text, _) if status == "ok" && text == original => same += 1,
                (status, ..) if status != "ok" => refused += 1,
                (_, _, warnings) if !warnings.is_empty() => told += 1,
                _ => silent.push(format!("{name}-{form}")),
            }
        }
        println!(
            "{form:<20} of {}: {same} the same draft, {refused} refused, {told} another with a warning",
            radiographs.len()
        );
    }
    assert!(silent.is_empty(), "another draft without a word: {silent:?}");
}
