//! Reports that need no model, and whether the model is ahead of them.
//!
//! A report that says "normal" for everyone rivals published scores, so the figures of a model mean nothing alone.
//! Beside it stand the best constant reports (by words and by observations, chosen on training reports), a random
//! training report, the training report of the image that looks most alike to the model's own encoder, and the model's
//! drafts dealt to the wrong images. Each lead has a paired bootstrap interval.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::seq::IndexedRandom;
use rayon::prelude::*;
use serde::Serialize;

use super::bootstrap::{Interval, interval};
use crate::metrics::{self, Counts, Similarity, Treatment};
use crate::observations::{self, Labelled, Observation, Uncertain};
use crate::phantoms::{Observation as Claim, observations_in};
use crate::training::seeds::Stream;

/// Texts tried as the best constant report by words, and the training reports that each is held against.
const CONSTANTS_TRIED: usize = 200;

/// The figures' treatment of texts.
const TREATMENT: Treatment = Treatment::R2Gen;

/// A figure by which systems are compared; all grow with quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Micro-F1 of claims against what was drawn: kind, side, size and zone right.
    Claims,
    /// Micro-F1 of the 14 observations, uncertain as positive.
    #[serde(rename = "observations_14")]
    Observations14,
    /// Micro-F1 of the five observations, uncertain as positive.
    #[serde(rename = "observations_5")]
    Observations5,
    /// BLEU-4.
    #[serde(rename = "bleu_4")]
    Bleu4,
    /// ROUGE-L.
    RougeL,
    /// CIDEr-D.
    CiderD,
}

impl Measure {
    const ALL: [Self; 6] =
        [Self::Claims, Self::Observations14, Self::Observations5, Self::Bleu4, Self::RougeL, Self::CiderD];

    /// Heading of its column.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Claims => "Claims F1",
            Self::Observations14 => "Observations F1, 14",
            Self::Observations5 => "Observations F1, 5",
            Self::Bleu4 => "BLEU-4",
            Self::RougeL => "ROUGE-L",
            Self::CiderD => "CIDEr-D",
        }
    }
}

/// How far the model is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lead {
    /// The model's figure less this system's.
    pub difference: f64,
    /// 95 % interval of the difference, resampled by patient.
    #[serde(flatten)]
    pub interval: Interval,
}

/// One figure of one system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// Which.
    pub measure: Measure,
    /// Its value.
    pub value: f64,
    /// The model's lead; `None` for the model itself.
    pub lead: Option<Lead>,
}

/// One system: the model or a baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemScores {
    /// Its name.
    pub name: String,
    /// What it does.
    pub note: String,
    /// Different texts that it wrote.
    pub distinct_reports: usize,
    /// Its figures.
    pub figures: Vec<Figure>,
}

/// The model beside what needs no model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baselines {
    /// Where the baselines took their reports from.
    pub training: String,
    /// How many there were.
    pub training_reports: usize,
    /// Text treatment of the word figures.
    pub text: Treatment,
    /// What "uncertain" counts as in the observation figures.
    pub uncertain: Uncertain,
    /// Patients that the intervals resample; studies without one count as a patient each.
    pub patients: usize,
    /// The model first.
    pub systems: Vec<SystemScores>,
    /// What the leads mean, in plain words.
    pub verdict: Vec<Said>,
}

/// The studies that are evaluated.
pub(super) struct Evaluated<'e> {
    pub references: Vec<&'e str>,
    pub drafts: Vec<&'e str>,
    pub patients: Vec<Option<&'e str>>,
    /// What was drawn, where that is known of all of them.
    pub drawn: Option<Vec<BTreeSet<Claim>>>,
}

/// Reports to take baselines from.
pub(super) struct Training<'t> {
    pub named: String,
    pub reports: Vec<&'t str>,
    /// For each evaluated study, the training report of the image that looks most alike.
    pub nearest: Vec<usize>,
    /// For each evaluated study, the training reports of its own patient, which it must not be given.
    pub own: Vec<Vec<usize>>,
}

/// A system's texts, one per evaluated study.
struct System {
    name: &'static str,
    note: &'static str,
    texts: Vec<String>,
}

