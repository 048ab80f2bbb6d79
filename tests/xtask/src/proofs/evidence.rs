//! Where the model looked, held against where the finding was drawn: does a map's peak lie in it?

pub mod pointing;

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::batch;
use super::figures::Figures;
use super::words::Words;
use super::workshop::Workshop;
use crate::phases::phase;
use crate::workspace::Workspace;
use pointing::{Drawn, KINDS, MARGIN, Map, Tally};

/// Side of the drawn radiographs in pixels.
const SIDE: f64 = 256.0;
/// Of another set than the demo's: on that one the rule that makes a map of attention was chosen.
const SEED: u64 = 4711;
/// Of the peaks.
const LEAST_ON_SIDE: f64 = 0.9;
const LEAST_IN_BOX: f64 = 0.6;

/// Runs `prove evidence [--samples N] [--seed S] [--bundle DIR]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("evidence", arguments, &["--samples", "--seed", "--bundle"], &[])?;
    let samples = words.number("--samples", 300usize)?.to_string();
    let seed = words.number("--seed", SEED)?.to_string();
    let bundle = batch::bundle(workspace, &words)?;
    let bundle = bundle.to_str().context("the path of the bundle is not UTF-8")?;
    let shop = Workshop::new(workspace, "evidence")?;
    let draw = ["dataset", "phantoms", "--out", "set", "--samples", &samples, "--seed", &seed];
    phase("draw", || shop.run("xreport-train", &draw))?;
    let draft = |out: &str, more: &[&str]| {
        let words = ["generate", "set/images", "--model", bundle, "--device", "cpu", "--out", out];
        let started = Instant::now();
        phase("draft", || shop.run("xreport", &[&words[..], more].concat()))?;
        anyhow::Ok((started.elapsed().as_secs_f64(), rows(&shop, out)?))
    };
    let (alone, plain) = draft("plain.jsonl", &[])?;
    let (with_maps, maps) = draft("maps.jsonl", &["--evidence"])?;
    let mut figures = Figures::default();
    let same = |(id, row): &(&String, &Value)| maps.get(*id).is_some_and(|its| its["text"] == row["text"]);
    let changed = plain.len() - plain.iter().filter(same).count();
    figures.target("texts that --evidence changes", changed.to_string(), "0", changed == 0 && !plain.is_empty());
    figures.inform("a run with maps over one without", format!("{:.2}", with_maps / alone));
    judge(&drawn(&shop)?, &maps, &mut figures)?;
    Ok(figures.conclude())
}

/// The rows of a run by the id of the image, without its extension.
fn rows(shop: &Workshop, name: &str) -> Result<BTreeMap<String, Value>> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line)?;
        let id = row["id"].as_str().context("a row has an id")?.trim_end_matches(".png").to_owned();
        Ok((id, row))
    };
    fs::read_to_string(shop.path(name))?.lines().map(row).collect()
}

/// What is drawn on each image.
fn drawn(shop: &Workshop) -> Result<BTreeMap<String, Vec<Drawn>>> {
    let mut table = csv::Reader::from_path(shop.path("set/findings.csv"))?;
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row?;
        Ok((row[0].to_owned(), pointing::drawn(&row[2], SIDE).with_context(|| format!("boxes of {row:?}"))?))
    };
    table.records().map(row).collect()
}

fn judge(drawn: &BTreeMap<String, Vec<Drawn>>, rows: &BTreeMap<String, Value>, figures: &mut Figures) -> Result<()> {
    let mut tallies = KINDS.map(|_| Tally::default());
    for (id, row) in rows {
        let evidence = row["evidence"].as_str().with_context(|| format!("no maps in {row}"))?;
        let maps = Map::all(&serde_json::from_str(evidence)?).with_context(|| format!("maps of {id}"))?;
        let there = drawn.get(id).with_context(|| format!("unknown image {id}"))?;
        for (kind, tally) in KINDS.iter().zip(&mut tallies) {
            tally.add(kind, &maps, there);
        }
    }
    figures.inform("margin around a drawn box", format!("{MARGIN} of the picture's side"));
    for (kind, tally) in KINDS.iter().zip(&tallies) {
        let [side, inside] = [tally.on_side.share(), tally.in_box.share()];
        figures.inform(
            &format!("{}: images that show it; sentences measured", kind.name),
            format!("{}; {}", tally.shown, tally.in_box.of),
        );
        figures.target(
            &format!("{}: peak on its side (chance 0.50, the centre on none)", kind.name),
            format!("{side:.3} of {}", tally.on_side.of),
            "≥ 0.9",
            side >= LEAST_ON_SIDE,
        );
        let [chance, centre] = [tally.chance / tally.in_box.of.max(1) as f64, tally.centre.share()];
        figures.target(
            &format!("{}: peak in its box (chance {chance:.2}, the centre {centre:.2})", kind.name),
            format!("{inside:.3} of {}", tally.in_box.of),
            "≥ 0.6",
            inside >= LEAST_IN_BOX,
        );
        figures.inform(&format!("{}: … without the margin", kind.name), format!("{:.3}", tally.within.share()));
    }
    Ok(())
}
