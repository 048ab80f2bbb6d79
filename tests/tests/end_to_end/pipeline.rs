//! Data → training → checkpoint → bundle → evaluation.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::checkpoint::Checkpoint;
use crate::scenes;
use crate::trained::{EPOCHS, STUDIES, copy, trained, with_model};
use crate::watched::{metrics, steps};
use crate::workplace::{Workplace, tiny_settings};

/// Files of every bundle.
const BUNDLE: [&str; 8] = [
    "MODEL_CARD.md",
    "bundle.json",
    "decoder-cuda.onnx",
    "decoder.onnx",
    "encoder.onnx",
    "evidence.onnx",
    "tokenizer.json",
    "weights.bin",
];

#[test]
fn training_leaves_what_it_promises_and_nothing_else() {
    let trained = trained();
    let files = trained.place.files("checkpoint");
    let (events, others): (Vec<String>, Vec<String>) =
        files.into_iter().partition(|file| file.starts_with("tensorboard/events.out.tfevents."));
    assert_eq!(events.len(), 1, "{events:?}");
    let mut expected: Vec<String> = BUNDLE.iter().map(|file| format!("bundle/{file}")).collect();
    for file in ["architecture.svg", "best.safetensors", "last.safetensors", "metrics.jsonl", "settings.json"] {
        expected.push(file.to_owned());
    }
    expected.extend(["studies.json", "training_curve.svg", "verification.safetensors"].map(String::from));
    expected.sort();
    assert_eq!(others, expected);

    assert_eq!(trained.run.stdout, "", "stdout is for results");
    assert!(trained.run.stderr.contains("training complete"), "{}", trained.run);
    assert_eq!(trained.place.json("checkpoint/settings.json")["training"]["EPOCHS"], EPOCHS);
    for picture in ["architecture.svg", "training_curve.svg"] {
        let svg = trained.place.read(&format!("checkpoint/{picture}"));
        assert!(svg.trim_start().starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{picture}");
    }
}

#[test]
fn metrics_tell_every_step_and_every_epoch_once() {
    let lines = metrics(trained().place.path("checkpoint"));
    let last = Checkpoint::read(&trained().place.path("checkpoint/last.safetensors"));
    assert_eq!(steps(&lines), (1..=last.number("step")).collect::<Vec<_>>());
    let epochs: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "epoch").collect();
    let numbers: Vec<u64> = epochs.iter().filter_map(|line| line["epoch"].as_u64()).collect();
    assert_eq!(numbers, (1..=EPOCHS as u64).collect::<Vec<_>>());
    let loss = |line: &Value| line["validation_loss"].as_f64().unwrap();
    assert!(loss(epochs[EPOCHS - 1]) < 0.5 * loss(epochs[0]), "it learns");

    let best = Checkpoint::read(&trained().place.path("checkpoint/best.safetensors"));
    let lowest = epochs.iter().map(|line| loss(line)).fold(f64::INFINITY, f64::min);
    assert_eq!(best.state["latest"]["validation_loss"].as_f64(), Some(lowest), "best is the state of the lowest loss");
}

