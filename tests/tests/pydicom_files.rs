//! Every DICOM file that pydicom and pydicom-data ship: rendered as pydicom renders it, or refused or told with a reason.
//!
//! What becomes of each stands in `tests/dicom-files.md`, which `cargo xtask prove dicom-files` writes anew.
#![allow(clippy::unwrap_used, reason = "a test whose scene cannot be set has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use xreport_models::image::{Concern, Gate, GateMode, Limits, Preprocessing, Views, decode_picture};
use xreport_tests::{Run, python_of_the_checks, root};

/// Set by `cargo xtask prove dicom-files`: the table is written, not compared.
const WRITE: &str = "XREPORT_WRITE_DICOM_FILES";
/// Grey levels of 255 by which two correct renderings may differ.
const TOLERANCE: f64 = 1.0;

const HEAD: &str = "\
# What becomes of the DICOM files that pydicom ships

Every file of pydicom 3.0.2 and pydicom-data 1.0.0 that pydicom reads, most of them no radiographs. Written by
`cargo xtask prove dicom-files`; a test of the suite holds it to the truth. *Apart*: the largest difference between our rendering
and pydicom's, in grey levels of 255; a dash where pydicom decodes no picture. *Told or refused*: what the input gate says, or why
there is no picture here. A file that is rendered otherwise than by pydicom, by more than 1 level, must be told or refused.

| file | what it is | apart | told or refused |
|---|---|---|---|
";

fn run(python: &Path, words: &[&str]) -> Value {
    let mut command = Command::new(python);
    let run = Run::of(command.arg(root().join("tests/python/pydicom_files.py")).args(words)).expect_code(0);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"))
}

/// A file as it is rendered here: what is told of it, and where its grey values lie; or why there are none.
fn rendered(path: &Path, to: PathBuf) -> Result<(Vec<Concern>, PathBuf), String> {
    let bytes = fs::read(path).unwrap();
    let gate = Gate { mode: GateMode::Warn, views: Views::Frontal };
    let reason = |error: xreport_models::image::ImageError| {
        error.to_string().lines().next().unwrap().replace(&format!("`{}`", path.display()), "it")
    };
    let picture = decode_picture(&bytes, path, 1, &Limits::default()).map_err(reason)?;
    let concerns = Preprocessing::grey(8, 8).admit_bytes(&bytes, path, gate).map_err(reason)?.concerns;
    fs::write(&to, picture.raster.samples().iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>())
        .unwrap();
    Ok((concerns, to))
}

#[test]
fn what_pydicom_ships_is_rendered_alike_or_told() {
    let Some(python) = python_of_the_checks() else { return };
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<(String, PathBuf)> = serde_json::from_value(run(&python, &["list"])).unwrap();
    assert!(files.len() >= 235, "{} files: are pydicom and pydicom-data there?", files.len());
    let ours: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(at, (_, path))| rendered(path, folder.path().join(format!("{at}.grey"))))
        .collect();
    let pairs: Vec<Value> = files
        .iter()
        .zip(&ours)
        .map(|((_, path), ours)| json!([path, ours.as_ref().ok().map(|(_, grey)| grey)]))
        .collect();
    let list = folder.path().join("pairs.json");
    fs::write(&list, Value::from(pairs).to_string()).unwrap();
    let theirs: Vec<Value> = serde_json::from_value(run(&python, &["compare", list.to_str().unwrap()])).unwrap();

    let mut table = HEAD.to_owned();
    let mut wrong = Vec::new();
    for (((name, _), ours), theirs) in files.iter().zip(&ours).zip(&theirs) {
        let worst = theirs["worst"].as_f64();
        let told = match ours {
            Ok((concerns, _)) => concerns.iter().map(Concern::to_string).collect::<Vec<_>>().join("; "),
            Err(reason) => reason.clone(),
        };
        if told.is_empty() && worst.is_none_or(|worst| worst > TOLERANCE) {
            wrong.push(format!("{name}: {theirs}"));
        }
        let apart = worst.map_or_else(|| "–".to_owned(), |worst| format!("{worst:.1}"));
        writeln!(table, "| {name} | {} | {apart} | {told} |", theirs["what"].as_str().unwrap()).unwrap();
    }
    assert!(wrong.is_empty(), "rendered otherwise without a word:\n{}", wrong.join("\n"));
    let path = root().join("tests/dicom-files.md");
    if std::env::var_os(WRITE).is_some() {
        fs::write(path, table).unwrap();
    } else {
        let kept = fs::read_to_string(path).unwrap();
        let other = table.lines().zip(kept.lines()).find(|(new, old)| new != old);
        assert!(other.is_none() && table == kept, "{other:?}\nrenew it: cargo xtask prove dicom-files");
    }
}
