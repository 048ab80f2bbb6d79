//! What every search is: it looks at the scores of its study's rows after a step and says how to go on.

use super::{Sequence, StepError};

/// The model's outputs for the rows of one study, after a step.
#[derive(Debug, Clone, Copy)]
pub struct StepView<'a> {
    /// Step of this study, from 0.
    pub step: usize,
    /// First row of the study in the batch, for messages.
    pub first_row: usize,
    /// Most probable token of each row.
    pub best: &'a [i64],
    /// Natural-log probability of these.
    pub log_probabilities: &'a [f32],
    /// Unnormalised scores, `[rows, V]`; `None` where they stay on a device or no search of the batch wants them.
    pub logits: Option<&'a [f32]>,
}

impl<'a> StepView<'a> {
    /// The most probable token of a row with its log-probability.
    pub fn best_of(&self, row: usize) -> Result<(u32, f32), StepError> {
        let log_probability = self.log_probabilities[row];
        if !log_probability.is_finite() {
            return Err(StepError::NotANumber { step: self.step, row: self.first_row + row });
        }
        Ok((self.best[row] as u32, log_probability))
    }

    /// The scores of a row, and what must be taken from a score to get its log-probability.
    ///
    /// The model has summed the exponentials already: it is the best token's score less its log-probability.
    pub fn scores_of(&self, row: usize, who: &'static str) -> Result<(&'a [f32], f32), StepError> {
        let (best, log_probability) = self.best_of(row)?;
        let logits = self.logits.ok_or(StepError::OnDevice(who))?;
        let vocabulary = logits.len() / self.best.len();
        let scores = &logits[row * vocabulary..(row + 1) * vocabulary];
        Ok((scores, scores[best as usize] - log_probability))
    }
}

/// What a search changes before the next step; without a change each row goes on with its most probable token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// `(from, to)`, within the study's rows, to be done in this order: `to` continues what `from` has said.
    pub copies: Vec<(usize, usize)>,
    /// `(row, token)`: the row's next input.
    pub feeds: Vec<(usize, u32)>,
}

/// Whether a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another step.
    Step,
    /// It has what it wants.
    Done,
}

/// A sequence that a search offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// What was said.
    pub sequence: Sequence,
    /// By which the hypotheses of a study are ranked: higher is better.
    pub score: f64,
}

/// The search for one study's report over its rows of the batch.
pub trait Search {
    /// Looks at a step, and says whether and how to go on.
    fn advance(&mut self, step: &StepView, changes: &mut Changes) -> Result<Next, StepError>;
    /// Whether it reads the scores of all tokens, or the best of each row alone; the same at each of its steps.
    fn wants_scores(&self) -> bool;
    /// Tokens that are said so far; a search that follows several hypotheses gives the best, and may revise it.
    fn said(&self) -> &[u32];
    /// What was found, best first; at least one.
    fn finish(self: Box<Self>) -> Vec<Hypothesis>;
}
