//! Images that show one picture: with equal pixels, nearly equal, or mirrored.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::Side;
use super::likeness::{self, Pair};
use super::scan::{ImageFacts, PixelDigest};
use super::texts::patients;
use crate::data::Study;

/// What was found of repeated images.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RepeatedImages {
    /// Groups of images with equal decoded pixels and size, the largest first.
    pub identical: Vec<ImageGroup>,
    /// Groups of different images that show one picture, re-encoded, resized or with other brightness.
    pub near: Vec<ImageGroup>,
    /// Pairs of images of which one is the other's mirror image.
    pub mirrored: Vec<ImageGroup>,
}

/// Images that belong together.
#[derive(Debug, Clone, Serialize)]
pub struct ImageGroup {
    /// Indices of the studies.
    #[serde(skip)]
    pub studies: Vec<usize>,
    /// Their ids.
    pub ids: Vec<String>,
    /// Different patients that they name.
    pub patients: usize,
    /// Different reports that they have, white space aside.
    pub reports: usize,
    /// Whether some are trained on and some held out.
    pub across_sides: bool,
    /// The lowest correlation with the first of them; 1 where the pixels are equal.
    pub correlation: f32,
}

/// Finds them, in the current thread pool. `images` are (study, facts).
pub fn find(images: &[(usize, ImageFacts)], studies: &[Study], sides: &[Side]) -> RepeatedImages {
    let mut by_digest: HashMap<PixelDigest, Vec<usize>> = HashMap::new();
    for (at, (_, facts)) in images.iter().enumerate() {
        by_digest.entry(facts.digest).or_default().push(at);
    }
    let mut distinct: Vec<Vec<usize>> = by_digest.into_values().collect();
    distinct.sort_unstable_by_key(|members| members[0]);
    let group = |members: &[usize], correlation: f32| -> ImageGroup {
        let of: Vec<usize> = members.iter().map(|&at| images[at].0).collect();
        let on_train = of.iter().filter(|&&study| sides[study] == Side::Train).count();
        ImageGroup {
            ids: of.iter().map(|&study| studies[study].id.clone()).collect(),
            patients: patients(studies, &of),
            reports: reports(studies, &of),
            across_sides: on_train > 0 && on_train < of.len(),
            studies: of,
            correlation,
        }
    };
    let mut identical: Vec<ImageGroup> =
        distinct.iter().filter(|members| members.len() > 1).map(|members| group(members, 1.0)).collect();
    largest_first(&mut identical);

    let likenesses: Vec<_> = distinct.iter().map(|members| &*images[members[0]].1.likeness).collect();
    let pairs = likeness::pairs(&likenesses);
    let groups = |mirrored: bool| {
        let mut followers: BTreeMap<usize, Vec<&Pair>> = BTreeMap::new();
        for pair in pairs.iter().filter(|pair| pair.mirrored == mirrored) {
            followers.entry(pair.first).or_default().push(pair);
        }
        let mut groups: Vec<ImageGroup> = followers
            .into_iter()
            .map(|(first, pairs)| {
                let members: Vec<usize> = std::iter::once(first)
                    .chain(pairs.iter().map(|pair| pair.second))
                    .flat_map(|at| &distinct[at])
                    .copied()
                    .collect();
                let least = pairs.iter().map(|pair| pair.correlation).fold(1.0, f32::min);
                group(&members, least)
            })
            .collect();
        largest_first(&mut groups);
        groups
    };
    RepeatedImages { identical, near: groups(false), mirrored: groups(true) }
}

fn largest_first(groups: &mut [ImageGroup]) {
    groups.sort_by_key(|group| (std::cmp::Reverse(group.studies.len()), group.studies[0]));
}

fn reports(studies: &[Study], of: &[usize]) -> usize {
    let mut texts: Vec<Vec<&str>> = of.iter().map(|&at| studies[at].text.split_whitespace().collect()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts.len()
}

#[cfg(test)]
mod tests {
    use super::super::scan::samples::facts;
    use super::*;

    fn study(id: &str, patient: &str, text: &str) -> Study {
        Study {
            id: id.to_owned(),
            file: format!("{id}.png"),
            text: text.to_owned(),
            patient: Some(patient.to_owned()),
            part: None,
        }
    }

    fn picture(n: u32) -> ImageFacts {
        facts(40, 40, move |x, y| ((x * (3 + n) + y * (7 + 5 * n)) % 200) as u8)
    }

    #[test]
    fn groups_say_who_has_them_and_what_is_said_of_them() {
        let studies = [
            study("a", "p", "Clear."),
            study("b", "q", "Effusion."),
            study("c", "p", "Clear."),
            study("d", "r", " Clear.\n"),
        ];
        let images = [(0, picture(0)), (1, picture(1)), (2, picture(0)), (3, picture(0))];
        let sides = [Side::Train, Side::Train, Side::Validation, Side::Train];
        let found = find(&images, &studies, &sides);
        let [group] = &found.identical[..] else { panic!("{:?}", found.identical) };
        assert_eq!(group.ids, ["a", "c", "d"]);
        assert_eq!((group.patients, group.reports, group.across_sides), (2, 1, true));
        assert!(found.near.is_empty() && found.mirrored.is_empty(), "{found:?}");
    }

    #[test]
    fn an_image_that_could_not_be_read_shifts_nothing() {
        let studies = [study("a", "p", "x"), study("b", "p", "x"), study("c", "p", "x")];
        let found = find(&[(0, picture(0)), (2, picture(0))], &studies, &[Side::Train; 3]);
        assert_eq!(found.identical[0].ids, ["a", "c"]);
        assert!(!found.identical[0].across_sides);
    }
}
