//! A batch with everything among it that stands in the way of one input: the others are drafted, each obstacle is named
//! once, and the same command again does nothing twice.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use xreport_tests::Run;

use crate::trained::{STUDIES, with_model};
use crate::workplace::{Row, Workplace};

/// Obstacles of the scene, by the id of their row, with what is said of each.
const OBSTACLES: [(&str, &str); 18] = [
    ("M%FCller.png", "not UTF-8"),
    ("M%FDller.png", "not UTF-8"),
    ("\u{e9}.png", "they look alike: U+0065 U+0301 in the first is U+00E9 in the second"),
    ("tab%09name.png", "control character"),
    ("two%0Alines.png", "line break"),
    ("dangling.png", "does not exist"),
    ("loop.png", "symbolic links"),
    ("pipe.png", "is not a regular file"),
    ("socket.png", "is not a regular file"),
    ("folder.png", "is a folder"),
    ("empty.png", "is empty"),
    ("other/s00.png", "two inputs answer to the id `s00.png`"),
    ("list.csv:3", "the same image as line 2"),
    ("list.csv:4", "expected 2 cells as in the header, found 3"),
    ("gone.png", "does not exist"),
    ("unreadable.csv", "no column with paths"),
    ("void.csv", "found an empty file"),
    ("absent", "no such file or folder"),
];

const INPUTS: &str = "in other list.csv unreadable.csv void.csv absent";

/// `in` with good images and [`OBSTACLES`], and the other inputs.
fn scene() -> Workplace {
    let place = with_model();
    fs::rename(place.path("data/images"), place.path("in")).unwrap();
    let image = fs::read(place.path("in/s00.png")).unwrap();
    let path = |name: &str| place.path("in").join(name);
    for name in [&b"M\xfcller.png"[..], b"M\xfdller.png", b"two\nlines.png", b"tab\tname.png"] {
        fs::write(place.path("in").join(OsStr::from_bytes(name)), &image).unwrap();
    }
    fs::write(path("\u{e9}.png"), &image).unwrap();
    fs::write(path("e\u{301}.png"), &image).unwrap();
    symlink("nowhere.png", path("dangling.png")).unwrap();
    symlink("loop.png", path("loop.png")).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe.png")).status().unwrap().success());
    drop(std::os::unix::net::UnixListener::bind(path("socket.png")).unwrap());
    fs::create_dir(path("folder-of-nothing")).unwrap();
    symlink("folder-of-nothing", path("folder.png")).unwrap();
    fs::write(path("empty.png"), "").unwrap();
    // A name that leaves no room for `.txt`, in two letters a character.
    fs::write(path(&long_name()), &image).unwrap();
    place.write("other/s00.png", &image);
    place.write("extra/x.png", &image);
    place.write("list.csv", "path;note\nextra/x.png;\n./extra//x.png;\nextra/x.png;;\ngone.png;\n");
    place.write("unreadable.csv", "note,more\nx,y\n");
    place.write("void.csv", "");
    place
}

fn long_name() -> String {
    format!("{}.png", "é".repeat(124))
}

/// Images that are drafted: those of the data set, one of the two `é`, the list's one; and into a table, the one with a
/// long name.
const DRAFTED: usize = STUDIES + 2;

/// Checks that each obstacle has one row, which says what it is, and is told once.
fn check(place: &Workplace, run: &Run, table: &str) {
    let rows = place.csv(table);
    let ids: BTreeSet<_> = rows.iter().map(|row| row["id"].to_owned()).collect();
    assert_eq!(ids.len(), rows.len(), "no id is there twice");
    let failed: Vec<_> = rows.iter().filter(|row| &row["status"] == "failed").collect();
    for (id, said) in OBSTACLES {
        let row = failed.iter().find(|row| &row["id"] == id || row["id"].ends_with(&format!("/{id}")));
        let row = row.unwrap_or_else(|| panic!("no failed row for `{id}`: {ids:?}\n{run}"));
        assert!(row["error"].contains(said) && row["text"].is_empty(), "`{said}` expected: {}", &row["error"]);
        assert_eq!(run.stderr.matches(&row["error"]).count(), 1, "{id} is told once: {}\n{run}", &row["error"]);
    }
}

