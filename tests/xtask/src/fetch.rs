//! Downloads a library's wheels with pip, which checks their hashes, and unpacks what is kept.

use std::ffi::OsString;
use std::fs;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Contents;
use crate::pins::{Library, PythonTag, Wheel, size};
use crate::prerequisites::{Tools, make_stub};

/// How often a download without a terminal says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// Reads `[wheel, folder, [pattern, …]]`, unpacks the files that a pattern fits, and answers
/// `{path: bytes}`.
const UNPACK: &str = r#"
import fnmatch, json, os, shutil, sys, zipfile
wheel, folder, keep = json.load(sys.stdin)
kept = {}
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        name = entry.filename
        if name.endswith("/") or not any(fnmatch.fnmatchcase(name, pattern) for pattern in keep):
            continue
        if name.startswith("/") or ":" in name or "\\" in name or ".." in name.split("/"):
            sys.exit("the wheel holds a path that leaves its folder: " + name)
        path = os.path.join(folder, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(entry) as packed, open(path, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
        kept[name] = os.path.getsize(path)
for pattern in keep:
    if not any(fnmatch.fnmatchcase(name, pattern) for name in kept):
        sys.exit("the wheel holds nothing that fits " + pattern)
json.dump(kept, sys.stdout)
"#;

/// Fills the empty `folder` with `library`.
pub fn fill(library: &Library, tag: &PythonTag, tools: &Tools, folder: &Path) -> Result<Contents> {
    let python = tools.python.as_ref().expect("python is looked for whenever something is fetched");
    let downloads = folder.join(".downloads");
    fs::create_dir(&downloads).with_context(|| format!("`{}` cannot be made", downloads.display()))?;
    let mut contents = Contents::new();
    for wheel in &library.wheels {
        println!("fetching {} {} ({})", wheel.package, wheel.version, size(wheel.bytes));
        download(wheel, library, tag, python, &downloads)?;
        let file = downloads.join(&wheel.file);
        ensure!(
            file.is_file(),
            "pip downloaded another file than `{}` for {} {}\n\
             hint: the settings under settings/native-libraries.json do not fit what PyPI offers",
            wheel.file,
            wheel.package,
            wheel.version
        );
        let unpacked = unpack(wheel, &file, python, folder)?;
        println!("unpacked {} files, {}", unpacked.len(), size(unpacked.values().sum()));
        contents.extend(unpacked);
    }
    fs::remove_dir_all(&downloads).with_context(|| format!("`{}` cannot be removed", downloads.display()))?;
    if let Some(stub) = &library.stub {
        let path = folder.join(stub);
        make_stub(&tools.compiler, &path)?;
        contents.insert(stub.clone(), fs::metadata(&path)?.len());
    }
    Ok(contents)
}

fn download(wheel: &Wheel, library: &Library, tag: &PythonTag, python: &OsString, downloads: &Path) -> Result<()> {
    let requirement = downloads.join("requirement.txt");
    fs::write(&requirement, format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256))
        .with_context(|| format!("`{}` cannot be written", requirement.display()))?;
    let terminal = std::io::stdout().is_terminal();
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary=:all:"])
        .args(["--disable-pip-version-check", "--no-input"])
        .args(["--python-version", &tag.version, "--implementation", &tag.implementation, "--abi", &tag.abi]);
    for platform in &library.platforms {
        command.args(["--platform", platform]);
    }
    command
        .arg("--requirement")
        .arg(&requirement)
        .arg("--dest")
        .arg(downloads)
        // pip downloads to its temporary folder first, and /tmp is small on many machines.
        .env("TMPDIR", downloads)
        // Nothing is installed, so that rule of the user's is not broken.
        .env_remove("PIP_REQUIRE_VIRTUALENV")
        .stdin(Stdio::null());
    if !terminal {
        // pip draws its bar for a terminal alone; its other lines say nothing more than ours.
        command.arg("--quiet");
    }
    let mut child = command.spawn().with_context(|| format!("`{}` cannot be started", python.to_string_lossy()))?;
    let mut reported = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("pip cannot be waited for")? {
            break status;
        }
        if !terminal && reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            println!("  {} of {}", size(bytes_below(downloads).min(wheel.bytes)), size(wheel.bytes));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        bail!(
            "pip could not download {} {} with the pinned hash ({status}): see its message above\n\
             hint: PyPI must be in reach (HTTPS_PROXY, PIP_INDEX_URL); without a network, put `{}` into a folder \
             and set PIP_FIND_LINKS to that folder and PIP_NO_INDEX to 1",
            wheel.package,
            wheel.version,
            wheel.file
        );
    }
    Ok(())
}

/// What lies in `folder` and below, as far as it can be read while pip moves files about: at the
/// end pip holds the wheel twice.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(file) if file.is_dir() => bytes_below(&entry.path()),
            Ok(file) => file.len(),
            Err(_) => 0,
        })
        .sum()
}

fn unpack(wheel: &Wheel, file: &Path, python: &OsString, folder: &Path) -> Result<Contents> {
    let mut child = Command::new(python)
        .args(["-c", UNPACK])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be started", python.to_string_lossy()))?;
    let task = serde_json::to_vec(&(file, folder, &wheel.keep))?;
    let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
    stdin.write_all(&task).context("the unpacking program ended early")?;
    drop(stdin);
    let output = child.wait_with_output().context("the unpacking program cannot be waited for")?;
    ensure!(
        output.status.success(),
        "`{}` cannot be unpacked ({}): see the message above\nhint: `{}` needs about 1 GB free; \
         XREPORT_NATIVE_CACHE names another folder",
        wheel.file,
        output.status,
        folder.display()
    );
    serde_json::from_slice(&output.stdout).context("the unpacking program's answer cannot be read")
}
