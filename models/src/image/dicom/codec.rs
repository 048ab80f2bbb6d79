//! From the pixel data to stored values, for every transfer syntax that is read here.
//!
//! Uncompressed values are taken as they lie. RLE, lossless and colour JPEG and JPEG 2000 go through `dicom-pixeldata`,
//! JPEG-LS through `pure_jpegls` (both pure Rust: no C compiler is needed, and nothing is optional), grey lossy JPEG
//! through [`super::jpeg_sequential`]. What a compressed frame says of its own size is held against the attributes before any
//! decoder sees it.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::ops::Range;

use dicom_core::value::{PixelFragmentSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use dicom_pixeldata::PixelDecoder as _;

use super::super::decode::Failure;
use super::attributes::{Attributes, Photometric};
use super::codestream::{self, FrameHeader};
use super::jpeg_sequential;
use super::scan::{EXPLICIT_VR_BIG_ENDIAN, PixelBytes, Scanned};

/// The first frame.
#[derive(Debug)]
pub(super) enum Samples {
    /// Grey: H × W stored values, the low `bits_stored` bits of each.
    Stored(Vec<u16>),
    /// Colour: H × W × 3, 8 bits.
    Rgb(Vec<u8>),
}

/// The ways in which pixel data may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Native,
    Rle,
    /// JPEG of 8 bits, and lossless JPEG.
    Jpeg,
    JpegLs,
    Jpeg2000,
}

impl Syntax {
    /// The transfer syntax of a UID.
    pub fn of(uid: &str) -> Result<Self, Failure> {
        Ok(match uid {
            uids::IMPLICIT_VR_LITTLE_ENDIAN
            | uids::EXPLICIT_VR_LITTLE_ENDIAN
            | EXPLICIT_VR_BIG_ENDIAN
            | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => Self::Native,
            uids::RLE_LOSSLESS => Self::Rle,
            uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => {
                Self::Jpeg
            }
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Self::JpegLs,
            uids::JPEG2000_LOSSLESS | uids::JPEG2000 => Self::Jpeg2000,
            other => {
                return Err(Failure::Unsupported(format!("transfer syntax {}", syntax_name(other))));
            }
        })
    }

    /// Bytes that decoding takes for each sample beside the stored values, the decoder's own copies included.
    pub fn working_bytes(self) -> u64 {
        match self {
            Self::Native => 0,
            // The decoder's output and one plane.
            Self::Rle | Self::JpegLs => 4,
            // Coefficients of a progressive file or samples, and the output.
            Self::Jpeg => 6,
            // 32-bit samples in tile and image, and the output.
            Self::Jpeg2000 => 12,
        }
    }
}

/// A transfer syntax as an error names it.
fn syntax_name(uid: &str) -> String {
    use dicom_transfer_syntax_registry::{TransferSyntaxIndex as _, TransferSyntaxRegistry};
    match TransferSyntaxRegistry.get(uid) {
        Some(syntax) => format!("{} ({uid})", syntax.name()),
        None => uid.to_owned(),
    }
}

/// Decodes the first frame.
pub(super) fn decode(scanned: &Scanned<'_>, pixels: &PixelBytes, attributes: &Attributes) -> Result<Samples, Failure> {
    let compression = scanned.syntax.filter(|&syntax| syntax != Syntax::Native);
    match (pixels, compression) {
        (PixelBytes::Native { place, words }, None) => native(scanned, place.clone(), *words, attributes),
        (PixelBytes::Encapsulated { offsets, fragments }, Some(syntax)) => {
            let frame = first_frame(scanned, offsets, fragments, attributes.frames)?;
            let named = |failure| match failure {
                Failure::Unsupported(detail) => {
                    Failure::Unsupported(format!("{}: {detail}", syntax_name(&scanned.transfer_syntax)))
                }
                other => other,
            };
            compressed(frame, syntax, &scanned.transfer_syntax, attributes).map_err(named)
        }
        (PixelBytes::Native { .. }, Some(_)) => {
            Err(damaged("uncompressed pixel data under a compressed transfer syntax"))
        }
        (PixelBytes::Encapsulated { .. }, None) if scanned.syntax.is_none() => {
            Err(Failure::Unsupported("compressed pixel data whose transfer syntax is not stated".to_owned()))
        }
        (PixelBytes::Encapsulated { .. }, None) => {
            Err(damaged("compressed pixel data under an uncompressed transfer syntax"))
        }
    }
}

