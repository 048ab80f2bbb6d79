//! From WordPieces back to text as a radiologist would have typed it.
//!
//! BERT's tokenizer lower-cases, splits at every punctuation character and forgets the spaces around it; what stood
//! there is restored by rule. The rules move spaces and change case only. They never touch a digit, and since the
//! tokenizer forgets exactly what they restore, the text tokenizes to the same pieces again.

use std::iter::once;

/// Written in capitals wherever they stand. Words that are also plain English ("us", "or", "it") are left out.
const ACRONYMS: [&str; 60] = [
    "aicd", "ap", "ards", "avr", "bmi", "cabg", "chf", "copd", "covid", "cp", "crp", "ct", "cta", "cxr", "dvt", "ecg",
    "ecmo", "ekg", "ett", "ggo", "gi", "hiv", "icd", "icu", "ii", "iii", "iv", "ivc", "ivcd", "ivdu", "jvp", "lad",
    "lll", "lul", "lv", "mri", "mvr", "ngt", "nsip", "ogt", "pa", "pacs", "pcp", "pcr", "pe", "pet", "pfo", "picc",
    "rll", "rml", "rul", "rv", "sars", "svc", "tavr", "tb", "tee", "uip", "vp", "wbc",
];

/// A full stop after these does not end a sentence.
const ABBREVIATIONS: [&str; 9] = ["dr", "mr", "mrs", "ms", "vs", "approx", "st", "fig", "prof"];

/// After these and a colon a new sentence begins.
const HEADINGS: [&str; 12] = [
    "findings",
    "finding",
    "impression",
    "indication",
    "comparison",
    "technique",
    "history",
    "conclusion",
    "exam",
    "examination",
    "recommendation",
    "recommendations",
];

/// What follows an apostrophe within a word.
const CONTRACTIONS: [&str; 7] = ["s", "t", "d", "m", "ll", "re", "ve"];

/// A number in front of a full stop is taken for a list item up to this.
const MAX_LIST_ITEM: u32 = 20;

/// Sets WordPieces (`##` continues a word) as text: joins words, sets spaces around punctuation, begins sentences and
/// headings with a capital, and writes known acronyms in capitals. `[UNK]` stays visible.
///
/// `["no", "effusion", ",", "1", ".", "5", "cm", "."]` becomes `No effusion, 1.5 cm.`
pub fn detokenize<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = Line::new(join_pieces(pieces));
    line.place_quotes();
    line.find_list_items();
    line.set()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    /// Digits only.
    Number,
    /// One punctuation character.
    Mark(char),
    Unknown,
}

#[derive(Debug)]
struct Token {
    text: String,
    kind: Kind,
    /// No space before.
    tight_before: bool,
    /// No space after.
    tight_after: bool,
    /// A number that counts the items of a list.
    list_item: bool,
}

impl Token {
    fn new(text: String) -> Self {
        let mut chars = text.chars();
        let kind = match (chars.next(), chars.next()) {
            _ if text == "[UNK]" => Kind::Unknown,
            (Some(mark), None) if is_mark(mark) => Kind::Mark(mark),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Kind::Number,
            _ => Kind::Word,
        };
        Self { text, kind, tight_before: false, tight_after: false, list_item: false }
    }

    /// Digits, or digits with a unit ("5cm") but no ordinal ("2nd").
    fn continues_number(&self) -> bool {
        self.text.as_bytes()[0].is_ascii_digit()
            && !["st", "nd", "rd", "th"].iter().any(|ending| self.text.ends_with(ending))
    }

    fn is_single_letter(&self) -> bool {
        self.text.len() == 1 && self.text.as_bytes()[0].is_ascii_alphabetic()
    }
}

/// What BERT splits at, as far as the rules below know it; other characters stand as words of their own.
fn is_mark(character: char) -> bool {
    character.is_ascii_punctuation() || "‐‑–—‘’“”…".contains(character)
}

/// Appends every `##` piece to the word before it.
fn join_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Token> {
    let mut words: Vec<String> = Vec::new();
    for piece in pieces {
        match (piece.strip_prefix("##"), words.last_mut()) {
            (Some(rest), Some(word)) if !word.chars().all(is_mark) && word != "[UNK]" => {
                word.push_str(rest);
            }
            // A model may start a word with a continuation; its letters still show.
            (Some(rest), _) if !rest.is_empty() => words.push(rest.to_owned()),
            _ => words.push(piece.to_owned()),
        }
    }
    words.into_iter().map(Token::new).collect()
}

struct Line {
    tokens: Vec<Token>,
}

impl Line {
    fn new(tokens: Vec<Token>) -> Self {
        Self { tokens }
    }

