//! The fixed links `target/native/…` that the build and the programs look through.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where `link` leads, if it is a link at all. The place itself may be missing.
pub fn target(link: &Path) -> Option<PathBuf> {
    fs::read_link(link).ok()
}

/// Makes `link` lead to the absolute folder `to`, whatever link stood there.
///
/// # Errors
/// A real folder or file stands in the link's place, or the link cannot be made.
pub fn point(link: &Path, to: &Path) -> Result<()> {
    if target(link).is_some_and(|old| old == to) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok() && target(link).is_none() {
        bail!(
            "`{}` is not a link, and what is in it may be of use to you\nhint: move it away, then run `cargo xtask setup` again",
            link.display()
        );
    }
    let parent = link.parent().expect("a link lies in a folder");
    fs::create_dir_all(parent).with_context(|| format!("`{}` cannot be made", parent.display()))?;
    make(link, to).with_context(|| format!("the link `{}` to `{}` cannot be made", link.display(), to.display()))
}

/// Removes `link` where it is one; what it led to stays.
pub fn remove(link: &Path) -> Result<()> {
    if target(link).is_some() {
        // A junction is removed as a folder, a symbolic link as a file.
        let removed = if cfg!(windows) { fs::remove_dir(link) } else { fs::remove_file(link) };
        removed.with_context(|| format!("the link `{}` cannot be removed", link.display()))?;
    }
    Ok(())
}

#[cfg(not(windows))]
fn make(link: &Path, to: &Path) -> Result<()> {
    // Renaming over the old link leaves no moment without one: a build may be running.
    let fresh = link.with_extension(format!("{}.tmp", std::process::id()));
    std::os::unix::fs::symlink(to, &fresh)?;
    fs::rename(&fresh, link)?;
    Ok(())
}

/// A junction: unlike a symbolic link it needs no special right.
#[cfg(windows)]
fn make(link: &Path, to: &Path) -> Result<()> {
    if target(link).is_some() {
        fs::remove_dir(link)?;
    }
    let output = std::process::Command::new("cmd").args(["/C", "mklink", "/J"]).arg(link).arg(to).output()?;
    if !output.status.success() {
        bail!("mklink: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_made_mended_and_never_put_over_a_folder() {
        let scratch = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        let (first, second) = (scratch.join("first"), scratch.join("second"));
        fs::create_dir_all(&second).expect("a folder");
        let link = scratch.join("native/libtorch");
        // `first` does not exist: a broken link must be replaced all the same.
        point(&link, &first).expect("made");
        assert!(!link.exists());
        point(&link, &second).expect("mended");
        assert_eq!(target(&link), Some(second));
        assert!(link.is_dir());

        let folder = scratch.join("native/onnxruntime");
        fs::create_dir(&folder).expect("a real folder");
        let error = point(&folder, &first).expect_err("a folder stands there");
        assert!(error.to_string().contains("not a link"), "{error}");
        remove(&folder).expect("a folder is left alone");
        assert!(folder.is_dir());
        remove(&link).expect("removed");
        assert!(!link.exists() && scratch.join("second").is_dir());
        fs::remove_dir_all(&scratch).expect("removed");
    }
}
