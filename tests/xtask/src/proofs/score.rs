//! Scoring 100,000 pairs: time and memory of `xreport-train score`, and beside pycocoevalcap.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures::Figures;
use super::peer::Peer;
use super::programs::{self, Programs, number};
use super::slim::peak_memory;
use super::words::Words;
use crate::workspace::Workspace;

/// Longest time for all metrics under three treatments and all labels.
const SECONDS: f64 = 120.0;
/// Largest resident memory, in MiB.
const MEMORY: f64 = 2e9 / 1_048_576.0;
/// Cores that the time is promised for.
const THREADS: &str = "2";
/// How far figures of both sides may differ.
const TOLERANCE: f64 = 1e-4;

const SENTENCES_PER_REPORT: usize = 7;

/// What the reports are made of; `#` becomes a number.
const SENTENCES: [&str; 32] = [
    "The heart is normal in size.",
    "Heart size is at the upper limits of normal.",
    "The cardiac silhouette is mildly enlarged.",
    "Stable cardiomegaly.",
    "The mediastinal contours are within normal limits.",
    "The cardiomediastinal silhouette is unremarkable.",
    "The lungs are clear.",
    "There is no focal consolidation, pleural effusion, or pneumothorax.",
    "No pneumothorax or large pleural effusion is seen.",
    "There is a small left pleural effusion with adjacent atelectasis.",
    "A # mm nodule is seen in the right upper lobe.",
    "Patchy opacity in the left lower lobe, which may reflect atelectasis or pneumonia.",
    "Bibasilar atelectasis, right greater than left.",
    "Mild pulmonary vascular congestion without overt edema.",
    "The endotracheal tube ends # mm above the carina.",
    "A right central line is in place.",
    "Left chest pacemaker with leads in the right atrium and ventricle.",
    "Degenerative changes of the thoracic spine.",
    "No acute bony abnormality.",
    "There is an old healed fracture of the left #th rib.",
    "Calcified granuloma measuring # mm in the right lung base.",
    "The right hemidiaphragm is elevated.",
    "Interval resolution of the right lower lobe consolidation.",
    "No evidence of active tuberculosis.",
    "Hyperinflated lungs with flattened diaphragms.",
    "Pleural thickening at the left apex, unchanged since #/20#.",
    "Large right pneumothorax with shift of the mediastinum to the left.",
    "Pneumonia cannot be excluded; follow-up in # weeks is recommended.",
    "Increased interstitial markings suggest mild edema.",
    "Aorta is tortuous and calcified.",
    "1. No acute cardiopulmonary disease. 2. Stable # mm nodule.",
    "Comparison with the examination of #/#/20# shows no change.",
];

/// The proof: `[--pairs N] [--python PATH]`; the peer runs where a Python with pycocoevalcap is named.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("score", arguments, &["--pairs", "--python"], &[])?;
    let pairs = words.number("--pairs", 100_000usize)?;
    ensure!(pairs > 1, "`--pairs` wants at least 2");
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "score")?;
    let (generated, references) = tables(pairs);
    fs::write(folder.join("generated.csv"), generated)?;
    fs::write(folder.join("references.csv"), references)?;

    let ours = measured(&programs, &folder, SCORE)?;
    let mut figures = Figures::default();
    let size = pairs as f64 / 1e5;
    let peak = peak_memory(words.python()?.as_deref(), &command(&programs, &folder, SCORE)?)?;
    let (seconds, memory) = (number(&ours, "seconds")?, peak as f64 / f64::from(1 << 20));
    let (longest, largest) = (SECONDS * size.max(1.0), MEMORY * size.max(1.0));
    figures.target(
        &format!("{pairs} pairs, three treatments and labels, {THREADS} threads"),
        format!("{seconds:.1} s"),
        format!("≤ {longest:.0} s"),
        seconds <= longest,
    );
    figures.target(
        "largest resident memory",
        format!("{memory:.0} MiB"),
        format!("< {largest:.0} MiB"),
        memory < largest,
    );
    if let Some(python) = words.python()? {
        let mut command = Command::new(python);
        command.arg(workspace.path("tests/peers/score_pycocoevalcap.py"));
        let mut peer = Peer::start(&mut command)?;
        let path = |name: &str| folder.join(name).display().to_string();
        let theirs = peer.ask(&json!({"generated": path("generated.csv"), "references": path("references.csv")}))?;
        let peer_seconds = number(&theirs, "seconds")?;
        figures.inform("pycocoevalcap, ptb alone, no labels", format!("{peer_seconds:.1} s"));
        figures.inform("its time over ours", format!("{:.1}", peer_seconds / seconds));
        let ptb = number(&measured(&programs, &folder, &format!("{SCORE} --text ptb"))?, "seconds")?;
        figures.inform("ours, ptb alone, with labels", format!("{ptb:.1} s"));
        let difference = largest_difference(&ours["printed"], &theirs)?;
        let met = difference <= TOLERANCE;
        figures.target(
            "largest difference of their figures",
            format!("{difference:.1e}"),
            format!("≤ {TOLERANCE:.0e}"),
            met,
        );
    } else {
        println!("   no peer: `--python PATH` names a Python with pycocoevalcap (and Java)");
    }
    Ok(figures.conclude())
}

