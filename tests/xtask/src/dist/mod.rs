//! `cargo xtask dist`: a folder that is copied to a machine and runs there, its `.tar.gz`, and a `.deb`.

mod archive;
mod licences;
mod trial;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::phases::{phase, succeeds};
use crate::pins::{hex_sha256, size, system};
use crate::setup::{self, NATIVE};
use crate::test_suite::PROGRAMS;
use crate::workspace::{PINS, Workspace};

/// Where it is made, relative to the root.
const FOLDER: &str = "target/dist";
/// The bundle that goes into it where none is named.
const DEMO: &str = "models/demo";
/// Where another one lies in it: `xreport` looks there first when none is named.
const INSTALLED: &str = "models/installed";
/// Bytes of the folder with the demo bundle.
const LARGEST: u64 = 60_000_000;

/// As typed.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// A bundle in place of the demo's.
    bundle: Option<PathBuf>,
    /// Without a Debian package, even where cargo-deb is installed.
    no_deb: bool,
}

impl Options {
    /// Reads `[--bundle DIR] [--no-deb]`.
    pub fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bundle" => options.bundle = Some(words.next().context("--bundle wants a folder")?.into()),
                "--no-deb" => options.no_deb = true,
                other => bail!("`dist` does not know `{other}`\nhint: cargo xtask help"),
            }
        }
        Ok(options)
    }
}

/// Makes folder, archive and package, and tries them; whether they hold what was promised.
pub fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("xreport-{version}-{}", system());
    phase("native libraries", || setup::run(workspace, &setup::Options::default()))?;
    let program = phase("build", || program(workspace))?;
    let made = workspace.path(FOLDER);
    if made.exists() {
        fs::remove_dir_all(&made).with_context(|| format!("`{}` cannot be removed", made.display()))?;
    }
    let folder = made.join(&name);
    phase("folder", || fill(workspace, options, &program, &folder))?;
    let archive = made.join(format!("{name}.tar.gz"));
    phase("archive", || archive::write(&folder, &archive))?;
    let package = if options.no_deb { None } else { phase("Debian package", || debian_package(workspace, &folder))? };
    let mut works = phase("trial: unpacked elsewhere, empty environment", || trial::archive(&archive, &name))?;
    if let Some(package) = &package {
        works &= phase("trial of the Debian package's files, likewise", || trial::debian_package(package))?;
    }
    let bytes = bytes_below(&folder)?;
    println!("{} {}", folder.display(), size(bytes));
    for file in std::iter::once(&archive).chain(&package) {
        println!("{} {}", file.display(), size(fs::metadata(file)?.len()));
    }
    let small = bytes <= LARGEST || options.bundle.is_some();
    if !small {
        println!("NOT MET: {} at most with the demo bundle", size(LARGEST));
    }
    Ok(works && small)
}

/// `xreport`, built for release, or from the folder that XREPORT_TEST_PROGRAMS names.
fn program(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS).filter(|value| !value.is_empty()) {
        println!("   program of `{}` ({PROGRAMS})", Path::new(&folder).display());
        return Ok(PathBuf::from(folder).join(format!("xreport{}", std::env::consts::EXE_SUFFIX)));
    }
    println!("   cargo build --release -p xreport-runtime");
    let mut programs = workspace.build_package("xreport-runtime", "release")?;
    programs.remove("xreport").context("the runtime has no program `xreport`")
}

fn fill(workspace: &Workspace, options: &Options, program: &Path, folder: &Path) -> Result<()> {
    let own = |path: &str| workspace.path(path);
    copy(program, &folder.join(program.file_name().context("a program has a name")?))?;
    let native = workspace.path(NATIVE).join("onnxruntime");
    let library = onnx_runtime(&native)?;
    copy(&library, &folder.join("lib").join(library.file_name().context("a library has a name")?))?;
    let (bundle, place) = match &options.bundle {
        // A checkpoint carries its bundle.
        Some(named) if named.join("bundle/bundle.json").is_file() => (named.join("bundle"), INSTALLED),
        Some(named) => (named.clone(), INSTALLED),
        None => (own(DEMO), DEMO),
    };
    ensure!(bundle.join("bundle.json").is_file(), "`{}` is no bundle: no bundle.json in it", bundle.display());
    copy_flat(&bundle, &folder.join(place))?;
    copy_flat(&own("runtime/deploy"), &folder.join("deploy"))?;
    fs::rename(folder.join("deploy/INSTALL.txt"), folder.join("INSTALL.txt"))?;

    let licences = folder.join("licenses");
    copy(&own("LICENSE"), &licences.join("XREPORT.txt"))?;
    copy(&own("models/tokenizer/NOTICE.md"), &licences.join("tokenizer-vocabulary.md"))?;
    // The pinned library's own package keeps them beside its folder.
    let package = native.canonicalize()?.parent().context("the library lies in its package")?.to_path_buf();
    copy(&package.join("LICENSE"), &licences.join("onnxruntime.txt"))?;
    copy(&package.join("ThirdPartyNotices.txt"), &licences.join("onnxruntime-third-party.txt"))?;
    let crates = licences::write(workspace, &licences.join("crates.txt"))?;
    println!("   licences of {crates} crates, of Rust's standard library, of ONNX Runtime and what it holds");
    sums(folder)
}

