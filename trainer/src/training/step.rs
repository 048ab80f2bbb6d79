//! One optimizer step: forward → loss → backward, for one batch or several → clip → update.
//!
//! Of several processes each passes its part of a batch; losses are exchanged before the gradient is computed, and the
//! gradient is added up before it is clipped: all make the step that one process would make with the whole batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::bail;
use tch::Tensor;

use super::batches::Plan;
use super::captured::{Changing, Computing, Found};
use super::checkpoint::Sums;
use super::diverged::{Diverged, Lost};
use super::journal::StepRecord;
use super::memory::{largest_that_fits, within_memory};
use super::optimizer::clip;
use super::run::{Data, Run, sums};
use super::seeds::Stream;
use crate::network::{Batch, Mode, SharedBatch};
use crate::ranks::{Ranks, RanksError};

/// The gradient of the batches that a step has seen so far.
#[derive(Debug, Default)]
pub struct Accumulated {
    /// Sum over the batches of tokens × gradient; of a lone batch its gradient.
    gradient: Option<Tensor>,
    batches: usize,
    /// Cross-entropy as the optimizer sees it: times tokens, label smoothing included.
    sums: Sums,
    images: usize,
    seconds: f64,
    /// Whether a process was told to stop.
    stop: bool,
}

impl Run {
    /// Forward and backward of one batch into `accumulated`.
    ///
    /// Batches are weighted by their tokens: but for batch normalisation and dropout, several small batches make the
    /// step of one large one.
    pub fn learn(
        &mut self,
        batch: &Batch,
        plan: &Plan,
        data: &Data,
        accumulated: &mut Accumulated,
        stop: &AtomicBool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let step = self.state.step + 1;
        tch::manual_seed(self.dropout_seed(step, accumulated.batches as u64) as i64);
        let part = Part { ranks: self.ranks, plan, targets: data.training.targets(plan), stop };
        let passed = self.ranks.guarded(|| within_memory(|| self.pass(batch, &part)))?;
        let Ok(passed) = passed else { return self.refuse_size(plan, data) };
        let passed = passed?;
        let Some(gradient) = passed.gradient else { return self.refuse(&passed, plan, data) };
        accumulated.add(gradient, &passed.sums);
        accumulated.images += plan.whole.len();
        accumulated.seconds += started.elapsed().as_secs_f64();
        accumulated.stop |= passed.stop;
        Ok(())
    }

    /// XLA_STATE: the whole step at once, on one process and one batch.
    pub fn captured_step(
        &mut self,
        batch: &Batch,
        plan: &Plan,
        data: &Data,
        learning_rate: f64,
    ) -> anyhow::Result<StepRecord> {
        let started = Instant::now();
        let step = self.state.step + 1;
        tch::manual_seed(self.dropout_seed(step, 0) as i64);
        let training = self.training();
        let computing = Computing {
            kind: self.compute,
            label_smoothing: training.label_smoothing,
            gradient_clip: training.gradient_clip,
        };
        let Self { network, tensors, captured, .. } = self;
        let captured = captured.as_mut().expect("called with XLA_STATE alone");
        let changing = Changing { learning_rate, step };
        let made = within_memory(|| captured.step(network, tensors, batch, computing, changing));
        let Ok(made) = made else {
            self.refuse_size(plan, data)?;
            unreachable!("a batch that does not fit ends the run");
        };
        let Found { loss, correct, gradient_norm } = made?;
        let tokens = batch.targets.numel() as f64;
        let sums = Sums { loss: loss * tokens, correct, tokens };
        if !loss.is_finite() {
            self.refuse(&Passed { losses: vec![loss], sums, stop: false, gradient: None }, plan, data)?;
        }
        if !gradient_norm.is_finite() {
            return Err(self.diverged(step, Lost::Gradient(gradient_norm)).into());
        }
        let seconds = started.elapsed().as_secs_f64();
        Ok(self.made(&sums, 1, learning_rate, gradient_norm, plan.whole.len(), seconds))
    }

    /// Counts a step that was made.
    fn made(
        &mut self,
        sums: &Sums,
        batches: usize,
        learning_rate: f64,
        gradient_norm: f64,
        images: usize,
        seconds: f64,
    ) -> StepRecord {
        self.state.step += 1;
        self.state.batch += batches;
        self.state.running.add(sums);
        self.state.seconds += seconds;
        StepRecord {
            step: self.state.step,
            epoch: self.state.epoch + 1,
            loss: sums.mean_loss(),
            accuracy: sums.accuracy(),
            learning_rate,
            gradient_norm,
            images,
            seconds,
        }
    }

