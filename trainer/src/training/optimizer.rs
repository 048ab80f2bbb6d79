//! AdamW (Loshchilov and Hutter 2019) on flat tensors.

use tch::{Device, Kind, Tensor};

use crate::native::{AdamWNumbers, adamw};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// First and second moments, as long as the weights.
#[derive(Debug)]
pub struct AdamW {
    /// Running mean of the gradient, `f32 [parameters]`.
    pub first: Tensor,
    /// Running mean of its square, `f32 [parameters]`.
    pub second: Tensor,
    /// Room for the update, so that a step allocates nothing.
    scratch: Tensor,
    weight_decay: f64,
    decayed: i64,
}

impl AdamW {
    /// Zero moments for `flat`; decay acts on its first `decayed` elements.
    pub fn new(flat: &Tensor, weight_decay: f64, decayed: usize) -> Self {
        Self {
            first: flat.detach().zeros_like(),
            second: flat.detach().zeros_like(),
            scratch: flat.detach().zeros_like(),
            weight_decay,
            decayed: decayed as i64,
        }
    }

    /// One update of `flat` in place; `step` counts from 1.
    pub fn step(&mut self, flat: &Tensor, gradient: &Tensor, learning_rate: f64, step: u64) {
        let _no_grad = tch::no_grad_guard();
        let StepNumbers { kept, floor, factor } = self.numbers(learning_rate, step);
        let mut flat = flat.detach();
        if flat.device() == Device::Cpu {
            let [beta1, beta2, kept, floor, factor] = [BETA1, BETA2, kept, floor, factor].map(|number| number as f32);
            let numbers = AdamWNumbers { beta1, beta2, kept, floor, factor };
            return adamw(&flat, &gradient.contiguous(), [&self.first, &self.second], self.decayed, numbers);
        }
        if self.decays() {
            let _ = flat.narrow(0, 0, self.decayed).g_mul_scalar_(kept);
        }
        self.take_in(gradient);
        let _ = self.scratch.sqrt_().g_add_scalar_(floor);
        let _ = self.scratch.reciprocal_().g_mul_(&self.first);
        let _ = flat.g_add_(&(&self.scratch * factor));
    }

    /// As [`AdamW::step`], by `numbers` that lie on the device, `f32 [3]` in the order of [`StepNumbers::to_array`]: a
    /// captured step reads them anew each time, where a number in the program would be frozen.
    pub fn step_by(&mut self, flat: &Tensor, gradient: &Tensor, numbers: &Tensor) {
        let _no_grad = tch::no_grad_guard();
        let [kept, floor, factor] = [0, 1, 2].map(|index| numbers.select(0, index));
        let mut flat = flat.detach();
        if self.decays() {
            let _ = flat.narrow(0, 0, self.decayed).g_mul_(&kept);
        }
        self.take_in(gradient);
        let _ = self.scratch.sqrt_().g_add_(&floor);
        let _ = self.scratch.reciprocal_().g_mul_(&self.first);
        let _ = flat.g_add_(&(&self.scratch * factor));
    }

    /// What changes from step to step.
    pub fn numbers(&self, learning_rate: f64, step: u64) -> StepNumbers {
        let exponent = step.min(i32::MAX as u64) as i32;
        let correction1 = 1.0 - BETA1.powi(exponent);
        let correction2 = (1.0 - BETA2.powi(exponent)).sqrt();
        StepNumbers {
            kept: 1.0 - learning_rate * self.weight_decay,
            floor: EPSILON * correction2,
            factor: -learning_rate * correction2 / correction1,
        }
    }

    fn decays(&self) -> bool {
        self.weight_decay > 0.0 && self.decayed > 0
    }

    /// Both moments, and a copy of the second in the room for the update.
    fn take_in(&mut self, gradient: &Tensor) {
        let _ = self.first.lerp_(gradient, 1.0 - BETA1);
        let _ = self.second.g_mul_scalar_(BETA2);
        let _ = self.second.addcmul_(&(gradient * (1.0 - BETA2)), gradient);
        self.scratch.copy_(&self.second);
    }
}

/// The numbers of one update. With c1 and c2 for the corrections of both moments' bias,
/// `m̂ / (√v̂ + ε) = (√c2 / c1) · m / (√v + ε·√c2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepNumbers {
    /// Share of a decayed weight that stays.
    kept: f64,
    /// Added to the root of the second moment: ε·√c2.
    floor: f64,
    /// What the quotient is multiplied by: −rate·√c2 / c1.
    factor: f64,
}

