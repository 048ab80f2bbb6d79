//! The network: convolutional image encoder → transformer encoders → transformer decoders with causal self-attention
//! and cross-attention.
//!
//! Each layer holds its weights, its forward pass in libtorch and its emission to ONNX side by side, so that a reader
//! sees at a glance that they agree; `export::verify` checks it for every exported bundle.
//!
//! Axis names: `B` batch, `H`/`W`/`C` image, `S` image tokens, `T` text positions, `D` width, `V` vocabulary.

mod attention;
mod convolution;
mod decoder;
mod diagram;
mod image_encoder;
mod linear;
mod parameters;
mod transformer;

use tch::{Device, Kind, Tensor};
use xreport_models::bundle::Architecture;

pub use attention::{CacheForm, CacheStep, HeadShape};
pub use convolution::{RunningStatistics, SharedBatch};
pub use decoder::{LayerInputs, StepForm, StepInputs, TextDecoder};
pub use diagram::diagram;
pub use image_encoder::ImageEncoder;
pub use parameters::{ParameterLayout, ParameterSpec, Weights, tensor_values};

use crate::settings::Settings;

/// What of the settings shapes the network, and the size of its vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// Dimensions; `parameters` is filled in by [`Network::new`].
    pub architecture: Architecture,
    /// IMG_NORMALIZE: standardise each image.
    pub standardise: bool,
    /// DROPOUT.
    pub dropout: f64,
}

impl NetworkConfig {
    /// From the settings, for a vocabulary of that many tokens.
    pub fn new(settings: &Settings, vocabulary: usize) -> Self {
        let model = &settings.model;
        let [grid_height, grid_width] = model.token_grid();
        let [image_height, image_width, image_channels] = model.img_shape;
        Self {
            architecture: Architecture {
                image_height,
                image_width,
                image_channels,
                image_tokens: grid_height * grid_width,
                embedding_dims: model.embedding_dims,
                heads: model.num_heads,
                head_dims: model.head_dims(),
                ffn_dims: model.ffn_expansion * model.embedding_dims,
                conv_channels: model.conv_channels.clone(),
                encoders: model.num_encoders,
                decoders: model.num_decoders,
                max_positions: settings.dataset.max_report_size,
                vocabulary,
                parameters: 0,
            },
            standardise: settings.dataset.img_normalize,
            dropout: model.dropout,
        }
    }
}

/// Layers and the layout of their weights; the weights themselves are a flat tensor that is passed in.
#[derive(Debug)]
pub struct Network {
    /// What it was built from, parameters counted.
    pub config: NetworkConfig,
    /// Names and places of the weights.
    pub layout: ParameterLayout,
    /// Image → image tokens.
    pub image: ImageEncoder,
    /// Text and image tokens → logits.
    pub text: TextDecoder,
}

/// A batch of images and reports on the network's device.
#[derive(Debug)]
pub struct Batch {
    /// `u8 [B, H, W, C]`, 0..=255.
    pub images: Tensor,
    /// Token at each position, start token first, `i64 [B, T]`; padded with [`Batch::PAD`].
    pub inputs: Tensor,
    /// Indices into the flattened `[B·T]` positions that have a target, `i64 [N]`.
    pub places: Tensor,
    /// The token that follows at each of these places, `i64 [N]`.
    pub targets: Tensor,
}

impl Batch {
    /// What fills the positions after a report's end; no target stands there, and causality hides it from the rest.
    pub const PAD: i64 = 0;
}

/// Mean cross-entropy over the real tokens, and what its readers want to know.
#[derive(Debug)]
pub struct Loss {
    /// In nats, label smoothing included; differentiable.
    pub value: Tensor,
    /// How many targets are the most probable token, `f64 []`.
    pub correct: Tensor,
}

