//! `xreport generate` over many images: killed, stopped, continued, divided, joined, watched.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use xreport_tests::{Run, skipped};

use crate::scenes;
use crate::trained::{STUDIES, with_model};
use crate::watched::Watched;
use crate::workplace::{Row, Workplace};

/// Image by image, so that a run can be met anywhere.
const SLOWLY: &str = "generate data/images --model model --batch-size 1 --threads 1";

/// What a row says, without what may differ by time.
fn said(row: &Row) -> [String; 7] {
    ["id", "text", "status", "error", "tokens", "finish", "bundle"].map(|column| row[column].to_owned())
}

/// The rows of a table in any form; text files are checked against their index.
fn rows(place: &Workplace, out: &str) -> Vec<[String; 7]> {
    let extension = std::path::Path::new(out).extension().and_then(std::ffi::OsStr::to_str);
    if extension == Some("csv") {
        return place.csv(out).iter().map(said).collect();
    }
    if extension == Some("jsonl") {
        let lines = place.read(out);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let columns = ["id", "text", "status", "error", "tokens", "finish", "bundle"];
        return lines.map(|line| columns.map(|column| plain(&line[column]).replace("null", ""))).collect();
    }
    let index = place.csv(&format!("{out}/index.csv"));
    let texts = place.files(out).into_iter().filter(|file| file.ends_with(".png.txt")).count();
    assert_eq!(texts, index.iter().filter(|row| &row["status"] == "ok").count(), "{:?}", place.files(out));
    for row in index.iter().filter(|row| &row["status"] == "ok") {
        let text = place.read(&format!("{out}/{}.txt", &row["id"]));
        assert!(text.starts_with(&format!("{}\n\n[", &row["text"])), "{text}");
    }
    index.iter().map(said).collect()
}

