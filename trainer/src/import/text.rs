//! What all imports of reports choose between, and how sections become one text.

use serde::Serialize;

use crate::data::text_or_nothing;

/// Which images are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Views {
    /// Frontal ones, as the corpus says.
    Frontal,
    /// Every one, whether its view is stated or not.
    All,
}

/// Which sections make the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sections {
    /// The findings.
    Findings,
    /// The impression.
    Impression,
    /// Findings, then impression; one of them where the other is empty.
    Both,
}

impl Sections {
    /// The text, without white space around it; empty where the report has none. A section that holds a word for a missing
    /// value ("nan", see [`no_text`](crate::data::no_text)) is none.
    pub fn text(self, findings: &str, impression: &str) -> String {
        let [findings, impression] = [findings, impression].map(|section| text_or_nothing(section).trim());
        match self {
            Self::Findings => findings.to_owned(),
            Self::Impression => impression.to_owned(),
            Self::Both if findings.is_empty() => impression.to_owned(),
            Self::Both if impression.is_empty() => findings.to_owned(),
            Self::Both => format!("{findings} {impression}"),
        }
    }
}

/// Every run of white space as one space, none around the text.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_join_without_stray_spaces() {
        assert_eq!(Sections::Both.text(" Clear. ", "Normal.\n"), "Clear. Normal.");
        assert_eq!(Sections::Both.text("", "Normal."), "Normal.");
        assert_eq!(Sections::Both.text("Clear.", " "), "Clear.");
        assert_eq!(Sections::Findings.text("Clear.", "Normal."), "Clear.");
        assert_eq!(Sections::Impression.text("Clear.", " "), "");
        assert_eq!(Sections::Both.text("nan", "Normal."), "Normal.");
        assert_eq!(Sections::Both.text("Clear.", " N/A "), "Clear.");
        assert_eq!(Sections::Both.text("NaN", "None"), "");
        assert_eq!(Sections::Findings.text("null", "Normal."), "");
        assert_eq!(one_line("\n a\t b \r\n c"), "a b c");
    }
}
