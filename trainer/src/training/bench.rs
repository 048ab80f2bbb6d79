//! Timed training steps on random images and reports, and the timed way of a data set's images to the network.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use tch::{Device, Kind, Tensor};

use super::batches::{Ordering, Sample, Samples};
use super::captured::{Captured, Changing, Computing};
use super::checkpoint::Tensors;
use super::optimizer::{AdamW, clip};
use super::precision::compute_kind;
use super::prepare::Prepared;
use super::seeds::Stream;
use super::{device, flops};
use crate::data::{self, Dataset, ImageStore, Loading, LostImage};
use crate::native::keep_memory;
use crate::network::{Batch, Mode, Network, NetworkConfig};
use crate::settings::{Settings, VocabularyChoice};

/// Size of the full vocabulary.
const FULL_VOCABULARY: usize = 30_522;
/// Batches of different reports that take turns.
const BATCHES: usize = 16;

/// Medians over the timed steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Trained parameters.
    pub parameters: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Seconds per step.
    pub seconds: f64,
    /// Of these: forward pass and loss, backward pass, clipping and update; none where the step is one (XLA_STATE).
    pub parts: Option<[f64; 3]>,
    /// Floating-point operations that the model needs per second of these steps, padding not counted.
    pub flops: f64,
    /// What the device does in its best product of two matrices of the same kind.
    pub best_flops: f64,
}

/// Times `steps` training steps after some to warm up. Report lengths are uniform between 0.2 and 1.0 of MAX_REPORT_SIZE.
pub fn measure(settings: &Settings, vocabulary: usize, steps: usize) -> anyhow::Result<Measured> {
    keep_memory();
    tch::set_num_threads(settings.training.threads() as i32);
    let device = device::resolve(settings.training.ml_device)?;
    let compute = compute_kind(settings.training.mixed_precision, device);
    let vocabulary = match settings.dataset.vocabulary {
        VocabularyChoice::Full => FULL_VOCABULARY,
        VocabularyChoice::Corpus => vocabulary,
    };
    let network = Network::new(NetworkConfig::new(settings, vocabulary));
    let samples = random_samples(settings, vocabulary);
    let plans = samples.epoch(0, &Ordering::of(settings, 1));
    let batches: Vec<Batch> = plans
        .iter()
        .map(|plan| Ok(samples.assemble(plan, None)?.to_device(device)))
        .collect::<Result<_, LostImage>>()?;
    let needed: Vec<f64> = plans
        .iter()
        .map(|plan| {
            let lengths = plan.places().map(|(_, index)| samples.samples[index].tokens.len() - 1);
            flops::of_step(&network.config.architecture, lengths)
        })
        .collect();
    let (parameters, batch_size) = (network.layout.total(), settings.training.batch_size);
    let mut bench = Bench::new(settings, network, device, compute)?;
    // A captured step of a new shape is computed, then captured: every batch has to have come by.
    let warm_up = if settings.training.xla_state { 3 * batches.len() } else { 2 };
    let mut times: [Vec<f64>; 4] = Default::default();
    let mut rates = Vec::new();
    for step in 0..steps + warm_up {
        let of = step % batches.len();
        tch::manual_seed(step as i64);
        let [seconds, forward, backward] = bench.step(&batches[of], step as u64 + 1)?;
        if step >= warm_up {
            for (list, value) in times.iter_mut().zip([seconds, forward, backward, seconds - forward - backward]) {
                list.push(value);
            }
            rates.push(needed[of] / seconds);
        }
    }
    let [seconds, parts @ ..] = times.map(median);
    let parts = (!settings.training.xla_state).then_some(parts);
    let best_flops = flops::of_matrix_product(device, compute);
    Ok(Measured { parameters, batch_size, seconds, parts, flops: median(rates), best_flops })
}

/// A network that makes timed steps.
struct Bench {
    network: Network,
    tensors: Tensors,
    captured: Option<Captured>,
    computing: Computing,
    device: Device,
    learning_rate: f64,
}

impl Bench {
    fn new(settings: &Settings, network: Network, device: Device, kind: Kind) -> anyhow::Result<Self> {
        let training = &settings.training;
        let captured = training.xla_state.then(|| Captured::new(device)).transpose()?;
        let flat = network.layout.initialise(training.seed, device).set_requires_grad(true);
        let statistics = network.statistics(device);
        let optimizer = AdamW::new(&flat, training.weight_decay, network.layout.decayed());
        let tensors = Tensors { flat, statistics, optimizer, average: None };
        let computing =
            Computing { kind, label_smoothing: training.label_smoothing, gradient_clip: training.gradient_clip };
        Ok(Self { network, tensors, captured, computing, device, learning_rate: training.learning_rate })
    }

