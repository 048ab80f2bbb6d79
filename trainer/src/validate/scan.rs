//! One look at every image: what the file is, what its pixels are, and a small likeness of it for comparisons.
//!
//! Images are decoded, measured and let go, a few at a time; about 1.3 kB of each stay.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use xreport_models::image::{Fit, GreyRange, ImageError, Limits, Preprocessing, Raster, decode, read_file};

use crate::data::{Problem, Study};

/// Side of a likeness in pixels.
pub const LIKENESS_SIDE: usize = 32;
/// Pixels of a likeness.
pub const LIKENESS: usize = LIKENESS_SIDE * LIKENESS_SIDE;
/// Bins of an image's histogram of grey values.
pub const BINS: usize = 64;
/// Grey values in a bin, on the scale of 0 (black) to 255 (white).
pub const GREYS_PER_BIN: f64 = 256.0 / BINS as f64;

/// First 16 bytes of a SHA-256: equal ones mean equal pixels.
pub type PixelDigest = [u8; 16];

/// What an image file says of itself in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Encoding {
    /// The file format, such as `PNG`.
    pub format: &'static str,
    /// Bits per sample; `None` where the header is not read here (DICOM).
    pub bits: Option<u8>,
    /// Whether the file has three colour channels.
    pub colour: bool,
}

/// What was measured on one image.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// Width W in pixels, upright.
    pub width: u32,
    /// Height H in pixels, upright.
    pub height: u32,
    /// The file.
    pub encoding: Encoding,
    /// Of the decoded grey pixels and the size.
    pub digest: PixelDigest,
    /// Mean grey value, 0 (black) to 255 (white).
    pub mean: f32,
    /// Standard deviation of the grey values, on the same scale.
    pub deviation: f32,
    /// Share of pixels at or within 1/255 of black.
    pub black: f32,
    /// Share of pixels at or within 1/255 of white.
    pub white: f32,
    /// Different grey values, of 65,536.
    pub levels: u32,
    /// What the picture uses of the grey values, as the input gate judges it.
    pub range: GreyRange,
    /// The picture stretched to 32 × 32, row-major, u8.
    pub likeness: Box<[u8; LIKENESS]>,
    /// Share of the pixels in each bin from black to white, as parts of 65,535.
    pub histogram: Box<[u16; BINS]>,
}

/// The images that could be read, in the order of the studies, and what became of the others.
pub struct Scanned {
    /// Index of the study with its facts.
    pub images: Vec<(usize, ImageFacts)>,
    /// The others.
    pub problems: Vec<Problem>,
}

/// Looks at the image of every study, in the current thread pool. `progress(done)` is called from several threads.
pub fn scan(studies: &[Study], folder: &Path, progress: &(dyn Fn(usize) + Sync)) -> Scanned {
    let done = AtomicUsize::new(0);
    let outcomes: Vec<_> = studies
        .par_iter()
        .map(|study| {
            let facts = look(&folder.join(&study.file));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            facts
        })
        .collect();
    let mut scanned = Scanned { images: Vec::with_capacity(studies.len()), problems: Vec::new() };
    for (at, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(facts) => scanned.images.push((at, facts)),
            Err(error) => {
                let (file, reason) = (studies[at].file.clone(), error.to_string());
                scanned.problems.push(Problem::UnreadableImage { file, reason });
            }
        }
    }
    scanned
}

/// Reads one image upright and whole, in grey, by the way that trainer and runtime go.
pub fn open(path: &Path) -> Result<Raster, ImageError> {
    let limits = Limits::default();
    decode(&read_file(path, &limits)?, path, 1, &limits)
}

fn look(path: &Path) -> Result<ImageFacts, ImageError> {
    let limits = Limits::default();
    let bytes = read_file(path, &limits)?;
    let raster = decode(&bytes, path, 1, &limits)?;
    let encoding = encoding(&bytes);
    drop(bytes);
    measure(&raster, encoding)
}

/// Everything that is measured on decoded pixels, H × W, grey.
pub(super) fn measure(raster: &Raster, encoding: Encoding) -> Result<ImageFacts, ImageError> {
    let counts = grey_counts(raster.samples());
    let pixels = raster.samples().len() as f64;
    let levels = counts.iter().filter(|&&count| count > 0).count() as u32;
    let scale = 255.0 / 65_535.0;
    let weighted = |value: &dyn Fn(f64) -> f64| -> f64 {
        let occupied = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        occupied.map(|(grey, &count)| value(grey as f64 * scale) * f64::from(count)).sum::<f64>() / pixels
    };
    let mean = weighted(&|grey| grey);
    let deviation = weighted(&|grey| (grey - mean).powi(2)).sqrt();
    let share = |range: &[u32]| (range.iter().map(|&count| f64::from(count)).sum::<f64>() / pixels) as f32;
    let side = LIKENESS_SIDE as u32;
    let stretched = Preprocessing { fit: Fit::Stretch, ..Preprocessing::grey(side, side) };
    let likeness: Box<[u8; LIKENESS]> = stretched
        .apply(raster)?
        .into_boxed_slice()
        .try_into()
        .expect("preprocessing gives as many pixels as it is asked for");
    Ok(ImageFacts {
        width: raster.width(),
        height: raster.height(),
        encoding,
        digest: digest(raster),
        mean: mean as f32,
        deviation: deviation as f32,
        black: share(&counts[..=257]),
        white: share(&counts[65_535 - 257..]),
        levels,
        range: GreyRange::of(raster),
        likeness,
        histogram: Box::new(std::array::from_fn(|bin| {
            let range = &counts[bin * 65_536 / BINS..(bin + 1) * 65_536 / BINS];
            (f64::from(share(range)) * 65_535.0).round() as u16
        })),
    })
}

