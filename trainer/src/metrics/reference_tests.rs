//! Against pycocoevalcap 1.2 on 590 real model outputs (`../shared/data/metrics`).

use std::path::PathBuf;

use serde_json::Value;

use super::{Similarity, TextScores, Treatment, score, score_treated};

const FILE: &str = "iu_r2gen_test590_cvt2distilgpt2";

/// What the brief of the field allows; the differences are about 1e-9.
const TOLERANCE: f64 = 1e-4;

fn shared(name: &str) -> Option<PathBuf> {
    crate::shared_data::shared(format!("data/metrics/{name}"))
}

fn raw_pairs() -> Option<Vec<(String, String)>> {
    let text = std::fs::read_to_string(shared(&format!("{FILE}.jsonl"))?).unwrap();
    let pair = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let cell = |name: &str| row[name].as_str().unwrap().to_owned();
        (cell("hypothesis"), cell("reference"))
    };
    Some(text.lines().map(pair).collect())
}

fn expected(kind: &str) -> Option<Value> {
    let path = shared(&format!("{FILE}.pycocoevalcap_{kind}.json"))?;
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

fn tokenised(expected: &Value) -> Vec<(String, String)> {
    let texts = |name: &str| -> Vec<String> { serde_json::from_value(expected[name].clone()).unwrap() };
    texts("tokenized_hyps").into_iter().zip(texts("tokenized_refs")).collect()
}

fn named(similarity: &Similarity) -> [(&'static str, f64); 6] {
    let [one, two, three, four] = similarity.bleu;
    [
        ("BLEU_1", one),
        ("BLEU_2", two),
        ("BLEU_3", three),
        ("BLEU_4", four),
        ("ROUGE_L", similarity.rouge_l),
        ("CIDEr", similarity.cider_d),
    ]
}

#[track_caller]
fn assert_equal(scores: &TextScores, expected: &Value) {
    assert_eq!(scores.reports.len(), 590);
    for (name, value) in named(&scores.corpus) {
        let target = expected["corpus"][name].as_f64().unwrap();
        assert!((value - target).abs() < TOLERANCE, "{} {name}: {value}, expected {target}", scores.text);
    }
    for (index, report) in scores.reports.iter().enumerate() {
        for (name, value) in named(report) {
            let target = expected["per_sample"][name][index].as_f64().unwrap();
            assert!(
                (value - target).abs() < TOLERANCE,
                "{} report {index} {name}: {value}, expected {target}",
                scores.text
            );
        }
    }
}

#[test]
fn r2gen_and_plain_from_raw_texts_equal_pycocoevalcap() {
    let (Some(raw), Some(r2gen), Some(plain)) = (raw_pairs(), expected("r2gen_clean"), expected("lowerplain")) else {
        return;
    };
    for (treatment, expected) in [(Treatment::R2Gen, r2gen), (Treatment::Plain, plain)] {
        let treated: Vec<_> = raw.iter().map(|(a, b)| (treatment.apply(a), treatment.apply(b))).collect();
        assert_eq!(treated, tokenised(&expected), "{treatment}");
        assert_equal(&score(&raw, treatment), &expected);
    }
}

#[test]
fn ptb_from_its_tokens_equals_pycocoevalcap() {
    let Some(expected) = expected("ptb") else { return };
    assert_equal(&score_treated(&tokenised(&expected), Treatment::Ptb), &expected);
}

#[test]
fn ptb_from_raw_texts_makes_the_same_tokens() {
    let (Some(raw), Some(expected)) = (raw_pairs(), expected("ptb")) else { return };
    let tokens = tokenised(&expected);
    let texts = raw.iter().zip(&tokens).flat_map(|(raw, expected)| [(&raw.0, &expected.0), (&raw.1, &expected.1)]);
    let wrong = texts.filter(|(raw, expected)| Treatment::Ptb.apply(raw) != **expected).count();
    assert!(wrong * 1000 <= 2 * raw.len() * 5, "{wrong} of {} texts differ", 2 * raw.len());
    assert_equal(&score(&raw, Treatment::Ptb), &expected);
}

#[test]
fn the_four_texts_of_a_published_system_are_counted() {
    let Some(raw) = raw_pairs() else { return };
    let scores = score(&raw, Treatment::R2Gen);
    assert_eq!((scores.generated.reports, scores.generated.distinct_reports), (590, 4));
    assert!(scores.references.distinct_reports > 300, "{:?}", scores.references);
}

#[test]
fn scores_do_not_depend_on_the_number_of_threads() {
    let texts = ["No effusion.", "Large left effusion, 1.5 cm nodule.", "", "Heart normal.", "胸部正常"];
    let pairs: Vec<(&str, &str)> = (0..500).map(|n| (texts[n % 5], texts[(n * n) % 5])).collect();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| score(&pairs, Treatment::Ptb))
    };
    assert_eq!(with(1), with(5));
}

#[test]
fn empty_and_one_word_texts_have_defined_scores() {
    let pairs = [("", "No effusion."), ("No effusion.", ""), ("", ""), ("Normal", "Normal"), ("a b c d", "a b c d")];
    for treatment in Treatment::ALL {
        let scores = score(&pairs, treatment);
        for report in &scores.reports {
            assert!(
                named(report).iter().all(|(_, value)| value.is_finite() && *value >= 0.0),
                "{treatment} {report:?}"
            );
        }
        assert!((scores.reports[4].bleu[3] - 1.0).abs() < 1e-6);
        assert!((scores.reports[3].rouge_l - 1.0).abs() < 1e-9);
        let none: [(&str, &str); 0] = [];
        assert_eq!(score(&none, treatment).corpus, Similarity::default());
    }
    let plain = score(&pairs, Treatment::Plain).reports;
    assert!(plain[0].bleu[0] < 1e-9 && plain[0].rouge_l.abs() < 1e-9, "nothing written scores nothing: {:?}", plain[0]);
    assert!(plain[1].bleu[0] < 1e-9 && plain[1].rouge_l.abs() < 1e-9, "{:?}", plain[1]);
}
