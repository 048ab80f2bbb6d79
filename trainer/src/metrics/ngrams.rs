//! Words as numbers, and n-grams as paths in a tree of them.

use std::collections::HashMap;

use super::LONGEST_NGRAM;

/// A treated text as word numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Split at any white space: what BLEU and CIDEr count.
    pub words: Vec<u32>,
    /// Split at every single space: what ROUGE-L compares. Two spaces hold an empty word between them, an empty text is
    /// one empty word. So does pycocoevalcap, and R2Gen's cleaning leaves such spaces.
    pub spaced: Vec<u32>,
}

/// The pairs as word numbers of one vocabulary.
pub(super) fn interned(pairs: &[(String, String)]) -> Vec<(Words, Words)> {
    let mut vocabulary: HashMap<&str, u32> = HashMap::new();
    let mut number = |word| {
        let next = u32::try_from(vocabulary.len()).expect("fewer than 2^32 different words fit in memory");
        *vocabulary.entry(word).or_insert(next)
    };
    let mut words = |text| {
        let spaced: Vec<u32> = str::split(text, ' ').map(&mut number).collect();
        Words { words: str::split_whitespace(text).map(&mut number).collect(), spaced }
    };
    pairs.iter().map(|(generated, reference)| (words(generated), words(reference))).collect()
}

/// One text's n-grams of each length: (number of the n-gram, how often it stands there), sorted by number.
#[derive(Debug, Clone, Default)]
pub(super) struct Grams {
    /// Index `n - 1` holds the n-grams.
    pub counts: [Vec<(u32, u32)>; LONGEST_NGRAM],
    /// Words of the text.
    pub words: usize,
}

/// All n-grams of a set of texts, and in how many texts each stands.
#[derive(Debug, Default)]
pub(super) struct NgramIndex {
    /// (n-gram without its last word, last word) to the number of the whole; the empty n-gram is number 0.
    nodes: HashMap<u64, u32>,
    /// Texts that hold the n-gram.
    frequency: Vec<u32>,
    /// Different n-grams of each length.
    pub distinct: [u64; LONGEST_NGRAM],
}

fn key(prefix: u32, word: u32) -> u64 {
    u64::from(prefix) << 32 | u64::from(word)
}

impl NgramIndex {
    pub fn of<'w>(texts: impl Iterator<Item = &'w Words>) -> Self {
        let mut index = Self { frequency: vec![0], ..Self::default() };
        let mut found = Vec::new();
        for text in texts {
            index.insert(&text.words, &mut found);
        }
        index
    }

    fn insert(&mut self, words: &[u32], found: &mut Vec<u32>) {
        found.clear();
        for start in 0..words.len() {
            let mut node = 0;
            for (length, &word) in words[start..].iter().take(LONGEST_NGRAM).enumerate() {
                let next = self.frequency.len() as u32;
                node = *self.nodes.entry(key(node, word)).or_insert(next);
                if node == next {
                    assert!(next < u32::MAX / 2, "fewer than 2^31 different n-grams");
                    self.frequency.push(0);
                    self.distinct[length] += 1;
                }
                found.push(node);
            }
        }
        found.sort_unstable();
        found.dedup();
        for &node in &*found {
            self.frequency[node as usize] += 1;
        }
    }

    /// In how many texts an n-gram stands; 0 for one that only a generated text holds.
    pub fn frequency(&self, node: u32) -> u32 {
        self.frequency.get(node as usize).copied().unwrap_or(0)
    }

    /// The n-grams of two texts under common numbers; those that are in no indexed text get numbers from the top down.
    pub fn grams_of_both(&self, first: &[u32], second: &[u32]) -> (Grams, Grams) {
        let mut unknown = HashMap::new();
        (self.grams(first, &mut unknown), self.grams(second, &mut unknown))
    }

    fn grams(&self, words: &[u32], unknown: &mut HashMap<u64, u32>) -> Grams {
        let mut nodes: [Vec<u32>; LONGEST_NGRAM] = std::array::from_fn(|_| Vec::with_capacity(words.len()));
        for start in 0..words.len() {
            let mut node = 0;
            for (length, &word) in words[start..].iter().take(LONGEST_NGRAM).enumerate() {
                let key = key(node, word);
                node = self.nodes.get(&key).copied().unwrap_or_else(|| {
                    let next = u32::MAX - unknown.len() as u32;
                    *unknown.entry(key).or_insert(next)
                });
                nodes[length].push(node);
            }
        }
        Grams { counts: nodes.map(counted), words: words.len() }
    }
}

fn counted(mut nodes: Vec<u32>) -> Vec<(u32, u32)> {
    nodes.sort_unstable();
    nodes.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect()
}

/// Calls `both` for each n-gram that stands in two sorted lists, with its number and its counts in them.
pub(super) fn shared(first: &[(u32, u32)], second: &[(u32, u32)], mut both: impl FnMut(u32, u32, u32)) {
    let mut second = second.iter().peekable();
    for &(node, count) in first {
        while second.next_if(|(other, _)| *other < node).is_some() {}
        if let Some(&(_, other)) = second.next_if(|(other, _)| *other == node) {
            both(node, count, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_at_any_space_and_at_every_space() {
        let words = &interned(&[("a  b\nc".to_owned(), String::new())])[0];
        assert_eq!(words.0.words.len(), 3);
        assert_eq!(words.0.spaced.len(), 3, "`a`, nothing, `b\\nc`");
        assert_eq!((words.1.words.len(), words.1.spaced.len()), (0, 1));
        assert_eq!(words.0.spaced[1], words.1.spaced[0], "both are the empty word");
    }

    #[test]
    fn the_index_counts_texts_and_the_grams_count_places() {
        let text = |words: &[u32]| Words { words: words.to_vec(), spaced: Vec::new() };
        let texts = [text(&[1, 2, 1, 2]), text(&[2, 1])];
        let index = NgramIndex::of(texts.iter());
        // 1 2 | 12 21 | 121 212 | 1212
        assert_eq!(index.distinct, [2, 2, 2, 1]);
        let (grams, other) = index.grams_of_both(&[1, 2, 1, 2, 9, 9], &[9, 9]);
        let ones: Vec<(u32, u32)> =
            grams.counts[0].iter().map(|&(node, count)| (index.frequency(node), count)).collect();
        assert_eq!(ones, [(2, 2), (2, 2), (0, 2)]);
        let mut common = Vec::new();
        shared(&grams.counts[1], &other.counts[1], |node, a, b| common.push((index.frequency(node), a, b)));
        assert_eq!(common, [(0, 1, 1)], "an unknown n-gram is one and the same in both texts");
    }
}
