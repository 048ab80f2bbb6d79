//! From preprocessed images to report texts.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Instant;

use thiserror::Error;
use xreport_models::bundle::{Bundle, Manifest};
use xreport_models::ngrams::NgramTable;
use xreport_models::text::Tokenizer;

use crate::decoding::{
    Admitted, Beam, DecodingOptions, Finish, Followed, Follower, Greedy, GuessCounts, Guessing, Hypothesis,
    OptionsError, Sample, Search, Sequence, StepModel, Studies, run, speculative,
};
use crate::model::{Decoder, Encoded, Encoder, Model, ModelError, SessionOptions};

/// A drafted report.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Readable text.
    pub text: String,
    /// What the model said, in its own vocabulary.
    pub sequence: Sequence,
    /// Wall-clock seconds for encoding and decoding; a batch's time is shared equally among its rows.
    pub seconds: f64,
    /// The further hypotheses of a beam search, best first.
    pub alternatives: Vec<Alternative>,
}

/// A report that a beam search ranked lower.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// Readable text.
    pub text: String,
    /// What the model said.
    pub sequence: Sequence,
    /// By which the search ranks: log-probability over length to the power of the length penalty.
    pub score: f64,
}

/// An image to draft a report for.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name: the draws of a sampled report follow from it and the seed.
    pub name: String,
    /// `u8 [H, W, C]` as the bundle's preprocessing gives it.
    pub pixels: Vec<u8>,
}

/// A study, and who follows its report while it is written.
pub type Followable = (Study, Option<Box<dyn Follower>>);

/// Where studies come from.
pub trait Comers {
    /// The next one, if there is one now.
    fn next(&mut self) -> Option<Followable>;
    /// How many of those who wait are this run's to take now, where more may come after `next` has given none.
    fn waiting(&self) -> Option<usize> {
        None
    }
}

/// The studies of a source that ends.
struct UntilNone<'a>(&'a mut dyn FnMut() -> Option<Study>);

impl Comers for UntilNone<'_> {
    fn next(&mut self) -> Option<Followable> {
        (self.0)().map(|study| (study, None))
    }
}

/// Why a prefix cannot be forced.
#[derive(Debug, Error)]
pub enum PrefixError {
    /// It has no token.
    #[error(
        "prefix: a text with at least one word or mark expected, found {}\nhint: leave the prefix out, and the model begins its \
         reports itself",
        if .prefix.trim().is_empty() { "nothing but white space" } else { "nothing but characters that cannot be seen" }
    )]
    NoToken {
        /// The prefix.
        prefix: String,
    },
    /// It has words that the model cannot say.
    #[error(
        "prefix `{prefix}`: the model does not know {}\nhint: its vocabulary holds the words of its training reports alone", .words.join(", ")
    )]
    Unknown {
        /// The prefix.
        prefix: String,
        /// Word pieces that are not in the vocabulary.
        words: Vec<String>,
    },
    /// The tokenizer failed.
    #[error("prefix `{prefix}`: {problem}")]
    Tokenizer {
        /// The prefix.
        prefix: String,
        /// What it said.
        problem: String,
    },
}

