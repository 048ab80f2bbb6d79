//! A model that cannot see is found out: trained on phantoms whose reports were dealt to the wrong images, it must not pass
//! for one that looks, however well its texts read.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::figures::Figures;
use super::random::Random;
use super::words::Words;
use super::workshop::Workshop;
use crate::phases::phase;
use crate::workspace::Workspace;

/// The reports that need an eye to beat them: by name, as the first table of the page has them.
const NEEDS_AN_EYE: [&str; 2] = ["best constant report, by observations", "shuffled images"];
/// Seed by which reports are dealt.
const SEED: u64 = 12;

/// Runs `prove blind [--steps N] [--samples N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("blind", arguments, &["--steps", "--samples"], &[])?;
    let steps = words.number("--steps", 700usize)?;
    let samples = words.number("--samples", 4000usize)?.to_string();
    let shop = Workshop::new(workspace, "blind")?;
    phase("draw", || {
        let draw = |words: &[&str]| shop.run("xreport-train", &[&["dataset", "phantoms"][..], words].concat());
        draw(&["--out", "dataset", "--samples", &samples, "--seed", "1"])?;
        draw(&["--out", "held-out", "--samples", "300", "--seed", "2"])
    })?;
    let table = fs::read_to_string(shop.path("dataset/XREPORT_dataset.csv"))?;
    fs::write(shop.path("dataset/dealt.csv"), dealt(&table)?)?;
    let settings = workspace.path("settings/demo.json");
    let settings = settings.to_str().context("the path of the source tree is not UTF-8")?;
    let steps = format!("training.MAX_STEPS={steps}");
    let mut figures = Figures::default();
    for (name, csv) in [("seeing", "dataset/XREPORT_dataset.csv"), ("blind", "dataset/dealt.csv")] {
        phase(&format!("the {name} model"), || {
            let train =
                ["train", "--data", "dataset", "--csv", csv, "--settings", settings, "--set", &steps, "--out", name];
            shop.run("xreport-train", &train)?;
            let results = format!("{name}-results");
            let evaluate =
                ["evaluate", "--model", name, "--data", "held-out", "--training", "dataset", "--out", &results];
            shop.run("xreport-train", &evaluate)
        })?;
        judge(&shop, name, &mut figures)?;
    }
    println!("   pages: {}", shop.path("{seeing,blind}-results/index.html").display());
    Ok(figures.conclude())
}

/// Whether the page's first table and verdict say of the model what is true of it.
fn judge(shop: &Workshop, name: &str, figures: &mut Figures) -> Result<()> {
    let path = shop.path(format!("{name}-results/results.json"));
    let results: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let systems = results["baselines"]["systems"].as_array().context("no systems in the results")?;
    let page = fs::read_to_string(shop.path(format!("{name}-results/index.html")))?;
    for baseline in NEEDS_AN_EYE {
        let system = systems.iter().find(|system| system["name"] == baseline);
        let system = system.with_context(|| format!("no system `{baseline}` in the results"))?;
        let lead = &system["figures"][0]["lead"];
        let value = |key: &str| lead[key].as_f64().with_context(|| format!("no `{key}` of the lead over `{baseline}`"));
        let beats = value("low")? > 0.0;
        figures.target(
            &format!("the {name} model's lead over “{baseline}”, claims F1"),
            format!("{:+.3} ({:+.3} to {:+.3})", value("difference")?, value("low")?, value("high")?),
            if name == "blind" { "none" } else { "above 0" }.to_owned(),
            beats == (name == "seeing"),
        );
        let told = page.contains(&format!("does NOT beat “{baseline}”"));
        ensure!(
            told != beats,
            "the page {} that the model does not beat “{baseline}”",
            if told { "says" } else { "does not say" }
        );
    }
    Ok(())
}

/// The table with its texts dealt to other rows: every image keeps a well-formed report, of another image.
fn dealt(table: &str) -> Result<String> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers()?.clone();
    let text = header.iter().position(|cell| cell == "text").context("the table has no column text")?;
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
    ensure!(rows.len() > 1, "nothing to deal: {} rows", rows.len());
    // Sattolo's shuffle: one cycle, so that no text stays where it was.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut random = Random::new(SEED);
    for last in (1..order.len()).rev() {
        order.swap(last, (random.fraction() * last as f64) as usize);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for (row, &from) in rows.iter().zip(&order) {
        writer
            .write_record(row.iter().enumerate().map(|(at, cell)| if at == text { &rows[from][text] } else { cell }))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_goes_to_another_row() {
        let table: String = std::iter::once("id,text,patient\n".to_owned())
            .chain((0..40).map(|n| format!("i{n},\"text, {n}\",p{n}\n")))
            .collect();
        let dealt = dealt(&table).expect("well formed");
        let mut seen = std::collections::BTreeSet::new();
        for (at, row) in csv::Reader::from_reader(dealt.as_bytes()).records().enumerate() {
            let row = row.expect("a row");
            assert_eq!((&row[0], &row[2]), (&*format!("i{at}"), &*format!("p{at}")));
            assert_ne!(&row[1], format!("text, {at}"));
            seen.insert(row[1].to_owned());
        }
        assert_eq!(seen.len(), 40);
    }
}
