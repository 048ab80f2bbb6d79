//! JPEG, decoded strictly.
//!
//! The `image` crate asks its JPEG decoder to be lenient: a file that ends too early then gives a picture whose rest
//! is grey. A report on such a picture would be a report on half a chest, so this module drives the decoder itself,
//! in its strict mode, and asks for the end-of-image marker. One kind of damage stays unseen: coded data that stops
//! early and is closed by an end marker all the same.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::decode::{Failure, Limits};
use super::orientation;
use super::raster::{Raster, widen};

/// Decodes a JPEG file: baseline, extended 8-bit or progressive Huffman, grey, YCbCr, RGB, CMYK or YCCK.
pub(super) fn decode(bytes: &[u8], channels: u8, limits: &Limits) -> Result<(Raster, Orientation), Failure> {
    refuse_other_processes(bytes)?;
    if !reaches_end_of_image(bytes) {
        return Err(Failure::Damaged("the file ends before its end-of-image marker".to_owned()));
    }
    // The scalar code paths cost a twentieth more time and contain no unsafe code.
    let options = DecoderOptions::default()
        .set_use_unsafe(false)
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failure)?;
    let (Some(info), Some(input)) = (decoder.info(), decoder.input_colorspace()) else {
        return Err(Failure::Damaged("no image header".to_owned()));
    };
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    // The luma of a YCbCr file is its Y; only other colour spaces have to go through RGB.
    let output = match input {
        ColorSpace::Luma => ColorSpace::Luma,
        ColorSpace::YCbCr if channels == 1 => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    let pixels = u64::from(width).saturating_mul(u64::from(height));
    // A progressive file keeps all coefficients, 16 bits each, until its last scan.
    let per_pixel = input.num_components().saturating_mul(2).saturating_add(output.num_components());
    let raster_per_pixel = u64::from(channels).saturating_mul(2);
    let working = pixels.saturating_mul(raster_per_pixel.saturating_add(per_pixel as u64));
    let _permit = limits.check(width, height, bytes.len(), working)?;
    let orientation = decoder.exif().map_or(Orientation::NoTransforms, |block| orientation::from_exif(block));
    decoder.set_options(options.jpeg_set_out_colorspace(output));
    let samples = decoder.decode().map_err(failure)?;
    let decoded_channels = output.num_components() as u8;
    let raster = Raster::new(width, height, decoded_channels, samples.into_iter().map(widen).collect())
        .ok_or_else(|| Failure::Damaged("fewer pixels than the header promises".to_owned()))?;
    Ok((raster.with_channels(channels).into_owned(), orientation))
}

fn failure(error: DecodeErrors) -> Failure {
    match error {
        DecodeErrors::Unsupported(kind) => Failure::Unsupported(format!("{kind:?}")),
        other => Failure::Damaged(other.to_string().trim().to_owned()),
    }
}

/// Names the kinds of JPEG that no decoder here can read, which would otherwise look like damage.
fn refuse_other_processes(bytes: &[u8]) -> Result<(), Failure> {
    for (marker, segment) in Segments::new(bytes) {
        let precision = segment.first().copied().unwrap_or(8);
        let process = match marker {
            0xC3 | 0xC7 | 0xCB | 0xCF => "lossless JPEG",
            0xC5 | 0xC6 => "hierarchical JPEG",
            0xC9 | 0xCA | 0xCD | 0xCE => "JPEG with arithmetic coding",
            0xF7 => "JPEG-LS",
            0xC0..=0xC2 if precision == 8 => return Ok(()),
            0xC0..=0xC2 => {
                return Err(Failure::Unsupported(format!("expected 8 bits a sample, found {precision}")));
            }
            _ => continue,
        };
        return Err(Failure::Unsupported(process.to_owned()));
    }
    Ok(())
}

/// Whether the first picture of the file reaches its EOI marker. Thumbnails lie inside segments, which are stepped over.
fn reaches_end_of_image(bytes: &[u8]) -> bool {
    Segments::new(bytes).any(|(marker, _)| marker == EOI)
}

const SOI: u8 = 0xD8;
pub(super) const EOI: u8 = 0xD9;

/// Marker segments of a JPEG file (ITU-T T.81, annex B): (marker, payload). Entropy-coded data is skipped.
pub(super) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What follows the last segment.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.rest.iter().position(|&byte| byte == 0xFF)?;
            let (&[_, marker], after) = self.rest.get(start..)?.split_first_chunk::<2>()?;
            match marker {
                // Fill bytes: the marker's code follows the last of them.
                0xFF => self.rest = self.rest.get(start.saturating_add(1)..)?,
                // A stuffed zero, a restart or TEM: no payload, and none of our business.
                0x00 | 0x01 | 0xD0..=0xD7 => self.rest = after,
                SOI | EOI => {
                    self.rest = after;
                    return Some((marker, &[]));
                }
                _ => {
                    let (length, _) = after.split_first_chunk::<2>()?;
                    let (segment, rest) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
                    self.rest = rest;
                    return Some((marker, segment.get(2..)?));
                }
            }
        }
    }
}
