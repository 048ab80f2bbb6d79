//! A data set that a tiny network learns in a few seconds: a bright disc in one of four corners, and what is said of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use image::{GrayImage, Luma};

/// What the report of study `index` says.
pub fn text(index: usize) -> &'static str {
    const TEXTS: [&str; 4] = [
        "Opacity in the right upper zone.",
        "Large opacity in the left upper zone.",
        "Clear lungs. Opacity in the right lower zone, 2.5 cm.",
        "Left lower zone opacity.",
    ];
    TEXTS[index % TEXTS.len()]
}

/// Its id: `s00`, `s01`, …
pub fn id(index: usize) -> String {
    format!("s{index:02}")
}

/// Its image, wider than high, so that letterbox and stretch differ. The same at every call.
pub fn image(index: usize) -> GrayImage {
    let (right, low) = (index % 2 == 1, index % 4 >= 2);
    // A few pixels to and fro, so that no two images are equal.
    let jitter = |factor: usize| (index * factor % 7) as i64 - 3;
    let (x, y) = (if right { 40 } else { 14 } + jitter(3), if low { 36 } else { 12 } + jitter(5));
    GrayImage::from_fn(54, 48, |column, row| {
        let (dx, dy) = (i64::from(column) - x, i64::from(row) - y);
        let noise = (u64::from(column) * 7 + u64::from(row) * 13 + index as u64 * 29).wrapping_mul(2_654_435_761) >> 8;
        let disc = if dx * dx + dy * dy < 49 { 180 } else { 0 };
        Luma([20 + (noise % 20) as u8 + disc])
    })
}

/// Writes `studies` of them as a data set.
pub fn write(folder: &Path, studies: usize) {
    let images = folder.join("images");
    fs::create_dir_all(&images).unwrap();
    let mut table = String::from("id,text\n");
    for index in 0..studies {
        image(index).save(images.join(format!("{}.png", id(index)))).unwrap();
        writeln!(table, "{},\"{}\"", id(index), text(index)).unwrap();
    }
    fs::write(folder.join("XREPORT_dataset.csv"), table).unwrap();
}
