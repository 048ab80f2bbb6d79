//! `cargo xtask test`: what CI runs.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::browser_checks;
use crate::phases::{phase, succeeds};
use crate::proofs::deps;
use crate::python_checks;
use crate::setup;
use crate::summary::Summary;
use crate::workspace::Workspace;

/// Tells the end-to-end tests where the built programs lie.
pub const PROGRAMS: &str = "XREPORT_TEST_PROGRAMS";

/// As typed.
#[derive(Debug, Default)]
pub struct Options {
    only_tests: bool,
    cargo_test: Vec<String>,
}

impl Options {
    /// Reads `[--only-tests] [-- ARGS]`.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--only-tests" => options.only_tests = true,
                "--" => {
                    options.cargo_test = words.cloned().collect();
                    break;
                }
                other => bail!("`test` does not know `{other}`\nhint: cargo xtask help"),
            }
        }
        Ok(options)
    }

    /// Whether cargo is told which packages to test: `--workspace` would have it test all.
    fn names_packages(&self) -> bool {
        let for_cargo = self.cargo_test.iter().take_while(|word| *word != "--");
        for_cargo.into_iter().any(|word| word.starts_with("-p") || word.starts_with("--package"))
    }
}

/// Runs all phases; whether all went well. A failed check does not keep the tests from running.
pub fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let start = Instant::now();
    phase("native libraries", || setup::run(workspace, &setup::Options::default()))?;
    phase("Python's readers", || python_checks::ensure_or_say(workspace))?;
    phase("a browser's driver", || {
        browser_checks::ensure_or_say(workspace);
        Ok(())
    })?;
    let mut failed_checks = Vec::new();
    if !options.only_tests {
        for (title, check) in CHECKS {
            if !phase(title, || check(workspace))? {
                failed_checks.push(*title);
            }
        }
    }
    let programs = phase("programs", || workspace.build_programs("dev"))?;
    let folder = programs.values().find_map(|program| program.parent()).context("a built program lies in a folder")?;
    let summary = phase("tests", || tests(workspace, options, folder))?;

    println!("== all phases: {:.1} s", start.elapsed().as_secs_f64());
    for check in &failed_checks {
        println!("failed check: {check}");
    }
    for problem in summary.problems() {
        println!("{problem}");
    }
    println!("{summary}");
    Ok(failed_checks.is_empty() && summary.is_success())
}

type Check = fn(&Workspace) -> Result<bool>;

const CHECKS: &[(&str, Check)] = &[
    ("formatting", |workspace| succeeds(workspace.cargo().args(["fmt", "--all", "--check"]))),
    ("lints", |workspace| {
        let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        succeeds(workspace.cargo().args(arguments))
    }),
    ("dependency rules", deps::check),
];

/// All tests in one run of cargo, shown as they come and counted on the way.
fn tests(workspace: &Workspace, options: &Options, programs: &Path) -> Result<Summary> {
    let mut command = workspace.cargo();
    command.args(["test", "--no-fail-fast"]);
    if !options.names_packages() {
        command.arg("--workspace");
    }
    command.args(&options.cargo_test).env(PROGRAMS, programs).stdout(Stdio::piped()).stderr(Stdio::piped());
    if std::io::stderr().is_terminal() {
        // Behind a pipe cargo would drop its colours; the test programs keep to plain lines.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command.spawn().context("cargo cannot be started")?;
    let stdout = child.stdout.take().expect("stdout was asked to be piped");
    let stderr = child.stderr.take().expect("stderr was asked to be piped");
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        let errors = scope.spawn(|| pass_through(stderr, &mut std::io::stderr(), &summary));
        let shown = pass_through(stdout, &mut std::io::stdout(), &summary);
        errors.join().expect("passing lines through does not panic").and(shown)
    })?;
    let status = child.wait().context("cargo cannot be waited for")?;
    let mut summary = summary.into_inner().expect("passing lines through does not panic");
    summary.end(status.success());
    Ok(summary)
}

fn pass_through(from: impl Read, to: &mut impl Write, summary: &Mutex<Summary>) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // Bytes, not strings: a test may print anything.
    while from.read_until(b'\n', &mut line).context("the tests' output cannot be read")? > 0 {
        to.write_all(&line).and_then(|()| to.flush()).context("the tests' output cannot be shown")?;
        let text = String::from_utf8_lossy(&line);
        summary.lock().expect("no other reader panics").line(text.trim_end());
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_looked_for_among_cargos_words_alone() {
        let options = |text: &str| {
            let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words).expect("valid")
        };
        assert!(options("-- -p xreport-models bundle").names_packages());
        assert!(options("--only-tests -- --package=xreport-models").names_packages());
        assert!(!options("-- bundle -- -p").names_packages());
        assert!(Options::parse(&["-p".to_owned()]).is_err());
    }
}
