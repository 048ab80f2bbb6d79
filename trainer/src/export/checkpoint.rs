//! A checkpoint's best state as a bundle.

use std::path::Path;

use tch::Device;
use xreport_models::bundle::{Manifest, Precision, Provenance};

use super::{Trained, Verified, export};
use crate::network::{Network, NetworkConfig};
use crate::training::checkpoint::{self, BEST, LAST, State};
use crate::training::{load_verification, random_verification, tokenizer};

/// Reports that check an export of a checkpoint without data.
const RANDOM_REPORTS: usize = 4;

/// Greedy texts that are compared when a run ends.
const TEXTS: usize = 16;

/// What an export writes and how long it checks.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Images whose greedy text is compared.
    pub texts: usize,
    /// Number formats of the variants.
    pub precisions: Vec<Precision>,
    /// Whether the bundle gets a table of n-grams, to guess tokens ahead.
    pub ngrams: bool,
    /// Markdown that the model card closes with.
    pub card_notes: Option<String>,
}

impl Default for ExportOptions {
    /// What a training run writes when it ends.
    fn default() -> Self {
        Self { texts: TEXTS, precisions: vec![Precision::Fp32], ngrams: false, card_notes: None }
    }
}

/// Exports the best state of the checkpoint in `folder` (its last, where none is best yet) to `out`, checked on the
/// studies beside it: logits on the first 64, greedy texts on the first `texts` of the options.
pub fn export_checkpoint(folder: &Path, out: &Path, options: &ExportOptions) -> anyhow::Result<(Manifest, Verified)> {
    let best = folder.join(BEST);
    let stored = checkpoint::read(&if best.is_file() { best } else { folder.join(LAST) })?;
    let state = &stored.state;
    let network = Network::new(NetworkConfig::new(&state.settings, state.vocabulary.len()));
    let tensors = stored.tensors(&network, Device::Cpu)?;
    let (flat, statistics) = tensors.deployed();
    let set = match load_verification(folder) {
        Ok(set) => set,
        Err(_) if state.data_fingerprint.is_empty() => {
            let arch = &network.config.architecture;
            random_verification(arch, state.vocabulary.start(), state.settings.training.seed, RANDOM_REPORTS)
        }
        Err(error) => return Err(error),
    };
    let tokenizer = tokenizer()?;
    let ngrams = if options.ngrams { Some(super::ngrams::count(state, &tokenizer)?) } else { None };
    let preprocessing = state.settings.preprocessing();
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let name = full.file_name().map_or_else(|| "checkpoint".to_owned(), |name| name.to_string_lossy().into_owned());
    let trained = Trained {
        network: &network,
        flat,
        statistics,
        vocabulary: &state.vocabulary,
        tokenizer: &tokenizer,
        preprocessing: &preprocessing,
        name: &name,
        notice: &state.notice,
        precisions: &options.precisions,
        ngrams: ngrams.as_ref(),
        provenance: provenance(state)?,
        card_notes: options.card_notes.as_deref(),
    };
    Ok(export(&trained, &set, options.texts, out)?)
}

/// Where a state's weights come from.
pub fn provenance(state: &State) -> anyhow::Result<Provenance> {
    Ok(Provenance {
        exported_by: format!("xreport-train {}", env!("CARGO_PKG_VERSION")),
        step: state.step,
        data_fingerprint: state.data_fingerprint.clone(),
        settings: serde_json::to_value(&state.settings)?,
        metrics: serde_json::to_value(state.latest)?,
    })
}
