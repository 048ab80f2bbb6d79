//! Words that deny, doubt or ask.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::words::Word;

/// What a cue says of what it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is not there.
    Denies,
    /// Whether it is not there is left open: "cannot exclude", "no new". Goes before [`Kind::Denies`].
    DoubtsDenial,
    /// It may be there.
    Doubts,
    /// It was asked for, or was there once: nothing is said.
    Asks,
}

/// Which way a cue reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To what follows.
    Forward,
    /// To what went before.
    Backward,
    /// To both: "suspected effusion", "effusion suspected".
    Both,
}

/// A cue in a sentence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cue {
    pub kind: Kind,
    pub way: Way,
    /// Words from, to.
    pub from: usize,
    pub to: usize,
}

use Kind::{Asks, Denies, Doubts, DoubtsDenial};
use Way::{Backward, Both, Forward};

/// Phrases in order: the first that fits at a place is taken, so the longer stand before the shorter.
const CUES: &[(&str, Kind, Way)] = &[
    ("cannot be excluded", DoubtsDenial, Backward),
    ("can not be excluded", DoubtsDenial, Backward),
    ("cannot be entirely excluded", DoubtsDenial, Backward),
    ("cannot be completely excluded", DoubtsDenial, Backward),
    ("cannot be ruled out", DoubtsDenial, Backward),
    ("cannot be entirely ruled out", DoubtsDenial, Backward),
    ("cannot be completely ruled out", DoubtsDenial, Backward),
    ("can not be ruled out", DoubtsDenial, Backward),
    ("can't be ruled out", DoubtsDenial, Backward),
    ("can't be excluded", DoubtsDenial, Backward),
    ("can't exclude", DoubtsDenial, Forward),
    ("can't rule out", DoubtsDenial, Forward),
    ("not ruled out", DoubtsDenial, Backward),
    ("not entirely ruled out", DoubtsDenial, Backward),
    ("not completely ruled out", DoubtsDenial, Backward),
    ("not definitely ruled out", DoubtsDenial, Backward),
    ("not been ruled out", DoubtsDenial, Backward),
    ("not been excluded", DoubtsDenial, Backward),
    ("not rule out", DoubtsDenial, Forward),
    ("not exclude", DoubtsDenial, Forward),
    ("cannot exclude", DoubtsDenial, Forward),
    ("cannot entirely exclude", DoubtsDenial, Forward),
    ("cannot completely exclude", DoubtsDenial, Forward),
    ("can not exclude", DoubtsDenial, Forward),
    ("cannot rule out", DoubtsDenial, Forward),
    ("does not exclude", DoubtsDenial, Forward),
    ("difficult to exclude", DoubtsDenial, Forward),
    ("would be difficult to exclude", DoubtsDenial, Backward),
    ("is not excluded", DoubtsDenial, Backward),
    ("are not excluded", DoubtsDenial, Backward),
    ("not excluded", DoubtsDenial, Backward),
    ("not entirely excluded", DoubtsDenial, Backward),
    ("not completely excluded", DoubtsDenial, Backward),
    ("not definitely excluded", DoubtsDenial, Backward),
    ("no new", DoubtsDenial, Forward),
    ("not well seen", Doubts, Backward),
    ("not well visualized", Doubts, Backward),
    ("not well evaluated", Doubts, Backward),
    ("not fully evaluated", Doubts, Backward),
    ("not clearly seen", Doubts, Backward),
    ("poorly evaluated", Doubts, Backward),
    ("incompletely evaluated", Doubts, Backward),
    ("negative for", Denies, Forward),
    ("free of", Denies, Forward),
    ("free from", Denies, Forward),
    ("clear of", Denies, Forward),
    ("absence of", Denies, Forward),
    ("lack of", Denies, Forward),
    ("resolution of", Denies, Forward),
    ("clearing of", Denies, Forward),
    ("disappearance of", Denies, Forward),
    ("removal of", Denies, Forward),
    ("rather than", Denies, Forward),
    ("instead of", Denies, Forward),
    ("unlikely to represent", Denies, Forward),
    ("no longer", Denies, Backward),
    ("without", Denies, Forward),
    ("neither", Denies, Forward),
    ("nor", Denies, Forward),
    ("no", Denies, Forward),
    ("non", Denies, Forward),
    ("has resolved", Denies, Backward),
    ("have resolved", Denies, Backward),
    ("has cleared", Denies, Backward),
    ("have cleared", Denies, Backward),
    ("is resolved", Denies, Backward),
    ("are resolved", Denies, Backward),
    ("is excluded", Denies, Backward),
    ("are excluded", Denies, Backward),
    ("was excluded", Denies, Backward),
    ("been excluded", Denies, Backward),
    ("be ruled out", Asks, Backward),
    ("ruled out", Denies, Backward),
    ("rules out", Denies, Forward),
    ("excludes", Denies, Forward),
    ("devoid of", Denies, Forward),
    ("nothing to suggest", Denies, Forward),
    ("nothing to indicate", Denies, Forward),
    ("argues against", Denies, Forward),
    ("fails to demonstrate", Denies, Forward),
    ("fails to show", Denies, Forward),
    ("is absent", Denies, Backward),
    ("are absent", Denies, Backward),
    ("is unlikely", Denies, Backward),
    ("considered unlikely", Denies, Backward),
    ("been removed", Denies, Backward),
    ("resolved", Denies, Forward),
    ("history of", Asks, Forward),
    ("h / o", Asks, Forward),
    ("evaluate for", Asks, Forward),
    ("evaluation for", Asks, Forward),
    ("evaluation of", Asks, Forward),
    ("assess for", Asks, Forward),
    ("to exclude", Asks, Forward),
    ("to rule out", Asks, Forward),
    ("rule out", Asks, Forward),
    ("r / o", Asks, Forward),
    ("symptoms of", Asks, Forward),
    ("signs of", Asks, Forward),
    ("risk of", Asks, Forward),
    ("if there is", Asks, Forward),
    ("in the setting of", Asks, Forward),
    ("suggestion of", Doubts, Forward),
    ("question of", Doubts, Forward),
    ("concern for", Doubts, Forward),
    ("concerning for", Doubts, Forward),
    ("suspicious for", Doubts, Forward),
    ("suspicion for", Doubts, Forward),
    ("suspicion of", Doubts, Forward),
    ("worrisome for", Doubts, Forward),
    ("differential diagnosis", Doubts, Forward),
    ("differential includes", Doubts, Forward),
    ("differential considerations", Doubts, Forward),
    ("less likely", Doubts, Forward),
    ("suggests", Doubts, Forward),
    ("suggest", Doubts, Forward),
    ("suggesting", Doubts, Forward),
    ("suggestive", Doubts, Forward),
    ("correlate clinically for", Asks, Forward),
    ("correlation for", Asks, Forward),
    ("may be present", Doubts, Backward),
    ("could be present", Doubts, Backward),
    ("might be present", Doubts, Backward),
    ("is possible", Doubts, Backward),
    ("are possible", Doubts, Backward),
    ("is suspected", Doubts, Backward),
    ("are suspected", Doubts, Backward),
    ("is questioned", Doubts, Backward),
    ("is considered", Doubts, Backward),
    ("is a consideration", Doubts, Backward),
    ("are considerations", Doubts, Backward),
    ("may", Doubts, Forward),
    ("might", Doubts, Forward),
    ("could", Doubts, Forward),
    ("possible", Doubts, Forward),
    ("possibly", Doubts, Forward),
    ("perhaps", Doubts, Forward),
    ("questionable", Doubts, Forward),
    ("question", Doubts, Forward),
    ("suspect", Doubts, Forward),
    ("suspected", Doubts, Both),
    ("suspicious", Doubts, Forward),
    ("equivocal", Doubts, Forward),
    ("differential", Doubts, Forward),
    ("favor", Doubts, Forward),
    ("favoring", Doubts, Forward),
    ("either", Doubts, Forward),
    ("consider", Doubts, Forward),
];

