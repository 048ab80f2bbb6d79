//! `cargo xtask demo`: from a fresh checkout to scored reports, every step shown as it is typed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::phases::{phase, succeeds};
use crate::setup;
use crate::workspace::Workspace;

/// Everything that the demo makes lies here.
const FOLDER: &str = "demo";
/// Tells a folder that the demo made from one of the user's.
const MARKER: &str = "made-by-cargo-xtask-demo";
/// Where the steps leave the page to look at.
const PAGE: &str = "demo/results/index.html";

/// As typed.
#[derive(Debug, Default)]
pub struct Options {
    quick: bool,
}

impl Options {
    /// Reads `[--quick]`.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        for word in words {
            match word.as_str() {
                "--quick" => options.quick = true,
                other => bail!("`demo` does not know `{other}`\nhint: cargo xtask help"),
            }
        }
        Ok(options)
    }
}

struct Step {
    title: &'static str,
    program: &'static str,
    /// As typed, words apart by spaces.
    arguments: &'static str,
    /// Added with `--quick`; the tests use it, and its results are worth nothing. An option
    /// given a second time takes the place of the first.
    quick: &'static str,
    /// What it makes below the root, removed before the demo runs again.
    makes: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        title: "draw the training set",
        program: "xreport-train",
        arguments: "dataset phantoms --out demo/dataset --samples 16000 --seed 1",
        quick: "--samples 48",
        makes: "demo/dataset",
    },
    Step {
        title: "draw the held-out set",
        program: "xreport-train",
        arguments: "dataset phantoms --out demo/held-out --samples 300 --seed 2",
        quick: "--samples 8",
        makes: "demo/held-out",
    },
    Step {
        title: "train",
        program: "xreport-train",
        arguments: "train --data demo/dataset --settings settings/demo.json --out demo/checkpoints/phantoms",
        quick: "--set training.EPOCHS=1",
        makes: "demo/checkpoints",
    },
    Step {
        title: "export the bundle",
        program: "xreport-train",
        arguments: "export demo/checkpoints/phantoms --out demo/bundle",
        quick: "",
        makes: "demo/bundle",
    },
    Step {
        title: "draft reports for the held-out images",
        program: "xreport",
        arguments: "generate demo/held-out/images --model demo/bundle --out demo/reports.csv --format csv --fresh",
        quick: "",
        makes: "demo/reports.csv",
    },
    Step {
        title: "evaluate",
        program: "xreport-train",
        arguments: "evaluate --model demo/bundle --data demo/held-out --training demo/dataset --out demo/results",
        quick: "",
        makes: "demo/results",
    },
];

impl Step {
    /// The words after the program's name.
    fn words(&self, quick: bool) -> Vec<&'static str> {
        let mut words: Vec<&str> = self.arguments.split_whitespace().collect();
        if !quick {
            return words;
        }
        let mut extra = self.quick.split_whitespace();
        while let (Some(option), Some(value)) = (extra.next(), extra.next()) {
            match words.iter().position(|word| *word == option) {
                Some(place) if option != "--set" => words[place + 1] = value,
                _ => words.extend([option, value]),
            }
        }
        words
    }
}

/// Runs all steps, and ends at the first that fails.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    refuse_foreign(&workspace.path(FOLDER))?;
    phase("native libraries", || setup::run(workspace, &setup::Options::default()))?;
    let programs = phase("build", || {
        println!("   cargo build --release --workspace --bins");
        workspace.build_programs("release")
    })?;
    clear(workspace)?;
    for step in STEPS {
        phase(step.title, || {
            let program = programs
                .get(step.program)
                .with_context(|| format!("the workspace has no program `{}`", step.program))?;
            let words = step.words(options.quick);
            let shown = program.strip_prefix(workspace.root()).unwrap_or(program);
            println!("   {} {}", shown.display(), words.join(" "));
            ensure!(
                succeeds(Command::new(program).args(words).current_dir(workspace.root()))?,
                "the demo ends here: `{}` failed, see its message above",
                step.title
            );
            Ok(())
        })?;
    }
    println!("== the whole demo: {:.0} s", start.elapsed().as_secs_f64());
    println!("reports: {}", workspace.path("demo/reports.csv").display());
    println!("results: open {} in a browser", workspace.path(PAGE).display());
    Ok(())
}

/// The demo's folder must be absent or the demo's own.
fn refuse_foreign(folder: &Path) -> Result<()> {
    ensure!(
        !folder.exists() || folder.join(MARKER).is_file(),
        "`{}` exists and was not made by the demo: it stays as it is\nhint: move it away, then run the demo again",
        folder.display()
    );
    Ok(())
}

/// Removes what an earlier demo made, and marks the folder as the demo's.
fn clear(workspace: &Workspace) -> Result<()> {
    let folder = workspace.path(FOLDER);
    let marker = folder.join(MARKER);
    for step in STEPS {
        let path = workspace.path(step.makes);
        if path.exists() {
            println!("removing {} of an earlier demo", step.makes);
            remove(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
        }
    }
    fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    fs::write(&marker, "`cargo xtask demo` removes its earlier outputs from this folder.\n")
        .with_context(|| format!("`{}` cannot be written", marker.display()))
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_takes_the_place_of_an_option_and_adds_settings() {
        assert_eq!(
            STEPS[0].words(true),
            ["dataset", "phantoms", "--out", "demo/dataset", "--samples", "48", "--seed", "1"]
        );
        assert!(STEPS[2].words(true).ends_with(&["--set", "training.EPOCHS=1"]));
        assert!(!STEPS[2].words(false).contains(&"--set"));
    }

    #[test]
    fn every_output_lies_in_the_demos_folder() {
        for step in STEPS {
            assert!(step.makes.starts_with("demo/"), "{}", step.makes);
            assert!(step.arguments.contains(step.makes), "{} is not what `{}` makes", step.makes, step.title);
        }
        assert!(STEPS.iter().any(|step| PAGE.starts_with(step.makes)));
    }

    #[test]
    fn a_folder_of_the_users_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-demo-{}", std::process::id()));
        refuse_foreign(&folder).expect("nothing is there");
        fs::create_dir(&folder).expect("made");
        let error = refuse_foreign(&folder).expect_err("no marker").to_string();
        assert!(error.contains("not made by the demo"), "{error}");
        fs::write(folder.join(MARKER), "").expect("written");
        refuse_foreign(&folder).expect("the demo's own");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
