//! Five files of a hundred cannot be read: the others are done as fast as without them.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::batch;
use super::figures::{Figures, median_ratio};
use super::programs::{self, Programs};
use super::words::Words;
use crate::workspace::Workspace;

/// One of so many cannot be read.
const BAD: usize = 20;
/// Throughput of the readable images, of that without the others, at least.
const LEAST: f64 = 0.9;

/// The proof: `[--images N] [--rounds N] [--bundle DIR]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("batch-bad-files", arguments, &["--images", "--rounds", "--bundle"], &[])?;
    let (images, rounds) = (words.number("--images", 400usize)?, words.number("--rounds", 5usize)?);
    let (programs, bundle) = (Programs::built(workspace)?, batch::bundle(workspace, &words)?);
    let folder = programs::folder(workspace, "batch-bad-files")?;
    for set in ["good", "some-bad"] {
        batch::images(&folder.join(set), images)?;
    }
    // Cut in the middle, no image at all, empty: in turn.
    let bad: Vec<usize> = (3..images).step_by(BAD).collect();
    for (turn, &index) in bad.iter().enumerate() {
        let path = batch::image_path(&folder.join("some-bad"), index);
        let whole = fs::read(&path)?;
        fs::write(&path, [&whole[..whole.len() / 2], b"no image", b""][turn % 3])?;
    }
    let (mut good, mut some_bad) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        good.push(images as f64 / seconds(&programs, &folder, &bundle, "good", round, 0)?);
        some_bad.push((images - bad.len()) as f64 / seconds(&programs, &folder, &bundle, "some-bad", round, 1)?);
        println!("   reports/s: {:.1} without, {:.1} with bad files", good[round], some_bad[round]);
    }
    let ratio = median_ratio(&some_bad, &good);
    let mut figures = Figures::default();
    figures.inform("files that cannot be read", format!("{} of {images}", bad.len()));
    figures.target(
        "reports/s of the others, over those without bad files (median of rounds)",
        format!("{ratio:.2}"),
        format!("≥ {LEAST}"),
        ratio >= LEAST,
    );
    Ok(figures.conclude())
}

fn seconds(programs: &Programs, folder: &Path, bundle: &Path, set: &str, round: usize, code: i32) -> Result<f64> {
    let words = format!("generate {set} --device cpu --out {set}-{round}.csv --model");
    let mut command = programs.command("xreport", folder, &words)?;
    command.arg(bundle).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().context("the program cannot be started")?;
    ensure!(status.code() == Some(code), "{command:?}: exit code {code} expected, found {status}");
    Ok(started.elapsed().as_secs_f64())
}
