//! Two tables of texts, joined by id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use xreport_models::spelling;
use xreport_models::study_id::{StudyId, StudyIdError};

use crate::data::{self, Problem, RowFault, TableError, Tally, no_text};

/// Longest text, in bytes. Reports have a few thousand; what is larger is no report but a slip of the table.
const LONGEST_TEXT: usize = 1 << 20;

/// Ids that a message names.
const EXAMPLES: usize = 3;

/// Rows without a text that a remark names.
const ROWS_NAMED: usize = 20;

/// What becomes of a reference for which the system wrote nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// An error: leaving out the hard studies must not raise a score unseen.
    Refuse,
    /// Counts as an empty text.
    Empty,
    /// Is left out, and counted.
    Skip,
}

/// Why two tables cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table has rows that cannot be used.
    #[error("the table `{}` cannot be compared as a whole: {summary}", path.display())]
    Rows {
        /// The table.
        path: PathBuf,
        /// The rows by kind, with hints.
        summary: String,
    },
    /// An id is no id.
    #[error("the table `{}`, line {line}: {source}", path.display())]
    Id {
        /// The table.
        path: PathBuf,
        /// Line of the row, from 1.
        line: usize,
        /// What is wrong with the id.
        source: StudyIdError,
    },
    /// Two rows answer to one id.
    #[error(
        "the table `{}` has two texts for one id: lines {first} and {second} ({}{})\n\
         hint: keep one row per study; a leading `images/` and the extension do not tell ids apart",
        path.display(), spelling::both(first_id, second_id), if *others > 0 { format!(", and {others} more") } else { String::new() }
    )]
    Duplicate {
        /// The table.
        path: PathBuf,
        /// Line of the first row.
        first: usize,
        /// Line of the second row.
        second: usize,
        /// The first id as written.
        first_id: String,
        /// The second id as written.
        second_id: String,
        /// Further rows whose id was there before.
        others: usize,
    },
    /// A text is too long to be a report.
    #[error(
        "the table `{}`, line {line}: the text has {bytes} bytes, expected at most {LONGEST_TEXT}\n\
         hint: a quote that is never closed makes one text of many rows",
        path.display()
    )]
    TooLong {
        /// The table.
        path: PathBuf,
        /// Line of the row, from 1.
        line: usize,
        /// Size of the text.
        bytes: usize,
    },
    /// References without a generated text.
    #[error(
        "{missing} of {references} references have no generated text in `{}`: {}\n\
         hint: `--missing empty` counts them as empty texts, `--missing skip` leaves them out and says so",
        path.display(), examples.join(", ")
    )]
    Missing {
        /// Table of the generated texts.
        path: PathBuf,
        /// How many.
        missing: usize,
        /// References in all.
        references: usize,
        /// The first few ids.
        examples: Vec<String>,
    },
    /// Nothing to compare.
    #[error(
        "no id stands in both `{}` and `{}`\nhint: ids are paths relative to the images, case matters",
        generated.display(), references.display()
    )]
    NoPairs {
        /// Table of the generated texts.
        generated: PathBuf,
        /// Table of the reference reports.
        references: PathBuf,
    },
}

/// Two texts of one study. The `Debug` form shows no text: texts belong in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The study.
    pub id: StudyId,
    /// The generated text.
    pub generated: String,
    /// The reference.
    pub reference: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The pairs, and what has no partner.
#[derive(Debug)]
pub struct Joined {
    /// In the order of ids.
    pub pairs: Vec<Pair>,
    /// References without a generated text.
    pub missing: usize,
    /// Generated texts without a reference.
    pub without_reference: usize,
    /// What should be known of the tables: rows whose cell holds no text though it is not empty, by line.
    pub remarks: Vec<String>,
}

