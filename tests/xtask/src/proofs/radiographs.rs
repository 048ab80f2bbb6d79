//! Trained on real radiographs, the deployed texts must tell pneumonia from its absence.
//!
//! The corpus is the pneumonia data set of Kermany, Zhang and Goldbaum (Mendeley Data rscbjbr9sj, CC BY 4.0) in its
//! public layout `chest_xray/train/{NORMAL,PNEUMONIA}`. The texts are made from the labels and claim no more than these
//! say. A tenth of the persons is held out. A pipeline proof, not a diagnosis: a split inside one folder flatters.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::programs::Programs;
use crate::phases::{phase, succeeds};
use crate::workspace::Workspace;

/// Where the corpus lies when no folder is named.
const CORPUS: &str = "../shared/data/pneumonia/chest_xray/train";
/// Everything that the proof makes.
const WORK: &str = "target/proofs/radiographs";
/// AUROC and accuracy of a PyTorch sketch of the same network and time.
const TARGETS: [f64; 2] = [0.995, 0.959];
/// Share of persons held out, in percent.
const HELD_OUT: u8 = 10;

const NORMAL: &str = "Frontal chest radiograph of a child. There is no evidence of pneumonia.";
const BACTERIAL: &str = "Frontal chest radiograph of a child. There is evidence of pneumonia, labelled bacterial.";
const VIRAL: &str = "Frontal chest radiograph of a child. There is evidence of pneumonia, labelled viral.";
/// The token with which the texts part: "there is NO evidence" or "there is EVIDENCE", counted from 0.
const PARTING: usize = 9;

/// Runs `prove radiographs [CORPUS]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let corpus = arguments.first().map_or_else(|| workspace.path(CORPUS), PathBuf::from);
    if !corpus.join("NORMAL").is_dir() {
        bail!("`{}` has no folder NORMAL\nhint: name the corpus's chest_xray/train folder", corpus.display());
    }
    let programs = Programs::built(workspace)?;
    let work = workspace.path(WORK);
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("`{}` cannot be removed", work.display()))?;
    }
    let held_out = write_data_set(&corpus, &work.join("dataset"))?;
    println!("   {} images of {HELD_OUT} % of the persons are held out", held_out.len());
    let run = |program: &str, words: &[&str]| -> Result<()> {
        println!("   {program} {}", words.join(" "));
        ensure!(
            succeeds(Command::new(programs.path(program)?).args(words).current_dir(&work))?,
            "it failed: see above"
        );
        Ok(())
    };
    let settings = workspace.path("settings/radiographs.json");
    let settings = settings.to_str().context("the path of the source tree is not UTF-8")?;
    phase("train", || {
        run("xreport-train", &["train", "--data", "dataset", "--settings", settings, "--out", "checkpoint"])
    })?;
    phase("draft", || {
        let to = ["generate", "held-out.csv", "--model", "checkpoint", "--token-ids", "--out", "drafts.jsonl"];
        run("xreport", &to)
    })?;
    let rows = fs::read_to_string(work.join("drafts.jsonl")).context("the drafts cannot be read")?;
    let figures = Figures::of(&rows, &held_out)?;
    println!("   AUROC of pneumonia            {:.4}  (target {})", figures.auroc, TARGETS[0]);
    println!("   accuracy                      {:.4}  (target {})", figures.accuracy, TARGETS[1]);
    println!("   sensitivity, specificity      {:.4}, {:.4}", figures.sensitivity, figures.specificity);
    println!("   bacterial, viral or normal    {:.4}", figures.three_way);
    Ok(figures.auroc >= TARGETS[0] && figures.accuracy >= TARGETS[1])
}

