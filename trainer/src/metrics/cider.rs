//! CIDEr-D (Vedantam et al., CVPR 2015): n-grams weighed by how rare they are among the references.

use super::LONGEST_NGRAM;
use super::ngrams::{Grams, NgramIndex, shared};

/// Width of the length penalty, in bigrams: pycocoevalcap measures the length so.
const SIGMA: f64 = 6.0;
const SCALE: f64 = 10.0;

/// Inverse document frequencies of a set of references.
pub(super) struct Weights<'i> {
    index: &'i NgramIndex,
    /// ln of the number of references.
    log_references: f64,
}

impl<'i> Weights<'i> {
    pub fn new(index: &'i NgramIndex, references: usize) -> Self {
        Self { index, log_references: (references.max(1) as f64).ln() }
    }

    /// ln(references / references with the n-gram); an n-gram of no reference counts as if it stood in one.
    fn weight(&self, node: u32) -> f64 {
        self.log_references - f64::from(self.index.frequency(node).max(1)).ln()
    }

    fn norm(&self, counts: &[(u32, u32)]) -> f64 {
        counts.iter().map(|&(node, count)| (f64::from(count) * self.weight(node)).powi(2)).sum::<f64>().sqrt()
    }

    /// CIDEr-D of one report, in [0, 10].
    pub fn similarity(&self, generated: &Grams, reference: &Grams) -> f64 {
        let bigrams = |grams: &Grams| grams.words.saturating_sub(1) as f64;
        let difference = bigrams(generated) - bigrams(reference);
        let penalty = (-difference.powi(2) / (2.0 * SIGMA * SIGMA)).exp();
        let sum: f64 = (0..LONGEST_NGRAM)
            .map(|length| {
                let (first, second) = (&generated.counts[length], &reference.counts[length]);
                let mut product = 0.0;
                shared(first, second, |node, a, b| {
                    let weight = self.weight(node);
                    product += f64::from(a.min(b)) * weight * f64::from(b) * weight;
                });
                let norms = self.norm(first) * self.norm(second);
                if norms == 0.0 { 0.0 } else { product / norms }
            })
            .sum();
        SCALE * penalty * sum / LONGEST_NGRAM as f64
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Treatment, score};

    #[test]
    fn rare_words_count_and_common_ones_do_not() {
        let pairs = [("heart normal", "heart normal"), ("heart large", "heart normal"), ("heart odd", "heart odd")];
        let reports = score(&pairs, Treatment::Plain).reports;
        // `heart` stands in every reference and weighs nothing.
        assert!((reports[1].cider_d).abs() < 1e-9, "{reports:?}");
        // Two words have no 3-grams: half of the four lengths can agree.
        assert!((reports[2].cider_d - 5.0).abs() < 1e-9, "{reports:?}");
    }

    #[test]
    fn length_is_penalised() {
        let long = "a b c d e f g h i j k l m n o p";
        let reports = score(&[(long, "a b c d"), ("x y z w", "x y z w")], Treatment::Plain).reports;
        assert!(reports[0].cider_d < 2.0 && (reports[1].cider_d - 10.0).abs() < 1e-9, "{reports:?}");
    }
}
