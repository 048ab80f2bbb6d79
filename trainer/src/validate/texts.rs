//! The reports: how long they are, which words they use, what they repeat.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rayon::prelude::*;
use serde::Serialize;
use xreport_models::text::{Tokenizer, TokenizerError, special};

use super::Side;
use super::sentences;
use super::shingles::{fnv, leaders, words};
use super::vocabulary::{VocabularyCount, VocabularyFacts};
use crate::data::Study;

/// Reports that are tokenized at a time.
const CHUNK: usize = 1024;
/// Seed of the order in which reports are read for the growth curve.
const GROWTH_SEED: u64 = 1;
/// Sentences that are listed.
const SENTENCES: usize = 15;

/// What the reports hold.
#[derive(Debug, Clone, Serialize)]
pub struct Texts {
    /// Lengths in words.
    pub words: Lengths,
    /// Lengths in tokens, `[CLS]` and `[SEP]` included.
    pub tokens: Lengths,
    /// Longest report in tokens that the settings allow: dataset.MAX_REPORT_SIZE.
    pub max_report_size: usize,
    /// Reports that are longer, and lose their end.
    pub cut_reports: usize,
    /// Tokens that are lost with it.
    pub cut_tokens: u64,
    /// The vocabulary.
    pub vocabulary: VocabularyFacts,
    /// Whole reports that stand more than once.
    pub repeats: Repeats,
    /// Sentences that stand in many reports.
    pub sentences: Sentences,
}

/// How long reports are, counted in words or tokens.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Lengths {
    /// Shortest.
    pub least: u32,
    /// Half of the reports are no longer.
    pub median: u32,
    /// Mean.
    pub mean: f64,
    /// 95 of 100 are no longer.
    pub p95: u32,
    /// 99 of 100 are no longer.
    pub p99: u32,
    /// Longest.
    pub most: u32,
    /// Each report's, by side, for the picture.
    #[serde(skip)]
    pub all: Vec<(Side, u32)>,
}

/// Whole reports that stand more than once.
#[derive(Debug, Clone, Serialize)]
pub struct Repeats {
    /// Different texts, white space aside.
    pub distinct: usize,
    /// Reports whose text also stands on another row.
    pub repeated_reports: usize,
    /// Texts that stand on rows of more than one patient.
    pub across_patients: usize,
    /// Texts that stand both among the reports to train on and among those held out.
    pub across_sides: usize,
    /// The same text on several rows, the most frequent first.
    pub groups: Vec<RepeatedText>,
    /// Groups of different texts that are nearly the same, the largest first.
    pub near_groups: Vec<NearTexts>,
}

/// One text on several rows.
#[derive(Debug, Clone, Serialize)]
pub struct RepeatedText {
    /// Indices of the studies.
    #[serde(skip)]
    pub studies: Vec<usize>,
    /// How many rows.
    pub rows: usize,
    /// How many patients these rows name.
    pub patients: usize,
}

/// Texts that are nearly the same as the first of them.
#[derive(Debug, Clone, Serialize)]
pub struct NearTexts {
    /// One study for each of the texts; the first is the one that the others resemble.
    #[serde(skip)]
    pub studies: Vec<usize>,
    /// How much each text overlaps with the first, 0 to 1.
    pub overlaps: Vec<f64>,
    /// Rows that have one of these texts.
    pub rows: usize,
    /// How many patients these rows name.
    pub patients: usize,
}

/// Sentences over all reports; case and white space aside.
#[derive(Debug, Clone, Serialize)]
pub struct Sentences {
    /// All sentences.
    pub count: u64,
    /// Different ones.
    pub distinct: usize,
    /// Share of all sentences that stand in more than one report.
    pub repeated_share: f64,
    /// The most frequent.
    pub frequent: Vec<FrequentSentence>,
}

/// A sentence with the number of reports that hold it.
#[derive(Debug, Clone, Serialize)]
pub struct FrequentSentence {
    /// As the first of the reports writes it.
    pub text: String,
    /// Reports that hold it.
    pub reports: u32,
}

