//! The data-set CSV: `id` and `text`, optionally `patient` and `split`.
//!
//! ```csv
//! id,text,patient,split
//! p1/frontal.png,"Clear lungs, no effusion.",p1,train
//! ```
//!
//! The delimiter is `,` `;` or tab, whichever makes a header of it; quoting is RFC 4180's. Rows that
//! cannot be used are reported and left out, the rest goes on.

use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::no_text::no_text;
use super::problem::{Problem, RowFault};

/// The CSV names looked for in a data folder.
pub const CSV_NAMES: [&str; 2] = ["XREPORT_dataset.csv", "reports.csv"];

const DELIMITERS: [u8; 3] = *b",;\t";

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
    /// The file is missing or may not be read.
    #[error("cannot read the table `{}`: {source}\nhint: check the path and its permissions", path.display())]
    Read {
        /// The table.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// UTF-16, as spreadsheets write "Unicode text".
    #[error("the table `{}` is UTF-16, expected UTF-8\nhint: save it as \"CSV UTF-8\"", path.display())]
    Utf16 {
        /// The table.
        path: PathBuf,
    },
    /// A required column is not there.
    #[error(
        "the table `{}` has no column `{missing}`, found {found}\n\
         hint: the first line names the columns: `id` and `text`, optionally `patient` and `split`",
        path.display()
    )]
    Column {
        /// The table.
        path: PathBuf,
        /// The column's name.
        missing: &'static str,
        /// The columns that are there; cells that look like data are not shown.
        found: String,
    },
    /// A column is there twice.
    #[error(
        "the table `{}` has the column `{column}` twice\nhint: rename or delete one of them",
        path.display()
    )]
    RepeatedColumn {
        /// The table.
        path: PathBuf,
        /// The column's name.
        column: &'static str,
    },
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
    let bytes = std::fs::read(path).map_err(|source| TableError::Read { path: path.to_owned(), source })?;
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(TableError::Utf16 { path: path.to_owned() });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let delimiter = detect_delimiter(bytes);
    let mut reader = reader(bytes, delimiter);
    let mut record = ByteRecord::new();
    read_record(&mut reader, &mut record);
    let columns = Columns { empty_texts, ..Columns::find(&record, path)? };
    let mut table = Table { path: path.to_owned(), rows: Vec::new(), problems: Vec::new() };
    let (mut line, mut counted) = (1, 0);
    while read_record(&mut reader, &mut record) {
        let start = record.position().map_or(0, |at| at.byte() as usize);
        let raw = &bytes[start..reader.position().byte() as usize];
        // The parser counts the end of the line before, and empty lines, to the record.
        let start = start + raw.iter().take_while(|&&byte| is_line_end(byte)).count();
        let raw = &bytes[start..reader.position().byte() as usize];
        line += count_lines(&bytes[counted..start]);
        counted = start;
        match columns.row(&record, line, raw, delimiter) {
            Ok(row) => table.rows.push(row),
            Err(fault) => table.problems.push(Problem::Row { line, fault }),
        }
    }
    Ok(table)
}

pub(super) fn reader(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(bytes)
}

/// Reads the next record; `false` at the end.
pub(super) fn read_record(reader: &mut csv::Reader<&[u8]>, record: &mut ByteRecord) -> bool {
    reader.read_byte_record(record).expect("memory does not fail, and any number of fields is allowed")
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Line ends in `bytes`: LF, CR LF, or CR alone.
fn count_lines(bytes: &[u8]) -> usize {
    let lone_cr = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
    (0..bytes.len()).filter(|&at| bytes[at] == b'\n' || lone_cr(at)).count()
}

/// The delimiter under which the first line names the most of the columns known here, then the one
/// with the most fields. Only the header counts, so that commas inside texts do not.
pub(super) fn detect_delimiter(bytes: &[u8]) -> u8 {
    let score = |delimiter: &u8| {
        let mut header = ByteRecord::new();
        read_record(&mut reader(bytes, *delimiter), &mut header);
        let known = header.iter().filter(|cell| COLUMNS.contains(&header_name(cell).as_str())).count();
        (known, header.len())
    };
    // The first of equals wins: `max_by_key` would take the last.
    let best = DELIMITERS.iter().rev().max_by_key(|delimiter| score(delimiter));
    best.copied().unwrap_or(b',')
}

pub(super) fn header_name(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).trim().to_lowercase()
}

