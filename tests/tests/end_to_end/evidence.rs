//! Where the model looked: maps over the picture beside each text, on scenes whose place is known.

use serde_json::Value;

use crate::scenes;
use crate::trained::{STUDIES, with_model};

/// Where the disc of a scene lies, in widths and heights of the picture.
fn place_of(index: usize) -> [f64; 2] {
    [if index % 2 == 1 { 40.0 } else { 14.0 } / 54.0, if index % 4 >= 2 { 36.0 } else { 12.0 } / 48.0]
}

/// The middle of a map's highest cell, in widths and heights of the picture.
fn peak(evidence: &Value, row: &Value) -> [f64; 2] {
    let number = |key: &str| evidence[key].as_f64().unwrap();
    let values: Vec<f64> = row["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    let best = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
    let columns = number("columns") as usize;
    let across = (best % columns) as f64 + 0.5;
    let down = (best / columns) as f64 + 0.5;
    [
        number("left") + across / number("columns") * number("width"),
        number("top") + down / number("lines") * number("height"),
    ]
}

/// The short form of `cargo xtask prove evidence`.
#[test]
fn the_model_looks_where_the_disc_lies() {
    let place = with_model();
    place.xreport("generate data/images --model model --out plain.csv").expect_code(0);
    place.xreport("generate data/images --model model --out maps.csv --evidence").expect_code(0);
    let (plain, maps) = (place.csv("plain.csv"), place.csv("maps.csv"));
    let mut hits = 0;
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
        let [x, y] = peak(&evidence, rows.iter().find(|row| row["text"].as_str().unwrap().contains("pacity")).unwrap());
        let [right, low] = place_of(index);
        // Two cells and the few pixels by which a disc wanders.
        hits += usize::from((x - right).abs() < 0.25 && (y - low).abs() < 0.28);
    }
    assert_eq!(maps.len(), STUDIES);
    assert!(hits * 10 >= STUDIES * 6, "{hits} of {STUDIES} peaks lie at the disc");
}

#[test]
fn a_bundle_that_cannot_tell_says_so() {
    let place = with_model();
    let older = xreport_tests::root().join("tests/bundles/v2");
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
