//! Reports: deciding on rows, signing, exporting.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::super::hex;
use super::super::problem::Problem;
use super::super::records::{Decision, Event, Recorded};
use super::super::room::{Room, in_background};
use super::super::study::{DRAFT_MARK, Study};
use super::studies::{stored, stored_with_trail, study};
use super::{Id, Told};
use crate::rows::Section;

/// Characters of a sentence, at most.
const LONGEST_ROW: usize = 4000;
/// Characters of a name, at most.
const LONGEST_NAME: usize = 200;
/// Rows of a report, at most.
const MOST_ROWS: usize = 500;

/// What a reader decides on a row.
#[derive(Debug, Deserialize, ToSchema)]
pub struct DecideOn {
    /// The study's revision that the reader has seen.
    revision: u32,
    /// The row's number.
    row: u32,
    /// What.
    decision: Decision,
    /// With `edited`: the sentence now.
    text: Option<String>,
}

/// Decides on a row.
#[utoipa::path(
    post, path = "/api/studies/{id}/decisions", params(Id), request_body = DecideOn,
    responses((status = 200, body = Study), (status = 409, body = Problem, description = "Signed, or changed since"), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn decide(
    State(room): State<Arc<Room>>,
    Id(id): Id,
    Told(DecideOn { revision, row, decision, text }): Told<DecideOn>,
) -> Result<Json<Study>, Problem> {
    change(room, id, revision, move |study| {
        let Some(its) = study.row(row) else {
            return Err(Problem::bad_request("row: the number of a row of this report expected, found another"));
        };
        if its.drafted.is_none() && matches!(decision, Decision::Accepted | Decision::Open) {
            return Err(Problem::bad_request("decision: edited or struck expected for an added row, found another"));
        }
        let text = match (decision, text) {
            (Decision::Edited, Some(text)) => Some(sentence(&text)?),
            (Decision::Edited, None) => return Err(Problem::bad_request("text: expected with `edited`, found none")),
            (_, Some(_)) => return Err(Problem::bad_request("text: expected with `edited` alone")),
            (_, None) => None,
        };
        Ok(Event::Decided { row, decision, text })
    })
    .await
}

/// A row to add.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddRow {
    /// The study's revision that the reader has seen.
    revision: u32,
    /// The row that it follows; at the beginning without one.
    after: Option<u32>,
    /// The part that it stands in.
    section: Option<Section>,
    /// The sentence.
    #[schema(min_length = 1, max_length = 4000)]
    text: String,
}

/// Adds a row.
#[utoipa::path(
    post, path = "/api/studies/{id}/rows", params(Id), request_body = AddRow,
    responses((status = 200, body = Study), (status = 409, body = Problem, description = "Signed, or changed since"), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn add(
    State(room): State<Arc<Room>>,
    Id(id): Id,
    Told(AddRow { revision, after, section, text }): Told<AddRow>,
) -> Result<Json<Study>, Problem> {
    change(room, id, revision, move |study| {
        if after.is_some_and(|after| study.row(after).is_none()) {
            return Err(Problem::bad_request("after: the number of a row of this report expected, found another"));
        }
        if study.rows.len() >= MOST_ROWS {
            return Err(Problem::bad_request(format!("at most {MOST_ROWS} rows expected, found one more")));
        }
        Ok(Event::Added { row: study.next_row(), after, section, text: sentence(&text)? })
    })
    .await
}

/// Who signs what.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SignAs {
    /// The study's revision that is signed.
    revision: u32,
    /// Name of the physician.
    #[schema(min_length = 1, max_length = 200)]
    signer: String,
}

