//! What an import did, in numbers: for the terminal and for `XREPORT_import.json`.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::left_out::Reason;
use super::place::Placed;
use crate::data::Part;

/// The parts of the data in their order.
const PARTS: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Which corpus.
    pub corpus: &'static str,
    /// From where, absolute.
    pub source: String,
    /// How, as the command line said.
    pub options: Value,
    /// What was read, each count with what it counts: `("reports", 3955)`.
    pub read: Vec<(&'static str, u64)>,
    /// Rows written.
    pub rows: u64,
    /// What became of the images; `None` where the table was written alone.
    pub placed: Option<Placed>,
    /// What was left out, by reason, the most frequent first.
    pub left_out: Vec<(Reason, u64)>,
    /// Rows of train, validation and test.
    pub part_rows: [u64; 3],
    /// Patients of train, validation and test.
    pub part_patients: [u64; 3],
    /// All patients; 0 where the corpus names none.
    pub patients: u64,
    /// Patients of whom there are rows in more than one part.
    pub crossing_patients: u64,
    /// What else a user should know, a sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// The table of numbers, as `XREPORT_import.json` holds it.
    pub fn json(&self) -> Value {
        let counts = |pairs: Vec<(&str, u64)>| -> Value {
            pairs.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect::<Map<_, _>>().into()
        };
        let parts: Map<_, _> = PARTS
            .iter()
            .enumerate()
            .map(|(at, part)| {
                (part.name().to_owned(), json!({"rows": self.part_rows[at], "patients": self.part_patients[at]}))
            })
            .collect();
        json!({
            "corpus": self.corpus,
            "source": self.source,
            "finished": true,
            "version": env!("CARGO_PKG_VERSION"),
            "options": self.options,
            "read": counts(self.read.clone()),
            "rows": self.rows,
            "patients": self.patients,
            "parts": parts,
            "patients_in_several_parts": self.crossing_patients,
            "images": self.placed,
            "left_out": counts(self.left_out.iter().map(|(reason, count)| (reason.title(), *count)).collect()),
            "notes": self.notes,
        })
    }

    /// What was done, in a few lines for stdout.
    pub fn summary(&self) -> String {
        let read: Vec<_> = self.read.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let mut text = format!("{}: {} read\n{} rows", self.corpus, read.join(", "), self.rows);
        let parts: Vec<_> = PARTS
            .iter()
            .enumerate()
            .filter(|(at, _)| self.part_rows[*at] > 0)
            .map(|(at, part)| match self.part_patients[at] {
                0 => format!("{} {}", part.name(), self.part_rows[at]),
                patients => format!("{} {} of {patients} patients", part.name(), self.part_rows[at]),
            })
            .collect();
        write!(text, " ({})", parts.join(", ")).expect("a string takes text");
        let images: Vec<_> = match &self.placed {
            None => vec!["images not placed".to_owned()],
            Some(placed) => [
                (placed.hard_links, "images hard-linked"),
                (placed.symbolic_links, "images linked"),
                (placed.copies, "images copied"),
                (placed.already_there, "images already there"),
            ]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect(),
        };
        write!(text, "; {}", images.join(", ")).expect("a string takes text");
        text
    }

    /// What was left out and what else should be known, for stderr; empty where there is nothing to say.
    pub fn remarks(&self) -> String {
        let mut text = left_out_text(&self.left_out);
        if self.crossing_patients > 0 {
            let count = self.crossing_patients;
            let line = format!("\nwarning: {count} patients are in more than one part of the data");
            text.push_str(&line);
        }
        for note in &self.notes {
            write!(text, "\nnote: {note}").expect("a string takes text");
        }
        text.trim_start().to_owned()
    }
}

/// `12 images that are not there`, one line per reason, each with its hint.
pub(super) fn left_out_text(left_out: &[(Reason, u64)]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let mut text = String::from("left out:");
    for (reason, count) in left_out {
        write!(text, "\n  {count} {}", reason.title()).expect("a string takes text");
        if let Some(hint) = reason.hint() {
            write!(text, "\n    hint: {hint}").expect("a string takes text");
        }
    }
    text
}

/// Counts rows and patients by part, without holding the patients' names.
#[derive(Default)]
pub(super) struct Tally {
    rows: [u64; 3],
    /// The parts of each patient as bits, by the first bytes of a hash of the name.
    patients: HashMap<[u8; 12], u8>,
}

impl Tally {
    pub(super) fn add(&mut self, part: Part, patient: &str) {
        let at = PARTS.iter().position(|known| *known == part).expect("every part is listed");
        self.rows[at] += 1;
        if !patient.is_empty() {
            let digest = Sha256::digest(patient);
            let key = digest[..12].try_into().expect("a digest is longer");
            *self.patients.entry(key).or_default() |= 1 << at;
        }
    }

    /// Fills in what was counted.
    pub(super) fn tell(&self, report: &mut Report) {
        report.part_rows = self.rows;
        let of = |at: usize| self.patients.values().filter(|bits| **bits & (1 << at) != 0).count() as u64;
        report.part_patients = [of(0), of(1), of(2)];
        report.crossing_patients = self.patients.values().filter(|bits| bits.count_ones() > 1).count() as u64;
        report.patients = self.patients.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_are_counted_by_part_and_across() {
        let mut tally = Tally::default();
        for (part, patient) in [(Part::Train, "a"), (Part::Train, "a"), (Part::Test, "a"), (Part::Validation, "b")] {
            tally.add(part, patient);
        }
        tally.add(Part::Test, "");
        let mut report = Report { corpus: "pairs", read: vec![("rows", 6)], rows: 5, ..Report::default() };
        tally.tell(&mut report);
        assert_eq!((report.part_rows, report.part_patients), ([2, 1, 2], [1, 1, 1]));
        assert_eq!((report.patients, report.crossing_patients), (2, 1));
        report.left_out = vec![(Reason::MissingImage, 1)];
        assert_eq!(
            report.summary(),
            "pairs: 6 rows read\n5 rows (train 2 of 1 patients, validation 1 of 1 patients, test 2 of 1 patients); \
             images not placed"
        );
        let remarks = report.remarks();
        assert!(remarks.starts_with("left out:\n  1 images that are not there\n    hint: "), "{remarks}");
        assert!(remarks.contains("warning: 1 patients are in more than one part"), "{remarks}");
        let json = report.json();
        assert_eq!(json["left_out"]["images that are not there"], 1);
        assert_eq!((&json["parts"]["test"]["rows"], &json["images"]), (&json!(2), &Value::Null));
    }
}
