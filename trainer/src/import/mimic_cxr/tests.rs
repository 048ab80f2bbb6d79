//! A tree that looks like MIMIC-CXR's, made from its public documentation: the corpus itself is for credentialed users.
//! Names, numbers and sentences here are made up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use super::super::{Placement, Progress};
use super::*;

/// Subject, study, report.
const REPORTS: [(u32, u32, &str); 9] = [
    (
        10_000_001,
        50_000_001,
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  ___F.\n \n \
         FINDINGS: \n \n The lungs\n are clear.\n \n IMPRESSION: \n \n Normal.\n",
    ),
    // No headings at all.
    (10_000_001, 50_000_002, " FINAL REPORT\n \n Portable film. Tube at the carina.\n \n No pneumothorax.\n"),
    // Windows line ends, findings empty.
    (10_000_002, 50_000_003, " FINAL REPORT\r\n FINDINGS: \r\n \r\n IMPRESSION:  Stable.\r\n"),
    // An addendum above, then the report.
    (
        11_000_003,
        50_000_004,
        " ADDENDUM: late.\n IMPRESSION: addended.\n ____\n FINAL REPORT\n IMPRESSION:  Original.\n",
    ),
    // A wet read alone.
    (11_000_003, 50_000_005, " WET READ: ___ ___ ___ 9:00 PM\n  No acute process.\n"),
    (11_000_004, 50_000_006, " FINAL REPORT\n COMPARISON:  ___. Unchanged.\n"),
    // Set by hand in the official list: its history.
    (19_000_005, 51_491_012, "\n HISTORY:  Line placement, tip in the SVC.\n \n COMPARISON:  None.\n"),
    // Likewise without any text.
    (19_000_005, 58_235_663, " FINAL REPORT\n IMPRESSION:  Not dictated.\n"),
    (19_000_006, 50_000_007, "\n CHEST, TWO VIEWS:  Clear.\n"),
];

/// Image, study, subject, part, view.
const IMAGES: [(&str, u32, u32, &str, &str); 12] = [
    ("aaaa0001-00000000", 50_000_001, 10_000_001, "train", "PA"),
    ("aaaa0001-00000001", 50_000_001, 10_000_001, "train", "LATERAL"),
    ("aaaa0001-00000002", 50_000_001, 10_000_001, "train", "LL"),
    ("aaaa0002-00000000", 50_000_002, 10_000_001, "train", "AP"),
    ("aaaa0003-00000000", 50_000_003, 10_000_002, "validate", "AP"),
    ("aaaa0004-00000000", 50_000_004, 11_000_003, "test", "AP"),
    ("aaaa0005-00000000", 50_000_005, 11_000_003, "test", ""),
    ("aaaa0006-00000000", 50_000_006, 11_000_004, "train", "AP"),
    ("aaaa0007-00000000", 51_491_012, 19_000_005, "train", "AP"),
    ("aaaa0008-00000000", 58_235_663, 19_000_005, "train", "AP"),
    ("aaaa0009-00000000", 50_000_007, 19_000_006, "train", "PA"),
    // Neither report nor image.
    ("aaaa0010-00000000", 50_000_099, 19_000_006, "train", "PA"),
];

struct Scene {
    place: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { place: tempfile::tempdir().unwrap() };
        let folder = |subject: u32| format!("files/p{}/p{subject}", subject / 1_000_000);
        for (subject, study, report) in REPORTS {
            scene.write(&format!("{}/s{study}.txt", folder(subject)), report.as_bytes());
        }
        let mut split = "dicom_id,study_id,subject_id,split\n".to_owned();
        let mut metadata = "dicom_id,subject_id,study_id,ViewPosition,Rows\n".to_owned();
        for (at, (dicom, study, subject, part, view)) in IMAGES.into_iter().enumerate() {
            writeln!(split, "{dicom},{study},{subject},{part}").unwrap();
            writeln!(metadata, "{dicom},{subject},{study},{view},3056").unwrap();
            if study != 50_000_099 {
                let extension = if at % 2 == 0 { "jpg" } else { "dcm" };
                scene.write(&format!("{}/s{study}/{dicom}.{extension}", folder(subject)), dicom.as_bytes());
            }
        }
        scene.write("mimic-cxr-2.0.0-split.csv.gz", &gz(&split));
        scene.write("mimic-cxr-2.0.0-metadata.csv", metadata.as_bytes());
        scene
    }

    fn write(&self, name: &str, content: &[u8]) {
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

    /// Text and what it was made from, by the end of the id.
    fn texts(&self) -> BTreeMap<String, (String, String)> {
        self.rows()
            .into_iter()
            .map(|mut row| (row["id"].clone(), (row.remove("text").unwrap(), row.remove("text_source").unwrap())))
            .collect()
    }

    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.place.path().join("out/XREPORT_dataset.csv")).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }
}