/// Follow "no" or "without" and turn it into a statement about change: "no significant interval change in the effusion".
const CHANGE: [&str; 14] = [
    "change",
    "changes",
    "increase",
    "decrease",
    "improvement",
    "worsening",
    "progression",
    "difference",
    "enlargement",
    "resolution",
    "clearing",
    "comparison",
    "comparisons",
    "longer",
];

const BEFORE_CHANGE: [&str; 14] = [
    "significant",
    "interval",
    "substantial",
    "appreciable",
    "definite",
    "convincing",
    "relevant",
    "major",
    "real",
    "gross",
    "obvious",
    "other",
    "evidence",
    "of",
];

/// Verbs after "not" that deny what stands before it.
const PERCEIVED: [&str; 22] = [
    "seen",
    "identified",
    "visualized",
    "visualised",
    "evident",
    "present",
    "appreciated",
    "demonstrated",
    "noted",
    "detected",
    "observed",
    "apparent",
    "found",
    "recognized",
    "visible",
    "shown",
    "suspected",
    "suggested",
    "conspicuous",
    "confirmed",
    "definite",
    "there",
];

/// Verbs after "not" that deny what stands after it.
const PERCEIVES: [&str; 19] = [
    "demonstrate",
    "show",
    "reveal",
    "have",
    "suggest",
    "indicate",
    "identify",
    "represent",
    "contain",
    "see",
    "appreciate",
    "exhibit",
    "a",
    "an",
    "any",
    "acute",
    "consistent",
    "compatible",
    "suggestive",
];