    /// One step: seconds of the whole, of the forward and of the backward pass.
    fn step(&mut self, batch: &Batch, step: u64) -> anyhow::Result<[f64; 3]> {
        let Self { network, tensors, captured, computing, device, learning_rate } = self;
        let started = Instant::now();
        let so_far = || {
            synchronise(*device);
            started.elapsed().as_secs_f64()
        };
        if let Some(captured) = captured {
            let changing = Changing { learning_rate: *learning_rate, step };
            captured.step(network, tensors, batch, *computing, changing)?;
            return Ok([so_far(), 0.0, 0.0]);
        }
        let weights = network.layout.views(&tensors.flat.to_kind(computing.kind));
        let loss = network.loss(&weights, &tensors.statistics, batch, Mode::Train, computing.label_smoothing);
        let forward = so_far();
        let mut gradient = Tensor::run_backward(&[&loss.value], &[&tensors.flat], false, false).remove(0);
        let backward = so_far();
        clip(&mut gradient, computing.gradient_clip);
        tensors.optimizer.step(&tensors.flat, &gradient, *learning_rate, step);
        Ok([so_far(), forward, backward - forward])
    }
}

/// How fast a data set's images come, with nothing done to them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pipeline {
    /// Images of the data set.
    pub images: usize,
    /// Of these decoded now, for they were not in the cache.
    pub decoded: usize,
    /// Seconds until all could be used.
    pub open_seconds: f64,
    /// Memory that this took, where the system tells it: bytes resident after it over those before.
    pub open_bytes: Option<u64>,
    /// Images in training batches per second, augmented where the settings say so.
    pub images_per_second: f64,
}

/// Opens the data set at `folder` and assembles its training batches, `batches` at most.
pub fn measure_pipeline(settings: &Settings, folder: &Path, batches: usize) -> anyhow::Result<Pipeline> {
    let dataset = Dataset::open(folder, None)?;
    let how = Loading {
        images: dataset.images.clone(),
        preprocessing: settings.preprocessing(),
        threads: settings.training.threads(),
        caches: data::cache_folders(folder),
    };
    let (before, started) = (memory("VmRSS:"), Instant::now());
    let loaded = data::load(dataset.studies, &how, &|_, _| {})?;
    let open_seconds = started.elapsed().as_secs_f64();
    let open_bytes = memory("VmRSS:").zip(before).map(|(after, before)| after.saturating_sub(before));
    let (images, decoded) = (loaded.images.len(), loaded.decoded);
    drop(loaded);
    let samples = Prepared::read(folder, None, settings, None)?.data.training;
    let plans = samples.epoch(0, &Ordering::of(settings, 1));
    let plans = &plans[..batches.min(plans.len())];
    let augment = settings.dataset.img_augment.then_some((settings.training.seed, 0));
    let (mut count, started) = (0, Instant::now());
    samples.stream(plans, augment, (Device::Cpu, settings.training.threads()), |plan, _| {
        count += plan.whole.len();
        Ok::<bool, LostImage>(true)
    })?;
    let images_per_second = count as f64 / started.elapsed().as_secs_f64();
    Ok(Pipeline { images, decoded, open_seconds, open_bytes, images_per_second })
}

/// Most memory that this process has used so far, in bytes, where the system tells it.
pub fn peak_bytes() -> Option<u64> {
    memory("VmHWM:")
}

/// A line of Linux's `/proc/self/status`.
fn memory(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let found = status.lines().find_map(|text| text.strip_prefix(line))?;
    Some(found.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn synchronise(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

pub(super) fn random_samples(settings: &Settings, vocabulary: usize) -> Samples {
    let mut rng = Stream::Verification.rng(settings.training.seed, &[]);
    let preprocessing = settings.preprocessing();
    let count = BATCHES * settings.training.batch_size;
    let pixels = (0..count * preprocessing.len()).map(|_| rng.random::<u8>()).collect();
    let longest = settings.dataset.max_report_size as f64;
    let samples = (0..count)
        .map(|image| {
            let length = ((rng.random::<f64>() * 0.8 + 0.2) * longest) as usize;
            let tokens = (0..length.max(2)).map(|_| rng.random_range(5..vocabulary as u32)).collect();
            Sample { id: image.to_string(), image, tokens }
        })
        .collect();
    Samples { samples, images: Arc::new(ImageStore::of_pixels(preprocessing, pixels)) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
