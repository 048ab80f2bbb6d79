//! Cells that hold something and no report: what programs write where a value is missing.

use xreport_models::text::is_blank;

/// Words that stand for a missing text where a cell holds nothing else, in lower case and without the marks around them:
/// what pandas reads and writes as missing, and what databases and languages call nothing.
///
/// "No", "negative", "normal", "nad" and the like are answers and stay texts.
const PLACEHOLDERS: [&str; 12] =
    ["nan", "none", "null", "nil", "na", "n/a", "n.a", "nat", "undefined", "1.#ind", "1.#qnan", "n/a n/a"];

/// What spreadsheets show in place of a value that they cannot work out, in lower case.
const SPREADSHEET_ERRORS: [&str; 5] = ["#ref!", "#value!", "#name?", "#div/0!", "#num!"];

/// Why a cell is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoText {
    /// Nothing but white space.
    Empty,
    /// Nothing that the tokenizer keeps: control characters, zero-width spaces, soft hyphens.
    Blank,
    /// A word for a missing value, such as `nan`, once or again and again.
    Placeholder(&'static str),
    /// Neither a letter nor a digit: `-`, `.`, `?`.
    Marks,
}

/// Why a cell holds no report; `None` where it does.
///
/// Only whole cells are judged. Upper and lower case are one; white space and marks around the words do not count, so that
/// `<NA>`, `(none)` and `N/A.` are placeholders too; and so is `nan nan`, which comes of joining two empty sections.
pub fn no_text(text: &str) -> Option<NoText> {
    if text.trim().is_empty() {
        return Some(NoText::Empty);
    }
    if is_blank(text) {
        return Some(NoText::Blank);
    }
    if !text.chars().any(char::is_alphanumeric) {
        return Some(NoText::Marks);
    }
    placeholder(text).map(NoText::Placeholder)
}

/// The text, or nothing where it is none: for sections that are joined.
pub fn text_or_nothing(text: &str) -> &str {
    if no_text(text).is_some() { "" } else { text }
}

fn placeholder(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    if let Some(whole) = listed(&text) {
        return Some(whole);
    }
    let mut found = None;
    for word in text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)) {
        found = Some(listed(word)?);
    }
    found
}

fn listed(text: &str) -> Option<&'static str> {
    let bare = text.trim_matches(|letter: char| !letter.is_alphanumeric());
    let word = PLACEHOLDERS.into_iter().find(|word| *word == bare);
    word.or_else(|| SPREADSHEET_ERRORS.into_iter().find(|error| *error == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_missing_value_are_no_text() {
        for (text, word) in [
            ("nan", "nan"),
            ("NaN", "nan"),
            ("-nan", "nan"),
            (" None ", "none"),
            ("None.", "none"),
            ("(none)", "none"),
            ("NULL", "null"),
            ("\\N/A", "n/a"),
            ("N/A", "n/a"),
            ("#N/A", "n/a"),
            ("#N/A N/A", "n/a n/a"),
            ("n.a.", "n.a"),
            ("<NA>", "na"),
            ("'nil'", "nil"),
            ("NaT", "nat"),
            ("undefined", "undefined"),
            ("-1.#IND", "1.#ind"),
            ("#REF!", "#ref!"),
            ("#DIV/0!", "#div/0!"),
            ("nan nan", "nan"),
            ("nan\nNone", "none"),
            ("NaN. - NaN.", "nan"),
            ("\u{200b}nan\u{a0}", "nan"),
        ] {
            assert_eq!(no_text(text), Some(NoText::Placeholder(word)), "{text:?}");
        }
    }

    #[test]
    fn what_has_no_letter_or_no_token_is_no_text() {
        for text in ["-", "--", "—", ".", "...", "?", "…", "/", "***", "\"\"", "[ ]"] {
            assert_eq!(no_text(text), Some(NoText::Marks), "{text:?}");
        }
        for text in ["\u{200b}", "\u{ad}\u{ad}", "\u{fffd}", "\0", " \u{feff} "] {
            assert_eq!(no_text(text), Some(NoText::Blank), "{text:?}");
        }
        for text in ["", " ", "\r\n\t", "\u{a0}"] {
            assert_eq!(no_text(text), Some(NoText::Empty), "{text:?}");
        }
        assert_eq!(no_text(&"-".repeat(5000)), Some(NoText::Marks));
        assert_eq!(no_text(&"nan ".repeat(50)), Some(NoText::Placeholder("nan")));
    }

    #[test]
    fn answers_and_reports_are_texts() {
        for text in [
            "No.",
            "Yes",
            "Normal",
            "Negative",
            "NAD",
            "Clear.",
            "None seen.",
            "Nil acute.",
            "No change",
            "NA level normal",
            "nan clear lungs",
            "Null hypothesis",
            "x",
            "1",
            "正常",
            "Value",
            "Name",
            "[SEP]",
            "[UNK]",
            "none or no effusion",
        ] {
            assert_eq!(no_text(text), None, "{text:?}");
            assert_eq!(text_or_nothing(text), text);
        }
        assert_eq!(no_text(&"Clear lungs. ".repeat(50)), None);
        assert_eq!(text_or_nothing("NaN"), "");
    }
}
