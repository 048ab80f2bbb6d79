//! The room itself: what drafts here, whether it can, and how it goes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::access::Access;
use super::super::problem::Problem;
use super::super::room::Room;
use super::super::study::DRAFT_MARK;
use super::Told;

/// A wrong token is answered late.
const WRONG_TOKEN: Duration = Duration::from_millis(500);

/// What drafts here, and within which limits.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoomInfo {
    /// Version of the program.
    version: &'static str,
    /// Name of the bundle.
    bundle: String,
    /// Its id.
    bundle_id: String,
    /// The variant that runs.
    variant: String,
    /// What the bundle says of its drafts.
    notice: String,
    /// Draft marker.
    mark: &'static str,
    /// Largest file, in bytes.
    max_upload_bytes: usize,
    /// Whether images are kept when the server ends.
    keeps_images: bool,
    /// Whether the bundle can say where the model looked.
    evidence: bool,
    /// Records older than so many days are purged.
    keep_days: Option<u32>,
}

/// What drafts here.
#[utoipa::path(get, path = "/api/room", responses((status = 200, body = RoomInfo)))]
pub async fn room(State(room): State<Arc<Room>>) -> Json<RoomInfo> {
    let manifest = room.words.manifest();
    Json(RoomInfo {
        version: env!("CARGO_PKG_VERSION"),
        bundle: manifest.name.clone(),
        bundle_id: manifest.id.clone(),
        variant: room.variant.clone(),
        notice: manifest.notice.clone(),
        mark: DRAFT_MARK,
        max_upload_bytes: room.options.limits.upload_bytes,
        keeps_images: room.options.keep_images,
        evidence: room.looker.is_able(),
        keep_days: room.options.keep_days,
    })
}

/// A token.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Token {
    token: String,
}

/// Signs a browser in: a cookie stands for the token from then on.
#[utoipa::path(
    post, path = "/api/session", request_body = Token,
    responses((status = 204, description = "A session cookie"))
)]
pub async fn sign_in(
    State(access): State<Arc<Access>>,
    Told(Token { token }): Told<Token>,
) -> Result<impl IntoResponse, Problem> {
    if let Some(cookie) = access.sign_in(token.trim()) {
        return Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]));
    }
    tokio::time::sleep(WRONG_TOKEN).await;
    Err(Problem::new(StatusCode::UNAUTHORIZED, "token: the one of the server's token file expected, found another"))
}

/// Whether the server lives.
#[utoipa::path(get, path = "/health/live", responses((status = 200, body = String, content_type = "text/plain", description = "It does")))]
pub async fn live() -> &'static str {
    "live\n"
}

/// Whether it can draft.
#[utoipa::path(
    get, path = "/health/ready",
    responses(
        (status = 200, body = String, content_type = "text/plain", description = "It can"),
        (status = 503, body = String, content_type = "text/plain", description = "It cannot"),
    )
)]
pub async fn ready(State(room): State<Arc<Room>>) -> (StatusCode, &'static str) {
    if room.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no model is able to draft\n")
    }
}

/// How it goes, as Prometheus reads it.
#[utoipa::path(
    get, path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain", description = "Text exposition format 0.0.4"))
)]
pub async fn metrics(State(room): State<Arc<Room>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], room.metrics.exposition(room.now()))
}