/// What the rows of a table say.
fn rows(place: &Workplace, table: &str) -> Vec<[String; 4]> {
    let said = |row: &Row| ["id", "text", "status", "error"].map(|column| row[column].to_owned());
    place.csv(table).iter().map(said).collect()
}

#[test]
fn every_obstacle_costs_its_own_input_alone() {
    let place = scene();
    for (out, table, long) in [("drafts.csv", "drafts.csv", 0), ("reports", "reports/index.csv", 1)] {
        let line = format!("generate {INPUTS} --model model --out {out}");
        let first = place.xreport(&line).expect_code(1);
        let counts = format!("{} reports drafted, {} failed", DRAFTED + 1 - long, OBSTACLES.len() + long);
        assert!(first.stderr.contains(&counts), "`{counts}` expected\n{first}");
        check(&place, &first, table);
        let written = rows(&place, table);
        let again = place.xreport(&line).expect_code(1);
        let counts =
            format!("0 reports drafted, {} failed, {} done before", OBSTACLES.len() + long, DRAFTED + 1 - long);
        assert!(again.stderr.contains(&counts), "`{counts}` expected\n{again}");
        check(&place, &again, table);
        assert_eq!(rows(&place, table), written);
    }
    let row = place.csv("reports/index.csv").into_iter().find(|row| row["id"] == long_name()).unwrap();
    assert!(row["error"].contains("its name would have 256 bytes") && row["error"].contains("hint: "), "{row:?}");
    // What every other command is given is a table that it takes.
    place.write("references.csv", "id,text\ns00,A text.\nextra/x,A text.\né,A text.\n");
    place.train("score --generated drafts.csv --references references.csv").expect_code(0);
}

#[test]
fn shards_with_obstacles_join_to_the_whole() {
    let place = scene();
    let line = format!("generate {INPUTS} --model model --out");
    place.xreport(&format!("{line} whole.csv")).expect_code(1);
    for shard in 0..3 {
        place.xreport(&format!("{line} parts.csv --shard {shard}/3")).expect_code(1);
    }
    let merged = place.xreport("merge parts.csv");
    assert!(place.has("parts.csv"), "{merged}");
    assert_eq!(rows(&place, "parts.csv"), rows(&place, "whole.csv"));
}

/// As an ordinary user on a file system of its own: `lost+found` belongs to root.
#[test]
fn a_folder_without_permission_costs_what_lies_in_it() {
    const NOBODY: u32 = 65534;
    let place = with_model();
    let image = fs::read(place.path("data/images/s00.png")).unwrap();
    place.write("data/images/lost+found/s00.png", image);
    let mode = |path: &str, mode| fs::set_permissions(place.path(path), fs::Permissions::from_mode(mode)).unwrap();
    let line = "generate data/images --model model --out out/drafts.csv";
    let mut command = place.command("xreport", line);
    let is_root = is_root();
    if is_root {
        // Root may read everything: the program runs as nobody, from a folder that nobody may look into.
        let doctor = place.xreport("doctor --model model").expect_code(0).stdout;
        let library =
            doctor.lines().find_map(|line| line.split_once("ONNX Runtime")?.1.split_once(" from ")).unwrap().1;
        fs::create_dir(place.path("lib")).unwrap();
        fs::copy(library, place.path("lib").join(Path::new(library).file_name().unwrap())).unwrap();
        fs::copy(xreport_tests::binary("xreport"), place.path("xreport")).unwrap();
        command = Command::new(place.path("xreport"));
        command.args(line.split_whitespace()).current_dir(place.path("")).env("HOME", place.path("out"));
        command.uid(NOBODY).gid(NOBODY);
    }
    mode("", 0o755);
    mode("data/images/lost+found", if is_root { 0o700 } else { 0o000 });
    fs::create_dir(place.path("out")).unwrap();
    mode("out", 0o777);
    let run = Run::of(&mut command);
    mode("data/images/lost+found", 0o700);
    let run = run.expect_code(1);
    assert!(run.stderr.contains(&format!("{STUDIES} reports drafted, 1 failed")), "{run}");
    let failed = place.csv("out/drafts.csv").into_iter().find(|row| &row["status"] == "failed").unwrap();
    assert_eq!(&failed["id"], "lost+found");
    assert!(failed["error"].contains("cannot read `data/images/lost+found`"), "{failed:?}");
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
