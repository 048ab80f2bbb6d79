//! What a caller is told when something is not done.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::records::RecordsError;
use crate::console;

/// Body of every answer that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What is wrong: what, expected, found.
    pub error: String,
    /// How to mend it, where the caller can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    status: StatusCode,
    /// Seconds after which to try again.
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    /// With a status; a line `hint: …` at the end of the message becomes the hint.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        let (error, hint) = match message.split_once("\nhint: ") {
            Some((error, hint)) => (error.to_owned(), Some(hint.to_owned())),
            None => (message, None),
        };
        Self { error, hint, status, retry_after: None }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404, which names nothing: an address is not repeated.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such thing here")
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 500; the caller gets no more than that, the log has the rest.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "this failed here; the server's log says why")
    }

    /// 410, for an image.
    pub fn image_gone() -> Self {
        let message = "the image was not kept\nhint: drop the same file again to see it; --keep-images keeps images";
        Self::new(StatusCode::GONE, message)
    }

    /// 429.
    pub fn busy(seconds: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "the queue is full\nhint: try again later");
        Self { retry_after: Some(seconds), ..problem }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<RecordsError> for Problem {
    fn from(error: RecordsError) -> Self {
        if let RecordsError::Changed { .. } = error {
            return Self::conflict(format!("{error}\nhint: read the study again and decide on what it says now"));
        }
        // SQLite quotes no values.
        console::error(&error);
        Self::internal()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
