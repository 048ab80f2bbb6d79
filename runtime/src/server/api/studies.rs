//! Studies: the worklist, submission, reading, removal, and the image.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use xreport_models::image::Radiograph;

use super::super::engine::Progress;
use super::super::hex;
use super::super::problem::Problem;
use super::super::records::{Drafted, Event, Recorded, StudyRecord};
use super::super::room::{Pending, Room, in_background};
use super::super::study::Study;
use super::super::upload::{Form, shown_name};
use super::description::File;
use super::{Id, follow};
use crate::evidence::Evidence;

/// Studies on the worklist, at most.
const ON_THE_LIST: u32 = 500;
/// Says in a request what the file is called, percent-encoded UTF-8: an address would be written to logs.
const FILE_NAME: &str = "x-file-name";
/// Describes the samples that an answer holds.
const RADIOGRAPH: &str = "x-radiograph";

/// How far a study is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StudyState {
    /// It waits for its turn.
    Waiting,
    /// The model is writing.
    Drafting,
    /// It could not be drafted.
    Failed,
    /// The draft waits for a reader.
    Drafted,
    /// A reader has begun.
    Started,
    /// It is signed.
    Signed,
}

/// A line of the worklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Listed {
    /// 32 hex digits.
    id: String,
    /// Name of the file.
    name: String,
    /// UTC, RFC 3339.
    submitted: String,
    /// How far it is.
    state: StudyState,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Listed {
    /// Of a study that has no record yet; `None` when it was given up.
    pub fn of(pending: &Pending) -> Option<Self> {
        let (state, error) = match &*pending.progress.borrow() {
            Progress::Waiting => (StudyState::Waiting, None),
            Progress::Drafting(_) | Progress::Drafted => (StudyState::Drafting, None),
            Progress::Failed(problem) => (StudyState::Failed, Some(problem.clone())),
            Progress::Cancelled => return None,
        };
        Some(Self::with(pending.study.clone(), state, error))
    }

    fn with(study: StudyRecord, state: StudyState, error: Option<String>) -> Self {
        Self { id: study.id, name: study.name, submitted: study.submitted, state, error }
    }
}

/// The worklist: what is under way and the newest records, newest first.
#[utoipa::path(get, path = "/api/studies", responses((status = 200, body = Vec<Listed>)))]
pub async fn list(State(room): State<Arc<Room>>) -> Result<Json<Vec<Listed>>, Problem> {
    let mut all: Vec<Listed> = room.all_pending().iter().filter_map(Listed::of).collect();
    let recorded = in_background(move || room.records.newest(ON_THE_LIST)).await??;
    for summary in recorded {
        // A draft may have been recorded since the first look.
        all.retain(|listed| listed.id != summary.study.id);
        let state = match summary.latest.as_str() {
            "signed" => StudyState::Signed,
            "drafted" => StudyState::Drafted,
            _ => StudyState::Started,
        };
        all.push(Listed::with(summary.study, state, None));
    }
    all.sort_by(|a, b| b.submitted.cmp(&a.submitted));
    Ok(Json(all))
}

/// Submits an image or DICOM file, as it is, as the body; or as the one file of a form (`multipart/form-data`).
///
/// The answer comes when the file has passed the gate and waits for its draft. A caller that accepts `text/event-stream`
/// gets the events of the draft at once, as from `/api/studies/{id}/events`; when it goes, the draft is given up.
#[utoipa::path(
    post, path = "/api/studies",
    request_body(content_type = "application/octet-stream", content = inline(File)),
    params(("x-file-name" = Option<String>, Header, description = "Name of the file, percent-encoded UTF-8")),
    responses(
        (status = 200, body = inline(follow::FollowedEvent), content_type = "text/event-stream", description = "The events, where they are accepted"),
        (status = 202, body = Listed, description = "It waits for its draft"),
        (status = 415, body = Problem, description = "JSON, or a form of another kind"),
        (status = 422, body = Problem, description = "No image that the gate lets through"),
        (status = 429, body = Problem, description = "The queue is full", headers(("retry-after" = u64, description = "Seconds until the next try"))),
    )
)]
pub async fn submit(State(room): State<Arc<Room>>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let (name, form) = (file_name(&headers)?, Form::of(&headers)?);
    let pending = room.submit(name, form, body).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/event-stream") {
        return Ok(follow::stream(room, pending, true).into_response());
    }
    let listed = Listed::of(&pending).ok_or_else(Problem::internal)?;
    Ok((StatusCode::ACCEPTED, Json(listed)).into_response())
}

/// The name that a request gives its file: text to be shown, never a path to be opened.
fn file_name(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(FILE_NAME) else { return Ok(None) };
    let unusable =
        || Problem::bad_request(format!("{FILE_NAME}: percent-encoded UTF-8 expected, found something else"));
    let name = percent_decoded(value.as_bytes()).and_then(|name| String::from_utf8(name).ok()).ok_or_else(unusable)?;
    Ok(shown_name(&name))
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        bytes.push((digit(rest.next())? * 16 + digit(rest.next())?) as u8);
    }
    Some(bytes)
}

