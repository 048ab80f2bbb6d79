//! The check that stands before every bundle: ONNX Runtime against libtorch, on whole reports.
//!
//! Teacher-forced, the logits of every step must agree; and greedy decoding with the key/value cache must write what
//! libtorch writes when it recomputes the whole prefix for each token.

use std::path::Path;

use tch::{Kind, Tensor};
use xreport_models::bundle::Bundle;
use xreport_runtime::decoding::StepModel;
use xreport_runtime::device::{Device, DeviceRequest};
use xreport_runtime::drafting::Drafter;
use xreport_runtime::model::{Model, ModelError, SessionOptions};

use super::{ExportError, Trained};
use crate::network::{RunningStatistics, Weights, tensor_values};

/// Largest difference of a logit that is allowed, absolute.
const LOGIT_BOUND: f64 = 1e-4;
/// Two best tokens closer than this are a tie: either may be said.
const TIE: f64 = 2.0 * LOGIT_BOUND;
/// Reports on which logits are compared.
const LOGIT_REPORTS: usize = 64;
/// Reports that run together.
const BATCH: usize = 8;

/// Images and reports on which an export is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerificationSet {
    /// Preprocessed images, `u8 [H, W, C]` each.
    pub images: Vec<Vec<u8>>,
    /// Reports in the model's tokens, start token first, one per image.
    pub reports: Vec<Vec<u32>>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Verified {
    /// Reports compared.
    pub reports: usize,
    /// Decoder steps compared, in each variant.
    pub steps: usize,
    /// Largest difference of a logit over all variants.
    pub largest_logit_difference: f64,
    /// Greedy texts compared, in each variant.
    pub texts: usize,
    /// Texts that part at a tie of the two best tokens.
    pub ties: usize,
    /// Variants compared, all on the CPU.
    pub variants: Vec<String>,
}

/// libtorch's side of the comparison.
///
/// Computed in double precision: the difference then is what the deployed graphs' own rounding makes, not the sum of
/// two programs' roundings.
pub(super) struct Reference<'a> {
    trained: &'a Trained<'a>,
    weights: Weights,
    statistics: RunningStatistics,
    set: &'a VerificationSet,
    /// Per image, the greedy tokens, each with the margin by which it won.
    greedy: Vec<Vec<(u32, f64)>>,
}

impl<'a> Reference<'a> {
    /// Decodes the first `texts` images of the set greedily in libtorch: computed once, compared with every variant.
    pub(super) fn compute(trained: &'a Trained, set: &'a VerificationSet, texts: usize) -> Self {
        let _no_grad = tch::no_grad_guard();
        let weights = trained.network.layout.views(&trained.flat.to_kind(Kind::Double));
        let statistics = trained.statistics.to_double();
        let mut reference = Self { trained, weights, statistics, set, greedy: Vec::new() };
        let longest = trained.network.config.architecture.max_positions - 1;
        let (start, end) = (trained.vocabulary.start(), trained.vocabulary.end());
        for images in set.images[..texts.min(set.images.len())].chunks(BATCH) {
            let memory = reference.memory(images);
            let step = |prefix: &Tensor| trained.network.last_logits(&reference.weights, &memory, prefix);
            let said = greedy(&step, &memory, start, end, longest);
            reference.greedy.extend(said);
        }
        reference
    }

    fn memory(&self, images: &[Vec<u8>]) -> Tensor {
        let arch = &self.trained.network.config.architecture;
        let [height, width, channels] = [arch.image_height, arch.image_width, arch.image_channels].map(|n| n as i64);
        let pixels = Tensor::from_slice(&images.concat()).view([images.len() as i64, height, width, channels]);
        let pixels = pixels.to_device(self.trained.flat.device());
        self.trained.network.memory(&self.weights, &self.statistics, &pixels)
    }

    /// The reports on which logits are compared.
    fn reports(&self) -> &[Vec<u32>] {
        &self.set.reports[..LOGIT_REPORTS.min(self.set.reports.len())]
    }

    /// Compares every variant of the bundle in `folder`, on the CPU.
    pub(super) fn check(&self, folder: &Path) -> Result<Verified, ExportError> {
        let bundle = Bundle::load(folder)?;
        let mut verified = Verified {
            reports: self.reports().len(),
            steps: self.reports().iter().map(Vec::len).sum(),
            largest_logit_difference: 0.0,
            texts: self.greedy.len(),
            ties: 0,
            variants: Vec::new(),
        };
        for variant in &bundle.manifest().variants {
            let difference = self.compare_logits(&bundle, &variant.name)?;
            if difference > LOGIT_BOUND {
                let variant = variant.name.clone();
                return Err(ExportError::Logits { variant, difference, bound: LOGIT_BOUND });
            }
            verified.largest_logit_difference = verified.largest_logit_difference.max(difference);
            verified.ties += self.compare_texts(&bundle, &variant.name)?;
            verified.variants.push(variant.name.clone());
        }
        Ok(verified)
    }

    fn model(bundle: &Bundle, variant: &str) -> Result<Model, ModelError> {
        let options = SessionOptions { device: DeviceRequest::Cpu, threads: 0 };
        Model::of_variant(bundle, variant, Device::Cpu, &options)
    }

