//! Children's radiographs of Kermany, Zhang and Goldbaum (Mendeley Data, rscbjbr9sj, CC BY 4.0).
//!
//! ```text
//! chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg
//! ```
//!
//! There are no reports: the text is made from folder and file name, and claims no more than these say. File names hold a
//! person's number (`person12_virus_46.jpeg`, `IM-0115-0001.jpeg`, `NORMAL2-IM-0383-0001.jpeg`); the numbers start anew in
//! the folder `test`, and by class. All images of a person get the same part of the data.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use xreport_models::image::is_image_path;

use super::error::ImportError;
use super::hold_out::{HoldOut, SplitBy};
use super::left_out::Reason;
use super::report::Report;
use super::session::{Columns, Corpus, Row, Session, Target};
use crate::data::Part;

/// What a normal image's text says. The label says NORMAL; whether the heart is normal was nobody's question.
pub const NORMAL: &str = "Frontal chest radiograph of a child. There is no evidence of pneumonia.";
/// What a bacterial pneumonia's text says.
pub const BACTERIAL: &str = "Frontal chest radiograph of a child. There is evidence of pneumonia, labelled bacterial.";
/// What a viral pneumonia's text says.
pub const VIRAL: &str = "Frontal chest radiograph of a child. There is evidence of pneumonia, labelled viral.";
/// What a pneumonia's text says whose file name names no kind.
pub const OF_NO_KIND: &str = "Frontal chest radiograph of a child. There is evidence of pneumonia.";

/// The children's age in years, of which the corpus says no more.
const AGE: &str = "1-5";

const NOTICE: &str = "taught texts made from labels (pneumonia or not), of children's radiographs: Kermany et al., \
Mendeley Data, doi:10.17632/rscbjbr9sj, CC BY 4.0

The texts of this data set were made from the labels of the corpus, by folder and file name. No radiologist wrote them.
They claim no more than the labels say: whether there is evidence of pneumonia, and whether it is labelled bacterial or
viral. A model trained on them is a proof of the machinery and of no diagnostic value.

The images: Daniel Kermany, Kang Zhang, Michael Goldbaum, \"Labeled Optical Coherence Tomography (OCT) and Chest X-Ray
Images for Classification\", Mendeley Data, https://data.mendeley.com/datasets/rscbjbr9sj, licence CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). They are used as they are; texts and splits were added. They belong to:
D. S. Kermany, M. Goldbaum, et al., \"Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning\",
Cell 172 (2018), https://doi.org/10.1016/j.cell.2018.02.010.
";

/// How to import it.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The folders' own split, or a draw of persons; by default the folders where there is one called `test`.
    pub split: Option<SplitBy>,
    /// Who is held out; of those in `train` and `val` where the folders decide, and then only for validation.
    pub hold_out: HoldOut,
}

/// One folder of images.
struct Class {
    folder: PathBuf,
    /// Before the file name in the id: `train/NORMAL`, or `NORMAL` where the source has no folder above.
    prefix: String,
    is_test: bool,
    is_pneumonia: bool,
}

/// Imports `source`: the folder that holds `train`, `val` and `test` (or some of them), or one that holds `NORMAL` and
/// `PNEUMONIA`.
pub fn import(source: &Path, options: Options, target: &Target<'_>) -> Result<Report, ImportError> {
    options.hold_out.check()?;
    let classes = classes(source)?;
    let has_test = classes.iter().any(|class| class.is_test);
    let split = options.split.unwrap_or(if has_test { SplitBy::Official } else { SplitBy::Persons });
    if split == SplitBy::Official && !has_test {
        return Err(ImportError::Missing {
            what: "the official test folder",
            path: source.join("test"),
            hint: "--split persons holds persons out instead",
        });
    }
    let mut session = Session::begin(
        target,
        Corpus {
            name: "pneumonia",
            source,
            options: json!({"split": split, "hold_out": options.hold_out}),
            columns: Columns::LabelsAndAge,
            notice: NOTICE,
        },
    )?;
    let files = classes.iter().map(|class| names(&class.folder)).collect::<Result<Vec<_>, _>>()?;
    let total = files.iter().map(Vec::len).sum::<usize>() as u64;
    session.count("images", total);
    let mut done = 0;
    for (class, names) in classes.iter().zip(&files) {
        for name in names {
            let Some(name) = name.to_str() else {
                session.leave_out(Reason::BadPath, &name.to_string_lossy(), "the name is not UTF-8")?;
                continue;
            };
            let person = class.person(name);
            let part = class.part(split, options.hold_out, &person);
            let (text, labels) = class.text(name);
            let file = format!("{}/{name}", class.prefix);
            let row = Row {
                file: &file,
                text,
                own: &[labels, AGE],
                patient: &person,
                text_source: "label",
                ..Row::default()
            };
            session.row(&row, part, Some(&class.folder.join(name)))?;
            done += 1;
            session.at(done, total);
        }
    }
    if split == SplitBy::Persons && has_test {
        session
            .note("the corpus's own test folder was pooled with the others: figures are not those of its split".into());
    }
    session.finish()
}

