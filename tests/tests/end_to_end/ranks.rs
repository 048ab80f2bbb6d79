//! Several processes train together: they make the steps of one, agree on when to stop, and tell who is missing.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xreport_tests::Run;

use crate::checkpoint::Checkpoint;
use crate::watched::{Watched, metrics, steps};
use crate::workplace::Workplace;

const TRAIN: &str = "train --data data --settings settings.json --out";

/// A data set whose last batch does not divide evenly, and everything on that must not depend on who has which study:
/// augmentation, averaged weights, shuffling, lengths. No dropout: each process draws its own.
fn place(changes: &[(&str, Value)]) -> Workplace {
    let mut all = vec![
        ("dataset.IMG_AUGMENT", json!(true)),
        ("model.DROPOUT", json!(0.0)),
        ("training.EMA_DECAY", json!(0.9)),
        ("training.EPOCHS", json!(100)),
        ("training.MAX_STEPS", json!(20)),
        ("training.BATCH_SIZE", json!(4)),
        ("training.LEARNING_RATE", json!(0.002)),
    ];
    all.extend_from_slice(changes);
    Workplace::with_data(27, &all)
}

/// A port that is free now.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// `xreport-train LINE` as process `rank` of two.
fn rank(place: &Workplace, rank: usize, port: u16, line: &str) -> Command {
    let mut command = place.command("xreport-train", line);
    for (name, value) in [("RANK", rank.to_string()), ("WORLD_SIZE", "2".into()), ("MASTER_PORT", port.to_string())] {
        command.env(name, value);
    }
    command.env("MASTER_ADDR", "127.0.0.1").env("XREPORT_JOIN_SECONDS", "60");
    command
}

/// Both processes; the second may be told something else.
fn start(place: &Workplace, lines: [&str; 2]) -> [Watched; 2] {
    let port = free_port();
    [0, 1].map(|index| Watched::start(&mut rank(place, index, port, lines[index])))
}

fn both(place: &Workplace, lines: [&str; 2]) -> [Run; 2] {
    start(place, lines).map(|process| process.end().0)
}

fn last(place: &Workplace, checkpoint: &str) -> Checkpoint {
    Checkpoint::read(&place.path(checkpoint).join("last.safetensors"))
}

/// The largest difference of a weight or a running statistic; moments and averages count as well.
///
/// A key's bias adds the same to all scores of a query, and the softmax takes it away again: its gradient is rounding and
/// nothing else, of which AdamW makes a step as large as any. The biases of keys are passed over, and as many values of
/// the flat average.
fn largest_difference(one: &Checkpoint, other: &Checkpoint) -> f32 {
    assert_eq!(one.shapes(), other.shapes());
    let mut passed_over = 0;
    let (mut largest, mut average) = (0.0, Vec::new());
    for name in one.shapes().keys() {
        let pairs = one.floats(name).into_iter().zip(other.floats(name));
        let differences: Vec<f32> = pairs.map(|(a, b)| (a - b).abs()).collect();
        if name == "average.weights" {
            average = differences;
            continue;
        }
        let keys = biases_of_keys(name, differences.len());
        passed_over += keys.len();
        let others = differences.iter().enumerate().filter(|(index, _)| !keys.contains(index));
        largest = others.map(|(_, &difference)| difference).fold(largest, f32::max);
    }
    average.sort_by(f32::total_cmp);
    let counted = average.len().saturating_sub(passed_over);
    average[..counted].iter().copied().fold(largest, f32::max)
}

/// Where the biases of keys lie in a parameter: queries, keys and values stand one after another.
fn biases_of_keys(name: &str, length: usize) -> Range<usize> {
    if name.ends_with("attention.qkv.bias") {
        length / 3..2 * length / 3
    } else if name.ends_with("attention.key_value.bias") {
        0..length / 2
    } else {
        0..0
    }
}