/// Where the known columns are.
struct Columns {
    id: usize,
    text: usize,
    patient: Option<usize>,
    split: Option<usize>,
    count: usize,
    empty_texts: bool,
}

const COLUMNS: [&str; 4] = ["id", "text", "patient", "split"];

impl Columns {
    fn find(header: &ByteRecord, path: &Path) -> Result<Self, TableError> {
        let names: Vec<_> = header.iter().map(header_name).collect();
        let [id, text, patient, split] = COLUMNS.map(|column| {
            let mut places = (0..names.len()).filter(|&at| names[at] == column);
            match (places.next(), places.next()) {
                (place, None) => Ok(place),
                (_, Some(_)) => Err(TableError::RepeatedColumn { path: path.to_owned(), column }),
            }
        });
        let required = |place: Result<Option<usize>, _>, missing| {
            place?.ok_or_else(|| TableError::Column { path: path.to_owned(), missing, found: show_columns(header) })
        };
        Ok(Self {
            id: required(id, "id")?,
            text: required(text, "text")?,
            patient: patient?,
            split: split?,
            count: names.len(),
            empty_texts: false,
        })
    }

    fn row(&self, record: &ByteRecord, line: usize, raw: &[u8], delimiter: u8) -> Result<Row, RowFault> {
        if !quotes_pair_up(raw, delimiter) {
            return Err(RowFault::Quotes);
        }
        if record.len() != self.count {
            return Err(RowFault::Fields { expected: self.count, found: record.len() });
        }
        let cell = |column: usize| match std::str::from_utf8(&record[column]) {
            Ok(cell) => Ok(cell.trim()),
            Err(_) => Err(RowFault::NotUtf8),
        };
        let (id, text) = (cell(self.id)?, cell(self.text)?);
        let patient = self.patient.map(cell).transpose()?.unwrap_or_default();
        let part = self.split.map(cell).transpose()?;
        if id.is_empty() {
            return Err(RowFault::EmptyId);
        }
        if !self.empty_texts
            && let Some(why) = no_text(text)
        {
            return Err(RowFault::NoText(why));
        }
        Ok(Row {
            line,
            id: id.to_owned(),
            text: text.to_owned(),
            patient: (!patient.is_empty()).then(|| patient.to_owned()),
            part: part.map(|cell| Part::from_cell(cell).ok_or(RowFault::Part)).transpose()?,
        })
    }
}

/// The columns of the header for a message. A file without a header has a study there, so a cell
/// that does not read like a column's name is not shown.
fn show_columns(header: &ByteRecord) -> String {
    const LONGEST: usize = 32;
    let names: Vec<_> = header
        .iter()
        .map(|cell| {
            let name = String::from_utf8_lossy(cell);
            let name = name.trim();
            let like_a_name =
                name.len() <= LONGEST && name.chars().all(|letter| letter.is_alphabetic() || " _-".contains(letter));
            if like_a_name { format!("`{name}`") } else { "(a cell that looks like data)".to_owned() }
        })
        .collect();
    if names.is_empty() { "an empty file".to_owned() } else { names.join(", ") }
}

/// Whether every quoted field of the record `raw` opens right at its start, is closed, and nothing
/// follows the closing quote but a delimiter or the end. Where it is not so, the parser has
/// swallowed or cut text silently, or kept the quotes.
fn quotes_pair_up(raw: &[u8], delimiter: u8) -> bool {
    let mut at = 0;
    while at < raw.len() {
        let spaces = raw[at..].iter().take_while(|&&byte| byte == b' ').count();
        if spaces > 0 && raw.get(at + spaces) == Some(&b'"') {
            return false;
        }
        if raw[at] == b'"' {
            let Some(end) = closing_quote(raw, at) else {
                return false;
            };
            at = end + 1;
            if at < raw.len() && raw[at] != delimiter && !is_line_end(raw[at]) {
                return false;
            }
        }
        // On to the start of the next field.
        while at < raw.len() && raw[at] != delimiter {
            at += 1;
        }
        at += 1;
    }
    true
}

/// The quote that closes the field opened at `open`; doubled quotes are text.
fn closing_quote(raw: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while at < raw.len() {
        match (raw[at], raw.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at),
            _ => at += 1,
        }
    }
    None
}
