//! CSV and JSON lines: the table appears under its name when all rows are there.

use std::cell::RefCell;
use std::io::{Error, Write};
use std::path::Path;

use xreport_models::atomic::write_file_with;

use super::{Format, OutputError, StoredRow};

/// Writes the table of these rows at `path`, whole or not at all; that of text files is a CSV index. A row that is an
/// error ends it.
pub fn write_table<E: From<OutputError>>(
    format: Format,
    path: &Path,
    rows: impl Iterator<Item = Result<StoredRow, E>>,
) -> Result<(), E> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| OutputError::Write { path: path.to_path_buf(), source })?;
    }
    let failure = RefCell::new(None);
    let rows = rows.map_while(|row| row.map_err(|error| failure.replace(Some(error))).ok());
    let written = write_file_with(path, |out| {
        match format {
            Format::Txt | Format::Csv => csv_rows(out, rows)?,
            Format::Jsonl => json_rows(out, rows)?,
        }
        if failure.borrow().is_some() { Err(Error::other("a row cannot be read")) } else { Ok(()) }
    });
    match failure.into_inner() {
        Some(error) => Err(error),
        None => Ok(written.map_err(OutputError::from)?),
    }
}

/// With a header: the first row's columns.
fn csv_rows(out: &mut dyn Write, rows: impl Iterator<Item = StoredRow>) -> Result<(), Error> {
    let mut csv = csv::Writer::from_writer(out);
    let mut header: Vec<String> = Vec::new();
    for row in rows {
        if header.is_empty() {
            header = row.columns().iter().map(|(name, _)| name.clone()).collect();
            csv.write_record(&header)?;
        }
        csv.write_record(header.iter().map(|name| row.text(name)))?;
    }
    csv.flush()
}

fn json_rows(out: &mut dyn Write, mut rows: impl Iterator<Item = StoredRow>) -> Result<(), Error> {
    rows.try_for_each(|row| writeln!(out, "{}", row.json()))
}
