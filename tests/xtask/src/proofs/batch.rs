//! What the proofs about large batches have in common: images, ledgers, tables.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::words::Words;
use crate::workspace::Workspace;

/// The bundle that comes with the tree.
const BUNDLE: &str = "models/demo";
/// Pixels on each side.
const SIDE: usize = 192;

/// The bundle that `--bundle DIR` names, else the demo's.
pub fn bundle(workspace: &Workspace, words: &Words) -> Result<PathBuf> {
    let bundle = words.text("--bundle").map_or_else(|| workspace.path(BUNDLE), PathBuf::from);
    ensure!(bundle.is_dir(), "`{}` is not there\nhint: `--bundle DIR` names another bundle", bundle.display());
    bundle.canonicalize().with_context(|| format!("`{}`", bundle.display()))
}

/// Writes `count` images into `folder`, in folders of 100, no two alike.
pub fn images(folder: &Path, count: usize) -> Result<()> {
    for index in 0..count {
        let path = image_path(folder, index);
        fs::create_dir_all(path.parent().context("an image lies in a folder")?)?;
        fs::write(&path, image(index)).with_context(|| format!("`{}`", path.display()))?;
    }
    Ok(())
}

/// Where the image lies.
pub fn image_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{:03}/{index:05}.pgm", index / 100))
}

/// A PGM: a bright field with two dark lungs and a disc that wanders, so that the texts differ.
fn image(index: usize) -> Vec<u8> {
    let mut file = format!("P5\n{SIDE} {SIDE}\n255\n").into_bytes();
    let (x, y) = ((30 + index * 37 % 130) as isize, (40 + index * 53 % 110) as isize);
    let radius = (6 + index % 17) as isize;
    file.extend((0..SIDE * SIDE).map(|pixel| {
        let (column, row) = ((pixel % SIDE) as isize, (pixel / SIDE) as isize);
        let lung = |centre: isize| ((column - centre).pow(2) * 3 + (row - 95).pow(2)) < 70 * 70;
        let ground = if lung(58) || lung(134) { 60 } else { 150 };
        let disc = if (column - x).pow(2) + (row - y).pow(2) < radius.pow(2) { 70 } else { 0 };
        (ground + disc + (pixel * 31 + index * 17) % 13) as u8
    }));
    file
}

/// Counts a growing ledger's lines about inputs, reading what is new alone.
#[derive(Debug)]
pub struct Count {
    path: PathBuf,
    place: u64,
    lines: usize,
}

impl Count {
    /// Of a ledger that need not be there yet.
    pub fn of(path: PathBuf) -> Self {
        Self { path, place: 0, lines: 0 }
    }

    /// Lines about inputs so far: all but the first.
    pub fn inputs(&mut self) -> usize {
        let mut new = Vec::new();
        if let Ok(mut file) = File::open(&self.path)
            && file.seek(SeekFrom::Start(self.place)).is_ok()
            && file.read_to_end(&mut new).is_ok()
        {
            self.place += new.len() as u64;
            self.lines += new.split(|&byte| byte == b'\n').count() - 1;
        }
        self.lines.saturating_sub(1)
    }
}

/// What the rows of a table say, without what differs by time.
pub fn said(table: &Path) -> Result<Vec<[String; 6]>> {
    let mut reader = csv::Reader::from_path(table).with_context(|| format!("`{}`", table.display()))?;
    let header = reader.headers()?.clone();
    let columns = ["id", "text", "status", "error", "tokens", "finish"];
    let places: Vec<usize> = columns
        .iter()
        .map(|column| header.iter().position(|name| name == *column).with_context(|| format!("no column `{column}`")))
        .collect::<Result<_>>()?;
    let row = |record: csv::StringRecord| std::array::from_fn(|column| record[places[column]].to_owned());
    reader.records().map(|record| Ok(row(record?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_differ_and_lines_are_counted_as_they_come() {
        assert_ne!(image(0), image(1));
        assert_eq!(image(3).len(), image(900).len());
        let folder = std::env::temp_dir().join(format!("xtask-batch-{}", std::process::id()));
        images(&folder, 3).expect("written");
        assert!(image_path(&folder, 2).is_file());
        let path = folder.join("ledger");
        let mut count = Count::of(path.clone());
        assert_eq!(count.inputs(), 0);
        fs::write(&path, "run\na\nb\nhal").expect("written");
        assert_eq!(count.inputs(), 2);
        fs::write(&path, "run\na\nb\nhalf\n").expect("written");
        assert_eq!(count.inputs(), 3);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
