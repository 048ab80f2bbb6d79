//! The `ptb` treatment: tokens in the manner of the Penn Treebank tokenizer of Stanford CoreNLP 3.4.1, lower-cased and
//! without punctuation, as COCO-style scoring (pycocoevalcap 1.2) makes them.
//!
//! A longest-match lexer of our own, written from the behaviour of that program on radiology reports and on strings made
//! to provoke it; the test compares with its tokens. Its peculiarities that count in a report are kept: brackets become
//! `-lrb-` and survive (the list of dropped punctuation names them in capitals), `3.2cm` is two tokens and `5mm` one,
//! `normal.The` is one and `3.There` two, `L5/S1` is one, `fig. 3` keeps its dot, a Roman `I.` looks like an initial.

mod words;

use words::{is_abbreviation, is_numbered_abbreviation, is_sentence_starter, split_contraction};

/// Tokens without which COCO-style scoring works, as far as this lexer makes them. Quotation marks and dashes of every
/// form are normalised to these before they are dropped.
const DROPPED: [&str; 12] = ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", ";"];

/// Longest name before the `@` of a mail address (RFC 5321 allows 64).
const LONGEST_NAME: usize = 64;

/// The tokens of a text, lower-cased, without punctuation. Never fails; an empty text has no tokens.
pub fn tokens(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { text: &letters, at: 0, tokens: Vec::new() };
    while lexer.at < letters.len() {
        lexer.next();
    }
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t [char],
    at: usize,
    tokens: Vec<String>,
}