/// The one file of ONNX Runtime that the CPU needs.
fn onnx_runtime(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))?;
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.contains("onnxruntime") && !name.contains("providers")
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(is_it)
        .with_context(|| format!("no ONNX Runtime in `{}`; its version stands in {PINS}", folder.display()))
}

/// Copies a file with ordinary permissions: a program's may be run, nobody's may be written by all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("`{}` cannot be copied to `{}`", from.display(), to.display()))?;
    Ok(())
}

/// Copies the files of a folder, without folders in it and hidden files.
fn copy_flat(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("`{}`", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !entry.file_name().to_string_lossy().starts_with('.') {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// `SHA256SUMS` over everything, in the form that `sha256sum -c` reads.
fn sums(folder: &Path) -> Result<()> {
    let mut lines = String::new();
    for file in files_below(folder)? {
        let bytes = fs::read(folder.join(&file))?;
        let _ = writeln!(lines, "{}  {}", hex_sha256(&bytes), file.display());
    }
    fs::write(folder.join("SHA256SUMS"), lines).context("SHA256SUMS cannot be written")
}

/// Files below a folder, relative to it, sorted.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                walk(root, &entry.path(), files)?;
            } else {
                files.push(entry.path().strip_prefix(root)?.to_path_buf());
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    walk(folder, folder, &mut files)?;
    files.sort();
    Ok(files)
}

fn bytes_below(folder: &Path) -> Result<u64> {
    files_below(folder)?.iter().map(|file| Ok(fs::metadata(folder.join(file))?.len())).sum()
}

/// The `.deb`, where cargo-deb is installed; it packs the folder that was made, so nothing is built twice.
fn debian_package(workspace: &Workspace, folder: &Path) -> Result<Option<PathBuf>> {
    let installed = workspace.cargo().args(["deb", "--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("   no cargo-deb here, no .deb (`cargo install cargo-deb` brings it)");
        return Ok(None);
    }
    // The package's list of files names it without version and system.
    let fixed = workspace.path(FOLDER).join("debian");
    for file in files_below(folder)? {
        copy(&folder.join(&file), &fixed.join(&file))?;
    }
    let mut cargo = workspace.cargo();
    cargo.args(["deb", "--package", "xreport-runtime", "--no-build", "--no-strip", "--output"]);
    cargo.arg(workspace.path(FOLDER));
    ensure!(succeeds(&mut cargo)?, "cargo-deb failed: see its message above");
    fs::remove_dir_all(&fixed).context("the package's folder cannot be removed")?;
    let mut made = fs::read_dir(workspace.path(FOLDER))?.flatten().map(|entry| entry.path());
    let package = made.find(|path| path.extension().is_some_and(|ending| ending == "deb"));
    Ok(Some(package.context("cargo-deb ended well, and made no .deb")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("--no-deb").expect("valid"), Options { bundle: None, no_deb: true });
        assert_eq!(parse("--bundle b").expect("valid").bundle, Some("b".into()));
        assert!(parse("--bundle").is_err() && parse("--size").is_err());
    }

    #[test]
    fn sums_name_every_file() {
        let folder = std::env::temp_dir().join(format!("xtask-dist-{}", std::process::id()));
        fs::create_dir_all(folder.join("lib")).expect("made");
        fs::write(folder.join("lib/a"), "abc").expect("written");
        sums(&folder).expect("summed");
        let text = fs::read_to_string(folder.join("SHA256SUMS")).expect("read");
        // The SHA-256 of "abc" (FIPS 180-4, appendix).
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  lib/a\n");
        fs::remove_dir_all(&folder).expect("removed");
    }
}
