//! Trained on real radiographs, the deployed texts must tell pneumonia from its absence.
//!
//! The corpus is the pneumonia data set of Kermany, Zhang and Goldbaum (Mendeley Data rscbjbr9sj, CC BY 4.0) in its
//! public layout `chest_xray/train/{NORMAL,PNEUMONIA}`, as `dataset import pneumonia` makes a data set of it: the texts are
//! made from the labels and claim no more than these say, a tenth of the persons is held out. A pipeline proof, not a
//! diagnosis: a split inside one folder flatters.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::figures::Figures as Table;
use super::words::Words;
use super::workshop::Workshop;
use crate::phases::phase;
use crate::workspace::Workspace;

/// Where the corpus lies when no folder is named.
const CORPUS: &str = "../shared/data/pneumonia/chest_xray/train";
/// AUROC and accuracy of a PyTorch sketch of the same network and time.
const TARGETS: [f64; 2] = [0.995, 0.959];
/// Share of persons held out, in percent.
const HELD_OUT: &str = "10";
/// Share of persons by whom the best state is chosen, in percent, when nothing else is said.
const CHOOSING: u8 = 0;

/// Runs `prove radiographs [--corpus DIR] [--draws N] [--choosing PERCENT]`.
///
/// Unless `--choosing` gives a share of the persons, nobody chooses the best state: it is the last one.
///
/// A draw is another tenth of the persons and another training: about 500 images settle no third digit, so that the mean
/// over several draws is held against the targets. The first is the draw that `dataset import pneumonia` makes by itself.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("radiographs", arguments, &["--corpus", "--draws", "--choosing"], &[])?;
    let draws = words.number("--draws", 1u64)?;
    ensure!(draws > 0, "`--draws` wants at least 1");
    let corpus = words.text("--corpus").map_or_else(|| workspace.path(CORPUS), PathBuf::from);
    let corpus = std::path::absolute(&corpus)?;
    let settings = workspace.path("settings/radiographs.json");
    let choosing = words.number("--choosing", CHOOSING)?;
    let shop = Workshop::new(workspace, "radiographs")?;
    let mut all = Vec::new();
    for draw in 0..draws {
        let figures =
            phase(&format!("draw {} of {draws}", draw + 1), || draw_once(&shop, &corpus, &settings, draw, choosing))?;
        println!("   {}", figures.line());
        all.push(figures);
    }
    let mut table = Table::default();
    for (draw, figures) in all.iter().enumerate() {
        table.inform(&format!("draw {}, {} images", draw + 1, figures.images), figures.line());
    }
    let mean = |of: fn(&Figures) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    for (what, of, target) in [
        ("AUROC of pneumonia, mean", (|f| f.auroc) as fn(&Figures) -> f64, Some(TARGETS[0])),
        ("accuracy, mean", |f| f.accuracy, Some(TARGETS[1])),
        ("sensitivity, mean", |f| f.sensitivity, None),
        ("specificity, mean", |f| f.specificity, None),
        ("bacterial, viral or normal, mean", |f| f.three_way, None),
    ] {
        let (value, found) = (mean(of), format!("{:.4}", mean(of)));
        match target {
            Some(target) => table.target(what, found, format!("≥ {target}"), value >= target),
            None => table.inform(what, found),
        }
    }
    Ok(table.conclude())
}

/// Imports with a draw of its own, trains, drafts, and reads the drafts.
fn draw_once(shop: &Workshop, corpus: &Path, settings: &Path, draw: u64, choosing: u8) -> Result<Figures> {
    let [corpus, settings] = [corpus, settings].map(|path| path.to_str().context("the path is not UTF-8"));
    let (dataset, checkpoint, seed) = (format!("dataset-{draw}"), format!("checkpoint-{draw}"), draw.to_string());
    // The persons who are tested are not those by whom the best state is chosen.
    let validation = choosing.to_string();
    let parts = ["--split", "persons", "--test-percent", HELD_OUT, "--validation-percent", &validation];
    let mut import = vec!["dataset", "import", "pneumonia", corpus?, "--out", &dataset];
    import.extend(parts);
    if draw > 0 {
        import.extend(["--seed", &seed]);
    }
    shop.run("xreport-train", &import)?;
    let list = format!("held-out-{draw}.csv");
    let held_out = list_held_out(shop, &dataset, &list)?;
    println!("   {} images of {HELD_OUT} % of the persons are held out", held_out.len());
    let train = ["train", "--data", &dataset, "--settings", settings?, "--out", &checkpoint];
    shop.run("xreport-train", &train)?;
    let drafts = format!("drafts-{draw}.jsonl");
    shop.run("xreport", &["generate", &list, "--model", &checkpoint, "--token-ids", "--out", &drafts])?;
    let rows = fs::read_to_string(shop.path(&drafts)).context("the drafts cannot be read")?;
    Figures::of(&rows, &held_out)
}

/// An image of a held-out person: what its text should be, and whether it shows pneumonia.
struct HeldOut {
    text: String,
    is_ill: bool,
}

