//! Decisions, signatures and records: what was confirmed stays, what is purged is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::images::pgm;
use crate::server::{Server, address_of, folder};

#[test]
fn a_report_is_signed_when_every_row_is_decided_and_then_it_is_closed() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let study = server.drafted(&pgm(1));
    let path = address_of(&study);
    let rows = study["rows"].as_array().unwrap().len();
    assert!(rows > 1, "{study}");
    let post = |what: &str, body: Value| server.post(&format!("{path}/{what}"), &body);
    let early = post("signature", json!({"revision": 1, "signer": "Dr A"}));
    assert_eq!(early.status, 409, "{}", early.text());
    assert!(early.text().contains(&format!("{rows} undecided")), "{}", early.text());
    let edited =
        post("decisions", json!({"revision": 1, "row": 1, "decision": "edited", "text": "  Heart\n normal. "}));
    assert_eq!(edited.json()["rows"][0]["text"], "Heart normal.");
    let stale = post("decisions", json!({"revision": 1, "row": 2, "decision": "struck"}));
    assert_eq!(stale.status, 409, "somebody else decided meanwhile: {}", stale.text());
    post("decisions", json!({"revision": 2, "row": 2, "decision": "struck"}));
    let added = post("rows", json!({"revision": 3, "after": 1, "section": "findings", "text": "A new line."})).json();
    assert_eq!(added["rows"][1]["text"], "A new line.");
    let mut study = added;
    for row in 3..=rows {
        let change = json!({"revision": study["revision"], "row": row, "decision": "accepted"});
        study = post("decisions", change).json();
    }
    assert_eq!(post("signature", json!({"revision": study["revision"], "signer": " "})).status, 400);
    assert_eq!(post("signature", json!({"revision": 1, "signer": "Dr A"})).status, 409, "not what was read");
    let signed = post("signature", json!({"revision": study["revision"], "signer": "Dr A"})).json();
    assert_eq!((&signed["signature"]["signer"], &signed["signature"]["text"]), (&json!("Dr A"), &study["text"]));
    let late = post("decisions", json!({"revision": signed["revision"], "row": 1, "decision": "struck"}));
    assert_eq!(late.status, 409);
    assert!(late.text().contains("signed"), "{}", late.text());
    let export = server.get(&format!("{path}/report.json")).json();
    let kinds: Vec<&str> = export["trail"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[1], kinds[kinds.len() - 1]), ("drafted", "decided", "signed"));
    assert_eq!(export["mark"], "Draft, not for diagnostic use");
    let text = server.get(&format!("{path}/report.txt")).text();
    assert!(text.starts_with("Draft, not for diagnostic use\n") && text.contains("Signed by Dr A"), "{text}");
    assert_eq!(server.stop(), Some(0));
    let again = Server::start(folder.path(), &[]);
    assert_eq!(again.get(&path).json(), signed);
    assert_eq!(again.get("/api/studies").json()[0]["state"], "signed");
}

/// The short form: `kill -9` at moments spread between edits and signatures.
#[test]
fn a_kill_loses_no_confirmed_signature() {
    let folder = folder();
    let mut confirmed: Vec<(String, Value)> = Vec::new();
    for round in 0..6u64 {
        let server = Server::start(folder.path(), &[]);
        for (path, signature) in &confirmed {
            assert!(signature.is_object(), "what is confirmed is a signature");
            assert_eq!(&server.get(path).json()["signature"], signature, "round {round}");
        }
        let studies: Vec<_> = (0..4).map(|seed| server.drafted(&pgm(seed))).collect();
        let over = AtomicBool::new(false);
        let signed = std::thread::scope(|scope| {
            let signing = scope.spawn(|| {
                let mut signed = Vec::new();
                for study in &studies {
                    // A server that is killed answers nothing: status 0, or no connection at all.
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        let decided = server.decide_all(study);
                        let body = json!({"revision": decided["revision"], "signer": format!("Dr {round}")});
                        let answer = server.post(&format!("{}/signature", address_of(study)), &body);
                        (answer.status == 200).then(|| answer.json()["signature"].clone())
                    }));
                    match done {
                        Ok(Some(signature)) => signed.push((address_of(study), signature)),
                        _ => break,
                    }
                }
                over.store(true, Ordering::Relaxed);
                signed
            });
            std::thread::sleep(Duration::from_millis(7 + round * 31));
            let killed = std::process::Command::new("kill").args(["-9", &server.id().to_string()]).status();
            assert!(killed.is_ok_and(|status| status.success()));
            signing.join().unwrap()
        });
        confirmed.extend(signed);
    }
    assert!(!confirmed.is_empty(), "no signature was confirmed in six rounds");
    let server = Server::start(folder.path(), &[]);
    for (path, signature) in &confirmed {
        assert!(signature.is_object(), "what is confirmed is a signature");
        assert_eq!(&server.get(path).json()["signature"], signature);
    }
    // What was not confirmed is there whole or not at all.
    for listed in server.get("/api/studies").json().as_array().unwrap() {
        let study = server.get(&address_of(listed)).json();
        let signed = study["signature"].is_object();
        assert_eq!(listed["state"] == "signed", signed);
        assert!(!signed || study["signature"]["text"] == study["text"], "{study}");
    }
}

#[test]
fn a_purged_study_is_gone_from_the_disk() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--keep-images"]);
    let first = server.submit("Secret-Name.pgm", &pgm(1)).json();
    let study = server.wait_for(first["id"].as_str().unwrap());
    let twin = server.drafted(&pgm(1));
    let images = folder.path().join("images");
    let kept = || std::fs::read_dir(&images).unwrap().count();
    assert_eq!(server.ask("DELETE", &address_of(&study), &[], &[]).status, 204);
    assert_eq!(server.get(&address_of(&study)).status, 410);
    assert_eq!(server.ask("DELETE", &address_of(&study), &[], &[]).status, 404);
    assert_eq!(kept(), 1, "the twin shows the same image");
    assert_eq!(server.ask("DELETE", &address_of(&twin), &[], &[]).status, 204);
    assert_eq!(kept(), 0);
    assert_eq!(server.stop(), Some(0));
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"Secret-Name"));
    }
}

#[test]
fn images_are_kept_only_where_that_was_asked_for() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let study = server.drafted(&pgm(1));
    let image = format!("{}/image", address_of(&study));
    let shown = server.get(&image);
    let about: Value = serde_json::from_str(&shown.header("x-radiograph").expect("described")).unwrap();
    assert_eq!((&about["width"], &about["height"], &about["bits"]), (&json!(300), &json!(280), &json!(16)));
    // PGM is big-endian, the answer little-endian; the first samples of the file, at their full depth.
    let file = pgm(1);
    let pixels = &file[file.len() - 300 * 280 * 2..];
    let swapped: Vec<u8> = pixels.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    assert!(shown.body == swapped, "the samples are those of the file");
    assert_eq!(server.stop(), Some(0));
    let again = Server::start(folder.path(), &[]);
    assert_eq!(again.get(&image).status, 410);
    assert_eq!(again.ask("PUT", &image, &[], &pgm(2)).status, 409, "another file is not this study's");
    assert_eq!(again.ask("PUT", &image, &[], &pgm(1)).status, 204);
    assert_eq!(again.get(&image).body, shown.body);
}

#[test]
fn a_folder_of_records_has_one_server() {
    let folder = folder();
    let _server = Server::start(folder.path(), &[]);
    let second = crate::server::command(folder.path(), &[]).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(2) && stderr.contains("in use by another"), "{stderr}");
}
