//! The data set: rows of the table joined with the images they name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use xreport_models::image::is_image_file;
use xreport_models::study_id::StudyId;

use super::problem::{Problem, summary};
use super::table::{self, Part, Row, TableError};

/// The folder of images inside a data folder.
pub const IMAGE_FOLDER: &str = "images";

/// One image with its report.
#[derive(Clone, PartialEq, Eq)]
pub struct Study {
    /// The id by the one rule for ids: forward slashes, neither `images/` nor extension.
    pub id: String,
    /// The image relative to the image folder, with forward slashes.
    pub file: String,
    /// The report, without white space around it; never empty.
    pub text: String,
    /// The patient, where the table names one.
    pub patient: Option<String>,
    /// The part of the data, where the table names one.
    pub part: Option<Part>,
}

/// The id alone: texts and patients belong in no log.
impl fmt::Debug for Study {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Study").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A data set, found and checked but for its pixels.
#[derive(Debug)]
pub struct Dataset {
    /// The folder that the studies' files are relative to.
    pub images: PathBuf,
    /// The table.
    pub table: PathBuf,
    /// The usable studies by id, whatever the order of the rows; never empty.
    pub studies: Vec<Study>,
    /// The rows that were left out.
    pub problems: Vec<Problem>,
    /// Images that no row names.
    pub unused_images: usize,
    /// Folders inside the image folder that cannot be read, and why: their images are missing.
    pub unreadable_folders: Vec<(String, String)>,
}

/// There is no usable data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The table cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The image folder is missing or may not be read.
    #[error(
        "cannot read the image folder `{}`: {source}\n\
         hint: a data folder holds the table and a folder `{IMAGE_FOLDER}`", folder.display()
    )]
    Images {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Every row was left out.
    #[error(
        "no usable study in `{}`: {rows} rows, {images} images in `{}`\n{summary}",
        table.display(), folder.display()
    )]
    NoStudies {
        /// The table.
        table: PathBuf,
        /// The image folder.
        folder: PathBuf,
        /// Rows of the table.
        rows: usize,
        /// Images found.
        images: usize,
        /// Why, by kind.
        summary: String,
    },
}

impl Dataset {
    /// Opens the data folder `data`, with the table `csv` or the one found there.
    pub fn open(data: &Path, csv: Option<&Path>) -> Result<Self, DatasetError> {
        let table = table::read(&table::locate(data, csv)?)?;
        let folder = data.join(IMAGE_FOLDER);
        let images = ImageIndex::read(&folder)?;
        let rows = table.rows.len() + table.problems.len();
        let mut problems = table.problems;
        let mut studies = join(table.rows, &images, &mut problems);
        studies.sort_by(|a, b| a.id.cmp(&b.id));
        if studies.is_empty() {
            return Err(DatasetError::NoStudies {
                table: table.path,
                folder,
                rows,
                images: images.count,
                summary: if problems.is_empty() {
                    "hint: fill the table, one row per image".to_owned()
                } else {
                    summary(&problems)
                },
            });
        }
        Ok(Self {
            images: folder,
            table: table.path,
            unused_images: images.count.saturating_sub(studies.len()),
            studies,
            problems,
            unreadable_folders: images.unreadable,
        })
    }

    /// What was found, for the log: counts, then the problems by kind.
    pub fn summary(&self) -> String {
        let unused = match self.unused_images {
            0 => String::new(),
            unused => format!(", {unused} images without a usable row"),
        };
        let problems = summary(&self.problems);
        let folders: String = self
            .unreadable_folders
            .iter()
            .map(|(folder, reason)| {
                format!("warning: cannot read the folder `{folder}`, its images are missing: {reason}\n")
            })
            .collect();
        let text = format!("{} studies{unused}\n{folders}{problems}", self.studies.len());
        text.trim_end().to_owned()
    }
}

/// Finds the image of each row; rows without exactly one become problems.
fn join(rows: Vec<Row>, images: &ImageIndex, problems: &mut Vec<Problem>) -> Vec<Study> {
    let mut first_lines: HashMap<StudyId, usize> = HashMap::new();
    let mut studies = Vec::with_capacity(rows.len());
    for row in rows {
        let line = row.line;
        let id = match StudyId::normalise(&row.id) {
            Ok(id) => id,
            Err(error) => {
                problems.push(Problem::BadId { line, reason: error.to_string() });
                continue;
            }
        };
        if let Some(&first_line) = first_lines.get(&id) {
            problems.push(Problem::RepeatedId { line, id: row.id, first_line });
            continue;
        }
        first_lines.insert(id.clone(), line);
        match images.files(&id) {
            [file] => {
                studies.push(Study {
                    id: id.into(),
                    file: file.clone(),
                    text: row.text,
                    patient: row.patient,
                    part: row.part,
                });
            }
            [] => problems.push(Problem::MissingImage { line, id: row.id }),
            [first, second, ..] => {
                problems.push(Problem::AmbiguousImage { line, id: row.id, files: [first.clone(), second.clone()] });
            }
        }
    }
    studies
}

