//! Pictures that are the same but for encoding, size, brightness or contrast.
//!
//! A likeness (32 × 32 pixels) is transformed by the discrete cosine transform; the signs of its 256 lowest
//! frequencies, each against the middle of the whole data set, are its hash (after the perceptual hashes in use, such
//! as pHash; the middle of the data set instead of zero, because chest radiographs resemble each other so much that the
//! plain signs hardly differ). The hash is cut into 16 bands of 16 bits: only images that agree in a band are compared,
//! so that 100,000 images need a few million comparisons instead of five thousand million. All pairs within 15 of 256
//! bits are found for certain (15 differing bits cannot touch 16 bands). What counts in the end is the correlation of
//! the likenesses themselves, without their coarse shape, which all chests share.

use std::collections::HashMap;

use rayon::prelude::*;

use super::scan::{LIKENESS, LIKENESS_SIDE};

/// Frequencies in each direction that enter the hash.
const FREQUENCIES: usize = 16;
const BITS: usize = FREQUENCIES * FREQUENCIES;
const BANDS: usize = 16;
/// Most bits in which two images may differ and still be compared by their likeness.
const FARTHEST: u32 = 48;
/// Likenesses from which the middle of each frequency is taken.
const SAMPLE: usize = 4096;
/// Fewer images than this have no middle worth the name; zero is taken.
const SMALLEST_SAMPLE: usize = 64;
/// Images looked at per band, should very many agree in one (blank films).
const BUCKET: usize = 256;
/// Correlation of two likenesses from which they are one picture.
///
/// Measured on 5,216 and 773 real radiographs. Different pictures: of 13.9 million pairs nine lie between 0.85 and 0.9, one
/// (two exposures of one position) at 0.92, none above. Copies re-encoded at JPEG quality 30, halved, with half the
/// contrast, clipped at both ends or with gamma 1.5: 99 of 100 at 0.95 and above; with gamma 0.6, 99 of 100 at 0.93 and
/// above, about one in twenty below this threshold. All within 35 bits.
pub const SAME_PICTURE: f32 = 0.94;

type Likeness = [u8; LIKENESS];
type Hash = [u64; BITS / 64];

/// Two images that show one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The image that was met first.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Correlation of their likenesses.
    pub correlation: f32,
    /// Whether one is the other's mirror image.
    pub mirrored: bool,
}

/// For every image that resembles an earlier one: that pair, with the most alike of the earlier ones.
///
/// The earlier image of a pair never stands second in a pair of the same kind, so pairs with one `first` are a group.
pub fn pairs(likenesses: &[&Likeness]) -> Vec<Pair> {
    let transform = Transform::new();
    let middle = middle(likenesses, &transform);
    let prepared: Vec<Option<Prepared>> =
        likenesses.par_iter().map(|likeness| Prepared::new(likeness, &transform, &middle)).collect();
    let mut index = Index::default();
    let mut pairs = Vec::new();
    for (at, image) in prepared.iter().enumerate() {
        let Some(image) = image else { continue };
        let upright = index.nearest(&prepared, &image.hash, &image.details);
        if let Some((first, correlation)) = index.nearest(&prepared, &image.mirrored_hash, &image.mirrored_details()) {
            // A picture that is its own mirror image is no swap of sides.
            if upright.is_none_or(|(_, other)| other < correlation) {
                pairs.push(Pair { first, second: at, correlation, mirrored: true });
            }
        }
        match upright {
            Some((first, correlation)) => pairs.push(Pair { first, second: at, correlation, mirrored: false }),
            None => index.insert(at, &image.hash),
        }
    }
    pairs
}

/// What is compared of one image; `None` for one without any contrast.
struct Prepared {
    hash: Hash,
    mirrored_hash: Hash,
    /// The likeness without its coarse shape, mean 0 and length 1; mirrored where that is asked for.
    details: Box<[i8; LIKENESS]>,
}

impl Prepared {
    fn new(likeness: &Likeness, transform: &Transform, middle: &[f32; BITS]) -> Option<Self> {
        let details = details(likeness)?;
        let coefficients = transform.apply(&standardised(likeness)?);
        let mut mirrored = coefficients;
        for (at, coefficient) in mirrored.iter_mut().enumerate() {
            if at % FREQUENCIES % 2 == 1 {
                *coefficient = -*coefficient;
            }
        }
        Some(Self { hash: hash(&coefficients, middle), mirrored_hash: hash(&mirrored, middle), details })
    }

    fn mirrored_details(&self) -> Box<[i8; LIKENESS]> {
        let mut mirrored = self.details.clone();
        mirrored.chunks_exact_mut(LIKENESS_SIDE).for_each(<[i8]>::reverse);
        mirrored
    }
}

/// The images by each band of their hash.
#[derive(Default)]
struct Index {
    buckets: HashMap<(u8, u16), Vec<u32>>,
}

