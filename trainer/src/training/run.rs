//! The training loop: schedule → batch → forward → loss → backward → clip → step → log → validate → checkpoint.

use std::path::PathBuf;
use std::sync::atomic::{self, AtomicBool};
use std::time::Instant;

use anyhow::{Context, bail};
use tch::{Device, Kind, Tensor};

use super::batches::{Ordering, Plan, Samples};
use super::checkpoint::{self, BEST, EpochRecord, LAST, State, Sums, Tensors};
use super::journal::{Journal, StepRecord};
use super::optimizer::clip;
use super::schedule::Schedule;
use super::seeds::Stream;
use crate::network::{Batch, Loss, Mode, Network};
use crate::settings::TrainingSettings;

/// A run in memory: where it stands, and what it changes.
#[derive(Debug)]
pub struct Run {
    /// Where it stands.
    pub state: State,
    /// The layers.
    pub network: Network,
    /// Weights, statistics, optimizer.
    pub tensors: Tensors,
    /// Where it computes.
    pub device: Device,
    /// In which number format a step computes: float32, or bfloat16 with MIXED_PRECISION.
    pub compute: Kind,
    /// The checkpoint's folder.
    pub folder: PathBuf,
}

/// What it learns from and is measured on.
pub struct Data {
    /// Learned from.
    pub training: Samples,
    /// Measured on; empty where nothing is held out.
    pub validation: Samples,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// EPOCHS or MAX_STEPS reached.
    Complete,
    /// EARLY_STOPPING_PATIENCE used up.
    NoLongerBetter,
    /// The user asked for it (Ctrl-C, SIGTERM, --stop-after-epochs).
    Interrupted,
}

impl Run {
    fn training(&self) -> &TrainingSettings {
        &self.state.settings.training
    }

    /// Steps of the whole run.
    pub fn total_steps(&self, data: &Data) -> u64 {
        let training = self.training();
        let per_epoch = data.training.batches_per_epoch(training.batch_size) as u64;
        let total = per_epoch * training.epochs as u64;
        if training.max_steps > 0 { total.min(training.max_steps as u64) } else { total }
    }

    /// Steps over which the learning rate falls.
    fn horizon(&self, data: &Data) -> u64 {
        let training = self.training();
        match training.schedule_epochs {
            0 => self.total_steps(data),
            epochs => data.training.batches_per_epoch(training.batch_size) as u64 * epochs as u64,
        }
    }

    /// Trains until the run is complete or `stop` is set. `stop_after`: epochs after which to stop as if interrupted.
    pub fn proceed(
        &mut self,
        data: &Data,
        journal: &mut Journal,
        stop: &AtomicBool,
        stop_after: Option<usize>,
    ) -> anyhow::Result<Ending> {
        let total = self.total_steps(data);
        let schedule = Schedule::new(self.training(), self.horizon(data));
        while self.state.step < total {
            if !self.train_epoch(data, &schedule, total, journal, stop)? {
                self.save(LAST)?;
                return Ok(Ending::Interrupted);
            }
            let record = self.finish_epoch(data, journal)?;
            let better = self.state.best.is_none_or(|best| record.beats(&best, self.training().best_by));
            if better {
                self.state.best = Some(record);
                self.save(BEST)?;
            }
            self.save(LAST)?;
            let patience = self.training().early_stopping_patience;
            let waited = self.state.best.map_or(0, |best| record.epoch - best.epoch);
            if patience > 0 && waited >= patience {
                return Ok(Ending::NoLongerBetter);
            }
            if stop_after.is_some_and(|epochs| self.state.epoch >= epochs) && self.state.step < total {
                return Ok(Ending::Interrupted);
            }
        }
        Ok(Ending::Complete)
    }

    /// Trains the rest of the current epoch, up to step `total`; `false` where `stop` was set.
    fn train_epoch(
        &mut self,
        data: &Data,
        schedule: &Schedule,
        total: u64,
        journal: &mut Journal,
        stop: &AtomicBool,
    ) -> anyhow::Result<bool> {
        let training = self.training().clone();
        let epoch = self.state.epoch;
        let plans = data.training.epoch(epoch, &Ordering::of(&self.state.settings));
        let augment = self.state.settings.dataset.img_augment.then_some((training.seed, epoch));
        let assembly = (self.device, training.threads());
        journal.begin_epoch(epoch + 1, plans.len(), self.state.batch);
        data.training.stream(&plans[self.state.batch..], augment, assembly, |plan, batch| {
            let record = self.step(&batch, schedule, plan, data)?;
            journal.step(&record)?;
            let every = training.save_every_steps as u64;
            if every > 0 && self.state.step.is_multiple_of(every) {
                self.save(LAST)?;
            }
            Ok::<bool, anyhow::Error>(self.state.step < total && !stop.load(atomic::Ordering::Relaxed))
        })?;
        let complete = self.state.batch == plans.len();
        if complete {
            self.state.epoch += 1;
            self.state.batch = 0;
        }
        Ok(complete || self.state.step >= total)
    }

