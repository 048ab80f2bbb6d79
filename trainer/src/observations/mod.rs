//! Observations that a report states, read by rules in the manner of the CheXpert labeller.
//!
//! [`read`] takes any report text and says of each of the 14 CheXpert observations (Irvin et al., AAAI 2019) whether it
//! is positive, negative, uncertain or not mentioned, and for each mention on which side and of what size it is.
//!
//! ```
//! use xreport_trainer::observations::{Label, Observation, read};
//! let labelled = read("Small left effusion, possibly with atelectasis. No pneumothorax.");
//! assert_eq!(labelled.label(Observation::PleuralEffusion), Some(Label::Positive));
//! assert_eq!(labelled.label(Observation::Atelectasis), Some(Label::Uncertain));
//! assert_eq!(labelled.label(Observation::Pneumothorax), Some(Label::Negative));
//! assert_eq!(labelled.label(Observation::Fracture), None);
//! ```
//!
//! The way of a report: [`words`] splits it into sentences and words and passes over indication and comparison,
//! [`lexicon`] finds phrases that name an observation, [`cues`] finds words that deny or doubt, [`scope`] decides which
//! of them reach which phrase, [`heart`] reads "heart size is normal" and its like, [`attributes`] finds side and size.
//! The rules are CheXpert's: doubt that comes with a denial ("cannot exclude") first, then denial, then doubt, else
//! positive; over all mentions of a report positive beats uncertain beats negative; "No Finding" is positive where
//! nothing but support devices is positive or uncertain. The lexicon and the scopes are our own, without a parser.

mod agreement;
mod attributes;
mod cues;
mod find;
mod heart;
mod lexicon;
mod question;
mod scope;
mod words;

#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Serialize, Serializer};

pub use question::{Answer, Question, QuestionError};

pub use agreement::{Agreement, AgreementScores, ClassScores, Rates, Share, Uncertain, agreement};

/// The 14 observations of CheXpert, in the order of its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Observation {
    NoFinding,
    EnlargedCardiomediastinum,
    Cardiomegaly,
    LungLesion,
    LungOpacity,
    Edema,
    Consolidation,
    Pneumonia,
    Atelectasis,
    Pneumothorax,
    PleuralEffusion,
    PleuralOther,
    Fracture,
    SupportDevices,
}

impl Observation {
    /// All of them, in CheXpert's order.
    pub const ALL: [Self; 14] = [
        Self::NoFinding,
        Self::EnlargedCardiomediastinum,
        Self::Cardiomegaly,
        Self::LungLesion,
        Self::LungOpacity,
        Self::Edema,
        Self::Consolidation,
        Self::Pneumonia,
        Self::Atelectasis,
        Self::Pneumothorax,
        Self::PleuralEffusion,
        Self::PleuralOther,
        Self::Fracture,
        Self::SupportDevices,
    ];

    /// The five that the field compares.
    pub const FIVE: [Self; 5] =
        [Self::Cardiomegaly, Self::Edema, Self::Consolidation, Self::Atelectasis, Self::PleuralEffusion];

    /// The name in CheXpert's tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoFinding => "No Finding",
            Self::EnlargedCardiomediastinum => "Enlarged Cardiomediastinum",
            Self::Cardiomegaly => "Cardiomegaly",
            Self::LungLesion => "Lung Lesion",
            Self::LungOpacity => "Lung Opacity",
            Self::Edema => "Edema",
            Self::Consolidation => "Consolidation",
            Self::Pneumonia => "Pneumonia",
            Self::Atelectasis => "Atelectasis",
            Self::Pneumothorax => "Pneumothorax",
            Self::PleuralEffusion => "Pleural Effusion",
            Self::PleuralOther => "Pleural Other",
            Self::Fracture => "Fracture",
            Self::SupportDevices => "Support Devices",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Observation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a report says of an observation that it mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It is not there.
    Negative,
    /// It may be there.
    Uncertain,
    /// It is there.
    Positive,
}

impl Label {
    /// The cell of CheXpert's tables: 1, 0, and -1 for uncertain.
    pub fn cell(self) -> &'static str {
        match self {
            Self::Negative => "0",
            Self::Uncertain => "-1",
            Self::Positive => "1",
        }
    }
}

/// On which side of the patient a mentioned observation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub struct Sides {
    /// The patient's left.
    pub left: bool,
    /// The patient's right.
    pub right: bool,
}

impl Sides {
    /// Neither side is named.
    pub fn is_none(self) -> bool {
        !self.left && !self.right
    }

    fn join(&mut self, other: Self) {
        self.left |= other.left;
        self.right |= other.right;
    }
}

/// How large a mentioned observation is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Trace, tiny, minimal, small, mild.
    Small,
    /// Moderate.
    Moderate,
    /// Large, marked, severe, massive, extensive.
    Large,
}

/// One place of a report that names an observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mention {
    /// What is named.
    pub observation: Observation,
    /// What is said of it.
    pub label: Label,
    /// Where.
    pub sides: Sides,
    /// How large, in words.
    pub grade: Option<Grade>,
    /// How large, measured: the largest extent in millimetres.
    pub millimetres: Option<f32>,
    /// Bytes of the report that its sentence takes: from, to.
    pub sentence: (usize, usize),
}

/// What a report states.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labelled {
    labels: [Option<Label>; 14],
    /// Every place that names an observation, in the order of the text.
    pub mentions: Vec<Mention>,
}

impl Labelled {
    /// What the report says of an observation; `None` where it does not mention it.
    pub fn label(&self, observation: Observation) -> Option<Label> {
        self.labels[observation.index()]
    }

    /// Positive mentions of an observation.
    fn positive(&self, observation: Observation) -> impl Iterator<Item = &Mention> {
        self.mentions
            .iter()
            .filter(move |mention| mention.observation == observation && mention.label == Label::Positive)
    }
}

/// Reads a report. Never fails: a text that names nothing has no labels, but for "No Finding" where it has any word.
pub fn read(text: &str) -> Labelled {
    let lower = text.to_ascii_lowercase();
    let mut labelled = Labelled::default();
    let (mut any_word, mut other_finding) = (false, false);
    for sentence in words::sentences(text, &lower) {
        any_word |= sentence.words.iter().any(|word| word.text.starts_with(char::is_alphabetic));
        let stated = scope::state(&sentence);
        other_finding |= stated.other_finding;
        labelled.mentions.extend(stated.mentions);
    }
    for mention in &labelled.mentions {
        let label = &mut labelled.labels[mention.observation.index()];
        *label = (*label).max(Some(mention.label));
    }
    let abnormal = Observation::ALL.iter().any(|&observation| {
        observation != Observation::SupportDevices
            && matches!(labelled.label(observation), Some(Label::Positive | Label::Uncertain))
    });
    if any_word && !abnormal && !other_finding {
        labelled.labels[Observation::NoFinding.index()] = Some(Label::Positive);
    }
    labelled
}
