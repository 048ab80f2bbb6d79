//! The programs that a proof runs, and the folder that it works in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::python_checks;
use crate::test_suite::PROGRAMS;
use crate::workspace::{self, Workspace};

/// The built programs of this tree.
pub struct Programs(workspace::Programs);

impl Programs {
    /// Builds them for release, or takes those in the folder that XREPORT_TEST_PROGRAMS names.
    pub fn built(workspace: &Workspace) -> Result<Self> {
        let Some(folder) = std::env::var_os(PROGRAMS).filter(|value| !value.is_empty()) else {
            println!("   cargo build --release --workspace --bins");
            return Ok(Self(workspace.build_programs("release")?));
        };
        let folder = PathBuf::from(folder);
        println!("   programs of `{}` ({PROGRAMS})", folder.display());
        let named = |name: &str| {
            let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            ensure!(path.is_file(), "{PROGRAMS} names `{}`, which holds no `{name}`", folder.display());
            Ok((name.to_owned(), std::path::absolute(&path)?))
        };
        Ok(Self(["xreport", "xreport-train"].into_iter().map(named).collect::<Result<_>>()?))
    }

    /// All of them, by name.
    pub fn all(&self) -> &workspace::Programs {
        &self.0
    }

    /// Where the program lies.
    pub fn path(&self, name: &str) -> Result<&Path> {
        self.0.get(name).map(PathBuf::as_path).with_context(|| format!("the workspace has no program `{name}`"))
    }

    /// Starts the program with `words`; paths in them are relative to `folder`.
    pub fn command(&self, name: &str, folder: &Path, words: &str) -> Result<Command> {
        let mut command = Command::new(self.path(name)?);
        command.args(words.split_whitespace()).current_dir(folder).stdin(Stdio::null());
        Ok(command)
    }
}

/// Runs `command` to its end and gives what it printed on stdout.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("{shown} cannot be started"))?;
    ensure!(
        output.status.success(),
        "{shown} failed ({})\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end and reads its stdout as JSON.
pub fn json(command: &mut Command) -> Result<serde_json::Value> {
    let shown = format!("{command:?}");
    let text = output(command)?;
    serde_json::from_str(&text).with_context(|| format!("{shown} printed no JSON: {}", text.trim()))
}

/// A number in a program's JSON.
pub fn number(object: &serde_json::Value, key: &str) -> Result<f64> {
    object[key].as_f64().with_context(|| format!("a number `{key}` expected in {object}"))
}

/// An empty folder for the proof `name`, whose files stay for a look afterwards.
pub fn folder(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let folder = workspace.path("target/proofs").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("`{}` cannot be removed", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    Ok(folder)
}

/// The Python of the checks, which is set up where it has to be; or the one that the user names.
pub fn python(workspace: &Workspace, named: Option<&str>) -> Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named.into());
    }
    python_checks::ensure_linked(workspace)?;
    match python_checks::interpreter(workspace) {
        Some(python) => Ok(python),
        None => {
            bail!("the Python environment of the checks has no interpreter\nhint: cargo xtask setup --python-checks")
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_an_error_with_its_message() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        assert_eq!(output(&mut shell("echo 3")).expect("it ends well"), "3\n");
        let error = output(&mut shell("echo why >&2; exit 2")).expect_err("it fails").to_string();
        assert!(error.contains("why"), "{error}");
        let object = json(&mut shell(r#"echo '{"ms": 2.5}'"#)).expect("JSON");
        assert!((number(&object, "ms").expect("there") - 2.5).abs() < 1e-12);
        assert!(number(&object, "s").is_err());
        assert!(json(&mut shell("echo fast")).is_err());
    }
}
