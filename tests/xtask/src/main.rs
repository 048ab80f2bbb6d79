//! `cargo xtask`: the set-up helper. Fetches the native libraries, runs the test suite, the
//! demo and the long proofs.
#![warn(missing_docs)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool: it may end when nobody listens")]

mod browser_checks;
mod cache;
mod demo;
mod dist;
mod fetch;
mod links;
mod phases;
mod pins;
mod prerequisites;
mod proofs;
mod python_checks;
mod radiographs;
mod recipe;
mod setup;
mod summary;
mod test_suite;
mod workspace;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup [--torch DIR | --cpu] [--cuda-runtime] [--python-checks]
                    fetch the native libraries into the user's cache and link them into target/native
      --torch DIR       use this PyTorch's `torch` folder (of the pinned version) for training, as on a
                        workstation with a GPU; XREPORT_TORCH names it as well
      --cuda-runtime    fetch ONNX Runtime with its CUDA provider (247 MB)
      --cpu             go back to the pinned CPU libraries
      --python-checks   fetch Python's readers of ONNX and TensorBoard files (80 MB), which some tests and proofs use
  test [--only-tests] [-- ARGS]
                    check the formatting, the lints and the dependency rules, then run all tests;
                    ARGS go to `cargo test`
  demo [--quick]    set up, build, draw a data set, train, export, generate and evaluate
  radiographs PNEUMONIA NIH [--out DIR] [--resume]
                    train, test and export the bundle that has seen real radiographs: the folders of the two corpora
  dist [--bundle DIR] [--no-deb]
                    a folder to copy to other machines, its .tar.gz, and a .deb where cargo-deb is installed
  prove --list      name the long proofs
  prove NAME [ARGS] run one of them

The cache is XREPORT_NATIVE_CACHE, else xreport/native in the user's cache folder.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {}", explain(&error));
            ExitCode::from(2)
        }
    }
}

/// Whether everything that was asked for went well.
fn run(arguments: &[String]) -> Result<bool> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("which command?\n{USAGE}");
    };
    if ["help", "--help", "-h"].contains(&command.as_str()) || rest.iter().any(|word| word == "--help") {
        // `cargo xtask help | head` closes the pipe early, which is no error.
        let _ = writeln!(std::io::stdout(), "{USAGE}");
        return Ok(true);
    }
    let workspace = Workspace::find()?;
    match command.as_str() {
        "setup" => setup::run(&workspace, &setup::Options::parse(rest)?).map(|()| true),
        "test" => test_suite::run(&workspace, &test_suite::Options::parse(rest)?),
        "demo" => demo::run(&workspace, &demo::Options::parse(rest)?).map(|()| true),
        "radiographs" => radiographs::run(&workspace, &radiographs::Options::parse(rest)?).map(|()| true),
        "dist" => dist::run(&workspace, &dist::Options::parse(rest)?),
        "prove" => proofs::run(&workspace, rest),
        other => bail!("`{other}` is not a command\n{USAGE}"),
    }
}

/// What happened, then its causes, then every hint.
fn explain(error: &anyhow::Error) -> String {
    let (mut what, mut hints) = (String::new(), String::new());
    for cause in error.chain() {
        let message = cause.to_string();
        let (text, hint) = message.split_once("\nhint:").unwrap_or((&message, ""));
        let apart = if what.is_empty() { "" } else { ": " };
        what.extend([apart, text]);
        if !hint.is_empty() {
            hints.extend(["\nhint:", hint]);
        }
    }
    what + &hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_after_the_causes() {
        let error = anyhow::anyhow!("permission denied").context("`x` cannot be made\nhint: choose another folder");
        assert_eq!(explain(&error), "`x` cannot be made: permission denied\nhint: choose another folder");
    }
}
