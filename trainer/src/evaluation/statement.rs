//! One question that every report answers: what the drafts say of it, held against what the references say.
//!
//! The words of the question, such as "evidence of pneumonia", stand in a report that affirms it, and stand behind "no" in
//! a report that denies it. A draft's score is the probability of the words where it affirms, and one less the probability
//! of the denial where it denies: the drafts can then be ordered, and an area under the ROC curve says more than the words
//! alone. Each figure stands for all studies and for groups of them, since a shortcut shows between groups: a model that
//! tells sources apart and nothing else has a high area over all, and none within each.

use std::collections::BTreeMap;

use serde::Serialize;
use xreport_models::bundle::Manifest;
use xreport_models::text::Tokenizer;

use super::Case;
use super::baselines::{Training, clusters};
use super::bootstrap::{Interval, interval};
use super::calibration::area;
use crate::data::Further;
use crate::training::seeds::Stream;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// The words of the question, in lower case.
    pub words: String,
    /// Drafts that neither affirm nor deny; they count as a denial with a score of 0.
    pub silent: usize,
    /// All studies first, then those that share a cell of a column.
    pub groups: Vec<Group>,
}

/// The studies that have something in common, and whose reference answers the question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common, such as `view AP`.
    pub name: String,
    /// How many there are.
    pub studies: usize,
    /// References that affirm.
    pub affirmed: usize,
    /// The model.
    pub model: Answers,
    /// The report of the training image that looks most alike.
    pub nearest: Answers,
    /// The answer that most training reports give.
    pub constant: Answers,
    /// A training report drawn at random, on average.
    pub random_accuracy: f64,
}

/// How well answers agree with the references'. Measures that need both answers among the references are `None` where one
/// is missing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Answers {
    /// Share of right answers.
    pub accuracy: Measured,
    /// Of the references that affirm, the share affirmed.
    pub sensitivity: Option<Measured>,
    /// Of those that deny, the share denied.
    pub specificity: Option<Measured>,
    /// The mean of both.
    pub balanced: Option<Measured>,
    /// How often a study that affirms scores higher than one that denies, ties half.
    pub area: Option<Measured>,
}

/// A figure with its 95 % interval, resampled by patient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// The figure.
    pub value: f64,
    /// Its interval.
    #[serde(flatten)]
    pub interval: Interval,
}

/// What the evaluation hands over.
pub(super) struct Asked<'a> {
    pub words: &'a str,
    pub cases: &'a [Case],
    pub training: &'a Training<'a>,
    /// Columns to group by, with their names.
    pub columns: &'a [(&'a str, Option<Further>)],
    pub seed: u64,
}

/// One study that is asked about.
struct Study<'a> {
    truth: bool,
    model: Answer,
    nearest: Answer,
    constant: Answer,
    patient: Option<&'a str>,
    groups: Vec<String>,
}

#[derive(Clone, Copy)]
struct Answer {
    affirms: bool,
    score: f64,
}

impl Answer {
    fn of_text(affirms: bool) -> Self {
        Self { affirms, score: f64::from(u8::from(affirms)) }
    }
}

