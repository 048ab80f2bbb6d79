//! The reading room at length: many callers at once, kills between edit and signature, steady load.

pub mod client;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::batch;
use super::figures::{Figures, median};
use super::programs::{self, Programs};
use super::random::Random;
use super::words::Words;
use crate::workspace::Workspace;
use client::Room;

/// Bytes of memory at the peak, with the demo bundle.
const LARGEST_MEMORY: u64 = 600_000_000;
/// Of the images that `generate` drafts in the same time.
const LEAST_THROUGHPUT: f64 = 0.9;
/// Seconds from a file to the first words of its draft, on an idle machine.
const LONGEST_WAIT: f64 = 0.5;
/// Drafts whose first words are waited for.
const FIRST_WORDS: usize = 20;
/// KiB by which memory may differ from what it was after the first tenth of the steady load.
const MOST_GROWTH: u64 = 16 * 1024;
/// Callers of the steady load.
const STEADY_CLIENTS: usize = 4;
/// Studies that are decided and signed in a round that ends with a kill.
const STUDIES_A_KILL: usize = 3;

struct Trial {
    programs: Programs,
    bundle: PathBuf,
    folder: PathBuf,
    files: Vec<Vec<u8>>,
    options: String,
}

/// The proof: `[--images N] [--clients N] [--seconds S] [--kills N] [--steady S] [--workers N] [--seed S] [--bundle DIR]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let known = ["--images", "--clients", "--seconds", "--kills", "--steady", "--workers", "--seed", "--bundle"];
    let words = Words::parse("serve", arguments, &known, &[])?;
    let images = words.number("--images", 400usize)?;
    let folder = programs::folder(workspace, "serve")?;
    batch::images(&folder.join("images"), images)?;
    let files = (0..images).map(|index| Ok(fs::read(batch::image_path(&folder.join("images"), index))?));
    let files = files.collect::<Result<Vec<_>>>()?;
    let options = format!("--workers {}", words.number("--workers", 0usize)?);
    let bundle = batch::bundle(workspace, &words)?;
    let trial = Trial { programs: Programs::built(workspace)?, bundle, folder, files, options };
    let mut figures = Figures::default();
    trial.first_words(&mut figures)?;
    let seconds = Duration::from_secs(words.number("--seconds", 120u64)?);
    trial.many_callers(words.number("--clients", 32usize)?, seconds, &mut figures)?;
    trial.kills(words.number("--kills", 20usize)?, &mut Random::new(words.number("--seed", 1)?), &mut figures)?;
    trial.steady(Duration::from_secs(words.number("--steady", 600u64)?), &mut figures)?;
    Ok(figures.conclude())
}

impl Trial {
    fn command(&self, words: &str) -> Result<Command> {
        let mut command = self.programs.command("xreport", &self.folder, words)?;
        command.arg("--model").arg(&self.bundle);
        Ok(command)
    }

    fn serve(&self, records: &str) -> Result<Room> {
        Room::start(self.command(&format!("serve --port 0 --device cpu --records {records} {}", self.options))?)
    }

    /// Images a second of `generate` on the same folder.
    fn generate(&self) -> Result<f64> {
        let mut command = self.command("generate images --device cpu --fresh --out reports.csv")?;
        let started = Instant::now();
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("xreport starts")?;
        ensure!(status.success(), "generate failed: {status}");
        Ok(self.files.len() as f64 / started.elapsed().as_secs_f64())
    }

    fn first_words(&self, figures: &mut Figures) -> Result<()> {
        let room = self.serve("first")?;
        let wait = |index: usize| -> Result<f64> {
            let followed = room.follow(&self.files[index % self.files.len()])?;
            Ok(followed.first.context("a draft has words")?.as_secs_f64())
        };
        let waits = (0..FIRST_WORDS).map(wait).collect::<Result<Vec<_>>>()?;
        let longest = waits.iter().copied().fold(0.0, f64::max);
        let found = format!("{:.3} s, at most {longest:.3} s", median(&waits));
        figures.target("first words of a draft", found, "≤ 0.5 s", longest <= LONGEST_WAIT);
        Ok(())
    }

