//! Tables of a corpus, read row by row: CSV, gzip-compressed or not, columns found by their names.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

use super::error::ImportError;

/// A file that is read from start to end, with how far the reading is: in bytes of the file, compressed or not.
pub(super) struct Metered {
    /// Its content, decompressed.
    pub(super) content: Box<dyn BufRead>,
    /// Bytes taken from the file so far.
    pub(super) done: Rc<Cell<u64>>,
    /// Bytes of the file.
    pub(super) total: u64,
}

struct Counted {
    file: File,
    done: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done.set(self.done.get() + count as u64);
        Ok(count)
    }
}

/// Opens a file; one that begins as gzip does is decompressed, whatever its name.
pub(super) fn open(path: &Path) -> Result<Metered, ImportError> {
    let read = || -> io::Result<Metered> {
        let file = File::open(path)?;
        let total = file.metadata()?.len();
        let done = Rc::new(Cell::new(0));
        let mut content = BufReader::with_capacity(1 << 16, Counted { file, done: Rc::clone(&done) });
        let is_gzip = content.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let content: Box<dyn BufRead> =
            if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(content))) } else { Box::new(content) };
        Ok(Metered { content, done, total })
    };
    read().map_err(ImportError::read(path))
}

/// `path`, or `path` with `.gz` after it: the one that is there.
pub(super) fn plain_or_gz(path: &Path) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    [path.to_owned(), PathBuf::from(name)].into_iter().find(|path| path.is_file())
}

/// A table under way.
pub(super) struct CsvSource {
    path: PathBuf,
    reader: csv::Reader<Box<dyn BufRead>>,
    header: Vec<String>,
    done: Rc<Cell<u64>>,
    total: u64,
    record: ByteRecord,
}

impl CsvSource {
    /// Opens a table whose delimiter is known.
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<Self, ImportError> {
        let Metered { mut content, done, total } = open(path)?;
        skip_byte_order_mark(&mut content).map_err(ImportError::read(path))?;
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(content);
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| ImportError::csv(path, error))?;
        let header = record.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
        Ok(Self { path: path.to_owned(), reader, header, done, total, record })
    }

    /// The place of a column that may be missing; upper and lower case are one.
    pub(super) fn find(&self, column: &str) -> Option<usize> {
        self.header.iter().position(|name| name.eq_ignore_ascii_case(column))
    }

    /// The places of columns that must be there.
    pub(super) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], ImportError> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(names) {
            *place = self.find(name).ok_or_else(|| no_column(&self.path, name, &self.header))?;
        }
        Ok(places)
    }

    /// Goes to the next row; `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool, ImportError> {
        self.reader.read_byte_record(&mut self.record).map_err(|error| ImportError::csv(&self.path, error))
    }

    /// The line on which the row starts, from 1.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// Whether the row has as many cells as the header.
    pub(super) fn is_even(&self) -> bool {
        self.record.len() == self.header.len()
    }

    /// Cells of the row, without white space around them; a cell that the row does not reach is empty.
    /// `None` where one is not UTF-8.
    pub(super) fn cells<const N: usize>(&self, places: [usize; N]) -> Option<[&str; N]> {
        let mut cells = [""; N];
        for (cell, place) in cells.iter_mut().zip(places) {
            *cell = std::str::from_utf8(self.record.get(place).unwrap_or_default()).ok()?.trim();
        }
        Some(cells)
    }

    /// The cell as it is written; `None` where it is not UTF-8.
    pub(super) fn raw_cell(&self, place: usize) -> Option<&str> {
        std::str::from_utf8(self.record.get(place).unwrap_or_default()).ok()
    }

    /// Bytes of the file that are read, and all there are.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.done.get(), self.total)
    }
}

/// The error that a column is missing; cells of a first line that is no header are not shown.
pub(super) fn no_column(path: &Path, missing: &str, found: &[String]) -> ImportError {
    const LONGEST: usize = 40;
    let names: Vec<_> = found
        .iter()
        .map(|name| if name.chars().count() > LONGEST { "(a long cell)".to_owned() } else { format!("`{name}`") })
        .collect();
    let found = if names.is_empty() { "an empty file".to_owned() } else { names.join(", ") };
    ImportError::table(path, format!("no column `{missing}`, found {found}\nhint: the first line names the columns"))
}

fn skip_byte_order_mark(content: &mut Box<dyn BufRead>) -> io::Result<()> {
    if content.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        content.consume(3);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const TEXT: &str = "\u{feff}Uid, text\n1,\"a,\nb\"\n\n2\n";

    fn check(path: &Path) {
        let mut table = CsvSource::open(path, b',').unwrap();
        let [text, uid] = table.columns(["TEXT", "uid"]).unwrap();
        assert!(table.advance().unwrap() && table.is_even());
        assert_eq!((table.cells([uid, text]).unwrap(), table.line()), (["1", "a,\nb"], 2));
        assert!(table.advance().unwrap() && !table.is_even());
        assert_eq!(table.cells([uid, text]).unwrap(), ["2", ""]);
        assert!(!table.advance().unwrap());
        let (done, total) = table.position();
        assert_eq!(done, total);
        let error = table.columns(["split"]).unwrap_err().to_string();
        assert!(error.contains("no column `split`, found `Uid`, `text`"), "{error}");
    }

    #[test]
    fn a_table_reads_alike_compressed_or_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.csv");
        std::fs::write(&path, TEXT).unwrap();
        check(&path);
        // Two members, as bgzip writes them.
        let mut bytes = Vec::new();
        for half in [&TEXT[..12], &TEXT[12..]] {
            let mut writer = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
            writer.write_all(half.as_bytes()).unwrap();
            writer.finish().unwrap();
        }
        let packed = place.path().join("b.csv.gz");
        std::fs::write(&packed, &bytes).unwrap();
        assert_eq!(plain_or_gz(&place.path().join("b.csv")), Some(packed.clone()));
        assert_eq!(plain_or_gz(&place.path().join("c.csv")), None);
        check(&packed);
        std::fs::write(&packed, &bytes[..bytes.len() - 9]).unwrap();
        let mut table = CsvSource::open(&packed, b',').unwrap();
        let error = loop {
            match table.advance() {
                Ok(more) => assert!(more, "a cut file must not end like a whole one"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("cut off") && error.contains("b.csv.gz"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.csv");
        std::fs::write(&path, b"id,text\na,\xff\n").unwrap();
        let mut table = CsvSource::open(&path, b',').unwrap();
        assert!(table.advance().unwrap());
        assert_eq!(table.cells([0, 1]), None);
        assert_eq!((table.cells([0]), table.raw_cell(1)), (Some(["a"]), None));
    }
}
