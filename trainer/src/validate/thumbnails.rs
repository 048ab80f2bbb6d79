//! Small pictures for the page: the images that it speaks of are opened a second time.

use std::collections::BTreeMap;
use std::path::Path;

use image::GrayImage;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use xreport_models::image::Preprocessing;

use super::scan;
use crate::data::Study;

/// Longest side in pixels; on the page they are shown a little smaller, so that they stay sharp on fine screens.
const SIDE: u32 = 192;
/// JPEG quality: about 5 kB a picture.
const QUALITY: u8 = 78;

/// JPEG files by study.
pub type Thumbnails = BTreeMap<usize, Vec<u8>>;

/// Makes the pictures of `wanted` studies, in the current thread pool. One that cannot be read (any more) is left out.
pub fn make(studies: &[Study], folder: &Path, wanted: &[usize]) -> Thumbnails {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    wanted.into_par_iter().filter_map(|study| Some((study, make_one(&folder.join(&studies[study].file))?))).collect()
}

fn make_one(path: &Path) -> Option<Vec<u8>> {
    let raster = scan::open(path).ok()?;
    // The picture's own aspect ratio, without the bars of a letterbox.
    let longest = raster.width().max(raster.height());
    let scaled = |side: u32| (u64::from(side) * u64::from(SIDE.min(longest)) / u64::from(longest)).max(1) as u32;
    let (width, height) = (scaled(raster.width()), scaled(raster.height()));
    let pixels = Preprocessing::grey(width, height).apply(&raster).ok()?;
    let picture = GrayImage::from_raw(width, height, pixels)?;
    let mut jpeg = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).ok()?;
    Some(jpeg)
}