impl Index {
    fn insert(&mut self, at: usize, hash: &Hash) {
        for key in bands(hash) {
            let bucket = self.buckets.entry(key).or_default();
            if bucket.len() < BUCKET {
                bucket.push(at as u32);
            }
        }
    }

    /// The image in here that shows the same picture, and is the most alike.
    fn nearest(&self, prepared: &[Option<Prepared>], hash: &Hash, details: &[i8; LIKENESS]) -> Option<(usize, f32)> {
        let mut candidates: Vec<u32> =
            bands(hash).filter_map(|key| self.buckets.get(&key)).flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let compared = candidates.into_iter().filter_map(|at| {
            let other = prepared[at as usize].as_ref()?;
            (distance(hash, &other.hash) <= FARTHEST).then(|| (at as usize, correlation(details, &other.details)))
        });
        let nearest = compared.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        (nearest.1 >= SAME_PICTURE).then_some(nearest)
    }
}

fn bands(hash: &Hash) -> impl Iterator<Item = (u8, u16)> {
    // Bit b belongs to band b % 16: each band takes from all frequencies.
    (0..BANDS).map(|band| {
        let key = (0..BITS / BANDS).fold(0, |key, place| {
            let bit = place * BANDS + band;
            key << 1 | (hash[bit / 64] >> (bit % 64) & 1) as u16
        });
        (band as u8, key)
    })
}

fn distance(a: &Hash, b: &Hash) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

fn correlation(a: &[i8; LIKENESS], b: &[i8; LIKENESS]) -> f32 {
    let dot = |a: &[i8; LIKENESS], b: &[i8; LIKENESS]| -> i32 {
        a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
    };
    dot(a, b) as f32 / (dot(a, a) as f32 * dot(b, b) as f32).sqrt().max(1.0)
}

/// Mean 0, deviation 1; `None` where all pixels are (nearly) one grey.
pub(super) fn standardised(likeness: &Likeness) -> Option<[f32; LIKENESS]> {
    let mean = likeness.iter().map(|&grey| f32::from(grey)).sum::<f32>() / LIKENESS as f32;
    let variance = likeness.iter().map(|&grey| (f32::from(grey) - mean).powi(2)).sum::<f32>() / LIKENESS as f32;
    (variance > 0.25).then(|| std::array::from_fn(|at| (f32::from(likeness[at]) - mean) / variance.sqrt()))
}

/// Each pixel against the mean of the 5 × 5 pixels around it, scaled so that the largest is 127.
fn details(likeness: &Likeness) -> Option<Box<[i8; LIKENESS]>> {
    const REACH: usize = 2;
    let mut fine = [0.0_f32; LIKENESS];
    for y in 0..LIKENESS_SIDE {
        for x in 0..LIKENESS_SIDE {
            let (rows, columns) = (window(y, REACH), window(x, REACH));
            let count = (rows.len() * columns.len()) as f32;
            let around: u32 = rows
                .flat_map(|row| columns.clone().map(move |column| u32::from(likeness[row * LIKENESS_SIDE + column])))
                .sum();
            fine[y * LIKENESS_SIDE + x] = f32::from(likeness[y * LIKENESS_SIDE + x]) - around as f32 / count;
        }
    }
    let largest = fine.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    (largest > 0.5).then(|| Box::new(fine.map(|value| (value / largest * 127.0).round() as i8)))
}

fn window(at: usize, reach: usize) -> std::ops::Range<usize> {
    at.saturating_sub(reach)..(at + reach + 1).min(LIKENESS_SIDE)
}

/// The middle of every frequency over an even sample of the images; zeros for few images.
fn middle(likenesses: &[&Likeness], transform: &Transform) -> [f32; BITS] {
    let step = likenesses.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<[f32; BITS]> = likenesses
        .par_iter()
        .step_by(step)
        .filter_map(|likeness| Some(transform.apply(&standardised(likeness)?)))
        .collect();
    if sample.len() < SMALLEST_SAMPLE {
        return [0.0; BITS];
    }
    std::array::from_fn(|frequency| {
        let mut values: Vec<f32> = sample.iter().map(|coefficients| coefficients[frequency]).collect();
        let half = values.len() / 2;
        *values.select_nth_unstable_by(half, f32::total_cmp).1
    })
}

fn hash(coefficients: &[f32; BITS], middle: &[f32; BITS]) -> Hash {
    let mut hash = Hash::default();
    for (bit, (value, middle)) in coefficients.iter().zip(middle).enumerate() {
        hash[bit / 64] |= u64::from(value > middle) << (bit % 64);
    }
    hash
}

/// The lowest frequencies of the two-dimensional DCT-II.
struct Transform {
    /// cos(π (2x + 1) u / 64), by u and x.
    waves: [[f32; LIKENESS_SIDE]; FREQUENCIES],
}

