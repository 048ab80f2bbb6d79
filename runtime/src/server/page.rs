//! The page, embedded in the program: plain JavaScript modules and CSS, no build step.

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Name, kind and content of each file below `/page/`.
const FILES: [(&str, &str, &str); 10] = [
    ("room.css", CSS, include_str!("../../page/room.css")),
    ("room.js", JAVASCRIPT, include_str!("../../page/room.js")),
    ("api.js", JAVASCRIPT, include_str!("../../page/api.js")),
    ("dom.js", JAVASCRIPT, include_str!("../../page/dom.js")),
    ("worklist.js", JAVASCRIPT, include_str!("../../page/worklist.js")),
    ("viewer.js", JAVASCRIPT, include_str!("../../page/viewer.js")),
    ("report.js", JAVASCRIPT, include_str!("../../page/report.js")),
    ("keys.js", JAVASCRIPT, include_str!("../../page/keys.js")),
    ("evidence.js", JAVASCRIPT, include_str!("../../page/evidence.js")),
    ("icon.svg", SVG, include_str!("../../page/icon.svg")),
];

/// The page itself.
pub async fn index() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("../../page/index.html"))
}

/// One of the page's files, by its exact name: nothing is looked up on a disk.
pub async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => ([(header::CONTENT_TYPE, *kind)], *content).into_response(),
        None => Problem::not_found().into_response(),
    }
}
