//! Decoding within limits: any supported file to a [`Raster`].

use std::any::Any;
use std::borrow::Cow;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::budget::Permit;
use super::gate::Concern;
use super::pages::Pages;
use super::{ImageError, Radiograph, Raster, contents, dicom, jpeg, orientation};

/// What one image may cost. The defaults let a 16-bit grey radiograph of 6,000 × 6,000 pass in every format, and
/// keep everything that this module holds at a time (file, decoder, pixels) below 448 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes. Default: 256 MiB.
    pub max_file_bytes: u64,
    /// Longest side, in pixels. Default: 30,000.
    pub max_side: u32,
    /// Most pixels (width × height). Default: 40 million, 2.6 times a 4,300 × 3,500 radiograph.
    pub max_pixels: u64,
    /// Most memory for file, decoder and pixels together, in bytes. Default: 448 MiB.
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { max_file_bytes: 256 * MIB, max_side: 30_000, max_pixels: 40_000_000, max_memory: 448 * MIB }
    }
}

impl Limits {
    /// Refuses a picture by what its header claims, before its pixels are decoded. Else the memory is taken until the
    /// permit goes, for which it may have to wait.
    pub(super) fn check(
        &self,
        width: u32,
        height: u32,
        file_bytes: usize,
        working_bytes: u64,
    ) -> Result<Permit, Failure> {
        let bytes = file_bytes as u64 + working_bytes;
        let pixels = u64::from(width) * u64::from(height);
        let limit = if width.max(height) > self.max_side {
            format!("at most {} pixels a side", self.max_side)
        } else if pixels > self.max_pixels {
            format!("at most {} pixels in all", self.max_pixels)
        } else if bytes > self.max_memory {
            format!("at most {} bytes of memory in all", self.max_memory)
        } else {
            return Ok(Permit::take(bytes));
        };
        Err(Failure::TooLarge { width, height, limit })
    }
}

/// An [`ImageError`] that does not know its file yet.
#[derive(Debug)]
pub(super) enum Failure {
    Damaged(String),
    Unsupported(String),
    TooLarge {
        width: u32,
        height: u32,
        limit: String,
    },
    /// A whole file that is made to hold no picture, and what it is.
    NoPicture(String),
}

/// Decodes an image file in memory to 1 (grey) or 3 (RGB) `channels`, upright; `name` is what errors call it.
///
/// # Errors
/// Content that is no image, damaged or truncated, of an unsupported kind, or beyond `limits`.
pub fn decode(bytes: &[u8], name: &Path, channels: u8, limits: &Limits) -> Result<Raster, ImageError> {
    decode_picture(bytes, name, channels, limits).map(|picture| picture.raster)
}

/// A decoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its pixels.
    pub raster: Raster,
    /// What the file itself gives rise to.
    pub concerns: Vec<Concern>,
}

/// As [`decode`], with what the file says that a gate should know.
pub fn decode_picture(bytes: &[u8], name: &Path, channels: u8, limits: &Limits) -> Result<Picture, ImageError> {
    guarded(bytes, name, |format| decode_format(bytes, format, channels, limits))
}

/// As [`Radiograph::read`].
pub(super) fn view(bytes: &[u8], name: &Path, limits: &Limits) -> Result<Radiograph, ImageError> {
    guarded(bytes, name, |format| match format {
        Format::Dicom => dicom::view_file(bytes, limits),
        Format::Plain(_) => Ok(Radiograph::of_raster(decode_format(bytes, format, 1, limits)?.raster)),
    })
}

/// Tells the format, decodes, and gives failures the name of the file.
fn guarded<T>(bytes: &[u8], name: &Path, decode: impl FnOnce(Format) -> Result<T, Failure>) -> Result<T, ImageError> {
    let path = || name.to_path_buf();
    if bytes.is_empty() {
        return Err(ImageError::Empty { path: path() });
    }
    let format =
        guess_format(bytes).ok_or_else(|| ImageError::NotAnImage { path: path(), found: contents::describe(bytes) })?;
    let format_name = format_name(format);
    // One hostile file among thousands must not end the batch, should a decoder have a bug.
    let outcome = catch_unwind(AssertUnwindSafe(|| decode(format)))
        .unwrap_or_else(|panic| Err(Failure::Damaged(panic_message(panic.as_ref()))));
    outcome.map_err(|failure| match failure {
        Failure::Damaged(detail) => ImageError::Damaged { path: path(), format: format_name, detail },
        Failure::Unsupported(detail) => ImageError::Unsupported { path: path(), format: format_name, detail },
        Failure::TooLarge { width, height, limit } => ImageError::TooLarge { path: path(), width, height, limit },
        Failure::NoPicture(found) => ImageError::NoPicture { path: path(), found },
    })
}

/// What is decoded here: DICOM, and what the `image` crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Dicom,
    Plain(ImageFormat),
}

