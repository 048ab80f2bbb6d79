//! Settings that cannot be used: all problems at once, each with file, line and what to do.

use crate::workplace::Workplace;

#[test]
fn all_problems_are_told_together_with_file_line_and_fix() {
    let place = Workplace::with_data(4, &[]);
    place.write(
        "bad.json",
        r#"{
  "dataset": {
    "MAX_REPORT_SIZE": 4,
    "IMG_AUGMENT": "yes",
    "IMG_FIT": "crop"
  },
  "model": {
    "EMBEDING_DIMS": 128,
    "IMG_SHAPE": [224, 224]
  },
  "training": {
    "EPOCHS": 2.5,
    "XLA_STATE": "true",
    "MIXED_PRECISION": "bf16"
  },
  "evaluations": {}
}
"#,
    );
    let run = place.train("train --data data --settings bad.json --set training.BATCH_SIZE=0 --out run").expect_code(2);
    let said = &run.stderr;
    for (place, expected, fix) in [
        ("bad.json:3: `dataset.MAX_REPORT_SIZE`", "expected: a whole number from 8 to 1024", "found: 4"),
        ("bad.json:4: `dataset.IMG_AUGMENT`", "expected: true or false", "hint: "),
        ("bad.json:5: `dataset.IMG_FIT`", "\"letterbox\" or \"stretch\"", "found: \"crop\""),
        ("bad.json:8: `model.EMBEDING_DIMS`", "expected: ", "hint: did you mean `EMBEDDING_DIMS`?"),
        ("bad.json:9: `model.IMG_SHAPE`", "expected: [height, width, channels]", "found: [224"),
        ("bad.json:12: `training.EPOCHS`", "expected: a whole number from 1", "found: 2.5"),
        ("bad.json:13: `training.XLA_STATE`", "found: \"true\"", "hint: "),
        ("bad.json:14: `training.MIXED_PRECISION`", "expected: true or false", "found: \"bf16\""),
        ("bad.json:16: `evaluations`", "expected: ", "hint: did you mean `evaluation`?"),
        ("--set: `training.BATCH_SIZE`", "expected: a whole number from 1 to 4096", "found: 0"),
    ] {
        let at = said.find(place).unwrap_or_else(|| panic!("`{place}` expected\n{run}"));
        // A problem goes on in indented lines.
        let problem: Vec<&str> = said[at..]
            .lines()
            .enumerate()
            .take_while(|(n, line)| *n == 0 || line.starts_with("  "))
            .map(|p| p.1)
            .collect();
        let problem = problem.join("\n");
        assert!(problem.contains(expected) && problem.contains(fix), "`{expected}`, `{fix}` expected in\n{problem}");
        assert!(problem.contains("hint: "), "{problem}");
    }
    assert!(said.contains("10 problems in the settings"), "{run}");
    assert!(!place.has("run"));
}

#[test]
fn every_command_that_takes_settings_refuses_the_same() {
    let place = Workplace::with_data(4, &[]);
    for line in ["train --data data --out run", "init --out run", "evaluate --model nowhere --data data", "bench"] {
        let run = place.train(&format!("{line} --settings settings.json --set training.EPOCHS=many")).expect_code(2);
        assert!(run.stderr.contains("--set: `training.EPOCHS`"), "{run}");
        let run = place.train(&format!("{line} --settings absent.json")).expect_code(2);
        assert!(
            run.stderr.contains("cannot read the settings `absent.json`") && run.stderr.contains("hint: "),
            "{run}"
        );
        assert!(!place.has("run"));
    }
}

#[test]
fn a_file_that_is_no_json_is_told_by_line() {
    let place = Workplace::with_data(4, &[]);
    for (text, said) in [
        (&b"{\n  \"training\": {\n    \"EPOCHS\": 3,\n  }\n}"[..], "bad.json:4:"),
        (b"", "bad.json:1:"),
        (b"{\n\"training\": {\xff}}", "bad.json:2: the settings are not UTF-8"),
    ] {
        place.write("bad.json", text);
        let run = place.train("train --data data --settings bad.json --out run").expect_code(2);
        assert!(run.stderr.contains(said) && run.stderr.contains("hint: "), "`{said}` expected\n{run}");
    }
}

/// `--set` overrides the file, and the last one counts.
#[test]
fn set_overrides_the_file() {
    let place = Workplace::with_data(8, &[]);
    place
        .train("train --data data --settings settings.json --set training.EPOCHS=3 --set training.EPOCHS=2 --out run")
        .expect_code(0);
    assert_eq!(place.json("run/settings.json")["training"]["EPOCHS"], 2);
    assert_eq!(crate::checkpoint::Checkpoint::read(&place.path("run/last.safetensors")).number("epoch"), 2);
}
