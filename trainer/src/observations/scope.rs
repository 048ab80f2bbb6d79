//! Which cue reaches which phrase.

use std::ops::Range;

use super::attributes;
use super::cues::{self, Cue, Kind, Way};
use super::find::{Found, find};
use super::heart;
use super::lexicon::Concept;
use super::words::{Sentence, Word};
use super::{Label, Mention, Observation};

/// What a sentence states.
#[derive(Debug, Default)]
pub(super) struct Stated {
    pub mentions: Vec<Mention>,
    /// It states an abnormality that is none of the 13.
    pub other_finding: bool,
}

/// End every scope.
const BREAKS: [&str; 12] =
    [";", "but", "however", "although", "though", "except", "yet", "while", "whereas", "despite", "which", "there"];

/// Show that a part between commas is a statement of its own.
const VERBS: [&str; 24] = [
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "appears",
    "appear",
    "remains",
    "remain",
    "demonstrates",
    "demonstrate",
    "shows",
    "show",
    "persists",
    "projects",
    "overlies",
    "suggests",
    "reflects",
    "represents",
    "lies",
    "ends",
    "terminates",
    "obscures",
];

/// Begin a statement rather than go on with a list of what is denied.
const BEGINNINGS: [&str; 44] = [
    "the",
    "a",
    "an",
    "heart",
    "cardiac",
    "lungs",
    "lung",
    "bony",
    "osseous",
    "mediastinum",
    "mediastinal",
    "pulmonary",
    "small",
    "mild",
    "minimal",
    "moderate",
    "large",
    "trace",
    "tiny",
    "slight",
    "severe",
    "marked",
    "stable",
    "unchanged",
    "persistent",
    "left",
    "right",
    "bilateral",
    "bibasilar",
    "patchy",
    "increased",
    "decreased",
    "new",
    "old",
    "healed",
    "chronic",
    "calcified",
    "degenerative",
    "low",
    "mildly",
    "stably",
    "again",
    "status",
    "interval",
];

/// A statement is rarely meant for what stands further away, in words.
const FARTHEST: usize = 30;

/// Reads one sentence.
pub(super) fn state(sentence: &Sentence<'_>) -> Stated {
    let words = &sentence.words;
    let found = find(words);
    if found.is_empty() {
        return Stated::default();
    }
    let cues = cues::find(words);
    let mut stated = Stated::default();
    for (index, phrase) in found.iter().enumerate() {
        let Some((label, observations)) = judged(words, phrase, &cues) else { continue };
        if phrase.concept == Concept::Other {
            stated.other_finding |= label != Label::Negative;
            continue;
        }
        let earliest = index.checked_sub(1).map_or(0, |before| found[before].to);
        let latest = found.get(index + 1).map_or(words.len(), |next| next.from);
        let attributes = attributes::of(words, phrase.from, phrase.to, earliest, latest);
        stated.mentions.extend(observations.iter().map(|&observation| Mention {
            observation,
            label,
            sides: attributes.sides,
            grade: attributes.grade,
            millimetres: attributes.millimetres,
            sentence: sentence.span,
        }));
    }
    stated
}

/// The label of a phrase and what it names; `None` where nothing is said.
pub(super) fn judged<'f>(words: &[Word<'_>], phrase: &'f Found, cues: &[Cue]) -> Option<(Label, &'f [Observation])> {
    match &phrase.concept {
        Concept::Nothing => None,
        Concept::Other => Some((asserted(words, phrase, cues)?, &[])),
        Concept::Names(observations) => Some((asserted(words, phrase, cues)?, observations)),
        Concept::Anatomy(observation) => {
            let label = heart::state(words, phrase.from, phrase.to)?;
            Some((label, std::slice::from_ref(observation)))
        }
    }
}

/// What the words around a phrase say of it; `None` where nothing is said.
fn asserted(words: &[Word<'_>], phrase: &Found, cues: &[Cue]) -> Option<Label> {
    verdict(words, phrase.from..phrase.to, cues).map(|(label, _)| label)
}

/// CheXpert's order: doubt about a denial, denial, doubt, else positive. With the cue that decides; `None` where nothing is
/// said.
pub(super) fn verdict(words: &[Word<'_>], phrase: Range<usize>, cues: &[Cue]) -> Option<(Label, Option<Cue>)> {
    // Cues stand in order: only those nearby can reach, however long the sentence is.
    let first = cues.partition_point(|cue| cue.to + FARTHEST < phrase.start);
    let cues = cues[first..].iter().take_while(|cue| cue.from <= phrase.end + FARTHEST);
    let reaching = |kind: Kind| cues.clone().find(|cue| cue.kind == kind && reaches(words, cue, &phrase)).copied();
    if let Some(cue) = reaching(Kind::DoubtsDenial) {
        Some((Label::Uncertain, Some(cue)))
    } else if let Some(cue) = reaching(Kind::Denies) {
        Some((Label::Negative, Some(cue)))
    } else if reaching(Kind::Asks).is_some() {
        None
    } else if let Some(cue) = reaching(Kind::Doubts) {
        Some((Label::Uncertain, Some(cue)))
    } else {
        Some((Label::Positive, None))
    }
}

fn reaches(words: &[Word<'_>], cue: &Cue, phrase: &Range<usize>) -> bool {
    if cue.to <= phrase.start {
        return cue.way != Way::Backward && phrase.start - cue.to <= FARTHEST && goes_on(words, cue.to, phrase.start);
    }
    let between = words.get(phrase.end..cue.from).unwrap_or_default();
    phrase.end <= cue.from
        && cue.way != Way::Forward
        && between.len() <= FARTHEST
        && !between.iter().any(|word| word.is_any(&BREAKS) || word.is_any(&["with", "without"]))
}

/// Whether a cue before `from` still holds at `to`: no new statement begins between them.
fn goes_on(words: &[Word<'_>], from: usize, to: usize) -> bool {
    (from..to).all(|at| {
        let word = words[at];
        if word.is_any(&BREAKS) {
            return false;
        }
        !(word.is_any(&[",", "and", "with"]) && begins_statement(words, at))
    })
}

/// Whether what follows the comma or the "and" at `at` is a statement of its own and no further member of a list.
fn begins_statement(words: &[Word<'_>], at: usize) -> bool {
    let rest = &words[at + 1..words.len().min(at + 1 + FARTHEST)];
    let Some(first) = rest.first() else { return false };
    if first.is_any(&["or", "nor", "and", "no"]) {
        return false;
    }
    let end = rest.iter().position(|word| word.is_any(&BREAKS)).unwrap_or(rest.len());
    let clause = &rest[..end];
    let begins = first.is_any(&BEGINNINGS);
    // "no effusion, left pneumothorax or fracture" is one list.
    let list = clause.iter().take(8).position(|word| word.is_any(&["or", "nor"]));
    let verb = clause.iter().position(|word| word.is_any(&VERBS));
    match (list, verb) {
        (Some(list), Some(verb)) if list < verb => false,
        (Some(_), None) => false,
        (_, Some(verb)) => begins && verb < clause.len(),
        (None, None) => begins,
    }
}