/// A drafted study: its rows in their present state.
#[utoipa::path(
    get, path = "/api/studies/{id}", params(Id),
    responses((status = 200, body = Study), (status = 202, body = Listed, description = "Not drafted yet"), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn read(State(room): State<Arc<Room>>, Id(id): Id) -> Result<Response, Problem> {
    if let Some(listed) = room.pending(&id).as_ref().and_then(Listed::of) {
        return Ok((StatusCode::ACCEPTED, Json(listed)).into_response());
    }
    Ok(Json(study(room, id).await?).into_response())
}

/// A study from the records.
pub async fn study(room: Arc<Room>, id: String) -> Result<Study, Problem> {
    in_background(move || stored(&room, &id)).await?
}

/// As [`study`], where waiting for a disk is allowed.
pub fn stored(room: &Room, id: &str) -> Result<Study, Problem> {
    Ok(stored_with_trail(room, id)?.0)
}

/// As [`stored`], with all that happened to it.
pub fn stored_with_trail(room: &Room, id: &str) -> Result<(Study, Vec<Recorded>), Problem> {
    let (record, trail) = recorded(room, id)?;
    let study = Study::of(record, &trail).ok_or_else(Problem::internal)?;
    Ok((study, trail))
}

/// A study's record and trail.
fn recorded(room: &Room, id: &str) -> Result<(StudyRecord, Vec<Recorded>), Problem> {
    if let Some(found) = room.records.read(id)? {
        return Ok(found);
    }
    Err(if room.records.was_purged(id)? {
        Problem::new(StatusCode::GONE, "this study has been purged")
    } else {
        Problem::not_found()
    })
}

/// Purges a study: its draft, its trail and, where no other study shows it, its image. One that is under way is given up.
#[utoipa::path(
    delete, path = "/api/studies/{id}", params(Id),
    responses((status = 204, description = "It is gone"))
)]
pub async fn remove(State(room): State<Arc<Room>>, Id(id): Id) -> Result<StatusCode, Problem> {
    let given_up = room.give_up(&id);
    let purged = in_background(move || room.purge(&id, "asked for")).await??;
    if given_up || purged { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}

/// The image's grey samples before any window: H × W, row-major, u16 little-endian. The header `x-radiograph` describes
/// them: `width`, `height`, `bits`, `slope`, `intercept`, `center`, `window`, `inverted`.
#[utoipa::path(
    get, path = "/api/studies/{id}/image", params(Id),
    responses((status = 200, body = inline(File), content_type = "application/octet-stream"), (status = 410, body = Problem, description = "It was purged, or its image was not kept"), (status = 422, body = Problem, description = "Its image cannot be read any more"))
)]
pub async fn image(State(room): State<Arc<Room>>, Id(id): Id) -> Result<Response, Problem> {
    let sha256 = image_of(&room, id).await?;
    let Some(picture) = room.radiograph(sha256).await? else {
        return Err(Problem::image_gone());
    };
    let Radiograph { width, height, samples, bits, slope, intercept, window, inverted } = picture;
    let about = serde_json::json!({
        "width": width, "height": height, "bits": bits, "slope": slope, "intercept": intercept,
        "center": window.center, "window": window.width, "inverted": inverted,
    });
    let about = HeaderValue::try_from(about.to_string()).map_err(|_| Problem::internal())?;
    let bytes: Vec<u8> = samples.into_iter().flat_map(u16::to_le_bytes).collect();
    let mut response = Bytes::from(bytes).into_response();
    response.headers_mut().insert(RADIOGRAPH, about);
    Ok(response)
}

/// Hands a study's image in again, where it was not kept.
#[utoipa::path(
    put, path = "/api/studies/{id}/image", params(Id),
    request_body(content_type = "application/octet-stream", content = inline(File)),
    responses((status = 204, description = "It is here"), (status = 409, body = Problem, description = "Another image"), (status = 410, body = Problem, description = "It was purged"), (status = 415, body = Problem, description = "JSON, or a form of another kind"))
)]
pub async fn supply_image(
    State(room): State<Arc<Room>>,
    Id(id): Id,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let expected = image_of(&room, id).await?;
    let (file, _) = room.read_image(Form::of(&headers)?, body).await?;
    let found = hex(&Sha256::digest(&file));
    if found != expected {
        return Err(Problem::conflict("file: the very file that was drafted expected, found another"));
    }
    room.hold(&expected, file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where the model looked while it drafted: a map over the image for each row of the draft, made when it is asked for. What
/// a reader adds or writes anew has none of its own.
#[utoipa::path(
    get, path = "/api/studies/{id}/evidence", params(Id),
    responses((status = 200, body = Evidence), (status = 410, body = Problem, description = "The image was not kept, or another bundle or an older version drafted it"), (status = 422, body = Problem, description = "The image cannot be read"))
)]
pub async fn evidence(State(room): State<Arc<Room>>, Id(id): Id) -> Result<Json<Evidence>, Problem> {
    let records = Arc::clone(&room);
    let read = move || recorded(&records, &id);
    let (record, trail) = in_background(read).await??;
    let Some(Event::Drafted(Drafted { rows, .. })) = trail.into_iter().next().map(|first| first.event) else {
        return Err(Problem::internal());
    };
    Ok(Json(room.evidence(record, rows).await?))
}

async fn image_of(room: &Arc<Room>, id: String) -> Result<String, Problem> {
    match room.pending(&id) {
        Some(pending) => Ok(pending.study.image_sha256),
        None => Ok(study(Arc::clone(room), id).await?.image_sha256),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: &str) -> Result<Option<String>, u16> {
        let headers = HeaderMap::from_iter([(header::HeaderName::from_static(FILE_NAME), value.parse().unwrap())]);
        file_name(&headers).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn a_name_is_text_and_nothing_else() {
        assert_eq!(named("a%20b.dcm").unwrap().unwrap(), "a b.dcm");
        assert_eq!(named("J%C3%BCrgen.png").unwrap().unwrap(), "Jürgen.png");
        assert_eq!(named("..%2F..%2Fetc%2Fpasswd").unwrap().unwrap(), "../../etc/passwd");
        assert_eq!(named("a%00%0Ab").unwrap().unwrap(), "ab");
        assert_eq!(named("%00").unwrap(), None);
        assert_eq!(named(&"x".repeat(400)).unwrap().unwrap().len(), 255);
        for broken in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(named(broken), Err(400), "{broken}");
        }
    }
}