/// Compares the drafts with the baselines; at least one study and one training report.
pub(super) fn compare(evaluated: &Evaluated<'_>, training: &Training<'_>, seed: u64) -> Baselines {
    let systems = systems(evaluated, training, seed);
    let labels: Vec<Labelled> = evaluated.references.par_iter().map(|text| observations::read(text)).collect();
    let tallies: Vec<Tally> = systems.iter().map(|system| Tally::of(system, evaluated, &labels)).collect();
    let clusters = clusters(&evaluated.patients);
    let everything: Vec<usize> = (0..evaluated.references.len()).collect();
    let measures: Vec<Measure> =
        Measure::ALL.into_iter().filter(|&measure| measure != Measure::Claims || evaluated.drawn.is_some()).collect();
    let scored = systems.iter().zip(&tallies).enumerate().map(|(index, (system, tally))| {
        let figures = measures.par_iter().map(|&measure| {
            let value = tally.value(measure, &everything);
            let lead = (index > 0).then(|| {
                let difference = |sample: &[usize]| tallies[0].value(measure, sample) - tally.value(measure, sample);
                // The same resamples for every figure and system.
                let mut rng = Stream::Evaluation.rng(seed, &[0]);
                Lead { difference: difference(&everything), interval: interval(&clusters, &mut rng, difference) }
            });
            Figure { measure, value, lead }
        });
        SystemScores {
            name: system.name.to_owned(),
            note: system.note.to_owned(),
            distinct_reports: system.texts.iter().collect::<BTreeSet<_>>().len(),
            figures: figures.collect(),
        }
    });
    let systems: Vec<SystemScores> = scored.collect();
    Baselines {
        training: training.named.clone(),
        training_reports: training.reports.len(),
        text: TREATMENT,
        uncertain: Uncertain::Positive,
        patients: clusters.len(),
        verdict: verdict(&systems),
        systems,
    }
}

fn systems(evaluated: &Evaluated<'_>, training: &Training<'_>, seed: u64) -> Vec<System> {
    let count = evaluated.references.len();
    let constant = |text: &str| vec![text.to_owned(); count];
    let random = |index: usize| {
        let mut rng = Stream::Evaluation.rng(seed, &[1, index as u64]);
        let others: Vec<usize> = (0..training.reports.len()).filter(|at| !training.own[index].contains(at)).collect();
        others.choose(&mut rng).map_or("", |&at| training.reports[at]).to_owned()
    };
    // A third of the way round: no image keeps its own draft, and follow-ups of one patient are far apart.
    let shift = (count / 3).max(1);
    vec![
        System { name: "model", note: "", texts: evaluated.drafts.iter().map(|&text| text.to_owned()).collect() },
        System {
            name: "best constant report, by words",
            note: "the training report most like the others (ROUGE-L), for every image",
            texts: constant(constant_by_words(&training.reports, seed)),
        },
        System {
            name: "best constant report, by observations",
            note: "the training report whose observations are right most often (micro-F1), for every image",
            texts: constant(constant_by_observations(&training.reports)),
        },
        System {
            name: "random training report",
            note: "another patient's, drawn for each image",
            texts: (0..count).map(random).collect(),
        },
        System {
            name: "nearest neighbour",
            note: "the report of the training image that the model's encoder finds most alike",
            texts: training.nearest.iter().map(|&at| training.reports[at].to_owned()).collect(),
        },
        System {
            name: "shuffled images",
            note: "each draft of the model held against another image",
            texts: (0..count).map(|index| evaluated.drafts[(index + shift) % count].to_owned()).collect(),
        },
    ]
}

/// The different reports, the most frequent first.
fn by_frequency<'t>(reports: &[&'t str]) -> Vec<(&'t str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for &report in reports {
        *counts.entry(report).or_default() += 1;
    }
    let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    sorted
}

/// The report with the highest mean ROUGE-L against a seeded sample of all.
fn constant_by_words<'t>(reports: &[&'t str], seed: u64) -> &'t str {
    let mut rng = Stream::Evaluation.rng(seed, &[2]);
    let against: Vec<String> =
        reports.choose_multiple(&mut rng, CONSTANTS_TRIED).map(|text| TREATMENT.apply(text)).collect();
    let mut tried: Vec<&str> = by_frequency(reports).into_iter().map(|(text, _)| text).collect();
    if tried.len() > CONSTANTS_TRIED {
        // Half of the most frequent, half of the rest at random: most reports stand there once.
        let rest = tried.split_off(CONSTANTS_TRIED / 2);
        tried.extend(rest.choose_multiple(&mut rng, CONSTANTS_TRIED / 2));
    }
    let mean = |text: &&str| {
        let text = TREATMENT.apply(text);
        against.iter().map(|reference| metrics::rouge_l(&text, reference)).sum::<f64>()
    };
    let scored: Vec<(f64, &str)> = tried.par_iter().map(|text| (mean(text), *text)).collect();
    scored.into_iter().reduce(|best, other| if other.0 > best.0 { other } else { best }).map_or("", |(_, text)| text)
}