/// Reads both tables and joins them by id, after the one rule for ids.
///
/// # Errors
/// See [`ScoreError`].
pub fn join(generated: &Path, references: &Path, missing: Missing) -> Result<Joined, ScoreError> {
    let mut remarks = Vec::new();
    let mut written = read(generated, &mut remarks)?;
    let expected = read(references, &mut remarks)?;
    let (count, written_count) = (expected.len(), written.len());
    let mut pairs = Vec::with_capacity(count);
    let (mut without_text, mut examples) = (0, Vec::new());
    for (id, reference) in expected {
        let generated = written.remove(&id);
        if generated.is_none() {
            without_text += 1;
            if examples.len() < EXAMPLES {
                examples.push(format!("`{id}`"));
            }
        }
        match generated {
            Some(generated) => pairs.push(Pair { id, generated, reference }),
            None if missing == Missing::Empty => pairs.push(Pair { id, generated: String::new(), reference }),
            None => {}
        }
    }
    if pairs.is_empty() || written.len() == written_count {
        return Err(ScoreError::NoPairs { generated: generated.to_owned(), references: references.to_owned() });
    }
    if without_text > 0 && missing == Missing::Refuse {
        let path = generated.to_owned();
        return Err(ScoreError::Missing { path, missing: without_text, references: count, examples });
    }
    Ok(Joined { pairs, missing: without_text, without_reference: written.len(), remarks })
}

