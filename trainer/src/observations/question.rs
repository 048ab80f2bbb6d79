//! What a report says of one question: an observation, or words of any kind, read by the rules for observations.

use std::ops::Range;

use super::cues::{self, Cue};
use super::find::find;
use super::lexicon::Concept;
use super::scope;
use super::words::{Sentence, Word, sentences};
use super::{Label, Observation, read};

/// What reports are asked: "evidence of pneumonia", "a rib fracture".
///
/// Where the words name one of the 14 observations, with or without words such as "evidence of" before it, every mention of
/// that observation answers, in whatever words. Else the places answer where the words stand as they are.
#[derive(Debug, Clone)]
pub struct Question {
    /// As they were given, in lower case.
    words: Vec<String>,
    /// The observation that they name.
    observation: Option<Observation>,
}

/// What a report says of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// That it is there, may be there, or is not there.
    pub label: Label,
    /// Bytes of the report that hold the words; none for "No Finding", which no words state.
    pub words: Option<Range<usize>>,
    /// Bytes of the words that deny or doubt it.
    pub cue: Option<Range<usize>>,
}

/// Words that are no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// They hold no word.
    #[error("expected words that reports affirm or deny, such as \"evidence of pneumonia\", found no word")]
    NoWord,
    /// They are more than one sentence.
    #[error("expected words that stand in one sentence, such as \"evidence of pneumonia\", found {found} sentences")]
    Sentences {
        /// How many.
        found: usize,
    },
}

/// What goes before an observation's name and asks for nothing else.
const BEFORE_A_NAME: [&str; 11] =
    ["evidence", "sign", "signs", "presence", "of", "there", "is", "are", "a", "an", "any"];

impl Question {
    /// The question that these words ask.
    ///
    /// # Errors
    /// There is no word, or more than one sentence.
    pub fn of(words: &str) -> Result<Self, QuestionError> {
        let lower = words.to_ascii_lowercase();
        let split = sentences(words, &lower);
        let [sentence] = &split[..] else {
            return Err(if split.is_empty() {
                QuestionError::NoWord
            } else {
                QuestionError::Sentences { found: split.len() }
            });
        };
        let words: Vec<String> = sentence.words.iter().map(|word| word.text.to_owned()).collect();
        if !words.iter().any(|word| word.contains(char::is_alphanumeric)) {
            return Err(QuestionError::NoWord);
        }
        Ok(Self { observation: named(&words), words })
    }

    /// What a report says of it; `None` where it says nothing. Of several places an affirmation goes before doubt, and doubt
    /// before a denial, as for observations; the first of equals counts.
    pub fn answer(&self, text: &str) -> Option<Answer> {
        if self.observation == Some(Observation::NoFinding) {
            return nothing_found(text);
        }
        let lower = text.to_ascii_lowercase();
        let mut best: Option<Answer> = None;
        for sentence in sentences(text, &lower) {
            for answer in self.in_sentence(&sentence) {
                if best.as_ref().is_none_or(|best| answer.label > best.label) {
                    best = Some(answer);
                }
            }
        }
        best
    }

    fn in_sentence(&self, sentence: &Sentence<'_>) -> Vec<Answer> {
        let words = &sentence.words;
        let cues = cues::find(words);
        let bytes = |of: Range<usize>| words[of.start].at..words[of.end - 1].end();
        let answer = |place: Range<usize>, label: Label, cue: Option<Cue>| Answer {
            label,
            words: Some(bytes(place)),
            cue: cue.map(|cue| bytes(cue.from..cue.to)),
        };
        let Some(observation) = self.observation else {
            // "not a" denies what "a rib" is about: an article belongs to both.
            let before = self.words.iter().take_while(|word| BEFORE_A_NAME.contains(&word.as_str())).count();
            let before = if before < self.words.len() { before } else { 0 };
            let places = (0..words.len()).filter(|&from| self.stands_at(words, from));
            return places
                .filter_map(|from| {
                    let place = from..from + self.words.len();
                    let (label, cue) = scope::verdict(words, from + before..place.end, &cues)?;
                    Some(answer(place, label, cue))
                })
                .collect();
        };
        let mut answers = Vec::new();
        for phrase in find(words) {
            let Some((label, observations)) = scope::judged(words, &phrase, &cues) else { continue };
            if !observations.contains(&observation) {
                continue;
            }
            let cue = match phrase.concept {
                Concept::Names(_) => scope::verdict(words, phrase.from..phrase.to, &cues).and_then(|(_, cue)| cue),
                _ => None,
            };
            answers.push(answer(self.whole(words, phrase.from..phrase.to), label, cue));
        }
        answers
    }

