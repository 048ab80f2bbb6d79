//! From preprocessed images to report texts.

use std::time::Instant;

use xreport_models::bundle::{Bundle, Manifest};
use xreport_models::text::Tokenizer;

use crate::decoding::{DecodingOptions, Finish, Sequence, greedy};
use crate::model::{Model, ModelError, SessionOptions};

/// A drafted report.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Readable text.
    pub text: String,
    /// What the model said, in its own vocabulary.
    pub sequence: Sequence,
    /// Wall-clock seconds for encoding and decoding, shared equally among the rows of a batch.
    pub seconds: f64,
}

/// A model together with what turns its tokens into text.
#[derive(Debug)]
pub struct Drafter {
    model: Model,
    tokenizer: Tokenizer,
    manifest: Manifest,
    options: DecodingOptions,
}

impl Drafter {
    /// Prepares a bundle; `max_tokens` limits the reports further than the bundle itself does.
    pub fn new(bundle: &Bundle, session: &SessionOptions, max_tokens: Option<usize>) -> Result<Self, ModelError> {
        let model = Model::new(bundle, session)?;
        Self::with_model(bundle, model, max_tokens)
    }

    /// As [`Drafter::new`], for a model that is there already.
    pub fn with_model(bundle: &Bundle, model: Model, max_tokens: Option<usize>) -> Result<Self, ModelError> {
        let manifest = bundle.manifest().clone();
        let longest = manifest.decoding.max_tokens;
        let options = DecodingOptions { max_tokens: max_tokens.map_or(longest, |wanted| wanted.min(longest)) };
        Ok(Self { model, tokenizer: bundle.tokenizer()?, manifest, options })
    }

    /// The model that drafts.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its bundle's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Drafts one report per image; each image is `u8 [H, W, C]` as the bundle's preprocessing gives it.
    pub fn draft(&mut self, images: &[&[u8]]) -> Result<Vec<Draft>, ModelError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let vocabulary = &self.manifest.vocabulary;
        let (start, end) = (vocabulary.start(), vocabulary.end());
        let decoder = self.model.encode(images.len(), images.concat())?;
        let sequences = greedy(decoder, start, end, &self.options)?;
        let seconds = started.elapsed().as_secs_f64() / images.len() as f64;
        Ok(sequences
            .into_iter()
            .map(|sequence| Draft { text: self.text(&sequence.tokens), sequence, seconds })
            .collect())
    }

    /// WordPiece ids of tokens in the model's vocabulary.
    pub fn word_piece_ids(&self, tokens: &[u32]) -> Vec<u32> {
        tokens.iter().map(|&token| self.full_id(token)).collect()
    }

    /// Readable text of tokens in the model's vocabulary.
    pub fn text(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(&self.word_piece_ids(tokens))
    }

    fn full_id(&self, token: u32) -> u32 {
        self.manifest.vocabulary.to_full(token).expect("the logits have one score per token of the vocabulary")
    }
}

impl Finish {
    /// As result rows state it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Length => "length",
        }
    }
}