/// Looks at all reports, in the current thread pool. `sides` says for each study where it goes.
pub fn look(
    studies: &[Study],
    sides: &[Side],
    tokenizer: &Tokenizer,
    max_report_size: usize,
    progress: &dyn Fn(usize),
) -> Result<Texts, TokenizerError> {
    let mut ranks: Vec<u32> = (0..studies.len() as u32).collect();
    ranks.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(GROWTH_SEED));
    let mut vocabulary = VocabularyCount::new(studies.len());
    let mut sentences = SentenceCount::default();
    let (mut word_counts, mut token_counts) = (Vec::with_capacity(studies.len()), Vec::with_capacity(studies.len()));
    for (number, chunk) in studies.chunks(CHUNK).enumerate() {
        let start = number * CHUNK;
        let read: Vec<Result<ReadText, TokenizerError>> =
            chunk.par_iter().map(|study| ReadText::new(tokenizer, &study.text)).collect();
        for (offset, read) in read.into_iter().enumerate() {
            let (read, at) = (read?, start + offset);
            word_counts.push((sides[at], read.words));
            token_counts.push((sides[at], read.tokens.len() as u32 + 2));
            vocabulary.add(&read.tokens, ranks[at], sides[at]);
            sentences.add(&read.sentences, at);
        }
        progress(start + chunk.len());
    }
    let cut = token_counts.iter().map(|&(_, tokens)| u64::from(tokens).saturating_sub(max_report_size as u64));
    Ok(Texts {
        words: Lengths::of(word_counts),
        max_report_size,
        cut_reports: cut.clone().filter(|&lost| lost > 0).count(),
        cut_tokens: cut.sum(),
        tokens: Lengths::of(token_counts),
        vocabulary: vocabulary.facts(),
        repeats: repeats(studies, sides),
        sentences: sentences.facts(studies),
    })
}

/// One report, read.
struct ReadText {
    words: u32,
    /// Without `[CLS]` and `[SEP]`.
    tokens: Vec<u32>,
    /// Hash of each sentence.
    sentences: Vec<u64>,
}

impl ReadText {
    fn new(tokenizer: &Tokenizer, text: &str) -> Result<Self, TokenizerError> {
        let mut tokens = tokenizer.encode(text)?;
        tokens.retain(|&token| token != special::CLS && token != special::SEP);
        Ok(Self {
            words: words(text).count() as u32,
            tokens,
            sentences: sentences::split(text).map(|sentence| fnv(sentences::folded(sentence).bytes())).collect(),
        })
    }
}

impl Lengths {
    fn of(all: Vec<(Side, u32)>) -> Self {
        let mut sorted: Vec<u32> = all.iter().map(|&(_, length)| length).collect();
        sorted.sort_unstable();
        let Some(&most) = sorted.last() else { return Self::default() };
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).ceil() as usize];
        Self {
            least: sorted[0],
            median: at(0.5),
            mean: sorted.iter().map(|&length| f64::from(length)).sum::<f64>() / sorted.len() as f64,
            p95: at(0.95),
            p99: at(0.99),
            most,
            all,
        }
    }
}

/// A hash that is one already needs no hashing.
#[derive(Default)]
struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = fnv(bytes.iter().copied());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Counts of sentences by their hash: the texts themselves are looked up again for the few that are shown.
#[derive(Default)]
struct SentenceCount {
    count: u64,
    /// (reports, first report).
    by_hash: HashMap<u64, (u32, u32), BuildHasherDefault<Passing>>,
    repeated_inside: u64,
}

impl SentenceCount {
    fn add(&mut self, hashes: &[u64], study: usize) {
        self.count += hashes.len() as u64;
        let mut distinct = hashes.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        self.repeated_inside += (hashes.len() - distinct.len()) as u64;
        for hash in distinct {
            self.by_hash.entry(hash).or_insert((0, study as u32)).0 += 1;
        }
    }

