//! What an XREPORT model is, without knowing how it is trained or run.
//!
//! A trained model travels as a *bundle*: a folder with ONNX graphs, a tokenizer and a manifest ([`bundle`]). The
//! trainer writes bundles, the runtime reads them, and both turn an image file into pixels ([`image`]) and token ids
//! into text ([`text`]) through the very same code, so that training and deployment cannot drift apart.
//!
//! This crate depends on neither libtorch nor ONNX Runtime.

pub mod atomic;
pub mod bundle;
pub mod image;
pub mod image_lookup;
pub mod ngrams;
pub mod onnx;
pub mod spelling;
pub mod study_id;
pub mod table;
pub mod text;
