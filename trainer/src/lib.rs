//! Trains XREPORT report generators with libtorch and exports them as verified ONNX bundles.
//!
//! The way of a study: [`data`] reads it, [`training`] learns from it through the [`network`], [`export`] writes the
//! network as ONNX ([`onnx`]) and checks it against libtorch, [`evaluation`] measures what the deployed runtime writes.

pub mod data;
pub mod evaluation;
pub mod export;
pub mod import;
pub mod metrics;
mod native;
pub mod network;
pub mod observations;
pub mod onnx;
pub mod page;
pub mod phantoms;
pub mod plots;
pub mod ranks;
pub mod score;
pub mod settings;
#[cfg(test)]
mod shared_data;
pub mod tensorboard;
pub mod training;
pub mod validate;
