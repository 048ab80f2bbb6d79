//! Result rows and the forms in which they are written.

mod stored;
mod stream;
mod table;
mod text_files;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;
use xreport_models::atomic::AtomicError;

pub use stored::StoredRow;
pub use stream::RowStream;
pub use table::write_table;
pub use text_files::TextFiles;

/// One result: a draft, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResultRow {
    /// Path of the image relative to its input.
    pub id: String,
    /// The draft; empty where it failed.
    pub text: String,
    /// `ok` or `failed`.
    pub status: &'static str,
    /// Why it failed; empty where it did not.
    pub error: String,
    /// What a user should know of the image (see `--gate`), in one line; mostly empty.
    pub warnings: String,
    /// Mean natural-log probability per token, the end included.
    pub mean_log_probability: Option<f64>,
    /// Tokens of the draft.
    pub tokens: Option<usize>,
    /// `end`: the model ended the report; `length`: it was cut.
    pub finish: &'static str,
    /// Seconds for this report.
    pub seconds: Option<f64>,
    /// Id of the bundle.
    pub bundle: String,
    /// Variant of the bundle.
    pub variant: String,
    /// WordPiece ids of the draft, separated by spaces; where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<String>,
    /// Natural-log probability of each of them, and of the end where it was said, separated by spaces; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_probabilities: Option<String>,
    /// Where the model looked, for each sentence, as a JSON object ([`crate::evidence::Evidence`]); where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The further hypotheses of a beam search, best first, as a JSON array; where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternatives: Option<String>,
    /// What the draft says of itself.
    pub notice: String,
}

impl ResultRow {
    /// The row of the same input without its draft, which could not be kept.
    #[must_use]
    pub fn without_draft(&self, error: String) -> Self {
        Self {
            text: String::new(),
            status: "failed",
            error,
            warnings: String::new(),
            mean_log_probability: None,
            tokens: None,
            finish: "",
            seconds: None,
            token_ids: self.token_ids.as_ref().map(|_| String::new()),
            log_probabilities: self.log_probabilities.as_ref().map(|_| String::new()),
            evidence: self.evidence.as_ref().map(|_| String::new()),
            alternatives: self.alternatives.as_ref().map(|_| String::new()),
            ..self.clone()
        }
    }
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A folder with one text file per image and an index.
    Txt,
    /// One CSV file.
    Csv,
    /// One file with a JSON object per line.
    Jsonl,
}

impl Format {
    /// The form that an output path suggests: by its extension, else a folder of text files.
    pub fn of_path(out: &Path) -> Self {
        match out.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Self::Csv,
            Some("jsonl") => Self::Jsonl,
            _ => Self::Txt,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "txt" => Ok(Self::Txt),
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::Jsonl),
            _ => Err(format!("expected txt, csv or jsonl, found `{text}`")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Txt => "txt",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        })
    }
}

/// Why results cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}\nhint: nothing half-written was left there; make room or choose another --out", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// One text file has a name that cannot be: the others do not mind.
    #[error(
        "cannot write the text file of `{id}`: {problem}\nhint: shorten or change the image's name, or write a table: --out reports.csv"
    )]
    Name {
        /// The input.
        id: String,
        /// Why not.
        problem: String,
    },
    /// The output cannot be one.
    #[error("cannot write `{}`: {problem}", path.display())]
    Refused {
        /// The output.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// As above, from an atomic write.
    #[error(transparent)]
    Atomic(#[from] AtomicError),
}

impl OutputError {
    /// An output that cannot be one, before any work was done for it.
    pub fn refused(path: &Path, problem: &str) -> Self {
        Self::Refused { path: path.to_path_buf(), problem: problem.to_owned() }
    }
}
