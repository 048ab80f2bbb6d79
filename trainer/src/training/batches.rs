//! From studies to batches: token sequences, the order of an epoch, and tensors assembled ahead of the device.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Tensor};

use super::augment::augmented;
use super::seeds::Stream;
use crate::data::{ImageStore, LostImage};
use crate::native::pinned;
use crate::network::Batch;
use crate::settings::Settings;

/// Batches that wait, assembled, for the device.
const BATCHES_AHEAD: usize = 2;

/// Of an epoch's text positions, the share that order by length must save to be worth it.
///
/// Batches of like length are batches of like content: where a few texts are made from labels, of one label each. Batch
/// normalisation then takes away what tells labels apart, and each step pulls all images towards one text; a decoder
/// trained so ignores the image for many epochs. Where lengths hardly differ there is nothing to gain for it.
const WORTH_SORTING: f64 = 0.15;

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

/// How the studies of an epoch are drawn and put in order.
#[derive(Debug, Clone, Copy)]
pub struct Ordering {
    /// SEED.
    pub seed: u64,
    /// Studies of a batch: BATCH_SIZE for each process.
    pub batch_size: usize,
    /// Processes that share each batch; every one needs a study of it.
    pub ranks: usize,
    /// LENGTH_WINDOW: among the studies of so many batches that follow each other, those with reports of like length
    /// come together, and less is padded, where that saves enough ([`WORTH_SORTING`]).
    pub window: usize,
    /// BALANCE_TEXTS: 0 takes every study once; above, those with reports that many share come less often.
    pub balance: f64,
}

impl Ordering {
    /// As the settings say, for `ranks` processes.
    pub fn of(settings: &Settings, ranks: usize) -> Self {
        let training = &settings.training;
        Self {
            seed: training.seed,
            batch_size: training.batch_size * ranks,
            ranks,
            window: training.length_window,
            balance: settings.dataset.balance_texts,
        }
    }
}

/// The indices of one batch, which of them are this process's, and which batch of its epoch it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Indices of the whole batch into the samples.
    pub whole: Vec<usize>,
    /// From 0.
    pub index: usize,
    /// Which process's part, and of how many.
    part: (usize, usize),
}

impl Plan {
    fn new(whole: Vec<usize>, index: usize) -> Self {
        Self { whole, index, part: (0, 1) }
    }

    /// The part of process `rank` of `ranks`. Every `ranks`-th study: reports of a batch often stand in order of their
    /// length, and so each process has as many tokens as the others.
    #[must_use]
    pub fn part(&self, rank: usize, ranks: usize) -> Self {
        Self { part: (rank, ranks), ..self.clone() }
    }

    /// Places in the batch and indices into the samples of this process's part.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let (rank, ranks) = self.part;
        self.whole.iter().copied().enumerate().skip(rank).step_by(ranks)
    }

    /// Indices into the samples of this process's part.
    pub fn indices(&self) -> Vec<usize> {
        self.places().map(|(_, index)| index).collect()
    }

    /// A batch of the first `size` studies of this process's part alone.
    #[must_use]
    pub fn cut(&self, size: usize) -> Self {
        Self::new(self.indices().into_iter().take(size).collect(), self.index)
    }

    /// Studies of this process's part over those of the batch.
    pub fn share(&self) -> f64 {
        self.places().count() as f64 / self.whole.len() as f64
    }
}

impl Samples {
    /// The batches of epoch `epoch` in their shuffled order: the same for the same seed.
    pub fn epoch(&self, epoch: usize, ordering: &Ordering) -> Vec<Plan> {
        let Ordering { seed, batch_size, window, balance, .. } = *ordering;
        let mut rng = Stream::Shuffle.rng(seed, &[epoch as u64]);
        let mut order = if balance > 0.0 { self.balanced(balance, rng.random()) } else { self.every_one() };
        order.shuffle(&mut rng);
        let mut sorted = order.clone();
        for chunk in sorted.chunks_mut(window * batch_size) {
            chunk.sort_by_key(|&index| self.samples[index].tokens.len());
        }
        let [by_chance, by_length] = [&order, &sorted].map(|order| self.positions(order, batch_size) as f64);
        if window <= 1 || by_length > by_chance * (1.0 - WORTH_SORTING) {
            return plans(&order, batch_size, ordering.ranks);
        }
        // Short and long batches take turns by chance, not in a wave through each window.
        let mut plans = plans(&sorted, batch_size, ordering.ranks);
        plans.shuffle(&mut rng);
        for (index, plan) in plans.iter_mut().enumerate() {
            plan.index = index;
        }
        plans
    }

