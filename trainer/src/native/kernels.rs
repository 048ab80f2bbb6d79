//! Training on the CPU: what `native/conv_block.cpp` and `native/adamw.cpp` compute, and where its tensors lie.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use tch::Tensor;

use super::{RawTensor, SumOver, checked};

unsafe extern "C" {
    fn xreport_keep_memory();
    fn xreport_norm_pool_relu(
        x: *const RawTensor,
        scale: *const RawTensor,
        shift: *const RawTensor,
        running_mean: *const RawTensor,
        running_variance: *const RawTensor,
        momentum: f64,
        epsilon: f64,
        call: Option<extern "C" fn(*mut c_void, *mut RawTensor) -> c_int>,
        context: *mut c_void,
        images: i64,
        y: *mut *mut RawTensor,
        message: *mut *mut c_char,
    ) -> c_int;
    fn xreport_head_loss(
        hidden: *const RawTensor,
        weight: *const RawTensor,
        bias: *const RawTensor,
        targets: *const RawTensor,
        smoothing: f64,
        loss: *mut *mut RawTensor,
        correct: *mut *mut RawTensor,
        message: *mut *mut c_char,
    ) -> c_int;
    fn xreport_adamw(
        weights: *const RawTensor,
        gradient: *const RawTensor,
        first: *const RawTensor,
        second: *const RawTensor,
        decayed: i64,
        numbers: *const AdamWNumbers,
        message: *mut *mut c_char,
    ) -> c_int;
}

/// Keeps the memory of large CPU tensors for the next ones, from now on and in the whole process: `native/allocator.cpp`.
pub fn keep_memory() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: exchanges libtorch's allocator, under a lock of libtorch's; memory is given back by who has given it.
    ONCE.call_once(|| unsafe { xreport_keep_memory() });
}

/// Batch normalisation in training with its running statistics.
#[derive(Debug)]
pub struct BatchNorm<'a> {
    /// γ, `f32 [C]`.
    pub scale: &'a Tensor,
    /// β, `f32 [C]`.
    pub shift: &'a Tensor,
    /// Changed in place, `f32 [C]`.
    pub running_mean: &'a Tensor,
    /// Changed in place, `f32 [C]`.
    pub running_variance: &'a Tensor,
    /// Share of the batch's statistics in the running ones.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Where other processes have parts of the batch: how to add up over them, and the images of all.
    pub shared: Option<(SumOver, usize)>,
}

/// Batch normalisation in training, 2×2 max pooling and ReLU at once: `[B, C, H, W]`, float or bfloat16 on the CPU →
/// `[B, C, H/2, W/2]`, channels-last. Differentiable in `x`, scale and shift.
///
/// # Panics
/// As tch's own functions do, where there is no memory left or the tensors are of other shapes or kinds.
pub fn norm_pool_relu(x: &Tensor, norm: &BatchNorm) -> Tensor {
    let raw = |tensor: &Tensor| tensor.as_ptr().cast::<RawTensor>();
    let [scale, shift, mean, variance] = [norm.scale, norm.shift, norm.running_mean, norm.running_variance].map(raw);
    let (over, images) = norm.shared.map_or((None, x.size()[0]), |(over, images)| (Some(over), images as i64));
    let (call, context) = over.map_or((None, null_mut()), |over| (Some(over.call), over.context));
    let (momentum, epsilon, mut y) = (norm.momentum, norm.epsilon, null_mut());
    // SAFETY: the tensors are alive during the call; what the graph keeps it counts as its own.
    let done = checked(|message| unsafe {
        xreport_norm_pool_relu(
            raw(x),
            scale,
            shift,
            mean,
            variance,
            momentum,
            epsilon,
            call,
            context,
            images,
            &raw mut y,
            message,
        )
    });
    if let Err(said) = done {
        panic!("{said}");
    }
    // SAFETY: a new tensor of the shim's, which is ours from here on.
    unsafe { Tensor::from_ptr(y.cast()) }
}

