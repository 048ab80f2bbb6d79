//! From a file to a draft: one engine, events in order, a bounded queue, work that stops with its caller.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::images::{dicom, pgm};
use crate::server::{PATIENCE, Server, address_of, answer, demo_bundle, folder};

/// Names and data of server-sent events.
fn events(text: &str) -> Vec<(String, Value)> {
    let event = |block: &str| {
        let part = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Some((part("event:")?.to_owned(), serde_json::from_str(part("data:")?).expect("JSON")))
    };
    text.split("\n\n").filter_map(event).collect()
}

#[test]
fn a_draft_is_the_one_that_generate_writes() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    for (name, file) in [("a.pgm", pgm(1)), ("b.dcm", dicom("Secret^Patient"))] {
        let path = folder.path().join(name);
        std::fs::write(&path, &file).unwrap();
        let out = folder.path().join(format!("{name}.jsonl"));
        let run = Command::new(env!("CARGO_BIN_EXE_xreport"))
            .args(["generate", "--device", "cpu", "--model"])
            .arg(demo_bundle())
            .arg(&path)
            .arg("--out")
            .arg(&out)
            .output()
            .expect("it runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let row: Value = serde_json::from_str(std::fs::read_to_string(&out).unwrap().lines().next().unwrap()).unwrap();
        let study = server.drafted(&file);
        let words = |text: &Value| text.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&study["text"]), words(&row["text"]));
        assert_eq!(study["mean_log_probability"], row["mean_log_probability"]);
        assert_eq!((&study["bundle"], &study["variant"]), (&row["bundle"], &row["variant"]));
    }
}

#[test]
fn a_draft_does_not_depend_on_those_that_come_meanwhile() {
    const STUDIES: usize = 24;
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let text = |seed: usize| server.drafted(&pgm(seed))["text"].clone();
    let alone: Vec<Value> = (0..STUDIES).map(text).collect();
    assert!(alone.iter().any(|text| *text != alone[0]), "{alone:?}");
    // One begins alone, and the batch grows with the others.
    let together: Vec<Value> = std::thread::scope(|scope| {
        let ask = |seed: usize| scope.spawn(move || text(seed));
        let asked: Vec<_> = (0..STUDIES).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(together, alone);
}

#[test]
fn events_come_in_order_and_the_text_only_grows() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let headers = [("Accept", "text/event-stream"), ("X-File-Name", "a.pgm")];
    // The whole draft may overtake its first words where the machine is busy.
    let mut streams = (0..20).map(|seed| server.ask("POST", "/api/studies", &headers, &pgm(seed)));
    let streamed = streams.find(|streamed| streamed.text().contains("event: text")).expect("words");
    assert_eq!(streamed.header("content-type").as_deref(), Some("text/event-stream"));
    let events = events(&streamed.text());
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let texts: Vec<&str> = events.iter().filter_map(|(_, data)| data["text"].as_str()).collect();
    assert!(names.len() > 2, "{names:?}");
    let order = |name: &str| ["waiting", "text", "drafted"].iter().position(|known| *known == name).expect("known");
    assert!(names.windows(2).all(|pair| order(pair[0]) <= order(pair[1])), "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "drafted").count(), 1);
    assert_eq!(names.last(), Some(&"drafted"));
    // Spaces and capitals may be set anew when more is known; words are not taken back.
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let (drafted, written) = texts.split_last().expect("the draft has a text");
    assert!(written.windows(2).all(|pair| letters(pair[1]).starts_with(&letters(pair[0]))), "{written:?}");
    assert!(letters(drafted).starts_with(&letters(written[written.len() - 1])), "{written:?}, then {drafted}");
    // Whoever comes later gets the draft at once.
    let (_, study) = events.last().unwrap();
    let later = self::events(&server.get(&format!("{}/events", address_of(study))).text());
    assert_eq!(later, [("drafted".to_owned(), study.clone())]);
}

#[test]
fn a_full_queue_turns_away_and_loses_nothing() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--queue", "3"]);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |client: usize| {
            let server = &server;
            scope
                .spawn(move || (0..4).map(|round| server.submit("a.pgm", &pgm(client * 4 + round))).collect::<Vec<_>>())
        };
        let clients: Vec<_> = (0..16).map(ask).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let (taken, away): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert!(!taken.is_empty() && !away.is_empty(), "{} taken", taken.len());
    for answer in away {
        assert_eq!(answer.status, 429, "{}", answer.head);
        let after: u64 = answer.header("retry-after").and_then(|it| it.parse().ok()).expect("seconds");
        assert!((1..=60).contains(&after));
    }
    for answer in &taken {
        server.wait_for(answer.json()["id"].as_str().unwrap());
    }
    let until = Instant::now() + PATIENCE;
    while server.metric("studies_under_way") > 0.0 {
        assert!(Instant::now() < until, "places are given back");
    }
    assert!((server.metric("drafts_total") - taken.len() as f64).abs() < 0.5);
}

