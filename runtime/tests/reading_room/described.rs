//! Answers beside `/api/openapi.json`: what `cargo xtask prove serve-api` and a look at the code have found missing.

use serde_json::Value;

use crate::images::pgm;
use crate::server::{Answer, Server, address_of, folder};

/// Status and kind of `answer` must be among those that the description names.
fn assert_described(description: &Value, operation: [&str; 2], answer: &Answer) {
    let [method, path] = operation;
    let response = &description["paths"][path][method]["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{method} {path}: {} is not described", answer.status);
    let described: Vec<_> = response["content"].as_object().into_iter().flatten().map(|(kind, _)| kind).collect();
    let found = answer.header("content-type");
    let found = found.as_deref().and_then(|kind| kind.split(';').next()).into_iter().collect::<Vec<_>>();
    assert_eq!(described, found, "{method} {path}: kinds of {}", answer.status);
}

#[test]
fn a_body_that_is_too_large_for_its_address_is_described() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let description = server.get("/api/openapi.json").json();
    let known = address_of(&server.drafted(&pgm(1)));
    let large = serde_json::json!({"revision": 1, "text": "x".repeat(100_000)});
    for (path, address) in [
        ("/api/studies/{id}/decisions", format!("{known}/decisions")),
        ("/api/studies/{id}/rows", format!("{known}/rows")),
        ("/api/studies/{id}/signature", format!("{known}/signature")),
        ("/api/session", "/api/session".to_owned()),
    ] {
        let refused = server.post(&address, &large);
        assert_eq!(refused.status, 413, "{path}");
        assert_described(&description, ["post", path], &refused);
    }
}

#[test]
fn what_the_guard_answers_is_described_everywhere() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let description = server.get("/api/openapi.json").json();
    let id = "0123456789abcdef0123456789abcdef";
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            for (status, header) in [(403, ("Origin", "http://evil.example")), (421, ("Host", "evil.example"))] {
                let refused = server.ask(&method.to_uppercase(), &path.replace("{id}", id), &[header], &[]);
                assert_eq!(refused.status, status, "{method} {path}");
                assert_described(&description, [method, path], &refused);
            }
        }
    }
}

#[test]
fn answers_are_of_the_described_kind() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let description = server.get("/api/openapi.json").json();
    let followed = server.ask("POST", "/api/studies", &[("Accept", "text/event-stream")], &pgm(1));
    assert_eq!(followed.status, 200);
    assert_described(&description, ["post", "/api/studies"], &followed);
    let content = &description["paths"]["/api/studies"]["post"]["responses"]["200"]["content"];
    let described = &content["text/event-stream"]["schema"]["properties"]["event"]["enum"];
    let told: Vec<_> =
        followed.text().lines().filter_map(|line| line.strip_prefix("event: ").map(str::to_owned)).collect();
    assert!(told.iter().any(|name| name == "drafted"), "{told:?}");
    for name in told {
        assert!(described.as_array().is_some_and(|all| all.contains(&name.as_str().into())), "{name}: {described}");
    }
    let known = address_of(&server.drafted(&pgm(2)));
    for path in ["/api/room", "/api/studies", "/health/live", "/health/ready", "/metrics"] {
        assert_described(&description, ["get", path], &server.get(path));
    }
    for part in ["", "/image", "/events", "/report.txt", "/report.json"] {
        assert_described(
            &description,
            ["get", &format!("/api/studies/{{id}}{part}")],
            &server.get(&format!("{known}{part}")),
        );
    }
    assert_eq!(server.ask("DELETE", &known, &[], &[]).status, 204);
    let refused = server.ask("PUT", &format!("{known}/image"), &[], &pgm(2));
    assert_eq!(refused.status, 410);
    assert_described(&description, ["put", "/api/studies/{id}/image"], &refused);
}

#[test]
fn a_file_is_described_as_bytes_and_an_id_as_it_is_made() {
    let folder = folder();
    let description = Server::start(folder.path(), &[]).get("/api/openapi.json").json();
    let paths = &description["paths"];
    for body in [
        &paths["/api/studies"]["post"]["requestBody"],
        &paths["/api/studies/{id}/image"]["put"]["requestBody"],
        &paths["/api/studies/{id}/image"]["get"]["responses"]["200"],
    ] {
        let schema = &body["content"]["application/octet-stream"]["schema"];
        assert_eq!(*schema, serde_json::json!({"type": "string", "format": "binary"}));
    }
    for (path, methods) in paths.as_object().expect("paths").iter().filter(|(path, _)| path.contains("{id}")) {
        for (method, operation) in methods.as_object().expect("methods") {
            assert_eq!(operation["parameters"][0]["schema"]["pattern"], "^[0-9a-f]{32}$", "{method} {path}");
        }
    }
}
