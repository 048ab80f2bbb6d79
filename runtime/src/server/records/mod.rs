//! Drafts, edits and signatures in SQLite: an append-only trail, from which a report's present state is told.
//!
//! One connection writes, in WAL mode with `synchronous=FULL`: SQLite forces its log to the disk before a commit returns,
//! so what was confirmed outlives `kill -9` and, on a disk that keeps its promises, a power cut; what was not is absent as
//! a whole. (The rollback journal with `synchronous=EXTRA` would promise the same with two more flushes per commit.)

mod event;
mod store;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;

pub use event::{Decision, Drafted, Event, Recorded};
pub use store::RECORDS_FILE;

/// Why records cannot be read or written.
#[derive(Debug, Error)]
pub enum RecordsError {
    /// SQLite failed.
    #[error("records `{}`: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The folder cannot be made or locked.
    #[error("records folder `{}`: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another server has them.
    #[error(
        "records folder `{}` is in use by another `xreport serve`\nhint: stop that one, or name another folder with --records", .0.display()
    )]
    InUse(PathBuf),
    /// A newer version wrote them.
    #[error("records `{}` have version {found}, this program reads up to {known}\nhint: update xreport", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest that is known.
        known: i32,
    },
    /// Something was written since.
    #[error("the report has changed since: revision {found} expected, found {expected}")]
    Changed {
        /// What the caller had seen.
        expected: u32,
        /// What there is.
        found: u32,
    },
    /// A record that does not read as one.
    #[error("a record of the trail cannot be read: {0}")]
    Damaged(String),
}

/// What a study is, apart from what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyRecord {
    /// 32 hex digits, drawn at random.
    pub id: String,
    /// UTC, RFC 3339.
    pub submitted: String,
    /// Name of the file.
    pub name: String,
    /// SHA-256 of the file.
    pub image_sha256: String,
    /// Its size.
    pub image_bytes: u64,
    /// Id of the bundle that drafts.
    pub bundle: String,
    /// Its variant.
    pub variant: String,
}

/// A line of the worklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The study.
    pub study: StudyRecord,
    /// Events so far.
    pub revision: u32,
    /// Kind of the latest.
    pub latest: String,
}

/// The records of a folder, which nobody else writes to while they are open.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Locked as long as it is open.
    _lock: std::fs::File,
}

/// Now, in UTC to the millisecond, RFC 3339.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.3}")
}

impl Records {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that was not committed is rolled back when its thread panics.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: rusqlite::Error) -> RecordsError {
        RecordsError::Sqlite { path: self.path.clone(), source }
    }

    /// Writes a study down together with its first event: durable when this returns.
    pub fn begin(&self, study: &StudyRecord, event: &Event) -> Result<(), RecordsError> {
        self.begin_all(&[(study, event)])
    }

    /// As [`Records::begin`], for several in one commit.
    pub fn begin_all(&self, studies: &[(&StudyRecord, &Event)]) -> Result<(), RecordsError> {
        let mut connection = self.connection();
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for (study, event) in studies {
                let StudyRecord { id, submitted, name, image_sha256, image_bytes, bundle, variant } = study;
                transaction
                    .prepare_cached("INSERT INTO studies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                    .execute(params![id, submitted, name, image_sha256, image_bytes.cast_signed(), bundle, variant])?;
                insert(&transaction, id, 1, event)?;
            }
            transaction.commit()
        };
        write(&mut connection).map_err(|error| self.failed(error))
    }

    /// Adds an event to a study whose latest revision is `seen`: durable when this returns. Its own revision.
    ///
    /// # Errors
    /// [`RecordsError::Changed`] where somebody else was faster.
    pub fn append(&self, id: &str, seen: u32, event: &Event) -> Result<u32, RecordsError> {
        let mut connection = self.connection();
        let write = |connection: &mut Connection| -> rusqlite::Result<Result<u32, u32>> {
            let transaction = connection.transaction()?;
            let found: u32 = transaction
                .prepare_cached("SELECT coalesce(max(revision), 0) FROM events WHERE study = ?1")?
                .query_row([id], |row| row.get(0))?;
            if found != seen {
                return Ok(Err(found));
            }
            insert(&transaction, id, seen + 1, event)?;
            transaction.commit()?;
            Ok(Ok(seen + 1))
        };
        write(&mut connection)
            .map_err(|error| self.failed(error))?
            .map_err(|found| RecordsError::Changed { expected: seen, found })
    }

    /// A study and its trail; `None` where there is no such study.
    pub fn read(&self, id: &str) -> Result<Option<(StudyRecord, Vec<Recorded>)>, RecordsError> {
        let connection = self.connection();
        let read = || -> rusqlite::Result<Option<(StudyRecord, Vec<Line>)>> {
            let study = connection
                .prepare_cached("SELECT * FROM studies WHERE id = ?1")?
                .query_row([id], study_of)
                .optional()?;
            let Some(study) = study else { return Ok(None) };
            let mut statement = connection
                .prepare_cached("SELECT revision, time, body FROM events WHERE study = ?1 ORDER BY revision")?;
            let lines = statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(Some((study, lines.collect::<Result<_, _>>()?)))
        };
        let Some((study, lines)) = read().map_err(|error| self.failed(error))? else { return Ok(None) };
        let trail = lines.into_iter().map(recorded).collect::<Result<_, _>>()?;
        Ok(Some((study, trail)))
    }

    /// The newest studies, newest first.
    pub fn newest(&self, count: u32) -> Result<Vec<Summary>, RecordsError> {
        let connection = self.connection();
        let read = || -> rusqlite::Result<Vec<Summary>> {
            let mut statement = connection.prepare_cached(
                "SELECT studies.*, events.revision, events.kind FROM studies JOIN events ON events.study = studies.id
                 WHERE events.revision = (SELECT max(revision) FROM events WHERE study = studies.id)
                 ORDER BY studies.submitted DESC, studies.rowid DESC LIMIT ?1",
            )?;
            let summary = |row: &rusqlite::Row<'_>| {
                Ok(Summary { study: study_of(row)?, revision: row.get(7)?, latest: row.get(8)? })
            };
            statement.query_map([count], summary)?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// Whether a study was there and has been purged.
    pub fn was_purged(&self, id: &str) -> Result<bool, RecordsError> {
        let connection = self.connection();
        let found = || connection.prepare_cached("SELECT 1 FROM purges WHERE study = ?1")?.exists([id]);
        found().map_err(|error| self.failed(error))
    }
}

/// Revision, time and body of an event.
type Line = (u32, String, String);

fn recorded((revision, time, body): Line) -> Result<Recorded, RecordsError> {
    let event = serde_json::from_str(&body).map_err(|error| RecordsError::Damaged(error.to_string()))?;
    Ok(Recorded { revision, time, event })
}

fn study_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<StudyRecord> {
    let bytes: i64 = row.get(4)?;
    Ok(StudyRecord {
        id: row.get(0)?,
        submitted: row.get(1)?,
        name: row.get(2)?,
        image_sha256: row.get(3)?,
        image_bytes: bytes.cast_unsigned(),
        bundle: row.get(5)?,
        variant: row.get(6)?,
    })
}

fn insert(connection: &Connection, study: &str, revision: u32, event: &Event) -> rusqlite::Result<()> {
    let body = serde_json::to_string(event).expect("records of plain fields always serialise");
    connection
        .prepare_cached("INSERT INTO events (study, revision, time, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![study, revision, now(), event.kind(), body])?;
    Ok(())
}
