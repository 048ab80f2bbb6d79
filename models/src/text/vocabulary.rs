//! Which of the tokenizer's ids the network knows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::tokenizer::special;

/// The specials of a corpus vocabulary: model ids 0 to 3 in this order.
const CORPUS_SPECIALS: [u32; 4] = [special::PAD, special::UNK, special::CLS, special::SEP];

/// Largest vocabulary that a manifest may claim.
const MAX_SIZE: u32 = 1_000_000;

/// Marks a full id that the corpus vocabulary does not hold.
const ABSENT: u32 = u32::MAX;

/// What can be wrong with a vocabulary read from a manifest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum VocabularyError {
    /// A corpus vocabulary does not start with its specials.
    #[error("vocabulary: expected the full ids {CORPUS_SPECIALS:?} first (PAD, UNK, CLS, SEP), found {found:?}")]
    Specials {
        /// The first ids.
        found: Vec<u32>,
    },
    /// The ids after the specials do not ascend strictly, repeat a special, or are implausibly large.
    #[error(
        "vocabulary: expected ascending full ids below {MAX_SIZE} without repetition, found {found} at position {position}"
    )]
    Order {
        /// Position in the list, from 0.
        position: usize,
        /// The id there.
        found: u32,
    },
    /// A full vocabulary is too small for the specials, or implausibly large.
    #[error("vocabulary: expected a size from 104 to {MAX_SIZE}, found {found}")]
    Size {
        /// The size.
        found: u32,
    },
}

/// The map between the tokenizer's full ids and the network's dense model ids 0..V.
///
/// `corpus` holds the ids seen in training plus the specials: PAD 0, UNK 1, CLS 2, SEP 3, then ascending full ids.
/// `full` is the identity: PAD 0, UNK 100, CLS 101, SEP 102.
///
/// In JSON: `{"mode": "corpus", "ids": [0, 100, 101, 102, 1012, …]}` or `{"mode": "full", "size": 30522}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Vocabulary {
    map: Map,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Map {
    Full {
        size: u32,
    },
    Corpus {
        /// Full id of each model id.
        to_full: Vec<u32>,
        /// Model id of each full id up to the largest one held, [`ABSENT`] in the gaps.
        to_model: Vec<u32>,
    },
}

/// How a vocabulary stands in the manifest.
#[derive(Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
enum Stored {
    Full { size: u32 },
    Corpus { ids: Vec<u32> },
}

impl Vocabulary {
    /// A report's model tokens without the start and the end token.
    pub fn spoken<'t>(&self, report: &'t [u32]) -> &'t [u32] {
        let report = report.strip_prefix(&[self.start()]).unwrap_or(report);
        report.strip_suffix(&[self.end()]).unwrap_or(report)
    }

    /// The specials and every id that occurs in `sequences` of full ids, whatever their order.
    pub fn corpus<S>(sequences: impl IntoIterator<Item = S>) -> Self
    where
        S: AsRef<[u32]>,
    {
        let mut seen = BTreeSet::new();
        for sequence in sequences {
            seen.extend(sequence.as_ref().iter().copied());
        }
        let others = seen.into_iter().filter(|id| !CORPUS_SPECIALS.contains(id));
        Self::from_ids(CORPUS_SPECIALS.into_iter().chain(others).collect())
    }

    /// The identity over a tokenizer of `size` ids.
    ///
    /// # Errors
    /// [`VocabularyError::Size`] when the specials have no room, or the size is implausible.
    pub fn full(size: u32) -> Result<Self, VocabularyError> {
        if (special::MASK + 1..=MAX_SIZE).contains(&size) {
            Ok(Self { map: Map::Full { size } })
        } else {
            Err(VocabularyError::Size { found: size })
        }
    }

    fn from_ids(to_full: Vec<u32>) -> Self {
        let largest = to_full.iter().max().copied().unwrap_or_default();
        let mut to_model = vec![ABSENT; largest as usize + 1];
        for (model_id, &full_id) in (0..).zip(&to_full) {
            to_model[full_id as usize] = model_id;
        }
        Self { map: Map::Corpus { to_full, to_model } }
    }

    /// Model id of a full id; [`unk`](Self::unk) for an id that the vocabulary does not hold.
    pub fn to_model(&self, full_id: u32) -> u32 {
        let found = match &self.map {
            Map::Full { size } => (full_id < *size).then_some(full_id),
            Map::Corpus { to_model, .. } => {
                to_model.get(full_id as usize).copied().filter(|&model_id| model_id != ABSENT)
            }
        };
        found.unwrap_or(self.unk())
    }

    /// Full id of a model id; `None` at V and beyond.
    pub fn to_full(&self, model_id: u32) -> Option<u32> {
        match &self.map {
            Map::Full { size } => (model_id < *size).then_some(model_id),
            Map::Corpus { to_full, .. } => to_full.get(model_id as usize).copied(),
        }
    }

    /// Number of model ids, V: the rows of the embedding and the width of the logits.
    pub fn len(&self) -> usize {
        match &self.map {
            Map::Full { size } => *size as usize,
            Map::Corpus { to_full, .. } => to_full.len(),
        }
    }

    /// Whether there are no ids, which the specials rule out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is the identity over all of the tokenizer's ids.
    pub fn is_full(&self) -> bool {
        matches!(self.map, Map::Full { .. })
    }

    /// One more than the largest full id held: the tokenizer must have at least so many ids.
    pub fn full_size(&self) -> usize {
        match &self.map {
            Map::Full { size } => *size as usize,
            Map::Corpus { to_model, .. } => to_model.len(),
        }
    }

    /// Model id of `[PAD]`.
    pub fn pad(&self) -> u32 {
        self.special(0)
    }

    /// Model id of `[UNK]`.
    pub fn unk(&self) -> u32 {
        self.special(1)
    }

    /// Model id of `[CLS]`, which starts a report.
    pub fn start(&self) -> u32 {
        self.special(2)
    }

    /// Model id of `[SEP]`, which ends a report.
    pub fn end(&self) -> u32 {
        self.special(3)
    }

    fn special(&self, position: usize) -> u32 {
        match self.map {
            Map::Full { .. } => CORPUS_SPECIALS[position],
            Map::Corpus { .. } => position as u32,
        }
    }
}

