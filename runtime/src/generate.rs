//! A whole run: one thread reads ahead, workers load, encode and decode, each at its own batch.
//!
//! A worker has sessions of its own: while one loads images another encodes and a third decodes, and together they
//! compute with no more threads than were asked for. The reading ahead waits for disks and networks, so that the
//! workers need not.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rayon::ThreadPool;
use rayon::prelude::*;
use thiserror::Error;
use xreport_models::bundle::{Bundle, Manifest};
use xreport_models::image::{Admitted, Gate, Preprocessing, gate};
use xreport_models::text::{Tokenizer, Vocabulary};

use crate::batch::{Fingerprint, LedgerError};
use crate::drafting::{Alternative, Draft, Drafter, Study, Words};
use crate::evidence::{Evidence, EvidenceModel};
use crate::inputs::{Input, Inputs, Refused};
use crate::model::ModelError;
use crate::output::ResultRow;
use crate::rows::rows_of;

/// Batches of each worker that are read ahead.
const BATCHES_AHEAD: usize = 2;
/// A worker takes up to so many batches at once: within them, a report that ends makes room for the next image.
const BATCHES_EACH: usize = 4;
/// More workers than these do not get a machine's cores busier, and each holds the model's weights.
const MOST_WORKERS: usize = 4;

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

/// How a run goes about its work; nothing here changes the text of an image that is drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// Images drafted together.
    pub batch_size: usize,
    /// What is let through.
    pub gate: Gate,
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

/// A model of its own, and threads to load its images.
#[derive(Debug)]
pub struct Worker {
    drafter: Drafter,
    pool: ThreadPool,
    rows: Rows,
    looking: Option<Looking>,
}

impl Worker {
    /// How many workers for so many images and threads, and the threads of each. One batch is done soonest by one
    /// worker with all threads.
    pub fn division(images: usize, batch_size: usize, threads: usize) -> (usize, usize) {
        let workers = if images <= batch_size { 1 } else { threads.clamp(1, MOST_WORKERS) };
        (workers, (threads / workers).max(1))
    }

    /// With a model whose sessions use `threads` threads, as its loading does.
    pub fn new(drafter: Drafter, threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let rows = Rows::of(&drafter);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        Ok(Self { drafter, pool, rows, looking: None })
    }

    /// From now on its rows say where the model looked; `false` where the bundle cannot tell.
    pub fn look(&mut self, bundle: &Bundle) -> Result<bool, ModelError> {
        let Some(model) = EvidenceModel::open(bundle, self.pool.current_num_threads())? else { return Ok(false) };
        let (tokenizer, manifest) = (bundle.tokenizer()?, bundle.manifest().clone());
        self.looking = Some(Looking { model, tokenizer, manifest });
        self.rows.evidence = true;
        Ok(true)
    }

    /// Its model.
    pub fn drafter(&self) -> &Drafter {
        &self.drafter
    }

    /// Its threads.
    pub fn pool(&self) -> &ThreadPool {
        &self.pool
    }
}

/// What says where drafts looked.
#[derive(Debug)]
struct Looking {
    model: EvidenceModel,
    tokenizer: Tokenizer,
    manifest: Manifest,
}

impl Looking {
    /// Where a draft looked on its image, as JSON.
    fn evidence(&mut self, draft: &Draft, image: Admitted) -> Result<String, ModelError> {
        let rows = rows_of(draft, Words { tokenizer: &self.tokenizer, manifest: &self.manifest });
        let evidence = Evidence::of(&mut self.model, image, &rows)?;
        Ok(serde_json::to_string(&evidence).expect("numbers and texts always serialise"))
    }
}

/// A task whose file was read.
type Ahead = (Task, Option<Fingerprint>);

/// A task whose image is loaded, or why it is not.
struct Loaded {
    task: Task,
    file: Option<Fingerprint>,
    image: Result<Admitted, String>,
}