/// The report with the highest micro-F1 of observations when it stands for all.
fn constant_by_observations<'t>(reports: &[&'t str]) -> &'t str {
    let labels: Vec<BTreeSet<Observation>> =
        reports.par_iter().map(|text| positives(&observations::read(text))).collect();
    let mut frequency: HashMap<Observation, usize> = HashMap::new();
    for &observation in labels.iter().flatten() {
        *frequency.entry(observation).or_default() += 1;
    }
    let support: usize = frequency.values().sum();
    let f1 = |labels: &BTreeSet<Observation>| {
        let hits: usize = labels.iter().filter_map(|observation| frequency.get(observation)).sum();
        2.0 * hits as f64 / (labels.len() * reports.len() + support).max(1) as f64
    };
    let scored = reports.iter().zip(&labels).map(|(text, labels)| (f1(labels), *text));
    scored.reduce(|best, other| if other.0 > best.0 { other } else { best }).map_or("", |(_, text)| text)
}

/// What a report states, uncertain as positive.
pub(super) fn positives(labelled: &Labelled) -> BTreeSet<Observation> {
    let positive = |&observation: &Observation| Uncertain::Positive.is_positive(labelled.label(observation));
    Observation::ALL.into_iter().filter(positive).collect()
}

/// Studies by patient.
pub(super) fn clusters(patients: &[Option<&str>]) -> Vec<Vec<usize>> {
    let mut named: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut all = Vec::new();
    for (index, patient) in patients.iter().enumerate() {
        match patient {
            Some(patient) => named.entry(patient).or_default().push(index),
            None => all.push(vec![index]),
        }
    }
    all.extend(named.into_values());
    all
}

/// Hits, claims and truths of one report.
#[derive(Debug, Clone, Copy, Default)]
struct Hits {
    right: u32,
    claimed: u32,
    there: u32,
}

impl Hits {
    fn of<T: Ord>(claimed: &BTreeSet<T>, there: &BTreeSet<T>) -> Self {
        let right = claimed.intersection(there).count() as u32;
        Self { right, claimed: claimed.len() as u32, there: there.len() as u32 }
    }
}

/// What a system's figures over any sample are summed from.
struct Tally {
    counts: Vec<Counts>,
    similarity: Vec<Similarity>,
    observations_14: Vec<Hits>,
    observations_5: Vec<Hits>,
    claims: Vec<Hits>,
}

impl Tally {
    fn of(system: &System, evaluated: &Evaluated<'_>, references: &[Labelled]) -> Self {
        let texts: Vec<(&str, &str)> =
            system.texts.iter().map(String::as_str).zip(evaluated.references.iter().copied()).collect();
        let words = metrics::score(&texts, TREATMENT);
        let five = |labels: &BTreeSet<Observation>| -> BTreeSet<Observation> {
            labels.iter().copied().filter(|observation| Observation::FIVE.contains(observation)).collect()
        };
        let labels: Vec<(BTreeSet<_>, BTreeSet<_>)> = system
            .texts
            .par_iter()
            .zip(references)
            .map(|(text, reference)| (positives(&observations::read(text)), positives(reference)))
            .collect();
        let drawn = evaluated.drawn.iter().flatten();
        Self {
            counts: words.counts,
            similarity: words.reports,
            observations_14: labels.iter().map(|(claimed, there)| Hits::of(claimed, there)).collect(),
            observations_5: labels.iter().map(|(claimed, there)| Hits::of(&five(claimed), &five(there))).collect(),
            claims: system
                .texts
                .iter()
                .zip(drawn)
                .map(|(text, drawn)| Hits::of(&observations_in(text), drawn))
                .collect(),
        }
    }

    fn value(&self, measure: Measure, sample: &[usize]) -> f64 {
        let mean = |value: &dyn Fn(&Similarity) -> f64| {
            sample.iter().map(|&index| value(&self.similarity[index])).sum::<f64>() / sample.len().max(1) as f64
        };
        match measure {
            Measure::Claims => f1(&self.claims, sample),
            Measure::Observations14 => f1(&self.observations_14, sample),
            Measure::Observations5 => f1(&self.observations_5, sample),
            Measure::RougeL => mean(&|similarity| similarity.rouge_l),
            Measure::CiderD => mean(&|similarity| similarity.cider_d),
            Measure::Bleu4 => {
                let mut sum = Counts::default();
                for &index in sample {
                    sum.add(&self.counts[index]);
                }
                sum.bleu()[3]
            }
        }
    }
}

fn f1(right: &[Hits], sample: &[usize]) -> f64 {
    let (mut hit, mut both) = (0, 0);
    for &index in sample {
        hit += u64::from(right[index].right);
        both += u64::from(right[index].claimed) + u64::from(right[index].there);
    }
    2.0 * hit as f64 / both.max(1) as f64
}

/// What a lead means, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether the model beats the baseline: its interval lies above zero.
    pub beats: bool,
    /// The sentence.
    pub sentence: String,
}

impl Serialize for Said {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.sentence)
    }
}

