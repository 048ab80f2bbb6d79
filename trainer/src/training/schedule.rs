//! The learning rate's course: linear warm-up, then a half cosine (Loshchilov and Hutter 2017) to a final share.

use crate::settings::TrainingSettings;

/// Learning rate by step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    peak: f64,
    warmup: u64,
    horizon: u64,
    final_share: f64,
}

impl Schedule {
    /// For a run whose cosine ends at step `horizon`.
    pub fn new(settings: &TrainingSettings, horizon: u64) -> Self {
        Self {
            peak: settings.learning_rate,
            warmup: settings.warmup_steps as u64,
            horizon,
            final_share: settings.final_learning_rate,
        }
    }

    /// The learning rate of step `step`, counted from 1.
    pub fn at(&self, step: u64) -> f64 {
        if step <= self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let span = self.horizon.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / span as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        self.peak * (self.final_share + (1.0 - self.final_share) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(final_share: f64) -> Schedule {
        Schedule { peak: 2.0, warmup: 10, horizon: 110, final_share }
    }

    #[test]
    fn warms_up_and_falls() {
        let schedule = schedule(0.1);
        assert!((schedule.at(5) - 1.0).abs() < 1e-12);
        assert!((schedule.at(10) - 2.0).abs() < 1e-12);
        assert!((schedule.at(60) - 1.1).abs() < 1e-12, "half way between peak and final");
        assert!((schedule.at(110) - 0.2).abs() < 1e-12);
        assert!((schedule.at(500) - 0.2).abs() < 1e-12, "stays there");
    }

    #[test]
    fn a_final_share_of_one_is_constant() {
        assert!((schedule(1.0).at(77) - 2.0).abs() < 1e-12);
    }
}
