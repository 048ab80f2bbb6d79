//! AdamW (Loshchilov and Hutter 2019) on flat tensors.

use tch::{Kind, Tensor};

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
        let mut flat = flat.detach();
        if self.weight_decay > 0.0 && self.decayed > 0 {
            let _ = flat.narrow(0, 0, self.decayed).g_mul_scalar_(1.0 - learning_rate * self.weight_decay);
        }
        let _ = self.first.lerp_(gradient, 1.0 - BETA1);
        let _ = self.second.g_mul_scalar_(BETA2);
        let _ = self.second.addcmul_(&(gradient * (1.0 - BETA2)), gradient);
        let exponent = step.min(i32::MAX as u64) as i32;
        let correction1 = 1.0 - BETA1.powi(exponent);
        let correction2 = (1.0 - BETA2.powi(exponent)).sqrt();
        // m̂ / (√v̂ + ε) = (√c2 / c1) · m / (√v + ε·√c2)
        self.scratch.copy_(&self.second);
        let _ = self.scratch.sqrt_().g_add_scalar_(EPSILON * correction2);
        let _ = self.scratch.reciprocal_().g_mul_(&self.first);
        let _ = flat.g_add_(&(&self.scratch * (-learning_rate * correction2 / correction1)));
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

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradient = Tensor::from_slice(&[3.0f32, 4.0]);
        assert!((clip(&mut gradient, 1.0) - 5.0).abs() < 1e-6);
        let clipped = tensor_values(&gradient);
        assert!((clipped[0] - 0.6).abs() < 1e-5 && (clipped[1] - 0.8).abs() < 1e-5);
        assert!((clip(&mut gradient, 0.0) - 1.0).abs() < 1e-5);
    }
}