/// Lines about inputs that are whole in a ledger.
fn written_down(place: &Workplace, ledger: &str) -> usize {
    let text = fs::read(place.path(ledger)).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .split_inclusive('\n')
        .filter(|line| line.contains(r#""kind":"input""#) && line.ends_with('\n'))
        .count()
}

/// The whole ledger's lines.
fn ledger(place: &Workplace, path: &str) -> Vec<Value> {
    place.read(path).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_killed_run_goes_on_and_every_image_is_there_once() {
    let place = with_model();
    place.write("data/images/broken.png", "no image");
    place.xreport("generate data/images --model model --out whole.csv").expect_code(1);
    let expected = rows(&place, "whole.csv");
    assert_eq!(expected.len(), STUDIES + 1);
    for (out, record) in
        [("out.csv", "out.csv.ledger.jsonl"), ("out.jsonl", "out.jsonl.ledger.jsonl"), ("out", "out/ledger.jsonl")]
    {
        let line = format!("{SLOWLY} --out {out}");
        let mut killed = 0;
        for done in [0, 1, 7, 20] {
            let mut run = Watched::start(&mut place.command("xreport", &line));
            if run.until(|| written_down(&place, record) >= done && place.has(record)) {
                run.signal("KILL");
            }
            killed += usize::from(run.end().0.code.is_none());
        }
        assert!(killed >= 3, "{killed} of 4 runs of {out} were killed on their way");
        let last = place.xreport(&line).expect_code(1);
        assert!(last.stderr.contains("done before") && last.stderr.contains("33 images in all"), "{last}");
        assert_eq!(rows(&place, out), expected, "{out}");
        assert!(place.leftovers("").is_empty(), "{:?}", place.leftovers(""));
        // Nothing is left to do: the same again, and at once.
        let again = place.xreport(&line).expect_code(1);
        assert!(again.stderr.contains("0 reports drafted, 1 failed, 32 done before"), "{again}");
        assert_eq!(rows(&place, out), expected, "{out}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_run_between_images_and_the_same_command_goes_on() {
    let place = with_model();
    for copy in 0..20 {
        crate::trained::copy(&place.path("data/images"), &place.path(format!("many/{copy:02}")));
    }
    let images = 20 * STUDIES;
    place.xreport("generate many --model model --out whole.csv").expect_code(0);
    for (signal, out) in [("TERM", "a.csv"), ("INT", "b.csv")] {
        let line = format!("generate many --model model --batch-size 1 --threads 1 --out {out}");
        let record = format!("{out}.ledger.jsonl");
        let mut run = Watched::start(&mut place.command("xreport", &line));
        assert!(run.until(|| written_down(&place, &record) >= 3), "it must be met on its way");
        run.signal(signal);
        let run = run.end().0.expect_code(3);
        assert!(run.stderr.contains("not reached: the same command goes on"), "{run}");
        assert!(!place.has(out));
        let done = written_down(&place, &record);
        assert!((3..images).contains(&done));
        let rest = place.xreport(&line).expect_code(0);
        let counts = format!("{} reports drafted, 0 failed, {done} done before; {images} images in all", images - done);
        assert!(rest.stderr.contains(&counts), "`{counts}` expected\n{rest}");
        assert_eq!(rows(&place, out), rows(&place, "whole.csv"));
    }
}

#[test]
fn what_is_done_is_kept_and_what_has_changed_is_done_again() {
    let place = with_model();
    place.write("in/a.png", fs::read(place.path("data/images/s00.png")).unwrap());
    place.write("in/c.png", fs::read(place.path("data/images/s02.png")).unwrap());
    place.write("in/d.png", "no image yet");
    let run = "generate in --model model --out out";
    place.xreport(run).expect_code(1);
    let first = place.csv("out/index.csv");
    let entries = ledger(&place, "out/ledger.jsonl");
    let entry = entries.iter().find(|entry| entry["id"] == "a.png").unwrap();
    let bytes = fs::metadata(place.path("in/a.png")).unwrap().len();
    assert_eq!((&entry["state"], &entry["bytes"]), (&Value::from("done"), &Value::from(bytes)));
    assert_eq!(entry["sha256"].as_str().unwrap().len(), 64);
    assert!(entry["time"].as_str().unwrap().ends_with('Z'));

    // One comes, one goes, one is replaced, one is mended, one has lost its text.
    place.write("in/b.png", fs::read(place.path("data/images/s01.png")).unwrap());
    place.write("in/d.png", fs::read(place.path("data/images/s03.png")).unwrap());
    fs::remove_file(place.path("out/a.png.txt")).unwrap();
    let second = place.xreport(run).expect_code(0);
    assert!(second.stderr.contains("2 reports drafted, 0 failed, 2 done before; 4 images in all"), "{second}");
    let rows = place.csv("out/index.csv");
    assert_eq!(rows.iter().map(|row| row["id"].to_owned()).collect::<Vec<_>>(), ["a.png", "b.png", "c.png", "d.png"]);
    assert_eq!(&rows[0]["seconds"], &first[0]["seconds"], "not done again");
    assert!(place.has("out/a.png.txt"), "written again, from the ledger");
    place.write("in/c.png", fs::read(place.path("data/images/s03.png")).unwrap());
    fs::remove_file(place.path("in/a.png")).unwrap();
    place.write("in/d.png", "no image any more");
    let third = place.xreport(run).expect_code(1);
    assert!(third.stderr.contains("1 reports drafted, 1 failed, 1 done before; 3 images in all"), "{third}");
    let rows = place.csv("out/index.csv");
    assert_eq!(rows.iter().map(|row| row["id"].to_owned()).collect::<Vec<_>>(), ["b.png", "c.png", "d.png"]);
    assert_eq!(&rows[1]["text"], scenes::text(3));
    assert!(!place.has("out/d.png.txt"), "no text of an image that is none");
}

#[test]
fn results_of_other_settings_are_not_mixed() {
    let place = with_model();
    place.xreport("generate data/images --model model --out out.csv --max-tokens 3").expect_code(0);
    let before = place.read("out.csv");
    for (options, said) in [
        ("--max-tokens 4", "`max_tokens` is \"4\" now and was \"3\" there"),
        ("", "`max_tokens` is nothing now and was \"3\" there"),
        ("--max-tokens 3 --token-ids", "`token_ids` is \"true\" now and was \"false\" there"),
    ] {
        let run = place.xreport(&format!("generate data/images --model model --out out.csv {options}")).expect_code(2);
        assert!(run.stderr.contains(said) && run.stderr.contains("hint: --fresh"), "`{said}` expected\n{run}");
        assert_eq!(place.read("out.csv"), before);
    }
    // What changes no row changes no run.
    let line = "generate data/images --model model --out out.csv --max-tokens 3 --batch-size 2 --threads 1";
    assert!(place.xreport(line).expect_code(0).stderr.contains("32 done before"));
    place.xreport("generate data/images --model model --out out.csv --fresh").expect_code(0);
    assert!(place.csv("out.csv").iter().all(|row| &row["finish"] == "end"));

    // A table that this program has not written is not replaced.
    for out in ["mine.csv", "mine/index.csv"] {
        place.write(out, "id,text\n");
        let line = format!("generate data/images --model model --out {}", out.trim_end_matches("/index.csv"));
        let run = place.xreport(&line).expect_code(2);
        assert!(run.stderr.contains(&format!("cannot write `{out}`: it is there already")), "{run}");
        assert_eq!(place.read(out), "id,text\n");
        place.xreport(&format!("{line} --fresh")).expect_code(0);
    }
}

/// Every shard of four, each as its scheduler would start it.
fn run_shards(place: &Workplace, out: &str, start: impl Fn(usize) -> (String, Vec<(&'static str, String)>)) {
    for index in 0..4 {
        let (shard, variables) = start(index);
        let mut command =
            place.command("xreport", &format!("generate data/images --model model --out {out} --shard {shard}"));
        command.envs(variables);
        let run = Run::of(&mut command).expect_code(i32::from(index == SHARD_OF_BROKEN));
        assert!(run.stderr.contains(&format!("xreport merge {out}")), "{run}");
    }
}

/// Where `broken.png` falls.
const SHARD_OF_BROKEN: usize = 0;

#[test]
fn shards_joined_equal_the_whole() {
    let place = with_model();
    place.write("data/images/broken.png", "no image");
    place.xreport("generate data/images --model model --out whole.csv").expect_code(1);
    let expected = rows(&place, "whole.csv");
    run_shards(&place, "named.csv", |index| (format!("{index}/4"), vec![]));
    run_shards(&place, "slurm", |index| {
        let set = |name, value: usize| (name, value.to_string());
        let [id, count] = ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"];
        ("auto".into(), vec![set(id, index + 1), set(count, 4), set("SLURM_ARRAY_TASK_MIN", 1)])
    });
    run_shards(&place, "kubernetes.jsonl", |index| {
        let [index, count] = [("JOB_COMPLETION_INDEX", index.to_string()), ("JOB_COMPLETION_COUNT", "4".into())];
        ("auto".into(), vec![index, count])
    });
    for out in ["named.csv", "slurm", "kubernetes.jsonl"] {
        assert!(out == "slurm" || !place.has(out), "joined when all are done");
        let run = place.xreport(&format!("merge {out}")).expect_code(1);
        assert!(run.stderr.contains("4 shards joined: 33 inputs, 32 reports drafted, 1 failed"), "{run}");
        assert_eq!(rows(&place, out), expected, "{out}");
        // The whole goes on from the joined ledger.
        let whole = place.xreport(&format!("generate data/images --model model --out {out}")).expect_code(1);
        assert!(whole.stderr.contains("0 reports drafted, 1 failed, 32 done before"), "{whole}");
        assert_eq!(rows(&place, out), expected, "{out}");
    }
    let lone = place.xreport("generate data/images --model model --out named.csv --shard 0/1").expect_code(2);
    assert!(lone.stderr.contains("holds shards of 4, and this is one of 1"), "{lone}");
}

#[test]
fn shards_that_do_not_add_up_are_not_joined() {
    let place = with_model();
    let refused = |said: &str| {
        let run = place.xreport("merge out.csv").expect_code(2);
        assert!(run.stderr.contains(said) && run.stderr.contains("hint: "), "`{said}` expected\n{run}");
        assert!(!place.has("out.csv"));
    };
    let shard = |index: usize, options: &str| {
        place.xreport(&format!("generate data/images --model model --out out.csv --shard {index}/2 {options}"))
    };
    refused("no shard's ledger in `out.csv.shards`");
    shard(0, "").expect_code(0);
    refused("not all shards are done: 1/2 not there");
    shard(1, "--max-tokens 3").expect_code(0);
    refused("`max_tokens`");
    shard(1, "--fresh").expect_code(0);
    let record = place.path("out.csv.shards/1-of-2.ledger.jsonl");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() - 30]).unwrap();
    refused("not all shards are done: 1/2 not at an end");
    fs::copy(place.path("data/images/s00.png"), place.path("data/images/new.png")).unwrap();
    shard(1, "").expect_code(0);
    refused("the inputs changed while the shards ran: shard 0/2 saw 32 of them, shard 1/2 33");
    shard(0, "").expect_code(0);
    place.xreport("merge out.csv").expect_code(0);
    assert_eq!(place.csv("out.csv").len(), 33);
    for (line, said) in [("--shard 2/2", "expected i/N"), ("--shard auto", "neither SLURM_ARRAY_TASK_ID nor")] {
        let run = place.xreport(&format!("generate data/images --model model --out other.csv {line}")).expect_code(2);
        assert!(run.stderr.contains(said), "{run}");
    }
}

#[cfg(unix)]
#[test]
fn a_watched_folder_is_drafted_as_it_fills_and_a_file_is_taken_once_and_whole() {
    const REST: f64 = 2.0;
    let place = with_model();
    fs::create_dir(place.path("hot")).unwrap();
    let line = format!("generate hot --model model --out out.csv --watch --settle {REST}");
    let mut run = Watched::start(&mut place.command("xreport", &line));
    assert!(run.until(|| place.has("out.csv.ledger.jsonl")), "it must be watching before the file comes");
    // Trickles in over 10 seconds, with pauses that are shorter than the rest that makes a file whole.
    let bytes = fs::read(place.path("data/images/s00.png")).unwrap();
    let mut file = fs::File::create(place.path("hot/a.png")).unwrap();
    let mut longest = Duration::ZERO;
    for part in bytes.chunks(bytes.len() / 20 + 1) {
        let started = Instant::now();
        file.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        longest = longest.max(started.elapsed());
    }
    if longest.as_secs_f64() > REST * 0.7 {
        run.signal("KILL");
        return skipped("this machine is too busy: a file that should trickle came in fits and starts");
    }
    let record = "out.csv.ledger.jsonl";
    assert!(run.until(|| written_down(&place, record) >= 1));
    place.write("hot/sub/b.png", fs::read(place.path("data/images/s01.png")).unwrap());
    place.write("hot/c.png", "no image");
    assert!(run.until(|| written_down(&place, record) >= 3));
    // A viewer may take images away; their rows stay.
    fs::remove_file(place.path("hot/a.png")).unwrap();
    place.write("hot/c.png", fs::read(place.path("data/images/s02.png")).unwrap());
    assert!(run.until(|| written_down(&place, record) >= 4));
    assert!(run.until(|| place.has("out.csv") && place.read("out.csv").contains("c.png,")));
    // It looks again a few times, and takes nothing twice.
    let started = Instant::now();
    assert!(run.until(|| started.elapsed() > Duration::from_secs_f64(2.0 * REST)));
    run.signal("TERM");
    let (run, _) = run.end();
    let run = run.expect_code(1);
    assert!(run.stderr.contains("3 reports drafted, 1 failed; 4 images in all"), "{run}");
    let ids: Vec<_> =
        ledger(&place, record).iter().filter_map(|line| Some(line["row"]["id"].as_str()?.to_owned())).collect();
    assert_eq!(ids.iter().filter(|id| *id == "a.png").count(), 1, "{ids:?}");
    let rows = place.csv("out.csv");
    assert_eq!(rows.iter().map(|row| row["id"].to_owned()).collect::<BTreeSet<_>>().len(), 3);
    for (row, index) in [("a.png", 0), ("sub/b.png", 1), ("c.png", 2)] {
        let found = rows.iter().find(|found| &found["id"] == row).unwrap();
        assert_eq!((&found["text"], &found["status"]), (scenes::text(index), "ok"));
    }
}

#[cfg(unix)]
#[test]
fn what_stands_in_a_watchers_way_is_told_once_and_the_rest_is_drafted() {
    let place = with_model();
    for folder in ["one", "two"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    let image = |index: usize| fs::read(place.path(format!("data/images/s0{index}.png"))).unwrap();
    let mut run = Watched::start(
        &mut place.command("xreport", "generate one two --model model --out out.csv --watch --settle 0.2"),
    );
    let record = "out.csv.ledger.jsonl";
    assert!(run.until(|| place.has(record)));
    place.write("one/a.png", image(0));
    assert!(run.until(|| written_down(&place, record) >= 1));
    // A second file of that id, and a folder that is away for a while.
    place.write("two/a.png", image(1));
    place.write("two/b.png", image(1));
    assert!(run.until(|| written_down(&place, record) >= 2));
    fs::remove_dir_all(place.path("two")).unwrap();
    let started = Instant::now();
    assert!(run.until(|| started.elapsed() > Duration::from_secs(1)));
    place.write("two/c.png", image(2));
    assert!(run.until(|| written_down(&place, record) >= 3));
    run.signal("TERM");
    let run = run.end().0.expect_code(0);
    assert_eq!(run.stderr.matches("two inputs answer to the id `a.png`").count(), 1, "{run}");
    assert_eq!(run.stderr.matches("warning: no such file or folder: `two`; looking again").count(), 1, "{run}");
    let rows = place.csv("out.csv");
    let found: Vec<_> = rows.iter().map(|row| (&row["id"], &row["text"])).collect();
    assert_eq!(found, [("a.png", scenes::text(0)), ("b.png", scenes::text(1)), ("c.png", scenes::text(2))]);
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_images() {
    let place = with_model();
    for copy in 0..20 {
        crate::trained::copy(&place.path("data/images"), &place.path(format!("many/{copy:02}")));
    }
    let mut run = Watched::start(&mut place.command("xreport", "generate many --model model --out out.csv"));
    assert!(run.until(|| written_down(&place, "out.csv.ledger.jsonl") >= 200), "it must be met on its way");
    let early = run.peak().unwrap();
    let (run, last) = run.end();
    run.expect_code(0);
    let last = last.unwrap();
    assert!(last * 10 <= early * 11, "{early} kB after 200 images, {last} kB after 640");
    assert_eq!(place.csv("out.csv").len(), 640);
}

/// As `cargo xtask dist` lays it out: anywhere, with an empty environment, by a user who may not write there.
#[cfg(unix)]
#[test]
fn a_folder_that_was_copied_runs_anywhere_with_nothing_around_it() {
    let place = with_model();
    let line = place.xreport("doctor --model model").expect_code(0).stdout;
    let library = line.lines().find_map(|line| line.split_once("ONNX Runtime")?.1.split_once(" from ")).unwrap().1;
    let folder = place.path("a place/of its own");
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::copy(library, folder.join("lib").join(std::path::Path::new(library).file_name().unwrap())).unwrap();
    fs::copy(xreport_tests::binary("xreport"), folder.join("xreport")).unwrap();
    crate::trained::copy(&place.path("model"), &folder.join("models/demo"));
    fs::create_dir(place.path("work")).unwrap();
    fs::create_dir(place.path("home")).unwrap();
    for words in [&["doctor"][..], &["generate", "../data/images", "--out", "reports.csv"]] {
        let mut command = std::process::Command::new(folder.join("xreport"));
        command.args(words).current_dir(place.path("work")).env_clear().env("HOME", place.path("home"));
        Run::of(&mut command).expect_code(0);
    }
    // ONNX Runtime's telemetry would leave a device id there.
    assert!(place.files("home").is_empty(), "{:?}", place.files("home"));
    assert_eq!(place.csv("work/reports.csv").len(), STUDIES);
    assert_eq!(place.files("work"), ["reports.csv", "reports.csv.ledger.jsonl"], "nothing is written anywhere else");
}

#[test]
fn a_lists_bad_rows_fail_alone() {
    let place = with_model();
    place.write(
        "list.csv",
        b"path,note\ndata/images/s00.png,x\n\xff\xfe.png,x\ndata/images/s01.png,x,y,z\n,x\ndata/images/s02.png,\n",
    );
    let run = place.xreport("generate list.csv --model model --out out.csv").expect_code(1);
    assert!(run.stderr.contains("2 reports drafted, 3 failed; 5 images in all"), "{run}");
    let rows = place.csv("out.csv");
    let errors: Vec<_> = rows.iter().filter(|row| &row["status"] == "failed").collect();
    for (row, said) in
        errors.iter().zip(["the path is not UTF-8", "expected 2 cells as in the header, found 4", "no path"])
    {
        assert!(row["error"].contains(said) && row["error"].contains("`list.csv`, line "), "{}", &row["error"]);
    }
    assert_eq!(
        errors.iter().map(|row| row["id"].to_owned()).collect::<Vec<_>>(),
        ["list.csv:3", "list.csv:4", "list.csv:5"]
    );
}
