//! What a bundle writes for a data set, measured through the deployed runtime.

mod against;
mod baselines;
mod bootstrap;
mod calibration;
mod marks;
mod mask;
mod observations;
pub mod page;
mod report;
mod statement;
mod tables;
mod teacher_forced;
mod training_reports;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use rayon::prelude::*;
use serde::Serialize;
use xreport_models::atomic::write_file;
use xreport_models::bundle::{Bundle, Precision, VariantRequest};
use xreport_runtime::console;
use xreport_runtime::device::DeviceRequest;
use xreport_runtime::drafting::{Draft, Drafter};
use xreport_runtime::model::SessionOptions;

pub use baselines::{Baselines, Figure, Lead, Measure, SystemScores};
pub use bootstrap::Interval;
pub use calibration::{Bin, Calibration};
pub use mask::Mask;
pub use observations::ObservationResults;
pub use statement::{Answers, Group, Measured, Statement};
pub use teacher_forced::TokenScores;

use crate::data::{self, Dataset, Draw, Loading, Part, Study, draw_held_out};
use crate::metrics::{self, TextScores, Treatment};
use crate::observations::{Agreement, Labelled, Question, agreement, read};
use crate::phantoms::{dataset::FINDINGS_FILE, observations_in, read_findings};
use crate::settings::Settings;

/// What `evaluate` is told.
#[derive(Debug, Clone)]
pub struct EvaluateRequest {
    /// Bundle or checkpoint folder.
    pub model: PathBuf,
    /// Folder of the data set.
    pub data: PathBuf,
    /// Its CSV, where it is named.
    pub csv: Option<PathBuf>,
    /// Settings; those of the model where none are named.
    pub settings: Option<Settings>,
    /// Data set that the model was trained on, for baselines; else the studies of `data` that are not evaluated.
    pub training: Option<PathBuf>,
    /// Words of a question that every report answers, such as "evidence of pneumonia".
    pub statement: Option<String>,
    /// What is covered of every image.
    pub mask: Option<Mask>,
    /// `results.json` of another evaluation to set beside this one.
    pub against: Option<PathBuf>,
    /// Folder of the results.
    pub out: PathBuf,
    /// Where the model runs.
    pub device: DeviceRequest,
    /// Number format; none: the fastest that agrees well enough.
    pub precision: Option<Precision>,
}

/// Everything that an evaluation found; `results.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluation {
    /// Name of the bundle.
    pub model: String,
    /// Its id.
    pub bundle: String,
    /// What its results say of themselves.
    pub notice: String,
    /// Variant that ran.
    pub variant: String,
    /// Folder of the data set.
    pub data: String,
    /// What was covered of every image, if anything.
    pub mask: Option<Mask>,
    /// Studies evaluated.
    pub studies: usize,
    /// Studies left out because their image could not be read.
    pub unreadable: usize,
    /// Teacher-forced measures.
    pub tokens: TokenScores,
    /// Different texts written.
    pub distinct_reports: usize,
    /// Texts equal to their reference as far as the model could write it (cut to its longest report).
    pub exact_reports: usize,
    /// Mean seconds per report, drafting alone.
    pub seconds_per_report: f64,
    /// Word overlap with the references, by text treatment.
    pub text: Vec<TextScores>,
    /// Agreement of the observations read from drafts and references.
    pub agreement: Agreement,
    /// The model beside reports that need no model.
    pub baselines: Baselines,
    /// Whether a low confidence goes with a wrong report.
    pub calibration: Calibration,
    /// What the drafts say of the question that was asked, if one was.
    pub statement: Option<Statement>,
    /// Against drawn truth, where the data set has a `findings.csv`.
    pub observations: Option<ObservationResults>,
}

/// A study with what was drafted for it.
#[derive(Debug)]
struct Case {
    study: Study,
    draft: Draft,
    /// The reference as the model could write it at best: cut to its longest report, in its own vocabulary.
    attainable: String,
}