    /// One optimizer step.
    fn step(&mut self, batch: &Batch, schedule: &Schedule, plan: &Plan, data: &Data) -> anyhow::Result<StepRecord> {
        let started = Instant::now();
        let (smoothing, limit, seed) =
            (self.training().label_smoothing, self.training().gradient_clip, self.training().seed);
        let step = self.state.step + 1;
        tch::manual_seed(Stream::Dropout.seed(seed, &[step]) as i64);
        let weights = self.network.layout.views(&self.tensors.flat.to_kind(self.compute));
        let loss = self.network.loss(&weights, &self.tensors.statistics, batch, Mode::Train, smoothing);
        let value = loss.value.double_value(&[]);
        if !value.is_finite() {
            let ids: Vec<&str> = plan.indices.iter().map(|&i| data.training.samples[i].id.as_str()).collect();
            bail!(
                "the loss is {value} at step {step}; the batch holds {}\nhint: lower training.LEARNING_RATE or training.GRADIENT_CLIP; the checkpoint holds the last good state",
                ids.join(", ")
            );
        }
        let mut gradient = Tensor::run_backward(&[&loss.value], &[&self.tensors.flat], false, false).remove(0);
        let gradient_norm = clip(&mut gradient, limit);
        let learning_rate = schedule.at(step);
        self.tensors.optimizer.step(&self.tensors.flat, &gradient, learning_rate, step);
        if let Some(average) = &mut self.tensors.average {
            average.update(&self.tensors.flat, &self.tensors.statistics, step);
        }
        let sums = sums(&loss, value, batch);
        self.state.running.add(&sums);
        self.state.step = step;
        self.state.batch += 1;
        let seconds = started.elapsed().as_secs_f64();
        self.state.seconds += seconds;
        Ok(StepRecord {
            step,
            epoch: self.state.epoch + 1,
            loss: value,
            accuracy: sums.accuracy(),
            learning_rate,
            gradient_norm,
            images: plan.indices.len(),
            seconds,
        })
    }

    /// Validates, records the epoch and clears its sums.
    fn finish_epoch(&mut self, data: &Data, journal: &mut Journal) -> anyhow::Result<EpochRecord> {
        let running = std::mem::take(&mut self.state.running);
        let held_out = if data.validation.samples.is_empty() { running } else { self.validate(&data.validation)? };
        let record = EpochRecord {
            // An epoch that MAX_STEPS cut short counts as well.
            epoch: self.state.epoch + usize::from(self.state.batch > 0),
            step: self.state.step,
            training_loss: running.mean_loss(),
            training_accuracy: running.accuracy(),
            validation_loss: held_out.mean_loss(),
            validation_accuracy: held_out.accuracy(),
        };
        self.state.latest = Some(record);
        journal.epoch(&record)?;
        Ok(record)
    }

    /// Cross-entropy and accuracy on samples that it does not learn from.
    pub fn validate(&self, samples: &Samples) -> anyhow::Result<Sums> {
        let _no_grad = tch::no_grad_guard();
        let (flat, statistics) = self.tensors.deployed();
        let weights = self.network.layout.views(flat);
        let mut total = Sums::default();
        let plans = samples.in_order(self.training().batch_size);
        samples.stream(&plans, None, (self.device, self.training().threads()), |_, batch| {
            let loss = self.network.loss(&weights, statistics, &batch, Mode::Infer, 0.0);
            total.add(&sums(&loss, loss.value.double_value(&[]), &batch));
            Ok::<bool, anyhow::Error>(true)
        })?;
        Ok(total)
    }

    /// Saves the run as `name` in its folder.
    pub fn save(&self, name: &str) -> anyhow::Result<()> {
        checkpoint::save(&self.folder.join(name), &self.state, &self.network, &self.tensors)
            .context("the checkpoint was not saved; the one before it is still whole")
    }
}

/// Sums of one batch, whose mean loss is `value`.
fn sums(loss: &Loss, value: f64, batch: &Batch) -> Sums {
    let _no_grad = tch::no_grad_guard();
    let tokens = batch.targets.numel() as f64;
    let correct = loss.logits.argmax(-1, false).eq_tensor(&batch.targets).sum(tch::Kind::Float).double_value(&[]);
    Sums { loss: value * tokens, correct, tokens }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.tokens += other.tokens;
    }
}
