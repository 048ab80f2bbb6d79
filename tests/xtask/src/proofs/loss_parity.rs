//! The same network in PyTorch, from our weights, fed our batches: the losses of its steps beside ours.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::figures::Figures;
use super::programs::{self, Programs, json, output};
use super::words::Words;
use crate::workspace::Workspace;

const THREADS: usize = 2;
/// How far the first loss may be off, and any of the others.
const FIRST: f64 = 1e-4;
const LATER: f64 = 1e-3;
/// Dimensions that are compared, with the size of the vocabulary.
const SETTINGS: [(&str, &str, usize); 3] = [
    ("demo", "settings/demo.json", 200),
    ("default", "settings/configurations.json", 5000),
    // Its vocabulary is the full one, whatever is said here.
    ("original", "settings/original.json", 5000),
];

/// The proof: `--python PATH [--steps N] [--setting NAME]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("loss-parity", arguments, &["--python", "--steps", "--setting"], &[])?;
    let steps = words.number("--steps", 20usize)?;
    ensure!(steps > 0, "`--steps` wants at least 1");
    let python = words.python()?.context(
        "`loss-parity` wants `--python PATH`\nhint: a Python with PyTorch 2.11.0: python3 -m pip install torch==2.11.0 numpy",
    )?;
    let named = words.text("--setting");
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "loss-parity")?;
    let mut figures = Figures::default();
    for (name, file, vocabulary) in SETTINGS.iter().filter(|(name, _, _)| named.is_none_or(|wanted| wanted == *name)) {
        // A short warm-up, so that the steps are large ones.
        let init = format!(
            "init --vocabulary {vocabulary} --out {name} --set model.DROPOUT=0 --set training.ML_DEVICE=cpu \
             --set training.NUM_PROCESSORS={THREADS} --set training.WARMUP_STEPS=5"
        );
        output(programs.command("xreport-train", &folder, &init)?.arg("--settings").arg(workspace.path(file)))?;
        let record = format!("record {name} --steps {steps} --out {name}.safetensors");
        output(&mut programs.command("xreport-train", &folder, &record)?)?;
        let told = metadata(&folder.join(format!("{name}.safetensors")))?;
        let ours = losses(&told["steps"], |step| &step["loss"])?;

        let mut peer = Command::new(&python);
        peer.arg(workspace.path("tests/peers/loss_parity.py")).current_dir(&folder);
        peer.args(["--checkpoint", &format!("{name}/last.safetensors"), "--record", &format!("{name}.safetensors")]);
        let report = json(peer.args(["--threads", &THREADS.to_string()]))?;
        let theirs = losses(&report["losses"], |loss| loss)?;
        ensure!(theirs.len() == steps && ours.len() == steps, "{steps} losses expected of each side");
        let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs()).collect();
        let largest = differences.iter().copied().fold(0.0, f64::max);
        let (first, last) = (ours[0], ours[steps - 1]);
        figures.inform(&format!("{name}: PyTorch"), report["torch"].as_str().unwrap_or("?"));
        figures.inform(&format!("{name}: our loss, first and last step"), format!("{first:.4}, {last:.4}"));
        let met = differences[0] <= FIRST;
        figures.target(&format!("{name}: first step, difference"), format!("{:.1e}", differences[0]), "≤ 1e-4", met);
        let what = format!("{name}: largest of {steps} steps");
        figures.target(&what, format!("{largest:.1e}"), "≤ 1e-3", largest <= LATER);
        // Steps that change nothing would agree as well.
        figures.target(&format!("{name}: the loss moves"), format!("{:.3}", first - last), "> 0", first > last);
    }
    Ok(figures.conclude())
}

/// What the trainer has written into the record's metadata.
fn metadata(path: &std::path::Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let (length, rest) = bytes.split_first_chunk::<8>().context("8 bytes at least expected")?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length))?).context("the header is cut off")?;
    let header: Value = serde_json::from_slice(header)?;
    Ok(serde_json::from_str(header["__metadata__"]["xreport.record"].as_str().context("no record in the metadata")?)?)
}

fn losses(list: &Value, loss: impl Fn(&Value) -> &Value) -> Result<Vec<f64>> {
    let list = list.as_array().context("a list of steps expected")?;
    list.iter().map(|step| loss(step).as_f64().context("a loss is no number")).collect()
}
