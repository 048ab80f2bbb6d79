//! Writing ONNX from Rust: libtorch has no exporter of its own, so each layer emits its graph beside its forward pass.

mod graph;
mod ops;
mod quantize;
mod weights;

pub use graph::{GraphBuilder, GraphTarget, Value};
pub use ops::StepNames;
pub use quantize::LinearForm;
pub use weights::WeightFile;
