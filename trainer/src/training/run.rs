//! The training loop: schedule → batch → step → log → validate → checkpoint.

use std::path::PathBuf;
use std::sync::atomic::{self, AtomicBool};
use std::time::Instant;

use tch::{Device, Kind};

use super::batches::{Ordering, Samples};
use super::captured::Captured;
use super::checkpoint::{self, BEST, EpochRecord, LAST, State, Sums, Tensors};
use super::diverged::Lost;
use super::journal::Journal;
use super::saver::Saver;
use super::schedule::Schedule;
use super::step::Accumulated;
use crate::network::{Batch, Loss, Mode, Network, RunningStatistics};
use crate::ranks::{Ranks, RanksError, say};
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
    /// This process among those that train together; rank 0 alone writes.
    pub ranks: Ranks,
    /// The checkpoint's folder.
    pub folder: PathBuf,
    /// XLA_STATE: steps captured so far.
    pub captured: Option<Captured>,
    /// What writes checkpoints.
    pub saver: Saver,
    /// When the last state was saved.
    pub saved: Instant,
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
    pub(super) fn training(&self) -> &TrainingSettings {
        &self.state.settings.training
    }

    /// Steps of the whole run.
    pub fn total_steps(&self, data: &Data) -> u64 {
        let training = self.training();
        let total = self.steps_per_epoch(data) * training.epochs as u64;
        if training.max_steps > 0 { total.min(training.max_steps as u64) } else { total }
    }

    /// Whether the last step has no epoch's end behind it: the run ended on its way, or while it was measured.
    pub fn is_unmeasured(&self) -> bool {
        self.state.step > 0 && self.state.latest.is_none_or(|latest| latest.step < self.state.step)
    }

    /// Steps over which the learning rate falls.
    fn horizon(&self, data: &Data) -> u64 {
        let training = self.training();
        match training.schedule_epochs {
            0 => self.total_steps(data),
            epochs => self.steps_per_epoch(data) * epochs as u64,
        }
    }

    /// Whether the images of that epoch, counted from 0, are augmented: not in the last IMG_PLAIN_EPOCHS of the learning
    /// rate's course, so that the model is right about images as they will come.
    fn augments(&self, epoch: usize, data: &Data) -> bool {
        let dataset = &self.state.settings.dataset;
        let plain = dataset.img_plain_epochs;
        let epochs = self.horizon(data).div_ceil(self.steps_per_epoch(data)) as usize;
        dataset.img_augment && (plain == 0 || epoch + plain < epochs)
    }

    /// Optimizer steps of an epoch; its last may have fewer batches than the others.
    fn steps_per_epoch(&self, data: &Data) -> u64 {
        let accumulation = self.training().gradient_accumulation;
        data.training.batches_per_epoch(&self.ordering()).div_ceil(accumulation) as u64
    }

    /// How the batches of all processes together are drawn.
    fn ordering(&self) -> Ordering {
        Ordering::of(&self.state.settings, self.ranks.world())
    }

    /// Trains until the run is complete or `stop` is set. `stop_after`: epochs after which to stop as if interrupted.
    pub fn proceed(
        &mut self,
        data: &Data,
        journal: &mut Option<Journal>,
        stop: &AtomicBool,
        stop_after: Option<usize>,
    ) -> anyhow::Result<Ending> {
        let ending = self.epochs(data, journal, stop, stop_after);
        // What was begun to be written is finished, whatever happened.
        let written = self.saver.finish();
        let ending = ending?;
        written.map(|()| ending)
    }

    fn epochs(
        &mut self,
        data: &Data,
        journal: &mut Option<Journal>,
        stop: &AtomicBool,
        stop_after: Option<usize>,
    ) -> anyhow::Result<Ending> {
        let total = self.total_steps(data);
        let schedule = Schedule::new(self.training(), self.horizon(data));
        while self.state.step < total || self.is_unmeasured() {
            let before_step = &mut None;
            let trained = self.train_epoch(data, &schedule, total, journal, stop, before_step);
            if trained.as_ref().is_err_and(anyhow::Error::is::<RanksError>) {
                if let Some(statistics) = before_step.take() {
                    self.tensors.statistics = statistics;
                }
                self.save_without_others()?;
            }
            if !trained? {
                self.save(LAST)?;
                return Ok(Ending::Interrupted);
            }
            let finished = self.finish_epoch(data, journal);
            if finished.as_ref().is_err_and(anyhow::Error::is::<RanksError>) {
                // All have done the epoch's steps; whoever goes on measures them.
                self.save_without_others()?;
            }
            let record = finished?;
            let better = self.state.best.is_none_or(|best| record.beats(&best, self.training().best_by));
            if better {
                self.state.best = Some(record);
                self.save(BEST)?;
            }
            self.save_epoch(record.epoch)?;
            self.show_samples(data, journal)?;
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

    /// Trains the rest of the current epoch, up to step `total`; `false` where `stop` was set. `before_step`: with
    /// several processes the statistics before the running step, for where it cannot be finished.
    fn train_epoch(
        &mut self,
        data: &Data,
        schedule: &Schedule,
        total: u64,
        journal: &mut Option<Journal>,
        stop: &AtomicBool,
        before_step: &mut Option<RunningStatistics>,
    ) -> anyhow::Result<bool> {
        let training = self.training().clone();
        let epoch = self.state.epoch;
        let (rank, world) = (self.ranks.rank(), self.ranks.world());
        let plans = data.training.epoch(epoch, &self.ordering());
        let plans: Vec<_> = plans.iter().map(|plan| plan.part(rank, world)).collect();
        let augment = self.augments(epoch, data).then_some((training.seed, epoch));
        let assembly = (self.device, self.state.threads);
        if let Some(journal) = journal {
            journal.begin_epoch(epoch + 1, plans.len(), self.state.batch);
        }
        let mut accumulated = Accumulated::default();
        data.training.stream(&plans[self.state.batch..], augment, assembly, |plan, batch| {
            if world > 1 && accumulated.batches() == 0 {
                *before_step = Some(self.tensors.statistics.copy());
            }
            let learning_rate = schedule.at(self.state.step + 1);
            let (record, batches, told) = if self.captured.is_some() {
                (Some(self.captured_step(&batch, plan, data, learning_rate)?), 1, false)
            } else {
                self.learn(&batch, plan, data, &mut accumulated, stop)?;
                let batches = accumulated.batches();
                if batches < training.gradient_accumulation && self.state.batch + batches < plans.len() {
                    return Ok::<bool, anyhow::Error>(true);
                }
                let told = accumulated.is_to_stop();
                (self.update(std::mem::take(&mut accumulated), learning_rate)?, batches, told)
            };
            // Several processes stop after the same step: what each has heard was exchanged with the losses.
            let stops = told || (world == 1 && stop.load(atomic::Ordering::Relaxed));
            if let (Some(record), Some(journal)) = (record, journal.as_mut()) {
                journal.step(&record, batches)?;
            }
            if self.is_to_save() {
                self.save(LAST)?;
            }
            Ok(self.state.step < total && !stops)
        })?;
        Ok(self.state.batch == plans.len() || self.state.step >= total)
    }

    /// Whether SAVE_EVERY_STEPS or SAVE_EVERY_MINUTES ask for a save now.
    fn is_to_save(&self) -> bool {
        let (steps, minutes) = (self.training().save_every_steps as u64, self.training().save_every_minutes);
        let by_steps = steps > 0 && self.state.step.is_multiple_of(steps);
        by_steps || (minutes > 0.0 && self.saved.elapsed().as_secs_f64() >= minutes * 60.0)
    }

    /// Validates, records the epoch, and goes to the next one. Where validation fails, the state stays as it was.
    fn finish_epoch(&mut self, data: &Data, journal: &mut Option<Journal>) -> anyhow::Result<EpochRecord> {
        let held_out = (!data.validation.samples.is_empty()).then(|| self.validate(&data.validation)).transpose()?;
        let lost = held_out.map(|sums| sums.mean_loss()).filter(|loss| !loss.is_finite());
        if let Some(loss) = lost {
            return Err(self.diverged(self.state.step, Lost::Validation(loss)).into());
        }
        let running = std::mem::take(&mut self.state.running);
        let record = EpochRecord {
            // An epoch that MAX_STEPS cut short counts as well.
            epoch: self.state.epoch + 1,
            step: self.state.step,
            training_loss: running.mean_loss(),
            training_accuracy: running.accuracy(),
            validation_loss: held_out.map(|sums| sums.mean_loss()),
            validation_accuracy: held_out.map(|sums| sums.accuracy()),
        };
        self.state.latest = Some(record);
        if self.state.batch == data.training.batches_per_epoch(&self.ordering()) {
            self.state.epoch += 1;
            self.state.batch = 0;
        }
        if let Some(journal) = journal {
            journal.epoch(&record)?;
        }
        Ok(record)
    }

    /// SAMPLE_REPORTS: what the model writes now, for people who look at TensorBoard. No run ends for want of them.
    fn show_samples(&self, data: &Data, journal: &mut Option<Journal>) -> anyhow::Result<()> {
        let count = self.training().sample_reports;
        let Some(journal) = journal else { return Ok(()) };
        if count == 0 || !journal.has_tensorboard() {
            return Ok(());
        }
        match self.sample_reports(&data.validation, count) {
            Ok(samples) => journal.samples(self.state.step, &samples),
            Err(error) => {
                say(format!("warning: no sample reports after step {}: {error:#}", self.state.step));
                Ok(())
            }
        }
    }

    /// Cross-entropy and accuracy on samples that it does not learn from; each process looks at its share of the batches.
    pub fn validate(&self, samples: &Samples) -> anyhow::Result<Sums> {
        let _no_grad = tch::no_grad_guard();
        let (flat, statistics) = self.tensors.deployed();
        let weights = self.network.layout.views(flat);
        let mut total = Sums::default();
        let mut plans = samples.in_order(self.training().batch_size);
        plans.retain(|plan| plan.index % self.ranks.world() == self.ranks.rank());
        samples.stream(&plans, None, (self.device, self.state.threads), |_, batch| {
            let loss = self.network.loss(&weights, statistics, &batch, Mode::Infer, 0.0);
            total.add(&sums(&loss, loss.value.double_value(&[]), &batch));
            Ok::<bool, anyhow::Error>(true)
        })?;
        let all = self.ranks.gather(&[total.loss, total.correct, total.tokens])?;
        Ok(all.iter().fold(Sums::default(), |mut sum, own| {
            sum.add(&Sums { loss: own[0], correct: own[1], tokens: own[2] });
            sum
        }))
    }

    /// Saves what all have done, for another process is gone.
    fn save_without_others(&mut self) -> anyhow::Result<()> {
        self.save(LAST)?;
        self.saver.finish()?;
        say(format!("the {} steps that all have done are saved in `{}`", self.state.step, self.folder.display()));
        Ok(())
    }

    /// Saves the run as `name` in its folder, while it goes on.
    pub fn save(&mut self, name: &str) -> anyhow::Result<()> {
        self.save_as(name, None)
    }

    /// Saves the end of an epoch; KEEP_LAST keeps copies.
    fn save_epoch(&mut self, epoch: usize) -> anyhow::Result<()> {
        let most = self.training().keep_last;
        self.save_as(LAST, (most > 0).then(|| (checkpoint::kept_name(epoch), most)))
    }

    fn save_as(&mut self, name: &str, keep: Option<(String, usize)>) -> anyhow::Result<()> {
        self.saved = Instant::now();
        if !self.ranks.is_first() {
            return Ok(());
        }
        let bytes = checkpoint::serialise(&self.state, &self.network, &self.tensors);
        self.saver.save(self.folder.join(name), bytes, keep)
    }
}

/// Sums of one batch, whose mean loss is `value`.
pub(super) fn sums(loss: &Loss, value: f64, batch: &Batch) -> Sums {
    let tokens = batch.targets.numel() as f64;
    let correct = loss.correct.double_value(&[]);
    Sums { loss: value * tokens, correct, tokens }
}

impl Sums {
    /// Takes in what another batch came to.
    pub fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.tokens += other.tokens;
    }
}