#[test]
fn an_exported_bundle_is_the_checkpoints_own_with_the_same_id() {
    let trained = trained();
    let place = Workplace::new();
    copy(&trained.place.path("checkpoint"), &place.path("checkpoint"));
    let first = place.train("export checkpoint --out first").expect_code(0);
    place.train("export checkpoint --out second").expect_code(0);
    assert_eq!(place.files("first"), BUNDLE);
    let manifest = |folder: &str| place.json(&format!("{folder}/bundle.json"));
    let id = manifest("checkpoint/bundle")["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 32);
    assert_eq!(manifest("first")["id"], *id);
    assert_eq!(manifest("first"), manifest("second"));
    assert!(first.stdout.contains(&id) && first.stdout.contains("checked against libtorch"), "{first}");
    // The step of the best state, not of the last.
    let best = Checkpoint::read(&place.path("checkpoint/best.safetensors"));
    assert_eq!(manifest("first")["provenance"]["step"], best.number("step"));
}

#[test]
fn export_without_a_checkpoint_says_where_it_looked() {
    let place = Workplace::new();
    let run = place.train("export nowhere --out bundle").expect_code(2);
    assert!(run.stderr.contains("nowhere") && run.stderr.contains("hint: "), "{run}");
    let run = place.train("export --out bundle").expect_code(2);
    assert!(run.stderr.contains("no checkpoint in `checkpoints/`") && run.stderr.contains("hint: "), "{run}");
    assert!(!place.has("bundle"));
}

#[test]
fn evaluation_writes_page_results_and_reports() {
    let place = with_model();
    let run = place.train("evaluate --model model --data data --out results").expect_code(0);
    assert_eq!(place.files("results"), ["index.html", "reports.csv", "results.json"]);
    assert!(run.stdout.contains(&format!("{STUDIES} studies")), "{run}");
    let results = place.json("results/results.json");
    assert_eq!(results["studies"], STUDIES);
    assert_eq!(results["distinct_reports"], 4);
    assert!(results["tokens"]["accuracy"].as_f64().unwrap() > 0.9, "{results}");
    assert_eq!(results["bundle"], place.json("model/bundle.json")["id"]);
    assert_eq!(results["observations"], Value::Null, "only drawn data has a drawn truth");
    let rows = place.csv("results/reports.csv");
    let right = (0..STUDIES).filter(|&index| {
        assert_eq!(&rows[index]["id"], scenes::id(index));
        assert_eq!(&rows[index]["reference"], scenes::text(index));
        &rows[index]["text"] == scenes::text(index)
    });
    assert!(right.count() > STUDIES * 9 / 10);
    for file in ["index.html", "results.json", "reports.csv"] {
        assert!(place.read(&format!("results/{file}")).contains("draft, not for diagnostic use"), "{file}");
    }
}

#[test]
fn evaluation_prints_one_json_object_on_demand() {
    let place = with_model();
    let run = place.train("evaluate --model model --data data --out results --json").expect_code(0);
    let printed: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{run}"));
    assert_eq!(run.stdout.lines().count(), 1);
    assert_eq!(printed["studies"], STUDIES);
    let mut saved = place.json("results/results.json");
    assert_eq!(printed, saved.take(), "the file and the output say the same");
}

/// The data set that the project draws, through the whole pipe, with its drawn truth.
#[test]
fn phantoms_are_drawn_trained_on_and_scored_against_what_was_drawn() {
    let place = Workplace::new();
    place.train("dataset phantoms --out drawn --samples 24 --seed 5 --size 64").expect_code(0);
    place.train("dataset phantoms --out again --samples 24 --seed 5 --size 64").expect_code(0);
    place.train("dataset phantoms --out other --samples 24 --seed 6 --size 64").expect_code(0);
    let table = |folder: &str| place.read(&format!("{folder}/XREPORT_dataset.csv"));
    assert_eq!(table("drawn"), table("again"));
    assert_ne!(table("drawn"), table("other"));
    let images: BTreeSet<Vec<u8>> = ["drawn", "again"]
        .map(|folder| fs::read(place.path(folder).join("images").join("phantom_000001.png")).unwrap())
        .into();
    assert_eq!(images.len(), 1);
    place.write("other/mine.txt", "not drawn");
    let refused = place.train("dataset phantoms --out other --samples 4").expect_code(2);
    assert!(refused.stderr.contains("other") && place.has("other/mine.txt"), "{refused}");

    place.write("settings.json", tiny_settings(&[("dataset.MAX_REPORT_SIZE", json!(96))]));
    place.train("train --data drawn --settings settings.json --out checkpoint").expect_code(0);
    let run = place.train("evaluate --model checkpoint --data drawn --out results").expect_code(0);
    let observations = &place.json("results/results.json")["observations"];
    assert!(observations["model"]["micro"]["f1"].is_number(), "{observations}");
    assert_eq!(observations["references"]["micro"]["f1"], 1.0, "the reader of texts understands the drawn texts");
    assert!(run.stdout.contains("best constant report") && run.stdout.contains("shuffled images"), "{run}");
}

#[test]
fn an_untrained_checkpoint_says_so_in_each_result() {
    let place = Workplace::with_data(2, &[]);
    place.train("init --settings settings.json --vocabulary 50 --out fresh").expect_code(0);
    assert!(place.files("fresh").contains(&"bundle/bundle.json".to_owned()));
    place.xreport("generate data/images --model fresh --out drafts.csv").expect_code(0);
    for row in place.csv("drafts.csv") {
        assert_eq!(&row["notice"], "draft, not for diagnostic use; untrained weights");
    }
}
