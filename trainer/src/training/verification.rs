//! The images and reports on which a checkpoint's exports are checked, kept beside it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use rand::Rng;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use xreport_models::atomic::write_file;
use xreport_models::bundle::Architecture;

use super::run::Data;
use super::seeds::Stream;
use crate::data::LostImage;
use crate::export::VerificationSet;

/// File in the checkpoint's folder. It holds preprocessed images of the data set and never enters a bundle.
pub const FILE: &str = "verification.safetensors";
/// Studies in it, at most.
const STUDIES: usize = 200;
const IMAGES: &str = "images";

/// Held-out studies of a data set, training studies where there are too few.
pub fn choose(data: &Data) -> Result<VerificationSet, LostImage> {
    let both = [&data.validation, &data.training];
    let chosen = both.iter().flat_map(|side| side.samples.iter().map(|sample| (&side.images, sample)));
    let mut set = VerificationSet::default();
    for (images, sample) in chosen.take(STUDIES) {
        set.images.push(images.get(sample.image)?.to_vec());
        // The last token is only predicted, never fed.
        set.reports.push(sample.tokens[..sample.tokens.len() - 1].to_vec());
    }
    Ok(set)
}

/// Random pixels and tokens, for a checkpoint that no data belongs to.
pub fn random(arch: &Architecture, start: u32, seed: u64, studies: usize) -> VerificationSet {
    let mut rng = Stream::Verification.rng(seed, &[]);
    let pixels = arch.image_height * arch.image_width * arch.image_channels;
    let length = arch.max_positions - 1;
    let mut set = VerificationSet::default();
    for _ in 0..studies {
        set.images.push((0..pixels).map(|_| rng.random::<u8>()).collect());
        let tokens = (1..length).map(|_| rng.random_range(0..arch.vocabulary as u32));
        set.reports.push(std::iter::once(start).chain(tokens).collect());
    }
    set
}

/// Writes the set beside the checkpoint in `folder`.
pub fn save(folder: &Path, set: &VerificationSet) -> anyhow::Result<()> {
    let pixels = set.images.concat();
    let reports: Vec<Vec<u8>> =
        set.reports.iter().map(|report| report.iter().flat_map(|token| token.to_le_bytes()).collect()).collect();
    let view = |dtype, shape: Vec<usize>, data| TensorView::new(dtype, shape, data).expect("the shape fits the bytes");
    let mut views = HashMap::new();
    let each = set.images.first().map_or(0, Vec::len);
    views.insert(IMAGES.to_owned(), view(Dtype::U8, vec![set.images.len(), each], &pixels));
    for (index, (report, tokens)) in reports.iter().zip(&set.reports).enumerate() {
        views.insert(format!("report.{index}"), view(Dtype::U32, vec![tokens.len()], report));
    }
    let file = safetensors::serialize(views, None).context("cannot serialise the verification set")?;
    write_file(folder.join(FILE), &file)?;
    Ok(())
}

/// Reads the set beside the checkpoint in `folder`.
pub fn load(folder: &Path) -> anyhow::Result<VerificationSet> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let stored = SafeTensors::deserialize(&bytes).with_context(|| format!("`{}`", path.display()))?;
    let images = stored.tensor(IMAGES).with_context(|| format!("`{}`", path.display()))?;
    let [count, each] = *images.shape() else { bail!("`{}`: two axes expected in `{IMAGES}`", path.display()) };
    let mut set = VerificationSet::default();
    for index in 0..count {
        set.images.push(images.data()[index * each..(index + 1) * each].to_vec());
        let report = stored.tensor(&format!("report.{index}")).with_context(|| format!("`{}`", path.display()))?;
        set.reports.push(report.data().as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect());
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let set = VerificationSet { images: vec![vec![1, 2], vec![3, 4]], reports: vec![vec![2, 300_000], vec![2]] };
        save(folder.path(), &set).expect("saved");
        assert_eq!(load(folder.path()).expect("loaded"), set);
    }
}
