//! One question that every report answers: what the drafts say of it, held against what the references say.
//!
//! Reports are read by the rules for observations ([`Question`]): the words of the question, such as "evidence of pneumonia",
//! are affirmed, or denied by "no", "without", "is not seen" and the like; what a report holds for possible counts as
//! affirmed. A draft's score is the probability of the words where it affirms, and one less the probability of the denial
//! where it denies: the drafts can then be ordered, and an area under the ROC curve says more than the words alone. Each figure stands for all studies and for groups of them, since a shortcut shows between groups: a model that
//! tells sources apart and nothing else has a high area over all, and none within each.

use std::collections::BTreeMap;

use serde::Serialize;
use xreport_models::bundle::Manifest;
use xreport_models::text::Tokenizer;

use crate::observations::{Answer as Said, Label, Question};

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
    pub question: &'a Question,
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
    let question = asked.question;
    let affirms = |text: &str| question.answer(text).map(|answer| affirmed(&answer));
    let taught: Vec<Option<bool>> = asked.training.reports.iter().map(|report| affirms(report)).collect();
    let answered: Vec<bool> = taught.iter().flatten().copied().collect();
    let affirming = answered.iter().filter(|&&answer| answer).count() as f64 / answered.len().max(1) as f64;
    let mut silent = 0;
    let mut studies = Vec::new();
    for (index, case) in asked.cases.iter().enumerate() {
        let Some(truth) = affirms(&case.study.text) else { continue };
        let answer = question.answer(&case.draft.text);
        silent += usize::from(answer.is_none());
        let model = match answer {
            None => Answer { affirms: false, score: 0.0 },
            Some(said) => Answer { affirms: affirmed(&said), score: score(&said, case, tokenizer, manifest)? },
        };
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
    Ok(Some(Statement {
        words: asked.words.to_lowercase(),
        silent,
        groups: std::iter::once(all).chain(parts).collect(),
    }))
}

/// What may be there counts as there, as in the comparison with the baselines.
fn affirmed(said: &Said) -> bool {
    said.label != Label::Negative
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

/// The probability, as the model sees it, that the draft affirms: of the words where it does, and one less that of the words
/// with what denies them where it denies.
fn score(said: &Said, case: &Case, tokenizer: &Tokenizer, manifest: &Manifest) -> anyhow::Result<f64> {
    let affirms = affirmed(said);
    let sequence = &case.draft.sequence;
    let mut log = 0.0;
    let denial = said.cue.as_ref().filter(|_| !affirms);
    for place in said.words.iter().chain(denial) {
        let tokens = encoded(&case.draft.text[place.clone()], tokenizer, manifest)?;
        let before = encoded(&case.draft.text[..place.start], tokenizer, manifest)?.len();
        let Some(from) = nearest(&sequence.tokens, &tokens, before) else { return Ok(f64::from(u8::from(affirms))) };
        let logs = &sequence.log_probabilities[from..from + tokens.len()];
        log += logs.iter().map(|&log| f64::from(log)).sum::<f64>();
    }
    if said.words.is_none() {
        return Ok(f64::from(u8::from(affirms)));
    }
    Ok(if affirms { log.exp() } else { 1.0 - log.exp() })
}

/// The model's own tokens of a text.
fn encoded(text: &str, tokenizer: &Tokenizer, manifest: &Manifest) -> anyhow::Result<Vec<u32>> {
    let full = tokenizer.encode(text)?;
    // The tokenizer frames a text by start and end.
    Ok(full[1..full.len() - 1].iter().map(|&id| manifest.vocabulary.to_model(id)).collect())
}

/// Where `part` stands in `tokens`, nearest to `expected`: words that the vocabulary cannot spell move what follows.
fn nearest(tokens: &[u32], part: &[u32], expected: usize) -> Option<usize> {
    let places = tokens.windows(part.len().max(1)).enumerate().filter(|(_, window)| *window == part);
    places.map(|(place, _)| place).min_by_key(|place| place.abs_diff(expected))
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

    /// How reports were read before: " no" right before the words. For the texts that importers make of labels, which the
    /// published figures stand on, the reader of findings must say the same.
    fn before(text: &str, words: &str) -> Option<bool> {
        let text = text.to_lowercase();
        let place = text.find(words)?;
        Some(!text[..place].trim_end().ends_with(" no"))
    }

    #[test]
    fn the_fixed_sentences_of_the_radiographs_are_read_as_before() {
        use crate::import::pneumonia::{BACTERIAL, NORMAL, OF_NO_KIND, VIRAL};
        let adults = [
            "Frontal chest radiograph. There is evidence of pneumonia. There is evidence of atelectasis.",
            "Frontal chest radiograph. There is no evidence of pneumonia. There is evidence of a mass.",
            "Frontal chest radiograph. There is no evidence of pneumonia. None of the other findings that were looked for is \
             labelled.",
            "Frontal chest radiograph. There is evidence of pneumonia.",
            "Frontal chest radiograph. There is no evidence of pneumonia.",
            "Frontal chest radiograph. There is evidence of infiltration.",
        ];
        let question = Question::of("evidence of pneumonia").unwrap();
        for text in [NORMAL, BACTERIAL, VIRAL, OF_NO_KIND].into_iter().chain(adults) {
            let answer = question.answer(text);
            assert_eq!(answer.as_ref().map(affirmed), before(text, "evidence of pneumonia"), "{text}");
            // The same tokens are scored, too: the words, with the "no" right before them.
            let Some(Said { words, cue, .. }) = answer else { continue };
            assert_eq!(&text[words.clone().unwrap()], "evidence of pneumonia");
            assert_eq!(cue.map(|cue| (&text[cue.clone()], cue.end + 1)), {
                let denied = before(text, "evidence of pneumonia") == Some(false);
                denied.then(|| ("no", words.unwrap().start))
            });
        }
    }

    #[test]
    fn the_place_of_words_among_tokens_is_the_one_that_is_meant() {
        let tokens = [5, 6, 7, 1, 5, 6];
        assert_eq!((nearest(&tokens, &[5, 6], 0), nearest(&tokens, &[5, 6], 3)), (Some(0), Some(4)));
        assert_eq!((nearest(&tokens, &[9], 0), nearest(&tokens, &[], 0), nearest(&[], &[5], 0)), (None, None, None));
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
