//! ChestX-ray14 of the NIH Clinical Center (Wang et al., CVPR 2017).
//!
//! ```text
//! Data_Entry_2017_v2020.csv or Data_Entry_2017.csv      Image Index, Finding Labels, …, Patient ID, …, View Position
//! images_001/images/*.png … images_012/images/*.png     or images/, or anything that begins so
//! train_val_list.txt, test_list.txt                     one image per line; by patient
//! ```
//!
//! There are no reports: the text is made from the labels, a sentence for each, and claims no more than these say. The
//! labels themselves were mined from reports by machine, about 90 % of them rightly, as their makers say.

use std::collections::HashMap;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::csv_source::{CsvSource, open};
use super::error::ImportError;
use super::hold_out::{HoldOut, SplitBy};
use super::image_index::ImageIndex;
use super::left_out::Reason;
use super::report::Report;
use super::session::{Columns, Corpus, Row, Session, Target};
use crate::data::Part;

const NOTICE: &str = "taught texts made from text-mined labels of ChestX-ray14 (NIH Clinical Center; Wang et al., CVPR \
2017; https://nihcc.app.box.com/v/ChestXray-NIHCC)

The texts of this data set were made from the labels of the corpus. No radiologist wrote them, and the labels were mined
from reports by machine, with errors. They claim no more than the labels say; \"No Finding\" means that none of fourteen
findings is labelled, and nothing else. A model trained on them is a proof of the machinery and of no diagnostic value.

The images and labels: provided by the NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC. To be cited:
Xiaosong Wang, Yifan Peng, Le Lu, Zhiyong Lu, Mohammadhadi Bagheri, Ronald M. Summers, \"ChestX-ray8: Hospital-scale Chest
X-ray Database and Benchmarks on Weakly-Supervised Classification and Localization of Common Thorax Diseases\", IEEE CVPR
2017, pp. 3462-3471.
";

/// The names of the table, the newer one first.
const TABLES: [&str; 2] = ["Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv"];
const TRAIN_LIST: &str = "train_val_list.txt";
const TEST_LIST: &str = "test_list.txt";
const NO_FINDING: &str = "No Finding";

const OPENING: &str = "Frontal chest radiograph.";
const NONE_LABELLED: &str = "None of the fourteen findings that were looked for is labelled.";
const NO_OTHER_LABELLED: &str = "None of the other findings that were looked for is labelled.";

/// The labels of the corpus, and what a sentence calls each.
const LABELS: [(&str, &str); 14] = [
    ("Atelectasis", "atelectasis"),
    ("Cardiomegaly", "cardiomegaly"),
    ("Consolidation", "consolidation"),
    ("Edema", "edema"),
    ("Effusion", "effusion"),
    ("Emphysema", "emphysema"),
    ("Fibrosis", "fibrosis"),
    ("Hernia", "a hernia"),
    ("Infiltration", "infiltration"),
    ("Mass", "a mass"),
    ("Nodule", "a nodule"),
    ("Pleural_Thickening", "pleural thickening"),
    ("Pneumonia", "pneumonia"),
    ("Pneumothorax", "a pneumothorax"),
];

/// How to import it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The table; by default the one in the source, the newer of two.
    pub table: Option<PathBuf>,
    /// The folder of the images; by default all folders `images*` of the source.
    pub images: Option<PathBuf>,
    /// The official lists, or a draw of patients; by default the lists where both are there.
    pub split: Option<SplitBy>,
    /// Who is held out; of the training list where the lists decide, and then only for validation.
    pub hold_out: HoldOut,
    /// A label that each text states or denies first.
    pub stated: Option<String>,
    /// Whether the texts say that and no more.
    pub stated_alone: bool,
}

