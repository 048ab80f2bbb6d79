//! Whoever reads stdout or stderr goes away, or the disk behind it is full: the work is done all the same, and every exit
//! code says how it went.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xreport_tests::Run;

use crate::checkpoint::Checkpoint;
use crate::trained::{STUDIES, with_model};
use crate::watched::{metrics, steps};
use crate::workplace::Workplace;

/// What has become of a stream that a program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// It is read to its end.
    Read,
    /// A pipe whose reader has gone, as behind `| head -1`.
    Left,
    /// Nothing more fits, as on a full disk.
    #[cfg(target_os = "linux")]
    Full,
    /// It was closed before the program began, as by `2>&-`.
    Closed,
}

const GONE: &[Stream] = &[
    Stream::Left,
    #[cfg(target_os = "linux")]
    Stream::Full,
    Stream::Closed,
];

/// What a person sees of a fault in the program itself.
const PANIC: &str = "panicked at";

/// The command with its streams as named. A shell closes and redirects them, then becomes the program.
fn with_streams(command: &Command, stdout: Stream, stderr: Stream) -> Command {
    let redirected = |number: u8, stream: Stream| match stream {
        Stream::Read | Stream::Left => String::new(),
        #[cfg(target_os = "linux")]
        Stream::Full => format!(" {number}>/dev/full"),
        Stream::Closed => format!(" {number}>&-"),
    };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!(r#"exec "$0" "$@"{}{}"#, redirected(1, stdout), redirected(2, stderr)));
    shell.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    if stdout == Stream::Left {
        shell.stdout(pipe_without_reader());
    }
    if stderr == Stream::Left {
        shell.stderr(pipe_without_reader());
    }
    shell
}

fn pipe_without_reader() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn run(place: &Workplace, program: &str, line: &str, stdout: Stream, stderr: Stream) -> Run {
    let run = Run::of(&mut with_streams(&place.command(program, line), stdout, stderr));
    assert!(!run.stderr.contains(PANIC), "{stdout:?}, {stderr:?}\n{run}");
    run
}

/// Commands that end by themselves: program, line, exit code, the file by which its work is done, whether it prints results.
const COMMANDS: [(&str, &str, i32, &str, bool); 6] = [
    ("xreport", "generate data/images --model model --out OUT/drafts.csv", 1, "drafts.csv", false),
    ("xreport", "info model --json", 0, "", true),
    ("xreport-train", "dataset validate --data data --settings settings.json --out OUT", 0, "validation.json", true),
    (
        "xreport-train",
        "score --generated data/XREPORT_dataset.csv --references data/XREPORT_dataset.csv --per-report OUT/scores.csv",
        0,
        "scores.csv",
        true,
    ),
    (
        "xreport-train",
        "evaluate --model model --data data --set evaluation.VALIDATION_SIZE=0.5 --out OUT",
        0,
        "results.json",
        true,
    ),
    ("xreport-train", "train --data data --settings settings.json --out OUT", 0, "bundle/bundle.json", false),
];

/// A trained model, a data set with an image that cannot be read, and settings.
fn scene() -> Workplace {
    let place = with_model();
    place.write("data/images/broken.png", "no image");
    place.write("settings.json", crate::workplace::tiny_settings(&[]));
    place
}

/// Runs each command with these streams, and hands over how each ended and whether it prints results.
fn each(place: &Workplace, stdout: Stream, stderr: Stream, check: impl Fn(Run, i32, bool)) {
    for (index, (program, line, code, file, prints)) in COMMANDS.into_iter().enumerate() {
        let out = format!("out-{stdout:?}-{stderr:?}-{index}");
        fs::create_dir(place.path(&out)).unwrap();
        let ended = run(place, program, &line.replace("OUT", &out), stdout, stderr);
        assert!(file.is_empty() || place.has(&format!("{out}/{file}")), "{file}\n{ended}");
        assert!(place.leftovers(&out).is_empty(), "{:?}", place.leftovers(&out));
        check(ended, code, prints);
    }
}

#[test]
fn messages_that_nobody_reads_cost_no_work() {
    let place = scene();
    for &stderr in GONE {
        each(&place, Stream::Read, stderr, |ended, code, prints| {
            let ended = ended.expect_code(code);
            assert_eq!(!ended.stdout.is_empty(), prints, "{ended}");
        });
    }
}

#[test]
fn results_that_nobody_reads_are_no_error_and_such_that_do_not_fit_are_one() {
    let place = scene();
    for &stdout in GONE {
        each(&place, stdout, Stream::Read, |ended, code, prints| {
            let full = prints && !matches!(stdout, Stream::Left | Stream::Closed);
            let ended = ended.expect_code(if full { 2 } else { code });
            let told = ended.stderr.contains("error: cannot write to standard output: No space left on device");
            assert_eq!(told, full, "{ended}");
            assert_eq!(ended.stderr.contains("error: "), full, "{ended}");
            assert!(!full || ended.stderr.contains("hint: "), "{ended}");
        });
    }
}

#[test]
fn with_both_streams_gone_every_command_still_ends_as_it_should() {
    let place = scene();
    for &both in GONE {
        each(&place, both, both, |ended, code, prints| {
            let full = prints && !matches!(both, Stream::Left | Stream::Closed);
            ended.expect_code(if full { 2 } else { code });
        });
    }
    // No message went into a file that was opened where a stream had been.
    let out = format!("out-{0:?}-{0:?}-", Stream::Closed);
    let ledger = place.read(&format!("{out}0/drafts.csv.ledger.jsonl"));
    let kinds: Vec<Value> =
        ledger.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds.len(), STUDIES + 3, "{ledger}");
    assert_eq!(place.csv(&format!("{out}0/drafts.csv")).len(), STUDIES + 1);
    let training = format!("{out}5");
    let text = place.read(&format!("{training}/metrics.jsonl"));
    assert_eq!(metrics(place.path(&training)).len(), text.lines().count(), "{text}");
    let checkpoint = Checkpoint::read(&place.path(&training).join("last.safetensors"));
    assert_eq!(checkpoint.number("step") as usize, steps(&metrics(place.path(&training))).len());
    place.xreport(&format!("verify {training}/bundle")).expect_code(0);
}

