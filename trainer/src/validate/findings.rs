//! What was found, in plain sentences: one for each section of the page, with what to do about it.

mod images;
mod texts;

use serde::Serialize;

use super::Validation;
use crate::plots::numbers::grouped;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// The data cannot be used as they are.
    Error,
    /// Training works, and its figures will mislead or its texts suffer.
    Warning,
    /// Good to know.
    Note,
    /// As it should be.
    Fine,
}

/// The sections of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Rows and images that can be used.
    Rows,
    /// Patients and the split.
    Patients,
    /// The same picture more than once.
    Images,
    /// Reports that are repeated.
    Reports,
    /// Lengths of reports.
    Length,
    /// Words and tokens.
    Vocabulary,
    /// Sentences.
    Sentences,
    /// Observations.
    Observations,
    /// Sizes and files.
    Sizes,
    /// Grey values.
    Grey,
    /// Images that stand apart.
    Outliers,
    /// Views.
    Views,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Where it belongs.
    pub section: Section,
    /// How grave it is.
    pub gravity: Gravity,
    /// What was found, one plain sentence.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub to_do: String,
}

/// A finding for each section, in the order of the page.
pub fn all(validation: &Validation) -> Vec<Finding> {
    use Section::{
        Grey, Images, Length, Observations, Outliers, Patients, Reports, Rows, Sentences, Sizes, Views, Vocabulary,
    };
    let say = |section, (gravity, found, to_do): Said| Finding { section, gravity, found, to_do: to_do.to_owned() };
    vec![
        say(Rows, rows(validation)),
        say(Patients, patients(validation)),
        say(Images, images::images(validation)),
        say(Reports, texts::reports(validation)),
        say(Length, texts::length(validation)),
        say(Vocabulary, texts::vocabulary(validation)),
        say(Sentences, texts::sentences(validation)),
        say(Observations, texts::observations(validation)),
        say(Sizes, images::sizes(validation)),
        say(Grey, images::grey(validation)),
        say(Outliers, images::outliers(validation)),
        say(Views, images::views(validation)),
    ]
}

type Said = (Gravity, String, &'static str);

/// `1 image is`, `12 images are`: the words for one and for many, with the number.
fn number(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count as u64), if count == 1 { one } else { many })
}

/// A share as people say it.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 10.0 {
        format!("{percent:.0}\u{a0}%")
    } else if percent >= 0.1 {
        format!("{percent:.1}\u{a0}%")
    } else {
        "less than 0.1\u{a0}%".to_owned()
    }
}

fn rows(validation: &Validation) -> Said {
    let counts = &validation.counts;
    let left_out = validation.left_out();
    if left_out > 0 {
        let found = format!(
            "{} of {} cannot be used, because text or image is missing or unreadable.",
            grouped(left_out as u64),
            number(counts.rows, "row", "rows")
        );
        return (Gravity::Error, found, "Mend or remove the rows listed below; training passes over them in any case.");
    }
    let found = format!("All {} have a report and a readable image.", number(counts.rows, "row", "rows"));
    if counts.unused_images > 0 {
        let unused = number(counts.unused_images, "image has no row", "images have no row");
        return (
            Gravity::Note,
            format!("{found} {unused} in the table."),
            "Add their reports if there are any, or leave them out.",
        );
    }
    (Gravity::Fine, found, "")
}

fn patients(validation: &Validation) -> Said {
    let patients = &validation.patients;
    let crossing = patients.crossing.len();
    if crossing > 0 {
        return (
            Gravity::Error,
            format!(
                "{} on more than one side of the split: what a model learnt about them by heart would count as skill.",
                number(crossing, "patient has images", "patients have images")
            ),
            "Give all images of a patient the same value in the `split` column, or remove the column: then XREPORT splits by patient.",
        );
    }
    if !patients.sharing.is_empty() {
        let names: usize = patients.sharing.iter().map(|sharing| sharing.patients).sum();
        return (
            Gravity::Warning,
            format!(
                "{names} patients share pictures with one another, so some of them are probably one person under two names."
            ),
            "Check the names of these images; as long as they differ, the split may put one person on both sides.",
        );
    }
    if patients.named == 0 {
        return (
            Gravity::Warning,
            "The table names no patients, so images of one person may be trained on and tested on.".to_owned(),
            "Add a `patient` column: the split then keeps the images of a patient together.",
        );
    }
    let named = number(patients.named, "patient", "patients");
    if patients.studies_without > 0 {
        let without = number(patients.studies_without, "image names", "images name");
        return (
            Gravity::Warning,
            format!("{named} are kept on one side each, but {without} no patient."),
            "Fill the `patient` column: an image without a patient is split on its own.",
        );
    }
    (Gravity::Fine, format!("Each of {named} is on one side of the split only."), "")
}
