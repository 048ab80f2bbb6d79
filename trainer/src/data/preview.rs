//! What the network sees, as pictures.

use std::io::Cursor;

use anyhow::Context;
use image::{GrayImage, ImageFormat, Rgb, RgbImage};
use xreport_models::image::Preprocessing;

/// Pixels between pictures.
const GAP: u32 = 4;

/// Pictures as the network takes them (`u8 [H, W, C]`), in rows of `columns` on a black sheet.
pub fn contact_sheet(pictures: &[Vec<u8>], preprocessing: &Preprocessing, columns: usize) -> RgbImage {
    let columns = columns.clamp(1, pictures.len().max(1)) as u32;
    let rows = (pictures.len() as u32).div_ceil(columns);
    let (width, height) = (preprocessing.width, preprocessing.height);
    let mut sheet = RgbImage::new(columns * (width + GAP) + GAP, rows * (height + GAP) + GAP);
    for (index, picture) in (0u32..).zip(pictures) {
        let (left, top) = (GAP + index % columns * (width + GAP), GAP + index / columns * (height + GAP));
        for (place, pixel) in (0u32..).zip(picture.chunks(usize::from(preprocessing.channels))) {
            let colour = if let [r, g, b] = *pixel { [r, g, b] } else { [pixel[0]; 3] };
            sheet.put_pixel(left + place % width, top + place / width, Rgb(colour));
        }
    }
    sheet
}

/// A preprocessed image as PNG: what the network saw.
pub fn png(pixels: &[u8], preprocessing: &Preprocessing) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (preprocessing.width, preprocessing.height);
    let mut bytes = Cursor::new(Vec::new());
    let fits = "an image store's pixels have the size of its preprocessing";
    if preprocessing.channels == 1 {
        GrayImage::from_raw(width, height, pixels.to_vec()).context(fits)?.write_to(&mut bytes, ImageFormat::Png)?;
    } else {
        RgbImage::from_raw(width, height, pixels.to_vec()).context(fits)?.write_to(&mut bytes, ImageFormat::Png)?;
    }
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_rows() {
        let preprocessing = Preprocessing::grey(2, 3);
        let picture = |level| vec![level; 6];
        let sheet = contact_sheet(&[picture(10), picture(20), picture(30)], &preprocessing, 2);
        assert_eq!(sheet.dimensions(), (2 * (2 + GAP) + GAP, 2 * (3 + GAP) + GAP));
        assert_eq!(sheet.get_pixel(GAP, GAP).0, [10; 3]);
        assert_eq!(sheet.get_pixel(2 * GAP + 2, GAP).0, [20; 3]);
        assert_eq!(sheet.get_pixel(GAP, 2 * GAP + 3).0, [30; 3]);
        assert_eq!(sheet.get_pixel(0, 0).0, [0; 3]);
    }
}