/// A model together with what turns its tokens into text.
#[derive(Debug)]
pub struct Drafter {
    model: Model,
    tokenizer: Tokenizer,
    manifest: Manifest,
    options: DecodingOptions,
    guessing: Option<(NgramTable, Guessing)>,
    guesses: GuessCounts,
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
        let max_tokens = max_tokens.map_or(longest, |wanted| wanted.min(longest));
        let options = DecodingOptions { max_tokens, ..DecodingOptions::default() };
        let tokenizer = bundle.tokenizer()?;
        Ok(Self { model, tokenizer, manifest, options, guessing: None, guesses: GuessCounts::default() })
    }

    /// Searches in another way than greedily. The longest report stays within the bundle's.
    pub fn set_options(&mut self, options: DecodingOptions) -> Result<(), OptionsError> {
        let max_tokens = options.max_tokens.min(self.manifest.decoding.max_tokens);
        self.options = DecodingOptions { max_tokens, ..options }.checked()?;
        Ok(())
    }

    /// Guesses tokens ahead with the bundle's table while reports are drafted greedily and one at a time; the texts do not
    /// depend on it. `false` where the bundle has no table for the variant that runs.
    pub fn guess_ahead(
        &mut self,
        bundle: &Bundle,
        session: &SessionOptions,
        guessing: Guessing,
    ) -> Result<bool, ModelError> {
        let Some(table) = bundle.ngrams()? else { return Ok(false) };
        if !self.model.prepare_guessing(bundle, session)? {
            return Ok(false);
        }
        self.guessing = Some((table, guessing));
        Ok(true)
    }

    /// How guessing went so far.
    pub fn guesses(&self) -> GuessCounts {
        self.guesses
    }

    /// The present options.
    pub fn options(&self) -> &DecodingOptions {
        &self.options
    }

    /// The model that drafts.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Its bundle's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The model's tokens of a text with which reports are to begin.
    pub fn prefix_tokens(&self, prefix: &str) -> Result<Vec<u32>, PrefixError> {
        let fail = |problem: String| PrefixError::Tokenizer { prefix: prefix.to_owned(), problem };
        let ids = self.tokenizer.encode(prefix).map_err(|error| fail(error.to_string()))?;
        let vocabulary = &self.manifest.vocabulary;
        // The tokenizer frames a text by start and end.
        let ids = ids.get(1..ids.len().saturating_sub(1)).unwrap_or(&[]);
        if ids.is_empty() {
            return Err(PrefixError::NoToken { prefix: prefix.to_owned() });
        }
        let tokens: Vec<u32> = ids.iter().map(|&id| vocabulary.to_model(id)).collect();
        let unknown: Vec<String> = ids
            .iter()
            .zip(&tokens)
            .filter(|(_, token)| **token == vocabulary.unk())
            .map(|(&id, _)| format!("`{}`", self.tokenizer.decode(&[id])))
            .collect();
        if unknown.is_empty() {
            Ok(tokens)
        } else {
            Err(PrefixError::Unknown { prefix: prefix.to_owned(), words: unknown })
        }
    }

    /// Drafts one report per image, all together; each image is `u8 [H, W, C]` as the bundle's preprocessing gives it.
    /// For the draws of sampled reports their names are `0`, `1` and so on.
    pub fn draft(&mut self, images: &[&[u8]]) -> Result<Vec<Draft>, ModelError> {
        let named = |(index, pixels): (usize, &&[u8])| Study { name: index.to_string(), pixels: pixels.to_vec() };
        self.draft_studies(images.len(), images.iter().enumerate().map(named).collect())
    }

    /// Drafts a report for each study, up to `together` at once; in the order of the studies.
    pub fn draft_studies(&mut self, together: usize, studies: Vec<Study>) -> Result<Vec<Draft>, ModelError> {
        let mut drafts: Vec<Option<Draft>> = vec![None; studies.len()];
        let together = together.min(studies.len());
        let mut studies = studies.into_iter();
        self.draft_all(together, &mut || studies.next(), &mut |index, draft| drafts[index] = Some(draft))?;
        Ok(drafts.into_iter().map(|draft| draft.expect("every study is done once")).collect())
    }

    /// Drafts a report for each study that `next` gives, up to `together` at once; `done` gets each draft with the
    /// study's number, from 0 in the order of `next`, as soon as it is there: shorter reports overtake longer ones.
    ///
    /// A report that ends makes room for the next study at once. A text depends neither on `together` nor on the order.
    pub fn draft_all(
        &mut self,
        together: usize,
        next: &mut dyn FnMut() -> Option<Study>,
        done: &mut dyn FnMut(usize, Draft),
    ) -> Result<(), ModelError> {
        if together == 1 && self.options.is_plain_greedy() && self.guessing.is_some() {
            return self.guess_all(next, done);
        }
        self.draft_followed(together..=together, &mut UntilNone(next), done)
    }

    /// As [`Drafter::draft_all`], where a study's report can be followed while it is written. It does not guess ahead.
    ///
    /// It begins with as many studies at once as `together` begins with, and takes in who comes meanwhile, up to its end.
    pub fn draft_followed(
        &mut self,
        together: RangeInclusive<usize>,
        comers: &mut dyn Comers,
        done: &mut dyn FnMut(usize, Draft),
    ) -> Result<(), ModelError> {
        let (first, together) = together.into_inner();
        if first == 0 {
            return Ok(());
        }
        let Self { model, tokenizer, manifest, options, .. } = self;
        let beams = options.beams;
        let (encoder, decoder) = model.parts();
        // Elsewhere rows without a study cost next to nothing.
        let first = if decoder.changes_width() { first } else { together };
        decoder.attach(first * beams)?;
        let longest = options.max_tokens.min(decoder.positions());
        let words = Words { tokenizer, manifest };
        let mut queue = Queue {
            encoder,
            options,
            longest,
            together,
            words: &words,
            comers,
            done,
            admitted: 0,
            encoding_seconds: HashMap::new(),
            waiting: VecDeque::new(),
            encoded: None,
        };
        run(decoder, beams, &mut queue)
    }

    /// As [`Drafter::draft_all`] one by one, guessing ahead.
    fn guess_all(
        &mut self,
        next: &mut dyn FnMut() -> Option<Study>,
        done: &mut dyn FnMut(usize, Draft),
    ) -> Result<(), ModelError> {
        let Some((table, guessing)) = &self.guessing else { return Ok(()) };
        let words = Words { tokenizer: &self.tokenizer, manifest: &self.manifest };
        let vocabulary = &self.manifest.vocabulary;
        for number in 0.. {
            let Some(study) = next() else { break };
            let started = Instant::now();
            let decoder = self.model.encode(1, study.pixels)?;
            let longest = self.options.max_tokens.min(decoder.positions());
            let marks = [vocabulary.start(), vocabulary.end()];
            let (sequence, counts) = speculative(decoder, table, *guessing, marks, longest)?;
            self.guesses += counts;
            let text = words.text(&sequence.tokens);
            let seconds = started.elapsed().as_secs_f64();
            done(number, Draft { text, sequence, seconds, alternatives: Vec::new() });
        }
        Ok(())
    }

    /// Readable text of tokens in the model's vocabulary.
    pub fn text(&self, tokens: &[u32]) -> String {
        self.words().text(tokens)
    }

    fn words(&self) -> Words<'_> {
        Words { tokenizer: &self.tokenizer, manifest: &self.manifest }
    }
}

