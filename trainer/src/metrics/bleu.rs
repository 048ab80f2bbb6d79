//! BLEU-1..4 (Papineni et al., ACL 2002) of one reference per report, with pycocoevalcap's guards.

use super::LONGEST_NGRAM;
use super::ngrams::{Grams, shared};

/// Keep 0/0 from happening; pycocoevalcap's values, so that its figures come out.
const TINY: f64 = 1e-15;
const SMALL: f64 = 1e-9;

/// What BLEU is made of; sums over reports are a corpus's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// n-grams of the generated text.
    total: [u64; LONGEST_NGRAM],
    /// Those that the reference has too, each at most as often as it does.
    matched: [u64; LONGEST_NGRAM],
    generated_words: u64,
    reference_words: u64,
}

impl Counts {
    pub(super) fn of(generated: &Grams, reference: &Grams) -> Self {
        let mut counts = Self {
            generated_words: generated.words as u64,
            reference_words: reference.words as u64,
            ..Self::default()
        };
        for length in 0..LONGEST_NGRAM {
            counts.total[length] = generated.words.saturating_sub(length) as u64;
            let matched = &mut counts.matched[length];
            shared(&generated.counts[length], &reference.counts[length], |_, a, b| *matched += u64::from(a.min(b)));
        }
        counts
    }

    /// Adds another report's.
    pub fn add(&mut self, other: &Self) {
        for length in 0..LONGEST_NGRAM {
            self.total[length] += other.total[length];
            self.matched[length] += other.matched[length];
        }
        self.generated_words += other.generated_words;
        self.reference_words += other.reference_words;
    }

    /// BLEU-1 to BLEU-4: geometric means of the precisions, times the brevity penalty.
    pub fn bleu(&self) -> [f64; LONGEST_NGRAM] {
        let ratio = (self.generated_words as f64 + TINY) / (self.reference_words as f64 + SMALL);
        let brevity = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|length| {
            product *= (self.matched[length] as f64 + TINY) / (self.total[length] as f64 + SMALL);
            product.powf(1.0 / (length + 1) as f64) * brevity
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Treatment, score};

    #[test]
    fn a_word_counts_at_most_as_often_as_the_reference_has_it() {
        let bleu = score(&[("the the the the the the the", "the cat is on the mat")], Treatment::Plain).corpus.bleu;
        assert!((bleu[0] - 2.0 / 7.0).abs() < 1e-9, "the example of the paper: {bleu:?}");
    }

    #[test]
    fn short_texts_pay_the_brevity_penalty() {
        let bleu = score(&[("a b", "a b c d")], Treatment::Plain).corpus.bleu;
        assert!((bleu[1] - (1.0f64 - 2.0).exp()).abs() < 1e-6, "{bleu:?}");
        let same = score(&[("a b c d", "a b c d")], Treatment::Plain).corpus.bleu;
        assert!(same.iter().all(|score| (score - 1.0).abs() < 1e-6), "{same:?}");
    }
}
