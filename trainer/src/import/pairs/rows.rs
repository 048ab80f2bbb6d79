//! Rows of a user's own table: CSV in its usual forms, or a sheet of an XLSX file.

use std::io::{BufReader, Read as _};
use std::path::Path;

use calamine::{DataRef, Reader as _, Xlsx, XlsxError, open_workbook};

use xreport_models::table::{Breaks, RowFault, Table, TableError};

use super::super::csv_source::{Metered, open};
use super::super::error::ImportError;

/// One row below the header.
pub(super) enum Cells<'a> {
    /// As many cells as the header has.
    Even(&'a [&'a str]),
    /// More or fewer cells.
    Uneven,
    /// Quotes that do not pair up: cells may hold what is not theirs.
    Quotes,
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
    let Metered { mut content, total, .. } = open(path)?;
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(ImportError::read(path))?;
    let wanted: Vec<String> = wanted.iter().map(|name| name.to_lowercase()).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let table = Table::parse(path, bytes, &wanted).map_err(|error| match error {
        TableError::NotText { found, hint, .. } => ImportError::table(path, format!("it is {found}\nhint: {hint}")),
        other => ImportError::Options(other.to_string()),
    })?;
    let width = table.names().len();
    sink.header(table.names())?;
    let mut rows = table.rows(Breaks::InCells);
    while let Some(row) = rows.next() {
        let cells: Result<Vec<&str>, RowFault> = (0..width).map(|place| row.cell(place)).collect();
        let cells = match (row.check(), &cells) {
            (Err(RowFault::Quotes), _) => Cells::Quotes,
            (Err(_), _) => Cells::Uneven,
            (Ok(()), Err(_)) => Cells::NotUtf8,
            (Ok(()), Ok(cells)) => Cells::Even(cells),
        };
        // Of the file, which may be compressed, as much as of the text.
        let done = total as f64 * rows.bytes_read() as f64 / table.len().max(1) as f64;
        sink.row(row.line() as u64, &cells, (done as u64, total))?;
    }
    Ok(())
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