/// Asks the question of all cases whose reference answers it; `None` where none does.
pub(super) fn ask(asked: &Asked<'_>, tokenizer: &Tokenizer, manifest: &Manifest) -> anyhow::Result<Option<Statement>> {
    let words = asked.words.to_lowercase();
    let tokens = Tokens::of(&words, tokenizer, manifest)?;
    let taught: Vec<Option<bool>> = asked.training.reports.iter().map(|report| said(report, &words)).collect();
    let answered: Vec<bool> = taught.iter().flatten().copied().collect();
    let affirming = answered.iter().filter(|&&answer| answer).count() as f64 / answered.len().max(1) as f64;
    let mut silent = 0;
    let mut studies = Vec::new();
    for (index, case) in asked.cases.iter().enumerate() {
        let Some(truth) = said(&case.study.text, &words) else { continue };
        let answer = said(&case.draft.text, &words);
        silent += usize::from(answer.is_none());
        let model = answer.map_or(Answer { affirms: false, score: 0.0 }, |affirms| Answer {
            affirms,
            score: tokens.score(case, affirms),
        });
        studies.push(Study {
            truth,
            model,
            nearest: Answer::of_text(taught[asked.training.nearest[index]] == Some(true)),
            constant: Answer::of_text(affirming > 0.5),
            patient: case.study.patient.as_deref(),
            groups: groups(&case.study.id, asked.columns),
        });
    }
    if studies.is_empty() {
        return Ok(None);
    }
    let mut members: BTreeMap<&str, Vec<&Study<'_>>> = BTreeMap::new();
    for study in &studies {
        for group in &study.groups {
            members.entry(group).or_default().push(study);
        }
    }
    let all = group("all studies", &studies.iter().collect::<Vec<_>>(), affirming, asked.seed);
    // A column with one value says nothing new.
    let parts = members.iter().filter(|(_, members)| members.len() < studies.len());
    let parts = parts.map(|(name, members)| group(name, members, affirming, asked.seed));
    Ok(Some(Statement { words, silent, groups: std::iter::once(all).chain(parts).collect() }))
}

/// Whether a text affirms (`true`) or denies the words; `None` where they do not stand in it. The first place counts.
fn said(text: &str, words: &str) -> Option<bool> {
    let text = text.to_lowercase();
    let place = text.find(words)?;
    Some(!text[..place].trim_end().ends_with(" no"))
}

/// The groups that a study belongs to, one for each column.
fn groups(id: &str, columns: &[(&str, Option<Further>)]) -> Vec<String> {
    let named = |(name, column): &(&str, Option<Further>)| {
        let cell = column.as_ref()?.get(id);
        Some(match (*name, cell) {
            (_, None) => format!("{name} not stated"),
            ("age", Some(cell)) => format!("age {}", age_band(cell)),
            (_, Some(cell)) => format!("{name} {cell}"),
        })
    };
    columns.iter().filter_map(named).collect()
}

fn age_band(years: &str) -> &str {
    match years.parse::<u32>() {
        Ok(..18) => "under 18",
        Ok(18..40) => "18 to 39",
        Ok(40..65) => "40 to 64",
        Ok(65..) => "65 and over",
        Err(_) => years,
    }
}

/// The words in the model's own tokens.
struct Tokens {
    no: u32,
    words: Vec<u32>,
}

impl Tokens {
    fn of(words: &str, tokenizer: &Tokenizer, manifest: &Manifest) -> anyhow::Result<Self> {
        let encode = |text: &str| -> anyhow::Result<Vec<u32>> {
            let full = tokenizer.encode(text)?;
            let inner = &full[1..full.len() - 1];
            Ok(inner.iter().map(|&id| manifest.vocabulary.to_model(id)).collect())
        };
        let no = encode("no")?.first().copied().unwrap_or(manifest.vocabulary.unk());
        Ok(Self { no, words: encode(words)? })
    }

    /// The probability, as the model sees it, that the draft affirms: of the words where it does, and one less that of
    /// "no" and the words where it denies.
    fn score(&self, case: &Case, affirms: bool) -> f64 {
        let (said, logs) = (&case.draft.sequence.tokens, &case.draft.sequence.log_probabilities);
        let place = said.windows(self.words.len().max(1)).position(|window| window == self.words);
        let Some(place) = place else { return f64::from(u8::from(affirms)) };
        let from = if place > 0 && said[place - 1] == self.no { place - 1 } else { place };
        let log: f64 = logs[from..place + self.words.len()].iter().map(|&log| f64::from(log)).sum();
        if affirms { log.exp() } else { 1.0 - log.exp() }
    }
}

