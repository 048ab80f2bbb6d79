//! Both editions in small.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::super::{Placement, Progress};
use super::*;

fn xml(number: usize, findings: &str, impression: &str, images: &[&str]) -> String {
    let image = |image: &&str| format!("<parentImage id=\"{image}\"/>");
    let images = images.iter().map(image).collect::<Vec<_>>().concat();
    format!(
        "<?xml version=\"1.0\"?><eCitation><uId id=\"CXR{number}\"/><Abstract>\
         <AbstractText Label=\"INDICATION\">Cough.</AbstractText>\
         <AbstractText Label=\"FINDINGS\">{findings}</AbstractText>\
         <AbstractText Label=\"IMPRESSION\">{impression}</AbstractText></Abstract>{images}</eCitation>"
    )
}

/// Five reports and a broken one.
fn reports() -> Vec<(String, String)> {
    [
        xml(1, "Heart size normal.", "No XXXX.", &["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"]),
        xml(2, "", "Clear.", &["CXR2_IM-0652-1001"]),
        xml(3, "Only findings.", "", &["CXR3_IM-1-1"]),
        xml(4, "", "", &["CXR4_IM-1-1"]),
        xml(5, "No image.", "None.", &[]),
        "<eCitation><uId id=\"CXR6\"/>".to_owned() + "<a></b>",
    ]
    .into_iter()
    .enumerate()
    .map(|(at, text)| (format!("ecgen-radiology/{}.xml", at + 1), text))
    .collect()
}

struct Scene {
    place: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { place: tempfile::tempdir().unwrap() };
        scene.write("png/CXR1_1_IM-0001-3001.png", "lateral");
        scene.write("png/CXR1_1_IM-0001-4001.png", "frontal");
        scene.write("png/deep/CXR2_IM-0652-1001.png", "frontal two");
        scene.write(
            "indiana_projections.csv",
            "uid,filename,projection\n1,1_IM-0001-4001.dcm.png,Frontal\n1,1_IM-0001-3001.dcm.png,Lateral\n\
             2,2_IM-0652-1001.dcm.png,Frontal\n4,4_IM-1-1.dcm.png,Frontal\n",
        );
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    fn archive(&self) -> PathBuf {
        let path = self.path("NLMCXR_reports.tgz");
        let file = fs::File::create(&path).unwrap();
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
        for (name, text) in reports() {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap().flush().unwrap();
        path
    }

    fn options(&self) -> Options {
        Options {
            images: Some(self.path("png")),
            projections: None,
            views: Views::Frontal,
            sections: Sections::Both,
            marks: Marks::Keep,
            hold_out: HoldOut::NOBODY,
        }
    }

    fn run(&self, source: &Path, options: &Options, placement: Option<Placement>) -> Result<Report, ImportError> {
        let _ = fs::remove_dir_all(self.path("out"));
        let progress = |_: Progress| {};
        import(source, options, &Target { out: self.path("out"), placement, progress: &progress })
    }

    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.path("out/XREPORT_dataset.csv")).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }
}

fn left_out(report: &Report) -> BTreeMap<Reason, u64> {
    report.left_out.iter().copied().collect()
}

#[test]
fn archive_and_folder_give_the_same_data_set() {
    let scene = Scene::new();
    let archive = scene.archive();
    let report = scene.run(&archive, &scene.options(), Some(Placement::Auto)).unwrap();
    assert_eq!(report.read, [("reports", 5), ("with findings", 3), ("with impression", 2)]);
    let rows = scene.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["id"][..], &rows[0]["text"][..]), ("CXR1_1_IM-0001-4001.png", "Heart size normal. No XXXX."));
    assert_eq!((&rows[0]["findings"][..], &rows[0]["impression"][..]), ("Heart size normal.", "No XXXX."));
    assert_eq!((&rows[0]["view"][..], &rows[0]["study"][..], &rows[0]["split"][..]), ("Frontal", "CXR1", "train"));
    assert_eq!(fs::read_to_string(scene.path("out/images/CXR1_1_IM-0001-4001.png")).unwrap(), "frontal");
    let expected = [
        (Reason::NoText, 1),
        (Reason::NoImageNamed, 1),
        (Reason::OtherView, 1),
        (Reason::UnknownView, 1),
        (Reason::Unreadable, 1),
    ];
    assert_eq!(left_out(&report), BTreeMap::from(expected));
    let details = fs::read_to_string(scene.path("out/XREPORT_left_out.csv")).unwrap();
    assert!(details.contains("ecgen-radiology/6.xml,files that cannot be read,"), "{details}");

    for (name, text) in reports() {
        scene.write(&format!("xml/{name}"), &text);
    }
    let projections = Some(scene.path("indiana_projections.csv"));
    let unpacked = Options { projections, ..scene.options() };
    let second = scene.run(&scene.path("xml"), &unpacked, Some(Placement::Copy)).unwrap();
    assert_eq!(scene.rows(), rows);
    assert_eq!((second.read, second.left_out), (report.read, report.left_out));
}

