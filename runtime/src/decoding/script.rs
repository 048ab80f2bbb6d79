//! Models for the tests of searches: no network, known scores.

use super::{Admitted, Hypothesis, Search, StepError, StepModel, Studies, run};

/// Token that ends a report.
pub const END: u32 = 3;
const VOCABULARY: usize = 10;
const POSITIONS: usize = 8;

/// Decodes every study of a scripted model in as many seats, `rows_each` rows for each.
pub fn decode<M: StepModel + Scripted>(
    model: &mut M,
    seats: usize,
    rows_each: usize,
    search: &dyn Fn(usize) -> Box<dyn Search>,
) -> Vec<Vec<Hypothesis>> {
    decode_comers(model, [seats, seats], model.studies(), rows_each, search)
}

/// As [`decode`], where the first `come` studies are there from the start and the others after the first step. There are as
/// many seats as `seats` begins with, and at most as many as it ends with.
pub fn decode_comers<M: StepModel + Scripted>(
    model: &mut M,
    seats: [usize; 2],
    come: usize,
    rows_each: usize,
    search: &dyn Fn(usize) -> Box<dyn Search>,
) -> Vec<Vec<Hypothesis>> {
    struct All<'s> {
        next: usize,
        come: usize,
        most: usize,
        rows_each: usize,
        search: &'s dyn Fn(usize) -> Box<dyn Search>,
        found: Vec<Vec<Hypothesis>>,
    }
    impl<M: StepModel + Scripted> Studies<M> for All<'_> {
        type Error = StepError;
        fn admit(&mut self, model: &mut M, first_row: usize) -> Result<Option<Admitted>, StepError> {
            let study = self.next;
            if study == self.come {
                return Ok(None);
            }
            self.next += 1;
            for row in first_row..first_row + self.rows_each {
                model.seat(row, study);
                model.start_row(row, 2);
            }
            Ok(Some(Admitted { study, search: (self.search)(model.positions()) }))
        }
        fn seats(&mut self, taken: usize) -> usize {
            let coming = self.come - self.next;
            self.come = self.found.len();
            (taken + coming).min(self.most).max(taken)
        }
        fn done(&mut self, study: usize, found: Vec<Hypothesis>, seconds: f64) -> Result<(), StepError> {
            assert!(self.found[study].is_empty() && !found.is_empty() && seconds >= 0.0);
            self.found[study] = found;
            Ok(())
        }
    }
    let [first, most] = seats;
    model.sit_down(first * rows_each);
    let mut all = All { next: 0, come, most, rows_each, search, found: vec![Vec::new(); model.studies()] };
    run(model, rows_each, &mut all).expect("the script does not fail");
    all.found
}

/// A model whose studies are numbered.
pub trait Scripted {
    fn studies(&self) -> usize;
    fn sit_down(&mut self, rows: usize);
    fn seat(&mut self, row: usize, study: usize);
}

/// Says a fixed script per study, then the end token for ever, whatever it is fed.
pub struct Script {
    scripts: Vec<Vec<i64>>,
    /// Study and position of each row.
    rows: Vec<(usize, usize)>,
    next: Vec<i64>,
    log_probabilities: Vec<f32>,
    logits: Vec<f32>,
    /// Rows that were computed, over all steps.
    pub row_steps: usize,
}

impl Script {
    pub fn new(scripts: &[&[i64]]) -> Self {
        let scripts = scripts.iter().map(|script| script.to_vec()).collect();
        Self { scripts, rows: vec![], next: vec![], log_probabilities: vec![], logits: vec![], row_steps: 0 }
    }
}

impl Scripted for Script {
    fn studies(&self) -> usize {
        self.scripts.len()
    }
    fn sit_down(&mut self, rows: usize) {
        self.rows = vec![(0, 0); rows];
        self.next = vec![0; rows];
        self.log_probabilities = vec![-0.5; rows];
    }
    fn seat(&mut self, row: usize, study: usize) {
        self.rows[row].0 = study;
    }
}

