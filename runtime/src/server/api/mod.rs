//! The API: every address, what it takes and gives.

mod description;
mod follow;
mod reports;
mod room;
mod studies;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;

use super::access::{Access, guard};
use super::page;
use super::problem::Problem;
use super::room::Room;
use description::Description;

/// Largest body but for images, in bytes: a report's sentence, a name, a token.
const SMALL_BODY: usize = 64 * 1024;

/// Said in every answer. The page may load nothing but its own files, and nobody may frame it.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

/// All addresses, behind the guard.
pub fn router(room: Arc<Room>, access: Arc<Access>) -> Router {
    let time = room.options.limits.request_time;
    let api = Router::new()
        .route("/api/room", get(room::room))
        .route("/api/openapi.json", get(openapi))
        .route("/api/studies", get(studies::list).post(studies::submit))
        .route("/api/studies/{id}", get(studies::read).delete(studies::remove))
        .route("/api/studies/{id}/image", get(studies::image).put(studies::supply_image))
        .route("/api/studies/{id}/evidence", get(studies::evidence))
        .route("/api/studies/{id}/events", get(follow::events))
        .route("/api/studies/{id}/decisions", post(reports::decide))
        .route("/api/studies/{id}/rows", post(reports::add))
        .route("/api/studies/{id}/signature", post(reports::sign))
        .route("/api/studies/{id}/report.txt", get(reports::text))
        .route("/api/studies/{id}/report.json", get(reports::json))
        .route("/health/live", get(room::live))
        .route("/health/ready", get(room::ready))
        .route("/metrics", get(room::metrics))
        .with_state(Arc::clone(&room))
        .route("/api/session", post(room::sign_in).with_state(Arc::clone(&access)))
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address knows no such method")
        });
    let mut router = api
        .layer(DefaultBodyLimit::max(SMALL_BODY))
        .layer(middleware::from_fn(move |request, next| within(time, request, next)))
        .layer(middleware::from_fn_with_state(access, guard))
        .layer(CatchPanicLayer::custom(|_| Problem::internal().into_response()));
    for (name, value) in HEADERS {
        router = router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
    }
    router = router
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    router.layer(middleware::from_fn_with_state(room, count))
}

/// Counts answers.
async fn count(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    room.metrics.answered(response.status().as_u16());
    response
}

/// Breaks off what takes too long: a body that comes in drops.
async fn within(time: Duration, request: Request, next: Next) -> Response {
    let late = || {
        let message = format!("the request was not there after {} seconds", time.as_secs());
        let mut response = Problem::new(StatusCode::REQUEST_TIMEOUT, message).into_response();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    };
    tokio::time::timeout(time, next.run(request)).await.unwrap_or_else(|_| late())
}

async fn openapi() -> impl IntoResponse {
    axum::Json(Description::openapi())
}

/// A JSON body; what is wrong with one is told as all problems are.
struct Told<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Told<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

/// A study's id in an address.
struct Id(String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Problem> {
        let Ok(Path(id)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(Problem::not_found());
        };
        let known = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if known { Ok(Self(id)) } else { Err(Problem::not_found()) }
    }
}
