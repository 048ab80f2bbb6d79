//! Making a session from verified bytes.

use std::path::Path;

use ort::ep::CUDA;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use xreport_models::bundle::Bundle;

use super::{ModelError, Scores};
use crate::device::Device;
#[cfg(target_arch = "x86_64")]
use crate::kernels;
use crate::onnxruntime;
use crate::platform;

/// What a session does.
#[derive(Debug, Clone)]
pub enum Work {
    /// Many rows at once: images, whole texts.
    Whole,
    /// Few rows, again and again. With `cuda_graph` its runs are captured as CUDA graphs, by the run option `gpu_graph_id`;
    /// on the CPU products and attention are those of [`crate::kernels`].
    Steps {
        /// Whether runs are captured.
        cuda_graph: bool,
        /// What is wanted of them.
        scores: Scores,
    },
}

/// Opens a graph of the bundle on a device.
///
/// Spinning is off: on a desktop or a shared machine it makes two threads slower than one. A CUDA session does not let
/// nodes fall back to the CPU: a graph that does not run whole on the device is an error, not a slow surprise.
pub fn open(bundle: &Bundle, graph: &str, device: Device, threads: usize, work: &Work) -> Result<Session, ModelError> {
    let (environment, _) = onnxruntime::environment()?;
    let mut builder = Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)
        .and_then(|b| b.with_intra_threads(threads))
        .and_then(|b| b.with_inter_threads(1))
        .and_then(|b| b.with_intra_op_spinning(false))
        .and_then(|b| b.with_inter_op_spinning(false))
        .map_err(ort::Error::from)?;
    if !adds_bytes_exactly() {
        builder = builder.with_precise_qmm().map_err(ort::Error::from)?;
    }
    if let Device::Cuda(index) = device {
        let provider = CUDA::default()
            .with_device_id(index)
            .with_tf32(false)
            .with_cuda_graph(matches!(work, Work::Steps { cuda_graph: true, .. }));
        let provider = provider.build().error_on_failure();
        builder = builder
            .with_execution_providers([provider])
            .and_then(ort::session::builder::SessionBuilder::with_disable_cpu_fallback)
            .map_err(ort::Error::from)?;
    }
    for (name, bytes) in bundle.external_files(graph)? {
        builder = builder.with_external_initializer_file_in_memory(name, bytes).map_err(ort::Error::from)?;
    }
    let bytes = bundle.file(graph).expect("the bundle's graphs were checked when it was loaded");
    #[cfg(target_arch = "x86_64")]
    if let Work::Steps { scores, .. } = work
        && device == Device::Cpu
        && let Some(rewritten) = kernels::rewritten(bundle, graph)?
    {
        let mut builder = builder.with_operators(rewritten.domain(threads, scores)?).map_err(ort::Error::from)?;
        return Ok(builder.commit_from_memory(&rewritten.bytes)?);
    }
    Ok(builder.commit_from_memory(bytes)?)
}

/// Whether the CPU has instructions that add products of bytes up in 32 bits. Without them ONNX Runtime adds in 16 bits that
/// overflow, and texts would differ by machine, unless it is told to be precise; with them that makes it a third slower.
#[cfg(target_arch = "x86_64")]
fn adds_bytes_exactly() -> bool {
    is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn adds_bytes_exactly() -> bool {
    true
}

/// Whether ONNX Runtime's CUDA provider is installed beside the library that is loaded.
pub fn cuda_installed() -> bool {
    onnxruntime::environment().is_ok_and(|(_, library)| cuda_provider_beside(library))
}

/// Whether the folder of `library` holds ONNX Runtime's CUDA provider.
pub fn cuda_provider_beside(library: &Path) -> bool {
    library.parent().is_some_and(|folder| folder.join(platform::CUDA_PROVIDER).is_file())
}
