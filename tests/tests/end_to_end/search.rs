//! Ways to search for a report: beams, draws, limits, a forced beginning.

use serde_json::Value;

use crate::trained::with_model;
use crate::workplace::Workplace;

fn texts(place: &Workplace, options: &str) -> Vec<[String; 2]> {
    place.xreport(&format!("generate data/images --model model --out rows.csv --fresh {options}")).expect_code(0);
    place.csv("rows.csv").iter().map(|row| ["id", "text"].map(|key| row[key].to_owned())).collect()
}

#[test]
fn beams_find_reports_that_are_as_probable_and_offer_others() {
    let place = with_model();
    let mean = |place: &Workplace| -> Vec<f64> {
        place.csv("rows.csv").iter().map(|row| row["mean_log_probability"].parse().unwrap()).collect()
    };
    texts(&place, "");
    let greedy = mean(&place);
    texts(&place, "--beams 4 --n-best 3");
    for (row, greedy) in place.csv("rows.csv").iter().zip(&greedy) {
        let found: f64 = row["mean_log_probability"].parse().unwrap();
        assert!(found >= greedy - 1e-5, "{found} and {greedy}");
        let others: Value = serde_json::from_str(&row["alternatives"]).unwrap();
        let others = others.as_array().unwrap();
        assert_eq!(others.len(), 2);
        assert!(others.iter().all(|other| other["text"] != row["text"]), "{others:?}");
        assert!(others[0]["score"].as_f64() >= others[1]["score"].as_f64());
    }
    // Several images at once, each with its beams, say the same.
    assert_eq!(texts(&place, "--beams 4 --batch-size 1"), texts(&place, "--beams 4 --batch-size 8"));
}

#[test]
fn draws_follow_from_seed_and_study_alone() {
    let place = with_model();
    let options = |rest: &str| format!("--temperature 3 --top-k 20 --top-p 0.95 {rest}");
    let first = texts(&place, &options("--seed 7"));
    assert_eq!(texts(&place, &options("--seed 7 --batch-size 1")), first);
    assert_eq!(texts(&place, &options("--seed 7 --batch-size 32")), first);
    assert_ne!(texts(&place, &options("--seed 8")), first);
    assert_ne!(texts(&place, ""), first, "a temperature of 3 says other things");
    assert_eq!(texts(&place, "--top-k 1 --seed 5"), texts(&place, ""), "the best of one is greedy");
}

#[test]
fn limits_and_a_forced_beginning_are_kept() {
    let place = with_model();
    for text in texts(&place, "--prefix Opacity").iter().map(|[_, text]| text) {
        assert!(text.starts_with("Opacity"), "{text}");
    }
    texts(&place, "--min-tokens 15 --max-tokens 20");
    for row in place.csv("rows.csv") {
        assert!((15..=20).contains(&row["tokens"].parse::<usize>().unwrap()), "{row:?}");
    }
    for [_, text] in texts(&place, "--no-repeat-ngram 1 --min-tokens 12 --beams 2") {
        let mut words: Vec<&str> = text.split([' ', ',', '.']).filter(|word| !word.is_empty()).collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all, "{text}");
    }
    assert_ne!(texts(&place, "--repetition-penalty 50"), texts(&place, ""));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let place = with_model();
    for (options, message) in [
        ("--beams 0", "beams: at least 1 expected, found 0"),
        ("--beams 2 --n-best 3", "n-best: 1 to the number of beams, 2, expected, found 3"),
        ("--beams 2 --top-k 5", "beams: 1 together with sampling expected"),
        ("--top-p 1.5", "top-p: a number above 0 and up to 1"),
        ("--min-tokens 9 --max-tokens 8", "min tokens: at most 8 expected, found 9"),
        ("--prefix Appendicitis", "the model does not know"),
    ] {
        let run = place.xreport(&format!("generate data/images --model model --out no.csv {options}")).expect_code(2);
        assert!(run.stderr.contains(message), "{options}: {run}");
        assert!(!place.has("no.csv"));
    }
}
