//! `score`: the texts of any system against reference reports, two tables with `id` and `text`.

mod join;
mod per_report;

use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;

pub use join::{Joined, Missing, Pair, ScoreError, join};
pub use per_report::write as write_per_report;

use crate::metrics::{self, TextScores, Treatment};
use crate::observations::{self, Agreement, Labelled};

/// What `score` is told.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// Table of the generated texts.
    pub generated: PathBuf,
    /// Table of the reference reports.
    pub references: PathBuf,
    /// Text treatments, each with its own figures.
    pub treatments: Vec<Treatment>,
    /// What becomes of a reference without a generated text.
    pub missing: Missing,
}

/// What a score found.
#[derive(Debug, Clone, Serialize)]
pub struct Score {
    /// Table of the generated texts.
    pub generated: String,
    /// Table of the reference reports.
    pub references: String,
    /// Pairs compared.
    pub pairs: usize,
    /// References without a generated text.
    pub missing: usize,
    /// What became of them.
    pub missing_as: Missing,
    /// Generated texts without a reference; they are left out.
    pub without_reference: usize,
    /// Empty generated texts among the pairs, the missing ones that count as empty included.
    pub empty_generated: usize,
    /// Empty references among the pairs.
    pub empty_references: usize,
    /// Word overlap, by text treatment.
    pub text: Vec<TextScores>,
    /// Agreement of the observations read from both texts.
    pub observations: Agreement,
}

/// A score with what it was made from.
#[derive(Debug)]
pub struct Scored {
    /// The figures.
    pub score: Score,
    /// What should be known of the tables: rows whose cell holds no text though it is not empty.
    pub remarks: Vec<String>,
    /// The pairs in the order of ids.
    pub pairs: Vec<Pair>,
    /// (generated, reference) observations of each pair.
    pub labels: Vec<(Labelled, Labelled)>,
}

/// Joins both tables and compares.
///
/// # Errors
/// [`ScoreError`]: a table that cannot be read or joined, or no pair to compare.
pub fn score(request: &ScoreRequest) -> Result<Scored, ScoreError> {
    let joined = join(&request.generated, &request.references, request.missing)?;
    let texts: Vec<(&str, &str)> =
        joined.pairs.iter().map(|pair| (pair.generated.as_str(), pair.reference.as_str())).collect();
    let labels: Vec<(Labelled, Labelled)> = texts
        .par_iter()
        .map(|(generated, reference)| (observations::read(generated), observations::read(reference)))
        .collect();
    let score = Score {
        generated: request.generated.display().to_string(),
        references: request.references.display().to_string(),
        pairs: texts.len(),
        missing: joined.missing,
        missing_as: request.missing,
        without_reference: joined.without_reference,
        empty_generated: texts.iter().filter(|(generated, _)| generated.is_empty()).count(),
        empty_references: texts.iter().filter(|(_, reference)| reference.is_empty()).count(),
        text: request.treatments.iter().map(|&treatment| metrics::score(&texts, treatment)).collect(),
        observations: observations::agreement(&labels),
    };
    Ok(Scored { score, remarks: joined.remarks, pairs: joined.pairs, labels })
}
