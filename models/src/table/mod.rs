//! The one reader of tables and lists, whichever command is given them.
//!
//! A table is text with a header, as spreadsheets and databases write it: the delimiter is `,` `;` tab or `|`, whichever
//! makes a header of the first line, or the one that Excel's line `sep=;` names; quoting is RFC 4180's; lines end in LF,
//! CR LF or CR; the text is UTF-8 or UTF-16, with a byte order mark or without. Names of columns are found whatever their
//! case, and whatever white space or quotes stand around them. Blank lines, and lines of delimiters alone, are passed over.
//!
//! ```text
//! id;text;patient
//! p1/frontal.png;"Clear lungs; no effusion.";p1
//! ```
//!
//! A row that cannot be read as it was meant is told by its line ([`Row::check`], [`Row::cell`]); the others go on.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod encoding;
mod header;
mod rows;
#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test that finds nothing at a place has failed")]
mod tests;

use std::path::{Path, PathBuf};

pub use header::DELIMITERS;
pub use rows::{Breaks, Row, RowFault, Rows};

use encoding::{NotText, as_utf8};
use header::Header;

/// Why a table cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file is missing or may not be read.
    #[error("cannot read the table `{}`: {source}\nhint: check the path and its permissions", path.display())]
    Read {
        /// The table.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no text.
    #[error("the table `{}` is {found}\nhint: {hint}", path.display())]
    NotText {
        /// The table.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// How to get a text of it.
        hint: &'static str,
    },
    /// A required column is not there.
    #[error("the table `{}` has no column {missing}, found {found}\nhint: {hint}", path.display())]
    Column {
        /// The table.
        path: PathBuf,
        /// The column's name, or the names of which one is needed.
        missing: String,
        /// The columns that are there; cells that look like data are not shown.
        found: String,
        /// What the columns should be.
        hint: String,
    },
    /// A column is there twice.
    #[error("the table `{}` has the column `{column}` twice\nhint: rename or delete one of them", path.display())]
    RepeatedColumn {
        /// The table.
        path: PathBuf,
        /// The column's name.
        column: String,
    },
}

impl TableError {
    /// The table.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::NotText { path, .. }
            | Self::Column { path, .. }
            | Self::RepeatedColumn { path, .. } => path,
        }
    }
}

/// A table in memory. Its `Debug` form shows no cell.
pub struct Table {
    path: PathBuf,
    text: Vec<u8>,
    header: Header,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("path", &self.path)
            .field("columns", &self.header.names.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Reads the table at `path`; `known` are names of columns, in lower case, by which its delimiter is told.
    ///
    /// # Errors
    /// [`TableError::Read`] or [`TableError::NotText`].
    pub fn open(path: &Path, known: &[&str]) -> Result<Self, TableError> {
        let bytes = std::fs::read(path).map_err(|source| TableError::Read { path: path.to_owned(), source })?;
        Self::parse(path, bytes, known)
    }

    /// As [`open`](Self::open), of bytes that are in memory; `path` is what errors call them.
    ///
    /// # Errors
    /// [`TableError::NotText`].
    pub fn parse(path: &Path, bytes: Vec<u8>, known: &[&str]) -> Result<Self, TableError> {
        let text = as_utf8(bytes).map_err(|NotText { found, hint }| TableError::NotText {
            path: path.to_owned(),
            found,
            hint,
        })?;
        let header = Header::read(&text, known);
        Ok(Self { path: path.to_owned(), text, header })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns as they are written, without white space and quotes around them; none in an empty file.
    pub fn names(&self) -> &[String] {
        &self.header.names
    }

    /// The place of the column `name` (in lower case), where the table has it. Case does not matter.
    ///
    /// # Errors
    /// [`TableError::RepeatedColumn`].
    pub fn find(&self, name: &str) -> Result<Option<usize>, TableError> {
        let mut places = self.header.names.iter().enumerate().filter(|(_, found)| found.to_lowercase() == name);
        match (places.next(), places.next()) {
            (place, None) => Ok(place.map(|(place, _)| place)),
            (_, Some(_)) => Err(TableError::RepeatedColumn { path: self.path.clone(), column: name.to_owned() }),
        }
    }

    /// The place of the column `name`, which must be there; `hint` says what the columns should be.
    ///
    /// # Errors
    /// [`TableError::Column`] or [`TableError::RepeatedColumn`].
    pub fn column(&self, name: &str, hint: &str) -> Result<usize, TableError> {
        self.find(name)?.ok_or_else(|| self.without(&format!("`{name}`"), hint))
    }

    /// The error that the columns `missing` are not there.
    pub fn without(&self, missing: &str, hint: &str) -> TableError {
        let hint = if self.header.names.len() == 1 && self.looks_like_data() {
            format!("{hint}; the first line looks like data: a line with the names of the columns comes before it")
        } else {
            hint.to_owned()
        };
        TableError::Column { path: self.path.clone(), missing: missing.to_owned(), found: self.shown_names(), hint }
    }

    /// The rows below the header.
    pub fn rows(&self, breaks: Breaks) -> Rows<'_> {
        Rows::of(self, breaks)
    }

    /// Bytes of the text, as [`Rows::bytes_read`] counts them.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether the file holds no text at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn reader_from(&self, start: usize) -> csv::Reader<&[u8]> {
        rows::reader(self.text.get(start..).unwrap_or_default(), self.header.delimiter)
    }

    fn looks_like_data(&self) -> bool {
        self.header.names.iter().any(|name| !is_like_a_name(name))
    }

    /// The columns for a message. A file without a header has a study there, so a cell that does not read like a column's
    /// name is not shown.
    fn shown_names(&self) -> String {
        let shown = |name: &String| match name {
            name if is_like_a_name(name) => format!("`{name}`"),
            name if name.contains(char::REPLACEMENT_CHARACTER) => "(a cell that is not UTF-8)".to_owned(),
            _ => "(a cell that looks like data)".to_owned(),
        };
        let names: Vec<_> = self.header.names.iter().map(shown).collect();
        if names.is_empty() { "an empty file".to_owned() } else { names.join(", ") }
    }
}

fn is_like_a_name(name: &str) -> bool {
    const LONGEST: usize = 32;
    name.len() <= LONGEST && name.chars().all(|letter| letter.is_alphabetic() || " _-".contains(letter))
}