/// Say of all that goes before that it is not there, where they end the sentence: "Effusion: none."
const ANSWERS: [&str; 7] = ["no", "none", "nil", "absent", "negative", "excluded", "resolved"];

/// All cues of a sentence.
pub(super) fn find(words: &[Word<'_>]) -> Vec<Cue> {
    let mut cues = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let cue = answer(words, at).or_else(|| listed(words, at)).or_else(|| not(words, at));
        match cue {
            Some(cue) => {
                at = cue.to;
                cues.push(cue);
            }
            None => at += 1,
        }
    }
    cues
}

/// The cues by their first word, in the order of the list.
static BY_FIRST_WORD: LazyLock<HashMap<&str, Vec<usize>>> = LazyLock::new(|| {
    let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, (phrase, ..)) in CUES.iter().enumerate() {
        let first = phrase.split(' ').next().expect("a cue has a word");
        index.entry(first).or_default().push(place);
    }
    index
});

fn listed(words: &[Word<'_>], at: usize) -> Option<Cue> {
    let candidates = BY_FIRST_WORD.get(words[at].text)?;
    let fits = |phrase: &str| {
        let mut rest = words[at..].iter();
        phrase.split(' ').all(|part| rest.next().is_some_and(|word| word.is(part)))
    };
    let &(phrase, kind, way) = candidates.iter().map(|&place| &CUES[place]).find(|(phrase, ..)| fits(phrase))?;
    let to = at + phrase.split(' ').count();
    let denial = matches!(phrase, "no" | "without");
    if denial {
        let adjectives = words[to..].iter().take_while(|word| word.is_any(&BEFORE_CHANGE)).count();
        if words.get(to + adjectives).is_some_and(|word| word.is_any(&CHANGE)) {
            return None;
        }
    }
    Some(Cue { kind, way, from: at, to })
}

/// The last word of a sentence, where it answers what goes before: "Pneumothorax: no", "Effusion - absent".
fn answer(words: &[Word<'_>], at: usize) -> Option<Cue> {
    let is_last = at > 0 && at + 1 == words.len();
    (is_last && words[at].is_any(&ANSWERS)).then(|| Cue { kind: Denies, way: Backward, from: at, to: at + 1 })
}

/// "is not definitely seen" reaches back, "does not demonstrate" forward; "not enlarged" is the heart's affair.
fn not(words: &[Word<'_>], at: usize) -> Option<Cue> {
    if !words[at].is_any(&["not", "isn't", "aren't", "wasn't", "weren't", "doesn't", "don't", "didn't"]) {
        return None;
    }
    (at + 1..words.len().min(at + 4)).find_map(|next| {
        let word = words[next];
        let cue = |kind, way| Some(Cue { kind, way, from: at, to: next + 1 });
        if word.is_any(&PERCEIVED) {
            cue(Denies, Backward)
        } else if word.is_any(&PERCEIVES) {
            cue(Denies, Forward)
        } else {
            None
        }
    })
}
