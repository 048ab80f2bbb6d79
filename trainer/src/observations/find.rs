//! Finds the lexicon's phrases in a sentence.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::lexicon::{Concept, PHRASES};
use super::words::Word;

/// A phrase that a sentence holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub concept: Concept,
    /// Words from, to.
    pub from: usize,
    pub to: usize,
}

/// Prefixes are looked up by their first letters.
const PREFIX: usize = 4;

struct Phrase {
    concept: Concept,
    words: Vec<(&'static str, bool)>,
}

#[derive(Default)]
struct Index {
    exact: HashMap<&'static str, Vec<Phrase>>,
    prefix: HashMap<&'static str, Vec<Phrase>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index = Index::default();
    for &(concept, phrases) in PHRASES {
        for phrase in phrases {
            let words: Vec<(&str, bool)> = phrase
                .split(' ')
                .map(|word| word.strip_suffix('*').map_or((word, false), |stem| (stem, true)))
                .collect();
            let (first, open) = words[0];
            let phrase = Phrase { concept, words };
            if open {
                let key = first.get(..PREFIX).expect("an open word has four letters");
                index.prefix.entry(key).or_default().push(phrase);
            } else {
                index.exact.entry(first).or_default().push(phrase);
            }
        }
    }
    index
});

/// All phrases of a sentence, the longest at each place, none within another.
pub(super) fn find(words: &[Word<'_>]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match longest(&words[at..]) {
            Some((concept, length)) => {
                found.push(Found { concept, from: at, to: at + length });
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

fn longest(words: &[Word<'_>]) -> Option<(Concept, usize)> {
    let first = words[0].text;
    let exact = INDEX.exact.get(first).into_iter().flatten();
    let prefix = first.get(..PREFIX).and_then(|key| INDEX.prefix.get(key)).into_iter().flatten();
    exact
        .chain(prefix)
        .filter(|phrase| {
            phrase.words.len() <= words.len()
                && phrase
                    .words
                    .iter()
                    .zip(words)
                    .all(|(&(word, open), found)| if open { found.text.starts_with(word) } else { found.text == word })
        })
        .map(|phrase| (phrase.concept, phrase.words.len()))
        .max_by_key(|&(_, length)| length)
}
