//! `dataset validate`: what is hidden in a data set is found and said, and what is in order stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use image::imageops::FilterType;
use image::{GrayImage, Luma};
use serde_json::Value;
use xreport_tests::shared;

use crate::workplace::Workplace;

/// An image for itself: a bright field with spots of its own.
fn picture(number: u32) -> GrayImage {
    GrayImage::from_fn(96, 80, |x, y| {
        let mut grey = 150.0 - 70.0 * (-((x as f32 - 30.0) / 14.0).powi(2) - ((y as f32 - 40.0) / 26.0).powi(2)).exp();
        grey -= 70.0 * (-((x as f32 - 68.0) / 14.0).powi(2) - ((y as f32 - 40.0) / 26.0).powi(2)).exp();
        for spot in 0..8 {
            let random = |salt: u32| {
                (number * 8 + spot + 1).wrapping_mul(2_654_435_761).rotate_left(salt * 5).wrapping_mul(40_503) >> 8
                    & 1023
            };
            let (a, b) = ((random(1) % 96) as f32, (random(2) % 80) as f32);
            let depth = random(3) as f32 / 1023.0 * 80.0 - 40.0;
            grey += depth * (-((x as f32 - a).powi(2) + (y as f32 - b).powi(2)) / 40.0).exp();
        }
        Luma([grey.clamp(0.0, 255.0) as u8])
    })
}

/// A report for itself.
fn report(number: u32) -> String {
    format!("Study {number}. The heart is normal in size. There is a nodule of {number} mm in the right upper zone.")
}

/// Rows by finding, from `validation.csv`: the ids of each group.
fn groups(place: &Workplace, out: &str) -> BTreeMap<String, Vec<BTreeSet<String>>> {
    let mut by_group: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (at, row) in place.csv(&format!("{out}/validation.csv")).iter().enumerate() {
        let group = if row["group"].is_empty() { format!("row {at:05}") } else { row["group"].to_owned() };
        by_group.entry((row["finding"].to_owned(), group)).or_default().insert(row["id"].to_owned());
    }
    let mut found: BTreeMap<String, Vec<BTreeSet<String>>> = BTreeMap::new();
    for ((finding, _), ids) in by_group {
        found.entry(finding).or_default().push(ids);
    }
    found
}

fn ids(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|&id| id.to_owned()).collect()
}

/// What a section of `validation.json` says.
fn gravity<'a>(figures: &'a Value, section: &str) -> &'a str {
    let findings = figures["findings"].as_array().expect("a list");
    let finding = findings.iter().find(|finding| finding["section"] == section);
    finding.unwrap_or_else(|| panic!("no section {section}"))["gravity"].as_str().expect("a word")
}

/// A data set in which much is wrong.
fn faulty(place: &Workplace) {
    let images = place.path("data/images");
    fs::create_dir_all(images.join("p0")).unwrap();
    let mut table = String::from("id,text,patient,split,view\n");
    for number in 0..40 {
        let id = format!("p{}/s{number:02}", number % 2);
        fs::create_dir_all(images.join("p1")).unwrap();
        picture(number).save(images.join(format!("{id}.png"))).unwrap();
        let split = if number < 32 { "train" } else { "validation" };
        let view = if number % 10 == 0 { "LATERAL" } else { "PA" };
        // Patients 0 to 15, twice each in training; patient 3 in validation as well.
        let patient = if number < 32 {
            number % 16
        } else if number == 33 {
            3
        } else {
            number
        };
        let text = match number {
            5 | 21 | 34 => "No acute cardiopulmonary abnormality.".to_owned(),
            7 => "Long. ".repeat(60),
            _ => report(number),
        };
        writeln!(table, "{id},\"{text}\",SECRET-{patient},{split},{view}").unwrap();
    }
    // The same pixels in another format; the same picture smaller and brighter; a mirror image; a blank.
    picture(4).save(images.join("copy.bmp")).unwrap();
    let small = image::imageops::resize(&picture(6), 72, 60, FilterType::Triangle);
    GrayImage::from_fn(72, 60, |x, y| Luma([40 + (f32::from(small.get_pixel(x, y).0[0]) * 0.8) as u8]))
        .save(images.join("near.png"))
        .unwrap();
    image::imageops::flip_horizontal(&picture(8)).save(images.join("mirror.png")).unwrap();
    GrayImage::from_pixel(96, 80, Luma([90])).save(images.join("blank.png")).unwrap();
    fs::write(images.join("broken.png"), "prose").unwrap();
    for (number, id) in ["copy", "near", "mirror", "blank", "broken", "gone"].iter().enumerate() {
        writeln!(table, "{id},\"{}\",SECRET-{id},train,PA", report(100 + number as u32)).unwrap();
    }
    table.push_str("empty,,SECRET-e,train,PA\n");
    fs::write(place.path("data/XREPORT_dataset.csv"), table).unwrap();
}