#[test]
fn help_and_version_behave_like_results() {
    let place = Workplace::new();
    for program in ["xreport", "xreport-train"] {
        for line in ["--help", "--version", "help score", "help generate"] {
            let code = place_code(&place, program, line);
            for &stdout in GONE {
                let full = code == 0 && !matches!(stdout, Stream::Left | Stream::Closed);
                let ended = run(&place, program, line, stdout, Stream::Read).expect_code(if full { 2 } else { code });
                let told = ended.stderr.contains("error: cannot write to standard output: ");
                assert_eq!(told, full, "{ended}");
            }
        }
        for &stderr in GONE {
            run(&place, program, "--no-such-option", Stream::Read, stderr).expect_code(2);
        }
    }
}

fn place_code(place: &Workplace, program: &str, line: &str) -> i32 {
    run(place, program, line, Stream::Read, Stream::Read).code.unwrap()
}

/// A program whose output `tee` writes into a file.
struct Teed {
    program: Child,
    tee: Child,
}

impl Teed {
    /// `COMMAND 2>&1 | tee log`.
    fn start(place: &Workplace, mut command: Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut tee = Command::new("tee");
        let tee = tee.arg(place.path("log")).stdin(reader).stdout(Stdio::null()).spawn().unwrap();
        let program = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        Self { program, tee }
    }