/// Evaluates a bundle on a data set and writes `index.html`, `results.json` and `reports.csv` to the results folder.
pub fn evaluate(request: &EvaluateRequest) -> anyhow::Result<Evaluation> {
    // Before an hour of work, not after.
    let other = request.against.as_deref().map(against::read).transpose()?;
    request.statement.as_deref().map(question).transpose()?;
    std::fs::create_dir_all(&request.out).with_context(|| format!("cannot create `{}`", request.out.display()))?;
    let bundle = Bundle::load(&request.model)?;
    let settings = match &request.settings {
        Some(settings) => settings.clone(),
        None => serde_json::from_value(bundle.manifest().provenance.settings.clone())
            .context("the bundle's own settings\nhint: name a file with --settings")?,
    };
    let dataset = Dataset::open(&request.data, request.csv.as_deref())?;
    let loaded = load(request, &dataset, &bundle, &settings)?;
    let pool = training_reports::find(request, &dataset, &loaded, &bundle, &settings)?;
    let batch = settings.evaluation.batch_size;
    let session = SessionOptions {
        device: request.device,
        threads: settings.training.num_processors,
        variant: VariantRequest { precision: request.precision, batch_size: batch },
        ahead: None,
    };
    let mut drafter = Drafter::new(&bundle, &session, None)?;
    let images: Vec<&[u8]> =
        (0..loaded.images.len()).map(|index| loaded.images.get(index)).collect::<Result<_, _>>()?;

    let bar = console::progress_bar(images.len() as u64, "drafting {bar:30} {pos}/{len}  {per_sec}");
    let started = Instant::now();
    let mut drafts = Vec::with_capacity(images.len());
    for chunk in images.chunks(batch) {
        drafts.extend(drafter.draft(chunk)?);
        bar.set_position(drafts.len() as u64);
    }
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let texts: Vec<&str> = loaded.studies.iter().map(|study| study.text.as_str()).collect();
    let forced = teacher_forced::score(&bundle, &session, &images, &texts, batch)?;
    let studies = loaded.studies.iter().cloned();
    let cases: Vec<Case> = studies
        .zip(drafts)
        .zip(&forced.references)
        .map(|((study, draft), reference)| Case {
            study,
            draft,
            attainable: drafter.text(bundle.manifest().vocabulary.spoken(reference)),
        })
        .collect();
    let observations = observations::compare(&request.data.join(crate::phantoms::dataset::FINDINGS_FILE), &cases)?;
    let training = pool.training(&loaded, &bundle, &session, batch)?;
    let statement = asked(request, &dataset, &cases, &training, &bundle, settings.dataset.split_seed)?;
    let compared = baselines::compare(&evaluated(request, &cases)?, &training, settings.dataset.split_seed);
    let pairs: Vec<(&str, &str)> =
        cases.iter().map(|case| (case.draft.text.as_str(), case.study.text.as_str())).collect();
    let labels: Vec<(Labelled, Labelled)> =
        pairs.par_iter().map(|(draft, reference)| (read(draft), read(reference))).collect();
    let distinct: std::collections::HashSet<&str> = cases.iter().map(|case| case.draft.text.as_str()).collect();
    let manifest = bundle.manifest();
    let evaluation = Evaluation {
        model: manifest.name.clone(),
        bundle: manifest.id.clone(),
        notice: manifest.notice.clone(),
        variant: drafter.model().variant().to_owned(),
        data: request.data.display().to_string(),
        mask: request.mask,
        studies: cases.len(),
        unreadable: loaded.problems.len(),
        exact_reports: cases.iter().filter(|case| case.draft.text == case.attainable).count(),
        tokens: forced.scores,
        distinct_reports: distinct.len(),
        seconds_per_report: seconds / cases.len() as f64,
        text: Treatment::USUAL.map(|treatment| metrics::score(&pairs, treatment)).to_vec(),
        agreement: agreement(&labels),
        baselines: compared,
        calibration: calibrated(request, &cases, &labels)?,
        statement,
        observations,
    };
    report::write_all(
        &request.out,
        &evaluation,
        &report::Shown { cases: &cases, labels: &labels, loaded: &loaded, other },
    )?;
    Ok(evaluation)
}

/// The studies that the evaluation's settings choose, with their images as the bundle wants them.
fn load(
    request: &EvaluateRequest,
    dataset: &Dataset,
    bundle: &Bundle,
    settings: &Settings,
) -> anyhow::Result<data::Loaded> {
    console::info(dataset.summary());
    let draw = Draw {
        sample: settings.evaluation.sample_size,
        held_out: settings.evaluation.validation_size,
        seed: settings.dataset.split_seed,
    };
    let (part, candidates) = candidates(&dataset.studies);
    if let Some(part) = part {
        console::info(format_args!("the table's `split` column: {} {part} studies are evaluated", candidates.len()));
    }
    let mut chosen = draw_held_out(&dataset.studies, &candidates, draw);
    chosen.sort_unstable();
    let studies = chosen.iter().map(|&index| dataset.studies[index].clone()).collect();
    let how = Loading {
        images: dataset.images.clone(),
        preprocessing: bundle.manifest().preprocessing.clone(),
        threads: settings.training.threads(),
        caches: data::cache_folders(&request.data),
    };
    let mut loaded = data::load(studies, &how, &|_, _| {})?;
    if let Some(mask) = request.mask {
        loaded.images = mask::covered(&loaded.images, mask)?;
    }
    if !loaded.problems.is_empty() {
        console::info(data::summary(&loaded.problems));
    }
    if let Some(counts) = data::gate_summary(&loaded) {
        console::info(counts);
    }
    ensure!(!loaded.studies.is_empty(), "no study of `{}` has a readable image", request.data.display());
    Ok(loaded)
}

