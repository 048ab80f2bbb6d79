//! Exponential moving average of the weights (Polyak and Juditsky 1992), batch normalisation's statistics included.
//!
//! The average is what is validated, kept as the best state and exported; the optimizer goes on from the raw weights.

use tch::Tensor;

use crate::network::RunningStatistics;

/// The averaged network of a run.
#[derive(Debug)]
pub struct Average {
    /// Averaged weights, `f32 [parameters]`.
    pub flat: Tensor,
    /// Averaged statistics of batch normalisation.
    pub statistics: RunningStatistics,
    decay: f64,
}

impl Average {
    /// Starts at the raw state. `decay`: EMA_DECAY, the share of the old average that each step keeps.
    pub fn new(flat: &Tensor, statistics: &RunningStatistics, decay: f64) -> Self {
        let _no_grad = tch::no_grad_guard();
        Self { flat: flat.detach().copy(), statistics: statistics.copy(), decay }
    }

    /// Takes in the state after `step`, counted from 1. Early steps keep less of what was before, so that the start
    /// does not linger: the share kept is at most (1 + step) / (10 + step), as in TensorFlow's moving averages.
    pub fn update(&mut self, flat: &Tensor, statistics: &RunningStatistics, step: u64) {
        let _no_grad = tch::no_grad_guard();
        let taken = self.taken(step);
        let _ = self.flat.lerp_(&flat.detach(), taken);
        for (average, raw) in self.statistics.tensors_mut().zip(statistics.tensors()) {
            let _ = average.lerp_(raw, taken);
        }
    }

    /// As [`Average::update`], by a share taken that lies on the device, `f32 []`.
    pub fn update_by(&mut self, flat: &Tensor, statistics: &RunningStatistics, taken: &Tensor) {
        let _no_grad = tch::no_grad_guard();
        let _ = self.flat.lerp_tensor_(&flat.detach(), taken);
        for (average, raw) in self.statistics.tensors_mut().zip(statistics.tensors()) {
            let _ = average.lerp_tensor_(raw, taken);
        }
    }

    /// Share of the raw state that goes into the average after `step`.
    pub fn taken(&self, step: u64) -> f64 {
        let step = step as f64;
        1.0 - self.decay.min((1.0 + step) / (10.0 + step))
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::network::tensor_values;

    #[test]
    fn follows_the_raw_state_slowly() {
        let start = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        let statistics = RunningStatistics::new(&[1], Device::Cpu);
        let mut average = Average::new(&start, &statistics, 0.9);
        let (mut expected, moved) = (0.0, Tensor::from_slice(&[1.0f32, 2.0]));
        let mut other = statistics.copy();
        other.tensors_mut().for_each(|tensor| {
            let _ = tensor.fill_(5.0);
        });
        for step in 1..=100u32 {
            average.update(&moved, &other, step.into());
            let kept = 0.9f64.min(f64::from(1 + step) / f64::from(10 + step));
            expected = kept * expected + (1.0 - kept);
        }
        let found = tensor_values(&average.flat);
        assert!((f64::from(found[0]) - expected).abs() < 1e-5 && (f64::from(found[1]) - 2.0 * expected).abs() < 1e-5);
        assert!(average.statistics.tensors().all(|tensor| tensor_values(tensor)[0] > 4.9));
        assert_eq!(tensor_values(&start), [0.0, 0.0], "the raw weights stay as they were");
    }
}