    fn facts(self, studies: &[Study]) -> Sentences {
        let repeated: u64 =
            self.by_hash.values().filter(|(reports, _)| *reports > 1).map(|(reports, _)| u64::from(*reports)).sum();
        let mut frequent: Vec<(u64, u32, u32)> = self
            .by_hash
            .iter()
            .filter(|(_, (reports, _))| *reports > 1)
            .map(|(&hash, &(reports, study))| (hash, reports, study))
            .collect();
        frequent.sort_unstable_by_key(|&(hash, reports, _)| (std::cmp::Reverse(reports), hash));
        frequent.truncate(SENTENCES);
        let text = |hash: u64, study: u32| {
            let mut sentences = sentences::split(&studies[study as usize].text);
            sentences.find(|sentence| fnv(sentences::folded(sentence).bytes()) == hash).unwrap_or_default().to_owned()
        };
        Sentences {
            count: self.count,
            distinct: self.by_hash.len(),
            repeated_share: repeated as f64 / (self.count - self.repeated_inside).max(1) as f64,
            frequent: frequent
                .into_iter()
                .map(|(hash, reports, study)| FrequentSentence { text: text(hash, study), reports })
                .collect(),
        }
    }
}

fn repeats(studies: &[Study], sides: &[Side]) -> Repeats {
    let mut by_text: HashMap<u128, Vec<usize>> = HashMap::new();
    for (at, study) in studies.iter().enumerate() {
        by_text.entry(text_key(&study.text)).or_default().push(at);
    }
    let mut distinct: Vec<Vec<usize>> = by_text.into_values().collect();
    // The most frequent first: in a group of near texts it is the one that the others are held against.
    distinct.sort_unstable_by_key(|rows| (std::cmp::Reverse(rows.len()), rows[0]));
    let groups: Vec<RepeatedText> = distinct
        .iter()
        .filter(|rows| rows.len() > 1)
        .map(|rows| RepeatedText { studies: rows.clone(), rows: rows.len(), patients: patients(studies, rows) })
        .collect();
    let both_sides = |rows: &[usize]| {
        rows.iter().any(|&at| sides[at] == Side::Train) && rows.iter().any(|&at| sides[at] != Side::Train)
    };
    Repeats {
        distinct: distinct.len(),
        repeated_reports: groups.iter().map(|group| group.rows).sum(),
        across_patients: groups.iter().filter(|group| group.patients > 1).count(),
        across_sides: groups.iter().filter(|group| both_sides(&group.studies)).count(),
        near_groups: near_groups(studies, &distinct),
        groups,
    }
}

fn near_groups(studies: &[Study], distinct: &[Vec<usize>]) -> Vec<NearTexts> {
    let texts: Vec<&str> = distinct.iter().map(|rows| studies[rows[0]].text.as_str()).collect();
    let mut members: HashMap<usize, Vec<(usize, f64)>> = HashMap::new();
    for (at, leader) in leaders(&texts).into_iter().enumerate() {
        if let Some((leader, overlap)) = leader {
            members.entry(leader).or_default().push((at, overlap));
        }
    }
    let mut groups: Vec<NearTexts> = members
        .into_iter()
        .map(|(leader, followers)| {
            let members = || std::iter::once(leader).chain(followers.iter().map(|(at, _)| *at));
            let rows: Vec<usize> = members().flat_map(|at| distinct[at].iter().copied()).collect();
            NearTexts {
                studies: members().map(|at| distinct[at][0]).collect(),
                overlaps: std::iter::once(1.0).chain(followers.iter().map(|(_, overlap)| *overlap)).collect(),
                rows: rows.len(),
                patients: patients(studies, &rows),
            }
        })
        .collect();
    groups.sort_unstable_by_key(|group| (std::cmp::Reverse(group.studies.len()), group.studies[0]));
    groups
}

/// 128 bits of a text, its runs of white space taken as one space.
fn text_key(text: &str) -> u128 {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for word in text.split_whitespace() {
        hash.update(word);
        hash.update(b" ");
    }
    let whole: [u8; 32] = hash.finalize().into();
    u128::from_le_bytes(*whole.first_chunk().expect("32 bytes hold 16"))
}

