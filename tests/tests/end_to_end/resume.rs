//! A run that was stopped, killed or ended goes on as if it never had.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};
use xreport_tests::{Run, skipped};

use crate::checkpoint::Checkpoint;
use crate::trained::copy;
use crate::watched::{Watched, metrics, steps};
use crate::workplace::{Workplace, tiny_settings};

/// Settings in which everything that a state holds takes part: dropout, augmentation, shuffling, averaged weights.
fn settings<'a>(changes: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let mut all =
        vec![("dataset.IMG_AUGMENT", json!(true)), ("model.DROPOUT", json!(0.2)), ("training.EMA_DECAY", json!(0.9))];
    all.extend_from_slice(changes);
    all
}

fn last(place: &Workplace, checkpoint: &str) -> Checkpoint {
    Checkpoint::read(&place.path(checkpoint).join("last.safetensors"))
}

/// The metrics without what a clock says.
fn timeless(place: &Workplace, checkpoint: &str) -> Vec<Value> {
    let mut lines = metrics(place.path(checkpoint));
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("seconds");
    }
    lines
}

#[track_caller]
fn assert_same_outcome(place: &Workplace, found: &str, expected: &str) {
    for file in ["last.safetensors", "best.safetensors"] {
        let read = |checkpoint: &str| Checkpoint::read(&place.path(checkpoint).join(file));
        read(found).assert_same_run(&read(expected));
    }
    assert_eq!(timeless(place, found), timeless(place, expected));
    let id = |checkpoint: &str| place.json(&format!("{checkpoint}/bundle/bundle.json"))["id"].clone();
    assert_eq!(id(found), id(expected));
}

#[test]
fn a_run_stopped_between_epochs_and_resumed_equals_one_that_was_not() {
    // Two threads: exactness must not depend on there being one.
    let place = Workplace::with_data(
        12,
        &settings(&[
            ("training.EPOCHS", json!(4)),
            ("training.BATCH_SIZE", json!(5)),
            ("training.NUM_PROCESSORS", json!(2)),
        ]),
    );
    place.train("train --data data --settings settings.json --out whole").expect_code(0);
    let stopped =
        place.train("train --data data --settings settings.json --out parts --stop-after-epochs 2").expect_code(0);
    assert!(stopped.stderr.contains("xreport-train resume parts"), "{stopped}");
    assert_eq!(last(&place, "parts").number("epoch"), 2);
    assert!(!last(&place, "parts").same_tensors(&last(&place, "whole")));
    let resumed = place.train("resume parts").expect_code(0);
    assert!(resumed.stderr.contains("4 of 8 steps done") && !resumed.stderr.contains("warning"), "{resumed}");
    assert_same_outcome(&place, "parts", "whole");

    let again = place.train("resume parts").expect_code(0);
    assert!(again.stderr.contains("the run is complete") && again.stderr.contains("hint: `--epochs N`"), "{again}");
    assert_same_outcome(&place, "parts", "whole");
}

#[test]
fn epochs_that_are_added_later_equal_one_long_run() {
    let place = Workplace::new();
    place.set_up(20, &[]);
    let common = [("training.SCHEDULE_EPOCHS", json!(4)), ("training.BATCH_SIZE", json!(8))];
    for (file, epochs) in [("long.json", 4), ("short.json", 2)] {
        let mut changes = settings(&common);
        changes.push(("training.EPOCHS", json!(epochs)));
        place.write(file, tiny_settings(&changes));
    }
    place.train("train --data data --settings long.json --out whole").expect_code(0);
    let short = place.train("train --data data --settings short.json --out parts").expect_code(0);
    assert!(short.stderr.contains("training complete"), "{short}");
    place.train("resume parts --epochs 2").expect_code(0);
    assert_same_outcome(&place, "parts", "whole");
}

/// A run with many batches per epoch, and what it comes to when nothing disturbs it.
fn long_run() -> &'static Workplace {
    static LONG: OnceLock<Workplace> = OnceLock::new();
    LONG.get_or_init(|| {
        let place = Workplace::beside_the_build();
        let changes =
            [("training.EPOCHS", json!(8)), ("training.BATCH_SIZE", json!(2)), ("training.SAVE_EVERY_STEPS", json!(5))];
        place.set_up(60, &settings(&changes));
        place.train("train --data data --settings settings.json --out whole").expect_code(0);
        place
    })
}

/// A workplace with the long run's data, settings and outcome (`whole`).
fn beside_the_long_run() -> Workplace {
    let place = Workplace::new();
    copy(&long_run().path(""), &place.path(""));
    place
}

