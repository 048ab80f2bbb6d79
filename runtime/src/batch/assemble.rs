//! From a ledger's rows to the output.

use super::{LedgerError, Places};
use crate::output::{Format, StoredRow, TextFiles, write_table};

/// Writes the table of these rows, whole or not at all; of text files also those that are not there (somebody removed
/// them, or another run was to merge). How many rows.
pub fn assemble(
    places: &Places,
    rows: impl Iterator<Item = Result<StoredRow, LedgerError>>,
) -> Result<usize, LedgerError> {
    let texts = (places.format == Format::Txt).then(|| TextFiles::new(&places.out));
    let mut count = 0;
    let rows = rows.map(|row| {
        let row = row?;
        if let Some(texts) = texts.as_ref().filter(|texts| row.text("status") == "ok" && !texts.has(row.text("id"))) {
            texts.write(row.text("id"), row.text("text"), row.text("notice"))?;
        }
        count += 1;
        Ok(row)
    });
    write_table::<LedgerError>(places.format, &places.table(), rows)?;
    Ok(count)
}
