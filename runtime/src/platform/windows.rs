//! Windows.

use std::path::{Path, PathBuf};
use std::process::Command;

/// File name of ONNX Runtime.
pub const ORT_LIBRARY: &str = "onnxruntime.dll";

/// File name of ONNX Runtime's CUDA provider.
pub const CUDA_PROVIDER: &str = "onnxruntime_providers_cuda.dll";

/// The NVIDIA driver's library.
pub const CUDA_DRIVER: &str = "nvcuda.dll";

/// Names of stdout as a file.
pub const STDOUT_AS_FILE: &[&str] = &[];

/// ONNX Runtime in `folder`.
pub fn ort_library_in(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(ORT_LIBRARY)).filter(|path| path.is_file())
}

/// Where a user's data of this program lie: `%LOCALAPPDATA%\xreport`.
pub fn data_folder() -> Option<PathBuf> {
    std::env::var_os("LOCALAPPDATA").map(|base| PathBuf::from(base).join("xreport"))
}

/// Makes a folder, where it is not there; a user's own folders are private already.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Whether others than its owner may read a file: permissions here are not so simple, and this is not known.
pub fn others_may_read(_file: &std::fs::Metadata) -> bool {
    false
}

/// Has the desktop show an address.
pub fn open_in_browser(address: &str) -> std::io::Result<()> {
    Command::new("explorer").arg(address).spawn().map(drop)
}
