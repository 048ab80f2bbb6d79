//! The files of an evaluation: `index.html` to look at, `results.json` and `reports.csv` to go on with.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use xreport_models::atomic::write_file;

use super::against::Other;
use super::baselines::positives;
use super::page::{self, Case as PageCase, Observed, Page, VerdictScores, verdict};
use super::{Case, Evaluation, marks, observations, tables, write_json};
use crate::data::{Loaded, png};
use crate::observations::Labelled;
use crate::phantoms::{dataset::FINDINGS_FILE, read_findings};

/// Cases of each choice shown on the page.
const EACH: usize = 4;

/// What the page shows beside the figures.
pub(super) struct Shown<'s> {
    pub cases: &'s [Case],
    /// (draft, reference) of each case.
    pub labels: &'s [(Labelled, Labelled)],
    pub loaded: &'s Loaded,
    /// An evaluation to set beside this one.
    pub other: Option<Other>,
}

pub(super) fn write_all(out: &Path, evaluation: &Evaluation, shown: &Shown<'_>) -> anyhow::Result<()> {
    write_json(&out.join("results.json"), evaluation)?;
    write_file(out.join("reports.csv"), &reports(evaluation, shown.cases)?)?;
    write_file(out.join("index.html"), page::render(&page(evaluation, shown)?).as_bytes())?;
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

fn page(evaluation: &Evaluation, content: &Shown<'_>) -> anyhow::Result<Page> {
    let mut page = Page {
        model_name: evaluation.model.clone(),
        bundle_id: evaluation.bundle.clone(),
        data_set: evaluation.data.clone(),
        images: evaluation.studies as u64,
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        phantoms: evaluation.observations.is_some(),
        notices: vec![evaluation.notice.clone()],
        headline: tables::systems(evaluation),
        controls: std::iter::once(tables::leads(evaluation)).chain(tables::statement(evaluation)).collect(),
        tables: vec![tables::token_table(evaluation), tables::words(evaluation), tables::agreement(evaluation)],
        figures: vec![tables::reliability_plot(evaluation)],
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
        page.controls.extend(tables::claims(evaluation));
        page.observations = tables::bars(&results.model);
    } else {
        page.verdict = tables::plain_verdict(&evaluation.baselines);
        page.observations = tables::label_bars(evaluation);
    }
    page.notices
        .extend(evaluation.baselines.verdict.iter().filter(|said| !said.beats).map(|said| said.sentence.clone()));
    if let Some(other) = &content.other {
        page.controls.push(other.table(evaluation)?);
    }
    page.cases_choice = format!(
        "The {EACH} worst, the {EACH} best and {EACH} spread evenly over the data set, by the observations of both texts, \
         then by ROUGE-L. Coloured sentences name findings."
    );
    page.cases = shown(evaluation, content)?;
    Ok(page)
}

fn shown(evaluation: &Evaluation, content: &Shown<'_>) -> anyhow::Result<Vec<PageCase>> {
    let findings = Path::new(&evaluation.data).join(FINDINGS_FILE);
    let drawn = if evaluation.observations.is_some() { read_findings(&findings)? } else { BTreeMap::default() };
    let loaded = content.loaded;
    chosen(evaluation, content)
        .into_iter()
        .map(|(index, why)| {
            let (case, (draft, reference)) = (&content.cases[index], &content.labels[index]);
            let truth = drawn.get(&case.study.id).map(|drawn| &drawn.observations);
            let observed: Vec<Observed> = if let Some(truth) = truth {
                let outcomes = observations::outcomes(truth, &case.draft.text).into_iter();
                outcomes.map(|(name, outcome)| Observed { name: readable(name), outcome }).collect()
            } else {
                let outcomes = marks::observed(draft, reference).into_iter();
                outcomes.map(|(name, outcome)| Observed { name: name.to_string(), outcome }).collect()
            };
            let (generated_marks, reference_marks) = marks::marks(draft, reference);
            Ok(PageCase {
                id: case.study.id.clone(),
                png: Some(png(loaded.images.get(index)?, loaded.images.preprocessing())?),
                reference: case.study.text.clone(),
                reference_marks,
                generated: case.draft.text.clone(),
                generated_marks,
                observations: observed,
                note: format!("{why}; mean log-probability {:.3}", case.draft.sequence.mean_log_probability()),
            })
        })
        .collect()
}

/// The cases shown, worst first, with why each was chosen.
fn chosen(evaluation: &Evaluation, content: &Shown<'_>) -> Vec<(usize, &'static str)> {
    let rouge = |index: usize| evaluation.text.first().map_or(0.0, |text| text.reports[index].rouge_l);
    let mut order: Vec<usize> = (0..content.cases.len()).collect();
    let quality: Vec<(f64, f64)> = order.iter().map(|&index| (agreed(&content.labels[index]), rouge(index))).collect();
    order.sort_by(|&a, &b| {
        quality[a].0.total_cmp(&quality[b].0).then(quality[a].1.total_cmp(&quality[b].1)).then(a.cmp(&b))
    });
    let worst = order.len().min(EACH);
    let best = order.len().saturating_sub(EACH).max(worst);
    let mut between = order[worst..best].to_vec();
    between.sort_unstable();
    let step = between.len().div_ceil(EACH).max(1);
    let named = |cases: &[usize], why: &'static str| cases.iter().map(|&index| (index, why)).collect::<Vec<_>>();
    let spread: Vec<usize> = between.into_iter().step_by(step).collect();
    [
        named(&order[..worst], "among the worst"),
        named(&order[best..], "among the best"),
        named(&spread, "one of the others"),
    ]
    .concat()
}

/// F1 of the observations that draft and reference state; 1 where neither states any.
fn agreed((draft, reference): &(Labelled, Labelled)) -> f64 {
    let (ours, theirs) = (positives(draft), positives(reference));
    let both = ours.len() + theirs.len();
    if both == 0 { 1.0 } else { 2.0 * ours.intersection(&theirs).count() as f64 / both as f64 }
}

fn readable(observation: crate::phantoms::Observation) -> String {
    observation.to_string().replace([':', '_'], " ")
}
