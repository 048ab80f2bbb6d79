//! Settings as a user meets them: whole files, their messages, and the documentation.

use std::path::PathBuf;

use xreport_models::image::Fit;

use super::keys::{KEYS, Kind, SECTIONS};
use super::*;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../settings"))
}

fn shipped(name: &str) -> Settings {
    Settings::load(&folder().join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> Vec<Problem> {
    match Settings::from_str(text, "my.json") {
        Err(SettingsError::Invalid(problems)) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

/// The one problem of a file that holds `"name": value` in `section`.
fn refused_value(section: &str, entry: &str) -> Problem {
    let mut problems = refused(&format!("{{\"{section}\": {{{entry}}}}}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn the_table_names_exactly_the_keys_of_the_structs() {
    let values = Settings::default().to_value();
    let in_structs: Vec<_> = values
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(section, keys)| {
            let names = keys.as_object().unwrap().keys();
            names.map(move |name| format!("{section}.{name}"))
        })
        .collect();
    let in_table: Vec<_> = KEYS.iter().map(keys::Key::path).collect();
    assert_eq!(in_structs, in_table);
    for key in KEYS {
        let default = &values[key.section][key.name];
        assert!(key.kind.accepts(default), "{}: {default}", key.path());
    }
}

#[test]
fn configurations_json_is_the_defaults_to_the_letter() {
    let path = folder().join("configurations.json");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text, Settings::default().to_json());
}

#[test]
fn presets_load() {
    let demo = shipped("demo.json");
    assert_eq!(demo.model.token_grid(), [8, 8]);
    assert_eq!(demo.model.head_dims(), 32);
    let original = shipped("original.json");
    assert_eq!(original.model.token_grid(), [6, 6]);
    assert_eq!(original.model.head_dims(), 256);
    // Every preset that is ever added loads; the pinned libraries beside them are no settings.
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if is_json && !path.ends_with("native-libraries.json") {
            let loaded = Settings::load(&path);
            assert!(loaded.is_ok(), "{}: {}", path.display(), loaded.unwrap_err());
        }
    }
}

#[test]
fn the_readme_states_every_key_with_its_range_and_default() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let values = Settings::default().to_value();
    let mut documented = Vec::new();
    let mut section = "";
    for line in readme.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let Some(name) = cells
            .get(1)
            .filter(|_| SECTIONS.contains(&section))
            .and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'))
        else {
            continue;
        };
        let key = keys::Key::find(section, name).unwrap_or_else(|| panic!("README: `{section}.{name}` is no key"));
        assert_eq!(cells.len(), 8, "README: {}: six columns", key.path());
        assert_eq!(cells[3], key.kind.expected(), "README: range of {}", key.path());
        let default = cells[4].trim_matches('`').replace(", ", ",");
        let right = values[section][name].to_string();
        assert_eq!(default, right, "README: default of {}", key.path());
        assert!(!cells[5].is_empty() && !cells[6].is_empty(), "{}", key.path());
        documented.push(key.path());
    }
    let all: Vec<_> = KEYS.iter().map(keys::Key::path).collect();
    assert_eq!(documented, all);
}

#[test]
fn preprocessing_keeps_height_and_width_apart() {
    let text = r#"{"model": {"IMG_SHAPE": [96, 128, 3]}, "dataset": {"IMG_FIT": "stretch"}}"#;
    let preprocessing = Settings::from_str(text, "x").unwrap().preprocessing();
    assert_eq!((preprocessing.height, preprocessing.width), (96, 128));
    assert_eq!(preprocessing.channels, 3);
    assert_eq!(preprocessing.fit, Fit::Stretch);
    // The largest and smallest sides that the table allows are allowed there too.
    for shape in ["[16, 4096, 1]", "[4096, 16, 3]"] {
        let text = format!("{{\"model\": {{\"IMG_SHAPE\": {shape}}}}}");
        let preprocessing = Settings::from_str(&text, "x").unwrap().preprocessing();
        assert!(preprocessing.check().is_ok());
    }
}

#[test]
fn an_empty_file_of_settings_is_the_defaults() {
    for text in ["{}", "{\"training\": {}}", "\u{feff}{ }\r\n"] {
        assert_eq!(Settings::from_str(text, "x").unwrap(), Settings::default());
    }
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let mut settings = shipped("original.json");
    settings.dataset.sample_size = SampleSize::Count(500);
    settings.training.ml_device = DeviceRequest::Cuda(2);
    settings.training.learning_rate = 1.0 / 3.0;
    settings.dataset.vocabulary = VocabularyChoice::Full;
    let read = Settings::from_str(&settings.to_json(), "x").unwrap();
    assert_eq!(read, settings);
    assert_eq!(read.differences(&settings), Vec::<String>::new());
}

#[test]
fn every_problem_is_reported_with_its_line() {
    let text = r#"{
  "dataset": {
    "SAMPLE_SIZE": 0,
    "IMG_AUGMENT": "True"
  },
  "model": {
    "NUM_HEADS": 7,
    "FROBNICATE": 1
  },
  "training": {
    "EPOCSH": 3,
    "BATCH_SIZE": 16.0,
    "SPLIT_SEED": 1,
    "XLA_STATE": 1
  },
  "trainin": {}
}"#;
    let problems = refused(text);
    let summary: Vec<_> = problems.iter().map(|problem| (problem.origin.to_string(), problem.key.as_str())).collect();
    let line = |n: usize| format!("my.json:{n}");
    assert_eq!(
        summary,
        [
            (line(3), "dataset.SAMPLE_SIZE"),
            (line(4), "dataset.IMG_AUGMENT"),
            (line(7), "model.NUM_HEADS"),
            (line(8), "model.FROBNICATE"),
            (line(11), "training.EPOCSH"),
            (line(12), "training.BATCH_SIZE"),
            (line(13), "training.SPLIT_SEED"),
            (line(14), "training.XLA_STATE"),
            (line(16), "trainin"),
        ]
    );
    let hints: Vec<_> = problems.iter().map(|problem| &problem.hint[..]).collect();
    assert_eq!(hints[0], "the default is 1.0");
    assert_eq!(hints[1], "write true without quotes");
    assert!(hints[2].contains("multiple of 56"), "{}", hints[2]);
    assert!(hints[3].contains("`CONV_CHANNELS`"), "{}", hints[3]);
    assert_eq!(hints[4], "did you mean `EPOCHS`?");
    assert_eq!(hints[5], "write 16");
    assert_eq!(hints[6], "`SPLIT_SEED` belongs in the section `dataset`");
    assert_eq!(hints[7], "write true");
    assert_eq!(hints[8], "did you mean `training`?");
}