fn native(
    scanned: &Scanned<'_>,
    place: Range<usize>,
    in_words: bool,
    attributes: &Attributes,
) -> Result<Samples, Failure> {
    let pixels = usize::from(attributes.rows).saturating_mul(attributes.columns.into());
    let samples = pixels.saturating_mul(attributes.samples_per_pixel.into());
    // Two chroma samples for each two pixels (PS3.3, C.7.6.3.1.2).
    if attributes.photometric_name.starts_with("YBR_") && attributes.photometric != Photometric::YbrFull {
        return Err(Failure::Unsupported(format!("uncompressed {}", attributes.photometric_name)));
    }
    let bytes = scanned.bytes.get(place).unwrap_or_default();
    let expected = samples.saturating_mul(usize::from(attributes.bits_allocated / 8));
    // Samples of 8 bits lie in the words that OW says, the first in the low byte (PS3.5, 8.1.1).
    let swapped = scanned.big_endian && in_words && attributes.bits_allocated == 8;
    let bytes: Cow<'_, [u8]> = if swapped {
        bytes.as_chunks::<2>().0.iter().flat_map(|&[high, low]| [low, high]).collect()
    } else {
        Cow::Borrowed(bytes)
    };
    let frame = bytes
        .get(..expected)
        .ok_or_else(|| damaged(&format!("{} bytes of pixel data where {expected} are needed", bytes.len())))?;
    if attributes.samples_per_pixel == 3 {
        return colour(frame, attributes, attributes.planar);
    }
    Ok(Samples::Stored(words(frame, attributes.bits_allocated, scanned.big_endian, stored_bits(attributes))))
}

/// How the stored bits are taken out of an allocated word: shift and mask.
fn stored_bits(attributes: &Attributes) -> impl Fn(u16) -> u16 + use<> {
    let shift = u32::from(attributes.high_bit.saturating_add(1).saturating_sub(attributes.bits_stored));
    let mask = mask(attributes);
    move |word| word.wrapping_shr(shift) & mask
}

fn mask(attributes: &Attributes) -> u16 {
    u16::MAX.wrapping_shr(16u32.saturating_sub(attributes.bits_stored.into()))
}

fn words(frame: &[u8], bits_allocated: u16, big_endian: bool, stored: impl Fn(u16) -> u16) -> Vec<u16> {
    if bits_allocated == 8 {
        return frame.iter().map(|&byte| stored(u16::from(byte))).collect();
    }
    let pairs = frame.as_chunks::<2>().0.iter();
    if big_endian {
        pairs.map(|&pair| stored(u16::from_be_bytes(pair))).collect()
    } else {
        pairs.map(|&pair| stored(u16::from_le_bytes(pair))).collect()
    }
}

fn colour(frame: &[u8], attributes: &Attributes, planar: bool) -> Result<Samples, Failure> {
    if attributes.bits_allocated != 8 {
        return Err(Failure::Unsupported("colour of 16 bits allocated, expected 8".to_owned()));
    }
    let (red, rest) = frame.split_at(frame.len() / 3);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let mut rgb: Vec<u8> = if planar {
        red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]).collect()
    } else {
        frame.to_vec()
    };
    if attributes.photometric == Photometric::YbrFull {
        for pixel in rgb.as_chunks_mut::<3>().0 {
            *pixel = rgb_of_ybr(*pixel);
        }
    }
    Ok(Samples::Rgb(rgb))
}

