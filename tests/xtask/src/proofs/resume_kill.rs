//! `kill -9` at random moments of a training run: it goes on each time, and ends as if it had never been killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::Figures;
use super::programs::{self, Programs, output};
use super::random::Random;
use super::safetensors::Checkpoint;
use super::words::Words;
use crate::workspace::Workspace;

/// Steps between two saves: the most that a kill may lose.
const SAVE_EVERY: u64 = 3;
const LAST: &str = "last.safetensors";

/// The proof: `[--kills N] [--seed S] [--epochs N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("resume-kill", arguments, &["--kills", "--seed", "--epochs"], &[])?;
    let kills = words.number("--kills", 10usize)?;
    let mut random = Random::new(words.number("--seed", 1)?);
    let programs = Programs::built(workspace)?;
    let trial = Trial { programs, folder: programs::folder(workspace, "resume-kill")? };
    let seconds = trial.prepare(words.number("--epochs", 12)?)?;
    println!("   the run that is let alone: {seconds:.1} s");
    let reference = Checkpoint::read(&trial.folder.join("alone").join(LAST))?;

    let mut seen = Seen::default();
    // A run that ends before its kill comes is compared like the others, and the kills go on with a new one.
    while seen.kills < kills || seen.runs == 0 {
        let out = trial.folder.join(format!("killed-{}", seen.runs));
        trial.run_with_kills(&out, kills, seconds, &mut random, &mut seen)?;
        let last = Checkpoint::read(&out.join(LAST))?;
        seen.runs += 1;
        seen.equal += usize::from(last.step == reference.step && last.same_tensors(&reference));
        seen.left_behind += left_behind(&out)?;
    }
    let mut figures = Figures::default();
    figures.target("kills", seen.kills.to_string(), format!("{kills}"), seen.kills == kills);
    figures.inform("of these before the first save", seen.before_first_save.to_string());
    figures.target("checkpoints that did not load", seen.broken.to_string(), "0", seen.broken == 0);
    figures.target(
        "most steps that a kill lost",
        seen.most_lost.to_string(),
        format!("≤ {}, the steps between two saves and those while one is written", 2 * SAVE_EVERY),
        seen.most_lost <= 2 * SAVE_EVERY,
    );
    figures.inform("half-written files that stayed behind under hidden names", seen.left_behind.to_string());
    let what = format!("runs whose tensors are the uninterrupted run's, byte for byte (step {})", reference.step);
    figures.target(&what, format!("{} of {}", seen.equal, seen.runs), "all", seen.equal == seen.runs);
    Ok(figures.conclude())
}

/// What the kills did.
#[derive(Debug, Default)]
struct Seen {
    kills: usize,
    before_first_save: usize,
    broken: usize,
    most_lost: u64,
    runs: usize,
    equal: usize,
    left_behind: usize,
}

struct Trial {
    programs: Programs,
    folder: PathBuf,
}

