//! The inputs and outputs of a bundle's graphs, said once: the exporter declares them, the manifest records them, the
//! loader checks them, and the runtime binds them.
//!
//! Axis names: `B` batch, `H`/`W`/`C` image height, width, channels, `S` image tokens, `T` text positions (the length
//! of the key/value cache), `V` vocabulary. `heads` and `head_dims` are those of the attention layers.

use serde::{Deserialize, Serialize};

use super::manifest::Architecture;

/// Input of the encoder: pixels as [`crate::image::Preprocessing`] gives them, `u8 [B, H, W, C]`, 0..=255.
pub const IMAGE: &str = "image";
/// Input of the decoder: the token of this step, `i64 [B, 1]`.
pub const INPUT_IDS: &str = "input_ids";
/// Input of the decoder: the position of that token in its report, `i32 [B]`, from 0.
pub const POSITION: &str = "position";
/// Output of the decoder: the most probable next token, `i64 [B, 1]`; may be bound onto [`INPUT_IDS`].
pub const NEXT_IDS: &str = "next_ids";
/// Output of the decoder: natural-log probability of [`NEXT_IDS`], `f32 [B, 1]`.
pub const LOG_PROBABILITY: &str = "log_probability";
/// Output of the decoder: unnormalised scores of every token, `f32 [B, 1, V]`.
pub const LOGITS: &str = "logits";
/// Output of the decoder: position + 1, `i32 [B]`; may be bound onto [`POSITION`].
pub const NEXT_POSITION: &str = "next_position";

/// Input of the verifier: the position of each of its tokens, `i32 [1, N]`.
pub const PLACES: &str = "places";
/// Output of the verifier: the two most probable successors of each token, `i64 [1, N, 2]`.
pub const TOP_IDS: &str = "top_ids";
/// Output of the verifier: natural-log probabilities of [`TOP_IDS`], `f32 [1, N, 2]`.
pub const TOP_LOG_PROBABILITIES: &str = "top_log_probabilities";

/// Output of the evidence graph: how each token of a text shared its look out over the image tokens, `f32 [B, N, S]`,
/// 0..=1; the mean over all heads of all layers, so that a token's shares sum to 1.
pub const ATTENTION: &str = "attention";

/// Keys of decoder layer `layer` over the image tokens, `f32 [B, heads, S, head_dims]`.
pub fn cross_key(layer: usize) -> String {
    format!("cross_key_{layer}")
}

/// Values of decoder layer `layer` over the image tokens, `f32 [B, heads, S, head_dims]`.
pub fn cross_value(layer: usize) -> String {
    format!("cross_value_{layer}")
}

/// Cached keys of decoder layer `layer`, `f32 [B, heads, T, head_dims]`.
pub fn past_key(layer: usize) -> String {
    format!("past_key_{layer}")
}

/// Cached values of decoder layer `layer`, `f32 [B, heads, T, head_dims]`.
pub fn past_value(layer: usize) -> String {
    format!("past_value_{layer}")
}

/// [`past_key`] with this step's key written at its position; bound onto the same buffer.
pub fn present_key(layer: usize) -> String {
    format!("present_key_{layer}")
}

/// [`past_value`] with this step's value written at its position; bound onto the same buffer.
pub fn present_value(layer: usize) -> String {
    format!("present_value_{layer}")
}

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
}

/// One axis of a tensor: a size, or a name for a size that is known at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Axis {
    /// A size known at export.
    Fixed(i64),
    /// A size known at run time.
    Symbol(String),
}

/// Name, element type and axes of a graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Axes, outermost first.
    pub axes: Vec<Axis>,
}

impl std::fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let axes: Vec<String> = self
            .axes
            .iter()
            .map(|axis| match axis {
                Axis::Fixed(size) => size.to_string(),
                Axis::Symbol(name) => name.clone(),
            })
            .collect();
        write!(f, "{} {:?} [{}]", self.name, self.dtype, axes.join(", "))
    }
}

/// Inputs and outputs of one graph, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphInterface {
    /// What is fed.
    pub inputs: Vec<TensorSpec>,
    /// What comes out.
    pub outputs: Vec<TensorSpec>,
}

