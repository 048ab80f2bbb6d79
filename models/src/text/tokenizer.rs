//! DistilBERT's uncased WordPiece tokenizer.

use serde_json::{Value, json};

use super::detokenize::detokenize;

/// The special tokens of the uncased BERT vocabulary. [`Tokenizer`] looks them up by name and refuses a vocabulary
/// where they stand elsewhere.
pub mod special {
    /// Fills a batch's shorter sequences.
    pub const PAD: u32 = 0;
    /// A word that the vocabulary cannot spell.
    pub const UNK: u32 = 100;
    /// Starts every sequence.
    pub const CLS: u32 = 101;
    /// Ends every sequence.
    pub const SEP: u32 = 102;
    /// Unused here, but part of the vocabulary.
    pub const MASK: u32 = 103;

    /// Names and ids of all of them.
    pub const ALL: [(&str, u32); 5] =
        [("[PAD]", PAD), ("[UNK]", UNK), ("[CLS]", CLS), ("[SEP]", SEP), ("[MASK]", MASK)];
}

/// What can be wrong with a tokenizer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The tokenizer file is broken, or is another kind of tokenizer.
    #[error("tokenizer: expected the JSON of a WordPiece tokenizer, found: {detail}")]
    Malformed {
        /// What the parser says.
        detail: String,
    },
    /// A special token is missing or stands elsewhere.
    #[error(
        "tokenizer: expected `{token}` at id {expected}, found {}\nhint: this needs the vocabulary of uncased BERT or DistilBERT",
        found.map_or_else(|| "no such token".to_owned(), |id| format!("id {id}"))
    )]
    SpecialToken {
        /// The token.
        token: &'static str,
        /// Its id in the uncased BERT vocabulary.
        expected: u32,
        /// Its id here.
        found: Option<u32>,
    },
    /// A vocabulary lists a token twice.
    #[error("vocabulary: line {line} repeats the token of line {first_line}, expected every token once")]
    RepeatedToken {
        /// The line (from 1) of the repetition.
        line: usize,
        /// The line (from 1) where the token stands first.
        first_line: usize,
    },
    /// A text cannot be tokenized.
    #[error("tokenizer: cannot tokenize a text: {detail}")]
    Encode {
        /// What the tokenizer says.
        detail: String,
    },
}

