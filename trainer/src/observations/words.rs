//! Sentences and words of a report.

/// A word, a number or a mark, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'t> {
    pub text: &'t str,
    /// Byte of the report at which it starts.
    pub at: usize,
}

impl Word<'_> {
    pub fn is(self, other: &str) -> bool {
        self.text == other
    }

    pub fn is_any(self, others: &[&str]) -> bool {
        others.contains(&self.text)
    }

    /// Byte of the report behind it.
    pub fn end(self) -> usize {
        self.at + self.text.len()
    }
}

/// A sentence with the bytes of the report that it takes.
#[derive(Debug, Clone)]
pub(super) struct Sentence<'t> {
    pub words: Vec<Word<'t>>,
    pub span: (usize, usize),
}

/// Keep their stop within a sentence.
const ABBREVIATIONS: [&str; 15] =
    ["dr", "mr", "mrs", "ms", "vs", "approx", "fig", "e", "i", "g", "a.m", "p.m", "st", "no", "lt"];

/// Sections that say what was asked, done or seen before, and not what is seen now.
const OTHER_SECTIONS: [&str; 12] = [
    "indication",
    "indications",
    "history",
    "comparison",
    "comparisons",
    "technique",
    "examination",
    "exam",
    "reason",
    "clinical",
    "procedure",
    "recommendation",
];

/// Sections that say what is seen.
const FINDING_SECTIONS: [&str; 6] = ["findings", "finding", "impression", "conclusion", "chest", "report"];

/// The sentences of the report that say what is seen. `lower` is `text` with ASCII letters in lower case.
pub(super) fn sentences<'t>(text: &str, lower: &'t str) -> Vec<Sentence<'t>> {
    let mut splitter = Splitter {
        text,
        lower,
        at: 0,
        start: 0,
        words: Vec::new(),
        done: Vec::new(),
        passed_over: false,
        one_sentence: false,
    };
    splitter.run();
    splitter.done
}

struct Splitter<'s, 't> {
    text: &'s str,
    lower: &'t str,
    at: usize,
    start: usize,
    words: Vec<Word<'t>>,
    done: Vec<Sentence<'t>>,
    /// Within a section that does not say what is seen.
    passed_over: bool,
    /// That section is one sentence long: its heading is not in capitals.
    one_sentence: bool,
}

impl Splitter<'_, '_> {
    fn run(&mut self) {
        let bytes = self.lower.as_bytes();
        while let Some(letter) = self.lower[self.at..].chars().next() {
            let next = bytes.get(self.at + letter.len_utf8()).copied().unwrap_or(b' ');
            match letter {
                '\n' if self.blank_line_follows() => {
                    self.end(self.at);
                    self.passed_over = false;
                }
                '\n' if self.line_begins_anew() => self.end(self.at),
                _ if letter.is_whitespace() => {}
                _ if letter.is_alphanumeric() => {
                    self.word();
                    continue;
                }
                '.' if next.is_ascii_digit() && self.number() => continue,
                '.' if self.is_abbreviated() => {}
                '.' | '?' | '!' => self.end(self.at + 1),
                ':' => self.colon(),
                '-' if self.joins_words(next) => {}
                ',' | ';' | '/' | '(' | ')' | '-' | '–' | '—' => {
                    self.words.push(Word { text: &self.lower[self.at..self.at + letter.len_utf8()], at: self.at });
                }
                _ => {}
            }
            self.at += letter.len_utf8();
        }
        self.end(self.lower.len());
    }

    fn word(&mut self) {
        let rest = &self.lower[self.at..];
        let mut length = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '\'').unwrap_or(rest.len());
        let bytes = rest.as_bytes();
        // 1.5 is one word, and so is 1,5: but `1.There` is not.
        let is_number = rest[..length].bytes().all(|byte| byte.is_ascii_digit());
        if is_number && matches!(bytes.get(length), Some(b'.')) && bytes.get(length + 1).is_some_and(u8::is_ascii_digit)
        {
            length += 1 + bytes[length + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        }
        let word = &rest[..length];
        // `3.2cm` and `5mm` are a number and its unit.
        let digits = word.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = word.split_at(digits);
        if digits > 0 && matches!(unit, "cm" | "mm") {
            self.words.push(Word { text: number, at: self.at });
            self.words.push(Word { text: unit, at: self.at + digits });
        } else {
            self.words.push(Word { text: word.trim_end_matches('\''), at: self.at });
        }
        self.at += length;
    }

