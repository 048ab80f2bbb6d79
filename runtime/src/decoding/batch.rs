//! Continuous batching: each study has its rows as long as it needs them, then the next study gets them.
//!
//! One long report does not hold a batch, and what a study says does not depend on who sits beside it.

use std::time::Instant;

use super::{Changes, Hypothesis, Next, Search, StepError, StepModel, StepView};

/// A study that was given its rows.
pub struct Admitted {
    /// Its number, by which it is known when it is done.
    pub study: usize,
    /// How its report is searched for.
    pub search: Box<dyn Search>,
}

/// Where studies come from and where their reports go.
pub trait Studies<M: StepModel> {
    /// What can go wrong there.
    type Error: From<StepError>;
    /// Puts the next study's image into the model's rows from `first_row` on, as many as a study has, each at its start;
    /// `None` when no study is left, from then on until [`Studies::seats`] wants more of them than are taken.
    fn admit(&mut self, model: &mut M, first_row: usize) -> Result<Option<Admitted>, Self::Error>;
    /// Seats that are wanted where so many are taken: more when further studies could sit down now. The batch is widened for
    /// them where the model can do that.
    fn seats(&mut self, taken: usize) -> usize {
        taken
    }
    /// Takes a study's hypotheses, best first, and its share of the seconds that decoding took.
    fn done(&mut self, study: usize, found: Vec<Hypothesis>, seconds: f64) -> Result<(), Self::Error>;
}

/// A study at work on its rows.
struct Seat {
    study: usize,
    search: Box<dyn Search>,
    step: usize,
    seconds: f64,
}

/// Decodes all studies on the model's rows, `rows_each` for each study at a time.
pub fn run<M: StepModel, S: Studies<M>>(model: &mut M, rows_each: usize, studies: &mut S) -> Result<(), S::Error> {
    let mut seats: Vec<Option<Seat>> = (0..model.rows() / rows_each).map(|_| None).collect();
    let mut waiting = true;
    let mut changes = Changes::default();
    loop {
        if seats.iter().all(Option::is_none) {
            model.give_up_ahead();
        }
        let at_rest = model.at_rest();
        if at_rest {
            waiting |= make_room(model, rows_each, &mut seats, studies)?;
        }
        for (place, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| at_rest && seat.is_none()) {
            if waiting {
                let admitted = studies.admit(model, place * rows_each)?;
                waiting = admitted.is_some();
                *seat = admitted.map(|Admitted { study, search }| Seat { study, search, step: 0, seconds: 0.0 });
            }
            if seat.is_none() {
                // Rows without a study step as well; they must not run out of the cache's positions.
                (place * rows_each..(place + 1) * rows_each).for_each(|row| model.start_row(row, 0));
            }
        }
        close_ranks(model, rows_each, &mut seats)?;
        let working = seats.iter().flatten().count();
        if working == 0 {
            return Ok(());
        }
        let started = Instant::now();
        model.want_scores(seats.iter().flatten().any(|seat| seat.search.wants_scores()));
        model.step()?;
        for (place, seat) in seats.iter_mut().enumerate() {
            if let Some(at_work) = seat
                && advance(model, place * rows_each, rows_each, at_work, &mut changes)? == Next::Done
                && let Some(Seat { study, search, seconds, .. }) = seat.take()
            {
                studies.done(study, search.finish(), seconds + share(started, working))?;
            }
        }
        let seconds = share(started, working);
        seats.iter_mut().flatten().for_each(|seat| seat.seconds += seconds);
    }
}

fn share(started: Instant, working: usize) -> f64 {
    started.elapsed().as_secs_f64() / working as f64
}

/// Shows a study its rows' step and does what its search wants.
fn advance<M: StepModel>(
    model: &mut M,
    first_row: usize,
    rows: usize,
    seat: &mut Seat,
    changes: &mut Changes,
) -> Result<Next, StepError> {
    let place = first_row..first_row + rows;
    let logits = model.logits();
    let vocabulary = logits.map_or(0, |logits| logits.len() / model.rows());
    let view = StepView {
        step: seat.step,
        first_row,
        best: &model.next_ids()[place.clone()],
        log_probabilities: &model.log_probabilities()[place.clone()],
        logits: logits.map(|logits| &logits[place.start * vocabulary..place.end * vocabulary]),
    };
    changes.copies.clear();
    changes.feeds.clear();
    let next = seat.search.advance(&view, changes)?;
    seat.step += 1;
    if next == Next::Step {
        for (from, to) in changes.copies.drain(..) {
            model.copy_row(first_row + from, first_row + to)?;
        }
        for (row, token) in changes.feeds.drain(..) {
            model.feed_row(first_row + row, i64::from(token));
        }
    }
    Ok(next)
}

