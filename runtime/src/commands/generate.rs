//! `xreport generate`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use clap::{Args, CommandFactory};
use xreport_models::bundle::Bundle;
use xreport_runtime::arguments::is_stdout;
use xreport_runtime::batch::{Counts, Job, Places, Settings, Shard};
use xreport_runtime::console;
use xreport_runtime::decoding::{GuessCounts, Guessing};
use xreport_runtime::device::Device;
use xreport_runtime::drafting::Drafter;
use xreport_runtime::generate::{Finished, RunOptions, Task, Worker, generate};
use xreport_runtime::inputs::{self, Inputs};
use xreport_runtime::output::Format;

use super::ahead::AheadArguments;
use super::drafting::{DraftingArguments, SettleArguments, tell_fallback};
use super::{exit, rows_to_stdout, stop, watch};

/// Where input images are expected when none is named.
const INPUT_IMAGES: &str = "generation/input_images";
/// Where reports go when no place is named.
const REPORTS: &str = "generation/reports";
/// The progress bar of a run.
pub const BAR: &str = "{bar:40} {pos}/{len} reports, {per_sec}, {eta} left";

/// Arguments that change no row. A run goes on from an earlier one's ledger only where all others are the same, so a
/// new option counts until it is named here.
const CHANGE_NO_ROW: [&str; 13] = [
    "inputs",
    "model",
    "out",
    "format",
    "device",
    "batch_size",
    "threads",
    "check_every",
    "cuda_graph",
    "shard",
    "fresh",
    "watch",
    "settle",
];

/// Draft reports for images, folders or CSV lists of images.
///
/// What is done is written to a ledger at once: after a crash, a kill or Ctrl-C the same command goes on from there.
/// Exit codes: 0 all done; 1 some inputs failed, the rest is done; 2 usage, bundle or disk; 3 stopped before the end.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Generate {
    /// Images, folders (searched whole) or lists (CSV, TSV) with a column of paths [default: generation/input_images]
    pub inputs: Vec<PathBuf>,
    /// Where the results go: a folder for txt, a file for csv and jsonl. `-` prints the rows, csv or jsonl, to stdout as they
    /// come, in the order of the inputs: without a ledger, so that nothing is gone on with
    #[arg(long, value_name = "PATH", default_value = REPORTS)]
    out: PathBuf,
    /// txt, csv or jsonl [default: by the extension of --out, else txt, or csv on stdout]
    #[arg(long)]
    pub format: Option<Format>,
    #[command(flatten)]
    pub drafting: DraftingArguments,
    /// Add the drafts' WordPiece ids and their log-probabilities to each row
    #[arg(long)]
    token_ids: bool,
    /// Add to each row where the model looked, sentence by sentence: a JSON object of maps over the picture, see
    /// runtime/README.md; not proof of anything. An image takes about half as long again
    #[arg(long)]
    evidence: bool,
    /// Guess tokens ahead from the bundle's table, with --batch-size 1; the texts do not depend on it
    #[arg(long)]
    guess_ahead: bool,
    #[command(flatten)]
    ahead: AheadArguments,
    /// Do part i (from 0) of N; `auto` asks Slurm or Kubernetes. `xreport merge OUT` joins the parts
    #[arg(long, value_name = "i/N|auto")]
    shard: Option<ShardRequest>,
    /// Forget what --out holds and draft everything anew
    #[arg(long)]
    fresh: bool,
    /// Stay, and draft what comes into the folders, until Ctrl-C or SIGTERM
    #[arg(long, conflicts_with = "shard")]
    watch: bool,
    #[command(flatten)]
    pub settle: SettleArguments,
}

/// What `--shard` asks for.
#[derive(Debug, Clone, Copy)]
enum ShardRequest {
    Auto,
    Named(Shard),
}

impl FromStr for ShardRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Named) }
    }
}

/// All that a run needs.
pub struct Run {
    /// Those who draft.
    pub workers: Vec<Worker>,
    /// Ledger and output.
    pub job: Job,
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
    options: RunOptions,
}