/// The vocabulary head and its loss at once: hidden states `[N, D]`, weight `[V, D]`, bias `[V]` (all float or all bfloat16,
/// on the CPU), targets `i64 [N]`, of which negative ones do not count → mean cross-entropy with label smoothing `f32 []`,
/// differentiable, and how many targets have the highest score, `f64 []`. Gradients are computed in the forward pass.
///
/// # Panics
/// As tch's own functions do, where there is no memory left or the tensors are of other shapes or kinds.
pub fn head_loss(hidden: &Tensor, [weight, bias]: [&Tensor; 2], targets: &Tensor, smoothing: f64) -> [Tensor; 2] {
    let [hidden, weight, bias, targets] =
        [hidden, weight, bias, targets].map(|tensor| tensor.as_ptr().cast::<RawTensor>());
    let (mut loss, mut correct) = (null_mut(), null_mut());
    // SAFETY: the tensors are alive during the call; what the graph keeps it counts as its own.
    let done = checked(|message| unsafe {
        xreport_head_loss(hidden, weight, bias, targets, smoothing, &raw mut loss, &raw mut correct, message)
    });
    if let Err(said) = done {
        panic!("{said}");
    }
    // SAFETY: new tensors of the shim's, which are ours from here on.
    [loss, correct].map(|made| unsafe { Tensor::from_ptr(made.cast()) })
}

/// The numbers of one update by AdamW.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct AdamWNumbers {
    /// Share of the first moment that stays: β₁.
    pub beta1: f32,
    /// Share of the second moment that stays: β₂.
    pub beta2: f32,
    /// Share of a decayed weight that stays.
    pub kept: f32,
    /// Added to the root of the second moment.
    pub floor: f32,
    /// What the quotient is multiplied by.
    pub factor: f32,
}

