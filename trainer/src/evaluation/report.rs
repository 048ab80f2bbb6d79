//! The files of an evaluation: `index.html` to look at, `results.json` and `reports.csv` to go on with.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use anyhow::Context;
use image::{GrayImage, ImageFormat, RgbImage};
use xreport_models::atomic::write_file;
use xreport_models::image::Preprocessing;

use super::page::{self, Case as PageCase, ObservationScore, Observed, Page, Table, TableRow, VerdictScores, verdict};
use super::{Case, Evaluation, observations, write_json};
use crate::data::Loaded;
use crate::phantoms::{Scores, dataset::FINDINGS_FILE, read_findings};

/// Cases shown on the page.
const SHOWN: usize = 12;

pub(super) fn write_all(out: &Path, evaluation: &Evaluation, cases: &[Case], loaded: &Loaded) -> anyhow::Result<()> {
    write_json(&out.join("results.json"), evaluation)?;
    write_file(out.join("reports.csv"), &reports(evaluation, cases)?)?;
    write_file(out.join("index.html"), page::render(&page(evaluation, cases, loaded)?).as_bytes())?;
    Ok(())
}

fn reports(evaluation: &Evaluation, cases: &[Case]) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["id", "text", "reference", "attainable", "mean_log_probability", "tokens", "seconds", "notice"])?;
    for case in cases {
        let (probability, tokens) = (case.draft.sequence.mean_log_probability(), case.draft.sequence.tokens.len());
        csv.write_record([
            case.study.id.as_str(),
            &case.draft.text,
            &case.study.text,
            &case.attainable,
            &probability.to_string(),
            &tokens.to_string(),
            &case.draft.seconds.to_string(),
            &evaluation.notice,
        ])?;
    }
    csv.into_inner().context("a vector takes all bytes")
}

fn page(evaluation: &Evaluation, cases: &[Case], loaded: &Loaded) -> anyhow::Result<Page> {
    let mut page = Page {
        model_name: evaluation.model.clone(),
        bundle_id: evaluation.bundle.clone(),
        data_set: evaluation.data.clone(),
        images: evaluation.studies as u64,
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        phantoms: evaluation.observations.is_some(),
        notices: vec![evaluation.notice.clone()],
        headline: headline(evaluation),
        tables: vec![token_table(evaluation)],
        timing: vec![
            ("Seconds per report".into(), format!("{:.3}", evaluation.seconds_per_report)),
            ("Variant".into(), evaluation.variant.clone()),
        ],
        ..Page::default()
    };
    if let Some(results) = &evaluation.observations {
        page.verdict = verdict(&VerdictScores {
            images: evaluation.studies as u64,
            model_f1: results.model.micro.f1,
            constant_f1: results.best_constant.scores.micro.f1,
            shuffled_f1: results.shuffled.micro.f1,
            laterality: results.model.laterality.accuracy,
        });
        page.observations = bars(&results.model);
    }
    page.cases_choice = format!("{SHOWN} cases spread evenly over the data set, chosen before looking.");
    page.cases = shown(evaluation, cases, loaded)?;
    Ok(page)
}

fn headline(evaluation: &Evaluation) -> Table {
    let Some(results) = &evaluation.observations else {
        return Table {
            title: "Texts".into(),
            note: String::new(),
            columns: ["Token accuracy", "Perplexity", "Different reports"].map(String::from).to_vec(),
            rows: vec![TableRow {
                name: "Model".into(),
                note: String::new(),
                cells: vec![
                    format!("{:.3}", evaluation.tokens.accuracy),
                    format!("{:.2}", evaluation.tokens.perplexity),
                    evaluation.distinct_reports.to_string(),
                ],
                emphasised: true,
            }],
        };
    };
    let row = |name: &str, note: &str, scores: &Scores, distinct: String, emphasised| TableRow {
        name: name.to_owned(),
        note: note.to_owned(),
        cells: vec![
            format!("{:.3}", scores.micro.f1),
            format!("{:.3}", scores.micro.precision),
            format!("{:.3}", scores.micro.recall),
            scores.laterality.accuracy.map_or_else(String::new, |share| format!("{share:.3}")),
            distinct,
        ],
        emphasised,
    };
    let distinct = evaluation.distinct_reports.to_string();
    Table {
        title: "Claims against what was drawn".into(),
        note: "An observation counts when kind, side, size and zone are right. Side: of the findings drawn on one side and reported with a side, the share on the right one.".into(),
        columns: ["F1", "Precision", "Recall", "Side", "Different reports"].map(String::from).to_vec(),
        rows: vec![
            row("Model", "", &results.model, distinct.clone(), true),
            row(
                "Best constant report",
                "one text for every image",
                &results.best_constant.scores,
                "1".into(),
                false,
            ),
            row("Shuffled images", "each draft held against another image", &results.shuffled, distinct, false),
            row("Reference reports", "the reader of texts itself", &results.references, String::new(), false),
        ],
    }
}

