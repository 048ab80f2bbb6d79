//! `models` and `runtime` are portable: what differs by system stands in `runtime/src/platform` alone.

use std::fs;
use std::path::{Path, PathBuf};

/// What ties a source file to one system.
const BOUND_TO_A_SYSTEM: [&str; 4] = ["std::os::unix", "std::os::windows", "libc::", "\"/proc"];

#[test]
fn only_the_platform_folder_knows_the_system() {
    let root = xreport_tests::root();
    let mut files = Vec::new();
    for member in ["models/src", "runtime/src"] {
        sources(&root.join(member), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found below {}", root.display());
    let platform = root.join("runtime/src/platform");
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.starts_with(&platform)) {
        let text = fs::read_to_string(file).expect("a source file is text");
        for word in BOUND_TO_A_SYSTEM.iter().filter(|word| text.contains(**word)) {
            found.push(format!("{}: {word}", file.display()));
        }
    }
    assert!(found.is_empty(), "these belong into runtime/src/platform:\n{}", found.join("\n"));
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
