//! What is done to a text before its words are compared. Figures under different treatments are not comparable.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ptb;

/// A text treatment. Every output names the one it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// The cleaning of R2Gen (Chen et al., EMNLP 2020) for Open-i, to the letter: numbers of lists go, sentences are
    /// joined by ` . `, punctuation inside them is deleted (`and/or` becomes `andor`), hyphens stay.
    #[serde(rename = "r2gen")]
    R2Gen,
    /// The same for MIMIC-CXR, where line breaks, underscores and double spaces are collapsed first.
    #[serde(rename = "r2gen-mimic")]
    R2GenMimic,
    /// Lower-cased tokens of the Penn Treebank tokenizer without punctuation, as in COCO-style scoring.
    Ptb,
    /// Lower case, split at white space; punctuation stays on its word.
    Plain,
}

impl Treatment {
    /// The three that a score shows unless one is named.
    pub const USUAL: [Self; 3] = [Self::R2Gen, Self::Ptb, Self::Plain];

    /// All of them.
    pub const ALL: [Self; 4] = [Self::R2Gen, Self::R2GenMimic, Self::Ptb, Self::Plain];

    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::R2Gen => "r2gen",
            Self::R2GenMimic => "r2gen-mimic",
            Self::Ptb => "ptb",
            Self::Plain => "plain",
        }
    }

    /// Treats a text; words are then told apart by spaces.
    pub fn apply(self, text: &str) -> String {
        match self {
            Self::R2Gen => r2gen(&repeated(text.to_owned(), "..", ".", 3)),
            Self::R2GenMimic => {
                let text = repeated(text.replace('\n', " "), "__", "_", 7);
                r2gen(&repeated(repeated(text, "  ", " ", 6), "..", ".", 8))
            }
            Self::Ptb => ptb::tokens(text).join(" "),
            Self::Plain => text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Treatment {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name);
        Self::ALL
            .into_iter()
            .find(|treatment| treatment.name() == name)
            .ok_or_else(|| format!("unknown text treatment, expected one of {}", known.join(", ")))
    }
}

/// Replaces `times` times over; a text may hold runs that need more, and then keeps some. That is the original's way.
fn repeated(mut text: String, from: &str, to: &str, times: usize) -> String {
    for _ in 0..times {
        if !text.contains(from) {
            break;
        }
        text = text.replace(from, to);
    }
    text
}

/// What both cleanings share. Empty sentences stay, and leave two spaces between their stops.
fn r2gen(text: &str) -> String {
    let mut text = text.replace("1. ", "");
    for number in 2..=5 {
        text = text.replace(&format!(". {number}. "), ". ");
    }
    for number in 2..=5 {
        text = text.replace(&format!(" {number}. "), ". ");
    }
    let text = text.trim().to_lowercase();
    let sentences: Vec<String> = text.split(". ").map(r2gen_sentence).collect();
    format!("{} .", sentences.join(" . "))
}

fn r2gen_sentence(sentence: &str) -> String {
    let unquoted: String = sentence.chars().filter(|letter| !"\"/\\'".contains(*letter)).collect();
    // The class of the original's expression holds a range from `:` to `[`: it takes `;<=>?@` and capitals too.
    unquoted
        .trim()
        .to_lowercase()
        .chars()
        .filter(|letter| !(".,?;*!%^&_+()]{}".contains(*letter) || (':'..='[').contains(letter)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r2gen_deletes_list_numbers_and_punctuation_and_keeps_hyphens() {
        let treated = Treatment::R2Gen.apply("1. Well-expanded lungs; and/or \"scar\". 2. No effusion (1.5 cm)...");
        assert_eq!(treated, "well-expanded lungs andor scar . no effusion 15 cm .");
        assert_eq!(Treatment::R2Gen.apply("Heart <5 cm: [normal] @ 3 = {x}% don't."), "heart 5 cm normal  3  x dont .");
    }

    #[test]
    fn r2gen_keeps_empty_sentences_and_an_empty_text_is_a_stop() {
        assert_eq!(Treatment::R2Gen.apply("Clear. . Normal."), "clear .  . normal .");
        assert_eq!(Treatment::R2Gen.apply(""), " .");
        assert_eq!(Treatment::R2Gen.apply("Normal"), "normal .");
    }

    #[test]
    fn the_cleaning_for_mimic_collapses_first() {
        let text = "FINDINGS:\n Compared to ___.\n\n Lungs   clear.. ";
        assert_eq!(Treatment::R2GenMimic.apply(text), "findings compared to  . lungs clear .");
        // Seven rounds are seven rounds: 2^8 underscores need eight, and then one more remains to be deleted anyway.
        assert_eq!(Treatment::R2GenMimic.apply(&"_".repeat(256)), " .");
    }

    #[test]
    fn plain_and_ptb_differ_in_punctuation() {
        assert_eq!(Treatment::Plain.apply(" No  effusion,\nor  PNEUMOTHORAX. "), "no effusion, or pneumothorax.");
        assert_eq!(Treatment::Ptb.apply(" No  effusion,\nor  PNEUMOTHORAX. "), "no effusion or pneumothorax");
    }

    #[test]
    fn names_are_read_back() {
        for treatment in Treatment::ALL {
            assert_eq!(treatment.name().parse(), Ok(treatment));
            assert_eq!(serde_json::to_value(treatment).unwrap(), treatment.name());
        }
        assert!("R2GEN".parse::<Treatment>().unwrap_err().contains("r2gen-mimic, ptb, plain"));
    }
}
