//! Intervals for differences: would the model still be ahead on other patients?

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples; the ends of a 95 % interval are then its 25th and 975th values.
const RESAMPLES: usize = 1000;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether it lies above 0 as a whole.
    pub fn is_above_zero(self) -> bool {
        self.low > 0.0
    }
}

/// The percentile interval of `measure` over resampled studies (Efron's bootstrap). `clusters` holds the indices of the
/// studies by patient: patients are drawn with replacement, and bring all their studies, since those of one patient are
/// alike. The same resamples serve every measure of one `rng` state, and a measure that is itself a difference of two
/// systems on the same studies makes the interval a paired one.
///
/// With fewer than two patients nothing can be said, and the interval is that of the one value.
pub(super) fn interval(clusters: &[Vec<usize>], rng: &mut ChaCha8Rng, measure: impl Fn(&[usize]) -> f64) -> Interval {
    let mut sample = Vec::new();
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.clear();
            for _ in 0..clusters.len() {
                sample.extend_from_slice(&clusters[rng.random_range(0..clusters.len())]);
            }
            measure(&sample)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    Interval { low: values[RESAMPLES / 40], high: values[RESAMPLES - 1 - RESAMPLES / 40] }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(5)
    }

    fn mean(values: &[f64], sample: &[usize]) -> f64 {
        sample.iter().map(|&index| values[index]).sum::<f64>() / sample.len() as f64
    }

    #[test]
    fn the_interval_of_a_mean_is_about_two_standard_errors_wide() {
        let values: Vec<f64> = (0..400).map(|n| f64::from(n % 2)).collect();
        let clusters: Vec<Vec<usize>> = (0..400).map(|n| vec![n]).collect();
        let found = interval(&clusters, &mut rng(), |sample| mean(&values, sample));
        // Standard error 0.025.
        assert!((found.low - 0.451).abs() < 0.01 && (found.high - 0.549).abs() < 0.01, "{found:?}");
        assert_eq!(found, interval(&clusters, &mut rng(), |sample| mean(&values, sample)), "seeded");
    }

    #[test]
    fn studies_of_one_patient_count_once() {
        let values: Vec<f64> = (0..400).map(|n| f64::from(n / 40 % 2)).collect();
        let alone: Vec<Vec<usize>> = (0..400).map(|n| vec![n]).collect();
        let patients: Vec<Vec<usize>> = (0..10).map(|p| (p * 40..(p + 1) * 40).collect()).collect();
        let width = |clusters: &[Vec<usize>]| {
            let found = interval(clusters, &mut rng(), |sample| mean(&values, sample));
            found.high - found.low
        };
        assert!(width(&patients) > 4.0 * width(&alone));
    }

    #[test]
    fn a_paired_difference_is_narrower_than_its_parts() {
        let hard: Vec<f64> = (0..200).map(|n| f64::from(n % 7)).collect();
        let clusters: Vec<Vec<usize>> = (0..200).map(|n| vec![n]).collect();
        let better: Vec<f64> = hard.iter().map(|value| value + 0.1).collect();
        let found = interval(&clusters, &mut rng(), |sample| mean(&better, sample) - mean(&hard, sample));
        assert!(found.is_above_zero() && found.high - found.low < 1e-9, "{found:?}");
    }

    #[test]
    fn one_patient_has_no_width() {
        let found = interval(&[vec![0, 1]], &mut rng(), |sample| sample.len() as f64);
        assert_eq!((found.low, found.high), (2.0, 2.0));
    }
}
