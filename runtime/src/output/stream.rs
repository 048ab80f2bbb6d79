//! Rows that are handed on while the run goes on, in the order of their inputs: for stdout, where nothing can be put in order
//! or taken back later.

use std::collections::BTreeMap;

use super::{Format, ResultRow, StoredRow};

/// Puts rows in order and into text, byte for byte as in a file of the same form.
#[derive(Debug)]
pub struct RowStream {
    format: Format,
    /// Columns of a CSV table, from the first row on.
    header: Vec<String>,
    /// The place whose row comes next.
    next: usize,
    /// Rows that came before their turn.
    early: BTreeMap<usize, ResultRow>,
}

impl RowStream {
    /// Rows of CSV with a header, or JSON lines; text files have no stream, and give a CSV table.
    pub fn new(format: Format) -> Self {
        Self { format, header: Vec::new(), next: 0, early: BTreeMap::new() }
    }

    /// Takes the row of the input at `place`, counted from 0. The text of the rows whose turn it is now; empty where one
    /// before them is not there yet.
    pub fn take(&mut self, place: usize, row: &ResultRow) -> Vec<u8> {
        self.early.insert(place, row.clone());
        let mut text = Vec::new();
        while let Some(row) = self.early.remove(&self.next) {
            self.next += 1;
            self.write(&row, &mut text);
        }
        text
    }

    /// No more rows come. The text of those that waited for one that has not come, because the run was stopped.
    pub fn rest(mut self) -> Vec<u8> {
        let mut text = Vec::new();
        for row in std::mem::take(&mut self.early).into_values() {
            self.write(&row, &mut text);
        }
        text
    }

    fn write(&mut self, row: &ResultRow, text: &mut Vec<u8>) {
        let json = serde_json::to_string(row).expect("a row holds only plain values");
        let row = StoredRow::parse(&json).expect("what was written as JSON is read as JSON");
        if self.format == Format::Jsonl {
            text.extend_from_slice(row.json().as_bytes());
            text.push(b'\n');
            return;
        }
        let mut csv = csv::Writer::from_writer(text);
        let mut record = |cells: &mut dyn Iterator<Item = &str>| {
            csv.write_record(cells).expect("memory takes what is written, and every row has the first one's columns");
        };
        if self.header.is_empty() {
            self.header = row.columns().iter().map(|(name, _)| name.clone()).collect();
            record(&mut self.header.iter().map(String::as_str));
        }
        record(&mut self.header.iter().map(|name| row.text(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::write_table;

    fn row(id: &str) -> ResultRow {
        ResultRow {
            id: id.into(),
            text: "Clear, \"dry\"\nlungs.".into(),
            status: "ok",
            error: String::new(),
            warnings: String::new(),
            mean_log_probability: Some(-0.1),
            tokens: Some(3),
            finish: "end",
            seconds: None,
            bundle: "b".into(),
            variant: "v".into(),
            token_ids: None,
            log_probabilities: None,
            evidence: None,
            alternatives: None,
            notice: "n".into(),
        }
    }

    #[test]
    fn rows_come_in_the_order_of_their_inputs_and_as_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for format in [Format::Csv, Format::Jsonl] {
            let path = folder.path().join("rows");
            let stored = ["a", "b", "c", "d"].map(|id| StoredRow::parse(&serde_json::to_string(&row(id)).unwrap()));
            write_table::<crate::batch::LedgerError>(format, &path, stored.into_iter().map(|row| Ok(row.unwrap())))
                .unwrap();
            let mut stream = RowStream::new(format);
            let mut text = stream.take(2, &row("c"));
            assert!(text.is_empty(), "those before it are not there yet");
            text.extend(stream.take(0, &row("a")));
            assert!(!text.is_empty());
            text.extend(stream.take(1, &row("b")));
            text.extend(stream.take(3, &row("d")));
            assert_eq!(text, std::fs::read(&path).unwrap(), "{format}");
            assert!(stream.rest().is_empty());
        }
    }

    #[test]
    fn what_waited_when_a_run_was_stopped_comes_at_the_end() {
        let mut stream = RowStream::new(Format::Jsonl);
        assert!(stream.take(3, &row("d")).is_empty() && stream.take(1, &row("b")).is_empty());
        let rest = String::from_utf8(stream.rest()).unwrap();
        let ids: Vec<_> = rest.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
        assert_eq!(ids, ["b", "d"]);
    }
}
