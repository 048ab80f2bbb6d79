//! `cargo xtask demo`: from a fresh checkout to scored reports, every step shown as it is typed.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::phases::phase;
use crate::recipe::{Recipe, Step};
use crate::setup;
use crate::workspace::Workspace;

/// Everything that the demo makes lies here.
const FOLDER: &str = "demo";
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

/// Runs all steps, and ends at the first that fails.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    let recipe = Recipe { name: "demo", folder: FOLDER, steps: STEPS };
    recipe.refuse_foreign(workspace)?;
    phase("native libraries", || setup::run(workspace, &setup::Options::default()))?;
    let programs = phase("build", || {
        println!("   cargo build --release --workspace --bins");
        workspace.build_programs("release")
    })?;
    recipe.clear(workspace)?;
    for step in STEPS {
        recipe.run(workspace, &programs, step, &step.words(options.quick, &[]))?;
    }
    println!("== the whole demo: {:.0} s", start.elapsed().as_secs_f64());
    println!("reports: {}", workspace.path("demo/reports.csv").display());
    println!("results: open {} in a browser", workspace.path(PAGE).display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_draws_few_and_trains_for_one_epoch() {
        assert_eq!(
            STEPS[0].words(true, &[]),
            ["dataset", "phantoms", "--out", "demo/dataset", "--samples", "48", "--seed", "1"]
        );
        assert!(STEPS[2].words(true, &[]).ends_with(&["--set".to_owned(), "training.EPOCHS=1".to_owned()]));
        assert!(!STEPS[2].words(false, &[]).contains(&"--set".to_owned()));
    }

    #[test]
    fn every_output_lies_in_the_demos_folder() {
        for step in STEPS {
            assert!(step.makes.starts_with("demo/"), "{}", step.makes);
            assert!(step.arguments.contains(step.makes), "{} is not what `{}` makes", step.makes, step.title);
        }
        assert!(STEPS.iter().any(|step| PAGE.starts_with(step.makes)));
    }
}
