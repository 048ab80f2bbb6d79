//! The training reports that baselines are taken from, and which of them belongs to the image most alike.

use std::collections::{HashMap, HashSet};

use anyhow::ensure;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use xreport_models::bundle::Bundle;
use xreport_runtime::model::{Model, SessionOptions};

use super::EvaluateRequest;
use super::baselines::Training;
use crate::data::{self, Dataset, Loaded, Loading, Part, Study};
use crate::settings::Settings;
use crate::training::seeds::Stream;

/// Training images that are searched for the nearest neighbour; of more, as many are drawn.
const SEARCHED: usize = 2000;

/// Studies to take baselines from, with the words that name them.
pub(super) struct Pool {
    named: String,
    loaded: Option<Loaded>,
    /// The evaluated studies themselves stand in for training reports.
    is_evaluated: bool,
}

/// Finds training studies: those of `--training`, else those of the data set that are not evaluated, else the evaluated
/// ones themselves. No patient of the evaluated studies is among the first two.
pub(super) fn find(
    request: &EvaluateRequest,
    dataset: &Dataset,
    evaluated: &Loaded,
    bundle: &Bundle,
    settings: &Settings,
) -> anyhow::Result<Pool> {
    let named = request.training.as_ref().map(|folder| Dataset::open(folder, None)).transpose()?;
    let source = named.as_ref().unwrap_or(dataset);
    let folder = request.training.as_ref().unwrap_or(&request.data);
    let ids: HashSet<&str> = evaluated.studies.iter().map(|study| study.id.as_str()).collect();
    let patients: HashSet<&str> = evaluated.studies.iter().filter_map(|study| study.patient.as_deref()).collect();
    let canonical = |folder: &std::path::Path| std::fs::canonicalize(folder).ok();
    let is_same = named.is_none() || canonical(folder) == canonical(&request.data);
    let may_be_used = |study: &&Study| {
        let trained_on = !matches!(study.part, Some(Part::Validation | Part::Test));
        let known = study.patient.as_deref().is_some_and(|patient| patients.contains(patient));
        trained_on && !known && !(is_same && ids.contains(study.id.as_str()))
    };
    let mut studies: Vec<Study> = source.studies.iter().filter(may_be_used).cloned().collect();
    ensure!(
        named.is_none() || !studies.is_empty(),
        "no training study in `{}`: all belong to patients that are evaluated, or are held out\n\
         hint: `--training` names the data set that the model was trained on",
        folder.display()
    );
    if studies.is_empty() {
        let named = "the evaluated reports themselves: the best constant report was chosen on what it is scored on, \
                     which favours it (no training data was named)";
        return Ok(Pool { named: named.to_owned(), loaded: None, is_evaluated: true });
    }
    let all = studies.len();
    if all > SEARCHED {
        studies.shuffle(&mut Stream::Evaluation.rng(settings.dataset.split_seed, &[3]));
        studies.truncate(SEARCHED);
    }
    let how = Loading {
        images: source.images.clone(),
        preprocessing: bundle.manifest().preprocessing.clone(),
        threads: settings.training.threads(),
        caches: data::cache_folders(folder),
    };
    let mut loaded = data::load(studies, &how, &|_, _| {})?;
    if let Some(mask) = request.mask {
        loaded.images = super::mask::covered(&loaded.images, mask)?;
    }
    let part =
        if loaded.studies.len() < all { format!(", {} of {all} drawn", loaded.studies.len()) } else { String::new() };
    let rest = if named.is_none() { "the studies that are not evaluated of " } else { "" };
    Ok(Pool { named: format!("{rest}`{}`{part}", folder.display()), loaded: Some(loaded), is_evaluated: false })
}

impl Pool {
    /// The training reports, each evaluated study's nearest among them, and those of its own patient.
    pub fn training<'t>(
        &'t self,
        evaluated: &'t Loaded,
        bundle: &Bundle,
        session: &SessionOptions,
        batch: usize,
    ) -> anyhow::Result<Training<'t>> {
        let pool = self.loaded.as_ref().filter(|loaded| !loaded.studies.is_empty()).unwrap_or(evaluated);
        let mut model = Model::new(bundle, session)?;
        let searched = features(&mut model, evaluated, batch)?;
        let known = if self.is_evaluated { searched.clone() } else { features(&mut model, pool, batch)? };
        let own = if std::ptr::eq(pool, evaluated) {
            own_reports(&evaluated.studies)
        } else {
            vec![Vec::new(); evaluated.studies.len()]
        };
        let nearest = searched.par_iter().zip(&own).map(|(image, own)| nearest(image, &known, own)).collect();
        let reports = pool.studies.iter().map(|study| study.text.as_str()).collect();
        Ok(Training { named: self.named.clone(), reports, nearest, own })
    }
}

/// For each study, the indices of its patient's studies, itself included.
fn own_reports(studies: &[Study]) -> Vec<Vec<usize>> {
    let mut by_patient: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, study) in studies.iter().enumerate() {
        if let Some(patient) = &study.patient {
            by_patient.entry(patient).or_default().push(index);
        }
    }
    let own = |(index, study): (usize, &Study)| {
        study.patient.as_deref().map_or_else(|| vec![index], |patient| by_patient[patient].clone())
    };
    studies.iter().enumerate().map(own).collect()
}

fn features(model: &mut Model, loaded: &Loaded, batch: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let indices: Vec<usize> = (0..loaded.images.len()).collect();
    let mut all = Vec::with_capacity(indices.len());
    for chunk in indices.chunks(batch) {
        let pixels: Vec<&[u8]> = chunk.iter().map(|&index| loaded.images.get(index)).collect::<Result<_, _>>()?;
        all.extend(model.features(chunk.len(), pixels.concat())?);
    }
    Ok(all)
}

/// The known image with the highest cosine, without the `excluded`; the first where all are excluded.
fn nearest(image: &[f32], known: &[Vec<f32>], excluded: &[usize]) -> usize {
    let cosine = |other: &[f32]| image.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
    let others = known.iter().enumerate().filter(|(index, _)| !excluded.contains(index));
    let alike = others.map(|(index, other)| (cosine(other), index));
    alike.reduce(|best, other| if other.0 > best.0 { other } else { best }).map_or(0, |(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_the_most_alike_that_is_not_excluded() {
        let known = [vec![1.0, 0.0], vec![0.8, 0.6], vec![0.0, 1.0]];
        assert_eq!(nearest(&[1.0, 0.0], &known, &[]), 0);
        assert_eq!(nearest(&[1.0, 0.0], &known, &[0]), 1);
        assert_eq!(nearest(&[0.0, 1.0], &known, &[2]), 1);
        assert_eq!(nearest(&[0.0, 1.0], &known, &[0, 1, 2]), 0);
    }

    #[test]
    fn own_reports_are_those_of_the_patient() {
        let study = |id: &str, patient: Option<&str>| Study {
            id: id.to_owned(),
            file: String::new(),
            text: String::new(),
            patient: patient.map(str::to_owned),
            part: None,
        };
        let studies = [study("a", Some("p")), study("b", None), study("c", Some("p"))];
        assert_eq!(own_reports(&studies), [vec![0, 2], vec![1], vec![0, 2]]);
    }
}