#[test]
fn two_processes_make_the_steps_of_one_with_the_double_batch() {
    let place = place(&[]);
    place.train(&format!("{TRAIN} alone --set training.BATCH_SIZE=8")).expect_code(0);
    let [first, second] = both(&place, [&format!("{TRAIN} two"), &format!("{TRAIN} elsewhere")]);
    let (first, second) = (first.expect_code(0), second.expect_code(0));
    assert!(first.stderr.contains("2 processes") && first.stderr.contains("training complete: 20 steps"), "{first}");
    // Rank 0 alone speaks and writes, and its folder counts.
    assert!(second.stderr.is_empty() && second.stdout.is_empty(), "{second}");
    assert!(!place.has("elsewhere"));
    assert!(place.xreport("verify two/bundle").expect_code(0).stderr.is_empty());

    let (alone, two) = (last(&place, "alone"), last(&place, "two"));
    let differ = largest_difference(&alone, &two);
    assert!(differ < 1e-5, "{differ}");
    assert_eq!([two.number("step"), two.number("ranks")], [20, 2]);
    assert_eq!(two.state["settings"]["training"]["BATCH_SIZE"], 4);
    let told = [metrics(place.path("alone")), metrics(place.path("two"))];
    assert_eq!(told[0].len(), told[1].len());
    for (alone, two) in told[0].iter().zip(&told[1]) {
        for key in ["loss", "accuracy", "validation_loss", "validation_accuracy", "training_loss", "gradient_norm"] {
            let difference = alone[key].as_f64().unwrap_or(0.0) - two[key].as_f64().unwrap_or(0.0);
            assert!(difference.abs() < 1e-4, "{key}: {alone} {two}");
        }
        assert_eq!(alone["images"], two["images"]);
    }
}

#[test]
fn a_run_of_two_goes_on_with_one_that_has_the_double_batch() {
    let place = place(&[("training.MAX_STEPS", json!(0)), ("training.EPOCHS", json!(4))]);
    let parts = format!("{TRAIN} parts --stop-after-epochs 2");
    for run in both(&place, [&parts, &parts]) {
        run.expect_code(0);
    }
    let refused = {
        let port = free_port();
        let three = [0, 1, 2].map(|index| {
            let mut command = rank(&place, index, port, "resume parts");
            Watched::start(command.env("WORLD_SIZE", "3"))
        });
        three.map(|process| process.end().0.expect_code(2))
    };
    assert!(refused[0].stderr.contains("3 processes cannot share evenly"), "{}", refused[0]);
    let resumed = place.train("resume parts").expect_code(0);
    assert!(resumed.stderr.contains("it goes on with 1 and 8 each"), "{resumed}");
    assert_eq!(last(&place, "parts").state["settings"]["training"]["BATCH_SIZE"], 8);
    place.train(&format!("{TRAIN} whole --set training.BATCH_SIZE=8")).expect_code(0);
    let differ = largest_difference(&last(&place, "parts"), &last(&place, "whole"));
    assert!(differ < 1e-4, "{differ}");
}

/// A run of many steps.
fn long_place() -> Workplace {
    place(&[("training.MAX_STEPS", json!(400)), ("training.SAVE_EVERY_STEPS", json!(0))])
}

#[cfg(unix)]
#[test]
fn a_killed_process_ends_the_job_and_the_steps_that_were_done_are_saved() {
    kill_and_resume(&long_place(), |step| step >= 30);
}

/// Most of the time goes into validation here, which an epoch of two steps ends with.
#[cfg(unix)]
#[test]
fn a_process_that_is_killed_in_validation_takes_no_step_with_it() {
    let place = Workplace::with_data(
        60,
        &[
            ("dataset.VALIDATION_SIZE", json!(0.8)),
            ("training.EPOCHS", json!(100)),
            ("training.MAX_STEPS", json!(40)),
            ("training.BATCH_SIZE", json!(4)),
        ],
    );
    kill_and_resume(&place, |step| step >= 10 && step.is_multiple_of(2));
}

/// Kills the second of two processes at a step that is `late` enough, looks at what the first one says and saves, and goes
/// on with two.
#[cfg(unix)]
fn kill_and_resume(place: &Workplace, late: impl Fn(u64) -> bool) {
    let line = format!("{TRAIN} run");
    let whole = format!("{TRAIN} whole");
    for run in both(place, [&whole, &whole]) {
        run.expect_code(0);
    }
    let all = last(place, "whole").number("step");
    let [first, mut second] = start(place, [&line, &line]);
    let told = || steps(&metrics(place.path("run"))).last().copied().unwrap_or(0);
    assert!(second.until(|| late(told())), "it is killed while it trains");
    second.signal("KILL");
    let killed = Instant::now();
    let first = first.end().0.expect_code(2);
    assert!(killed.elapsed() < Duration::from_mins(1), "{:?}", killed.elapsed());
    assert!(first.stderr.contains("error: rank 0 of 2: rank 1 of 2 is gone"), "{first}");
    assert!(first.stderr.contains("hint: ") && first.stderr.contains("xreport-train resume"), "{first}");
    assert_eq!(second.end().0.code, None);
    let saved = last(place, "run").number("step");
    assert_eq!(saved, told(), "no step is lost");
    assert!(saved < all && place.leftovers("run").is_empty());

    // To the last bit as if nothing had happened.
    for run in both(place, ["resume run", "resume run"]) {
        run.expect_code(0);
    }
    last(place, "run").assert_same_run(&last(place, "whole"));
}