#[test]
fn a_message_says_where_expected_found_and_hint() {
    let error = Settings::from_str("{\n\"training\": {\n\"EPOCHS\": \"3\"}}", "my.json");
    assert_eq!(
        error.unwrap_err().to_string(),
        "1 problem in the settings\n\
         my.json:3: `training.EPOCHS`\n  \
         expected: a whole number from 1 to 1000000\n  \
         found: \"3\"\n  \
         hint: write 3 without quotes"
    );
}

#[test]
fn every_key_refuses_what_it_cannot_use() {
    for key in KEYS {
        let wrong = match key.kind {
            Kind::Switch => vec!["1", "\"yes\"", "null", "[]"],
            Kind::Whole { .. } => vec!["-1", "1.5", "\"a\"", "null", "1e30", "true", "[1]"],
            Kind::Real { .. } | Kind::PositiveReal { .. } => {
                vec!["-0.1", "1e6", "\"a\"", "null", "false"]
            }
            Kind::SampleSize => vec!["0", "-2", "1.5", "2.5", "\"half\"", "null"],
            Kind::Choice(_) => vec!["\"\"", "\"other\"", "1", "null"],
            Kind::ImageShape => vec!["224", "[]", "[224,224]", "[224,224,4]", "[-1,224,1]"],
            Kind::Channels => vec!["8", "[]", "[0]", "[8,\"8\"]", "[1,1,1,1,1,1,1,1,1]"],
            Kind::Device => vec!["\"tpu\"", "0", "null", "\"cuda:x\""],
        };
        for value in wrong {
            let problem = refused_value(key.section, &format!("\"{}\": {value}", key.name));
            assert_eq!(problem.key, key.path());
            assert_eq!(problem.expected, key.kind.expected());
        }
    }
}

