//! Variants in several precisions: exported, measured, chosen, and the same text whatever the batch.

use std::sync::OnceLock;

use serde_json::json;

use crate::trained::{EPOCHS, STUDIES, copy};
use crate::workplace::Workplace;

/// A bundle with every variant and a table of n-grams; exported at the first call.
fn exported() -> &'static Workplace {
    static EXPORTED: OnceLock<Workplace> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let place = Workplace::beside_the_build();
        place.set_up(STUDIES, &[("training.EPOCHS", json!(EPOCHS)), ("model.DROPOUT", json!(0.0))]);
        let train = "train --data data --settings settings.json --out checkpoint";
        let export = "export checkpoint --out model --precision int8,fp32,fp16 --ngrams";
        place.train(train).expect_code(0);
        // Ten reports of whom? A table of n-grams could give one person's away.
        let nameless = place.train(export).expect_code(2);
        assert!(nameless.stderr.contains("the patient of every training study"), "{nameless}");
        assert!(!place.has("model"));
        let table = place.read("data/XREPORT_dataset.csv");
        let rows = table.lines().enumerate().map(|(at, row)| match at {
            0 => format!("{row},patient\n"),
            _ => format!("{row},p{at}\n"),
        });
        place.write("data/XREPORT_dataset.csv", rows.collect::<String>());
        let run = place.train(export).expect_code(0);
        assert!(run.stdout.contains("int8-batch-cpu") && run.stdout.contains("texts unchanged"), "{run}");
        place
    })
}

/// A workplace with a copy of that bundle as `model` and the data set as `data`.
pub fn with_variants() -> Workplace {
    let place = Workplace::new();
    copy(&exported().path("model"), &place.path("model"));
    copy(&exported().path("data"), &place.path("data"));
    place
}

#[test]
fn each_variant_states_how_closely_it_agrees() {
    let place = with_variants();
    let manifest = place.json("model/bundle.json");
    assert_eq!(manifest["format_version"], 3);
    let variants = manifest["variants"].as_array().unwrap();
    let names: Vec<&str> = variants.iter().map(|variant| variant["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fp32-cpu", "fp32-cuda", "int8-cpu", "int8-batch-cpu", "fp16-cuda"]);
    for variant in variants {
        let agreement = &variant["agreement"];
        let share = agreement["token_agreement"].as_f64().unwrap();
        assert!(share >= 0.99, "{variant}");
        assert_eq!(agreement["reports"], STUDIES, "{variant}");
        let exact = variant["precision"] == "fp32";
        let difference = agreement["largest_logit_difference"].as_f64().unwrap();
        assert_eq!(difference < 1e-4, exact, "{variant}");
    }
    let card = place.read("model/MODEL_CARD.md");
    assert!(card.contains("| int8-cpu |"), "{card}");
    let verified = place.xreport("verify model").expect_code(0);
    assert!(verified.stdout.contains("int8-cpu on cpu"), "what agrees is taken: {verified}");
}

#[test]
fn the_variant_follows_from_the_options_and_each_row_names_it() {
    let place = with_variants();
    for (options, variant) in [
        ("--batch-size 1", "int8-cpu"),
        ("--batch-size 1 --beams 2", "int8-batch-cpu"),
        ("--batch-size 2", "int8-batch-cpu"),
        ("--batch-size 8", "int8-batch-cpu"),
        ("--batch-size 8 --precision fp32", "fp32-cpu"),
        ("--precision int8 --batch-size 1", "int8-cpu"),
    ] {
        // One image: what counts is what was asked for, not what there is to do.
        place
            .xreport(&format!("generate data/images/s01.png --model model --out one.csv --fresh {options}"))
            .expect_code(0);
        assert_eq!(&place.csv("one.csv")[0]["variant"], variant, "{options}");
    }
    let run = place.xreport("generate data/images --model model --out no.csv --precision fp16").expect_code(2);
    assert!(run.stderr.contains("no variant for fp16 on cpu") && run.stderr.contains("fp16-cuda"), "{run}");
    let run = place.xreport("generate data/images --model model --out no.csv --precision half").expect_code(2);
    assert!(run.stderr.contains("expected fp32, int8 or fp16"), "{run}");
}

/// A row's texts and log-probabilities, by id.
fn said(place: &Workplace, options: &str, backwards: bool) -> Vec<[String; 3]> {
    let mut images: Vec<String> = (0..STUDIES).map(|index| format!("data/images/s{index:02}.png")).collect();
    if backwards {
        images.reverse();
    }
    let line = format!("generate {} --model model --out rows.csv --fresh --token-ids {options}", images.join(" "));
    place.xreport(&line).expect_code(0);
    let mut rows: Vec<[String; 3]> = place
        .csv("rows.csv")
        .iter()
        .map(|row| ["id", "token_ids", "log_probabilities"].map(|key| row[key].to_owned()))
        .collect();
    rows.sort();
    rows
}

