//! Files made to harm: each fails by name, within little memory, and its neighbours are drafted.

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use image::GrayImage;

use crate::bad_input::{crc32, within_memory};
use crate::dicom_samples::{COLUMNS, DEFLATED, DicomFile, RLE, ROWS, claiming, nested, raw, rle};
use crate::scenes;
use crate::trained::with_model;
use crate::watched::Watched;
use crate::workplace::{Workplace, tiny_settings};

fn radiograph() -> DicomFile {
    DicomFile::grey(64, 64, 12, &(0..4096).collect::<Vec<u16>>())
}

/// A file of exactly `bytes` bytes whose last element claims to hold 4 GB.
fn claims_4_gigabytes(bytes: usize) -> Vec<u8> {
    let head = raw(&claiming((0x0009, 0x0010), *b"UN", 0xFFFF_FFFE, &[])).len();
    raw(&claiming((0x0009, 0x0010), *b"UN", 0xFFFF_FFFE, &vec![0; bytes - head]))
}

fn truncated_jpeg() -> Vec<u8> {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    GrayImage::from_fn(64, 64, |x, y| image::Luma([((x * 37) ^ (y * 91)) as u8]))
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let mut jpeg = jpeg.into_inner();
    jpeg.truncate(jpeg.len() / 2);
    radiograph().encapsulated("1.2.840.10008.1.2.4.50", &[jpeg]).build()
}

/// `megabytes` of zeros, compressed for a PNG's chunk.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

/// A sound PNG with chunks of that kind before its pixels.
fn png_with(kind: [u8; 4], head: &[u8], bomb: &[u8], count: usize) -> Vec<u8> {
    const AFTER_HEADER: usize = 8 + 25;
    let mut png = std::io::Cursor::new(Vec::new());
    scenes::image(3).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let png = png.into_inner();
    let content = [&kind[..], head, bomb].concat();
    let length = ((content.len() - 4) as u32).to_be_bytes();
    let chunk = [&length[..], &content, &crc32(&content).to_be_bytes()].concat();
    [&png[..AFTER_HEADER], &chunk.repeat(count), &png[AFTER_HEADER..]].concat()
}

/// Each with what is said of it.
fn write_hostile_files(place: &Workplace, folder: &str) -> Vec<(&'static str, &'static str)> {
    let vast = radiograph().number(ROWS, 65_535).number(COLUMNS, 65_535);
    let many_frames = radiograph().text((0x0028, 0x0008), "IS", "2147483647").encapsulated(RLE, &[]);
    let files = [
        ("claims.dcm", "claims 4294967294 bytes", claims_4_gigabytes(488)),
        ("nested.dcm", "nested more than 16 deep", nested(100_000)),
        ("vast.dcm", "too large: found 65535×65535", vast.encapsulated(RLE, &[rle(&[0; 4096])]).build()),
        ("polyglot.dcm", "a Windows program as well as a DICOM file", radiograph().preamble(b"MZ\x90\0").build()),
        ("truncated.dcm", "is damaged", truncated_jpeg()),
        ("frames.dcm", "is damaged", many_frames.build()),
        (
            "inflates.dcm",
            "inflates to more than",
            DicomFile::grey(64, 64, 12, &vec![0; 70_000_000]).syntax(DEFLATED).build(),
        ),
    ];
    let mut said = Vec::new();
    for (name, reason, bytes) in files {
        place.write(&format!("{folder}/{name}"), bytes);
        said.push((name, reason));
    }
    said
}

#[test]
fn hostile_files_fail_by_name_within_memory_and_the_neighbours_are_drafted() {
    let place = with_model();
    assert_eq!(claims_4_gigabytes(488).len(), 488);
    let hostile = write_hostile_files(&place, "data/images");
    let line = "generate data/images --model model --out drafts.csv";
    let run = within_memory(&place, "xreport", line).expect_code(1);
    assert!(run.stderr.contains(&format!("32 reports drafted, {} failed", hostile.len())), "{run}");
    let rows = place.csv("drafts.csv");
    for (name, said) in &hostile {
        let row = rows.iter().find(|row| &row["id"] == *name).unwrap_or_else(|| panic!("no row for {name}"));
        assert!(row["error"].contains(name) && row["error"].contains(said), "{name}: {}", &row["error"]);
    }
    assert_eq!(rows.iter().filter(|row| &row["status"] == "ok").count(), 32);
    for secret in ["Secret", "4711"] {
        assert!(!run.stderr.contains(secret) && !place.read("drafts.csv").contains(secret), "{secret}");
    }
}

/// Each alone; with `XREPORT_HOSTILE_SECONDS` the time from the program's start to its end is held to that.
#[test]
fn each_hostile_file_alone_is_told_at_once() {
    let most = std::env::var("XREPORT_HOSTILE_SECONDS").ok().map(|text| text.parse::<f64>().expect("seconds"));
    let place = with_model();
    for (name, said) in write_hostile_files(&place, "alone") {
        let started = Instant::now();
        let line = format!("generate alone/{name} --model model --out {name}.csv");
        let (run, peak) = Watched::start(&mut place.command("xreport", &line)).end();
        let seconds = started.elapsed().as_secs_f64();
        let run = run.expect_code(1);
        assert!(run.stderr.contains(said), "{name}: {run}");
        let peak = peak.map_or("unknown".to_owned(), |kilobytes| format!("{} MB", kilobytes / 1000));
        println!("   {name:<16} {said:<45} {seconds:.2} s, {peak}");
        if let Some(most) = most {
            assert!(seconds < most, "{name}: {seconds:.2} s");
        }
    }
}

#[test]
fn compressed_text_in_a_png_is_not_unpacked() {
    let place = with_model();
    let bomb = bomb(1024);
    // Keyword, null, method (and for iTXt: flag, method, two empty tags): what the chunk holds is a gigabyte of zeros.
    fs::create_dir_all(place.path("in")).unwrap();
    place.write("in/ztxt.png", png_with(*b"zTXt", b"Comment\0\0", &bomb, 20));
    place.write("in/itxt.png", png_with(*b"iTXt", b"Comment\0\x01\0\0\0", &bomb, 20));
    place.write("in/iccp.png", png_with(*b"iCCP", b"Profile\0\0", &bomb, 1));
    scenes::image(3).save(place.path("in/plain.png")).unwrap();
    let run = within_memory(&place, "xreport", "generate in --model model --out drafts.csv");
    assert!(matches!(run.code, Some(0 | 1)), "{run}");
    let rows = place.csv("drafts.csv");
    let plain = rows.iter().find(|row| &row["id"] == "plain.png").unwrap();
    assert_eq!(&plain["status"], "ok");
    // Whoever is drafted has the text of its pixels.
    for row in rows.iter().filter(|row| &row["status"] == "ok") {
        assert_eq!(row["text"], plain["text"], "{}", &row["id"]);
    }
}

#[test]
fn training_leaves_hostile_files_out() {
    let place = Workplace::with_data(12, &[]);
    place.write("settings.json", tiny_settings(&[]));
    let hostile = write_hostile_files(&place, "data/images");
    let mut table = place.read("data/XREPORT_dataset.csv");
    for (name, _) in &hostile {
        table += &format!("{name},A text.\n");
    }
    place.write("data/XREPORT_dataset.csv", table);
    let run = within_memory(&place, "xreport-train", "train --data data --settings settings.json --out run");
    let run = run.expect_code(0);
    assert!(run.stderr.contains(&format!("{} images cannot be read", hostile.len())), "{run}");
}