    fn at(&self, index: usize, offset: isize) -> Option<&Token> {
        self.tokens.get(index.checked_add_signed(offset)?)
    }

    fn kind(&self, index: usize, offset: isize) -> Option<Kind> {
        self.at(index, offset).map(|token| token.kind)
    }

    fn is_number(&self, index: usize, offset: isize) -> bool {
        self.kind(index, offset) == Some(Kind::Number)
    }

    fn is_mark(&self, index: usize, offset: isize, mark: char) -> bool {
        self.kind(index, offset) == Some(Kind::Mark(mark))
    }

    fn text(&self, index: usize, offset: isize) -> &str {
        self.at(index, offset).map_or("", |token| &token.text)
    }

    /// Quotation marks come in pairs; a mark without a partner stands for inches, feet or an apostrophe.
    fn place_quotes(&mut self) {
        for quote in ['"', '\''] {
            let mut opened: Option<usize> = None;
            for index in 0..self.tokens.len() {
                if !self.is_mark(index, 0, quote) {
                    continue;
                }
                if let Some((before, after)) = self.apostrophe(index, quote, opened.is_some()) {
                    (self.tokens[index].tight_before, self.tokens[index].tight_after) = (before, after);
                } else if let Some(open) = opened.take() {
                    self.tokens[open].tight_after = true;
                    self.tokens[index].tight_before = true;
                } else {
                    opened = Some(index);
                }
            }
            if let Some(open) = opened {
                self.tokens[open].tight_before = true;
                self.tokens[open].tight_after = quote == '\'' && !self.is_number(open, -1);
            }
        }
    }

    /// Tightness of a mark that is certainly no quotation mark.
    fn apostrophe(&self, index: usize, quote: char, within: bool) -> Option<(bool, bool)> {
        if quote != '\'' {
            return None;
        }
        let (before, after) = (self.at(index, -1)?, self.text(index, 1));
        if before.kind == Kind::Word && CONTRACTIONS.contains(&after) {
            return Some((true, true));
        }
        if before.is_single_letter() && !after.is_empty() {
            return Some((true, true));
        }
        (before.kind == Kind::Word && before.text.ends_with('s') && !within).then_some((true, false))
    }

    /// Finds "1." "2." … in front of sentences. After a number that is the only way to tell "in 2008. 1. Stable"
    /// from a decimal fraction, so an item counts only where the list has got to it.
    fn find_list_items(&mut self) {
        let mut next_item = 1;
        for index in 0..self.tokens.len() {
            let starts_sentence =
                index == 0 || matches!(self.kind(index, -1), Some(Kind::Mark('.' | ':' | ';' | '!' | '?')));
            let ends_in_stop =
                self.is_mark(index, 1, '.') && matches!(self.kind(index, 2), Some(Kind::Word | Kind::Unknown));
            if !self.is_number(index, 0) || !starts_sentence || !ends_in_stop {
                continue;
            }
            let Ok(item) = self.text(index, 0).parse::<u32>() else {
                continue;
            };
            let in_turn = item == next_item && item <= MAX_LIST_ITEM;
            let after_number = self.is_mark(index, -1, '.') && self.is_number(index, -2);
            let plausible =
                !after_number || item > 1 || self.text(index, -2).len() >= 3 || self.is_mark(index, -3, '/');
            if (in_turn || item == 1) && plausible {
                self.tokens[index].list_item = true;
                next_item = item + 1;
            }
        }
    }

    /// Writes the line: a space between two tokens unless one of them is tight on that side.
    fn set(mut self) -> String {
        for index in 0..self.tokens.len() {
            if let Kind::Mark(mark) = self.tokens[index].kind
                && let Some((before, after)) = self.tightness(index, mark)
            {
                (self.tokens[index].tight_before, self.tokens[index].tight_after) = (before, after);
            }
        }
        let mut text = String::new();
        let mut sentence_start = true;
        for (index, token) in self.tokens.iter().enumerate() {
            let tight = index == 0 || token.tight_before || self.tokens[index - 1].tight_after;
            if !tight {
                text.push(' ');
            }
            match token.kind {
                Kind::Mark(mark) => {
                    text.push(mark);
                    sentence_start |= self.starts_sentence_after(index, mark);
                }
                Kind::Word => {
                    text.push_str(&self.in_case(index, sentence_start));
                    sentence_start = false;
                }
                Kind::Number | Kind::Unknown => {
                    text.push_str(&token.text);
                    sentence_start &= token.list_item;
                }
            }
        }
        text
    }

