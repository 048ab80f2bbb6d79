//! The part of the ONNX file format that XREPORT writes and checks.
//!
//! [`proto`] holds the protobuf messages of the ONNX specification (`onnx.proto`, IR version 10 and 11) that our graphs
//! use; the exporter fills them. [`header`] reads what a loader must know before ONNX Runtime sees the file: inputs,
//! outputs, metadata and the names of external weight files.

pub mod header;
pub mod proto;

/// Metadata key under which each ONNX file of a bundle carries the bundle's id.
pub const BUNDLE_ID_KEY: &str = "xreport.bundle_id";
