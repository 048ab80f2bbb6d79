//! Two processes under the real torchrun, and two under a bare environment, beside one with the double batch; a process
//! that is killed under torchrun.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::Figures;
use super::programs::{self, Programs, output};
use super::safetensors::Checkpoint;
use super::words::Words;
use crate::workspace::Workspace;

const STEPS: usize = 20;
/// How far weights and running statistics may be apart.
const CLOSE: f32 = 1e-5;
const LAST: &str = "last.safetensors";
/// Longer than any of these runs takes.
const HANGS: Duration = Duration::from_mins(5);

/// The proof: `--python PATH`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("ranks", arguments, &["--python"], &[])?;
    let python = words.python()?.context(
        "`ranks` wants `--python PATH`\nhint: a Python with PyTorch 2.11.0: python3 -m pip install torch==2.11.0 numpy",
    )?;
    let trial = Trial { programs: Programs::built(workspace)?, folder: programs::folder(workspace, "ranks")?, python };
    trial.prepare()?;
    let mut figures = Figures::default();
    let alone = trial.alone()?;
    trial.bare()?;
    trial.torchrun("torchrun", "--standalone", "")?;
    trial.torchrun("static", "--master-addr 127.0.0.1 --master-port 29517", "")?;
    for (name, what) in [
        ("bare", "two processes, bare environment"),
        ("torchrun", "torchrun --standalone"),
        ("static", "torchrun with a port"),
    ] {
        let found = Checkpoint::read(&trial.folder.join(name).join(LAST))?;
        ensure!(found.step == STEPS as u64, "`{name}` made {} steps", found.step);
        let moment = |name: &str| name.starts_with("optimizer.");
        let weights =
            found.largest_difference(&alone, |name, at, of| !moment(name) && !is_bias_of_key(name, at, of))?;
        let keys = found.largest_difference(&alone, |name, at, of| !moment(name) && is_bias_of_key(name, at, of))?;
        let (what, found) = (format!("{what}: largest difference of a weight"), format!("{weights:.1e}"));
        figures.target(&what, found, format!("≤ {CLOSE:.0e} after {STEPS} steps"), weights <= CLOSE);
        figures.inform("   … of a key's bias, which changes nothing", format!("{keys:.1e}"));
        let loss = trial.largest_loss_difference(name)?;
        figures.target("   … of a step's loss", format!("{loss:.1e}"), "≤ 1e-5", loss <= 1e-5);
    }
    let killed = trial.killed()?;
    figures.target("a killed process: torchrun's exit code", format!("{}", killed.code), "not 0", killed.code != 0);
    figures.inform("   … the other ended within", format!("{:.1} s", killed.seconds));
    figures.target("   … it said that rank 1 is gone", killed.told.to_string(), "true", killed.told);
    let what = format!("   … steps done and saved (of {})", killed.done);
    figures.target(&what, killed.saved.to_string(), "all", killed.saved == killed.done);
    figures.target("   … resumed under torchrun, made steps", killed.resumed.to_string(), "> 0", killed.resumed > 0);
    Ok(figures.conclude())
}

/// Whether a value is the bias of a key (queries, keys and values stand one after another). It adds the same to all scores
/// of a query, and the softmax takes it away again: its gradient is rounding alone, of which AdamW makes whole steps.
fn is_bias_of_key(name: &str, at: usize, of: usize) -> bool {
    (name.ends_with("attention.qkv.bias") && (of / 3..2 * of / 3).contains(&at))
        || (name.ends_with("attention.key_value.bias") && at < of / 2)
}

struct Trial {
    programs: Programs,
    folder: PathBuf,
    python: String,
}

/// What came of a kill.
struct Killed {
    code: i32,
    seconds: f64,
    told: bool,
    done: u64,
    saved: u64,
    resumed: u64,
}

impl Trial {
    fn prepare(&self) -> Result<()> {
        output(&mut self.programs.command(
            "xreport-train",
            &self.folder,
            "dataset phantoms --out data --samples 150 --seed 6",
        )?)?;
        // Augmentation and a last batch that does not divide evenly; no dropout, for each process draws its own.
        let settings = json!({
            "dataset": {"MAX_REPORT_SIZE": 64, "VALIDATION_SIZE": 0.1, "IMG_AUGMENT": true},
            "model": {
                "IMG_SHAPE": [64, 64, 1], "CONV_CHANNELS": [8, 16, 32], "EMBEDDING_DIMS": 64, "NUM_HEADS": 4,
                "NUM_ENCODERS": 1, "NUM_DECODERS": 2, "DROPOUT": 0.0,
            },
            "training": {
                "EPOCHS": 100, "MAX_STEPS": STEPS, "BATCH_SIZE": 8, "LEARNING_RATE": 0.002, "NUM_PROCESSORS": 1,
                "SAMPLE_REPORTS": 0, "ML_DEVICE": "cpu",
            },
        });
        fs::write(self.folder.join("settings.json"), settings.to_string()).context("the settings cannot be written")
    }

