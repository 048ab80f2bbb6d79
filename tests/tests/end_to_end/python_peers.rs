//! What the programs write, read by others: TensorBoard's own reader, Python's onnx and onnxruntime.
//!
//! `cargo xtask test` sets their environment up; without it these tests are skipped visibly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use xreport_tests::{Run, command, root, skipped};

/// The interpreter of the checks' environment.
fn python() -> Option<PathBuf> {
    let environment = root().join("target/native/python-checks");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if python.is_file() {
        return Some(python);
    }
    skipped("the Python environment of the checks is not here (`cargo xtask setup --python-checks`)");
    None
}

fn script(python: &Path, name: &str, folder: &Path, arguments: &[&str]) -> Run {
    let script = root().join("tests/python").join(name);
    Run::of(Command::new(python).arg(script).args(arguments).current_dir(folder))
}

fn run(program: &str, folder: &Path, words: &str) -> Run {
    Run::of(command(program).current_dir(folder).args(words.split_whitespace())).expect_code(0)
}

/// Draws phantoms and trains on them in two sittings; the checkpoint is `checkpoint` in `folder`.
fn train(folder: &Path) {
    let settings = json!({
        "dataset": {"MAX_REPORT_SIZE": 32, "VALIDATION_SIZE": 0.2},
        "model": {
            "IMG_SHAPE": [64, 64, 1], "CONV_CHANNELS": [8, 16, 16], "EMBEDDING_DIMS": 32, "NUM_HEADS": 2,
            "NUM_ENCODERS": 1, "NUM_DECODERS": 2,
        },
        "training": {
            "EPOCHS": 3, "BATCH_SIZE": 4, "LEARNING_RATE": 0.005, "WARMUP_STEPS": 2, "ML_DEVICE": "cpu",
            "NUM_PROCESSORS": 1,
        },
    });
    fs::write(folder.join("settings.json"), settings.to_string()).expect("written");
    run("xreport-train", folder, "dataset phantoms --out data --samples 20 --size 64 --seed 5");
    run("xreport-train", folder, "train --data data --settings settings.json --out checkpoint --stop-after-epochs 1");
    run("xreport-train", folder, "resume checkpoint");
}

/// `(step, value)` of each line of that kind in metrics.jsonl.
fn measured(metrics: &str, kind: &str, value: impl Fn(&Value) -> f64) -> Vec<(u64, f32)> {
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let lines = lines.filter(|line| line["kind"] == kind);
    lines.map(|line| (line["step"].as_u64().expect("a step"), value(&line) as f32)).collect()
}

#[test]
fn tensorboard_reads_what_a_training_wrote() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    train(folder.path());
    let metrics = fs::read_to_string(folder.path().join("checkpoint/metrics.jsonl")).expect("metrics");
    let read = script(&python, "read_events.py", folder.path(), &["checkpoint/tensorboard"]).expect_code(0);
    let found: Value = serde_json::from_str(&read.stdout).expect("the reader prints JSON");

    let number = |line: &Value, key: &str| line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"));
    let of = |key: &'static str| move |line: &Value| number(line, key);
    let speed = |line: &Value| number(line, "images") / number(line, "seconds");
    let expected = [
        ("training/loss", measured(&metrics, "step", of("loss"))),
        ("training/token_accuracy", measured(&metrics, "step", of("accuracy"))),
        ("training/learning_rate", measured(&metrics, "step", of("learning_rate"))),
        ("training/gradient_norm", measured(&metrics, "step", of("gradient_norm"))),
        ("training/images_per_second", measured(&metrics, "step", speed)),
        ("training/epoch_loss", measured(&metrics, "epoch", of("training_loss"))),
        ("validation/loss", measured(&metrics, "epoch", of("validation_loss"))),
        ("validation/token_accuracy", measured(&metrics, "epoch", of("validation_accuracy"))),
    ];
    let scalars = found["scalars"].as_object().expect("scalars");
    let mut tags: Vec<_> = expected.iter().map(|(tag, _)| *tag).collect();
    tags.sort_unstable();
    assert_eq!(scalars.keys().map(String::as_str).collect::<Vec<_>>(), tags);
    for (tag, expected) in expected {
        let points = scalars[tag].as_array().expect("a list of points");
        let points: Vec<_> = points
            .iter()
            .map(|point| (point[0].as_u64().expect("a step"), point[1].as_f64().expect("a number") as f32))
            .collect();
        assert_eq!(points, expected, "{tag}");
    }
    // Every step once, the two sittings joined without a gap.
    let steps: Vec<_> = measured(&metrics, "step", of("loss")).iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
    assert_eq!(measured(&metrics, "epoch", of("epoch")).len(), 3);
}

#[test]
fn python_runs_the_bundle_to_the_same_tokens() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("temporary folder");
    train(folder.path());
    // Drawn at the model's size: preprocessing then changes nothing, and Python sees the same pixels.
    run("xreport-train", folder.path(), "dataset phantoms --out phantoms --samples 6 --size 64 --seed 6");
    run(
        "xreport",
        folder.path(),
        "generate phantoms/images --model checkpoint/bundle --device cpu --token-ids --out rows.jsonl",
    );
    let check =
        |rows| script(&python, "check_bundle.py", folder.path(), &["checkpoint/bundle", "phantoms/images", rows]);
    let report = check("rows.jsonl").expect_code(0);
    let found: Value = serde_json::from_str(&report.stdout).expect("the check prints JSON");
    for graph in ["encoder.onnx", "decoder.onnx", "decoder-cuda.onnx"] {
        assert_eq!(found["graphs"].get(graph), Some(&Value::Null), "{report}");
    }
    for variant in ["fp32-cpu", "fp32-cuda"] {
        assert_eq!(found["variants"][variant]["images"], 6, "{report}");
        assert!(found["variants"][variant]["tokens"].as_u64() > Some(0), "{report}");
    }

    // The check must be able to fail: one token changed in one row.
    let rows = fs::read_to_string(folder.path().join("rows.jsonl")).expect("rows");
    let mut lines: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids = lines[2]["token_ids"].as_str().expect("token ids").to_owned();
    lines[2]["token_ids"] = format!("1 {}", ids.split_once(' ').map_or("", |(_, rest)| rest)).into();
    let changed: Vec<_> = lines.iter().map(Value::to_string).collect();
    fs::write(folder.path().join("changed.jsonl"), changed.join("\n")).expect("written");
    let report = check("changed.jsonl").expect_code(1);
    let found: Value = serde_json::from_str(&report.stdout).expect("the check prints JSON");
    assert_eq!(found["variants"]["fp32-cpu"]["different"]["count"], 1, "{report}");
    assert_eq!(found["variants"]["fp32-cpu"]["different"]["first"][0]["place"], 0, "{report}");
}