impl Class {
    /// Numbers count anew by class and in the test folder; `val` was taken out of `train`.
    fn person(&self, name: &str) -> String {
        let test = if self.is_test { "test-" } else { "" };
        let class = if self.is_pneumonia { "PNEUMONIA" } else { "NORMAL" };
        let number = match name.split_once("IM-") {
            Some((before, after)) => format!("{before}IM-{}", after.split(['-', '.']).next().unwrap_or(after)),
            None => name.split(['_', '.']).next().unwrap_or(name).to_owned(),
        };
        format!("{test}{class}-{number}")
    }

    fn part(&self, split: SplitBy, hold_out: HoldOut, person: &str) -> Part {
        match split {
            SplitBy::Persons => hold_out.part(person),
            SplitBy::Official if self.is_test => Part::Test,
            SplitBy::Official => HoldOut { test_percent: 0, ..hold_out }.part(person),
        }
    }

    /// The text and the labels that it is made from.
    fn text(&self, name: &str) -> (&'static str, &'static str) {
        match (self.is_pneumonia, name.contains("bacteria"), name.contains("virus")) {
            (false, ..) => (NORMAL, "normal"),
            (true, true, false) => (BACTERIAL, "pneumonia|bacterial"),
            (true, false, true) => (VIRAL, "pneumonia|viral"),
            (true, ..) => (OF_NO_KIND, "pneumonia"),
        }
    }
}

