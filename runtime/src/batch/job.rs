//! A run over many inputs, joined to its ledger and its output.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use xreport_models::atomic::is_leftover;

use super::places::shard_of_ledger;
use super::{End, Ledger, LedgerError, Places, Settings, Shard, assemble};
use crate::generate::{Finished, Task};
use crate::inputs::{Inputs, Refused};
use crate::output::{Format, OutputError, TextFiles};

/// How a run went; the counts add up to `inputs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Inputs of this run.
    pub inputs: usize,
    /// Of these, drafted by an earlier run.
    pub kept: usize,
    /// Drafted now.
    pub done: usize,
    /// Tried now, without a draft.
    pub failed: usize,
}

impl Counts {
    /// Inputs that were not reached.
    pub fn left(&self) -> usize {
        self.inputs - self.kept - self.done - self.failed
    }
}

/// A run's ledger and output.
#[derive(Debug)]
pub struct Job {
    places: Places,
    ledger: Ledger,
    texts: Option<TextFiles>,
    counts: Counts,
    /// Of all shards.
    all_inputs: usize,
    /// Since when rows wait for [`Job::publish_now_and_then`], and how long the last time took.
    waiting: Option<Instant>,
    took: Duration,
}

/// Removes what killed runs left half-written of text files; not while other shards may write there, and nothing of
/// others' in the folder. What cannot be removed does no harm.
fn clear_half_written(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            clear_half_written(&entry.path());
        } else if is_leftover(&name) && name.contains(".txt.") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The same for the table at `path`.