/// Imports the corpus in the folder `source`.
pub fn import(source: &Path, options: &Options, target: &Target<'_>) -> Result<Report, ImportError> {
    options.hold_out.check()?;
    let stated = options.stated.as_deref().map(stated).transpose()?;
    let table_path = find_table(source, options)?;
    let lists = [source.join(TRAIN_LIST), source.join(TEST_LIST)];
    let has_lists = lists.iter().all(|list| list.is_file());
    let split = options.split.unwrap_or(if has_lists { SplitBy::Official } else { SplitBy::Persons });
    let lists = match split {
        SplitBy::Official => Some(Lists::read(&lists)?),
        SplitBy::Persons => None,
    };
    let images = match target.placement {
        Some(_) => Some(find_images(source, options)?),
        None => None,
    };
    let mut table = CsvSource::open(&table_path, b',')?;
    let columns = table.columns(["Image Index", "Finding Labels", "Patient ID", "View Position"])?;
    let ages = table.find("Patient Age");
    let mut session = Session::begin(
        target,
        Corpus {
            name: "chestx-ray14",
            source,
            options: json!({"split": split, "hold_out": options.hold_out, "stated": options.stated,
                "stated_alone": options.stated_alone}),
            columns: Columns::LabelsAndAge,
            notice: NOTICE,
        },
    )?;
    session.count("images", 0);
    while table.advance()? {
        let (done, total) = table.position();
        session.at(done, total);
        session.count("images", 1);
        let line = format!("line {}", table.line());
        let Some([image, labels, patient, view]) = table.cells(columns) else {
            session.leave_out(Reason::NotUtf8, &line, "")?;
            continue;
        };
        if image.is_empty() || patient.is_empty() {
            session.leave_out(Reason::EmptyCell, &line, "")?;
            continue;
        }
        let text = match text(labels, stated, options.stated_alone) {
            Ok(text) => text,
            Err((reason, label)) => {
                session.leave_out(reason, image, &label)?;
                continue;
            }
        };
        let Some(part) = part(lists.as_ref(), options.hold_out, image, patient) else {
            session.leave_out(Reason::InNoList, image, "")?;
            continue;
        };
        let found = images.as_ref().and_then(|images| images.find(image)).map(|(_, path)| path);
        let age = ages.and_then(|at| table.raw_cell(at)).map_or("", |cell| years(cell.trim()));
        let own = [labels, age];
        let row = Row { file: image, text: &text, own: &own, view, patient, study: "", text_source: "label" };
        session.row(&row, part, found.as_deref())?;
    }
    if split == SplitBy::Persons && options.split.is_none() && options.hold_out.test_percent > 0 {
        session.note(format!(
            "`{TRAIN_LIST}` and `{TEST_LIST}` are not there: {} % of the patients are test, drawn",
            options.hold_out.test_percent
        ));
    }
    session.finish()
}

fn part(lists: Option<&Lists>, hold_out: HoldOut, image: &str, patient: &str) -> Option<Part> {
    match lists {
        None => Some(hold_out.part(patient)),
        Some(lists) => match lists.0.get(image)? {
            Part::Test => Some(Part::Test),
            _ => Some(HoldOut { test_percent: 0, ..hold_out }.part(patient)),
        },
    }
}

/// A label of the corpus, with what a sentence calls it.
type Label = (&'static str, &'static str);

/// The label that `name` names.
fn stated(name: &str) -> Result<Label, ImportError> {
    LABELS.into_iter().find(|(label, _)| label.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known = LABELS.map(|(label, _)| label).join(", ");
        ImportError::Options(format!("the corpus has no label `{name}`\nhint: --state takes one of {known}"))
    })
}

