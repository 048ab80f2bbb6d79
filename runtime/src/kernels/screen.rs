//! The most probable token without all scores: most tokens are ruled out with weights of 8 bits, at a quarter of the reading.
//!
//! A column of a wide matrix is kept a second time, rounded to 8 bits and a scale. By the Cauchy-Schwarz inequality its score
//! is then known to within |input| · |what rounding took away|, so that every token whose score cannot reach the best one's is
//! ruled out, and those that remain, a handful, are computed exactly. **The token is the same as without**, always: where the
//! bound rules too little out, everything is computed.
//!
//! The log-probability needs the sum over all tokens. Those that count most, down to a hundred thousandth of the best, are
//! computed exactly while they are few; of the others the rounded scores are summed.

use std::cmp::Ordering;

use super::choice::{Choice, best, first_highest, highest_of_each, log_share};
use super::products::{LANES, Panels};

/// Bytes from which on a matrix is worth it: a smaller one stays in the cache between two steps.
const WORTH_IT: usize = 4 << 20;
/// Share of the panels that may remain for the best token, as a divisor; with more, everything is computed.
const FEW: usize = 8;
/// Panels that are computed for the log-probability's sake, at most.
const REFINED: usize = 16;
/// How far below the best score these may be, in natural logarithms: the first of these distances at which they are few.
const WINDOWS: [f32; 4] = [12.0, 9.0, 6.0, 3.0];

/// More than what a few operations in 32 bits can lose.
const ROUND_UP: f32 = 1.0001;

/// A matrix of scores in 8 bits, with what is known of its errors.
#[derive(Debug)]
pub struct Screen {
    rounded: Panels<i8>,
    /// What each panel's rough scores can be wrong by.
    bounds: Vec<Bound>,
    /// By which an input's length is multiplied to bound every sum on the way, exact and rough.
    most: f32,
}

/// How far rough scores can be from exact ones: `reach` for each unit of the input's length, and `slack` for any input.
#[derive(Debug, Clone, Copy, Default)]
struct Bound {
    reach: f32,
    slack: f32,
}

impl Bound {
    fn for_length(self, length: f32) -> f32 {
        length * self.reach + self.slack
    }

    fn or(self, other: Self) -> Self {
        Self { reach: self.reach.max(other.reach), slack: self.slack.max(other.slack) }
    }
}

impl Screen {
    /// Rounds a matrix; `None` where it is too small to be worth it, or holds something that is no number.
    pub fn of(exact: &Panels) -> Option<Self> {
        let (depth, width) = (exact.depth(), exact.width());
        if depth * width * size_of::<f32>() < WORTH_IT {
            return None;
        }
        Self::rounded(exact)
    }

