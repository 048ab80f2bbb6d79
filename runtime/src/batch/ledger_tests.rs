use super::*;
use crate::batch::{Places, assemble};
use crate::output::Format;

const IDS: [&str; 3] = ["a.png", "sub/b.png", "c.png"];

fn settings(bundle: &str) -> Settings {
    [("bundle".to_owned(), bundle.into())].into_iter().collect()
}

fn row(id: &str) -> ResultRow {
    ResultRow {
        id: id.into(),
        text: format!("Text of {id}, with a \"quote\", a comma\nand a line."),
        status: "ok",
        error: String::new(),
        warnings: String::new(),
        mean_log_probability: Some(-0.1),
        tokens: Some(3),
        finish: "end",
        seconds: Some(0.25),
        bundle: "b".into(),
        variant: "fp32-cpu".into(),
        token_ids: None,
        log_probabilities: None,
        evidence: None,
        alternatives: None,
        notice: "draft".into(),
    }
}

fn failed(id: &str) -> ResultRow {
    ResultRow { status: "failed", error: "is damaged".into(), text: String::new(), tokens: None, ..row(id) }
}

/// A ledger of three inputs that came to its end.
fn whole(path: &Path) -> Ledger {
    let mut ledger = Ledger::open(path, &settings("b"), false).expect("opened");
    for (place, id) in IDS.iter().enumerate() {
        ledger.record(place, None, &row(id)).expect("recorded");
    }
    ledger.finish(End { inputs: 3, of: 3, done: 3, failed: 0 }).expect("finished");
    ledger
}

fn table(ledger: &Ledger, out: &Path) -> String {
    let places = Places { out: out.to_owned(), format: Format::of_path(out), shard: None };
    assemble(&places, ledger.in_order().iter().map(|known| ledger.row(known))).expect("assembled");
    std::fs::read_to_string(places.table()).expect("read")
}

#[test]
fn cut_at_any_byte_it_goes_on_and_the_output_is_the_same() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let out = folder.path().join("out.csv");
    let path = folder.path().join("whole");
    let expected = table(&whole(&path), &out);
    let bytes = std::fs::read(&path).expect("read");
    for length in 0..=bytes.len() {
        let cut = folder.path().join("cut");
        std::fs::write(&cut, &bytes[..length]).expect("written");
        let mut ledger = Ledger::open(&cut, &settings("b"), false).expect("goes on");
        let lines = bytes[..length].split(|&byte| byte == b'\n').count() - 1;
        assert_eq!(ledger.known().len(), lines.saturating_sub(1).min(3), "cut at {length}");
        assert_eq!((ledger.unreadable(), ledger.end().is_some()), (0, length == bytes.len()));
        // A table is synced to the disk: not for each of a thousand bytes.
        if length % 16 != 0 {
            continue;
        }
        for (place, id) in IDS.iter().enumerate() {
            if !ledger.known().contains_key(*id) {
                ledger.record(place, None, &row(id)).expect("recorded");
            }
        }
        assert_eq!(table(&ledger, &out), expected, "cut at {length}");
    }
}

#[test]
fn tables_hold_each_input_once_in_its_place() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut ledger = Ledger::open(&folder.path().join("l"), &settings("b"), false).expect("opened");
    ledger.record(2, None, &row("c.png")).expect("recorded");
    ledger.record(0, None, &failed("a.png")).expect("recorded");
    ledger.record(1, None, &row("gone.png")).expect("recorded");
    ledger.record(0, None, &row("a.png")).expect("a later result counts");
    ledger.put_in_order(|id| IDS.iter().position(|known| *known == id)).expect("ordered");
    let lines = table(&ledger, &folder.path().join("out.jsonl"));
    let ids: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids: Vec<&str> = ids.iter().map(|line| line["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["a.png", "c.png"]);
    assert_eq!(lines.lines().next(), Some(&*serde_json::to_string(&row("a.png")).expect("a row")));
    // What a text-file output lacks is written from the ledger.
    let index = table(&ledger, &folder.path().join("texts"));
    assert_eq!(index, table(&ledger, &folder.path().join("out.csv")));
    let text = std::fs::read_to_string(folder.path().join("texts/c.png.txt")).expect("written");
    assert!(text.starts_with("Text of c.png") && text.ends_with("\n\n[draft]\n"), "{text}");
    drop(ledger);
    let again = Ledger::open(&folder.path().join("l"), &settings("b"), false).expect("opened");
    assert_eq!(again.known().len(), 2, "what is gone stays gone");
}

#[test]
fn a_damaged_line_costs_its_input_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("l");
    drop(whole(&path));
    let mut bytes = std::fs::read(&path).expect("read");
    let second = bytes.iter().position(|&byte| byte == b'\n').expect("lines") + 20;
    bytes[second..second + 30].fill(0);
    std::fs::write(&path, bytes).expect("written");
    let ledger = Ledger::open(&path, &settings("b"), false).expect("opened");
    assert_eq!((ledger.unreadable(), ledger.known().len()), (1, 2));
    assert!(!ledger.known().contains_key("a.png"));
}

#[test]
fn rows_of_other_settings_are_not_mixed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("l");
    drop(whole(&path));
    let refused = Ledger::open(&path, &settings("other"), false).expect_err("refused").to_string();
    assert!(
        refused.contains("`bundle` is \"other\" now and was \"b\" there") && refused.contains("--fresh"),
        "{refused}"
    );
    assert!(Ledger::open(&path, &settings("other"), true).expect("fresh").known().is_empty());
    // Nothing was done with these: nothing to mix.
    assert!(Ledger::open(&path, &settings("third"), false).is_ok());
    std::fs::write(&path, "id,text\n").expect("written");
    let refused = Ledger::open(&path, &settings("b"), false).expect_err("refused");
    assert!(matches!(refused, LedgerError::NotALedger { .. }), "{refused}");
    std::fs::write(&path, "{\"kind\":\"run\",\"format_version\":9,\"program\":\"9\",\"time\":\"\",\"settings\":{}}\n")
        .expect("written");
    let refused = Ledger::open(&path, &settings("b"), false).expect_err("refused").to_string();
    assert!(refused.contains("found 9"), "{refused}");
}

#[test]
fn two_runs_do_not_write_one_ledger() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("l");
    let first = whole(&path);
    let second = Ledger::open(&path, &settings("b"), false);
    assert!(matches!(second, Err(LedgerError::InUse(_))), "{second:?}");
    drop(first);
    assert!(Ledger::open(&path, &settings("b"), false).is_ok());
}
