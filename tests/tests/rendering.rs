//! DICOM files rendered, held against pydicom, and against what their tags call for.
#![allow(clippy::unwrap_used, reason = "a test whose scene cannot be set has failed")]
#![allow(clippy::print_stderr, reason = "shows the figures that are checked")]

#[path = "../../models/src/image/dicom/samples.rs"]
#[allow(dead_code, reason = "shared with the unit tests of `models`, which use the rest")]
mod samples;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use samples::{
    BIG_ENDIAN, DEFLATED, DicomFile, HIGH_BIT, IMPLICIT, INTERCEPT, MODALITY_LUT, PADDING, PHOTOMETRIC, RLE, SHAPE,
    SIGNED, SLOPE, VOI_LUT, WINDOW_CENTER, WINDOW_FUNCTION, WINDOW_WIDTH, rle,
};
use serde_json::Value;
use xreport_models::image::{Limits, Raster, decode};
use xreport_tests::{Run, python_of_the_checks, root, shared, skipped};

fn rendered(path: &Path) -> Raster {
    decode(&fs::read(path).unwrap(), path, 1, &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The DICOM files beside the tree, by name.
fn shared_files() -> Option<Vec<PathBuf>> {
    let folder = shared("data/dicom")?;
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "dcm"));
    files.sort();
    Some(files)
}

/// Noise of `bits` bits that is the same at every call, 61 × 47 pixels: no side divides by 8.
const SIDES: (u16, u16) = (61, 47);
fn noise(bits: u32) -> Vec<u16> {
    let spread = |at: u32| (at.wrapping_mul(2_654_435_761) >> (32 - bits)) as u16;
    (0..u32::from(SIDES.0) * u32::from(SIDES.1)).map(spread).collect()
}

/// Every way through the rendering, with a name.
fn synthetic() -> Vec<(&'static str, DicomFile)> {
    let file = |bits: u16| DicomFile::grey(SIDES.0, SIDES.1, bits, &noise(bits.into()));
    let window = |file: DicomFile, center: &str, width: &str| {
        file.text(WINDOW_CENTER, "DS", center).text(WINDOW_WIDTH, "DS", width)
    };
    let curve: Vec<u16> = (0..1024u32).map(|at| (at * at / 256) as u16).collect();
    vec![
        ("percentiles", file(12)),
        ("percentiles-monochrome1", file(14).text(PHOTOMETRIC, "CS", "MONOCHROME1")),
        ("percentiles-padded", file(10).number(PADDING, 17)),
        ("linear", window(file(12), "1800", "900")),
        ("linear-several", window(file(12), "1800\\100", "900\\10")),
        ("linear-exact", window(file(12), "1800.5", "900").text(WINDOW_FUNCTION, "CS", "LINEAR_EXACT")),
        ("sigmoid", window(file(12), "1800", "900").text(WINDOW_FUNCTION, "CS", "SIGMOID")),
        ("width-1", window(file(12), "1800", "1")),
        ("16-bits", window(file(16), "30000", "40000")),
        (
            "9-bits-high",
            window(
                DicomFile::grey(SIDES.0, SIDES.1, 9, &noise(9).iter().map(|v| v << 3).collect::<Vec<_>>())
                    .number(HIGH_BIT, 11),
                "200",
                "300",
            ),
        ),
        (
            "signed-rescaled",
            window(file(12).number(SIGNED, 1).text(SLOPE, "DS", "1.5").text(INTERCEPT, "DS", "-300"), "-200", "2000"),
        ),
        (
            "inverse-shape",
            window(file(12), "1800", "900").text(PHOTOMETRIC, "CS", "MONOCHROME1").text(SHAPE, "CS", "INVERSE"),
        ),
        ("voi-lut", file(10).lut(VOI_LUT, 0, 12, &curve)),
        ("voi-lut-cut", file(12).lut(VOI_LUT, 900, 12, &curve)),
        ("modality-lut", window(file(10).lut(MODALITY_LUT, 0, 16, &curve), "1800", "3000")),
        ("implicit", window(file(12), "1800", "900").syntax(IMPLICIT)),
        ("big-endian", window(file(12), "1800", "900").syntax(BIG_ENDIAN)),
        ("deflated", window(file(12), "1800", "900").syntax(DEFLATED)),
        ("rle", window(file(12), "1800", "900").encapsulated(RLE, &[rle(&noise(12))])),
    ]
}