impl Generate {
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        self.drafting.check()?;
        self.settle.quiet()?;
        if self.inputs.is_empty() {
            self.inputs.push(INPUT_IMAGES.into());
        }
        let on_stdout = self.is_on_stdout().then(|| rows_to_stdout::format(&self)).transpose()?;
        let format = self.format.unwrap_or_else(|| Format::of_path(&self.out));
        let places = Places { out: self.out.clone(), format, shard: self.shard()? };
        let found = if self.watch { watch::first_look(&self.inputs)? } else { inputs::collect(&self.inputs)? };
        if found.is_empty() && !self.watch {
            console::info(format_args!("no image found in {} ({} other files)", listed(&self.inputs), found.others));
            return Ok(ExitCode::from(exit::SOME_FAILED));
        }
        let stop = stop::flag()?;
        if let Some(format) = on_stdout {
            return rows_to_stdout::draft(&self, found, format, &stop);
        }
        let mut run = self.start(places, found.images.len(), stop)?;
        if self.watch { watch::watch(&self, &mut run, found) } else { self.all(&mut run, found) }
    }

    /// Whether rows are printed instead of written to a file.
    fn is_on_stdout(&self) -> bool {
        is_stdout(&self.out)
    }

    /// Options that live on what an earlier run has written down, or a later one reads, and whether they are given.
    pub fn that_need_a_ledger(&self) -> [(&'static str, bool); 3] {
        [("--shard", self.shard.is_some()), ("--watch", self.watch), ("--fresh", self.fresh)]
    }

    fn shard(&self) -> anyhow::Result<Option<Shard>> {
        Ok(match self.shard {
            None => None,
            Some(ShardRequest::Named(shard)) => Some(shard),
            Some(ShardRequest::Auto) => Some(Shard::of_scheduler(|name| std::env::var(name).ok())?),
        })
    }

    fn start(&self, places: Places, images: usize, stop: Arc<AtomicBool>) -> anyhow::Result<Run> {
        let bundle = self.drafting.bundle()?;
        let workers = self.workers(&bundle, images)?;
        let drafter = workers[0].drafter();
        tell_fallback(drafter);
        let job = Job::open(places, &settings(drafter), self.fresh)?;
        if job.ledger().unreadable() > 0 {
            let (lines, path) = (job.ledger().unreadable(), job.ledger().path().display());
            console::warning(format_args!("{lines} lines of `{path}` cannot be read: their images are done again"));
        }
        Ok(Run { workers, job, stop, options: self.options() })
    }

    /// How a run goes about its work.
    pub fn options(&self) -> RunOptions {
        RunOptions { batch_size: self.drafting.batch_size, gate: self.drafting.gate(), token_ids: self.token_ids }
    }

    /// Models for all workers. A GPU serves one; a watched folder's few images are done soonest by one.
    pub fn workers(&self, bundle: &Bundle, images: usize) -> anyhow::Result<Vec<Worker>> {
        let threads = self.drafting.threads();
        let images = if self.watch { 1 } else { images };
        let (count, each) = Worker::division(images, self.drafting.batch_size, threads);
        let worker = |threads| {
            let mut worker = Worker::new(self.drafter(bundle, threads)?, threads)?;
            ensure!(
                !self.evidence || worker.look(bundle)?,
                "--evidence: a bundle that can say where it looked expected, found `{}`, which has no evidence graph\nhint: export its checkpoint again, in fp32 or int8",
                bundle.manifest().name
            );
            anyhow::Ok(worker)
        };
        let first = worker(each)?;
        if count > 1 && first.drafter().model().device() != Device::Cpu {
            // Two models at once would be one too many for a small GPU.
            drop(first);
            return Ok(vec![worker(threads)?]);
        }
        std::iter::once(Ok(first)).chain((1..count).map(|_| worker(each))).collect()
    }

    fn drafter(&self, bundle: &Bundle, threads: usize) -> anyhow::Result<Drafter> {
        let session = self.drafting.session(threads, self.ahead.steps(self.drafting.device)?);
        let mut drafter = self.drafting.drafter(bundle, &session)?;
        self.ahead.suit(drafter.options().is_plain_greedy() && !self.guess_ahead)?;
        if self.guess_ahead {
            ensure!(
                self.drafting.batch_size == 1 && drafter.options().is_plain_greedy(),
                "--guess-ahead: --batch-size 1 and no other search (beams, draws, limits, prefix) expected"
            );
            let usable = drafter.guess_ahead(bundle, &session, Guessing::default())?;
            ensure!(
                usable,
                "--guess-ahead: variant fp32-cpu of a bundle that was exported with --ngrams expected, found variant {}\nhint: --precision fp32; in 8 bits guessing could change a text",
                drafter.model().variant()
            );
        }
        Ok(drafter)
    }

    fn all(&self, run: &mut Run, found: Inputs) -> anyhow::Result<ExitCode> {
        let others = found.others;
        let order: HashMap<String, usize> = found.ids().enumerate().map(|(place, id)| (id.to_owned(), place)).collect();
        let tasks = run.job.pending(found, run.workers[0].pool());
        let kept = run.job.counts().kept;
        if kept > 0 {
            console::info(format_args!(
                "{kept} of {} are done already, {} to do",
                run.job.counts().inputs,
                tasks.len()
            ));
        }
        run.draft(tasks)?;
        let stopped = run.job.counts().left() > 0;
        if !stopped {
            run.job.finish(&order)?;
        }
        self.tell_end(&run.workers, run.job.counts(), run.job.shard(), others);
        Ok(match (stopped, run.job.counts().failed) {
            (true, _) => ExitCode::from(exit::STOPPED),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::from(exit::SOME_FAILED),
        })
    }

    /// Tells what the drafts say of themselves, and what was done.
    pub fn tell_end(&self, workers: &[Worker], counts: Counts, shard: Option<Shard>, others: usize) {
        let drafter = workers[0].drafter();
        console::info(&drafter.manifest().notice);
        console::info(self.summary(drafter, counts, shard, others));
        if self.guess_ahead {
            console::info(guesses(workers));
        }
    }

    /// What was done, in counts that add up.
    pub fn summary(&self, drafter: &Drafter, counts: Counts, shard: Option<Shard>, others: usize) -> String {
        let left = if self.is_on_stdout() { "not reached" } else { "not reached: the same command goes on" };
        let mut text = format!("{} reports drafted, {} failed", counts.done, counts.failed);
        for (count, what) in [(counts.kept, "done before"), (counts.left(), left), (others, "other files passed over")]
        {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text += &format!(
            "; {} images in all ({} on {})",
            counts.inputs,
            drafter.model().variant(),
            drafter.model().device()
        );
        match shard {
            Some(shard) => text += &format!("; shard {shard}; when all are done: xreport merge {}", self.out.display()),
            None if self.is_on_stdout() => text += " -> standard output",
            None => text += &format!(" -> {}", self.out.display()),
        }
        text
    }
}

impl Run {
    /// Drafts these and writes them down, until the end or Ctrl-C.
    pub fn draft(&mut self, tasks: Vec<Task>) -> anyhow::Result<()> {
        let bar = console::progress_bar(tasks.len() as u64, BAR);
        let Self { workers, job, stop, options } = self;
        generate(workers, tasks, *options, stop, &mut |finished| {
            tell(finished);
            bar.inc(1);
            if let Some(error) = job.record(finished)? {
                console::info(format_args!("failed: {error}"));
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        Ok(())
    }

    /// The first of the models, which are all alike.
    pub fn drafter(&self) -> &Drafter {
        self.workers[0].drafter()
    }

    /// Whether Ctrl-C or SIGTERM came.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Says why an image was not drafted, or what is to be known of one that was.
pub fn tell(finished: &Finished) {
    let row = &finished.row;
    if row.status != "ok" {
        console::info(format_args!("failed: {}", row.error));
    } else if !row.warnings.is_empty() {
        console::warning(format_args!("`{}`: {}", row.id, row.warnings));
    }
}

/// How guessing ahead went.
fn guesses(workers: &[Worker]) -> String {
    let mut all = GuessCounts::default();
    for worker in workers {
        all += worker.drafter().guesses();
    }
    let calls = all.verifications + all.steps;
    format!(
        "guessed ahead: {} of {} guesses taken, {:.2} tokens a call",
        all.taken,
        all.guessed,
        all.said as f64 / calls.max(1) as f64
    )
}

/// What the rows depend on: the bundle, its variant, and every option that is not known to change nothing.
fn settings(drafter: &Drafter) -> Settings {
    let mut settings = Settings::new();
    settings.insert("bundle".into(), drafter.manifest().id.clone().into());
    settings.insert("variant".into(), drafter.model().variant().into());
    let matches = crate::Arguments::command().get_matches();
    let Some((_, given)) = matches.subcommand() else { return settings };
    let command = Generate::augment_args(clap::Command::new("generate"));
    for argument in command.get_arguments().map(|argument| argument.get_id().as_str()) {
        if CHANGE_NO_ROW.contains(&argument) || !given.try_contains_id(argument).unwrap_or(false) {
            continue;
        }
        let words: Vec<_> =
            given.get_raw(argument).unwrap_or_default().map(|word| word.to_string_lossy().into_owned()).collect();
        settings.insert(argument.into(), words.join(" ").into());
    }
    settings
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}