/// Drafts a report for every task and hands each result to `take` as it comes: later ones may overtake earlier ones.
/// Ends early, when the batches at work are done, when `stop` is set: what was handed over is whole.
pub fn generate(
    workers: &mut [Worker],
    tasks: Vec<Task>,
    options: RunOptions,
    stop: &AtomicBool,
    take: &mut dyn FnMut(&Finished) -> Result<(), LedgerError>,
) -> Result<(), GenerateError> {
    let take_at_once = at_once(tasks.len(), options.batch_size, workers.len());
    let room = (take_at_once * workers.len() * BATCHES_AHEAD).min(tasks.len().max(1));
    let (to_workers, ahead) = sync_channel::<Ahead>(room);
    let (to_us, finished) = sync_channel::<Result<Finished, ModelError>>(room);
    let ahead = Mutex::new(ahead);
    let over = AtomicBool::new(false);
    let enough = || stop.load(Ordering::Relaxed) || over.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let reader = &enough;
        scope.spawn(move || read_ahead(tasks, &to_workers, reader));
        for worker in workers {
            let (ahead, to_us, enough) = (&ahead, to_us.clone(), &enough);
            scope.spawn(move || {
                while let Some(batch) = next_batch(ahead, take_at_once, enough) {
                    // The receiver is gone when the run has failed: then `enough` says so, too.
                    let mut hand = |finished| drop(to_us.send(Ok(finished)));
                    if let Err(error) = worker.draft(batch, options, enough, &mut hand) {
                        let _ = to_us.send(Err(error));
                        break;
                    }
                }
            });
        }
        drop(to_us);
        let outcome = take_all(&finished, take);
        // Whoever waits to hand something over must not wait for ever.
        over.store(true, Ordering::Relaxed);
        drop(finished);
        while ahead.lock().is_ok_and(|ahead| ahead.recv().is_ok()) {}
        outcome
    })
}

/// How many images a worker takes at once: several batches of a long run, so that reports that end make room for others;
/// one where all would soon be taken, so that no worker is left without.
fn at_once(images: usize, batch_size: usize, workers: usize) -> usize {
    let batch_size = batch_size.max(1);
    let turns = images / (BATCHES_EACH * batch_size * workers.max(1));
    batch_size * turns.clamp(1, BATCHES_EACH)
}

/// Reads each file once, for its fingerprint: when its turn comes it lies in the system's memory.
fn read_ahead(tasks: Vec<Task>, to_workers: &SyncSender<Ahead>, enough: &impl Fn() -> bool) {
    for task in tasks {
        let file = task.path().and_then(|path| Fingerprint::of(path).ok());
        if enough() || to_workers.send((task, file)).is_err() {
            break;
        }
    }
}

/// The next `count` tasks, fewer at the end; `None` when there are no more, or the run is to stop.
fn next_batch(ahead: &Mutex<Receiver<Ahead>>, count: usize, enough: &impl Fn() -> bool) -> Option<Vec<Ahead>> {
    let ahead = ahead.lock().ok()?;
    let batch: Vec<Ahead> = ahead.iter().take(count).collect();
    (!batch.is_empty() && !enough()).then_some(batch)
}

fn take_all(
    finished: &Receiver<Result<Finished, ModelError>>,
    take: &mut dyn FnMut(&Finished) -> Result<(), LedgerError>,
) -> Result<(), GenerateError> {
    finished.iter().try_for_each(|finished| Ok(take(&finished?)?))
}

impl Worker {
    /// Drafts a report for each and hands every result over as soon as it is there. Begins no further report once
    /// `enough` is true: those at work are ended.
    fn draft(
        &mut self,
        batch: Vec<Ahead>,
        options: RunOptions,
        enough: &impl Fn() -> bool,
        hand: &mut impl FnMut(Finished),
    ) -> Result<(), ModelError> {
        let Self { drafter, pool, rows, looking } = self;
        let preprocessing = &drafter.manifest().preprocessing;
        let batch = pool.install(|| load(preprocessing, options.gate, batch));
        let (mut studies, mut admitted) = (Vec::new(), Vec::new());
        for Loaded { task, file, image } in batch {
            match image {
                Err(error) => {
                    let row = ResultRow { error, ..rows.failed(task.id(), options) };
                    hand(Finished { task, file, row });
                }
                Ok(image) => {
                    let warnings = gate::listed(&image.concerns);
                    let looked_at = looking.is_some().then(|| image.clone());
                    studies.push(Study { name: task.id().to_owned(), pixels: image.pixels });
                    admitted.push(Some((task, file, warnings, looked_at)));
                }
            }
        }
        let together = options.batch_size.max(1).min(studies.len());
        let mut studies = studies.into_iter();
        let mut next = || if enough() { None } else { studies.next() };
        let mut blind = None;
        drafter.draft_all(together, &mut next, &mut |index, draft| {
            let (task, file, warnings, looked_at) = admitted[index].take().expect("every study is done once");
            let looked = looking.as_mut().zip(looked_at).map(|(looking, image)| looking.evidence(&draft, image));
            match looked.transpose() {
                Ok(evidence) => {
                    let row = ResultRow { warnings, evidence, ..rows.drafted(task.id(), draft, options) };
                    hand(Finished { task, file, row });
                }
                Err(error) => blind = Some(error),
            }
        })?;
        blind.map_or(Ok(()), Err)
    }
}

