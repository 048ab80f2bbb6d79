//! Ten thousand images take no more memory than five hundred.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::batch::{self, Count};
use super::figures::Figures;
use super::programs::{self, Programs};
use super::words::Words;
use crate::pins::size;
use crate::workspace::Workspace;

/// The image from which on memory may not grow: every buffer has been needed by then.
const EARLY: usize = 500;
/// By how much it may, all the same.
const GROWTH: f64 = 0.05;

/// The proof: `[--images N] [--bundle DIR]`. Linux tells a process's memory.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("batch-memory", arguments, &["--images", "--bundle"], &[])?;
    let images = words.number("--images", 10_000usize)?;
    ensure!(images > EARLY, "`--images` wants more than {EARLY}");
    let (programs, bundle) = (Programs::built(workspace)?, batch::bundle(workspace, &words)?);
    let folder = programs::folder(workspace, "batch-memory")?;
    batch::images(&folder.join("images"), images)?;
    let mut command = programs.command("xreport", &folder, "generate images --device cpu --out out.csv --model")?;
    let mut child = command.arg(&bundle).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut count = Count::of(folder.join("out.csv.ledger.jsonl"));
    let (mut early, mut last, mut most) = (None, 0, 0);
    while child.try_wait().context("the program cannot be waited for")?.is_none() {
        if let Some(bytes) = resident(child.id()) {
            let done = count.inputs();
            if done >= EARLY && early.is_none() {
                early = Some(bytes);
                println!("   {} at image {done}", size(bytes));
            }
            // Not what is left while the process is taken down.
            if done < images {
                last = bytes;
            }
            most = most.max(bytes);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = child.wait()?;
    ensure!(status.success(), "the program failed ({status})");
    ensure!(batch::said(&folder.join("out.csv"))?.len() == images, "not all rows are there");
    let early =
        early.context("this system does not tell a process's memory, or the run was too short to be measured")?;
    let growth = last as f64 / early as f64 - 1.0;
    let mut figures = Figures::default();
    figures.inform(&format!("memory at image {EARLY}"), size(early));
    figures.inform("at its most", size(most));
    let what = format!("memory at image {images}, against that");
    figures.target(&what, format!("{} ({:+.1} %)", size(last), growth * 100.0), "≤ +5 %", growth <= GROWTH);
    Ok(figures.conclude())
}

/// Bytes of a process that are in memory (Linux).
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