/// The text of a cell of labels; else the reason to leave the row out, with the label. It states or denies `stated` first,
/// and no more than that where `alone` says so.
fn text(cell: &str, stated: Option<Label>, alone: bool) -> Result<String, (Reason, String)> {
    if cell.is_empty() {
        return Err((Reason::EmptyCell, String::new()));
    }
    let mut found = Vec::new();
    for label in cell.split('|').map(str::trim).filter(|&label| cell != NO_FINDING || label != NO_FINDING) {
        if label == NO_FINDING {
            return Err((Reason::Contradiction, cell.to_owned()));
        }
        let Some(&known) = LABELS.iter().find(|(known, _)| *known == label) else {
            return Err((Reason::UnknownLabel, label.to_owned()));
        };
        found.push(known);
    }
    let mut sentences = vec![OPENING.to_owned()];
    if let Some(stated) = stated {
        let no = if found.contains(&stated) { "" } else { "no " };
        sentences.push(format!("There is {no}evidence of {}.", stated.1));
        found.retain(|&label| label != stated);
        if alone {
            return Ok(sentences.join(" "));
        }
    }
    sentences.extend(found.iter().map(|(_, words)| format!("There is evidence of {words}.")));
    if cell == NO_FINDING {
        sentences.push(if stated.is_some() { NO_OTHER_LABELLED } else { NONE_LABELLED }.to_owned());
    }
    Ok(sentences.join(" "))
}

