//! Beam search: several hypotheses are followed at once, a row each.

use std::cmp::Ordering;

use super::{Changes, DecodingOptions, Filters, Finish, Hypothesis, Next, Search, Sequence, StepError, StepView};

const WHO: &str = "beam search";

/// A hypothesis that goes on.
#[derive(Debug, Clone)]
struct Live {
    said: Sequence,
    /// Sum of its log-probabilities.
    sum: f64,
    row: usize,
}

/// A way to go on: from which live hypothesis, with which token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    log_probability: f32,
    sum: f64,
}

impl Candidate {
    /// Better first; among equals the better parent, then the lower token, so that the order depends on nothing else.
    fn order(&self, other: &Self) -> Ordering {
        other.sum.total_cmp(&self.sum).then(self.parent.cmp(&other.parent)).then(self.token.cmp(&other.token))
    }
}

/// Beam search with a length penalty over `beams` rows.
///
/// It ends when it has `beams` finished hypotheses and no live one is ranked above the last of them at its present length.
#[derive(Debug)]
pub struct Beam {
    beams: usize,
    n_best: usize,
    length_penalty: f64,
    end: u32,
    longest: usize,
    prefix: Vec<u32>,
    filters: Option<Filters>,
    scores: Vec<f32>,
    live: Vec<Live>,
    finished: Vec<Hypothesis>,
}

impl Beam {
    /// A search whose hypotheses end with `end` or after `longest` tokens.
    pub fn new(options: &DecodingOptions, end: u32, longest: usize) -> Self {
        Self {
            beams: options.beams,
            n_best: options.n_best,
            length_penalty: options.length_penalty,
            end,
            longest,
            prefix: options.prefix.clone(),
            filters: Filters::new(options, end),
            scores: Vec::new(),
            live: vec![Live { said: Sequence::empty(), sum: 0.0, row: 0 }],
            finished: Vec::new(),
        }
    }

    fn rank(&self, sum: f64, length: usize) -> f64 {
        sum / (length.max(1) as f64).powf(self.length_penalty)
    }

    /// Adds what may follow live hypothesis `parent`: twice as many as there are beams, so that enough are left when
    /// each of them could also end.
    fn candidates(&mut self, parent: usize, step: &StepView, found: &mut Vec<Candidate>) -> Result<(), StepError> {
        let live = &self.live[parent];
        let (scores, normaliser) = step.scores_of(live.row, WHO)?;
        let candidate = |token: u32, score: f32| {
            let log_probability = score - normaliser;
            Candidate { parent, token, log_probability, sum: live.sum + f64::from(log_probability) }
        };
        if let Some(&token) = self.prefix.get(step.step) {
            found.push(candidate(token, scores[token as usize]));
            return Ok(());
        }
        let scores = match &self.filters {
            None => scores,
            Some(filters) => {
                self.scores.clear();
                self.scores.extend_from_slice(scores);
                filters.apply(&live.said.tokens, &mut self.scores);
                &self.scores
            }
        };
        found.extend(largest(scores, 2 * self.beams).into_iter().map(|(token, score)| candidate(token, score)));
        Ok(())
    }

    /// Sorts the candidates into hypotheses that end and hypotheses that go on.
    fn choose(&mut self, candidates: &[Candidate]) -> Vec<Candidate> {
        let mut chosen = Vec::with_capacity(self.beams);
        for (rank, candidate) in candidates.iter().enumerate() {
            if candidate.token == self.end {
                // An end that is not among the best would push out better hypotheses that go on.
                if rank < self.beams {
                    let mut sequence = self.live[candidate.parent].said.clone();
                    sequence.say(candidate.token, candidate.log_probability, self.end);
                    self.offer(sequence, candidate.sum);
                }
            } else if candidate.sum > f64::NEG_INFINITY {
                chosen.push(*candidate);
                if chosen.len() == self.beams {
                    break;
                }
            }
        }
        chosen
    }

    /// Adds a finished hypothesis, the best `beams` of which are kept.
    fn offer(&mut self, sequence: Sequence, sum: f64) {
        let score = self.rank(sum, sequence.log_probabilities.len());
        let place = self.finished.partition_point(|other| other.score >= score);
        self.finished.insert(place, Hypothesis { sequence, score });
        self.finished.truncate(self.beams);
    }

    /// Whether nothing that is live could still come among the finished.
    fn settled(&self) -> bool {
        let Some(last) = self.finished.last().filter(|_| self.finished.len() == self.beams) else { return false };
        self.live.iter().all(|live| self.rank(live.sum, live.said.log_probabilities.len()) <= last.score)
    }

    /// Gives each chosen hypothesis a row. One child of each parent stays in its parent's row, so that rows are copied
    /// only from those that live on to those that are free, and never in a circle.
    fn place(&mut self, chosen: &[Candidate], changes: &mut Changes) {
        let mut free: Vec<bool> = vec![true; self.beams];
        let mut rows: Vec<Option<usize>> = vec![None; chosen.len()];
        for (row, candidate) in rows.iter_mut().zip(chosen) {
            let parent = self.live[candidate.parent].row;
            if std::mem::take(&mut free[parent]) {
                *row = Some(parent);
            }
        }
        let mut free = (0..self.beams).filter(|&row| free[row]);
        let next: Vec<Live> = chosen
            .iter()
            .zip(rows)
            .map(|(candidate, row)| {
                let parent = &self.live[candidate.parent];
                let row = row.unwrap_or_else(|| {
                    let row = free.next().expect("there are as many rows as beams");
                    changes.copies.push((parent.row, row));
                    row
                });
                changes.feeds.push((row, candidate.token));
                let mut said = parent.said.clone();
                said.say(candidate.token, candidate.log_probability, self.end);
                Live { said, sum: candidate.sum, row }
            })
            .collect();
        self.live = next;
    }
}

