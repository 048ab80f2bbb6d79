//! The figures of every report, as a table to go on with.

use anyhow::Context;

use super::Scored;
use crate::observations::{Labelled, Observation};

/// One row per pair: similarity under each treatment, then the label of each observation in both texts (1, 0, -1 for
/// uncertain, empty where it is not mentioned), in the manner of the CheXpert labeller's tables.
pub fn write(scored: &Scored) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["id".to_owned()];
    for text in &scored.score.text {
        for metric in ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"] {
            header.push(format!("{}_{metric}", text.text));
        }
    }
    for side in ["generated", "reference"] {
        header.extend(Observation::ALL.map(|observation| format!("{side} {observation}")));
    }
    csv.write_record(&header)?;
    for (index, (pair, (generated, reference))) in scored.pairs.iter().zip(&scored.labels).enumerate() {
        let mut row = vec![pair.id.to_string()];
        for text in &scored.score.text {
            let report = &text.reports[index];
            row.extend(report.bleu.iter().chain([&report.rouge_l, &report.cider_d]).map(|value| format!("{value:.6}")));
        }
        row.extend(cells(generated));
        row.extend(cells(reference));
        csv.write_record(&row)?;
    }
    csv.into_inner().context("a vector takes all bytes")
}

fn cells(labelled: &Labelled) -> impl Iterator<Item = String> {
    Observation::ALL
        .map(|observation| labelled.label(observation).map_or("", |label| label.cell()).to_owned())
        .into_iter()
}
