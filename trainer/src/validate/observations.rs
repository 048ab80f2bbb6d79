//! How often each observation is reported, held out against trained on.

use rayon::prelude::*;
use serde::Serialize;

use super::Side;
use crate::data::Study;
use crate::observations::{Label, Observation, read};

/// Who read the observations, and how well, in a sentence for the page.
pub const READER: &str = "Read from the texts by the rules that `score` and `evaluate` use (trainer/EVALUATION.md): micro-F1 0.95 over seven classes of Open-i's gold labels; rare classes are read less well.";

/// How often one observation is reported.
#[derive(Debug, Clone, Serialize)]
pub struct Prevalence {
    /// The observation.
    pub name: Observation,
    /// Reports that say that it is there.
    pub positive: usize,
    /// Reports that say that it may be there.
    pub uncertain: usize,
    /// Reports that say that it is not there.
    pub negative: usize,
    /// Share of positive reports among those to train on.
    pub in_training: Option<f64>,
    /// Share of positive reports among those of the validation.
    pub in_validation: Option<f64>,
    /// Whether the two shares differ by more than chance explains: more than three standard errors, and by 0.02.
    pub shifted: bool,
}

/// Reads all reports, in the current thread pool.
pub fn prevalence(studies: &[Study], sides: &[Side]) -> Vec<Prevalence> {
    // By observation: positive, uncertain, negative; positive in training and validation.
    let empty = || [[0_usize; 5]; Observation::ALL.len()];
    let counts = studies
        .par_iter()
        .zip(sides)
        .fold(empty, |mut counts, (study, side)| {
            let labelled = read(&study.text);
            for (count, observation) in counts.iter_mut().zip(Observation::ALL) {
                match labelled.label(observation) {
                    Some(Label::Positive) => {
                        count[0] += 1;
                        count[3] += usize::from(*side == Side::Train);
                        count[4] += usize::from(*side == Side::Validation);
                    }
                    Some(Label::Uncertain) => count[1] += 1,
                    Some(Label::Negative) => count[2] += 1,
                    None => {}
                }
            }
            counts
        })
        .reduce(empty, |mut all, more| {
            all.iter_mut().flatten().zip(more.into_iter().flatten()).for_each(|(all, more)| *all += more);
            all
        });
    let of = |side: Side| sides.iter().filter(|&&one| one == side).count();
    let (train, validation) = (of(Side::Train), of(Side::Validation));
    let share = |count: usize, of: usize| (of > 0).then(|| count as f64 / of as f64);
    Observation::ALL
        .into_iter()
        .zip(counts)
        .map(|(name, [positive, uncertain, negative, trained, validated])| Prevalence {
            name,
            positive,
            uncertain,
            negative,
            in_training: share(trained, train),
            in_validation: share(validated, validation),
            shifted: shifted(trained, train, validated, validation),
        })
        .collect()
}

/// Whether two shares differ by more than three standard errors of their difference (pooled), and by 0.02.
fn shifted(a: usize, of_a: usize, b: usize, of_b: usize) -> bool {
    if of_a == 0 || of_b == 0 {
        return false;
    }
    let (n, m) = (of_a as f64, of_b as f64);
    let difference = (a as f64 / n - b as f64 / m).abs();
    let pooled = (a + b) as f64 / (n + m);
    // The standard error means something for no fewer than about ten reports.
    a + b >= 10 && difference > 0.02 && difference > 3.0 * (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_by_side_and_a_shift_is_told_from_chance() {
        let study = |text: &str| Study {
            id: String::new(),
            file: String::new(),
            text: text.to_owned(),
            patient: None,
            part: None,
        };
        let mut studies = vec![study("effusion"); 60];
        studies.extend(vec![study("clear"); 40]);
        studies.extend(vec![study("effusion nodule"); 2]);
        studies.extend(vec![study("clear"); 48]);
        let mut sides = vec![Side::Train; 100];
        sides.extend(vec![Side::Validation; 50]);
        let found = prevalence(&studies, &sides);
        let of = |name: Observation| found.iter().find(|one| one.name == name).expect("every observation has a row");
        let (effusion, nodule) = (of(Observation::PleuralEffusion), of(Observation::LungLesion));
        assert_eq!((effusion.positive, effusion.in_training, effusion.in_validation), (62, Some(0.6), Some(0.04)));
        assert!(effusion.shifted);
        assert_eq!((nodule.positive, nodule.in_training, nodule.in_validation), (2, Some(0.0), Some(0.04)));
        assert!(!nodule.shifted, "2 of 50 against 0 of 100 is chance");
    }
}