    /// Text positions of all batches in that order, padding included.
    fn positions(&self, order: &[usize], batch_size: usize) -> usize {
        let longest = |batch: &[usize]| batch.iter().map(|&index| self.samples[index].tokens.len()).max().unwrap_or(0);
        order.chunks(batch_size).map(|batch| batch.len() * longest(batch)).sum()
    }

    fn every_one(&self) -> Vec<usize> {
        (0..self.samples.len()).collect()
    }

    /// As many samples as there are, drawn by weight: one whose report occurs n times has n^-balance. Systematic
    /// sampling, so that each comes as often as its weight says, rounded down or up; `start` in 0..1 places its comb.
    fn balanced(&self, balance: f64, start: f64) -> Vec<usize> {
        let mut copies: HashMap<&[u32], u32> = HashMap::new();
        for sample in &self.samples {
            *copies.entry(&sample.tokens).or_default() += 1;
        }
        let weight = |sample: &Sample| f64::from(copies[sample.tokens.as_slice()]).powf(-balance);
        let step = self.samples.iter().map(weight).sum::<f64>() / self.samples.len() as f64;
        let (mut order, mut reached) = (Vec::with_capacity(self.samples.len()), 0.0);
        for (index, sample) in self.samples.iter().enumerate() {
            reached += weight(sample) / step;
            while (order.len() as f64) + start < reached && order.len() < self.samples.len() {
                order.push(index);
            }
        }
        // The last tooth of the comb may fall behind the end by rounding.
        order.resize(self.samples.len(), self.samples.len() - 1);
        order
    }

    /// The batches in order of the data set, for validation.
    pub fn in_order(&self, batch_size: usize) -> Vec<Plan> {
        plans(&self.every_one(), batch_size, 1)
    }

    /// H, W, C of every image.
    fn image_shape(&self) -> [usize; 3] {
        let preprocessing = self.images.preprocessing();
        [preprocessing.height as usize, preprocessing.width as usize, usize::from(preprocessing.channels)]
    }

    /// Batches of an epoch.
    pub fn batches_per_epoch(&self, ordering: &Ordering) -> usize {
        plans(&self.every_one(), ordering.batch_size, ordering.ranks).len()
    }

    /// Targets of the whole batch, over all processes.
    pub fn targets(&self, plan: &Plan) -> usize {
        plan.whole.iter().map(|&index| self.samples[index].tokens.len().saturating_sub(1)).sum()
    }

    /// Assembles a batch on the CPU. `augment`: seed and epoch where images are to be augmented.
    pub fn assemble(&self, plan: &Plan, augment: Option<(u64, usize)>) -> Result<Batch, LostImage> {
        let places: Vec<(usize, usize)> = plan.places().collect();
        let chosen: Vec<&Sample> = places.iter().map(|&(_, index)| &self.samples[index]).collect();
        let shape = self.image_shape();
        let mut pixels = Vec::with_capacity(chosen.len() * shape.iter().product::<usize>());
        for (sample, &(place, index)) in chosen.iter().zip(&places) {
            let image = self.images.get(sample.image)?;
            match augment {
                None => pixels.extend_from_slice(image),
                Some((seed, epoch)) => {
                    // By its place in the epoch as well: with BALANCE_TEXTS a study may come several times.
                    let key = [epoch, index, plan.index, place].map(|number| number as u64);
                    let mut rng = Stream::Augment.rng(seed, &key);
                    pixels.extend(augmented(image, shape, &mut rng));
                }
            }
        }
        let [height, width, channels] = shape.map(|size| size as i64);
        let images = Tensor::from_slice(&pixels).view([chosen.len() as i64, height, width, channels]);
        let (inputs, places, targets) = token_tensors(chosen.iter().map(|sample| sample.tokens.as_slice()));
        Ok(Batch { images, inputs, places, targets })
    }