impl Transform {
    fn new() -> Self {
        let wave = |u: usize, x: usize| {
            (std::f64::consts::PI * (2 * x + 1) as f64 * u as f64 / (2 * LIKENESS_SIDE) as f64).cos() as f32
        };
        Self { waves: std::array::from_fn(|u| std::array::from_fn(|x| wave(u, x))) }
    }

    /// Coefficients by vertical, then horizontal frequency.
    fn apply(&self, pixels: &[f32; LIKENESS]) -> [f32; BITS] {
        let mut rows = [[0.0_f32; FREQUENCIES]; LIKENESS_SIDE];
        for (row, line) in rows.iter_mut().zip(pixels.chunks_exact(LIKENESS_SIDE)) {
            for (value, wave) in row.iter_mut().zip(&self.waves) {
                *value = line.iter().zip(wave).map(|(pixel, wave)| pixel * wave).sum();
            }
        }
        std::array::from_fn(|at| {
            let (v, u) = (at / FREQUENCIES, at % FREQUENCIES);
            rows.iter().zip(&self.waves[v]).map(|(row, wave)| row[u] * wave).sum()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::samples::facts;
    use super::*;

    /// A chest-like picture of its own for every `person`: the same coarse shape, other ribs and spots.
    fn chest(person: u32, change: impl Fn(f32) -> f32) -> Box<Likeness> {
        let mut state = u64::from(person) + 1;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f32 / (1_u64 << 31) as f32
        };
        let spots: Vec<[f32; 4]> = (0..14)
            .map(|_| [random() * 128.0, random() * 128.0, 4.0 + 6.0 * random(), 50.0 * random() - 25.0])
            .collect();
        facts(128, 128, |x, y| {
            let (x, y) = (x as f32, y as f32);
            let lungs = [40.0, 88.0].map(|middle| (-((x - middle) / 18.0).powi(2) - ((y - 60.0) / 36.0).powi(2)).exp());
            let shape = 170.0 - 90.0 * (lungs[0] + lungs[1]);
            let spots: f32 = spots
                .iter()
                .map(|[a, b, size, depth]| depth * (-((x - a).powi(2) + (y - b).powi(2)) / (size * size)).exp())
                .sum();
            change(shape + spots).clamp(0.0, 255.0) as u8
        })
        .likeness
    }

    fn found(likenesses: &[Box<Likeness>]) -> Vec<Pair> {
        pairs(&likenesses.iter().map(|likeness| &**likeness).collect::<Vec<_>>())
    }

    #[allow(clippy::vec_box, reason = "as the pictures' facts hold them")]
    fn persons(count: u32) -> Vec<Box<Likeness>> {
        (0..count).map(|person| chest(person, |grey| grey)).collect()
    }

    #[test]
    fn different_persons_are_different_pictures() {
        assert_eq!(found(&persons(200)), []);
        assert_eq!(found(&persons(5)), []);
    }

    #[test]
    fn a_copy_with_other_brightness_and_contrast_is_found_among_many_and_among_few() {
        for others in [0, 200] {
            let mut likenesses = persons(3 + others);
            likenesses.push(chest(1, |grey| 30.0 + 0.7 * grey));
            likenesses.push(chest(1, |grey| 255.0 * (grey / 255.0).powf(1.3)));
            let found = found(&likenesses);
            let expected = likenesses.len() - 2;
            let pairs: Vec<_> = found.iter().map(|pair| (pair.first, pair.second, pair.mirrored)).collect();
            assert_eq!(pairs, [(1, expected, false), (1, expected + 1, false)], "{found:?}");
        }
    }

    #[test]
    fn a_mirrored_copy_is_told_from_an_upright_one() {
        let mut likenesses = persons(100);
        let mut mirrored = likenesses[7].clone();
        mirrored.chunks_exact_mut(LIKENESS_SIDE).for_each(<[u8]>::reverse);
        likenesses.push(mirrored);
        let found = found(&likenesses);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].first, found[0].second, found[0].mirrored), (7, 100, true));
    }

    #[test]
    fn blank_pictures_are_compared_with_nothing() {
        let blank = vec![Box::new([7; LIKENESS]), Box::new([9; LIKENESS]), Box::new([7; LIKENESS])];
        assert_eq!(found(&blank), []);
        assert_eq!(found(&[]), []);
    }

    #[test]
    fn every_bit_belongs_to_one_band() {
        let hash = Hash::default();
        // Every bit decides in exactly one band.
        for bit in 0..BITS {
            let mut other = hash;
            other[bit / 64] |= 1 << (bit % 64);
            let differing = bands(&hash).zip(bands(&other)).filter(|(a, b)| a != b).count();
            assert_eq!(differing, 1, "bit {bit}");
        }
    }
}
