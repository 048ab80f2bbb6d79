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
use crate::network::tensor_values;

/// Largest difference of a logit that is allowed, absolute.
const LOGIT_BOUND: f64 = 1e-4;
/// Two best tokens closer than this are a tie: either may be said.
const TIE: f64 = 2.0 * LOGIT_BOUND;
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
pub(super) struct Reference<'a> {
    set: &'a VerificationSet,
    vocabulary: usize,
    /// Per report and position, the logits `[V]`, flattened.
    logits: Vec<Vec<f32>>,
    /// Per image, the greedy tokens, each with the margin by which it won.
    greedy: Vec<Vec<(u32, f64)>>,
    end: u32,
    start: u32,
}

impl<'a> Reference<'a> {
    /// Runs libtorch over the set; greedy decoding, which costs far more, over its first `texts` images.
    pub(super) fn compute(trained: &Trained, set: &'a VerificationSet, texts: usize) -> Self {
        let _no_grad = tch::no_grad_guard();
        let weights = trained.weights();
        let arch = &trained.network.config.architecture;
        let shape = [arch.image_height, arch.image_width, arch.image_channels].map(|n| n as i64);
        let device = trained.flat.device();
        let pixels = |images: &[Vec<u8>]| {
            let [height, width, channels] = shape;
            Tensor::from_slice(&images.concat()).view([images.len() as i64, height, width, channels]).to_device(device)
        };
        let network = trained.network;
        let mut reference = Self {
            set,
            vocabulary: arch.vocabulary,
            logits: Vec::new(),
            greedy: Vec::new(),
            start: trained.vocabulary.start(),
            end: trained.vocabulary.end(),
        };
        for (images, reports) in set.images.chunks(BATCH).zip(set.reports.chunks(BATCH)) {
            let memory = network.memory(&weights, trained.statistics, &pixels(images));
            let logits = network.all_logits(&weights, &memory, &padded(reports).to_device(device));
            for (row, report) in reports.iter().enumerate() {
                let real = logits.get(row as i64).narrow(0, 0, report.len() as i64);
                reference.logits.push(tensor_values(&real));
            }
            let texts = texts.saturating_sub(reference.greedy.len()).min(images.len());
            if texts > 0 {
                let memory = memory.narrow(0, 0, texts as i64);
                let step = |prefix: &Tensor| network.last_logits(&weights, &memory, prefix);
                let longest = arch.max_positions - 1;
                reference.greedy.extend(greedy(&step, &memory, reference.start, reference.end, longest));
            }
        }
        reference
    }

    /// Compares every variant of the bundle in `folder`, on the CPU.
    pub(super) fn check(&self, folder: &Path) -> Result<Verified, ExportError> {
        let bundle = Bundle::load(folder)?;
        let mut verified = Verified {
            reports: self.set.reports.len(),
            steps: self.set.reports.iter().map(Vec::len).sum(),
            largest_logit_difference: 0.0,
            texts: self.greedy.len(),
            ties: 0,
            variants: Vec::new(),
        };
        for variant in &bundle.manifest().variants {
            let difference = self.compare_logits(&bundle, &variant.name)?;
            if difference.is_nan() || difference > LOGIT_BOUND {
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

    fn compare_logits(&self, bundle: &Bundle, variant: &str) -> Result<f64, ExportError> {
        let mut model = Self::model(bundle, variant)?;
        let mut largest = 0f64;
        for first in (0..self.set.images.len()).step_by(BATCH) {
            let rows = BATCH.min(self.set.images.len() - first);
            let reports = &self.set.reports[first..first + rows];
            let decoder = model.encode(rows, self.set.images[first..first + rows].concat())?;
            decoder.begin(i64::from(self.start)).map_err(ModelError::from)?;
            for step in 0..reports.iter().map(Vec::len).max().unwrap_or(0) {
                let ids: Vec<i64> =
                    reports.iter().map(|report| i64::from(report.get(step).copied().unwrap_or(self.end))).collect();
                decoder.feed(&ids).map_err(ModelError::from)?;
                decoder.step().map_err(ModelError::from)?;
                let logits = decoder.logits().expect("the check runs on the CPU");
                for row in (0..rows).filter(|&row| step < reports[row].len()) {
                    let found = &logits[row * self.vocabulary..(row + 1) * self.vocabulary];
                    let expected = &self.logits[first + row][step * self.vocabulary..(step + 1) * self.vocabulary];
                    for (a, b) in found.iter().zip(expected) {
                        let difference = f64::from((a - b).abs());
                        // NaN must not be swallowed by max().
                        largest = if difference.is_nan() { f64::INFINITY } else { largest.max(difference) };
                    }
                }
            }
        }
        Ok(largest)
    }

    /// Compares greedy texts; the number that part at a tie.
    fn compare_texts(&self, bundle: &Bundle, variant: &str) -> Result<usize, ExportError> {
        let mut drafter = Drafter::with_model(bundle, Self::model(bundle, variant)?, None)?;
        let mut ties = 0;
        for (first, images) in (0..).step_by(BATCH).zip(self.set.images[..self.greedy.len()].chunks(BATCH)) {
            let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
            for (row, draft) in drafter.draft(&images)?.into_iter().enumerate() {
                let expected = &self.greedy[first + row];
                let tokens: Vec<u32> = expected.iter().map(|(token, _)| *token).collect();
                let spoken: Vec<u32> = tokens.iter().copied().filter(|&token| token != self.end).collect();
                if draft.sequence.tokens == spoken {
                    continue;
                }
                let found = draft.sequence.tokens.iter().copied().chain([self.end]);
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
