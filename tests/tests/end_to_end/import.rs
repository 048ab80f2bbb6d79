//! Corpora become data sets: with the real programs, and on the real corpora where they lie beside the source tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use xreport_tests::{Run, shared};

use crate::scenes;
use crate::watched::Watched;
use crate::workplace::{Row, Workplace, tiny_settings};

/// `xreport-train dataset import CORPUS SOURCE LINE`; a source may have a space in its path.
fn import(place: &Workplace, corpus: &str, source: &Path, line: &str) -> Run {
    Run::of(
        place.command("xreport-train", &format!("dataset import {corpus}")).arg(source).args(line.split_whitespace()),
    )
}

const TABLE: &str = "XREPORT_dataset.csv";

fn table(place: &Workplace, data: &str) -> Vec<Row> {
    place.csv(&format!("{data}/{TABLE}"))
}

/// Findings and impression of each study.
fn sections(rows: &[Row]) -> BTreeMap<String, [String; 2]> {
    rows.iter()
        .map(|row| (row["study"].to_owned(), [row["findings"].to_owned(), row["impression"].to_owned()]))
        .collect()
}

#[test]
fn the_open_i_archive_says_what_kaggles_tables_say() {
    let Some(corpus) = shared("data/open-i") else { return };
    let place = Workplace::new();
    let line = "--views all --without-images --out archive";
    let run = import(&place, "open-i", &corpus.join("NLMCXR_reports.tgz"), line).expect_code(0);
    assert!(run.stdout.contains("3955 reports, 3425 with findings, 3921 with impression read"), "{run}");
    let note = place.json("archive/XREPORT_import.json");
    assert_eq!(note["read"], json!({"reports": 3955, "with findings": 3425, "with impression": 3921}));
    // 3,927 have a text; 101 of those name no image.
    assert_eq!(note["left_out"], json!({"reports that name no image": 101, "without the text asked for": 28}));

    import(&place, "open-i", &corpus.join("indiana_reports.csv"), "--views all --without-images --out kaggle")
        .expect_code(0);
    let (archive, kaggle) = (sections(&table(&place, "archive")), sections(&table(&place, "kaggle")));
    assert_eq!(kaggle.len(), 3927 - 101);
    for (study, texts) in &kaggle {
        assert_eq!(Some(texts), archive.get(study), "{study}");
    }
    assert!(archive.keys().all(|study| kaggle.contains_key(study)));

    // The frontal ones, as Kaggle's table of views says; no de-identification mark is left.
    let line = "--without-images --marks remove --out frontal";
    import(&place, "open-i", &corpus.join("NLMCXR_reports.tgz"), line).expect_code(0);
    let rows = table(&place, "frontal");
    assert!(
        rows.iter().all(|row| &row["view"] == "Frontal" && !row["text"].contains("XXXX") && !row["text"].is_empty())
    );
    assert!(rows.len() > 3700, "{}", rows.len());
    assert!(rows.iter().any(|row| &row["split"] == "test"));
}

/// Imports, trains a few steps on what was imported, drafts a report: the words that were typed are all there are.
fn import_and_train(corpus: &str, source: &Path, images: usize, persons: usize, said: &str) {
    let place = Workplace::new();
    let run = import(&place, corpus, source, "").expect_code(0);
    let rows = table(&place, "dataset");
    assert_eq!(rows.len(), images, "{run}");
    assert!(rows.iter().all(|row| &row["text_source"] == "label"));
    let mut parts: BTreeMap<&str, &str> = BTreeMap::new();
    for row in &rows {
        let part = parts.entry(&row["patient"]).or_insert(&row["split"]);
        assert_eq!(*part, &row["split"], "a person on both sides");
    }
    assert_eq!(parts.len(), persons);
    let test = parts.values().filter(|part| **part == "test").count();
    assert!(test * 14 > persons && test * 7 < persons, "{test} of {persons} persons are test");

    // Once more: nothing is placed twice, nothing changes.
    let before = place.read(&format!("dataset/{TABLE}"));
    let again = import(&place, corpus, source, "").expect_code(0);
    assert!(again.stdout.contains(&format!("{images} images already there")), "{again}");
    assert_eq!(place.read(&format!("dataset/{TABLE}")), before);

    let few = [("training.MAX_STEPS", json!(4)), ("dataset.SAMPLE_SIZE", json!(100))];
    place.write("settings.json", tiny_settings(&few));
    let trained = place.train("train --settings settings.json --out run").expect_code(0);
    assert!(trained.stderr.starts_with(&format!("{images} studies\n")), "every row has its image: {trained}");
    let image = format!("dataset/images/{}", &rows[0]["id"]);
    let mut command = place.command("xreport", "generate --model run --out drafts.csv");
    Run::of(command.arg(place.path(image))).expect_code(0);
    let notice = place.csv("drafts.csv")[0]["notice"].to_owned();
    assert!(notice.starts_with("draft, not for diagnostic use; taught texts made from"), "{notice}");
    assert!(notice.contains("labels") && notice.contains(said), "{notice}");
}

#[test]
fn the_nih_radiographs_import_and_train() {
    let Some(corpus) = shared("data/nih") else { return };
    import_and_train("chestx-ray14", &corpus, 773, 523, "NIH Clinical Center; Wang et al., CVPR 2017");
}

#[test]
fn the_childrens_radiographs_import_and_train() {
    let Some(corpus) = shared("data/pneumonia") else { return };
    import_and_train("pneumonia", &corpus, 5216, PERSONS, "CC BY 4.0");
}

