//! The description of the API: what `/api/openapi.json` says.
//!
//! Each operation names the answers of its own; those that follow from where it lies and what it reads are added here.

use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{IntoParams, Modify, OpenApi, PartialSchema, ToSchema};

use super::super::problem::Problem;
use super::super::records::Recorded;
use super::super::study::Study;
use super::{Id, follow, reports, room, studies};

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(title = "XREPORT reading room", description = "Drafts of radiology reports, not for diagnostic use."),
    paths(
        studies::list,
        studies::submit,
        studies::read,
        studies::remove,
        studies::image,
        studies::supply_image,
        studies::evidence,
        follow::events,
        reports::decide,
        reports::add,
        reports::sign,
        reports::text,
        reports::json,
        room::room,
        room::sign_in,
        room::live,
        room::ready,
        room::metrics,
    ),
    components(schemas(Study, Recorded, Problem)),
    modifiers(&Refusals)
)]
pub struct Description;

/// A file as it is; never made, only described.
pub enum File {}

impl PartialSchema for File {
    fn schema() -> RefOr<Schema> {
        let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).into()
    }
}

impl ToSchema for File {}

impl IntoParams for Id {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let hex = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{32}$"));
        let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
        vec![id.description(Some("The study's id")).schema(Some(hex)).build()]
    }
}

/// Adds to each operation what the guard, the limits and the readers of addresses and bodies answer.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                for (status, about) in refusals(path, operation) {
                    let status = status.as_str().to_owned();
                    operation.responses.responses.entry(status).or_insert_with(|| RefOr::T(problem(about)));
                }
            }
        }
    }
}

fn refusals(path: &str, operation: &Operation) -> Vec<(StatusCode, &'static str)> {
    let mut all = vec![
        (StatusCode::FORBIDDEN, "A page of another origin asks"),
        (StatusCode::REQUEST_TIMEOUT, "The request did not come in time"),
        (StatusCode::MISDIRECTED_REQUEST, "Host is no name of this server"),
        (StatusCode::INTERNAL_SERVER_ERROR, "It failed here"),
    ];
    if !path.starts_with("/health") {
        all.push((StatusCode::UNAUTHORIZED, "A token is expected"));
    }
    if path.contains("{id}") {
        all.push((StatusCode::NOT_FOUND, "There is no such study"));
    }
    if let Some(body) = &operation.request_body {
        all.push((StatusCode::BAD_REQUEST, "The request is not what is expected"));
        all.push((StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than allowed"));
        if body.content.contains_key("application/json") {
            all.push((StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body does not call itself JSON"));
            all.push((StatusCode::UNPROCESSABLE_ENTITY, "The body is JSON of another form"));
        }
    }
    all
}

fn problem(about: &str) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    ResponseBuilder::new().description(about).content("application/json", Content::new(Some(schema))).build()
}
