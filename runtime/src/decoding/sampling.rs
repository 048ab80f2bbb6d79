//! Drawing tokens at random, with a seed of its own for each study.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::{Changes, DecodingOptions, Filters, Hypothesis, Next, Sampling, Search, Sequence, StepError, StepView};

/// The seed of a study's draws: from the run's seed and the study's name, never from its place in a batch.
pub fn study_seed(seed: u64, study: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"xreport sampling\0");
    hash.update(seed.to_le_bytes());
    hash.update(study.as_bytes());
    hash.finalize().into()
}

/// One row that draws each token.
#[derive(Debug)]
pub struct Sample {
    end: u32,
    longest: usize,
    prefix: Vec<u32>,
    filters: Option<Filters>,
    sampling: Sampling,
    rng: ChaCha8Rng,
    scores: Vec<f32>,
    candidates: Vec<(f32, u32)>,
    said: Sequence,
}

impl Sample {
    /// A search for the study of that name that ends with `end` or after `longest` tokens.
    pub fn new(options: &DecodingOptions, sampling: Sampling, study: &str, end: u32, longest: usize) -> Self {
        Self {
            end,
            longest,
            prefix: options.prefix.clone(),
            filters: Filters::new(options, end),
            sampling,
            rng: ChaCha8Rng::from_seed(study_seed(sampling.seed, study)),
            scores: Vec::new(),
            candidates: Vec::new(),
            said: Sequence::empty(),
        }
    }

    /// Draws a token by its score.
    fn draw(&mut self) -> u32 {
        let Sampling { temperature, top_k, top_p, .. } = self.sampling;
        self.candidates.clear();
        self.candidates.extend(self.scores.iter().zip(0..).map(|(&score, token)| (score / temperature, token)));
        // Best first, the lower token first among equals: the draw depends on nothing else.
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if top_k > 0 && top_k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(top_k - 1, order);
            self.candidates.truncate(top_k);
        }
        self.candidates.sort_unstable_by(order);
        let largest = self.candidates[0].0;
        let weight = |score: f32| f64::from(score - largest).exp();
        let whole: f64 = self.candidates.iter().map(|&(score, _)| weight(score)).sum();
        let (mut kept, mut mass) = (0, 0.0);
        while kept < self.candidates.len() && (kept == 0 || mass < f64::from(top_p) * whole) {
            mass += weight(self.candidates[kept].0);
            kept += 1;
        }
        let mut target = self.rng.random::<f64>() * mass;
        for &(score, token) in &self.candidates[..kept] {
            target -= weight(score);
            if target < 0.0 {
                return token;
            }
        }
        self.candidates[kept - 1].1
    }
}

impl Search for Sample {
    fn advance(&mut self, step: &StepView, changes: &mut Changes) -> Result<Next, StepError> {
        let (scores, normaliser) = step.scores_of(0, "sampling")?;
        let token = if let Some(&token) = self.prefix.get(step.step) {
            token
        } else {
            self.scores.clear();
            self.scores.extend_from_slice(scores);
            if let Some(filters) = &self.filters {
                filters.apply(&self.said.tokens, &mut self.scores);
            }
            self.draw()
        };
        changes.feeds.push((0, token));
        let ended = self.said.say(token, scores[token as usize] - normaliser, self.end);
        Ok(if ended || self.said.tokens.len() >= self.longest { Next::Done } else { Next::Step })
    }

    fn wants_scores(&self) -> bool {
        true
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
    use super::*;

    fn sample(sampling: Sampling, study: &str) -> Sample {
        Sample::new(&DecodingOptions::default(), sampling, study, 3, 8)
    }

    fn draws(sampling: Sampling, study: &str, count: usize) -> Vec<u32> {
        let mut sample = sample(sampling, study);
        sample.scores = vec![0.0, 2.0, 1.0, -1.0];
        (0..count).map(|_| sample.draw()).collect()
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let drawn = draws(Sampling { seed: 3, ..Sampling::default() }, "a", 20_000);
        let whole: f64 = [0.0f64, 2.0, 1.0, -1.0].iter().map(|score| score.exp()).sum();
        for (token, score) in [0.0f64, 2.0, 1.0, -1.0].into_iter().enumerate() {
            let share = drawn.iter().filter(|&&drawn| drawn == token as u32).count() as f64 / 20_000.0;
            // Four standard deviations of a share of one half.
            assert!((share - score.exp() / whole).abs() < 0.0142, "token {token}: {share}");
        }
    }

    #[test]
    fn top_k_and_top_p_leave_the_best() {
        let only = |sampling| {
            let mut drawn = draws(sampling, "a", 500);
            drawn.sort_unstable();
            drawn.dedup();
            drawn
        };
        assert_eq!(only(Sampling { top_k: 2, ..Sampling::default() }), [1, 2]);
        assert_eq!(only(Sampling { top_p: 0.6, ..Sampling::default() }), [1], "it has 64 % by itself");
        assert_eq!(only(Sampling { top_p: 0.7, ..Sampling::default() }), [1, 2]);
        assert_eq!(only(Sampling { temperature: 0.01, ..Sampling::default() }), [1]);
    }

    #[test]
    fn a_draw_depends_on_seed_and_study_alone() {
        let seeded = |seed, study| draws(Sampling { seed, ..Sampling::default() }, study, 40);
        assert_eq!(seeded(1, "a"), seeded(1, "a"));
        assert_ne!(seeded(1, "a"), seeded(2, "a"));
        assert_ne!(seeded(1, "a"), seeded(1, "b"));
    }
}
