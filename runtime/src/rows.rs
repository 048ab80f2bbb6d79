//! A draft as rows: a sentence each, with how sure the model was and what else it might have said.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::drafting::{Draft, Words};

/// Headings by which a report names its parts, and the part that each begins.
const HEADINGS: [(&str, Section); 5] = [
    ("findings:", Section::Findings),
    ("finding:", Section::Findings),
    ("impression:", Section::Impression),
    ("impressions:", Section::Impression),
    ("conclusion:", Section::Impression),
];

/// Marks that may end a sentence.
const SENTENCE_ENDS: [&str; 3] = [".", "!", "?"];

/// Two sentences that share at least this part of their words are versions of one.
const ALIKE: f64 = 0.4;

/// A part of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// What is seen.
    Findings,
    /// What it means.
    Impression,
}

impl Section {
    /// Its heading in a report.
    pub fn title(self) -> &'static str {
        match self {
            Self::Findings => "Findings",
            Self::Impression => "Impression",
        }
    }
}

/// A sentence of a draft.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DraftedRow {
    /// Where the text has headings: the part that it stands in.
    pub section: Option<Section>,
    /// The sentence, without a heading.
    pub text: String,
    /// Mean natural-log probability of its tokens.
    pub mean_log_probability: f64,
    /// Its tokens.
    pub tokens: usize,
    /// These tokens, in the bundle's own numbers, with those of a heading before it; the end's is left out. Records of older
    /// versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<u32>,
    /// What lower ranked hypotheses say in its place, best first.
    pub alternatives: Vec<String>,
}

/// Divides a draft into rows. Together they hold all of its words but the headings.
pub fn rows_of(draft: &Draft, words: Words<'_>) -> Vec<DraftedRow> {
    let sequence = &draft.sequence;
    let ends = sentence_ends(&sequence.tokens, &draft.text, words);
    let mut rows = Vec::new();
    let (mut token, mut byte, mut section) = (0, 0, None);
    for (place, &(last_token, last_byte)) in ends.iter().enumerate() {
        // What ends the report counts for its last sentence.
        let last_token =
            if place + 1 == ends.len() { last_token.max(sequence.log_probabilities.len()) } else { last_token };
        let scores = &sequence.log_probabilities[token..last_token];
        let (found, text) = without_heading(draft.text[byte..last_byte].trim());
        section = found.or(section);
        if !text.is_empty() {
            let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
            rows.push(DraftedRow {
                section,
                text: text.to_owned(),
                mean_log_probability: sum / scores.len().max(1) as f64,
                tokens: scores.len(),
                token_ids: sequence.tokens[token..last_token.min(sequence.tokens.len())].to_vec(),
                alternatives: Vec::new(),
            });
            // What belongs to no sentence counts for the next.
            token = last_token;
        }
        byte = last_byte;
    }
    for alternative in &draft.alternatives {
        let ends = sentence_ends(&alternative.sequence.tokens, &alternative.text, words);
        offer(&mut rows, &alternative.text, &ends);
    }
    rows
}

/// Where each sentence ends, in tokens and in bytes of the text.
///
/// A mark ends one when the text up to it stays as it is whatever follows, and a space or nothing follows it: the point of
/// `1.5 cm` does not.
fn sentence_ends(tokens: &[u32], text: &str, words: Words<'_>) -> Vec<(usize, usize)> {
    let mut ends = Vec::new();
    for (place, &token) in tokens.iter().enumerate() {
        let piece = words.word_piece_ids(&[token]);
        let mark = words.tokenizer.token(piece[0]);
        if !mark.is_some_and(|mark| SENTENCE_ENDS.contains(&mark.as_str())) {
            continue;
        }
        let so_far = words.text(&tokens[..=place]);
        if let Some(rest) = text.strip_prefix(so_far.as_str())
            && rest.chars().next().is_none_or(char::is_whitespace)
            && !is_list_item(&so_far)
        {
            ends.push((place + 1, so_far.len()));
        }
    }
    if ends.last().is_none_or(|&(_, byte)| byte < text.len()) {
        ends.push((tokens.len(), text.len()));
    }
    ends
}

