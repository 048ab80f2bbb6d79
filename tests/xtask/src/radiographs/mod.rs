//! `cargo xtask radiographs`: the bundle that has seen real radiographs, from two corpora that anyone can fetch.
//!
//! Persons are held out before anything is trained. The bundle's card gets what the held-out ones say of it, by age, view
//! and source, and what is left of that when borders are covered or sources are swapped.

mod notes;

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::phases::phase;
use crate::proofs::programs::Programs;
use crate::recipe::{Recipe, Step};
use crate::setup;
use crate::workspace::Workspace;

const FOLDER: &str = "radiographs";
/// What the model card closes with.
const NOTES: &str = "radiographs/notes.md";
/// Where the bundle goes.
const BUNDLE: &str = "models/radiographs";
/// Bytes of the bundle at most: it lies in the source tree.
const LARGEST: u64 = 6_000_000;

/// As typed.
#[derive(Debug)]
pub struct Options {
    pneumonia: String,
    nih: String,
    out: String,
    /// Steps whose output an earlier run has left are not run again.
    resume: bool,
}

impl Options {
    /// Reads `PNEUMONIA NIH [--out DIR] [--resume]`.
    pub fn parse(words: &[String]) -> Result<Self> {
        let (mut folders, mut out, mut resume) = (Vec::new(), BUNDLE.to_owned(), false);
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.as_str() {
                "--out" => rest.next().context("`--out` wants a folder")?.clone_into(&mut out),
                "--resume" => resume = true,
                option if option.starts_with('-') => {
                    bail!("`radiographs` does not know `{option}`\nhint: cargo xtask help")
                }
                folder => folders.push(folder.to_owned()),
            }
        }
        let [pneumonia, nih]: [String; 2] = folders.try_into().map_err(|found: Vec<_>| {
            anyhow::anyhow!(
                "two folders expected, {} found\nhint: cargo xtask radiographs PNEUMONIA NIH, the folder `chest_xray` of \
                 the children's radiographs and that of Data_Entry_2017_v2020.csv",
                found.len()
            )
        })?;
        Ok(Self { pneumonia, nih, out, resume })
    }
}

const STEPS: &[Step] = &[
    Step {
        title: "import the children's radiographs",
        program: "xreport-train",
        arguments: "dataset import pneumonia {PNEUMONIA} --out radiographs/children --split persons --test-percent 10 --validation-percent 0",
        quick: "",
        makes: "radiographs/children",
    },
    Step {
        title: "import ChestX-ray14",
        program: "xreport-train",
        arguments: "dataset import chestx-ray14 {NIH} --out radiographs/adults --state Pneumonia --state-alone --split persons --test-percent 20 --validation-percent 0",
        quick: "",
        makes: "radiographs/adults",
    },
    Step {
        title: "join them",
        program: "xreport-train",
        arguments: "dataset import join radiographs/children radiographs/adults --out radiographs/dataset",
        quick: "",
        makes: "radiographs/dataset",
    },
    Step {
        title: "train",
        program: "xreport-train",
        arguments: "train --data radiographs/dataset --settings settings/radiographs.json --out radiographs/checkpoints/radiographs",
        quick: "",
        makes: "radiographs/checkpoints/radiographs",
    },
    Step {
        title: "evaluate on the persons held out",
        program: "xreport-train",
        arguments: "evaluate --model radiographs/checkpoints/radiographs --data radiographs/dataset --statement {STATEMENT} --out radiographs/results",
        quick: "",
        makes: "radiographs/results",
    },
    Step {
        title: "the same with borders covered",
        program: "xreport-train",
        arguments: "evaluate --model radiographs/checkpoints/radiographs --data radiographs/dataset --statement {STATEMENT} --mask border --out radiographs/results-border-covered",
        quick: "",
        makes: "radiographs/results-border-covered",
    },
    Step {
        title: "the same with the borders alone",
        program: "xreport-train",
        arguments: "evaluate --model radiographs/checkpoints/radiographs --data radiographs/dataset --statement {STATEMENT} --mask centre --out radiographs/results-border-alone",
        quick: "",
        makes: "radiographs/results-border-alone",
    },
    Step {
        title: "train on children alone",
        program: "xreport-train",
        arguments: "train --data radiographs/children --settings settings/radiographs.json --out radiographs/checkpoints/children",
        quick: "",
        makes: "radiographs/checkpoints/children",
    },
    Step {
        title: "… and evaluate on adults",
        program: "xreport-train",
        arguments: "evaluate --model radiographs/checkpoints/children --data radiographs/adults --statement {STATEMENT} --out radiographs/results-children-on-adults",
        quick: "",
        makes: "radiographs/results-children-on-adults",
    },
    Step {
        title: "train on adults alone",
        program: "xreport-train",
        arguments: "train --data radiographs/adults --settings settings/radiographs.json --set training.EPOCHS=60 --out radiographs/checkpoints/adults",
        quick: "",
        makes: "radiographs/checkpoints/adults",
    },
    Step {
        title: "… and evaluate on children",
        program: "xreport-train",
        arguments: "evaluate --model radiographs/checkpoints/adults --data radiographs/children --statement {STATEMENT} --out radiographs/results-adults-on-children",
        quick: "",
        makes: "radiographs/results-adults-on-children",
    },
];

