//! "Heart size is normal", "enlarged cardiac silhouette": the heart and the mediastinum are named in most reports, and
//! whether they are too large is said elsewhere in the sentence.

use super::Label;
use super::words::Word;

const ENLARGED: [&str; 16] = [
    "enlarged",
    "enlargement",
    "large",
    "larger",
    "widened",
    "widening",
    "increased",
    "dilated",
    "dilatation",
    "wide",
    "enlarging",
    "generous",
    "big",
    "globular",
    "expanded",
    "cardiomegaly",
];

const NORMAL: [&str; 10] = [
    "normal",
    "unremarkable",
    "normally",
    "nonenlarged",
    "intact",
    "negative",
    "midline",
    "acceptable",
    "appropriate",
    "clear",
];

/// End the search for what is said of the heart.
const BREAKS: [&str; 12] =
    [";", "but", "however", "although", "though", "except", "while", "whereas", "which", "with", "without", "("];

/// Other things that may be large: a word for size right before them is theirs.
const OTHERS: [&str; 24] = [
    "aorta",
    "aortic",
    "lung",
    "lungs",
    "hilum",
    "hila",
    "hilar",
    "pulmonary",
    "vascularity",
    "vasculature",
    "vessels",
    "effusion",
    "effusions",
    "hernia",
    "markings",
    "interstitial",
    "opacity",
    "opacities",
    "density",
    "arteries",
    "artery",
    "bony",
    "osseous",
    "degenerative",
];

/// How many words behind the heart are looked at.
const FARTHEST: usize = 40;

/// What the sentence says of the size of what its words `from..to` name; `None` where it says nothing of it.
pub(super) fn state(words: &[Word<'_>], from: usize, to: usize) -> Option<Label> {
    before(words, from).or_else(|| after(words, to))
}

/// "enlarged heart", "mild enlargement of the cardiac silhouette", "normal heart size", "borderline enlarged heart".
fn before(words: &[Word<'_>], from: usize) -> Option<Label> {
    let mut found = None;
    for at in (from.saturating_sub(5)..from).rev() {
        let word = words[at];
        let links = word.is_any(&[
            "of",
            "the",
            "in",
            "a",
            "an",
            "mildly",
            "mild",
            "moderate",
            "moderately",
            "slightly",
            "slight",
            "size",
            "size",
            "overall",
            "stable",
            "markedly",
            "and",
            "grossly",
            "upper",
            "limits",
            "borderline",
            "minimally",
            "severe",
        ]);
        if word.is_any(&["borderline", "prominent"]) {
            return Some(Label::Uncertain);
        }
        if word.is_any(&ENLARGED) {
            found = Some(if denied(words, at) { Label::Negative } else { Label::Positive });
        } else if word.is_any(&NORMAL) && found.is_none() {
            found = Some(Label::Negative);
        } else if !links {
            break;
        }
    }
    found
}

fn after(words: &[Word<'_>], to: usize) -> Option<Label> {
    let mut found = None;
    for at in to..words.len().min(to + FARTHEST) {
        let word = words[at];
        if word.is_any(&BREAKS) {
            break;
        }
        let next = words.get(at + 1).copied();
        if word.is_any(&["borderline", "prominent"]) || is_upper_limit(words, at) {
            return Some(Label::Uncertain);
        }
        let limits =
            word.is("limits") && words[at.saturating_sub(2)..at].iter().any(|w| w.is_any(&["normal", "within"]));
        if word.is_any(&NORMAL) || limits {
            // "normal in size", but "upper limits of normal" was seen above, and "the top normal" is one.
            return Some(Label::Negative);
        }
        if word.is_any(&ENLARGED) && !next.is_some_and(|next| next.is_any(&OTHERS)) {
            found = Some(if denied(words, at) { Label::Negative } else { Label::Positive });
            break;
        }
    }
    found
}

/// "upper limits of normal", "top normal", "upper normal", "high normal".
fn is_upper_limit(words: &[Word<'_>], at: usize) -> bool {
    let high = words[at].is_any(&["upper", "top", "high"]);
    high && words[at + 1..].iter().take(4).any(|word| word.is("normal"))
}

/// "not enlarged", "no significant enlargement", "without enlargement", "nor widened".
fn denied(words: &[Word<'_>], at: usize) -> bool {
    words[at.saturating_sub(4)..at].iter().any(|word| word.is_any(&["not", "no", "without", "nor", "neither", "isn't"]))
}