/// Starts `line` and sends `signal` once `checkpoint` tells of step `step`; how it ended.
fn signalled(place: &Workplace, line: &str, checkpoint: &str, step: u64, signal: &str) -> Run {
    let folder = place.path(checkpoint);
    let mut run = Watched::start(&mut place.command("xreport-train", line));
    run.until(|| steps(&metrics(&folder)).last().is_some_and(|&last| last >= step));
    run.signal(signal);
    run.end().0
}

const TRAIN: &str = "train --data data --settings settings.json --out parts";
const ATTEMPTS: usize = 5;

#[cfg(unix)]
#[test]
fn ctrl_c_in_an_epoch_saves_and_says_how_to_go_on() {
    let place = beside_the_long_run();
    // On a machine that looks away for a second the run may be over before the signal arrives: then once more.
    let stopped = (0..ATTEMPTS).find_map(|_| {
        let _ = fs::remove_dir_all(place.path("parts"));
        let run = signalled(&place, TRAIN, "parts", 30, "INT").expect_code(0);
        (last(&place, "parts").number("batch") > 0).then_some(run)
    });
    let stopped = stopped.expect("a signal arrives in the middle of an epoch");
    assert!(stopped.stderr.contains("go on with:\n  xreport-train resume parts"), "{stopped}");
    let lines = steps(&metrics(place.path("parts")));
    assert_eq!(lines.last(), Some(&last(&place, "parts").number("step")), "the running step is finished and saved");
    assert!(place.leftovers("parts").is_empty());
    place.train("resume parts").expect_code(0);
    assert_same_outcome(&place, "parts", "whole");
}

#[cfg(unix)]
#[test]
fn kills_leave_a_checkpoint_that_loads_and_lose_no_more_than_since_the_last_saves() {
    let place = beside_the_long_run();
    let every = 5;
    let killed = (0..ATTEMPTS).any(|_| {
        let _ = fs::remove_dir_all(place.path("parts"));
        let mut line = TRAIN;
        [13, 61, 122].into_iter().all(|step| {
            let run = signalled(&place, line, "parts", step, "KILL");
            line = "resume parts";
            let saved = last(&place, "parts").number("step");
            let told = *steps(&metrics(place.path("parts"))).last().unwrap();
            // The last save may still have been on its way to the disk; the next one waits for it.
            let least = ((told - 1) / every).saturating_sub(1) * every;
            assert!(saved >= least, "step {told} was done, step {saved} is saved\n{run}");
            run.code.is_none()
        })
    });
    assert!(killed, "the program is killed three times while it trains");
    let resumed = place.train("resume parts").expect_code(0);
    assert!(resumed.stderr.contains("training complete"), "{resumed}");
    assert_same_outcome(&place, "parts", "whole");
    let total = last(&place, "parts").number("step");
    assert_eq!(steps(&metrics(place.path("parts"))), (1..=total).collect::<Vec<_>>(), "each step once");
}

#[cfg(unix)]
#[test]
fn a_run_killed_before_its_first_save_is_simply_begun_anew() {
    let place = beside_the_long_run();
    let mut run = Watched::start(&mut place.command("xreport-train", TRAIN));
    run.until(|| place.has("parts/settings.json"));
    run.signal("KILL");
    run.end();
    if place.has("parts/last.safetensors") {
        return skipped("the run was faster than the kill");
    }
    let refused = place.train("resume parts").expect_code(2);
    assert!(refused.stderr.contains("no checkpoint at `parts`") && refused.stderr.contains("hint: "), "{refused}");
    place.train(TRAIN).expect_code(0);
    assert_same_outcome(&place, "parts", "whole");
}

/// A run that stopped after one of two epochs.
fn stopped(changes: &[(&str, Value)]) -> Workplace {
    let mut all = vec![("training.EPOCHS", json!(2))];
    all.extend_from_slice(changes);
    let place = Workplace::with_data(8, &all);
    place.train("train --data data --settings settings.json --out run --stop-after-epochs 1").expect_code(0);
    place
}

#[cfg(target_os = "linux")]
#[test]
fn another_number_of_threads_is_warned_of() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 || !Path::new("/usr/bin/taskset").exists() {
        return skipped("one core, or no `taskset` to take one away");
    }
    let place = stopped(&[("training.NUM_PROCESSORS", json!(0))]);
    let resume = place.command("xreport-train", "resume run");
    let mut pinned = std::process::Command::new("taskset");
    pinned.args(["-c", &first_core()]).arg(resume.get_program()).args(resume.get_args()).current_dir(place.path(""));
    for (variable, _) in resume.get_envs() {
        // All that is set there is that some are not.
        pinned.env_remove(variable);
    }
    let run = Run::of(&mut pinned).expect_code(0);
    assert!(run.stderr.contains(&format!("the run used {cores} threads, this machine gives it 1")), "{run}");
    assert!(run.stderr.contains("not bit for bit"), "{run}");
    assert_eq!(last(&place, "run").number("threads"), 1);
}