#[test]
fn a_caller_that_goes_takes_his_draft_with_him() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--batch-size", "1"]);
    for seed in 0..8 {
        let file = pgm(seed);
        let mut stream = server.connect();
        let head = server.head("POST", "/api/studies", &[("Accept", "text/event-stream")], file.len());
        stream.write_all(&[head.as_bytes(), &file].concat()).unwrap();
        // Until the first event: it has been taken.
        let mut lines = BufReader::new(&stream).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("event:")));
        drop(lines);
        drop(stream);
    }
    let until = Instant::now() + PATIENCE;
    while server.metric("studies_under_way") > 0.0 {
        assert!(Instant::now() < until, "places are given back");
    }
    let (drafted, cancelled) = (server.metric("drafts_total"), server.metric("drafts_cancelled_total"));
    // One that was nearly done when its caller went may have been finished, and one that was given up while it was being
    // recorded counts as both.
    let said = format!("{drafted} drafted, {cancelled} cancelled");
    assert!((4.0..8.5).contains(&cancelled) && drafted + cancelled > 7.5, "{said}");
    assert_eq!(server.get("/api/studies").json().as_array().unwrap().len(), drafted as usize);
}

#[test]
fn an_end_by_signal_finishes_what_has_begun() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let mut followed = Vec::new();
    for seed in 0..6 {
        let file = pgm(seed);
        let mut stream = server.connect();
        let head = server.head("POST", "/api/studies", &[("Accept", "text/event-stream")], file.len());
        stream.write_all(&[head.as_bytes(), &file].concat()).unwrap();
        let mut first = [0; 16];
        stream.read_exact(&mut first).unwrap();
        followed.push(stream);
    }
    server.terminate();
    for stream in followed {
        let rest = answer(stream);
        let text = String::from_utf8_lossy(&[rest.head.into_bytes(), rest.body].concat()).into_owned();
        assert!(text.contains("event: drafted"), "{text}");
    }
    assert_eq!(server.exit_code(), Some(0));
    let again = Server::start(folder.path(), &[]);
    assert_eq!(again.get("/api/studies").json().as_array().unwrap().len(), 6);
}

#[test]
fn other_hypotheses_are_offered_where_there_are_any() {
    let folder = folder();
    let server = Server::start(folder.path(), &["--beams", "4", "--n-best", "4"]);
    let offered = (0..6).any(|seed| {
        let study = server.drafted(&pgm(seed));
        study["rows"].as_array().unwrap().iter().any(|row| !row["alternatives"].as_array().unwrap().is_empty())
    });
    assert!(offered, "six studies, four hypotheses each, and not one alternative");
}

#[test]
fn a_watched_folder_is_drafted_once() {
    let folder = folder();
    let incoming = folder.path().join("incoming");
    std::fs::create_dir(&incoming).unwrap();
    std::fs::write(incoming.join("first.pgm"), pgm(1)).unwrap();
    std::fs::write(incoming.join("broken.png"), b"no image").unwrap();
    let arguments = ["--watch", incoming.to_str().unwrap(), "--settle", "0.2"];
    let listed = |server: &Server, wanted: usize| {
        let until = Instant::now() + PATIENCE;
        loop {
            let list = server.get("/api/studies").json();
            let list = list.as_array().unwrap().clone();
            if list.iter().filter(|it| it["state"] == "drafted").count() >= wanted {
                return list;
            }
            assert!(Instant::now() < until, "{list:?}");
        }
    };
    let server = Server::start(folder.path(), &arguments);
    listed(&server, 1);
    std::fs::write(incoming.join("second.pgm"), pgm(2)).unwrap();
    let list = listed(&server, 2);
    let broken = list.iter().find(|it| it["name"] == "broken.png").expect("it is told");
    assert!(broken["state"] == "failed" && broken["error"].as_str().is_some_and(|it| it.contains("text")), "{broken}");
    assert_eq!(server.stop(), Some(0));
    let again = Server::start(folder.path(), &arguments);
    std::fs::write(incoming.join("third.pgm"), pgm(3)).unwrap();
    let list = listed(&again, 3);
    for name in ["first.pgm", "second.pgm", "third.pgm"] {
        let found = list.iter().filter(|it| it["name"] == name).count();
        assert_eq!(found, 1, "{name}: what was drafted before is not drafted again");
    }
}