fn clear_table(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let begins = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_leftover(&name) && name.starts_with(&begins) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Job {
    /// Goes on with the run whose ledger is there, or begins one; `fresh` forgets what is there.
    pub fn open(places: Places, settings: &Settings, fresh: bool) -> Result<Self, LedgerError> {
        refuse_unusable(&places, fresh)?;
        refuse_other_division(&places)?;
        let mut ledger = Ledger::open(&places.ledger(), settings, fresh)?;
        ledger.forget_failed()?;
        let texts = (places.format == Format::Txt).then(|| TextFiles::new(&places.out));
        if places.shard.is_none() {
            clear_table(&places.table());
            if texts.is_some() {
                clear_half_written(&places.out);
            }
        }
        let counts = Counts::default();
        // A killed run's last rows may not be in the table yet.
        let waiting = (!ledger.known().is_empty()).then(Instant::now);
        Ok(Self { places, ledger, texts, counts, all_inputs: 0, waiting, took: Duration::ZERO })
    }

    /// What is to do: this shard's inputs whose report is not there, or whose file has changed since.
    pub fn pending(&mut self, found: Inputs, pool: &rayon::ThreadPool) -> Vec<Task> {
        let tasks = Task::list(found);
        self.all_inputs = tasks.len();
        let tasks: Vec<Task> = tasks.into_iter().filter(|task| self.is_ours(task.id())).collect();
        let inputs = tasks.len();
        let ledger = &self.ledger;
        let pending: Vec<Task> = pool.install(|| {
            tasks
                .into_par_iter()
                .filter(|task| {
                    let file = ledger.known().get(task.id()).and_then(|known| known.file);
                    !file.zip(task.path()).is_some_and(|(file, path)| file.still_holds(path))
                })
                .collect()
        });
        self.counts = Counts { inputs, kept: inputs - pending.len(), ..Counts::default() };
        self.ledger.reserve(inputs);
        pending.into_iter().map(|task| self.nameable(task)).collect()
    }

    /// The task, refused where its text file cannot have its name: nothing is drafted for that.
    fn nameable(&self, task: Task) -> Task {
        match self.texts.as_ref().map(|texts| texts.check(task.id())) {
            Some(Err(error)) => {
                let refused = Refused { id: task.id().to_owned(), problem: error.to_string() };
                Task { source: Err(refused), ..task }
            }
            _ => task,
        }
    }

    /// Tasks that came later, as in a watched folder: each gets the next place.
    pub fn add(&mut self, tasks: &mut [Task]) {
        let next = self.ledger.next_place();
        for (offset, task) in tasks.iter_mut().enumerate() {
            task.place = next + offset;
        }
        self.counts.inputs += tasks.len();
    }

    fn is_ours(&self, id: &str) -> bool {
        self.places.shard.is_none_or(|shard| shard.holds(id))
    }

    /// The part that this run does.
    pub fn shard(&self) -> Option<Shard> {
        self.places.shard
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a result: its text first, then its line in the ledger, so that what the ledger knows is there. Where this
    /// one's text file cannot have its name, it counts as failed; the error that its row then has is returned.
    pub fn record(&mut self, finished: &Finished) -> Result<Option<String>, LedgerError> {
        let row = &finished.row;
        let written = match &self.texts {
            Some(texts) if row.status == "ok" => texts.write(&row.id, &row.text, &row.notice),
            Some(texts) => texts.remove(&row.id),
            None => Ok(()),
        };
        let unnamed = match written {
            Err(error @ OutputError::Name { .. }) => Some(error.to_string()),
            other => other.map(|()| None)?,
        };
        let failed = unnamed.clone().map(|error| row.without_draft(error));
        let row = failed.as_ref().unwrap_or(row);
        self.ledger.record(finished.task.place, finished.file, row)?;
        if row.status == "ok" {
            self.counts.done += 1;
        } else {
            self.counts.failed += 1;
        }
        self.waiting.get_or_insert_with(Instant::now);
        Ok(unnamed)
    }

    /// Every input was tried: puts the output in its place. A shard's waits for [`merge`](super::merge()).
    pub fn finish(&mut self, order: &HashMap<String, usize>) -> Result<(), LedgerError> {
        self.ledger.put_in_order(|id| order.get(id).copied())?;
        let Counts { inputs, kept, done, failed } = self.counts;
        self.ledger.finish(End { inputs, of: self.all_inputs, done: kept + done, failed })?;
        if self.places.shard.is_none() { self.publish() } else { Ok(()) }
    }

    /// Writes the output anew, of all rows so far.
    pub fn publish(&mut self) -> Result<(), LedgerError> {
        let started = Instant::now();
        self.ledger.sync()?;
        assemble(&self.places, self.ledger.in_order().iter().map(|known| self.ledger.row(known)))?;
        (self.waiting, self.took) = (None, started.elapsed());
        Ok(())
    }

    /// As [`publish`](Self::publish), where new rows wait; so seldom that it takes a tenth of the time at most, however
    /// long the table grows.
    pub fn publish_now_and_then(&mut self) -> Result<(), LedgerError> {
        match self.waiting {
            Some(since) if since.elapsed() >= self.took * 10 => self.publish(),
            _ => Ok(()),
        }
    }
}

/// Refuses a shard of another division than the shards that are there.
fn refuse_other_division(places: &Places) -> Result<(), OutputError> {
    let Some(shard) = places.shard else { return Ok(()) };
    let entries = std::fs::read_dir(places.shards()).into_iter().flatten().flatten();
    let mut others = entries.filter_map(|entry| shard_of_ledger(&entry.file_name().to_string_lossy()));
    match others.find(|other| other.count() != shard.count()) {
        None => Ok(()),
        Some(other) => {
            let (there, here) = (other.count(), shard.count());
            let hint = format!(
                "hint: a task of an array that runs again alone knows nothing of the others: name its part, as in --shard 0/{there}; or remove the older ledgers"
            );
            let problem = format!("it holds shards of {there}, and this is one of {here}\n{hint}");
            Err(OutputError::refused(&places.shards(), &problem))
        }
    }
}

/// Refuses an output that cannot be written, or that this program has not written, before any work is done.
fn refuse_unusable(places: &Places, fresh: bool) -> Result<(), OutputError> {
    let (out, table) = (&places.out, places.table());
    if places.format == Format::Txt {
        if out.exists() && !out.is_dir() {
            return Err(OutputError::refused(
                out,
                "it is a file; text files go into a folder\nhint: choose another --out",
            ));
        }
    } else if out.exists() && !out.is_file() {
        let hint = "hint: name a file in it, or choose --format txt, which writes into a folder";
        return Err(OutputError::refused(out, &format!("it is no file, which {} needs\n{hint}", places.format)));
    }
    if places.shard.is_none() && !fresh && table.exists() && !places.ledger().exists() {
        let hint = "hint: --fresh replaces it; or choose another --out";
        return Err(OutputError::refused(&table, &format!("it is there already, and no ledger belongs to it\n{hint}")));
    }
    Ok(())
}
