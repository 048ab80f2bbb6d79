//! A plain reader of observations: words that name a finding, and whether a negation or a doubt stands with them.
//!
//! It serves to see what a corpus talks about. It knows the 14 observations of CheXpert (Irvin et al. 2019) by a few
//! phrases each, takes a negation or a doubt as far as the clause goes, and is no labeller to score a model with.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::observations::{Mention, ObservationReader};
use super::sentences;

/// Observations in CheXpert's order.
const OBSERVATIONS: [&str; 14] = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
];
const NO_FINDING: usize = 0;
const CARDIOMEGALY: usize = 2;
const SUPPORT_DEVICES: usize = 13;

/// Phrases, by observation; where two fit, the longer counts. The empty list is that of the derived "No Finding".
const PHRASES: [&[&str]; 14] = [
    &[],
    &["widened mediastinum", "mediastinal widening", "mediastinum is widened", "enlarged mediastinum"],
    &["cardiomegaly", "cardiac enlargement", "enlarged heart", "enlarged cardiac silhouette"],
    &[
        "nodule",
        "nodules",
        "nodular opacity",
        "nodular opacities",
        "mass",
        "masses",
        "lesion",
        "lesions",
        "granuloma",
        "granulomas",
        "metastases",
        "cavity",
        "cavitation",
    ],
    &[
        "opacity",
        "opacities",
        "opacification",
        "opacifications",
        "infiltrate",
        "infiltrates",
        "infiltration",
        "infiltrations",
        "ground glass",
        "ground-glass",
        "airspace disease",
        "air-space disease",
        "scarring",
        "fibrosis",
        "interstitial markings",
        "reticulation",
    ],
    &["edema", "oedema", "vascular congestion", "pulmonary congestion", "heart failure", "vascular redistribution"],
    &["consolidation", "consolidations", "consolidative"],
    &["pneumonia", "pneumonias", "pneumonitis", "bronchopneumonia"],
    &["atelectasis", "atelectases", "atelectatic", "lobar collapse", "lung collapse", "volume loss"],
    &["pneumothorax", "pneumothoraces"],
    &[
        "pleural effusion",
        "pleural effusions",
        "effusion",
        "effusions",
        "pleural fluid",
        "hydrothorax",
        "blunted costophrenic angle",
        "blunting of the costophrenic angle",
    ],
    &["pleural thickening", "pleural plaque", "pleural plaques", "pleural scarring", "fibrothorax"],
    &["fracture", "fractures", "fractured"],
    &[
        "pacemaker",
        "endotracheal tube",
        "tracheostomy",
        "nasogastric tube",
        "ng tube",
        "et tube",
        "chest tube",
        "chest tubes",
        "central line",
        "central venous",
        "catheter",
        "catheters",
        "picc",
        "port-a-cath",
        "icd",
        "sternotomy wires",
        "sternal wires",
        "prosthetic valve",
        "stent",
        "support devices",
        "intubated",
        "pigtail",
    ],
];

/// Phrases that look like a finding and are none.
const IGNORED: [&str; 6] =
    ["pericardial effusion", "muscle mass", "body mass", "bone lesion", "bone lesions", "joint effusion"];

/// Words before a finding that deny it.
const DENIALS: [&str; 11] =
    ["no", "not", "without", "negative", "free", "absence", "absent", "neither", "nor", "denies", "never"];
/// Words after a finding that deny it, where `not` or `no longer` stands before them.
const SEEN: [&str; 12] = [
    "seen",
    "identified",
    "present",
    "evident",
    "noted",
    "demonstrated",
    "visualized",
    "visualised",
    "detected",
    "appreciated",
    "observed",
    "found",
];
/// Words that cast doubt on a finding in their clause.
const DOUBTS: [&str; 25] = [
    "possible",
    "possibly",
    "probable",
    "probably",
    "may",
    "might",
    "could",
    "suspected",
    "suspicious",
    "suspicion",
    "question",
    "questionable",
    "likely",
    "suggest",
    "suggests",
    "suggesting",
    "suggestive",
    "versus",
    "vs",
    "concerning",
    "equivocal",
    "presumably",
    "cannot",
    "can't",
    "differential",
];
/// Words at which a denial ends.
const TURNS: [&str; 9] = ["but", "however", "although", "though", "with", "while", "except", "which", "there"];
/// Endings of a sentence that deny what stands before.
const RESOLVED: [&str; 4] = ["resolved", "excluded", "cleared", "disappeared"];

