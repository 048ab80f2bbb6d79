//! Decoded pixels, 16 bits a sample.

use std::borrow::Cow;

use image::DynamicImage;

/// A decoded picture: H × W × C samples, row-major with channels last, dtype u16, 0 (black) to 65535 (white).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: u8,
    pub(super) samples: Vec<u16>,
}

impl Raster {
    /// A raster of `width` × `height` pixels and 1 or 3 `channels`.
    ///
    /// Returns `None` when a side is 0, the channels are neither 1 nor 3, or `samples` has another length than H·W·C.
    pub fn new(width: u32, height: u32, channels: u8, samples: Vec<u16>) -> Option<Self> {
        let expected = (width as usize).checked_mul(height as usize)?.checked_mul(usize::from(channels))?;
        (expected > 0 && matches!(channels, 1 | 3) && samples.len() == expected).then_some(Self {
            width,
            height,
            channels,
            samples,
        })
    }

    /// Width W in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height H in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Channels C: 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// The samples, H × W × C, 0 to 65535.
    pub fn samples(&self) -> &[u16] {
        &self.samples
    }

    /// Whether all pixels are alike.
    pub fn is_constant(&self) -> bool {
        let channels = usize::from(self.channels);
        self.samples.chunks_exact(channels).all(|pixel| *pixel == self.samples[..channels])
    }

    /// The same picture in 1 or 3 channels: RGB becomes luma, grey is repeated.
    pub(super) fn with_channels(&self, channels: u8) -> Cow<'_, Self> {
        let samples = match (self.channels, channels) {
            (1, 3) => self.samples.iter().flat_map(|&v| [v, v, v]).collect(),
            (3, 1) => self.samples.as_chunks().0.iter().copied().map(luma).collect(),
            _ => return Cow::Borrowed(self),
        };
        Cow::Owned(Self { channels, samples, ..*self })
    }

    /// Takes over a decoded picture of 8 or 16 bits; `None` for the floating-point kinds, whose range is unknown.
    pub(super) fn from_decoded(picture: DynamicImage, channels: u8) -> Option<Self> {
        let (width, height) = (picture.width(), picture.height());
        let grey = channels == 1;
        let samples = match picture {
            DynamicImage::ImageLuma8(p) => from_grey(p.as_raw().iter().map(|&v| widen(v)), grey),
            DynamicImage::ImageLuma16(p) if grey => p.into_raw(),
            DynamicImage::ImageLuma16(p) => from_grey(p.as_raw().iter().copied(), grey),
            DynamicImage::ImageLumaA8(p) => {
                let pixels = p.as_raw().as_chunks().0.iter();
                from_grey(pixels.map(|&[v, a]| over_black(widen(v), widen(a))), grey)
            }
            DynamicImage::ImageLumaA16(p) => {
                let pixels = p.as_raw().as_chunks().0.iter();
                from_grey(pixels.map(|&[v, a]| over_black(v, a)), grey)
            }
            DynamicImage::ImageRgb8(p) => {
                let pixels = p.as_raw().as_chunks().0.iter();
                from_rgb(pixels.map(|pixel: &[u8; 3]| pixel.map(widen)), grey)
            }
            DynamicImage::ImageRgb16(p) => from_rgb(p.as_raw().as_chunks().0.iter().copied(), grey),
            DynamicImage::ImageRgba8(p) => {
                let pixels = p.as_raw().as_chunks().0.iter();
                from_rgb(pixels.map(|&[r, g, b, a]| [r, g, b].map(|v| over_black(widen(v), widen(a)))), grey)
            }
            DynamicImage::ImageRgba16(p) => {
                let pixels = p.as_raw().as_chunks().0.iter();
                from_rgb(pixels.map(|&[r, g, b, a]| [r, g, b].map(|v| over_black(v, a))), grey)
            }
            _ => return None,
        };
        Self::new(width, height, channels, samples)
    }
}

fn from_grey(values: impl Iterator<Item = u16>, grey: bool) -> Vec<u16> {
    if grey { values.collect() } else { values.flat_map(|v| [v, v, v]).collect() }
}

fn from_rgb(pixels: impl Iterator<Item = [u16; 3]>, grey: bool) -> Vec<u16> {
    if grey { pixels.map(luma).collect() } else { pixels.flatten().collect() }
}

/// 8 to 16 bits: 0 stays 0 and 255 becomes 65535.
pub(super) fn widen(value: u8) -> u16 {
    u16::from(value) * 257
}

/// Rec. 601 luma, 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point. The weights add up to 65536, so grey stays grey.
fn luma([r, g, b]: [u16; 3]) -> u16 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 32_768) >> 16) as u16
}

/// Composites a sample of the given opacity on black.
fn over_black(value: u16, alpha: u16) -> u16 {
    ((u32::from(value) * u32::from(alpha) + 32_767) / 65_535) as u16
}