impl TryFrom<Stored> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(stored: Stored) -> Result<Self, VocabularyError> {
        let ids = match stored {
            Stored::Full { size } => return Self::full(size),
            Stored::Corpus { ids } => ids,
        };
        let Some((specials, others)) = ids.split_first_chunk().filter(|(specials, _)| **specials == CORPUS_SPECIALS)
        else {
            return Err(VocabularyError::Specials { found: ids.into_iter().take(CORPUS_SPECIALS.len()).collect() });
        };
        let mut previous = None;
        for (position, &found) in (specials.len()..).zip(others) {
            let ascends = previous.is_none_or(|previous| found > previous);
            if !ascends || found >= MAX_SIZE || specials.contains(&found) {
                return Err(VocabularyError::Order { position, found });
            }
            previous = Some(found);
        }
        Ok(Self::from_ids(ids))
    }
}

impl From<Vocabulary> for Stored {
    fn from(vocabulary: Vocabulary) -> Self {
        match vocabulary.map {
            Map::Full { size } => Self::Full { size },
            Map::Corpus { to_full, .. } => Self::Corpus { ids: to_full },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_ids_are_dense_with_the_specials_first() {
        let vocabulary = Vocabulary::corpus([vec![101, 2053, 1012, 102], vec![101, 1012, 999, 102, 0]]);
        assert_eq!(vocabulary.len(), 7);
        let full: Vec<u32> = (0..7).map(|id| vocabulary.to_full(id).unwrap()).collect();
        assert_eq!(full, [0, 100, 101, 102, 999, 1012, 2053]);
        assert_eq!(vocabulary.to_full(7), None);
        for (model_id, &full_id) in (0..).zip(&full) {
            assert_eq!(vocabulary.to_model(full_id), model_id);
        }
        // Below, between and beyond the ids held.
        for absent in [1, 1000, 2054, u32::MAX] {
            assert_eq!(vocabulary.to_model(absent), vocabulary.unk());
        }
        assert_eq!((vocabulary.pad(), vocabulary.unk(), vocabulary.start(), vocabulary.end()), (0, 1, 2, 3));
        assert_eq!(vocabulary.full_size(), 2054);
    }

    #[test]
    fn order_of_the_corpus_does_not_matter() {
        let forwards = Vocabulary::corpus([[5, 9], [7, 1]]);
        assert_eq!(forwards, Vocabulary::corpus([[1, 7], [9, 5]]));
        assert_eq!(Vocabulary::corpus(Vec::<Vec<u32>>::new()).len(), 4);
    }

    #[test]
    fn full_is_the_identity() {
        let vocabulary = Vocabulary::full(30_522).unwrap();
        assert_eq!((vocabulary.len(), vocabulary.full_size()), (30_522, 30_522));
        assert_eq!(vocabulary.to_model(30_521), 30_521);
        assert_eq!(vocabulary.to_model(30_522), 100);
        assert_eq!(vocabulary.to_full(30_521), Some(30_521));
        assert_eq!(vocabulary.to_full(30_522), None);
        assert_eq!((vocabulary.pad(), vocabulary.unk(), vocabulary.start(), vocabulary.end()), (0, 100, 101, 102));
    }

    #[test]
    fn json_is_compact_and_round_trips() {
        let full = Vocabulary::full(30_522).unwrap();
        let corpus = Vocabulary::corpus([[1012, 2053]]);
        for (vocabulary, expected) in [
            (full, r#"{"mode":"full","size":30522}"#),
            (corpus, r#"{"mode":"corpus","ids":[0,100,101,102,1012,2053]}"#),
        ] {
            let json = serde_json::to_string(&vocabulary).unwrap();
            assert_eq!(json, expected);
            assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary);
        }
    }

    #[test]
    fn malformed_vocabularies_are_refused() {
        for (json, expected) in [
            (r#"{"mode":"corpus","ids":[0,101,100,102]}"#, "first"),
            (r#"{"mode":"corpus","ids":[0,100]}"#, "first"),
            (r#"{"mode":"corpus","ids":[0,100,101,102,7,7]}"#, "position 5"),
            (r#"{"mode":"corpus","ids":[0,100,101,102,9,7]}"#, "position 5"),
            (r#"{"mode":"corpus","ids":[0,100,101,102,101]}"#, "position 4"),
            (r#"{"mode":"corpus","ids":[0,100,101,102,4294967295]}"#, "position 4"),
            (r#"{"mode":"full","size":103}"#, "from 104"),
            (r#"{"mode":"full","size":4294967295}"#, "from 104"),
            (r#"{"mode":"full","size":200,"x":1}"#, "unknown field"),
            (r#"{"mode":"other"}"#, "unknown variant"),
        ] {
            let message = serde_json::from_str::<Vocabulary>(json).unwrap_err().to_string();
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}