/// Whether a text ends with the number of a list's item, which belongs to what follows.
fn is_list_item(text: &str) -> bool {
    let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
    last.strip_suffix('.').is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn without_heading(text: &str) -> (Option<Section>, &str) {
    for (heading, section) in HEADINGS {
        if let Some(start) = text.get(..heading.len())
            && start.eq_ignore_ascii_case(heading)
        {
            return (Some(section), text[heading.len()..].trim_start());
        }
    }
    (None, text)
}

/// Gives each sentence of another hypothesis to the row that it resembles most.
fn offer(rows: &mut [DraftedRow], text: &str, ends: &[(usize, usize)]) {
    let (mut byte, mut section) = (0, None);
    for &(_, last) in ends {
        let (found, sentence) = without_heading(text[byte..last].trim());
        section = found.or(section);
        byte = last;
        if sentence.is_empty() || rows.iter().any(|row| row.text == sentence) {
            continue;
        }
        let likeness = |row: &DraftedRow| if row.section == section { alike(&row.text, sentence) } else { 0.0 };
        let best = rows.iter_mut().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        if let Some(row) = best.filter(|row| likeness(row) >= ALIKE)
            && !row.alternatives.iter().any(|other| other == sentence)
        {
            row.alternatives.push(sentence.to_owned());
        }
    }
}

/// Shared words over all words of two sentences, 0 to 1.
fn alike(one: &str, other: &str) -> f64 {
    let words = |text: &str| -> std::collections::BTreeSet<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let (one, other) = (words(one), words(other));
    let shared = one.intersection(&other).count();
    shared as f64 / (one.len() + other.len() - shared).max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use xreport_models::bundle::Bundle;

    use super::*;
    use crate::decoding::{Finish, Sequence};
    use crate::drafting::Alternative;

    fn bundle() -> Bundle {
        Bundle::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo")).expect("the demo bundle")
    }

    /// The sequence of a text in the demo bundle's own tokens; the n-th has the log-probability -n, the end -100.
    fn sequence(text: &str, bundle: &Bundle) -> Sequence {
        let ids = bundle.tokenizer().expect("a tokenizer").encode(text).expect("a text");
        let vocabulary = &bundle.manifest().vocabulary;
        let tokens: Vec<u32> = ids[1..ids.len() - 1].iter().map(|&id| vocabulary.to_model(id)).collect();
        assert!(!tokens.contains(&vocabulary.unk()), "the demo bundle knows these words: {text}");
        let log_probabilities = (0..tokens.len()).map(|n| -(n as f32)).chain([-100.0]).collect();
        Sequence { tokens, log_probabilities, finish: Finish::End }
    }

    fn rows(text: &str, others: &[&str]) -> Vec<DraftedRow> {
        let bundle = bundle();
        let tokenizer = bundle.tokenizer().expect("a tokenizer");
        let words = Words { tokenizer: &tokenizer, manifest: bundle.manifest() };
        let alternative = |text: &&str| {
            let sequence = sequence(text, &bundle);
            Alternative { text: words.text(&sequence.tokens), sequence, score: -1.0 }
        };
        let sequence = sequence(text, &bundle);
        let text = words.text(&sequence.tokens);
        let alternatives = others.iter().map(alternative).collect();
        rows_of(&Draft { text, sequence, seconds: 0.0, alternatives }, words)
    }

    #[test]
    fn sentences_become_rows_under_their_headings() {
        let rows = rows("Findings: the heart is enlarged. no pneumothorax. Impression: cardiomegaly.", &[]);
        let seen: Vec<_> = rows.iter().map(|row| (row.section, row.text.as_str(), row.tokens)).collect();
        assert_eq!(
            seen,
            [
                (Some(Section::Findings), "The heart is enlarged.", 7),
                (Some(Section::Findings), "No pneumothorax.", rows[1].tokens),
                (Some(Section::Impression), "Cardiomegaly.", rows[2].tokens),
            ]
        );
        // Tokens 0 to 6, the heading's among them.
        assert!((rows[0].mean_log_probability + 3.0).abs() < 1e-6, "{rows:?}");
        let all: usize = rows.iter().map(|row| row.tokens).sum();
        let whole = sequence("Findings: the heart is enlarged. no pneumothorax. Impression: cardiomegaly.", &bundle());
        assert_eq!(all, whole.log_probabilities.len());
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.token_ids.clone()).collect();
        assert_eq!(tokens, whole.tokens, "together they are the draft");
    }

    #[test]
    fn a_text_without_an_end_is_a_row_too() {
        let rows = rows("no pneumothorax. the heart is", &[]);
        assert_eq!(rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["No pneumothorax.", "The heart is"]);
        assert!(rows.iter().all(|row| row.section.is_none()));
    }

    #[test]
    fn other_hypotheses_offer_their_versions_of_a_sentence() {
        let rows = rows(
            "Findings: the heart is enlarged. no pneumothorax.",
            &["Findings: the heart is normal. no pneumothorax.", "Findings: the heart is normal. pneumothorax."],
        );
        assert_eq!(rows[0].alternatives, ["The heart is normal."]);
        assert_eq!(rows[1].alternatives, ["Pneumothorax."]);
    }
}