#[test]
fn everything_that_is_wrong_is_found_named_and_told() {
    let place = Workplace::new();
    faulty(&place);
    let run = place.train("dataset validate --data data --out out --set dataset.MAX_REPORT_SIZE=64").expect_code(1);
    assert!(run.stderr.contains("error: the data set has errors:"), "{run}");
    assert!(run.stderr.contains("1 patient has images on more than one side of the split"), "{run}");
    assert!(run.stderr.contains("hint: `out/validation.html` shows them"), "{run}");
    assert_eq!(place.files("out"), ["validation.csv", "validation.html", "validation.json"]);

    let found = groups(&place, "out");
    assert_eq!(found["patient_crosses_split"], [ids(&["p1/s03", "p1/s19", "p1/s33"])]);
    assert_eq!(found["identical_image"], [ids(&["copy", "p0/s04"])]);
    assert_eq!(found["near_identical_image"], [ids(&["near", "p0/s06"])]);
    assert_eq!(found["mirrored_image"], [ids(&["mirror", "p0/s08"])]);
    assert_eq!(found["repeated_report"], [ids(&["p0/s34", "p1/s05", "p1/s21"])]);
    assert_eq!(found["report_is_cut"], [ids(&["p1/s07"])]);
    assert_eq!(found["blank"], [ids(&["blank"])]);
    assert_eq!(found["unreadable_image"], [ids(&["broken.png"])]);
    assert_eq!(found["missing_image"], [ids(&["gone"])]);
    assert_eq!(found["row_cannot_be_used"].len(), 1);
    assert_eq!(found["patients_share_pictures"].len(), 2);

    let figures = place.json("out/validation.json");
    assert_eq!((&figures["counts"]["rows"], &figures["counts"]["usable"]), (&47.into(), &44.into()));
    for (section, expected) in
        [("rows", "error"), ("patients", "error"), ("images", "warning"), ("outliers", "warning"), ("views", "note")]
    {
        assert_eq!(gravity(&figures, section), expected, "{section}");
    }
    // No patient's name anywhere, and a page that needs nothing but itself.
    let page = place.read("out/validation.html");
    for file in [&page, &place.read("out/validation.json"), &place.read("out/validation.csv"), &run.stderr, &run.stdout]
    {
        assert!(!file.contains("SECRET"));
    }
    assert!(page.contains("default-src 'none'") && !page.contains("<script"));
    assert!(page.matches("data:image/jpeg;base64,").count() >= 18);
    assert!(!page.contains("NaN"));
}

/// A data set in which all is well: two images a patient, a report for each.
fn orderly(place: &Workplace, rows: u32) {
    let images = place.path("data/images");
    fs::create_dir_all(&images).unwrap();
    let mut table = String::from("id,text,patient\n");
    for number in 0..rows {
        picture(number).save(images.join(format!("s{number:02}.png"))).unwrap();
        writeln!(table, "s{number:02},\"{}\",p{}", report(number), number / 2).unwrap();
    }
    fs::write(place.path("data/XREPORT_dataset.csv"), table).unwrap();
}

#[test]
fn a_data_set_in_order_is_said_to_be_in_order() {
    let place = Workplace::new();
    orderly(&place, 80);
    let run = place.train("dataset validate --data data").expect_code(0);
    assert!(run.stdout.contains("in order All 80 rows have a report and a readable image."), "{run}");
    let figures = place.json("results/validation.json");
    for section in ["rows", "patients", "images", "length", "grey"] {
        assert_eq!(gravity(&figures, section), "fine", "{section}: {run}");
    }
    // Again, into the same folder: the same figures but for the time, whatever the number of threads.
    let again = place.train("dataset validate --data data --json --set training.NUM_PROCESSORS=1").expect_code(0);
    let mut again: Value = serde_json::from_str(&again.stdout).unwrap();
    let mut first = figures;
    for figures in [&mut first, &mut again] {
        for measured in ["seconds", "threads", "date"] {
            figures[measured] = Value::Null;
        }
    }
    assert_eq!(first, again);
    assert!(place.leftovers("results").is_empty());
}

