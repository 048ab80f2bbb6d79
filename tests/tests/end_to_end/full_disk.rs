//! A disk that is full, or read-only: told by name, nothing half-written, and what was saved before still loads.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use xreport_tests::skipped;

use crate::checkpoint::Checkpoint;
use crate::trained::with_model;
use crate::workplace::Workplace;

/// A disk in memory, which only root may make. Gone when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Of `kilobytes` at `folder`; `None`, with a word, where it cannot be made.
    fn make(folder: &Path, kilobytes: usize) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        if mount(&format!("size={kilobytes}k"), folder) {
            return Some(Self(folder.to_owned()));
        }
        skipped("no small disk can be mounted here (it takes root)");
        None
    }

    fn change(&self, options: &str) {
        assert!(mount(&format!("remount,{options}"), &self.0), "remount,{options}");
    }
}

fn mount(options: &str, folder: &Path) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder);
    mount.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn drafts_that_do_not_fit_are_told_and_go_on_where_there_is_room() {
    let place = with_model();
    place.xreport("generate data/images --model model --out whole.csv").expect_code(0);
    let said = |table: &str| -> Vec<[String; 3]> {
        place.csv(table).iter().map(|row| ["id", "text", "tokens"].map(|column| row[column].to_owned())).collect()
    };
    let expected = said("whole.csv");
    for (out, table) in
        [("disk/drafts.csv", "disk/drafts.csv"), ("disk/drafts.jsonl", ""), ("disk/reports", "disk/reports/index.csv")]
    {
        let Some(disk) = SmallDisk::make(&place.path("disk"), 16) else { return };
        // Small batches: some rows are there before the disk is full.
        let line = format!("generate data/images --model model --batch-size 2 --out {out}");
        let run = place.xreport(&line).expect_code(2);
        assert!(run.stderr.contains(&format!("cannot write `{out}")), "{run}");
        assert!(run.stderr.to_lowercase().contains("no space left"), "{run}");
        assert!(run.stderr.contains("hint: "), "{run}");
        assert!(!place.has(out) || place.path(out).is_dir(), "no table that is not whole");
        assert!(place.leftovers("disk").is_empty(), "{:?}", place.leftovers("disk"));
        for report in place.files("disk").iter().filter(|file| file.ends_with(".png.txt")) {
            assert!(place.read(&format!("disk/{report}")).ends_with("[draft, not for diagnostic use]\n"), "{report}");
        }
        disk.change("size=1024k");
        let rest = place.xreport(&line).expect_code(0);
        assert!(rest.stderr.contains("done before; 32 images in all"), "{rest}");
        let rows = if table.is_empty() { said_in_lines(&place, out) } else { said(table) };
        assert_eq!(rows, expected);
        drop(disk);
    }
}

/// Id, text and tokens of each JSON line.
fn said_in_lines(place: &Workplace, file: &str) -> Vec<[String; 3]> {
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    place.read(file).lines().map(value).map(|row| ["id", "text", "tokens"].map(|key| plain(&row[key]))).collect()
}

#[test]
fn a_read_only_disk_is_told() {
    let place = with_model();
    let Some(disk) = SmallDisk::make(&place.path("disk"), 64) else { return };
    disk.change("ro");
    for out in ["disk/drafts.csv", "disk/reports"] {
        let run = place.xreport(&format!("generate data/images --model model --out {out}")).expect_code(2);
        assert!(run.stderr.contains("cannot write `disk/") && run.stderr.contains("Read-only"), "{run}");
    }
    let place_of_settings = Workplace::with_data(4, &[]);
    std::fs::copy(place_of_settings.path("settings.json"), place.path("settings.json")).unwrap();
    let run = place.train("train --data data --settings settings.json --out disk/run").expect_code(2);
    assert!(run.stderr.contains("disk/run"), "{run}");
}

#[test]
fn a_disk_that_fills_up_costs_no_checkpoint_and_training_goes_on_when_there_is_room() {
    let changes = [("training.EPOCHS", json!(3)), ("training.USE_TENSORBOARD", json!(false))];
    let place = Workplace::with_data(20, &changes);
    place.train("train --data data --settings settings.json --out whole").expect_code(0);
    let checkpoint = std::fs::metadata(place.path("whole/last.safetensors")).unwrap().len() as usize / 1024;

    // Room for the best and the last of the first epoch, not for the second's, which is written beside them first.
    let Some(disk) = SmallDisk::make(&place.path("disk"), checkpoint * 5 / 2 + 100) else { return };
    let run = place.train("train --data data --settings settings.json --out disk/run").expect_code(2);
    assert!(run.stderr.contains("the checkpoint was not saved; the one before it is still whole"), "{run}");
    assert!(run.stderr.contains("no space left") && run.stderr.contains("hint: "), "{run}");
    assert!(run.stderr.contains(".safetensors"), "the file is named: {run}");
    assert!(place.leftovers("disk").is_empty(), "{:?}", place.leftovers("disk"));
    assert_eq!(Checkpoint::read(&place.path("disk/run/last.safetensors")).number("epoch"), 1);

    disk.change(&format!("size={}k", checkpoint * 20));
    place.train("resume disk/run").expect_code(0);
    for file in ["last.safetensors", "best.safetensors"] {
        let read = |folder: &str| Checkpoint::read(&place.path(folder).join(file));
        read("disk/run").assert_same_run(&read("whole"));
    }
}

#[test]
fn no_room_for_the_first_checkpoint_is_told() {
    let place = Workplace::with_data(12, &[("training.USE_TENSORBOARD", json!(false))]);
    let Some(_disk) = SmallDisk::make(&place.path("disk"), 300) else { return };
    let run = place.train("train --data data --settings settings.json --out disk/run").expect_code(2);
    assert!(run.stderr.contains("no space left") && run.stderr.contains("disk/run/"), "{run}");
    assert!(place.leftovers("disk").is_empty(), "{:?}", place.leftovers("disk"));
    assert!(!place.has("disk/run/last.safetensors"));
}

#[test]
fn an_import_that_does_not_fit_leaves_no_table_and_goes_on_when_there_is_room() {
    let place = Workplace::new();
    for person in 0..40 {
        place.write(&format!("train/NORMAL/IM-{person:04}-0001.jpeg"), vec![person; 8192]);
    }
    let Some(disk) = SmallDisk::make(&place.path("disk"), 200) else { return };
    let run = place.train("dataset import pneumonia . --out disk/data").expect_code(2);
    assert!(run.stderr.contains("disk/data/images/train/NORMAL/IM-"), "the file is named: {run}");
    assert!(run.stderr.to_lowercase().contains("no space left") && run.stderr.contains("hint: "), "{run}");
    assert!(place.leftovers("disk").is_empty(), "{:?}", place.leftovers("disk"));
    assert!(!place.has("disk/data/XREPORT_dataset.csv"));

    disk.change("size=2000k");
    let run = place.train("dataset import pneumonia . --out disk/data").expect_code(0);
    assert!(run.stdout.contains("images copied, ") && run.stdout.contains("images already there"), "{run}");
    assert_eq!(place.csv("disk/data/XREPORT_dataset.csv").len(), 40);
}
