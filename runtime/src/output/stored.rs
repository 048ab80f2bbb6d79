//! A result row as JSON text: as it lies in a ledger, with its columns in order and its numbers as they were written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A result row whose columns need not be known to this program's version.
#[derive(Debug, Clone)]
pub struct StoredRow {
    json: String,
    columns: Vec<(String, String)>,
}

impl StoredRow {
    /// Reads one JSON object.
    pub fn parse(json: &str) -> serde_json::Result<Self> {
        let Columns(columns) = serde_json::from_str(json)?;
        Ok(Self { json: json.to_owned(), columns })
    }

    /// The whole row, one line of JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Columns and values as plain text; `null` is empty.
    pub fn columns(&self) -> &[(String, String)] {
        &self.columns
    }

    /// A column's value; empty where there is no such column.
    pub fn text(&self, column: &str) -> &str {
        self.columns.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value)
    }
}

/// A JSON object's members in order, values as plain text.
struct Columns(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Columns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a result row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some((name, value)) = members.next_entry::<String, Box<RawValue>>()? {
                    columns.push((name, plain(value.get())));
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A number is taken as its digits, not read and written again: reading may change the last one.
fn plain(json: &str) -> String {
    match json {
        "null" => String::new(),
        text if text.starts_with('"') => serde_json::from_str(text).expect("a value of a whole JSON object is whole"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_order_and_numbers_their_digits() {
        let json = r#"{"id":"b \"1\"","tokens":null,"mean":-0.10000000000000001,"ok":true}"#;
        let row = StoredRow::parse(json).expect("a row");
        let names: Vec<_> = row.columns().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["id", "tokens", "mean", "ok"]);
        assert_eq!([row.text("id"), row.text("tokens"), row.text("mean")], ["b \"1\"", "", "-0.10000000000000001"]);
        assert_eq!((row.text("ok"), row.text("absent"), row.json()), ("true", "", json));
        assert!(StoredRow::parse("[1]").is_err());
        assert!(StoredRow::parse(r#"{"id":"#).is_err());
    }
}
