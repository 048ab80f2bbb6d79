//! The bundle's words, apart from its model: what turns tokens into text outside the thread that drafts.

use xreport_models::bundle::{Bundle, BundleError, Manifest};
use xreport_models::text::Tokenizer;

use crate::drafting::Words;

/// Tokenizer and manifest of the bundle that drafts.
#[derive(Debug, Clone)]
pub struct BundleWords {
    tokenizer: Tokenizer,
    manifest: Manifest,
}

impl BundleWords {
    /// Of a loaded bundle.
    pub fn of(bundle: &Bundle) -> Result<Self, BundleError> {
        Ok(Self { tokenizer: bundle.tokenizer()?, manifest: bundle.manifest().clone() })
    }

    /// For turning tokens into text.
    pub fn words(&self) -> Words<'_> {
        Words { tokenizer: &self.tokenizer, manifest: &self.manifest }
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
