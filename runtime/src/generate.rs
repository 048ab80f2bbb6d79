//! A whole run: images are loaded ahead while the model drafts, and results come in input order.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use rayon::ThreadPool;
use rayon::prelude::*;
use thiserror::Error;
use xreport_models::image::Preprocessing;

use crate::batch::{Fingerprint, LedgerError};
use crate::drafting::{Draft, Drafter};
use crate::inputs::{Input, Inputs, Refused};
use crate::model::ModelError;
use crate::output::ResultRow;

/// Batches that wait, loaded, for the model.
const BATCHES_AHEAD: usize = 2;

/// Why a run stopped early.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A result cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// How a run goes about its work; nothing here changes a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// Images drafted together.
    pub batch_size: usize,
    /// Whether rows carry the drafts' WordPiece ids and their log-probabilities.
    pub token_ids: bool,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its place among all inputs.
    pub place: usize,
    /// An image, or what can be none.
    pub source: Result<Input, Refused>,
}

impl Task {
    /// One for each input, in order; what was refused comes last.
    pub fn list(inputs: Inputs) -> Vec<Self> {
        let images = inputs.images.into_iter().map(Ok);
        let sources = images.chain(inputs.refused.into_iter().map(Err));
        sources.enumerate().map(|(place, source)| Self { place, source }).collect()
    }

    /// The result row's id.
    pub fn id(&self) -> &str {
        match &self.source {
            Ok(input) => &input.id,
            Err(refused) => &refused.id,
        }
    }

    /// Where its file lies.
    pub fn path(&self) -> Option<&Path> {
        self.source.as_ref().ok().map(|input| input.path.as_path())
    }
}

/// A task and what came of it.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The task.
    pub task: Task,
    /// The file as it was read, where it could be.
    pub file: Option<Fingerprint>,
    /// The result.
    pub row: ResultRow,
}

/// A task whose image is loaded, or why it is not.
struct Loaded {
    task: Task,
    file: Option<Fingerprint>,
    pixels: Result<Vec<u8>, String>,
}

/// Drafts a report for every task and hands each result to `take`, in order. Ends early, between two batches, when
/// `stop` is set: what was handed over is whole.
pub fn generate(
    drafter: &mut Drafter,
    tasks: &[Task],
    options: RunOptions,
    pool: &ThreadPool,
    stop: &AtomicBool,
    take: &mut dyn FnMut(&Finished) -> Result<(), LedgerError>,
) -> Result<(), GenerateError> {
    let preprocessing = drafter.manifest().preprocessing.clone();
    let (sender, batches) = sync_channel::<Vec<Loaded>>(BATCHES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in tasks.chunks(options.batch_size.max(1)) {
                // The receiver is gone when the run has failed or was stopped: nothing more to load.
                if stop.load(Ordering::Relaxed) || sender.send(pool.install(|| load(&preprocessing, chunk))).is_err() {
                    break;
                }
            }
        });
        draft_all(drafter, batches, options, stop, take)
    })
}

fn load(preprocessing: &Preprocessing, chunk: &[Task]) -> Vec<Loaded> {
    chunk
        .par_iter()
        .map(|task| {
            let file = task.path().and_then(|path| Fingerprint::of(path).ok());
            let pixels = match &task.source {
                Ok(input) => preprocessing.load(&input.path).map_err(|error| error.to_string()),
                Err(refused) => Err(refused.problem.clone()),
            };
            Loaded { task: task.clone(), file, pixels }
        })
        .collect()
}

fn draft_all(
    drafter: &mut Drafter,
    batches: Receiver<Vec<Loaded>>,
    options: RunOptions,
    stop: &AtomicBool,
    take: &mut dyn FnMut(&Finished) -> Result<(), LedgerError>,
) -> Result<(), GenerateError> {
    for batch in batches {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let images: Vec<&[u8]> = batch.iter().filter_map(|loaded| loaded.pixels.as_deref().ok()).collect();
        let mut drafts = drafter.draft(&images)?.into_iter();
        for Loaded { task, file, pixels } in batch {
            let outcome = pixels.map(|_| drafts.next().expect("one draft per image that was loaded"));
            let row = result_row(drafter, task.id(), outcome, options);
            take(&Finished { task, file, row })?;
        }
    }
    Ok(())
}

fn result_row(drafter: &Drafter, id: &str, outcome: Result<Draft, String>, options: RunOptions) -> ResultRow {
    let manifest = drafter.manifest();
    let mut row = ResultRow {
        id: id.to_owned(),
        text: String::new(),
        status: "failed",
        error: String::new(),
        mean_log_probability: None,
        tokens: None,
        finish: "",
        seconds: None,
        bundle: manifest.id.clone(),
        variant: drafter.model().variant().to_owned(),
        token_ids: options.token_ids.then(String::new),
        log_probabilities: options.token_ids.then(String::new),
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
            row.text = draft.text;
        }
    }
    row
}

fn spaced<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}