/// Widens the batch where more studies come than it has seats; whether any come that get one.
fn make_room<M: StepModel, S: Studies<M>>(
    model: &mut M,
    rows_each: usize,
    seats: &mut Vec<Option<Seat>>,
    studies: &mut S,
) -> Result<bool, StepError> {
    let taken = seats.iter().flatten().count();
    let wanted = studies.seats(taken);
    if wanted > seats.len() {
        // The new rows are copies until a study sits down on them.
        let rows: Vec<usize> = (0..wanted * rows_each).map(|row| row.min(seats.len() * rows_each - 1)).collect();
        if !model.keep_rows(&rows)? {
            return Ok(false);
        }
        seats.resize_with(wanted, || None);
    }
    Ok(wanted > taken)
}

/// Gives up rows that no study needs any more, once that halves the batch: a batch that ends must not compute for
/// studies that are done.
fn close_ranks<M: StepModel>(model: &mut M, rows_each: usize, seats: &mut Vec<Option<Seat>>) -> Result<(), StepError> {
    let taken: Vec<usize> = (0..seats.len()).filter(|&place| seats[place].is_some()).collect();
    if taken.is_empty() || taken.len() * 2 > seats.len() {
        return Ok(());
    }
    let rows: Vec<usize> = taken.iter().flat_map(|&place| place * rows_each..(place + 1) * rows_each).collect();
    if model.keep_rows(&rows)? {
        seats.retain(Option::is_some);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::script::{END, Script, decode, decode_comers};
    use super::super::{DecodingOptions, Greedy, Search};

    /// Studies that come later find seats beside those that are at work.
    #[test]
    fn a_batch_is_widened_for_those_who_come() {
        let scripts: Vec<Vec<i64>> = (0..12).map(|row| vec![4 + row % 5; 5]).collect();
        let rows: Vec<&[i64]> = scripts.iter().map(Vec::as_slice).collect();
        let options = DecodingOptions { max_tokens: 8, ..DecodingOptions::default() };
        let search = |longest: usize| -> Box<dyn Search> { Box::new(Greedy::new(&options, END, longest)) };
        let mut model = Script::new(&rows);
        let found = decode_comers(&mut model, [1, 4], 1, 1, &search);
        for (script, found) in scripts.iter().zip(&found) {
            let said: Vec<i64> = found[0].sequence.tokens.iter().map(|&token| i64::from(token)).collect();
            assert_eq!(&said, script);
        }
        // A step of one row; then four seats, on three of which three studies of six steps follow each other.
        assert_eq!(model.row_steps, 1 + 18 * 4);
    }

    /// Rows of many lengths come out the same from any number of seats, and no row steps for nothing.
    #[test]
    fn seats_are_refilled_and_given_up() {
        let scripts: Vec<Vec<i64>> = (0..20).map(|row| vec![4 + row % 5; (row * 3 % 7) as usize]).collect();
        let rows: Vec<&[i64]> = scripts.iter().map(Vec::as_slice).collect();
        let options = DecodingOptions { max_tokens: 8, ..DecodingOptions::default() };
        let search = |longest: usize| -> Box<dyn Search> { Box::new(Greedy::new(&options, END, longest)) };
        for seats in [1, 3, 8, 20] {
            let mut model = Script::new(&rows);
            let found = decode(&mut model, seats, 1, &search);
            for (script, found) in scripts.iter().zip(&found) {
                let said: Vec<i64> = found[0].sequence.tokens.iter().map(|&token| i64::from(token)).collect();
                assert_eq!(&said, script, "{seats} seats");
            }
            let needed: usize = scripts.iter().map(|script| script.len() + 1).sum();
            assert!(model.row_steps >= needed, "{seats} seats");
            // At most the rows of the last half-empty batches are wasted.
            assert!(model.row_steps <= needed + 2 * seats * 4, "{seats} seats: {} of {needed}", model.row_steps);
        }
    }
}