/// A sentence for each baseline, on the most telling figure there is.
fn verdict(systems: &[SystemScores]) -> Vec<Said> {
    let sentence = |system: &SystemScores| {
        let figure = system.figures.first()?;
        let Lead { difference, interval } = figure.lead?;
        let what = figure.measure.heading();
        let beats = interval.is_above_zero();
        let says = if beats { "beats" } else { "does NOT beat" };
        let sentence = format!(
            "The model {says} “{}” by {what}: {difference:+.3}, 95 % interval {:+.3} to {:+.3}.",
            system.name, interval.low, interval.high
        );
        Some(Said { beats, sentence })
    };
    systems.iter().filter_map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: &str = "No acute disease. The lungs are clear.";
    const EFFUSION: &str = "There is a left pleural effusion.";
    const HEART: &str = "The heart is enlarged. There is cardiomegaly.";

    fn compared(drafts: &[&str]) -> Baselines {
        let references: Vec<&str> = (0..drafts.len()).map(|n| [NORMAL, NORMAL, EFFUSION, HEART][n % 4]).collect();
        let reports = vec![NORMAL, NORMAL, EFFUSION, HEART, "Pneumothorax."];
        let evaluated =
            Evaluated { references, drafts: drafts.to_vec(), patients: vec![None; drafts.len()], drawn: None };
        let training = Training {
            named: "here".into(),
            nearest: (0..drafts.len()).map(|n| n % 4).collect(),
            own: vec![vec![4]; drafts.len()],
            reports,
        };
        compare(&evaluated, &training, 7)
    }

    fn figure(baselines: &Baselines, name: &str, measure: Measure) -> Figure {
        let system = baselines.systems.iter().find(|system| system.name == name).expect("it is compared");
        *system.figures.iter().find(|figure| figure.measure == measure).expect("it is measured")
    }

    #[test]
    fn a_model_that_looks_beats_what_does_not() {
        let right: Vec<&str> = (0..80).map(|n| [NORMAL, NORMAL, EFFUSION, HEART][n % 4]).collect();
        let baselines = compared(&right);
        for name in ["best constant report, by words", "random training report", "shuffled images"] {
            for measure in [Measure::Observations14, Measure::RougeL, Measure::Bleu4, Measure::CiderD] {
                let lead = figure(&baselines, name, measure).lead.expect("a baseline has one");
                assert!(lead.interval.is_above_zero(), "{name} {measure:?} {lead:?}");
                assert!((lead.interval.low..=lead.interval.high).contains(&lead.difference));
            }
        }
        // The nearest neighbour is always right here: no lead.
        let lead = figure(&baselines, "nearest neighbour", Measure::Observations14).lead.expect("a baseline has one");
        assert!(!lead.interval.is_above_zero(), "{lead:?}");
        let told: Vec<bool> = baselines.verdict.iter().map(|said| said.beats).collect();
        assert_eq!(told, [true, true, true, false, true], "{:?}", baselines.verdict);
    }

    #[test]
    fn a_model_that_says_one_thing_is_told_so() {
        let baselines = compared(&[NORMAL; 80]);
        let constant = figure(&baselines, "best constant report, by observations", Measure::Observations14);
        assert!((constant.lead.expect("a baseline has one").difference).abs() < 1e-12);
        assert!(
            baselines.verdict.iter().all(|said| !(said.beats && said.sentence.contains("“best constant"))),
            "{baselines:?}"
        );
        assert_eq!(baselines.systems[0].distinct_reports, 1);
        assert_eq!((baselines.patients, baselines.training_reports), (80, 5));
    }

    #[test]
    fn constants_come_from_the_training_reports() {
        let reports = [NORMAL, EFFUSION, EFFUSION, EFFUSION, HEART];
        assert_eq!(constant_by_observations(&reports), EFFUSION);
        assert_eq!(constant_by_words(&reports, 1), EFFUSION);
    }

    #[test]
    fn a_study_is_never_given_its_own_patients_report_at_random() {
        let baselines = compared(&[NORMAL; 40]);
        let random = figure(&baselines, "random training report", Measure::Observations14);
        assert!(random.value > 0.0 && random.value < 1.0);
        let evaluated =
            Evaluated { references: vec![NORMAL; 40], drafts: vec![NORMAL; 40], patients: vec![None; 40], drawn: None };
        let training = Training {
            named: String::new(),
            reports: vec![NORMAL, "secret"],
            nearest: vec![0; 40],
            own: vec![vec![1]; 40],
        };
        let systems = systems(&evaluated, &training, 3);
        assert!(
            systems
                .iter()
                .all(|system| system.texts.iter().all(|text| text != "secret")
                    || system.name.starts_with("best constant"))
        );
    }
}
