//! A large image cache opens at once and costs little memory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::figures::Figures;
use super::programs::{self, Programs, json, number};
use super::words::Words;
use crate::phases::phase;
use crate::workspace::Workspace;

const IMAGES: usize = 300_000;
const MOST_SECONDS: f64 = 1.0;
const MOST_BYTES: f64 = 200e6;
/// Names that one file may have: below what common file systems allow.
const NAMES: usize = 30_000;
/// Pixels of an image on each side, and in the cache.
const SIDE: usize = 32;
const SETTINGS: &str = r#"{"dataset": {"MAX_REPORT_SIZE": 16}, "model": {"IMG_SHAPE": [32, 32, 1], "CONV_CHANNELS": [8, 16], "EMBEDDING_DIMS": 32, "NUM_HEADS": 2}}"#;

/// The proof: `[--images N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("cache", arguments, &["--images"], &[])?;
    let images = words.number("--images", IMAGES)?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "cache")?;
    phase("draw", || data_set(&folder.join("data"), images))?;
    fs::write(folder.join("settings.json"), SETTINGS)?;
    let line = "bench --settings settings.json --data data --json";
    let bench = || json(&mut programs.command("xreport-train", &folder, line)?);
    let first = phase("decode", bench)?;
    let second = phase("open", bench)?;
    let (seconds, bytes) = (number(&second, "open_seconds")?, number(&second, "open_bytes")?);
    let mut figures = Figures::default();
    figures.inform("images", format!("{}", number(&second, "images")?));
    figures.inform("decoded once, in", format!("{:.1} s", number(&first, "open_seconds")?));
    let decoded = number(&second, "decoded")?;
    figures.target("decoded the second time", format!("{decoded}"), "0", decoded == 0.0);
    let target = format!("< {MOST_SECONDS} s");
    figures.target("opened in", format!("{seconds:.2} s"), target, seconds < MOST_SECONDS);
    let target = format!("< {:.0} MB", MOST_BYTES / 1e6);
    figures.target("memory for it", format!("{:.0} MB", bytes / 1e6), target, bytes < MOST_BYTES);
    figures.inform("in batches", format!("{:.0} images/s", number(&second, "images_per_second")?));
    fs::remove_dir_all(folder.join("data")).context("the data set cannot be removed")?;
    Ok(figures.conclude())
}

/// A data set of `images` small images; few files, each under many names.
fn data_set(folder: &Path, images: usize) -> Result<()> {
    let mut table = String::from("id,text,patient\n");
    for index in 0..images {
        let name = format!("{:03}/{index:06}.pgm", index / 1000);
        let path = folder.join("images").join(&name);
        if index % 1000 == 0 {
            fs::create_dir_all(path.parent().context("an image lies in a folder")?)?;
        }
        let (file, other) = (index / NAMES, index % NAMES);
        if other == 0 {
            fs::write(&path, image(file)).with_context(|| format!("`{}`", path.display()))?;
        } else {
            let first = file * NAMES;
            let first = folder.join("images").join(format!("{:03}/{first:06}.pgm", first / 1000));
            fs::hard_link(first, &path).with_context(|| format!("`{}`", path.display()))?;
        }
        table += &format!("{name},Clear.,p{}\n", index / 2);
    }
    fs::write(folder.join("XREPORT_dataset.csv"), table)?;
    Ok(())
}

fn image(number: usize) -> Vec<u8> {
    let mut file = format!("P5\n{SIDE} {SIDE}\n255\n").into_bytes();
    file.extend((0..SIDE * SIDE).map(|pixel| ((pixel * 7 + number * 31) % 251) as u8));
    file
}