/// The bundle with its card, once the figures are known.
const EXPORT: Step = Step {
    title: "export the bundle with its card",
    program: "xreport-train",
    arguments: "export radiographs/checkpoints/radiographs --out {OUT} --card-notes radiographs/notes.md",
    quick: "",
    makes: NOTES,
};

/// The question that every text answers.
const STATEMENT: &str = "evidence of pneumonia";

/// Runs all steps, and ends at the first that fails.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let start = Instant::now();
    let recipe = Recipe { name: "radiographs", folder: FOLDER, steps: STEPS };
    recipe.refuse_foreign(workspace)?;
    phase("native libraries", || setup::run(workspace, &setup::Options::default()))?;
    let programs = phase("build", || Programs::built(workspace))?;
    if !options.resume {
        recipe.clear(workspace)?;
    }
    let absolute = |folder: &str| -> Result<String> {
        let path = std::path::absolute(folder)?;
        Ok(path.to_str().with_context(|| format!("`{folder}` is not UTF-8"))?.to_owned())
    };
    let named = [
        ("PNEUMONIA", absolute(&options.pneumonia)?),
        ("NIH", absolute(&options.nih)?),
        ("STATEMENT", STATEMENT.to_owned()),
        ("OUT", absolute(&options.out)?),
    ];
    for step in STEPS {
        if options.resume && workspace.path(step.makes).exists() {
            println!("== {}: {} is there", step.title, step.makes);
            continue;
        }
        recipe.run(workspace, programs.all(), step, &step.words(false, &named))?;
    }
    let notes = workspace.path(NOTES);
    fs::write(&notes, notes::of(workspace)?).with_context(|| format!("`{}` cannot be written", notes.display()))?;
    recipe.run(workspace, programs.all(), &EXPORT, &EXPORT.words(false, &named))?;
    let size = folder_size(&options.out)?;
    println!("== all of it: {:.0} s; the bundle has {size} bytes", start.elapsed().as_secs_f64());
    ensure!(size <= LARGEST, "the bundle has {size} bytes, at most {LARGEST} are wanted");
    Ok(())
}

fn folder_size(folder: &str) -> Result<u64> {
    let entries = fs::read_dir(folder).with_context(|| format!("`{folder}` cannot be read"))?;
    entries.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn two_folders_are_named() {
        let options = parse(&["a", "--out", "c", "b", "--resume"]).expect("well-formed");
        assert!(options.resume);
        assert_eq!([options.pneumonia, options.nih, options.out], ["a", "b", "c"]);
        assert!(parse(&["a"]).expect_err("one folder").to_string().contains("1 found"));
        assert!(parse(&["a", "b", "--fast"]).expect_err("no option").to_string().contains("--fast"));
    }

    #[test]
    fn every_output_lies_in_the_recipes_folder() {
        for step in STEPS {
            assert!(step.makes.starts_with("radiographs/"), "{}", step.makes);
            assert!(step.arguments.contains(step.makes), "{} is not what `{}` makes", step.makes, step.title);
        }
    }
}
