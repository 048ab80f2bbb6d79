//! How well the observations of generated reports agree with those of their references.

use serde::Serialize;

use super::{Label, Labelled, Mention, Observation, Sides};

/// What "uncertain" counts as. Papers differ, so both are computed and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertain {
    /// As positive.
    Positive,
    /// As negative.
    Negative,
}

impl Uncertain {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::Positive, Self::Negative];

    /// The name shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "uncertain as positive",
            Self::Negative => "uncertain as negative",
        }
    }

    /// Whether a label counts as positive.
    pub fn is_positive(self, label: Option<Label>) -> bool {
        match label {
            Some(Label::Positive) => true,
            Some(Label::Uncertain) => self == Self::Positive,
            _ => false,
        }
    }
}

/// Precision, recall and F1, with the counts that they are made of.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rates {
    /// In both.
    pub true_positives: u64,
    /// Only in the generated text.
    pub false_positives: u64,
    /// Only in the reference.
    pub false_negatives: u64,
    /// Of those generated, the share in the reference, in [0, 1]; 0 where none is generated.
    pub precision: f64,
    /// Of those in the reference, the share generated, in [0, 1]; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of both, in [0, 1].
    pub f1: f64,
    /// How many references have it.
    pub support: u64,
}

impl Rates {
    /// From the counts.
    pub fn new(true_positives: u64, false_positives: u64, false_negatives: u64) -> Self {
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        Self {
            true_positives,
            false_positives,
            false_negatives,
            precision: share(true_positives, true_positives + false_positives),
            recall: share(true_positives, true_positives + false_negatives),
            f1: share(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
            support: true_positives + false_negatives,
        }
    }

    fn sum<'r>(rates: impl Iterator<Item = &'r Self>) -> Self {
        let (mut hit, mut invented, mut missed) = (0, 0, 0);
        for one in rates {
            hit += one.true_positives;
            invented += one.false_positives;
            missed += one.false_negatives;
        }
        Self::new(hit, invented, missed)
    }

    /// Whether either side names it at all.
    fn is_defined(&self) -> bool {
        self.true_positives + self.false_positives + self.false_negatives > 0
    }
}

/// Rates of one observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassScores {
    /// The observation.
    pub observation: Observation,
    /// How well it is found.
    #[serde(flatten)]
    pub rates: Rates,
}

/// All observations under one way of counting "uncertain".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgreementScores {
    /// In CheXpert's order.
    pub classes: Vec<ClassScores>,
    /// Over all 14.
    pub micro_14: Rates,
    /// Mean F1 of those of the 14 that either side names.
    pub macro_14: f64,
    /// Over [`Observation::FIVE`].
    pub micro_5: Rates,
    /// Mean F1 of those of the five that either side names.
    pub macro_5: f64,
}

/// A share and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Share {
    /// That agree.
    pub agree: u64,
    /// That were compared.
    pub compared: u64,
}

impl Share {
    /// In [0, 1]; `None` where nothing was compared.
    pub fn share(self) -> Option<f64> {
        (self.compared > 0).then(|| self.agree as f64 / self.compared as f64)
    }

    fn count(&mut self, agrees: bool) {
        self.compared += 1;
        self.agree += u64::from(agrees);
    }
}

/// Agreement of two sets of reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Uncertain mentions count as positive.
    pub uncertain_as_positive: AgreementScores,
    /// Uncertain mentions count as negative.
    pub uncertain_as_negative: AgreementScores,
    /// Of the observations that both reports state with a side, those with the same side or sides.
    pub side: Share,
    /// Of those that both state with a size in words, those of the same size: small, moderate or large.
    pub size: Share,
    /// Of those that both measure, those whose largest measures differ by at most a fifth, or by one millimetre.
    pub measure: Share,
}

impl Agreement {
    /// The scores under one way of counting "uncertain".
    pub fn under(&self, uncertain: Uncertain) -> &AgreementScores {
        match uncertain {
            Uncertain::Positive => &self.uncertain_as_positive,
            Uncertain::Negative => &self.uncertain_as_negative,
        }
    }
}

/// Compares (generated, reference) reports.
pub fn agreement(pairs: &[(Labelled, Labelled)]) -> Agreement {
    let (mut side, mut size, mut measure) = (Share::default(), Share::default(), Share::default());
    for (generated, reference) in pairs {
        for observation in Observation::ALL {
            let (first, second) = (Stated::of(generated, observation), Stated::of(reference, observation));
            if !first.sides.is_none() && !second.sides.is_none() {
                side.count(first.sides == second.sides);
            }
            if let (Some(first), Some(second)) = (first.grade, second.grade) {
                size.count(first == second);
            }
            if let (Some(first), Some(second)) = (first.millimetres, second.millimetres) {
                measure.count((first - second).abs() <= (second * 0.2).max(1.0));
            }
        }
    }
    Agreement {
        uncertain_as_positive: scores(pairs, Uncertain::Positive),
        uncertain_as_negative: scores(pairs, Uncertain::Negative),
        side,
        size,
        measure,
    }
}

/// Attributes of all positive mentions of an observation in one report.
struct Stated {
    sides: Sides,
    grade: Option<super::Grade>,
    millimetres: Option<f32>,
}

impl Stated {
    fn of(report: &Labelled, observation: Observation) -> Self {
        let mut stated = Self { sides: Sides::default(), grade: None, millimetres: None };
        for mention in report.positive(observation) {
            let &Mention { sides, grade, millimetres, .. } = mention;
            stated.sides.join(sides);
            stated.grade = stated.grade.max(grade);
            if millimetres > stated.millimetres {
                stated.millimetres = millimetres;
            }
        }
        stated
    }
}

fn scores(pairs: &[(Labelled, Labelled)], uncertain: Uncertain) -> AgreementScores {
    let classes: Vec<ClassScores> = Observation::ALL
        .into_iter()
        .map(|observation| {
            let (mut hit, mut invented, mut missed) = (0, 0, 0);
            for (generated, reference) in pairs {
                let claimed = uncertain.is_positive(generated.label(observation));
                let there = uncertain.is_positive(reference.label(observation));
                hit += u64::from(claimed && there);
                invented += u64::from(claimed && !there);
                missed += u64::from(!claimed && there);
            }
            ClassScores { observation, rates: Rates::new(hit, invented, missed) }
        })
        .collect();
    let five: Vec<&Rates> = classes
        .iter()
        .filter(|class| Observation::FIVE.contains(&class.observation))
        .map(|class| &class.rates)
        .collect();
    AgreementScores {
        micro_14: Rates::sum(classes.iter().map(|class| &class.rates)),
        macro_14: mean_f1(classes.iter().map(|class| &class.rates)),
        micro_5: Rates::sum(five.iter().copied()),
        macro_5: mean_f1(five.into_iter()),
        classes,
    }
}

fn mean_f1<'r>(rates: impl Iterator<Item = &'r Rates>) -> f64 {
    let defined: Vec<f64> = rates.filter(|rates| rates.is_defined()).map(|rates| rates.f1).collect();
    defined.iter().sum::<f64>() / defined.len().max(1) as f64
}
