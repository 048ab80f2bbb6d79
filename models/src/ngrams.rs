//! What usually follows what in the training reports: a table from which several tokens are guessed at once.
//!
//! The guesses only save time. The model checks each of them, and the text is the one that it writes without them.
//!
//! **Nothing private is in the table**: an n-gram is stored only if it occurs in reports of at least
//! [`FEWEST_PATIENTS`] different patients, so that no name, date or number of one person can be in it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An n-gram occurs in reports of at least so many different patients, or it is not stored.
pub const FEWEST_PATIENTS: u32 = 10;
/// Tokens before the guessed one that are looked at, at most.
pub const LONGEST_CONTEXT: usize = 4;
/// Entries of a table, at most: about one megabyte.
pub const MOST_ENTRIES: usize = 50_000;

/// Guesses the next tokens from the last ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NgramTable {
    /// Next token and how often it follows, in percent, by context.
    next: HashMap<Vec<u32>, (u32, u8)>,
}

/// `ngrams.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// For people who look into the file.
    about: String,
    fewest_patients: u32,
    /// Each: the tokens of the context, the token that follows, and how often it does, in percent.
    entries: Vec<Vec<u32>>,
}

/// Why a table cannot be read.
#[derive(Debug, Error)]
pub enum NgramError {
    /// No JSON of this form.
    #[error("no table of n-grams: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry that cannot be.
    #[error("entry {index}: 1 to {LONGEST_CONTEXT} tokens, the next one below {vocabulary} and a percentage expected")]
    Entry {
        /// Place of the entry.
        index: usize,
        /// Tokens of the model.
        vocabulary: usize,
    },
}

impl NgramTable {
    /// Counts the n-grams of reports, each with its patient's number: `(patient, tokens)`, start and end included.
    pub fn count(reports: &[(u32, &[u32])]) -> Self {
        let mut entries: Vec<(Vec<u32>, u32, u8, u32)> = Vec::new();
        for context in 1..=LONGEST_CONTEXT {
            entries.extend(most_frequent(reports, context));
        }
        // What a shorter context guesses anyway, as surely, need not be said again.
        let shorter: HashMap<Vec<u32>, (u32, u8)> =
            entries.iter().map(|(context, next, percent, _)| (context.clone(), (*next, *percent))).collect();
        entries.retain(|(context, next, percent, _)| {
            shorter.get(&context[1..]).is_none_or(|(other, its)| other != next || percent.abs_diff(*its) > 5)
        });
        entries.sort_by(|a, b| b.3.cmp(&a.3).then_with(|| a.0.cmp(&b.0)));
        entries.truncate(MOST_ENTRIES);
        Self { next: entries.into_iter().map(|(context, next, percent, _)| (context, (next, percent))).collect() }
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.next.len()
    }

    /// Whether it can guess nothing.
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Guesses what follows `said`, start token included, up to `longest` tokens: as long as the guesses together are
    /// at least `surest` probable, 0 to 1.
    pub fn guess(&self, said: &[u32], longest: usize, surest: f32, guesses: &mut Vec<u32>) {
        guesses.clear();
        let mut tail: Vec<u32> = said[said.len().saturating_sub(LONGEST_CONTEXT)..].to_vec();
        let mut sure = 1.0;
        while guesses.len() < longest {
            let Some((next, percent)) = (0..tail.len()).find_map(|from| self.next.get(&tail[from..])) else { return };
            sure *= f32::from(*percent) / 100.0;
            if sure < surest {
                return;
            }
            guesses.push(*next);
            if tail.len() == LONGEST_CONTEXT {
                tail.remove(0);
            }
            tail.push(*next);
        }
    }