fn group(name: &str, studies: &[&Study<'_>], affirming: f64, seed: u64) -> Group {
    let affirmed = studies.iter().filter(|study| study.truth).count();
    let patients: Vec<Option<&str>> = studies.iter().map(|study| study.patient).collect();
    let clusters = clusters(&patients);
    let answers = |of: &dyn Fn(&Study<'_>) -> Answer| {
        let rows: Vec<(bool, Answer)> = studies.iter().map(|study| (study.truth, of(study))).collect();
        answers(&rows, &clusters, seed)
    };
    let share = affirmed as f64 / studies.len() as f64;
    Group {
        name: name.to_owned(),
        studies: studies.len(),
        affirmed,
        model: answers(&|study| study.model),
        nearest: answers(&|study| study.nearest),
        constant: answers(&|study| study.constant),
        random_accuracy: share * affirming + (1.0 - share) * (1.0 - affirming),
    }
}

fn answers(rows: &[(bool, Answer)], clusters: &[Vec<usize>], seed: u64) -> Answers {
    let everything: Vec<usize> = (0..rows.len()).collect();
    let measured = |measure: &dyn Fn(&[usize]) -> Option<f64>| {
        let value = measure(&everything)?;
        // A resample without one of the answers says what the whole says.
        let mut rng = Stream::Evaluation.rng(seed, &[4]);
        let interval = interval(clusters, &mut rng, |sample| measure(sample).unwrap_or(value));
        Some(Measured { value, interval })
    };
    let right_among = |sample: &[usize], wanted: Option<bool>| {
        let asked = sample.iter().map(|&index| rows[index]).filter(|row| wanted.is_none_or(|wanted| row.0 == wanted));
        let (right, all) = asked
            .fold((0u32, 0u32), |(right, all), (truth, answer)| (right + u32::from(answer.affirms == truth), all + 1));
        (all > 0).then(|| f64::from(right) / f64::from(all))
    };
    let balanced =
        |sample: &[usize]| Some(f64::midpoint(right_among(sample, Some(true))?, right_among(sample, Some(false))?));
    Answers {
        accuracy: measured(&|sample| right_among(sample, None)).expect("a group has a study"),
        sensitivity: measured(&|sample| right_among(sample, Some(true))),
        specificity: measured(&|sample| right_among(sample, Some(false))),
        balanced: measured(&balanced),
        area: measured(&|sample| {
            let mut scored: Vec<_> = sample.iter().map(|&index| (rows[index].1.score, rows[index].0)).collect();
            area(&mut scored)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_affirms_denies_or_says_nothing() {
        let said = |text| said(text, "evidence of pneumonia");
        assert_eq!(said("Clear. There is evidence of pneumonia."), Some(true));
        assert_eq!(said("There is no Evidence of pneumonia."), Some(false));
        assert_eq!(said("Known evidence of pneumonia."), Some(true), "`known` is no `no`");
        assert_eq!(said("Clear."), None);
    }

    #[test]
    fn ages_come_in_bands() {
        assert_eq!(
            ["4", "18", "64", "65", "1-5"].map(age_band),
            ["under 18", "18 to 39", "40 to 64", "65 and over", "1-5"]
        );
    }

    /// Truths with the answers of a model that is right but for the last row.
    fn rows() -> Vec<(bool, Answer)> {
        let rows = [(true, true, 0.9), (true, true, 0.8), (false, false, 0.3), (false, true, 0.85)];
        rows.map(|(truth, affirms, score)| (truth, Answer { affirms, score })).to_vec()
    }

    #[test]
    fn figures_of_a_group() {
        let clusters: Vec<Vec<usize>> = (0..4).map(|n| vec![n]).collect();
        let found = answers(&rows(), &clusters, 1);
        assert!((found.accuracy.value - 0.75).abs() < 1e-12);
        let value = |measured: Option<Measured>| measured.unwrap().value;
        let values = [found.sensitivity, found.specificity, found.balanced, found.area].map(value);
        for (value, expected) in values.into_iter().zip([1.0, 0.5, 0.75, 0.75]) {
            assert!((value - expected).abs() < 1e-12, "{values:?}");
        }
        let Measured { value, interval } = found.accuracy;
        assert!(interval.low < value && value <= interval.high, "{interval:?}");
        let one_sided = answers(&rows()[..2], &clusters[..2], 1);
        assert_eq!((one_sided.specificity, one_sided.area), (None, None));
    }
}
