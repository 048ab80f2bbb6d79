//! Timed training steps on random images and reports, and the timed way of a data set's images to the network.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use tch::{Device, Tensor};

use super::batches::{Ordering, Sample, Samples};
use super::device;
use super::optimizer::{AdamW, clip};
use super::precision::compute_kind;
use super::prepare::Prepared;
use super::seeds::Stream;
use crate::data::{self, Dataset, ImageStore, Loading, LostImage};
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
    /// Of these: forward pass and loss.
    pub forward: f64,
    /// Of these: backward pass.
    pub backward: f64,
    /// Of these: clipping and optimizer.
    pub update: f64,
}

/// Times `steps` training steps after two to warm up. Report lengths are uniform between 0.2 and 1.0 of MAX_REPORT_SIZE.
pub fn measure(settings: &Settings, vocabulary: usize, steps: usize) -> anyhow::Result<Measured> {
    tch::set_num_threads(settings.training.threads() as i32);
    let device = device::resolve(settings.training.ml_device)?;
    let compute = compute_kind(settings.training.mixed_precision, device);
    let vocabulary = match settings.dataset.vocabulary {
        VocabularyChoice::Full => FULL_VOCABULARY,
        VocabularyChoice::Corpus => vocabulary,
    };
    let network = Network::new(NetworkConfig::new(settings, vocabulary));
    let training = &settings.training;
    let flat = network.layout.initialise(training.seed, device).set_requires_grad(true);
    let statistics = network.statistics(device);
    let mut optimizer = AdamW::new(&flat, training.weight_decay, network.layout.decayed());
    let samples = random_samples(settings, vocabulary);
    let plans = samples.epoch(0, &Ordering::of(settings, 1));
    let batches: Vec<Batch> = plans
        .iter()
        .map(|plan| Ok(samples.assemble(plan, None)?.to_device(device)))
        .collect::<Result<_, LostImage>>()?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for step in 0..steps as u64 + 2 {
        let batch = &batches[step as usize % batches.len()];
        tch::manual_seed(step as i64);
        let started = Instant::now();
        let weights = network.layout.views(&flat.to_kind(compute));
        let loss = network.loss(&weights, &statistics, batch, Mode::Train, training.label_smoothing);
        synchronise(device);
        let forward = started.elapsed().as_secs_f64();
        let mut gradient = Tensor::run_backward(&[&loss.value], &[&flat], false, false).remove(0);
        synchronise(device);
        let backward = started.elapsed().as_secs_f64();
        clip(&mut gradient, training.gradient_clip);
        optimizer.step(&flat, &gradient, training.learning_rate, step + 1);
        synchronise(device);
        let total = started.elapsed().as_secs_f64();
        if step >= 2 {
            for (list, value) in times.iter_mut().zip([total, forward, backward - forward, total - backward]) {
                list.push(value);
            }
        }
    }
    let [seconds, forward, backward, update] = times.map(median);
    Ok(Measured {
        parameters: network.layout.total(),
        batch_size: training.batch_size,
        seconds,
        forward,
        backward,
        update,
    })
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
