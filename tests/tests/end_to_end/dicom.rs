//! DICOM through the real programs: mixed folders, training, the gate.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use xreport_models::bundle::Bundle;
use xreport_models::image::{Gate, GateMode, Views};

use crate::dicom_samples::{BITS_ALLOCATED, BODY_PART, DicomFile, VIEW_POSITION, WINDOW_CENTER, WINDOW_WIDTH};
use crate::scenes;
use crate::trained::with_model;
use crate::workplace::{Workplace, tiny_settings};

/// A scene as a chest radiograph whose window shows each value as the PNG does.
fn scene(index: usize) -> DicomFile {
    let image = scenes::image(index);
    DicomFile::grey(image.width() as u16, image.height() as u16, 8, &[])
        .number(BITS_ALLOCATED, 8)
        .pixels_of_8_bits(image.as_raw())
        .text(WINDOW_CENTER, "DS", "128")
        .text(WINDOW_WIDTH, "DS", "256")
}

#[test]
fn a_folder_that_mixes_formats_is_drafted_whole() {
    let place = with_model();
    place.write("in/0.dcm", scene(0).build());
    // As archives name them: a UID, or nothing that looks like an extension.
    place.write("in/1.2.840.10008.1", scene(1).build());
    place.write("in/deep/IM000002", scene(2).build());
    fs::copy(place.path("data/images/s03.png"), place.path("in/3.png")).unwrap();
    scenes::image(4).save(place.path("in/4.jpg")).unwrap();
    place.write("in/DICOMDIR.txt", "no image");
    let run = place.xreport("generate in --model model --out drafts.csv").expect_code(0);
    assert!(run.stderr.contains("5 reports drafted, 0 failed, 1 other files passed over"), "{run}");
    let rows = place.csv("drafts.csv");
    let ids: Vec<&str> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["0.dcm", "1.2.840.10008.1", "3.png", "4.jpg", "deep/IM000002"]);
    assert!(rows.iter().all(|row| row["warnings"].is_empty()), "{run}");
    // The same pixels, the same words, whatever the file.
    place.xreport("generate data/images --model model --out pngs.csv").expect_code(0);
    let pngs = place.csv("pngs.csv");
    for (id, index) in [("0.dcm", 0), ("1.2.840.10008.1", 1), ("deep/IM000002", 2), ("3.png", 3)] {
        let row = rows.iter().find(|row| row["id"] == *id).unwrap();
        for column in ["text", "tokens", "mean_log_probability"] {
            assert_eq!(row[column], pngs[index][column], "{id}: {column}");
        }
    }
}

#[test]
fn training_runs_on_dicom_and_its_pixels_are_the_runtimes() {
    let place = Workplace::new();
    place.write("settings.json", tiny_settings(&[("dataset.VALIDATION_SIZE", json!(0.25))]));
    let mut table = String::from("id,text\n");
    for index in 0..12 {
        // One lateral view: counted, not left out.
        let file = if index == 5 { scene(index).text(VIEW_POSITION, "CS", "LL") } else { scene(index) };
        let name = if index % 2 == 0 { format!("p{index}/1.2.840.{index}") } else { format!("p{index}/image.dcm") };
        place.write(&format!("data/images/{name}"), file.build());
        table += &format!("{},\"{}\"\n", name.trim_end_matches(".dcm"), scenes::text(index));
    }
    place.write("data/XREPORT_dataset.csv", table);
    let run = place.train("train --data data --settings settings.json --out run").expect_code(0);
    assert!(run.stderr.starts_with("12 studies\n") && run.stderr.contains("minds 1 lateral-view"), "{run}");
    assert!(!run.stderr.contains("Secret") && !run.stderr.contains("4711"), "{run}");
    let manifest = place.json("run/bundle/bundle.json");
    assert_eq!(manifest["preprocessing"]["dicom"], "voi-or-percentile-1");

    // The trainer keeps its pixels in a cache: after 8 bytes the pixels, then JSON that names them, its digest and its length
    // (see trainer/src/data/cache.rs).
    let preprocessing = Bundle::load(&place.path("run/bundle")).unwrap().manifest().preprocessing.clone();
    let cache = place.files("data/.xreport-cache").pop().unwrap();
    let cache = fs::read(place.path("data/.xreport-cache").join(cache)).unwrap();
    let trailer = cache.len() - 40;
    let length = u64::from_le_bytes(cache[trailer + 32..].try_into().unwrap()) as usize;
    let index: Value = serde_json::from_slice(&cache[trailer - length..trailer]).unwrap();
    let pixels = cache[8..trailer - length].chunks_exact(preprocessing.len());
    let entries = index["entries"].as_array().unwrap();
    assert_eq!((entries.len(), pixels.len()), (12, 12));
    for (entry, trained) in entries.iter().zip(pixels) {
        let file = place.path("data/images").join(entry["file"].as_str().unwrap());
        let gate = Gate { mode: GateMode::Off, views: Views::All };
        let drafted = preprocessing.admit(&file, gate).unwrap().pixels;
        assert_eq!(Sha256::digest(&drafted), Sha256::digest(trained), "{}", file.display());
    }

    // The counts come from the cache, too.
    let run = place.train("train --data data --settings settings.json --out again").expect_code(0);
    assert!(run.stderr.contains("minds 1 lateral-view"), "{run}");
    place.xreport("generate data/images --model run --views all --out drafts.csv").expect_code(0);
    assert_eq!(place.csv("drafts.csv").len(), 12);
}

#[test]
fn the_gate_refuses_by_default_and_does_as_it_is_told() {
    let place = with_model();
    place.write("in/chest.dcm", scene(0).build());
    place.write("in/hip.dcm", scene(1).text(BODY_PART, "CS", "HIP").build());
    place.write("in/lateral.dcm", scene(2).text(VIEW_POSITION, "CS", "LL").build());
    place.write("in/shut/black.dcm", scene(0).pixels_of_8_bits(&[7; 54 * 48]).build());
    let generate = |options: &str, code: i32| {
        let run =
            place.xreport(&format!("generate in --model model --out drafts.csv --fresh {options}")).expect_code(code);
        assert!(!run.stderr.contains("Secret") && !run.stderr.contains("4711"), "{run}");
        (run, place.csv("drafts.csv"))
    };
    let (run, rows) = generate("", 1);
    assert!(run.stderr.contains("1 reports drafted, 3 failed"), "{run}");
    for (row, reason) in rows[1..].iter().zip(["body part HIP", "view LL", "all pixels alike"]) {
        assert!(row["error"].contains(reason) && row["text"].is_empty(), "{}", &row["error"]);
    }
    let (run, rows) = generate("--gate warn", 0);
    for (row, reason) in rows[1..].iter().zip(["body part HIP", "view LL", "all pixels alike"]) {
        assert!(row["warnings"].contains(reason) && !row["text"].is_empty(), "{}", &row["warnings"]);
        assert!(run.stderr.contains(&format!("warning: `{}`: {}", &row["id"], &row["warnings"])), "{run}");
    }
    let (run, rows) = generate("--gate off", 0);
    assert!(rows.iter().all(|row| row["warnings"].is_empty()) && !run.stderr.contains("warning"), "{run}");
    let (_, rows) = generate("--views all", 1);
    let status: Vec<&str> = rows.iter().map(|row| &row["status"]).collect();
    assert_eq!(status, ["ok", "failed", "ok", "failed"]);
    let wrong = place.xreport("generate in --model model --out other.csv --gate closed").expect_code(2);
    assert!(wrong.stderr.contains("strict, warn or off"), "{wrong}");
}
