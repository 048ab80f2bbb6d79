//! Texts come back: a network that learns 32 real pairs by heart reproduces them through the deployed runtime.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::workshop::Workshop;
use crate::phases::phase;
use crate::workspace::Workspace;

/// Where the pairs lie when no folder is named: a data set with `reports.csv` and `images/`.
const PAIRS: &str = "../shared/data/chest-pairs";
/// Texts of 32 that must come back.
const TARGET: usize = 30;
/// 60 tokens and the start token; a text that is cut has no end token to learn.
const SETTINGS: &str = r#"{
  "dataset": {"SAMPLE_SIZE": 32, "VALIDATION_SIZE": 0, "MAX_REPORT_SIZE": 61},
  "model": {"IMG_SHAPE": [128, 128, 1], "CONV_CHANNELS": [16, 32, 64, 128], "EMBEDDING_DIMS": 128, "NUM_HEADS": 4,
            "FFN_EXPANSION": 2, "DROPOUT": 0},
  "training": {"EPOCHS": 400, "BATCH_SIZE": 16, "LEARNING_RATE": 0.001, "WARMUP_STEPS": 50, "WEIGHT_DECAY": 0,
               "SAVE_EVERY_STEPS": 0},
  "evaluation": {"SAMPLE_SIZE": 32}
}"#;

/// Runs `prove overfit [PAIRS]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let pairs = arguments.first().map_or_else(|| workspace.path(PAIRS), PathBuf::from);
    if !pairs.join("images").is_dir() {
        bail!("`{}` has no folder images\nhint: name a data set of real pairs", pairs.display());
    }
    let pairs = pairs.canonicalize()?;
    let pairs = pairs.to_str().context("the data set's path is not UTF-8")?;
    let shop = Workshop::new(workspace, "overfit")?;
    fs::write(shop.path("settings.json"), SETTINGS)?;
    phase("train", || {
        shop.run("xreport-train", &["train", "--data", pairs, "--settings", "settings.json", "--out", "checkpoint"])
    })?;
    phase("draft and compare", || {
        shop.run("xreport-train", &["evaluate", "--model", "checkpoint", "--data", pairs, "--out", "results"])?;
        let images = format!("{pairs}/images");
        shop.run("xreport", &["generate", &images, "--model", "checkpoint", "--out", "drafts.jsonl"])
    })?;
    let expected = attainable(&fs::read_to_string(shop.path("results/reports.csv"))?)?;
    let drafts = fs::read_to_string(shop.path("drafts.jsonl"))?;
    let mut back = 0;
    for line in drafts.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let id = row["id"].as_str().unwrap_or_default();
        let id = id.rsplit_once('.').map_or(id, |(stem, _)| stem);
        back += usize::from(
            expected.iter().any(|(known, text)| known == id && Some(text.as_str()) == row["text"].as_str()),
        );
    }
    println!("   {back} of {} texts came back (target {TARGET})", expected.len());
    Ok(expected.len() == 32 && back >= TARGET)
}

/// Id and attainable text of each row of an evaluation's `reports.csv`.
fn attainable(table: &str) -> Result<Vec<(String, String)>> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers()?.clone();
    let column = |name: &str| header.iter().position(|cell| cell == name).with_context(|| format!("no column {name}"));
    let (id, text) = (column("id")?, column("attainable")?);
    reader.records().map(|record| Ok(record.map(|cells| (cells[id].to_owned(), cells[text].to_owned()))?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_cells_are_read() {
        let csv = "id,text,attainable\na,\"x, \"\"y\"\"\",\"one\ntwo\"\n";
        assert_eq!(attainable(csv).expect("well formed"), [("a".to_owned(), "one\ntwo".to_owned())]);
    }
}