impl GraphInterface {
    /// The encoder graph of an architecture; `floats`: element type of what passes between the graphs, F32 or F16.
    pub fn encoder(arch: &Architecture, floats: DType) -> Self {
        let cross = [arch.heads, arch.image_tokens, arch.head_dims];
        let outputs = (0..arch.decoders)
            .flat_map(|layer| [cross_key(layer), cross_value(layer)])
            .map(|name| batched(&name, floats, &cross))
            .collect();
        let image = [arch.image_height, arch.image_width, arch.image_channels];
        Self { inputs: vec![batched(IMAGE, DType::U8, &image)], outputs }
    }

    /// The decoder's one-token step graph of an architecture; `floats`: element type of keys and values.
    pub fn decoder(arch: &Architecture, floats: DType) -> Self {
        let cache = [arch.heads, arch.max_positions, arch.head_dims];
        let cross = [arch.heads, arch.image_tokens, arch.head_dims];
        let mut inputs = vec![batched(INPUT_IDS, DType::I64, &[1]), batched(POSITION, DType::I32, &[])];
        let mut outputs = vec![
            batched(NEXT_IDS, DType::I64, &[1]),
            batched(LOG_PROBABILITY, DType::F32, &[1]),
            batched(LOGITS, DType::F32, &[1, arch.vocabulary]),
            batched(NEXT_POSITION, DType::I32, &[]),
        ];
        for layer in 0..arch.decoders {
            inputs.push(batched(&past_key(layer), floats, &cache));
            inputs.push(batched(&past_value(layer), floats, &cache));
            inputs.push(batched(&cross_key(layer), floats, &cross));
            inputs.push(batched(&cross_value(layer), floats, &cross));
            outputs.push(batched(&present_key(layer), floats, &cache));
            outputs.push(batched(&present_value(layer), floats, &cache));
        }
        Self { inputs, outputs }
    }
}

impl GraphInterface {
    /// The verifier of an architecture: the decoder for one row and several tokens at once, N.
    ///
    /// [`POSITION`] there is the position of the last token, `i32 [1]`.
    pub fn verifier(arch: &Architecture, floats: DType) -> Self {
        let several = || Axis::Symbol("N".into());
        let one = |name: &str, dtype, rest: Vec<Axis>| {
            let axes = std::iter::once(Axis::Fixed(1)).chain(rest).collect();
            TensorSpec { name: name.to_owned(), dtype, axes }
        };
        let mut inputs = vec![
            one(INPUT_IDS, DType::I64, vec![several()]),
            one(PLACES, DType::I32, vec![several()]),
            one(POSITION, DType::I32, vec![]),
        ];
        let mut outputs = vec![
            one(TOP_IDS, DType::I64, vec![several(), Axis::Fixed(2)]),
            one(TOP_LOG_PROBABILITIES, DType::F32, vec![several(), Axis::Fixed(2)]),
        ];
        // Caches and image as the decoder has them, for one row.
        let step = Self::decoder(arch, floats);
        let single = |spec: &TensorSpec| one(&spec.name, spec.dtype, spec.axes[1..].to_vec());
        inputs.extend(step.inputs[2..].iter().map(single));
        outputs.extend(step.outputs[4..].iter().map(single));
        Self { inputs, outputs }
    }
}

impl GraphInterface {
    /// The evidence graph of an architecture: a whole text of N tokens at once, the start token first. What follows a token
    /// does not count for it, so that shorter texts of a batch may be filled up with any token. In 32-bit floats.
    ///
    /// The last layer's values are no input: they decide what is said next, and not where it is looked.
    pub fn evidence(arch: &Architecture) -> Self {
        let text = [Axis::Symbol("B".into()), Axis::Symbol("N".into())];
        let over_text = |name: &str, dtype, rest: &[Axis]| TensorSpec {
            name: name.to_owned(),
            dtype,
            axes: text.iter().chain(rest).cloned().collect(),
        };
        let mut inputs = vec![over_text(INPUT_IDS, DType::I64, &[])];
        inputs.extend(Self::encoder(arch, DType::F32).outputs);
        inputs.pop();
        let outputs = vec![over_text(ATTENTION, DType::F32, &[Axis::Fixed(arch.image_tokens as i64)])];
        Self { inputs, outputs }
    }
}

fn batched(name: &str, dtype: DType, rest: &[usize]) -> TensorSpec {
    let axes = std::iter::once(Axis::Symbol("B".into())).chain(rest.iter().map(|&n| Axis::Fixed(n as i64))).collect();
    TensorSpec { name: name.to_owned(), dtype, axes }
}
