//! What a sentence says of the common findings: a small reader by rule, for warnings alone.
//!
//! It is no measure of anything (the trainer has a thorough one): where it is unsure it stays silent.

/// Words for each finding, in lower case; a trailing `*` lets the word go on.
const FINDINGS: [(&str, &[&str]); 8] = [
    ("effusion", &["effusion*"]),
    ("pneumothorax", &["pneumothora*"]),
    ("consolidation", &["consolidat*", "pneumonia*", "airspace disease", "airspace opacit*"]),
    ("nodule", &["nodul*", "mass", "masses", "round opacity", "rounded opacity"]),
    ("cardiomegaly", &["cardiomegal*"]),
    ("edema", &["edema", "oedema"]),
    ("atelectasis", &["atelecta*"]),
    ("fracture", &["fractur*"]),
];

/// Words that deny what follows, up to the end of their clause.
const DENY_AFTER: [&str; 10] =
    ["no", "without", "not", "neither", "nor", "never", "negative for", "free of", "absence of", "clear of"];

/// Words that deny what stands before them in their clause.
const DENY_BEFORE: [&str; 6] = ["not seen", "not present", "not identified", "absent", "excluded", "resolved"];

/// Words that leave a finding open: then nothing is said of it.
const DOUBT: [&str; 13] = [
    "may",
    "possible",
    "possibly",
    "cannot",
    "questionable",
    "suspected",
    "versus",
    "or",
    "if",
    "exclude",
    "difficult",
    "previous",
    "history of",
];

/// Words that end what a denial reaches.
const CLAUSE_ENDS: [&str; 4] = ["but", "however", "although", "except"];

/// A side of the body, as far as a sentence names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The patient's left.
    Left,
    /// The patient's right.
    Right,
    /// Both.
    Both,
    /// None is named.
    Unsaid,
}

impl Side {
    /// Whether two statements can be about the same place.
    pub fn meets(self, other: Self) -> bool {
        !matches!((self, other), (Self::Left, Self::Right) | (Self::Right, Self::Left))
    }

    /// Whether one says left and the other right.
    pub fn opposes(self, other: Self) -> bool {
        !self.meets(other)
    }
}

/// A statement on a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mention {
    /// Which.
    pub finding: &'static str,
    /// Where.
    pub side: Side,
    /// Whether it is said to be there.
    pub present: bool,
}

/// All statements of a sentence, in the order of its clauses.
pub fn mentions(sentence: &str) -> Vec<Mention> {
    clauses(sentence).iter().flat_map(|clause| of_clause(clause)).collect()
}

/// Whether a sentence calls the whole picture normal.
pub fn calls_all_normal(sentence: &str) -> bool {
    let words = words_of(sentence);
    let says = |phrase: &str| find(&words, phrase).is_some();
    says("no acute") && (says("abnormal*") || says("disease*") || says("process*") || says("finding*"))
        || says("no active disease")
        || says("normal chest")
        || says("no abnormal*")
        || says("normal study")
}

fn words_of(sentence: &str) -> Vec<String> {
    let split = |c: char| !(c.is_alphanumeric() || c == '\'');
    sentence.split(split).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The words of each part between full stops, semicolons and words like "but".
fn clauses(sentence: &str) -> Vec<Vec<String>> {
    let mut clauses = Vec::new();
    for part in parts(sentence) {
        let mut clause = Vec::new();
        for word in words_of(part) {
            if CLAUSE_ENDS.contains(&word.as_str()) {
                clauses.push(std::mem::take(&mut clause));
            } else {
                clause.push(word);
            }
        }
        clauses.push(clause);
    }
    clauses.retain(|clause| !clause.is_empty());
    clauses
}

/// The parts of a sentence between marks that end one; the point of a number is none.
fn parts(sentence: &str) -> Vec<&str> {
    let ends = |&(at, mark): &(usize, char)| {
        let number = mark == '.' && sentence[at + 1..].starts_with(|next: char| next.is_ascii_digit());
        matches!(mark, '.' | ';' | ':' | '!' | '?') && !number
    };
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, _) in sentence.char_indices().filter(ends) {
        parts.push(&sentence[start..at]);
        start = at + 1;
    }
    parts.push(&sentence[start..]);
    parts
}

/// Where a phrase stands among words: its first word and the word after it.
fn find(words: &[String], phrase: &str) -> Option<(usize, usize)> {
    let wanted: Vec<&str> = phrase.split(' ').collect();
    let same = |(word, wanted): (&String, &&str)| match wanted.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => word == wanted,
    };
    let place = words.windows(wanted.len()).position(|window| window.iter().zip(&wanted).all(same))?;
    Some((place, place + wanted.len()))
}