    /// Assembles batches on `workers` threads of their own, ahead of the reader, and hands each with its plan to `consume`
    /// in the plans' order; it ends the run early by returning `false`.
    pub fn stream<E: From<LostImage>>(
        &self,
        plans: &[Plan],
        augment: Option<(u64, usize)>,
        (device, workers): (Device, usize),
        mut consume: impl FnMut(&Plan, Batch) -> Result<bool, E>,
    ) -> Result<(), E> {
        std::thread::scope(|scope| {
            let workers = workers.clamp(1, plans.len().max(1));
            // Every worker has its turn, so that the order is the plans' whichever is the fastest.
            let assembled: Vec<Receiver<_>> = (0..workers)
                .map(|turn| {
                    let (sender, assembled) = sync_channel(BATCHES_AHEAD.div_ceil(workers));
                    scope.spawn(move || {
                        for plan in plans.iter().skip(turn).step_by(workers) {
                            let batch = self.assemble(plan, augment);
                            // Copied by the worker, so that the device need not wait for this program's threads.
                            let batch = if device.is_cuda() { batch.map(|batch| batch.pinned()) } else { batch };
                            // The reader is gone when the run ends early.
                            if sender.send(batch).is_err() {
                                break;
                            }
                        }
                    });
                    assembled
                })
                .collect();
            for (plan, turn) in plans.iter().zip(assembled.iter().cycle()) {
                let Ok(batch) = turn.recv() else { break };
                if !consume(plan, batch?.to_device(device))? {
                    break;
                }
            }
            // Dropped before the scope waits for the workers, which frees them.
            drop(assembled);
            Ok(())
        })
    }
}

