//! Speculative decoding without loss (Leviathan et al. 2023), with a table of n-grams in the place of a small model.
//!
//! Several tokens are guessed, then checked in one call of the model; those that the model would have said are taken.
//! Reports repeat themselves, so that many guesses are right. The text is plain greedy's: where the two best tokens are
//! nearly equal, the one-token step decides, as it would have without guessing.

use xreport_models::ngrams::NgramTable;

use super::{Sequence, StepError, StepModel};

/// Two tokens whose log-probabilities are closer than this are nearly equal: several hundred times what separates the
/// two ways of computing them.
const NEARLY_EQUAL: f32 = 1e-3;

/// A model that can also check several tokens of its only row in one call.
pub trait VerifyModel: StepModel {
    /// Feeds tokens to row 0, the first at position `place`, and finds for each of them the two most probable
    /// successors.
    fn verify(&mut self, tokens: &[i64], place: usize) -> Result<(), StepError>;
    /// The two most probable successors of each token, `[N, 2]`, best first.
    fn top_ids(&self) -> &[i64];
    /// Their natural-log probabilities, `[N, 2]`.
    fn top_log_probabilities(&self) -> &[f32];
    /// Puts row 0 at a position with `token` as its next input; what it has cached before that stays.
    fn resume_at(&mut self, token: i64, place: usize);
}

/// How far to guess.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guessing {
    /// Tokens guessed for one call, at most.
    pub longest: usize,
    /// Guesses go on as long as together they are at least this probable, 0 to 1.
    pub surest: f32,
}

impl Default for Guessing {
    fn default() -> Self {
        Self { longest: 6, surest: 0.5 }
    }
}

/// How guessing went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuessCounts {
    /// Tokens said, ends included.
    pub said: usize,
    /// Calls that checked guesses.
    pub verifications: usize,
    /// One-token steps.
    pub steps: usize,
    /// Tokens guessed.
    pub guessed: usize,
    /// Guesses that were taken.
    pub taken: usize,
}

impl std::ops::AddAssign for GuessCounts {
    fn add_assign(&mut self, other: Self) {
        self.said += other.said;
        self.verifications += other.verifications;
        self.steps += other.steps;
        self.guessed += other.guessed;
        self.taken += other.taken;
    }
}

/// Decodes the model's only row greedily from `start` until `end` or `longest` tokens, guessing ahead.
pub fn speculative(
    model: &mut dyn VerifyModel,
    table: &NgramTable,
    guessing: Guessing,
    [start, end]: [u32; 2],
    longest: usize,
) -> Result<(Sequence, GuessCounts), StepError> {
    let mut run = Run { said: Sequence::empty(), tokens: vec![start], end, longest, counts: GuessCounts::default() };
    let mut guesses = Vec::new();
    model.resume_at(i64::from(start), 0);
    model.want_scores(false);
    let mut done = false;
    while !done {
        let place = run.tokens.len() - 1;
        // The last token that may be said is not fed any more.
        let room = longest.saturating_sub(run.said.tokens.len() + 1).min(guessing.longest);
        table.guess(&run.tokens, room, guessing.surest, &mut guesses);
        done = if guesses.is_empty() { run.step(model)? } else { run.verify(model, place, &guesses)? };
    }
    Ok((run.said, run.counts))
}

/// One report on its way.
struct Run {
    said: Sequence,
    /// The start token and what was said.
    tokens: Vec<u32>,
    end: u32,
    longest: usize,
    counts: GuessCounts,
}

impl Run {
    /// Says a token; whether the report is done.
    fn say(&mut self, token: u32, log_probability: f32) -> Result<bool, StepError> {
        if !log_probability.is_finite() {
            return Err(StepError::NotANumber { step: self.tokens.len() - 1, row: 0 });
        }
        self.counts.said += 1;
        self.tokens.push(token);
        Ok(self.said.say(token, log_probability, self.end) || self.said.tokens.len() >= self.longest)
    }

    /// One token, which is in place as the model's input.
    fn step(&mut self, model: &mut dyn VerifyModel) -> Result<bool, StepError> {
        self.counts.steps += 1;
        model.step()?;
        self.say(model.next_ids()[0] as u32, model.log_probabilities()[0])
    }

