//! From thickness to grey values: scatter, exposure, window and noise.

use image::GrayImage;
use rand::{Rng, RngCore};

use super::canvas::Layer;
use super::texture::Texture;

/// How one film was taken and shown.
#[derive(Debug, Clone, Copy)]
pub struct Film {
    /// Factor on attenuation: contrast.
    contrast: f32,
    /// Added attenuation: brightness.
    level: f32,
    /// Exponent of the display curve.
    gamma: f32,
    /// Standard deviation of the pixel noise, in grey values.
    grain: f32,
    /// Strength of the slow unevenness of the exposure.
    unevenness: f32,
}

impl Film {
    /// Draws exposure and display.
    pub fn sample(rng: &mut impl Rng) -> Self {
        Self {
            contrast: rng.random_range(0.9..1.12),
            level: rng.random_range(-0.04..0.04),
            gamma: rng.random_range(0.92..1.14),
            grain: rng.random_range(2.0..5.0),
            unevenness: rng.random_range(0.01..0.035),
        }
    }

    /// Develops attenuation values into an 8-bit grey image, dense parts bright.
    pub fn develop(&self, attenuation: &Layer, texture: &Texture, rng: &mut impl RngCore) -> GrayImage {
        let size = attenuation.size;
        let blurred = blur(attenuation);
        let mut noise = vec![0_u8; (size * size * 4) as usize];
        rng.fill_bytes(&mut noise);
        let step = 5.0 / size as f32;
        let pixels: Vec<u8> = blurred
            .iter()
            .zip(noise.chunks_exact(4))
            .enumerate()
            .map(|(index, (&value, noise))| {
                let (x, y) = (index as u32 % size, index as u32 / size);
                let slow = self.unevenness * texture.at(x as f32 * step + 20.0, y as f32 * step + 20.0);
                let dense = (value * self.contrast + (self.level + slow) * (value * 6.0).min(1.0)).max(0.0);
                let grey = 255.0 * self.curve(dense);
                // The sum of four even numbers is near enough to a bell curve.
                let sum: i32 = noise.iter().map(|&byte| i32::from(byte)).sum();
                (grey + self.grain * (sum - 510) as f32 / 147.8).round().clamp(0.0, 255.0) as u8
            })
            .collect();
        GrayImage::from_raw(size, size, pixels).expect("there is one value for each pixel")
    }

    /// Display curve: a shoulder that keeps the mediastinum from burning out.
    fn curve(&self, dense: f32) -> f32 {
        (1.0 - (-(1.35 * dense).powf(1.25 * self.gamma)).exp()) * 0.97
    }
}

/// A light 3 × 3 blur: focal spot and scatter.
fn blur(layer: &Layer) -> Vec<f32> {
    let size = layer.size as usize;
    let weights = |a: f32, b: f32, c: f32| 0.2 * a + 0.6 * b + 0.2 * c;
    let mut rows = vec![0.0; size * size];
    for (row, out) in layer.values.chunks_exact(size).zip(rows.chunks_exact_mut(size)) {
        for x in 0..size {
            out[x] = weights(row[x.saturating_sub(1)], row[x], row[(x + 1).min(size - 1)]);
        }
    }
    let mut both = vec![0.0; size * size];
    for y in 0..size {
        let (above, below) = (y.saturating_sub(1) * size, (y + 1).min(size - 1) * size);
        for x in 0..size {
            both[y * size + x] = weights(rows[above + x], rows[y * size + x], rows[below + x]);
        }
    }
    both
}
