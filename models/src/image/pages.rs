//! What a file of the plain formats says beside its first picture: how many there are, and which sample is white.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::Cursor;

use image::ImageFormat;
use tiff::tags::Tag;

use super::Raster;
use super::orientation::png_chunks;

/// Pictures that are counted; more are as bad.
const MOST: u32 = 1000;
/// TIFF's NewSubfileType: a smaller copy of another page, or its mask.
const COPY_OR_MASK: u32 = 0b101;

/// What is said of a file's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages {
    /// How many there are.
    pub count: u32,
    /// The sample that is white, where it is not the largest that fits.
    pub white: Option<White>,
}

/// Samples of fewer bits than they are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct White {
    /// The largest sample, by what the file says.
    value: u16,
    /// Bits that a sample is stored in, 8 or 16.
    bits: u16,
    /// Whether the stored 0 is white and the decoder has inverted the picture.
    inverted: bool,
}

impl Pages {
    /// Looks through a whole file. What cannot be read of later pictures ends the count.
    pub fn of(bytes: &[u8], format: ImageFormat) -> Self {
        let alone = Self { count: 1, white: None };
        match format {
            ImageFormat::Png => png(bytes),
            ImageFormat::Gif => Self { count: gif(bytes).unwrap_or(1), ..alone },
            ImageFormat::WebP => Self { count: webp(bytes), ..alone },
            ImageFormat::Tiff => tiff(bytes).unwrap_or(alone),
            ImageFormat::Pnm => Self { count: if has_further_pnm(bytes) { 2 } else { 1 }, ..alone },
            _ => alone,
        }
    }
}

/// `acTL` says how many frames an animation has, `sBIT` how many bits of a sample are its own (PNG 3rd edition, 11.3.2.7).
/// The samples should fill the range all the same; where they do not, the bits lie at the bottom.
fn png(bytes: &[u8]) -> Pages {
    let chunks = png_chunks(bytes);
    let bits = chunks.significant.iter().copied().max().filter(|&bits| bits > 0 && u16::from(bits) < chunks.depth);
    let white = bits.filter(|_| matches!(chunks.depth, 8 | 16)).map(|bits| White {
        value: u16::MAX.wrapping_shr(16u32.saturating_sub(bits.into())),
        bits: chunks.depth,
        inverted: false,
    });
    Pages { count: chunks.frames.max(1), white }
}

fn gif(bytes: &[u8]) -> Result<u32, gif::DecodingError> {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(bytes)?;
    let mut count = 0u32;
    while count < MOST && decoder.next_frame_info()?.is_some() {
        count = count.saturating_add(1);
    }
    Ok(count.max(1))
}

/// An animation has a chunk `ANMF` for each frame; all lie in one RIFF file.
fn webp(bytes: &[u8]) -> u32 {
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut count = 0u32;
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let [kind @ .., a, b, c, d] = *header;
        count = count.saturating_add((kind == *b"ANMF").into());
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        // Chunks are padded to an even length.
        rest = after.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    count.clamp(1, MOST)
}

fn tiff(bytes: &[u8]) -> Result<Pages, tiff::TiffError> {
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes))?;
    let white = tiff_white(&mut decoder);
    let mut count = 1u32;
    while count < MOST && decoder.more_images() && decoder.next_image().is_ok() {
        let kind: Option<u32> = decoder.find_tag_unsigned(Tag::NewSubfileType).ok().flatten();
        let own = kind.is_none_or(|kind| kind & COPY_OR_MASK == 0);
        count = count.saturating_add(own.into());
    }
    Ok(Pages { count, white })
}

/// MaxSampleValue (TIFF 6.0, page 35), which writers of 10 and 12 bits in words of 16 use.
fn tiff_white(decoder: &mut tiff::decoder::Decoder<Cursor<&[u8]>>) -> Option<White> {
    let mut first = |tag: Tag| -> Option<u16> { decoder.find_tag_unsigned_vec(tag).ok()??.first().copied() };
    let value = first(Tag::MaxSampleValue)?;
    let bits = first(Tag::BitsPerSample).filter(|bits| matches!(bits, 8 | 16))?;
    let inverted = first(Tag::PhotometricInterpretation) == Some(0);
    Some(White { value, bits, inverted })
}

/// Whether another picture follows the first one of a binary PNM file.
fn has_further_pnm(bytes: &[u8]) -> bool {
    let Some((&[b'P', kind @ b'4'..=b'6'], mut rest)) = bytes.split_first_chunk::<2>() else { return false };
    let mut number = || -> Option<usize> {
        loop {
            match *rest {
                [b'#', ..] => rest = rest.get(rest.iter().position(|&byte| byte == b'\n')?..)?,
                [byte, ref after @ ..] if byte.is_ascii_whitespace() => rest = after,
                _ => break,
            }
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (text, after) = rest.split_at_checked(digits)?;
        rest = after;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    let (Some(width), Some(height)) = (number(), number()) else { return false };
    let row = match kind {
        b'4' => Some(width.div_ceil(8)),
        _ => number().map(|max| {
            let bytes = if max > 255 { 2usize } else { 1 };
            width.saturating_mul(bytes).saturating_mul(if kind == b'6' { 3 } else { 1 })
        }),
    };
    let Some(row) = row else { return false };
    // One byte of white space ends the header.
    let end = row.saturating_mul(height).saturating_add(1);
    let further = rest.get(end..).unwrap_or_default().trim_ascii_start();
    matches!(further, [b'P', b'1'..=b'6', after, ..] if after.is_ascii_whitespace())
}

impl White {
    /// Stretches a picture so that its white is white. One whose samples go beyond contradicts its file and stays as it is.
    pub fn apply(self, raster: &mut Raster) {
        let white = if self.bits == 8 { u32::from(self.value).saturating_mul(257) } else { self.value.into() };
        let stored = |sample: u16| if self.inverted { u16::MAX.saturating_sub(sample) } else { sample };
        let largest = raster.samples.iter().map(|&sample| stored(sample)).max().unwrap_or_default();
        if white == 0 || white >= u32::from(u16::MAX) || u32::from(largest) > white {
            return;
        }
        for sample in &mut raster.samples {
            let scaled = u32::from(stored(*sample)).saturating_mul(65_535).saturating_add(white / 2).checked_div(white);
            *sample = stored(scaled.unwrap_or_default() as u16);
        }
    }
}
