//! Finding and loading the ONNX Runtime library.
//!
//! It is loaded by absolute path from beside the program: stale copies elsewhere on a PC's search path are a known
//! cause of crashes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use ort::environment::Environment;
use thiserror::Error;

use crate::platform;

/// The version that this program is built for and tested with.
pub const VERSION: &str = "1.30.0";

/// Why ONNX Runtime is not there.
#[derive(Debug, Error)]
pub enum OnnxRuntimeError {
    /// No library found.
    #[error("ONNX Runtime {VERSION} not found; looked for `{}` in:\n{}\nhint: put the library beside the program, or run `cargo xtask setup` in the source tree", platform::ORT_LIBRARY, listed(.0))]
    NotFound(Vec<PathBuf>),
    /// The library does not load.
    #[error("cannot load ONNX Runtime from `{}`: {problem}\nhint: it must be version {VERSION} for this system", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        problem: String,
    },
}

fn listed(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| format!("  {}", folder.display())).collect::<Vec<_>>().join("\n")
}

/// Turns off the telemetry of Microsoft's builds of ONNX Runtime, before the library is loaded.
///
/// Left alone, 1.30 writes a device id and a database into the user's cache folder and reports what it ran, graphs'
/// metadata and error messages among it, to Microsoft. That has no place in a hospital.
///
/// # Safety
/// As [`std::env::set_var`]: to be called first thing in `main`, while there is no other thread.
#[allow(unsafe_code, reason = "the library reads this variable while it is loaded, before its interface can be called")]
pub unsafe fn forbid_telemetry() {
    // SAFETY: the caller sees to it.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") }
}

static ENVIRONMENT: OnceLock<(Environment, PathBuf)> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// ONNX Runtime's environment, loaded at the first call, and the library that it came from.
pub fn environment() -> Result<(&'static Environment, &'static Path), OnnxRuntimeError> {
    let guard = LOADING.lock();
    let loaded = if let Some(loaded) = ENVIRONMENT.get() {
        loaded
    } else {
        let loaded = load(find()?)?;
        ENVIRONMENT.get_or_init(|| loaded)
    };
    drop(guard);
    Ok((&loaded.0, &loaded.1))
}

fn load(path: PathBuf) -> Result<(Environment, PathBuf), OnnxRuntimeError> {
    let fail = |problem: String| OnnxRuntimeError::Load { path: path.clone(), problem };
    let builder = ort::init_from(&path).map_err(|error| fail(error.to_string()))?;
    let environment =
        builder.with_name("xreport").with_telemetry(false).build().map_err(|error| fail(error.to_string()))?;
    Ok((environment, path))
}

/// The library's absolute path: beside the program, in the build tree's `target/native/onnxruntime`, or where
/// `ORT_DYLIB_PATH` says.
pub fn find() -> Result<PathBuf, OnnxRuntimeError> {
    if let Some(named) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from) {
        return if named.is_absolute() && named.is_file() {
            Ok(named)
        } else {
            let problem = "ORT_DYLIB_PATH must be the absolute path of an existing file".into();
            Err(OnnxRuntimeError::Load { path: named, problem })
        };
    }
    let folders = search_folders();
    folders
        .iter()
        .filter_map(|folder| platform::ort_library_in(folder))
        .find_map(|path| std::path::absolute(path).ok())
        .ok_or(OnnxRuntimeError::NotFound(folders))
}

fn search_folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
    let Some(folder) = program.parent() else { return Vec::new() };
    // target/debug/xreport, target/debug/deps/TEST and target/TRIPLE/release/xreport all find target/native.
    let native = folder.ancestors().skip(1).take(3).map(|target| target.join("native").join("onnxruntime"));
    [folder.to_path_buf(), folder.join("lib")].into_iter().chain(native).collect()
}