/// In each precision, for one of its variants: batches of any size, any order, any number of threads.
#[test]
fn neighbours_order_and_threads_change_nothing() {
    let place = with_variants();
    for (precision, batches) in [("fp32", &[1, 5, 8, 32][..]), ("int8", &[1]), ("int8", &[2, 3, 8, 32])] {
        let first = said(&place, &format!("--precision {precision} --batch-size {} --threads 1", batches[0]), false);
        let ways = batches.iter().flat_map(|&batch| [1, 2].map(|threads| (batch, threads, batch > 2)));
        for (batch, threads, backwards) in ways.skip(1) {
            let options = format!("--precision {precision} --batch-size {batch} --threads {threads}");
            // Bit for bit: log-probabilities are written with all their digits.
            assert_eq!(said(&place, &options, backwards), first, "{options}");
        }
    }
}

/// Looking every N steps only: the buffers and bindings of CUDA graphs, on the CPU.
#[test]
fn steps_between_looks_change_nothing() {
    let place = with_variants();
    for precision in ["fp32", "int8"] {
        let options = format!("--precision {precision} --batch-size 5 --threads 1");
        let plain = said(&place, &options, false);
        for (every, backwards) in [(1, false), (3, true), (8, false), (1000, false)] {
            assert_eq!(said(&place, &format!("{options} --check-every {every}"), backwards), plain, "every {every}");
        }
    }
    // It changes no row: a run goes on with it.
    let line = "generate data/images --model model --out rows.csv --fresh";
    place.xreport(line).expect_code(0);
    let again = place.xreport("generate data/images --model model --out rows.csv --check-every 8").expect_code(0);
    assert!(again.stderr.contains(&format!("{STUDIES} done before")), "{again}");
    for (options, said) in [
        ("--check-every 0", "--check-every"),
        ("--check-every 8 --beams 2", "plain greedy search expected"),
        ("--check-every 8 --prefix opacity", "plain greedy search expected"),
        ("--check-every 8 --batch-size 1 --guess-ahead --precision fp32", "plain greedy search expected"),
        ("--cuda-graph", "--device cuda or cuda:N expected"),
        ("--cuda-graph --device cpu", "--device cuda or cuda:N expected"),
    ] {
        let run = place.xreport(&format!("generate data/images --model model --out no.csv {options}")).expect_code(2);
        assert!(run.stderr.contains(said), "{options}: {run}");
    }
}

/// Without `--tokens` it asks for no more than the bundle has room for.
#[test]
fn bench_times_any_bundle() {
    let place = with_variants();
    let positions = place.json("model/bundle.json")["architecture"]["max_positions"].as_u64().unwrap();
    let line = "bench model --repeats 1 --precision fp32 --batch-size 1,3 --json";
    for (options, every) in [("", 1), ("--check-every 4", 4)] {
        let run = place.xreport(&format!("{line} {options}")).expect_code(0);
        let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let cases = found["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 2);
        for case in cases {
            assert_eq!((&case["tokens"], &case["check_every"]), (&json!(positions.min(100)), &json!(every)), "{case}");
            assert!(case["decode_ms"].as_f64().unwrap() > 0.0, "{case}");
        }
    }
    let run = place.xreport(&format!("bench model --tokens {}", positions + 1)).expect_code(2);
    assert!(run.stderr.contains(&format!("1 to {positions} expected")), "{run}");
}

#[test]
fn guessing_ahead_changes_no_text() {
    let place = with_variants();
    let options = "--precision fp32 --batch-size 1";
    let plain = said(&place, options, false);
    let guessed = said(&place, &format!("{options} --guess-ahead"), false);
    assert_eq!(plain.len(), guessed.len());
    for (plain, guessed) in plain.iter().zip(&guessed) {
        assert_eq!(plain[..2], guessed[..2]);
    }
    // In 8 bits it could change one, and is not to be had.
    let line = "generate data/images --model model --out no.csv --guess-ahead --batch-size 1 --precision int8";
    let run = place.xreport(line).expect_code(2);
    assert!(run.stderr.contains("found variant int8-cpu\nhint: --precision fp32"), "{run}");
    let run = place.xreport("generate data/images --model model --out no.csv --guess-ahead").expect_code(2);
    assert!(run.stderr.contains("--batch-size 1"), "{run}");
    // Eight studies say each text: too few for a table that names no one.
    let table = place.json("model/ngrams.json");
    assert_eq!(table["fewest_patients"], 10);
    assert!(!table["entries"].as_array().unwrap().is_empty(), "all texts share some words");
}
