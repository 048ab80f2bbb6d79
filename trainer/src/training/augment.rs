//! Small changes to training images, as a patient and an X-ray unit make them: rotation, shift, scale, proportions,
//! contrast, noise, and a covered patch (DeVries and Taylor 2017), so that no single place decides alone.
//!
//! Never a flip: it would swap left and right.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Largest rotation, radians.
const ROTATION: f32 = 0.17;
/// Largest shift as a share of the image's side.
const SHIFT: f32 = 0.08;
/// Largest change of scale.
const SCALE: f32 = 0.12;
/// Largest change of scale in one direction alone.
const STRETCH: f32 = 0.06;
/// Natural logarithm of the largest exponent on grey values 0..1, and of the inverse of the smallest.
const GAMMA: f32 = 0.4;
/// Largest deviation of the noise, grey levels.
const NOISE: f32 = 6.0;
/// Share of images with a covered patch, and the patch's largest side as a share of the image's.
const COVERED: (f64, f32) = (0.5, 0.3);

/// A changed copy of an image, `u8 [H, W, C]`; what lies outside the original is black.
pub fn augmented(image: &[u8], [height, width, channels]: [usize; 3], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let angle = rng.random_range(-ROTATION..=ROTATION);
    let overall = rng.random_range(-SCALE..=SCALE);
    let scale = [(); 2].map(|()| 1.0 + overall + rng.random_range(-STRETCH..=STRETCH));
    let shift = [height, width].map(|side| side as f32 * rng.random_range(-SHIFT..=SHIFT));
    let gamma = rng.random_range(-GAMMA..=GAMMA).exp();
    let noise = rng.random_range(0.0..=NOISE);
    let curve: Vec<f32> = (0..256).map(|level| 255.0 * (level as f32 / 255.0).powf(gamma)).collect();
    let (sin, cos) = angle.sin_cos();
    let centre = [(height - 1) as f32 / 2.0, (width - 1) as f32 / 2.0];
    let mut out = vec![0u8; image.len()];
    for y in 0..height {
        for x in 0..width {
            let [dy, dx] = [(y, 0), (x, 1)].map(|(at, axis)| (at as f32 - centre[axis] - shift[axis]) / scale[axis]);
            let source = [cos * dy - sin * dx + centre[0], sin * dy + cos * dx + centre[1]];
            for channel in 0..channels {
                let value = bilinear(image, [height, width, channels], source, channel, &curve);
                let value = value + noise * triangular(rng);
                out[(y * width + x) * channels + channel] = value.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
    if rng.random_bool(COVERED.0) {
        cover(&mut out, [height, width, channels], rng);
    }
    out
}

/// Fills a patch with one grey level.
fn cover(image: &mut [u8], [height, width, channels]: [usize; 3], rng: &mut ChaCha8Rng) {
    let level: u8 = rng.random();
    let [rows, columns] = [height, width].map(|side| {
        let length = (side as f32 * rng.random_range(0.0..=COVERED.1)) as usize;
        let start = rng.random_range(0..=side - length);
        start..start + length
    });
    for y in rows {
        let row = (y * width + columns.start) * channels..(y * width + columns.end) * channels;
        image[row].fill(level);
    }
}

/// A draw from (-1, 1), most often near 0: cheap noise.
fn triangular(rng: &mut ChaCha8Rng) -> f32 {
    let bits = rng.random::<u32>();
    ((bits & 0xffff) as f32 - (bits >> 16) as f32) / 65535.0
}

fn bilinear(
    image: &[u8],
    [height, width, channels]: [usize; 3],
    [y, x]: [f32; 2],
    channel: usize,
    curve: &[f32],
) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (fy, fx) = (y - top, x - left);
    let mut sum = 0.0;
    for (row, row_weight) in [(top, 1.0 - fy), (top + 1.0, fy)] {
        for (column, column_weight) in [(left, 1.0 - fx), (left + 1.0, fx)] {
            let inside = row >= 0.0 && column >= 0.0 && (row as usize) < height && (column as usize) < width;
            if inside {
                let level = image[((row as usize) * width + column as usize) * channels + channel];
                sum += row_weight * column_weight * curve[usize::from(level)];
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::seeds::Stream;

    #[test]
    fn changes_an_image_a_little_and_never_mirrors_it() {
        let shape = [32, 32, 1];
        let image: Vec<u8> = (0..32 * 32).map(|i| if i % 32 < 12 { 220 } else { 20 }).collect();
        for study in 0..40 {
            let changed = augmented(&image, shape, &mut Stream::Augment.rng(1, &[study]));
            assert_ne!(changed, image);
            let side = |left: bool| -> u32 {
                changed.iter().enumerate().filter(|(i, _)| (i % 32 < 16) == left).map(|(_, &v)| u32::from(v)).sum()
            };
            assert!(side(true) > 2 * side(false), "the bright side stays on its side");
        }
    }

    #[test]
    fn depends_on_the_seed_alone() {
        let image: Vec<u8> = (0..255).map(|i| i as u8).collect();
        let draw = |seed| augmented(&image, [17, 15, 1], &mut Stream::Augment.rng(seed, &[3]));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
