//! Drafts radiology reports from chest X-rays with an XREPORT bundle, on ONNX Runtime.
//!
//! The way of an image: [`inputs`] finds it, [`drafting`] turns pixels into text through the bundle's graphs
//! ([`model`]) and a search ([`decoding`]), [`output`] writes the result rows. [`generate`] joins these for a whole run,
//! which [`batch`] makes safe against whatever ends it early.
//!
//! The trainer uses this library too: what validates and verifies a model there is what runs it here.

pub mod arguments;
pub mod batch;
pub mod console;
pub mod cuda_libraries;
pub mod decoding;
pub mod device;
pub mod drafting;
pub mod evidence;
pub mod failure;
pub mod generate;
pub mod inputs;
#[cfg(target_arch = "x86_64")]
mod kernels;
pub mod model;
pub mod onnxruntime;
pub mod output;
mod platform;
pub mod rows;
pub mod server;
