//! What a compressed frame says of itself, before it is decoded.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use super::super::decode::Failure;
use super::super::jpeg::{EOI, Segments};

/// Most tiles of a JPEG 2000 codestream; a radiograph has one, or a few hundred.
const MAX_TILES: u64 = 4096;

/// The header of a compressed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub width: u32,
    pub height: u32,
    pub components: u16,
    /// Bits of a sample, 2 to 16.
    pub precision: u8,
    /// Whether it is a lossy JPEG of one component in one scan.
    pub is_sequential_grey: bool,
}

/// JPEG and JPEG-LS: the frame header (ITU-T T.81, B.2.2; T.87, C.2.2), and for JPEG the end of the picture.
pub(super) fn jpeg(frame: &[u8]) -> Result<FrameHeader, Failure> {
    if !frame.starts_with(&[0xFF, 0xD8]) {
        return Err(damaged("a frame that does not start with a JPEG's first marker"));
    }
    let mut segments = Segments::new(frame);
    let (marker, segment) = segments
        .find(|(marker, _)| matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF | 0xF7))
        .ok_or_else(|| damaged("a JPEG without a frame header"))?;
    let &[precision, h0, h1, w0, w1, components, ..] = segment else {
        return Err(damaged("a JPEG whose frame header is cut"));
    };
    let process = match marker {
        0xC0..=0xC3 | 0xF7 => None,
        0xC9..=0xCB => Some("arithmetic coding"),
        _ => Some("hierarchical coding"),
    };
    if let Some(process) = process {
        return Err(Failure::Unsupported(format!("JPEG with {process}")));
    }
    if !(2..=16).contains(&precision) {
        return Err(damaged(&format!("a JPEG of {precision} bits a sample")));
    }
    if marker == 0xC2 && precision > 8 {
        return Err(Failure::Unsupported(format!("progressive JPEG of {precision} bits")));
    }
    // JPEG-LS stuffs bits, not bytes: its data cannot be stepped over like this, and its decoder notices a cut.
    if marker != 0xF7 && !segments.any(|(marker, _)| marker == EOI) {
        return Err(damaged("a JPEG that ends before its end-of-image marker"));
    }
    Ok(FrameHeader {
        width: u32::from(u16::from_be_bytes([w0, w1])),
        height: u32::from(u16::from_be_bytes([h0, h1])),
        components: u16::from(components),
        precision,
        is_sequential_grey: marker <= 0xC1 && components == 1,
    })
}

/// A JPEG whose components are RGB by its Photometric Interpretation, told so to decoders, which take three components for
/// YCbCr where the stream has no marker of its own to the point: JFIF's, which is always YCbCr, or Adobe's.
pub(super) fn jpeg_of_rgb(frame: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    const APP0: u8 = 0xE0;
    const APP14: u8 = 0xEE;
    const SCAN: u8 = 0xDA;
    /// A shorter one says nothing of a transform, and decoders pass over it.
    const ADOBE: usize = 12;
    // Adobe's marker (T.872, 6.5.3): version 100, no flags, no transform.
    const NO_TRANSFORM: &[u8] = b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";
    let said = |(marker, segment): (u8, &[u8])| {
        (marker == APP0 && segment.starts_with(b"JFIF"))
            || (marker == APP14 && segment.len() >= ADOBE && segment.starts_with(b"Adobe"))
    };
    if Segments::new(&frame).take_while(|&(marker, _)| marker != SCAN).any(said) {
        return frame;
    }
    match frame.split_at_checked(2) {
        Some((start, rest)) => Cow::Owned([start, NO_TRANSFORM, rest].concat()),
        None => frame,
    }
}

/// JPEG 2000: the SIZ segment (ITU-T T.800, A.5.1). The codestream may stand in a JP2 file, which DICOM forbids and
/// some writers do.
pub(super) fn jpeg2000(frame: &[u8]) -> Result<FrameHeader, Failure> {
    const START: [u8; 4] = [0xFF, 0x4F, 0xFF, 0x51];
    const SEARCHED: usize = 4096;
    let start = frame
        .windows(START.len())
        .take(SEARCHED)
        .position(|bytes| bytes == START)
        .ok_or_else(|| damaged("a frame without a JPEG 2000 header"))?;
    // Lsiz and Rsiz come first; a stream may end before them.
    let segment = frame.get(start.saturating_add(START.len()).saturating_add(4)..).unwrap_or_default();
    let long = |at: usize| -> Option<u64> { Some(u64::from(u32::from_be_bytes(*segment.get(at..)?.first_chunk()?))) };
    let header = || -> Option<(FrameHeader, u64)> {
        let (x1, y1, x0, y0) = (long(0)?, long(4)?, long(8)?, long(12)?);
        let (tile_width, tile_height) = (long(16)?, long(20)?);
        let components = u16::from_be_bytes(*segment.get(32..)?.first_chunk()?);
        let [depth, step_x, step_y] = *segment.get(34..)?.first_chunk()?;
        let tiles = |end: u64, side: u64| end.checked_div(side)?.checked_add(1);
        let tiles = tiles(x1, tile_width)?.checked_mul(tiles(y1, tile_height)?)?;
        let unsampled = step_x == 1 && step_y == 1;
        let header = FrameHeader {
            width: u32::try_from(x1.checked_sub(x0)?).ok().filter(|_| unsampled)?,
            height: u32::try_from(y1.checked_sub(y0)?).ok()?,
            components,
            precision: (depth & 0x7F).saturating_add(1),
            is_sequential_grey: false,
        };
        Some((header, tiles))
    };
    let (header, tiles) = header().ok_or_else(|| damaged("a JPEG 2000 header that makes no sense"))?;
    if tiles > MAX_TILES {
        return Err(damaged(&format!("a JPEG 2000 codestream of {tiles} tiles")));
    }
    if !(2..=16).contains(&header.precision) {
        return Err(Failure::Unsupported(format!("JPEG 2000 of {} bits a sample", header.precision)));
    }
    Ok(header)
}

fn damaged(found: &str) -> Failure {
    Failure::Damaged(found.to_owned())
}
