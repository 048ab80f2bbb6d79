//! Text metrics: how alike generated reports and their references are, word for word.
//!
//! | metric | definition | source |
//! |---|---|---|
//! | BLEU-1..4 | corpus: clipped n-gram precision over all reports, brevity penalty, closest reference length | Papineni et al., ACL 2002 |
//! | ROUGE-L | longest common subsequence, F with β = 1.2, mean over reports | Lin, 2004 |
//! | CIDEr-D | tf-idf cosine of 1- to 4-grams, clipped, Gaussian length penalty σ = 6, × 10, mean over reports | Vedantam et al., CVPR 2015 |
//! | diversity | different texts, different n-grams, repeated 4-grams | Li et al., NAACL 2016; Welleck et al., ICLR 2020 |
//!
//! All three similarities reproduce the figures of pycocoevalcap 1.2, with which the field reports, to its constants
//! against division by zero. They depend on how the text was treated before: see [`Treatment`]. CIDEr's document
//! frequencies come from the references that are scored, so that a subset has other scores than the whole; with one
//! report every frequency is the same and it is 0.
//!
//! None of them knows what a sentence means: see [`crate::observations`].

mod bleu;
mod cider;
mod diversity;
mod ngrams;
pub mod ptb;
mod rouge_l;
mod treatment;

#[cfg(test)]
mod reference_tests;

use rayon::prelude::*;
use serde::Serialize;

pub use bleu::Counts;
pub use diversity::Diversity;
pub use treatment::Treatment;

use ngrams::{NgramIndex, Words, interned};

/// Longest n-grams counted.
pub const LONGEST_NGRAM: usize = 4;

/// The three similarities of one report or of a whole corpus.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Similarity {
    /// BLEU-1 to BLEU-4, in [0, 1].
    pub bleu: [f64; LONGEST_NGRAM],
    /// ROUGE-L, in [0, 1].
    pub rouge_l: f64,
    /// CIDEr-D, in [0, 10].
    pub cider_d: f64,
}

/// What the metrics say of a corpus under one treatment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextScores {
    /// What was done to the texts before.
    pub text: Treatment,
    /// Of the whole corpus: BLEU over all n-grams, the others as means.
    pub corpus: Similarity,
    /// How varied the generated texts are.
    pub generated: Diversity,
    /// How varied the references are.
    pub references: Diversity,
    /// Of each report, in the order given.
    #[serde(skip)]
    pub reports: Vec<Similarity>,
    /// What BLEU is made of, of each report.
    #[serde(skip)]
    pub counts: Vec<Counts>,
}

/// Scores `(generated, reference)` pairs of raw texts. Without a pair all figures are 0.
pub fn score<T: AsRef<str> + Sync>(pairs: &[(T, T)], text: Treatment) -> TextScores {
    let treated: Vec<(String, String)> = pairs
        .par_iter()
        .map(|(generated, reference)| (text.apply(generated.as_ref()), text.apply(reference.as_ref())))
        .collect();
    score_treated(&treated, text)
}

/// ROUGE-L of two texts that have had their treatment.
pub fn rouge_l(generated: &str, reference: &str) -> f64 {
    let pair = [(generated.to_owned(), reference.to_owned())];
    let words = interned(&pair);
    rouge_l::score(&words[0].0.spaced, &words[0].1.spaced)
}

/// Scores pairs that have had their treatment. `text` only names it.
pub fn score_treated(pairs: &[(String, String)], text: Treatment) -> TextScores {
    let words = interned(pairs);
    let (references, generated) = rayon::join(
        || NgramIndex::of(words.iter().map(|(_, reference)| reference)),
        || diversity::of(&words, |(generated, _)| generated, pairs.iter().map(|pair| pair.0.as_str())),
    );
    let weights = cider::Weights::new(&references, pairs.len());
    let scored: Vec<(Similarity, Counts)> =
        words.par_iter().map(|(generated, reference)| compare(generated, reference, &references, &weights)).collect();
    let mut total = Counts::default();
    let (mut rouge_l, mut cider_d) = (0.0, 0.0);
    for (similarity, counts) in &scored {
        total.add(counts);
        rouge_l += similarity.rouge_l;
        cider_d += similarity.cider_d;
    }
    let count = scored.len().max(1) as f64;
    let bleu = if scored.is_empty() { [0.0; LONGEST_NGRAM] } else { total.bleu() };
    TextScores {
        text,
        corpus: Similarity { bleu, rouge_l: rouge_l / count, cider_d: cider_d / count },
        generated,
        references: diversity::indexed(
            &words,
            |(_, reference)| reference,
            pairs.iter().map(|pair| pair.1.as_str()),
            &references,
        ),
        reports: scored.iter().map(|(similarity, _)| *similarity).collect(),
        counts: scored.into_iter().map(|(_, counts)| counts).collect(),
    }
}

fn compare(generated: &Words, reference: &Words, index: &NgramIndex, weights: &cider::Weights) -> (Similarity, Counts) {
    let (hypothesis, target) = index.grams_of_both(&generated.words, &reference.words);
    let counts = Counts::of(&hypothesis, &target);
    let similarity = Similarity {
        bleu: counts.bleu(),
        rouge_l: rouge_l::score(&generated.spaced, &reference.spaced),
        cider_d: weights.similarity(&hypothesis, &target),
    };
    (similarity, counts)
}
