//! `xreport`: generate in all its forms, info, verify, doctor.

use std::collections::BTreeSet;
use std::env::consts::EXE_SUFFIX;
use std::fs;

use serde_json::Value;
use xreport_tests::{Run, binary, skipped};

use crate::scenes;
use crate::trained::{STUDIES, with_model};
use crate::workplace::{Row, Workplace};

const NOTICE: &str = "draft, not for diagnostic use";

#[test]
fn reports_say_what_the_images_show() {
    let place = with_model();
    let run = place.xreport("generate data/images --model model --out drafts.csv").expect_code(0);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains(NOTICE) && run.stderr.contains("32 reports drafted, 0 failed"), "{run}");
    let rows = place.csv("drafts.csv");
    assert_eq!(rows.len(), STUDIES);
    let id = place.json("model/bundle.json")["id"].as_str().unwrap().to_owned();
    let mut right = 0;
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(&row["id"], format!("{}.png", scenes::id(index)));
        assert_eq!((&row["status"], &row["error"], &row["finish"]), ("ok", "", "end"));
        assert_eq!((&row["bundle"], &row["variant"], &row["notice"]), (id.as_str(), "fp32-cpu", NOTICE));
        assert!(row["mean_log_probability"].parse::<f64>().unwrap() < 0.0);
        assert!(row["tokens"].parse::<usize>().unwrap() > 3);
        assert!(row["seconds"].parse::<f64>().unwrap() > 0.0);
        right += usize::from(row["text"] == *scenes::text(index));
    }
    // All but always all; the margin is for another machine's rounding in training.
    assert!(right > STUDIES * 9 / 10, "{right} of {STUDIES} texts are right");
}

/// Images in folders of folders, among other files.
fn nested() -> Workplace {
    let place = with_model();
    for (index, name) in ["a.png", "deep/er/b.png", "deep/b.png"].iter().enumerate() {
        place.write(&format!("in/{name}"), fs::read(place.path(format!("data/images/s0{index}.png"))).unwrap());
    }
    place.write("in/deep/notes.txt", "no image");
    place.write("in/.hidden.png", "no image");
    place
}

#[test]
fn text_files_mirror_the_input_and_an_index_lists_them() {
    let place = nested();
    let run = place.xreport("generate in --model model --out reports").expect_code(0);
    assert!(run.stdout.is_empty() && run.stderr.contains("1 other files passed over"), "{run}");
    assert_eq!(
        place.files("reports"),
        ["a.png.txt", "deep/b.png.txt", "deep/er/b.png.txt", "index.csv", "ledger.jsonl"]
    );
    for row in place.csv("reports/index.csv") {
        let text = place.read(&format!("reports/{}.txt", &row["id"]));
        assert_eq!(text, format!("{}\n\n[{NOTICE}]\n", &row["text"]));
        assert_eq!(&row["notice"], NOTICE);
    }
}

#[test]
fn csv_and_json_lines_hold_the_same_rows() {
    let place = nested();
    place.xreport("generate in --model model --out drafts.csv").expect_code(0);
    // The form is told by the extension, or said.
    let run = place.xreport("generate in --model model --out drafts.lines --format jsonl").expect_code(0);
    assert_eq!(run.stdout, "");
    let rows = place.csv("drafts.csv");
    let text = place.read("drafts.lines");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["a.png", "deep/b.png", "deep/er/b.png"]);
    assert_eq!(lines.len(), rows.len());
    for (row, line) in rows.iter().zip(&lines) {
        for key in ["id", "text", "status", "error", "finish", "bundle", "variant", "notice"] {
            assert_eq!(line[key], row[key], "{key}");
        }
        assert_eq!(line["tokens"].to_string(), row["tokens"]);
        assert_eq!(line["notice"], NOTICE);
    }
    let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    let header = place.read("drafts.csv").lines().next().unwrap().to_owned();
    assert_eq!(keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(","), header);
}

/// A row without what may differ in its last digits or by time.
fn said(row: &Row) -> [String; 4] {
    ["id", "text", "tokens", "finish"].map(|column| row[column].to_owned())
}