#[test]
fn what_cannot_be_validated_at_all_is_a_usage_error() {
    let place = Workplace::new();
    let missing = place.train("dataset validate --data nowhere").expect_code(2);
    assert!(missing.stderr.contains("nowhere") && missing.stderr.contains("hint:"), "{missing}");
    place.write("data/reports.csv", "id,text\na,Clear.\n");
    fs::create_dir_all(place.path("data/images")).unwrap();
    let empty = place.train("dataset validate --data data").expect_code(2);
    assert!(empty.stderr.contains("no usable study"), "{empty}");
    assert!(!place.has("results"), "nothing is left behind");
    // One row, one image: nothing to compare, no division by nothing.
    picture(1).save(place.path("data/images/a.png")).unwrap();
    place.train("dataset validate --data data").expect_code(0);
    assert!(!place.read("results/validation.html").contains("NaN"));
    // All images unreadable: said, not a crash.
    fs::write(place.path("data/images/a.png"), "prose").unwrap();
    let unreadable = place.train("dataset validate --data data").expect_code(1);
    assert!(unreadable.stderr.contains("cannot be used"), "{unreadable}");
    place.write("taken", "a file");
    let taken = place.train("dataset validate --data data --out taken").expect_code(2);
    assert!(taken.stderr.contains("taken"), "{taken}");
}

#[test]
fn ten_thousand_words_of_a_hostile_text_do_no_harm() {
    let place = Workplace::new();
    fs::create_dir_all(place.path("data/images")).unwrap();
    picture(2).save(place.path("data/images/a.png")).unwrap();
    picture(3).save(place.path("data/images/b.png")).unwrap();
    let hostile = format!("<script>alert(1)</script> {} </section>", "no possible effusion . ".repeat(10_000));
    place.write(
        "data/reports.csv",
        format!("id,text,view\na,{hostile},<b>PA</b>\nb,\u{1f4a9} heart{},\n", "\u{301}".repeat(5_000)),
    );
    place.train("dataset validate --data data").expect_code(0);
    let page = place.read("results/validation.html");
    assert!(!page.contains("<script") && !page.contains("<b>PA</b>"));
    assert!(page.len() < 500_000, "{}", page.len());
}

/// The children's radiographs of Kermany et al. as a data set: persons by folder, class and number.
fn pneumonia(place: &Workplace, corpus: &Path) {
    let mut table = String::from("id,text,patient,text_source\n");
    for class in ["NORMAL", "PNEUMONIA"] {
        let names =
            fs::read_dir(corpus.join(class)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| name.ends_with("jpeg")) {
            let person =
                name.split(['_', '-']).take(if class == "NORMAL" { 3 } else { 1 }).collect::<Vec<_>>().join("-");
            let text = if class == "NORMAL" { "No evidence of pneumonia." } else { "Evidence of pneumonia." };
            writeln!(table, "{class}/{name},{text},{class}-{person},label").unwrap();
        }
    }
    place.write("data/XREPORT_dataset.csv", table);
    std::os::unix::fs::symlink(corpus, place.path("data/images")).unwrap();
}

#[test]
#[cfg(unix)]
fn the_24_groups_of_identical_radiographs_are_found() {
    let Some(corpus) = shared("data/pneumonia/chest_xray/train") else { return };
    let place = Workplace::new();
    pneumonia(&place, &corpus.canonicalize().unwrap());
    let run = place.train("dataset validate --data data --out out").expect_code(0);
    let figures = place.json("out/validation.json");
    assert_eq!(figures["repeated_images"]["identical"].as_array().unwrap().len(), 24, "{run}");
    assert!(place.read("out/validation.html").contains("Texts made from labels."));
}

#[test]
#[cfg(unix)]
fn repeated_notes_and_shared_patients_of_the_chest_pairs_are_revealed() {
    let Some(pairs) = shared("data/chest-pairs") else { return };
    let place = Workplace::new();
    let patient: BTreeMap<String, [String; 2]> = csv::Reader::from_path(pairs.join("meta.csv"))
        .unwrap()
        .deserialize::<BTreeMap<String, String>>()
        .map(|row| {
            let mut row = row.unwrap();
            (row["id"].clone(), [row.remove("patient").unwrap(), row.remove("view").unwrap()])
        })
        .collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "text", "patient", "split", "view"]).unwrap();
    // Split by image, without a look at the patients.
    for (at, row) in csv::Reader::from_path(pairs.join("reports.csv")).unwrap().into_records().enumerate() {
        let row = row.unwrap();
        let [name, view] = &patient[&row[0]];
        table.write_record([&row[0], &row[1], name, if at % 5 == 4 { "validation" } else { "train" }, view]).unwrap();
    }
    place.write("data/reports.csv", table.into_inner().unwrap());
    std::os::unix::fs::symlink(pairs.join("images").canonicalize().unwrap(), place.path("data/images")).unwrap();
    let run = place.train("dataset validate --data data --out out").expect_code(1);
    let figures = place.json("out/validation.json");
    let repeats = &figures["texts"]["repeats"];
    assert_eq!((&repeats["distinct"], &repeats["repeated_reports"]), (&330.into(), &145.into()), "{run}");
    assert_eq!(repeats["across_patients"], 5);
    assert!(!figures["patients"]["crossing"].as_array().unwrap().is_empty());
    assert!(!figures["patients"]["sharing"].as_array().unwrap().is_empty());
}
