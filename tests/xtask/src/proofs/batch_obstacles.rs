//! A large batch with everything among it that stands in the way of one input: the others are all drafted, each obstacle is
//! named once, and the same command again does nothing twice. Shards of it join to the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};

use super::batch;
use super::figures::Figures;
use super::programs::{self, Programs};
use super::words::Words;
use crate::workspace::Workspace;

/// Parts of the divided run.
const SHARDS: usize = 3;

/// The proof: `[--images N] [--bundle DIR]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool> {
    let words = Words::parse("batch-obstacles", arguments, &["--images", "--bundle"], &[])?;
    let images = words.number("--images", 1000usize)?;
    let (programs, bundle) = (Programs::built(workspace)?, batch::bundle(workspace, &words)?);
    let folder = programs::folder(workspace, "batch-obstacles")?;
    batch::images(&folder.join("in"), images)?;
    let obstacles = obstacles(&folder)?;
    let mut figures = Figures::default();
    for (out, table, too_long) in [("drafts.csv", "drafts.csv", 0), ("reports", "reports/index.csv", 1)] {
        // The image with a long name has no text file, and a row in a table.
        let (drafted, failed) = (images + 2 - too_long, obstacles.len() + too_long);
        let first = generate(&programs, &folder, &bundle, &format!("--out {out}"))?;
        let told = String::from_utf8_lossy(&first.stderr).into_owned();
        let rows = batch::said(&folder.join(table))?;
        let of = |status: &str| rows.iter().filter(|row| row[2] == status).count();
        figures.target(&format!("{out}: drafted"), of("ok").to_string(), drafted.to_string(), of("ok") == drafted);
        figures.target(
            &format!("{out}: failed rows"),
            of("failed").to_string(),
            failed.to_string(),
            of("failed") == failed,
        );
        let ids: BTreeSet<_> = rows.iter().map(|row| &row[0]).collect();
        figures.target(&format!("{out}: ids"), ids.len().to_string(), rows.len().to_string(), ids.len() == rows.len());
        let once = rows.iter().filter(|row| row[2] == "failed" && told.matches(&row[3]).count() == 1).count();
        figures.target(&format!("{out}: told once"), once.to_string(), failed.to_string(), once == failed);
        let named =
            obstacles.iter().filter(|name| rows.iter().any(|row| row[2] == "failed" && row[0].ends_with(*name)));
        let named = named.count();
        figures.target(
            &format!("{out}: named"),
            named.to_string(),
            obstacles.len().to_string(),
            named == obstacles.len(),
        );
        let again = generate(&programs, &folder, &bundle, &format!("--out {out}"))?;
        let counts = format!("0 reports drafted, {failed} failed, {drafted} done before");
        let nothing_twice = String::from_utf8_lossy(&again.stderr).contains(&counts);
        let same = batch::said(&folder.join(table))? == rows;
        figures.target(&format!("{out}: resumed"), counts, "and the same rows", nothing_twice && same);
    }
    for shard in 0..SHARDS {
        generate(&programs, &folder, &bundle, &format!("--out parts.csv --shard {shard}/{SHARDS}"))?;
    }
    programs.command("xreport", &folder, "merge parts.csv")?.output().context("the program cannot be started")?;
    let same = batch::said(&folder.join("parts.csv"))? == batch::said(&folder.join("drafts.csv"))?;
    figures.target("shards joined", if same { "the whole" } else { "something else" }, "the whole", same);
    // Whoever clears this folder may look into it.
    #[cfg(unix)]
    fs::set_permissions(folder.join("in/locked"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(figures.conclude())
}

/// Runs it on everything; exit code 1 is expected.
fn generate(programs: &Programs, folder: &Path, bundle: &Path, options: &str) -> Result<Output> {
    let words = format!("generate in other list.csv unreadable.csv void.csv absent --device cpu {options} --model");
    let mut command = programs.command("xreport", folder, &words)?;
    let output = command.arg(bundle).output().context("the program cannot be started")?;
    ensure!(
        output.status.code() == Some(1),
        "{command:?}: exit code 1 expected, found {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

/// Puts every obstacle among the images, and two images that are none in their way: one of two names that look alike, and
/// one with a long name. How the ids of the obstacles end.
fn obstacles(folder: &Path) -> Result<Vec<String>> {
    let image = |index| fs::read(batch::image_path(&folder.join("in"), index));
    let path = |name: &str| folder.join("in").join(name);
    fs::write(path("\u{e9}.pgm"), image(0)?)?;
    fs::write(path("e\u{301}.pgm"), image(0)?)?;
    fs::write(path(&format!("{}.pgm", "é".repeat(124))), image(0)?)?;
    fs::write(path("tab\tname.pgm"), image(0)?)?;
    fs::write(path("empty.pgm"), "")?;
    fs::create_dir_all(folder.join("other/000"))?;
    fs::write(folder.join("other/000/00000.pgm"), image(1)?)?;
    fs::write(folder.join("list.csv"), "path;note\r\ngone.pgm;\r\ngone.pgm;\r\nin/x.pgm;;\r\n;\r\n")?;
    fs::write(folder.join("unreadable.csv"), "note,more\nx,y\n")?;
    fs::write(folder.join("void.csv"), "")?;
    let mut ids = vec!["\u{e9}.pgm", "tab%09name.pgm", "empty.pgm", "other/000/00000.pgm", "gone.pgm"];
    ids.extend(["list.csv:3", "list.csv:4", "unreadable.csv", "void.csv", "absent"]);
    #[cfg(unix)]
    ids.extend(unix_obstacles(&folder.join("in"), &image(0)?)?);
    Ok(ids.into_iter().map(str::to_owned).collect())
}

/// Names and kinds of files that only Unix has.
#[cfg(unix)]
fn unix_obstacles(folder: &Path, image: &[u8]) -> Result<Vec<&'static str>> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    for name in [&b"M\xfcller.pgm"[..], b"M\xfdller.pgm", b"two\nlines.pgm"] {
        fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), image)?;
    }
    symlink("nowhere.pgm", folder.join("dangling.pgm"))?;
    symlink("loop.pgm", folder.join("loop.pgm"))?;
    symlink("000", folder.join("folder.pgm"))?;
    drop(std::os::unix::net::UnixListener::bind(folder.join("socket.pgm"))?);
    let made = std::process::Command::new("mkfifo").arg(folder.join("pipe.pgm")).status()?;
    ensure!(made.success(), "mkfifo cannot make a pipe");
    let locked = folder.join("locked");
    fs::create_dir(&locked)?;
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000))?;
    // Root may read everything.
    let is_closed = fs::read_dir(&locked).is_err();
    Ok([
        "M%FCller.pgm",
        "M%FDller.pgm",
        "two%0Alines.pgm",
        "dangling.pgm",
        "loop.pgm",
        "folder.pgm",
        "socket.pgm",
        "pipe.pgm",
    ]
    .into_iter()
    .chain(is_closed.then_some("locked"))
    .collect())
}
