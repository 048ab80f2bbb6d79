//! `XXXX`, with which the corpus replaced whatever might have named somebody, and much that did not.

/// What becomes of the marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Marks {
    /// They stay, as in the published figures of the field.
    Keep,
    /// They go, with the word that they are part of.
    Remove,
}

const MARK: &str = "XXXX";

impl Marks {
    /// The text as this choice leaves it.
    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Remove if text.contains(MARK) => without(text),
            Self::Keep | Self::Remove => text.to_owned(),
        }
    }
}

/// Removes every word that holds a mark. Marks of punctuation after it stay with the word before, so that sentences still
/// end; one that would follow another, or begin the text, goes too. White space becomes single spaces.
fn without(text: &str) -> String {
    const PUNCTUATION: [char; 4] = ['.', ',', ';', ':'];
    let mut kept = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !word.contains(MARK) {
            if !kept.is_empty() {
                kept.push(' ');
            }
            kept.push_str(word);
            continue;
        }
        let end = word.chars().next_back().filter(|last| PUNCTUATION.contains(last));
        let Some(end) = end else { continue };
        match kept.chars().next_back() {
            None | Some('.') => {}
            // "heart, XXXX." ends with the sentence's own mark.
            Some(last) if PUNCTUATION.contains(&last) => {
                kept.pop();
                kept.push(end);
            }
            Some(_) => kept.push(end),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_with_their_words_and_sentences_still_end() {
        for (text, left) in [
            ("Normal chest x-XXXX.", "Normal chest."),
            ("There are no XXXX of a pleural effusion. There is", "There are no of a pleural effusion. There is"),
            ("Clear lungs. Inferior XXXX XXXX XXXX.", "Clear lungs. Inferior."),
            ("Clear lungs. XXXX XXXX.", "Clear lungs."),
            ("XXXX-year-old, XXXX.", ""),
            ("XXXX. Heart,  XXXX. Lungs", "Heart. Lungs"),
            ("No mark,  two spaces.", "No mark,  two spaces."),
        ] {
            assert_eq!(Marks::Remove.apply(text), left, "{text}");
            assert_eq!(Marks::Keep.apply(text), text);
        }
    }
}
