//! `dataset validate`: what is in a data set, and what stands in the way of learning from it.
//!
//! Images are decoded once, a few at a time ([`scan`]); about 1.3 kB of each stay for the comparisons. Everything else
//! follows from these facts and from the table: [`repeats`], [`patients`], [`texts`], [`observations`], [`shape`],
//! [`intensity`], [`exposure`]. [`findings`] says it in plain sentences; the page, a JSON file and a CSV file with a
//! row for every image concerned carry it out.

pub mod exposure;
mod files;
pub mod findings;
pub mod intensity;
pub mod likeness;
pub mod observations;
mod page;
pub mod patients;
pub mod repeats;
pub mod scan;
pub mod sentences;
pub mod shape;
pub mod shingles;
pub mod texts;
mod thumbnails;
pub mod vocabulary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use serde::Serialize;
use xreport_runtime::console;

use crate::data::{Dataset, Draw, Part, Problem, SplitError, Study, Tally, further_columns, split, tallies};
use crate::settings::{SampleSize, Settings};
use crate::training::tokenizer;

use findings::Finding;
use observations::Prevalence;

/// Where a study goes in a training with the settings at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Trained on.
    Train,
    /// Held out to measure progress.
    Validation,
    /// What the table calls test.
    Test,
}

/// What `dataset validate` is told.
#[derive(Debug, Clone)]
pub struct ValidateRequest {
    /// Folder of the data set.
    pub data: PathBuf,
    /// Its CSV, where it has another name.
    pub csv: Option<PathBuf>,
    /// Settings: longest report, split, size of the model's input, threads.
    pub settings: Settings,
    /// Folder of the results.
    pub out: PathBuf,
}

/// Everything that was found; `validation.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Validation {
    /// Folder of the data set.
    pub data: String,
    /// Day of the validation.
    pub date: String,
    /// Everything found, in plain words, in the order of the page.
    pub findings: Vec<Finding>,
    /// Counts.
    pub counts: Counts,
    /// Patients and the split.
    pub patients: patients::Patients,
    /// Images that show one picture.
    pub repeated_images: repeats::RepeatedImages,
    /// The reports.
    pub texts: texts::Texts,
    /// How often each observation is reported.
    pub observations: Vec<Prevalence>,
    /// Who read the observations, and how well.
    pub observation_reader: &'static str,
    /// Sizes, depths and formats.
    pub shapes: shape::Shapes,
    /// Grey values of both sides.
    pub intensity: intensity::Intensity,
    /// Images that stand apart, the gravest kind first.
    pub outliers: Vec<exposure::Outlier>,
    /// Images by view and side; `null` where the table has no `view` column.
    pub views: Option<Vec<shape::ViewCount>>,
    /// Texts by their origin, where the table has a `text_source` column.
    pub text_sources: BTreeMap<String, usize>,
    /// Seconds that it took.
    pub seconds: f64,
    /// Threads that were used.
    pub threads: usize,
}

/// How many there are of what.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    /// Rows of the table.
    pub rows: usize,
    /// Rows with a text and a readable image.
    pub usable: usize,
    /// Rows that cannot be used, by cause.
    pub left_out: Vec<LeftOut>,
    /// Images that no usable row names.
    pub unused_images: usize,
    /// Whether the table itself says which part a row belongs to.
    pub split_in_table: bool,
    /// Rows with a usable text to train on.
    pub train: usize,
    /// … held out for the validation.
    pub validation: usize,
    /// … of the test.
    pub test: usize,
    /// Why the data set could not be split as a training would, if it could not.
    pub split_problem: Option<String>,
}

/// Rows that cannot be used for one reason.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// What is wrong, after a number: `images are missing`.
    pub what: &'static str,
    /// How it can be mended.
    pub hint: &'static str,
    /// How many.
    pub count: usize,
    /// The first few.
    pub examples: Vec<String>,
}

impl From<Tally> for LeftOut {
    fn from(Tally { title, hint, count, mut examples, by_line }: Tally) -> Self {
        examples.truncate(if by_line { LINES } else { EXAMPLES });
        Self { what: title, hint, count, examples }
    }
}

