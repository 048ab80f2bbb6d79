//! One import: takes what a corpus's reader finds, places images, writes rows, and counts.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use xreport_models::atomic::write_file;
use xreport_models::study_id::StudyId;

use super::error::ImportError;
use super::folder::{self, IMPORT_FILE};
use super::left_out::Reason;
use super::pending::PendingCsv;
use super::place::{Outcome, Placement, Placer};
use super::report::{Report, Tally, left_out_text};
use crate::data::{CSV_NAMES, IMAGE_FOLDER, Part, no_text};
use crate::training::NOTICE_FILE;

/// The table of what was left out, in the data folder: `item`, `reason`, `detail`.
pub const LEFT_OUT_FILE: &str = "XREPORT_left_out.csv";

/// Where an import goes.
pub struct Target<'a> {
    /// The data folder to write.
    pub out: PathBuf,
    /// How the images get there; `None` writes the table alone.
    pub placement: Option<Placement>,
    /// Called after each row and each thing left out.
    pub progress: &'a dyn Fn(Progress),
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows written so far.
    pub rows: u64,
    /// Of `total`: files, or bytes of a table or archive.
    pub done: u64,
    /// All there is to read; 0 where that is not known.
    pub total: u64,
}

/// What the table says beside id, text, view, patient, study, split and text source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// `findings` and `impression`.
    Sections,
    /// `labels` and `age`, in years.
    LabelsAndAge,
    /// What data sets that are joined may have: `labels`, `age`, and `source`, which of them the row is from.
    Joined,
    /// Nothing.
    Plain,
}

impl Columns {
    fn header(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Self::Sections => &["findings", "impression"],
            Self::LabelsAndAge => &["labels", "age"],
            Self::Joined => &["labels", "age", "source"],
            Self::Plain => &[],
        };
        [&["id", "text"], own, &["view", "patient", "study", "split", "text_source"]].concat()
    }
}

/// One row of the data set.
#[derive(Default)]
pub(super) struct Row<'a> {
    /// The image relative to the image folder, with forward slashes and extension: the id.
    pub(super) file: &'a str,
    pub(super) text: &'a str,
    /// Findings and impression, or the labels, or nothing: as [`Columns`] says.
    pub(super) own: &'a [&'a str],
    /// As the corpus says it.
    pub(super) view: &'a str,
    /// Empty where the corpus names none.
    pub(super) patient: &'a str,
    pub(super) study: &'a str,
    pub(super) text_source: &'a str,
}

/// An import under way.
pub(super) struct Session<'a> {
    target: &'a Target<'a>,
    source: PathBuf,
    table: PendingCsv,
    left_out_table: PendingCsv,
    placer: Option<Placer>,
    /// Hashes of the ids that are taken.
    ids: HashSet<[u8; 16]>,
    left_out: BTreeMap<Reason, u64>,
    tally: Tally,
    progress: Progress,
    report: Report,
}

/// What an import is of.
pub(super) struct Corpus<'a> {
    pub(super) name: &'static str,
    pub(super) source: &'a Path,
    pub(super) options: Value,
    pub(super) columns: Columns,
    /// `NOTICE.txt`; none is written where it is empty.
    pub(super) notice: &'a str,
}

impl<'a> Session<'a> {
    /// Claims the data folder and begins its tables.
    pub(super) fn begin(target: &'a Target<'a>, corpus: Corpus<'_>) -> Result<Self, ImportError> {
        let out = &target.out;
        folder::claim(out, corpus.name, corpus.source, &corpus.options)?;
        let notice = out.join(NOTICE_FILE);
        if !corpus.notice.is_empty() {
            write_file(&notice, corpus.notice.as_bytes())?;
        } else if notice.exists() {
            fs::remove_file(&notice).map_err(ImportError::write("remove", &notice))?;
        }
        let images = out.join(IMAGE_FOLDER);
        Ok(Self {
            target,
            source: corpus.source.to_owned(),
            table: PendingCsv::begin(out.join(CSV_NAMES[0]), &corpus.columns.header())?,
            left_out_table: PendingCsv::begin(out.join(LEFT_OUT_FILE), &["item", "reason", "detail"])?,
            placer: target.placement.map(|how| Placer::new(images, how)).transpose()?,
            ids: HashSet::new(),
            left_out: BTreeMap::new(),
            tally: Tally::default(),
            progress: Progress::default(),
            report: Report {
                corpus: corpus.name,
                source: folder::named(corpus.source),
                options: corpus.options,
                ..Report::default()
            },
        })
    }

