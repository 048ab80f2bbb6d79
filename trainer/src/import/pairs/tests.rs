//! Tables as hospitals write them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use super::super::{Placement, Progress};
use super::*;

struct Scene {
    place: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { place: tempfile::tempdir().unwrap() };
        for name in ["a.png", "images/b.jpg", "deep/c.tif", "images/deep/d.png"] {
            scene.write(name, name.as_bytes());
        }
        scene
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn run(&self, table: &str, options: &Options) -> Result<Report, ImportError> {
        let out = self.place.path().join("out");
        let _ = fs::remove_dir_all(&out);
        let progress = |_: Progress| {};
        let target = Target { out, placement: Some(Placement::Auto), progress: &progress };
        import(&self.place.path().join(table), options, &target)
    }

    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        let mut reader = csv::Reader::from_path(self.place.path().join("out/XREPORT_dataset.csv")).unwrap();
        reader.deserialize().map(Result::unwrap).collect()
    }

    fn ids_and_texts(&self) -> Vec<(String, String)> {
        self.rows().into_iter().map(|row| (row["id"].clone(), row["text"].clone())).collect()
    }
}

fn options() -> Options {
    Options {
        images: None,
        sheet: None,
        image: "Image".into(),
        text: vec!["Findings".into(), "Impression".into()],
        patient: None,
        study: None,
        view: None,
        split: None,
        hold_out: HoldOut::NOBODY,
        notice: None,
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
}

fn left_out(report: &Report) -> BTreeMap<Reason, u64> {
    report.left_out.iter().copied().collect()
}

#[test]
fn images_are_found_as_people_write_them() {
    let scene = Scene::new();
    let absolute = scene.place.path().join("deep/c.tif");
    let table = format!(
        "\u{feff}image;findings;impression\r\na.png;\"Clear; no, effusion.\";Normal.\r\nb;;Only this.\r\n\
         {};Third.;\r\nimages\\deep\\d.png;Fourth.;\r\n",
        absolute.display()
    );
    scene.write("t.csv", table.as_bytes());
    let report = scene.run("t.csv", &options()).unwrap();
    assert_eq!(
        scene.ids_and_texts(),
        pairs(&[
            ("a.png", "Clear; no, effusion. Normal."),
            ("b.jpg", "Only this."),
            ("deep/c.tif", "Third."),
            ("deep/d.png", "Fourth.")
        ])
    );
    assert!(report.left_out.is_empty(), "{report:?}");
    assert!(!scene.place.path().join("out/XREPORT_left_out.csv").exists());
    let dataset = crate::data::Dataset::open(&scene.place.path().join("out"), None).unwrap();
    assert_eq!((dataset.studies.len(), dataset.problems.len()), (4, 0));
}

#[test]
fn what_excel_calls_unicode_text_and_names_from_macos_are_read() {
    let scene = Scene::new();
    scene.write("images/Mu\u{308}ller.png", b"pixels");
    let text = "\u{feff}sep=;\r\nImage;Findings;Impression\r\na.png;One.;\r\nM\u{fc}ller;Two;\r\nb;\"open;\r\n;;\r\n";
    scene.write("t.csv", &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    let report = scene.run("t.csv", &options()).unwrap();
    assert_eq!(scene.ids_and_texts(), pairs(&[("a.png", "One."), ("M\u{fc}ller.png", "Two")]));
    assert_eq!(left_out(&report), BTreeMap::from([(Reason::Quotes, 1)]));
}

#[test]
fn rows_that_cannot_be_used_are_told_by_line_and_reason() {
    let scene = Scene::new();
    let table =
        b"Image,Findings,Impression,Set\na.png,one,,train\na.jpg,again,,train\ngone.png,x,,val\n,x,,test\nb,,,test\n\
        ../a.png,x,,test\n/etc/passwd,x,,test\nb,x,test\nb,x\xff,,test\nb,x,,trian\nb,x,,Validate\n";
    scene.write("t.csv", table);
    let split = Options { split: Some("set".into()), ..options() };
    let report = scene.run("t.csv", &split).unwrap();
    let expected = [
        (Reason::RepeatedId, 1),
        (Reason::MissingImage, 1),
        (Reason::EmptyCell, 1),
        (Reason::NoText, 1),
        (Reason::BadPath, 2),
        (Reason::Cells, 1),
        (Reason::NotUtf8, 1),
        (Reason::UnknownPart, 1),
    ];
    assert_eq!(left_out(&report), BTreeMap::from(expected));
    assert_eq!(report.part_rows, [1, 1, 0]);
    let told = fs::read_to_string(scene.place.path().join("out/XREPORT_left_out.csv")).unwrap();
    assert!(told.contains("line 9,rows with more or fewer cells") && !told.contains("again"), "{told}");
}

#[test]
fn cells_with_a_word_for_a_missing_value_give_no_text() {
    let scene = Scene::new();
    let table = "Image,Findings,Impression\na.png,nan,Normal.\nb,Clear.,N/A\ndeep/c.tif,None,-\ndeep/d,\u{200b},null\n";
    scene.write("t.csv", table.as_bytes());
    let report = scene.run("t.csv", &options()).unwrap();
    assert_eq!(scene.ids_and_texts(), pairs(&[("a.png", "Normal."), ("b.jpg", "Clear.")]));
    assert_eq!(left_out(&report), BTreeMap::from([(Reason::NoText, 2)]));
    let told = fs::read_to_string(scene.place.path().join("out/XREPORT_left_out.csv")).unwrap();
    assert!(told.contains("line 4,") && told.contains("line 5,"), "{told}");
}

#[test]
fn patients_and_the_other_columns_are_taken_over() {
    let scene = Scene::new();
    let tsv = "Image\tFindings\tImpression\tPID\tAcc\tView\na.png\tone\t\tp1\ts1\tPA\nb\ttwo\t\tp1\ts2\tAP\n";
    scene.write("t.tsv.gz", &{
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(tsv.as_bytes()).unwrap();
        writer.finish().unwrap()
    });
    let options = Options {
        patient: Some("PID".into()),
        study: Some("acc".into()),
        view: Some("view".into()),
        hold_out: HoldOut { test_percent: 50, ..HoldOut::NOBODY },
        notice: Some("trained on our own\nreports".into()),
        ..options()
    };
    let report = scene.run("t.tsv.gz", &options).unwrap();
    let rows = scene.rows();
    let of = |column: &str| rows.iter().map(|row| row[column].clone()).collect::<Vec<_>>();
    assert_eq!(
        (of("patient"), of("study"), of("view")),
        (vec!["p1".into(); 2], vec!["s1".into(), "s2".into()], vec!["PA".into(), "AP".to_owned()])
    );
    assert_eq!((rows[0]["split"] == rows[1]["split"], report.crossing_patients), (true, 0));
    assert!(fs::read_to_string(scene.place.path().join("out/NOTICE.txt")).unwrap().starts_with("trained on our own\n"));
}

/// The least that is an XLSX file: what a spreadsheet program writes has more in it, and the same in the same places.
fn xlsx(sheet: &str) -> Vec<u8> {
    let relations = |kind: &str, target: &str| {
        format!(
            "<?xml version=\"1.0\"?><Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
             <Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}\" \
             Target=\"{target}\"/></Relationships>"
        )
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    stored_zip(&[
        ("_rels/.rels", relations("officeDocument", "xl/workbook.xml")),
        ("xl/_rels/workbook.xml.rels", relations("worksheet", "worksheets/sheet1.xml")),
        (
            "xl/workbook.xml",
            format!(
                "<?xml version=\"1.0\"?><workbook xmlns=\"{main}\" \
                 xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\">\
                 <sheets><sheet name=\"Reports\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!("<?xml version=\"1.0\"?><worksheet xmlns=\"{main}\"><sheetData>{sheet}</sheetData></worksheet>"),
        ),
    ])
}

/// A ZIP archive without compression.
fn stored_zip(files: &[(&str, String)]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let mut common = [20u16.to_le_bytes(), [0; 2], [0; 2], [0; 2], 33u16.to_le_bytes()].concat();
        common.extend(crc.sum().to_le_bytes());
        common.extend((text.len() as u32).to_le_bytes());
        common.extend((text.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        let offset = zip.len() as u32;
        zip.extend([b"PK\x03\x04", &common[..], name.as_bytes(), text.as_bytes()].concat());
        directory.extend(
            [&b"PK\x01\x02\x14\x00"[..], &common[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()].concat(),
        );
    }
    let (count, size, at) = (files.len() as u16, directory.len() as u32, zip.len() as u32);
    zip.extend(&directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    zip.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    zip.extend([0; 2]);
    zip
}

#[test]
fn a_spreadsheet_is_read_sheet_row_and_cell() {
    let cell = |place: &str, text: &str| format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let sheet = [
        "<row r=\"1\">".to_owned()
            + &cell("A1", "Image")
            + &cell("C1", "Findings")
            + &cell("D1", "Impression")
            + &cell("E1", "PID")
            + "</row>",
        "<row r=\"2\">".to_owned()
            + &cell("A2", "a.png")
            + &cell("C2", "One &amp; two.")
            + "<c r=\"E2\"><v>17</v></c></row>",
        "<row r=\"4\">".to_owned() + &cell("A4", "b") + &cell("D4", "Three.") + "</row>",
        "<row r=\"5\">".to_owned() + &cell("A5", "b") + &cell("F5", "beyond") + "</row>",
    ]
    .concat();
    let scene = Scene::new();
    scene.write("t.xlsx", &xlsx(&sheet));
    let options = Options { patient: Some("pid".into()), ..options() };
    let report = scene.run("t.xlsx", &options).unwrap();
    assert_eq!(scene.ids_and_texts(), pairs(&[("a.png", "One & two."), ("b.jpg", "Three.")]));
    assert_eq!((&scene.rows()[0]["patient"][..], left_out(&report)), ("17", BTreeMap::from([(Reason::Cells, 1)])));
    let named = Options { sheet: Some("Reports".into()), ..options.clone() };
    assert_eq!(scene.run("t.xlsx", &named).unwrap().rows, 2);
    let other = Options { sheet: Some("Sheet9".into()), ..options.clone() };
    assert!(scene.run("t.xlsx", &other).unwrap_err().to_string().contains("found `Reports`"));

    let whole = fs::read(scene.place.path().join("t.xlsx")).unwrap();
    for bytes in [&whole[..whole.len() / 2], b"", b"prose"] {
        scene.write("t.xlsx", bytes);
        let error = scene.run("t.xlsx", &options).unwrap_err().to_string();
        assert!(error.contains("t.xlsx") && error.contains("hint: "), "{error}");
    }
    scene.write("t.xlsx", &xlsx(""));
    assert!(scene.run("t.xlsx", &options).unwrap_err().to_string().contains("is empty"));
}

#[test]
fn tables_that_cannot_be_used_are_refused_before_anything_is_written() {
    let scene = Scene::new();
    scene.write("t.csv", b"image,findings,report\na,x,y\n");
    scene.write("sheet.csv", b"PK\x03\x04 as XLSX begins");
    scene.write("twice.csv", b"image,findings,impression,IMAGE\na,x,y,a\n");
    scene.write("empty.csv", b"");
    scene.write("old.xls", b"");
    let both =
        Options { split: Some("s".into()), hold_out: HoldOut { test_percent: 1, ..HoldOut::NOBODY }, ..options() };
    let sheet = Options { sheet: Some("s".into()), ..options() };
    let folder = Options { images: Some("gone".into()), ..options() };
    for (table, options, said) in [
        ("t.csv", options(), "no column `Impression`, found `image`, `findings`, `report`"),
        ("sheet.csv", options(), "it is an XLSX"),
        ("twice.csv", options(), "`Image` is there twice"),
        ("empty.csv", options(), "no column"),
        ("old.xls", options(), "save it as"),
        ("gone.csv", options(), "gone.csv"),
        ("t.csv", both, "not both"),
        ("t.csv", sheet, "--sheet"),
        ("t.csv", folder, "--images"),
    ] {
        let error = scene.run(table, &options).unwrap_err().to_string();
        assert!(error.contains(said), "{table}: {error}");
        assert!(!scene.place.path().join("out").exists(), "{table}");
    }
}
