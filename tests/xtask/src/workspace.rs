//! The source tree that the helper works on, and the cargo that started it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Where the pinned native libraries stand, relative to the root; it also tells the root apart.
pub const PINS: &str = "settings/native-libraries.json";

/// The root of the source tree.
pub struct Workspace {
    root: PathBuf,
}

/// The built programs: name (without a system's suffix) to path.
pub type Programs = BTreeMap<String, PathBuf>;

impl Workspace {
    /// The tree that cargo runs this helper from, else the one that holds the current folder.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        // Read while running, not compiled in: a moved tree keeps its built helper.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        package
            .iter()
            .flat_map(|folder| folder.ancestors())
            .chain(here.ancestors())
            .find(|folder| folder.join(PINS).is_file())
            .map(|root| Self { root: root.to_path_buf() })
            .with_context(|| {
                format!(
                    "no `{PINS}` in `{}` or above it\nhint: run this inside the XREPORT source tree",
                    here.display()
                )
            })
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// A cargo of the toolchain that runs this helper, started in the root.
    pub fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        // `cargo run` sets these for this helper alone; a build script that watches one of them
        // would run again each time the build is started another way.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Cargo's target folder, where the user keeps it outside the tree (`CARGO_TARGET_DIR`,
    /// `build.target-dir`).
    pub fn target_elsewhere(&self) -> Option<PathBuf> {
        let output = self.cargo().args(["metadata", "--no-deps", "--format-version=1", "--offline"]).output().ok()?;
        let metadata: Metadata = serde_json::from_slice(&output.stdout).ok()?;
        Some(metadata.target_directory).filter(|folder| *folder != self.path("target"))
    }

    /// Builds the members' programs in `profile` and says where cargo put them.
    ///
    /// The helper itself is left out: it runs, and some systems lock a running program's file.
    pub fn build_programs(&self, profile: &str) -> Result<Programs> {
        self.build(&["--workspace", "--exclude", "xtask", "--bins", "--profile", profile])
    }

    /// Builds the programs of one member alone.
    pub fn build_package(&self, package: &str, profile: &str) -> Result<Programs> {
        self.build(&["--package", package, "--bins", "--profile", profile])
    }

    fn build(&self, arguments: &[&str]) -> Result<Programs> {
        let mut child = self
            .cargo()
            .arg("build")
            .args(arguments)
            .arg("--message-format=json-render-diagnostics")
            .stdout(Stdio::piped())
            .spawn()
            .context("cargo cannot be started")?;
        let stdout = child.stdout.take().expect("stdout was asked to be piped");
        let mut programs = Programs::new();
        for line in BufReader::new(stdout).lines() {
            programs.extend(built_program(&line.context("cargo's messages cannot be read")?));
        }
        let status = child.wait().context("cargo cannot be waited for")?;
        ensure!(status.success(), "the build failed: see cargo's messages above");
        if programs.is_empty() {
            bail!("cargo built no program: the workspace has no binaries");
        }
        Ok(programs)
    }
}

/// The part of `cargo metadata` that is of use here.
#[derive(Deserialize)]
struct Metadata {
    target_directory: PathBuf,
}

/// The part of cargo's JSON messages that names a built program.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn built_program(message: &str) -> Option<(String, PathBuf)> {
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    Some((artifact.target.name, artifact.executable?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_from_cargos_message() {
        let program = r#"{"reason":"compiler-artifact","target":{"name":"xreport","kind":["bin"]},"executable":"/t/debug/xreport"}"#;
        assert_eq!(built_program(program), Some(("xreport".to_owned(), PathBuf::from("/t/debug/xreport"))));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"xreport_models"},"executable":null}"#;
        assert_eq!(built_program(library), None);
        assert_eq!(built_program(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(built_program("a line that is no message"), None);
    }

    #[test]
    fn the_tree_is_found_from_its_own_package() {
        let workspace = Workspace::find().expect("the tests run inside the tree");
        assert!(workspace.path("tests/xtask/Cargo.toml").is_file());
    }
}
