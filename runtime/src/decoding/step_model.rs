//! The seam between a search and what computes its steps.

use thiserror::Error;

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// ONNX Runtime failed.
    #[error("ONNX Runtime: {0}")]
    Ort(#[from] ort::Error),
    /// The model gave a number that is none.
    #[error(
        "the model's output is not a number at step {step}, row {row}\nhint: the weights are damaged or diverged in training; export another checkpoint"
    )]
    NotANumber {
        /// Step from 0.
        step: usize,
        /// Row of the batch.
        row: usize,
    },
}

/// A batch of rows that advance one token at a time, each with its own cache.
///
/// After [`StepModel::begin`] every row stands at position 0 with the start token as its next input. A step feeds each
/// row's input; afterwards the most probable token is already in place as the next input, so that a greedy search
/// writes nothing.
pub trait StepModel {
    /// Rows B.
    fn rows(&self) -> usize;
    /// Positions T that the cache holds: no more steps than that.
    fn positions(&self) -> usize;
    /// Puts every row at position 0 with `start` as input.
    fn begin(&mut self, start: i64) -> Result<(), StepError>;
    /// Runs one step.
    fn step(&mut self) -> Result<(), StepError>;
    /// The most probable token of each row after the step, `[B]`.
    fn next_ids(&self) -> &[i64];
    /// Natural-log probability of these tokens, `[B]`.
    fn log_probabilities(&self) -> &[f32];
}
