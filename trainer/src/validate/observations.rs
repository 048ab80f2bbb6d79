//! How often each observation is reported, held out against trained on.

use rayon::prelude::*;
use serde::Serialize;

use super::Side;
use crate::data::Study;

/// What a text says of one observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mention {
    /// It is there.
    Positive,
    /// It may be there.
    Uncertain,
    /// It is said not to be there.
    Negative,
}

/// Reads observations out of report texts: the seam at which a better reader can be put in.
pub trait ObservationReader: Sync {
    /// What the page calls this reader, and what it can and cannot do, in a sentence.
    fn description(&self) -> &'static str;

    /// The observations that it knows, in the order of tables.
    fn observations(&self) -> &[&'static str];

    /// What `text` says of each of them, in their order; `None` where it says nothing.
    fn read(&self, text: &str) -> Vec<Option<Mention>>;
}

/// How often one observation is reported.
#[derive(Debug, Clone, Serialize)]
pub struct Prevalence {
    /// The observation.
    pub name: &'static str,
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
pub fn prevalence(reader: &dyn ObservationReader, studies: &[Study], sides: &[Side]) -> Vec<Prevalence> {
    let names = reader.observations();
    // By observation: positive, uncertain, negative; positive in training and validation.
    let empty = || vec![[0_usize; 5]; names.len()];
    let counts = studies
        .par_iter()
        .zip(sides)
        .fold(empty, |mut counts, (study, side)| {
            for (count, mention) in counts.iter_mut().zip(reader.read(&study.text)) {
                match mention {
                    Some(Mention::Positive) => {
                        count[0] += 1;
                        count[3] += usize::from(*side == Side::Train);
                        count[4] += usize::from(*side == Side::Validation);
                    }
                    Some(Mention::Uncertain) => count[1] += 1,
                    Some(Mention::Negative) => count[2] += 1,
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
    names
        .iter()
        .zip(counts)
        .map(|(&name, [positive, uncertain, negative, trained, validated])| Prevalence {
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

    struct Words;

    impl ObservationReader for Words {
        fn description(&self) -> &'static str {
            "a test"
        }

        fn observations(&self) -> &[&'static str] {
            &["effusion", "nodule"]
        }

        fn read(&self, text: &str) -> Vec<Option<Mention>> {
            let says = |word: &str| text.contains(word).then_some(Mention::Positive);
            vec![says("effusion"), says("nodule")]
        }
    }

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
        let [effusion, nodule] = &prevalence(&Words, &studies, &sides)[..] else { panic!("two rows") };
        assert_eq!((effusion.positive, effusion.in_training, effusion.in_validation), (62, Some(0.6), Some(0.04)));
        assert!(effusion.shifted);
        assert_eq!((nodule.positive, nodule.in_training, nodule.in_validation), (2, Some(0.0), Some(0.04)));
        assert!(!nodule.shifted, "2 of 50 against 0 of 100 is chance");
    }
}