impl Validation {
    /// Images that could not be used, for whatever reason.
    pub fn left_out(&self) -> usize {
        self.counts.left_out.iter().map(|left_out| left_out.count).sum()
    }
}

/// Examples of left-out rows that are named.
const EXAMPLES: usize = 6;
/// … where a line number is all that a row's example says.
const LINES: usize = 40;

/// Looks at a data set and writes `validation.html`, `validation.json` and `validation.csv` to the results folder.
pub fn validate(request: &ValidateRequest) -> anyhow::Result<Validation> {
    let started = Instant::now();
    let threads = request.settings.training.threads();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .with_context(|| format!("cannot start {threads} threads\nhint: set a smaller training.NUM_PROCESSORS"))?;
    let dataset = Dataset::open(&request.data, request.csv.as_deref())?;
    console::info(dataset.summary());
    // Before an hour of work, not after.
    std::fs::create_dir_all(&request.out).with_context(|| format!("cannot create `{}`", request.out.display()))?;
    let mut looked = pool.install(|| look(request, &dataset))?;
    looked.validation.seconds = started.elapsed().as_secs_f64();
    looked.validation.threads = threads;
    pool.install(|| files::write_all(&request.out, &dataset, &looked))?;
    Ok(looked.validation)
}

/// A validation with what the files need beside it.
struct Looked {
    validation: Validation,
    problems: Vec<Problem>,
    /// Studies whose image could be read.
    readable: Vec<usize>,
}