impl Network {
    /// Registers every layer.
    pub fn new(config: NetworkConfig) -> Self {
        let mut layout = ParameterLayout::default();
        let arch = &config.architecture;
        let image = ImageEncoder::new(&mut layout, arch, config.standardise);
        let text = TextDecoder::new(&mut layout, arch);
        layout.seal();
        let mut config = config;
        config.architecture.parameters = layout.total();
        Self { config, layout, image, text }
    }

    /// Fresh running statistics for its batch normalisations.
    pub fn statistics(&self, device: Device) -> RunningStatistics {
        let channels: Vec<i64> = self.config.architecture.conv_channels.iter().map(|&n| n as i64).collect();
        RunningStatistics::new(&channels, device)
    }

    /// The loss of a batch, teacher-forced: the head runs on real tokens alone.
    pub fn loss(
        &self,
        weights: &Weights,
        statistics: &RunningStatistics,
        batch: &Batch,
        mode: Mode,
        label_smoothing: f64,
    ) -> Loss {
        let dropout = if mode.trains() { self.config.dropout } else { 0.0 };
        let memory = self.image.forward(weights, statistics, &batch.images, mode, dropout);
        let hidden = self.text.hidden(weights, &batch.inputs, &memory, dropout);
        let real = hidden.flatten(0, 1).index_select(0, &batch.places);
        if mode.trains() && real.device() == Device::Cpu {
            let [value, correct] = self.text.head_loss(weights, &real, &batch.targets, label_smoothing);
            return Loss { value, correct };
        }
        let logits = self.text.logits(weights, &real);
        let mean = tch::Reduction::Mean;
        let logits = logits.to_kind(at_least_float(logits.kind()));
        let value = logits.cross_entropy_loss::<Tensor>(&batch.targets, None, mean, -100, label_smoothing);
        let correct = logits.detach().argmax(-1, false).eq_tensor(&batch.targets).sum(Kind::Double);
        Loss { value, correct }
    }

    /// Image tokens for inference, `f32 [B, S, D]`.
    pub fn memory(&self, weights: &Weights, statistics: &RunningStatistics, images: &Tensor) -> Tensor {
        self.image.forward(weights, statistics, images, Mode::Infer, 0.0)
    }

    /// Logits of every position for inference, `f32 [B, T, V]`.
    pub fn all_logits(&self, weights: &Weights, memory: &Tensor, inputs: &Tensor) -> Tensor {
        self.text.logits(weights, &self.text.hidden(weights, inputs, memory, 0.0))
    }

    /// Where a text looks, `f32 [B, T, S]`: see [`TextDecoder::attention`].
    pub fn attention(&self, weights: &Weights, memory: &Tensor, inputs: &Tensor) -> Tensor {
        self.text.attention(weights, inputs, memory)
    }

    /// Logits of the last position for inference, `f32 [B, V]`.
    pub fn last_logits(&self, weights: &Weights, memory: &Tensor, inputs: &Tensor) -> Tensor {
        let hidden = self.text.hidden(weights, inputs, memory, 0.0);
        self.text.logits(weights, &hidden.select(1, -1))
    }
}

/// Whether a forward pass trains (batch statistics, dropout) or infers (running statistics, none).
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// Training.
    Train,
    /// Training on a part of a batch, whose other parts other processes have.
    TrainShared(SharedBatch<'a>),
    /// Inference.
    Infer,
}

impl Mode<'_> {
    /// Whether it trains.
    pub fn trains(&self) -> bool {
        !matches!(self, Self::Infer)
    }
}

/// Positions 0..length, for a slice of the position table.
fn first_rows(table: &Tensor, length: i64) -> Tensor {
    table.narrow(0, 0, length)
}

/// The kind for what loses too much in bfloat16: sums over an image, softmax, loss, gradients of the token table.
fn at_least_float(kind: Kind) -> Kind {
    if kind == Kind::BFloat16 { Kind::Float } else { kind }
}

/// Pixels `u8` as floats 0..1 of the given kind.
fn unit_range(images: &Tensor, kind: Kind) -> Tensor {
    images.to_kind(kind) / 255.0
}