    /// Checks the guesses after the last token, which stands at `place`, and says what the model says.
    fn verify(&mut self, model: &mut dyn VerifyModel, place: usize, guesses: &[u32]) -> Result<bool, StepError> {
        let last = *self.tokens.last().expect("it begins with the start token");
        let fed: Vec<i64> = std::iter::once(last).chain(guesses.iter().copied()).map(i64::from).collect();
        model.verify(&fed, place)?;
        self.counts.verifications += 1;
        self.counts.guessed += guesses.len();
        for index in 0..fed.len() {
            let (token, [best, second]) = {
                let scores = &model.top_log_probabilities()[2 * index..2 * index + 2];
                (model.top_ids()[2 * index], [scores[0], scores[1]])
            };
            if best - second < NEARLY_EQUAL {
                model.resume_at(fed[index], place + index);
                return self.step(model);
            }
            if self.say(token as u32, best)? {
                return Ok(true);
            }
            if fed.get(index + 1) != Some(&token) {
                break;
            }
            self.counts.taken += 1;
        }
        let last = *self.tokens.last().expect("something was said");
        model.resume_at(i64::from(last), self.tokens.len() - 1);
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Finish;
    use super::*;

    const END: u32 = 3;

    /// Says the token that a hash of the last two tokens gives; the second best is closer than a near-tie after `TIED`.
    #[derive(Default)]
    struct Chain {
        /// Token at each position.
        cache: Vec<u32>,
        input: i64,
        place: usize,
        ids: Vec<i64>,
        scores: Vec<f32>,
        verified: usize,
    }

    const TIED: u32 = 5;

    impl Chain {
        fn successor(cache: &[u32]) -> u32 {
            let last = cache[cache.len() - 1];
            let before = cache.len().checked_sub(2).map_or(0, |place| cache[place]);
            if cache.len() > 30 { END } else { 4 + (last * 7 + before * 3 + 1) % 9 }
        }
    }

    impl StepModel for Chain {
        fn rows(&self) -> usize {
            1
        }
        fn positions(&self) -> usize {
            64
        }
        fn start_row(&mut self, _row: usize, start: i64) {
            self.resume_at(start, 0);
        }
        fn step(&mut self) -> Result<(), StepError> {
            self.cache.truncate(self.place);
            self.cache.push(self.input as u32);
            self.place += 1;
            self.input = i64::from(Self::successor(&self.cache));
            self.ids = vec![self.input];
            self.scores = vec![-0.5];
            Ok(())
        }
        fn next_ids(&self) -> &[i64] {
            &self.ids
        }
        fn log_probabilities(&self) -> &[f32] {
            &self.scores
        }
        fn logits(&self) -> Option<&[f32]> {
            None
        }
        fn feed_row(&mut self, _row: usize, token: i64) {
            self.input = token;
        }
        fn copy_row(&mut self, _from: usize, _to: usize) -> Result<(), StepError> {
            Ok(())
        }
        fn keep_rows(&mut self, _rows: &[usize]) -> Result<bool, StepError> {
            Ok(false)
        }
    }

    impl VerifyModel for Chain {
        fn verify(&mut self, tokens: &[i64], place: usize) -> Result<(), StepError> {
            assert!(place <= self.cache.len(), "a hole in the cache");
            self.cache.truncate(place);
            self.verified += 1;
            (self.ids, self.scores) = (vec![], vec![]);
            for &token in tokens {
                self.cache.push(token as u32);
                let next = Self::successor(&self.cache);
                // At a near-tie several tokens at once come out in the other order.
                let tied = token as u32 == TIED;
                self.ids.extend(if tied { [999, i64::from(next)] } else { [i64::from(next), 999] });
                self.scores.extend(if tied { [-0.5, -0.5001] } else { [-0.5, -2.0] });
            }
            Ok(())
        }
        fn top_ids(&self) -> &[i64] {
            &self.ids
        }
        fn top_log_probabilities(&self) -> &[f32] {
            &self.scores
        }
        fn resume_at(&mut self, token: i64, place: usize) {
            (self.input, self.place) = (token, place);
        }
    }

    fn plain(longest: usize) -> Vec<u32> {
        let mut model = Chain::default();
        model.resume_at(2, 0);
        let mut said = vec![];
        while said.len() < longest {
            model.step().expect("it does not fail");
            match model.next_ids()[0] as u32 {
                END => break,
                token => said.push(token),
            }
        }
        said
    }

    #[test]
    fn the_text_is_plain_greedys_whether_guesses_are_right_or_wrong() {
        for longest in [1, 2, 7, 30, 40] {
            let expected = plain(longest);
            let report: Vec<u32> = std::iter::once(2).chain(expected.iter().copied()).chain([END]).collect();
            let right: Vec<(u32, &[u32])> = (0..10).map(|patient| (patient, report.as_slice())).collect();
            let wrong = [2, 4, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12];
            let wrong: Vec<(u32, &[u32])> = (0..10).map(|patient| (patient, wrong.as_slice())).collect();
            for (reports, good) in [(right, true), (wrong, false)] {
                let table = NgramTable::count(&reports);
                let mut model = Chain::default();
                let guessing = Guessing { longest: 4, surest: 0.2 };
                let found = speculative(&mut model, &table, guessing, [2, END], longest).expect("it does not fail");
                let (sequence, counts) = found;
                assert_eq!(sequence.tokens, expected, "longest {longest}, good guesses: {good}");
                assert_eq!(sequence.finish == Finish::End, longest > 30);
                assert_eq!(counts.said, sequence.log_probabilities.len());
                if good && longest > 20 {
                    assert!(counts.verifications + counts.steps < counts.said, "{counts:?}");
                }
            }
        }
    }
}