    fn rounded(exact: &Panels) -> Option<Self> {
        let (depth, width) = (exact.depth(), exact.width());
        let padded = exact.count() * LANES;
        let mut bytes = vec![0i8; depth * padded];
        let mut scale = vec![0.0; padded];
        // Columns that are not there are never the best ones.
        let mut bias = vec![f32::NEG_INFINITY; padded];
        let mut bounds = vec![Bound::default(); exact.count()];
        let mut most = 127.0 * (depth as f32).sqrt();
        for index in 0..width {
            let (column, its_bias) = exact.column(index);
            let column: Vec<f32> = column.collect();
            if !(column.iter().all(|weight| weight.is_finite()) && its_bias.is_finite()) {
                return None;
            }
            let step = column.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs())) / 127.0;
            let mut errors = Errors::default();
            for (row, &weight) in column.iter().enumerate() {
                let byte = if step > 0.0 { (weight / step).round().clamp(-127.0, 127.0) } else { 0.0 };
                bytes[row * padded + index] = byte as i8;
                errors.add(weight, f64::from(byte) * f64::from(step));
            }
            (scale[index], bias[index]) = (step, its_bias);
            bounds[index / LANES] = bounds[index / LANES].or(errors.bound(depth, step, its_bias));
            most = most.max(errors.longest());
        }
        let rounded = Panels::scaled(&bytes, &scale, &bias, padded, exact.instructions());
        let finite = bounds.iter().all(|bound| bound.reach.is_finite() && bound.slack.is_finite());
        finite.then_some(Self { rounded, bounds, most })
    }

    /// Scores of a row, from which the best are then chosen: as many as the matrix has columns, made whole panels.
    pub fn scores(&self) -> usize {
        self.rounded.width()
    }

    /// Rough scores `[rows, scores]` of `input`, `[rows, depth]`, in parts as [`Panels::multiply`] makes them.
    pub fn rough<E>(
        &self,
        input: &[f32],
        scores: &mut [f32],
        parts: usize,
        each: impl FnOnce(&(dyn Fn(usize) + Sync)) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rounded.multiply(input, scores, parts, each)
    }

    /// The best token of a row, by its rough scores, some of which become exact; `exact` is the matrix that was rounded.
    pub fn choose(&self, exact: &Panels, input: &[f32], scores: &mut [f32]) -> Choice {
        self.among_few(exact, input, scores).unwrap_or_else(|| {
            (0..exact.count()).for_each(|panel| exact.multiply_panel(panel, input, scores));
            best(&scores[..exact.width()])
        })
    }

    /// The same, where few tokens remain.
    fn among_few(&self, exact: &Panels, input: &[f32], scores: &mut [f32]) -> Option<Choice> {
        let length = input.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt() as f32 * ROUND_UP;
        // Where a sum might overflow on its way, or the input holds no numbers, nothing is known.
        if (length * self.most).partial_cmp(&(f32::MAX / 4.0)) != Some(Ordering::Less) {
            return None;
        }
        let tops = highest_of_each::<LANES>(scores);
        let error = |panel: usize| self.bounds[panel].for_length(length);
        let sure = tops.iter().enumerate().map(|(panel, top)| top - error(panel));
        let sure = sure.fold(f32::NEG_INFINITY, f32::max);
        let remain: Vec<usize> = (0..tops.len()).filter(|&panel| tops[panel] + error(panel) >= sure).collect();
        if remain.len() > tops.len().div_ceil(FEW) {
            return None;
        }
        let (mut token, mut largest) = (0, f32::NEG_INFINITY);
        for &panel in &remain {
            exact.multiply_panel(panel, input, scores);
            let (place, highest) = first_highest(&scores[panel * LANES..(panel + 1) * LANES]);
            if highest > largest {
                (token, largest) = (panel * LANES + place, highest);
            }
        }
        for window in WINDOWS {
            let near = |&panel: &usize| tops[panel] >= largest - window && remain.binary_search(&panel).is_err();
            let near: Vec<usize> = (0..tops.len()).filter(near).take(REFINED + 1).collect();
            if near.len() <= REFINED {
                for &panel in &near {
                    exact.multiply_panel(panel, input, scores);
                }
                break;
            }
        }
        Some(Choice { token, log_probability: log_share(largest, scores) })
    }
}

/// What rounding has taken from a column.
#[derive(Debug, Default)]
struct Errors {
    error: f64,
    exact: f64,
    rounded: f64,
}

impl Errors {
    fn add(&mut self, exact: f32, rounded: f64) {
        self.error += (f64::from(exact) - rounded).powi(2);
        self.exact += f64::from(exact).powi(2);
        self.rounded += rounded.powi(2);
    }

    /// How far the rough score can be from the exact one: what rounding took from the weights, what both sums of so many
    /// products lose in 32 bits (Higham, Accuracy and Stability of Numerical Algorithms, 3.1), and for any input what the
    /// addition of the bias loses, and products too small for 32 bits.
    fn bound(&self, depth: usize, scale: f32, bias: f32) -> Bound {
        let lost = (depth + 4) as f64 * f64::from(f32::EPSILON);
        let reach = self.error.sqrt() + lost * (self.exact.sqrt() + self.rounded.sqrt());
        let slack = 4.0 * f32::EPSILON * bias.abs() + depth as f32 * f32::MIN_POSITIVE * (1.0 + scale);
        Bound { reach: reach as f32 * ROUND_UP, slack }
    }