fn load(preprocessing: &Preprocessing, gate: Gate, batch: Vec<Ahead>) -> Vec<Loaded> {
    let load = |(task, file): Ahead| {
        let image = match &task.source {
            Ok(input) => preprocessing.admit(&input.path, gate).map_err(|error| error.to_string()),
            Err(refused) => Err(refused.problem.clone()),
        };
        Loaded { task, file, image }
    };
    batch.into_par_iter().map(load).collect()
}

/// What all rows of a run have in common.
#[derive(Debug)]
struct Rows {
    bundle: String,
    variant: String,
    notice: String,
    vocabulary: Vocabulary,
    alternatives: bool,
    evidence: bool,
}

impl Rows {
    fn of(drafter: &Drafter) -> Self {
        let manifest = drafter.manifest();
        Self {
            bundle: manifest.id.clone(),
            variant: drafter.model().variant().to_owned(),
            notice: manifest.notice.clone(),
            vocabulary: manifest.vocabulary.clone(),
            alternatives: drafter.options().n_best > 1,
            evidence: false,
        }
    }

    /// A row without a draft. It has every column that the others have: the first row decides on a table's.
    fn failed(&self, id: &str, options: RunOptions) -> ResultRow {
        ResultRow {
            id: id.to_owned(),
            text: String::new(),
            status: "failed",
            error: String::new(),
            warnings: String::new(),
            mean_log_probability: None,
            tokens: None,
            finish: "",
            seconds: None,
            bundle: self.bundle.clone(),
            variant: self.variant.clone(),
            token_ids: options.token_ids.then(String::new),
            log_probabilities: options.token_ids.then(String::new),
            evidence: self.evidence.then(String::new),
            alternatives: self.alternatives.then(String::new),
            notice: self.notice.clone(),
        }
    }

    fn drafted(&self, id: &str, draft: Draft, options: RunOptions) -> ResultRow {
        let Draft { text, sequence, seconds, alternatives } = draft;
        let word_piece = |&token| self.vocabulary.to_full(token).expect("the logits have one score per known token");
        let ids = || sequence.tokens.iter().map(word_piece).collect::<Vec<_>>();
        ResultRow {
            text,
            status: "ok",
            mean_log_probability: Some(sequence.mean_log_probability()),
            tokens: Some(sequence.tokens.len()),
            finish: sequence.finish.as_str(),
            seconds: Some(seconds),
            token_ids: options.token_ids.then(|| spaced(&ids())),
            log_probabilities: options.token_ids.then(|| spaced(&sequence.log_probabilities)),
            alternatives: self.alternatives.then(|| as_json(&alternatives)),
            ..self.failed(id, options)
        }
    }
}

/// The further hypotheses of a beam search as a JSON array, best first.
fn as_json(alternatives: &[Alternative]) -> String {
    let each = alternatives.iter().map(|Alternative { text, sequence, score }| {
        let mean = sequence.mean_log_probability();
        serde_json::json!({"text": text, "score": score, "mean_log_probability": mean, "tokens": sequence.tokens.len()})
    });
    each.collect::<serde_json::Value>().to_string()
}

fn spaced<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_several_batches_of_a_long_run_and_share_a_short_one() {
        assert_eq!(at_once(1000, 8, 2), 32);
        assert_eq!(at_once(100, 8, 2), 8);
        assert_eq!(at_once(150, 8, 2), 16);
        assert_eq!(at_once(3, 8, 1), 8);
    }

    #[test]
    fn threads_are_divided_and_never_exceeded() {
        assert_eq!(Worker::division(1000, 8, 2), (2, 1));
        assert_eq!(Worker::division(1000, 8, 16), (4, 4));
        assert_eq!(Worker::division(8, 8, 16), (1, 16));
        assert_eq!(Worker::division(9, 8, 1), (1, 1));
        for threads in 1..40 {
            let (workers, each) = Worker::division(1000, 8, threads);
            assert!((1..=MOST_WORKERS).contains(&workers) && workers * each <= threads, "{threads}");
        }
    }
}
