//! A data set of 100,000 rows is looked at in minutes and within a gigabyte, and what was hidden in it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use super::figures::Figures;
use super::programs::{self, Programs, output};
use super::words::Words;
use crate::phases::phase;
use crate::pins::size;
use crate::workspace::Workspace;

/// Rows, where no other number is asked for.
const SAMPLES: usize = 100_000;
/// Pixels on each side of an image.
const SIDE: usize = 64;
/// Images in a folder.
const FOLDER: usize = 1000;
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
    let hidden = phase("draw", || draw(&folder.join("data"), samples))?;

    let started = Instant::now();
    let (seconds, memory) = measure(words.python()?.as_deref(), programs.path("xreport-train")?, &folder)?;
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

/// Writes a data set of two images a patient, with `COPIES` images a second time and one patient on both sides.
fn draw(data: &Path, samples: usize) -> Result<Hidden> {
    let images = data.join("images");
    let id = |at: usize| format!("{:03}/s{at:06}", at / FOLDER);
    let file = |at: usize| images.join(format!("{}.pgm", id(at)));
    let crossing = samples / 3 / 2 * 2;
    let path = data.join("XREPORT_dataset.csv");
    fs::create_dir_all(&images).with_context(|| format!("`{}`", images.display()))?;
    let mut table = csv::Writer::from_path(&path).with_context(|| format!("`{}`", path.display()))?;
    table.write_record(["id", "text", "patient", "split"])?;
    for at in 0..samples {
        if at % FOLDER == 0 {
            fs::create_dir_all(images.join(format!("{:03}", at / FOLDER)))?;
        }
        fs::write(file(at), picture(at)).with_context(|| format!("`{}`", file(at).display()))?;
        let patient = at / 2;
        let held_out = at == crossing || (patient % 10 == 3 && patient != crossing / 2);
        let split = if held_out { "validation" } else { "train" };
        table.write_record([&id(at), &report(at), &format!("p{patient}"), split])?;
    }
    table.flush()?;
    let half = samples / 2;
    let mut copies = BTreeSet::new();
    for copy in 0..COPIES {
        let (from, to) = (copy * half / COPIES, half + copy * half / COPIES + 1);
        fs::copy(file(from), file(to)).with_context(|| format!("`{}`", file(from).display()))?;
        copies.insert(BTreeSet::from([id(from), id(to)]));
    }
    Ok(Hidden { copies, crossing: BTreeSet::from([id(crossing), id(crossing + 1)]) })
}

/// A number from 0 to 1 that belongs to `at` and `salt` (the finaliser of SplitMix64).
fn random(at: usize, salt: u64) -> f64 {
    let value = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((value ^ (value >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// An 8-bit PGM: two dark lungs that all share, and ten waves that belong to this one.
fn picture(at: usize) -> Vec<u8> {
    const WAVES: usize = 10;
    let number = |wave: usize, salt: u64| random(at, wave as u64 * 8 + salt);
    // cos(a + b) = cos a cos b - sin a sin b: tables by row and column instead of a cosine for every pixel.
    let table = |salt: u64, phase: f64| -> Vec<[(f64, f64); SIDE]> {
        let angle = |wave: usize, place: usize| {
            (0.05 + 0.85 * number(wave, salt)) * place as f64 + phase * number(wave, 4) * std::f64::consts::TAU
        };
        (0..WAVES).map(|wave| std::array::from_fn(|place| angle(wave, place).sin_cos())).collect()
    };
    let (rows, columns) = (table(1, 1.0), table(2, 0.0));
    let heights: Vec<f64> = (0..WAVES).map(|wave| 2.0 + 7.0 * number(wave, 3)).collect();
    let bell = |place: usize, middle: f64, width: f64| (-((place as f64 - middle) / width).powi(2)).exp();
    let lungs: [f64; SIDE] = std::array::from_fn(|x| bell(x, 20.0, 9.0) + bell(x, 44.0, 9.0));
    let mut file = format!("P5\n{SIDE} {SIDE}\n255\n").into_bytes();
    #[allow(clippy::needless_range_loop, reason = "y is a place in the image as much as in the table")]
    for y in 0..SIDE {
        let depth = 90.0 * bell(y, 30.0, 18.0);
        file.extend((0..SIDE).map(|x| {
            let wave = |wave: usize| {
                let ((sin_y, cos_y), (sin_x, cos_x)) = (rows[wave][y], columns[wave][x]);
                heights[wave] * (cos_y * cos_x - sin_y * sin_x)
            };
            (170.0 - depth * lungs[x] + (0..WAVES).map(wave).sum::<f64>()).clamp(0.0, 255.0) as u8
        }));
    }
    file
}

/// A report of a few sentences, most of which other reports have too.
fn report(at: usize) -> String {
    const SENTENCES: [&str; 12] = [
        "The heart is normal in size.",
        "The heart is mildly enlarged.",
        "The lungs are clear.",
        "There is a patchy opacity in the left lower lobe, which may represent pneumonia.",
        "There is a small right pleural effusion.",
        "No pleural effusion or pneumothorax is seen.",
        "The mediastinal contours are within normal limits.",
        "Degenerative changes of the thoracic spine are noted.",
        "A right central line ends in the superior vena cava.",
        "No acute osseous abnormality.",
        "Bibasilar atelectasis is present.",
        "Compared with the prior study there is no significant change.",
    ];
    let said = SENTENCES.iter().enumerate().filter(|(which, _)| random(at, 100 + *which as u64) < 0.45);
    let said: Vec<&str> = said.map(|(_, sentence)| *sentence).collect();
    format!("Study of day {}. {}", (random(at, 90) * 400.0) as u32, said.join(" "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_whole_repeatable_and_different() {
        let header = format!("P5\n{SIDE} {SIDE}\n255\n");
        assert!(picture(3).starts_with(header.as_bytes()));
        assert_eq!(picture(3).len(), header.len() + SIDE * SIDE);
        assert_eq!(picture(3), picture(3));
        assert_ne!(picture(3), picture(4));
        assert_ne!(report(3), report(4));
    }

    #[test]
    fn what_is_hidden_is_in_the_data() {
        let folder = std::env::temp_dir().join(format!("xtask-validate-{}", std::process::id()));
        let hidden = draw(&folder, 1000).expect("a data set");
        assert_eq!((hidden.copies.len(), hidden.crossing.len()), (COPIES, 2));
        let table = fs::read_to_string(folder.join("XREPORT_dataset.csv")).expect("a table");
        let sides: BTreeSet<&str> = table
            .lines()
            .filter(|line| hidden.crossing.iter().any(|id| line.starts_with(id.as_str())))
            .map(|line| line.rsplit(',').next().unwrap_or_default())
            .collect();
        assert_eq!(sides, BTreeSet::from(["train", "validation"]));
        fs::remove_dir_all(&folder).expect("it goes");
    }
}