fn decode_format(bytes: &[u8], format: Format, channels: u8, limits: &Limits) -> Result<Picture, Failure> {
    let mut concerns = Vec::new();
    let (raster, orientation) = match format {
        Format::Dicom => {
            let dicom::Rendered { raster, concerns } = dicom::render_file(bytes, channels, limits)?;
            return Ok(Picture { raster, concerns });
        }
        Format::Plain(ImageFormat::Jpeg) => jpeg::decode(bytes, channels, limits)?,
        Format::Plain(format) => {
            let (mut raster, orientation) = decode_other(bytes, format, channels, limits)?;
            let Pages { count, white } = Pages::of(bytes, format);
            concerns.extend((count > 1).then_some(Concern::MultiFrame(count)));
            if let Some(white) = white {
                white.apply(&mut raster);
            }
            (raster, orientation)
        }
    };
    Ok(Picture { raster: upright(raster, orientation), concerns })
}

/// Everything but JPEG goes through the `image` crate.
fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    channels: u8,
    limits: &Limits,
) -> Result<(Raster, Orientation), Failure> {
    check_ends(bytes, format)?;
    let whole = bytes;
    let stripped = match format {
        ImageFormat::Png => orientation::png_without_texts(whole),
        _ => Cow::Borrowed(whole),
    };
    let (bytes, held) = match &stripped {
        Cow::Borrowed(bytes) => (*bytes, bytes.len()),
        Cow::Owned(copy) => (copy.as_slice(), whole.len() + copy.len()),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_memory.saturating_sub(held as u64));
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(failure)?;
    let (width, height) = decoder.dimensions();
    // TIFF, WebP and GIF decode into a buffer of their own first.
    let copies = match format {
        ImageFormat::Tiff | ImageFormat::WebP | ImageFormat::Gif => 2,
        _ => 1,
    };
    let raster_bytes = u64::from(width) * u64::from(height) * 2 * u64::from(channels);
    let decoded_bytes = decoder.total_bytes().saturating_mul(copies);
    let _permit = limits.check(width, height, held, decoded_bytes.saturating_add(raster_bytes))?;
    let orientation = match format {
        ImageFormat::Png => {
            orientation::png_chunks(bytes).exif.map_or(Orientation::NoTransforms, orientation::from_exif)
        }
        _ => decoder.orientation().map_err(failure)?,
    };
    let picture = DynamicImage::from_decoder(decoder).map_err(failure)?;
    let raster = Raster::from_decoded(picture, channels)
        .ok_or_else(|| Failure::Unsupported("floating-point samples, whose range is not stated".to_owned()))?;
    Ok((raster, orientation))
}

/// Truncation that the decoders themselves let pass.
fn check_ends(bytes: &[u8], format: ImageFormat) -> Result<(), Failure> {
    let complete = match format {
        ImageFormat::Png => orientation::png_chunks(bytes).complete,
        // RIFF: the size field counts everything after itself.
        ImageFormat::WebP => bytes
            .get(4..8)
            .and_then(|size| <[u8; 4]>::try_from(size).ok())
            .is_some_and(|size| bytes.len() as u64 >= u64::from(u32::from_le_bytes(size)) + 8),
        _ => true,
    };
    if complete { Ok(()) } else { Err(Failure::Damaged("the file ends too early".to_owned())) }
}

/// Turns and mirrors the picture as its metadata asks.
fn upright(raster: Raster, orientation: Orientation) -> Raster {
    if orientation == Orientation::NoTransforms {
        return raster;
    }
    let Raster { width, height, channels, samples } = raster;
    let held = "a raster holds width × height × channels samples";
    let mut picture = if channels == 1 {
        DynamicImage::ImageLuma16(image::ImageBuffer::from_raw(width, height, samples).expect(held))
    } else {
        DynamicImage::ImageRgb16(image::ImageBuffer::from_raw(width, height, samples).expect(held))
    };
    picture.apply_orientation(orientation);
    Raster::from_decoded(picture, channels).expect("turning keeps pixels and channels")
}

fn failure(error: image::ImageError) -> Failure {
    match error {
        image::ImageError::Unsupported(e) => Failure::Unsupported(e.to_string()),
        // Pixels were counted before: what breaks the limit here is metadata or padding beyond all measure.
        image::ImageError::Limits(e) => Failure::Damaged(format!("content that needs more memory than allowed ({e})")),
        other => Failure::Damaged(other.to_string()),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("content that breaks the decoder ({})", message.unwrap_or("no message"))
}

/// The format by its magic number, if it is one that is decoded here.
fn guess_format(bytes: &[u8]) -> Option<Format> {
    // First: what stands in a DICOM file's preamble may be anything.
    if dicom::is_dicom(bytes) {
        return Some(Format::Dicom);
    }
    let format = image::guess_format(bytes).ok()?;
    match format {
        // "BM" and "P1" are too short to be believed: prose may start with them.
        ImageFormat::Bmp if contents::is_text(bytes) => None,
        ImageFormat::Pnm if !bytes.get(2)?.is_ascii_whitespace() => None,
        ImageFormat::Png
        | ImageFormat::Jpeg
        | ImageFormat::Bmp
        | ImageFormat::Tiff
        | ImageFormat::WebP
        | ImageFormat::Gif
        | ImageFormat::Pnm => Some(Format::Plain(format)),
        _ => None,
    }
}

fn format_name(format: Format) -> &'static str {
    let Format::Plain(format) = format else { return "DICOM" };
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        _ => "PNM",
    }
}
