//! Train and deploy agree: the exported bundle against libtorch, at length.

use std::path::Path;

use anyhow::{Context, Result};

use super::checkpoints::demo_or_quick;
use super::figures::Figures;
use super::programs::{self, Programs, output};
use super::words::Words;
use crate::workspace::Workspace;

/// Reports whose logits must agree at every step.
const REPORTS: u64 = 64;
/// Largest difference of a logit.
const BOUND: f64 = 1e-4;

/// The proof: `[--texts N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("parity", arguments, &["--texts"], &[])?;
    let texts = words.number("--texts", 200u64)?;
    let programs = Programs::built(workspace)?;
    let folder = programs::folder(workspace, "parity")?;
    let checkpoint = demo_or_quick(workspace, &programs, &folder)?;
    let found = export(&programs, &folder, &checkpoint, texts)?;

    let mut figures = Figures::default();
    let variants = found.variants.len() as u64;
    figures.inform("forms of the decoder", found.variants.join(", "));
    figures.target(
        "reports compared, teacher-forced",
        format!("{} ({} steps)", found.reports, found.steps),
        format!("≥ {REPORTS}"),
        found.reports >= REPORTS,
    );
    let difference = found.difference;
    figures.target(
        "largest difference of a logit",
        format!("{difference:.2e}"),
        format!("≤ {BOUND:.0e}"),
        difference <= BOUND,
    );
    figures.target(
        "cached greedy texts equal to the full recomputation's, over all forms",
        format!("{} ({} part at a tie)", found.equal, found.ties),
        format!("all of {texts} × {variants}"),
        variants > 0 && found.equal + found.ties == texts * variants && found.ties * 20 <= found.equal,
    );
    Ok(figures.conclude())
}

/// What `xreport-train export` says of its check.
#[derive(Debug, PartialEq)]
struct Checked {
    reports: u64,
    steps: u64,
    difference: f64,
    equal: u64,
    ties: u64,
    variants: Vec<String>,
}

fn export(programs: &Programs, folder: &Path, checkpoint: &Path, texts: u64) -> Result<Checked> {
    let mut command = programs.command("xreport-train", folder, &format!("export --out bundle --texts {texts}"))?;
    let text = output(command.arg(checkpoint))?;
    read(&text).with_context(|| format!("the export's line on its check cannot be read: {}", text.trim()))
}

/// Reads `checked against libtorch: 64 reports, 2210 steps, logits within 1.5e-6, 400 greedy texts equal, 0 part at a
/// tie; variants a, b`.
fn read(text: &str) -> Option<Checked> {
    let line = text.lines().find_map(|line| line.strip_prefix("checked against libtorch: "))?;
    let (counts, variants) = line.split_once("; variants ")?;
    let mut parts = counts.split(", ");
    let mut number = |before: &str, after: &str| parts.next()?.strip_prefix(before)?.strip_suffix(after);
    Some(Checked {
        reports: number("", " reports")?.parse().ok()?,
        steps: number("", " steps")?.parse().ok()?,
        difference: number("logits within ", "")?.parse().ok()?,
        equal: number("", " greedy texts equal")?.parse().ok()?,
        ties: number("", " part at a tie")?.parse().ok()?,
        variants: variants.split(", ").map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exports_line_is_read() {
        let text = "bundle `x` (0123) -> y\nchecked against libtorch: 64 reports, 2210 steps, logits within 1.50e-6, \
                    398 greedy texts equal, 2 part at a tie; variants fp32-cpu, fp32-cuda\n";
        let expected = Checked {
            reports: 64,
            steps: 2210,
            difference: 1.5e-6,
            equal: 398,
            ties: 2,
            variants: vec!["fp32-cpu".to_owned(), "fp32-cuda".to_owned()],
        };
        assert_eq!(read(text), Some(expected));
        assert_eq!(read("bundle `x` (0123) -> y"), None);
    }
}
