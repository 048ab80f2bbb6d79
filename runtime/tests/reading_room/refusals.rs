//! What the server refuses, and that it goes on after each.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::images::{boasting_dicom, dicom, nested_dicom, pgm};
use crate::server::{Server, answer, command, folder};

const MIB: usize = 1024 * 1024;

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let own = format!("http://{}", server.address);
    for (expected, headers) in [
        (200, vec![]),
        (200, vec![("Origin", own.as_str())]),
        (421, vec![("Host", "evil.example")]),
        (421, vec![("Host", "127.0.0.1")]),
        (403, vec![("Origin", "http://evil.example")]),
        (403, vec![("Origin", "null")]),
        (403, vec![("Sec-Fetch-Site", "cross-site")]),
    ] {
        assert_eq!(server.ask("GET", "/api/studies", &headers, &[]).status, expected, "{headers:?}");
    }
    let foreign = server.ask("POST", "/api/studies", &[("Origin", "http://evil.example")], &pgm(1));
    assert_eq!(foreign.status, 403);
    assert_eq!(server.get("/api/studies").json(), serde_json::json!([]), "nothing was taken");
}

#[test]
fn a_form_with_one_file_is_taken_and_other_wrappings_are_named() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let form = |parts: usize| {
        let part =
            [&b"--b7\r\nContent-Disposition: form-data; name=\"file\"; filename=\"chest 1.pgm\"\r\n\r\n"[..], &pgm(1)];
        [part.concat(), b"\r\n".to_vec()].concat().repeat(parts).into_iter().chain(*b"--b7--\r\n").collect::<Vec<u8>>()
    };
    let kind = ("Content-Type", "multipart/form-data; boundary=b7");
    let taken = server.ask("POST", "/api/studies", &[kind], &form(1));
    assert_eq!(taken.status, 202, "{}", taken.text());
    assert_eq!(taken.json()["name"], "chest 1.pgm");
    let study = server.wait_for(taken.json()["id"].as_str().expect("an id"));
    assert_eq!(study["name"], "chest 1.pgm");
    // The file in the form is what was drafted: handed in again by itself it is the same.
    let id = study["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.ask("PUT", &format!("/api/studies/{id}/image"), &[], &pgm(1)).status, 204);
    assert_eq!(server.ask("PUT", &format!("/api/studies/{id}/image"), &[kind], &form(1)).status, 204);
    let cut = form(1).len() - 12;
    for (kind, body, status, said) in [
        ("multipart/form-data; boundary=b7", form(2), 400, "found 2 of them"),
        ("multipart/form-data; boundary=b7", form(1)[..cut].to_vec(), 400, "cut off"),
        ("multipart/form-data; boundary=b7", pgm(1), 400, "none of the boundaries"),
        ("multipart/form-data", form(1), 415, "without the boundary"),
        ("multipart/mixed; boundary=b7", form(1), 415, "found multipart/mixed"),
        ("application/json", b"{}".to_vec(), 415, "found JSON"),
    ] {
        let refused = server.ask("POST", "/api/studies", &[("Content-Type", kind)], &body);
        assert_eq!(refused.status, status, "{kind}: {}", refused.text());
        let text = refused.text();
        assert!(text.contains(said) && text.contains("--data-binary"), "{kind}: {text}");
    }
    // What curl says of --data-binary is no reason to refuse it.
    let plain = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(server.ask("POST", "/api/studies", &plain, &pgm(2)).status, 202);
}

#[test]
fn every_answer_has_its_guards() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    for path in ["/", "/page/room.js", "/api/studies", "/no-such-thing", "/api/studies/zz"] {
        let answer = server.get(path);
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}: {}", answer.head));
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(answer.header("x-frame-options").as_deref(), Some("DENY"), "{path}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn beyond_loopback_a_token_is_wanted() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let refused = command(folder.path(), &["--listen", "0.0.0.0"]).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(2), "without a token file it does not start");
    let file = folder.path().join("token");
    let with_token = ["--listen", "0.0.0.0", "--token-file", file.to_str().unwrap()];
    for (token, mode, said) in [("short", 0o600, "at least 16"), ("a long enough token", 0o644, "others may read")] {
        std::fs::write(&file, token).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = command(folder.path(), &with_token).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && stderr.contains(said), "{stderr}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let server = Server::start(folder.path(), &with_token);
    let asked = |headers: &[(&str, &str)]| server.ask("GET", "/api/studies", headers, &[]).status;
    assert_eq!(asked(&[]), 401);
    assert_eq!(asked(&[("Authorization", "Bearer a long enough tokem")]), 401);
    assert_eq!(asked(&[("Authorization", "Bearer a long enough token")]), 200);
    assert_eq!(server.post("/api/session", &serde_json::json!({"token": "wrong"})).status, 401);
    let signed_in = server.post("/api/session", &serde_json::json!({"token": "a long enough token"}));
    let cookie = signed_in.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("token"), "{cookie}");
    assert_eq!(asked(&[("Cookie", cookie.split(';').next().unwrap())]), 200);
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.get("/").status, 200, "the page itself holds nothing");
}

