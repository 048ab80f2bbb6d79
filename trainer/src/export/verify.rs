//! The check that stands before every bundle: ONNX Runtime against libtorch, on whole reports.
//!
//! Teacher-forced, the logits of every step must agree; and greedy decoding with the key/value cache must write what
//! libtorch writes when it recomputes the whole prefix for each token.

use std::path::Path;

use tch::{Kind, Tensor};
use xreport_models::bundle::{Agreement, Bundle, Precision, Variant};
use xreport_runtime::decoding::{GuessCounts, Guessing, StepModel};
use xreport_runtime::device::{Device, DeviceRequest};
use xreport_runtime::drafting::Drafter;
use xreport_runtime::evidence::EvidenceModel;
use xreport_runtime::model::{Model, ModelError, SessionOptions};

use super::{ExportError, Trained};
use crate::network::{RunningStatistics, Weights, tensor_values};
use crate::phantoms::{Pair, observations_in, score::score};

/// Largest difference of a logit that is allowed, absolute.
const LOGIT_BOUND: f64 = 1e-4;
/// Largest difference of a share of attention that is allowed, absolute; a token's shares sum to 1.
const SHARE_BOUND: f64 = 1e-5;
/// Two best tokens closer than this are a tie: either may be said.
const TIE: f64 = 2.0 * LOGIT_BOUND;
/// Largest error of a lower precision's logits, in percent of their spread: a wrong graph is off by about 100.
const INT8_BOUND: f64 = 10.0;
const FP16_BOUND: f64 = 2.0;
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
    /// Largest difference of a logit over all variants in fp32.
    pub largest_logit_difference: f64,
    /// Greedy texts compared, in each variant.
    pub texts: usize,
    /// Texts in fp32 that part at a tie of the two best tokens.
    pub ties: usize,
    /// Variants in fp32 that were compared, all on the CPU.
    pub variants: Vec<String>,
    /// Largest difference of a share of attention, where the bundle says where the model looked.
    pub largest_share_difference: Option<f64>,
    /// What was measured of each variant, of whatever precision, in the manifest's order.
    pub agreements: Vec<(String, Agreement)>,
    /// How guessing ahead went, for each variant that can: the texts were the same with it and without.
    #[serde(skip)]
    pub guesses: Vec<(String, GuessCounts)>,
}

/// How a variant's logits differ from libtorch's, teacher-forced over whole reports.
#[derive(Debug, Clone, Copy, Default)]
struct LogitDifference {
    largest: f64,
    /// Sum of the squared differences; and of the squared distances of the reference's logits from their mean.
    squares: [f64; 2],
    tokens: usize,
    /// Tokens for which both have the same most probable successor.
    agreed: usize,
}

impl LogitDifference {
    fn add(&mut self, found: &[f32], expected: &[f32]) {
        self.largest = self.largest.max(largest_difference(found, expected));
        let mean = expected.iter().map(|&x| f64::from(x)).sum::<f64>() / expected.len() as f64;
        for (&found, &expected) in found.iter().zip(expected) {
            self.squares[0] += (f64::from(found) - f64::from(expected)).powi(2);
            self.squares[1] += (f64::from(expected) - mean).powi(2);
        }
        self.tokens += 1;
        self.agreed += usize::from(best(found) == best(expected));
    }

