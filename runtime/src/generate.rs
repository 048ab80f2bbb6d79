//! A whole run: images are loaded ahead while the model drafts, and rows are written in input order.

use std::sync::mpsc::{Receiver, sync_channel};

use rayon::prelude::*;
use thiserror::Error;
use xreport_models::image::{Admitted, Gate, ImageError, Preprocessing, gate};

use crate::drafting::{Alternative, Draft, Drafter, Study};
use crate::inputs::Input;
use crate::model::ModelError;
use crate::output::{OutputError, ResultRow, RowWriter};

/// Loads of images that wait for the model.
const BATCHES_AHEAD: usize = 2;
/// A load is that many batches: within it, a report that ends makes room for the next image at once.
const BATCHES_EACH: usize = 4;

/// Why a run stopped early.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The loader's threads could not be started.
    #[error("cannot start threads to load images: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// How a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Drafts written.
    pub done: usize,
    /// Inputs without a draft.
    pub failed: usize,
}

type LoadedBatch = Vec<(Input, Result<Admitted, ImageError>)>;

/// How a run goes about its work; nothing here changes the text of an image that is drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// Images drafted together.
    pub batch_size: usize,
    /// Threads that load images.
    pub threads: usize,
    /// What is let through.
    pub gate: Gate,
    /// Whether rows carry the drafts' WordPiece ids and their log-probabilities.
    pub token_ids: bool,
}

/// Drafts a report for every input and writes a row for each, in input order. `progress` is told each row.
pub fn generate(
    drafter: &mut Drafter,
    inputs: Vec<Input>,
    options: RunOptions,
    rows: &mut dyn RowWriter,
    progress: &mut dyn FnMut(&ResultRow),
) -> Result<Tally, GenerateError> {
    let preprocessing = drafter.manifest().preprocessing.clone();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let (sender, batches) = sync_channel::<LoadedBatch>(BATCHES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in inputs.chunks(options.batch_size.max(1) * BATCHES_EACH) {
                // The receiver is gone when the run has failed: nothing more to load.
                if sender.send(pool.install(|| load(&preprocessing, options.gate, chunk))).is_err() {
                    break;
                }
            }
        });
        draft_all(drafter, batches, options, rows, progress)
    })
}

fn load(preprocessing: &Preprocessing, gate: Gate, chunk: &[Input]) -> LoadedBatch {
    chunk.par_iter().map(|input| (input.clone(), preprocessing.admit(&input.path, gate))).collect()
}

fn draft_all(
    drafter: &mut Drafter,
    batches: Receiver<LoadedBatch>,
    options: RunOptions,
    rows: &mut dyn RowWriter,
    progress: &mut dyn FnMut(&ResultRow),
) -> Result<Tally, GenerateError> {
    let mut tally = Tally::default();
    for batch in batches {
        let studies = batch.iter().filter_map(|(input, loaded)| {
            let pixels = loaded.as_ref().ok()?.pixels.clone();
            Some(Study { name: input.id.clone(), pixels })
        });
        let mut drafts = drafter.draft_studies(options.batch_size, studies.collect())?.into_iter();
        for (input, loaded) in &batch {
            let outcome = match loaded {
                Ok(_) => Ok(drafts.next().expect("one draft per image that was loaded")),
                Err(error) => Err(error.to_string()),
            };
            match outcome {
                Ok(_) => tally.done += 1,
                Err(_) => tally.failed += 1,
            }
            let mut row = result_row(drafter, input, outcome, options);
            if let Ok(Admitted { concerns, .. }) = loaded {
                row.warnings = gate::listed(concerns);
            }
            rows.write(&row)?;
            progress(&row);
        }
    }
    Ok(tally)
}

fn result_row(drafter: &Drafter, input: &Input, outcome: Result<Draft, String>, options: RunOptions) -> ResultRow {
    let manifest = drafter.manifest();
    let mut row = ResultRow {
        id: input.id.clone(),
        text: String::new(),
        status: "failed",
        error: String::new(),
        warnings: String::new(),
        mean_log_probability: None,
        tokens: None,
        finish: "",
        seconds: None,
        bundle: manifest.id.clone(),
        variant: drafter.model().variant().to_owned(),
        token_ids: options.token_ids.then(String::new),
        log_probabilities: options.token_ids.then(String::new),
        alternatives: None,
        notice: manifest.notice.clone(),
    };
    match outcome {
        Err(error) => row.error = error,
        Ok(draft) => {
            row.status = "ok";
            row.mean_log_probability = Some(draft.sequence.mean_log_probability());
            row.tokens = Some(draft.sequence.tokens.len());
            row.finish = draft.sequence.finish.as_str();
            row.seconds = Some(draft.seconds);
            if options.token_ids {
                let ids = drafter.word_piece_ids(&draft.sequence.tokens);
                row.token_ids = Some(spaced(&ids));
                row.log_probabilities = Some(spaced(&draft.sequence.log_probabilities));
            }
            row.alternatives = (drafter.options().n_best > 1).then(|| as_json(&draft.alternatives));
            row.text = draft.text;
        }
    }
    row
}

/// The further hypotheses of a beam search as a JSON array, best first.
fn as_json(alternatives: &[Alternative]) -> String {
    let each = alternatives.iter().map(|Alternative { text, sequence, score }| {
        let mean = sequence.mean_log_probability();
        serde_json::json!({"text": text, "score": score, "mean_log_probability": mean, "tokens": sequence.tokens.len()})
    });
    serde_json::Value::from_iter(each).to_string()
}

fn spaced<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}