impl StepNumbers {
    /// As [`AdamW::step_by`] reads them.
    pub fn to_array(self) -> [f32; 3] {
        [self.kept as f32, self.floor as f32, self.factor as f32]
    }
}

/// Scales `gradient` in place so that its norm is at most `limit` (0: no limit); the norm before.
pub fn clip(gradient: &mut Tensor, limit: f64) -> f64 {
    let norm = gradient.norm().to_kind(Kind::Double).double_value(&[]);
    if limit > 0.0 && norm > limit {
        let _ = gradient.g_mul_scalar_(limit / (norm + 1e-6));
    }
    norm
}

/// As [`clip`], without waiting for the device; the norm before, `f64 []`. For a step that is captured (XLA_STATE), which
/// may read nothing back.
pub fn clip_on_device(gradient: &mut Tensor, limit: f64) -> Tensor {
    let norm = gradient.norm().to_kind(Kind::Double);
    if limit > 0.0 {
        // Where the norm is within the limit the factor is 1.
        let factor = ((&norm + 1e-6).reciprocal() * limit).clamp_max(1.0);
        let _ = gradient.g_mul_(&factor.to_kind(gradient.kind()));
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tensor_values;

    /// The textbook's update, element by element, beside ours.
    #[test]
    fn follows_the_textbook() {
        let flat = Tensor::from_slice(&[1.0f32, -2.0, 0.5]);
        let mut optimizer = AdamW::new(&flat, 0.1, 2);
        let mut expected = [1.0f64, -2.0, 0.5];
        let (mut m, mut v) = ([0f64; 3], [0f64; 3]);
        for step in 1..=5u64 {
            let gradient = [0.3 * step as f64, -0.2, 0.05];
            let rate = 0.01;
            for i in 0..3 {
                if i < 2 {
                    expected[i] *= 1.0 - rate * 0.1;
                }
                m[i] = BETA1 * m[i] + (1.0 - BETA1) * gradient[i];
                v[i] = BETA2 * v[i] + (1.0 - BETA2) * gradient[i] * gradient[i];
                let m_hat = m[i] / (1.0 - BETA1.powi(step as i32));
                let v_hat = v[i] / (1.0 - BETA2.powi(step as i32));
                expected[i] -= rate * m_hat / (v_hat.sqrt() + EPSILON);
            }
            let gradient = Tensor::from_slice(&gradient.map(|g| g as f32));
            optimizer.step(&flat, &gradient, rate, step);
        }
        for (found, expected) in tensor_values(&flat).iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    /// Numbers on the device, as a captured step reads them, make the update of one pass but for rounding.
    #[test]
    fn an_update_by_numbers_on_the_device_is_the_same() {
        tch::manual_seed(5);
        let draw = || Tensor::randn([1000], (Kind::Float, tch::Device::Cpu));
        let start = draw();
        let [plain, by_numbers] = [(); 2].map(|()| start.copy());
        let [mut one, mut two] = [(); 2].map(|()| AdamW::new(&start, 0.1, 700));
        for step in 1..=20u64 {
            let rate = 0.01 / step as f64;
            let gradient = draw() * (0.1 * step as f64);
            let [mut first, mut second] = [(); 2].map(|()| gradient.copy());
            let norm = clip(&mut first, 20.0);
            let on_device = clip_on_device(&mut second, 20.0).double_value(&[]);
            assert!((norm - on_device).abs() < 1e-12, "{norm} {on_device}");
            assert_eq!(tensor_values(&first), tensor_values(&second), "clipped or not: norm {norm}");
            one.step(&plain, &first, rate, step);
            two.step_by(&by_numbers, &second, &Tensor::from_slice(&two.numbers(rate, step).to_array()));
            let farthest = (&plain - &by_numbers).abs().max().double_value(&[]);
            assert!(farthest < 1e-6 * step as f64, "step {step}: {farthest:e}");
        }
        assert_ne!(tensor_values(&plain), tensor_values(&start));
    }

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradient = Tensor::from_slice(&[3.0f32, 4.0]);
        assert!((clip(&mut gradient, 1.0) - 5.0).abs() < 1e-6);
        let clipped = tensor_values(&gradient);
        assert!((clipped[0] - 0.6).abs() < 1e-5 && (clipped[1] - 0.8).abs() < 1e-5);
        assert!((clip(&mut gradient, 0.0) - 1.0).abs() < 1e-5);
    }
}
