//! A search that somebody listens to.
//!
//! The listening is wrapped around a search, so that the loop and a search without a listener know nothing of it.

use super::{Changes, Hypothesis, Next, Search, StepError, StepView};

/// Hears what a search says while it goes on.
pub trait Follower {
    /// Gets all tokens that are said so far, after each step; [`Next::Done`] ends the search where it stands.
    fn hear(&mut self, tokens: &[u32]) -> Next;
}

/// A search and its follower.
pub struct Followed {
    search: Box<dyn Search>,
    follower: Box<dyn Follower>,
}

impl Followed {
    /// Lets `follower` hear `search`.
    pub fn new(search: Box<dyn Search>, follower: Box<dyn Follower>) -> Self {
        Self { search, follower }
    }
}

impl Search for Followed {
    fn advance(&mut self, step: &StepView, changes: &mut Changes) -> Result<Next, StepError> {
        let next = self.search.advance(step, changes)?;
        let wanted = self.follower.hear(self.search.said());
        Ok(if wanted == Next::Done { Next::Done } else { next })
    }

    fn wants_scores(&self) -> bool {
        self.search.wants_scores()
    }

    fn said(&self) -> &[u32] {
        self.search.said()
    }

    fn finish(self: Box<Self>) -> Vec<Hypothesis> {
        self.search.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::script::{END, Script, Tree, decode};
    use super::super::{Beam, DecodingOptions, Greedy};
    use super::*;

    /// Writes down what it hears and has enough after so many tokens.
    struct Scribe {
        heard: Rc<RefCell<Vec<Vec<u32>>>>,
        enough: usize,
    }

    impl Follower for Scribe {
        fn hear(&mut self, tokens: &[u32]) -> Next {
            self.heard.borrow_mut().push(tokens.to_vec());
            if tokens.len() >= self.enough { Next::Done } else { Next::Step }
        }
    }

    fn followed(search: Box<dyn Search>, heard: &Rc<RefCell<Vec<Vec<u32>>>>, enough: usize) -> Box<dyn Search> {
        Box::new(Followed::new(search, Box::new(Scribe { heard: Rc::clone(heard), enough })))
    }

    #[test]
    fn a_follower_hears_every_token_and_changes_nothing() {
        let heard = Rc::default();
        let options = DecodingOptions { max_tokens: 8, ..DecodingOptions::default() };
        let greedy = |longest: usize| -> Box<dyn Search> { Box::new(Greedy::new(&options, END, longest)) };
        let alone = decode(&mut Script::new(&[&[7, 8, 9]]), 1, 1, &greedy);
        let found = decode(&mut Script::new(&[&[7, 8, 9]]), 1, 1, &|longest| followed(greedy(longest), &heard, 100));
        assert_eq!(found, alone);
        assert_eq!(*heard.borrow(), [vec![7], vec![7, 8], vec![7, 8, 9], vec![7, 8, 9]]);
    }

    #[test]
    fn a_follower_that_has_enough_ends_its_own_search_alone() {
        let heard = Rc::default();
        let options = DecodingOptions { max_tokens: 8, ..DecodingOptions::default() };
        let greedy = |longest: usize| -> Box<dyn Search> { Box::new(Greedy::new(&options, END, longest)) };
        let count = RefCell::new(0);
        let search = |longest: usize| {
            *count.borrow_mut() += 1;
            if *count.borrow() == 1 { followed(greedy(longest), &heard, 2) } else { greedy(longest) }
        };
        let found = decode(&mut Script::new(&[&[7, 8, 9, 4], &[5, 6, 7, 8]]), 2, 1, &search);
        assert_eq!(found[0][0].sequence.tokens, [7, 8]);
        assert_eq!(found[1][0].sequence.tokens, [5, 6, 7, 8]);
    }

    #[test]
    fn a_beam_search_lets_its_best_hypothesis_be_heard() {
        let heard = Rc::default();
        let options = DecodingOptions { beams: 3, n_best: 3, ..DecodingOptions::default() };
        let beam = |longest: usize| -> Box<dyn Search> { Box::new(Beam::new(&options, 2, longest)) };
        let alone = decode(&mut Tree::new(3), 1, 3, &beam);
        let found = decode(&mut Tree::new(3), 1, 3, &|longest| followed(beam(longest), &heard, 100));
        assert_eq!(found, alone);
        let heard = heard.borrow();
        assert!(heard.len() > 1 && heard[0].len() == 1, "{heard:?}");
    }
}