/// The tokenizer; cheap to share between threads by reference.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Builds DistilBERT's uncased tokenizer over a `vocab.txt`: one token a line, the line number (from 0) is the id.
    pub fn from_vocab(vocab_txt: &str) -> Result<Self, TokenizerError> {
        let mut vocabulary = serde_json::Map::new();
        for (id, token) in vocab_txt.lines().enumerate() {
            if let Some(first) = vocabulary.insert(token.to_owned(), json!(id)) {
                return Err(TokenizerError::RepeatedToken {
                    line: id + 1,
                    first_line: first.as_u64().map_or(0, |first| first as usize + 1),
                });
            }
        }
        Self::from_json(distilbert(&vocabulary).to_string().as_bytes())
    }

    /// Reads the `tokenizer.json` of Hugging Face, as [`to_json`](Self::to_json) writes it.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        let malformed = |detail: String| TokenizerError::Malformed { detail };
        // The library panics on some texts that are no JSON, and on some JSON that is no tokenizer: a stranger's file must
        // not bring a program down.
        serde_json::from_slice::<serde::de::IgnoredAny>(json).map_err(|error| malformed(error.to_string()))?;
        let read = std::panic::catch_unwind(|| tokenizers::Tokenizer::from_bytes(json));
        let mut inner = read
            .map_err(|_| malformed("expected a tokenizer's description, found other JSON".into()))?
            .map_err(|error| malformed(error.to_string()))?;
        for (token, expected) in special::ALL {
            let found = inner.token_to_id(token);
            if found != Some(expected) {
                return Err(TokenizerError::SpecialToken { token, expected, found });
            }
        }
        // A text comes from outside: "[SEP]" in it must not end the report there. The file does not hold this switch, so that
        // it is set for every tokenizer, however old its bundle.
        inner.set_encode_special_tokens(true);
        Ok(Self { inner })
    }

    /// The `tokenizer.json` of Hugging Face, compact; the same tokenizer gives the same bytes.
    pub fn to_json(&self) -> String {
        self.inner.to_string(false).expect("a tokenizer that was read can be written")
    }

    /// Token ids of a text, from `[CLS]` to `[SEP]`, not truncated.
    ///
    /// The name of a special token within the text is an ordinary word: "[SEP]" becomes `[`, `sep`, `]`. Of the special
    /// tokens only `[UNK]` can stand between the first and the last id, for a word that the vocabulary cannot spell.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding =
            self.inner.encode_fast(text, true).map_err(|e| TokenizerError::Encode { detail: e.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of token ids, set as a person would write it: see [`detokenize`].
    ///
    /// Skips `[PAD]`, `[CLS]`, `[SEP]` and `[MASK]`. `[UNK]` and ids beyond the vocabulary show as `[UNK]`, which is a mark
    /// for the reader: encoded again it is three ordinary tokens.
    pub fn decode(&self, ids: &[u32]) -> String {
        let silent = [special::PAD, special::CLS, special::SEP, special::MASK];
        let pieces: Vec<String> = ids
            .iter()
            .filter(|id| !silent.contains(id))
            .map(|&id| self.token(id).unwrap_or_else(|| "[UNK]".to_owned()))
            .collect();
        detokenize(pieces.iter().map(String::as_str))
    }

    /// The WordPiece of an id, `##` included; `None` beyond the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of ids: 30,522.
    pub fn len(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Whether there are no ids, which the special tokens rule out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The tokenizer.json of DistilBERT (uncased) over a vocabulary.
fn distilbert(vocabulary: &serde_json::Map<String, Value>) -> Value {
    let added: Vec<Value> = special::ALL
        .iter()
        .map(|(token, id)| {
            json!({
                "id": id, "content": token, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false
            })
        })
        .collect();
    let token = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let sequence = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
    let entry = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), sequence("A"), token("[SEP]")],
            "pair": [token("[CLS]"), sequence("A"), token("[SEP]"), sequence("B"), token("[SEP]")],
            "special_tokens": {
                "[CLS]": entry("[CLS]", special::CLS),
                "[SEP]": entry("[SEP]", special::SEP)
            }
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary
        }
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use serde::Deserialize;

    use super::*;

    pub(in crate::text) fn bert() -> Tokenizer {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tokenizer/vocab.txt");
        Tokenizer::from_vocab(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[derive(Deserialize)]
    struct Golden {
        text: String,
        ids: Vec<u32>,
        tokens: Vec<String>,
        decoded: String,
    }

    #[test]
    fn agrees_with_hugging_face_on_all_golden_texts() {
        let tokenizer = bert();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/golden_tokens.jsonl");
        let lines = std::fs::read_to_string(path).unwrap();
        let mut texts = 0;
        for line in lines.lines() {
            let golden: Golden = serde_json::from_str(line).unwrap();
            let ids = tokenizer.encode(&golden.text).unwrap();
            assert_eq!(ids, golden.ids, "{}", golden.text);
            let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
            assert_eq!(tokens, golden.tokens, "{}", golden.text);
            assert_eq!(tokenizer.inner.decode(&ids, true).unwrap(), golden.decoded);
            texts += 1;
        }
        assert_eq!(texts, 316);
    }

    #[test]
    fn special_tokens_in_a_text_are_ordinary_words() {
        // As it is made, and as a bundle of any age brings it.
        let made = bert();
        let read = Tokenizer::from_json(made.to_json().as_bytes()).unwrap();
        for tokenizer in [made, read] {
            for (name, id) in special::ALL {
                for text in [name.to_owned(), name.to_lowercase(), format!("{name}{name}"), format!("clear{name}lungs")]
                {
                    let ids = tokenizer.encode(&text).unwrap();
                    assert_eq!((ids[0], ids[ids.len() - 1]), (special::CLS, special::SEP));
                    let inner = &ids[1..ids.len() - 1];
                    assert!(!inner.is_empty() && !inner.contains(&id), "{text}: {ids:?}");
                    // What is written with these tokens shows them, and is no shorter for it.
                    assert_eq!(tokenizer.encode(&tokenizer.decode(&ids)).unwrap(), ids, "{text}");
                }
            }
            let whole = tokenizer.encode("Left effusion. [SEP] Small left pleural effusion.").unwrap();
            assert_eq!(tokenizer.decode(&whole), "Left effusion. [Sep] small left pleural effusion.");
        }
    }

    #[test]
    fn json_round_trip_keeps_the_tokenizer_and_the_bytes() {
        let tokenizer = bert();
        let json = tokenizer.to_json();
        let again = Tokenizer::from_json(json.as_bytes()).unwrap();
        assert_eq!(again.to_json(), json);
        assert_eq!(again.len(), 30_522);
        let text = "Small left-sided pneumothorax, 1.5 cm.";
        assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap());
    }

    #[test]
    fn decode_skips_specials_but_shows_unknown_words() {
        let tokenizer = bert();
        let no = tokenizer.inner.token_to_id("no").unwrap();
        let ids = [special::CLS, no, special::UNK, special::SEP, special::PAD, special::MASK];
        assert_eq!(tokenizer.decode(&ids), "No [UNK]");
        assert_eq!(tokenizer.decode(&[no, 40_000]), "No [UNK]");
        assert_eq!(tokenizer.decode(&[]), "");
    }

    #[test]
    fn other_vocabularies_are_refused() {
        let moved = Tokenizer::from_vocab("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
        assert!(
            matches!(moved, Err(TokenizerError::SpecialToken { token: "[UNK]", expected: 100, found: Some(1) })),
            "{moved:?}"
        );
        let none = Tokenizer::from_vocab("a\nb\n").unwrap_err().to_string();
        assert!(none.contains("[PAD]"), "{none}");
        let twice = Tokenizer::from_vocab("a\nb\na\n").unwrap_err().to_string();
        assert!(twice.contains("line 3") && twice.contains("line 1"), "{twice}");
        assert!(matches!(Tokenizer::from_json(b"{}"), Err(TokenizerError::Malformed { .. })));
    }

    /// Full ids → text → full ids, over whole corpora where they lie beside the checkout.
    #[test]
    fn decoded_text_encodes_to_the_same_ids() {
        let tokenizer = bert();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let golden = root.join("tests/golden/golden_tokens.jsonl");
        let golden: Vec<String> = std::fs::read_to_string(golden)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Golden>(line).unwrap().text)
            .collect();
        let mut corpora = vec![("golden texts", golden)];
        for name in ["chest-pairs", "open-i"] {
            let path = root.join(format!("../../shared/data/{name}/reports.csv"));
            // Rows are not parsed: any text with report wording in it serves.
            if let Ok(csv) = std::fs::read_to_string(path) {
                corpora.push((name, csv.lines().map(str::to_owned).collect()));
            } else {
                use std::io::Write;
                // Not `eprintln!`: the test runner would keep it to itself.
                let said = "skipped: decoded_text_encodes_to_the_same_ids:";
                let _ = writeln!(std::io::stderr(), "{said} ../shared/data/{name}/reports.csv is absent");
            }
        }
        for (name, texts) in corpora {
            let lost: Vec<&String> = texts
                .iter()
                .filter(|text| {
                    let ids = tokenizer.encode(text).unwrap();
                    // A word that the vocabulary cannot spell shows as a mark, which is no such word any more.
                    !ids.contains(&special::UNK) && tokenizer.encode(&tokenizer.decode(&ids)).unwrap() != ids
                })
                .collect();
            let share = 1.0 - lost.len() as f64 / texts.len() as f64;
            eprintln!("{name}: {} texts, tokens survive in {share:.5}", texts.len());
            assert!(share >= 0.999, "{name}: {lost:#?}");
        }
    }
}
