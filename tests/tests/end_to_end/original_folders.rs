//! The folders that users of the original know: no command needs an argument.

use std::fs;

use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::scenes;
use crate::trained::copy;
use crate::workplace::{Workplace, tiny_settings};

#[test]
fn bare_commands_walk_the_whole_way() {
    let place = Workplace::new();
    scenes::write(&place.path("dataset"), 16);
    place.write("settings/configurations.json", tiny_settings(&[("training.EPOCHS", json!(2))]));
    copy(&place.path("dataset/images"), &place.path("generation/input_images"));

    let trained = place.train("train --stop-after-epochs 1").expect_code(0);
    let names: Vec<_> =
        fs::read_dir(place.path("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let [name] = &names[..] else { panic!("one checkpoint expected: {names:?}") };
    let name = name.to_string_lossy();
    assert!(name.starts_with("XREPORT-"), "{name}");
    assert!(trained.stderr.contains(&format!("xreport-train resume checkpoints/{name}")), "{trained}");

    let resumed = place.train("resume").expect_code(0);
    assert!(resumed.stderr.contains(&*name), "{resumed}");
    let last = Checkpoint::read(&place.path("checkpoints").join(&*name).join("last.safetensors"));
    assert_eq!(last.number("epoch"), 2, "the settings file of the folder counts");

    place.train("evaluate").expect_code(0);
    assert_eq!(place.files("results"), ["index.html", "reports.csv", "results.json"]);
    assert_eq!(place.json("results/results.json")["model"], *name);

    let drafted = place.xreport("generate").expect_code(0);
    assert!(drafted.stderr.contains(&*name), "{drafted}");
    assert_eq!(place.files("generation/reports").len(), 16 + 2, "reports, their index, the ledger");
    assert_eq!(place.csv("generation/reports/index.csv").len(), 16);
}

#[test]
fn the_newest_checkpoint_is_taken() {
    let place = Workplace::new();
    scenes::write(&place.path("dataset"), 4);
    place.write("settings/configurations.json", tiny_settings(&[]));
    place.train("train --out checkpoints/zebra").expect_code(0);
    // Younger, and before the other by name.
    place.train("train --out checkpoints/ant").expect_code(0);
    let exported = place.train("export --out bundle").expect_code(0);
    assert!(exported.stdout.contains("bundle `ant`"), "{exported}");
    let drafted = place.xreport("generate dataset/images --out drafts.csv").expect_code(0);
    assert!(drafted.stderr.contains("ant"), "{drafted}");
}

#[test]
fn without_data_or_model_the_bare_commands_say_what_is_missing() {
    let place = Workplace::new();
    let train = place.train("train").expect_code(2);
    assert!(train.stderr.contains("`dataset`") && train.stderr.contains("hint: "), "{train}");
    let resume = place.train("resume").expect_code(2);
    assert!(resume.stderr.contains("no checkpoint in `checkpoints/`"), "{resume}");
    let evaluate = place.train("evaluate").expect_code(2);
    assert!(evaluate.stderr.contains("no checkpoint in `checkpoints/`"), "{evaluate}");
    let generate = place.xreport("generate").expect_code(2);
    assert!(generate.stderr.contains("generation/input_images"), "{generate}");
    assert!(place.files("").is_empty(), "nothing is left behind: {:?}", place.files(""));
}