/// PS3.3, C.7.6.3.1.2: the colour space of JPEG (T.871), in 16-bit fixed point.
#[allow(clippy::arithmetic_side_effects, reason = "bytes times 17 bits stay below 2³¹")]
fn rgb_of_ybr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let byte = |value: i32| ((value + 32_768) >> 16).clamp(0, 255) as u8;
    [byte(y + 91_881 * cr), byte(y - 22_554 * cb - 46_802 * cr), byte(y + 116_130 * cb)]
}

/// The bytes of the first frame, which may lie in several fragments.
fn first_frame<'a>(
    scanned: &'a Scanned<'_>,
    offsets: &[u32],
    fragments: &[Range<usize>],
    frames: u32,
) -> Result<Cow<'a, [u8]>, Failure> {
    let bytes = |range: &Range<usize>| scanned.bytes.get(range.clone()).unwrap_or_default();
    let Some((first, further)) = fragments.split_first() else {
        return Err(damaged("pixel data without a fragment"));
    };
    let count = match offsets {
        _ if frames == 1 => fragments.len(),
        _ if fragments.len() == frames as usize => 1,
        // Offsets count from the first fragment's item (PS3.5, A.4).
        &[_, second] => {
            let before = |range: &&Range<usize>| range.start.saturating_sub(first.start) < second as usize;
            fragments.iter().take_while(before).count().max(1)
        }
        // Without a table: up to the fragment that starts like the first, with a codestream's first marker.
        _ => {
            let marker = bytes(first).get(..2);
            further.iter().take_while(|range| bytes(range).get(..2) != marker).count().saturating_add(1)
        }
    };
    if count == 1 {
        return Ok(Cow::Borrowed(bytes(first)));
    }
    Ok(Cow::Owned(fragments.iter().take(count).flat_map(|range| bytes(range).iter().copied()).collect()))
}

fn compressed(frame: Cow<'_, [u8]>, syntax: Syntax, uid: &str, attributes: &Attributes) -> Result<Samples, Failure> {
    let header = match syntax {
        Syntax::Rle => None,
        Syntax::Jpeg2000 => Some(codestream::jpeg2000(&frame)?),
        _ => Some(codestream::jpeg(&frame)?),
    };
    if let Some(header) = &header {
        check(header, attributes)?;
    }
    let frame = match syntax {
        Syntax::Jpeg if attributes.photometric_name == "RGB" => codestream::jpeg_of_rgb(frame),
        _ => frame,
    };
    let samples_per_pixel = usize::from(attributes.samples_per_pixel);
    let pixels = usize::from(attributes.rows).saturating_mul(attributes.columns.into());
    let expected = pixels.saturating_mul(samples_per_pixel);
    let precision = header.as_ref().map(|header| header.precision);
    let samples = match (syntax, precision) {
        (Syntax::JpegLs, Some(precision)) if samples_per_pixel == 1 => {
            let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
            let (samples, ..) = jpegls::decode(&frame, width, height).map_err(|error| damaged(&error.to_string()))?;
            right_aligned(samples, u16::from(precision), attributes)
        }
        (Syntax::JpegLs, _) => return Err(Failure::Unsupported("JPEG-LS in colour".to_owned())),
        (Syntax::Jpeg, Some(bits)) if header.as_ref().is_some_and(|header| header.is_sequential_grey) => {
            right_aligned(jpeg_sequential::decode(&frame)?, bits.into(), attributes)
        }
        _ => {
            let allocated = precision.map_or(attributes.bits_allocated, |bits| if bits <= 8 { 8 } else { 16 });
            let bytes = through_dicom_pixeldata(frame, uid, allocated, attributes)?;
            if bytes.len() < expected.saturating_mul(usize::from(allocated / 8)) {
                return Err(damaged("fewer pixels than the attributes say"));
            }
            if samples_per_pixel == 3 {
                // JPEG decoders give RGB; run lengths are only unrolled.
                return if syntax == Syntax::Rle { colour(&bytes, attributes, false) } else { Ok(Samples::Rgb(bytes)) };
            }
            match precision {
                Some(bits) => right_aligned(words(&bytes, allocated, false, |word| word), bits.into(), attributes),
                None => words(&bytes, allocated, false, stored_bits(attributes)),
            }
        }
    };
    if samples.len() != expected {
        return Err(damaged(&format!("{} samples where the attributes say {expected}", samples.len())));
    }
    Ok(Samples::Stored(samples))
}