    fn train(&self, out: &str, more: &str) -> Result<Command> {
        let words = format!("train --data data --settings settings.json --out {out} {more}");
        self.programs.command("xreport-train", &self.folder, &words)
    }

    fn alone(&self) -> Result<Checkpoint> {
        output(&mut self.train("alone", "--set training.BATCH_SIZE=16")?)?;
        Checkpoint::read(&self.folder.join("alone").join(LAST))
    }

    fn bare(&self) -> Result<()> {
        let start = |rank: &str| -> Result<Child> {
            let mut command = self.train("bare", "")?;
            command.env("RANK", rank).env("WORLD_SIZE", "2").env("MASTER_ADDR", "127.0.0.1");
            Ok(command.env("MASTER_PORT", "29516").stderr(Stdio::null()).spawn()?)
        };
        for mut process in [start("0")?, start("1")?] {
            let status = process.wait()?;
            ensure!(status.success(), "a process of the bare environment failed ({status})");
        }
        Ok(())
    }

    /// torchrun with two processes that run `xreport-train` with `words`.
    fn launcher(&self, options: &str, words: &str) -> Result<Command> {
        let mut command = Command::new(&self.python);
        command.args(["-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]);
        command.args(options.split_whitespace()).arg(self.programs.path("xreport-train")?);
        command.args(words.split_whitespace()).current_dir(&self.folder).stdin(Stdio::null());
        Ok(command)
    }

    fn torchrun(&self, out: &str, options: &str, more: &str) -> Result<()> {
        let words = format!("train --data data --settings settings.json --out {out} {more}");
        output(&mut self.launcher(options, &words)?).map(drop)
    }

    fn lines(&self, run: &str) -> Result<Vec<Value>> {
        let path = self.folder.join(run).join("metrics.jsonl");
        let text = fs::read_to_string(&path).with_context(|| format!("`{}`", path.display()))?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(lines.filter(|line| line["kind"] == "step").collect())
    }

    fn largest_loss_difference(&self, run: &str) -> Result<f64> {
        let (alone, other) = (self.lines("alone")?, self.lines(run)?);
        ensure!(alone.len() == STEPS && other.len() == STEPS, "{STEPS} steps expected of each run");
        let difference = |(a, b): (&Value, &Value)| Some((a["loss"].as_f64()? - b["loss"].as_f64()?).abs());
        let all: Option<Vec<f64>> = alone.iter().zip(&other).map(difference).collect();
        Ok(all.context("a step without a loss")?.into_iter().fold(0.0, f64::max))
    }

    fn done(&self, run: &str) -> u64 {
        self.lines(run).ok().and_then(|lines| lines.last()?["step"].as_u64()).unwrap_or(0)
    }

    fn killed(&self) -> Result<Killed> {
        let said = self.folder.join("killed.log");
        let words = "train --data data --settings settings.json --out killed --set training.MAX_STEPS=5000 \
                     --set training.SAVE_EVERY_STEPS=0";
        let mut launcher = self.launcher("--standalone", words)?;
        let log = fs::File::create(&said).with_context(|| format!("`{}`", said.display()))?;
        let mut launcher = launcher.stdout(Stdio::null()).stderr(log).spawn().context("torchrun cannot be started")?;
        let started = Instant::now();
        while self.done("killed") < 10 {
            let runs = launcher.try_wait()?.is_none() && started.elapsed() < HANGS;
            ensure!(runs, "torchrun trains nothing: see `{}`", said.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        let process = second_process(&self.folder.join("killed"), launcher.id())?;
        ensure!(Command::new("kill").args(["-9", &process.to_string()]).status()?.success(), "rank 1 cannot be killed");
        let killed = Instant::now();
        let status = launcher.wait()?;
        let seconds = killed.elapsed().as_secs_f64();
        let told = fs::read_to_string(&said)?.contains("rank 1 of 2 is gone");
        let (done, saved) = (self.done("killed"), Checkpoint::read(&self.folder.join("killed").join(LAST))?.step);
        // Goes on from there, and is stopped at the end of the epoch.
        let mut launcher = self.launcher("--standalone", "resume killed")?;
        let mut launcher = launcher.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let started = Instant::now();
        while self.done("killed") < saved + 20 && launcher.try_wait()?.is_none() && started.elapsed() < HANGS {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = Command::new("kill").args(["-TERM", &launcher.id().to_string()]).status();
        launcher.wait()?;
        let resumed = self.done("killed").saturating_sub(saved);
        Ok(Killed { code: status.code().unwrap_or(-1), seconds, told, done, saved, resumed })
    }
}

/// The process of rank 1 that torchrun, the process `launcher`, has started (Linux).
fn second_process(out: &Path, launcher: u32) -> Result<u32> {
    for entry in fs::read_dir("/proc").context("`/proc`")?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(launcher) && read("environ").split(|&byte| byte == 0).any(|pair| pair == b"RANK=1") {
            return Ok(process);
        }
    }
    bail!("no process of rank 1 trains into `{}`", out.display())
}
