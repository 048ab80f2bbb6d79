//! Tests of the suite that are run longer, or held to a time, than a suite on a busy machine may be.

use anyhow::{Context, Result};

use super::programs::Programs;
use super::words::Words;
use crate::phases::succeeds;
use crate::python_checks;
use crate::test_suite::PROGRAMS;
use crate::workspace::Workspace;

/// Runs `prove fuzz-smoke [--seconds N]`: the fuzz targets' smoke run, with the stable compiler.
pub fn fuzz_smoke(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("fuzz-smoke", arguments, &["--seconds"], &[])?;
    let seconds = words.number("--seconds", 60u64)?;
    test(workspace, "fuzz_smoke", "", &[("XREPORT_FUZZ_SECONDS", &seconds.to_string())])
}

/// Runs `prove hostile [--seconds S]`: a file made to harm, alone, from the program's start to its end.
pub fn hostile(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("hostile", arguments, &["--seconds"], &[])?;
    let seconds = words.number("--seconds", 1.0f64)?;
    let programs = Programs::built(workspace)?;
    let folder = programs.path("xreport")?.parent().context("a built program lies in a folder")?;
    let folder = folder.to_str().context("the path of the source tree is not UTF-8")?;
    let settings = [("XREPORT_HOSTILE_SECONDS", &*seconds.to_string()), (PROGRAMS, folder)];
    test(workspace, "end_to_end", "hostile::", &settings)
}

/// Runs `prove dicom-files`: every DICOM file that pydicom ships, against pydicom; writes `tests/dicom-files.md`.
pub fn dicom_files(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    Words::parse("dicom-files", arguments, &[], &[])?;
    python_checks::ensure_linked(workspace)?;
    test(workspace, "pydicom_files", "", &[("XREPORT_WRITE_DICOM_FILES", "1")])
}

/// Runs `prove fewer-bits [--images N]`: radiographs of 10 and 12 bits in files that say otherwise.
pub fn fewer_bits(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("fewer-bits", arguments, &["--images"], &[])?;
    let images = words.number("--images", 80usize)?;
    test(workspace, "fewer_bits", "", &[("XREPORT_FEWER_BITS_IMAGES", &images.to_string())])
}

/// Runs one target's tests, one after the other, so that each has its time to itself; their output is shown.
fn test(workspace: &Workspace, target: &str, filter: &str, settings: &[(&str, &str)]) -> Result<bool> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--package", "xreport-tests", "--test", target, "--", filter]);
    succeeds(cargo.args(["--nocapture", "--test-threads=1"]).envs(settings.iter().copied()))
}
