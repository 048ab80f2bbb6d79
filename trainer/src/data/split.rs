//! Which studies are sampled, and which of them are held out.
//!
//! All studies of a patient stay together: a patient on both sides would flatter every figure. The
//! order in which patients are drawn is that of SHA-256(purpose, seed, patient), so it depends on
//! the seed and the names alone, never on the order of the rows.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::studies::Study;
use super::table::Part;
use crate::settings::SampleSize;

/// What to draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// How much of the data set is used at all.
    pub sample: SampleSize,
    /// Share of the sample that is held out, 0 to 1.
    pub held_out: f64,
    /// The seed of both.
    pub seed: u64,
}

/// The parts of a data set, as indices into its studies. Each is in the order in which it was
/// drawn, the same whatever the order of the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// To train on; never empty.
    pub train: Vec<usize>,
    /// Held out; empty only when nothing was to be held out.
    pub validation: Vec<usize>,
    /// What the table's `split` column calls test, never sampled.
    pub test: Vec<usize>,
    /// Patients whom the `split` column puts on more than one side: a warning is due.
    pub shared_patients: usize,
}

/// The data set cannot be divided as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing is left for training.
    #[error(
        "no studies to train on: expected at least one, found 0 of {studies} ({test} are test)\n\
         hint: check the `split` column of the table, and dataset.SAMPLE_SIZE"
    )]
    NothingToTrain {
        /// All studies.
        studies: usize,
        /// Those that the table calls test.
        test: usize,
    },
    /// All studies belong to one patient.
    #[error(
        "cannot hold studies out: all {studies} in the sample belong together (one patient, or one \
         study)\nhint: use more data, or set dataset.VALIDATION_SIZE to 0"
    )]
    OneGroup {
        /// Studies in the sample.
        studies: usize,
    },
}

/// Draws the sample and divides it for training.
///
/// Test studies of the `split` column are set aside first. If the column names validation studies,
/// it decides the rest and `held_out` is without effect; else `held_out` is drawn from the sample.
pub fn split(studies: &[Study], draw: Draw) -> Result<Parts, SplitError> {
    let is_test = |at: &usize| studies[*at].part == Some(Part::Test);
    let is_validation = |at: &usize| studies[*at].part == Some(Part::Validation);
    let (test, rest): (Vec<_>, Vec<_>) = (0..studies.len()).partition(is_test);
    let sample = take_sample(studies, &rest, draw);
    let (train, validation) = if rest.iter().any(is_validation) {
        let (validation, train) = sample.into_iter().partition(is_validation);
        (train, validation)
    } else {
        divide(studies, sample, draw)?
    };
    if train.is_empty() {
        return Err(SplitError::NothingToTrain { studies: studies.len(), test: test.len() });
    }
    Ok(Parts {
        train,
        validation,
        test: flatten(&in_order(groups(studies, &test), "test", draw.seed)),
        shared_patients: shared_patients(studies),
    })
}

/// Draws the studies that an evaluation looks at out of `candidates` (indices into `studies`): the
/// sample, and of that the share `held_out`, by the same rule and order as [`split`]. With the
/// values of the training settings it gives the studies that training held out.
pub fn draw_held_out(studies: &[Study], candidates: &[usize], draw: Draw) -> Vec<usize> {
    let sample = take_sample(studies, candidates, draw);
    if draw.held_out >= 1.0 {
        return sample;
    }
    // One patient alone cannot be divided: all of it is evaluated.
    divide(studies, sample.clone(), draw).map_or(sample, |(_, held_out)| held_out)
}

fn take_sample(studies: &[Study], candidates: &[usize], draw: Draw) -> Vec<usize> {
    let target = draw.sample.of(candidates.len());
    let ordered = in_order(groups(studies, candidates), "sample", draw.seed);
    if target == candidates.len() {
        return flatten(&ordered);
    }
    let (sample, _) = take(ordered, target);
    flatten(&sample)
}

/// `sample` as (kept, held out).
fn divide(studies: &[Study], sample: Vec<usize>, draw: Draw) -> Result<(Vec<usize>, Vec<usize>), SplitError> {
    if draw.held_out <= 0.0 || sample.is_empty() {
        return Ok((sample, Vec::new()));
    }
    let target = ((sample.len() as f64 * draw.held_out).round() as usize).max(1);
    let ordered = in_order(groups(studies, &sample), "held out", draw.seed);
    if ordered.len() < 2 {
        return Err(SplitError::OneGroup { studies: sample.len() });
    }
    let (held_out, kept) = take(ordered, target);
    Ok((flatten(&kept), flatten(&held_out)))
}

/// Studies that must not be parted, with the name of what unites them.
struct Group<'a> {
    name: (&'static str, &'a str),
    members: Vec<usize>,
}