/// The image files of a folder and all folders in it, by the id that they answer to.
struct ImageIndex {
    by_id: BTreeMap<StudyId, Vec<String>>,
    count: usize,
    /// Folders that cannot be read, and why.
    unreadable: Vec<(String, String)>,
}

impl ImageIndex {
    fn read(folder: &Path) -> Result<Self, DatasetError> {
        let failed = |source| DatasetError::Images { folder: folder.to_owned(), source };
        drop(std::fs::read_dir(folder).map_err(failed)?);
        let mut search = Search::default();
        search.folder(folder, "");
        let Search { mut files, mut unreadable, .. } = search;
        unreadable.sort_unstable();
        // The same two names in a message, whatever order the system lists files in.
        files.sort_unstable();
        let count = files.len();
        let mut by_id: BTreeMap<StudyId, Vec<String>> = BTreeMap::new();
        for file in files {
            // A name that is no id, such as `c:x.png`, is one that no row can name.
            if let Ok(id) = StudyId::normalise(&file) {
                by_id.entry(id).or_default().push(file);
            }
        }
        Ok(Self { by_id, count, unreadable })
    }

    fn files(&self, id: &StudyId) -> &[String] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Images found so far.
#[derive(Default)]
struct Search {
    /// As paths relative to the image folder.
    files: Vec<String>,
    unreadable: Vec<(String, String)>,
    visited: HashSet<PathBuf>,
}

impl Search {
    /// Adds the images of `folder`, as paths that start with `prefix`. Links are followed, each folder once: a link to a
    /// folder above would never end. Names that are not UTF-8 are passed over: no row could name them. A folder that cannot
    /// be read costs what lies in it.
    fn folder(&mut self, folder: &Path, prefix: &str) {
        if let Err(error) = self.entries(folder, prefix) {
            let name = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
            self.unreadable.push((name.to_owned(), error.to_string()));
        }
    }

