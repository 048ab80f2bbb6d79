//! How varied a set of texts is. A model that writes the same report for everyone can score well, and shows here.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::Serialize;

use super::LONGEST_NGRAM;
use super::ngrams::{NgramIndex, Words};

/// Variety of a set of texts.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Diversity {
    /// Texts.
    pub reports: usize,
    /// Different texts.
    pub distinct_reports: usize,
    /// Mean words per text.
    pub mean_words: f64,
    /// Different 1- to 4-grams (distinct-n of Li et al. divides them by all).
    pub distinct_ngrams: [u64; LONGEST_NGRAM],
    /// Different 1- to 4-grams over all 1- to 4-grams, in [0, 1]. Falls as a set grows: compare sets of one size.
    pub distinct_share: [f64; LONGEST_NGRAM],
    /// Share of a text's 4-grams that stood in it before, mean over the texts that have any, in [0, 1]: loops.
    pub repeat_rate: f64,
}

/// Of the texts that `side` picks; `texts` are the same as strings.
pub(super) fn of<'t>(
    pairs: &[(Words, Words)],
    side: impl Fn(&(Words, Words)) -> &Words + Sync,
    texts: impl Iterator<Item = &'t str>,
) -> Diversity {
    let index = NgramIndex::of(pairs.iter().map(&side));
    indexed(pairs, side, texts, &index)
}

/// The same where the index over the texts exists.
pub(super) fn indexed<'t>(
    pairs: &[(Words, Words)],
    side: impl Fn(&(Words, Words)) -> &Words + Sync,
    texts: impl Iterator<Item = &'t str>,
    index: &NgramIndex,
) -> Diversity {
    let distinct_reports = texts.collect::<HashSet<_>>().len();
    let words: Vec<usize> = pairs.iter().map(|pair| side(pair).words.len()).collect();
    let rates: Vec<f64> = pairs.par_iter().filter_map(|pair| repeat_rate(&side(pair).words)).collect();
    let share = |length: usize| {
        let all: usize = words.iter().map(|words| words.saturating_sub(length)).sum();
        index.distinct[length] as f64 / all.max(1) as f64
    };
    Diversity {
        reports: pairs.len(),
        distinct_reports,
        mean_words: words.iter().sum::<usize>() as f64 / pairs.len().max(1) as f64,
        distinct_ngrams: index.distinct,
        distinct_share: std::array::from_fn(share),
        repeat_rate: rates.iter().sum::<f64>() / rates.len().max(1) as f64,
    }
}

/// Share of the 4-grams that stood in the text before; `None` where it has none.
fn repeat_rate(words: &[u32]) -> Option<f64> {
    let mut grams: Vec<&[u32]> = words.windows(LONGEST_NGRAM).collect();
    let all = grams.len();
    grams.sort_unstable();
    grams.dedup();
    (all > 0).then(|| (all - grams.len()) as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Treatment, score};

    #[test]
    fn constant_and_looping_texts_show() {
        let texts = ["No effusion here today. No effusion here today.", "Large heart.", "Large heart."];
        let pairs: Vec<(&str, &str)> = texts.iter().map(|&text| (text, "One two three four five.")).collect();
        let scores = score(&pairs, Treatment::Plain);
        let (generated, references) = (scores.generated, scores.references);
        assert_eq!((generated.reports, generated.distinct_reports, references.distinct_reports), (3, 2, 1));
        assert!((generated.mean_words - 4.0).abs() < 1e-12);
        assert_eq!(generated.distinct_ngrams, [6, 5, 4, 4]);
        assert!((generated.distinct_share[0] - 0.5).abs() < 1e-12);
        assert!((generated.repeat_rate - 0.2).abs() < 1e-12, "one of five 4-grams of the only text that has any");
        assert!(references.repeat_rate.abs() < 1e-12);
    }
}
