//! What changes the scores of tokens before a search chooses among them.

use super::DecodingOptions;

/// Repetition penalty, repeated n-grams and shortest length.
#[derive(Debug, Clone, PartialEq)]
pub struct Filters {
    repetition_penalty: f32,
    no_repeat_ngram: usize,
    min_tokens: usize,
    end: u32,
}

impl Filters {
    /// The filters that the options ask for; `None` where they ask for none, so that nothing is copied for them.
    pub fn new(options: &DecodingOptions, end: u32) -> Option<Self> {
        let filters = Self {
            repetition_penalty: options.repetition_penalty,
            no_repeat_ngram: options.no_repeat_ngram,
            min_tokens: options.min_tokens,
            end,
        };
        let idle = filters.no_repeat_ngram == 0
            && filters.min_tokens == 0
            && (filters.repetition_penalty - 1.0).abs() < f32::EPSILON;
        (!idle).then_some(filters)
    }

    /// Changes the unnormalised scores of every token, given what was said so far.
    pub fn apply(&self, said: &[u32], scores: &mut [f32]) {
        let mut seen: Vec<u32> = said.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for token in seen {
            let score = &mut scores[token as usize];
            *score *= if *score > 0.0 { 1.0 / self.repetition_penalty } else { self.repetition_penalty };
        }
        for token in self.completing(said) {
            scores[token as usize] = f32::NEG_INFINITY;
        }
        if said.len() < self.min_tokens {
            scores[self.end as usize] = f32::NEG_INFINITY;
        }
    }

    /// Tokens that would complete an n-gram that was said already.
    fn completing<'s>(&self, said: &'s [u32]) -> impl Iterator<Item = u32> + use<'s> {
        let n = self.no_repeat_ngram;
        let tail = if n == 0 { None } else { said.len().checked_sub(n - 1).map(|start| &said[start..]) };
        said.windows(n.max(1)).filter_map(move |gram| {
            let (last, before) = gram.split_last().expect("an n-gram has a token");
            (tail == Some(before)).then_some(*last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(options: &DecodingOptions, said: &[u32]) -> Vec<f32> {
        let mut scores = vec![2.0, -2.0, 1.0, 0.5];
        Filters::new(options, 3).expect("a filter").apply(said, &mut scores);
        scores
    }

    #[test]
    fn what_was_said_is_less_likely_once() {
        let options = DecodingOptions { repetition_penalty: 2.0, ..DecodingOptions::default() };
        assert_eq!(filtered(&options, &[1, 0, 0]), [1.0, -4.0, 1.0, 0.5]);
    }

    #[test]
    fn an_ngram_is_not_said_twice() {
        let options = |n| DecodingOptions { no_repeat_ngram: n, ..DecodingOptions::default() };
        let none = f32::NEG_INFINITY;
        assert_eq!(filtered(&options(2), &[0, 1, 2, 0]), [2.0, none, 1.0, 0.5], "0 1 was said");
        assert_eq!(filtered(&options(3), &[0, 1, 2, 0]), [2.0, -2.0, 1.0, 0.5]);
        assert_eq!(filtered(&options(1), &[2]), [2.0, -2.0, none, 0.5]);
        assert_eq!(filtered(&options(5), &[2]), [2.0, -2.0, 1.0, 0.5], "too little was said");
    }

    #[test]
    fn the_end_waits_for_the_shortest_length() {
        let options = || DecodingOptions { min_tokens: 2, ..DecodingOptions::default() };
        assert!(filtered(&options(), &[0])[3].is_infinite());
        assert!(filtered(&options(), &[0, 1])[3].is_finite());
        assert_eq!(Filters::new(&DecodingOptions::default(), 3), None);
    }
}