    /// Length of the longer of both columns.
    fn longest(&self) -> f32 {
        self.exact.max(self.rounded).sqrt() as f32 * ROUND_UP
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::products::Instructions;
    use super::*;

    /// Numbers that a fixed sequence draws, about evenly from -1 to 1.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Rough scores of one row.
    fn rough(screen: &Screen, input: &[f32]) -> Vec<f32> {
        let mut scores = vec![f32::NAN; screen.scores()];
        let done = screen.rough(input, &mut scores, 1, |part| {
            part(0);
            Ok::<(), Infallible>(())
        });
        assert!(done.is_ok());
        scores
    }

    /// What all scores say.
    fn expected(exact: &Panels, input: &[f32]) -> Choice {
        let mut scores = vec![f32::NAN; exact.width()];
        (0..exact.count()).for_each(|panel| exact.multiply_panel(panel, input, &mut scores));
        best(&scores)
    }

    fn sets() -> Vec<Instructions> {
        match Instructions::detect() {
            Some(Instructions::Avx512) => vec![Instructions::Avx512, Instructions::Avx2],
            other => other.into_iter().collect(),
        }
    }

    #[test]
    fn the_token_is_the_one_of_all_scores_and_most_are_ruled_out() {
        for instructions in sets() {
            let mut few = 0;
            for seed in 0..60 {
                // The last panel is not whole; peaked rows and flat ones.
                let (depth, width) = (48, 2043);
                let exact =
                    Panels::new(&numbers(depth * width, seed), Some(&numbers(width, seed + 1000)), width, instructions);
                let screen = Screen::rounded(&exact).expect("numbers");
                let scale = [0.05, 0.5, 5.0][seed as usize % 3];
                let input: Vec<f32> = numbers(depth, seed + 2000).iter().map(|number| number * scale).collect();
                let mut scores = rough(&screen, &input);
                few += usize::from(screen.among_few(&exact, &input, &mut scores.clone()).is_some());
                let (found, expected) = (screen.choose(&exact, &input, &mut scores), expected(&exact, &input));
                assert_eq!(found.token, expected.token, "{instructions:?}, {seed}");
                let apart = (found.log_probability - expected.log_probability).abs();
                assert!(apart < 1e-3, "{instructions:?}, {seed}: {found:?} and {expected:?}");
            }
            assert!(few >= 50, "{few} of 60 rows had few tokens that remained");
        }
    }

    /// Columns that differ by less than rounding to 8 bits does, in either order, and some that do not differ.
    #[test]
    fn near_ties_are_told_apart_and_the_first_of_equals_is_chosen() {
        let (depth, width) = (32, 1200);
        for instructions in sets() {
            for seed in 0..40 {
                let mut weights = numbers(depth * width, seed);
                let input = numbers(depth, seed + 500);
                let places = [seed as usize * 29 % 600, 600 + seed as usize * 31 % 600];
                for (at, &number) in input.iter().enumerate() {
                    // Both point where the input does, so that they are the best; one a hair more, or neither.
                    let hair = [0.0, 1e-5, -1e-5][seed as usize % 3];
                    weights[at * width + places[0]] = 3.0 * number;
                    weights[at * width + places[1]] = (3.0 + hair) * number;
                }
                let exact = Panels::new(&weights, None, width, instructions);
                let screen = Screen::rounded(&exact).expect("numbers");
                let found = screen.choose(&exact, &input, &mut rough(&screen, &input));
                assert_eq!(found.token, places[usize::from(seed % 3 == 1)], "{instructions:?}, {seed}");
                assert_eq!(found.token, expected(&exact, &input).token);
            }
        }
    }

    /// No score is farther from the exact one than its panel's reach says.
    #[test]
    fn rough_scores_are_within_reach() {
        let (depth, width) = (40, 400);
        for instructions in sets() {
            for seed in 0..20 {
                let exact =
                    Panels::new(&numbers(depth * width, seed), Some(&numbers(width, seed + 1)), width, instructions);
                let screen = Screen::rounded(&exact).expect("numbers");
                // An input that takes after the errors of one column makes them add up.
                let (column, _) = exact.column(seed as usize);
                let column: Vec<f32> = column.collect();
                let step = column.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs())) / 127.0;
                let input: Vec<f32> = column.iter().map(|weight| weight - (weight / step).round() * step).collect();
                let length = input.iter().map(|number| number * number).sum::<f32>().sqrt() * ROUND_UP;
                let rough = rough(&screen, &input);
                let mut scores = vec![0.0; width];
                (0..exact.count()).for_each(|panel| exact.multiply_panel(panel, &input, &mut scores));
                for (at, (rough, exact)) in rough.iter().zip(&scores).enumerate() {
                    let reach = screen.bounds[at / LANES].for_length(length);
                    assert!((rough - exact).abs() <= reach, "{at}: {rough} and {exact}, {reach}");
                }
                let its = (rough[seed as usize] - scores[seed as usize]).abs();
                assert!(its > 0.5 * screen.bounds[seed as usize / LANES].for_length(length), "the bound is not idle");
            }
        }
    }

    #[test]
    fn where_little_is_ruled_out_all_is_computed() {
        for instructions in sets() {
            let (depth, width) = (16, 300);
            let exact = Panels::new(&numbers(depth * width, 3), None, width, instructions);
            let screen = Screen::rounded(&exact).expect("numbers");
            for input in [vec![0.0; depth], vec![f32::NAN; depth], vec![f32::INFINITY; depth]] {
                assert_eq!(screen.among_few(&exact, &input, &mut rough(&screen, &input)), None);
                let found = screen.choose(&exact, &input, &mut rough(&screen, &input));
                assert_eq!(found.token, 0);
                assert_eq!(found.log_probability.is_nan(), input[0] != 0.0, "{found:?}");
            }
            let damaged = Panels::new(&[f32::NAN; 32], None, 2, instructions);
            assert!(Screen::rounded(&damaged).is_none());
            assert!(Screen::of(&exact).is_none(), "too small");
        }
    }

    /// A matrix of so many columns of three weights, all alike but for the given ones.
    fn three(width: usize, others: [f32; 3], given: [(usize, [f32; 3]); 2]) -> Vec<f32> {
        let column = |at: usize| given.iter().find(|(place, _)| *place == at).map_or(others, |(_, column)| *column);
        (0..3).flat_map(|row| (0..width).map(move |at| column(at)[row])).collect()
    }

    /// Sums that leave what 32 bits can hold on their way, above or below, tell nothing.
    #[test]
    fn sums_that_overflow_or_vanish_rule_nothing_out() {
        for instructions in sets() {
            let width = 640;
            for (input, others, given) in [
                ([1e37, 3e37, 0.0], [0.0, 0.0, 1.0], [(40, [-0.5, 0.5, 0.0]), (90, [0.25, 0.0, 1.0])]),
                ([1e-20; 3], [0.0; 3], [(40, [0.8e-25; 3]), (90, [1e-25; 3])]),
                ([3e-45; 3], [0.0; 3], [(40, [2.0; 3]), (90, [2.1; 3])]),
            ] {
                let exact = Panels::new(&three(width, others, given), None, width, instructions);
                let screen = Screen::rounded(&exact).expect("numbers");
                let found = screen.choose(&exact, &input, &mut rough(&screen, &input));
                assert_eq!(found.token, expected(&exact, &input).token, "{instructions:?}, {input:?}");
            }
        }
    }

    /// A token that must never be said does not cost the others what is known of them.
    #[test]
    fn one_huge_bias_rules_the_others_out_as_before() {
        for instructions in sets() {
            let (depth, width) = (48, 2048);
            let mut bias = vec![0.0; width];
            bias[7] = -1e9;
            let exact = Panels::new(&numbers(depth * width, 5), Some(&bias), width, instructions);
            let screen = Screen::rounded(&exact).expect("numbers");
            let input = numbers(depth, 6);
            let found = screen.among_few(&exact, &input, &mut rough(&screen, &input));
            assert_eq!(found.map(|found| found.token), Some(expected(&exact, &input).token));
        }
    }
}
