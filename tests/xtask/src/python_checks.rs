//! The Python environment of the checks: readers and run times that are not ours, at pinned versions.
//!
//! Nothing that users run needs it. Where it cannot be made, the checks that use it are skipped visibly.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, Contents, damage};
use crate::links;
use crate::pins::fingerprint;
use crate::prerequisites::{self, Needs};
use crate::setup::NATIVE;
use crate::workspace::Workspace;

/// What pip installs, exact versions, relative to the root.
const REQUIREMENTS: &str = "settings/python-checks.txt";
/// The environment's name in the cache and below `target/native`.
const NAME: &str = "python-checks";
/// For the user to know what is coming.
const DOWNLOAD: &str = "about 115 MB";

/// The interpreter, for programs that are part of this tree; `None` while the environment is not set up.
pub fn interpreter(workspace: &Workspace) -> Option<PathBuf> {
    let python = executable(&link(workspace));
    python.is_file().then_some(python)
}

/// Makes the environment in the user's cache and links it; quick when it is there.
///
/// # Errors
/// There is no Python with pip, or pip cannot fetch the packages for it.
pub fn ensure_linked(workspace: &Workspace) -> Result<()> {
    let link = link(workspace);
    let path = workspace.path(REQUIREMENTS);
    let requirements = fs::read(&path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let pin = format!("{NAME}-{}", fingerprint(&requirements));
    let cache = Cache::from_environment()?;
    // Without starting Python, which takes longer than all the rest.
    let current = links::target(&link).filter(|old| cache.entry_of(old).is_some_and(|entry| entry.starts_with(&pin)));
    let folder = match current {
        Some(old) if damage(&old).is_none() => old,
        _ => made(&cache, &pin, &path)?,
    };
    links::point(&link, &folder)?;
    println!("target/native/{NAME} -> {}", folder.display());
    Ok(())
}

/// As [`ensure_linked`], for a test run: without the environment the tests that use it are skipped, and this says why.
/// An environment of an earlier pin is not used instead.
pub fn ensure_or_say(workspace: &Workspace) -> Result<()> {
    if let Err(error) = ensure_linked(workspace) {
        println!("the checks that need Python's own readers will be skipped: {error:#}");
        links::remove(&link(workspace))?;
    }
    Ok(())
}

fn link(workspace: &Workspace) -> PathBuf {
    workspace.path(NATIVE).join(NAME)
}

/// Where a virtual environment keeps its interpreter.
fn executable(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// The environment in the cache, one for each minor version of Python.
fn made(cache: &Cache, pin: &str, requirements: &Path) -> Result<PathBuf> {
    let tools = prerequisites::find(Needs { python: true, compiler: false })?;
    let python = tools.python.expect("it was asked for");
    let version = text_of(Command::new(&python).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))?;
    cache.ensure(&format!("{pin}-{version}"), |folder| fill(&python, requirements, folder))
}

/// Makes a virtual environment without pip and has the outer pip install into it. That needs neither Debian's
/// python3-venv nor a recent pip, and the finished folder may be renamed, for no script in it is ever started.
fn fill(python: &OsString, requirements: &Path, folder: &Path) -> Result<Contents> {
    println!("fetching Python's readers for the checks ({DOWNLOAD})");
    text_of(Command::new(python).args(["-m", "venv", "--without-pip"]).arg(folder))?;
    let packages = text_of(
        Command::new(executable(folder)).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]),
    )?;
    let downloads = folder.join(".downloads");
    fs::create_dir(&downloads).with_context(|| format!("`{}` cannot be made", downloads.display()))?;
    let status = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-warn-script-location"])
        .args(["--disable-pip-version-check", "--no-input", "--root-user-action=ignore", "--requirement"])
        .arg(requirements)
        .arg("--target")
        .arg(&packages)
        .env("TMPDIR", &downloads)
        .env_remove("PIP_REQUIRE_VIRTUALENV")
        .env_remove("PIP_USER")
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{}` cannot be started", python.to_string_lossy()))?;
    if !status.success() {
        bail!(
            "pip could not install `{}` ({status}): see its message above\n\
             hint: PyPI must be in reach (HTTPS_PROXY, PIP_INDEX_URL), and offer these versions for this Python",
            requirements.display()
        );
    }
    fs::remove_dir_all(&downloads).with_context(|| format!("`{}` cannot be removed", downloads.display()))?;
    let mut contents = Contents::new();
    list(folder, "", &mut contents)?;
    Ok(contents)
}

/// Every file of the environment. Compiled modules come and go; linked folders are seen under their own name.
fn list(folder: &Path, prefix: &str, contents: &mut Contents) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("`{}`", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        let path = format!("{prefix}{name}");
        if kind.is_dir() && name != "__pycache__" {
            list(&entry.path(), &format!("{path}/"), contents)?;
        } else if kind.is_file() || (kind.is_symlink() && entry.path().is_file()) {
            contents.insert(path, fs::metadata(entry.path())?.len());
        }
    }
    Ok(())
}

fn text_of(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{program}` cannot be started"))?;
    ensure!(
        output.status.success(),
        "`{program}` failed ({})\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_one_exact_version() {
        let path = Workspace::find().expect("inside the tree").path(REQUIREMENTS);
        let text = fs::read_to_string(path).expect("the requirements are there");
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert!(lines.iter().any(|line| line.starts_with("onnxruntime==")), "{lines:?}");
        for line in lines {
            let (name, version) = line.split_once("==").expect("a version is pinned");
            assert!(!name.is_empty() && version.starts_with(|digit: char| digit.is_ascii_digit()), "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_list_holds_files_by_their_own_path_and_no_compiled_modules() {
        let scratch = std::env::temp_dir().join(format!("xtask-python-checks-{}", std::process::id()));
        fs::create_dir_all(scratch.join("lib/onnx/__pycache__")).expect("made");
        fs::write(scratch.join("lib/onnx/checker.py"), "12345").expect("written");
        fs::write(scratch.join("lib/onnx/__pycache__/checker.pyc"), "1").expect("written");
        std::os::unix::fs::symlink("lib", scratch.join("lib64")).expect("linked");
        std::os::unix::fs::symlink("lib/onnx/checker.py", scratch.join("python")).expect("linked");
        let mut contents = Contents::new();
        list(&scratch, "", &mut contents).expect("listed");
        fs::remove_dir_all(&scratch).expect("removed");
        let expected = [("lib/onnx/checker.py".to_owned(), 5), ("python".to_owned(), 5)];
        assert_eq!(contents, Contents::from(expected));
    }
}
