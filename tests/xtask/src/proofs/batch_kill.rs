//! `kill -9` at random moments of a large batch, and shards of it: the union is the run that was let alone.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::batch::{self, Count, said};
use super::figures::Figures;
use super::programs::{self, Programs};
use super::random::Random;
use super::words::Words;
use crate::workspace::Workspace;

/// The forms that are killed in turn: what is given as --out, its table, its ledger.
const FORMS: [[&str; 3]; 2] =
    [["killed.csv", "killed.csv", "killed.csv.ledger.jsonl"], ["killed", "killed/index.csv", "killed/ledger.jsonl"]];
/// Parts that the job is divided into.
const SHARDS: usize = 4;

/// The proof: `[--images N] [--kills N] [--seed S] [--bundle DIR]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("batch-kill", arguments, &["--images", "--kills", "--seed", "--bundle"], &[])?;
    let (images, kills) = (words.number("--images", 1000usize)?, words.number("--kills", 20usize)?);
    let mut random = Random::new(words.number("--seed", 1)?);
    let folder = programs::folder(workspace, "batch-kill")?;
    let trial =
        Trial { programs: Programs::built(workspace)?, bundle: batch::bundle(workspace, &words)?, folder, images };
    batch::images(&trial.folder.join("images"), images)?;
    // Some that are none: their rows must be there once as well.
    for index in (7..images).step_by(50) {
        fs::write(batch::image_path(&trial.folder.join("images"), index), "no image")?;
    }
    let started = Instant::now();
    trial.to_the_end("alone.csv", "")?;
    let seconds = started.elapsed().as_secs_f64();
    let expected = said(&trial.folder.join("alone.csv"))?;
    println!("   the run that is let alone: {} rows in {seconds:.1} s", expected.len());

    let mut figures = Figures::default();
    figures.target(
        "rows of the run that is let alone",
        expected.len().to_string(),
        images.to_string(),
        expected.len() == images,
    );
    let distinct: HashSet<&String> = expected.iter().map(|row| &row[1]).collect();
    figures.inform("different texts among them", distinct.len().to_string());
    for ([out, table, ledger], kills) in FORMS.iter().zip([kills.div_ceil(2), kills / 2]) {
        let seen = trial.killed(out, ledger, kills, &mut random)?;
        figures.target(
            &format!("{out}: kills"),
            format!("{} (at {:?})", seen.len(), seen),
            kills.to_string(),
            seen.len() == kills,
        );
        let equal = said(&trial.folder.join(table))? == expected;
        figures.target(
            &format!("{out}: rows are those of the run that was let alone, each once"),
            yes(equal),
            "yes",
            equal,
        );
        if table.ends_with("index.csv") {
            let text = |id: &str| fs::read_to_string(trial.folder.join(out).join(format!("{id}.txt")));
            let mut drafted = expected.iter().filter(|row| row[2] == "ok");
            let whole =
                drafted.all(|row| text(&row[0]).is_ok_and(|said| said.starts_with(&format!("{}\n\n[", row[1]))));
            figures.target(&format!("{out}: text files say what the rows say"), yes(whole), "yes", whole);
        }
        let left = trial.unfinished_files()?;
        figures.target(&format!("{out}: half-written files at the end"), left.len().to_string(), "0", left.is_empty());
    }
    for index in 0..SHARDS {
        trial.to_the_end("shards.csv", &format!("--shard {index}/{SHARDS}"))?;
    }
    Trial::ends_well(&mut trial.programs.command("xreport", &trial.folder, "merge shards.csv")?)?;
    let equal = said(&trial.folder.join("shards.csv"))? == expected;
    figures.target(&format!("{SHARDS} shards joined are the whole"), yes(equal), "yes", equal);
    Ok(figures.conclude())
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

struct Trial {
    programs: Programs,
    bundle: PathBuf,
    folder: PathBuf,
    images: usize,
}

impl Trial {
    fn generate(&self, out: &str, options: &str) -> Result<Command> {
        let words = format!("generate images --device cpu --out {out} {options} --model");
        let mut command = self.programs.command("xreport", &self.folder, &words)?;
        command.arg(&self.bundle).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }

    fn to_the_end(&self, out: &str, options: &str) -> Result<()> {
        Self::ends_well(&mut self.generate(out, options)?)
    }

    /// 1 is well: some images are none.
    fn ends_well(command: &mut Command) -> Result<()> {
        let status = command.status().context("the program cannot be started")?;
        ensure!(matches!(status.code(), Some(0 | 1)), "{command:?} failed ({status})");
        Ok(())
    }

    /// Kills the run `kills` times, each at a random moment of what is left of it, then lets it end. How many results were
    /// written down at each kill.
    ///
    /// A moment is a number of further results, none among them, and some milliseconds more: by the clock alone a busy
    /// machine would be killed in its start each time.
    fn killed(&self, out: &str, ledger: &str, kills: usize, random: &mut Random) -> Result<Vec<usize>> {
        let mut seen: Vec<usize> = Vec::new();
        let mut count = Count::of(self.folder.join(ledger));
        while seen.len() < kills {
            let before = count.inputs();
            let further = random.fraction() * 2.0 * (self.images - before) as f64 / (kills - seen.len() + 1) as f64;
            let wanted = before + further as usize;
            let mut child = self.generate(out, "")?.spawn().context("the program cannot be started")?;
            while count.inputs() < wanted && child.try_wait()?.is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_secs_f64(0.05 * random.fraction()));
            child.kill().context("the program cannot be killed")?;
            match child.wait()?.code() {
                None => seen.push(count.inputs()),
                Some(0 | 1) => {
                    // It came to its end before: another run, from nothing.
                    self.remove(out)?;
                }
                Some(code) => bail!("the program failed by itself (exit code {code})"),
            }
            // A torn line is cut off by the next run: counted from the start again.
            count = Count::of(self.folder.join(ledger));
        }
        self.to_the_end(out, "")?;
        Ok(seen)
    }

    fn remove(&self, out: &str) -> Result<()> {
        let path = self.folder.join(out);
        if path.is_dir() {
            return fs::remove_dir_all(path).context("the output cannot be removed");
        }
        for file in [path, self.folder.join(format!("{out}.ledger.jsonl"))] {
            if file.exists() {
                fs::remove_file(file).context("the output cannot be removed")?;
            }
        }
        Ok(())
    }

    fn unfinished_files(&self) -> Result<Vec<PathBuf>> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    walk(&path, found)?;
                } else if path.extension().is_some_and(|extension| extension == "tmp") {
                    found.push(path);
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        walk(&self.folder, &mut found)?;
        Ok(found)
    }
}
