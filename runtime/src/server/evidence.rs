//! Where the model looked, when a reader asks for it: made from the image that is held and the tokens of the record, so that
//! a draft costs nothing more.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use xreport_models::bundle::Bundle;
use xreport_models::image::{Gate, GateMode, Views};

use super::problem::Problem;
use crate::console;
use crate::evidence::{Evidence, EvidenceModel};
use crate::rows::DraftedRow;

/// Threads of the model: a reader waits for one map, and the drafts go on beside it.
const THREADS: usize = 1;

/// The model that says where drafts looked; there from the first question on.
#[derive(Debug)]
pub struct Looker {
    /// As it was read at the start: its folder may be exchanged meanwhile.
    bundle: Bundle,
    model: Mutex<Option<EvidenceModel>>,
}

impl Looker {
    /// Of the bundle that drafts; opens nothing.
    pub fn of(bundle: &Bundle) -> Self {
        Self { bundle: bundle.clone(), model: Mutex::default() }
    }

    /// Whether the bundle can tell.
    pub fn is_able(&self) -> bool {
        self.bundle.manifest().evidence.is_some()
    }

    /// Where the draft of `rows` looked on the image of a file, if the bundle `drafted_by` is the one that is here.
    pub fn evidence(&self, file: &[u8], drafted_by: &str, rows: &[DraftedRow]) -> Result<Evidence, Problem> {
        let manifest = self.bundle.manifest();
        if !self.is_able() || drafted_by != manifest.id {
            return Err(gone("the bundle that drafted this, with its evidence graph, expected, found another"));
        }
        if !rows.is_empty() && rows.iter().all(|row| row.token_ids.is_empty()) {
            return Err(gone("a record with the draft's tokens expected, found one of an older version"));
        }
        // It was let through when it was drafted.
        let gate = Gate { mode: GateMode::Off, views: Views::All };
        let image = manifest
            .preprocessing
            .admit_bytes(file, Path::new("image"), gate)
            .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if model.is_none() {
            *model = EvidenceModel::open(&self.bundle, THREADS).map_err(|error| failed(&error))?;
        }
        let model = model.as_mut().ok_or_else(Problem::internal)?;
        Evidence::of(model, image, rows).map_err(|error| failed(&error))
    }
}

fn gone(message: &str) -> Problem {
    Problem::new(StatusCode::GONE, message)
}

fn failed(error: &dyn std::error::Error) -> Problem {
    console::error(format_args!("where a draft looked cannot be told: {error}"));
    Problem::internal()
}