/// An age in years, of a cell such as `58` or `058Y`; empty where it is none. The older table counts some in months or
/// days (`011M`), which are 0 years.
fn years(cell: &str) -> &str {
    let number = match cell.strip_suffix(['M', 'D']) {
        Some(count) if !count.is_empty() => "0",
        _ => cell.strip_suffix('Y').unwrap_or(cell),
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.trim_start_matches('0') {
        _ if !is_number => "",
        "" => "0",
        years => years,
    }
}

fn find_table(source: &Path, options: &Options) -> Result<PathBuf, ImportError> {
    let places = options.table.clone().map_or_else(|| TABLES.map(|name| source.join(name)).to_vec(), |path| vec![path]);
    let found = places.iter().find_map(|path| super::csv_source::plain_or_gz(path));
    found.ok_or_else(|| ImportError::Missing {
        what: "the table of the labels",
        path: places[0].clone(),
        hint: "name the folder that holds it, or the table itself with --table",
    })
}

/// Each image's part. Names alone: some megabytes for the whole corpus.
struct Lists(HashMap<String, Part>);

impl Lists {
    fn read(lists: &[PathBuf; 2]) -> Result<Self, ImportError> {
        let mut parts = HashMap::new();
        for (path, part) in lists.iter().zip([Part::Train, Part::Test]) {
            if !path.is_file() {
                return Err(ImportError::Missing {
                    what: "an official list",
                    path: path.clone(),
                    hint: "fetch it, or hold patients out with --split persons",
                });
            }
            for line in open(path)?.content.lines() {
                let line = line.map_err(ImportError::read(path))?;
                let image = line.trim().trim_start_matches('\u{feff}');
                if image.is_empty() {
                    continue;
                }
                if parts.insert(image.to_owned(), part).is_some_and(|other| other != part) {
                    return Err(ImportError::table(
                        path,
                        format!("`{image}` is in the other list, too\nhint: fetch the lists again"),
                    ));
                }
            }
        }
        Ok(Self(parts))
    }
}

fn find_images(source: &Path, options: &Options) -> Result<ImageIndex, ImportError> {
    let whole_name = |name: &str| Some(name.to_owned());
    let missing = || ImportError::Missing {
        what: "the images of the corpus",
        path: options.images.clone().unwrap_or_else(|| source.join("images_001/images/00000001_000.png")),
        hint: "unpack images_001.tar.gz and the others here, name their folder with --images, or write the table alone \
               with --without-images",
    };
    let folders = match &options.images {
        Some(folder) if folder.is_dir() => vec![folder.clone()],
        Some(_) => return Err(missing()),
        None => image_folders(source)?,
    };
    let index = ImageIndex::read_all(folders, &whole_name)?;
    if index.len() == 0 { Err(missing()) } else { Ok(index) }
}

/// The folders `images*` of the source, in order.
fn image_folders(source: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(source).map_err(ImportError::read(source))? {
        let path = entry.map_err(ImportError::read(source))?.path();
        let begins = path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().starts_with("images"));
        if begins && path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Placement, Progress};
    use super::*;

    /// As the archive of 2017 has it: header cells cut at their commas, ages with a Y, a comma too many.
    const OLD: &str = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
        OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n\
        00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n\
        00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,PA,2894,2729,0.143,0.143,\n\
        00000002_000.png,No Finding,0,2,081Y,M,AP,2500,2048,0.171,0.171,\n\
        00000003_000.png,Broken_Rib,0,3,081Y,M,AP,2500,2048,0.171,0.171,\n\
        00000004_000.png,No Finding|Mass,0,4,081Y,M,AP,2500,2048,0.171,0.171,\n\
        00000005_000.png,Hernia\n\
        00000006_000.png,Hernia,0,6,081Y,M,AP,2500,2048,0.171,0.171,\n";

    struct Scene {
        place: tempfile::TempDir,
    }

    impl Scene {
        fn new(table: &str) -> Self {
            let scene = Self { place: tempfile::tempdir().unwrap() };
            scene.write(table, &if table.contains("v2020") { OLD.replace(",\n", "\n") } else { OLD.to_owned() });
            scene.write("images_001/images/00000001_000.png", "a");
            scene.write("images_002/images/00000001_001.png", "b");
            scene.write("images_012/images/00000002_000.png", "c");
            scene
        }

        fn write(&self, name: &str, content: &str) {
            let path = self.place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        /// Ready for an import with other options.
        fn clear(&self) {
            fs::remove_dir_all(self.place.path().join("out")).unwrap();
        }

        fn run(&self, options: &Options) -> Result<Report, ImportError> {
            let progress = |_: Progress| {};
            let out = self.place.path().join("out");
            let target = Target { out, placement: Some(Placement::Auto), progress: &progress };
            import(self.place.path(), options, &target)
        }

        fn rows(&self) -> Vec<BTreeMap<String, String>> {
            let mut reader = csv::Reader::from_path(self.place.path().join("out/XREPORT_dataset.csv")).unwrap();
            reader.deserialize().map(Result::unwrap).collect()
        }
    }

    const NO_OPTIONS: Options = Options {
        table: None,
        images: None,
        split: None,
        hold_out: HoldOut::NOBODY,
        stated: None,
        stated_alone: false,
    };

    #[test]
    fn both_versions_of_the_table_and_all_image_folders_are_read() {
        for table in TABLES {
            let scene = Scene::new(table);
            let report = scene.run(&NO_OPTIONS).unwrap();
            let rows = scene.rows();
            let texts: Vec<_> =
                rows.iter().map(|row| (&row["id"][..], &row["text"][..], &row["patient"][..])).collect();
            assert_eq!(
                texts,
                [
                    ("00000001_000.png", "Frontal chest radiograph. There is evidence of cardiomegaly.", "1"),
                    (
                        "00000001_001.png",
                        "Frontal chest radiograph. There is evidence of cardiomegaly. There is evidence of emphysema.",
                        "1"
                    ),
                    (
                        "00000002_000.png",
                        "Frontal chest radiograph. None of the fourteen findings that were looked for is labelled.",
                        "2"
                    ),
                ]
            );
            assert_eq!(
                (&rows[2]["labels"][..], &rows[2]["view"][..], &rows[2]["text_source"][..]),
                ("No Finding", "AP", "label")
            );
            assert_eq!([0, 1, 2].map(|row: usize| &rows[row]["age"][..]), ["58", "58", "81"]);
            assert_eq!(report.read, [("images", 7)]);
            let expected = [Reason::MissingImage, Reason::UnknownLabel, Reason::Contradiction, Reason::EmptyCell]
                .map(|reason| (reason, 1));
            assert_eq!(report.left_out.iter().copied().collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
        }
    }

    #[test]
    fn the_official_lists_decide_where_they_are_there() {
        let scene = Scene::new(TABLES[0]);
        scene.write(TRAIN_LIST, "00000001_000.png\r\n00000001_001.png");
        scene.write(TEST_LIST, "\n00000006_000.png\n");
        let report = scene.run(&NO_OPTIONS).unwrap();
        assert!(report.left_out.contains(&(Reason::InNoList, 1)), "{report:?}");
        assert!(scene.rows().iter().all(|row| row["split"] == "train"));
        scene.write(TEST_LIST, "00000002_000.png");
        // All patients of the training list held out to validate: the test list stays what it is.
        let hold_out = HoldOut { validation_percent: 99, ..HoldOut::NOBODY };
        scene.clear();
        let report = scene.run(&Options { hold_out, ..NO_OPTIONS }).unwrap();
        assert_eq!(report.part_rows, [0, 2, 1]);
        scene.write(TEST_LIST, "00000001_000.png");
        scene.clear();
        assert!(scene.run(&NO_OPTIONS).unwrap_err().to_string().contains("in the other list"));
        fs::remove_file(scene.place.path().join(TEST_LIST)).unwrap();
        let official = Options { split: Some(SplitBy::Official), ..NO_OPTIONS };
        assert!(scene.run(&official).unwrap_err().to_string().contains("--split persons"));
    }

    #[test]
    fn patients_stay_together_where_they_are_drawn() {
        let hold_out = HoldOut { test_percent: 50, ..HoldOut::NOBODY };
        for patient in 0..50 {
            let patient = patient.to_string();
            assert_eq!(part(None, hold_out, "a", &patient), part(None, hold_out, "b", &patient));
        }
        let scene = Scene::new(TABLES[0]);
        let report = scene.run(&Options { hold_out, ..NO_OPTIONS }).unwrap();
        assert_eq!(report.crossing_patients, 0);
        assert!(report.notes[0].contains("50 % of the patients"), "{:?}", report.notes);
    }

    #[test]
    fn a_label_is_stated_or_denied_first() {
        let about = |cell| text(cell, Some(stated("pneumonia").unwrap()), false).unwrap();
        assert_eq!(
            about("Atelectasis|Pneumonia"),
            "Frontal chest radiograph. There is evidence of pneumonia. There is evidence of atelectasis."
        );
        assert_eq!(
            about("Mass"),
            "Frontal chest radiograph. There is no evidence of pneumonia. There is evidence of a mass."
        );
        let none = about(NO_FINDING);
        assert!(
            none.ends_with("no evidence of pneumonia. None of the other findings that were looked for is labelled.")
        );
        let alone = |cell| text(cell, Some(stated("Pneumonia").unwrap()), true).unwrap();
        assert_eq!(alone("Mass|Pneumonia"), "Frontal chest radiograph. There is evidence of pneumonia.");
        assert_eq!(alone(NO_FINDING), "Frontal chest radiograph. There is no evidence of pneumonia.");
        let error = stated("cough").unwrap_err().to_string();
        assert!(error.contains("`cough`") && error.contains("Pneumonia"), "{error}");
    }

    #[test]
    fn ages_are_years() {
        let found = ["058Y", "58", "000", "011M", "004D", "Y", "", "58.5", "M"].map(years);
        assert_eq!(found, ["58", "58", "0", "0", "0", "", "", "", ""]);
    }

    #[test]
    fn a_folder_without_the_corpus_is_told() {
        let place = tempfile::tempdir().unwrap();
        let scene = Scene { place };
        assert!(scene.run(&NO_OPTIONS).unwrap_err().to_string().contains("--table"));
        scene.write(TABLES[1], OLD);
        assert!(scene.run(&NO_OPTIONS).unwrap_err().to_string().contains("--without-images"));
        assert!(!scene.place.path().join("out").exists());
    }
}
