//! Counting what usually follows what in the reports that a checkpoint was trained on.

use std::collections::HashMap;

use anyhow::Context;
use xreport_models::ngrams::NgramTable;
use xreport_models::text::Tokenizer;

use crate::data::Dataset;
use crate::training::checkpoint::State;

/// Counts the n-grams of the data set that the checkpoint names. A report whose patient is not named counts as a
/// patient of its own.
pub fn count(state: &State, tokenizer: &Tokenizer) -> anyhow::Result<NgramTable> {
    let dataset = Dataset::open(&state.data, state.csv.as_deref())
        .context("the n-grams of the training reports cannot be counted\nhint: export without --ngrams")?;
    let longest = state.settings.dataset.max_report_size;
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut reports: Vec<(u32, Vec<u32>)> = Vec::with_capacity(dataset.studies.len());
    for study in &dataset.studies {
        let fresh = numbers.len() as u32;
        let patient = *numbers.entry(study.patient.as_deref().unwrap_or(&study.id)).or_insert(fresh);
        let ids = tokenizer.encode(&study.text)?;
        reports.push((patient, ids.iter().take(longest).map(|&id| state.vocabulary.to_model(id)).collect()));
    }
    let reports: Vec<(u32, &[u32])> = reports.iter().map(|(patient, tokens)| (*patient, tokens.as_slice())).collect();
    Ok(NgramTable::count(&reports))
}
