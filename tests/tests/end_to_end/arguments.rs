//! Values on the command line that would else be taken for something that nobody meant.

use std::time::Instant;

use crate::trained::{STUDIES, with_model};
use crate::workplace::{Row, Workplace};

/// Every command that writes a file or folder which an option names, as typed up to that option's value.
const OUTPUTS: [(&str, &str); 17] = [
    ("xreport", "merge "),
    ("xreport", "serve --records "),
    ("xreport", "serve --back-up "),
    ("xreport-train", "train --out "),
    ("xreport-train", "init --out "),
    ("xreport-train", "export run --out "),
    ("xreport-train", "evaluate --out "),
    ("xreport-train", "record run --out "),
    ("xreport-train", "score --generated a.csv --references b.csv --per-report "),
    ("xreport-train", "dataset phantoms --out "),
    ("xreport-train", "dataset preview --out "),
    ("xreport-train", "dataset validate --out "),
    ("xreport-train", "dataset import open-i a --out "),
    ("xreport-train", "dataset import mimic-cxr a --out "),
    ("xreport-train", "dataset import pneumonia a --out "),
    ("xreport-train", "dataset import chestx-ray14 a --out "),
    ("xreport-train", "dataset import pairs a --out "),
];

#[test]
fn a_dash_as_output_is_refused_and_makes_no_file_of_that_name() {
    let place = Workplace::new();
    for (program, line) in OUTPUTS {
        let run = xreport_tests::Run::of(&mut place.command(program, &format!("{line}-"))).expect_code(2);
        assert!(run.stderr.contains("invalid value '-'") && run.stderr.contains("hint: name a file"), "{run}");
        assert!(run.stderr.contains("`./-` names one called `-`") && run.stdout.is_empty(), "{run}");
    }
    assert!(place.files("").is_empty(), "{:?}", place.files(""));
    // As before, for who means it.
    place.train("dataset phantoms --samples 2 --size 64 --out ./-").expect_code(0);
    assert!(place.has("-/XREPORT_dataset.csv"));
}

#[cfg(unix)]
#[test]
fn a_socket_or_a_device_is_never_replaced_by_a_file() {
    use std::os::unix::fs::{FileTypeExt, symlink};

    let place = Workplace::new();
    place.write("a.csv", "id,text\na,Clear.\n");
    let _socket = std::os::unix::net::UnixListener::bind(place.path("socket")).unwrap();
    symlink("socket", place.path("link")).unwrap();
    for out in ["socket", "link"] {
        let run = place.train(&format!("score --generated a.csv --references a.csv --per-report {out}")).expect_code(2);
        assert!(
            run.stderr.contains(&format!("cannot write `{out}`: expected a file, found a device, pipe or socket")),
            "{run}"
        );
        assert!(std::fs::metadata(place.path(out)).unwrap().file_type().is_socket(), "{out}");
    }
    assert_eq!(place.files("").len(), 3, "{:?}", place.files(""));
}

/// What a row says, without what may differ by time.
fn said(row: &Row) -> [String; 7] {
    ["id", "text", "status", "error", "tokens", "finish", "notice"].map(|column| row[column].to_owned())
}

#[test]
fn rows_are_printed_in_the_order_of_the_inputs_and_leave_nothing_behind() {
    let place = with_model();
    place.write("data/images/broken.png", "no image");
    let line = "generate data/images --model model --batch-size 2 --threads 2";
    place.xreport(&format!("{line} --out drafts.csv")).expect_code(1);
    place.xreport(&format!("{line} --out drafts.jsonl")).expect_code(1);
    let before = place.files("");

    let run = place.xreport(&format!("{line} --out -")).expect_code(1);
    assert!(run.stderr.contains("failed: `data/images/broken.png`"), "{run}");
    assert!(run.stderr.contains("33 images in all") && run.stderr.contains("-> standard output"), "{run}");
    place.write("printed.csv", &run.stdout);
    let rows = |table: &str| place.csv(table).iter().map(said).collect::<Vec<_>>();
    assert_eq!(rows("printed.csv"), rows("drafts.csv"));

    #[cfg(unix)]
    for stdout in ["/dev/stdout", "/dev/fd/1"] {
        let same = place.xreport(&format!("{line} --out {stdout}")).expect_code(1);
        assert_eq!(same.stdout.lines().count(), run.stdout.lines().count(), "{same}");
    }

    let run = place.xreport(&format!("{line} --out - --format jsonl")).expect_code(1);
    let ids = |text: &str| -> Vec<String> {
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|line| format!("{} {}", value(line)["id"], value(line)["text"])).collect()
    };
    assert_eq!(ids(&run.stdout), ids(&place.read("drafts.jsonl")));

    std::fs::remove_file(place.path("printed.csv")).unwrap();
    assert_eq!(place.files(""), before, "no ledger, and no file called `-`");
    place.xreport(&format!("{line} --format csv --out ./-")).expect_code(1);
    assert_eq!(rows("./-"), rows("drafts.csv"));
}

