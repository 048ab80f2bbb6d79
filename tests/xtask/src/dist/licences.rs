//! The licences of every crate that is linked into `xreport`, with their texts.
//!
//! Made from what cargo has already downloaded (`cargo metadata`, the crates' own files), so it needs no network and no
//! further tool; the licence expressions are read by the `spdx` crate, as cargo-about and cargo-deny do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::workspace::Workspace;

/// The member whose crates are listed.
const PROGRAM: &str = "xreport-runtime";

/// Licences under which a crate may be linked into a program that is passed on as a whole. MPL-2.0 asks that its own
/// files stay available, which crates.io does.
const ACCEPTED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "IJG",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Beginnings of the names of files that hold a licence or a notice, in lower case.
const FILES: [&str; 6] = ["license", "licence", "copying", "notice", "unlicense", "copyright"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    /// `None` for members of the workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `null` for what is linked, else `build` or `dev`.
    kind: Option<String>,
}

/// Writes the list; how many crates.
pub fn write(workspace: &Workspace, path: &Path) -> Result<usize> {
    let metadata = metadata(workspace)?;
    let packages = linked(&metadata)?;
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut list =
        String::from("Crates that are linked into xreport, with their licences. The texts follow below.\n\n");
    let mut without = Vec::new();
    for package in &packages {
        let licence = accepted(package)?;
        let name = format!("{} {}", package.name, package.version);
        let _ = writeln!(list, "{name}  {licence}  {}", package.repository.as_deref().unwrap_or_default());
        let own = texts_of(package)?;
        if own.is_empty() {
            without.push((name.clone(), licence.to_owned()));
        }
        for text in own {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (file, text) in standard_library()? {
        let _ = writeln!(list, "Rust's standard library  {file}  https://github.com/rust-lang/rust");
        texts.entry(text).or_default().insert("Rust's standard library".into());
    }
    refuse_without_text(&without, &texts)?;
    if !without.is_empty() {
        list +=
            "\nThese come without a licence file; the text of the licence that they name stands among those below:\n";
        for (name, licence) in &without {
            let _ = writeln!(list, "{name}  {licence}");
        }
    }
    for (text, names) in &texts {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let _ = write!(list, "\n{}\n{}\n\n{}\n", "=".repeat(80), names.join(", "), text.trim_end());
    }
    fs::create_dir_all(path.parent().context("the file lies in a folder")?)?;
    fs::write(path, list).with_context(|| format!("`{}` cannot be written", path.display()))?;
    Ok(packages.len())
}

fn metadata(workspace: &Workspace) -> Result<Metadata> {
    let target = host(workspace)?;
    let mut cargo = workspace.cargo();
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", &target]);
    let output = cargo.output().context("cargo cannot be started")?;
    ensure!(output.status.success(), "`cargo metadata` failed\n{}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("cargo's metadata cannot be read")
}

/// The system that the program is built for.
fn host(workspace: &Workspace) -> Result<String> {
    let output = workspace.cargo().args(["--version", "--verbose"]).output().context("cargo cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).context("cargo does not say its host")
}

/// Crates of others that are linked, by name and version.
fn linked(metadata: &Metadata) -> Result<Vec<&Package>> {
    let nodes: HashMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let packages: HashMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let start = metadata.packages.iter().find(|package| package.name == PROGRAM && package.source.is_none());
    let mut waiting = vec![start.with_context(|| format!("no member `{PROGRAM}`"))?.id.as_str()];
    let mut seen = HashSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("cargo does not resolve `{id}`"))?;
        let linked = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        waiting.extend(node.deps.iter().filter(linked).map(|dependency| dependency.pkg.as_str()));
    }
    let mut found: Vec<&Package> =
        seen.iter().filter_map(|id| packages.get(id).copied()).filter(|package| package.source.is_some()).collect();
    found.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(found)
}

/// The package's licence expression, where one of its choices may be passed on.
fn accepted(package: &Package) -> Result<&str> {
    let Some(licence) = package.license.as_deref() else {
        bail!("`{} {}` names no licence: `cargo xtask dist` cannot pass it on", package.name, package.version);
    };
    // Old crates write `MIT/Apache-2.0`.
    let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX);
    let expression = expression.with_context(|| format!("the licence of `{}`: `{licence}`", package.name))?;
    let allowed = expression.evaluate(|term| {
        let id = term.license.id().map(|id| id.name);
        id.is_some_and(|id| ACCEPTED.contains(&id))
    });
    ensure!(allowed, "`{} {}` is under `{licence}`: may that be passed on?", package.name, package.version);
    Ok(licence)
}

fn texts_of(package: &Package) -> Result<Vec<String>> {
    let folder = package.manifest_path.parent().context("a manifest lies in a folder")?;
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if entry.file_type()?.is_file() && FILES.iter().any(|start| name.starts_with(start)) {
            let text = String::from_utf8_lossy(&fs::read(entry.path())?).replace("\r\n", "\n");
            texts.push(text);
        }
    }
    Ok(texts)
}

/// Rust's own texts, from the toolchain.
fn standard_library() -> Result<Vec<(String, String)>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::process::Command::new(rustc).args(["--print", "sysroot"]).output().context("rustc")?;
    let folder = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("share/doc/rust/licenses");
    let read = |name: &str| Some((name.to_owned(), fs::read_to_string(folder.join(format!("{name}.txt"))).ok()?));
    Ok(["MIT", "Apache-2.0"].into_iter().filter_map(read).collect())
}

/// A crate without a licence file needs at least the text of a licence that it names.
fn refuse_without_text(without: &[(String, String)], texts: &BTreeMap<String, BTreeSet<String>>) -> Result<()> {
    let has = |words: &str| texts.keys().any(|text| text.contains(words));
    let at_hand = [
        ("MIT", has("Permission is hereby granted, free of charge")),
        ("Apache-2.0", has("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION")),
        ("BSD-3-Clause", has("Neither the name of")),
        ("MPL-2.0", has("Mozilla Public License Version 2.0")),
        ("Zlib", has("This software is provided 'as-is'")),
        // A dedication to the public domain asks for no text to be passed on.
        ("CC0-1.0", true),
    ];
    for (name, licence) in without {
        let found = at_hand.iter().any(|(id, there)| *there && licence.contains(id));
        ensure!(found, "`{name}` ({licence}) has no licence file, and no other crate has that text");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(licence: Option<&str>) -> Package {
        Package {
            id: "x".into(),
            name: "x".into(),
            version: "1.0.0".into(),
            license: licence.map(str::to_owned),
            repository: None,
            manifest_path: "/x/Cargo.toml".into(),
            source: Some("registry".into()),
        }
    }

    #[test]
    fn a_choice_suffices_and_a_copyleft_alone_does_not() {
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert!(accepted(&package(Some(fine))).is_ok(), "{fine}");
        }
        for refused in [Some("GPL-3.0-only"), Some("MIT AND AGPL-3.0-only"), Some("no licence"), None] {
            assert!(accepted(&package(refused)).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn every_linked_crate_has_a_text() {
        let workspace = Workspace::find().expect("the tests run inside the tree");
        let folder = std::env::temp_dir().join(format!("xtask-licences-{}", std::process::id()));
        let crates = write(&workspace, &folder.join("crates.txt")).expect("written");
        let text = fs::read_to_string(folder.join("crates.txt")).expect("read");
        assert!(crates > 50 && text.contains("\nort 2.0.0") && !text.contains("\ntch "), "{crates}");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
