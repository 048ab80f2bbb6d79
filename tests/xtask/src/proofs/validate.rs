//! A data set of 100,000 rows is looked at in minutes and within a gigabyte, and what was hidden in it is found.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::figures::Figures;
use super::programs::{self, Programs, output};
use super::words::Words;
use crate::phases::phase;
use crate::pins::size;
use crate::workspace::Workspace;

/// Rows, where no other number is asked for.
const SAMPLES: usize = 100_000;
/// Pixels on each side of a phantom: the smallest that are drawn.
const SIDE: usize = 64;
/// Seconds of work that 100,000 rows may take, on two cores.
const LONGEST: f64 = 300.0;
const CORES: f64 = 2.0;
/// Bytes of memory at the peak.
const LARGEST_MEMORY: u64 = 1_000_000_000;
/// Images that are hidden a second time under another id and patient.
const COPIES: usize = 25;

/// Runs a command and prints its seconds on all cores, and the peak of its resident memory in KiB. Any exit code but
/// the expected one, which is the first word, is a failure.
const MEASURE: &str = "\
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(0 if status == int(sys.argv[1]) else 3)
";

/// The proof: `[--samples N] [--shared] [--python PATH]`. `--shared`: others use the machine, so the time on the wall
/// only informs, and the time on the cores counts.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("validate", arguments, &["--samples", "--python"], &["--shared"])?;
    let samples = words.number("--samples", SAMPLES)?;
    ensure!(samples >= 40 * COPIES, "`--samples` wants at least {}", 40 * COPIES);
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "validate")?;
    phase("draw", || {
        let words = format!("dataset phantoms --out data --size {SIDE} --seed 5 --samples {samples}");
        output(&mut programs.command("xreport-train", &folder, &words)?).map(drop)
    })?;
    let hidden = hide(&folder.join("data"))?;

    let started = Instant::now();
    let (seconds, memory) = measure(words.text("--python"), programs.path("xreport-train")?, &folder)?;
    let wall = started.elapsed().as_secs_f64();
    let found = read(&folder.join("results/validation.csv"))?;

    let mut figures = Figures::default();
    figures.inform("rows, each with its image", samples.to_string());
    let per_core = seconds / CORES;
    let most = LONGEST * samples as f64 / SAMPLES as f64;
    figures.target("work, shared by two cores", format!("{per_core:.0} s"), format!("≤ {most:.0} s"), per_core <= most);
    if words.has("--shared") {
        figures.inform("on the wall, on a machine that others use", format!("{wall:.0} s"));
    } else {
        figures.target("on the wall", format!("{wall:.0} s"), format!("≤ {most:.0} s"), wall <= most);
    }
    figures.target("memory at its peak", size(memory), "< 1 GB", memory < LARGEST_MEMORY);
    let pairs = hidden.copies.iter().filter(|pair| found.identical.contains(*pair)).count();
    figures.target("hidden copies found", format!("{pairs} of {COPIES}"), "all", pairs == COPIES);
    let crossing = found.crossing == hidden.crossing;
    figures.target(
        "the patient on both sides, with all images",
        if crossing { "found" } else { "missed" },
        "found",
        crossing,
    );
    Ok(figures.conclude())
}

/// What was hidden in the data set.
struct Hidden {
    /// Ids of an image and of its copy.
    copies: BTreeSet<BTreeSet<String>>,
    /// Ids of the patient on both sides.
    crossing: BTreeSet<String>,
}

/// Gives the table a `split` column by patient, puts one patient on both sides, and puts copies in place of images.
fn hide(data: &Path) -> Result<Hidden> {
    let path = data.join("XREPORT_dataset.csv");
    let rows: Vec<[String; 3]> = csv::Reader::from_path(&path)
        .with_context(|| format!("`{}`", path.display()))?
        .deserialize::<HashMap<String, String>>()
        .map(|row| {
            let mut row = row?;
            let mut cell = |name: &str| row.remove(name).with_context(|| format!("no column `{name}`"));
            Ok([cell("id")?, cell("text")?, cell("patient")?])
        })
        .collect::<Result<_>>()?;
    let mut of_patient: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for [id, _, patient] in &rows {
        of_patient.entry(patient).or_default().insert(id.clone());
    }
    let Some((crossing, ids)) = of_patient.iter().find(|(_, ids)| ids.len() > 1) else {
        bail!("no patient of `{}` has two images", path.display());
    };
    let mut table = csv::Writer::from_path(&path)?;
    table.write_record(["id", "text", "patient", "split"])?;
    for (at, [id, text, patient]) in rows.iter().enumerate() {
        let held_out = Sha256::digest(patient)[0] < 26;
        let held_out = if patient == crossing { at % 2 == 0 || Some(id) == ids.first() } else { held_out };
        table.write_record([id, text, patient, if held_out { "validation" } else { "train" }])?;
    }
    table.flush()?;
    let image = |id: &str| data.join("images").join(format!("{}.png", id.trim_end_matches(".png")));
    let half = rows.len() / 2;
    let mut copies = BTreeSet::new();
    for copy in 0..COPIES {
        let (from, to) = (&rows[copy * half / COPIES][0], &rows[half + copy * half / COPIES][0]);
        fs::copy(image(from), image(to)).with_context(|| format!("`{}`", image(from).display()))?;
        copies.insert(BTreeSet::from([bare(from), bare(to)]));
    }
    Ok(Hidden { copies, crossing: ids.iter().map(|id| bare(id)).collect() })
}

/// An id as results name it.
fn bare(id: &str) -> String {
    id.trim_start_matches("images/").trim_end_matches(".png").to_owned()
}

/// Seconds on all cores and bytes at the peak; the patient on both sides makes the exit code 1.
fn measure(python: Option<&str>, program: &Path, folder: &Path) -> Result<(f64, u64)> {
    let mut command = Command::new(python.unwrap_or("python3"));
    command.args(["-c", MEASURE, "1"]).arg(program).args("dataset validate --data data --out results".split(' '));
    command.current_dir(folder).stdin(Stdio::null());
    let text = output(&mut command)?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    let (Some(Ok(seconds)), Some(Ok(peak))) = (numbers.next(), numbers.next()) else {
        bail!("two numbers expected, found `{}`", text.trim());
    };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    Ok((seconds, (peak * unit) as u64))
}

/// What the program found.
struct Found {
    identical: BTreeSet<BTreeSet<String>>,
    crossing: BTreeSet<String>,
}

fn read(path: &Path) -> Result<Found> {
    let mut groups: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for row in csv::Reader::from_path(path).with_context(|| format!("`{}`", path.display()))?.deserialize() {
        let (id, finding, group, _): (String, String, String, String) = row?;
        groups.entry((finding, group)).or_default().insert(id);
    }
    let of = |wanted: &'static str| groups.iter().filter(move |((finding, _), _)| finding == wanted);
    Ok(Found {
        identical: of("identical_image").map(|(_, ids)| ids.clone()).collect(),
        crossing: of("patient_crosses_split").flat_map(|(_, ids)| ids.clone()).collect(),
    })
}
