//! From studies to batches: token sequences, the order of an epoch, and tensors assembled ahead of the device.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rand::seq::SliceRandom;
use tch::{Device, Tensor};

use super::augment::augmented;
use super::seeds::Stream;
use crate::data::ImageStore;
use crate::network::Batch;

/// Batches that wait, assembled, for the device.
const BATCHES_AHEAD: usize = 2;

/// A study as the network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Id, for messages.
    pub id: String,
    /// Its image in the store.
    pub image: usize,
    /// Report in the model's tokens: start token first, end token last unless the report was cut.
    pub tokens: Vec<u32>,
}

/// Samples of one kind: for training or for validation.
pub struct Samples {
    /// The samples, in order of the data set.
    pub samples: Vec<Sample>,
    /// Their images.
    pub images: Arc<ImageStore>,
}

/// The indices of one batch, and which batch of its epoch it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Indices into the samples.
    pub indices: Vec<usize>,
    /// From 0.
    pub index: usize,
}

impl Samples {
    /// The batches of epoch `epoch` in their shuffled order: the same for the same seed.
    pub fn epoch(&self, seed: u64, epoch: usize, batch_size: usize) -> Vec<Plan> {
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        order.shuffle(&mut Stream::Shuffle.rng(seed, &[epoch as u64]));
        plans(&order, batch_size)
    }

    /// The batches in order of the data set, for validation.
    pub fn in_order(&self, batch_size: usize) -> Vec<Plan> {
        plans(&(0..self.samples.len()).collect::<Vec<_>>(), batch_size)
    }

    /// H, W, C of every image.
    fn image_shape(&self) -> [usize; 3] {
        let preprocessing = self.images.preprocessing();
        [preprocessing.height as usize, preprocessing.width as usize, usize::from(preprocessing.channels)]
    }

    /// Batches of an epoch.
    pub fn batches_per_epoch(&self, batch_size: usize) -> usize {
        self.in_order(batch_size).len()
    }

    /// Assembles a batch on the CPU. `augment`: seed and epoch where images are to be augmented.
    pub fn assemble(&self, plan: &Plan, augment: Option<(u64, usize)>) -> Batch {
        let chosen: Vec<&Sample> = plan.indices.iter().map(|&index| &self.samples[index]).collect();
        let shape = self.image_shape();
        let mut pixels = Vec::with_capacity(chosen.len() * shape.iter().product::<usize>());
        for (sample, &index) in chosen.iter().zip(&plan.indices) {
            let image = self.images.get(sample.image);
            match augment {
                None => pixels.extend_from_slice(image),
                Some((seed, epoch)) => {
                    let mut rng = Stream::Augment.rng(seed, &[epoch as u64, index as u64]);
                    pixels.extend(augmented(image, shape, &mut rng));
                }
            }
        }
        let [height, width, channels] = shape.map(|size| size as i64);
        let images = Tensor::from_slice(&pixels).view([chosen.len() as i64, height, width, channels]);
        let (inputs, places, targets) = token_tensors(chosen.iter().map(|sample| sample.tokens.as_slice()));
        Batch { images, inputs, places, targets }
    }

