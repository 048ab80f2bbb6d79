//! What drives a browser in the reading room's tests: playwright-core and axe-core, at the versions of their lock file.
//!
//! Nothing that users run needs it, nor any build. Without it, or without Chromium, those tests are skipped visibly.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace::Workspace;

/// Where `package.json` and its lock file lie, relative to the root.
const FOLDER: &str = "runtime/tests/browser";
/// Names of the browser that the tests look for.
const BROWSERS: [&str; 2] = ["chromium", "chromium-browser"];
/// A copy of the lock file beside what was fetched for it.
const FETCHED: &str = "node_modules/.fetched-for.json";

/// Fetches what is missing, for a test run; where that cannot be, says why the tests will be skipped.
pub fn ensure_or_say(workspace: &Workspace) {
    if let Err(error) = ensure_fetched(&workspace.path(FOLDER)) {
        println!("the tests in a browser will be skipped: {error:#}");
    }
}

fn ensure_fetched(folder: &Path) -> Result<()> {
    ensure!(BROWSERS.iter().any(|name| runs(name)), "Chromium is not here (Debian's package `chromium`)");
    ensure!(runs("node") && runs("npm"), "Node.js with npm is not here");
    let lock = fs::read(folder.join("package-lock.json")).context("the lock file cannot be read")?;
    if fs::read(folder.join(FETCHED)).is_ok_and(|fetched| fetched == lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder).stdout(Stdio::null());
    let status = npm.status().context("npm cannot be started")?;
    ensure!(status.success(), "`npm ci` in {FOLDER} failed ({status})");
    fs::write(folder.join(FETCHED), lock).context("what was fetched cannot be noted")?;
    println!("{FOLDER}/node_modules: fetched");
    Ok(())
}

fn runs(program: &str) -> bool {
    let quiet = Stdio::null;
    let started = Command::new(program).arg("--version").stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
    started.is_ok_and(|status| status.success())
}
