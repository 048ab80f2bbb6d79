//! What the deployed program weighs: its size, the time to its first report, its memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::figures::{Figures, median};
use super::programs::{self, Programs, output};
use super::words::Words;
use crate::pins::size;
use crate::setup::NATIVE;
use crate::workspace::Workspace;

/// The bundle that comes with the tree.
const BUNDLE: &str = "models/demo";
/// Bytes of the stripped program.
const LARGEST_PROGRAM: u64 = 15_000_000;
/// Seconds from the start of a process to the report's file.
const LONGEST_START: f64 = 1.0;
/// Bytes of memory at the peak.
const LARGEST_MEMORY: u64 = 250_000_000;
/// Pixels on each side of the radiograph, as detectors deliver them.
const IMAGE: usize = 2048;

/// Runs a command and prints the peak of its resident memory, in KiB.
const PEAK: &str = "\
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
";

/// The proof: `[--bundle DIR] [--processes N] [--python PATH]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("slim", arguments, &["--bundle", "--processes", "--python"], &[])?;
    let processes = words.number("--processes", 5usize)?;
    ensure!(processes > 0, "`--processes` wants at least 1");
    let bundle = words.text("--bundle").map_or_else(|| workspace.path(BUNDLE), PathBuf::from);
    ensure!(bundle.is_dir(), "`{}` is not there\nhint: `--bundle DIR` names another bundle", bundle.display());
    let bundle = bundle.canonicalize().with_context(|| format!("`{}`", bundle.display()))?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "slim")?;
    fs::write(folder.join("radiograph.pgm"), radiograph()).context("the image cannot be written")?;

    let mut figures = Figures::default();
    let program = programs.path("xreport")?;
    let bytes = fs::metadata(program).with_context(|| format!("`{}`", program.display()))?.len();
    figures.target("the program xreport", size(bytes), "≤ 15 MB", bytes <= LARGEST_PROGRAM);
    figures.inform("ONNX Runtime beside it", size(runtime_bytes(workspace)?));
    figures.inform("the bundle", size(folder_bytes(&bundle)?));

    let mut seconds = Vec::new();
    for process in 0..processes {
        let mut draft = draft(&programs, &folder, &bundle, process)?;
        let started = Instant::now();
        output(&mut draft)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let start = median(&seconds);
    figures.target(
        &format!("from a fresh process to its report, median of {processes}"),
        format!("{start:.2} s"),
        "< 1 s",
        start < LONGEST_START,
    );
    let peak = peak_memory(words.python()?.as_deref(), &draft(&programs, &folder, &bundle, processes)?)?;
    figures.target("memory at its peak", size(peak), "< 250 MB", peak < LARGEST_MEMORY);
    Ok(figures.conclude())
}

/// The command that drafts one report, into a file of its own.
fn draft(programs: &Programs, folder: &Path, bundle: &Path, number: usize) -> Result<Command> {
    let words = format!("generate radiograph.pgm --device cpu --format jsonl --out row-{number}.jsonl --model");
    let mut command = programs.command("xreport", folder, &words)?;
    command.arg(bundle);
    Ok(command)
}

/// Bytes of resident memory at the peak of a program that ends well.
pub(super) fn peak_memory(python: Option<&str>, draft: &Command) -> Result<u64> {
    let mut measure = Command::new(python.unwrap_or("python3"));
    measure.args(["-c", PEAK]).arg(draft.get_program()).args(draft.get_args()).stdin(Stdio::null());
    measure.envs(draft.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = draft.get_current_dir() {
        measure.current_dir(folder);
    }
    let text = output(&mut measure)?;
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let peak: u64 =
        text.trim().parse().with_context(|| format!("a number of KiB expected, found `{}`", text.trim()))?;
    Ok(peak * unit)
}

/// An 8-bit PGM of smooth greys: what is drawn does not matter here.
fn radiograph() -> Vec<u8> {
    let mut file = format!("P5\n{IMAGE} {IMAGE}\n255\n").into_bytes();
    file.extend((0..IMAGE * IMAGE).map(|pixel| ((pixel % IMAGE + pixel / IMAGE) * 255 / (2 * IMAGE)) as u8));
    file
}

/// The one library that the CPU needs.
fn runtime_bytes(workspace: &Workspace) -> Result<u64> {
    let folder = workspace.path(NATIVE).join("onnxruntime");
    let entries = fs::read_dir(&folder).with_context(|| format!("`{}`", folder.display()))?;
    let sizes = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_library = name.contains("onnxruntime.") && !name.contains("providers");
        is_library.then(|| fs::metadata(entry.path()).map_or(0, |file| file.len()))
    });
    Ok(sizes.max().unwrap_or(0))
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))?;
    Ok(entries.flatten().map(|entry| entry.metadata().map_or(0, |file| file.len())).sum())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_a_whole_pgm() {
        let file = radiograph();
        let header = format!("P5\n{IMAGE} {IMAGE}\n255\n");
        assert!(file.starts_with(header.as_bytes()));
        assert_eq!(file.len(), header.len() + IMAGE * IMAGE);
    }

    #[test]
    fn the_peak_is_that_of_the_program() {
        let mut command = Command::new("python3");
        command.args(["-c", "block = bytearray(64 << 20); block[::4096] = b'x' * len(block[::4096])"]);
        let peak = peak_memory(None, &command).expect("python3 runs");
        assert!((64 << 20..512 << 20).contains(&peak), "{peak}");
        let mut failing = Command::new("sh");
        failing.args(["-c", "exit 3"]);
        assert!(peak_memory(None, &failing).is_err());
    }
}
