//! From an image file to the pixels that the network sees.
//!
//! Trainer and runtime both go through [`Preprocessing`], so a radiograph gives the same bytes in training and in the
//! reading room, on every CPU: decoding, luma and resizing use integer arithmetic only.
//!
//! 1. The format is told from the content; the file extension plays no part. DICOM is a format among the others.
//! 2. The file is decoded within [`Limits`]. A damaged or truncated file is an error, never a half-grey picture.
//! 3. The EXIF (or TIFF) orientation is applied: left and right are a clinical matter.
//! 4. Alpha is composited on black; colour becomes grey by Rec. 601 luma (the luma of JPEG itself), or stays RGB.
//! 5. The picture is resized in 16 bits with an antialiased triangle filter, letterboxed or stretched.
//! 6. Only then it is rounded to 8 bits, so that a 16-bit radiograph keeps its precision through the averaging.
//!
//! Of animations and multi-page files the first picture counts, which is told. White is what the file says: PNM's largest
//! value, TIFF's MaxSampleValue, PNG's significant bits. Embedded colour profiles and gamma are not applied.

mod budget;
mod contents;
mod decode;
mod dicom;
mod error;
pub mod gate;
pub mod grey_range;
mod jpeg;
mod orientation;
mod pages;
#[cfg(test)]
mod pages_tests;
mod raster;
mod resize;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod view;

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use decode::{Limits, Picture, decode, decode_picture};
pub use error::ImageError;
pub use gate::{Concern, Gate, GateMode, Views};
pub use grey_range::GreyRange;
pub use raster::Raster;
pub use resize::Placement;
pub use view::{GreyWindow, Radiograph};

/// Raised whenever the same file may give other pixels; part of [`Preprocessing::fingerprint`].
const ALGORITHM_VERSION: u32 = 2;

/// Largest side of the network's input, in pixels.
const MAX_INPUT_SIDE: u32 = 4096;

/// File extensions of the formats that [`decode`] reads, in lower case.
pub const KNOWN_EXTENSIONS: [&str; 16] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "bmp", "tif", "tiff", "webp", "gif", "pgm", "ppm", "pnm", "dcm", "dicom",
    "dic",
];

/// Whether the extension of `path` is one of [`KNOWN_EXTENSIONS`], in upper or lower case.
pub fn is_image_path(path: impl AsRef<Path>) -> bool {
    path.as_ref()
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| KNOWN_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// Whether the file at `path` is an image to [`decode`]: by its extension, or, where it has none that is known, as DICOM,
/// whose files often have no extension. DICOM files that hold no picture by their kind (directories, reports, settings of
/// viewers) are none.
pub fn is_image_file(path: &Path) -> bool {
    let known = is_image_path(path);
    if known && !has_dicom_extension(path) {
        return true;
    }
    match head(path) {
        Some(head) if dicom::is_dicom(&head) => dicom::holds_picture(&head),
        _ => known,
    }
}

/// Whether the content of a regular file is DICOM.
pub fn starts_as_dicom(path: &Path) -> bool {
    head(path).is_some_and(|head| dicom::is_dicom(&head))
}

/// Whether a regular file is DICOM of a kind that holds no picture: a directory, a report, the settings of a viewer.
pub fn is_dicom_without_picture(path: &Path) -> bool {
    head(path).is_some_and(|head| dicom::is_dicom(&head) && !dicom::holds_picture(&head))
}

fn has_dicom_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["dcm", "dicom", "dic"].iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// The first bytes of a regular file that can be read.
fn head(path: &Path) -> Option<Vec<u8>> {
    // A pipe or device could block.
    if !path.is_file() {
        return None;
    }
    let mut head = Vec::with_capacity(dicom::HEAD);
    File::open(path).ok()?.take(dicom::HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// How a picture of any shape becomes the network's fixed input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Keep the aspect ratio, centre the picture, fill the rest with 0 (black). An odd rest goes right or below.
    Letterbox,
    /// Fill the whole input; the aspect ratio is lost.
    Stretch,
}

/// The resize filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle filter whose support grows with the reduction (antialiased); plain bilinear when enlarging.
    Bilinear,
}

/// How a DICOM file becomes grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DicomRendering {
    /// Modality LUT; then the first VOI LUT, else the first window, else a window from the 0.5th to the 99.5th
    /// percentile; then one inversion where MONOCHROME1 or Presentation LUT Shape INVERSE asks for it. First frame.
    #[serde(rename = "voi-or-percentile-1")]
    VoiOrPercentile1,
}

