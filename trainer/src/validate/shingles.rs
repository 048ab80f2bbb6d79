//! Texts that are nearly the same, found by MinHash (Broder 1997) with banding.
//!
//! A text is the set of its runs of three words; two texts resemble each other as much as these sets overlap (Jaccard:
//! what both have over what either has). 64 minimum hashes in 16 bands of 4 find candidates: a pair with an overlap of
//! 0.8 is found with a probability above 0.999 (1 − (1 − 0.8⁴)¹⁶), and the overlap itself is then computed exactly.

use std::collections::HashMap;

use rayon::prelude::*;

/// Words in a run.
const RUN: usize = 3;
const HASHES: usize = 64;
const BANDS: usize = 16;
const ROWS: usize = HASHES / BANDS;
/// Overlap from which two texts are nearly the same.
pub const NEARLY_THE_SAME: f64 = 0.8;
/// Leaders looked at per band, should very many texts agree in one.
const BUCKET: usize = 64;

/// For each text the index of the earlier text that it nearly repeats, and by how much; `None` for one that repeats none.
///
/// A text that is repeated never repeats another one itself: texts with one leader are a group.
pub fn leaders(texts: &[&str]) -> Vec<Option<(usize, f64)>> {
    let prepared: Vec<(Vec<u32>, [u32; HASHES])> = texts
        .par_iter()
        .map(|text| {
            let runs = runs(text);
            let signature = signature(&runs);
            (runs, signature)
        })
        .collect();
    let mut buckets: HashMap<(usize, u64), Vec<u32>> = HashMap::new();
    let mut found = Vec::with_capacity(texts.len());
    for (at, (own, signature)) in prepared.iter().enumerate() {
        let keys = bands(signature);
        let mut candidates: Vec<u32> = keys.iter().filter_map(|key| buckets.get(key)).flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let leader = candidates
            .into_iter()
            .map(|other| (other as usize, overlap(own, &prepared[other as usize].0)))
            .filter(|(_, overlap)| *overlap >= NEARLY_THE_SAME)
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        if leader.is_none() {
            for key in keys {
                let bucket = buckets.entry(key).or_default();
                if bucket.len() < BUCKET {
                    bucket.push(at as u32);
                }
            }
        }
        found.push(leader);
    }
    found
}

/// The runs of three words as sorted hashes without repeats; a shorter text is one run.
fn runs(text: &str) -> Vec<u32> {
    let words: Vec<u64> = words(text).map(|word| fnv(word.bytes().map(|byte| byte.to_ascii_lowercase()))).collect();
    let mix = |run: &[u64]| fnv(run.iter().flat_map(|word| word.to_le_bytes())) as u32;
    let mut runs: Vec<u32> = if words.len() < RUN { vec![mix(&words)] } else { words.windows(RUN).map(mix).collect() };
    runs.sort_unstable();
    runs.dedup();
    runs
}

/// The words of a text: letters and digits, with points and hyphens inside.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '.' | '-' | '\''))
        .map(|word| word.trim_matches(['.', '-', '\'']))
        .filter(|word| !word.is_empty())
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
pub(super) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn signature(runs: &[u32]) -> [u32; HASHES] {
    std::array::from_fn(|which| {
        let seed = mixed(which as u64 + 1);
        runs.iter().map(|&run| (mixed(u64::from(run) ^ seed) >> 32) as u32).min().unwrap_or(u32::MAX)
    })
}

/// The finaliser of SplitMix64 (Steele et al. 2014): every bit depends on every bit.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn bands(signature: &[u32; HASHES]) -> [(usize, u64); BANDS] {
    std::array::from_fn(|band| {
        let rows = &signature[band * ROWS..(band + 1) * ROWS];
        (band, fnv(rows.iter().flat_map(|row| row.to_le_bytes())))
    })
}

/// What both sorted sets have over what either has.
fn overlap(a: &[u32], b: &[u32]) -> f64 {
    let (mut at, mut other, mut both) = (0, 0, 0);
    while at < a.len() && other < b.len() {
        match a[at].cmp(&b[other]) {
            std::cmp::Ordering::Less => at += 1,
            std::cmp::Ordering::Greater => other += 1,
            std::cmp::Ordering::Equal => {
                both += 1;
                at += 1;
                other += 1;
            }
        }
    }
    f64::from(both) / (a.len() + b.len() - both as usize).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "The heart is normal in size. The lungs are clear. There is no pleural effusion or \
        pneumothorax. The bony thorax is intact, with mild degenerative changes of the thoracic spine.";

    #[test]
    fn one_changed_word_is_nearly_the_same_and_another_report_is_not() {
        let changed = LONG.replace("intact", "unremarkable");
        let other =
            "Large right pleural effusion with compressive atelectasis of the right lower lobe. No pneumothorax.";
        let found = leaders(&[LONG, &changed, other, LONG]);
        assert_eq!(found[0], None);
        assert!(found[1].is_some_and(|(leader, overlap)| leader == 0 && (0.8..1.0).contains(&overlap)), "{found:?}");
        assert_eq!(found[2], None);
        assert_eq!(found[3], Some((0, 1.0)));
    }

    #[test]
    fn case_and_punctuation_do_not_matter_and_short_texts_are_told_apart() {
        assert_eq!(leaders(&["Clear lungs.", "clear lungs", "Clear lung fields."])[1..], [Some((0, 1.0)), None]);
        assert_eq!(leaders(&["", ""]), [None, Some((0, 1.0))]);
    }

    #[test]
    fn a_group_has_one_leader() {
        let texts: Vec<String> = (0..6).map(|n| format!("{LONG} Follow-up in {n} weeks.")).collect();
        let found = leaders(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found[0], None);
        assert!(found[1..].iter().all(|leader| leader.is_some_and(|(at, _)| at == 0)), "{found:?}");
    }

    #[test]
    fn words_keep_numbers_and_hyphens() {
        let found: Vec<_> = words("A 1.5 cm right-sided nodule, T4.").collect();
        assert_eq!(found, ["A", "1.5", "cm", "right-sided", "nodule", "T4"]);
    }
}
