//! What was packed is tried as the person who installs it would: unpacked elsewhere, an empty environment, and, where
//! this system lets us, without a network and as a user without rights to the folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;

/// A user without any rights: `nobody` on Linux.
const NOBODY: &str = "65534";

/// Whether the archive's program drafts a report there.
pub fn archive(archive: &Path, name: &str) -> Result<bool> {
    in_a_place(|place| {
        tar::Archive::new(GzDecoder::new(File::open(archive)?)).unpack(place).context("the archive does not unpack")?;
        try_in(place, &place.join(name).join(format!("xreport{}", std::env::consts::EXE_SUFFIX)))
    })
}

/// The same for the files of a Debian package, unpacked without being installed.
pub fn debian_package(package: &Path) -> Result<bool> {
    in_a_place(|place| {
        let unpacked = Command::new("dpkg-deb").arg("--extract").args([package, place]).status();
        if unpacked.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            println!("   NOT SHOWN here: no dpkg-deb to unpack it with");
            return Ok(true);
        }
        ensure!(unpacked?.success(), "`{}` does not unpack", package.display());
        try_in(place, &place.join("usr/lib/xreport/xreport"))
    })
}

/// A folder of its own, with a space in its name, which is gone afterwards.
fn in_a_place(try_it: impl FnOnce(&Path) -> Result<bool>) -> Result<bool> {
    let place = std::env::temp_dir().join(format!("xreport trial {}", std::process::id()));
    fs::create_dir_all(&place).with_context(|| format!("`{}` cannot be made", place.display()))?;
    let outcome = try_it(&place);
    let _ = fs::remove_dir_all(&place);
    outcome
}

fn try_in(place: &Path, program: &Path) -> Result<bool> {
    let work = place.join("work");
    fs::create_dir_all(work.join("images"))?;
    fs::write(work.join("images/a.pgm"), [&b"P5\n64 64\n255\n"[..], &[90; 64 * 64]].concat())?;
    let wrappers = wrappers(program, &work)?;
    println!("   {}", if wrappers.is_empty() { "as this user, with this network".into() } else { wrappers.join(" ") });
    for (word, what) in [("unshare", "without a network"), ("setpriv", "by a user without rights")] {
        if !wrappers.iter().any(|wrapper| wrapper == word) {
            println!("   NOT SHOWN here: {what} (run it as root on Linux)");
        }
    }
    for words in ["doctor", "generate images --gate off --out reports.csv", "generate images --gate off --out reports"]
    {
        let output = wrapped(&wrappers, program)
            .args(words.split_whitespace())
            .current_dir(&work)
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("`{}` cannot be started", program.display()))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        if !output.status.success() {
            println!("   xreport {words}: FAILED ({})\n{said}", output.status);
            return Ok(false);
        }
        println!("   xreport {words}: {}", said.lines().last().unwrap_or_default());
    }
    let table = fs::read_to_string(work.join("reports.csv")).context("no table came out")?;
    let text = fs::read_to_string(work.join("reports/a.pgm.txt")).context("no text file came out")?;
    ensure!(table.lines().count() >= 2 && text.contains("not for diagnostic use"), "the output is not whole: {text}");
    Ok(true)
}

/// What takes network and rights away, as far as this system and this user can.
fn wrappers(program: &Path, work: &Path) -> Result<Vec<String>> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut wrappers = Vec::new();
    for candidate in [
        words("unshare --net --"),
        words(&format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs --")),
    ] {
        let both = [wrappers.clone(), candidate].concat();
        let works = wrapped(&both, program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if works.is_ok_and(|status| status.success()) {
            wrappers = both;
        }
    }
    if wrappers.iter().any(|word| word.starts_with("setpriv")) {
        // The folder stays root's; where it works is the user's.
        let own: PathBuf = work.to_path_buf();
        let given = Command::new("chown").args(["-R", NOBODY]).arg(&own).status();
        ensure!(given.is_ok_and(|status| status.success()), "`{}` cannot be given to `nobody`", own.display());
    }
    Ok(wrappers)
}

fn wrapped(wrappers: &[String], program: &Path) -> Command {
    match wrappers.split_first() {
        None => Command::new(program),
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}