/// How an image becomes the network's input. Part of a bundle's manifest.
///
/// In JSON: `{"width": 224, "height": 224, "channels": 1, "fit": "letterbox", "filter": "bilinear"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Width W of the result, 1 to 4096 pixels.
    pub width: u32,
    /// Height H of the result, 1 to 4096 pixels.
    pub height: u32,
    /// Channels C of the result: 1 (grey) or 3 (RGB).
    pub channels: u8,
    /// What happens to the aspect ratio.
    pub fit: Fit,
    /// The resize filter.
    pub filter: Filter,
    /// How DICOM files are rendered. Bundles from before there was such a thing name none: their models have seen no
    /// DICOM file, and get them rendered as all others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dicom: Option<DicomRendering>,
}

impl Preprocessing {
    /// Letterboxed grey input of `width` × `height`, the usual choice for radiographs.
    pub fn grey(width: u32, height: u32) -> Self {
        let dicom = Some(DicomRendering::VoiOrPercentile1);
        Self { width, height, channels: 1, fit: Fit::Letterbox, filter: Filter::Bilinear, dicom }
    }

    /// Checks the ranges of all fields; a bundle's loader calls this before anything else.
    ///
    /// # Errors
    /// [`ImageError::Settings`] names the field, what it may be and what it is.
    pub fn check(&self) -> Result<(), ImageError> {
        for (field, value) in [("width", self.width), ("height", self.height)] {
            if !(1..=MAX_INPUT_SIDE).contains(&value) {
                return Err(ImageError::Settings {
                    field,
                    expected: format!("1 to {MAX_INPUT_SIDE} pixels"),
                    found: value,
                });
            }
        }
        if !matches!(self.channels, 1 | 3) {
            return Err(ImageError::Settings {
                field: "channels",
                expected: "1 (grey) or 3 (RGB)".to_owned(),
                found: u32::from(self.channels),
            });
        }
        Ok(())
    }

    /// Bytes of one preprocessed image: H × W × C.
    pub fn len(&self) -> usize {
        self.width as usize * self.height as usize * usize::from(self.channels)
    }

    /// Whether the input has no pixels, which [`check`](Self::check) refuses.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 (64 hex digits) of all settings and of the algorithm's version: equal fingerprints mean equal pixels.
    /// Meant as the key of a pixel cache and for provenance.
    pub fn fingerprint(&self) -> String {
        let settings = serde_json::to_string(self).expect("numbers and enums always serialise");
        hex(&Sha256::digest(format!("preprocessing {ALGORITHM_VERSION} {settings}")))
    }

