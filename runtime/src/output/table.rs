//! CSV and JSON lines: rows stream into a temporary file beside the target, which is renamed when all are there.

use std::fs::File;
use std::io::{BufWriter, Error, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{OutputError, RowWriter, StoredRow};

/// A file that takes its name when it is complete.
struct PendingFile {
    target: PathBuf,
    file: NamedTempFile,
}

impl PendingFile {
    fn create(target: &Path) -> Result<Self, OutputError> {
        let fail = |source| OutputError::Write { path: target.to_path_buf(), source };
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = tempfile::Builder::new().prefix(".xreport-").suffix(".tmp").tempfile_in(folder).map_err(fail)?;
        Ok(Self { target: target.to_path_buf(), file })
    }

    fn handle(&self) -> Result<File, OutputError> {
        self.file.as_file().try_clone().map_err(|source| self.fail(source))
    }

    fn fail(&self, source: Error) -> OutputError {
        OutputError::Write { path: self.target.clone(), source }
    }

    fn publish(self) -> Result<(), OutputError> {
        self.file.as_file().sync_all().map_err(|source| self.fail(source))?;
        let target = self.target.clone();
        let persisted = self.file.persist(&target).map_err(|e| OutputError::Write { path: target, source: e.error })?;
        readable_by_others(&persisted);
        Ok(())
    }
}

/// Temporary files are private to their owner; a result is an ordinary file.
fn readable_by_others(file: &File) {
    crate::platform::make_ordinary(file);
}

/// Rows as CSV with a header: the first row's columns.
pub struct CsvRows {
    pending: PendingFile,
    csv: csv::Writer<File>,
    header: Vec<String>,
}

impl CsvRows {
    /// Starts the file.
    pub fn create(target: &Path) -> Result<Self, OutputError> {
        let pending = PendingFile::create(target)?;
        let csv = csv::Writer::from_writer(pending.handle()?);
        Ok(Self { pending, csv, header: Vec::new() })
    }
}

impl RowWriter for CsvRows {
    fn write(&mut self, row: &StoredRow) -> Result<(), OutputError> {
        let fail = |error| self.pending.fail(Error::other(error));
        if self.header.is_empty() {
            self.header = row.columns().iter().map(|(name, _)| name.clone()).collect();
            self.csv.write_record(&self.header).map_err(fail)?;
        }
        self.csv.write_record(self.header.iter().map(|name| row.text(name))).map_err(fail)
    }

    fn finish(mut self: Box<Self>) -> Result<(), OutputError> {
        self.csv.flush().map_err(|source| self.pending.fail(source))?;
        self.pending.publish()
    }
}

/// Rows as one JSON object per line.
pub struct JsonRows {
    pending: PendingFile,
    lines: BufWriter<File>,
}

impl JsonRows {
    /// Starts the file.
    pub fn create(target: &Path) -> Result<Self, OutputError> {
        let pending = PendingFile::create(target)?;
        let lines = BufWriter::new(pending.handle()?);
        Ok(Self { pending, lines })
    }
}

impl RowWriter for JsonRows {
    fn write(&mut self, row: &StoredRow) -> Result<(), OutputError> {
        writeln!(self.lines, "{}", row.json()).map_err(|source| self.pending.fail(source))
    }

    fn finish(mut self: Box<Self>) -> Result<(), OutputError> {
        self.lines.flush().map_err(|source| self.pending.fail(source))?;
        self.pending.publish()
    }
}