/// The reader.
#[derive(Debug, Clone, Copy, Default)]
pub struct MentionLexicon;

impl ObservationReader for MentionLexicon {
    fn description(&self) -> &'static str {
        "Read from the texts by a plain list of words with negation and doubt: good enough to see what the reports talk \
         about, not a labeller to score a model with."
    }

    fn observations(&self) -> &[&'static str] {
        &OBSERVATIONS
    }

    fn read(&self, text: &str) -> Vec<Option<Mention>> {
        let mut said = [None; OBSERVATIONS.len()];
        for sentence in sentences::split(text) {
            read_sentence(sentence, &mut said);
        }
        let anything = |at: usize| matches!(said[at], Some(Mention::Positive | Mention::Uncertain));
        if !(1..SUPPORT_DEVICES).any(anything) {
            said[NO_FINDING] = Some(Mention::Positive);
        }
        said.to_vec()
    }
}

/// What a phrase names: an observation, or nothing.
type Named = Option<usize>;

type PhraseIndex = HashMap<&'static str, Vec<(Vec<&'static str>, Named)>>;

/// Phrases by their first word, the longer first.
static BY_FIRST_WORD: LazyLock<PhraseIndex> = LazyLock::new(|| {
    let named =
        PHRASES.iter().enumerate().flat_map(|(at, phrases)| phrases.iter().map(move |phrase| (*phrase, Some(at))));
    let ignored = IGNORED.iter().map(|phrase| (*phrase, None));
    let mut by_first_word: HashMap<_, Vec<_>> = HashMap::new();
    for (phrase, named) in named.chain(ignored) {
        let words: Vec<&str> = phrase.split(' ').collect();
        by_first_word.entry(words[0]).or_default().push((words, named));
    }
    for phrases in by_first_word.values_mut() {
        phrases.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
    }
    by_first_word
});

fn read_sentence(sentence: &str, said: &mut [Option<Mention>; OBSERVATIONS.len()]) {
    let lower = sentence.to_lowercase();
    // Commas stay, as words of their own: a clause may end there.
    let spaced = lower.replace(',', " , ");
    let words: Vec<&str> = spaced
        .split(|letter: char| letter.is_whitespace() || matches!(letter, '/' | '(' | ')' | ':' | '"'))
        .map(|word| if word == "," { word } else { word.trim_matches(|letter: char| !letter.is_alphanumeric()) })
        .filter(|word| !word.is_empty())
        .collect();
    let mut at = 0;
    while at < words.len() {
        let phrases = BY_FIRST_WORD.get(words[at]).map_or(&[][..], Vec::as_slice);
        if let Some((phrase, named)) = phrases.iter().find(|(phrase, _)| words[at..].starts_with(phrase)) {
            if let Some(observation) = named {
                note(said, *observation, judge(&words, at, phrase.len()));
            }
            at += phrase.len();
        } else {
            if is_large_heart(&words, at) {
                note(said, CARDIOMEGALY, judge(&words, at, 1));
            }
            at += 1;
        }
    }
}

/// "The heart is (mildly) enlarged": the adjective after its heart.
fn is_large_heart(words: &[&str], at: usize) -> bool {
    matches!(words[at], "enlarged" | "enlargement")
        && words[at.saturating_sub(6)..at].iter().any(|word| matches!(*word, "heart" | "cardiac" | "cardiomediastinal"))
}