/// pydicom's verdict on each file, in their order.
fn compared(python: &Path, folder: &Path, files: &[PathBuf]) -> Vec<Value> {
    let mut command = Command::new(python);
    command.arg(root().join("tests/python/render_dicom.py"));
    for (at, path) in files.iter().enumerate() {
        let samples: Vec<u8> = rendered(path).samples().iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let grey = folder.join(format!("{at}.grey"));
        fs::write(&grey, samples).unwrap();
        command.arg(path).arg(grey);
    }
    let run = Run::of(&mut command).expect_code(0);
    let found: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run}"));
    files.iter().map(|path| found[path.to_str().unwrap()].clone()).collect()
}

fn expect_equal(files: &[PathBuf], reports: &[Value], undecodable: &[&str]) {
    for (path, report) in files.iter().zip(reports) {
        let name = path.file_name().unwrap().to_string_lossy();
        if undecodable.contains(&&*name) {
            assert!(report["undecodable"].is_string(), "pydicom decodes {name} now: hold it against that, {report}");
            continue;
        }
        let worst = report["worst"].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
        eprintln!("{name}: {report}");
        assert!(worst <= 1.0, "{name}: {report}");
    }
}

#[test]
fn pydicom_renders_the_same() {
    let Some(python) = python_of_the_checks() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, file) in synthetic() {
        let path = folder.path().join(format!("{name}.dcm"));
        fs::write(&path, file.build()).unwrap();
        files.push(path);
    }
    let reports = compared(&python, folder.path(), &files);
    expect_equal(&files, &reports, &[]);

    // The check must be able to fail: another window than the file's.
    let [grey, other] = [&synthetic()[3].1, &synthetic()[7].1].map(DicomFile::build);
    fs::write(folder.path().join("linear.dcm"), other).unwrap();
    let mut command = Command::new(&python);
    let run = command.arg(root().join("tests/python/render_dicom.py")).arg(folder.path().join("linear.dcm"));
    let run = Run::of(run.arg(folder.path().join("3.grey"))).expect_code(0);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(found.as_object().unwrap().values().all(|report| report["worst"].as_f64() > Some(1.0)), "{found}");
    assert!(!grey.is_empty());
}

#[test]
fn pydicom_renders_real_files_the_same() {
    let Some(python) = python_of_the_checks() else { return };
    let Some(files) = shared_files() else { return };
    let folder = tempfile::tempdir().unwrap();
    let reports = compared(&python, folder.path(), &files);
    // 12-bit JPEG: no decoder of pydicom's takes it.
    expect_equal(&files, &reports, &["RG2_JPLY.dcm", "RG3_JPLY.dcm"]);
}

#[test]
fn every_real_file_renders() {
    let Some(files) = shared_files() else { return };
    assert!(files.len() >= 10, "{files:?}");
    for path in files {
        let raster = rendered(&path);
        assert!(raster.width() > 100 && !raster.is_constant(), "{}", path.display());
    }
}

#[test]
fn lossy_12_bit_jpeg_is_close_to_its_lossless_twin() {
    let Some(files) = shared_files() else { return };
    let of = |name: &str| files.iter().find(|path| path.ends_with(name)).map(|path| rendered(path));
    let (Some(lossy), Some(lossless)) = (of("RG2_JPLY.dcm"), of("RG2_JPLL.dcm")) else {
        return skipped("RG2_JPLY.dcm or RG2_JPLL.dcm is not among the shared files");
    };
    let differences = lossy.samples().iter().zip(lossless.samples()).map(|(a, b)| u64::from(a.abs_diff(*b)));
    let mean = differences.clone().sum::<u64>() as f64 / lossy.samples().len() as f64 / 257.0;
    eprintln!("12-bit JPEG against lossless: mean {mean:.3} of 255, worst {}", differences.max().unwrap() / 257);
    assert!(mean < 1.0, "{mean} levels of 255");
}

#[test]
fn the_monochrome1_twin_is_the_complement() {
    let Some(files) = shared_files() else { return };
    let of = |name: &str| files.iter().find(|path| path.to_string_lossy().contains(name)).map(|path| rendered(path));
    let (Some(first), Some(second)) = (of("txv_siim_MONOCHROME1"), of("txv_siim_MONOCHROME2")) else {
        return skipped("the MONOCHROME1 and MONOCHROME2 twins are not among the shared files");
    };
    // The pixels are the same and the tags are not: what one shows white the other shows black.
    let worst = first.samples().iter().zip(second.samples()).map(|(a, b)| (65_535 - a).abs_diff(*b)).max();
    assert!(worst.unwrap() <= 1, "{worst:?}");
}
