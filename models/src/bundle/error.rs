//! Why a bundle is refused.

use std::path::PathBuf;

use thiserror::Error;

use crate::atomic::AtomicError;
use crate::onnx::header::HeaderError;

/// Why a bundle cannot be read or written. Every message names the file and, where there is one, the remedy.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The folder is no bundle.
    #[error("no bundle at `{}`: it holds neither `bundle.json` nor `bundle/bundle.json`\nhint: name a bundle folder or a checkpoint folder of xreport-train", .0.display())]
    NotABundle(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}\nhint: {RESTORE}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Written by a newer program.
    #[error("bundle has format version {found}, this program reads up to {supported}\n  at: {}\nhint: update xreport, or export the checkpoint again with this version's xreport-train", path.display())]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// Version in the file.
        found: u64,
        /// Newest version read.
        supported: u32,
    },
    /// `bundle.json` is no manifest.
    #[error("`{}` is not a valid manifest: {problem}\nhint: {RESTORE}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A hash differs.
    #[error("`{}` is damaged or was changed: SHA-256 expected {expected}, found {found}\nhint: {RESTORE}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// Hash in the manifest.
        expected: String,
        /// Hash of the bytes.
        found: String,
    },
    /// A size differs.
    #[error("`{}` is damaged or was changed: {expected} bytes expected, {found} found\nhint: {RESTORE}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes in the manifest.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// A name in the manifest would leave the folder.
    #[error("`{}` names the file `{name}`, which is not a plain file name inside the bundle\nhint: {RESTORE}", manifest.display())]
    OutsidePath {
        /// The manifest.
        manifest: PathBuf,
        /// The name.
        name: String,
    },
    /// An ONNX file does not fit the manifest.
    #[error("`{}` does not belong to this bundle: {problem}\nhint: {RESTORE}", path.display())]
    Graph {
        /// The ONNX file.
        path: PathBuf,
        /// What differs.
        problem: String,
    },
    /// An ONNX file cannot be read.
    #[error("`{}`: {source}\nhint: {RESTORE}", path.display())]
    Header {
        /// The ONNX file.
        path: PathBuf,
        /// What is wrong.
        source: HeaderError,
    },
    /// The table of n-grams cannot be read.
    #[error("`{}`: {problem}\nhint: {RESTORE}", path.display())]
    Ngrams {
        /// The table's file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The tokenizer cannot be read.
    #[error("`{}`: {problem}\nhint: {RESTORE}", path.display())]
    Tokenizer {
        /// The tokenizer file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The bundle has no form for the wanted device.
    #[error(
        "bundle `{bundle}` has no variant for {provider}; it has: {found}\nhint: export the checkpoint again with this version's xreport-train, whose `--precision` names the variants"
    )]
    NoVariant {
        /// Name of the bundle.
        bundle: String,
        /// What was asked for.
        provider: String,
        /// What is there.
        found: String,
    },
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] AtomicError),
}

const RESTORE: &str = "copy the bundle again from where it was exported; a bundle is never edited by hand";