#[test]
fn hints_fit_the_mistake() {
    let hint = |section: &str, entry: &str| refused_value(section, entry).hint;
    assert_eq!(hint("dataset", r#""IMG_FIT": "Leterbox""#), "did you mean \"letterbox\"?");
    assert_eq!(hint("dataset", r#""IMG_AUGMENT": 1"#), "write true");
    assert_eq!(hint("dataset", r#""IMG_AUGMENT": 0"#), "write false");
    assert_eq!(hint("training", r#""epochs": 3"#), "did you mean `EPOCHS`?");
    assert_eq!(hint("evaluation", r#""NUM_DECODER": 3"#), "did you mean `NUM_DECODERS` in the section `model`?");
    assert_eq!(hint("training", r#""SEED": -3"#), "the default is 7");
    let flat = refused(r#"{"BATCH_SIZE": 4}"#).remove(0);
    assert_eq!(flat.hint, "a key needs its section: `training.BATCH_SIZE`, `evaluation.BATCH_SIZE`");
}

#[test]
fn a_captured_step_on_the_cpu_is_refused_at_its_line() {
    let problem = refused("{\"training\": {\"ML_DEVICE\": \"cpu\",\n\"XLA_STATE\": true}}").remove(0);
    assert_eq!((problem.origin.to_string().as_str(), problem.key.as_str()), ("my.json:2", "training.XLA_STATE"));
    assert!(Settings::from_str("{\"training\": {\"XLA_STATE\": true}}", "x").is_ok(), "auto may find a GPU");
}

#[test]
fn repeated_keys_and_sections_are_refused() {
    let repeated = refused("{\"training\": {\"SEED\": 1,\n\"SEED\": 1}}").remove(0);
    assert_eq!(repeated.origin.to_string(), "my.json:2");
    assert_eq!(repeated.found, "it stands on line 1 already");
    let sections = refused("{\"training\": {\"SEED\": 1},\n\n\"training\": {\"EPOCHS\": 1}}");
    assert_eq!(sections[0].key, "training");
    assert_eq!(sections[0].origin.to_string(), "my.json:3");
}

#[test]
fn a_section_and_the_file_are_objects() {
    assert_eq!(refused("[1, 2]")[0].key, "(the whole file)");
    assert_eq!(refused("null")[0].found, "null");
    let section = refused("{\"training\":\n3}").remove(0);
    assert_eq!((section.key.as_str(), section.found.as_str()), ("training", "3"));
}

#[test]
fn broken_json_is_told_with_its_place_and_a_fitting_hint() {
    let cases = [
        ("{\n  \"training\": {\"EPOCHS\": 3,}\n}", 2, "comma"),
        ("{\n\n// seed\n}", 3, "no comments"),
        ("{'training': {}}", 1, "double quotes"),
        ("{\"training\": {\"EPOCHS\": 3 \"SEED\": 1}}", 1, "a comma between"),
        ("{\"training\": {\"USE_TENSORBOARD\": True}}", 1, "true, false"),
        ("{\"training\": {", 1, "not closed"),
        ("", 1, "not closed"),
        ("{} {}", 1, "compare"),
        ("{\"training\": {\"LEARNING_RATE\": 1e999}}", 1, "compare"),
    ];
    for (text, expected_line, expected_hint) in cases {
        match Settings::from_str(text, "my.json") {
            Err(SettingsError::Syntax { line, hint, name, .. }) => {
                assert_eq!((line, name.as_str()), (expected_line, "my.json"), "{text}");
                assert!(hint.contains(expected_hint), "{text}: {hint}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    // Deeper than any settings file, and than the parser's stack would bear.
    let deep = "[".repeat(100_000);
    assert!(matches!(Settings::from_str(&deep, "x"), Err(SettingsError::Syntax { .. })));
}

#[test]
fn files_that_are_no_settings_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Settings::load(&dir.path().join("none.json")).unwrap_err();
    assert!(missing.to_string().contains("none.json"));
    assert!(missing.to_string().contains("hint: check the path"));
    assert!(matches!(Settings::load(dir.path()), Err(SettingsError::Read { .. })));
    let binary = dir.path().join("binary.json");
    std::fs::write(&binary, b"{\n\n\xff}").unwrap();
    assert!(matches!(Settings::load(&binary), Err(SettingsError::NotText { line: 3, .. })));
    let huge = dir.path().join("huge.json");
    std::fs::write(&huge, vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(matches!(Settings::load(&huge), Err(SettingsError::TooLarge { .. })));
}

#[test]
fn overrides_change_one_key_with_the_same_checks() {
    let mut settings = Settings::default();
    for assignment in [
        "training.EPOCHS=3",
        "training.ML_DEVICE=cuda:1",
        "dataset.IMG_FIT=stretch",
        "model.IMG_SHAPE=[128, 96, 3]",
        "dataset.SAMPLE_SIZE=500",
        " training.SEED = 9 ",
    ] {
        settings.apply_override(assignment).unwrap();
    }
    assert_eq!(settings.training.epochs, 3);
    assert_eq!(settings.training.ml_device, DeviceRequest::Cuda(1));
    assert_eq!(settings.dataset.img_fit, Fit::Stretch);
    assert_eq!(settings.model.img_shape, [128, 96, 3]);
    assert_eq!(settings.dataset.sample_size, SampleSize::Count(500));
    assert_eq!(settings.training.seed, 9);

    let before = settings.clone();
    for (assignment, hint) in [
        ("training.EPOCHS", "--set training.EPOCHS=3"),
        ("EPOCHS=3", "`training.EPOCHS`"),
        ("trainin.EPOCHS=3", "`training`"),
        ("training.EPOHCS=3", "`EPOCHS`"),
        ("training.EPOCHS=", "the default is 10"),
        ("training.EPOCHS=0", "the default is 10"),
        ("training=3", "`training`"),
        ("model.HEAD_DIMS=12", "write 16"),
        ("", "--set training.EPOCHS=3"),
    ] {
        let error = settings.apply_override(assignment).unwrap_err().to_string();
        assert!(error.contains("--set: `"), "{assignment}: {error}");
        let last = error.lines().last().unwrap();
        assert!(last.contains("hint: ") && last.contains(hint), "{error}");
        assert_eq!(settings, before, "{assignment} must leave no trace");
    }
}

#[test]
fn overrides_are_judged_together_and_complete_a_file() {
    let mut settings = Settings::default();
    assert!(settings.apply_override("model.EMBEDDING_DIMS=96").is_err());
    settings.apply_overrides(&["model.EMBEDDING_DIMS=96", "model.NUM_HEADS=4"]).unwrap();
    assert_eq!(settings.model.head_dims(), 24);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.json");
    std::fs::write(&path, "{\"model\": {\"EMBEDDING_DIMS\": 96}}").unwrap();
    assert!(Settings::load(&path).is_err());
    let completed = Settings::load_with(&path, &["model.NUM_HEADS=4".into()]).unwrap();
    assert_eq!(completed, settings);
}

#[test]
fn conflicts_do_not_follow_from_values_that_were_refused() {
    // With the refused NUM_HEADS replaced by its default, 100 / 8 would be a second complaint.
    let text = r#"{"model": {"EMBEDDING_DIMS": 100, "NUM_HEADS": "five"}}"#;
    let keys: Vec<_> = refused(text).into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["model.NUM_HEADS"]);
}

#[test]
fn differences_name_the_keys() {
    let mut other = Settings::default();
    other.training.epochs = 3;
    other.dataset.sample_size = SampleSize::Count(9);
    assert_eq!(
        Settings::default().differences(&other),
        ["dataset.SAMPLE_SIZE: 1.0 here, 9 there", "training.EPOCHS: 10 here, 3 there"]
    );
}