    /// Waits until `reached`, while the program runs.
    fn until(&mut self, reached: impl Fn() -> bool) {
        while !reached() {
            assert_eq!(self.program.try_wait().unwrap(), None, "it must be met on its way");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ctrl-C: the terminal sends SIGINT to all; `tee` dies of it at once. How the program ends.
    fn interrupt(mut self) -> Option<i32> {
        signal(&self.tee, "INT");
        self.tee.wait().unwrap();
        signal(&self.program, "INT");
        self.program.wait().unwrap().code()
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_training_whose_log_is_teed_saves_its_last_step_and_its_bundle_on_ctrl_c() {
    let changes = [("training.EPOCHS", json!(100_000)), ("training.SAVE_EVERY_STEPS", json!(0))];
    let place = Workplace::with_data(12, &changes);
    let line = "train --data data --settings settings.json --out run";
    let mut teed = Teed::start(&place, place.command("xreport-train", line));
    teed.until(|| metrics(place.path("run")).iter().any(|line| line["kind"] == "epoch"));
    assert_eq!(teed.interrupt(), Some(0), "{}", place.read("log"));
    let trained = *steps(&metrics(place.path("run"))).last().unwrap();
    let checkpoint = Checkpoint::read(&place.path("run/last.safetensors"));
    assert_eq!(checkpoint.number("step") as u64, trained, "no step is lost");
    place.xreport("verify run/bundle").expect_code(0);
    assert!(place.has("run/training_curve.svg"));
}

#[test]
fn a_batch_whose_log_is_teed_ends_on_ctrl_c_and_goes_on() {
    let place = with_model();
    for copy in 0..20 {
        crate::trained::copy(&place.path("data/images"), &place.path(format!("many/{copy:02}")));
        place.write(&format!("many/{copy:02}/broken.png"), "no image");
    }
    let line = "generate many --model model --batch-size 1 --threads 1 --out drafts.csv";
    let mut teed = Teed::start(&place, place.command("xreport", line));
    let ledger = place.path("drafts.csv.ledger.jsonl");
    teed.until(|| fs::read_to_string(&ledger).is_ok_and(|text| text.lines().count() > 3));
    assert_eq!(teed.interrupt(), Some(3), "{}", place.read("log"));
    let rest = place.xreport(line).expect_code(1);
    assert!(rest.stderr.contains(" done before; 660 images in all"), "{rest}");
    assert_eq!(place.csv("drafts.csv").len(), 660);
}

/// A server that watches a folder, and whose log is read until it serves.
struct Served {
    server: Child,
    address: String,
}

impl Served {
    fn start(place: &Workplace, stderr: Stream) -> Self {
        let line = "serve --model model --records records --watch incoming --settle 0.2 --threads 1";
        // Any free port; where nobody can read which it is, one that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = if stderr == Stream::Left { 0 } else { free };
        let command = place.command("xreport", &format!("{line} --port {port}"));
        if stderr != Stream::Left {
            let server = with_streams(&command, stderr, stderr).spawn().unwrap();
            return Self { server, address: format!("127.0.0.1:{free}") };
        }
        let mut command = command;
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("http://")?.1.split('/').next()?.to_owned()));
        // The log's reader goes.
        drop(lines);
        Self { server, address: address.expect("it serves") }
    }

    /// The worklist.
    fn studies(&self) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET /api/studies HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Waits until so many studies are drafted.
    fn until_drafted(&self, count: usize) {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < Duration::from_mins(1) {
            last = self.studies();
            let text = last.as_ref().map(Value::to_string).unwrap_or_default();
            if text.matches(r#""state":"drafted""#).count() >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{count} drafts expected, found {last:?}");
    }

    fn end(mut self) -> Option<i32> {
        signal(&self.server, "TERM");
        self.server.wait().unwrap().code()
    }
}

#[test]
fn a_watched_folder_is_drafted_on_when_nobody_reads_the_servers_log() {
    let place = with_model();
    let image = |number: usize| fs::read(place.path(format!("data/images/s{number:02}.png"))).unwrap();
    for &stderr in GONE {
        let _ = fs::remove_dir_all(place.path("records"));
        place.write("incoming/1.png", image(1));
        let served = Served::start(&place, stderr);
        served.until_drafted(1);
        // The folder goes, which the watcher has to say.
        fs::rename(place.path("incoming"), place.path("away")).unwrap();
        std::thread::sleep(Duration::from_secs(1));
        fs::rename(place.path("away"), place.path("incoming")).unwrap();
        place.write("incoming/2.png", image(2));
        served.until_drafted(2);
        assert_eq!(served.end(), Some(0), "{stderr:?}");
        fs::remove_dir_all(place.path("incoming")).unwrap();
    }
}
