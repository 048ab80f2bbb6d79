//! Counting what usually follows what in the reports that a checkpoint was trained on.

use std::collections::HashMap;

use anyhow::Context;
use xreport_models::ngrams::NgramTable;
use xreport_models::text::Tokenizer;

use crate::data::{Dataset, Draw, split};
use crate::training::checkpoint::State;

/// Counts the n-grams of the reports that the checkpoint's run learned from. Every one of them must name its patient:
/// else ten reports of one person would pass for ten persons', and what they share would be given away.
pub fn count(state: &State, tokenizer: &Tokenizer) -> anyhow::Result<NgramTable> {
    let dataset = Dataset::open(&state.data, state.csv.as_deref())
        .context("the n-grams of the training reports cannot be counted\nhint: export without --ngrams")?;
    let dataset_settings = &state.settings.dataset;
    let draw = Draw {
        sample: dataset_settings.sample_size,
        held_out: dataset_settings.validation_size,
        seed: dataset_settings.split_seed,
    };
    let learned = split(&dataset.studies, draw)?.train;
    let longest = dataset_settings.max_report_size;
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut reports: Vec<(u32, Vec<u32>)> = Vec::with_capacity(learned.len());
    for study in learned.into_iter().map(|index| &dataset.studies[index]) {
        let fresh = numbers.len() as u32;
        let patient = study.patient.as_deref().context(
            "the n-grams of the training reports cannot be counted: the table's `patient` column must name the patient of every training study\nhint: export without --ngrams",
        )?;
        let patient = *numbers.entry(patient).or_insert(fresh);
        let ids = tokenizer.encode(&study.text)?;
        reports.push((patient, ids.iter().take(longest).map(|&id| state.vocabulary.to_model(id)).collect()));
    }
    let reports: Vec<(u32, &[u32])> = reports.iter().map(|(patient, tokens)| (*patient, tokens.as_slice())).collect();
    Ok(NgramTable::count(&reports))
}
