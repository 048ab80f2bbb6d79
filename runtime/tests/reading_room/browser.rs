//! The page in Chromium: what a radiologist does, by mouse and by keyboard alone.
//!
//! `browser/walk.mjs` drives it with playwright-core; `npm ci` in that folder fetches it. Without Chromium, Node.js or
//! these packages the tests are skipped, and say so.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::images::dicom;
use crate::server::{Server, folder, skipped};

/// Real radiographs beside the source tree, where they are there.
const RADIOGRAPH: &str = "../../shared/data/dicom/RG1_J2KI.dcm";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// A browser and what drives it; else why there is none.
fn chromium() -> Result<PathBuf, &'static str> {
    let on_path = |name: &str| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    if on_path("node").is_none() {
        return Err("Node.js is not here");
    }
    if !scripts().join("node_modules/playwright-core").is_dir() {
        return Err("playwright-core is not here: `npm ci` in runtime/tests/browser fetches it");
    }
    on_path("chromium").or_else(|| on_path("chromium-browser")).ok_or("Chromium is not here")
}

/// Runs a walk over a server; restarts the server where the walk asks for it.
fn walk(name: &str, arguments: &[&str]) {
    let chromium = match chromium() {
        Ok(path) => path,
        Err(reason) => return skipped(reason),
    };
    let folder = folder();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join(RADIOGRAPH);
    let drawn = folder.path().join("drawn <b>radiograph<\u{2044}b>.dcm");
    std::fs::write(&drawn, dicom("Secret^Patient")).unwrap();
    let radiograph = if real.is_file() {
        real
    } else {
        skipped("the real radiograph of this walk is not here; a drawn one is taken");
        drawn.clone()
    };
    let records = folder.path().join("records");
    let mut seen = Value::Null;
    for part in ["first", "second"] {
        let server = Server::start(&records, arguments);
        let run = Command::new("node")
            .arg(scripts().join("walk.mjs"))
            .args([name, part, &format!("http://{}", server.address)])
            .env("CHROMIUM", &chromium)
            .env("RADIOGRAPH", &radiograph)
            .env("DRAWN", &drawn)
            .env("SEEN", seen.to_string())
            .output()
            .expect("node runs");
        let told = String::from_utf8_lossy(&run.stdout).into_owned();
        let problems = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{name}, {part} part:\n{told}\n{problems}\n{}", server.log());
        // The last line is what the next part must find again.
        seen = serde_json::from_str(told.lines().last().unwrap_or("null")).unwrap_or_else(|_| panic!("{told}"));
        assert_eq!(server.stop(), Some(0), "the server is restarted");
    }
}

#[test]
fn a_radiologist_walks_through_by_mouse() {
    walk("mouse", &["--keep-images"]);
}

#[test]
fn a_radiologist_walks_through_by_keyboard_alone() {
    walk("keyboard", &["--keep-images"]);
}

#[test]
fn the_page_has_no_serious_accessibility_violation() {
    walk("axe", &["--beams", "3", "--n-best", "3"]);
}
