//! The lines of a ledger: one JSON object each, complete with its line end or not there.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Fingerprint, Look, Settings};
use crate::output::ResultRow;

/// The version of the form of the lines.
pub(super) const FORMAT_VERSION: u32 = 1;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The first line: what the rows depend on.
    Run,
    /// An input and its result.
    Input,
    /// An input's place among all inputs has changed, or it is gone.
    Place,
    /// The job was done up to here.
    End,
}

/// The kind of any line.
#[derive(Deserialize)]
pub(super) struct AnyLine {
    pub kind: Kind,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RunLine<'a> {
    pub kind: Kind,
    pub format_version: u32,
    /// Version of the program, for the reader.
    pub program: Cow<'a, str>,
    pub time: String,
    pub settings: Cow<'a, Settings>,
}

/// A line about an input, as it is written.
#[derive(Serialize)]
pub(super) struct InputLine<'a> {
    kind: Kind,
    place: usize,
    id: &'a str,
    state: State,
    error: &'a str,
    time: String,
    #[serde(flatten)]
    file: FileColumns,
    row: &'a ResultRow,
}

/// The same, as it is read.
#[derive(Deserialize)]
pub(super) struct ReadInputLine<'a> {
    pub place: usize,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub state: State,
    #[serde(borrow)]
    pub sha256: Option<Cow<'a, str>>,
    pub bytes: Option<u64>,
    #[serde(borrow)]
    pub modified: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub row: &'a RawValue,
}

#[derive(Serialize)]
struct FileColumns {
    sha256: Option<String>,
    bytes: Option<u64>,
    modified: Option<String>,
}

/// What became of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// A report was drafted.
    Done,
    /// None could be.
    Failed,
}

/// The last line of a run that came to its end, with counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Inputs of this run: of its shard.
    pub inputs: usize,
    /// Inputs of all shards together, as this run saw them.
    pub of: usize,
    /// Drafts.
    pub done: usize,
    /// Inputs without one.
    pub failed: usize,
}

/// Where a known input stands now; nowhere where it is gone.
#[derive(Serialize, Deserialize)]
pub(super) struct PlaceLine<'a> {
    kind: Kind,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub place: Option<usize>,
}

#[derive(Serialize)]
struct EndLine {
    kind: Kind,
    time: String,
    #[serde(flatten)]
    end: End,
}

/// A line with its end.
pub(super) fn run_line(settings: &Settings) -> Vec<u8> {
    line(&RunLine {
        kind: Kind::Run,
        format_version: FORMAT_VERSION,
        program: env!("CARGO_PKG_VERSION").into(),
        time: now(),
        settings: Cow::Borrowed(settings),
    })
}

/// A line with its end.
pub(super) fn input_line(place: usize, file: Option<&Fingerprint>, row: &ResultRow) -> Vec<u8> {
    line(&InputLine {
        kind: Kind::Input,
        place,
        id: &row.id,
        state: if row.status == "ok" { State::Done } else { State::Failed },
        error: &row.error,
        time: now(),
        file: FileColumns {
            sha256: file.map(|file| hex(&file.sha256)),
            bytes: file.map(|file| file.look.bytes),
            modified: file.and_then(|file| file.look.modified).map(|time| time.to_string()),
        },
        row,
    })
}

/// A line with its end.
pub(super) fn place_line(id: &str, place: Option<usize>) -> Vec<u8> {
    line(&PlaceLine { kind: Kind::Place, id: id.into(), place })
}

/// A line with its end.
pub(super) fn end_line(end: End) -> Vec<u8> {
    line(&EndLine { kind: Kind::End, time: now(), end })
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("a line holds only plain values");
    line.push(b'\n');
    line
}

fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

impl ReadInputLine<'_> {
    /// The file, where all of it was written down.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let modified = self.modified.as_deref().and_then(|text| text.parse().ok());
        Some(Fingerprint { look: Look { bytes: self.bytes?, modified }, sha256: unhex(self.sha256.as_deref()?)? })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let bytes: [u8; 32] = std::array::from_fn(|index| (index * 37 % 256) as u8);
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex("zz"), None);
    }
}
