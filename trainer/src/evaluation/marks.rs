//! Sentences of draft and reference, coloured by how the two agree.

use super::page::{Mark, Outcome};
use crate::observations::{Label, Labelled, Mention, Observation, Sides};

/// Marks of the draft's sentences and of the reference's.
pub(super) fn marks(draft: &Labelled, reference: &Labelled) -> (Vec<Mark>, Vec<Mark>) {
    (of(draft, reference, Outcome::Invented), of(reference, draft, Outcome::Missed))
}

/// The observations that either text states, each with its outcome.
pub(super) fn observed(draft: &Labelled, reference: &Labelled) -> Vec<(Observation, Outcome)> {
    let stated = |report: &Labelled, observation| stated(report, observation).next().is_some();
    Observation::ALL
        .into_iter()
        .filter(|&observation| observation != Observation::NoFinding)
        .filter_map(|observation| match (stated(draft, observation), stated(reference, observation)) {
            (true, true) if wrong_side(sides(draft, observation), sides(reference, observation)) => {
                Some((observation, Outcome::WrongSide))
            }
            (true, true) => Some((observation, Outcome::Found)),
            (true, false) => Some((observation, Outcome::Invented)),
            (false, true) => Some((observation, Outcome::Missed)),
            (false, false) => None,
        })
        .collect()
}

/// Marks of one text's sentences against the other text; `alone` is the outcome of what only this one states. Of a
/// sentence with several findings the worst outcome shows.
fn of(report: &Labelled, other: &Labelled, alone: Outcome) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for mention in report.mentions.iter().filter(|mention| is_stated(mention)) {
        let outcome = if stated(other, mention.observation).next().is_none() {
            alone
        } else if wrong_side(mention.sides, sides(other, mention.observation)) {
            Outcome::WrongSide
        } else {
            Outcome::Found
        };
        let (from, to) = mention.sentence;
        match marks.iter_mut().find(|mark| mark.from == from) {
            Some(mark) => mark.outcome = worse(mark.outcome, outcome),
            None => marks.push(Mark { from, to, outcome }),
        }
    }
    marks
}

fn worse(first: Outcome, second: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::Found => 0,
        Outcome::WrongSide => 1,
        Outcome::Missed | Outcome::Invented => 2,
    };
    if rank(second) > rank(first) { second } else { first }
}

fn is_stated(mention: &Mention) -> bool {
    mention.label != Label::Negative
}

fn stated(report: &Labelled, observation: Observation) -> impl Iterator<Item = &Mention> {
    report.mentions.iter().filter(move |mention| mention.observation == observation && is_stated(mention))
}

fn sides(report: &Labelled, observation: Observation) -> Sides {
    stated(report, observation).fold(Sides::default(), |all, mention| Sides {
        left: all.left || mention.sides.left,
        right: all.right || mention.sides.right,
    })
}

/// Both name a side, and none in common.
fn wrong_side(first: Sides, second: Sides) -> bool {
    let shared = first.left && second.left || first.right && second.right;
    !first.is_none() && !second.is_none() && !shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observations::read;

    #[test]
    fn sentences_are_marked_as_true_missed_invented_or_on_the_wrong_side() {
        let draft = "Left effusion. Cardiomegaly. Right pneumothorax. No nodule.";
        let reference = "Right effusion. The heart is enlarged. Consolidation is seen.";
        let (ours, theirs) = marks(&read(draft), &read(reference));
        let shown = |text: &str, marks: &[Mark]| -> Vec<(String, Outcome)> {
            marks.iter().map(|mark| (text[mark.from..mark.to].trim().to_owned(), mark.outcome)).collect()
        };
        assert_eq!(
            shown(draft, &ours),
            [
                ("Left effusion.".to_owned(), Outcome::WrongSide),
                ("Cardiomegaly.".to_owned(), Outcome::Found),
                ("Right pneumothorax.".to_owned(), Outcome::Invented),
            ]
        );
        assert_eq!(
            shown(reference, &theirs),
            [
                ("Right effusion.".to_owned(), Outcome::WrongSide),
                ("The heart is enlarged.".to_owned(), Outcome::Found),
                ("Consolidation is seen.".to_owned(), Outcome::Missed),
            ]
        );
        let observed = observed(&read(draft), &read(reference));
        assert_eq!(
            observed,
            [
                (Observation::Cardiomegaly, Outcome::Found),
                (Observation::Consolidation, Outcome::Missed),
                (Observation::Pneumothorax, Outcome::Invented),
                (Observation::PleuralEffusion, Outcome::WrongSide),
            ]
        );
    }

    #[test]
    fn the_worst_of_a_sentence_shows() {
        let (ours, _) = marks(&read("Cardiomegaly and a left effusion."), &read("Cardiomegaly."));
        assert_eq!(ours.iter().map(|mark| mark.outcome).collect::<Vec<_>>(), [Outcome::Invented]);
    }
}