/// One update of `weights` and both moments in place, contiguous `f32 [N]` on the CPU; the first `decayed` weights decay.
///
/// # Panics
/// As tch's own functions do, where the tensors are of other lengths or kinds.
pub fn adamw(weights: &Tensor, gradient: &Tensor, moments: [&Tensor; 2], decayed: i64, numbers: AdamWNumbers) {
    let raw = |tensor: &Tensor| tensor.as_ptr().cast::<RawTensor>();
    let [first, second] = moments.map(raw);
    // SAFETY: the tensors and the numbers are alive during the call.
    let done = checked(|message| unsafe {
        xreport_adamw(raw(weights), raw(gradient), first, second, decayed, &raw const numbers, message)
    });
    if let Err(said) = done {
        panic!("{said}");
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn farthest(a: &Tensor, b: &Tensor) -> f64 {
        (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
    }

    /// Values, gradients and running statistics beside libtorch's own kernels, one after the other.
    fn compare(size: [i64; 4], kind: Kind, within: f64) {
        tch::manual_seed(7);
        let channels = size[1];
        let draw = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        let x = (draw(&size) * 2.0 + 30.0).to_kind(kind);
        // Some scales are negative: there the smallest of four is chosen. One is zero.
        let scale = draw(&[channels]);
        let _ = scale.select(0, 0).fill_(0.0);
        let shift = draw(&[channels]) * 0.3;
        let weighting = draw(&[size[0], channels, size[2] / 2, size[3] / 2]);
        let run = |fused: bool| {
            let [x, scale, shift] = [&x, &scale, &shift].map(|tensor| tensor.copy().set_requires_grad(true));
            let [mean, variance] = [(); 2].map(|()| Tensor::ones([channels], (Kind::Float, Device::Cpu)));
            let norm = BatchNorm {
                scale: &scale,
                shift: &shift,
                running_mean: &mean,
                running_variance: &variance,
                momentum: 0.1,
                epsilon: 1e-5,
                shared: None,
            };
            let y = if fused {
                norm_pool_relu(&x, &norm)
            } else {
                x.to_kind(Kind::Float)
                    .batch_norm(Some(&scale), Some(&shift), Some(&mean), Some(&variance), true, 0.1, 1e-5, false)
                    .max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
                    .relu()
            };
            let objective = (y.to_kind(Kind::Float) * &weighting).sum(Kind::Float);
            let mut all = Tensor::run_backward(&[&objective], &[&x, &scale, &shift], false, false);
            all.extend([y.detach(), mean, variance]);
            all
        };
        for (name, (found, expected)) in
            ["x", "scale", "shift", "y", "mean", "variance"].iter().zip(run(true).iter().zip(run(false)))
        {
            let scale = expected.to_kind(Kind::Double).abs().max().double_value(&[]);
            let far = farthest(found, &expected) / scale;
            assert!(far < within, "{name} of {size:?} {kind:?}: {far:e} of {scale}");
        }
    }

    #[test]
    fn a_block_is_what_libtorchs_kernels_make_of_it() {
        for size in [[3, 8, 6, 6], [2, 5, 7, 9], [1, 40, 2, 3], [4, 32, 33, 20]] {
            compare(size, Kind::Float, 2e-4);
            // In bfloat16 what is kept between the passes has three digits.
            compare(size, Kind::BFloat16, 2e-2);
        }
    }

    /// Loss, right targets and gradients beside libtorch's own functions.
    #[test]
    fn a_head_with_its_loss_is_what_libtorchs_functions_make_of_it() {
        tch::manual_seed(4);
        for (kind, vocabulary, within) in
            [(Kind::Float, 37, 1e-5), (Kind::Float, 1000, 1e-5), (Kind::BFloat16, 1000, 2e-2)]
        {
            let (rows, dims, smoothing) = (20, 16, 0.1);
            let draw = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu)).to_kind(kind);
            let parts = [draw(&[rows, dims]), draw(&[vocabulary, dims]), draw(&[vocabulary])];
            let targets = Tensor::randint(vocabulary, [rows], (Kind::Int64, Device::Cpu));
            let run = |fused: bool, targets: &Tensor| {
                let [hidden, weight, bias] = parts.each_ref().map(|tensor| tensor.copy().set_requires_grad(true));
                let [loss, correct] = if fused {
                    head_loss(&hidden, [&weight, &bias], targets, smoothing)
                } else {
                    let scores = hidden.linear(&weight, Some(&bias)).to_kind(Kind::Float);
                    let mean = tch::Reduction::Mean;
                    let loss = scores.cross_entropy_loss::<Tensor>(targets, None, mean, -100, smoothing);
                    [loss, scores.argmax(-1, false).eq_tensor(targets).sum(Kind::Double)]
                };
                let gradients = Tensor::run_backward(&[&(&loss * 0.5)], &[&hidden, &weight, &bias], false, false);
                let mut all = vec![loss.detach(), correct];
                all.extend(gradients);
                all
            };
            let ignored = targets.copy();
            let _ = ignored.narrow(0, 3, 5).fill_(-100);
            for targets in [&targets, &ignored] {
                for (index, (found, expected)) in run(true, targets).iter().zip(run(false, targets)).enumerate() {
                    let scale = expected.to_kind(Kind::Double).abs().max().double_value(&[]).max(1e-3);
                    let far = farthest(found, &expected) / scale;
                    assert!(far < within, "{index} of {kind:?}, {vocabulary}: {far:e} of {scale}");
                }
            }
            let spoilt = parts[0].copy();
            let _ = spoilt.get(2).get(1).fill_(f64::NAN);
            let [loss, _] = head_loss(&spoilt, [&parts[1], &parts[2]], &targets, smoothing);
            assert!(loss.double_value(&[]).is_nan());
        }
    }

    #[test]
    fn threads_change_no_bit_and_what_is_no_number_stays_none() {
        tch::manual_seed(2);
        let x = Tensor::randn([5, 16, 20, 20], (Kind::Float, Device::Cpu));
        let [ones, zeros] =
            [Tensor::ones([16], (Kind::Float, Device::Cpu)), Tensor::zeros([16], (Kind::Float, Device::Cpu))];
        let threads = tch::get_num_threads();
        let run = |x: &Tensor, threads: i32| {
            tch::set_num_threads(threads);
            let x = x.copy().set_requires_grad(true);
            let (mean, variance) = (zeros.copy(), ones.copy());
            let norm = BatchNorm {
                scale: &ones,
                shift: &zeros,
                running_mean: &mean,
                running_variance: &variance,
                momentum: 0.1,
                epsilon: 1e-5,
                shared: None,
            };
            let y = norm_pool_relu(&x, &norm);
            let gradient = Tensor::run_backward(&[(&y * &y).sum(Kind::Float)], &[&x], true, false).remove(0);
            (y.detach(), gradient)
        };
        let (one, other) = (run(&x, 1), run(&x, 3));
        let _ = x.narrow(0, 2, 1).narrow(1, 3, 1).narrow(2, 4, 1).narrow(3, 4, 1).fill_(f64::NAN);
        let spoilt = run(&x, 1).0;
        tch::set_num_threads(threads);
        assert!(one.0.equal(&other.0) && one.1.equal(&other.1));
        assert!(spoilt.select(1, 3).isnan().all().int64_value(&[]) == 1, "the channel's statistics are none");
        assert!(spoilt.select(1, 4).isnan().any().int64_value(&[]) == 0);
    }
}