#[test]
fn kaggles_edition_gives_the_same_texts() {
    let scene = Scene::new();
    scene.write(
        "indiana_reports.csv",
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n\
         1,n,n,PA,Cough.,,Heart size normal.,No XXXX.\n2,n,n,PA,,,,Clear.\n4,n,n,PA,,,,\n9,short\n",
    );
    scene.write("images/images_normalized/1_IM-0001-4001.dcm.png", "frontal");
    let options = Options { images: None, ..scene.options() };
    let report = scene.run(&scene.path("indiana_reports.csv"), &options, Some(Placement::Auto)).unwrap();
    let rows = scene.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["id"][..], &rows[0]["text"][..]), ("1_IM-0001-4001.dcm.png", "Heart size normal. No XXXX."));
    assert_eq!(rows[0]["study"], "CXR1");
    let expected = [(Reason::NoText, 1), (Reason::OtherView, 1), (Reason::MissingImage, 1), (Reason::Cells, 1)];
    assert_eq!(left_out(&report), BTreeMap::from(expected));
    // The trainer finds the image although its name has a second dot.
    assert_eq!(crate::data::Dataset::open(&scene.path("out"), None).unwrap().studies.len(), 1);
}

#[test]
fn a_section_that_says_nan_is_none() {
    let scene = Scene::new();
    scene.write("indiana_reports.csv", "uid,findings,impression\n1,nan,No XXXX.\n2,Clear., NaN \n4,nan,None\n");
    scene.write("images/1_IM-0001-4001.dcm.png", "frontal");
    scene.write("images/2_IM-0652-1001.dcm.png", "frontal");
    scene.write("images/4_IM-1-1.dcm.png", "frontal");
    let options = Options { images: None, ..scene.options() };
    let report = scene.run(&scene.path("indiana_reports.csv"), &options, Some(Placement::Auto)).unwrap();
    let rows = scene.rows();
    let texts: Vec<[&str; 3]> =
        rows.iter().map(|row| ["text", "findings", "impression"].map(|column| &row[column][..])).collect();
    assert_eq!(texts, [["No XXXX.", "", "No XXXX."], ["Clear.", "Clear.", ""]]);
    assert_eq!(report.read, [("reports", 3), ("with findings", 1), ("with impression", 1)]);
    assert_eq!(left_out(&report), BTreeMap::from([(Reason::NoText, 1), (Reason::OtherView, 1)]));
}

#[test]
fn options_choose_views_sections_and_marks() {
    let scene = Scene::new();
    let archive = scene.archive();
    fs::remove_file(scene.path("indiana_projections.csv")).unwrap();
    let error = scene.run(&archive, &scene.options(), None).unwrap_err().to_string();
    assert!(error.contains("--projections") && error.contains("--views all"), "{error}");

    let all = Options { views: Views::All, ..scene.options() };
    scene.run(&archive, &all, None).unwrap();
    let ids: Vec<_> = scene.rows().iter().map(|row| row["id"].clone()).collect();
    let expected = ["CXR1_1_IM-0001-3001.png", "CXR1_1_IM-0001-4001.png", "CXR2_IM-0652-1001.png", "CXR3_IM-1-1.png"];
    assert_eq!(ids, expected);
    assert!(!scene.path("out/images").exists());

    let impression = Options { sections: Sections::Impression, marks: Marks::Remove, ..all };
    let report = scene.run(&archive, &impression, None).unwrap();
    assert_eq!(scene.rows()[0]["text"], "No.");
    assert_eq!(left_out(&report)[&Reason::NoText], 3, "`None.` is no impression");
}

#[test]
fn a_cut_archive_is_an_error_and_leaves_no_table() {
    let scene = Scene::new();
    let archive = scene.archive();
    let bytes = fs::read(&archive).unwrap();
    for length in [bytes.len() / 2, bytes.len() - 6] {
        fs::write(&archive, &bytes[..length]).unwrap();
        let error = scene.run(&archive, &scene.options(), None).unwrap_err().to_string();
        assert!(error.contains("NLMCXR_reports.tgz") && error.contains("cut off"), "{error}");
        let left: Vec<_> = fs::read_dir(scene.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains(".csv")), "{left:?}");
    }
    fs::write(&archive, "prose").unwrap();
    assert!(scene.run(&archive, &scene.options(), None).is_err());
}

#[test]
fn absent_images_are_told_before_anything_is_written() {
    let scene = Scene::new();
    let archive = scene.archive();
    let options = Options { images: None, ..scene.options() };
    let error = scene.run(&archive, &options, Some(Placement::Auto)).unwrap_err().to_string();
    assert!(error.contains("--without-images") && error.contains("--images"), "{error}");
    assert!(!scene.path("out").exists());
}