impl Lexer<'_> {
    fn next(&mut self) {
        let letter = self.text[self.at];
        if letter.is_whitespace() || letter.is_control() {
            self.at += 1;
            return;
        }
        let tag = self.tag();
        if tag > 0 {
            return self.take(tag);
        }
        if letter == '&' && self.entity() {
            return;
        }
        let (address, word, number) = (self.address(), self.word(), self.number());
        let longest = address.max(word).max(number);
        if longest == 0 {
            return self.symbol();
        }
        if word == longest && word > address { self.take_word(word) } else { self.take(longest) }
    }

    fn peek(&self, at: usize) -> Option<char> {
        self.text.get(at).copied()
    }

    fn is_at(&self, at: usize, test: impl Fn(char) -> bool) -> bool {
        self.peek(at).is_some_and(test)
    }

    /// How many letters from `at` on pass the test.
    fn run(&self, at: usize, test: impl Fn(char) -> bool) -> usize {
        self.text[at.min(self.text.len())..].iter().take_while(|&&letter| test(letter)).count()
    }

    fn slice(&self, from: usize, to: usize) -> String {
        self.text[from..to].iter().collect()
    }

    /// Makes the next `length` letters a token.
    fn take(&mut self, length: usize) {
        let token = self.slice(self.at, self.at + length);
        self.at += length;
        self.push(&token);
    }

    fn push(&mut self, token: &str) {
        if !DROPPED.contains(&token) {
            self.tokens.push(token.to_lowercase());
        }
    }

    /// A mark-up tag such as `<br/>`: one token. 0 where there is none.
    fn tag(&self) -> usize {
        if self.peek(self.at) != Some('<') {
            return 0;
        }
        let name = self.at + 1 + usize::from(self.peek(self.at + 1) == Some('/'));
        if !self.is_at(name, |letter| letter.is_ascii_alphabetic()) {
            return 0;
        }
        let mut end = name + self.run(name, |letter| letter.is_ascii_alphanumeric() || "_:.-".contains(letter));
        if self.peek(end) == Some(' ') {
            end += self.run(end, |letter| letter != '>' && letter != '<' && letter != '\n');
        }
        end += usize::from(self.peek(end) == Some('/'));
        if self.peek(end) == Some('>') { end + 1 - self.at } else { 0 }
    }

    /// An escaped character such as `&lt;`.
    fn entity(&mut self) -> bool {
        for (name, token) in [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "''"), ("&nbsp;", "''")] {
            let end = self.at + name.len();
            if end <= self.text.len() && self.slice(self.at, end) == name {
                self.at = end;
                self.push(token);
                return true;
            }
        }
        false
    }

    /// A web or mail address, a `#tag` or an `@name`.
    fn address(&self) -> usize {
        let first = self.text[self.at];
        if first == '#' || first == '@' {
            let name = self.is_at(self.at + 1, |letter| letter.is_ascii_alphabetic());
            return if name { 1 + self.run(self.at + 1, |letter| is_alnum(letter) || letter == '_') } else { 0 };
        }
        if !first.is_ascii_alphanumeric() {
            return 0;
        }
        for scheme in ["http://", "https://"] {
            let end = self.at + scheme.len();
            if end < self.text.len() && self.slice(self.at, end).eq_ignore_ascii_case(scheme) {
                let rest = self.run(end, |letter| !letter.is_whitespace() && !"<>\"|(){}".contains(letter));
                let address = &self.text[..end + rest];
                let stops = address.iter().rev().take_while(|&&letter| ".,;:!?".contains(letter)).count();
                return end + rest - stops - self.at;
            }
        }
        let ahead = &self.text[self.at..self.text.len().min(self.at + LONGEST_NAME)];
        let in_name = |letter: &&char| letter.is_ascii_alphanumeric() || "._%+-".contains(**letter);
        let name = ahead.iter().take_while(in_name).count();
        let host = self.at + name + 1;
        if self.peek(host - 1) != Some('@') || !self.is_at(host, |letter| letter.is_ascii_alphanumeric()) {
            return 0;
        }
        let length = self.run(host, |letter| letter.is_ascii_alphanumeric() || ".-".contains(letter));
        let stops = self.text[host..host + length].iter().rev().take_while(|&&letter| ".-".contains(letter)).count();
        host + length - stops - self.at
    }

    /// A number with an optional sign: `5`, `1.5`, `.5`, `-5`, `12:30`, `1,000`.
    fn number(&self) -> usize {
        let start = self.at + usize::from(matches!(self.text[self.at], '+' | '-'));
        let mut end = start + self.run(start, |letter| letter.is_ascii_digit());
        while self.is_at(end, |letter| ".:,".contains(letter)) {
            let digits = self.run(end + 1, |letter| letter.is_ascii_digit());
            if digits == 0 {
                break;
            }
            end += 1 + digits;
        }
        let fraction = self.fraction();
        if end == start { fraction } else { (end - self.at).max(fraction) }
    }

    /// `3/4`, or `1-1/2`.
    fn fraction(&self) -> usize {
        let digits = |at: usize| match self.run(at, |letter| letter.is_ascii_digit()) {
            length @ 1..=4 => Some(at + length),
            _ => None,
        };
        let simple = |at: usize| {
            let over = digits(at).filter(|&over| self.peek(over) == Some('/'))?;
            digits(over + 1)
        };
        let whole = || digits(self.at).filter(|&hyphen| self.peek(hyphen) == Some('-'));
        let end = whole().and_then(|hyphen| simple(hyphen + 1)).or_else(|| simple(self.at));
        end.map_or(0, |end| end - self.at)
    }

    /// The longest of the forms that words have.
    fn word(&self) -> usize {
        if !is_alnum(self.text[self.at]) {
            return 0;
        }
        let dotted = self.dotted();
        let plain = self.at + self.run(self.at, is_inner);
        let mut decimal = self.at + self.run(self.at, |letter| letter.is_ascii_digit());
        while decimal > self.at && self.is_at(decimal, |letter| letter == '.' || letter == ',') {
            match self.run(decimal + 1, |letter| letter.is_ascii_digit()) {
                0 => break,
                digits => decimal += 1 + digits,
            }
        }
        let ends = [dotted, self.hyphenated(dotted), self.hyphenated(plain), self.hyphenated(decimal)];
        let longest = ends.into_iter().chain([plain, self.slashed(), self.capitals(), self.elided()]).max();
        let end = longest.expect("the list is not empty");
        let (whole_number, joined) = (decimal > self.at, end == decimal && end > plain);
        // A number with a decimal point alone is `number`'s.
        if whole_number && joined { plain - self.at } else { end - self.at }
    }

    /// Where words that a stop without a space joins end: `normal.The`.
    fn dotted(&self) -> usize {
        if !self.text[self.at].is_alphabetic() {
            return self.at;
        }
        let mut end = self.at + self.run(self.at, is_inner);
        while self.is_at(end, |letter| ".!?".contains(letter)) && self.is_at(end + 1, char::is_alphabetic) {
            end += 1 + self.run(end + 1, is_inner);
        }
        end
    }

    /// Where what ends at `end` goes on behind hyphens: `left-sided`, `1.5-2cm`.
    fn hyphenated(&self, mut end: usize) -> usize {
        if end == self.at {
            return end;
        }
        while self.peek(end) == Some('-') {
            match self.run(end + 1, is_inner) {
                0 => break,
                letters => end += 1 + letters,
            }
        }
        end
    }

    /// Where two or three parts joined by slashes end: `atelectasis/scarring`.
    fn slashed(&self) -> usize {
        let part = |at: usize| {
            let mut end = at + self.run(at, |letter| letter.is_ascii_alphanumeric());
            for _ in 0..2 {
                let letters = self.run(end + 1, |letter| letter.is_ascii_alphabetic());
                if end == at || self.peek(end) != Some('-') || letters == 0 {
                    break;
                }
                end += 1 + letters;
            }
            end
        };
        let mut end = part(self.at);
        if end == self.at {
            return end;
        }
        for _ in 0..2 {
            if self.peek(end) != Some('/') || part(end + 1) == end + 1 {
                break;
            }
            end = part(end + 1);
        }
        end
    }

    /// Where capitals joined by `&` or `+` end: `A&E`.
    fn capitals(&self) -> usize {
        let capitals = |at: usize| at + self.run(at, |letter| letter.is_ascii_uppercase());
        let mut end = capitals(self.at);
        while end > self.at && self.is_at(end, |letter| letter == '&' || letter == '+') && capitals(end + 1) > end + 1 {
            end = capitals(end + 1);
        }
        end
    }

    /// Where a word with a prefix such as `O'` ends.
    fn elided(&self) -> usize {
        let prefix = "dDoOlL".contains(self.text[self.at]) && self.is_at(self.at + 1, is_apostrophe);
        let letters = self.run(self.at + 2, is_alnum);
        if prefix && letters > 2 { self.at + 2 + letters } else { self.at }
    }

    /// Takes a word of `length` letters with what belongs to it: the dot of an abbreviation, the end of a contraction.
    fn take_word(&mut self, length: usize) {
        let end = self.at + length;
        let mut word = self.slice(self.at, end);
        if let Some(cut) = self.negation(&word, end) {
            let head: String = word.chars().take(length - 1).collect();
            self.push(&head);
            self.push("n't");
            self.at = cut;
        } else if self.peek(end) == Some('.') && self.keeps_dot(&word, end) {
            word.push('.');
            self.at = end + 1;
            self.push(&word);
        } else if let Some((first, second)) = split_contraction(&word) {
            self.push(first);
            self.push(second);
            self.at = end;
        } else {
            self.at = end;
            self.push(&word);
        }
        self.take_suffix();
    }

    /// The end of `…n't`, where `word` ends in `n` and `'t` follows.
    fn negation(&self, word: &str, end: usize) -> Option<usize> {
        let ends = word.len() > 1
            && word.ends_with(['n', 'N'])
            && self.is_at(end, is_apostrophe)
            && self.is_at(end + 1, |letter| letter == 't' || letter == 'T')
            && !self.is_at(end + 2, is_alnum);
        ends.then_some(end + 2)
    }

    /// `'s`, `'ll` and their like, which stand alone.
    fn take_suffix(&mut self) {
        if !self.is_at(self.at, is_apostrophe) {
            return;
        }
        let letters = self.run(self.at + 1, is_alnum);
        let suffix = self.slice(self.at + 1, self.at + 1 + letters).to_lowercase();
        if ["s", "d", "m", "ll", "re", "ve"].contains(&suffix.as_str()) {
            self.at += 1 + letters;
            self.push(&format!("'{suffix}"));
        }
    }

    /// Whether the stop at `dot` belongs to the word before it.
    fn keeps_dot(&self, word: &str, dot: usize) -> bool {
        let next = dot + 1;
        let spaces = self.run(next, |letter| letter == ' ');
        let mut letters = word.chars();
        if let (Some(letter), None) = (letters.next(), letters.next()) {
            let following = self.slice(next + spaces, next + spaces + self.run(next + spaces, char::is_alphabetic));
            return letter.is_ascii_alphabetic() && !(spaces > 0 && is_sentence_starter(&following));
        }
        let acronym = word.contains('.')
            && word.split('.').all(|part| part.len() == 1 && part.starts_with(|letter: char| letter.is_alphabetic()));
        let numbered = || is_numbered_abbreviation(word) && self.is_at(next + spaces, |letter| letter.is_ascii_digit());
        acronym || is_abbreviation(word) || numbered()
    }

    /// Everything else: brackets, quotation marks, dashes, signs.
    fn symbol(&mut self) {
        let letter = self.text[self.at];
        if is_apostrophe(letter) {
            return self.apostrophe();
        }
        let same = self.run(self.at, |other| other == letter);
        let (length, token) = match letter {
            '(' => (1, "-lrb-"),
            ')' => (1, "-rrb-"),
            '[' => (1, "-lsb-"),
            ']' => (1, "-rsb-"),
            '{' => (1, "-lcb-"),
            '}' => (1, "-rcb-"),
            '"' | '“' | '”' | '«' | '»' | '‹' | '›' => (1, "''"),
            '-' | '–' | '—' | '\u{2012}' | '\u{2015}' => (same, "--"),
            '.' | '…' => (same, "."),
            '½' => (1, "1/2"),
            '¼' => (1, "1/4"),
            '¾' => (1, "3/4"),
            '€' => (1, "$"),
            '£' => (1, "#"),
            '¢' => (1, "cents"),
            '?' | '!' => {
                let marks = self.run(self.at, |other| other == '?' || other == '!');
                return self.take(marks);
            }
            '*' | '_' => return self.take(same),
            // Beyond the basic plane and invisible characters are "untokenizable" there, and dropped.
            _ if letter as u32 > 0xffff || "\u{200b}\u{200c}\u{200d}\u{feff}\u{ad}".contains(letter) => (1, "''"),
            _ => return self.take(1),
        };
        self.at += length;
        self.push(token);
    }

    /// A suffix that stands alone, a year such as `'90`, or a quotation mark.
    fn apostrophe(&mut self) {
        let before = self.at;
        self.take_suffix();
        if self.at > before {
            return;
        }
        let digits = self.run(self.at + 1, |letter| letter.is_ascii_digit());
        let end = self.at + 1 + digits;
        let decade = usize::from(self.peek(end) == Some('s'));
        if digits == 2 && !self.is_at(end + decade, is_alnum) {
            return self.take(1 + digits + decade);
        }
        self.at += 1;
    }
}

fn is_alnum(letter: char) -> bool {
    letter.is_alphabetic() || letter.is_ascii_digit() || ('\u{300}'..='\u{36f}').contains(&letter)
}

/// May stand within a word.
fn is_inner(letter: char) -> bool {
    is_alnum(letter) || letter == '_'
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '’' | '‘' | '`')
}

#[cfg(test)]
mod tests;