fn grey_counts(samples: &[u16]) -> Vec<u32> {
    let mut counts = vec![0; 65_536];
    for &sample in samples {
        counts[usize::from(sample)] += 1;
    }
    counts
}

fn digest(raster: &Raster) -> PixelDigest {
    let mut hash = Sha256::new();
    hash.update(raster.width().to_le_bytes());
    hash.update(raster.height().to_le_bytes());
    let mut block = Vec::with_capacity(2 * 4096);
    for samples in raster.samples().chunks(4096) {
        block.clear();
        block.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        hash.update(&block);
    }
    let whole: [u8; 32] = hash.finalize().into();
    *whole.first_chunk().expect("32 bytes hold 16")
}

/// What the header says; whatever the `image` crate does not know is DICOM, the one other format that is decoded.
fn encoding(bytes: &[u8]) -> Encoding {
    let unknown = Encoding { format: "DICOM", bits: None, colour: false };
    let Ok(format) = image::guess_format(bytes) else { return unknown };
    let name = match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Pnm => "PNM",
        _ => return unknown,
    };
    let header = ImageReader::with_format(Cursor::new(bytes), format).into_decoder();
    let Ok(colour_type) = header.map(|header| header.original_color_type()) else {
        return Encoding { format: name, ..unknown };
    };
    let channels = u16::from(colour_type.channel_count()).max(1);
    let bits = (colour_type.bits_per_pixel() / channels) as u8;
    let indexed = matches!(colour_type, ExtendedColorType::Unknown(_));
    Encoding { format: name, bits: (!indexed).then_some(bits), colour: channels >= 3 }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// The facts of an 8-bit grey picture.
    pub(in super::super) fn facts(width: u32, height: u32, grey: impl Fn(u32, u32) -> u8) -> ImageFacts {
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let samples = samples.map(|(x, y)| u16::from(grey(x, y)) * 257).collect();
        let raster = Raster::new(width, height, 1, samples).unwrap();
        measure(&raster, Encoding { format: "PNG", bits: Some(8), colour: false }).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, ImageBuffer, Luma, RgbImage};

    use super::samples::facts;
    use super::*;

    fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn the_measures_of_a_half_black_half_white_picture() {
        let half = facts(8, 4, |x, _| if x < 4 { 0 } else { 255 });
        assert!((half.mean - 127.5).abs() < 1e-3 && (half.deviation - 127.5).abs() < 1e-3, "{half:?}");
        assert_eq!((half.black, half.white, half.levels), (0.5, 0.5, 2));
        assert_eq!((half.histogram[0], half.histogram[BINS - 1]), (32_768, 32_768));
        assert_eq!(half.histogram.iter().map(|&share| u32::from(share)).sum::<u32>(), 65_536);
        assert_eq!((half.likeness[0], half.likeness[LIKENESS_SIDE - 1]), (0, 255));
    }

    #[test]
    fn the_digest_is_of_pixels_and_size() {
        let first = facts(8, 4, |x, y| (x * 9 + y) as u8);
        assert_eq!(first.digest, facts(8, 4, |x, y| (x * 9 + y) as u8).digest);
        assert_ne!(first.digest, facts(8, 4, |x, y| (x * 9 + y + x / 7) as u8).digest);
        assert_ne!(facts(8, 4, |_, _| 7).digest, facts(4, 8, |_, _| 7).digest);
    }

    #[test]
    fn the_same_pixels_in_two_formats_are_one_picture() {
        let folder = tempfile::tempdir().unwrap();
        let picture = GrayImage::from_fn(9, 7, |x, y| Luma([(x * 20 + y) as u8]));
        for name in ["a.png", "b.bmp"] {
            picture.save(folder.path().join(name)).unwrap();
        }
        let [png, bmp] = ["a.png", "b.bmp"].map(|name| look(&folder.path().join(name)).unwrap());
        assert_eq!(png.digest, bmp.digest);
        assert_eq!((png.encoding.format, bmp.encoding.format), ("PNG", "BMP"));
    }

    #[test]
    fn headers_tell_depth_and_colour() {
        let deep = DynamicImage::ImageLuma16(ImageBuffer::from_pixel(3, 3, Luma([700])));
        assert_eq!(
            encoding(&encode(&deep, ImageFormat::Png)),
            Encoding { format: "PNG", bits: Some(16), colour: false }
        );
        let colour = DynamicImage::ImageRgb8(RgbImage::new(16, 16));
        assert_eq!(
            encoding(&encode(&colour, ImageFormat::Jpeg)),
            Encoding { format: "JPEG", bits: Some(8), colour: true }
        );
        assert_eq!(encoding(b"something else").format, "DICOM");
    }

    #[test]
    fn an_image_that_cannot_be_read_costs_its_study_alone() {
        let folder = tempfile::tempdir().unwrap();
        GrayImage::new(4, 4).save(folder.path().join("b.png")).unwrap();
        std::fs::write(folder.path().join("a.png"), "prose").unwrap();
        let study = |name: &str| Study {
            id: name.to_owned(),
            file: format!("{name}.png"),
            text: "t".to_owned(),
            patient: None,
            part: None,
        };
        let scanned = scan(&[study("a"), study("b"), study("c")], folder.path(), &|_| {});
        assert_eq!(scanned.images.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1]);
        assert_eq!(scanned.problems.len(), 2);
    }
}