    /// A number without a leading digit, such as `.5`; false where the stop ends a word.
    fn number(&mut self) -> bool {
        let before = self.lower[..self.at].chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            return false;
        }
        let rest = &self.lower[self.at..];
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        self.words.push(Word { text: &rest[..=digits], at: self.at });
        self.at += digits + 1;
        true
    }

    fn is_abbreviated(&self) -> bool {
        let Some(last) = self.words.last() else { return false };
        // "No. 3" is a number, "none or no." an end.
        let numbered = || self.lower[self.at + 1..].trim_start().starts_with(|letter: char| letter.is_ascii_digit());
        let touches = self.lower[..self.at].ends_with(last.text);
        touches && ABBREVIATIONS.contains(&last.text) && (!last.is("no") || numbered())
    }

    fn joins_words(&self, next: u8) -> bool {
        let before = self.lower[..self.at].chars().next_back();
        before.is_some_and(char::is_alphanumeric) && (next.is_ascii_alphanumeric() || next >= 0x80)
    }

    fn blank_line_follows(&self) -> bool {
        let rest = &self.lower[self.at + 1..];
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        line.trim().is_empty()
    }

    /// Whether the line that follows is a sentence of its own, though no stop ends the one before: it begins with a bullet or a
    /// capital, and the words before ask for nothing more. A line that is wrapped goes on in lower case.
    fn line_begins_anew(&self) -> bool {
        const GO_ON: [&str; 22] = [
            ",", "and", "or", "nor", "no", "not", "without", "of", "the", "a", "an", "with", "in", "for", "to", "on",
            "by", "from", "at", "is", "are", "dr",
        ];
        if self.words.last().is_none_or(|word| word.is_any(&GO_ON)) {
            return false;
        }
        let next = self.text[self.at + 1..].trim_start_matches([' ', '\t']);
        let mut letters = next.chars();
        match (letters.next(), letters.next()) {
            (Some('-' | '–' | '*' | '•' | '·'), Some(' ')) => true,
            (Some(first), Some(second)) => first.is_uppercase() && second.is_lowercase(),
            _ => false,
        }
    }

    /// A heading such as `FINDINGS:` ends there and opens its section; any other colon parts clauses.
    fn colon(&mut self) {
        let first = self.words.first().map_or("", |word| word.text);
        let heading = self.words.len() <= 5 && self.words.iter().all(|word| word.text.starts_with(char::is_alphabetic));
        let written = self.text[self.start..self.at].trim();
        let capitals = !written.is_empty() && !written.contains(|letter: char| letter.is_lowercase());
        let known = OTHER_SECTIONS.contains(&first) || FINDING_SECTIONS.contains(&first);
        if heading && (capitals || known) {
            self.passed_over = OTHER_SECTIONS.contains(&first);
            self.one_sentence = !capitals;
            self.words.clear();
            self.start = self.at + 1;
        } else {
            self.words.push(Word { text: ":", at: self.at });
        }
    }

    fn end(&mut self, end: usize) {
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            if !self.passed_over {
                self.done.push(Sentence { words, span: (self.start, end) });
            } else if self.one_sentence {
                self.passed_over = false;
            }
        }
        self.start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        sentences(text, &lower)
            .into_iter()
            .map(|sentence| sentence.words.iter().map(|word| word.text).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn sentences_end_at_stops_also_without_a_space_and_not_within_numbers() {
        assert_eq!(
            split("1. A 1.5cm nodule.There is no. 2 rib. Fine"),
            ["1", "a 1.5 cm nodule", "there is no 2 rib", "fine"]
        );
        assert_eq!(split("Effusion vs. scar; .5 mm"), ["effusion vs scar ; .5 mm"]);
        assert_eq!(split("Hard\nwrapped line\n\nNew one"), ["hard wrapped line", "new one"]);
        assert_eq!(split("No effusion\nSmall nodule\r\n- Clear"), ["no effusion", "small nodule", "- clear"]);
        assert_eq!(split("Seen by the\nRadiologist, and\nXRAY of"), ["seen by the radiologist , and xray of"]);
        assert_eq!(split("left-sided x-ray and/or - dash"), ["left sided x ray and / or - dash"]);
    }

    #[test]
    fn sections_about_the_question_are_passed_over() {
        let text = "INDICATION: Pneumonia? Cough.\nCOMPARISON: None.\n\nFINDINGS: Clear lungs. Heart: normal. IMPRESSION: Normal";
        assert_eq!(split(text), ["clear lungs", "heart : normal", "normal"]);
    }

    #[test]
    fn spans_cover_the_sentences_in_the_text() {
        let text = "Größe normal. Kein Erguß.";
        let lower = text.to_ascii_lowercase();
        let spans: Vec<&str> = sentences(text, &lower).iter().map(|s| &text[s.span.0..s.span.1]).collect();
        assert_eq!(spans, ["Größe normal.", " Kein Erguß."]);
    }
}