    /// Another one for each step, each batch of it, and each process.
    fn dropout_seed(&self, step: u64, batch: u64) -> u64 {
        let (seed, rank) = (self.training().seed, self.ranks.rank() as u64);
        let key = [step, batch, rank];
        let length = if rank > 0 { 3 } else { 1 + usize::from(batch > 0) };
        Stream::Dropout.seed(seed, &key[..length])
    }

    /// Forward and, where the loss is a number, backward.
    fn pass(&self, batch: &Batch, part: &Part) -> Result<Passed, RanksError> {
        let smoothing = self.training().label_smoothing;
        let sum = |own: &Tensor| self.ranks.differentiable_sum(own);
        let mode = part.mode(&sum);
        let weights = self.network.layout.views(&self.tensors.flat.to_kind(self.compute));
        let loss = self.network.loss(&weights, &self.tensors.statistics, batch, mode, smoothing);
        let value = loss.value.double_value(&[]);
        let own = if value.is_finite() { sums(&loss, value, batch) } else { Sums::default() };
        let mut passed = part.exchange(value, &own)?;
        if passed.losses.iter().all(|loss| loss.is_finite()) {
            let objective = part.objective(loss.value, &own);
            passed.gradient = Some(Tensor::run_backward(&[&objective], &[&self.tensors.flat], false, false).remove(0));
        }
        Ok(passed)
    }

    /// Ends a run whose batch does not fit into memory, and says which one would.
    fn refuse_size(&self, plan: &Plan, data: &Data) -> anyhow::Result<()> {
        let size = plan.places().count();
        let fits = |size: usize| {
            let plan = plan.cut(size);
            let batch = data.training.assemble(&plan, None).map(|batch| batch.to_device(self.device));
            // What the others do is no matter here, nor do they know of it.
            let part = Part::alone(&plan);
            batch.is_ok_and(|batch| within_memory(|| self.pass(&batch, &part)).is_ok())
        };
        let accumulation = self.training().gradient_accumulation;
        match largest_that_fits(size / 2, fits) {
            Some(fitting) => bail!(
                "there is not enough memory for a batch of {size} studies; one of {fitting} fits\n\
                 hint: training.BATCH_SIZE {fitting} with training.GRADIENT_ACCUMULATION {} makes the same steps; the \
                 checkpoint holds the last good state",
                size.div_ceil(fitting) * accumulation
            ),
            None => bail!(
                "there is not enough memory for a batch of {size} studies, nor for one of a single study\n\
                 hint: use a smaller model.IMG_SHAPE or dataset.MAX_REPORT_SIZE, or a smaller network"
            ),
        }
    }

    /// The update by what was accumulated, on all processes.
    pub fn update(&mut self, accumulated: Accumulated, learning_rate: f64) -> anyhow::Result<Option<StepRecord>> {
        let started = Instant::now();
        let Accumulated { gradient, batches, sums, images, seconds, .. } = accumulated;
        let Some(mut gradient) = gradient else { return Ok(None) };
        if batches > 1 {
            let _ = gradient.g_mul_scalar_(1.0 / sums.tokens.max(1.0));
        }
        self.ranks.sum(&mut gradient)?;
        let step = self.state.step + 1;
        let gradient_norm = clip(&mut gradient, self.training().gradient_clip);
        // Before it reaches the weights: the state stays as good as it was. All processes have the same sum.
        if !gradient_norm.is_finite() {
            return Err(self.diverged(step, Lost::Gradient(gradient_norm)).into());
        }
        self.tensors.optimizer.step(&self.tensors.flat, &gradient, learning_rate, step);
        if let Some(average) = &mut self.tensors.average {
            average.update(&self.tensors.flat, &self.tensors.statistics, step);
        }
        let seconds = seconds + started.elapsed().as_secs_f64();
        Ok(Some(self.made(&sums, batches, learning_rate, gradient_norm, images, seconds)))
    }

    /// Ends a run whose loss is no number; the file names the batch, for whoever looks for the study that is to blame.
    fn refuse(&self, passed: &Passed, plan: &Plan, data: &Data) -> anyhow::Result<()> {
        let (world, step) = (self.ranks.world(), self.state.step + 1);
        let blame = passed.losses.iter().enumerate().find(|(_, loss)| !loss.is_finite());
        let (rank, value) = blame.map_or((0, f64::NAN), |(rank, value)| (rank, *value));
        let indices = if world > 1 { plan.part(rank, world).indices() } else { plan.indices() };
        let ids: Vec<&str> = indices.iter().map(|&index| data.training.samples[index].id.as_str()).collect();
        let file = self.folder.join(BLAMED);
        if self.ranks.is_first() {
            let epoch = self.state.epoch + 1;
            let blamed = serde_json::json!({"step": step, "epoch": epoch, "loss": value.to_string(), "ids": ids});
            xreport_models::atomic::write_file(&file, format!("{blamed:#}\n").as_bytes())?;
        }
        Err(self.diverged(step, Lost::Loss { value, studies: ids.len(), file }).into())
    }

