//! From trained weights to a verified bundle.

mod card;
mod checkpoint;
mod graphs;
mod ngrams;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;

use tch::Tensor;
use thiserror::Error;
use xreport_models::bundle::{BundleDraft, BundleError, MODEL_CARD, Manifest, Precision, Provenance};
use xreport_models::image::Preprocessing;
use xreport_models::ngrams::NgramTable;
use xreport_models::text::{Tokenizer, Vocabulary};
use xreport_runtime::model::ModelError;

pub use checkpoint::{ExportOptions, export_checkpoint, provenance};
pub use graphs::bundle_draft;
pub use verify::{VerificationSet, Verified};

use crate::network::{Network, RunningStatistics, Weights};

/// A trained network with all that its bundle says of it.
#[derive(Debug)]
pub struct Trained<'a> {
    /// The layers.
    pub network: &'a Network,
    /// The flat weights, `f32 [parameters]`.
    pub flat: &'a Tensor,
    /// Batch normalisation's running statistics.
    pub statistics: &'a RunningStatistics,
    /// Token map.
    pub vocabulary: &'a Vocabulary,
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// From image file to pixels.
    pub preprocessing: &'a Preprocessing,
    /// Name of the bundle.
    pub name: &'a str,
    /// What results say of themselves.
    pub notice: &'a str,
    /// Number formats of the variants to write.
    pub precisions: &'a [Precision],
    /// What usually follows what in the training reports, where tokens are to be guessed ahead.
    pub ngrams: Option<&'a NgramTable>,
    /// Where the weights come from.
    pub provenance: Provenance,
    /// Markdown that the model card closes with, such as the figures of an evaluation.
    pub card_notes: Option<&'a str>,
}

impl Trained<'_> {
    fn weights(&self) -> Weights {
        self.network.layout.views(self.flat)
    }
}

/// Why an export was refused.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Reading or writing the bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Running it for the check.
    #[error("the check of the export failed to run: {0}")]
    Model(#[from] ModelError),
    /// libtorch and ONNX Runtime disagree.
    #[error(
        "variant `{variant}` disagrees with libtorch: logits differ by {difference:.2e}, at most {bound:.0e} is allowed\nhint: no bundle was written; this is a fault of the program: please report it with the checkpoint's settings"
    )]
    Logits {
        /// The variant.
        variant: String,
        /// Largest difference.
        difference: f64,
        /// What is allowed.
        bound: f64,
    },
    /// The weights are so large that rounding alone moves what the network says.
    #[error(
        "the state's weights are too large to be computed with in single precision: rounding alone moves logits by {logits:.1e} and \
         shares of attention by {shares:.1e}, so that no export can agree with libtorch\nhint: no bundle was written; the \
         training diverged, most likely by a learning rate that is too high: train anew with a smaller training.LEARNING_RATE"
    )]
    Unsteady {
        /// Largest difference of a logit between single and double precision, both in libtorch.
        logits: f64,
        /// Largest difference of a share of attention.
        shares: f64,
    },
    /// libtorch and ONNX Runtime look at other places.
    #[error(
        "the evidence graph disagrees with libtorch: shares of attention differ by {difference:.2e}, at most {bound:.0e} is allowed\nhint: no bundle was written; this is a fault of the program: please report it with the checkpoint's settings"
    )]
    Evidence {
        /// Largest difference.
        difference: f64,
        /// What is allowed.
        bound: f64,
    },
    /// Guessing ahead changes a text.
    #[error(
        "variant `{variant}` writes another text for check image {image} when it guesses ahead\nhint: no bundle was written; export without --ngrams, and please report it with the checkpoint's settings"
    )]
    Guessing {
        /// The variant.
        variant: String,
        /// Which image of the check.
        image: usize,
    },
    /// A variant of lower precision is further off than its number format explains.
    #[error(
        "variant `{variant}` disagrees with libtorch: its logits are off by {error:.1} % of their spread, at most {bound:.0} % is allowed\nhint: no bundle was written; export without this precision, and please report it with the checkpoint's settings"
    )]
    Precision {
        /// The variant.
        variant: String,
        /// Root of the mean squared difference over the logits' standard deviation, in percent.
        error: f64,
        /// What is allowed.
        bound: f64,
    },
    /// A greedy text differs.
    #[error(
        "variant `{variant}` writes another text than libtorch for check image {image}, from token {token} on\nhint: no bundle was written; this is a fault of the program: please report it with the checkpoint's settings"
    )]
    Text {
        /// The variant.
        variant: String,
        /// Which image of the check.
        image: usize,
        /// First token that differs.
        token: usize,
    },
}

/// Builds the bundle, checks every variant against libtorch on `set`, and writes it to `out` only if they agree.
///
/// Logits are compared over the first 64 reports of the set, greedy texts over its first `texts` images.
pub fn export(
    trained: &Trained,
    set: &VerificationSet,
    texts: usize,
    out: &Path,
) -> Result<(Manifest, Verified), ExportError> {
    let reference = verify::Reference::compute(trained, set, texts);
    let mut verified = None;
    let manifest = bundle_draft(trained).write(out, |folder, draft| {
        verified = Some(checked(trained, &reference, folder, draft)?);
        Ok::<_, ExportError>(())
    })?;
    Ok((manifest, verified.expect("a written bundle was checked")))
}

/// Checks the bundle in `folder`, and enters what was measured into its draft.
fn checked(
    trained: &Trained,
    reference: &verify::Reference,
    folder: &Path,
    draft: &mut BundleDraft,
) -> Result<Verified, ExportError> {
    let verified = reference.check(folder).map_err(|error| reference.explained(error))?;
    for (variant, (_, agreement)) in draft.manifest.variants.iter_mut().zip(&verified.agreements) {
        variant.agreement = Some(*agreement);
    }
    draft.files.insert(MODEL_CARD.to_owned(), card::model_card(&draft.manifest, trained.card_notes).into_bytes());
    Ok(verified)
}
