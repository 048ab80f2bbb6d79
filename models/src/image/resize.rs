//! Resizing in 16-bit integers, letterbox geometry, and the final rounding to 8 bits.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::{Fit, Raster};

/// Where the picture lies within the network's input, in pixels of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First column.
    pub left: u32,
    /// First line.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Lines.
    pub height: u32,
}

impl Placement {
    /// Of a picture of `source` pixels, width and height, in an input of `target`.
    pub(super) fn of(source: (u32, u32), target: (u32, u32), fit: Fit) -> Self {
        match fit {
            Fit::Letterbox => letterbox(source, target),
            Fit::Stretch => Self { left: 0, top: 0, width: target.0, height: target.1 },
        }
    }
}

/// The largest centred rectangle of the picture's aspect ratio; its short side is rounded, at least 1 pixel.
fn letterbox(source: (u32, u32), target: (u32, u32)) -> Placement {
    // Twice the value plus a half, divided: rounding to nearest in integers.
    let scaled = |value: u32, numerator: u32, denominator: u32| {
        let (value, numerator, denominator) = (u64::from(value), u64::from(numerator), u64::from(denominator));
        ((2 * value * numerator + denominator) / (2 * denominator)).max(1) as u32
    };
    let wider = u64::from(source.0) * u64::from(target.1) >= u64::from(source.1) * u64::from(target.0);
    let (width, height) = if wider {
        (target.0, scaled(source.1, target.0, source.0).min(target.1))
    } else {
        (scaled(source.0, target.1, source.1).min(target.0), target.1)
    };
    Placement { left: (target.0 - width) / 2, top: (target.1 - height) / 2, width, height }
}

/// Resizes to `width` × `height`; returns H × W × C samples, row-major, u8.
pub(super) fn resize(raster: &Raster, width: u32, height: u32, fit: Fit) -> Vec<u8> {
    let placement = Placement::of((raster.width, raster.height), (width, height), fit);
    let resized = convolve(raster, placement.width, placement.height);
    let channels = usize::from(raster.channels);
    let mut canvas = vec![0; width as usize * height as usize * channels];
    let row_len = placement.width as usize * channels;
    let rows = resized.chunks_exact(row_len);
    for (y, row) in (placement.top as usize..).zip(rows) {
        let start = (y * width as usize + placement.left as usize) * channels;
        for (pixel, &sample) in canvas[start..start + row_len].iter_mut().zip(row) {
            *pixel = narrow(sample);
        }
    }
    canvas
}

/// 16 to 8 bits, to nearest: the inverse of `value * 257`. 65535 + 128 needs more than 16 bits.
pub(super) fn narrow(sample: u16) -> u8 {
    ((u32::from(sample) + 128) / 257) as u8
}

/// The triangle filter of PIL's antialiased `BILINEAR`, in fixed point: equal with and without SIMD.
fn convolve(raster: &Raster, width: u32, height: u32) -> Vec<u16> {
    let pixel_type = if raster.channels == 1 { PixelType::U16 } else { PixelType::U16x3 };
    let bytes = bytemuck::cast_slice(&raster.samples);
    let source = ImageRef::new(raster.width, raster.height, bytes, pixel_type)
        .expect("a raster holds width × height × channels samples");
    let mut target = Image::new(width, height, pixel_type);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
    Resizer::new().resize(&source, &mut target, &options).expect("source and target have one pixel type");
    let samples = target.buffer().as_chunks().0.iter();
    samples.map(|&pair| u16::from_ne_bytes(pair)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letterbox_keeps_the_aspect_ratio_and_centres() {
        let place = |left, top, width, height| Placement { left, top, width, height };
        // Wide: bars above and below. Tall: bars left and right. An odd rest goes below or right.
        assert_eq!(letterbox((400, 200), (100, 100)), place(0, 25, 100, 50));
        assert_eq!(letterbox((200, 400), (100, 100)), place(25, 0, 50, 100));
        assert_eq!(letterbox((100, 51), (100, 100)), place(0, 24, 100, 51));
        assert_eq!(letterbox((51, 100), (100, 100)), place(24, 0, 51, 100));
        // A target that is not square, an equal ratio, an enlargement, and a hair's breadth.
        assert_eq!(letterbox((300, 300), (64, 32)), place(16, 0, 32, 32));
        assert_eq!(letterbox((300, 150), (64, 32)), place(0, 0, 64, 32));
        assert_eq!(letterbox((3, 5), (10, 10)), place(2, 0, 6, 10));
        assert_eq!(letterbox((30_000, 1), (64, 64)), place(0, 31, 64, 1));
    }

    #[test]
    fn rounding_to_8_bits_inverts_widening_and_rounds_to_nearest() {
        for value in 0..=255u8 {
            assert_eq!(narrow(u16::from(value) * 257), value);
        }
        assert_eq!((narrow(128), narrow(129)), (0, 1));
        assert_eq!((narrow(65_406), narrow(65_407), narrow(u16::MAX)), (254, 255, 255));
    }

    #[test]
    fn reduction_is_antialiased() {
        // Stripes of one pixel: a filter without antialiasing would pick all black or all white.
        let samples = (0..64 * 64).map(|i| if i % 2 == 0 { 0 } else { u16::MAX }).collect();
        let raster = Raster::new(64, 64, 1, samples).unwrap();
        let small = resize(&raster, 16, 16, Fit::Stretch);
        let inner = small.chunks(16).flat_map(|row| &row[1..15]);
        assert!(inner.clone().all(|&v| (120..=135).contains(&v)), "{small:?}");
    }

    #[test]
    fn enlarging_interpolates() {
        let raster = Raster::new(2, 1, 1, vec![0, u16::MAX]).unwrap();
        let row = resize(&raster, 8, 1, Fit::Stretch);
        assert!(row.windows(2).all(|w| w[0] <= w[1]) && row[3] > 0 && row[3] < row[4], "{row:?}");
    }
}
