//! Greedy search: the most probable token at each step.

use super::{Changes, DecodingOptions, Filters, Hypothesis, Next, Search, Sequence, StepError, StepView};

/// One row that takes the most probable token, as far as prefix and filters let it.
#[derive(Debug)]
pub struct Greedy {
    end: u32,
    longest: usize,
    prefix: Vec<u32>,
    filters: Option<Filters>,
    scores: Vec<f32>,
    said: Sequence,
}

impl Greedy {
    /// A search that ends with `end` or after `longest` tokens.
    pub fn new(options: &DecodingOptions, end: u32, longest: usize) -> Self {
        Self {
            end,
            longest,
            prefix: options.prefix.clone(),
            filters: Filters::new(options, end),
            scores: Vec::new(),
            said: Sequence::empty(),
        }
    }

    /// The token to say and its log-probability, where it is not simply the best.
    fn other_than_best(&mut self, step: &StepView) -> Result<Option<(u32, f32)>, StepError> {
        if let Some(&token) = self.prefix.get(step.step) {
            let (scores, normaliser) = step.scores_of(0, "a prefix")?;
            return Ok(Some((token, scores[token as usize] - normaliser)));
        }
        let Some(filters) = &self.filters else { return Ok(None) };
        let (scores, normaliser) = step.scores_of(0, "a penalty or a shortest length")?;
        self.scores.clear();
        self.scores.extend_from_slice(scores);
        filters.apply(&self.said.tokens, &mut self.scores);
        let token = best(&self.scores);
        Ok(Some((token, scores[token as usize] - normaliser)))
    }
}

/// The token of the highest score, the first of equals.
pub(super) fn best(scores: &[f32]) -> u32 {
    scores.iter().enumerate().fold(0, |best, (place, score)| if *score > scores[best] { place } else { best }) as u32
}

impl Search for Greedy {
    fn advance(&mut self, step: &StepView, changes: &mut Changes) -> Result<Next, StepError> {
        let (mut token, mut log_probability) = step.best_of(0)?;
        if let Some((other, its)) = self.other_than_best(step)? {
            (token, log_probability) = (other, its);
            changes.feeds.push((0, token));
        }
        let ended = self.said.say(token, log_probability, self.end);
        Ok(if ended || self.said.tokens.len() >= self.longest { Next::Done } else { Next::Step })
    }

    fn wants_scores(&self) -> bool {
        !self.prefix.is_empty() || self.filters.is_some()
    }

    fn said(&self) -> &[u32] {
        &self.said.tokens
    }

    fn finish(self: Box<Self>) -> Vec<Hypothesis> {
        vec![Hypothesis { score: self.said.mean_log_probability(), sequence: self.said }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{END, Script, decode};
    use super::*;
    use crate::decoding::Finish;

    fn run(rows: &[&[i64]], options: &DecodingOptions) -> Vec<Sequence> {
        let mut found = decode(&mut Script::new(rows), rows.len(), 1, &|longest| {
            Box::new(Greedy::new(options, END, options.max_tokens.min(longest)))
        });
        found.iter_mut().map(|hypotheses| hypotheses.remove(0).sequence).collect()
    }

    fn at_most(max_tokens: usize) -> DecodingOptions {
        DecodingOptions { max_tokens, ..DecodingOptions::default() }
    }

    #[test]
    fn rows_end_each_in_its_own_time() {
        let sequences = run(&[&[7, 8], &[9]], &at_most(4));
        assert_eq!(sequences[0].tokens, [7, 8]);
        assert_eq!(sequences[1].tokens, [9]);
        assert_eq!(sequences[0].finish, Finish::End);
        assert_eq!(sequences[0].log_probabilities.len(), 3, "the end token counts");
    }

    #[test]
    fn length_ends_a_row_that_never_does() {
        let sequences = run(&[&[5; 19]], &at_most(4));
        assert_eq!((sequences[0].tokens.len(), sequences[0].finish), (4, Finish::Length));
        assert_eq!(run(&[&[5; 19]], &at_most(100))[0].tokens.len(), 8, "the cache's positions are the limit");
    }

    #[test]
    fn a_prefix_is_said_first_and_the_model_goes_on_from_it() {
        let options = DecodingOptions { prefix: vec![4, 6], ..at_most(8) };
        // The script says its token of each step, whatever was fed.
        let sequence = run(&[&[7, 8, 9]], &options).remove(0);
        assert_eq!(sequence.tokens, [4, 6, 9]);
        assert!(sequence.log_probabilities[0] < sequence.log_probabilities[2], "what is forced is less probable");
    }

    #[test]
    fn filters_turn_to_the_next_best() {
        let options = DecodingOptions { min_tokens: 3, ..at_most(8) };
        assert_eq!(run(&[&[7]], &options)[0].tokens.len(), 3);
        let options = DecodingOptions { no_repeat_ngram: 1, ..at_most(8) };
        let sequence = run(&[&[7, 7, 8]], &options).remove(0);
        assert_eq!((sequence.tokens[0], sequence.tokens[2]), (7, 8));
        assert_ne!(sequence.tokens[1], 7);
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        let mut search = Greedy::new(&at_most(3), END, 3);
        let view = StepView { step: 4, first_row: 2, best: &[5], log_probabilities: &[f32::NAN], logits: None };
        let result = search.advance(&view, &mut Changes::default());
        assert!(matches!(result, Err(StepError::NotANumber { step: 4, row: 2 })));
    }
}