/// Cuts an order into batches. A lone last sample joins the batch before it: batch normalisation needs company. So do
/// last samples that are fewer than the processes.
fn plans(order: &[usize], batch_size: usize, ranks: usize) -> Vec<Plan> {
    let chunks = order.chunks(batch_size).enumerate();
    let mut plans: Vec<Plan> = chunks.map(|(index, indices)| Plan::new(indices.to_vec(), index)).collect();
    let least = ranks.max(2);
    if batch_size > 1 && plans.len() > 1 && plans.last().is_some_and(|plan| plan.whole.len() < least) {
        let alone = plans.pop().expect("there are at least two");
        plans.last_mut().expect("there is one left").whole.extend(alone.whole);
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
    /// The batch on a device. Out of pinned memory CUDA copies it while the program goes on.
    #[must_use]
    pub fn to_device(&self, device: Device) -> Self {
        self.each(|tensor| tensor.to_device_(device, tensor.kind(), device.is_cuda(), false))
    }

    /// The batch in pinned memory.
    fn pinned(&self) -> Self {
        self.each(pinned)
    }

    fn each(&self, made: impl Fn(&Tensor) -> Tensor) -> Self {
        let [images, inputs, places, targets] = [&self.images, &self.inputs, &self.places, &self.targets].map(made);
        Self { images, inputs, places, targets }
    }
}

#[cfg(test)]
mod tests {
    use xreport_models::image::Preprocessing;

    use super::*;

    const ORDERING: Ordering = Ordering { seed: 1, batch_size: 4, ranks: 1, window: 1, balance: 0.0 };

    fn samples(count: usize) -> Samples {
        let sample = |i: usize| Sample { id: i.to_string(), image: i, tokens: vec![2, 5, 3] };
        let images = ImageStore::of_pixels(Preprocessing::grey(2, 2), vec![7; 4 * count]);
        Samples { samples: (0..count).map(sample).collect(), images: Arc::new(images) }
    }

    #[test]
    fn an_epoch_holds_every_sample_once_in_an_order_of_its_own() {
        let samples = samples(10);
        let order = |epoch| samples.epoch(epoch, &ORDERING).into_iter().flat_map(|p| p.whole).collect::<Vec<_>>();
        let mut sorted = order(0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_eq!(order(0), order(0));
        assert_ne!(order(0), order(1));
    }

    #[test]
    fn a_window_brings_reports_of_like_length_together_and_loses_nobody() {
        let mut samples = samples(64);
        for (index, sample) in samples.samples.iter_mut().enumerate() {
            sample.tokens = vec![5; 3 + (index * 7) % 23];
        }
        let padded = |window| -> usize {
            let plans = samples.epoch(0, &Ordering { window, ..ORDERING });
            assert!(plans.iter().enumerate().all(|(index, plan)| plan.index == index));
            let mut all: Vec<usize> = plans.iter().flat_map(|plan| plan.whole.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..64).collect::<Vec<_>>());
            let longest = |plan: &Plan| plan.whole.iter().map(|&i| samples.samples[i].tokens.len()).max();
            plans.iter().map(|plan| 4 * longest(plan).unwrap_or(0)).sum()
        };
        assert!(padded(8) * 10 < padded(1) * 8, "{} {}", padded(8), padded(1));
    }

    #[test]
    fn lengths_that_hardly_differ_leave_the_order_to_chance() {
        let mut samples = samples(64);
        let mut made_from_labels = |lengths: [usize; 2]| {
            for (index, sample) in samples.samples.iter_mut().enumerate() {
                sample.tokens = vec![5; lengths[index % 2]];
            }
            let [mixed, window] = [1, 8].map(|window| samples.epoch(0, &Ordering { window, ..ORDERING }));
            mixed == window
        };
        assert!(made_from_labels([15, 17]), "two labels, told apart by the length of their texts, stay mixed");
        assert!(!made_from_labels([15, 40]));
    }

    #[test]
    fn balance_draws_shared_reports_less_often() {
        let mut samples = samples(100);
        samples.samples[90..].iter_mut().for_each(|sample| sample.tokens = vec![2, 9, 3]);
        let rare = |epoch, balance| {
            let plans = samples.epoch(epoch, &Ordering { balance, ..ORDERING });
            let all: Vec<usize> = plans.into_iter().flat_map(|plan| plan.whole).collect();
            assert_eq!(all.len(), 100);
            all.iter().filter(|&&index| index >= 90).count()
        };
        assert_eq!((rare(0, 0.0), rare(0, 1.0), rare(1, 1.0)), (10, 50, 50));
        // Weights 90^-½ and 10^-½: the rare report's share is √10 / (√10 + √90) = ¼.
        assert_eq!(rare(0, 0.5), 25);
    }

    #[test]
    fn nobody_is_left_alone() {
        let sizes = |count, size| samples(count).in_order(size).iter().map(|p| p.whole.len()).collect::<Vec<_>>();
        assert_eq!(sizes(9, 4), [4, 5]);
        assert_eq!(sizes(10, 4), [4, 4, 2]);
        assert_eq!(sizes(1, 4), [1]);
        assert_eq!(sizes(3, 1), [1, 1, 1]);
    }

    #[test]
    fn processes_share_every_batch_and_see_what_one_would() {
        let mut samples = samples(23);
        for (index, sample) in samples.samples.iter_mut().enumerate() {
            sample.tokens = vec![5; 3 + index % 7];
        }
        let alone = samples.epoch(3, &Ordering { batch_size: 12, ..ORDERING });
        let together = samples.epoch(3, &Ordering { batch_size: 12, ranks: 3, ..ORDERING });
        assert_eq!(alone, together, "the batches are those of one process with a batch three times as large");
        for plan in &together {
            let parts: Vec<Plan> = (0..3).map(|rank| plan.part(rank, 3)).collect();
            let mut all: Vec<(usize, usize)> = parts.iter().flat_map(Plan::places).collect();
            all.sort_unstable();
            assert_eq!(all, plan.places().collect::<Vec<_>>(), "each study once, at its place of the whole batch");
            assert!((parts.iter().map(Plan::share).sum::<f64>() - 1.0).abs() < 1e-12);
            let tokens = plan.whole.iter().map(|&index| samples.samples[index].tokens.len() - 1).sum::<usize>();
            assert!(parts.iter().all(|part| samples.targets(part) == tokens), "targets are those of all");
        }
        // Of 26 studies two are left over for three processes: they go with the batch before.
        let sizes: Vec<usize> =
            plans(&(0..26).collect::<Vec<_>>(), 12, 3).iter().map(|plan| plan.whole.len()).collect();
        assert_eq!(sizes, [12, 14]);
        assert_eq!(together[0].part(1, 3).cut(2).places().count(), 2);
    }

    #[test]
    fn targets_are_the_tokens_that_follow() {
        let (inputs, places, targets) = token_tensors([&[2u32, 8, 9, 3][..], &[2, 7, 3]].into_iter());
        assert_eq!(Vec::<Vec<i64>>::try_from(&inputs).expect("two axes"), [[2, 8, 9], [2, 7, 0]]);
        assert_eq!(Vec::<i64>::try_from(&places).expect("one axis"), [0, 1, 2, 3, 4]);
        assert_eq!(Vec::<i64>::try_from(&targets).expect("one axis"), [8, 9, 3, 7, 3]);
    }

    #[test]
    fn batches_come_in_their_order_and_a_reader_may_stop_early() {
        let samples = samples(40);
        let plans = samples.in_order(2);
        for workers in [1, 2, 3, 50] {
            for most in [3, 20] {
                let mut seen = Vec::new();
                samples
                    .stream::<LostImage>(&plans, None, (Device::Cpu, workers), |plan, _| {
                        seen.push(plan.index);
                        Ok(seen.len() < most)
                    })
                    .expect("no image is lost");
                assert_eq!(seen, (0..most).collect::<Vec<_>>(), "{workers} workers");
            }
        }
    }
}
