//! Image → image tokens: normalisation, convolution blocks, projection, positions, transformer encoders.

use tch::Tensor;
use xreport_models::bundle::{Architecture, DType};

use super::attention::HeadShape;
use super::convolution::{ConvBlock, RunningStatistics};
use super::linear::{LayerNorm, Linear};
use super::parameters::{Init, ParameterId, ParameterLayout, Weights};
use super::transformer::EncoderLayer;
use super::{Mode, at_least_float, unit_range};
use crate::onnx::{GraphBuilder, Value};

/// Added to an image's standard deviation (grey values 0..1): a constant image gives zeros, not infinities.
const DEVIATION_FLOOR: f64 = 1e-3;

/// Positions start about as large as the projected features beside them, so that left and right differ from the first
/// step on.
const POSITION_DEVIATION: f32 = 0.5;

/// The image half of the network.
#[derive(Debug)]
pub struct ImageEncoder {
    standardise: bool,
    blocks: Vec<ConvBlock>,
    projection: Linear,
    /// Learned position of each place in the image grid, `[S, D]`: without it left and right are hard to tell apart.
    positions: ParameterId,
    tokens: [i64; 2],
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
}

impl ImageEncoder {
    /// Registers the layers.
    pub fn new(layout: &mut ParameterLayout, arch: &Architecture, standardise: bool) -> Self {
        let dims = arch.embedding_dims as i64;
        let shape = HeadShape { dims, heads: arch.heads as i64, head_dims: arch.head_dims as i64 };
        let mut channels = arch.image_channels as i64;
        let mut blocks = Vec::new();
        for (index, &outputs) in arch.conv_channels.iter().enumerate() {
            blocks.push(ConvBlock::new(layout, index, channels, outputs as i64));
            channels = outputs as i64;
        }
        let tokens = [arch.image_tokens as i64, channels];
        Self {
            standardise,
            blocks,
            projection: Linear::new(layout, "image_projection", channels, dims),
            positions: layout.add("image_positions", &[tokens[0], dims], Init::Normal(POSITION_DEVIATION), false),
            tokens,
            layers: (0..arch.encoders)
                .map(|index| EncoderLayer::new(layout, index, shape, arch.ffn_dims as i64))
                .collect(),
            norm: LayerNorm::new(layout, "image_norm", dims),
        }
    }

    /// Pixels `u8 [B, H, W, C]` → image tokens `f32 [B, S, D]`, row by row from the image's top left.
    pub fn forward(
        &self,
        weights: &Weights,
        statistics: &RunningStatistics,
        images: &Tensor,
        mode: Mode,
        dropout: f64,
    ) -> Tensor {
        // The permuted view is channels-last in memory, which is what the CPU's convolutions like best.
        let kind = weights.get(self.positions).kind();
        let exact = self.normalise(&unit_range(images, at_least_float(kind)));
        let mut x = exact.to_kind(kind).permute([0, 3, 1, 2]);
        for block in &self.blocks {
            x = block.forward(weights, statistics, &x, mode);
        }
        let grid = x.permute([0, 2, 3, 1]).reshape([-1, self.tokens[0], self.tokens[1]]);
        let mut x = self.projection.forward(weights, &grid) + weights.get(self.positions);
        if dropout > 0.0 {
            x = x.dropout(dropout, true);
        }
        for layer in &self.layers {
            x = layer.forward(weights, &x, dropout);
        }
        self.norm.forward(weights, &x)
    }

    fn normalise(&self, x: &Tensor) -> Tensor {
        if !self.standardise {
            return x.shallow_clone();
        }
        let pixels: &[i64] = &[1, 2, 3];
        let centred = x - x.mean_dim(pixels, true, None);
        let variance = (&centred * &centred).mean_dim(pixels, true, None);
        centred / (variance.sqrt() + DEVIATION_FLOOR)
    }

    /// The same for inference in ONNX.
    pub fn emit(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        statistics: &RunningStatistics,
        images: &Value,
    ) -> Value {
        // In 32 bits up to here: the sum over an image's pixels wants them.
        let normalised = self.emit_normalised(graph, images);
        let mut x = graph.cast(&normalised, graph.floats());
        for block in &self.blocks {
            x = block.emit(graph, weights, statistics, &x);
        }
        let grid = graph.transpose(&x, &[0, 2, 3, 1]);
        let tokens = graph.reshape(&grid, &[0, self.tokens[0], self.tokens[1]]);
        let projected = self.projection.emit(graph, weights, &tokens);
        let dims = projected.fixed(-1);
        let positions = graph.weight(&[self.tokens[0], dims], &weights.values(self.positions));
        let mut x = graph.add(&projected, &positions);
        for layer in &self.layers {
            x = layer.emit(graph, weights, &x);
        }
        self.norm.emit(graph, weights, &x)
    }

    fn emit_normalised(&self, graph: &mut GraphBuilder, images: &Value) -> Value {
        let floats = graph.cast(images, DType::F32);
        let scale = graph.scalar(255.0);
        let unit = graph.div(&floats, &scale);
        let mut x = graph.transpose(&unit, &[0, 3, 1, 2]);
        if self.standardise {
            // Row by row first: ONNX Runtime sums one value after the other, and over a whole image that loses two digits.
            let image_mean = |graph: &mut GraphBuilder, x: &Value| {
                let rows = graph.mean(x, &[3]);
                graph.mean(&rows, &[1, 2])
            };
            let mean = image_mean(graph, &x);
            let centred = graph.sub(&x, &mean);
            let squares = graph.mul(&centred, &centred);
            let variance = image_mean(graph, &squares);
            let deviation = graph.sqrt(&variance);
            let floor = graph.scalar(DEVIATION_FLOOR as f32);
            let deviation = graph.add(&deviation, &floor);
            x = graph.div(&centred, &deviation);
        }
        x
    }
}