fn token_table(evaluation: &Evaluation) -> Table {
    Table {
        title: "Words, teacher-forced".into(),
        note: "Each word predicted from the image and the reference's words before it.".into(),
        columns: ["Token accuracy", "Perplexity", "Loss (nats)", "Tokens", "Reports word for word"]
            .map(String::from)
            .to_vec(),
        rows: vec![TableRow {
            name: "Model".into(),
            note: String::new(),
            cells: vec![
                format!("{:.3}", evaluation.tokens.accuracy),
                format!("{:.2}", evaluation.tokens.perplexity),
                format!("{:.3}", evaluation.tokens.loss),
                evaluation.tokens.tokens.to_string(),
                format!("{} of {}", evaluation.exact_reports, evaluation.studies),
            ],
            emphasised: false,
        }],
    }
}

fn bars(scores: &Scores) -> Vec<ObservationScore> {
    scores
        .by_kind
        .iter()
        .map(|(kind, rates)| ObservationScore {
            name: kind.word().replace('_', " "),
            precision: (rates.claims > 0).then_some(rates.precision),
            recall: (rates.support > 0).then_some(rates.recall),
            f1: (rates.support + rates.claims > 0).then_some(rates.f1),
            support: rates.support,
        })
        .collect()
}

fn shown(evaluation: &Evaluation, cases: &[Case], loaded: &Loaded) -> anyhow::Result<Vec<PageCase>> {
    let findings = Path::new(&evaluation.data).join(FINDINGS_FILE);
    let drawn = if evaluation.observations.is_some() { read_findings(&findings)? } else { BTreeMap::default() };
    let step = cases.len().div_ceil(SHOWN).max(1);
    (0..cases.len())
        .step_by(step)
        .map(|index| {
            let case = &cases[index];
            let truth = drawn.get(&case.study.id).map(|drawn| &drawn.observations);
            let observed = truth.map_or_else(Vec::new, |truth| {
                let outcomes = observations::outcomes(truth, &case.draft.text);
                outcomes.into_iter().map(|(name, outcome)| Observed { name: readable(name), outcome }).collect()
            });
            Ok(PageCase {
                id: case.study.id.clone(),
                png: Some(png(loaded.images.get(index), loaded.images.preprocessing())?),
                reference: case.study.text.clone(),
                generated: case.draft.text.clone(),
                observations: observed,
                note: format!("mean log-probability {:.3}", case.draft.sequence.mean_log_probability()),
            })
        })
        .collect()
}

fn readable(observation: crate::phantoms::Observation) -> String {
    observation.to_string().replace([':', '_'], " ")
}

/// A preprocessed image as PNG: what the network saw.
fn png(pixels: &[u8], preprocessing: &Preprocessing) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (preprocessing.width, preprocessing.height);
    let mut bytes = Cursor::new(Vec::new());
    let fits = "an image store's pixels have the size of its preprocessing";
    if preprocessing.channels == 1 {
        GrayImage::from_raw(width, height, pixels.to_vec()).context(fits)?.write_to(&mut bytes, ImageFormat::Png)?;
    } else {
        RgbImage::from_raw(width, height, pixels.to_vec()).context(fits)?.write_to(&mut bytes, ImageFormat::Png)?;
    }
    Ok(bytes.into_inner())
}