fn gz(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

const BOTH: Options = Options { images: None, split: None, metadata: None, views: Views::Frontal, text: Text::Both };

fn left_out(report: &Report) -> BTreeMap<Reason, u64> {
    report.left_out.iter().copied().collect()
}

#[test]
fn the_tree_becomes_a_data_set() {
    let scene = Scene::new();
    let report = scene.run(&BOTH).unwrap();
    let of = |text: &str, source: &str| (text.to_owned(), source.to_owned());
    assert_eq!(
        scene.texts(),
        BTreeMap::from([
            ("p10/s50000001/aaaa0001-00000000.jpg".to_owned(), of("The lungs are clear. Normal.", "report")),
            (
                "p10/s50000002/aaaa0002-00000000.dcm".into(),
                of("Portable film. Tube at the carina. No pneumothorax.", "report: last paragraph")
            ),
            ("p10/s50000003/aaaa0003-00000000.jpg".into(), of("Stable.", "report")),
            ("p11/s50000004/aaaa0004-00000000.dcm".into(), of("Original.", "report")),
            (
                "p19/s51491012/aaaa0007-00000000.jpg".into(),
                of("Line placement, tip in the SVC.", "report: set by hand")
            ),
            ("p19/s50000007/aaaa0009-00000000.jpg".into(), of("Clear.", "report")),
        ])
    );
    let rows = scene.rows();
    let validation: Vec<_> =
        rows.iter().filter(|row| row["split"] == "validation").map(|row| &row["patient"]).collect();
    assert_eq!(validation, ["10000002"]);
    assert_eq!(
        (&rows[0]["findings"][..], &rows[0]["impression"][..], &rows[0]["view"][..]),
        ("The lungs are clear.", "Normal.", "PA")
    );
    assert!(scene.place.path().join("out/images/p10/s50000001/aaaa0001-00000000.jpg").is_file());
    let expected = [(Reason::OtherView, 2), (Reason::UnknownView, 1), (Reason::NoText, 2), (Reason::MissingReport, 1)];
    assert_eq!(left_out(&report), BTreeMap::from(expected));
    assert_eq!((report.part_rows, report.crossing_patients), ([4, 1, 1], 0));
    assert_eq!(report.read, [("images listed", 12), ("studies", 10), ("with findings", 2), ("with impression", 4)]);
}

#[test]
fn sections_and_views_are_chosen() {
    let scene = Scene::new();
    let report = scene.run(&Options { text: Text::Findings, views: Views::All, ..BOTH }).unwrap();
    let texts = scene.texts();
    assert_eq!(texts.len(), 4);
    assert_eq!(texts["p10/s50000001/aaaa0001-00000001.dcm"].0, "The lungs are clear.");
    assert_eq!(left_out(&report)[&Reason::HandCorrected], 2);
    scene.clear();
    scene.run(&Options { text: Text::Impression, ..BOTH }).unwrap();
    assert_eq!(scene.texts().len(), 3);
    scene.clear();
    scene.run(&Options { text: Text::Selected, ..BOTH }).unwrap();
    let texts = scene.texts();
    assert_eq!(texts["p10/s50000001/aaaa0001-00000000.jpg"], ("Normal.".to_owned(), "report: impression".to_owned()));
    assert_eq!(
        texts["p11/s50000006/aaaa0006-00000000.dcm"],
        ("___. Unchanged.".to_owned(), "report: comparison".to_owned())
    );
}

#[test]
fn a_patients_number_stands_in_its_column_alone() {
    let scene = Scene::new();
    let report = scene.run(&BOTH).unwrap();
    let told = [
        report.summary(),
        report.remarks(),
        fs::read_to_string(scene.place.path().join("out/XREPORT_left_out.csv")).unwrap(),
    ];
    for (subject, ..) in REPORTS {
        assert!(told.iter().all(|text| !text.contains(&subject.to_string())), "{told:?}");
        assert!(scene.rows().iter().all(|row| !row["id"].contains(&subject.to_string())));
    }
}

#[test]
fn what_is_missing_is_told_by_name() {
    let scene = Scene::new();
    let remove = |name: &str| fs::remove_file(scene.place.path().join(name)).unwrap();
    remove("mimic-cxr-2.0.0-metadata.csv");
    let error = scene.run(&BOTH).unwrap_err().to_string();
    assert!(error.contains("--metadata") && error.contains("--views all"), "{error}");
    assert_eq!(scene.run(&Options { views: Views::All, ..BOTH }).unwrap().rows, 8);
    remove("mimic-cxr-2.0.0-split.csv.gz");
    assert!(scene.run(&BOTH).unwrap_err().to_string().contains("--split"));
    let other = tempfile::tempdir().unwrap();
    let progress = |_: Progress| {};
    let target = Target { out: other.path().join("out"), placement: None, progress: &progress };
    assert!(import(other.path(), &BOTH, &target).unwrap_err().to_string().contains("mimic-cxr-reports.zip"));
}

#[test]
fn rows_that_would_lead_out_of_the_tree_are_refused() {
    let scene = Scene::new();
    let split = "dicom_id,study_id,subject_id,split\n\
        ../../x,50000001,10000001,train\nx,../1,10000001,train\nx,50000001,é0,train\nx,50000001,,train\n\
        aaaa0001-00000000,50000001,10000001,trian\naaaa0001-00000000,50000001,10000001,train\n";
    scene.write("mimic-cxr-2.0.0-split.csv.gz", &gz(split));
    let report = scene.run(&BOTH).unwrap();
    let expected = [(Reason::BadPath, 3), (Reason::EmptyCell, 1), (Reason::UnknownPart, 1)];
    assert_eq!((report.rows, left_out(&report)), (1, BTreeMap::from(expected)));
}