#[cfg(unix)]
#[test]
fn the_end_of_rank_0_is_told_by_the_others() {
    let place = long_place();
    let line = format!("{TRAIN} run");
    let [mut first, second] = start(&place, [&line, &line]);
    assert!(first.until(|| steps(&metrics(place.path("run"))).len() >= 5));
    first.signal("KILL");
    first.end();
    let second = second.end().0.expect_code(2);
    assert!(second.stderr.contains("error: rank 1 of 2: the store at 127.0.0.1"), "{second}");
    assert!(second.stderr.contains("rank 0") && second.stderr.contains("hint: "), "{second}");
}

#[cfg(unix)]
#[test]
fn all_stop_after_the_same_step_when_one_is_told_to() {
    let place = long_place();
    let line = format!("{TRAIN} run");
    let [mut first, second] = start(&place, [&line, &line]);
    assert!(first.until(|| steps(&metrics(place.path("run"))).len() >= 5));
    second.signal("TERM");
    let [first, second] = [first, second].map(|process| process.end().0.expect_code(0));
    assert!(first.stderr.contains("go on with:\n  xreport-train resume run"), "{first}");
    assert!(!second.stderr.contains("error"), "{second}");
    let saved = last(&place, "run").number("step");
    assert_eq!(Some(&saved), steps(&metrics(place.path("run"))).last());
    assert!(saved < 400);
}

#[test]
fn half_an_environment_and_processes_that_differ_are_refused() {
    let place = place(&[]);
    let line = format!("{TRAIN} run");
    let alone = |names: &[(&str, &str)]| {
        let mut command = place.command("xreport-train", &line);
        command.envs(names.iter().copied()).env("XREPORT_JOIN_SECONDS", "2");
        Run::of(&mut command).expect_code(2)
    };
    let run = alone(&[("WORLD_SIZE", "2")]);
    assert!(run.stderr.contains("WORLD_SIZE is 2, but RANK is not set") && run.stderr.contains("hint: "), "{run}");

    let port = free_port().to_string();
    let two = [("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port.as_str())];
    let run = alone(&[two[0], two[1], two[2], ("RANK", "0")]);
    assert!(run.stderr.contains("1 (rank 1) of 2 processes did not come within 2 s"), "{run}");
    let run = alone(&[two[0], two[1], two[2], ("RANK", "1")]);
    assert!(run.stderr.contains("cannot be reached") && run.stderr.contains(&port), "{run}");
    let taken = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = alone(&[two[0], two[1], ("MASTER_PORT", port.as_str()), ("RANK", "0")]);
    assert!(run.stderr.contains("the port is taken") && run.stderr.contains("hint: set MASTER_PORT"), "{run}");

    let other = format!("{line} --set training.SEED=8");
    for run in both(&place, [&line, &other]).map(|run| run.expect_code(2)) {
        assert!(run.stderr.contains("training.SEED is 7 on rank 0, 8 on rank 1"), "{run}");
    }
    fs::create_dir(place.path("copy")).unwrap();
    crate::trained::copy(&place.path("data"), &place.path("copy"));
    let table = place.read("copy/XREPORT_dataset.csv").replacen("Opacity", "No opacity", 1);
    place.write("copy/XREPORT_dataset.csv", table);
    let other = line.replace("--data data", "--data copy");
    for run in both(&place, [&line, &other]).map(|run| run.expect_code(2)) {
        assert!(run.stderr.contains("the data set's fingerprint is"), "{run}");
    }
    assert!(!place.has("run"), "nothing was written");
}

#[test]
fn a_job_that_a_launcher_starts_anew_goes_on() {
    let place = place(&[("training.MAX_STEPS", json!(0)), ("training.EPOCHS", json!(4))]);
    let parts = format!("{TRAIN} parts --stop-after-epochs 2");
    for run in both(&place, [&parts, &parts]) {
        run.expect_code(0);
    }
    let line = format!("{TRAIN} parts");
    let port = free_port();
    let again =
        [0, 1].map(|index| Watched::start(rank(&place, index, port, &line).env("TORCHELASTIC_RESTART_COUNT", "1")));
    let [first, _] = again.map(|process| process.end().0.expect_code(0));
    assert!(first.stderr.contains("started anew: going on from the checkpoint"), "{first}");
    let whole = format!("{TRAIN} whole");
    for run in both(&place, [&whole, &whole]) {
        run.expect_code(0);
    }
    last(&place, "parts").assert_same_run(&last(&place, "whole"));
}
