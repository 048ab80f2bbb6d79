//! A recipe: steps that run our programs one after another, each shown as it is typed, in a folder of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::phases::{phase, succeeds};
use crate::workspace::{Programs, Workspace};

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it does.
    pub title: &'static str,
    /// The program.
    pub program: &'static str,
    /// As typed, words apart by spaces; `{NAME}` stands for what the user names.
    pub arguments: &'static str,
    /// Added with `--quick`; the tests use it, and its results are worth nothing. An option given a second time takes the
    /// place of the first.
    pub quick: &'static str,
    /// What it makes below the root, removed before the recipe runs again.
    pub makes: &'static str,
}

impl Step {
    /// The words after the program's name, each `{NAME}` of `named` replaced.
    pub fn words(&self, quick: bool, named: &[(&str, String)]) -> Vec<String> {
        let mut words: Vec<String> = self.arguments.split_whitespace().map(|word| filled(word, named)).collect();
        if !quick {
            return words;
        }
        let mut extra = self.quick.split_whitespace();
        while let (Some(option), Some(value)) = (extra.next(), extra.next()) {
            match words.iter().position(|word| word == option) {
                Some(place) if option != "--set" => value.clone_into(&mut words[place + 1]),
                _ => words.extend([option.to_owned(), value.to_owned()]),
            }
        }
        words
    }
}

fn filled(word: &str, named: &[(&str, String)]) -> String {
    let value = |name: &str| named.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let name = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    name.and_then(value).unwrap_or_else(|| word.to_owned())
}

/// Steps with the folder that they work in.
pub struct Recipe<'r> {
    /// What messages call it.
    pub name: &'r str,
    /// The folder, below the root.
    pub folder: &'r str,
    /// Its steps.
    pub steps: &'r [Step],
}

impl Recipe<'_> {
    /// The file that tells the recipe's folder from one of the user's.
    fn marker(&self) -> String {
        format!("made-by-cargo-xtask-{}", self.name)
    }

    /// The folder must be absent or the recipe's own.
    pub fn refuse_foreign(&self, workspace: &Workspace) -> Result<()> {
        refuse_foreign(self.name, &workspace.path(self.folder), &self.marker())
    }

    /// Removes what an earlier run made, and marks the folder.
    pub fn clear(&self, workspace: &Workspace) -> Result<()> {
        for step in self.steps {
            let path = workspace.path(step.makes);
            if path.exists() {
                println!("removing {} of an earlier run", step.makes);
                remove(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
            }
        }
        let folder = workspace.path(self.folder);
        fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        let marker = folder.join(self.marker());
        let text = format!("`cargo xtask {}` removes its earlier outputs from this folder.\n", self.name);
        fs::write(&marker, text).with_context(|| format!("`{}` cannot be written", marker.display()))
    }

    /// Runs a step, in the root.
    pub fn run(&self, workspace: &Workspace, programs: &Programs, step: &Step, words: &[String]) -> Result<()> {
        phase(step.title, || {
            let program = programs
                .get(step.program)
                .with_context(|| format!("the workspace has no program `{}`", step.program))?;
            let shown = program.strip_prefix(workspace.root()).unwrap_or(program);
            println!("   {} {}", shown.display(), words.join(" "));
            ensure!(
                succeeds(Command::new(program).args(words).current_dir(workspace.root()))?,
                "`{}` ends here: `{}` failed, see its message above",
                self.name,
                step.title
            );
            Ok(())
        })
    }
}

fn refuse_foreign(name: &str, folder: &Path, marker: &str) -> Result<()> {
    ensure!(
        !folder.exists() || folder.join(marker).is_file(),
        "`{}` exists and was not made by `cargo xtask {name}`: it stays as it is\nhint: move it away, then start again",
        folder.display()
    );
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Step = Step {
        title: "draw",
        program: "xreport-train",
        arguments: "draw {SOURCE} --samples 16000 --seed 1",
        quick: "--samples 48 --set a=1",
        makes: "demo/drawn",
    };

    #[test]
    fn quick_takes_the_place_of_an_option_and_adds_settings() {
        let named = [("SOURCE", "a folder/x".to_owned())];
        assert_eq!(STEP.words(false, &named), ["draw", "a folder/x", "--samples", "16000", "--seed", "1"]);
        assert_eq!(STEP.words(true, &[]), ["draw", "{SOURCE}", "--samples", "48", "--seed", "1", "--set", "a=1"]);
    }

    #[test]
    fn a_folder_of_the_users_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-recipe-{}", std::process::id()));
        let refuse = || refuse_foreign("demo", &folder, "mark");
        refuse().expect("nothing is there");
        fs::create_dir(&folder).expect("made");
        let error = refuse().expect_err("no marker").to_string();
        assert!(error.contains("not made by `cargo xtask demo`"), "{error}");
        fs::write(folder.join("mark"), "").expect("written");
        refuse().expect("its own");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