#[test]
fn what_printed_rows_cannot_do_is_refused_before_anything_is_drafted() {
    let place = with_model();
    for (more, said) in [
        ("--format txt", "csv or jsonl expected with `--out -`, found txt"),
        ("--shard 0/2", "--shard: a file or folder as --out expected"),
        ("--fresh", "--fresh: a file or folder as --out expected"),
        ("--watch", "--watch: a file or folder as --out expected"),
    ] {
        let run = place.xreport(&format!("generate data/images --model model --out - {more}")).expect_code(2);
        assert!(run.stderr.contains(said) && run.stderr.contains("hint: --out "), "{run}");
        assert_eq!(run.stdout, "");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_who_has_enough_ends_the_drafting() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let place = with_model();
    for copy in 0..40 {
        crate::trained::copy(&place.path("data/images"), &place.path(format!("many/{copy:02}")));
    }
    let line = "generate many --model model --batch-size 1 --threads 1 --out -";
    let mut command = place.command("xreport", line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("id,text,status,"), "{first}");
    let run = xreport_tests::Run::from_output(line, &child.wait_with_output().unwrap()).expect_code(0);
    assert!(!run.stderr.contains("error") && !run.stderr.contains("panicked"), "{run}");
    let drafted: usize =
        run.stderr.lines().find_map(|line| line.split_once(" reports drafted")?.0.parse().ok()).unwrap();
    assert!(drafted < 40 * STUDIES, "it goes on for nobody: {run}");
}

#[cfg(target_os = "linux")]
#[test]
fn rows_that_do_not_fit_are_an_error() {
    let place = with_model();
    let mut command = place.command("xreport", "generate data/images --model model --out -");
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let run = xreport_tests::Run::of(&mut command).expect_code(2);
    assert!(run.stderr.contains("error: cannot write to standard output: No space left on device"), "{run}");
}

#[test]
fn more_threads_than_any_machine_has_are_refused_at_once() {
    let place = with_model();
    let started = Instant::now();
    for (program, line, told) in [
        (
            "xreport",
            "generate data/images --model model --threads 100000",
            "expected 1 to 1024, or 0 for one per core, found `100000`",
        ),
        (
            "xreport",
            "serve --model model --threads 100000",
            "expected 1 to 1024, or 0 for one per core, found `100000`",
        ),
        (
            "xreport",
            "serve --model model --records records --workers 100000",
            "expected 1 to 64, or 0 for as many as are of use, found 100000",
        ),
        ("xreport", "bench model --threads 1025", "expected 1 to 1024, or 0 for one per core, found `1025`"),
        (
            "xreport-train",
            "train --data data --set training.NUM_PROCESSORS=100000",
            "expected: a whole number from 0 to 1024",
        ),
        (
            "xreport-train",
            "dataset validate --data data --set training.NUM_PROCESSORS=1025",
            "expected: a whole number from 0 to 1024",
        ),
    ] {
        let run = xreport_tests::Run::of(&mut place.command(program, line)).expect_code(2);
        assert!(run.stderr.contains(told), "{run}");
    }
    assert!(started.elapsed().as_secs() < 30, "they are refused before anything is begun");
    place.xreport("generate data/images --model model --threads 8 --out drafts.csv").expect_code(0);
}