/// Two tables of reports, generated and references; about half of their sentences are the same.
fn tables(pairs: usize) -> (String, String) {
    // A linear congruential generator (Knuth's MMIX): the same pairs everywhere.
    let mut state = 2026u64;
    let mut roll = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut sentence = move || {
        let mut parts = SENTENCES[roll(SENTENCES.len())].split('#');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text.push_str(&(1 + roll(40)).to_string());
            text.push_str(part);
        }
        text
    };
    let (mut generated, mut references) = (String::from("id,text\n"), String::from("id,text\n"));
    for index in 0..pairs {
        let reference: Vec<String> = (0..SENTENCES_PER_REPORT).map(|_| sentence()).collect();
        let written =
            reference.iter().enumerate().map(|(at, text)| if at % 2 == 0 { text.clone() } else { sentence() });
        let written: Vec<String> = written.collect();
        for (table, text) in [(&mut generated, written), (&mut references, reference)] {
            let _ = writeln!(table, "s{index:06},\"{}\"", text.join(" "));
        }
    }
    (generated, references)
}

const SCORE: &str = "score --generated generated.csv --references references.csv --json";

fn command(programs: &Programs, folder: &Path, words: &str) -> Result<Command> {
    let mut command = programs.command("xreport-train", folder, words)?;
    command.env("RAYON_NUM_THREADS", THREADS);
    Ok(command)
}

/// Runs `score`: its seconds, and what it printed.
fn measured(programs: &Programs, folder: &Path, words: &str) -> Result<Value> {
    let began = Instant::now();
    let printed = programs::json(&mut command(programs, folder, words)?)?;
    Ok(json!({"seconds": began.elapsed().as_secs_f64(), "printed": printed}))
}

fn largest_difference(ours: &Value, theirs: &Value) -> Result<f64> {
    let texts = ours["text"].as_array().context("`text` is a list")?;
    let ptb = &texts.iter().find(|text| text["text"] == "ptb").context("ptb is one of the treatments")?["corpus"];
    let mut largest: f64 = 0.0;
    for length in 0..4 {
        let value = |side: &Value| side["bleu"][length].as_f64().context("BLEU is a number");
        largest = largest.max((value(ptb)? - value(theirs)?).abs());
    }
    for name in ["rouge_l", "cider_d"] {
        largest = largest.max((number(ptb, name)? - number(theirs, name)?).abs());
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_are_the_same_everywhere_and_share_half() {
        let (generated, references) = tables(50);
        assert_eq!((generated.clone(), references.clone()), tables(50));
        assert_eq!(references.lines().count(), 51);
        assert!(!references.contains('#'), "every number is filled in");
        let same = generated.lines().zip(references.lines()).filter(|(a, b)| a == b).count();
        assert!(same < 5, "the header, and hardly a pair");
    }

    #[test]
    fn differences_are_found_wherever_they_are() {
        let side = |cider: f64| json!({"bleu": [0.4, 0.3, 0.2, 0.1], "rouge_l": 0.3, "cider_d": cider});
        let ours = json!({"text": [{"text": "plain", "corpus": side(9.0)}, {"text": "ptb", "corpus": side(1.0)}]});
        assert!((largest_difference(&ours, &side(1.5)).expect("numbers") - 0.5).abs() < 1e-12);
    }
}
