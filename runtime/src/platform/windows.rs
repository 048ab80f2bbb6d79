//! Windows.

use std::path::{Path, PathBuf};

/// File name of ONNX Runtime.
pub const ORT_LIBRARY: &str = "onnxruntime.dll";

/// File name of ONNX Runtime's CUDA provider.
pub const CUDA_PROVIDER: &str = "onnxruntime_providers_cuda.dll";

/// The NVIDIA driver's library.
pub const CUDA_DRIVER: &str = "nvcuda.dll";

/// ONNX Runtime in `folder`.
pub fn ort_library_in(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(ORT_LIBRARY)).filter(|path| path.is_file())
}
