//! The bundle: the only thing that passes from trainer to runtime.
//!
//! ```text
//! NAME/  bundle.json  encoder.onnx  decoder.onnx  decoder-cuda.onnx  weights.bin  tokenizer.json  MODEL_CARD.md
//! ```
//! The format is described in `models/README.md`. [`Bundle::load`] reads every file once, checks it against the
//! manifest, and keeps the verified bytes: what ran through the hash is what an inference session gets.

mod error;
pub mod interface;
mod load;
mod manifest;
mod variant;
mod write;

pub use error::BundleError;
pub use interface::{Axis, DType, GraphInterface, TensorSpec};
pub use load::{Bundle, NamedBytes};
pub use manifest::{Architecture, DecodingDefaults, EvidenceGraphs, FORMAT_VERSION, FileRecord, Manifest, Provenance};
pub use variant::{Agreement, ENOUGH_AGREEMENT, Precision, Provider, Variant, VariantRequest};
pub use write::{BundleDraft, sha256_hex};

/// File name of the manifest.
pub const MANIFEST: &str = "bundle.json";
/// File name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// File name of the table of n-grams.
pub const NGRAMS: &str = "ngrams.json";
/// File name of the model card.
pub const MODEL_CARD: &str = "MODEL_CARD.md";
/// What every draft says of itself, whatever the model.
pub const DRAFT_NOTICE: &str = "draft, not for diagnostic use";
