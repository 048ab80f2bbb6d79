//! Linux and other Unix systems.

use std::path::{Path, PathBuf};

/// File name of ONNX Runtime.
pub const ORT_LIBRARY: &str = "libonnxruntime.so";

/// File name of ONNX Runtime's CUDA provider.
pub const CUDA_PROVIDER: &str = "libonnxruntime_providers_cuda.so";

/// The NVIDIA driver's library.
pub const CUDA_DRIVER: &str = "libcuda.so.1";

/// ONNX Runtime in `folder`: the versioned name first, which is how its package ships it.
pub fn ort_library_in(folder: &Path) -> Option<PathBuf> {
    let versioned = format!("{ORT_LIBRARY}.{}", crate::onnxruntime::VERSION);
    [versioned.as_str(), ORT_LIBRARY].iter().map(|name| folder.join(name)).find(|path| path.is_file())
}