/// Signs a report: only when each row is decided, and only the revision that was read. What is confirmed is on the disk.
#[utoipa::path(
    post, path = "/api/studies/{id}/signature", params(Id), request_body = SignAs,
    responses((status = 200, body = Study), (status = 409, body = Problem, description = "Undecided rows, signed already, or changed since"), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn sign(
    State(room): State<Arc<Room>>,
    Id(id): Id,
    Told(SignAs { revision, signer }): Told<SignAs>,
) -> Result<Json<Study>, Problem> {
    let metrics = Arc::clone(&room.metrics);
    let signed = change(room, id, revision, move |study| {
        let signer = one_line(&signer, LONGEST_NAME, "signer")?;
        let undecided = study.undecided().len();
        if undecided > 0 {
            return Err(Problem::conflict(format!(
                "every row decided expected, found {undecided} undecided\nhint: accept, edit or strike each"
            )));
        }
        if study.text.is_empty() {
            return Err(Problem::conflict("a report with a sentence expected, found none\nhint: add a row"));
        }
        let text = study.text.clone();
        let text_sha256 = hex(&Sha256::digest(&text));
        Ok(Event::Signed { signer, text, text_sha256 })
    })
    .await?;
    metrics.signed.add(1);
    Ok(signed)
}

/// Appends the event that `event` makes of a study's present state; the study as it is then.
async fn change(
    room: Arc<Room>,
    id: String,
    revision: u32,
    event: impl FnOnce(&Study) -> Result<Event, Problem> + Send + 'static,
) -> Result<Json<Study>, Problem> {
    let work = move || {
        let study = stored(&room, &id)?;
        if study.signature.is_some() {
            return Err(Problem::conflict("this report is signed: nothing in it changes any more"));
        }
        // Before the event is made: what it is checked against must be what the reader saw.
        if study.revision != revision {
            return Err(Problem::conflict(format!(
                "the report has changed: revision {} expected, found {revision}\nhint: read the study again",
                study.revision
            )));
        }
        let event = event(&study)?;
        room.records.append(&id, revision, &event)?;
        stored(&room, &id)
    };
    Ok(Json(in_background(work).await??))
}

/// A sentence as it may stand in a report: one line, not empty.
fn sentence(text: &str) -> Result<String, Problem> {
    one_line(text, LONGEST_ROW, "text")
}

fn one_line(text: &str, longest: usize, what: &str) -> Result<String, Problem> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let length = line.chars().count();
    if (1..=longest).contains(&length) {
        return Ok(line);
    }
    Err(Problem::bad_request(format!("{what}: 1 to {longest} characters expected, found {length}")))
}

/// The report as a text file, with its marker, and with the signature where there is one.
#[utoipa::path(
    get, path = "/api/studies/{id}/report.txt", params(Id),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn text(State(room): State<Arc<Room>>, Id(id): Id) -> Result<impl IntoResponse, Problem> {
    let study = study(room, id).await?;
    let state = match &study.signature {
        Some(signature) => format!("Signed by {} at {}", signature.signer, signature.time),
        None => format!("NOT SIGNED: {} of {} rows undecided", study.undecided().len(), study.rows.len()),
    };
    let text = format!("{DRAFT_MARK}\n{}\n\n{}\n\n{state}\n", study.notice, study.text);
    Ok(download(text, "report.txt"))
}

/// A study with its trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct Export {
    /// Draft marker.
    mark: &'static str,
    /// The study.
    study: Study,
    /// What happened to it.
    trail: Vec<Recorded>,
}

/// The study with its whole trail.
#[utoipa::path(
    get, path = "/api/studies/{id}/report.json", params(Id),
    responses((status = 200, body = Export), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn json(State(room): State<Arc<Room>>, Id(id): Id) -> Result<impl IntoResponse, Problem> {
    let (study, trail) = in_background(move || stored_with_trail(&room, &id)).await??;
    Ok(download(Json(Export { mark: DRAFT_MARK, study, trail }), "report.json"))
}

/// Names the file; a study's own name would end up in a folder of downloads.
fn download<T: IntoResponse>(content: T, name: &str) -> impl IntoResponse + use<T> {
    ([(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))], content)
}