#[test]
fn a_huge_upload_is_refused_and_takes_no_memory() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--max-upload", "8"]);
    server.drafted(&pgm(1));
    let before = server.memory_kib("VmHWM:");
    // Announced: refused before it comes.
    let mut stream = server.connect();
    stream.write_all(server.head("POST", "/api/studies", &[], 1024 * MIB).as_bytes()).unwrap();
    let refused = answer(stream);
    assert_eq!(refused.status, 413, "{}", refused.head);
    assert!(refused.text().contains("8388608"), "{}", refused.text());
    // Not announced: cut off when it has become too much.
    let mut stream = server.connect();
    let head = format!(
        "POST /api/studies HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{MIB:x}\r\n").into_bytes(), vec![7; MIB], b"\r\n".to_vec()].concat();
    let sent = (0..1024).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 64, "{sent} MiB went through");
    if let (Some(before), Some(after)) = (before, server.memory_kib("VmHWM:")) {
        assert!(after < before + 40 * 1024, "{before} KiB before, {after} after");
    }
    server.drafted(&pgm(2));
}

#[test]
fn slow_bodies_and_slow_heads_are_broken_off() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--request-time", "1"]);
    let mut stream = server.connect();
    stream.write_all(server.head("POST", "/api/studies", &[], 100_000).as_bytes()).unwrap();
    let started = Instant::now();
    let mut drops = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        while started.elapsed() < Duration::from_secs(20) && drops.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answered = answer(stream);
    assert_eq!(answered.status, 408, "{}", answered.head);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    dripping.join().unwrap();
    // A head that never ends holds a connection no longer than its own limit.
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    let ended = answer(stream);
    assert!(ended.status == 0 || ended.status == 408, "{}", ended.head);
    server.drafted(&pgm(3));
}

#[test]
fn a_name_is_no_path() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--keep-images"]);
    let name = "..%2F..%2F..%2F..%2Ftmp%2Fxreport-escaped.png";
    let submitted = server.submit(name, &pgm(4)).json();
    let study = server.wait_for(submitted["id"].as_str().unwrap());
    assert_eq!(study["name"], "../../../../tmp/xreport-escaped.png");
    assert!(!std::path::Path::new("/tmp/xreport-escaped.png").exists());
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("images")).unwrap().collect();
    assert_eq!(kept.len(), 1, "by its hash");
    for path in ["/page/../Cargo.toml", "/page/..%2f..%2fCargo.toml", "/page/%2e%2e/index.html", "/..", "/page/"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    for path in ["/api/studies/..%2f..%2frecords.sqlite", "/api/studies/%2e%2e/image", "/api/studies/records.sqlite"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn hostile_files_are_refused_by_a_server_that_lives_on() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let whole = dicom("Secret^Patient");
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    for (what, file) in [
        ("nested", nested_dicom(100_000)),
        ("boasting", boasting_dicom()),
        ("torn", torn),
        ("prose", b"no image at all".to_vec()),
        ("constant", [b"P5 300 300 255\n".to_vec(), vec![9; 90_000]].concat()),
    ] {
        let refused = server.submit("Secret%20Patient.dcm", &file);
        assert_eq!(refused.status, 422, "{what}: {}", refused.text());
        assert!(!refused.text().contains("Secret^"), "{what}: {}", refused.text());
    }
    assert_eq!(server.submit("a", b"").status, 400);
    assert_eq!(server.submit("%zz", &pgm(1)).status, 400);
    server.drafted(&whole);
}

#[test]
fn scripts_are_data_and_the_log_names_nobody() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let script = "<script>alert(1)</script>";
    let submitted = server.submit("%3Cscript%3Ealert(1)%3C%2Fscript%3E", &dicom("Secret^Patient"));
    let study = server.wait_for(submitted.json()["id"].as_str().unwrap());
    assert_eq!(study["name"], script);
    let path = format!("/api/studies/{}", study["id"].as_str().unwrap());
    let change = serde_json::json!({"revision": 1, "row": 1, "decision": "edited", "text": script});
    assert_eq!(server.post(&format!("{path}/decisions"), &change).status, 200);
    for (export, kind) in [("report.txt", "text/plain; charset=utf-8"), ("report.json", "application/json")] {
        let exported = server.get(&format!("{path}/{export}"));
        assert_eq!(exported.header("content-type").as_deref(), Some(kind));
        assert!(exported.header("content-disposition").is_some_and(|it| it.starts_with("attachment")));
        assert!(exported.text().contains(script) && exported.text().contains("Draft, not for diagnostic use"));
    }
    server.submit("broken-Secret.dcm", b"x");
    let log = server.log();
    assert!(!log.contains("Secret") && !log.contains("script") && !log.contains("heart"), "{log}");
}

/// A small stand-in for schemathesis: every address of the description, with what it does not expect.
#[test]
fn nothing_that_is_sent_to_the_described_addresses_fails_here() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let study = server.drafted(&pgm(5));
    let known = study["id"].as_str().unwrap();
    let description = server.get("/api/openapi.json").json();
    let paths = description["paths"].as_object().expect("paths");
    assert!(paths.len() >= 13, "{paths:?}");
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{\"revision\":-1}",
        b"\xff\xfe",
        b"{\"revision\":1,\"row\":4294967295,\"decision\":\"struck\"}",
        b"{\"revision\":1,\"text\":\"\\u0000\"}",
        b"{\"revision\":1,\"signer\":\"\"}",
    ];
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys().filter(|method| *method != "delete") {
            for id in [known, "0123456789abcdef0123456789abcdef", "x", "%00"] {
                for body in bodies {
                    let address = path.replace("{id}", id);
                    let answer =
                        server.ask(&method.to_uppercase(), &address, &[("Content-Type", "application/json")], body);
                    let described = &methods[method]["responses"][answer.status.to_string()];
                    assert!((200..500).contains(&answer.status), "{method} {address}: {}", answer.head);
                    assert!(described.is_object(), "{method} {address}: {} is not described", answer.status);
                }
            }
        }
    }
}