/// The studies that may be evaluated: the test part where the table names one, else its validation part, else all.
fn candidates(studies: &[Study]) -> (Option<&'static str>, Vec<usize>) {
    let of = |part| (0..studies.len()).filter(|&index| studies[index].part == Some(part)).collect::<Vec<_>>();
    for (name, part) in [("test", Part::Test), ("validation", Part::Validation)] {
        let named = of(part);
        if !named.is_empty() {
            return (Some(name), named);
        }
    }
    (None, (0..studies.len()).collect())
}

/// The studies for the comparison with baselines.
fn evaluated<'c>(request: &EvaluateRequest, cases: &'c [Case]) -> anyhow::Result<baselines::Evaluated<'c>> {
    let drawn = drawn(request)?;
    Ok(baselines::Evaluated {
        references: cases.iter().map(|case| case.study.text.as_str()).collect(),
        drafts: cases.iter().map(|case| case.draft.text.as_str()).collect(),
        patients: cases.iter().map(|case| case.study.patient.as_deref()).collect(),
        drawn: cases.iter().map(|case| drawn.get(&case.study.id).map(|drawn| drawn.observations.clone())).collect(),
    })
}

/// Asks the question that `request` names; columns of the table make groups.
fn asked(
    request: &EvaluateRequest,
    dataset: &Dataset,
    cases: &[Case],
    training: &baselines::Training<'_>,
    bundle: &Bundle,
    seed: u64,
) -> anyhow::Result<Option<Statement>> {
    let Some(words) = request.statement.as_deref() else { return Ok(None) };
    let names = ["source", "view", "age"];
    let columns: Vec<_> = names.into_iter().zip(data::further_columns(&dataset.table, names)?).collect();
    let question = question(words)?;
    let asked = statement::Asked { words, question: &question, cases, training, columns: &columns, seed };
    let found = statement::ask(&asked, &bundle.tokenizer()?, bundle.manifest())?;
    ensure!(
        found.is_some(),
        "no reference report affirms or denies \"{words}\"\nhint: --statement wants words that reports say, such as \"evidence of \
         pneumonia\", or one of the 14 observations by its name"
    );
    Ok(found)
}

fn question(words: &str) -> anyhow::Result<Question> {
    Question::of(words).with_context(|| format!("--statement \"{words}\""))
}

/// What was drawn on each image; empty where the data set is not drawn.
fn drawn(request: &EvaluateRequest) -> anyhow::Result<std::collections::BTreeMap<String, crate::phantoms::Drawn>> {
    let path = request.data.join(FINDINGS_FILE);
    Ok(if path.is_file() { read_findings(&path)? } else { std::collections::BTreeMap::new() })
}

/// Confidence against being right: against what was drawn where that is known, else against the reference's observations.
fn calibrated(
    request: &EvaluateRequest,
    cases: &[Case],
    labels: &[(Labelled, Labelled)],
) -> anyhow::Result<Calibration> {
    let drawn = drawn(request)?;
    let all_drawn = !drawn.is_empty() && cases.iter().all(|case| drawn.contains_key(&case.study.id));
    let reports: Vec<(f64, bool)> = cases
        .iter()
        .zip(labels)
        .map(|(case, (draft, reference))| {
            let right = if all_drawn {
                observations_in(&case.draft.text) == drawn[&case.study.id].observations
            } else {
                baselines::positives(draft) == baselines::positives(reference)
            };
            (case.draft.sequence.mean_log_probability(), right)
        })
        .collect();
    let means = if all_drawn {
        "the report claims exactly what was drawn: kind, side, size and zone"
    } else {
        "the report states the same of the 14 observations as its reference, uncertain as positive"
    };
    Ok(calibration::calibration(&reports, means))
}

/// Writes a JSON file of the results.
fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(write_file(path, text.as_bytes())?)
}
