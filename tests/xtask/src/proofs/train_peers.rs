//! Training speed beside PyTorch on the same network, four ways, all in turns on the same threads.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::figures::{Figures, median, median_ratio};
use super::peer::Peer;
use super::programs::{self, Programs, json, number};
use super::words::Words;
use crate::workspace::Workspace;

const THREADS: usize = 2;
/// Steps that each side makes in its turn; their median counts. Ours warms up with two more each time.
const STEPS: usize = 3;
/// Both sides clip, and neither drops out.
const CLIP: &str = "1.0";
/// The peer's code of the shared folder beside the tree.
const SHARED: &str = "../shared/peers/train_peer.py";
/// The peers' ways, and for each how many times as fast we must be: in float32, in bfloat16.
const WAYS: [(&str, Option<f64>, Option<f64>); 4] = [
    ("eager", Some(1.5), Some(2.6)),
    ("compile", Some(1.1), None),
    ("eager_bf16", None, None),
    ("compile_bf16", None, Some(1.2)),
];

/// Dimensions that are measured.
struct Setting {
    name: &'static str,
    file: &'static str,
    vocabulary: usize,
}

const SETTINGS: [Setting; 2] = [
    Setting { name: "default", file: "settings/configurations.json", vocabulary: 5000 },
    Setting { name: "original", file: "settings/original.json", vocabulary: 30_522 },
];

/// The proof: `--python PATH [--rounds N] [--shared] [--setting NAME]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("train-peers", arguments, &["--rounds", "--python", "--setting"], &["--shared"])?;
    let rounds = words.number("--rounds", 5usize)?;
    ensure!(rounds > 0, "`--rounds` wants at least 1");
    let python = words.python()?.context(
        "`train-peers` wants `--python PATH`\nhint: a Python with PyTorch 2.11.0 and numpy: python3 -m pip install torch==2.11.0 numpy",
    )?;
    let shared = words.has("--shared").then(|| workspace.path(SHARED));
    if let Some(shared) = &shared {
        ensure!(shared.is_file(), "`{SHARED}` is not there\nhint: leave --shared out for the peer of this tree");
    }
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "train-peers")?;
    let mut figures = Figures::default();
    // The shared script has the original's dimensions alone as we have them.
    let named = words.text("--setting").or(shared.as_ref().map(|_| "original"));
    for setting in SETTINGS.iter().filter(|setting| named.is_none_or(|name| name == setting.name)) {
        let contest = Contest { workspace, programs: &programs, folder: &folder, setting };
        contest.measure(&python, shared.as_deref(), rounds, &mut figures)?;
    }
    Ok(figures.conclude())
}

/// One setting's measurements.
struct Contest<'a> {
    workspace: &'a Workspace,
    programs: &'a Programs,
    folder: &'a Path,
    setting: &'a Setting,
}

/// What was measured of a way to train.
#[derive(Debug, Default)]
struct Measured {
    seconds: Vec<f64>,
    peak: f64,
}

impl Contest<'_> {
    fn measure(&self, python: &str, shared: Option<&Path>, rounds: usize, figures: &mut Figures) -> Result<()> {
        let name = self.setting.name;
        let mut peers = Vec::new();
        for (way, _, _) in WAYS {
            let mut command = Command::new(python);
            command.arg(self.workspace.path("tests/peers/train_peer.py"));
            command.arg("--settings").arg(self.workspace.path(self.setting.file)).args(["--way", way]);
            command.args(["--vocabulary", &self.setting.vocabulary.to_string(), "--threads", &THREADS.to_string()]);
            command.args(["--clip", CLIP]);
            if let Some(shared) = shared {
                command.arg("--shared").arg(shared);
            }
            peers.push((way, Peer::start(&mut command)?, Measured::default()));
        }
        let mut ours = [Measured::default(), Measured::default()];
        let mut own = Own::default();
        for round in 0..rounds {
            // Who goes first changes from round to round.
            if round % 2 == 0 {
                own = self.own_turn(&mut ours)?;
            }
            for (_, peer, measured) in &mut peers {
                let answer = peer.ask(&json!({"steps": STEPS}))?;
                measured.seconds.push(number(&answer, "seconds")?);
                measured.peak = number(&answer, "peak_bytes")?;
            }
            if round % 2 == 1 {
                own = self.own_turn(&mut ours)?;
            }
            let theirs: Vec<String> =
                peers.iter().map(|(way, _, measured)| format!("{way} {:.2}", measured.seconds[round])).collect();
            let [single, half] = [0, 1].map(|precision| ours[precision].seconds[round]);
            println!("   {name}, round {round}, s per step: fp32 {single:.2}, bf16 {half:.2}; {}", theirs.join(", "));
        }
        if let Some(parameters) = peers[0].1.hello["parameters"].as_f64() {
            let same = (parameters - own.parameters).abs() < 0.5;
            figures.target(&format!("{name}: parameters"), format!("{parameters}"), "the same", same);
        }
        let rate = |seconds: &[f64]| format!("{:.2} images/s", own.batch / median(seconds));
        let memory = |peak: f64| format!("{:.0} MB", peak / 1e6);
        for (precision, measured) in ["fp32", "bf16"].iter().zip(&ours) {
            figures.inform(&format!("{name}: ours, {precision}"), rate(&measured.seconds));
        }
        for ((way, _, measured), (_, single, half)) in peers.iter().zip(WAYS) {
            figures.inform(&format!("{name}: PyTorch, {way}"), rate(&measured.seconds));
            for (precision, mine, least) in [("fp32", &ours[0], single), ("bf16", &ours[1], half)] {
                let ratio = median_ratio(&measured.seconds, &mine.seconds);
                let (what, found) = (format!("{name}: {precision} over {way}"), format!("{ratio:.2}"));
                match least {
                    Some(least) => figures.target(&what, found, format!("≥ {least}"), ratio >= least),
                    None => figures.inform(&what, found),
                }
            }
        }
        let (mine, eager) = (ours[0].peak, peers[0].2.peak);
        let what = format!("{name}: peak memory, fp32; eager {}", memory(eager));
        figures.target(&what, memory(mine), "no higher", mine <= eager);
        Ok(())
    }

    /// Both precisions in turn.
    fn own_turn(&self, ours: &mut [Measured; 2]) -> Result<Own> {
        let mut own = Own::default();
        for (measured, mixed) in ours.iter_mut().zip([false, true]) {
            let words = format!(
                "bench --steps {STEPS} --json --vocabulary {} --set training.NUM_PROCESSORS={THREADS} \
                 --set training.GRADIENT_CLIP={CLIP} --set model.DROPOUT=0 --set training.ML_DEVICE=cpu \
                 --set training.MIXED_PRECISION={mixed}",
                self.setting.vocabulary
            );
            let mut command = self.programs.command("xreport-train", self.folder, &words)?;
            let report = json(command.arg("--settings").arg(self.workspace.path(self.setting.file)))?;
            measured.seconds.push(number(&report, "seconds_per_step")?);
            measured.peak = measured.peak.max(number(&report, "peak_bytes")?);
            own = Own { batch: number(&report, "batch_size")?, parameters: number(&report, "parameters")? };
        }
        Ok(own)
    }
}

/// What our benchmark says of the network.
#[derive(Debug, Default)]
struct Own {
    batch: f64,
    parameters: f64,
}
