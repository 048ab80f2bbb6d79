//! The bundles that come with the project.

use std::fs;
use std::path::PathBuf;

use crate::scenes;
use crate::workplace::Workplace;

const BUNDLES: [&str; 2] = ["models/demo", "models/radiographs"];
/// Bytes of each at most: they lie in the source tree.
const LARGEST: u64 = 6_000_000;

fn folder(bundle: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(bundle)
}

#[test]
fn they_are_whole_small_and_say_what_they_were_trained_on() {
    let place = Workplace::new();
    for (bundle, trained_on) in BUNDLES.into_iter().zip(["drawings", "texts made from labels"]) {
        let folder = folder(bundle);
        let size: u64 = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= LARGEST, "{bundle}: {size} bytes");
        place.xreport(&format!("verify {}", folder.display())).expect_code(0);
        let card = fs::read_to_string(folder.join("MODEL_CARD.md")).unwrap();
        assert!(card.contains("not for diagnostic use") && card.contains(trained_on), "{bundle}");
    }
    let card = fs::read_to_string(folder(BUNDLES[1]).join("MODEL_CARD.md")).unwrap();
    for said in [
        "CC BY 4.0",
        "NIH Clinical Center",
        "| source children |",
        "| view AP |",
        "Does a shortcut explain it?",
        "Borders covered",
        "swapped",
    ] {
        assert!(card.contains(said), "the card of {} does not say {said}", BUNDLES[1]);
    }
}

#[test]
fn the_one_that_has_seen_radiographs_is_taken_when_none_is_named() {
    let place = Workplace::new();
    fs::create_dir(place.path("in")).unwrap();
    scenes::image(0).save(place.path("in/a.png")).unwrap();
    let run = place.xreport("generate in --gate off --out drafts.csv").expect_code(0);
    assert!(run.stderr.contains("models/radiographs` (name another with --model)"), "{run}");
    let row = &place.csv("drafts.csv")[0];
    assert!(row["text"].starts_with("Frontal chest radiograph"), "{}", &row["text"]);
    assert!(row["notice"].contains("texts made from labels"), "{}", &row["notice"]);
}
