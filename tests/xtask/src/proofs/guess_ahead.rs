//! Guessing tokens ahead changes no text; what it saves is measured, whatever it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::figures::{Figures, median, median_ratio};
use super::words::Words;
use super::workshop::Workshop;
use crate::phases::phase;
use crate::workspace::Workspace;

/// Images whose texts are compared, of phantoms.
const IMAGES: usize = 500;
/// Phantoms that are learnt, and optimizer steps for each of the models.
const LEARNT: &str = "2000";
const STEPS: usize = 700;
/// Real pairs, where they lie beside the tree: `reports.csv`, `meta.csv` with the patients, and `images/`.
const PAIRS: &str = "../shared/data/chest-pairs";
/// In the demo's size; reports of real pairs are longer than the phantoms'.
const PAIRS_LONGEST: &str = "--set dataset.MAX_REPORT_SIZE=160";

/// Runs `prove guess-ahead [--images N] [--rounds N] [--steps N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("guess-ahead", arguments, &["--images", "--rounds", "--steps"], &[])?;
    let (images, rounds) = (words.number("--images", IMAGES)?, words.number("--rounds", 3usize)?);
    let steps = words.number("--steps", STEPS)?;
    ensure!(images > 0 && rounds > 0, "`--images` and `--rounds` want at least 1");
    let shop = Workshop::new(workspace, "guess-ahead")?;
    let settings = workspace.path("settings/demo.json");
    let settings = settings.to_str().context("the path of the source tree is not UTF-8")?;
    let mut figures = Figures::default();

    phase("phantoms", || {
        shop.run("xreport-train", &["dataset", "phantoms", "--out", "phantoms", "--samples", LEARNT, "--seed", "1"])?;
        let held_out = images.to_string();
        shop.run("xreport-train", &["dataset", "phantoms", "--out", "unseen", "--samples", &held_out, "--seed", "99"])?;
        learn(&shop, settings, "phantoms", steps, "")
    })?;
    compare(&shop, "phantoms", "unseen/images", rounds, &mut figures)?;

    let pairs = workspace.path(PAIRS);
    if pairs.join("images").is_dir() {
        phase("real pairs", || {
            write_pairs(&pairs, &shop.path("pairs"))?;
            learn(&shop, settings, "pairs", steps, PAIRS_LONGEST)
        })?;
        compare(&shop, "pairs", "pairs/images", rounds, &mut figures)?;
    } else {
        println!("   skipped: the real pairs, `{PAIRS}` is not there");
    }
    Ok(figures.conclude())
}

/// Trains on the data set `name` and exports `name-model` with its table of n-grams.
fn learn(shop: &Workshop, settings: &str, name: &str, steps: usize, more: &str) -> Result<()> {
    let checkpoint = format!("{name}-checkpoint");
    let steps = format!("training.MAX_STEPS={steps}");
    let mut line = vec!["train", "--data", name, "--settings", settings, "--out", &checkpoint, "--set", &steps];
    line.extend(more.split_whitespace());
    shop.run("xreport-train", &line)?;
    let model = format!("{name}-model");
    shop.run("xreport-train", &["export", &checkpoint, "--out", &model, "--precision", "fp32", "--ngrams"])
}

/// The pairs with their patients in one table.
fn write_pairs(pairs: &Path, to: &Path) -> Result<()> {
    let rows = |file: &str| -> Result<Vec<BTreeMap<String, String>>> {
        let path = pairs.join(file);
        let mut reader = csv::Reader::from_path(&path).with_context(|| format!("`{}`", path.display()))?;
        Ok(reader.deserialize().collect::<Result<_, _>>()?)
    };
    let patients: BTreeMap<String, String> = rows("meta.csv")?
        .into_iter()
        .map(|mut row| (row["id"].clone(), row.remove("patient").unwrap_or_default()))
        .collect();
    fs::create_dir_all(to.join("images"))?;
    for entry in fs::read_dir(pairs.join("images"))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join("images").join(entry.file_name()))?;
    }
    let mut table = csv::Writer::from_path(to.join("reports.csv"))?;
    table.write_record(["id", "text", "patient"])?;
    for row in rows("reports.csv")? {
        table.write_record([&row["id"], &row["text"], patients.get(&row["id"]).context("an id without a patient")?])?;
    }
    Ok(table.flush()?)
}

/// Drafts the images plainly and with guesses, in turns.
fn compare(shop: &Workshop, name: &str, images: &str, rounds: usize, figures: &mut Figures) -> Result<()> {
    let (mut plain, mut guessing) = (Vec::new(), Vec::new());
    let (mut said, mut differing, mut count) = (String::new(), 0, 0);
    for round in 0..rounds {
        let draft = |ahead: bool| draft(shop, name, images, ahead);
        // Who goes first changes from round to round.
        let (first, second) = (draft(round % 2 == 1)?, draft(round % 2 == 0)?);
        let (without, with) = if round % 2 == 0 { (first, second) } else { (second, first) };
        ensure!(without.texts.len() == with.texts.len(), "the runs drafted different images");
        differing += without.texts.iter().zip(&with.texts).filter(|(a, b)| a != b).count();
        count = without.texts.len();
        plain.push(without.seconds);
        guessing.push(with.seconds);
        said = with.said;
    }
    let what = format!("{name}: texts that differ, of {count}");
    figures.target(&what, format!("{differing}"), "0", differing == 0);
    let ratio = median_ratio(&plain, &guessing);
    figures.inform(&format!("{name}: {said}"), format!("{ratio:.2} times as fast"));
    let each = 1e3 / count as f64;
    let times = format!("{:.2} and {:.2} ms", median(&plain) * each, median(&guessing) * each);
    figures.inform(&format!("{name}: a report, plainly and guessing"), times);
    Ok(())
}

/// What a run said and how long its decoding took.
struct Drafted {
    texts: Vec<[String; 2]>,
    seconds: f64,
    said: String,
}

fn draft(shop: &Workshop, name: &str, images: &str, ahead: bool) -> Result<Drafted> {
    let (model, out) = (format!("{name}-model"), "drafts.jsonl");
    let mut command = Command::new(shop.program("xreport")?);
    command.current_dir(shop.path("")).args(["generate", images, "--model", &model, "--out", out, "--fresh"]);
    command.args(["--batch-size", "1", "--threads", "1", "--device", "cpu", "--precision", "fp32", "--gate", "off"]);
    if ahead {
        command.arg("--guess-ahead");
    }
    let run = command.output().context("xreport cannot be started")?;
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    ensure!(run.status.success(), "xreport generate failed:\n{stderr}");
    let rows = fs::read_to_string(shop.path(out))?;
    let rows: Vec<Value> = rows.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let said = stderr.lines().find_map(|line| line.strip_prefix("guessed ahead: ")).unwrap_or_default().to_owned();
    Ok(Drafted {
        texts: rows.iter().map(|row| [word(row, "id"), word(row, "text")]).collect(),
        seconds: rows.iter().filter_map(|row| row["seconds"].as_f64()).sum(),
        said,
    })
}
