//! Decoding speed beside PyTorch, Hugging Face and CTranslate2, all in turns on the same thread.

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

const TOKENS: usize = 100;
/// The small vocabulary's step over the large one's, at most.
const CORPUS_SHARE: f64 = 0.45;

/// A way to decode: precision, reports at once, beams.
type Way = (&'static str, usize, usize);

const FP32_1: Way = ("fp32", 1, 1);
const FP32_8: Way = ("fp32", 8, 1);
const FP32_BEAM: Way = ("fp32", 1, 4);
const INT8_1: Way = ("int8", 1, 1);
const INT8_8: Way = ("int8", 8, 1);
const INT8_BEAM: Way = ("int8", 1, 4);

/// A peer, how we decode beside it, and how many times as fast we must be.
const PAIRS: [(&str, Way, f64); 13] = [
    ("ctranslate2-fp32", FP32_1, 1.4),
    ("ctranslate2-fp32", FP32_8, 2.0),
    ("ctranslate2-fp32", FP32_BEAM, 1.3),
    ("ctranslate2-int8", INT8_1, 3.0),
    ("ctranslate2-int8", INT8_8, 1.3),
    ("ctranslate2-int8", INT8_BEAM, 1.3),
    ("hugging-face", FP32_1, 2.2),
    ("hugging-face", FP32_8, 2.2),
    ("hugging-face", FP32_BEAM, 2.2),
    ("hugging-face", INT8_1, 10.0),
    ("hugging-face", INT8_8, 2.2),
    ("pytorch", FP32_1, 1.0),
    ("pytorch", FP32_8, 1.0),
];

/// The proof: `[--rounds N] [--python PATH]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("decode-peers", arguments, &["--rounds", "--python"], &[])?;
    let rounds = words.number("--rounds", 5usize)?;
    ensure!(rounds > 0, "`--rounds` wants at least 1");
    let python = words.python()?.context(
        "a Python with torch, transformers and ctranslate2 is wanted\nhint: pip install torch transformers ctranslate2, and name its interpreter with --python",
    )?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "decode-peers")?;
    untrained(&programs, &folder, "full", 30_522)?;
    untrained(&programs, &folder, "corpus", 5_000)?;
    let mut command = Command::new(python);
    command.arg(workspace.path("tests/peers/decode_peers.py")).args(["--threads", "1"]);
    let mut peer = Peer::start(&mut command)?;
    println!("   peers: {}", peer.hello);

    let mut times: Vec<(Vec<f64>, Vec<f64>)> = vec![(vec![], vec![]); PAIRS.len()];
    let mut corpus = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for ((name, way, _), (ours, theirs)) in PAIRS.iter().zip(&mut times) {
            // Who goes first changes from round to round.
            if round % 2 == 0 {
                ours.push(own_time(&programs, &folder, "full", *way)?);
            }
            theirs.push(peer_time(&mut peer, name, *way)?);
            if round % 2 == 1 {
                ours.push(own_time(&programs, &folder, "full", *way)?);
            }
            println!("   round {round}, {} and {name}: {:.0} and {:.0} ms", shown(*way), ours[round], theirs[round]);
        }
        corpus.0.push(own_time(&programs, &folder, "corpus", INT8_1)?);
        corpus.1.push(own_time(&programs, &folder, "full", INT8_1)?);
    }
    let mut figures = Figures::default();
    for ((name, way, least), (ours, theirs)) in PAIRS.iter().zip(&times) {
        let ratio = median_ratio(theirs, ours);
        figures.target(
            &format!("{}: {:.0} ms; {name} {:.0} ms", shown(*way), median(ours), median(theirs)),
            format!("{ratio:.2} times as fast"),
            format!("≥ {least}"),
            ratio >= *least,
        );
    }
    let share = median_ratio(&corpus.0, &corpus.1);
    figures.target(
        "int8 step with 5,000 tokens over that with 30,522",
        format!("{share:.3}"),
        format!("≤ {CORPUS_SHARE}"),
        share <= CORPUS_SHARE,
    );
    Ok(figures.conclude())
}

fn shown((precision, batch, beams): Way) -> String {
    if beams > 1 { format!("{precision}, beam {beams}") } else { format!("{precision}, batch {batch}") }
}

/// Writes an untrained checkpoint of the peers' dimensions and exports it in fp32 and int8.
fn untrained(programs: &Programs, folder: &Path, name: &str, vocabulary: usize) -> Result<()> {
    // Five convolution blocks leave 7 × 7 of 224 × 224 pixels: 49 image tokens.
    let settings = json!({
        "dataset": {"MAX_REPORT_SIZE": 128, "VOCABULARY": name},
        "model": {
            "IMG_SHAPE": [224, 224, 1], "CONV_CHANNELS": [8, 16, 32, 64, 64], "EMBEDDING_DIMS": 512, "NUM_HEADS": 8,
            "FFN_EXPANSION": 4, "NUM_ENCODERS": 1, "NUM_DECODERS": 3,
        },
    });
    fs::write(folder.join(format!("{name}.json")), settings.to_string()).context("the settings cannot be written")?;
    let size = if name == "full" { String::new() } else { format!(" --vocabulary {vocabulary}") };
    let line = format!("init --settings {name}.json --out checkpoint-{name}{size}");
    output(&mut programs.command("xreport-train", folder, &line)?)?;
    let line = format!("export checkpoint-{name} --out {name} --precision fp32,int8 --texts 0");
    output(&mut programs.command("xreport-train", folder, &line)?)?;
    Ok(())
}

fn own_time(programs: &Programs, folder: &Path, bundle: &str, (precision, batch, beams): Way) -> Result<f64> {
    let line = format!(
        "bench {bundle} --device cpu --threads 1 --tokens {TOKENS} --precision {precision} --batch-size {batch} \
         --beams {beams} --repeats 3 --json"
    );
    number(&json(&mut programs.command("xreport", folder, &line)?)?["cases"][0], "decode_ms")
}

fn peer_time(peer: &mut Peer, name: &str, (_, batch, beams): Way) -> Result<f64> {
    let repeats = if name.starts_with("ctranslate2") { 3 } else { 1 };
    let request = json!({"peer": name, "batch": batch, "beams": beams, "tokens": TOKENS, "repeats": repeats});
    let answer: Value = peer.ask(&request)?;
    number(&answer, "decode_ms")
}
