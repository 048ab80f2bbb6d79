//! From step outputs to token sequences: a model seam ([`StepModel`]), a search, and what stops it.

mod greedy;
mod step_model;

pub use greedy::greedy;
pub use step_model::{StepError, StepModel};

/// Options of a decode; checked once, when they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodingOptions {
    /// Longest report in tokens, start and end token not counted.
    pub max_tokens: usize,
}

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
    /// Mean log-probability over everything that the model said, the end included; 0 for nothing.
    pub fn mean_log_probability(&self) -> f64 {
        let sum: f64 = self.log_probabilities.iter().map(|&p| f64::from(p)).sum();
        sum / self.log_probabilities.len().max(1) as f64
    }
}
