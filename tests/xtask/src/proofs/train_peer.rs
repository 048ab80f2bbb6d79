//! Training speed beside plain PyTorch on the same network, in turns on the same threads.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::figures::{Figures, median, median_ratio};
use super::peer::Peer;
use super::programs::{self, Programs, json, number};
use super::words::Words;
use crate::workspace::Workspace;

/// Ours over the peer's, at least.
const SMALLEST_RATIO: f64 = 1.2;
/// The original's dimensions.
const SETTINGS: &str = "settings/original.json";
const THREADS: usize = 2;
/// Steps that each side makes in its turn; their median counts. Ours warms up with two more each time.
const STEPS: usize = 3;
/// Both sides clip, and neither drops out.
const CLIP: &str = "1.0";
/// The peer's code of the shared folder beside the tree.
const SHARED: &str = "../shared/peers/train_peer.py";

/// The proof: `--python PATH [--rounds N] [--shared]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("train-peer", arguments, &["--rounds", "--python"], &["--shared"])?;
    let rounds = words.number("--rounds", 5usize)?;
    ensure!(rounds > 0, "`--rounds` wants at least 1");
    let python = words.python()?.context(
        "`train-peer` wants `--python PATH`\nhint: a Python with PyTorch 2.11.0 and numpy: python3 -m pip install torch==2.11.0 numpy",
    )?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "train-peer")?;

    let mut command = Command::new(python);
    command.arg(workspace.path("tests/peers/train_peer.py")).arg("--settings").arg(workspace.path(SETTINGS));
    command.args(["--threads", &THREADS.to_string(), "--clip", CLIP]);
    if words.has("--shared") {
        let shared = workspace.path(SHARED);
        ensure!(shared.is_file(), "`{SHARED}` is not there\nhint: leave --shared out for the peer of this tree");
        command.arg("--shared").arg(shared);
    }
    let mut peer = Peer::start(&mut command)?;
    println!("   peer: {}", peer.hello);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut own = Own::default();
    for round in 0..rounds {
        // Who goes first changes from round to round.
        if round % 2 == 0 {
            own = own_step(workspace, &programs, &folder)?;
        }
        theirs.push(number(&peer.ask(&json!({"steps": STEPS}))?, "seconds")?);
        if round % 2 == 1 {
            own = own_step(workspace, &programs, &folder)?;
        }
        ours.push(own.seconds);
        println!("   round {round}: {:.2} and {:.2} s per step", ours[round], theirs[round]);
    }
    let mut figures = Figures::default();
    figures.inform("parameters", format!("{}", own.parameters));
    if let Some(parameters) = peer.hello["parameters"].as_f64() {
        let same = (parameters - own.parameters).abs() < 0.5;
        figures.target("parameters of the peer", format!("{parameters}"), "the same", same);
    }
    figures.inform("xreport-train", format!("{:.2} images/s", own.batch / median(&ours)));
    figures.inform("PyTorch eager", format!("{:.2} images/s", own.batch / median(&theirs)));
    let ratio = median_ratio(&theirs, &ours);
    let target = format!("≥ {SMALLEST_RATIO}");
    let what = format!("times as fast, median of {rounds} rounds");
    figures.target(&what, format!("{ratio:.2}"), target, ratio >= SMALLEST_RATIO);
    Ok(figures.conclude())
}

/// What our benchmark says.
#[derive(Debug, Default)]
struct Own {
    seconds: f64,
    batch: f64,
    parameters: f64,
}

fn own_step(workspace: &Workspace, programs: &Programs, folder: &Path) -> Result<Own> {
    let words = format!(
        "bench --steps {STEPS} --json --set training.NUM_PROCESSORS={THREADS} --set training.GRADIENT_CLIP={CLIP} \
         --set model.DROPOUT=0 --set training.ML_DEVICE=cpu"
    );
    let mut command = programs.command("xreport-train", folder, &words)?;
    let report = json(command.arg("--settings").arg(workspace.path(SETTINGS)))?;
    Ok(Own {
        seconds: number(&report, "seconds_per_step")?,
        batch: number(&report, "batch_size")?,
        parameters: number(&report, "parameters")?,
    })
}