    /// Whether a mark has no space before and after it; `None` leaves what `place_quotes` found.
    fn tightness(&self, index: usize, mark: char) -> Option<(bool, bool)> {
        let between_numbers = self.is_number(index, -1) && self.is_number(index, 1);
        Some(match mark {
            '"' | '\'' => return None,
            '.' => (true, self.is_decimal_point(index) || self.is_abbreviation_point(index)),
            ',' => {
                let thousands = between_numbers
                    && self.text(index, 1).len() == 3
                    && self.text(index, -1).len() <= 3
                    && !self.text(index, -1).starts_with('0');
                (true, thousands)
            }
            ':' => (true, between_numbers),
            ';' | '!' | '?' | '%' | '…' | ')' | ']' | '}' | '”' => (true, false),
            '(' | '[' | '{' => (self.is_plural_suffix(index), true),
            '“' | '‘' | '~' | '$' => (false, true),
            '#' | '<' | '>' => (false, self.is_number(index, 1)),
            // "2+", "cd4+", but "1 + 2"
            '+' => {
                let counts = self.text(index, -1).ends_with(|c: char| c.is_ascii_digit());
                (counts && !self.is_number(index, 1), false)
            }
            '/' | '\\' | '^' | '’' => (true, true),
            '_' => (self.is_mark(index, -1, '_'), self.is_mark(index, 1, '_')),
            '-' | '‐' | '‑' | '–' => self.hyphen(index, mark),
            _ => (false, false),
        })
    }

    /// "1.5" and "1.5cm", unless a list begins its next item there.
    fn is_decimal_point(&self, index: usize) -> bool {
        self.is_number(index, -1)
            && self.at(index, 1).is_some_and(|next| next.continues_number() && !next.list_item)
            && !self.at(index, -1).is_some_and(|before| before.list_item)
    }

    /// The points within "e.g." and "a.m.".
    fn is_abbreviation_point(&self, index: usize) -> bool {
        let single = |offset| self.at(index, offset).is_some_and(Token::is_single_letter);
        single(-1) && single(1) && self.is_mark(index, 2, '.')
    }

    /// "view(s)", "opacity(ies)".
    fn is_plural_suffix(&self, index: usize) -> bool {
        self.is_mark(index, 0, '(') && matches!(self.text(index, 1), "s" | "es" | "ies") && self.is_mark(index, 2, ')')
    }

    /// A hyphen joins what it stands between; a double one, or one at an edge, is a dash or a bullet.
    fn hyphen(&self, index: usize, mark: char) -> (bool, bool) {
        let (double_before, double_after) = (self.is_mark(index, -1, mark), self.is_mark(index, 1, mark));
        if double_before || double_after {
            return (double_before, double_after);
        }
        let joins_before = match self.kind(index, -1) {
            Some(Kind::Mark(before)) => ")]}%\"'’”_/".contains(before),
            other => other.is_some(),
        };
        let joins_after = match self.kind(index, 1) {
            Some(Kind::Mark(after)) => "([{\"'‘“_/".contains(after),
            other => other.is_some(),
        };
        let joins = joins_before && joins_after;
        (joins, joins)
    }

    fn starts_sentence_after(&self, index: usize, mark: char) -> bool {
        match mark {
            '!' | '?' => true,
            ':' => HEADINGS.contains(&self.text(index, -1)),
            '.' => {
                let within = self.is_decimal_point(index) || self.is_abbreviation_point(index);
                let closes_abbreviation = index >= 2 && self.is_abbreviation_point(index - 2);
                !within && !closes_abbreviation && !ABBREVIATIONS.contains(&self.text(index, -1))
            }
            _ => false,
        }
    }

    /// The word in the case that its place asks for.
    fn in_case(&self, index: usize, sentence_start: bool) -> String {
        let word = self.text(index, 0);
        let heading = HEADINGS.contains(&word) && self.is_mark(index, 1, ':');
        let spine = matches!(word, "c" | "t" | "l") && self.is_mark(index, 1, '-') && self.text(index, 2) == "spine";
        // "ng" is a unit as well.
        let tube = matches!(word, "ng" | "og") && self.text(index, 1) == "tube";
        if ACRONYMS.contains(&word) || is_vertebra(word) || is_deidentified(word) || spine || tube {
            word.to_uppercase()
        } else if sentence_start || heading {
            capitalise(word)
        } else {
            word.to_owned()
        }
    }
}

/// "t12", "l1", "c7".
fn is_vertebra(word: &str) -> bool {
    let mut bytes = word.bytes();
    matches!(bytes.next(), Some(b'c' | b't' | b'l'))
        && matches!(word.len(), 2 | 3)
        && bytes.all(|byte| byte.is_ascii_digit())
}

/// "xxxx", which Open-i writes in place of what could name a patient.
fn is_deidentified(word: &str) -> bool {
    word.len() >= 3 && word.bytes().all(|byte| byte == b'x')
}

