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
    /// A search wants what only the CPU gives.
    #[error(
        "{0} reads the scores of every token, which stay on the device\nhint: use --device cpu without --check-every, or plain greedy decoding"
    )]
    OnDevice(&'static str),
}

/// A batch of rows that advance one token at a time, each with its own cache and its own position.
///
/// A step feeds each row's input; afterwards the most probable token is already in place as the next input, so that a
/// greedy search writes nothing. Rows do not see each other.
pub trait StepModel {
    /// Rows B.
    fn rows(&self) -> usize;
    /// Positions T that the cache holds: no more steps than that for a row.
    fn positions(&self) -> usize;
    /// Puts a row at position 0 with `start` as input.
    fn start_row(&mut self, row: usize, start: i64);
    /// Runs one step of every row.
    fn step(&mut self) -> Result<(), StepError>;
    /// Whether rows may be started, fed or copied now. A model that takes several steps at once says no until it has
    /// handed all of them out.
    fn at_rest(&self) -> bool {
        true
    }
    /// Forgets steps that were taken and not handed out; every row has to be started again.
    fn give_up_ahead(&mut self) {}
    /// The most probable token of each row after the step, `[B]`.
    fn next_ids(&self) -> &[i64];
    /// Natural-log probability of these tokens, `[B]`.
    fn log_probabilities(&self) -> &[f32];
    /// Says whether the scores of every token are wanted after the next steps, as they are at first. Without them the tokens
    /// are the same; their log-probabilities may differ by rounding.
    fn want_scores(&mut self, _wanted: bool) {}
    /// Unnormalised scores of every token after the step, `[B, V]` row-major; `None` where they stay on a device or are not
    /// wanted.
    fn logits(&self) -> Option<&[f32]>;
    /// Makes `token` a row's next input instead of the most probable one.
    fn feed_row(&mut self, row: usize, token: i64);
    /// Gives row `to` the past of row `from`.
    fn copy_row(&mut self, from: usize, to: usize) -> Result<(), StepError>;
    /// Goes on with these rows alone, in this order, which may name a row more than once; `false` where the model cannot, and nothing has changed.
    fn keep_rows(&mut self, rows: &[usize]) -> Result<bool, StepError>;

    /// Puts every row at position 0 with `start` as input.
    fn begin(&mut self, start: i64) -> Result<(), StepError> {
        (0..self.rows()).for_each(|row| self.start_row(row, start));
        Ok(())
    }
}