/// The studies `of` by patient, those without one each on its own.
fn groups<'a>(studies: &'a [Study], of: &[usize]) -> Vec<Group<'a>> {
    let mut by_name: HashMap<(&'static str, &str), Vec<usize>> = HashMap::new();
    for &at in of {
        let study = &studies[at];
        let name = match &study.patient {
            Some(patient) => ("patient", patient.as_str()),
            None => ("study", study.id.as_str()),
        };
        by_name.entry(name).or_default().push(at);
    }
    by_name
        .into_iter()
        .map(|(name, mut members)| {
            members.sort_by(|&a, &b| studies[a].id.cmp(&studies[b].id));
            Group { name, members }
        })
        .collect()
}

/// The groups in the order in which they are drawn for `purpose`.
fn in_order<'a>(mut groups: Vec<Group<'a>>, purpose: &str, seed: u64) -> Vec<Group<'a>> {
    groups.sort_by_cached_key(|group| {
        let (kind, name) = group.name;
        let key: [u8; 32] = Sha256::digest(format!("{purpose}\n{seed}\n{kind}\n{name}")).into();
        key
    });
    groups
}

/// Takes groups until their studies come nearest to `target`: a group that would lead further away
/// than leaving it is passed over. At least one group is taken and one left, if there are two.
fn take(groups: Vec<Group<'_>>, target: usize) -> (Vec<Group<'_>>, Vec<Group<'_>>) {
    let total = groups.len();
    let smallest = groups.iter().enumerate().min_by_key(|(_, group)| group.members.len()).map(|(at, _)| at);
    let (mut taken, mut left, mut count) = (Vec::new(), Vec::new(), 0);
    for group in groups {
        let size = group.members.len();
        if 2 * count + size <= 2 * target && taken.len() + 1 < total.max(2) {
            count += size;
            taken.push(group);
        } else {
            left.push(group);
        }
    }
    if taken.is_empty()
        && let Some(smallest) = smallest
    {
        taken.push(left.remove(smallest));
    }
    (taken, left)
}

