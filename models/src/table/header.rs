//! The first lines of a table: which delimiter it has, and what its columns are called.

use csv::ByteRecord;

use super::encoding::bare_name;
use super::rows::{is_blank, is_line_end, line_ends, read, reader};

/// The delimiters that a table may have; of equals the first is taken.
pub const DELIMITERS: [u8; 4] = *b",;\t|";

/// Taken where no delimiter makes more than one column: a character (ASCII's unit separator) that no text holds, so that a
/// line is a cell, whatever it holds.
const NONE: u8 = 0x1f;

/// What stands before the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// As written, without white space and quotes around them.
    pub names: Vec<String>,
    pub delimiter: u8,
    /// The byte at which the rows begin.
    pub end: usize,
    /// The line of that byte, from 1.
    pub line: usize,
}

impl Header {
    /// Reads the header of a text; `known` are names of columns, in lower case, by which the delimiter is told.
    pub(super) fn read(text: &[u8], known: &[&str]) -> Self {
        let (named, from) = separator_line(text).map_or((None, 0), |(delimiter, end)| (Some(delimiter), end));
        let body = text.get(from..).unwrap_or_default();
        let delimiter = named.unwrap_or_else(|| delimiter_of(body, known));
        let (record, length) = first_record(body, delimiter);
        let rest = body.get(length..).unwrap_or_default();
        let line_end = rest.iter().take_while(|&&byte| is_line_end(byte)).count();
        let end = from.saturating_add(length).saturating_add(line_end);
        let line = line_ends(text.get(..end).unwrap_or(text)).saturating_add(1);
        Self { names: record.iter().map(|cell| bare_name(cell).into_owned()).collect(), delimiter, end, line }
    }
}

/// The delimiter under which the header names the most of the columns known, then the one with the most cells. Only the
/// header counts, so that commas inside texts do not.
fn delimiter_of(text: &[u8], known: &[&str]) -> u8 {
    let score = |delimiter: &u8| {
        let (record, _) = first_record(text, *delimiter);
        let is_known = |cell: &&[u8]| {
            let name = bare_name(cell).to_lowercase();
            known.contains(&name.as_str())
        };
        (record.iter().filter(is_known).count(), record.len())
    };
    // `max_by_key` takes the last of equals.
    let best = DELIMITERS.iter().rev().max_by_key(|delimiter| score(delimiter)).copied().unwrap_or(NONE);
    if score(&best).1 > 1 { best } else { NONE }
}

/// The first record that is not blank, and the byte at which it ends.
fn first_record(text: &[u8], delimiter: u8) -> (ByteRecord, usize) {
    let mut reader = reader(text, delimiter);
    let mut record = ByteRecord::new();
    while read(&mut reader, &mut record) {
        if !is_blank(&record) {
            return (record, reader.position().byte() as usize);
        }
    }
    (ByteRecord::new(), text.len())
}

/// Excel's first line `sep=;`: the delimiter that it names, and the byte at which the line ends.
fn separator_line(text: &[u8]) -> Option<(u8, usize)> {
    let end = text.iter().position(|&byte| is_line_end(byte)).unwrap_or(text.len());
    let line = text.get(..end)?;
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") && is_delimiter(*delimiter) => {
            Some((*delimiter, end))
        }
        _ => None,
    }
}

fn is_delimiter(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_graphic() && !byte.is_ascii_alphanumeric() && byte != b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_header(text: &str) -> (Vec<String>, u8, usize) {
        let Header { names, delimiter, line, .. } = Header::read(text.as_bytes(), &["id", "text", "path"]);
        (names, delimiter, line)
    }

    #[test]
    fn the_delimiter_is_the_one_that_makes_a_header() {
        for (text, delimiter, line) in [
            ("id,text\n", b',', 2),
            ("id;text\r\n", b';', 2),
            ("id\ttext", b'\t', 1),
            ("id|text\r", b'|', 2),
            ("\n\n\"id\" ;  'text' \n", b';', 4),
            (";;\n ; \nID;TEXT\n", b';', 4),
            ("sep=;\nid;text\n", b';', 3),
            ("SEP=\t\r\nid\ttext\r\n", b'\t', 3),
            ("\"sep=^\"\nid^text\n", b'^', 3),
        ] {
            let (names, found, at) = read_header(text);
            let names: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
            assert_eq!((names, found, at), (vec!["id".into(), "text".into()], delimiter, line), "{text:?}");
        }
        // A name that itself holds more of another delimiter.
        assert_eq!(read_header("why, when, where, who;text;id\n").1, b';');
    }

    #[test]
    fn a_header_of_one_column_has_no_delimiter() {
        assert_eq!(read_header("path\na,b.png\n"), (vec!["path".into()], NONE, 2));
        assert_eq!(read_header("sep=;\npath\n").1, b';');
        assert_eq!(read_header(""), (vec![], NONE, 1));
        assert_eq!(read_header("\n\r\n"), (vec![], NONE, 3));
        // No separator line: letters separate nothing.
        assert_eq!(read_header("sep=x\n").0, ["sep=x"]);
    }
}