fn of_clause(words: &[String]) -> Vec<Mention> {
    // "or" under a denial lists what is denied; elsewhere it is a doubt.
    let denial = DENY_AFTER.iter().filter_map(|phrase| find(words, phrase)).map(|(_, end)| end).min();
    let doubt = DOUBT.iter().any(|phrase| find(words, phrase).is_some() && !(*phrase == "or" && denial.is_some()));
    if doubt {
        return Vec::new();
    }
    let denied_behind = DENY_BEFORE.iter().filter_map(|phrase| find(words, phrase)).map(|(start, _)| start).max();
    let stated =
        |place: usize| denial.is_none_or(|from| place < from) && denied_behind.is_none_or(|until| place >= until);
    let named = named(words);
    let mut found = Vec::new();
    // A side stands before its finding ("left effusion") or else behind it ("effusion on the left"), and belongs to one.
    let mut used = 0;
    for (place, &(finding, start, end)) in named.iter().enumerate() {
        let next = named.get(place + 1).map_or(words.len(), |&(_, next, _)| next);
        let mut side = side_of(&words[used.min(start)..start]);
        used = end;
        if side == Side::Unsaid {
            side = side_of(&words[end..next]);
            used = next;
        }
        found.push(Mention { finding, side, present: stated(start) });
    }
    found.extend(heart(words, stated));
    found
}

/// Every finding that is named, in order: which, its first word and the word behind it.
fn named(words: &[String]) -> Vec<(&'static str, usize, usize)> {
    let mut named = Vec::new();
    for (finding, phrases) in FINDINGS {
        for phrase in phrases {
            let mut from = 0;
            while let Some((start, end)) = find(&words[from..], phrase) {
                named.push((finding, from + start, from + end));
                from += end;
            }
        }
    }
    named.sort_by_key(|&(_, start, _)| start);
    named
}

/// Cardiomegaly in other words: an enlarged heart, or one of normal size.
fn heart(words: &[String], stated: impl Fn(usize) -> bool) -> Option<Mention> {
    let named = ["heart", "cardiac silhouette", "cardiac size", "cardiomediastinal silhouette"];
    named.iter().find_map(|phrase| find(words, phrase))?;
    let mention = |present| Some(Mention { finding: "cardiomegaly", side: Side::Unsaid, present });
    if let Some((place, _)) = find(words, "enlarge*").or_else(|| find(words, "increased")) {
        return mention(stated(place));
    }
    let size = find(words, "size").is_some() || find(words, "heart is normal").is_some();
    if size && find(words, "normal").is_some_and(|(place, _)| stated(place)) { mention(false) } else { None }
}

fn side_of(words: &[String]) -> Side {
    let names = |phrases: &[&str]| phrases.iter().any(|phrase| find(words, phrase).is_some());
    let both = names(&["bilateral*", "both"]);
    match (names(&["left", "left-sided"]), names(&["right", "right-sided"])) {
        (true, true) => Side::Both,
        _ if both => Side::Both,
        (true, false) => Side::Left,
        (false, true) => Side::Right,
        (false, false) => Side::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_read_with_side_and_denial() {
        for (sentence, finding, side, present) in [
            ("Small left pleural effusion.", "effusion", Side::Left, true),
            ("No pleural effusion.", "effusion", Side::Unsaid, false),
            ("There is no right pneumothorax.", "pneumothorax", Side::Right, false),
            ("Bilateral effusions are present.", "effusion", Side::Both, true),
            ("Pneumothorax is not seen.", "pneumothorax", Side::Unsaid, false),
            ("The heart is enlarged.", "cardiomegaly", Side::Unsaid, true),
            ("The heart is not enlarged.", "cardiomegaly", Side::Unsaid, false),
            ("Heart size is normal.", "cardiomegaly", Side::Unsaid, false),
            ("Rounded nodule in the right upper zone.", "nodule", Side::Right, true),
            ("Round nodule of about 1.5 cm in the left mid zone.", "nodule", Side::Left, true),
        ] {
            assert_eq!(mentions(sentence), [Mention { finding, side, present }], "{sentence}");
        }
    }

    #[test]
    fn a_denial_reaches_to_the_end_of_its_clause_and_over_lists() {
        let seen = mentions("No effusion, consolidation or pneumothorax.");
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|mention| !mention.present), "{seen:?}");
        let seen = mentions("No pneumothorax, but a small right effusion.");
        assert_eq!(seen.iter().map(|mention| mention.present).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn each_finding_has_its_own_side() {
        let seen = |sentence: &str| mentions(sentence).iter().map(|it| (it.finding, it.side)).collect::<Vec<_>>();
        assert_eq!(
            seen("Right lower zone consolidation, left mid zone consolidation and left mid zone nodule."),
            [("consolidation", Side::Right), ("consolidation", Side::Left), ("nodule", Side::Left)]
        );
        assert_eq!(
            seen("Nodule in the left lower zone and effusion on the right."),
            [("nodule", Side::Left), ("effusion", Side::Right)]
        );
        assert_eq!(seen("Effusions in the left and right pleural spaces."), [("effusion", Side::Both)]);
    }

    #[test]
    fn what_is_left_open_is_not_read() {
        for sentence in ["Possible left effusion.", "Effusion cannot be excluded.", "Consolidation or atelectasis."] {
            assert_eq!(mentions(sentence), [], "{sentence}");
        }
    }

    #[test]
    fn a_normal_picture_is_recognised() {
        assert!(calls_all_normal("No acute cardiopulmonary disease."));
        assert!(calls_all_normal("No acute abnormality."));
        assert!(!calls_all_normal("No acute fracture."));
        assert!(!calls_all_normal("Left effusion."));
    }
}
