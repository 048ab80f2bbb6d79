//! The ground that the end-to-end tests stand on: finds and runs the real programs.
//!
//! Nothing here links the trainer: the tests start `xreport` and `xreport-train` as a user does,
//! and need no libtorch themselves. `cargo xtask test` builds the programs beforehand; a test that
//! is run alone (`cargo test -p xreport-tests`) asks cargo for them.
#![warn(missing_docs)]

mod programs;

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use programs::binary;

/// Variables that lead a program to native libraries. A user has none of them set, so the tests
/// must pass without.
const NATIVE_LIBRARY_VARIABLES: &[&str] = &["LIBTORCH", "ORT_DYLIB_PATH", "LD_LIBRARY_PATH"];

/// A command that starts the program `name` (`xreport` or `xreport-train`) with no input, and with
/// nothing in its environment that says where native libraries lie.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    for variable in NATIVE_LIBRARY_VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// How a program ended and what it printed.
#[derive(Debug, Clone)]
pub struct Run {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output. Bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    shown: String,
}

impl Run {
    /// Starts `command` and waits for its end.
    pub fn of(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("{shown} cannot be started: {error}"));
        Self::from_output(&shown, &output)
    }

    /// What a program that has ended by itself left; `shown` stands for it in messages.
    pub fn from_output(shown: &str, output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            shown: shown.to_owned(),
        }
    }

    /// Checks the exit code, and shows all that the program printed where it is another one.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "most tests need only the check")]
    pub fn expect_code(self, expected: i32) -> Self {
        assert!(self.code == Some(expected), "expected exit code {expected}\n{self}");
        self
    }
}

/// Everything, for a failed assertion's message.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, stdout, stderr, .. } = self;
        match self.code {
            Some(code) => writeln!(f, "{shown}\nexit code {code}")?,
            None => writeln!(f, "{shown}\nended by a signal")?,
        }
        write!(f, "--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// The root of the source tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace").to_path_buf()
}

/// `../shared/PATH` beside the source tree: data that is too large or not free to be part of it.
/// Where it is absent, says so on stderr, and the test ends early: `cargo xtask test` counts such
/// a test as skipped.
///
/// ```no_run
/// # fn test() {
/// let Some(images) = xreport_tests::shared("data/nih/images") else { return };
/// # }
/// ```
pub fn shared(path: impl AsRef<Path>) -> Option<PathBuf> {
    let found = beside_the_tree(path.as_ref());
    if found.is_none() {
        skipped(&format!("`../shared/{}` is not here", path.as_ref().display()));
    }
    found
}

fn beside_the_tree(path: &Path) -> Option<PathBuf> {
    let found = root().join("../shared").join(path);
    found.exists().then_some(found)
}

/// The Python interpreter of the checks' environment; where it is not set up, says so as [`shared`] does.
pub fn python_of_the_checks() -> Option<PathBuf> {
    let program = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    let python = root().join("target/native/python-checks").join(program);
    if python.is_file() {
        return Some(python);
    }
    skipped("the Python environment of the checks is not here (`cargo xtask setup --python-checks`)");
    None
}

/// Prints `skipped: TEST: reason`, past the test runner, which keeps a passing test's output to itself.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_shared_data_is_none() {
        assert_eq!(beside_the_tree(Path::new("no-such-data/at-all")), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_run_holds_code_and_both_streams() {
        let run = Run::of(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(3), "out\n", "err\n"));
        let killed = Run::of(Command::new("sh").args(["-c", "kill -9 $$"]));
        assert_eq!(killed.code, None);
        let shown = killed.to_string();
        assert!(shown.contains("ended by a signal"), "{shown}");
    }

    #[test]
    fn a_programs_environment_names_no_native_library() {
        let command = command("xreport");
        for variable in NATIVE_LIBRARY_VARIABLES {
            let removed = command.get_envs().any(|(name, value)| name == *variable && value.is_none());
            assert!(removed, "{variable} is passed on");
        }
        assert!(Path::new(command.get_program()).is_file());
    }
}
