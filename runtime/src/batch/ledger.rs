//! The record of a run: one line per input, appended when its result is there.
//!
//! A line counts when its end is there, so a program that is killed at any byte leaves at most a torn last line, which
//! the next run cuts off. Whatever else cannot be read (a power cut may leave such) is left out, and its input done again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::line::{
    AnyLine, FORMAT_VERSION, Kind, PlaceLine, ReadInputLine, RunLine, State, end_line, input_line, place_line, run_line,
};
use super::{End, Fingerprint};
use crate::output::{OutputError, ResultRow, StoredRow};

/// What the rows of a run depend on, by name.
pub type Settings = serde_json::Map<String, serde_json::Value>;

/// A power cut loses at most the rows of this time; a killed program loses none.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Why a ledger cannot be used.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The system refuses.
    #[error("cannot write `{}`: {source}\nhint: make room or mend the access, then run the same command again: what is done is not done again", path.display())]
    Write {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run writes it.
    #[error("`{}` is being written by another run\nhint: wait for it, or choose another --out", .0.display())]
    InUse(PathBuf),
    /// It is something else.
    #[error("`{}` is not a ledger that this version can read: {problem}\nhint: remove it if it is not needed, or choose another --out", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Rows of two kinds would be mixed.
    #[error("`{}` belongs to a run with other settings: {difference}\nhint: --fresh drafts everything anew; another --out keeps both", path.display())]
    OtherSettings {
        /// The ledger.
        path: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// A result or its table cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// An input whose result is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its place among all inputs.
    pub place: usize,
    /// Whether a report was drafted.
    pub done: bool,
    /// The file as it was.
    pub file: Option<Fingerprint>,
    offset: u64,
    length: usize,
}

/// An open ledger: this run alone writes it.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    settings: Settings,
    known: HashMap<String, Known>,
    /// Length of the whole lines.
    length: u64,
    end: Option<End>,
    unreadable: usize,
    synced: Instant,
}