    /// Reads and preprocesses the image at `path` within the default [`Limits`].
    ///
    /// Returns H × W × C pixels, row-major with channels last, dtype u8, 0 (black) to 255.
    ///
    /// # Errors
    /// One variant of [`ImageError`] per cause; each names the file.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, ImageError> {
        let path = path.as_ref();
        let bytes = read_file(path, &Limits::default())?;
        self.from_bytes(&bytes, path)
    }

    /// Preprocesses an image file that is already in memory; `name` is what errors call it.
    ///
    /// Returns the same as [`load`](Self::load).
    pub fn from_bytes(&self, bytes: &[u8], name: &Path) -> Result<Vec<u8>, ImageError> {
        self.check()?;
        let raster = decode(bytes, name, self.channels, &Limits::default())?;
        self.apply(&raster)
    }

    /// Reads and preprocesses the image at `path`, as [`load`](Self::load) does, past a gate.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`ImageError::Refused`] with every reason that a strict gate has.
    pub fn admit(&self, path: impl AsRef<Path>, gate: Gate) -> Result<Admitted, ImageError> {
        let path = path.as_ref();
        let bytes = read_file(path, &Limits::default())?;
        self.admit_bytes(&bytes, path, gate)
    }

    /// As [`admit`](Self::admit), for a file in memory; `name` is what errors call it.
    pub fn admit_bytes(&self, bytes: &[u8], name: &Path, gate: Gate) -> Result<Admitted, ImageError> {
        self.check()?;
        let Picture { raster, mut concerns } = decode_picture(bytes, name, self.channels, &Limits::default())?;
        concerns.extend(self.concerns(&raster));
        concerns.retain(|concern| gate.mode != GateMode::Off && gate.minds(concern));
        if gate.mode == GateMode::Strict && concerns.iter().any(Concern::refuses) {
            concerns.retain(Concern::refuses);
            return Err(ImageError::Refused { path: name.to_path_buf(), concerns });
        }
        let placement = self.placement([raster.width(), raster.height()]);
        Ok(Admitted { pixels: self.apply(&raster)?, placement, concerns })
    }

    /// What the pixels give rise to, whatever the file was.
    fn concerns(&self, raster: &Raster) -> Vec<Concern> {
        let mut concerns = Vec::new();
        if raster.is_constant() {
            concerns.push(Concern::Constant);
        } else {
            let range = GreyRange::of(raster);
            let GreyRange { levels, percent } = range;
            concerns.extend(range.is_too_small().then_some(Concern::GreyRange { levels, percent }));
        }
        if raster.width() < self.width && raster.height() < self.height {
            let found = [raster.width(), raster.height()];
            concerns.push(Concern::Small { found, needed: [self.width, self.height] });
        }
        concerns
    }

    /// Where a picture of so many pixels, width and height, lies within the network's input.
    pub fn placement(&self, [width, height]: [u32; 2]) -> Placement {
        Placement::of((width, height), (self.width, self.height), self.fit)
    }

    /// Resizes decoded pixels: the last steps of [`load`](Self::load), for pixels from another decoder (DICOM).
    ///
    /// Returns H × W × C pixels, row-major, u8. A grey raster fills three channels alike, an RGB raster becomes luma.
    pub fn apply(&self, raster: &Raster) -> Result<Vec<u8>, ImageError> {
        self.check()?;
        let Filter::Bilinear = self.filter;
        Ok(resize::resize(&raster.with_channels(self.channels), self.width, self.height, self.fit))
    }
}

/// An image that a gate let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// H × W × C pixels, as [`Preprocessing::load`] gives them.
    pub pixels: Vec<u8>,
    /// Where the picture lies among them.
    pub placement: Placement,
    /// What a user should know of it.
    pub concerns: Vec<Concern>,
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a whole file, after a look at what it is and how large.
///
/// # Errors
/// Nothing there, a folder or a device, a file beyond `limits`, or what the system says.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let at = || path.to_path_buf();
    let read_error = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => ImageError::Missing { path: at() },
        _ => ImageError::Read { path: at(), source },
    };
    let metadata = std::fs::metadata(path).map_err(read_error)?;
    if metadata.is_dir() {
        return Err(ImageError::Folder { path: at() });
    }
    // A pipe or device could block or never end.
    if !metadata.is_file() {
        return Err(ImageError::NotAFile { path: at() });
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(limits.max_file_bytes) as usize);
    let file = File::open(path).map_err(read_error)?;
    // One byte more than allowed is enough to know that a file is too large, or grew after the look.
    file.take(limits.max_file_bytes + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > limits.max_file_bytes {
        return Err(ImageError::FileTooLarge {
            path: at(),
            bytes: metadata.len().max(bytes.len() as u64),
            limit: limits.max_file_bytes,
        });
    }
    Ok(bytes)
}
