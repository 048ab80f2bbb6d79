//! Grey values: what is trained on against what is held out.

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use serde::Serialize;

use super::Side;
use super::scan::{BINS, GREYS_PER_BIN, ImageFacts};
use crate::data::Study;

/// Random divisions that show what chance does.
const SHUFFLES: usize = 40;
/// Their seed.
const SHUFFLE_SEED: u64 = 2;

/// Mean histograms of the sides, each image counting alike, and how far they lie apart.
#[derive(Debug, Clone, Serialize)]
pub struct Intensity {
    /// Grey values of the images to train on: share per bin, from black to white.
    pub training: Vec<f64>,
    /// Those of the validation images; empty where there are none.
    pub validation: Vec<f64>,
    /// Wasserstein-1 distance of the two, in grey values of 255: by so much, on average, a pixel's grey would have to
    /// change to make one of the other.
    pub distance: Option<f64>,
    /// The same of random divisions by patient into sides of the same sizes: 95 of 100 are at most this.
    pub distance_by_chance: Option<f64>,
}

/// Compares the sides. `images` are (study, facts).
pub fn compare(images: &[(usize, ImageFacts)], studies: &[Study], sides: &[Side]) -> Intensity {
    let on = |wanted: Side| -> Vec<usize> { (0..images.len()).filter(|&at| sides[images[at].0] == wanted).collect() };
    let (train, validation) = (on(Side::Train), on(Side::Validation));
    let training_mean = mean(images, &train);
    let validation_mean = mean(images, &validation);
    let both = !train.is_empty() && !validation.is_empty();
    Intensity {
        distance: both.then(|| wasserstein(&training_mean, &validation_mean)),
        distance_by_chance: both.then(|| by_chance(images, studies, &train, &validation)),
        training: training_mean.to_vec(),
        validation: if validation.is_empty() { Vec::new() } else { validation_mean.to_vec() },
    }
}

fn mean(images: &[(usize, ImageFacts)], of: &[usize]) -> [f64; BINS] {
    let mut sum = [0_u64; BINS];
    for &at in of {
        for (sum, &share) in sum.iter_mut().zip(&images[at].1.histogram[..]) {
            *sum += u64::from(share);
        }
    }
    let all = sum.iter().sum::<u64>().max(1) as f64;
    sum.map(|share| share as f64 / all)
}

/// The area between the two cumulative distributions (Vallender 1974), in grey values.
fn wasserstein(a: &[f64; BINS], b: &[f64; BINS]) -> f64 {
    let mut ahead = 0.0_f64;
    a.iter()
        .zip(b)
        .map(|(a, b)| {
            ahead += a - b;
            ahead.abs()
        })
        .sum::<f64>()
        * GREYS_PER_BIN
}

/// The 95th percentile over random divisions that keep patients together.
fn by_chance(images: &[(usize, ImageFacts)], studies: &[Study], train: &[usize], validation: &[usize]) -> f64 {
    let mut by_patient: HashMap<&str, Vec<usize>> = HashMap::new();
    for &at in train.iter().chain(validation) {
        let study = &studies[images[at].0];
        by_patient.entry(study.patient.as_deref().unwrap_or(&study.id)).or_default().push(at);
    }
    let mut patients: Vec<Vec<usize>> = by_patient.into_values().collect();
    patients.sort_unstable();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(SHUFFLE_SEED);
    let mut distances: Vec<f64> = (0..SHUFFLES)
        .map(|_| {
            patients.shuffle(&mut rng);
            let drawn: Vec<usize> = patients.iter().flatten().copied().collect();
            let (held_out, kept) = drawn.split_at(validation.len());
            wasserstein(&mean(images, kept), &mean(images, held_out))
        })
        .collect();
    distances.sort_unstable_by(f64::total_cmp);
    distances[SHUFFLES * 95 / 100 - 1]
}

#[cfg(test)]
mod tests {
    use super::super::scan::samples::facts;
    use super::*;

    fn study(id: &str) -> Study {
        Study { id: id.to_owned(), file: String::new(), text: String::new(), patient: None, part: None }
    }

    #[test]
    fn the_distance_is_the_shift_in_grey_values() {
        let spike = |bin: usize| std::array::from_fn(|at| f64::from(u8::from(at == bin)));
        assert!((wasserstein(&spike(10), &spike(15)) - 20.0).abs() < 1e-9);
        assert!(wasserstein(&spike(3), &spike(3)) < 1e-12);
    }

    #[test]
    fn a_darker_validation_set_stands_out_and_a_random_one_does_not() {
        let studies: Vec<Study> = (0..60).map(|n| study(&format!("s{n}"))).collect();
        let image = |n: usize, grey: usize| (n, facts(4, 4, move |x, _| (grey + x as usize) as u8));
        let alike: Vec<_> = (0..60).map(|n| image(n, 100 + n * 7 % 40)).collect();
        let sides: Vec<Side> = (0..60).map(|n| if n % 5 == 0 { Side::Validation } else { Side::Train }).collect();
        let found = compare(&alike, &studies, &sides);
        assert!(found.distance.unwrap() <= 1.5 * found.distance_by_chance.unwrap(), "{found:?}");
        let darker: Vec<_> = (0..60).map(|n| image(n, if n % 5 == 0 { 20 } else { 100 + n * 7 % 40 })).collect();
        let found = compare(&darker, &studies, &sides);
        assert!(found.distance.unwrap() > 2.0 * found.distance_by_chance.unwrap(), "{found:?}");
        assert!(found.distance.unwrap() > 60.0);
    }

    #[test]
    fn without_a_validation_set_there_is_no_distance() {
        let found = compare(&[(0, facts(4, 4, |_, _| 9))], &[study("a")], &[Side::Train]);
        assert!(found.distance.is_none() && found.validation.is_empty());
        assert!((found.training.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
