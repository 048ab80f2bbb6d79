//! Convolution block: 3×3 convolution, batch normalisation, 2×2 max pooling, ReLU.

use tch::{Device, Kind, Tensor};

use super::parameters::{Init, ParameterId, ParameterLayout, Weights, tensor_values};
use crate::onnx::{GraphBuilder, Value};

/// Added to the variance.
const EPSILON: f64 = 1e-5;
/// Share of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;
const KERNEL: i64 = 3;

/// One block; halves height and width (rounding down).
#[derive(Debug)]
pub struct ConvBlock {
    inputs: i64,
    outputs: i64,
    kernel: ParameterId,
    scale: ParameterId,
    shift: ParameterId,
    statistics: usize,
}

/// Running mean and variance of every batch normalisation: state that no gradient touches.
#[derive(Debug)]
pub struct RunningStatistics {
    /// Per block: mean and variance, `f32 [channels]` each.
    pub blocks: Vec<(Tensor, Tensor)>,
}

impl RunningStatistics {
    /// Mean 0 and variance 1 for each block.
    pub fn new(channels: &[i64], device: Device) -> Self {
        let options = (Kind::Float, device);
        let blocks = channels.iter().map(|&n| (Tensor::zeros([n], options), Tensor::ones([n], options))).collect();
        Self { blocks }
    }

    /// The same in double precision.
    #[must_use]
    pub fn to_double(&self) -> Self {
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        Self { blocks: self.blocks.iter().map(|(mean, variance)| (double(mean), double(variance))).collect() }
    }

    /// The same numbers on a device.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.to_device(device);
        Self { blocks: self.blocks.iter().map(|(mean, variance)| (moved(mean), moved(variance))).collect() }
    }

    /// The same numbers in tensors of their own.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { blocks: self.blocks.iter().map(|(mean, variance)| (mean.copy(), variance.copy())).collect() }
    }

    /// Mean and variance of each block in turn.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.blocks.iter().flat_map(|(mean, variance)| [mean, variance])
    }

    /// As [`RunningStatistics::tensors`], to change.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.blocks.iter_mut().flat_map(|(mean, variance)| [mean, variance])
    }

    /// Names and tensors, as checkpoints store them.
    pub fn named(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.blocks.iter().enumerate().flat_map(|(index, (mean, variance))| {
            [(format!("conv.{index}.running_mean"), mean), (format!("conv.{index}.running_variance"), variance)]
        })
    }
}

impl ConvBlock {
    /// Registers the kernel in channels-last order `[outputs, 3, 3, inputs]`, so that its view is a channels-last
    /// weight without a copy, and batch normalisation's scale and shift. `index`: which block, from 0.
    pub fn new(layout: &mut ParameterLayout, index: usize, inputs: i64, outputs: i64) -> Self {
        let deviation = (2.0 / (KERNEL * KERNEL * outputs) as f32).sqrt();
        layout.scope(format!("conv.{index}"), |l| Self {
            inputs,
            outputs,
            kernel: l.add("kernel", &[outputs, KERNEL, KERNEL, inputs], Init::Normal(deviation), true),
            scale: l.add("scale", &[outputs], Init::Ones, false),
            shift: l.add("shift", &[outputs], Init::Zeros, false),
            statistics: index,
        })
    }

    /// `f32 [B, inputs, H, W]` → `f32 [B, outputs, H/2, W/2]`, both channels-last in memory.
    ///
    /// Pooling runs before ReLU: both are monotone, so the values are the same, on a quarter of the pixels.
    pub fn forward(&self, weights: &Weights, statistics: &RunningStatistics, x: &Tensor, train: bool) -> Tensor {
        let kernel = weights.get(self.kernel).permute([0, 3, 1, 2]);
        let (mean, variance) = &statistics.blocks[self.statistics];
        // Statistics and affine part stay in float where the rest computes in bfloat16.
        let [scale, shift] = [self.scale, self.shift].map(|id| weights.get(id).to_kind(mean.kind()));
        x.conv2d(&kernel, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1)
            .batch_norm(Some(&scale), Some(&shift), Some(mean), Some(variance), train, MOMENTUM, EPSILON, true)
            .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
            .relu()
    }

    /// The same for inference in ONNX, with the batch normalisation folded into the convolution:
    /// `W' = W·γ/√(σ²+ε)`, `b' = β − μ·γ/√(σ²+ε)`.
    pub fn emit(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        statistics: &RunningStatistics,
        x: &Value,
    ) -> Value {
        let (mean, variance) = &statistics.blocks[self.statistics];
        // In double precision, so that folding adds no rounding of its own beyond the last one.
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let factor = double(weights.get(self.scale)) / (double(variance) + EPSILON).sqrt();
        let bias = double(weights.get(self.shift)) - double(mean) * &factor;
        let kernel = double(weights.get(self.kernel)).permute([0, 3, 1, 2]) * factor.view([-1, 1, 1, 1]);
        let kernel = graph.weight(&[self.outputs, self.inputs, KERNEL, KERNEL], &tensor_values(&kernel));
        let bias = graph.weight(&[self.outputs], &tensor_values(&bias));
        // ReLU directly after the convolution: ONNX Runtime fuses the two.
        let convolved = graph.conv(x, &kernel, &bias, KERNEL / 2);
        let active = graph.relu(&convolved);
        graph.max_pool_2x2(&active)
    }
}
