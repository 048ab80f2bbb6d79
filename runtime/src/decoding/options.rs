//! What a decode is told, checked once.

use thiserror::Error;

/// Options of a decode; [`DecodingOptions::checked`] says whether they fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodingOptions {
    /// Longest report in tokens, start and end token not counted.
    pub max_tokens: usize,
    /// Shortest report in tokens: the end token is not said before.
    pub min_tokens: usize,
    /// Hypotheses that a beam search follows; 1: greedy.
    pub beams: usize,
    /// Hypotheses of a beam search that are given back, at most `beams`.
    pub n_best: usize,
    /// A hypothesis is ranked by its log-probability over its length to this power; 0: by the log-probability alone.
    pub length_penalty: f64,
    /// Draws tokens at random instead of taking the best.
    pub sampling: Option<Sampling>,
    /// Scores of tokens that were said already are divided by this where positive, multiplied where negative (Keskar et
    /// al. 2019, CTRL); 1: none.
    pub repetition_penalty: f32,
    /// No sequence of that many tokens is said twice; 0: no limit.
    pub no_repeat_ngram: usize,
    /// Tokens with which every report begins.
    pub prefix: Vec<u32>,
}

/// Random drawing of tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// From it and the study's name every draw follows.
    pub seed: u64,
    /// Scores are divided by this: below 1 sharper, above 1 flatter.
    pub temperature: f32,
    /// Only the best so many tokens are drawn from; 0: all.
    pub top_k: usize,
    /// Only the best tokens that together have this probability are drawn from; 1: all (Holtzman et al. 2020).
    pub top_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { seed: 0, temperature: 1.0, top_k: 0, top_p: 1.0 }
    }
}

impl Default for DecodingOptions {
    /// Greedy, with no limit but the model's positions.
    fn default() -> Self {
        Self {
            max_tokens: usize::MAX,
            min_tokens: 0,
            beams: 1,
            n_best: 1,
            length_penalty: 1.0,
            sampling: None,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            prefix: Vec::new(),
        }
    }
}

/// Why options do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name}: {expected} expected, found {found}")]
pub struct OptionsError {
    name: &'static str,
    expected: String,
    found: String,
}

impl DecodingOptions {
    /// Whether each step takes the most probable token, whatever it is.
    pub fn is_plain_greedy(&self) -> bool {
        self.beams == 1
            && self.sampling.is_none()
            && self.prefix.is_empty()
            && self.min_tokens == 0
            && self.no_repeat_ngram == 0
            && (self.repetition_penalty - 1.0).abs() < f32::EPSILON
    }

    /// The options, if they make sense together.
    pub fn checked(self) -> Result<Self, OptionsError> {
        let check = |holds: bool, name, expected: &str, found: String| {
            if holds { Ok(()) } else { Err(OptionsError { name, expected: expected.to_owned(), found }) }
        };
        let at_most = |limit: usize| format!("at most {limit}");
        check(self.max_tokens >= 1, "max tokens", "at least 1", self.max_tokens.to_string())?;
        check(self.beams >= 1, "beams", "at least 1", self.beams.to_string())?;
        check(
            (1..=self.beams).contains(&self.n_best),
            "n-best",
            &format!("1 to the number of beams, {},", self.beams),
            self.n_best.to_string(),
        )?;
        check(
            self.min_tokens <= self.max_tokens,
            "min tokens",
            &at_most(self.max_tokens),
            self.min_tokens.to_string(),
        )?;
        check(
            self.prefix.len() < self.max_tokens,
            "prefix",
            &format!("fewer tokens than the longest report has ({})", self.max_tokens),
            format!("{}\nhint: shorten the prefix: the model goes on from it, and needs room to", self.prefix.len()),
        )?;
        let penalty = self.length_penalty;
        check(penalty.is_finite(), "length penalty", "a number", penalty.to_string())?;
        let repetition = self.repetition_penalty;
        let usable = repetition.is_finite() && repetition > 0.0;
        check(usable, "repetition penalty", "a number above 0", repetition.to_string())?;
        let Some(Sampling { temperature, top_p, .. }) = self.sampling else { return Ok(self) };
        check(self.beams == 1, "beams", "1 together with sampling", self.beams.to_string())?;
        let usable = temperature.is_finite() && temperature > 0.0;
        check(usable, "temperature", "a number above 0", temperature.to_string())?;
        check(top_p > 0.0 && top_p <= 1.0, "top-p", "a number above 0 and up to 1", top_p.to_string())?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_contradict_each_other_are_refused_by_name() {
        let sampling = |temperature, top_p| Some(Sampling { temperature, top_p, ..Sampling::default() });
        let base = DecodingOptions { max_tokens: 10, ..DecodingOptions::default() };
        for (options, name) in [
            (DecodingOptions { max_tokens: 0, ..base.clone() }, "max tokens"),
            (DecodingOptions { beams: 0, ..base.clone() }, "beams"),
            (DecodingOptions { beams: 2, n_best: 3, ..base.clone() }, "n-best"),
            (DecodingOptions { min_tokens: 11, ..base.clone() }, "min tokens"),
            (DecodingOptions { prefix: vec![7; 10], ..base.clone() }, "prefix"),
            (DecodingOptions { length_penalty: f64::NAN, ..base.clone() }, "length penalty"),
            (DecodingOptions { repetition_penalty: 0.0, ..base.clone() }, "repetition penalty"),
            (DecodingOptions { beams: 4, sampling: sampling(1.0, 1.0), ..base.clone() }, "beams"),
            (DecodingOptions { sampling: sampling(0.0, 1.0), ..base.clone() }, "temperature"),
            (DecodingOptions { sampling: sampling(1.0, 0.0), ..base.clone() }, "top-p"),
        ] {
            assert_eq!(options.checked().expect_err(name).name, name);
        }
        assert_eq!(base.clone().checked().as_ref(), Ok(&base));
    }
}