/// Lists the held-out images of the data set that the importer wrote, for `xreport generate`; gives them by their paths.
fn list_held_out(shop: &Workshop, dataset: &str, list: &str) -> Result<BTreeMap<String, HeldOut>> {
    let mut list = csv::Writer::from_path(shop.path(list))?;
    list.write_record(["path"])?;
    let mut held_out = BTreeMap::new();
    let table = shop.path(dataset).join("XREPORT_dataset.csv");
    let mut reader = csv::Reader::from_path(&table).with_context(|| format!("`{}` cannot be read", table.display()))?;
    for row in reader.deserialize() {
        let row: BTreeMap<String, String> = row?;
        let cell =
            |column: &str| row.get(column).with_context(|| format!("`{}` has no column {column}", table.display()));
        if cell("split")? == "test" {
            let path = format!("{dataset}/images/{}", cell("id")?);
            list.write_record([&path])?;
            let is_ill = cell("labels")?.starts_with("pneumonia");
            held_out.insert(path, HeldOut { text: cell("text")?.clone(), is_ill });
        }
    }
    list.flush()?;
    Ok(held_out)
}

/// How well the drafts tell pneumonia from its absence.
struct Figures {
    images: usize,
    auroc: f64,
    accuracy: f64,
    sensitivity: f64,
    specificity: f64,
    three_way: f64,
}

impl Figures {
    fn line(&self) -> String {
        let Self { images: _, auroc, accuracy, sensitivity, specificity, three_way } = self;
        format!(
            "AUROC {auroc:.4}, accuracy {accuracy:.4} ({sensitivity:.3} / {specificity:.3}), three ways {three_way:.3}"
        )
    }

    /// From the rows of `xreport generate --token-ids`; the score is the probability, at the word where the texts part,
    /// of the word that leads to pneumonia.
    fn of(rows: &str, truth: &BTreeMap<String, HeldOut>) -> Result<Self> {
        let mut scored = Vec::new();
        let mut exact = 0usize;
        let rows: Vec<serde_json::Value> =
            rows.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a row is no JSON")?;
        let parting = parting(&rows).context("all texts are alike")?;
        for row in &rows {
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let expected = truth.get(&word("id")).with_context(|| format!("unknown id in {row}"))?;
            let text = word("text");
            let there = word("log_probabilities").split(' ').nth(parting).and_then(|p| p.parse::<f64>().ok());
            let certain = there.with_context(|| format!("too short: {row}"))?.exp();
            let says = text.contains("is evidence of pneumonia");
            scored.push((if says { certain } else { 1.0 - certain }, says, expected.is_ill));
            exact += usize::from(text == expected.text);
        }
        ensure!(scored.len() == truth.len(), "{} drafts expected, found {}", truth.len(), scored.len());
        let share = |wanted: bool| {
            let group: Vec<_> = scored.iter().filter(|(_, _, truth)| *truth == wanted).collect();
            group.iter().filter(|(_, says, _)| *says == wanted).count() as f64 / group.len() as f64
        };
        let right = scored.iter().filter(|(_, says, truth)| says == truth).count();
        Ok(Self {
            images: scored.len(),
            auroc: auroc(&scored.iter().map(|&(score, _, truth)| (score, truth)).collect::<Vec<_>>()),
            accuracy: right as f64 / scored.len() as f64,
            sensitivity: share(true),
            specificity: share(false),
            three_way: exact as f64 / scored.len() as f64,
        })
    }
}

/// The token, counted from 0, with which the texts part: "there is NO evidence" or "there is EVIDENCE".
fn parting(rows: &[serde_json::Value]) -> Option<usize> {
    let tokens = |row: &serde_json::Value| -> Vec<String> {
        row["token_ids"].as_str().unwrap_or_default().split(' ').map(str::to_owned).collect()
    };
    let first = tokens(rows.first()?);
    rows.iter()
        .map(|row| first.iter().zip(tokens(row)).take_while(|(a, b)| **a == *b).count())
        .min()
        .filter(|&place| place < first.len())
}

/// The share of (positive, negative) pairs in which the positive scores higher; ties count half.
fn auroc(scored: &[(f64, bool)]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (positive, _) in scored.iter().filter(|(_, truth)| *truth) {
        for (negative, _) in scored.iter().filter(|(_, truth)| !*truth) {
            pairs += 1.0;
            wins += match positive.total_cmp(negative) {
                Ordering::Greater => 1.0,
                Ordering::Equal => 0.5,
                Ordering::Less => 0.0,
            };
        }
    }
    wins / pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_part_at_the_first_token_that_differs() {
        let row = |ids: &str| serde_json::json!({"token_ids": ids});
        assert_eq!(parting(&[row("7 8 9 4"), row("7 8 9 5"), row("7 8 3 9 4")]), Some(2));
        assert_eq!(parting(&[row("7 8"), row("7 8")]), None);
    }

    #[test]
    fn auroc_counts_pairs() {
        assert!((auroc(&[(0.9, true), (0.4, true), (0.5, false), (0.1, false)]) - 0.75).abs() < 1e-12);
        assert!((auroc(&[(0.5, true), (0.5, false)]) - 0.5).abs() < 1e-12);
    }
}
