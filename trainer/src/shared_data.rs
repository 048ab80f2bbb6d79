//! Test data beside the source tree that is too large or not free to be part of it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `../shared/PATH`; where it is absent, says so past the test runner and gives `None`: the test ends early.
pub(crate) fn shared(path: impl AsRef<Path>) -> Option<PathBuf> {
    let path = path.as_ref();
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if found.exists() {
        return Some(found);
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: `../shared/{}` is not here", path.display());
    None
}
