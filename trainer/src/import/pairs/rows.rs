//! Rows of a user's own table: CSV in its usual forms, or a sheet of an XLSX file.

use std::io::BufReader;
use std::path::Path;

use calamine::{DataRef, Reader as _, Xlsx, XlsxError, open_workbook};

use super::super::csv_source::{CsvSource, open};
use super::super::error::ImportError;

/// The delimiters that a CSV may have, the first of equals wins.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// A header is shorter.
const LONGEST_HEADER: usize = 1 << 20;

/// One row below the header.
pub(super) enum Cells<'a> {
    /// As many cells as the header has.
    Even(&'a [&'a str]),
    /// More or fewer cells.
    Uneven,
    /// Bytes that are not UTF-8.
    NotUtf8,
}

/// Takes a table row by row.
pub(super) trait Sink {
    /// The names of the columns; comes first.
    fn header(&mut self, names: &[String]) -> Result<(), ImportError>;
    /// A row, its number in the file (from 1, the header counted), and how far the reading is: done of total.
    fn row(&mut self, number: u64, cells: &Cells<'_>, position: (u64, u64)) -> Result<(), ImportError>;
}

/// Reads the table at `path` into `sink`. `wanted` are the columns by which the delimiter of a CSV is told; `sheet` names a
/// sheet of an XLSX, the first by default.
pub(super) fn read(path: &Path, wanted: &[&str], sheet: Option<&str>, sink: &mut dyn Sink) -> Result<(), ImportError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "xlsx" | "xlsm" => read_sheet(path, sheet, sink),
        "xls" | "xlsb" | "ods" => Err(ImportError::table(
            path,
            format!("a spreadsheet of the kind .{extension}, expected .xlsx or CSV\nhint: save it as one of these"),
        )),
        _ if sheet.is_some() => Err(ImportError::Options(format!(
            "--sheet names a sheet of an XLSX file, and `{}` is none",
            path.display()
        ))),
        _ => read_csv(path, wanted, sink),
    }
}

fn read_csv(path: &Path, wanted: &[&str], sink: &mut dyn Sink) -> Result<(), ImportError> {
    let mut table = CsvSource::open(path, delimiter(path, wanted)?)?;
    let width = table.header().len();
    sink.header(table.header())?;
    while table.advance()? {
        let mut cells = Vec::with_capacity(width);
        for place in 0..width {
            cells.extend(table.cells([place]).map(|[cell]| cell));
        }
        let cells = match (table.is_even(), cells.len() == width) {
            (false, _) => Cells::Uneven,
            (true, false) => Cells::NotUtf8,
            (true, true) => Cells::Even(&cells),
        };
        sink.row(table.line(), &cells, table.position())?;
    }
    Ok(())
}

/// The delimiter under which the first line names the most of the columns wanted, then the one with the most cells. Only
/// the header counts, so that commas inside texts do not.
fn delimiter(path: &Path, wanted: &[&str]) -> Result<u8, ImportError> {
    let mut content = open(path)?.content;
    let mut start = vec![0; LONGEST_HEADER];
    let mut length = 0;
    while length < start.len() {
        let count = content.read(&mut start[length..]).map_err(ImportError::read(path))?;
        let line_ended = start[length..length + count].iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        length += count;
        if count == 0 || line_ended {
            break;
        }
    }
    let start = &start[..length];
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(ImportError::table(path, "it is UTF-16, expected UTF-8\nhint: save it as \"CSV UTF-8\""));
    }
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let score = |delimiter: &u8| {
        let mut reader =
            csv::ReaderBuilder::new().delimiter(*delimiter).has_headers(false).flexible(true).from_reader(start);
        let mut header = csv::ByteRecord::new();
        let known = |cell: &[u8]| {
            let name = String::from_utf8_lossy(cell);
            wanted.iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted))
        };
        match reader.read_byte_record(&mut header) {
            Ok(true) => (header.iter().filter(|cell| known(cell)).count(), header.len()),
            _ => (0, 0),
        }
    };
    // `max_by_key` takes the last of equals.
    Ok(*DELIMITERS.iter().rev().max_by_key(|delimiter| score(delimiter)).expect("there are some"))
}

fn read_sheet(path: &Path, sheet: Option<&str>, sink: &mut dyn Sink) -> Result<(), ImportError> {
    let failed = |error: XlsxError| match error {
        XlsxError::Io(source) => ImportError::Read { path: path.to_owned(), source },
        error => ImportError::table(
            path,
            format!("it is no readable XLSX file: {error}\nhint: save it again as .xlsx or CSV"),
        ),
    };
    let mut workbook: Xlsx<BufReader<std::fs::File>> = open_workbook(path).map_err(failed)?;
    let names = workbook.sheet_names();
    let name = match sheet {
        None => names.first().cloned().ok_or_else(|| ImportError::table(path, "it has no sheet"))?,
        Some(sheet) if names.iter().any(|name| name == sheet) => sheet.to_owned(),
        Some(sheet) => {
            let problem = format!("it has no sheet `{sheet}`, found `{}`\nhint: name one of these", names.join("`, `"));
            return Err(ImportError::table(path, problem));
        }
    };
    let mut reader = workbook.worksheet_cells_reader(&name).map_err(failed)?;
    let last_row = u64::from(reader.dimensions().end.0) + 1;
    let mut rows = SheetRows { sink, width: None, last_row };
    let (mut row, mut cells): (u32, Vec<String>) = (0, Vec::new());
    while let Some(cell) = reader.next_cell().map_err(failed)? {
        let (at_row, column) = cell.get_position();
        if at_row != row {
            rows.take(row, &mut cells)?;
            row = at_row;
        }
        let text = text(cell.get_value());
        if !text.is_empty() {
            let column = column as usize;
            if cells.len() <= column {
                cells.resize(column + 1, String::new());
            }
            cells[column] = text;
        }
    }
    rows.take(row, &mut cells)?;
    if rows.width.is_none() {
        return Err(ImportError::table(path, format!("the sheet `{name}` is empty")));
    }
    Ok(())
}

struct SheetRows<'a> {
    sink: &'a mut dyn Sink,
    /// Of the header, once that is read.
    width: Option<usize>,
    last_row: u64,
}

impl SheetRows<'_> {
    /// Hands on a row; rows without any text are passed over. A sheet's short rows end in empty cells.
    fn take(&mut self, row: u32, cells: &mut Vec<String>) -> Result<(), ImportError> {
        let mut cells = std::mem::take(cells);
        if cells.is_empty() {
            return Ok(());
        }
        let Some(width) = self.width else {
            self.width = Some(cells.len());
            return self.sink.header(&cells);
        };
        let number = u64::from(row) + 1;
        let uneven = cells.len() > width;
        cells.resize(width, String::new());
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        let cells = if uneven { Cells::Uneven } else { Cells::Even(&cells) };
        self.sink.row(number, &cells, (number, self.last_row))
    }
}

/// A cell as text, without white space around it. A whole number has no point: an id `17` stays one.
fn text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::Empty | DataRef::Error(_) => String::new(),
        other => calamine::Data::from(other.clone()).to_string(),
    }
}
