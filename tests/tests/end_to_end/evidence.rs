//! Where the model looked: maps over the picture beside each text.

use std::collections::BTreeMap;

use serde_json::Value;
use xreport_models::bundle::Bundle;
use xreport_tests::{root, skipped};

#[path = "../../xtask/src/proofs/evidence/pointing.rs"]
#[allow(dead_code, reason = "shared with the proof, which reads the rest")]
mod pointing;

use crate::scenes;
use crate::trained::{STUDIES, with_model};
use crate::workplace::Workplace;
use pointing::{KINDS, Map, Tally};

#[test]
fn each_sentence_has_a_map_over_the_picture_and_no_text_changes() {
    let place = with_model();
    place.xreport("generate data/images --model model --out plain.csv").expect_code(0);
    place.xreport("generate data/images --model model --out maps.csv --evidence").expect_code(0);
    let (plain, maps) = (place.csv("plain.csv"), place.csv("maps.csv"));
    for (index, (plain, row)) in plain.iter().zip(&maps).enumerate() {
        assert_eq!(&row["id"], format!("{}.png", scenes::id(index)));
        assert_eq!(&plain["text"], &row["text"], "a map changes no text");
        let evidence: Value = serde_json::from_str(&row["evidence"]).unwrap();
        assert_eq!(evidence["mark"], "Where the model looked, not proof");
        // 54 x 48 pixels in 32 x 32: two lines of the input above the picture, which is 28 lines high.
        let [top, height] = ["top", "height"].map(|key| evidence[key].as_f64().unwrap());
        assert!((top + 2.0 / 28.0).abs() < 1e-9 && (height - 32.0 / 28.0).abs() < 1e-9, "{evidence}");
        let rows = evidence["rows"].as_array().unwrap();
        let texts: Vec<&str> = rows.iter().map(|row| row["text"].as_str().unwrap()).collect();
        assert_eq!(texts.join(" "), row["text"], "a map for each sentence");
        for row in rows {
            let values: Vec<f64> = row["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert!(values.len() == 64 && (mean - 1.0).abs() < 0.01, "even shares: {row}");
        }
    }
    assert_eq!(maps.len(), STUDIES);
    assert!(maps[0]["evidence"] != maps[1]["evidence"], "another image, other maps");
}

/// The short form of `cargo xtask prove evidence`: on fewer phantoms, all findings together.
#[test]
fn the_demo_model_looks_where_the_finding_was_drawn() {
    let demo = root().join("models/demo");
    if Bundle::load(&demo).unwrap().manifest().evidence.is_none() {
        return skipped("models/demo has no evidence graph: it was exported before there was one");
    }
    let place = Workplace::new();
    place.train("dataset phantoms --out set --samples 80 --seed 4711").expect_code(0);
    place.xreport(&format!("generate set/images --model {} --out maps.csv --evidence", demo.display())).expect_code(0);
    let drawn: BTreeMap<String, Vec<_>> = place
        .csv("set/findings.csv")
        .iter()
        .map(|row| (format!("{}.png", &row["id"]), pointing::drawn(&row["boxes"], 256.0).unwrap()))
        .collect();
    let mut tally = Tally::default();
    for row in place.csv("maps.csv") {
        let maps = Map::all(&serde_json::from_str(&row["evidence"]).unwrap()).unwrap();
        for kind in &KINDS {
            tally.add(kind, &maps, &drawn[&row["id"]]);
        }
    }
    let found = format!("{tally:?}");
    assert!(tally.in_box.of >= 40 && tally.on_side.of >= 30, "too few to tell: {found}");
    assert!(tally.on_side.share() >= 0.9 && tally.in_box.share() >= 0.6, "{found}");
    // What a blind map would reach.
    assert!(tally.chance / (tally.in_box.of as f64) < 0.3 && tally.centre.share() < 0.5, "{found}");
}

#[test]
fn a_bundle_that_cannot_tell_says_so() {
    let place = with_model();
    let older = root().join("tests/bundles/v2");
    let line = format!("generate data/images --model {} --out maps.csv --evidence", older.display());
    let run = place.xreport(&line).expect_code(2);
    assert!(run.stderr.contains("--evidence: a bundle that can say where it looked expected"), "{run}");
    assert!(run.stderr.contains("hint: export its checkpoint again") && !place.has("maps.csv"), "{run}");
    let info = place.xreport(&format!("info {}", older.display())).expect_code(0);
    assert!(info.stdout.contains("evidence        none"), "{info}");
    let info = place.xreport("info model").expect_code(0);
    assert!(info.stdout.contains("says where it looked"), "{info}");
    let verified = place.xreport("verify model").expect_code(0);
    assert!(verified.stdout.contains("ok  says where it looked"), "{verified}");
}
