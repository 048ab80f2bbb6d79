//! Convolution block: 3×3 convolution, batch normalisation, 2×2 max pooling, ReLU.

use tch::{Device, Kind, Tensor};

use super::parameters::{Init, ParameterId, ParameterLayout, Weights, tensor_values};
use super::{Mode, at_least_float};
use crate::native::{BatchNorm, SumOver, norm_pool_relu};
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

/// A part of a batch, in a process that trains together with others.
#[derive(Clone, Copy)]
pub struct SharedBatch<'a> {
    /// Adds up an `f64` tensor over all processes; differentiable.
    pub sum: &'a dyn Fn(&Tensor) -> Tensor,
    /// The same for the kernel that computes on the CPU; without it libtorch's own functions do.
    pub over: Option<SumOver>,
    /// Images of this part over those of the batch.
    pub share: f64,
    /// Images of the batch.
    pub images: usize,
}

impl std::fmt::Debug for SharedBatch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedBatch").field("share", &self.share).field("images", &self.images).finish_non_exhaustive()
    }
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
    /// Pooling runs before ReLU: both are monotone, so the values are the same, on a quarter of the pixels. In training on
    /// the CPU a kernel of our own does with normalisation what it can after pooling, too.
    pub fn forward(&self, weights: &Weights, statistics: &RunningStatistics, x: &Tensor, mode: Mode) -> Tensor {
        let kernel = weights.get(self.kernel).permute([0, 3, 1, 2]);
        let (mean, variance) = &statistics.blocks[self.statistics];
        // Statistics and affine part stay in float where the rest computes in bfloat16.
        let [scale, shift] = [self.scale, self.shift].map(|id| weights.get(id).to_kind(mean.kind()));
        let x = x.conv2d(&kernel, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1);
        let shared = match mode {
            Mode::TrainShared(batch) => batch.over.map(|over| (over, batch.images)),
            Mode::Train | Mode::Infer => None,
        };
        if x.device() == Device::Cpu && (matches!(mode, Mode::Train) || shared.is_some()) {
            let (scale, shift) = (&scale, &shift);
            let (running_mean, running_variance) = (mean, variance);
            let (momentum, epsilon) = (MOMENTUM, EPSILON);
            let norm = BatchNorm { scale, shift, running_mean, running_variance, momentum, epsilon, shared };
            return norm_pool_relu(&x, &norm);
        }
        let x = match mode {
            Mode::TrainShared(batch) => normalise_shared(&x, [&scale, &shift], (mean, variance), batch),
            Mode::Train | Mode::Infer => {
                let train = mode.trains();
                x.batch_norm(Some(&scale), Some(&shift), Some(mean), Some(variance), train, MOMENTUM, EPSILON, true)
            }
        };
        x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false).relu()
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

/// Batch normalisation of a part by the mean and variance of the whole batch (Ioffe and Szegedy 2015, synchronised):
/// `x` is `[B, C, H, W]`. Means and mean squares go over the processes in double precision, in which their difference
/// loses nothing; the gradient goes back through the same sum.
fn normalise_shared(
    x: &Tensor,
    [scale, shift]: [&Tensor; 2],
    (running_mean, running_variance): (&Tensor, &Tensor),
    batch: SharedBatch,
) -> Tensor {
    let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    let exact = x.to_kind(at_least_float(x.kind()));
    let (own_variance, own_mean) = exact.var_mean_correction([0, 2, 3].as_slice(), 0, false);
    let (own_variance, own_mean) = (double(&own_variance), double(&own_mean));
    let own = Tensor::cat(&[&own_mean, &(own_variance + &own_mean * &own_mean)], 0) * batch.share;
    let whole = (batch.sum)(&own).chunk(2, 0);
    let mean = &whole[0];
    let variance = (&whole[1] - mean * mean).clamp_min(0.0);
    keep_running(running_mean, mean, 1.0);
    // The running variance is the unbiased one, as in PyTorch.
    let count = batch.images as f64 * (x.size()[2] * x.size()[3]) as f64;
    keep_running(running_variance, &variance, count / (count - 1.0).max(1.0));
    let factor = double(scale) / (variance + EPSILON).sqrt();
    let offset = double(shift) - mean * &factor;
    let each = |tensor: &Tensor| tensor.to_kind(exact.kind()).view([1, -1, 1, 1]);
    (&exact * each(&factor) + each(&offset)).to_kind(x.kind())
}

/// Takes `found` × `factor` into a running statistic.
fn keep_running(running: &Tensor, found: &Tensor, factor: f64) {
    let _no_grad = tch::no_grad_guard();
    let found = (found.detach() * factor).to_kind(running.kind());
    let _ = running.shallow_clone().lerp_(&found, MOMENTUM);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::parameters::ParameterLayout;

    /// Two parts of a batch that are normalised together come out as the batch does, and so do their gradients.
    #[test]
    fn parts_of_a_batch_are_normalised_as_the_whole() {
        tch::manual_seed(3);
        let mut layout = ParameterLayout::default();
        let block = ConvBlock::new(&mut layout, 0, 2, 3);
        layout.seal();
        let flat = layout.initialise(1, Device::Cpu).set_requires_grad(true);
        let images = Tensor::randn([5, 2, 8, 6], (Kind::Float, Device::Cpu)) * 3.0 + 7.0;
        let weighting = Tensor::randn([5, 3, 4, 3], (Kind::Float, Device::Cpu));
        let [whole, shared] = [(); 2].map(|()| RunningStatistics::new(&[3], Device::Cpu));
        let gradient = |y: Tensor| Tensor::run_backward(&[y.sum(Kind::Float)], &[&flat], true, false).remove(0);

        let weights = layout.views(&flat);
        let expected = block.forward(&weights, &whole, &images, Mode::Train);
        let expected_gradient = gradient(&expected * &weighting);

        // One process plays both: what the other part adds to the sums is computed in the same graph.
        let parts = [(0, 3), (3, 2)].map(|(first, count)| images.narrow(0, first, count));
        let kernel = weights.get(block.kernel).permute([0, 3, 1, 2]);
        let own_sums = |part: &Tensor| {
            let x = part.conv2d(&kernel, None::<&Tensor>, [1, 1], [1, 1], [1, 1], 1).to_kind(Kind::Double);
            let mean = |x: &Tensor| x.mean_dim([0, 2, 3].as_slice(), false, None);
            Tensor::cat(&[mean(&x), mean(&(&x * &x))], 0) * (part.size()[0] as f64 / 5.0)
        };
        let mut found = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let other = own_sums(&parts[1 - index]);
            let sum = |own: &Tensor| own + &other;
            let share = part.size()[0] as f64 / 5.0;
            let mode = Mode::TrainShared(SharedBatch { sum: &sum, over: None, share, images: 5 });
            let statistics = if index == 0 { &shared } else { &RunningStatistics::new(&[3], Device::Cpu) };
            found.push(block.forward(&weights, statistics, part, mode));
        }
        let found = Tensor::cat(&found, 0);
        let close = |a: &Tensor, b: &Tensor, within: f64| (a - b).abs().max().double_value(&[]) < within;
        assert!(close(&found, &expected, 1e-4), "{:?}", (&found - &expected).abs().max());
        let found_gradient = gradient(&found * &weighting);
        let scale = expected_gradient.abs().max().double_value(&[]);
        assert!(close(&found_gradient, &expected_gradient, 1e-4 * scale), "{found_gradient:?} {expected_gradient:?}");
        for (shared, whole) in shared.tensors().zip(whole.tensors()) {
            assert!(close(shared, whole, 1e-4), "running statistics");
        }
    }
}
