//! A CSV that is written row by row, and stands in its place only when it is whole.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::error::ImportError;

/// A CSV in the making. Dropped without [`finish`](Self::finish), it vanishes; what a killed process left is written over
/// by the next one.
pub(super) struct PendingCsv {
    writer: Option<csv::Writer<BufWriter<File>>>,
    temporary: PathBuf,
    target: PathBuf,
}

impl PendingCsv {
    /// Begins the file that will be `target`, with its header.
    pub(super) fn begin(target: PathBuf, header: &[&str]) -> Result<Self, ImportError> {
        let name = target.file_name().expect("a table has a name").to_string_lossy();
        let temporary = target.with_file_name(format!("{name}.tmp"));
        let file = File::create(&temporary).map_err(ImportError::write("create", &temporary))?;
        let writer = csv::Writer::from_writer(BufWriter::new(file));
        let mut pending = Self { writer: Some(writer), temporary, target };
        pending.row(header)?;
        Ok(pending)
    }

    /// Adds a row.
    pub(super) fn row<C: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = C>) -> Result<(), ImportError> {
        let writer = self.writer.as_mut().expect("only `finish` takes the writer");
        writer.write_record(cells).map_err(|error| failed(&self.target, error))
    }

    /// Syncs the file to the disk and renames it to its place.
    pub(super) fn finish(mut self) -> Result<PathBuf, ImportError> {
        let writer = self.writer.take().expect("`finish` is called once");
        let write = |source| ImportError::Write { action: "write", path: self.target.clone(), source };
        let buffer = writer.into_inner().map_err(|error| write(error.into_error()))?;
        let file = buffer.into_inner().map_err(|error| write(error.into_error()))?;
        file.sync_all().map_err(write)?;
        drop(file);
        fs::rename(&self.temporary, &self.target).map_err(ImportError::write("move into place", &self.target))?;
        Ok(self.target.clone())
    }
}

impl Drop for PendingCsv {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer);
        }
        // Renamed, it is gone already.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn failed(path: &Path, error: csv::Error) -> ImportError {
    let text = error.to_string();
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        _ => std::io::Error::other(text),
    };
    ImportError::Write { action: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_appears_only_when_it_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a.csv");
        let mut pending = PendingCsv::begin(target.clone(), &["id", "text"]).unwrap();
        pending.row(["x", "one, two"]).unwrap();
        assert!(!target.exists());
        drop(pending);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        // What a killed process left does no harm.
        fs::write(place.path().join("a.csv.tmp"), "half").unwrap();
        let mut pending = PendingCsv::begin(target.clone(), &["id", "text"]).unwrap();
        pending.row(["x", "one, two"]).unwrap();
        pending.finish().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "id,text\nx,\"one, two\"\n");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
