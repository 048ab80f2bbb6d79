//! Opening the records, and taking things out of them again.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::{Records, RecordsError, now};
use crate::platform;

/// The database within the records folder.
pub const RECORDS_FILE: &str = "records.sqlite";

/// Held by the server that uses the folder.
const LOCK_FILE: &str = "records.lock";

/// How long a copy waits for a server that writes.
const BACKUP_PATIENCE: Duration = Duration::from_secs(30);

/// Layout of the database: SQLite's `user_version`.
const VERSION: i32 = 1;

impl Records {
    /// Opens the records of a folder; makes both where they are not there.
    pub fn open(folder: &Path) -> Result<Self, RecordsError> {
        let folder_failed = |source| RecordsError::Folder { path: folder.to_path_buf(), source };
        platform::make_private_folder(folder).map_err(folder_failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK_FILE))
            .map_err(folder_failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordsError::InUse(folder.to_path_buf())),
            Err(TryLockError::Error(source)) => return Err(folder_failed(source)),
        }
        let path = folder.join(RECORDS_FILE);
        let failed = |source| RecordsError::Sqlite { path: path.clone(), source };
        let mut connection = Connection::open(&path).map_err(failed)?;
        let found = prepare(&mut connection).map_err(failed)?;
        if found > VERSION {
            return Err(RecordsError::Newer { path, found, known: VERSION });
        }
        Ok(Self { path, connection: Mutex::new(connection), _lock: lock })
    }

    /// Deletes a study and its trail, but for a line that says so. Whether it was there.
    pub fn purge(&self, id: &str, reason: &str) -> Result<bool, RecordsError> {
        let mut connection = self.connection();
        let write = |connection: &mut Connection| -> rusqlite::Result<bool> {
            let transaction = connection.transaction()?;
            if !transaction.prepare_cached("SELECT 1 FROM studies WHERE id = ?1")?.exists([id])? {
                return Ok(false);
            }
            transaction.execute("INSERT INTO purges VALUES (?1, ?2, ?3)", params![id, now(), reason])?;
            transaction.execute("DELETE FROM events WHERE study = ?1", [id])?;
            transaction.execute("DELETE FROM studies WHERE id = ?1", [id])?;
            transaction.commit()?;
            // The log still holds the pages as they were.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(true)
        };
        write(&mut connection).map_err(|error| self.failed(error))
    }

    /// Copies the records of a folder into a new file, while a server may be writing to them: what was committed when it
    /// began is in the copy.
    pub fn back_up(folder: &Path, copy: &Path) -> Result<(), RecordsError> {
        let path = folder.join(RECORDS_FILE);
        let failed = |source| RecordsError::Sqlite { path: path.clone(), source };
        if !path.is_file() {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no records are here");
            return Err(RecordsError::Folder { path: folder.to_path_buf(), source: missing });
        }
        let connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BACKUP_PATIENCE).map_err(failed)?;
        connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map_err(failed)?;
        // It is worth something when it is on the disk.
        File::options()
            .write(true)
            .open(copy)
            .and_then(|file| file.sync_all())
            .map_err(|source| RecordsError::Folder { path: copy.to_path_buf(), source })
    }

    /// Ids and image hashes of the studies that were submitted before a time (UTC, RFC 3339).
    pub fn submitted_before(&self, time: &str) -> Result<Vec<(String, String)>, RecordsError> {
        let connection = self.connection();
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let mut statement =
                connection.prepare_cached("SELECT id, image_sha256 FROM studies WHERE submitted < ?1")?;
            statement.query_map([time], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// How many studies are of an image.
    pub fn studies_of_image(&self, sha256: &str) -> Result<u32, RecordsError> {
        let connection = self.connection();
        let count = || {
            connection
                .prepare_cached("SELECT count(*) FROM studies WHERE image_sha256 = ?1")?
                .query_row([sha256], |row| row.get(0))
        };
        count().map_err(|error| self.failed(error))
    }
}

/// Sets the connection up and makes the tables of a new database; its version.
fn prepare(connection: &mut Connection) -> rusqlite::Result<i32> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // What is purged is overwritten.
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        return Ok(VERSION);
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::super::{Decision, Drafted, Event, StudyRecord};
    use super::*;

    fn study(id: &str) -> StudyRecord {
        StudyRecord {
            id: id.to_owned(),
            submitted: now(),
            name: "a.dcm".into(),
            image_sha256: "00".repeat(32),
            image_bytes: 7,
            bundle: "b".into(),
            variant: "v".into(),
        }
    }

    fn drafted() -> Event {
        Event::Drafted(Drafted {
            rows: Vec::new(),
            mean_log_probability: -0.5,
            finish: "end".into(),
            seconds: 0.1,
            concerns: Vec::new(),
            notice: "Draft".into(),
        })
    }

    fn signed() -> Event {
        Event::Signed { signer: "Dr A".into(), text: "Fine.".into(), text_sha256: String::new() }
    }

    #[test]
    fn a_trail_is_read_back_and_a_stale_revision_refused() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        records.begin(&study("a"), &drafted()).unwrap();
        let struck = Event::Decided { row: 1, decision: Decision::Struck, text: None };
        assert_eq!(records.append("a", 1, &struck).unwrap(), 2);
        let stale = records.append("a", 1, &struck).unwrap_err();
        assert!(matches!(stale, RecordsError::Changed { expected: 1, found: 2 }), "{stale}");
        drop(records);
        let records = Records::open(folder.path()).unwrap();
        let (found, trail) = records.read("a").unwrap().unwrap();
        assert_eq!(found.name, "a.dcm");
        assert_eq!(trail.iter().map(|it| it.event.clone()).collect::<Vec<_>>(), [drafted(), struck]);
        assert_eq!(records.newest(5).unwrap()[0].latest, "decided");
    }

    #[test]
    fn the_trail_can_only_grow_and_ends_with_the_signature() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        records.begin(&study("a"), &drafted()).unwrap();
        records.append("a", 1, &signed()).unwrap();
        assert!(records.append("a", 2, &drafted()).unwrap_err().to_string().contains("signed"));
        let connection = Connection::open(folder.path().join(RECORDS_FILE)).unwrap();
        for statement in [
            "UPDATE events SET body = '{}'",
            "UPDATE studies SET name = 'x'",
            "DELETE FROM events",
            "DELETE FROM studies",
        ] {
            let refused = connection.execute(statement, []).unwrap_err().to_string();
            assert!(refused.contains("records are not"), "{statement}: {refused}");
        }
    }

    #[test]
    fn a_purge_leaves_nothing_but_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        let secret = "PATIENT-NAME-4711";
        records.begin(&StudyRecord { name: secret.into(), ..study("a") }, &drafted()).unwrap();
        assert!(records.purge("a", "asked for").unwrap() && !records.purge("a", "again").unwrap());
        assert!(records.read("a").unwrap().is_none() && records.was_purged("a").unwrap());
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    #[test]
    fn a_copy_is_made_while_the_records_are_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(folder.path()).unwrap();
        records.begin(&study("a"), &drafted()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join(RECORDS_FILE);
        Records::back_up(folder.path(), &copy).unwrap();
        records.begin(&study("b"), &drafted()).unwrap();
        assert!(Records::back_up(folder.path(), &copy).is_err(), "no copy is overwritten");
        let restored = Records::open(elsewhere.path()).unwrap();
        assert_eq!(restored.newest(9).unwrap().len(), 1);
        assert_eq!(restored.append("a", 1, &signed()).unwrap(), 2, "triggers and all");
        assert!(Records::back_up(&elsewhere.path().join("nowhere"), &copy).is_err());
    }

    #[test]
    fn a_folder_has_one_server() {
        let folder = tempfile::tempdir().unwrap();
        let first = Records::open(folder.path()).unwrap();
        assert!(matches!(Records::open(folder.path()), Err(RecordsError::InUse(_))));
        drop(first);
        assert!(Records::open(folder.path()).is_ok());
    }
}