    /// The place of the question's own words where they end with a mention of its observation, else that of the mention.
    fn whole(&self, words: &[Word<'_>], mention: Range<usize>) -> Range<usize> {
        match mention.end.checked_sub(self.words.len()) {
            Some(from) if self.stands_at(words, from) => from..mention.end,
            _ => mention,
        }
    }

    fn stands_at(&self, words: &[Word<'_>], from: usize) -> bool {
        let found = words.get(from..from + self.words.len());
        found.is_some_and(|found| found.iter().zip(&self.words).all(|(found, word)| found.is(word)))
    }
}

/// The observation whose name the words are, or end with.
fn named(words: &[String]) -> Option<Observation> {
    let before = words.iter().take_while(|word| BEFORE_A_NAME.contains(&word.as_str())).count();
    [0, before].into_iter().find_map(|from| {
        let name = words[from..].join(" ");
        Observation::ALL.into_iter().find(|observation| observation.name().eq_ignore_ascii_case(&name)).or(
            match &name[..] {
                "effusion" | "effusions" | "pleural effusions" => Some(Observation::PleuralEffusion),
                "oedema" | "pulmonary edema" | "pulmonary oedema" => Some(Observation::Edema),
                "enlarged heart" => Some(Observation::Cardiomegaly),
                "fractures" => Some(Observation::Fracture),
                _ => None,
            },
        )
    })
}

/// "No Finding" is affirmed where nothing else is there, and denied where something is.
fn nothing_found(text: &str) -> Option<Answer> {
    let labelled = read(text);
    let label = match labelled.label(Observation::NoFinding) {
        Some(label) => label,
        None if labelled.mentions.is_empty() && text.trim().is_empty() => return None,
        None => Label::Negative,
    };
    Some(Answer { label, words: None, cue: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Option<Label> = Some(Label::Positive);
    const NO: Option<Label> = Some(Label::Negative);
    const MAYBE: Option<Label> = Some(Label::Uncertain);

    #[track_caller]
    fn check(question: &str, answers: &[(&str, Option<Label>)]) {
        let question = Question::of(question).unwrap();
        for (text, expected) in answers {
            assert_eq!(question.answer(text).map(|answer| answer.label), *expected, "{:?} in {text:?}", question.words);
        }
    }

    #[test]
    fn an_observation_is_denied_in_whatever_words() {
        let answers = [
            ("There is evidence of pneumonia.", YES),
            ("Known evidence of pneumonia.", YES),
            ("No evidence of pneumonia.", NO),
            ("Clear lungs\nNo evidence of pneumonia", NO),
            ("No effusion\nEvidence of pneumonia", YES),
            ("Clear lungs.\r\n\r\nNo evidence of pneumonia", NO),
            ("Clear lungs without evidence of pneumonia.", NO),
            ("Negative for pneumonia.", NO),
            ("The lungs are free of pneumonia.", NO),
            ("The lungs are clear, with no focal consolidation or pneumonia.", NO),
            ("Neither effusion nor pneumonia.", NO),
            ("Pneumonia is not seen.", NO),
            ("Pneumonia was not identified.", NO),
            ("Pneumonia isn't evident.", NO),
            ("Pneumonia is ruled out.", NO),
            ("Pneumonia has been ruled out.", NO),
            ("Pneumonia: no.", NO),
            ("Pneumonia: none. Effusion: small.", NO),
            ("Pneumonia - absent", NO),
            ("There is nothing to suggest pneumonia.", NO),
            ("Findings are not consistent with pneumonia.", NO),
            ("Absence of pneumonia.", NO),
            ("Pneumonia cannot be ruled out.", MAYBE),
            ("Pneumonia is not ruled out.", MAYBE),
            ("Possible pneumonia.", MAYBE),
            ("INDICATION: pneumonia.\n\nFINDINGS: Clear.", None),
            ("CT to rule out pneumonia.", None),
            ("Pneumonia should be ruled out by CT.", None),
            ("Clear.", None),
            ("No pneumonia on the right. Pneumonia on the left.", YES),
        ];
        check("evidence of pneumonia", &answers);
        check("Pneumonia", &answers);
    }

    #[test]
    fn words_that_name_no_observation_are_judged_where_they_stand() {
        check(
            "a cervical rib",
            &[
                ("There is a cervical rib.", YES),
                ("Without a cervical rib.", NO),
                ("There is not a cervical rib.", NO),
                ("A cervical rib is not seen.", NO),
                ("A cervical rib may be present.", MAYBE),
                ("Cervical ribs.", None),
            ],
        );
        // A denial within the question is a part of it.
        check("no pneumothorax", &[("There is no pneumothorax.", YES), ("Pneumothorax.", None)]);
        // Narrower than the observation that it belongs to: a nodule is no mass.
        check("mass", &[("Small nodule.", None), ("No mass or nodule.", NO), ("Large mass.", YES)]);
        check("no finding", &[("Clear lungs.", YES), ("Small nodule.", NO), ("", None)]);
        check("cardiomegaly", &[("The heart is normal in size.", NO), ("Enlarged heart.", YES)]);
    }

    #[test]
    fn an_answer_knows_its_words_and_what_denies_them() {
        let question = Question::of("Evidence of pneumonia").unwrap();
        let shown = |text: &str| {
            let Answer { words, cue, .. } = question.answer(text).unwrap();
            (text[words.unwrap()].to_owned(), cue.map(|cue| text[cue].to_owned()))
        };
        let owned = |words: &str, cue: Option<&str>| (words.to_owned(), cue.map(str::to_owned));
        assert_eq!(shown("There is no evidence of pneumonia."), owned("evidence of pneumonia", Some("no")));
        assert_eq!(shown("Größe normal. Evidence of pneumonia, viral."), owned("Evidence of pneumonia", None));
        assert_eq!(shown("Pneumonia is not seen."), owned("Pneumonia", Some("not seen")));
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for text in ["", "  ", ".", "- -", "?"] {
            assert_eq!(Question::of(text).unwrap_err(), QuestionError::NoWord, "{text:?}");
        }
        assert_eq!(Question::of("Clear lungs. No effusion.").unwrap_err(), QuestionError::Sentences { found: 2 });
        assert!(Question::of("evidence of pneumonia.").is_ok());
    }
}
