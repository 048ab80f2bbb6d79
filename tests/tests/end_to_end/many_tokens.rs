//! Greedy drafts over a vocabulary so large that most tokens are ruled out with 8 bits: the same tokens as from all scores.

use serde_json::json;

use crate::workplace::Workplace;

/// Ids of each row's tokens and their log-probabilities, by id.
fn said(place: &Workplace, options: &str) -> Vec<(String, String, Vec<f64>)> {
    let line = format!("generate data/images --model fresh --out rows.csv --fresh --token-ids {options}");
    place.xreport(&line).expect_code(0);
    let numbers = |cell: &str| cell.split(' ').map(|number| number.parse().unwrap()).collect();
    let rows = place.csv("rows.csv");
    rows.iter()
        .map(|row| (row["id"].to_owned(), row["token_ids"].to_owned(), numbers(&row["log_probabilities"])))
        .collect()
}

#[test]
fn tokens_are_those_of_all_scores_and_neighbours_change_no_bit() {
    let changes =
        [("dataset.VOCABULARY", json!("full")), ("model.EMBEDDING_DIMS", json!(64)), ("model.NUM_HEADS", json!(4))];
    let place = Workplace::with_data(12, &changes);
    place.train("init --settings settings.json --out fresh").expect_code(0);
    let alone = said(&place, "--batch-size 1 --threads 1");
    assert!(alone.iter().any(|(_, tokens, _)| tokens.split(' ').count() > 4), "{alone:?}");
    for options in ["--batch-size 8 --threads 2", "--batch-size 5 --threads 1", "--batch-size 1 --threads 2"] {
        assert_eq!(said(&place, options), alone, "{options}");
    }
    // A shortest length is a matter of all scores; of one token, it is kept by every report.
    for ((id, tokens, rough), (_, expected, exact)) in alone.iter().zip(said(&place, "--min-tokens 1")) {
        assert_eq!(*tokens, expected, "{id}");
        for (rough, exact) in rough.iter().zip(exact) {
            assert!((rough - exact).abs() < 1e-3, "{id}: {rough} and {exact}");
        }
    }
}