    fn many_callers(&self, clients: usize, time: Duration, figures: &mut Figures) -> Result<()> {
        let before = self.generate()?;
        let room = self.serve("many")?;
        let (drafted, away, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let started = Instant::now();
        self.callers(&room, clients, time, &|followed| match followed {
            Ok(client::Followed { drafted: true, status: 200, .. }) => drafted.fetch_add(1, Ordering::Relaxed),
            Ok(client::Followed { status: 429, .. }) => away.fetch_add(1, Ordering::Relaxed),
            _ => wrong.fetch_add(1, Ordering::Relaxed),
        });
        let rate = drafted.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
        let memory = room.memory("VmHWM:")? * 1024;
        drop(room);
        // What the machine does beside this changes: as much before as behind.
        let alone = f64::midpoint(before, self.generate()?);
        let wrong = wrong.load(Ordering::Relaxed);
        figures.inform("callers at once, for seconds", format!("{clients}, {}", time.as_secs()));
        figures.inform("drafts; turned away (429)", format!("{drafted:?}; {away:?}"));
        figures.target("other answers", wrong.to_string(), "0", wrong == 0);
        figures.inform("drafts a second; of generate", format!("{rate:.1}; {alone:.1}"));
        let ratio = rate / alone;
        figures.target("… of it", format!("{ratio:.2}"), "≥ 0.9", ratio >= LEAST_THROUGHPUT);
        let found = format!("{} MB", memory / 1_000_000);
        figures.target("memory at the peak", found, "< 600 MB", memory < LARGEST_MEMORY);
        Ok(())
    }

    /// Each caller submits one image after another and follows it to its end.
    fn callers(
        &self,
        room: &Room,
        clients: usize,
        time: Duration,
        tell: &(dyn Fn(Result<client::Followed>) -> usize + Sync),
    ) {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for client in 0..clients {
                scope.spawn(move || {
                    let mut index = client;
                    while started.elapsed() < time {
                        tell(room.follow(&self.files[index % self.files.len()]));
                        index += clients;
                    }
                });
            }
        });
    }

    fn kills(&self, kills: usize, random: &mut Random, figures: &mut Figures) -> Result<()> {
        let mut confirmed: Vec<(String, Value)> = Vec::new();
        let (mut lost, mut broken) = (0, 0);
        for _ in 0..kills {
            let mut room = self.serve("killed")?;
            let studies =
                (0..STUDIES_A_KILL).map(|index| room.draft(&self.files[index])).collect::<Result<Vec<_>>>()?;
            // As long as deciding and signing takes, roughly.
            let moment = Duration::from_secs_f64(random.fraction() * 0.12);
            let signed = std::thread::scope(|scope| {
                let signing = scope.spawn(|| studies.iter().map_while(|study| sign(&room, study)).collect::<Vec<_>>());
                std::thread::sleep(moment);
                let killed = Command::new("kill").args(["-9", &room.id().to_string()]).status();
                (signing.join().expect("signing does not panic"), killed)
            });
            signed.1.context("kill is there")?;
            room.kill()?;
            confirmed.extend(signed.0);
            let room = self.serve("killed")?;
            lost += confirmed.iter().filter(|(path, signature)| signature_at(&room, path) != *signature).count();
            broken += half_signed(&room)?;
        }
        figures.inform("kills; signatures that were confirmed", format!("{kills}; {}", confirmed.len()));
        figures.target("confirmed signatures that are lost", lost.to_string(), "0", lost == 0);
        figures.target("signatures that are half there", broken.to_string(), "0", broken == 0);
        figures.target("at least one was confirmed", yes(!confirmed.is_empty()), "yes", !confirmed.is_empty());
        Ok(())
    }

    fn steady(&self, time: Duration, figures: &mut Figures) -> Result<()> {
        let room = self.serve("steady")?;
        let (drafted, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |followed: Result<client::Followed>| {
            if followed.is_ok_and(|it| it.drafted) { &drafted } else { &wrong }.fetch_add(1, Ordering::Relaxed)
        };
        self.callers(&room, STEADY_CLIENTS, time / 10, &count);
        let (handles, memory) = (room.handles()?, room.memory("VmRSS:")?);
        self.callers(&room, STEADY_CLIENTS, time * 9 / 10, &count);
        let (handles_then, memory_then) = (room.handles()?, room.memory("VmRSS:")?);
        figures.inform("steady load, seconds; drafts", format!("{}; {drafted:?}", time.as_secs()));
        figures.target("without a draft", format!("{wrong:?}"), "0", wrong.load(Ordering::Relaxed) == 0);
        let flat = memory_then <= memory + MOST_GROWTH;
        figures.target("memory after a tenth; at the end", format!("{memory} KiB; {memory_then} KiB"), "flat", flat);
        let kept = handles_then <= handles;
        figures.target("file handles", format!("{handles}; {handles_then}"), "no more", kept);
        Ok(())
    }
}

/// Accepts every row and signs; where the study is and its signature, if that was confirmed.
fn sign(room: &Room, study: &Value) -> Option<(String, Value)> {
    let path = format!("/api/studies/{}", study["id"].as_str()?);
    let mut study = study.clone();
    for row in study["rows"].as_array()?.clone() {
        let change = json!({"revision": study["revision"], "row": row["number"], "decision": "accepted"});
        let (status, changed) = room.ask("POST", &format!("{path}/decisions"), Some(&change)).ok()?;
        (status == 200).then_some(())?;
        study = changed;
    }
    let change = json!({"revision": study["revision"], "signer": "Dr Proof"});
    let (status, signed) = room.ask("POST", &format!("{path}/signature"), Some(&change)).ok()?;
    (status == 200 && signed["signature"].is_object()).then(|| (path, signed["signature"].clone()))
}

fn signature_at(room: &Room, path: &str) -> Value {
    room.ask("GET", path, None).map(|(_, study)| study["signature"].clone()).unwrap_or_default()
}

/// Studies whose signature is not that of their text.
fn half_signed(room: &Room) -> Result<usize> {
    let (_, list) = room.ask("GET", "/api/studies", None)?;
    let mut broken = 0;
    for listed in list.as_array().context("a list")? {
        let id = listed["id"].as_str().context("an id")?;
        let (status, study) = room.ask("GET", &format!("/api/studies/{id}"), None)?;
        let signed = study["signature"].is_object();
        let whole = signed == (listed["state"] == "signed") && (!signed || study["signature"]["text"] == study["text"]);
        broken += usize::from(status != 200 || !whole);
    }
    Ok(broken)
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}