/// Whether the finding at `at` is claimed, doubted or denied in its clause.
fn judge(words: &[&str], at: usize, length: usize) -> Mention {
    let start = words[..at].iter().rposition(|word| TURNS.contains(word)).map_or(0, |turn| turn + 1);
    let before = &words[start..at];
    let after = &words[at + length..];
    let clause = after.iter().position(|word| TURNS.contains(word) || *word == ",").unwrap_or(after.len());
    let after = &after[..clause];
    let cannot = before.iter().chain(after).any(|word| matches!(*word, "cannot" | "can't"));
    let denied_before = (0..before.len()).any(|word| denies(&before[word..]));
    let denied_after = after.iter().any(|word| RESOLVED.contains(word))
        || after
            .iter()
            .position(|word| matches!(*word, "not" | "no"))
            .is_some_and(|not| after[not..].iter().any(|word| SEEN.contains(word)))
        || after.contains(&"absent");
    if cannot || before.iter().chain(after).any(|word| DOUBTS.contains(word)) {
        return Mention::Uncertain;
    }
    if denied_before || denied_after { Mention::Negative } else { Mention::Positive }
}

/// Whether the first of `words` denies what follows: "no (significant, interval) change in the effusion" does not.
fn denies(words: &[&str]) -> bool {
    let next = words[1..].iter().find(|word| !matches!(**word, "significant" | "interval" | "appreciable"));
    DENIALS.contains(&words[0]) && next != Some(&"change")
}

/// Over the sentences of a report, present beats uncertain beats denied.
fn note(said: &mut [Option<Mention>; OBSERVATIONS.len()], observation: usize, mention: Mention) {
    let weight = |mention: Mention| match mention {
        Mention::Positive => 2,
        Mention::Uncertain => 1,
        Mention::Negative => 0,
    };
    if said[observation].is_none_or(|before| weight(before) < weight(mention)) {
        said[observation] = Some(mention);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, Mention)]) {
        let said = MentionLexicon.read(text);
        let found: Vec<_> =
            OBSERVATIONS.iter().zip(said).filter_map(|(name, mention)| Some((*name, mention?))).collect();
        assert_eq!(found, expected, "{text}");
    }

    use Mention::{Negative, Positive, Uncertain};

    #[test]
    fn findings_are_claimed_denied_and_doubted() {
        check("Small left pleural effusion.", &[("Pleural Effusion", Positive)]);
        check("The heart is mildly enlarged.", &[("Cardiomegaly", Positive)]);
        check(
            "No pneumothorax, effusion or focal consolidation.",
            &[
                ("No Finding", Positive),
                ("Consolidation", Negative),
                ("Pneumothorax", Negative),
                ("Pleural Effusion", Negative),
            ],
        );
        check("Opacity may represent pneumonia.", &[("Lung Opacity", Uncertain), ("Pneumonia", Uncertain)]);
        check("Pneumonia cannot be excluded.", &[("Pneumonia", Uncertain)]);
        check("Pneumothorax is not seen.", &[("No Finding", Positive), ("Pneumothorax", Negative)]);
        check("The effusion has resolved.", &[("No Finding", Positive), ("Pleural Effusion", Negative)]);
    }

    #[test]
    fn a_denial_ends_where_the_sentence_turns() {
        check("No pneumothorax but a small effusion.", &[("Pneumothorax", Negative), ("Pleural Effusion", Positive)]);
        check("No change in the right effusion.", &[("Pleural Effusion", Positive)]);
        check("No significant effusion.", &[("No Finding", Positive), ("Pleural Effusion", Negative)]);
        check("No pneumothorax. Right nodule.", &[("Lung Lesion", Positive), ("Pneumothorax", Negative)]);
    }

    #[test]
    fn what_only_looks_like_a_finding_is_none() {
        check("Pericardial effusion.", &[("No Finding", Positive)]);
        check("The heart is normal. The liver is enlarged.", &[("No Finding", Positive)]);
        check("Pacemaker in place.", &[("No Finding", Positive), ("Support Devices", Positive)]);
        check("", &[("No Finding", Positive)]);
    }

    #[test]
    fn the_strongest_claim_of_a_report_counts() {
        check("Possible effusion. Impression: left effusion.", &[("Pleural Effusion", Positive)]);
        check("No effusion. Possible effusion.", &[("Pleural Effusion", Uncertain)]);
    }
}
