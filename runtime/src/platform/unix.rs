//! Linux and other Unix systems.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// File name of ONNX Runtime.
pub const ORT_LIBRARY: &str = "libonnxruntime.so";

/// File name of ONNX Runtime's CUDA provider.
pub const CUDA_PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// The NVIDIA driver's library.
pub const CUDA_DRIVER: &str = "libcuda.so.1";

/// Names of stdout as a file. What appears under a name when it is whole cannot be written to them.
pub const STDOUT_AS_FILE: &[&str] = &["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1"];

/// A file name of any bytes, UTF-8 or not.
#[cfg(test)]
pub fn file_name(bytes: &[u8]) -> &Path {
    Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}

/// ONNX Runtime in `folder`: the versioned name first, which is how its package ships it.
pub fn ort_library_in(folder: &Path) -> Option<PathBuf> {
    let versioned = format!("{ORT_LIBRARY}.{}", crate::onnxruntime::VERSION);
    [versioned.as_str(), ORT_LIBRARY].iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Where a user's data of this program lie: `$XDG_DATA_HOME/xreport`, else `~/.local/share/xreport`.
pub fn data_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")))?;
    Some(base.join("xreport"))
}

/// Makes a folder, where it is not there, that nobody but its owner reads.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether others than its owner may read a file.
pub fn others_may_read(file: &std::fs::Metadata) -> bool {
    file.mode() & 0o077 != 0
}

/// Has the desktop show an address.
pub fn open_in_browser(address: &str) -> std::io::Result<()> {
    let quiet = Stdio::null;
    Command::new("xdg-open").arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().map(drop)
}