/// Writes the data set beside links to the images, and the list of held-out images; label text by image.
fn write_data_set(corpus: &Path, out: &Path) -> Result<BTreeMap<String, &'static str>> {
    fs::create_dir_all(out).with_context(|| format!("`{}` cannot be made", out.display()))?;
    let images = fs::canonicalize(corpus)?;
    link(&images, &out.join("images"))?;
    let mut table = csv::Writer::from_path(out.join("XREPORT_dataset.csv"))?;
    table.write_record(["id", "text", "patient", "split"])?;
    let mut list = csv::Writer::from_path(out.with_file_name("held-out.csv"))?;
    list.write_record(["path"])?;
    let mut held_out = BTreeMap::new();
    for class in ["NORMAL", "PNEUMONIA"] {
        let mut names: Vec<String> = fs::read_dir(images.join(class))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.sort();
        for name in names.iter().filter(|name| name.to_ascii_lowercase().ends_with("jpeg")) {
            let person = person(class, name);
            let text = label_text(class, name);
            let id = format!("{class}/{name}");
            let held = Sha256::digest(format!("held out {person}"))[0] < (256 * u16::from(HELD_OUT) / 100) as u8;
            let split = if held { "validation" } else { "train" };
            table.write_record([&id, text, &person, split])?;
            if held {
                let path = format!("dataset/images/{id}");
                list.write_record([&path])?;
                held_out.insert(path, text);
            }
        }
    }
    table.flush()?;
    list.flush()?;
    fs::write(out.join("NOTICE.txt"), "taught texts made from labels, mostly of children; a proof of the pipeline\n")?;
    Ok(held_out)
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(from, to)
}

/// A person is class and number: `person12_virus_46.jpeg`, `IM-0115-0001.jpeg`, `NORMAL2-IM-0383-0001.jpeg`.
fn person(class: &str, name: &str) -> String {
    let number = match name.split_once("IM-") {
        Some((before, after)) => format!("{before}IM-{}", after.split('-').next().unwrap_or(after)),
        None => name.split('_').next().unwrap_or(name).to_owned(),
    };
    format!("{class}-{number}")
}

fn label_text(class: &str, name: &str) -> &'static str {
    match (class, name.contains("bacteria")) {
        ("NORMAL", _) => NORMAL,
        (_, true) => BACTERIAL,
        (_, false) => VIRAL,
    }
}

/// How well the drafts tell pneumonia from its absence.
struct Figures {
    auroc: f64,
    accuracy: f64,
    sensitivity: f64,
    specificity: f64,
    three_way: f64,
}

impl Figures {
    /// From the rows of `xreport generate --token-ids`; the score is the probability, at the word where the texts part,
    /// of the word that leads to pneumonia.
    fn of(rows: &str, truth: &BTreeMap<String, &'static str>) -> Result<Self> {
        let mut scored = Vec::new();
        let mut exact = 0usize;
        for line in rows.lines() {
            let row: serde_json::Value = serde_json::from_str(line).context("a row is no JSON")?;
            let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            let expected = *truth.get(&word("id")).with_context(|| format!("unknown id in {line}"))?;
            let text = word("text");
            let parting = word("log_probabilities").split(' ').nth(PARTING).and_then(|p| p.parse::<f64>().ok());
            let certain = parting.with_context(|| format!("too short: {line}"))?.exp();
            let says = text.contains("is evidence of pneumonia");
            scored.push((if says { certain } else { 1.0 - certain }, says, expected != NORMAL));
            exact += usize::from(text == expected);
        }
        ensure!(scored.len() == truth.len(), "{} drafts expected, found {}", truth.len(), scored.len());
        let share = |wanted: bool| {
            let group: Vec<_> = scored.iter().filter(|(_, _, truth)| *truth == wanted).collect();
            group.iter().filter(|(_, says, _)| *says == wanted).count() as f64 / group.len() as f64
        };
        let right = scored.iter().filter(|(_, says, truth)| says == truth).count();
        Ok(Self {
            auroc: auroc(&scored.iter().map(|&(score, _, truth)| (score, truth)).collect::<Vec<_>>()),
            accuracy: right as f64 / scored.len() as f64,
            sensitivity: share(true),
            specificity: share(false),
            three_way: exact as f64 / scored.len() as f64,
        })
    }
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
    fn persons_and_labels_are_read_from_names() {
        assert_eq!(person("PNEUMONIA", "person12_virus_46.jpeg"), "PNEUMONIA-person12");
        assert_eq!(person("NORMAL", "IM-0115-0001.jpeg"), "NORMAL-IM-0115");
        assert_eq!(person("NORMAL", "NORMAL2-IM-0383-0001-0002.jpeg"), "NORMAL-NORMAL2-IM-0383");
        assert_eq!(label_text("PNEUMONIA", "person1_bacteria_2.jpeg"), BACTERIAL);
    }

    #[test]
    fn auroc_counts_pairs() {
        assert!((auroc(&[(0.9, true), (0.4, true), (0.5, false), (0.1, false)]) - 0.75).abs() < 1e-12);
        assert!((auroc(&[(0.5, true), (0.5, false)]) - 0.5).abs() < 1e-12);
    }
}