impl Trial {
    /// Draws the data, writes the settings, and trains once without a kill; its seconds.
    fn prepare(&self, epochs: u64) -> Result<f64> {
        output(&mut self.trainer("dataset phantoms --out data --samples 60 --size 64 --seed 4")?)?;
        // Dropout and augmentation draw random numbers at every step: resuming must find them again.
        let settings = json!({
            "dataset": {"MAX_REPORT_SIZE": 48, "VALIDATION_SIZE": 0.2, "IMG_AUGMENT": true},
            "model": {
                "IMG_SHAPE": [64, 64, 1], "CONV_CHANNELS": [8, 16, 16], "EMBEDDING_DIMS": 32, "NUM_HEADS": 2,
                "NUM_ENCODERS": 1, "NUM_DECODERS": 1, "DROPOUT": 0.1,
            },
            "training": {
                "EPOCHS": epochs, "BATCH_SIZE": 4, "LEARNING_RATE": 0.003, "WARMUP_STEPS": 5, "NUM_PROCESSORS": 1,
                "SAVE_EVERY_STEPS": SAVE_EVERY, "ML_DEVICE": "cpu",
            },
        });
        fs::write(self.folder.join("settings.json"), settings.to_string()).context("the settings cannot be written")?;
        let started = Instant::now();
        output(&mut self.start(Path::new("alone"))?)?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn trainer(&self, words: &str) -> Result<Command> {
        self.programs.command("xreport-train", &self.folder, words)
    }

    /// A new run, or the rest of one.
    fn start(&self, out: &Path) -> Result<Command> {
        let is_there = self.folder.join(out).join(LAST).is_file();
        let mut command =
            self.trainer(if is_there { "resume" } else { "train --data data --settings settings.json --out" })?;
        command.arg(out);
        Ok(command)
    }

    /// One run to its end, killed on the way until there are `kills`.
    fn run_with_kills(
        &self,
        out: &Path,
        kills: usize,
        seconds: f64,
        random: &mut Random,
        seen: &mut Seen,
    ) -> Result<()> {
        loop {
            let mut command = self.start(out)?;
            if seen.kills >= kills {
                output(&mut command)?;
                return Ok(());
            }
            // Anywhere from the program's start to a good way into the run.
            let moment = Duration::from_secs_f64(seconds * 0.5 * random.fraction());
            if !killed(command.stdout(Stdio::null()).stderr(Stdio::null()), moment)? {
                return Ok(());
            }
            seen.kills += 1;
            self.look(out, moment, seen)?;
        }
    }

    /// What a kill left in the checkpoint's folder.
    fn look(&self, out: &Path, moment: Duration, seen: &mut Seen) -> Result<()> {
        let told = last_step_told(&out.join("metrics.jsonl"))?;
        let (kill, after) = (seen.kills, moment.as_secs_f64());
        if !out.join(LAST).exists() {
            seen.before_first_save += 1;
            seen.most_lost = seen.most_lost.max(told);
            println!("   kill {kill} after {after:.2} s: before the first save, at step {told}");
            return Ok(());
        }
        let files = [LAST, "best.safetensors"].map(|name| out.join(name));
        for file in files.iter().filter(|file| file.exists()) {
            if let Err(error) = Checkpoint::read(file) {
                println!("   kill {kill} after {after:.2} s: {error:#}");
                seen.broken += 1;
            }
        }
        let bundle = out.join("bundle");
        if bundle.exists() {
            output(self.programs.command("xreport", &self.folder, "verify")?.arg(&bundle))?;
        }
        let saved = Checkpoint::read(&files[0]).map_or(0, |checkpoint| checkpoint.step);
        seen.most_lost = seen.most_lost.max(told.saturating_sub(saved));
        println!("   kill {kill} after {after:.2} s: at step {told}, saved at {saved}");
        Ok(())
    }
}

/// Starts `command` and kills it after `moment`; `false` where it ended by itself before.
fn killed(command: &mut Command, moment: Duration) -> Result<bool> {
    let mut child = command.spawn().context("the trainer cannot be started")?;
    let started = Instant::now();
    while started.elapsed() < moment {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{command:?} failed by itself ({status})");
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // SIGKILL: the program has no chance to tidy up.
    child.kill()?;
    let status = child.wait()?;
    match status.code() {
        None => Ok(true),
        Some(0) => Ok(false),
        Some(code) => bail!("{command:?} failed by itself (exit code {code})"),
    }
}

/// The last step that the run told of; 0 where it had told of none. A line that was cut off does not count.
fn last_step_told(metrics: &Path) -> Result<u64> {
    if !metrics.exists() {
        return Ok(0);
    }
    let text = fs::read_to_string(metrics).with_context(|| format!("`{}`", metrics.display()))?;
    let steps = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["step"].as_u64());
    Ok(steps.max().unwrap_or(0))
}

/// Temporary files and folders that a kill left and that no later sitting removed.
fn left_behind(folder: &Path) -> Result<usize> {
    let entries = fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))?;
    Ok(entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_from_an_end() {
        let shell = |script: &str, moment| killed(Command::new("sh").args(["-c", script]), moment);
        assert!(shell("sleep 5", Duration::from_millis(20)).expect("killed"));
        assert!(!shell("exit 0", Duration::from_secs(5)).expect("it ended"));
        assert!(shell("exit 3", Duration::from_secs(5)).is_err());
    }
}
