//! Holding persons out where a corpus has no split of its own.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::ImportError;
use crate::data::Part;

/// Who says which part of the data a study belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// The corpus: its folders or lists.
    Official,
    /// A draw of persons, by their share and the seed.
    Persons,
}

/// Which persons are held out. A person's lot is SHA-256("held out " + seed and a space, where there is one + person):
/// it depends on the seed and the name alone, not on the other persons, so that a person keeps the part when the corpus
/// grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HoldOut {
    /// Percent of the persons whose studies are called `test`, left alone until asked for.
    pub test_percent: u8,
    /// Percent of the persons whose studies are called `validation`.
    pub validation_percent: u8,
    /// Another seed, other persons; none is a draw of its own.
    pub seed: Option<u64>,
}

impl HoldOut {
    /// Holds nobody out.
    pub const NOBODY: Self = Self { test_percent: 0, validation_percent: 0, seed: None };

    /// Refuses to hold everybody out.
    pub(super) fn check(self) -> Result<(), ImportError> {
        let held = u16::from(self.test_percent) + u16::from(self.validation_percent);
        if held >= 100 {
            return Err(ImportError::Options(format!(
                "{held} % of the persons would be held out, expected less than 100\n\
                 hint: lower --test-percent or --validation-percent"
            )));
        }
        Ok(())
    }

    /// The part of all studies of `person`.
    pub fn part(self, person: &str) -> Part {
        let seed = self.seed.map_or_else(String::new, |seed| format!("{seed} "));
        let digest = Sha256::digest(format!("held out {seed}{person}"));
        let lot = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        let lot = f64::from(lot) / (f64::from(u32::MAX) + 1.0) * 100.0;
        let (test, validation) = (f64::from(self.test_percent), f64::from(self.validation_percent));
        match lot {
            lot if lot < test => Part::Test,
            lot if lot < test + validation => Part::Validation,
            _ => Part::Train,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(how: HoldOut) -> [usize; 3] {
        let part = |wanted| (0..10_000).filter(|n| how.part(&format!("person{n}")) == wanted).count();
        [Part::Train, Part::Validation, Part::Test].map(part)
    }

    #[test]
    fn shares_come_out_and_the_seed_changes_who() {
        let how = HoldOut { test_percent: 10, validation_percent: 5, seed: None };
        let [train, validation, test] = counts(how);
        assert!((450..550).contains(&validation) && (920..1080).contains(&test), "{train} {validation} {test}");
        assert_eq!(counts(HoldOut::NOBODY), [10_000, 0, 0]);
        let other = HoldOut { seed: Some(1), ..how };
        let same = (0..1000).filter(|n| how.part(&format!("person{n}")) == other.part(&format!("person{n}"))).count();
        assert!((600..900).contains(&same), "{same}");
    }

    #[test]
    fn the_draw_is_pinned() {
        // Changing it would mix persons of former test sets into training.
        let how = HoldOut { test_percent: 10, validation_percent: 0, seed: None };
        let test: Vec<_> = (0..40).filter(|n| how.part(&format!("person{n}")) == Part::Test).collect();
        assert_eq!(test, [4, 10, 18, 30, 32, 38]);
    }

    #[test]
    fn holding_everybody_out_is_refused() {
        let how = HoldOut { test_percent: 60, validation_percent: 40, seed: None };
        assert!(how.check().unwrap_err().to_string().contains("hint: "));
        assert!(HoldOut { validation_percent: 39, ..how }.check().is_ok());
    }
}