fn look(request: &ValidateRequest, dataset: &Dataset) -> anyhow::Result<Looked> {
    let studies = &dataset.studies;
    let (sides, split_problem) = sides(studies, &request.settings);
    let bar = progress_bar("images", studies.len());
    let scanned = scan::scan(studies, &dataset.images, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    let bar = progress_bar("reports", studies.len());
    let max_report_size = request.settings.dataset.max_report_size;
    let texts = texts::look(studies, &sides, &tokenizer()?, max_report_size, &|done| bar.set_position(done as u64))?;
    bar.finish_and_clear();

    let images = &scanned.images;
    let repeated_images = repeats::find(images, studies, &sides);
    let [view, text_source] = further_columns(&dataset.table, ["view", "text_source"])?;
    let mut text_sources: BTreeMap<String, usize> = BTreeMap::new();
    if let Some(source) = &text_source {
        for study in studies {
            *text_sources.entry(source.get(&study.id).unwrap_or("not stated").to_owned()).or_default() += 1;
        }
    }
    let problems: Vec<Problem> = dataset.problems.iter().cloned().chain(scanned.problems).collect();
    let [height, width, _] = request.settings.model.img_shape;
    let of = |side: Side| sides.iter().filter(|&&one| one == side).count();
    let mut validation = Validation {
        data: request.data.display().to_string(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        findings: Vec::new(),
        counts: Counts {
            rows: studies.len() + dataset.problems.len(),
            usable: images.len(),
            left_out: tallies(&problems, LINES).into_iter().map(LeftOut::from).collect(),
            unused_images: dataset.unused_images,
            split_in_table: studies.iter().any(|study| study.part.is_some()),
            train: of(Side::Train),
            validation: of(Side::Validation),
            test: of(Side::Test),
            split_problem,
        },
        patients: patients::look(studies, &repeated_images),
        repeated_images,
        texts,
        observations: observations::prevalence(studies, &sides),
        observation_reader: observations::READER,
        shapes: shape::look(images, [height, width]),
        intensity: intensity::compare(images, studies, &sides),
        outliers: exposure::outliers(images, |study| studies[study].id.clone()),
        views: shape::views(view.as_ref(), studies, &sides),
        text_sources,
        seconds: 0.0,
        threads: 0,
    };
    validation.findings = findings::all(&validation);
    let readable = images.iter().map(|(study, _)| *study).collect();
    Ok(Looked { validation, problems, readable })
}

/// Where a training with these settings, on the whole data set, puts each study.
fn sides(studies: &[Study], settings: &Settings) -> (Vec<Side>, Option<String>) {
    let draw =
        Draw { sample: SampleSize::ALL, held_out: settings.dataset.validation_size, seed: settings.dataset.split_seed };
    match split(studies, draw) {
        Ok(parts) => {
            let mut sides = vec![Side::Train; studies.len()];
            parts.validation.iter().for_each(|&at| sides[at] = Side::Validation);
            parts.test.iter().for_each(|&at| sides[at] = Side::Test);
            (sides, None)
        }
        Err(error) => (sides_of_table(studies), Some(first_line(&error))),
    }
}

fn sides_of_table(studies: &[Study]) -> Vec<Side> {
    let side = |study: &Study| match study.part {
        Some(Part::Test) => Side::Test,
        Some(Part::Validation) => Side::Validation,
        Some(Part::Train) | None => Side::Train,
    };
    studies.iter().map(side).collect()
}

fn first_line(error: &SplitError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn progress_bar(what: &'static str, total: usize) -> ProgressBar {
    let template = "looking at {msg} {bar:30} {pos}/{len}  {per_sec}  {eta} left";
    console::progress_bar(total as u64, template).with_message(what)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma};

    use std::fmt::Write as _;

    use super::findings::Gravity;
    use super::*;

    /// A small data set whose ids, texts and cells try to break the page.
    fn hostile(data: &std::path::Path) {
        let images = data.join("images");
        std::fs::create_dir_all(&images).unwrap();
        let mut table = String::from("id,text,patient,split,view,text_source\n");
        for number in 0..12_u32 {
            let name = format!("<i>{number}\"'&");
            let seed = if number == 7 { 3 } else { number };
            GrayImage::from_fn(48, 40, |x, y| Luma([((x * (seed + 3) + y * (2 * seed + 5)) % 240) as u8]))
                .save(images.join(format!("{name}.png")))
                .unwrap();
            let part = if number % 3 == 0 { "validation" } else { "train" };
            let text =
                if number < 4 { "<script>x</script> Clear.".to_owned() } else { format!("</p> nodule {number}.") };
            let id = name.replace('"', "\"\"");
            let _ = writeln!(table, "\"{id}\",\"{text}\",p{},{part},<u>,label", number / 4);
        }
        table.push_str("<b>gone</b>,t,p,train,,label\n");
        std::fs::write(data.join("reports.csv"), table).unwrap();
    }

    fn validated(settings: Settings) -> (tempfile::TempDir, Validation) {
        let folder = tempfile::tempdir().unwrap();
        hostile(&folder.path().join("data"));
        let request =
            ValidateRequest { data: folder.path().join("data"), csv: None, settings, out: folder.path().join("out") };
        let validation = validate(&request).unwrap();
        (folder, validation)
    }

    #[test]
    fn the_page_is_whole_and_shows_hostile_text_as_text() {
        let (folder, _) = validated(Settings::default());
        let html = std::fs::read_to_string(folder.path().join("out/validation.html")).unwrap();
        crate::page::assert_elements_close(&html);
        crate::page::assert_self_contained(&html);
        for raw in ["<i>1", "<u>", "<b>gone"] {
            assert!(!html.contains(raw), "{raw}");
        }
        assert!(html.contains("&lt;i&gt;3&quot;&#39;&amp;") && html.contains("Texts made from labels."));
        assert!(!html.contains("NaN") && !html.contains("inf%"));
    }

    #[test]
    fn the_gravest_comes_from_patients_and_rows() {
        let (_folder, validation) = validated(Settings::default());
        let errors: Vec<_> = validation
            .findings
            .iter()
            .filter(|finding| finding.gravity == Gravity::Error)
            .map(|one| one.section)
            .collect();
        assert_eq!(errors, [findings::Section::Rows, findings::Section::Patients]);
        assert_eq!(validation.patients.crossing.len(), 3);
        assert_eq!(validation.repeated_images.identical.len(), 1);
        assert!(validation.repeated_images.identical[0].across_sides);
        assert_eq!(validation.text_sources["label"], 12);
    }

    #[test]
    fn settings_are_live() {
        let mut settings = Settings::default();
        settings.dataset.max_report_size = 8;
        settings.model.img_shape = [64, 64, 1];
        let (_folder, validation) = validated(settings);
        assert!(validation.texts.cut_reports > 0);
        assert_eq!((validation.shapes.input, validation.shapes.enlarged), ([64, 64], 12));
    }
}
