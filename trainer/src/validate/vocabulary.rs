//! Which tokens the reports use, and which of them training never sees.

use serde::Serialize;
use xreport_models::text::special;

use super::Side;

/// Ids of DistilBERT's tokenizer.
const TOKENIZER_IDS: usize = 30_522;
/// Points of the growth curve.
const GROWTH_POINTS: usize = 100;

/// Which tokens the reports use.
#[derive(Debug, Clone, Serialize)]
pub struct VocabularyFacts {
    /// Different token ids in all reports, specials left out.
    pub distinct_tokens: usize,
    /// Different ids in the reports to train on.
    pub distinct_in_training: usize,
    /// All tokens, specials left out.
    pub tokens: u64,
    /// Share of tokens that the tokenizer itself does not know.
    pub unknown_to_tokenizer: f64,
    /// Share of tokens in the validation reports that no training report has: with VOCABULARY = corpus each of them
    /// becomes `[UNK]`. `None` without validation reports.
    pub unseen_in_training: Option<f64>,
    /// Validation reports with such a token.
    pub reports_with_unseen: usize,
    /// (reports read in random order, different tokens met so far).
    pub growth: Vec<(u64, u64)>,
    /// New tokens per 1,000 reports over the last tenth of them.
    pub new_per_thousand: f64,
}

/// Counts of token ids; its size does not depend on the number of reports, but for one rank each.
pub(super) struct VocabularyCount {
    reports: usize,
    /// By id: the lowest rank of a report that has it.
    first_rank: Vec<u32>,
    in_training: Vec<bool>,
    in_validation: Vec<u64>,
    validation_reports: Vec<Vec<u32>>,
    tokens: u64,
    unknown: u64,
}

impl VocabularyCount {
    pub(super) fn new(reports: usize) -> Self {
        Self {
            reports,
            first_rank: vec![u32::MAX; TOKENIZER_IDS],
            in_training: vec![false; TOKENIZER_IDS],
            in_validation: vec![0; TOKENIZER_IDS],
            validation_reports: Vec::new(),
            tokens: 0,
            unknown: 0,
        }
    }

    pub(super) fn add(&mut self, tokens: &[u32], rank: u32, side: Side) {
        for &token in tokens {
            let at = token as usize;
            self.tokens += 1;
            self.unknown += u64::from(token == special::UNK);
            self.first_rank[at] = self.first_rank[at].min(rank);
            match side {
                Side::Train => self.in_training[at] = true,
                Side::Validation => self.in_validation[at] += 1,
                Side::Test => {}
            }
        }
        if side == Side::Validation {
            let mut distinct = tokens.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            distinct.shrink_to_fit();
            self.validation_reports.push(distinct);
        }
    }

    pub(super) fn facts(self) -> VocabularyFacts {
        let mut met: Vec<u32> = self.first_rank.iter().copied().filter(|&rank| rank != u32::MAX).collect();
        met.sort_unstable();
        let known_after = |reports: usize| met.partition_point(|&rank| (rank as usize) < reports) as u64;
        let points = GROWTH_POINTS.min(self.reports.max(1));
        let growth =
            (0..=points).map(|point| self.reports * point / points).map(|n| (n as u64, known_after(n))).collect();
        let tenth = (self.reports / 10).max(1);
        let new = known_after(self.reports) - known_after(self.reports - tenth.min(self.reports));
        let unseen = |token: usize| !self.in_training[token];
        let validation: u64 = self.in_validation.iter().sum();
        let lost: u64 =
            self.in_validation.iter().enumerate().filter(|(at, _)| unseen(*at)).map(|(_, count)| count).sum();
        VocabularyFacts {
            distinct_tokens: met.len(),
            distinct_in_training: self.in_training.iter().filter(|&&seen| seen).count(),
            tokens: self.tokens,
            unknown_to_tokenizer: self.unknown as f64 / self.tokens.max(1) as f64,
            unseen_in_training: (validation > 0).then(|| lost as f64 / validation as f64),
            reports_with_unseen: self
                .validation_reports
                .iter()
                .filter(|tokens| tokens.iter().any(|&token| unseen(token as usize)))
                .count(),
            growth,
            new_per_thousand: new as f64 * 1000.0 / tenth as f64,
        }
    }
}
