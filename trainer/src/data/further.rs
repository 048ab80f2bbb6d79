//! Columns beyond `id`, `text`, `patient` and `split`, which training does not need and a look at the data does:
//! `view`, `study`, `text_source`.

use std::collections::HashMap;
use std::path::Path;

use xreport_models::study_id::StudyId;
use xreport_models::table::{Breaks, Table};

use super::table::{COLUMNS, TableError};

/// One further column: its cells by the id of their row. Equal cells share one text.
#[derive(Debug, Clone, Default)]
pub struct Further {
    values: Vec<String>,
    by_id: HashMap<String, u32>,
}

impl Further {
    /// The cell of the row with this (normalised) id, without white space around it; `None` where it is empty.
    pub fn get(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(|&at| self.values[at as usize].as_str())
    }

    fn insert(&mut self, known: &mut HashMap<String, u32>, id: String, cell: &str) {
        let next = self.values.len() as u32;
        let at = *known.entry(cell.to_owned()).or_insert_with(|| {
            self.values.push(cell.to_owned());
            next
        });
        // The first row of an id counts, as everywhere.
        self.by_id.entry(id).or_insert(at);
    }
}

/// Reads the columns `names` (in lower case) of the table at `path`; `None` for one that the table does not have.
///
/// Rows whose id or cell cannot be read are passed over: [`super::Dataset::open`] tells of them.
pub fn further_columns<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Option<Further>; N], TableError> {
    let table = Table::open(path, &COLUMNS)?;
    // The first of equal names counts: who opens the data set is told of two that are needed.
    let place = |name: &str| table.names().iter().position(|cell| cell.to_lowercase() == name);
    let places = names.map(place);
    let mut columns = places.map(|place| place.map(|_| Further::default()));
    let (Some(id_place), true) = (place("id"), places.iter().any(Option::is_some)) else { return Ok(columns) };
    let mut known: [HashMap<String, u32>; N] = std::array::from_fn(|_| HashMap::new());
    for row in table.rows(Breaks::InCells) {
        let cell = |at: usize| row.cell(at).ok();
        let Some(id) = cell(id_place).and_then(|id| StudyId::normalise(id).ok()).map(String::from) else { continue };
        for ((column, place), known) in columns.iter_mut().zip(places).zip(&mut known) {
            let value = place.and_then(cell).filter(|value| !value.is_empty());
            if let (Some(column), Some(value)) = (column, value) {
                column.insert(known, id.clone(), value);
            }
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> [Option<Further>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reports.csv");
        std::fs::write(&path, text).unwrap();
        further_columns(&path, ["view", "text_source"]).unwrap()
    }

    #[test]
    fn cells_are_found_by_the_id_of_their_row() {
        let [view, source] =
            columns("id;View;text\nimages/a.png; PA ;one\nb;;two\n..;PA;three\nc;LATERAL;four\na;AP;five\n");
        let view = view.unwrap();
        assert_eq!([view.get("a"), view.get("b"), view.get("c")], [Some("PA"), None, Some("LATERAL")]);
        assert!(source.is_none());
    }

    #[test]
    fn a_table_without_them_has_none() {
        assert!(columns("id,text\na,b\n").iter().all(Option::is_none));
        assert!(columns("").iter().all(Option::is_none));
    }
}