/// Different patients that these rows name.
pub(super) fn patients(studies: &[Study], rows: &[usize]) -> usize {
    let mut names: Vec<&str> = rows.iter().filter_map(|&at| studies[at].patient.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::tokenizer;

    fn study(patient: &str, text: &str) -> Study {
        let id = format!("{patient}/{}", text.len());
        Study { file: id.clone(), id, text: text.to_owned(), patient: Some(patient.to_owned()), part: None }
    }

    fn look_at(studies: &[Study], sides: &[Side], max_report_size: usize) -> Texts {
        look(studies, sides, &tokenizer().unwrap(), max_report_size, &|_| {}).unwrap()
    }

    #[test]
    fn lengths_count_words_and_tokens_and_what_is_cut() {
        let studies = [study("p", "Clear lungs."), study("q", "Small left pleural effusion is seen.")];
        let texts = look_at(&studies, &[Side::Train; 2], 8);
        assert_eq!((texts.words.least, texts.words.most), (2, 6));
        // [CLS] clear lungs . [SEP]
        assert_eq!(texts.tokens.least, 5);
        assert!(texts.tokens.most > 8);
        assert_eq!(texts.cut_reports, 1);
        assert_eq!(texts.cut_tokens, u64::from(texts.tokens.most) - 8);
    }

    #[test]
    fn tokens_that_training_never_sees_are_told() {
        let studies = [study("p", "clear lungs"), study("q", "clear heart"), study("r", "heart 🫁")];
        let texts = look_at(&studies, &[Side::Train, Side::Validation, Side::Test], 160);
        let vocabulary = texts.vocabulary;
        assert_eq!(vocabulary.unseen_in_training, Some(0.5), "`heart` of `clear heart`");
        assert_eq!((vocabulary.distinct_in_training, vocabulary.reports_with_unseen), (2, 1));
        assert!((vocabulary.unknown_to_tokenizer - 1.0 / 6.0).abs() < 1e-9, "{}", vocabulary.unknown_to_tokenizer);
        assert_eq!(vocabulary.growth.last(), Some(&(3, 4)));
        assert_eq!(vocabulary.growth[0], (0, 0));
    }

    #[test]
    fn repeats_are_told_by_text_patient_and_side() {
        let studies = [
            study("p", "Clear lungs."),
            study("q", "Clear   lungs.\n"),
            study("q", "Clear lungs."),
            study("r", "clear lungs."),
            study("s", "Effusion."),
        ];
        let sides = [Side::Train, Side::Train, Side::Validation, Side::Train, Side::Train];
        let repeats = look_at(&studies, &sides, 160).repeats;
        assert_eq!((repeats.distinct, repeats.repeated_reports), (3, 3));
        assert_eq!((repeats.across_patients, repeats.across_sides), (1, 1));
        assert_eq!((repeats.groups[0].rows, repeats.groups[0].patients), (3, 2));
        let [near] = &repeats.near_groups[..] else { panic!("{:?}", repeats.near_groups) };
        assert_eq!((near.studies.clone(), near.rows, near.patients), (vec![0, 3], 4, 3));
    }

    #[test]
    fn sentences_are_counted_once_per_report_and_shown_as_written() {
        let studies = [
            study("p", "No effusion. Heart normal. No effusion."),
            study("q", "NO  effusion; nodule"),
            study("r", "Clear"),
        ];
        let sentences = look_at(&studies, &[Side::Train; 3], 160).sentences;
        assert_eq!((sentences.count, sentences.distinct), (6, 4));
        let [frequent] = &sentences.frequent[..] else { panic!("{:?}", sentences.frequent) };
        assert_eq!((frequent.text.as_str(), frequent.reports), ("No effusion", 2));
        assert!((sentences.repeated_share - 2.0 / 5.0).abs() < 1e-9);
    }

    #[test]
    fn the_number_of_chunks_changes_nothing() {
        let studies: Vec<Study> = (0..2500).map(|n| study(&format!("p{n}"), &format!("nodule {n}"))).collect();
        let texts = look_at(&studies, &vec![Side::Train; 2500], 160);
        assert_eq!(texts.words.all.len(), 2500);
        assert_eq!(texts.vocabulary.growth.last().unwrap().0, 2500);
        assert_eq!(texts.repeats.distinct, 2500);
    }
}