    /// Root of the mean squared difference in percent of the logits' standard deviation.
    fn percent(&self) -> f64 {
        let share = (self.squares[0] / self.squares[1].max(f64::MIN_POSITIVE)).sqrt() * 100.0;
        if share.is_nan() { f64::INFINITY } else { share }
    }
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
        self.memory_of(&self.weights, &self.statistics, images)
    }

    fn memory_of(&self, weights: &Weights, statistics: &RunningStatistics, images: &[Vec<u8>]) -> Tensor {
        let arch = &self.trained.network.config.architecture;
        let [height, width, channels] = [arch.image_height, arch.image_width, arch.image_channels].map(|n| n as i64);
        let pixels = Tensor::from_slice(&images.concat()).view([images.len() as i64, height, width, channels]);
        let pixels = pixels.to_device(self.trained.flat.device());
        self.trained.network.memory(weights, statistics, &pixels)
    }

    /// The reports on which logits are compared.
    fn reports(&self) -> &[Vec<u32>] {
        &self.set.reports[..LOGIT_REPORTS.min(self.set.reports.len())]
    }

    /// Compares every variant of the bundle in `folder`, on the CPU: fp32 must agree, other precisions are measured.
    pub(super) fn check(&self, folder: &Path) -> Result<Verified, ExportError> {
        let bundle = Bundle::load(folder)?;
        let mut verified = Verified {
            reports: self.reports().len(),
            steps: self.reports().iter().map(Vec::len).sum(),
            largest_logit_difference: 0.0,
            texts: self.greedy.len(),
            ties: 0,
            variants: Vec::new(),
            largest_share_difference: None,
            agreements: Vec::new(),
            guesses: Vec::new(),
        };
        for variant in &bundle.manifest().variants {
            let difference = self.compare_logits(&bundle, &variant.name)?;
            within_bounds(variant, &difference)?;
            let texts = self.compare_texts(&bundle, variant)?;
            if variant.precision == Precision::Fp32 {
                verified.largest_logit_difference = verified.largest_logit_difference.max(difference.largest);
                verified.ties += texts.parted;
                verified.variants.push(variant.name.clone());
            }
            let agreement = Agreement {
                reports: verified.reports,
                tokens: difference.tokens,
                token_agreement: difference.agreed as f64 / difference.tokens.max(1) as f64,
                largest_logit_difference: difference.largest,
                texts: verified.texts,
                equal_texts: verified.texts - texts.parted,
                phantom_f1: texts.phantom_f1,
            };
            verified.agreements.push((variant.name.clone(), agreement));
            if variant.verifier.is_some() {
                verified.guesses.push((variant.name.clone(), self.compare_guessing(&bundle, variant)?));
            }
        }
        verified.largest_share_difference = self.compare_evidence(&bundle)?;
        Ok(verified)
    }

    fn model(bundle: &Bundle, variant: &str) -> Result<Model, ModelError> {
        let options = SessionOptions { device: DeviceRequest::Cpu, ..SessionOptions::default() };
        Model::of_variant(bundle, variant, Device::Cpu, &options)
    }

    /// How the logits differ, teacher-forced over whole reports.
    fn compare_logits(&self, bundle: &Bundle, variant: &str) -> Result<LogitDifference, ExportError> {
        let _no_grad = tch::no_grad_guard();
        let mut model = Self::model(bundle, variant)?;
        let mut difference = LogitDifference::default();
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
                    difference.add(&found[place.clone()], &expected[place]);
                }
            }
        }
        Ok(difference)
    }

    /// How the shares of attention differ over whole reports; none where the bundle has no evidence.
    pub(super) fn compare_evidence(&self, bundle: &Bundle) -> Result<Option<f64>, ExportError> {
        let _no_grad = tch::no_grad_guard();
        let Some(mut evidence) = EvidenceModel::open(bundle, 0)? else { return Ok(None) };
        let mut largest = 0.0f64;
        for (images, reports) in self.set.images.chunks(BATCH).zip(self.reports().chunks(BATCH)) {
            let images = &images[..reports.len()];
            let inputs = padded(reports).to_device(self.trained.flat.device());
            let expected = self.trained.network.attention(&self.weights, &self.memory(images), &inputs);
            let (found, expected) = (evidence.attention(images.concat(), reports)?, tensor_values(&expected));
            // What stands behind a report's end is filled up in different ways.
            let text = found.len() / reports.len();
            let width = text / inputs.size()[1] as usize;
            for (row, report) in reports.iter().enumerate() {
                let place = row * text..row * text + report.len() * width;
                largest = largest.max(largest_difference(&found[place.clone()], &expected[place]));
            }
        }
        if largest > SHARE_BOUND {
            return Err(ExportError::Evidence { difference: largest, bound: SHARE_BOUND });
        }
        Ok(Some(largest))
    }

    /// The reason behind an error of the check: where libtorch itself, in single precision, is off by a good part of what is
    /// allowed, the weights are to blame and not the export.
    pub(super) fn explained(&self, error: ExportError) -> ExportError {
        /// Graphs that are right stay below a hundredth of the bounds with weights of a usual size.
        const A_GOOD_PART: f64 = 0.1;
        if !matches!(error, ExportError::Logits { .. } | ExportError::Evidence { .. } | ExportError::Text { .. }) {
            return error;
        }
        let (logits, shares) = self.rounding();
        if logits > A_GOOD_PART * LOGIT_BOUND || shares > A_GOOD_PART * SHARE_BOUND {
            ExportError::Unsteady { logits, shares }
        } else {
            error
        }
    }

    /// The largest differences of a logit and of a share of attention between single and double precision, both in libtorch.
    fn rounding(&self) -> (f64, f64) {
        let _no_grad = tch::no_grad_guard();
        let network = self.trained.network;
        let single = self.trained.weights();
        let (mut logits, mut shares) = (0.0f64, 0.0f64);
        for (images, reports) in self.set.images.chunks(BATCH).zip(self.reports().chunks(BATCH)) {
            let images = &images[..reports.len()];
            let inputs = padded(reports).to_device(self.trained.flat.device());
            let memories = [
                self.memory_of(&self.weights, &self.statistics, images),
                self.memory_of(&single, self.trained.statistics, images),
            ];
            let weights = [&self.weights, &single];
            let [double, float] =
                [0, 1].map(|at| tensor_values(&network.all_logits(weights[at], &memories[at], &inputs)));
            logits = logits.max(largest_difference(&float, &double));
            let [double, float] =
                [0, 1].map(|at| tensor_values(&network.attention(weights[at], &memories[at], &inputs)));
            shares = shares.max(largest_difference(&float, &double));
        }
        (logits, shares)
    }

    /// Compares greedy texts; in fp32 they may part at ties only.
    fn compare_texts(&self, bundle: &Bundle, variant: &Variant) -> Result<Texts, ExportError> {
        let mut drafter = Drafter::with_model(bundle, Self::model(bundle, &variant.name)?, None)?;
        let end = self.trained.vocabulary.end();
        let mut parted = 0;
        let mut pairs = Vec::new();
        for (first, images) in (0..).step_by(BATCH).zip(self.set.images[..self.greedy.len()].chunks(BATCH)) {
            let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
            for (row, draft) in drafter.draft(&images)?.into_iter().enumerate() {
                let image = first + row;
                if let Some(report) = self.set.reports.get(image).filter(|_| self.of_phantoms()) {
                    let truth = observations_in(&drafter.text(&report[1..]));
                    pairs.push(Pair::from_text(truth, &draft.text));
                }
                let expected = &self.greedy[image];
                let tokens: Vec<u32> = expected.iter().map(|(token, _)| *token).collect();
                let spoken: Vec<u32> = tokens.iter().copied().filter(|&token| token != end).collect();
                if draft.sequence.tokens == spoken {
                    continue;
                }
                let found = draft.sequence.tokens.iter().copied().chain([end]);
                let token = tokens.iter().zip(found).take_while(|(a, b)| **a == *b).count();
                parted += 1;
                let tie = expected.get(token).is_some_and(|(_, margin)| *margin < TIE);
                if variant.precision == Precision::Fp32 && !tie {
                    return Err(ExportError::Text { variant: variant.name.clone(), image, token });
                }
            }
        }
        let phantom_f1 = (!pairs.is_empty()).then(|| score(&pairs).micro.f1);
        Ok(Texts { parted, phantom_f1 })
    }

    /// Checks that guessing ahead changes no text.
    fn compare_guessing(&self, bundle: &Bundle, variant: &Variant) -> Result<GuessCounts, ExportError> {
        let session = SessionOptions { device: DeviceRequest::Cpu, ..SessionOptions::default() };
        let mut plain = Drafter::with_model(bundle, Self::model(bundle, &variant.name)?, None)?;
        let mut guessing = Drafter::with_model(bundle, Self::model(bundle, &variant.name)?, None)?;
        guessing.guess_ahead(bundle, &session, Guessing::default())?;
        for (image, pixels) in self.set.images[..self.greedy.len()].iter().enumerate() {
            if plain.draft(&[pixels])?[0].sequence.tokens != guessing.draft(&[pixels])?[0].sequence.tokens {
                return Err(ExportError::Guessing { variant: variant.name.clone(), image });
            }
        }
        Ok(guessing.guesses())
    }

    /// Whether the reports are those of phantoms, whose claims can be read.
    fn of_phantoms(&self) -> bool {
        self.trained.notice.contains("phantoms")
    }
}

/// What a comparison of greedy texts found.
#[derive(Debug, Clone, Copy)]
struct Texts {
    /// Texts that part from libtorch's.
    parted: usize,
    /// For phantoms: F1 of the claims against those of the data set's reports.
    phantom_f1: Option<f64>,
}

fn within_bounds(variant: &Variant, difference: &LogitDifference) -> Result<(), ExportError> {
    let name = variant.name.clone();
    let bound = match variant.precision {
        Precision::Fp32 if difference.largest > LOGIT_BOUND => {
            return Err(ExportError::Logits { variant: name, difference: difference.largest, bound: LOGIT_BOUND });
        }
        Precision::Fp32 => return Ok(()),
        Precision::Int8 => INT8_BOUND,
        Precision::Fp16 => FP16_BOUND,
    };
    let error = difference.percent();
    if error > bound { Err(ExportError::Precision { variant: name, error, bound }) } else { Ok(()) }
}

/// Place of the largest score, the first of equals.
fn best(scores: &[f32]) -> usize {
    scores.iter().enumerate().fold(0, |best, (place, score)| if *score > scores[best] { place } else { best })
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
