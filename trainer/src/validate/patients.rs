//! Who is in the data, and on which side.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::repeats::RepeatedImages;
use crate::data::Study;

/// The patients of a data set. Names never leave this module: the page and the files speak of ids of images.
#[derive(Debug, Clone, Serialize)]
pub struct Patients {
    /// How many are named.
    pub named: usize,
    /// Studies that name none.
    pub studies_without: usize,
    /// Most images of one patient.
    pub most_images: usize,
    /// (images, patients with so many).
    pub images_per_patient: BTreeMap<usize, usize>,
    /// Patients whom the `split` column puts on more than one side.
    pub crossing: Vec<CrossingPatient>,
    /// Groups of patients who share a picture: perhaps one person under several names.
    pub sharing: Vec<SharingPatients>,
}

/// A patient on more than one side.
#[derive(Debug, Clone, Serialize)]
pub struct CrossingPatient {
    /// Part of the data: ids of the images there.
    pub ids: BTreeMap<&'static str, Vec<String>>,
}

/// Patients who share a picture.
#[derive(Debug, Clone, Serialize)]
pub struct SharingPatients {
    /// How many names.
    pub patients: usize,
    /// Ids of all their images that show a shared picture.
    pub ids: Vec<String>,
}

/// Looks at the patients of `studies`.
pub fn look(studies: &[Study], repeated: &RepeatedImages) -> Patients {
    let mut by_patient: BTreeMap<&str, Vec<&Study>> = BTreeMap::new();
    for study in studies {
        if let Some(patient) = &study.patient {
            by_patient.entry(patient).or_default().push(study);
        }
    }
    let mut images_per_patient = BTreeMap::new();
    for images in by_patient.values() {
        *images_per_patient.entry(images.len()).or_default() += 1;
    }
    Patients {
        named: by_patient.len(),
        studies_without: studies.iter().filter(|study| study.patient.is_none()).count(),
        most_images: images_per_patient.keys().next_back().copied().unwrap_or(0),
        images_per_patient,
        crossing: by_patient.values().filter_map(|images| crossing(images)).collect(),
        sharing: sharing(studies, repeated),
    }
}

fn crossing(images: &[&Study]) -> Option<CrossingPatient> {
    let mut ids: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for study in images {
        ids.entry(study.part?.name()).or_default().push(study.id.clone());
    }
    (ids.len() > 1).then_some(CrossingPatient { ids })
}

/// Patients joined by the pictures that they share, directly or through others.
fn sharing(studies: &[Study], repeated: &RepeatedImages) -> Vec<SharingPatients> {
    let groups = || repeated.identical.iter().chain(&repeated.near).filter(|group| group.patients > 1);
    let mut number: HashMap<&str, usize> = HashMap::new();
    let mut parent: Vec<usize> = Vec::new();
    for study in groups().flat_map(|group| &group.studies) {
        if let Some(patient) = studies[*study].patient.as_deref() {
            let next = parent.len();
            if *number.entry(patient).or_insert(next) == next {
                parent.push(next);
            }
        }
    }
    let named = |study: &usize| studies[*study].patient.as_deref().map(|patient| number[patient]);
    for group in groups() {
        let mut members = group.studies.iter().filter_map(named);
        let Some(first) = members.next() else { continue };
        for other in members {
            let (a, b) = (root(&mut parent, first), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut joined: BTreeMap<usize, (BTreeSet<usize>, BTreeSet<&str>)> = BTreeMap::new();
    for study in groups().flat_map(|group| &group.studies) {
        if let Some(patient) = named(study) {
            let (patients, ids) = joined.entry(root(&mut parent, patient)).or_default();
            patients.insert(patient);
            ids.insert(&studies[*study].id);
        }
    }
    let mut sharing: Vec<SharingPatients> = joined
        .into_values()
        .map(|(patients, ids)| SharingPatients {
            patients: patients.len(),
            ids: ids.into_iter().map(str::to_owned).collect(),
        })
        .collect();
    sharing.sort_by_key(|sharing| std::cmp::Reverse(sharing.patients));
    sharing
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::repeats::ImageGroup;
    use super::*;
    use crate::data::Part;

    fn study(id: &str, patient: Option<&str>, part: Option<Part>) -> Study {
        let patient = patient.map(str::to_owned);
        Study { id: id.to_owned(), file: String::new(), text: String::new(), patient, part }
    }

    fn group(studies: &[usize]) -> ImageGroup {
        let (ids, patients) = (Vec::new(), studies.len());
        ImageGroup { studies: studies.to_vec(), ids, patients, reports: 1, across_sides: false, correlation: 1.0 }
    }

    #[test]
    fn a_patient_on_two_sides_is_found_with_the_images() {
        let studies = [
            study("a", Some("p"), Some(Part::Train)),
            study("b", Some("p"), Some(Part::Test)),
            study("c", Some("q"), Some(Part::Train)),
            study("d", None, Some(Part::Train)),
        ];
        let patients = look(&studies, &RepeatedImages::default());
        assert_eq!((patients.named, patients.studies_without, patients.most_images), (2, 1, 2));
        let [crossing] = &patients.crossing[..] else { panic!("{:?}", patients.crossing) };
        assert_eq!(crossing.ids["train"], ["a"]);
        assert_eq!(crossing.ids["test"], ["b"]);
        assert!(look(&studies[2..], &RepeatedImages::default()).crossing.is_empty());
    }

    #[test]
    fn patients_are_joined_through_the_pictures_that_they_share() {
        let studies: Vec<Study> = ["p", "q", "r", "s", "t"]
            .iter()
            .map(|patient| study(&format!("{patient}1"), Some(patient), None))
            .collect();
        let repeated = RepeatedImages {
            identical: vec![group(&[0, 1]), group(&[3, 4])],
            near: vec![group(&[1, 2])],
            mirrored: Vec::new(),
        };
        let sharing = look(&studies, &repeated).sharing;
        assert_eq!(sharing.iter().map(|sharing| sharing.patients).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(sharing[0].ids, ["p1", "q1", "r1"]);
    }
}