    fn entries(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        if !self.visited.insert(folder.canonicalize()?) {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                self.folder(&path, &format!("{name}/"));
            } else if is_image_file(&path) {
                self.files.push(name);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::NoText;
    use crate::data::problem::RowFault;

    /// A data folder with this table and these (empty) image files.
    fn data(table: &str, images: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("reports.csv"), table).unwrap();
        std::fs::create_dir(dir.path().join("images")).unwrap();
        for image in images {
            let path = dir.path().join("images").join(image);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    fn open(table: &str, images: &[&str]) -> Dataset {
        let dir = data(table, images);
        Dataset::open(dir.path(), None).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn ids_find_their_image_with_or_without_folder_and_extension() {
        let table = "id,text\n\
            images/p1/a.png,one\n\
            p1/b,two\n\
            p2\\c.JPG,three\n\
            d,four\n";
        let dataset = open(table, &["p1/a.png", "p1/b.jpeg", "p2/c.JPG", "d.tif", "note.txt"]);
        let found: Vec<_> = dataset.studies.iter().map(|study| (&study.file[..], &study.text[..])).collect();
        assert_eq!(found, [("d.tif", "four"), ("p1/a.png", "one"), ("p1/b.jpeg", "two"), ("p2/c.JPG", "three")]);
        assert!(dataset.problems.is_empty(), "{:?}", dataset.problems);
        assert_eq!(dataset.unused_images, 0);
        assert_eq!(dataset.summary(), "4 studies");
    }

    #[test]
    fn problems_are_reported_and_the_rest_goes_on() {
        let table = "id,text\n\
            a,one\n\
            gone,two\n\
            a.png,again\n\
            twice,three\n\
            b,\n";
        let images = ["a.png", "twice.png", "twice.jpg", "b.png"];
        let dataset = open(table, &images);
        assert_eq!(dataset.studies.len(), 1);
        assert_eq!(dataset.studies[0].text, "one");
        assert_eq!(
            dataset.problems,
            [
                Problem::Row { line: 6, fault: RowFault::NoText(NoText::Empty) },
                Problem::MissingImage { line: 3, id: "gone".into() },
                Problem::RepeatedId { line: 4, id: "a.png".into(), first_line: 2 },
                Problem::AmbiguousImage {
                    line: 5,
                    id: "twice".into(),
                    files: ["twice.jpg".into(), "twice.png".into()]
                },
            ]
        );
        let summary = dataset.summary();
        assert!(summary.starts_with("1 studies, 3 images without"), "{summary}");
        assert!(summary.contains("`twice` fits `twice.jpg` and `twice.png`"));
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let images = ["a.png", "b.png", "c.png"];
        let forward = open("id,text\na,1\nb,2\nc,3\n", &images);
        let backward = open("id,text\nc,3\nb,2\na,1\n", &images);
        assert!(forward.studies == backward.studies);
    }

    #[test]
    fn ids_cannot_leave_the_image_folder() {
        let dir = data("id,text\n../secret,one\nok,two\n", &["ok.png"]);
        std::fs::write(dir.path().join("secret.png"), "").unwrap();
        let dataset = Dataset::open(dir.path(), None).unwrap();
        assert_eq!(dataset.studies.len(), 1);
        assert_eq!(dataset.studies[0].file, "ok.png");
        assert!(matches!(dataset.problems[..], [Problem::BadId { line: 2, .. }]));
        assert!(dataset.summary().contains("line 2: id `../secret` contains"));
    }

    #[test]
    fn no_usable_study_is_an_error_that_says_why() {
        let dir = data("id,text\na,one\nb,two\n", &["c.png"]);
        let error = Dataset::open(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("2 rows, 1 images"), "{error}");
        assert!(error.contains("line 2: `a`") && error.contains("hint: "), "{error}");
        let empty = data("id,text\n", &["c.png"]);
        let error = Dataset::open(empty.path(), None).unwrap_err().to_string();
        assert!(error.contains("hint: fill the table"), "{error}");
    }

    #[test]
    fn a_missing_image_folder_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("reports.csv"), "id,text\na,t\n").unwrap();
        let error = Dataset::open(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("image folder") && error.contains("hint: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_circles_end() {
        use std::os::unix::fs::symlink;
        let dir = data("id,text\nlinked/a,one\n", &["b.png"]);
        let store = tempfile::tempdir().unwrap();
        std::fs::write(store.path().join("a.png"), "").unwrap();
        symlink(store.path(), dir.path().join("images/linked")).unwrap();
        symlink(dir.path().join("images"), dir.path().join("images/round")).unwrap();
        let dataset = Dataset::open(dir.path(), None).unwrap();
        assert_eq!(dataset.studies[0].file, "linked/a.png");
        assert_eq!(dataset.unused_images, 1);
    }

    #[test]
    fn a_folder_that_cannot_be_read_costs_what_lies_in_it() {
        let dir = data("id,text\na,one\n", &["a.png"]);
        let mut search = Search::default();
        search.folder(&dir.path().join("images"), "");
        search.folder(&dir.path().join("images/lost+found"), "lost+found/");
        assert_eq!(search.files, ["a.png"]);
        assert_eq!(search.unreadable[0].0, "lost+found");
        let mut dataset = Dataset::open(dir.path(), None).unwrap();
        dataset.unreadable_folders = search.unreadable;
        let summary = dataset.summary();
        assert!(summary.contains("1 studies\nwarning: cannot read the folder `lost+found`"), "{summary}");
    }

    #[test]
    fn names_meet_whatever_form_their_accents_have() {
        let table =
            "id,text\n\u{e9},one\nM\u{fc}ller Ro\u{308}ntgen 1,two\n胸部.png,three\na b/c d,four\ntwice\u{e9},five\n";
        let images = ["e\u{301}.png", "Mu\u{308}ller R\u{f6}ntgen 1.png", "胸部.png", "a b/c d.png"];
        let dataset = open(table, &[&images[..], &["twice\u{e9}.png", "twicee\u{301}.png"]].concat());
        assert_eq!(dataset.studies.len(), 4, "{}", dataset.summary());
        let summary = dataset.summary();
        assert!(summary.contains("U+0065 U+0301 in the first is U+00E9 in the second"), "{summary}");
    }

    #[test]
    fn debug_shows_neither_text_nor_patient() {
        let dataset = open("id,text,patient\na,secret words,p77\n", &["a.png"]);
        let debug = format!("{dataset:?}");
        assert!(debug.contains("\"a\"") && !debug.contains("secret") && !debug.contains("p77"));
    }
}