    /// The error of a run that cannot go on.
    pub(super) fn diverged(&self, step: u64, lost: Lost) -> Diverged {
        Diverged { step, lost, learning_rate: self.training().learning_rate }
    }
}

/// What this process has of a batch.
struct Part<'a> {
    ranks: Ranks,
    plan: &'a Plan,
    /// Targets of the whole batch.
    targets: usize,
    stop: &'a AtomicBool,
}

/// Nobody stops a trial.
static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Part<'a> {
    fn alone(plan: &'a Plan) -> Self {
        Self { ranks: Ranks::alone(), plan, targets: 0, stop: &NEVER }
    }

    fn mode<'m>(&self, sum: &'m dyn Fn(&Tensor) -> Tensor) -> Mode<'m> {
        if !self.ranks.several() {
            return Mode::Train;
        }
        let (share, images) = (self.plan.share(), self.plan.whole.len());
        Mode::TrainShared(SharedBatch { sum, over: self.ranks.sum_over(), share, images })
    }

    /// What this process adds to the mean loss of the batch: its own mean, by its share of the targets.
    fn objective(&self, loss: Tensor, own: &Sums) -> Tensor {
        if self.ranks.several() { loss * (own.tokens / self.targets.max(1) as f64) } else { loss }
    }

    /// The losses and sums of all processes, and whether one of them was told to stop.
    fn exchange(&self, loss: f64, own: &Sums) -> Result<Passed, RanksError> {
        self.ranks.device_is_done();
        let stop = f64::from(u8::from(self.stop.load(Ordering::Relaxed)));
        let all = self.ranks.gather(&[loss, own.loss, own.correct, own.tokens, stop])?;
        let mut sums = Sums::default();
        for of in &all {
            sums.add(&Sums { loss: of[1], correct: of[2], tokens: of[3] });
        }
        let losses = all.iter().map(|of| of[0]).collect();
        Ok(Passed { losses, sums, stop: all.iter().any(|of| of[4] > 0.0), gradient: None })
    }
}

/// What came of a forward and a backward pass.
struct Passed {
    /// Mean cross-entropy of each process's part, label smoothing included.
    losses: Vec<f64>,
    /// The whole batch's.
    sums: Sums,
    /// Whether a process was told to stop.
    stop: bool,
    /// This process's part of the gradient; none where a loss is no number.
    gradient: Option<Tensor>,
}

/// File with the ids of the batch whose loss was no number.
const BLAMED: &str = "bad_batch.json";

impl Accumulated {
    /// Batches so far.
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// Whether a process was told to stop while these batches were learnt.
    pub fn is_to_stop(&self) -> bool {
        self.stop
    }

    fn add(&mut self, mut gradient: Tensor, found: &Sums) {
        let _no_grad = tch::no_grad_guard();
        self.gradient = Some(match self.gradient.take() {
            None => gradient,
            Some(mut sum) => {
                if self.batches == 1 {
                    let _ = sum.g_mul_scalar_(self.sums.tokens);
                }
                let _ = sum.g_add_(&gradient.g_mul_scalar_(found.tokens));
                sum
            }
        });
        self.sums.add(found);
        self.batches += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tensor_values;

    #[test]
    fn batches_are_weighted_by_their_tokens() {
        let sums = |tokens| Sums { loss: 2.0 * tokens, correct: 1.0, tokens };
        let mut accumulated = Accumulated::default();
        accumulated.add(Tensor::from_slice(&[1.0f32, 4.0]), &sums(1.0));
        let alone = accumulated.gradient.as_ref().expect("one batch");
        assert_eq!(tensor_values(alone), [1.0, 4.0], "a lone batch's gradient is left as it is");
        accumulated.add(Tensor::from_slice(&[5.0f32, 0.0]), &sums(3.0));
        accumulated.add(Tensor::from_slice(&[0.0f32, 8.0]), &sums(4.0));
        let sum = tensor_values(accumulated.gradient.as_ref().expect("three batches"));
        assert_eq!(sum, [16.0, 36.0], "1 × (1, 4) + 3 × (5, 0) + 4 × (0, 8)");
        assert_eq!((accumulated.batches, accumulated.sums.tokens, accumulated.sums.mean_loss()), (3, 8.0, 2.0));
    }
}