impl StepModel for Script {
    fn rows(&self) -> usize {
        self.rows.len()
    }
    fn positions(&self) -> usize {
        POSITIONS
    }
    fn start_row(&mut self, row: usize, start: i64) {
        self.rows[row].1 = 0;
        self.next[row] = start;
    }
    fn step(&mut self) -> Result<(), StepError> {
        self.logits.clear();
        for ((study, place), next) in self.rows.iter_mut().zip(&mut self.next) {
            assert!(*place < POSITIONS, "a row runs out of positions");
            *next = self.scripts[*study].get(*place).copied().unwrap_or(i64::from(END));
            *place += 1;
            self.logits.extend((0..VOCABULARY).map(|token| if token as i64 == *next { 5.0 } else { 0.0 }));
        }
        self.row_steps += self.rows.len();
        Ok(())
    }
    fn next_ids(&self) -> &[i64] {
        &self.next
    }
    fn log_probabilities(&self) -> &[f32] {
        &self.log_probabilities
    }
    fn logits(&self) -> Option<&[f32]> {
        Some(&self.logits)
    }
    fn feed_row(&mut self, row: usize, token: i64) {
        self.next[row] = token;
    }
    fn copy_row(&mut self, from: usize, to: usize) -> Result<(), StepError> {
        self.rows[to] = self.rows[from];
        Ok(())
    }
    fn keep_rows(&mut self, rows: &[usize]) -> Result<bool, StepError> {
        self.rows = rows.iter().map(|&row| self.rows[row]).collect();
        self.next = rows.iter().map(|&row| self.next[row]).collect();
        self.log_probabilities = vec![-0.5; rows.len()];
        Ok(true)
    }
}

/// A model whose scores depend on everything that was said: a tree of small numbers.
pub struct Tree {
    said: Vec<Vec<u32>>,
    input: Vec<u32>,
    next: Vec<i64>,
    log_probabilities: Vec<f32>,
    logits: Vec<f32>,
}

impl Tree {
    pub fn new(rows: usize) -> Self {
        let (said, input) = (vec![vec![]; rows], vec![0; rows]);
        Self { said, input, next: vec![0; rows], log_probabilities: vec![0.0; rows], logits: vec![] }
    }

    /// Five tokens' log-probabilities after what was said.
    pub fn log_probabilities(said: &[u32]) -> Vec<f32> {
        let hash = said.iter().fold(17u32, |hash, token| hash.wrapping_mul(31).wrapping_add(token + 7));
        let scores: Vec<f32> = (0..5u32).map(|token| (hash.wrapping_mul(token + 3) % 97) as f32 / 40.0).collect();
        let sum = scores.iter().map(|score| score.exp()).sum::<f32>().ln();
        scores.iter().map(|score| score - sum).collect()
    }
}

impl Scripted for Tree {
    fn studies(&self) -> usize {
        1
    }
    fn sit_down(&mut self, rows: usize) {
        *self = Self::new(rows);
    }
    fn seat(&mut self, _row: usize, _study: usize) {}
}

impl StepModel for Tree {
    fn rows(&self) -> usize {
        self.said.len()
    }
    fn positions(&self) -> usize {
        POSITIONS
    }
    fn start_row(&mut self, row: usize, _start: i64) {
        self.said[row].clear();
        self.input[row] = u32::MAX;
    }
    fn step(&mut self) -> Result<(), StepError> {
        self.logits.clear();
        for row in 0..self.rows() {
            if self.input[row] != u32::MAX {
                self.said[row].push(self.input[row]);
            }
            let scores = Self::log_probabilities(&self.said[row]);
            let best = super::greedy::best(&scores);
            self.input[row] = best;
            self.next[row] = i64::from(best);
            self.log_probabilities[row] = scores[best as usize];
            // Unnormalised, as a network gives them.
            self.logits.extend(scores.iter().map(|score| score + 2.5));
        }
        Ok(())
    }
    fn next_ids(&self) -> &[i64] {
        &self.next
    }
    fn log_probabilities(&self) -> &[f32] {
        &self.log_probabilities
    }
    fn logits(&self) -> Option<&[f32]> {
        Some(&self.logits)
    }
    fn feed_row(&mut self, row: usize, token: i64) {
        self.input[row] = token as u32;
    }
    fn copy_row(&mut self, from: usize, to: usize) -> Result<(), StepError> {
        self.said[to] = self.said[from].clone();
        Ok(())
    }
    fn keep_rows(&mut self, _rows: &[usize]) -> Result<bool, StepError> {
        Ok(false)
    }
}