/// Upper-cases the first letter where lower-casing gives it back ("ß" would become "ss").
fn capitalise(word: &str) -> String {
    let mut rest = word.chars();
    let Some(first) = rest.next() else {
        return String::new();
    };
    let mut upper = first.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(capital), None) if capital.to_lowercase().eq(once(first)) => once(capital).chain(rest).collect(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pieces: &str) -> String {
        detokenize(pieces.split_whitespace())
    }

    #[test]
    fn words_and_punctuation_are_set() {
        for (pieces, expected) in [
            ("no effusion , no pneum ##otho ##rax .", "No effusion, no pneumothorax."),
            ("there is a 1 . 5 cm nod ##ule ; 3 - 4 mm", "There is a 1.5 cm nodule; 3-4 mm"),
            ("non - productive cough", "Non-productive cough"),
            ("ap / pa and lateral views", "AP/PA and lateral views"),
            ("patient ' s lungs don ' t", "Patient's lungs don't"),
            ("patients ' lungs", "Patients' lungs"),
            ("heart ( mildly ) enlarged [ see ] .", "Heart (mildly) enlarged [see]."),
            ("view ( s ) and opacity ( ies )", "View(s) and opacity(ies)"),
            ("the \" bat wing \" sign .", "The \"bat wing\" sign."),
            ("the ' bat wing ' sign", "The 'bat wing' sign"),
            ("about 20 % of it", "About 20% of it"),
            ("at 10 : 30 hours , ratio 1 : 2", "At 10:30 hours, ratio 1:2"),
            ("costs 1 , 500 ; levels 3 , 4 , 5", "Costs 1,500; levels 3, 4, 5"),
            ("pa & lateral", "PA & lateral"),
            ("< 40 , > 2 . 5 ##cm , cd ##4 + cells 1 + 2", "<40, >2.5cm, cd4+ cells 1 + 2"),
            ("level 3 . 2 ##nd rib", "Level 3. 2nd rib"),
            ("line 1 - 2 cm -- stable", "Line 1-2 cm -- stable"),
            ("seen at 9 a . m . and e . g . here", "Seen at 9 a.m. and e.g. here"),
            ("dated _ _ _ by _ _ _ .", "Dated ___ by ___."),
            ("xx ##xx - year - old with t - spine and t ##12 , x - ray", "XXXX-year-old with T-spine and T12, x-ray"),
            ("", ""),
        ] {
            assert_eq!(set(pieces), expected);
        }
    }

    #[test]
    fn sentences_headings_and_lists_begin_with_capitals() {
        for (pieces, expected) in [
            ("clear . no effusion ! really ? yes", "Clear. No effusion! Really? Yes"),
            (
                "findings : the heart . impression : normal : see text",
                "Findings: The heart. Impression: Normal: see text",
            ),
            ("no effusion impression : normal", "No effusion Impression: Normal"),
            ("1 . no change . 2 . stable", "1. No change. 2. Stable"),
            ("since 2008 . 1 . stable . 2 . clear", "Since 2008. 1. Stable. 2. Clear"),
            ("on 19 / 33 . 1 . stable", "On 19/33. 1. Stable"),
            ("clear at level 7 . 2 . stable", "Clear at level 7.2. Stable"),
            ("1 . level 7 . 2 . stable", "1. Level 7. 2. Stable"),
            ("dr . smith vs . no one", "Dr. smith vs. no one"),
            ("2 views . ( the heart )", "2 views. (The heart)"),
            ("ct shows pe", "CT shows PE"),
            ("ng tube at 5 ng / ml", "NG tube at 5 ng/ml"),
        ] {
            assert_eq!(set(pieces), expected);
        }
    }

    #[test]
    fn unknown_words_and_stray_continuations_stay_visible() {
        assert_eq!(set("no [UNK] seen"), "No [UNK] seen");
        assert_eq!(set("[UNK] ##s seen"), "[UNK] s seen");
        assert_eq!(set("##rax , ##s ##t"), "Rax, st");
        assert_eq!(set("##"), "##");
    }

    #[test]
    fn digits_are_never_changed() {
        for pieces in ["1 . 5 - 2 , 000 / 10 : 30 . 1 . x", "0 , 500 . 2 . 3 . 4 % 5 ' 6 \" 7 ##8 t ##1"] {
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
            assert_eq!(digits(&set(pieces)), digits(pieces));
        }
    }

    #[test]
    fn capitals_survive_lower_casing() {
        assert_eq!(capitalise("ärzte"), "Ärzte");
        assert_eq!(capitalise("ßen"), "ßen");
        assert_eq!(capitalise("ıx"), "ıx");
    }
}
