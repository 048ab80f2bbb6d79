//! Greedy search: the most probable token at each step.

use super::{DecodingOptions, Finish, Sequence, StepError, StepModel};

/// Decodes every row of the model greedily from `start` until it says `end` or reaches the longest length.
///
/// A row that has ended goes on computing until the last one has, unread: rows do not see each other, so what a row
/// says does not depend on its neighbours.
pub fn greedy(
    model: &mut dyn StepModel,
    start: u32,
    end: u32,
    options: &DecodingOptions,
) -> Result<Vec<Sequence>, StepError> {
    let rows = model.rows();
    let mut sequences = vec![Sequence { tokens: vec![], log_probabilities: vec![], finish: Finish::Length }; rows];
    let mut running = rows;
    model.begin(i64::from(start))?;
    for step in 0..options.max_tokens.min(model.positions()) {
        if running == 0 {
            break;
        }
        model.step()?;
        for (row, sequence) in sequences.iter_mut().enumerate().filter(|(_, s)| s.finish == Finish::Length) {
            let log_probability = model.log_probabilities()[row];
            if !log_probability.is_finite() {
                return Err(StepError::NotANumber { step, row });
            }
            sequence.log_probabilities.push(log_probability);
            match model.next_ids()[row] {
                token if token == i64::from(end) => {
                    sequence.finish = Finish::End;
                    running -= 1;
                }
                token => sequence.tokens.push(token as u32),
            }
        }
    }
    Ok(sequences)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says a fixed script per row, then its end token for ever.
    struct Script {
        rows: Vec<Vec<i64>>,
        place: usize,
        next: Vec<i64>,
        log_probabilities: Vec<f32>,
    }

    const END: u32 = 3;

    impl Script {
        fn new(rows: &[&[i64]]) -> Self {
            let count = rows.len();
            let rows = rows.iter().map(|row| row.to_vec()).collect();
            Self { rows, place: 0, next: vec![0; count], log_probabilities: vec![-0.5; count] }
        }
    }

    impl StepModel for Script {
        fn rows(&self) -> usize {
            self.rows.len()
        }
        fn positions(&self) -> usize {
            5
        }
        fn begin(&mut self, start: i64) -> Result<(), StepError> {
            self.place = 0;
            self.next.fill(start);
            Ok(())
        }
        fn step(&mut self) -> Result<(), StepError> {
            for (next, row) in self.next.iter_mut().zip(&self.rows) {
                *next = row.get(self.place).copied().unwrap_or(i64::from(END));
            }
            self.place += 1;
            Ok(())
        }
        fn next_ids(&self) -> &[i64] {
            &self.next
        }
        fn log_probabilities(&self) -> &[f32] {
            &self.log_probabilities
        }
    }

    fn run(rows: &[&[i64]], max_tokens: usize) -> Vec<Sequence> {
        greedy(&mut Script::new(rows), 2, END, &DecodingOptions { max_tokens }).expect("the script does not fail")
    }

    #[test]
    fn rows_end_each_in_its_own_time() {
        let sequences = run(&[&[7, 8], &[9]], 4);
        assert_eq!(sequences[0].tokens, [7, 8]);
        assert_eq!(sequences[1].tokens, [9]);
        assert_eq!(sequences[0].finish, Finish::End);
        assert_eq!(sequences[0].log_probabilities.len(), 3, "the end token counts");
        assert!((sequences[1].mean_log_probability() + 0.5).abs() < 1e-9);
    }

    #[test]
    fn length_ends_a_row_that_never_does() {
        let sequences = run(&[&[5; 9]], 4);
        assert_eq!((sequences[0].tokens.len(), sequences[0].finish), (4, Finish::Length));
        assert_eq!(run(&[&[5; 9]], 100)[0].tokens.len(), 5, "the cache's positions are the limit");
    }

    #[test]
    fn a_number_that_is_none_is_refused() {
        let mut script = Script::new(&[&[5]]);
        script.log_probabilities[0] = f32::NAN;
        let result = greedy(&mut script, 2, END, &DecodingOptions { max_tokens: 3 });
        assert!(matches!(result, Err(StepError::NotANumber { step: 0, row: 0 })));
    }
}
