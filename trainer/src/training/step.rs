//! One optimizer step: forward → loss → backward, for one batch or several → clip → update.

use std::time::Instant;

use anyhow::bail;
use tch::Tensor;

use super::batches::Plan;
use super::checkpoint::Sums;
use super::journal::StepRecord;
use super::memory::{largest_that_fits, within_memory};
use super::optimizer::clip;
use super::run::{Data, Run, sums};
use super::seeds::Stream;
use crate::network::{Batch, Mode};

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
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let training = self.training();
        let (smoothing, seed) = (training.label_smoothing, training.seed);
        let step = self.state.step + 1;
        let key = [step, accumulated.batches as u64];
        let key = if accumulated.batches == 0 { &key[..1] } else { &key[..] };
        tch::manual_seed(Stream::Dropout.seed(seed, key) as i64);
        let Ok(passed) = within_memory(|| self.pass(batch, smoothing)) else {
            return self.refuse_size(plan, data, smoothing);
        };
        let Some((gradient, found)) = passed.gradient else {
            let ids: Vec<&str> = plan.indices.iter().map(|&i| data.training.samples[i].id.as_str()).collect();
            return self.refuse(passed.loss, step, &ids);
        };
        accumulated.add(gradient, &found);
        accumulated.images += plan.indices.len();
        accumulated.seconds += started.elapsed().as_secs_f64();
        self.state.running.add(&found);
        self.state.batch += 1;
        Ok(())
    }

    /// Forward and, where the loss is a number, backward.
    fn pass(&self, batch: &Batch, smoothing: f64) -> Passed {
        let weights = self.network.layout.views(&self.tensors.flat.to_kind(self.compute));
        let loss = self.network.loss(&weights, &self.tensors.statistics, batch, Mode::Train, smoothing);
        let value = loss.value.double_value(&[]);
        let gradient = value.is_finite().then(|| {
            let gradient = Tensor::run_backward(&[&loss.value], &[&self.tensors.flat], false, false).remove(0);
            (gradient, sums(&loss, value, batch))
        });
        Passed { loss: value, gradient }
    }

    /// Ends a run whose batch does not fit into memory, and says which one would.
    fn refuse_size(&self, plan: &Plan, data: &Data, smoothing: f64) -> anyhow::Result<()> {
        let size = plan.indices.len();
        let fits = |size: usize| {
            let part = Plan { indices: plan.indices[..size].to_vec(), index: plan.index };
            let batch = data.training.assemble(&part, None).map(|batch| batch.to_device(self.device));
            batch.is_ok_and(|batch| within_memory(|| self.pass(&batch, smoothing)).is_ok())
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

    /// The update by what was accumulated.
    pub fn update(&mut self, accumulated: Accumulated, learning_rate: f64) -> Option<StepRecord> {
        let started = Instant::now();
        let Accumulated { gradient, batches, sums, images, seconds } = accumulated;
        let mut gradient = gradient?;
        if batches > 1 {
            let _ = gradient.g_mul_scalar_(1.0 / sums.tokens.max(1.0));
        }
        let step = self.state.step + 1;
        let gradient_norm = clip(&mut gradient, self.training().gradient_clip);
        self.tensors.optimizer.step(&self.tensors.flat, &gradient, learning_rate, step);
        if let Some(average) = &mut self.tensors.average {
            average.update(&self.tensors.flat, &self.tensors.statistics, step);
        }
        self.state.step = step;
        let seconds = seconds + started.elapsed().as_secs_f64();
        self.state.seconds += seconds;
        Some(StepRecord {
            step,
            epoch: self.state.epoch + 1,
            loss: sums.mean_loss(),
            accuracy: sums.accuracy(),
            learning_rate,
            gradient_norm,
            images,
            seconds,
        })
    }

    /// Ends a run whose loss is no number; the file names the batch, for whoever looks for the study that is to blame.
    fn refuse(&self, value: f64, step: u64, ids: &[&str]) -> anyhow::Result<()> {
        let blamed =
            serde_json::json!({"step": step, "epoch": self.state.epoch + 1, "loss": value.to_string(), "ids": ids});
        let file = self.folder.join(BLAMED);
        xreport_models::atomic::write_file(&file, format!("{blamed:#}\n").as_bytes())?;
        bail!(
            "the loss is {value} at step {step}; the {} studies of its batch stand in `{}`\n\
             hint: look at these studies, or lower training.LEARNING_RATE or training.GRADIENT_CLIP; the checkpoint holds \
             the last good state",
            ids.len(),
            file.display()
        );
    }
}

/// What came of a forward and a backward pass.
struct Passed {
    /// Mean cross-entropy, label smoothing included.
    loss: f64,
    /// The gradient and the batch's sums; none where the loss is no number.
    gradient: Option<(Tensor, Sums)>,
}

/// File with the ids of the batch whose loss was no number.
const BLAMED: &str = "bad_batch.json";

impl Accumulated {
    /// Batches so far.
    pub fn batches(&self) -> usize {
        self.batches
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