#[test]
fn batch_and_threads_do_not_change_the_texts() {
    let place = with_model();
    let draft = |out: &str, options: &str| -> Vec<Row> {
        place.xreport(&format!("generate data/images --model model --out {out}.csv {options}")).expect_code(0);
        place.csv(&format!("{out}.csv"))
    };
    let alone = draft("1", "--batch-size 1 --threads 1");
    let distinct: BTreeSet<&str> = alone.iter().map(|row| &row["text"]).collect();
    assert!(distinct.len() >= 3, "the comparison means something only where texts differ: {distinct:?}");
    for (out, options) in [("2", "--batch-size 1 --threads 2"), ("3", "--batch-size 4 --threads 1")]
        .into_iter()
        .chain([("4", "--batch-size 8 --threads 2"), ("5", "--batch-size 100 --threads 1")])
    {
        for (row, expected) in draft(out, options).iter().zip(&alone) {
            assert_eq!(said(row), said(expected), "{options}");
            let probability = |row: &Row| row["mean_log_probability"].parse::<f64>().unwrap();
            let difference = (probability(row) - probability(expected)).abs();
            assert!(difference < 1e-4, "{options}: {difference}");
        }
    }
}

#[test]
fn an_image_a_folder_and_a_list_are_inputs_and_ids_are_relative_to_them() {
    let place = nested();
    place.write("lists/some.csv", "note,path\nfirst,../in/deep/b.png\nsecond,../data/images/s05.png\n");
    place.write("lists/none.csv", "path\n");
    let ids = |inputs: &str| -> Vec<String> {
        place.xreport(&format!("generate {inputs} --model model --out drafts.csv")).expect_code(0);
        place.csv("drafts.csv").iter().map(|row| row["id"].to_owned()).collect()
    };
    assert_eq!(ids("in/deep/b.png"), ["b.png"]);
    assert_eq!(ids("in/deep"), ["b.png", "er/b.png"]);
    // What lies outside the list's folder is called from the folder that holds all of it.
    assert_eq!(ids("lists/some.csv"), ["in/deep/b.png", "data/images/s05.png"]);
    assert_eq!(ids("lists/none.csv data/images/s05.png in"), ["s05.png", "a.png", "deep/b.png", "deep/er/b.png"]);
    // An image that is named by hand needs no extension.
    fs::copy(place.path("in/a.png"), place.path("plain")).unwrap();
    assert_eq!(ids("plain"), ["plain"]);

    let clash = place.xreport("generate in/deep/b.png in/deep --model model --out other.csv").expect_code(1);
    assert!(clash.stderr.contains("2 reports drafted, 1 failed") && clash.stderr.contains("hint: "), "{clash}");
    assert_eq!(clash.stderr.matches("two inputs answer to the id `b.png`").count(), 1, "{clash}");
    // A list's `..` does not lead out of the reports' folder.
    place.xreport("generate lists/some.csv --model model --out reports/here").expect_code(0);
    assert_eq!(
        place.files("reports"),
        ["here/data/images/s05.png.txt", "here/in/deep/b.png.txt", "here/index.csv", "here/ledger.jsonl"]
    );
}

#[test]
fn the_exit_code_tells_done_partly_done_and_unusable() {
    let place = nested();
    place.xreport("generate in --model model --out a.csv").expect_code(0);
    place.write("in/broken.png", "this is no image");
    let partly = place.xreport("generate in --model model --out b.csv").expect_code(1);
    assert!(partly.stderr.contains("3 reports drafted, 1 failed"), "{partly}");
    assert_eq!(place.csv("b.csv").len(), 4);
    for line in [
        "generate missing --model model --out c.csv",
        "generate in --model missing --out c.csv",
        "generate in --model model --out c.csv --batch-size 0",
        "generate in --model model --out c.csv --max-tokens 0",
        "generate in --model model --out c.csv --device tpu",
        "generate in --model model --out c.csv --format pdf",
        "generate in --model model --out c.csv --no-such-option",
        "no-such-command",
    ] {
        let run = place.xreport(line).expect_code(2);
        assert!(run.stdout.is_empty() && run.stderr.starts_with("error: "), "{run}");
        assert!(!place.has("c.csv"), "{line}");
    }
}

#[test]
fn max_tokens_cuts_and_the_row_says_so() {
    let place = with_model();
    place.xreport("generate data/images --model model --out drafts.csv --max-tokens 2").expect_code(0);
    for row in place.csv("drafts.csv") {
        assert_eq!((&row["tokens"], &row["finish"]), ("2", "length"));
    }
}

