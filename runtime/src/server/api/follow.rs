//! Following a draft as it is written: server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::{once, unfold};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::engine::Progress;
use super::super::problem::Problem;
use super::super::room::{Pending, Room};
use super::super::study::Study;
use super::Id;
use super::studies::study;

/// What an event tells.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum News {
    /// It waits for its turn.
    Waiting,
    /// The text so far, whole.
    Text,
    /// The study, with its draft.
    Drafted,
    /// Why there is no draft.
    Failed,
    /// Nobody wanted it any more.
    Cancelled,
}

/// An event of a draft that is followed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FollowedEvent {
    #[schema(inline)]
    event: News,
    /// JSON: the `id`, with `text` the `text`; the study; or the `error`.
    data: String,
}

/// Follows a draft: `waiting` or `text` (the text so far, whole) as often as there is news, then one of `drafted` (the
/// study), `failed` and `cancelled`, then the end. The data of each event is JSON.
#[utoipa::path(
    get, path = "/api/studies/{id}/events", params(Id),
    responses((status = 200, body = inline(FollowedEvent), content_type = "text/event-stream"), (status = 410, body = Problem, description = "It was purged"))
)]
pub async fn events(State(room): State<Arc<Room>>, Id(id): Id) -> Result<Response, Problem> {
    if let Some(pending) = room.pending(&id) {
        return Ok(stream(room, pending, false).into_response());
    }
    let study = study(room, id).await?;
    let event = drafted(&study);
    Ok(Sse::new(once(async move { Ok::<_, Infallible>(event) })).into_response())
}

/// One who follows a draft.
struct Listener {
    room: Arc<Room>,
    pending: Pending,
    first: bool,
    over: bool,
    /// Whether the draft is wanted by this one alone.
    owner: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.owner && !self.over && !self.pending.progress.borrow().is_final() {
            self.pending.cancelled.store(true, Ordering::Relaxed);
            self.room.give_up(&self.pending.study.id);
        }
    }
}

/// The events of a study without a record; where the listener owns it, it is given up when he goes.
pub fn stream(room: Arc<Room>, pending: Pending, owner: bool) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listener = Listener { room, pending, first: true, over: false, owner };
    let events = unfold(listener, async |mut listener| {
        if listener.over {
            return None;
        }
        // Whoever comes is told at once how far it is.
        if !std::mem::take(&mut listener.first) && listener.pending.progress.changed().await.is_err() {
            return None;
        }
        let progress = listener.pending.progress.borrow_and_update().clone();
        listener.over = progress.is_final();
        let event = listener.event(progress).await;
        Some((Ok(event), listener))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Listener {
    async fn event(&self, progress: Progress) -> Event {
        let id = self.pending.study.id.clone();
        match progress {
            Progress::Waiting => told(News::Waiting, &serde_json::json!({ "id": id })),
            Progress::Drafting(tokens) => {
                let text = self.room.words.words().text(&tokens);
                told(News::Text, &serde_json::json!({ "id": id, "text": text }))
            }
            Progress::Drafted => match study(Arc::clone(&self.room), id).await {
                Ok(study) => drafted(&study),
                Err(problem) => failed(&problem.error),
            },
            Progress::Cancelled => told(News::Cancelled, &serde_json::json!({ "id": id })),
            Progress::Failed(problem) => failed(&problem),
        }
    }
}

fn told(news: News, data: &serde_json::Value) -> Event {
    let name = match news {
        News::Waiting => "waiting",
        News::Text => "text",
        News::Drafted => "drafted",
        News::Failed => "failed",
        News::Cancelled => "cancelled",
    };
    Event::default().event(name).data(data.to_string())
}

fn drafted(study: &Study) -> Event {
    told(News::Drafted, &serde_json::to_value(study).unwrap_or_default())
}

fn failed(problem: &str) -> Event {
    told(News::Failed, &serde_json::json!({ "error": problem }))
}
