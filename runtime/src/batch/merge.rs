//! Joins the results of all shards of a job.

use std::path::{Path, PathBuf};

use thiserror::Error;
use xreport_models::atomic::{AtomicError, write_file_with};

use super::ledger::difference;
use super::line::{end_line, run_line};
use super::places::{shard_ledger, shard_of_ledger};
use super::{End, Known, Ledger, LedgerError, Places, Shard, assemble};

/// Why shards cannot be joined.
#[derive(Debug, Error)]
pub enum MergeError {
    /// No shard is there.
    #[error("no shard's ledger in `{}`\nhint: give the path that the shards were given as --out", .0.display())]
    NoShards(PathBuf),
    /// Ledgers of two divisions.
    #[error("`{}` holds shards of {first} and of {second}: two divisions of a job\nhint: remove the ledgers of one of them", folder.display())]
    TwoDivisions {
        /// The folder.
        folder: PathBuf,
        /// Parts of one.
        first: u32,
        /// Parts of the other.
        second: u32,
    },
    /// Some are not done.
    #[error("not all shards are done: {} {verb}\nhint: run them (again): what is done is not done again", shards.join(", "))]
    Unfinished {
        /// Which.
        shards: Vec<String>,
        /// What they are not.
        verb: &'static str,
    },
    /// Shards saw different inputs.
    #[error(
        "the inputs changed while the shards ran: shard {first} saw {of_first} of them, shard {second} {of_second}\nhint: run the shards again: only what is new is done"
    )]
    InputsChanged {
        /// One shard.
        first: Shard,
        /// Inputs that it saw in all.
        of_first: usize,
        /// Another.
        second: Shard,
        /// What that one saw.
        of_second: usize,
    },
    /// The counts do not add up.
    #[error(
        "the shards hold {found} inputs together, {expected} were expected\nhint: run the shards again: only what is missing is done"
    )]
    Counts {
        /// Of all ledgers.
        found: usize,
        /// What each shard saw in all.
        expected: usize,
    },
    /// A ledger cannot be used, or the output not be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The joined ledger cannot be written.
    #[error(transparent)]
    Atomic(#[from] AtomicError),
}

/// What was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// Shards.
    pub shards: usize,
    /// Reports.
    pub done: usize,
    /// Inputs without one.
    pub failed: usize,
}

/// Joins all shards of `places` into its output, and their ledgers into the whole run's, with which a later run without
/// shards goes on. The shards' own files stay.
pub fn merge(places: &Places) -> Result<Merged, MergeError> {
    let ledgers = open_all(&places.shards())?;
    let whole = counted(&ledgers)?;
    let mut rows: Vec<(&Ledger, Known)> = Vec::new();
    for (_, ledger) in &ledgers {
        rows.extend(ledger.in_order().into_iter().map(|known| (ledger, known)));
    }
    rows.sort_by_key(|(_, known)| known.place);
    refuse_other_run(places, &ledgers[0].1)?;
    assemble(places, rows.iter().map(|(ledger, known)| ledger.row(known)))?;
    write_file_with(places.ledger(), |file| {
        file.write_all(&run_line(ledgers[0].1.settings()))?;
        for (ledger, known) in &rows {
            file.write_all(&ledger.line(known)?)?;
        }
        file.write_all(&end_line(whole))
    })?;
    Ok(Merged { shards: ledgers.len(), done: whole.done, failed: whole.failed })
}

/// The ledgers of all shards, which must be all there, and of one kind.
fn open_all(folder: &Path) -> Result<Vec<(Shard, Ledger)>, MergeError> {
    let shards = shards_in(folder)?;
    let count = shards[0].count();
    if let Some(other) = shards.iter().find(|shard| shard.count() != count) {
        let (folder, second) = (folder.to_path_buf(), other.count());
        return Err(MergeError::TwoDivisions { folder, first: count, second });
    }
    let missing = |shard: &Shard| !shards.contains(shard);
    let missing: Vec<_> = (0..count).filter_map(|index| Shard::new(index, count)).filter(missing).collect();
    if !missing.is_empty() {
        let shards = missing.iter().map(ToString::to_string).collect();
        return Err(MergeError::Unfinished { shards, verb: "not there" });
    }
    let mut ledgers = Vec::new();
    for shard in shards {
        ledgers.push((shard, Ledger::existing(&folder.join(shard_ledger(shard)))?));
    }
    for (_, ledger) in &ledgers[1..] {
        if let Some(difference) = difference(ledger.settings(), ledgers[0].1.settings()) {
            return Err(LedgerError::OtherSettings { path: ledgers[0].1.path().to_path_buf(), difference }.into());
        }
    }
    Ok(ledgers)
}

fn shards_in(folder: &Path) -> Result<Vec<Shard>, MergeError> {
    let entries = std::fs::read_dir(folder).map_err(|_| MergeError::NoShards(folder.to_path_buf()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut shards: Vec<Shard> = names.filter_map(|name| shard_of_ledger(&name.to_string_lossy())).collect();
    shards.sort_unstable_by_key(|shard| (shard.count(), shard.index()));
    if shards.is_empty() { Err(MergeError::NoShards(folder.to_path_buf())) } else { Ok(shards) }
}

/// The whole's counts, where the shards' add up to it.
fn counted(ledgers: &[(Shard, Ledger)]) -> Result<End, MergeError> {
    let unfinished: Vec<_> =
        ledgers.iter().filter(|(_, ledger)| ledger.end().is_none()).map(|(shard, _)| shard.to_string()).collect();
    if !unfinished.is_empty() {
        return Err(MergeError::Unfinished { shards: unfinished, verb: "not at an end" });
    }
    let ends: Vec<(Shard, End)> = ledgers.iter().filter_map(|(shard, ledger)| Some((*shard, ledger.end()?))).collect();
    let (first, end) = ends[0];
    if let Some((second, other)) = ends.iter().find(|(_, other)| other.of != end.of) {
        let (second, of_first, of_second) = (*second, end.of, other.of);
        return Err(MergeError::InputsChanged { first, of_first, second, of_second });
    }
    let sum = |count: fn(&End) -> usize| ends.iter().map(|(_, end)| count(end)).sum::<usize>();
    let found = ledgers.iter().map(|(_, ledger)| ledger.known().len()).sum::<usize>();
    if found != end.of || sum(|end| end.inputs) != end.of {
        return Err(MergeError::Counts { found, expected: end.of });
    }
    Ok(End { inputs: end.of, of: end.of, done: sum(|end| end.done), failed: sum(|end| end.failed) })
}

/// An output of other settings is not replaced by the way.
fn refuse_other_run(places: &Places, shard: &Ledger) -> Result<(), LedgerError> {
    let path = places.ledger();
    if !path.exists() {
        return Ok(());
    }
    let whole = Ledger::existing(&path)?;
    match difference(shard.settings(), whole.settings()) {
        Some(difference) => Err(LedgerError::OtherSettings { path, difference }),
        None => Ok(()),
    }
}