#[test]
fn info_and_verify_tell_what_a_bundle_is() {
    let place = with_model();
    let manifest = place.json("model/bundle.json");
    let id = manifest["id"].as_str().unwrap();
    let info = place.xreport("info model").expect_code(0);
    assert!(info.stdout.contains(id) && info.stdout.contains(NOTICE), "{info}");
    assert!(info.stdout.contains("32x32, 1 channel(s)"), "{info}");
    let json = place.xreport("info model --json").expect_code(0);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap(), manifest);
    let verified = place.xreport("verify model").expect_code(0);
    for file in manifest["files"].as_object().unwrap().keys() {
        assert!(verified.stdout.contains(&format!("ok  {file} ")), "{file}: {verified}");
    }
    assert!(verified.stdout.contains("is whole"), "{verified}");
    for line in ["info data", "verify data"] {
        let refused = place.xreport(line).expect_code(2);
        assert!(refused.stderr.contains("no bundle at `data`") && refused.stderr.contains("hint: "), "{refused}");
    }
}

#[test]
fn doctor_tries_a_model_and_says_that_all_is_well() {
    let place = with_model();
    let run = place.xreport("doctor --model model").expect_code(0);
    assert!(run.stdout.contains("ONNX Runtime    1.") && run.stdout.ends_with("all is well\n"), "{run}");
    place.write("model/weights.bin", "x");
    let run = place.xreport("doctor --model model").expect_code(2);
    assert!(run.stdout.contains("PROBLEM") && run.stdout.contains("weights.bin"), "{run}");
}

#[test]
fn a_program_without_its_library_says_what_to_do() {
    let place = with_model();
    // Deep enough that no folder around it is searched that anybody else fills.
    let name = format!("xreport{EXE_SUFFIX}");
    let alone = place.path("alone/a/b/c").join(&name);
    place.write(&format!("alone/a/b/c/{name}"), "");
    fs::copy(binary("xreport"), &alone).unwrap();
    for line in ["doctor --model model", "generate data/images --model model --out drafts.csv", "verify model"] {
        let mut command = std::process::Command::new(&alone);
        command.current_dir(place.path("")).args(line.split_whitespace()).env_remove("ORT_DYLIB_PATH");
        let run = Run::of(command.env_remove("LD_LIBRARY_PATH")).expect_code(2);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("not found; looked for") && said.contains("hint: "), "{run}");
        assert!(said.contains("beside the program"), "{run}");
    }
    assert!(!place.has("drafts.csv"));
}

#[cfg(target_os = "linux")]
#[test]
fn doctor_names_the_libraries_that_the_cuda_provider_misses() {
    let place = with_model();
    let line = place.xreport("doctor --model model").expect_code(0).stdout;
    let library = line.lines().find_map(|line| line.split_once("ONNX Runtime")?.1.split_once(" from ")).unwrap().1;
    place.write("here/libonnxruntime_providers_cuda.so", "");
    fs::copy(library, place.path("here").join(std::path::Path::new(library).file_name().unwrap())).unwrap();
    fs::copy(binary("xreport"), place.path("here/xreport")).unwrap();
    let mut command = std::process::Command::new(place.path("here/xreport"));
    let run = Run::of(command.current_dir(place.path("")).args(["doctor", "--model", "model"]).env_clear());
    if run.code == Some(0) {
        return skipped("CUDA and cuDNN are installed here");
    }
    let run = run.expect_code(2);
    assert!(run.stdout.contains("CUDA provider   PROBLEM: installed, but these libraries do not load"), "{run}");
    assert!(run.stdout.contains("from cuDNN 9") && run.stdout.contains("cannot open shared object file"), "{run}");
}

#[test]
fn cuda_is_refused_where_it_is_missing_and_auto_goes_on_without() {
    let place = with_model();
    if !place.xreport("doctor --model model").stdout.contains("CUDA provider   not installed") {
        return skipped("ONNX Runtime's CUDA provider is installed here");
    }
    let refused = place.xreport("generate data/images --model model --device cuda --out drafts.csv").expect_code(2);
    assert!(refused.stderr.contains("CUDA"), "{refused}");
    assert!(!place.has("drafts.csv"));
    let auto = place.xreport("generate data/images --model model --device auto --out drafts.csv").expect_code(0);
    assert!(auto.stderr.contains("fp32-cpu on cpu"), "{auto}");
}
