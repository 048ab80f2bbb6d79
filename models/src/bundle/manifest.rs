//! `bundle.json`: everything a program must know to run a bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::interface::GraphInterface;
use super::variant::Variant;
use crate::image::Preprocessing;
use crate::text::Vocabulary;

/// The layout of bundles that this version writes, and the newest that it reads.
///
/// Version 2 adds variants in other precisions than fp32 and what was measured of each; a bundle of version 1 reads as
/// one that has only fp32 and no measures. Version 3 adds the graphs that say where the model looked.
pub const FORMAT_VERSION: u32 = 3;

/// The manifest of a bundle, as it stands in `bundle.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout of the bundle: [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Hash over checkpoint and export options, 32 hex digits; also in each ONNX file's metadata.
    pub id: String,
    /// Name for people: the checkpoint's folder name.
    pub name: String,
    /// What every result of this bundle must say of itself.
    pub notice: String,
    /// Dimensions of the network.
    pub architecture: Architecture,
    /// From image file to pixels.
    pub preprocessing: Preprocessing,
    /// Between WordPiece ids and the network's own token ids.
    pub vocabulary: Vocabulary,
    /// What is used when the user does not say otherwise.
    pub decoding: DecodingDefaults,
    /// The forms in which the network is here; one is chosen per run.
    pub variants: Vec<Variant>,
    /// File of the table from which tokens are guessed ahead ([`crate::ngrams`]); from format version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ngrams: Option<String>,
    /// Where the model looked for a text; from format version 3 on, where there are 32-bit floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceGraphs>,
    /// Inputs and outputs of each ONNX file.
    pub graphs: BTreeMap<String, GraphInterface>,
    /// Where the model comes from.
    pub provenance: Provenance,
    /// Every file of the bundle but `bundle.json`.
    pub files: BTreeMap<String, FileRecord>,
    /// SHA-256 of `bundle.json` itself, with these 64 digits read as zeros.
    pub manifest_sha256: String,
}

/// Dimensions of the network, as far as graphs and caches depend on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Image height H in pixels.
    pub image_height: usize,
    /// Image width W in pixels.
    pub image_width: usize,
    /// Image channels C: 1 or 3.
    pub image_channels: usize,
    /// Tokens S that the image becomes.
    pub image_tokens: usize,
    /// Width D of the network.
    pub embedding_dims: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dimensions of one head.
    pub head_dims: usize,
    /// Width of the feed-forward layers.
    pub ffn_dims: usize,
    /// Output channels of each convolution block.
    pub conv_channels: Vec<usize>,
    /// Transformer encoder layers.
    pub encoders: usize,
    /// Transformer decoder layers.
    pub decoders: usize,
    /// Text positions T: the longest report in tokens, its start token included.
    pub max_positions: usize,
    /// Tokens V that the network can say.
    pub vocabulary: usize,
    /// Trained parameters.
    pub parameters: usize,
}

impl Architecture {
    /// Lines and columns of the grid of image tokens, which stand line by line from the image's top left: each convolution
    /// block halves height and width, rounding down.
    pub fn token_grid(&self) -> [usize; 2] {
        let blocks = u32::try_from(self.conv_channels.len()).unwrap_or(u32::MAX);
        [self.image_height, self.image_width].map(|side| side.checked_shr(blocks).unwrap_or(0))
    }
}

/// The graphs that say where the model looked: run once for an image and a finished text, in 32-bit floats on the CPU,
/// whatever variant wrote the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceGraphs {
    /// File of the encoder graph; a variant may have the same.
    pub encoder: String,
    /// File of the graph from a whole text to its attention over the image.
    pub attention: String,
}

/// Decoding options stored with the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodingDefaults {
    /// Longest report in tokens, start and end token not counted.
    pub max_tokens: usize,
}

/// Size and hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256, 64 hex digits.
    pub sha256: String,
}

/// Where a model comes from; informative, not needed to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Program and version that wrote the bundle.
    pub exported_by: String,
    /// Optimizer steps that the weights have seen.
    pub step: u64,
    /// Hash of the training data: ids, texts, image bytes.
    pub data_fingerprint: String,
    /// Training settings.
    pub settings: serde_json::Value,
    /// Measures at the checkpoint and of the check at export.
    pub metrics: serde_json::Value,
}
