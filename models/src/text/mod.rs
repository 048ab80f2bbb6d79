//! From report text to token ids and back.
//!
//! text → [`Tokenizer::encode`] → full ids (the 30,522 of uncased BERT) → [`Vocabulary::to_model`] → the ids that the
//! network embeds; and back through [`Vocabulary::to_full`] and [`Tokenizer::decode`].

mod blank;
mod detokenize;
mod tokenizer;
mod vocabulary;

pub use blank::is_blank;
pub use detokenize::detokenize;
pub use tokenizer::{Tokenizer, TokenizerError, special};
pub use vocabulary::{Vocabulary, VocabularyError};