fn check(header: &FrameHeader, attributes: &Attributes) -> Result<(), Failure> {
    let expected = (u32::from(attributes.columns), u32::from(attributes.rows), attributes.samples_per_pixel);
    let found = (header.width, header.height, header.components);
    if found != expected {
        return Err(damaged(&format!(
            "a compressed frame of {}×{} pixels and {} samples where the attributes say {}×{} and {}",
            found.0, found.1, found.2, expected.0, expected.1, expected.2
        )));
    }
    if attributes.samples_per_pixel == 3 && header.precision != 8 {
        return Err(Failure::Unsupported(format!("colour of {} bits, expected 8", header.precision)));
    }
    Ok(())
}

/// What a decoder gives, `precision` bits each, as patterns of `bits_stored` bits. A lossy decoder may overshoot the
/// stored range; that must not wrap around.
///
/// Signed values have their sign in the highest stored bit (PS3.5, 8.1.1), and a codestream may have more bits than that:
/// then they are there as numbers of its own precision, or as the bare pattern with nothing above it.
fn right_aligned(mut samples: Vec<u16>, precision: u16, attributes: &Attributes) -> Vec<u16> {
    let mask = mask(attributes);
    if !attributes.signed {
        for sample in &mut samples {
            *sample = (*sample).min(mask);
        }
        return samples;
    }
    if precision > attributes.bits_stored && samples.iter().all(|&sample| sample <= mask) {
        return samples;
    }
    let unused = 16u32.saturating_sub(u32::from(precision.clamp(1, 16)));
    let limit = i16::try_from(mask >> 1).unwrap_or(i16::MAX);
    for sample in &mut samples {
        let value = sample.wrapping_shl(unused).cast_signed().wrapping_shr(unused);
        *sample = value.clamp((-1i16).saturating_sub(limit), limit).cast_unsigned() & mask;
    }
    samples
}

/// Decodes through an object that holds this one frame and nothing else.
fn through_dicom_pixeldata(
    frame: Cow<'_, [u8]>,
    uid: &str,
    bits_allocated: u16,
    attributes: &Attributes,
) -> Result<Vec<u8>, Failure> {
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let photometric = PrimitiveValue::from(attributes.photometric_name.as_str());
    let fragments = PixelFragmentSequence::new(Vec::<u32>::new(), vec![frame.into_owned()]);
    let object = InMemDicomObject::from_element_iter([
        number(tags::SAMPLES_PER_PIXEL, attributes.samples_per_pixel),
        DataElement::new(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric),
        number(tags::PLANAR_CONFIGURATION, 0),
        number(tags::ROWS, attributes.rows),
        number(tags::COLUMNS, attributes.columns),
        number(tags::BITS_ALLOCATED, bits_allocated),
        number(tags::BITS_STORED, bits_allocated),
        number(tags::HIGH_BIT, bits_allocated.saturating_sub(1)),
        number(tags::PIXEL_REPRESENTATION, 0),
        DataElement::new(tags::PIXEL_DATA, VR::OB, fragments),
    ]);
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE)
        .media_storage_sop_instance_uid("2.25.1")
        .transfer_syntax(uid)
        .build()
        .map_err(|error| damaged(&error.to_string()))?;
    let object = object.with_exact_meta(meta);
    let decoded = object.decode_pixel_data_frame(0).map_err(|error| damaged(&chain(&error)))?;
    Ok(decoded.into_data())
}

/// An error with its causes: the outermost says only that decoding failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn damaged(found: &str) -> Failure {
    Failure::Damaged(found.to_owned())
}