/// The class folders of a source, in a fixed order. A folder `chest_xray` inside is looked into, as archives have it.
fn classes(source: &Path) -> Result<Vec<Class>, ImportError> {
    let inner = source.join("chest_xray");
    let root = if inner.is_dir() { inner } else { source.to_owned() };
    let mut classes = Vec::new();
    for set in ["train", "val", "test", ""] {
        for class in ["NORMAL", "PNEUMONIA"] {
            let prefix = if set.is_empty() { class.to_owned() } else { format!("{set}/{class}") };
            let folder = root.join(&prefix);
            if folder.is_dir() {
                classes.push(Class { folder, prefix, is_test: set == "test", is_pneumonia: class == "PNEUMONIA" });
            }
        }
    }
    if classes.is_empty() {
        return Err(ImportError::Missing {
            what: "a class of the corpus",
            path: root.join("train/NORMAL"),
            hint: "name the folder `chest_xray`, or one that holds `NORMAL` and `PNEUMONIA`",
        });
    }
    Ok(classes)
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, ImportError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(ImportError::read(folder))? {
        let name = entry.map_err(ImportError::read(folder))?.file_name();
        if is_image_path(&name) && !name.to_string_lossy().starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::session::Progress;
    use super::*;

    fn class(is_test: bool, is_pneumonia: bool) -> Class {
        Class { folder: PathBuf::new(), prefix: String::new(), is_test, is_pneumonia }
    }

    #[test]
    fn persons_and_labels_are_read_from_names() {
        let (ill, well) = (class(false, true), class(false, false));
        assert_eq!(ill.person("person12_virus_46.jpeg"), "PNEUMONIA-person12");
        assert_eq!(class(true, true).person("person12_virus_46.jpeg"), "test-PNEUMONIA-person12");
        assert_eq!(well.person("IM-0115-0001.jpeg"), "NORMAL-IM-0115");
        assert_eq!(well.person("NORMAL2-IM-0383-0001-0002.jpeg"), "NORMAL-NORMAL2-IM-0383");
        assert_eq!(well.person("IM-0001.jpeg"), "NORMAL-IM-0001");
        assert_eq!(ill.text("person1_bacteria_2.jpeg"), (BACTERIAL, "pneumonia|bacterial"));
        assert_eq!(ill.text("person1_virus_2.jpeg").0, VIRAL);
        assert_eq!(ill.text("scan.jpeg"), (OF_NO_KIND, "pneumonia"));
        assert_eq!(well.text("virus.jpeg").0, NORMAL);
    }

    /// The corpus in small: two images of each of 40 persons per class, in these sets.
    fn corpus(sets: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for set in sets {
            for person in 0..40 {
                for name in [
                    format!("NORMAL/IM-{person:04}-0001.jpeg"),
                    format!("NORMAL/IM-{person:04}-0002.jpeg"),
                    format!("PNEUMONIA/person{person}_bacteria_1.jpeg"),
                    format!("PNEUMONIA/person{person}_virus_2.jpeg"),
                ] {
                    let path = place.path().join("chest_xray").join(set).join(name);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, "pixels").unwrap();
                }
            }
        }
        place
    }

    fn rows(out: &Path) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(out.join("XREPORT_dataset.csv")).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    fn run(source: &Path, out: &Path, options: Options) -> Result<Report, ImportError> {
        let progress = |_: Progress| {};
        let placement = Some(super::super::Placement::Auto);
        import(source, options, &Target { out: out.to_owned(), placement, progress: &progress })
    }

    const TEN: HoldOut = HoldOut { test_percent: 10, validation_percent: 0, seed: None };

    #[test]
    fn persons_stay_together_when_they_are_drawn() {
        let corpus = corpus(&["train"]);
        let out = corpus.path().join("out");
        let report = run(corpus.path(), &out, Options { split: None, hold_out: TEN }).unwrap();
        assert_eq!((report.rows, report.patients, report.crossing_patients), (160, 80, 0));
        assert!((2..=20).contains(&report.part_patients[2]), "{report:?}");
        let rows = rows(&out);
        assert_eq!(rows.len(), 160);
        assert!(rows.iter().all(|row| row["text_source"] == "label" && out.join("images").join(&row["id"]).is_file()));
        let notice = fs::read_to_string(out.join("NOTICE.txt")).unwrap();
        let first = notice.lines().next().unwrap();
        assert!(first.contains("made from labels") && first.contains("CC BY 4.0"), "{first}");
        // What the trainer makes of it.
        let dataset = crate::data::Dataset::open(&out, None).unwrap();
        assert_eq!((dataset.studies.len(), dataset.problems.len(), dataset.unused_images), (160, 0, 0));
    }

    #[test]
    fn the_official_folders_decide_where_they_are_there() {
        let corpus = corpus(&["train", "val", "test"]);
        let out = corpus.path().join("out");
        let hold_out = HoldOut { validation_percent: 20, ..TEN };
        let report = run(corpus.path(), &out, Options { split: None, hold_out }).unwrap();
        for row in rows(&out) {
            assert_eq!(row["split"] == "test", row["id"].starts_with("test/"), "{row:?}");
            assert_eq!(row["patient"].starts_with("test-"), row["id"].starts_with("test/"));
        }
        assert_eq!((report.part_rows[2], report.crossing_patients), (160, 0));
        assert!(report.part_rows[1] > 0);
        let pooled = corpus.path().join("pooled");
        let report = run(corpus.path(), &pooled, Options { split: Some(SplitBy::Persons), hold_out: TEN }).unwrap();
        assert!(report.part_rows[2] < 100 && report.notes[0].contains("pooled"), "{report:?}");
    }

    #[test]
    fn a_folder_that_is_none_is_told() {
        let place = tempfile::tempdir().unwrap();
        let (out, options) = (place.path().join("out"), Options { split: None, hold_out: TEN });
        let error = run(place.path(), &out, options).unwrap_err().to_string();
        assert!(error.contains("train/NORMAL") && error.contains("hint: "), "{error}");
        assert!(!out.exists());
        let corpus = corpus(&["train"]);
        let official = Options { split: Some(SplitBy::Official), ..options };
        assert!(run(corpus.path(), &out, official).unwrap_err().to_string().contains("--split persons"));
    }
}
