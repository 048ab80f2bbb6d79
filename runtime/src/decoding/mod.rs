//! From step outputs to token sequences: a model seam ([`StepModel`]), a [`Search`] per study, and the loop that gives
//! studies their rows ([`run`]).

mod batch;
mod beam;
mod filters;
mod followed;
mod greedy;
mod options;
mod sampling;
#[cfg(test)]
mod script;
mod search;
mod speculative;
mod step_model;

pub use batch::{Admitted, Studies, run};
pub use beam::Beam;
pub use filters::Filters;
pub use followed::{Followed, Follower};
pub use greedy::Greedy;
pub use options::{DecodingOptions, OptionsError, Sampling};
pub use sampling::{Sample, study_seed};
pub use search::{Changes, Hypothesis, Next, Search, StepView};
pub use speculative::{GuessCounts, Guessing, VerifyModel, speculative};
pub use step_model::{StepError, StepModel};

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model said its end token.
    End,
    /// The longest length was reached.
    Length,
}

/// One decoded sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Tokens of the model's vocabulary, without start and end.
    pub tokens: Vec<u32>,
    /// Natural-log probability of each token, and of the end token where it was said.
    pub log_probabilities: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Sequence {
    /// Nothing said yet.
    pub fn empty() -> Self {
        Self { tokens: Vec::new(), log_probabilities: Vec::new(), finish: Finish::Length }
    }

    /// Adds what was said at a step; whether it was the end.
    fn say(&mut self, token: u32, log_probability: f32, end: u32) -> bool {
        self.log_probabilities.push(log_probability);
        if token == end {
            self.finish = Finish::End;
            return true;
        }
        self.tokens.push(token);
        false
    }

    /// Mean log-probability over everything that the model said, the end included; 0 for nothing.
    pub fn mean_log_probability(&self) -> f64 {
        let sum: f64 = self.log_probabilities.iter().map(|&p| f64::from(p)).sum();
        sum / self.log_probabilities.len().max(1) as f64
    }
}
