//! Where each format keeps its orientation, and what else the chunks of a PNG say.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use image::metadata::Orientation;

const PNG_SIGNATURE_LEN: usize = 8;

/// The orientation in an EXIF block (which starts at its TIFF header); anything unreadable means "as stored".
pub(super) fn from_exif(block: &[u8]) -> Orientation {
    Orientation::from_exif_chunk(block).unwrap_or(Orientation::NoTransforms)
}

/// What walking over the chunks of a PNG finds.
#[derive(Debug, Default)]
pub(super) struct PngChunks<'a> {
    /// Whether the file reaches its IEND chunk.
    pub complete: bool,
    /// The eXIf chunk. It may stand after the pixels (PNG 3rd edition, 11.3.4.5), where a decoder that stops at
    /// the pixels does not see it.
    pub exif: Option<&'a [u8]>,
    /// Bits of a sample.
    pub depth: u16,
    /// Bits of each channel that are its own (sBIT); empty where nothing is said.
    pub significant: &'a [u8],
    /// Frames of an animation (acTL); 0 where there is none.
    pub frames: u32,
}

/// A PNG without its texts and its colour profile. Nothing here reads them, and a few kilobytes of them may unpack to
/// gigabytes.
pub(super) fn png_without_texts(bytes: &[u8]) -> Cow<'_, [u8]> {
    const UNREAD: [&[u8]; 4] = [b"tEXt", b"zTXt", b"iTXt", b"iCCP"];
    let mut kept: Option<Vec<u8>> = None;
    let mut at = PNG_SIGNATURE_LEN;
    while let Some((header, _)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<8>()) {
        let [a, b, c, d, kind @ ..] = *header;
        let end = at.saturating_add(12).saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        let Some(chunk) = bytes.get(at..end) else { break };
        if UNREAD.contains(&&kind[..]) {
            kept.get_or_insert_with(|| bytes.get(..at).unwrap_or_default().to_vec());
        } else if let Some(kept) = &mut kept {
            kept.extend_from_slice(chunk);
        }
        at = end;
    }
    match kept {
        Some(mut kept) => {
            kept.extend_from_slice(bytes.get(at..).unwrap_or_default());
            Cow::Owned(kept)
        }
        None => Cow::Borrowed(bytes),
    }
}

/// Walks over the chunks of a PNG without decoding them.
pub(super) fn png_chunks(bytes: &[u8]) -> PngChunks<'_> {
    const CRC_LEN: usize = 4;
    let mut found = PngChunks::default();
    let mut rest = bytes.get(PNG_SIGNATURE_LEN..).unwrap_or_default();
    // length (4) · type (4) · data · CRC (4)
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some((data, after_data)) = after.split_at_checked(length) else {
            break;
        };
        match &kind {
            b"eXIf" => found.exif = Some(data),
            b"IHDR" => found.depth = data.get(8).copied().unwrap_or_default().into(),
            b"sBIT" => found.significant = data,
            b"acTL" => found.frames = data.first_chunk().map_or(0, |frames| u32::from_be_bytes(*frames)),
            b"IEND" => {
                found.complete = after_data.len() >= CRC_LEN;
                break;
            }
            _ => {}
        }
        rest = after_data.get(CRC_LEN..).unwrap_or_default();
    }
    found
}