    /// Assembles batches one after the other on a thread of its own, ahead of the reader, and hands each with its plan
    /// to `consume`, which ends the run early by returning `false`.
    pub fn stream<E>(
        &self,
        plans: &[Plan],
        augment: Option<(u64, usize)>,
        device: Device,
        mut consume: impl FnMut(&Plan, Batch) -> Result<bool, E>,
    ) -> Result<(), E> {
        std::thread::scope(|scope| {
            let (sender, batches) = sync_channel(BATCHES_AHEAD);
            scope.spawn(move || {
                for plan in plans {
                    // The reader is gone when the run ends early.
                    if sender.send(self.assemble(plan, augment)).is_err() {
                        break;
                    }
                }
            });
            // Moved in here, so that it is dropped, and the assembling thread freed, before the scope waits for it.
            let batches: Receiver<Batch> = batches;
            for (plan, batch) in plans.iter().zip(batches) {
                if !consume(plan, batch.to_device(device))? {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Cuts an order into batches. A lone last sample joins the batch before it: batch normalisation needs company.
fn plans(order: &[usize], batch_size: usize) -> Vec<Plan> {
    let mut plans: Vec<Plan> = order
        .chunks(batch_size)
        .enumerate()
        .map(|(index, indices)| Plan { indices: indices.to_vec(), index })
        .collect();
    if batch_size > 1 && plans.len() > 1 && plans.last().is_some_and(|plan| plan.indices.len() == 1) {
        let alone = plans.pop().expect("there are at least two");
        plans.last_mut().expect("there is one left").indices.extend(alone.indices);
    }
    plans
}

/// Inputs `[B, T]`, places of the targets in the flattened positions, and targets; cut to the longest report.
fn token_tensors<'t>(reports: impl Iterator<Item = &'t [u32]> + Clone) -> (Tensor, Tensor, Tensor) {
    let longest = reports.clone().map(|tokens| tokens.len() - 1).max().unwrap_or(0);
    let (mut inputs, mut places, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows = 0i64;
    for tokens in reports {
        let first = inputs.len() as i64;
        for (place, pair) in tokens.windows(2).enumerate() {
            inputs.push(i64::from(pair[0]));
            targets.push(i64::from(pair[1]));
            places.push(first + place as i64);
        }
        inputs.resize(first as usize + longest, Batch::PAD);
        rows += 1;
    }
    let inputs = Tensor::from_slice(&inputs).view([rows, longest as i64]);
    (inputs, Tensor::from_slice(&places), Tensor::from_slice(&targets))
}

impl Batch {
    /// The batch on a device.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        Self {
            images: self.images.to_device(device),
            inputs: self.inputs.to_device(device),
            places: self.places.to_device(device),
            targets: self.targets.to_device(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use xreport_models::image::Preprocessing;

    use super::*;

    fn samples(count: usize) -> Samples {
        let sample = |i: usize| Sample { id: i.to_string(), image: i, tokens: vec![2, 5, 3] };
        let images = ImageStore::of_pixels(Preprocessing::grey(2, 2), vec![7; 4 * count]);
        Samples { samples: (0..count).map(sample).collect(), images: Arc::new(images) }
    }

    #[test]
    fn an_epoch_holds_every_sample_once_in_an_order_of_its_own() {
        let samples = samples(10);
        let order = |epoch| samples.epoch(1, epoch, 4).into_iter().flat_map(|p| p.indices).collect::<Vec<_>>();
        let mut sorted = order(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_eq!(order(0), order(0));
        assert_ne!(order(0), order(1));
    }

    #[test]
    fn nobody_is_left_alone() {
        let sizes = |count, size| samples(count).in_order(size).iter().map(|p| p.indices.len()).collect::<Vec<_>>();
        assert_eq!(sizes(9, 4), [4, 5]);
        assert_eq!(sizes(10, 4), [4, 4, 2]);
        assert_eq!(sizes(1, 4), [1]);
        assert_eq!(sizes(3, 1), [1, 1, 1]);
    }

    #[test]
    fn targets_are_the_tokens_that_follow() {
        let (inputs, places, targets) = token_tensors([&[2u32, 8, 9, 3][..], &[2, 7, 3]].into_iter());
        assert_eq!(Vec::<Vec<i64>>::try_from(&inputs).expect("two axes"), [[2, 8, 9], [2, 7, 0]]);
        assert_eq!(Vec::<i64>::try_from(&places).expect("one axis"), [0, 1, 2, 3, 4]);
        assert_eq!(Vec::<i64>::try_from(&targets).expect("one axis"), [8, 9, 3, 7, 3]);
    }

    #[test]
    fn a_reader_that_stops_early_ends_the_stream() {
        let samples = samples(40);
        let plans = samples.in_order(2);
        let mut seen = 0;
        samples
            .stream::<()>(&plans, None, Device::Cpu, |_, _| {
                seen += 1;
                Ok(seen < 3)
            })
            .expect("no error");
        assert_eq!(seen, 3);
    }
}