/// Tokens to text.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The bundle's.
    pub tokenizer: &'a Tokenizer,
    /// The bundle's, for its vocabulary.
    pub manifest: &'a Manifest,
}

impl Words<'_> {
    /// WordPiece ids of tokens in the model's vocabulary.
    pub fn word_piece_ids(&self, tokens: &[u32]) -> Vec<u32> {
        let vocabulary = &self.manifest.vocabulary;
        let full = |&token| vocabulary.to_full(token).expect("the logits have one score per token of the vocabulary");
        tokens.iter().map(full).collect()
    }

    /// Readable text of tokens in the model's vocabulary.
    pub fn text(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(&self.word_piece_ids(tokens))
    }
}

/// Studies on their way: encoded several at once, admitted one by one.
struct Queue<'a> {
    encoder: &'a mut Encoder,
    options: &'a DecodingOptions,
    longest: usize,
    /// At most.
    together: usize,
    words: &'a Words<'a>,
    comers: &'a mut dyn Comers,
    done: &'a mut dyn FnMut(usize, Draft),
    admitted: usize,
    /// Share of each study at work in the time of the encoder.
    encoding_seconds: HashMap<usize, f64>,
    /// The encoded studies that wait.
    waiting: VecDeque<Waiting>,
    encoded: Option<(Encoded, f64)>,
}

/// An encoded study.
struct Waiting {
    name: String,
    follower: Option<Box<dyn Follower>>,
    /// Its place among the encoded.
    place: usize,
}

impl Queue<'_> {
    /// Encodes the next studies, as many as are drafted together and no more than are its to take; whether there were any.
    fn encode(&mut self) -> Result<bool, ModelError> {
        let mut pixels = Vec::new();
        let most = self.comers.waiting().map_or(self.together, |waiting| waiting.min(self.together));
        while self.waiting.len() < most
            && let Some((Study { name, pixels: its }, follower)) = self.comers.next()
        {
            pixels.extend_from_slice(&its);
            self.waiting.push_back(Waiting { name, follower, place: self.waiting.len() });
        }
        if self.waiting.is_empty() {
            return Ok(false);
        }
        let started = Instant::now();
        let encoded = self.encoder.encode(self.waiting.len(), pixels)?;
        let each = started.elapsed().as_secs_f64() / self.waiting.len() as f64;
        self.encoded = Some((encoded, each));
        Ok(true)
    }

    fn search(&self, name: &str) -> Box<dyn Search> {
        let end = self.words.manifest.vocabulary.end();
        match self.options.sampling {
            Some(sampling) => Box::new(Sample::new(self.options, sampling, name, end, self.longest)),
            None if self.options.beams > 1 => Box::new(Beam::new(self.options, end, self.longest)),
            None => Box::new(Greedy::new(self.options, end, self.longest)),
        }
    }
}

impl Studies<Decoder> for Queue<'_> {
    type Error = ModelError;

    fn admit(&mut self, decoder: &mut Decoder, first_row: usize) -> Result<Option<Admitted>, ModelError> {
        if self.waiting.is_empty() && !self.encode()? {
            return Ok(None);
        }
        let Waiting { name, follower, place: image } = self.waiting.pop_front().expect("something was encoded");
        let (encoded, seconds) = self.encoded.as_ref().expect("something was encoded");
        let start = i64::from(self.words.manifest.vocabulary.start());
        for row in first_row..first_row + self.options.beams {
            decoder.fill(row, encoded, image)?;
            decoder.start_row(row, start);
        }
        let study = self.admitted;
        self.encoding_seconds.insert(study, *seconds);
        self.admitted += 1;
        let search = self.search(&name);
        let search = match follower {
            Some(follower) => Box::new(Followed::new(search, follower)),
            None => search,
        };
        Ok(Some(Admitted { study, search }))
    }

    fn seats(&mut self, taken: usize) -> usize {
        match self.waiting.len() + self.comers.waiting().unwrap_or(0) {
            0 => taken,
            // Few widths: the buffers of each are kept.
            coming => (taken + coming).next_power_of_two().min(self.together).max(taken),
        }
    }

    fn done(&mut self, study: usize, found: Vec<Hypothesis>, seconds: f64) -> Result<(), ModelError> {
        let mut ranked = found.into_iter().map(|Hypothesis { sequence, score }| Alternative {
            text: self.words.text(&sequence.tokens),
            sequence,
            score,
        });
        let Alternative { text, sequence, .. } = ranked.next().expect("a search gives at least one hypothesis");
        let seconds = seconds + self.encoding_seconds.remove(&study).unwrap_or_default();
        (self.done)(study, Draft { text, sequence, seconds, alternatives: ranked.collect() });
        Ok(())
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