    /// As it stands in a bundle; the same table gives the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        let mut entries: Vec<Vec<u32>> = self
            .next
            .iter()
            .map(|(context, (next, percent))| context.iter().copied().chain([*next, u32::from(*percent)]).collect())
            .collect();
        entries.sort_unstable();
        let file = File {
            about: format!(
                "context tokens, the token that follows, percent; each in reports of at least {FEWEST_PATIENTS} patients"
            ),
            fewest_patients: FEWEST_PATIENTS,
            entries,
        };
        serde_json::to_vec(&file).expect("a table holds only numbers")
    }

    /// Reads a table for a model of that many tokens.
    pub fn from_json(bytes: &[u8], vocabulary: usize) -> Result<Self, NgramError> {
        let file: File = serde_json::from_slice(bytes)?;
        let mut next = HashMap::with_capacity(file.entries.len());
        for (index, entry) in file.entries.iter().enumerate() {
            let [context @ .., token, percent] = entry.as_slice() else {
                return Err(NgramError::Entry { index, vocabulary });
            };
            let known = context.iter().chain([token]).all(|&token| (token as usize) < vocabulary);
            if !(1..=LONGEST_CONTEXT).contains(&context.len()) || !known || *percent > 100 {
                return Err(NgramError::Entry { index, vocabulary });
            }
            next.insert(context.to_vec(), (*token, *percent as u8));
        }
        Ok(Self { next })
    }
}

/// For each context of that length its most frequent successor, how often it follows in percent, and how often in all;
/// only n-grams of enough patients.
fn most_frequent(reports: &[(u32, &[u32])], context: usize) -> Vec<(Vec<u32>, u32, u8, u32)> {
    let mut grams: Vec<(&[u32], u32)> = reports
        .iter()
        .flat_map(|(patient, tokens)| tokens.windows(context + 1).map(move |gram| (gram, *patient)))
        .collect();
    grams.sort_unstable();
    let mut found = Vec::new();
    for same_context in grams.chunk_by(|a, b| a.0[..context] == b.0[..context]) {
        let all = same_context.len();
        let best = same_context
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|grams| grams.chunk_by(|a, b| a.1 == b.1).count() >= FEWEST_PATIENTS as usize)
            .max_by_key(|grams| grams.len());
        if let Some(grams) = best {
            let percent = (grams.len() * 100 / all) as u8;
            found.push((grams[0].0[..context].to_vec(), grams[0].0[context], percent, grams.len() as u32));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(table: &NgramTable, said: &[u32]) -> Vec<u32> {
        let mut guesses = Vec::new();
        table.guess(said, 4, 0.5, &mut guesses);
        guesses
    }

    #[test]
    fn what_many_patients_reports_say_is_guessed() {
        let reports: Vec<(u32, &[u32])> = (0..12).map(|patient| (patient, &[1u32, 5, 6, 7, 8, 2][..])).collect();
        let table = NgramTable::count(&reports);
        assert_eq!(guessed(&table, &[1]), [5, 6, 7, 8]);
        assert_eq!(guessed(&table, &[9, 9, 7]), [8, 2], "a shorter context helps where the longer one is unknown");
        assert!(guessed(&table, &[9]).is_empty());
    }

    /// Twelve reports, but of nine patients: what they share might be one family's name.
    #[test]
    fn what_fewer_than_ten_patients_share_is_not_stored() {
        let reports: Vec<(u32, &[u32])> = (0..12).map(|report| (report % 9, &[1u32, 77, 78, 2][..])).collect();
        assert!(NgramTable::count(&reports).is_empty());
    }

    #[test]
    fn guesses_end_where_they_get_unsure() {
        let mut reports: Vec<(u32, &[u32])> = (0..20).map(|patient| (patient, &[1u32, 5, 6][..])).collect();
        reports.extend((20..50).map(|patient| (patient, &[1u32, 5, 7][..])));
        let table = NgramTable::count(&reports);
        assert_eq!(guessed(&table, &[1]), [5, 7], "7 follows in 60 of 100");
        let mut guesses = Vec::new();
        table.guess(&[1], 4, 0.7, &mut guesses);
        assert_eq!(guesses, [5]);
    }

    #[test]
    fn a_table_comes_back_and_a_broken_one_is_refused() {
        let reports: Vec<(u32, &[u32])> = (0..12).map(|patient| (patient, &[1u32, 5, 6, 7, 8, 2][..])).collect();
        let table = NgramTable::count(&reports);
        let json = table.to_json();
        assert_eq!(NgramTable::from_json(&json, 9).expect("read"), table);
        assert!(matches!(NgramTable::from_json(&json, 8), Err(NgramError::Entry { .. })), "token 8 is unknown");
        assert!(NgramTable::from_json(b"{}", 9).is_err());
        let short = br#"{"about": "", "fewest_patients": 10, "entries": [[1, 100]]}"#;
        assert!(matches!(NgramTable::from_json(short, 9), Err(NgramError::Entry { index: 0, .. })));
    }
}