impl Search for Beam {
    fn advance(&mut self, step: &StepView, changes: &mut Changes) -> Result<Next, StepError> {
        let mut candidates = Vec::new();
        for parent in 0..self.live.len() {
            self.candidates(parent, step, &mut candidates)?;
        }
        candidates.sort_unstable_by(Candidate::order);
        let chosen = self.choose(&candidates);
        self.place(&chosen, changes);
        let longest = self.live.first().is_none_or(|live| live.said.tokens.len() >= self.longest);
        if longest {
            for Live { said, sum, .. } in std::mem::take(&mut self.live) {
                self.offer(said, sum);
            }
        }
        Ok(if longest || self.settled() { Next::Done } else { Next::Step })
    }

    fn wants_scores(&self) -> bool {
        true
    }

    fn said(&self) -> &[u32] {
        let finished = self.finished.first().map(|hypothesis| &hypothesis.sequence);
        self.live.first().map(|live| &live.said).or(finished).map_or(&[], |said| &said.tokens)
    }

    fn finish(mut self: Box<Self>) -> Vec<Hypothesis> {
        self.finished.truncate(self.n_best);
        if self.finished.is_empty() {
            let sequence = Sequence { finish: Finish::Length, ..Sequence::empty() };
            self.finished.push(Hypothesis { sequence, score: f64::NEG_INFINITY });
        }
        self.finished
    }
}

/// The `count` largest scores with their tokens, largest first, the lower token first among equals.
fn largest(scores: &[f32], count: usize) -> Vec<(u32, f32)> {
    const STRIDE: usize = 64;
    let mut found: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    let mut threshold = f32::NEG_INFINITY;
    for (stride, part) in scores.chunks(STRIDE).enumerate() {
        // Nearly every stride holds nothing of interest, and a maximum is found without branches.
        let most = part.iter().fold(f32::NEG_INFINITY, |most, &score| if score > most { score } else { most });
        if most <= threshold && found.len() == count {
            continue;
        }
        for (place, &score) in part.iter().enumerate() {
            if score > threshold || found.len() < count {
                let at = found.partition_point(|(_, other)| *other >= score);
                found.insert(at, ((stride * STRIDE + place) as u32, score));
                found.truncate(count);
                if found.len() == count {
                    threshold = found[count - 1].1;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::script::{END, Tree, decode};
    use super::*;

    fn options(beams: usize, n_best: usize, length_penalty: f64) -> DecodingOptions {
        DecodingOptions { beams, n_best, length_penalty, ..DecodingOptions::default() }
    }

    fn search(options: &DecodingOptions, longest: usize) -> Vec<Hypothesis> {
        let mut tree = Tree::new(options.beams);
        decode(&mut tree, 1, options.beams, &|_| Box::new(Beam::new(options, END, longest))).remove(0)
    }

    /// Every sequence of the tree with its score, best first: what a search without limits would find.
    fn all(length_penalty: f64, longest: usize) -> Vec<(Vec<u32>, f64)> {
        let mut open = vec![(Vec::new(), 0.0)];
        let mut found: Vec<(Vec<u32>, f64)> = Vec::new();
        while let Some((said, sum)) = open.pop() {
            for (token, score) in Tree::log_probabilities(&said).into_iter().enumerate() {
                let sum = sum + f64::from(score);
                let length = said.len() + 1;
                let ranked = sum / (length as f64).powf(length_penalty);
                let mut next = said.clone();
                if token as u32 == END {
                    found.push((next, ranked));
                    continue;
                }
                next.push(token as u32);
                if length == longest { found.push((next, ranked)) } else { open.push((next, sum)) }
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }

    #[test]
    fn with_enough_beams_it_finds_the_best_sequences_of_all() {
        for penalty in [0.0, 1.0] {
            let expected = all(penalty, 3);
            let found = search(&options(200, 5, penalty), 3);
            for (found, (tokens, score)) in found.iter().zip(&expected) {
                assert_eq!(&found.sequence.tokens, tokens, "penalty {penalty}");
                assert!((found.score - score).abs() < 1e-5);
            }
            assert_eq!(found.len(), 5);
        }
    }

    #[test]
    fn it_finds_what_greedy_misses() {
        let [one, four] = [1, 4].map(|beams| search(&options(beams, 1, 0.0), 4).remove(0));
        assert!(four.score > one.score + 0.01, "{} and {}", four.score, one.score);
    }

    #[test]
    fn hypotheses_differ_and_are_ranked() {
        let found = search(&options(4, 4, 1.0), 4);
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
        for (place, one) in found.iter().enumerate() {
            assert!(found[..place].iter().all(|other| other.sequence.tokens != one.sequence.tokens));
        }
    }

    #[test]
    fn the_largest_are_found_in_order() {
        let scores: Vec<f32> = (0..1000).map(|index| ((index * 7919) % 1009) as f32).collect();
        let mut sorted: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(largest(&scores, 8), sorted[..8]);
        assert_eq!(largest(&[1.0, 1.0, 1.0], 2), [(0, 1.0), (1, 1.0)]);
        assert_eq!(largest(&[1.0], 4), [(0, 1.0)]);
    }
}
