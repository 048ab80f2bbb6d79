//! The rows of a table: where each begins, and whether it can be read as it was meant.

use csv::ByteRecord;
use thiserror::Error;

use super::Table;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RowFault {
    /// More or fewer cells than the header has.
    #[error("expected {expected} cells as in the header, found {found}")]
    Cells {
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A quoted cell is not closed, or goes on after its closing quote.
    #[error("a quote does not pair up; write a quote inside a quoted cell twice: \"\"")]
    Quotes,
    /// A cell that is needed is not UTF-8.
    #[error("not UTF-8; save the table as UTF-8")]
    NotUtf8,
    /// A cell that is needed holds a NUL character, which no text and no name does.
    #[error("it holds a NUL character; export the table again")]
    Nul,
}

/// How far a quoted cell may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaks {
    /// Over line breaks, as texts do. A quote that is never closed takes the lines up to the next quote into its row.
    InCells,
    /// To the end of its line: a quote that is not closed there spoils that line alone.
    EndRows,
}

/// One row below the header.
///
/// Its `Debug` form shows no cell: texts and patients belong in no log.
#[derive(Clone)]
pub struct Row {
    line: usize,
    cells: ByteRecord,
    width: usize,
    quotes_pair_up: bool,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("line", &self.line).field("cells", &self.cells.len()).finish_non_exhaustive()
    }
}

impl Row {
    /// The line of the file on which it starts, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether it has the header's number of cells, and quotes that pair up.
    ///
    /// # Errors
    /// [`RowFault::Quotes`] or [`RowFault::Cells`].
    pub fn check(&self) -> Result<(), RowFault> {
        if !self.quotes_pair_up {
            return Err(RowFault::Quotes);
        }
        match self.cells.len() {
            found if found == self.width => Ok(()),
            found => Err(RowFault::Cells { expected: self.width, found }),
        }
    }

    /// A cell without white space around it; empty where the row does not reach so far.
    ///
    /// # Errors
    /// [`RowFault::NotUtf8`] or [`RowFault::Nul`].
    pub fn cell(&self, column: usize) -> Result<&str, RowFault> {
        let cell = self.cells.get(column).unwrap_or_default();
        let cell = std::str::from_utf8(cell).map_err(|_| RowFault::NotUtf8)?;
        if cell.contains('\0') { Err(RowFault::Nul) } else { Ok(cell.trim()) }
    }
}

/// The rows of a [`Table`], blank ones left out.
pub struct Rows<'t> {
    table: &'t Table,
    breaks: Breaks,
    reader: csv::Reader<&'t [u8]>,
    /// The byte at which the reader began.
    base: usize,
    /// Up to which byte lines are counted, and how many there were.
    counted: usize,
    line: usize,
}

impl<'t> Rows<'t> {
    pub(super) fn of(table: &'t Table, breaks: Breaks) -> Self {
        let (base, line) = (table.header.end, table.header.line);
        Self { table, breaks, reader: table.reader_from(base), base, counted: base, line }
    }

    /// The byte up to which the text is read.
    pub fn bytes_read(&self) -> usize {
        self.base.saturating_add(self.reader.position().byte() as usize)
    }

    /// The next record that is not blank, and whether its quotes pair up.
    fn record(&mut self) -> Option<(ByteRecord, bool)> {
        let text = self.table.text.as_slice();
        let mut record = ByteRecord::new();
        loop {
            let before = self.bytes_read();
            if !read(&mut self.reader, &mut record) {
                return None;
            }
            let end = self.bytes_read();
            let raw = text.get(before..end).unwrap_or_default();
            // The parser counts the end of the line before, and empty lines, to the record.
            let start = before.saturating_add(raw.iter().take_while(|&&byte| is_line_end(byte)).count());
            let passed = text.get(self.counted..start).unwrap_or_default();
            self.line = self.line.saturating_add(line_ends(passed));
            self.counted = start;
            if is_blank(&record) {
                continue;
            }
            let raw = text.get(start..end).unwrap_or_default();
            let pair_up = quotes_pair_up(raw, self.table.header.delimiter);
            if !pair_up && self.breaks == Breaks::EndRows {
                self.go_on_after(start, raw);
            }
            return Some((record, pair_up));
        }
    }

    /// Goes on at the line after the one that begins at `start`.
    fn go_on_after(&mut self, start: usize, raw: &[u8]) {
        let first_line = raw.iter().take_while(|&&byte| !is_line_end(byte)).count();
        self.base = start.saturating_add(first_line);
        self.reader = self.table.reader_from(self.base);
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let (cells, quotes_pair_up) = self.record()?;
        Some(Row { line: self.line, cells, width: self.table.header.names.len(), quotes_pair_up })
    }
}

pub(super) fn reader(text: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text)
}

/// Reads the next record; `false` at the end. Memory does not fail, and any number of cells is allowed.
pub(super) fn read(reader: &mut csv::Reader<&[u8]>, record: &mut ByteRecord) -> bool {
    reader.read_byte_record(record).unwrap_or(false)
}

pub(super) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Whether no cell holds anything: an empty line, or one of delimiters alone, as spreadsheets write below their data.
pub(super) fn is_blank(record: &ByteRecord) -> bool {
    record.iter().all(|cell| cell.iter().all(u8::is_ascii_whitespace))
}

/// Line ends in `bytes`: LF, CR LF, or CR alone.
pub(super) fn line_ends(bytes: &[u8]) -> usize {
    let (mut count, mut after_cr) = (0usize, false);
    for &byte in bytes {
        if byte == b'\r' || (byte == b'\n' && !after_cr) {
            count = count.saturating_add(1);
        }
        after_cr = byte == b'\r';
    }
    count
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start of a cell, or after nothing but spaces.
    Start { spaces: bool },
    /// In a cell without quotes.
    Plain,
    /// In a quoted cell.
    Quoted,
    /// After a quote in a quoted cell: its end, or the first half of a doubled quote.
    Closed,
}

/// Whether every quoted cell of the record `raw` opens right at its start, is closed, and nothing follows the closing quote
/// but a delimiter or the end. Where it is not so, the parser has swallowed or cut text silently, or kept the quotes.
fn quotes_pair_up(raw: &[u8], delimiter: u8) -> bool {
    let mut place = Place::Start { spaces: false };
    for &byte in raw {
        place = match (place, byte) {
            (Place::Start { .. } | Place::Plain | Place::Closed, byte) if byte == delimiter => {
                Place::Start { spaces: false }
            }
            (Place::Start { spaces: true }, b'"') => return false,
            (Place::Start { spaces: false } | Place::Closed, b'"') => Place::Quoted,
            (Place::Start { .. }, b' ') => Place::Start { spaces: true },
            (Place::Start { .. } | Place::Plain, _) => Place::Plain,
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) => Place::Quoted,
            (Place::Closed, byte) if is_line_end(byte) => Place::Plain,
            (Place::Closed, _) => return false,
        };
    }
    place != Place::Quoted
}