    /// The largest difference of a logit, teacher-forced over whole reports.
    fn compare_logits(&self, bundle: &Bundle, variant: &str) -> Result<f64, ExportError> {
        let _no_grad = tch::no_grad_guard();
        let mut model = Self::model(bundle, variant)?;
        let mut largest = 0f64;
        for (images, reports) in self.set.images.chunks(BATCH).zip(self.reports().chunks(BATCH)) {
            let images = &images[..reports.len()];
            let inputs = padded(reports).to_device(self.trained.flat.device());
            let expected = self.trained.network.all_logits(&self.weights, &self.memory(images), &inputs);
            let decoder = model.encode(reports.len(), images.concat())?;
            decoder.begin(0).map_err(ModelError::from)?;
            for step in 0..inputs.size()[1] as usize {
                let ids: Vec<i64> =
                    reports.iter().map(|report| i64::from(report.get(step).copied().unwrap_or(0))).collect();
                decoder.feed(&ids).map_err(ModelError::from)?;
                decoder.step().map_err(ModelError::from)?;
                let found = decoder.logits().expect("the check runs on the CPU");
                let expected = tensor_values(&expected.select(1, step as i64));
                let vocabulary = found.len() / reports.len();
                for row in (0..reports.len()).filter(|&row| step < reports[row].len()) {
                    let place = row * vocabulary..(row + 1) * vocabulary;
                    largest = largest.max(largest_difference(&found[place.clone()], &expected[place]));
                }
            }
        }
        Ok(largest)
    }

    /// Compares greedy texts; the number that part at a tie.
    fn compare_texts(&self, bundle: &Bundle, variant: &str) -> Result<usize, ExportError> {
        let mut drafter = Drafter::with_model(bundle, Self::model(bundle, variant)?, None)?;
        let end = self.trained.vocabulary.end();
        let mut ties = 0;
        for (first, images) in (0..).step_by(BATCH).zip(self.set.images[..self.greedy.len()].chunks(BATCH)) {
            let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
            for (row, draft) in drafter.draft(&images)?.into_iter().enumerate() {
                let expected = &self.greedy[first + row];
                let tokens: Vec<u32> = expected.iter().map(|(token, _)| *token).collect();
                let spoken: Vec<u32> = tokens.iter().copied().filter(|&token| token != end).collect();
                if draft.sequence.tokens == spoken {
                    continue;
                }
                let found = draft.sequence.tokens.iter().copied().chain([end]);
                let token = tokens.iter().zip(found).take_while(|(a, b)| **a == *b).count();
                if expected.get(token).is_some_and(|(_, margin)| *margin < TIE) {
                    ties += 1;
                } else {
                    return Err(ExportError::Text { variant: variant.to_owned(), image: first + row, token });
                }
            }
        }
        Ok(ties)
    }
}

/// The largest |a − b|; infinity where one is not a number, which `max` alone would swallow.
fn largest_difference(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, |largest, difference| if difference.is_nan() { f64::INFINITY } else { largest.max(difference) })
}

/// Reports as `i64 [B, T]`, padded to the longest; padding is hidden by causality.
fn padded(reports: &[Vec<u32>]) -> Tensor {
    let longest = reports.iter().map(Vec::len).max().unwrap_or(0);
    let rows: Vec<i64> = reports
        .iter()
        .flat_map(|report| (0..longest).map(|place| i64::from(report.get(place).copied().unwrap_or(0))))
        .collect();
    Tensor::from_slice(&rows).view([reports.len() as i64, longest as i64])
}

/// Greedy decoding without a cache: the whole prefix is computed anew for each token. Tokens up to and including the
/// end token, each with its margin over the second best.
fn greedy(
    step: &dyn Fn(&Tensor) -> Tensor,
    memory: &Tensor,
    start: u32,
    end: u32,
    longest: usize,
) -> Vec<Vec<(u32, f64)>> {
    let rows = memory.size()[0];
    let mut prefix = Tensor::full([rows, 1], i64::from(start), (Kind::Int64, memory.device()));
    let mut said: Vec<Vec<(u32, f64)>> = vec![Vec::new(); rows as usize];
    let ended = |row: &[(u32, f64)]| row.last().is_some_and(|(token, _)| *token == end);
    for _ in 0..longest {
        if said.iter().all(|row| ended(row)) {
            break;
        }
        let logits = step(&prefix);
        let (best, ids) = logits.topk(2, -1, true, true);
        for (row, said) in said.iter_mut().enumerate().filter(|(_, said)| !ended(said)) {
            let margin = best.double_value(&[row as i64, 0]) - best.double_value(&[row as i64, 1]);
            said.push((ids.int64_value(&[row as i64, 0]) as u32, margin));
        }
        prefix = Tensor::cat(&[prefix, ids.narrow(1, 0, 1)], 1);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_infinitely_far() {
        assert!((largest_difference(&[1.0, 2.0], &[1.5, 2.0]) - 0.5).abs() < 1e-9);
        assert!(largest_difference(&[f32::NAN, 0.0], &[0.0, 0.0]).is_infinite());
    }
}
