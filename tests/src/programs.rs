//! Where the built programs are, which only cargo knows for sure.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::root;

/// Set by `cargo xtask test`: the folder of the programs that it has built.
const PROGRAMS: &str = "XREPORT_TEST_PROGRAMS";
/// The cargo profile to build the programs in, where it is not the tests' own.
const PROFILE: &str = "XREPORT_TEST_PROFILE";

/// Programs that this process has already found.
static FOUND: LazyLock<Mutex<BTreeMap<String, PathBuf>>> = LazyLock::new(Mutex::default);

/// The built program `name` (`xreport` or `xreport-train`), which is built first where
/// `cargo xtask test` has not done so.
///
/// # Panics
/// The program does not build, or there is none of that name.
pub fn binary(name: &str) -> PathBuf {
    // Held while cargo builds: the other tests wait for that build instead of starting their own.
    // A failed build leaves the map as it was, so that the next test tells why it fails, too.
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = found.get(name) {
        return path.clone();
    }
    let path = match env::var_os(PROGRAMS) {
        Some(folder) => prepared(Path::new(&folder), name),
        None => build(name),
    };
    found.insert(name.to_owned(), path.clone());
    path
}

fn prepared(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{PROGRAMS} names `{}`, which holds no `{name}`\nhint: unset {PROGRAMS}, or run `cargo xtask test`",
        folder.display()
    );
    path
}

fn build(name: &str) -> PathBuf {
    // Offline first: the tests were built a moment ago, so the crates are most likely all here.
    let mut output = cargo_build(name, true);
    if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("--offline") {
        output = cargo_build(name, false);
    }
    assert!(output.status.success(), "`{name}` does not build\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|message| executable(message, name))
        .unwrap_or_else(|| panic!("cargo built no program `{name}`"))
}

fn cargo_build(name: &str, offline: bool) -> Output {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command
        .current_dir(root())
        // All members but the helper, as `cargo xtask test` does: the same features of the same
        // crates, so that nothing is built twice.
        .args(["build", "--workspace", "--exclude", "xtask", "--bin", name])
        .args(["--profile", &profile()])
        .arg("--message-format=json-render-diagnostics");
    if let Some(folder) = target_folder() {
        command.arg("--target-dir").arg(folder);
    }
    if offline {
        command.arg("--offline");
    }
    // Set by cargo for this test alone; a build script that watches one would run for nothing.
    for (variable, _) in env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    command.output().unwrap_or_else(|error| panic!("cargo cannot be started: {error}"))
}

fn profile() -> String {
    env::var(PROFILE).unwrap_or_else(|_| {
        let own = if cfg!(debug_assertions) { "dev" } else { "release" };
        own.to_owned()
    })
}

/// The target folder that this test was built into: cargo marks it, however it was chosen.
fn target_folder() -> Option<PathBuf> {
    let test = env::current_exe().ok()?;
    let folder = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(folder.to_path_buf())
}

fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    if message["target"]["name"] != name {
        return None;
    }
    message["executable"].as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_picked_from_cargos_messages() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"xreport"},"executable":"/t/xreport"}"#;
        assert_eq!(executable(message, "xreport"), Some(PathBuf::from("/t/xreport")));
        assert_eq!(executable(message, "xreport-train"), None);
        let library = r#"{"reason":"compiler-artifact","target":{"name":"xreport"},"executable":null}"#;
        assert_eq!(executable(library, "xreport"), None);
    }

    #[test]
    fn a_program_is_found_and_found_again() {
        let first = binary("xreport");
        assert!(first.is_file(), "{}", first.display());
        assert_eq!(binary("xreport"), first);
    }

    #[test]
    fn the_target_folder_is_this_tests_own() {
        let folder = target_folder().expect("cargo marks its target folder");
        let test = env::current_exe().expect("a running program has a path");
        assert!(test.starts_with(folder));
    }
}