/// Id to text. Every row must be usable: a row left out would change the score in silence. A cell such as "nan" is no text
/// of anybody: it counts as an empty one, and `remarks` gets to know of it.
fn read(path: &Path, remarks: &mut Vec<String>) -> Result<BTreeMap<StudyId, String>, ScoreError> {
    let mut table = data::read_with_empty_texts(path)?;
    if !table.problems.is_empty() {
        return Err(ScoreError::Rows { path: path.to_owned(), summary: data::summary(&table.problems) });
    }
    let mut without_text = Vec::new();
    for row in &mut table.rows {
        if let Some(why) = no_text(&row.text)
            && !row.text.is_empty()
        {
            without_text.push(Problem::Row { line: row.line, fault: RowFault::NoText(why) });
            row.text.clear();
        }
    }
    for Tally { title, count, examples, .. } in data::tallies(&without_text, ROWS_NAMED) {
        let more = count.saturating_sub(examples.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let rows = examples.join("; ");
        remarks.push(format!("`{}`: {count} {title}, which counts as an empty text: {rows}{more}", path.display()));
    }
    let mut rows: BTreeMap<StudyId, data::Row> = BTreeMap::new();
    let (mut first_pair, mut others) = (None, 0);
    for row in table.rows {
        if row.text.len() > LONGEST_TEXT {
            return Err(ScoreError::TooLong { path: path.to_owned(), line: row.line, bytes: row.text.len() });
        }
        let normalised = StudyId::normalise(&row.id);
        let id = normalised.map_err(|source| ScoreError::Id { path: path.to_owned(), line: row.line, source })?;
        match rows.get(&id) {
            Some(_) if first_pair.is_some() => others += 1,
            Some(first) => first_pair = Some((first.line, first.id.clone(), row.line, row.id)),
            None => {
                rows.insert(id, row);
            }
        }
    }
    match first_pair {
        Some((first, first_id, second, second_id)) => {
            Err(ScoreError::Duplicate { path: path.to_owned(), first, second, first_id, second_id, others })
        }
        None => Ok(rows.into_iter().map(|(id, row)| (id, row.text)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(generated: &str, references: &str, missing: Missing) -> Result<Joined, ScoreError> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.csv"), dir.path().join("b.csv"));
        std::fs::write(&a, generated).unwrap();
        std::fs::write(&b, references).unwrap();
        join(&a, &b, missing)
    }

    fn message(generated: &str, references: &str) -> String {
        joined(generated, references, Missing::Refuse).unwrap_err().to_string()
    }

    #[test]
    fn ids_join_in_any_spelling_and_rows_in_any_order() {
        let generated = "status,id,text\ndone,images/p1/a.png,One.\ndone,b.dcm,\ndone,extra,X.\n";
        let pairs = joined(generated, "id;text\nb;Two.\np1\\a;Uno.\n", Missing::Refuse).unwrap();
        assert_eq!(pairs.without_reference, 1);
        let texts: Vec<_> = pairs.pairs.iter().map(|p| (p.id.as_str(), &*p.generated, &*p.reference)).collect();
        assert_eq!(texts, [("b", "", "Two."), ("p1/a", "One.", "Uno.")]);
    }

    #[test]
    fn two_rows_for_one_study_are_named_by_line() {
        let text = message("id,text\na,x\nb,y\n", "id,text\na.png,x\nb,y\nimages/a.jpg,z\nb.png,z\n");
        assert!(text.contains("lines 2 and 4 (`a.png` and `images/a.jpg`, and 1 more)"), "{text}");
    }

    #[test]
    fn a_reference_without_a_text_is_refused_unless_told_otherwise() {
        let (generated, references) = ("id,text\na,x\n", "id,text\na,x\nb,y\nc,z\n");
        let text = message(generated, references);
        assert!(text.contains("2 of 3 references") && text.contains("`b`, `c`") && text.contains("hint:"), "{text}");
        let empty = joined(generated, references, Missing::Empty).unwrap();
        assert_eq!((empty.pairs.len(), empty.missing), (3, 2));
        let skipped = joined(generated, references, Missing::Skip).unwrap();
        assert_eq!((skipped.pairs.len(), skipped.missing), (1, 2));
    }

    #[test]
    fn tables_with_nothing_in_common_or_broken_rows_are_errors() {
        for missing in [Missing::Refuse, Missing::Empty, Missing::Skip] {
            let error = joined("id,text\na,x\n", "id,text\nb,y\n", missing).unwrap_err();
            assert!(matches!(error, ScoreError::NoPairs { .. }), "{error}");
        }
        assert!(message("id,text\na,x,y\n", "id,text\na,x\n").contains("expected 2 cells, found 3"));
        assert!(message("id,text\n,x\n", "id,text\na,x\n").contains("have no id"));
        assert!(message("id,text\n../a,x\n", "id,text\na,x\n").contains("line 2: id `../a`"));
        let long = format!("id,text\na,{}\n", "x".repeat(LONGEST_TEXT + 1));
        assert!(message(&long, "id,text\na,x\n").contains("never closed"));
    }

    #[test]
    fn cells_that_hold_no_text_count_as_empty_and_are_named() {
        let generated = "id,text\na,Clear.\nb,nan\nc,No.\n";
        let references = "id,text\na,NaN\nb,Clear.\nc,N/A\n";
        let found = joined(generated, references, Missing::Refuse).unwrap();
        let texts: Vec<_> = found.pairs.iter().map(|pair| (&*pair.generated, &*pair.reference)).collect();
        assert_eq!(texts, [("Clear.", ""), ("", "Clear."), ("No.", "")]);
        let [generated, references] = &found.remarks[..] else { panic!("{:?}", found.remarks) };
        assert!(generated.contains("a.csv`: 1 rows have a word for a missing value"), "{generated}");
        assert!(generated.ends_with("counts as an empty text: line 3 (nan)"), "{generated}");
        assert!(
            references.contains("b.csv`: 2 rows") && references.ends_with("line 2 (nan); line 4 (n/a)"),
            "{references}"
        );
        // An empty cell is known to be one.
        assert!(joined("id,text\na,\n", "id,text\na,x\n", Missing::Refuse).unwrap().remarks.is_empty());
    }

    #[test]
    fn debug_output_shows_no_text() {
        let pair =
            Pair { id: StudyId::normalise("a").unwrap(), generated: "secret".into(), reference: "secret".into() };
        assert!(!format!("{pair:?}").contains("secret"));
    }
}