impl Ledger {
    /// Opens the ledger at `path` to go on with it, or begins one. With `fresh` what it held is dropped.
    pub fn open(path: &Path, settings: &Settings, fresh: bool) -> Result<Self, LedgerError> {
        let fail = |source| LedgerError::Write { path: path.to_path_buf(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(fail)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        lock(&file, path)?;
        if fresh {
            file.set_len(0).map_err(fail)?;
        }
        let mut ledger = Self::scan(file, path)?;
        let done = ledger.known.values().any(|known| known.done);
        if !done && (ledger.length == 0 || ledger.settings != *settings) {
            // Nothing was done with the old settings: nothing can be mixed.
            ledger.known.clear();
            ledger.file.set_len(0).map_err(fail)?;
            ledger.length = 0;
            ledger.settings.clone_from(settings);
            ledger.append(&run_line(settings))?;
        }
        match difference(settings, &ledger.settings) {
            Some(difference) => Err(LedgerError::OtherSettings { path: path.to_path_buf(), difference }),
            None => Ok(ledger),
        }
    }

    /// Opens a ledger that must be there, whatever its settings.
    pub fn existing(path: &Path) -> Result<Self, LedgerError> {
        let fail = |source| LedgerError::Read { path: path.to_path_buf(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
        lock(&file, path)?;
        let ledger = Self::scan(file, path)?;
        if ledger.length == 0 {
            return Err(LedgerError::NotALedger { path: path.to_path_buf(), problem: "it is empty".into() });
        }
        Ok(ledger)
    }

    /// Reads what is there, and cuts off a torn last line.
    fn scan(file: File, path: &Path) -> Result<Self, LedgerError> {
        let fail = |source| LedgerError::Read { path: path.to_path_buf(), source };
        let (settings, known) = (Settings::new(), HashMap::new());
        let path_buf = path.to_path_buf();
        let synced = Instant::now();
        let mut ledger = Self { path: path_buf, file, settings, known, length: 0, end: None, unreadable: 0, synced };
        let mut reader = BufReader::new(ledger.file.try_clone().map_err(fail)?);
        reader.seek(SeekFrom::Start(0)).map_err(fail)?;
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(fail)? > 0 && line.ends_with(b"\n") {
            let text = std::str::from_utf8(&line[..line.len() - 1]).unwrap_or_default();
            if ledger.length == 0 {
                ledger.settings = first_line(text, path)?;
            } else if ledger.take(text, line.len()).is_err() {
                ledger.unreadable += 1;
                ledger.end = None;
            }
            ledger.length += line.len() as u64;
            line.clear();
        }
        if !line.is_empty() {
            ledger.file.set_len(ledger.length).map_err(fail)?;
        }
        Ok(ledger)
    }

    fn take(&mut self, text: &str, length: usize) -> serde_json::Result<()> {
        let AnyLine { kind } = serde_json::from_str(text)?;
        self.end = None;
        match kind {
            Kind::Input => {
                let line: ReadInputLine = serde_json::from_str(text)?;
                let (place, done, file) = (line.place, line.state == State::Done, line.fingerprint());
                let known = Known { place, done, file, offset: self.length, length };
                self.known.insert(line.id.into_owned(), known);
            }
            Kind::Place => {
                let line: PlaceLine = serde_json::from_str(text)?;
                self.move_to(&line.id, line.place);
            }
            Kind::End => self.end = Some(serde_json::from_str(text)?),
            Kind::Run => {}
        }
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its rows depend on.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Inputs whose result is there.
    pub fn known(&self) -> &HashMap<String, Known> {
        &self.known
    }

    /// Lines that could not be read; their inputs count as not done.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// How the last run ended, where it came to its end.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Writes down that every failed input is not done, so that it is tried again, or goes where it is no input any more.
    pub fn forget_failed(&mut self) -> Result<(), LedgerError> {
        let failed: Vec<String> =
            self.known.iter().filter(|(_, known)| !known.done).map(|(id, _)| id.clone()).collect();
        for id in failed {
            self.append(&place_line(&id, None))?;
            self.move_to(&id, None);
        }
        Ok(())
    }

    /// The place after the last one.
    pub fn next_place(&self) -> usize {
        self.known.values().map(|known| known.place + 1).max().unwrap_or(0)
    }

    /// Makes room for that many inputs at once.
    pub fn reserve(&mut self, inputs: usize) {
        self.known.reserve(inputs.saturating_sub(self.known.len()));
    }

    /// Writes down an input's result.
    pub fn record(&mut self, place: usize, file: Option<Fingerprint>, row: &ResultRow) -> Result<(), LedgerError> {
        let line = input_line(place, file.as_ref(), row);
        let known = Known { place, done: row.status == "ok", file, offset: self.length, length: line.len() };
        self.append(&line)?;
        self.known.insert(row.id.clone(), known);
        Ok(())
    }

    fn move_to(&mut self, id: &str, place: Option<usize>) {
        match (place, self.known.get_mut(id)) {
            (Some(place), Some(known)) => known.place = place,
            (None, _) => drop(self.known.remove(id)),
            (Some(_), None) => {}
        }
    }

    /// Writes down where every known input stands now: `place` of its id, nowhere where it is gone.
    pub fn put_in_order(&mut self, place: impl Fn(&str) -> Option<usize>) -> Result<(), LedgerError> {
        let moved: Vec<_> = self
            .known
            .iter()
            .map(|(id, known)| (id, known.place, place(id)))
            .filter(|(_, before, now)| Some(*before) != *now)
            .map(|(id, _, now)| (id.clone(), now))
            .collect();
        for (id, now) in moved {
            self.append(&place_line(&id, now))?;
            self.move_to(&id, now);
        }
        Ok(())
    }

    /// Known inputs in the order of their places.
    pub fn in_order(&self) -> Vec<Known> {
        let mut known: Vec<Known> = self.known.values().copied().collect();
        known.sort_by_key(|known| (known.place, known.offset));
        known
    }

    /// Writes down that the run came to its end.
    pub fn finish(&mut self, end: End) -> Result<(), LedgerError> {
        if self.end != Some(end) {
            self.append(&end_line(end))?;
            self.end = Some(end);
        }
        self.sync()
    }

    fn append(&mut self, line: &[u8]) -> Result<(), LedgerError> {
        self.end = None;
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(line));
        if let Err(source) = written {
            // What was written of the line goes; where even that fails the next run cuts it off.
            let _ = self.file.set_len(self.length);
            return Err(LedgerError::Write { path: self.path.clone(), source });
        }
        self.length += line.len() as u64;
        if self.synced.elapsed() > SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Asks the system to have everything on the disk.
    pub(super) fn sync(&mut self) -> Result<(), LedgerError> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|source| LedgerError::Write { path: self.path.clone(), source })
    }

    /// The result row of a known input.
    pub fn row(&self, known: &Known) -> Result<StoredRow, LedgerError> {
        let fail = |source| LedgerError::Read { path: self.path.clone(), source };
        let line = self.line(known).map_err(fail)?;
        let parsed = serde_json::from_slice::<ReadInputLine>(&line).and_then(|line| StoredRow::parse(line.row.get()));
        parsed.map_err(|error| fail(error.into()))
    }

    /// The line of a known input, with its end.
    pub(super) fn line(&self, known: &Known) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        let mut line = vec![0; known.length];
        file.seek(SeekFrom::Start(known.offset))?;
        file.read_exact(&mut line)?;
        Ok(line)
    }
}

/// The lock goes with the process, however it ends. A file system that knows no locks (some network shares) is used
/// without one.
fn lock(file: &File, path: &Path) -> Result<(), LedgerError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(LedgerError::InUse(path.to_path_buf())),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn first_line(text: &str, path: &Path) -> Result<Settings, LedgerError> {
    let refuse = |problem: String| LedgerError::NotALedger { path: path.to_path_buf(), problem };
    let run: RunLine = serde_json::from_str(text).map_err(|_| refuse("its first line is no ledger's".into()))?;
    if run.kind != Kind::Run || run.format_version != FORMAT_VERSION {
        let found = run.format_version;
        return Err(refuse(format!("format version {FORMAT_VERSION} expected, found {found}")));
    }
    Ok(run.settings.into_owned())
}

/// The first setting that is not the same.
pub(super) fn difference(wanted: &Settings, found: &Settings) -> Option<String> {
    let shown = |settings: &Settings, key: &str| settings.get(key).map_or("nothing".into(), ToString::to_string);
    let mut keys = wanted.keys().chain(found.keys());
    let key = keys.find(|key| wanted.get(*key) != found.get(*key))?;
    Some(format!("`{key}` is {} now and was {} there", shown(wanted, key), shown(found, key)))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