    /// Whether images are placed at all.
    pub(super) fn places_images(&self) -> bool {
        self.placer.is_some()
    }

    /// Says how far the reading is.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        (self.progress.done, self.progress.total) = (done, total);
        (self.target.progress)(self.progress);
    }

    /// Counts something that was read.
    pub(super) fn count(&mut self, what: &'static str, count: u64) {
        match self.report.read.iter_mut().find(|(known, _)| *known == what) {
            Some((_, sum)) => *sum += count,
            None => self.report.read.push((what, count)),
        }
    }

    /// Adds a sentence that a user should read.
    pub(super) fn note(&mut self, sentence: String) {
        self.report.notes.push(sentence);
    }

    /// Leaves something out. `item` names it without patient or text: a file, a study, a line.
    pub(super) fn leave_out(&mut self, reason: Reason, item: &str, detail: &str) -> Result<(), ImportError> {
        *self.left_out.entry(reason).or_default() += 1;
        self.left_out_table.row([item, reason.title(), detail])
    }

    /// Places the image `source` and writes the row; or leaves it out, where the image cannot be had or its id is taken.
    /// `source` is `None` where the corpus's reader looked for it in vain.
    pub(super) fn row(&mut self, row: &Row<'_>, part: Part, source: Option<&Path>) -> Result<(), ImportError> {
        let id = match StudyId::normalise(row.file) {
            Ok(id) => id,
            Err(error) => return self.leave_out(Reason::BadPath, row.file, &error.to_string()),
        };
        // Whatever the corpus: no row is written that training would leave out for its text.
        if no_text(row.text).is_some() {
            return self.leave_out(Reason::NoText, row.file, "");
        }
        let key = Sha256::digest(id.as_str())[..16].try_into().expect("a digest is longer");
        if self.ids.contains(&key) {
            return self.leave_out(Reason::RepeatedId, row.file, "");
        }
        if let Some(placer) = &mut self.placer {
            let Some(source) = source else {
                return self.leave_out(Reason::MissingImage, row.file, "");
            };
            match placer.place(source, row.file)? {
                Outcome::Placed => {}
                Outcome::Missing => return self.leave_out(Reason::MissingImage, row.file, ""),
                Outcome::Unreadable(error) => return self.leave_out(Reason::Unreadable, row.file, &error.to_string()),
            }
        }
        self.ids.insert(key);
        let after = [row.view, row.patient, row.study, part.name(), row.text_source];
        self.table.row([row.file, row.text].iter().chain(row.own).chain(&after))?;
        self.tally.add(part, row.patient);
        self.progress.rows += 1;
        (self.target.progress)(self.progress);
        Ok(())
    }

    /// Puts the tables in their place.
    ///
    /// # Errors
    /// Not a single row, or something cannot be written; the tables of an earlier run then stay as they were.
    pub(super) fn finish(mut self) -> Result<Report, ImportError> {
        let mut left_out: Vec<_> = self.left_out.into_iter().collect();
        left_out.sort_by_key(|&(reason, count)| (std::cmp::Reverse(count), reason));
        let rows = self.progress.rows;
        if rows == 0 {
            self.left_out_table.finish()?;
            return Err(ImportError::Nothing {
                path: self.source,
                read: left_out.iter().map(|(_, count)| count).sum(),
                summary: left_out_text(&left_out),
            });
        }
        let report = &mut self.report;
        self.tally.tell(report);
        report.rows = rows;
        report.placed = self.placer.map(|placer| placer.placed);
        if left_out.is_empty() {
            let stale = self.target.out.join(LEFT_OUT_FILE);
            drop(self.left_out_table);
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ImportError::write("remove", &stale)(error));
                }
                _ => {}
            }
        } else {
            self.left_out_table.finish()?;
        }
        report.left_out = left_out;
        self.table.finish()?;
        write_file(self.target.out.join(IMPORT_FILE), format!("{:#}\n", report.json()).as_bytes())?;
        Ok(self.report)
    }
}