/// Persons that the file names of the corpus's train folder tell apart.
const PERSONS: usize = 2846;

#[test]
fn real_pairs_import_by_column() {
    let Some(corpus) = shared("data/chest-pairs") else { return };
    let place = Workplace::new();
    let line = "--place sym-link --test-percent 20 --notice trained-on-pairs";
    let run = import(&place, "pairs", &corpus.join("reports.csv"), line).expect_code(0);
    let note = place.json("dataset/XREPORT_import.json");
    assert_eq!(note["rows"], table(&place, "dataset").len(), "{run}");
    assert_eq!((&note["rows"], &note["left_out"]), (&json!(414), &json!({})), "{run}");
    assert_eq!(note["images"]["symbolic_links"], 414);
    assert_eq!(place.read("dataset/NOTICE.txt"), "trained-on-pairs\n");
}

/// A corpus of small images in the pneumonia data set's layout.
fn small_corpus(place: &Workplace, persons: usize) -> PathBuf {
    for person in 0..persons {
        let image = place.path(format!("corpus/train/NORMAL/IM-{person:04}-0001.png"));
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        scenes::image(person % 8).save(image).unwrap();
    }
    place.path("corpus")
}

#[test]
fn a_killed_import_leaves_no_table_and_goes_on() {
    let place = Workplace::new();
    small_corpus(&place, 3000);
    let line = "dataset import pneumonia corpus --out data --place copy";
    let mut running = Watched::start(&mut place.command("xreport-train", line));
    let images = place.path("data/images/train/NORMAL");
    let some = || fs::read_dir(&images).is_ok_and(|entries| entries.count() > 100);
    if running.until(some) {
        running.signal("KILL");
    }
    assert_eq!(running.end().0.code, None, "3,000 copies take longer than the first hundred");
    assert!(!place.has("data/XREPORT_dataset.csv"));
    let run = place.train(line).expect_code(0);
    let note = place.json("data/XREPORT_import.json");
    let count = |key: &str| note["images"][key].as_u64().unwrap();
    assert!(count("already_there") > 100 && count("already_there") + count("copies") == 3000, "{run}");
    assert_eq!(table(&place, "data").len(), 3000);
    assert!(place.leftovers("data").is_empty(), "{:?}", place.leftovers("data"));
    place.train("dataset import pneumonia corpus --out fresh").expect_code(0);
    assert_eq!(place.read("fresh/XREPORT_dataset.csv"), place.read("data/XREPORT_dataset.csv"));
}

#[test]
fn an_import_never_writes_into_a_folder_of_others() {
    let place = Workplace::new();
    small_corpus(&place, 2);
    scenes::write(&place.path("dataset"), 2);
    let before = place.files("");
    // `dataset` is where imports go by default, and somebody's data set lies there.
    let run = place.train("dataset import pneumonia corpus").expect_code(2);
    assert!(run.stderr.contains("`dataset` is not empty") && run.stderr.contains("hint: "), "{run}");
    let run = place.train("dataset import pneumonia nowhere --out data").expect_code(2);
    assert!(run.stderr.contains("nowhere/train/NORMAL"), "{run}");
    let run = place
        .train("dataset import pneumonia corpus --out data --test-percent 60 --validation-percent 50")
        .expect_code(2);
    assert!(run.stderr.contains("110 %"), "{run}");
    assert_eq!(place.files(""), before);
}

#[test]
fn a_mimic_tree_imports_and_its_gaps_are_told() {
    let place = Workplace::new();
    place.write(
        "mimic/mimic-cxr-2.0.0-split.csv",
        "dicom_id,study_id,subject_id,split\na-1,50000001,10000001,train\n\
        a-2,50000001,10000001,train\nb-1,50000002,10000002,validate\nc-1,50000003,10000003,test\n",
    );
    place.write("mimic/mimic-cxr-2.0.0-metadata.csv", "dicom_id,ViewPosition\na-1,PA\na-2,LL\nb-1,AP\nc-1,\n");
    let report = |text: &str| format!(" FINAL REPORT\n FINDINGS:  {text}\n \n IMPRESSION:  Normal.\n");
    place.write("mimic/files/p10/p10000001/s50000001.txt", report("Clear."));
    place.write("mimic/files/p10/p10000002/s50000002.txt", report("Opacity."));
    for (at, image) in ["p10000001/s50000001/a-1", "p10000002/s50000002/b-1"].iter().enumerate() {
        fs::create_dir_all(place.path(format!("mimic/files/p10/{image}")).parent().unwrap()).unwrap();
        scenes::image(at).save(place.path(format!("mimic/files/p10/{image}.jpg"))).unwrap();
    }
    let run = place.train("dataset import mimic-cxr mimic --out data").expect_code(0);
    assert!(
        run.stderr.contains("1 images of another view") && run.stderr.contains("1 images whose view is not stated"),
        "{run}"
    );
    assert!(!format!("{run}").contains("1000000"), "no patient in a log: {run}");
    let texts: Vec<_> =
        table(&place, "data").iter().map(|row| (row["id"].to_owned(), row["text"].to_owned())).collect();
    let expected = [("p10/s50000001/a-1.jpg", "Clear. Normal."), ("p10/s50000002/b-1.jpg", "Opacity. Normal.")];
    assert_eq!(texts, expected.map(|(id, text)| (id.to_owned(), text.to_owned())));
    place.write("settings.json", tiny_settings(&[]));
    let trained = place.train("train --data data --settings settings.json --out run").expect_code(0);
    assert!(trained.stderr.contains("1 studies to train on, 1 to validate on"), "{trained}");
}
