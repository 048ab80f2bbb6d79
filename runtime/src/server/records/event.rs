//! What happens to a study, as the trail keeps it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rows::{DraftedRow, Section};

/// What a reader decides on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Nothing yet.
    Open,
    /// It stays as it was drafted.
    Accepted,
    /// It stays in other words.
    Edited,
    /// It goes.
    Struck,
}

/// A model's draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drafted {
    /// Its sentences; the n-th becomes row n, from 1.
    pub rows: Vec<DraftedRow>,
    /// Mean natural-log probability of its tokens, the end included.
    pub mean_log_probability: f64,
    /// `end`, or `length` where the longest length cut it off.
    pub finish: String,
    /// Seconds of encoding and decoding.
    pub seconds: f64,
    /// What the input gate let through with a word of warning.
    pub concerns: Vec<String>,
    /// What the bundle says of its drafts.
    pub notice: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// The model drafted a report.
    Drafted(Drafted),
    /// A reader decided on a row.
    Decided {
        /// The row's number.
        row: u32,
        /// What.
        decision: Decision,
        /// With `edited`: the sentence now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// A reader added a row.
    Added {
        /// Its number.
        row: u32,
        /// The row that it follows; at the beginning without one.
        after: Option<u32>,
        /// The part that it stands in.
        section: Option<Section>,
        /// The sentence.
        text: String,
    },
    /// A reader signed.
    Signed {
        /// Name, as typed.
        signer: String,
        /// The report, whole.
        text: String,
        /// SHA-256 of `text` in UTF-8.
        text_sha256: String,
    },
}

impl Event {
    /// Its name in the trail.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Drafted(_) => "drafted",
            Self::Decided { .. } => "decided",
            Self::Added { .. } => "added",
            Self::Signed { .. } => "signed",
        }
    }
}

/// An event as it was written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recorded {
    /// From 1 within its study.
    pub revision: u32,
    /// UTC, RFC 3339.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
