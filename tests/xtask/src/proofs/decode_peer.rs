//! Decoding speed beside Python's ONNX Runtime on the same step graph, in turns on the same thread.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures::{Figures, median, median_ratio};
use super::peer::Peer;
use super::programs::{self, Programs, json, number, output};
use super::words::Words;
use crate::workspace::Workspace;

/// Ours over the peer's, at most.
const LARGEST_RATIO: f64 = 1.1;
const TOKENS: usize = 100;
const BATCHES: [usize; 2] = [1, 8];
/// Reports in a row that each side decodes in its turn; their median counts.
const REPEATS: usize = 3;
/// The peer's code of the shared folder beside the tree.
const SHARED: &str = "../shared/peers";

/// The proof: `[--rounds N] [--shared] [--python PATH]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("decode-peer", arguments, &["--rounds", "--python"], &["--shared"])?;
    let rounds = words.number("--rounds", 5usize)?;
    ensure!(rounds > 0, "`--rounds` wants at least 1");
    let python = programs::python(workspace, words.python()?.as_deref())?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "decode-peer")?;
    untrained(&programs, &folder)?;

    let mut command = Command::new(python);
    command.arg(workspace.path("tests/peers/decode_ort.py")).args(["--threads", "1"]);
    if words.has("--shared") {
        let shared = workspace.path(SHARED);
        ensure!(shared.is_dir(), "`{SHARED}` is not there\nhint: leave --shared out for the peer of this tree");
        command.arg("--shared").arg(shared);
    }
    let mut peer = Peer::start(&mut command)?;
    println!("   peer: {}", peer.hello);
    let mut times = BATCHES.map(|_| (Vec::new(), Vec::new()));
    for round in 0..rounds {
        for (batch, (ours, theirs)) in BATCHES.into_iter().zip(&mut times) {
            // Who goes first changes from round to round.
            if round % 2 == 0 {
                ours.push(own_time(&programs, &folder, batch)?);
            }
            theirs.push(peer_time(&mut peer, batch)?);
            if round % 2 == 1 {
                ours.push(own_time(&programs, &folder, batch)?);
            }
            println!("   round {round}, batch {batch}: {:.0} and {:.0} ms", ours[round], theirs[round]);
        }
    }
    let mut figures = Figures::default();
    for (batch, (ours, theirs)) in BATCHES.into_iter().zip(&times) {
        figures.inform(&format!("batch {batch}: xreport, {TOKENS} tokens"), format!("{:.0} ms", median(ours)));
        figures.inform(&format!("batch {batch}: Python's ONNX Runtime"), format!("{:.0} ms", median(theirs)));
        let ratio = median_ratio(ours, theirs);
        let target = format!("≤ {LARGEST_RATIO}");
        figures.target(
            &format!("batch {batch}: ratio, median of {rounds} rounds"),
            format!("{ratio:.3}"),
            target,
            ratio <= LARGEST_RATIO,
        );
    }
    Ok(figures.conclude())
}

/// Writes an untrained checkpoint with its bundle, of the peer's dimensions.
fn untrained(programs: &Programs, folder: &Path) -> Result<()> {
    // Five convolution blocks leave 7 × 7 of 224 × 224 pixels: 49 image tokens.
    let settings = json!({
        "dataset": {"MAX_REPORT_SIZE": 128, "VOCABULARY": "full"},
        "model": {
            "IMG_SHAPE": [224, 224, 1], "CONV_CHANNELS": [8, 16, 32, 64, 64], "EMBEDDING_DIMS": 512, "NUM_HEADS": 8,
            "FFN_EXPANSION": 4, "NUM_ENCODERS": 1, "NUM_DECODERS": 3,
        },
    });
    fs::write(folder.join("settings.json"), settings.to_string()).context("the settings cannot be written")?;
    output(&mut programs.command("xreport-train", folder, "init --settings settings.json --out untrained")?)?;
    Ok(())
}

fn own_time(programs: &Programs, folder: &Path, batch: usize) -> Result<f64> {
    let words = format!(
        "bench untrained --device cpu --threads 1 --tokens {TOKENS} --batch-size {batch} --repeats {REPEATS} --json"
    );
    number(&json(&mut programs.command("xreport", folder, &words)?)?["cases"][0], "decode_ms")
}

fn peer_time(peer: &mut Peer, batch: usize) -> Result<f64> {
    let answer: Value = peer.ask(&json!({"batch": batch, "tokens": TOKENS, "repeats": REPEATS}))?;
    number(&answer, "decode_ms")
}
