//! The data-set CSV: `id` and `text`, optionally `patient` and `split`.
//!
//! ```csv
//! id,text,patient,split
//! p1/frontal.png,"Clear lungs, no effusion.",p1,train
//! ```
//!
//! Delimiters, quotes and encodings are those of [`xreport_models::table`]. Rows that cannot be used are reported and left
//! out, the rest goes on.

use std::path::{Path, PathBuf};

use xreport_models::table::{Breaks, Row as TextRow, Table as TextTable, TableError as UnusableTable};

use super::no_text::no_text;
use super::problem::{Problem, RowFault};

/// The CSV names looked for in a data folder.
pub const CSV_NAMES: [&str; 2] = ["XREPORT_dataset.csv", "reports.csv"];

/// Which part of the data set a row names for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Trained on.
    Train,
    /// Held out to measure progress.
    Validation,
    /// Left alone until asked for.
    Test,
}

impl Part {
    /// The word that the `split` column has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// Reads a cell of the `split` column.
    pub fn from_cell(cell: &str) -> Option<Self> {
        match cell.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "validation" | "val" | "valid" | "validate" | "dev" => Some(Self::Validation),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }
}

/// One usable row. Its `Debug` form is left out on purpose: texts and patients belong in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Line of the file on which the row starts, from 1.
    pub line: usize,
    /// As written, without surrounding white space.
    pub id: String,
    /// As written, without surrounding white space; empty only from [`read_with_empty_texts`].
    pub text: String,
    /// The patient, where the table has the column and the cell a value.
    pub patient: Option<String>,
    /// The part, where the table has the column.
    pub part: Option<Part>,
}

/// A table as read.
pub struct Table {
    /// The file.
    pub path: PathBuf,
    /// The usable rows in the order of the file.
    pub rows: Vec<Row>,
    /// The other rows.
    pub problems: Vec<Problem>,
}

/// The table cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Neither of the known names is there.
    #[error(
        "no data-set table in `{}`: expected `{}` or `{}`\nhint: name the table with --csv",
        data.display(), CSV_NAMES[0], CSV_NAMES[1]
    )]
    None {
        /// The data folder.
        data: PathBuf,
    },
    /// Both of the known names are there.
    #[error(
        "two data-set tables in `{}`: `{}` and `{}`\nhint: name one with --csv",
        data.display(), CSV_NAMES[0], CSV_NAMES[1]
    )]
    Both {
        /// The data folder.
        data: PathBuf,
    },
    /// It cannot be read, or a column is not there.
    #[error(transparent)]
    Unusable(#[from] UnusableTable),
}

/// The table of the data folder `data`, or `csv` where it is given.
pub fn locate(data: &Path, csv: Option<&Path>) -> Result<PathBuf, TableError> {
    if let Some(csv) = csv {
        return Ok(csv.to_owned());
    }
    let [first, second] = CSV_NAMES.map(|name| data.join(name));
    match (first.is_file(), second.is_file()) {
        (true, true) => Err(TableError::Both { data: data.to_owned() }),
        (true, false) => Ok(first),
        (false, true) => Ok(second),
        (false, false) => Err(TableError::None { data: data.to_owned() }),
    }
}

/// Reads the table at `path`; a row without a text is a problem.
pub fn read(path: &Path) -> Result<Table, TableError> {
    read_rows(path, false)
}

/// Reads the table at `path`, in which a text may be empty: a system may have written nothing.
pub fn read_with_empty_texts(path: &Path) -> Result<Table, TableError> {
    read_rows(path, true)
}

fn read_rows(path: &Path, empty_texts: bool) -> Result<Table, TableError> {
    let source = TextTable::open(path, &COLUMNS)?;
    let columns = Columns::find(&source, empty_texts)?;
    let mut table = Table { path: path.to_owned(), rows: Vec::new(), problems: Vec::new() };
    for row in source.rows(Breaks::InCells) {
        match columns.row(&row) {
            Ok(row) => table.rows.push(row),
            Err(fault) => table.problems.push(Problem::Row { line: row.line(), fault }),
        }
    }
    Ok(table)
}

/// Where the known columns are.
struct Columns {
    id: usize,
    text: usize,
    patient: Option<usize>,
    split: Option<usize>,
    empty_texts: bool,
}

/// The columns known here, by which a table's delimiter is told.
pub(super) const COLUMNS: [&str; 4] = ["id", "text", "patient", "split"];

impl Columns {
    fn find(table: &TextTable, empty_texts: bool) -> Result<Self, TableError> {
        const HINT: &str = "the first line names the columns: `id` and `text`, optionally `patient` and `split`";
        Ok(Self {
            id: table.column("id", HINT)?,
            text: table.column("text", HINT)?,
            patient: table.find("patient")?,
            split: table.find("split")?,
            empty_texts,
        })
    }

    /// What a row says, or why it cannot be used.
    fn row(&self, row: &TextRow) -> Result<Row, RowFault> {
        row.check()?;
        let (id, text) = (row.cell(self.id)?, row.cell(self.text)?);
        let patient = self.patient.map(|column| row.cell(column)).transpose()?.unwrap_or_default();
        let part = self.split.map(|column| row.cell(column)).transpose()?;
        if id.is_empty() {
            return Err(RowFault::EmptyId);
        }
        if !self.empty_texts
            && let Some(why) = no_text(text)
        {
            return Err(RowFault::NoText(why));
        }
        Ok(Row {
            line: row.line(),
            id: id.to_owned(),
            text: text.to_owned(),
            patient: (!patient.is_empty()).then(|| patient.to_owned()),
            part: part.map(|cell| Part::from_cell(cell).ok_or(RowFault::Part)).transpose()?,
        })
    }
}