/// A core that this process may use.
#[cfg(target_os = "linux")]
fn first_core() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned();
    list.split([',', '-']).next().unwrap().to_owned()
}

#[test]
fn changed_data_is_refused_and_moved_data_is_not() {
    let place = stopped(&[]);
    let before = last(&place, "run");
    let table = place.read("data/XREPORT_dataset.csv");
    place.write("data/XREPORT_dataset.csv", table.replacen("right", "wrong", 1));
    let refused = place.train("resume run").expect_code(2);
    assert!(refused.stderr.contains("fingerprint") && refused.stderr.contains("hint: "), "{refused}");
    place.write("data/XREPORT_dataset.csv", &table);
    let image = fs::read(place.path("data/images/s03.png")).unwrap();
    crate::scenes::image(99).save(place.path("data/images/s03.png")).unwrap();
    let refused = place.train("resume run").expect_code(2);
    assert!(refused.stderr.contains("fingerprint"), "{refused}");
    last(&place, "run").assert_same_run(&before);

    place.write("data/images/s03.png", image);
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    let missing = place.train("resume run").expect_code(2);
    assert!(missing.stderr.contains("the data set of this run is not at `"), "{missing}");
    assert!(
        missing.stderr.contains("hint: where it has moved, name its folder: xreport-train resume run --data DIR"),
        "{missing}"
    );
    assert!(!missing.stderr.contains("--csv"), "{missing}");
    // Something else stands in its place.
    fs::create_dir(place.path("data")).unwrap();
    let missing = place.train("resume run").expect_code(2);
    assert!(
        missing.stderr.contains("has no `XREPORT_dataset.csv`") && missing.stderr.contains("--data DIR"),
        "{missing}"
    );
    place.train("resume run --data moved").expect_code(0);
    assert_eq!(last(&place, "run").number("epoch"), 2);
}

#[test]
fn a_table_that_was_named_moves_with_its_folder_or_is_named_again() {
    let place = Workplace::with_data(8, &[("training.EPOCHS", json!(3))]);
    fs::rename(place.path("data/XREPORT_dataset.csv"), place.path("data/mine.csv")).unwrap();
    place
        .train("train --data data --csv data/mine.csv --settings settings.json --out run --stop-after-epochs 1")
        .expect_code(0);
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    place.train("resume run --data moved").expect_code(0);
    assert_eq!(last(&place, "run").number("epoch"), 3);
    fs::rename(place.path("moved/mine.csv"), place.path("elsewhere.csv")).unwrap();
    let missing = place.train("resume run --epochs 1").expect_code(2);
    assert!(missing.stderr.contains("mine.csv`") && missing.stderr.contains("resume run --csv FILE"), "{missing}");
    place.train("resume run --csv elsewhere.csv --epochs 1").expect_code(0);
    assert_eq!(last(&place, "run").number("epoch"), 4);
}

#[test]
fn training_never_overwrites_a_checkpoint() {
    let place = stopped(&[]);
    let before = fs::read(place.path("run/last.safetensors")).unwrap();
    for line in ["train --data data --settings settings.json --out run", "init --settings settings.json --out run"] {
        let refused = place.train(line).expect_code(2);
        assert!(refused.stderr.contains("holds a checkpoint already"), "{refused}");
        assert!(refused.stderr.contains("hint: go on with it by `xreport-train resume run`"), "{refused}");
    }
    assert_eq!(fs::read(place.path("run/last.safetensors")).unwrap(), before);
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name() {
    let place = stopped(&[]);
    let whole = fs::read(place.path("run/last.safetensors")).unwrap();
    let newer = String::from_utf8_lossy(&whole[..4000]).contains(r#"\"format_version\":2"#);
    assert!(newer, "the state's version stands near the start");
    let at = whole.windows(19).position(|window| window == br#"format_version\":2,"#.as_slice()).unwrap() + 17;
    let mut of_tomorrow = whole.clone();
    of_tomorrow[at] = b'7';
    for (bytes, said) in [
        (&whole[..whole.len() / 2], "not a checkpoint that this program can use"),
        (&whole[..5], "not a checkpoint that this program can use"),
        (&[][..], "not a checkpoint that this program can use"),
        (&of_tomorrow[..], "format version 2 expected, found 7"),
    ] {
        fs::write(place.path("run/last.safetensors"), bytes).unwrap();
        let refused = place.train("resume run").expect_code(2);
        assert!(refused.stderr.contains("last.safetensors") && refused.stderr.contains("hint: "), "{refused}");
        assert!(refused.stderr.contains(said), "{refused}");
    }
}