fn flatten(groups: &[Group<'_>]) -> Vec<usize> {
    groups.iter().flat_map(|group| group.members.iter().copied()).collect()
}

fn shared_patients(studies: &[Study]) -> usize {
    let mut parts: HashMap<&str, HashSet<Part>> = HashMap::new();
    for study in studies {
        if let (Some(patient), Some(part)) = (&study.patient, study.part) {
            parts.entry(patient).or_default().insert(part);
        }
    }
    parts.values().filter(|parts| parts.len() > 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(id: &str, patient: Option<&str>, part: Option<Part>) -> Study {
        Study {
            id: id.to_owned(),
            file: format!("{id}.png"),
            text: String::new(),
            patient: patient.map(str::to_owned),
            part,
        }
    }

    /// `count` studies of patients with 1 to 4 studies each.
    fn by_patient(count: usize) -> Vec<Study> {
        let mut studies = Vec::new();
        for patient in 0.. {
            for number in 0..=(patient % 4) {
                if studies.len() == count {
                    return studies;
                }
                let name = format!("p{patient}");
                studies.push(study(&format!("{name}/{number}"), Some(&name), None));
            }
        }
        unreachable!("the loop ends by its return")
    }

    fn draw(sample: SampleSize, held_out: f64) -> Draw {
        Draw { sample, held_out, seed: 42 }
    }

    fn names<'a>(studies: &'a [Study], of: &[usize]) -> Vec<&'a str> {
        of.iter().map(|&at| &studies[at].id[..]).collect()
    }

    fn patients<'a>(studies: &'a [Study], of: &[usize]) -> HashSet<&'a str> {
        of.iter().filter_map(|&at| studies[at].patient.as_deref()).collect()
    }

    #[test]
    fn no_patient_is_on_both_sides_and_none_is_lost() {
        let studies = by_patient(400);
        for seed in 0..20 {
            let parts = split(&studies, Draw { seed, ..draw(SampleSize::ALL, 0.2) }).unwrap();
            let (train, validation) = (patients(&studies, &parts.train), patients(&studies, &parts.validation));
            assert!(train.is_disjoint(&validation));
            assert_eq!(parts.train.len() + parts.validation.len(), 400);
            assert!(parts.validation.len().abs_diff(80) <= 2, "{}", parts.validation.len());
        }
    }

    #[test]
    fn the_order_of_the_rows_changes_nothing() {
        let studies = by_patient(60);
        let mut turned = studies.clone();
        turned.reverse();
        turned.rotate_left(17);
        let how = draw(SampleSize::Fraction(0.5), 0.25);
        let (a, b) = (split(&studies, how).unwrap(), split(&turned, how).unwrap());
        assert_eq!(names(&studies, &a.train), names(&turned, &b.train));
        assert_eq!(names(&studies, &a.validation), names(&turned, &b.validation));
    }

    #[test]
    fn the_seed_changes_the_sample_and_the_split() {
        let studies = by_patient(60);
        let with = |seed| {
            let how = Draw { seed, ..draw(SampleSize::ALL, 0.25) };
            let mut names = names(&studies, &split(&studies, how).unwrap().validation);
            names.sort_unstable();
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        let sampled = |seed| {
            let how = Draw { seed, ..draw(SampleSize::Fraction(0.5), 0.0) };
            split(&studies, how).unwrap().train.into_iter().collect::<HashSet<_>>()
        };
        assert_ne!(sampled(1), sampled(2));
    }

    #[test]
    fn without_patients_counts_and_fractions_are_met_exactly() {
        let studies: Vec<_> = (0..100).map(|n| study(&format!("c{n}"), None, None)).collect();
        for (sample, held_out, expected) in [
            (SampleSize::ALL, 0.2, (80, 20)),
            (SampleSize::ALL, 0.0, (100, 0)),
            (SampleSize::Fraction(0.5), 0.1, (45, 5)),
            (SampleSize::Count(10), 0.9, (1, 9)),
            (SampleSize::Count(1000), 0.5, (50, 50)),
            (SampleSize::Count(2), 0.01, (1, 1)),
            (SampleSize::Fraction(0.001), 0.0, (1, 0)),
        ] {
            let parts = split(&studies, draw(sample, held_out)).unwrap();
            let found = (parts.train.len(), parts.validation.len());
            assert_eq!(found, expected, "{sample:?} {held_out}");
        }
    }

    #[test]
    fn the_split_column_decides_where_it_names_validation() {
        let studies = [
            study("a", Some("p"), Some(Part::Train)),
            study("b", Some("p"), Some(Part::Validation)),
            study("c", Some("q"), Some(Part::Train)),
            study("d", Some("r"), Some(Part::Test)),
        ];
        let parts = split(&studies, draw(SampleSize::ALL, 0.9)).unwrap();
        let mut train = names(&studies, &parts.train);
        train.sort_unstable();
        assert_eq!(train, ["a", "c"]);
        assert_eq!(names(&studies, &parts.validation), ["b"]);
        assert_eq!(names(&studies, &parts.test), ["d"]);
        assert_eq!(parts.shared_patients, 1);
    }

    #[test]
    fn with_train_and_test_alone_validation_is_drawn_from_train() {
        let part = |n| if n < 80 { Part::Train } else { Part::Test };
        let studies: Vec<_> = (0..100).map(|n| study(&format!("c{n}"), None, Some(part(n)))).collect();
        let parts = split(&studies, draw(SampleSize::ALL, 0.25)).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len()), (60, 20));
        assert_eq!(parts.test.len(), 20);
        let seen = parts.train.iter().chain(&parts.validation);
        assert!(seen.copied().all(|at| at < 80));
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let one = [study("a", None, None)];
        assert_eq!(split(&one, draw(SampleSize::ALL, 0.2)), Err(SplitError::OneGroup { studies: 1 }));
        assert_eq!(split(&one, draw(SampleSize::ALL, 0.0)).unwrap().train, [0]);
        let same = [study("a", Some("p"), None), study("b", Some("p"), None)];
        let refused = split(&same, draw(SampleSize::ALL, 0.5)).unwrap_err();
        assert!(refused.to_string().contains("hint: "));
        let test = [study("a", None, Some(Part::Test))];
        assert_eq!(split(&test, draw(SampleSize::ALL, 0.0)), Err(SplitError::NothingToTrain { studies: 1, test: 1 }));
        assert!(split(&[], draw(SampleSize::ALL, 0.2)).is_err());
        let validation = [study("a", None, Some(Part::Validation))];
        assert!(split(&validation, draw(SampleSize::ALL, 0.2)).is_err());
    }

    #[test]
    fn a_large_patient_never_empties_a_side() {
        let mut studies: Vec<_> = (0..9).map(|n| study(&format!("x{n}"), Some("big"), None)).collect();
        studies.push(study("y", Some("small"), None));
        for held_out in [0.01, 0.2, 0.5, 0.9] {
            for seed in 0..10 {
                let parts = split(&studies, Draw { seed, ..draw(SampleSize::ALL, held_out) }).unwrap();
                assert!(!parts.train.is_empty() && !parts.validation.is_empty());
            }
        }
    }

    #[test]
    fn a_patient_is_no_study_of_the_same_name() {
        let studies = [study("a", None, None), study("b", Some("a"), None)];
        let parts = split(&studies, draw(SampleSize::ALL, 0.5)).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len()), (1, 1));
    }

    #[test]
    fn evaluation_draws_what_training_held_out() {
        let studies = by_patient(100);
        let how = draw(SampleSize::Fraction(0.6), 0.3);
        let all: Vec<_> = (0..100).collect();
        let parts = split(&studies, how).unwrap();
        assert_eq!(draw_held_out(&studies, &all, how), parts.validation);
        let everything = draw_held_out(&studies, &all, draw(SampleSize::ALL, 1.0));
        assert_eq!(everything.iter().collect::<HashSet<_>>().len(), 100);
        assert_eq!(draw_held_out(&studies, &[], how), [] as [usize; 0]);
        assert_eq!(draw_held_out(&studies, &[7], how), [7]);
    }
}
