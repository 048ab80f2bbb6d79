//! Checkpoints: everything a run needs to go on, in one file that appears whole or not at all.
//!
//! ```text
//! checkpoints/NAME/  last.safetensors  best.safetensors  epoch-NNNNNNN.safetensors  bundle/  settings.json  metrics.jsonl  tensorboard/  …
//! ```
//! Each `.safetensors` holds the weights by name, batch normalisation's running statistics, AdamW's moments, and the
//! run's [`State`] as JSON in the file's metadata. Random state is not stored: it is derived from the seed and the step.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use thiserror::Error;
use xreport_models::atomic::{AtomicError, write_file};
use xreport_models::text::Vocabulary;

use super::average::Average;
use super::optimizer::AdamW;
use crate::network::{Network, RunningStatistics, tensor_values};
use crate::settings::{BestBy, Settings};

/// Layout of the checkpoints that this version writes and reads. A run of version 1 cannot go on exactly: its studies came
/// in another order, and its images were prepared otherwise.
const FORMAT_VERSION: u32 = 2;
/// Key of the state in the file's metadata.
const STATE: &str = "xreport.state";
const FIRST_MOMENT: &str = "optimizer.first_moment";
const SECOND_MOMENT: &str = "optimizer.second_moment";
const AVERAGE: &str = "average";

/// The newest state of a run.
pub const LAST: &str = "last.safetensors";
/// The state that validated best.
pub const BEST: &str = "best.safetensors";
/// How the copies of older states begin that KEEP_LAST keeps.
pub const KEPT: &str = "epoch-";

/// Where a run stands, and what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Layout of the file.
    pub format_version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Settings of the run.
    pub settings: Settings,
    /// Token map.
    pub vocabulary: Vocabulary,
    /// Hash of the training data.
    pub data_fingerprint: String,
    /// Folder of the data set.
    pub data: PathBuf,
    /// CSV of the data set, where it was named.
    pub csv: Option<PathBuf>,
    /// What results of this model say of themselves.
    pub notice: String,
    /// Threads of arithmetic: a resumed run is bit-exact at the same number.
    pub threads: usize,
    /// Processes that trained together, each with BATCH_SIZE studies of a batch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
    /// Optimizer steps done.
    pub step: u64,
    /// Epochs finished.
    pub epoch: usize,
    /// Batches of the running epoch that are done.
    pub batch: usize,
    /// Sums over the running epoch.
    pub running: Sums,
    /// The best epoch so far.
    pub best: Option<EpochRecord>,
    /// The epoch that ended last.
    pub latest: Option<EpochRecord>,
    /// Wall-clock seconds of training, validation not counted.
    pub seconds: f64,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(ranks: &usize) -> bool {
    *ranks == 1
}

/// Sums of loss and accuracy over tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Cross-entropy, nats.
    pub loss: f64,
    /// Tokens predicted right.
    pub correct: f64,
    /// Tokens.
    pub tokens: f64,
}

impl Sums {
    /// Mean cross-entropy per token.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.tokens.max(1.0)
    }

    /// Share of tokens predicted right.
    pub fn accuracy(&self) -> f64 {
        self.correct / self.tokens.max(1.0)
    }
}

/// What an epoch came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Steps done at its end.
    pub step: u64,
    /// Mean over its training tokens.
    pub training_loss: f64,
    /// Share of training tokens predicted right.
    pub training_accuracy: f64,
    /// Mean over the validation tokens; none where no study is held out.
    pub validation_loss: Option<f64>,
    /// Share of validation tokens predicted right, likewise.
    pub validation_accuracy: Option<f64>,
}

impl EpochRecord {
    /// Whether this state is better than the earlier one `other`. Where neither was validated, the later state is: a
    /// training loss falls by learning by heart, too, and chooses nothing.
    pub fn beats(&self, other: &Self, by: BestBy) -> bool {
        let (Some(loss), Some(other_loss)) = (self.validation_loss, other.validation_loss) else { return true };
        let accuracy = |state: &Self| state.validation_accuracy.unwrap_or(0.0);
        let more_accurate = match by {
            BestBy::Loss => Ordering::Equal,
            BestBy::Accuracy => accuracy(self).total_cmp(&accuracy(other)),
        };
        more_accurate.then(other_loss.total_cmp(&loss)).is_gt()
    }
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Not there.
    #[error("no checkpoint at `{}`: `{LAST}` is missing\nhint: name a folder that `xreport-train train --out` wrote", .0.display())]
    Missing(PathBuf),
    /// Cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Cannot be used.
    #[error("`{}` is not a checkpoint that this program can use: {problem}\nhint: resume from another checkpoint, or train anew", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// A copy cannot be kept.
    #[error("the checkpoint is saved, but cannot be kept as `{}`: {source}\nhint: check free space and rights, or set training.KEEP_LAST to 0", path.display())]
    Keep {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Weights, statistics and optimizer of a run.
#[derive(Debug)]
pub struct Tensors {
    /// `f32 [parameters]`, a leaf that requires gradients.
    pub flat: Tensor,
    /// Batch normalisation's.
    pub statistics: RunningStatistics,
    /// The optimizer.
    pub optimizer: AdamW,
    /// The averaged network, where EMA_DECAY keeps one.
    pub average: Option<Average>,
}

impl Tensors {
    /// Weights and statistics that are validated and exported: the average's, where there is one.
    pub fn deployed(&self) -> (&Tensor, &RunningStatistics) {
        match &self.average {
            Some(average) => (&average.flat, &average.statistics),
            None => (&self.flat, &self.statistics),
        }
    }
}

/// The bytes of a checkpoint file.
pub fn serialise(state: &State, network: &Network, tensors: &Tensors) -> Vec<u8> {
    let bytes = |tensor: &Tensor| -> Vec<u8> { tensor_values(tensor).iter().flat_map(|v| v.to_le_bytes()).collect() };
    let flat = bytes(&tensors.flat);
    let mut parts: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for spec in network.layout.specs() {
        let place = spec.offset * 4..(spec.offset + spec.len()) * 4;
        parts.push((spec.name.clone(), spec.shape.iter().map(|&n| n as usize).collect(), flat[place].to_vec()));
    }
    for (name, tensor) in tensors.statistics.named() {
        parts.push((name, vec![tensor.numel()], bytes(tensor)));
    }
    for (name, tensor) in [(FIRST_MOMENT, &tensors.optimizer.first), (SECOND_MOMENT, &tensors.optimizer.second)] {
        parts.push((name.to_owned(), vec![tensor.numel()], bytes(tensor)));
    }
    if let Some(average) = &tensors.average {
        parts.push((format!("{AVERAGE}.weights"), vec![average.flat.numel()], bytes(&average.flat)));
        for (name, tensor) in average.statistics.named() {
            parts.push((format!("{AVERAGE}.{name}"), vec![tensor.numel()], bytes(tensor)));
        }
    }
    let views = parts.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).expect("shape and bytes come from one tensor");
        (name.as_str(), view)
    });
    let json = serde_json::to_string(state).expect("a state holds only plain JSON values");
    let metadata = HashMap::from([(STATE.to_owned(), json)]);
    safetensors::serialize(views, Some(metadata)).expect("names are unique and sizes match")
}

/// Writes a checkpoint file, whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    Ok(write_file(path, bytes)?)
}

/// Name of the copy that KEEP_LAST keeps of an epoch's end; copies sort by epoch.
pub fn kept_name(epoch: usize) -> String {
    format!("{KEPT}{epoch:07}.safetensors")
}

/// A checkpoint file in memory.
pub struct Stored {
    /// Where the run stood.
    pub state: State,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Reads the checkpoint file `path`.
pub fn read(path: &Path) -> Result<Stored, CheckpointError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(CheckpointError::Missing(path.parent().unwrap_or(path).to_path_buf()));
        }
        Err(source) => return Err(CheckpointError::Read { path: path.to_path_buf(), source }),
    };
    let fail = |problem: String| CheckpointError::Invalid { path: path.to_path_buf(), problem };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| fail(error.to_string()))?;
    let json =
        metadata.metadata().as_ref().and_then(|map| map.get(STATE)).ok_or_else(|| fail(format!("no `{STATE}`")))?;
    let version = serde_json::from_str::<serde_json::Value>(json).ok().and_then(|v| v["format_version"].as_u64());
    if version != Some(u64::from(FORMAT_VERSION)) {
        let found = version.map_or_else(|| "none".into(), |version| version.to_string());
        return Err(fail(format!("format version {FORMAT_VERSION} expected, found {found}")));
    }
    let state = serde_json::from_str(json).map_err(|error| fail(error.to_string()))?;
    Ok(Stored { state, path: path.to_path_buf(), bytes })
}

impl Stored {
    /// The tensors, on a device, for the network that the state's settings make.
    pub fn tensors(&self, network: &Network, device: Device) -> Result<Tensors, CheckpointError> {
        let fail = |problem: String| CheckpointError::Invalid { path: self.path.clone(), problem };
        let stored = SafeTensors::deserialize(&self.bytes).map_err(|error| fail(error.to_string()))?;
        let values = |name: &str, length: usize| -> Result<Vec<f32>, CheckpointError> {
            let view = stored.tensor(name).map_err(|error| fail(format!("tensor `{name}`: {error}")))?;
            if view.dtype() != Dtype::F32 || view.data().len() != length * 4 {
                return Err(fail(format!("tensor `{name}`: {length} floats expected, found {:?}", view.shape())));
            }
            let floats = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            Ok(floats.collect())
        };
        let total = network.layout.total();
        let mut flat = vec![0f32; total];
        for spec in network.layout.specs() {
            flat[spec.offset..spec.offset + spec.len()].copy_from_slice(&values(&spec.name, spec.len())?);
        }
        let statistics_of = |prefix: &str| -> Result<RunningStatistics, CheckpointError> {
            let mut statistics = network.statistics(device);
            let names: Vec<(String, usize)> = statistics.named().map(|(name, tensor)| (name, tensor.numel())).collect();
            for ((name, length), tensor) in names.iter().zip(statistics.tensors_mut()) {
                tensor.copy_(&Tensor::from_slice(&values(&format!("{prefix}{name}"), *length)?));
            }
            Ok(statistics)
        };
        let statistics = statistics_of("")?;
        let flat = Tensor::from_slice(&flat).to_device(device).set_requires_grad(true);
        let decay = self.state.settings.training.weight_decay;
        let mut optimizer = AdamW::new(&flat, decay, network.layout.decayed());
        optimizer.first.copy_(&Tensor::from_slice(&values(FIRST_MOMENT, total)?).to_kind(Kind::Float));
        optimizer.second.copy_(&Tensor::from_slice(&values(SECOND_MOMENT, total)?).to_kind(Kind::Float));
        let average = match self.state.settings.training.ema_decay {
            0.0 => None,
            decay => {
                let weights = Tensor::from_slice(&values(&format!("{AVERAGE}.weights"), total)?).to_device(device);
                Some(Average::new(&weights, &statistics_of(&format!("{AVERAGE}."))?, decay))
            }
        };
        Ok(Tensors { flat, statistics, optimizer, average })
    }
}

impl State {
    /// Layout version of new checkpoints.
    pub fn format() -> u32 {
        FORMAT_VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_better_by_loss_or_by_accuracy() {
        let state = |validation_loss, validation_accuracy| EpochRecord {
            epoch: 1,
            step: 1,
            training_loss: 1.0,
            training_accuracy: 0.5,
            validation_loss: Some(validation_loss),
            validation_accuracy: Some(validation_accuracy),
        };
        let (sure, right) = (state(0.1, 0.8), state(0.2, 0.9));
        assert!(sure.beats(&right, BestBy::Loss) && !right.beats(&sure, BestBy::Loss));
        assert!(right.beats(&sure, BestBy::Accuracy) && !sure.beats(&right, BestBy::Accuracy));
        assert!(state(0.1, 0.9).beats(&right, BestBy::Accuracy), "of two as accurate, the lower loss");
        assert!(!right.beats(&right, BestBy::Loss) && !right.beats(&right, BestBy::Accuracy));
        let unmeasured = EpochRecord { validation_loss: None, validation_accuracy: None, ..right };
        assert!(unmeasured.beats(&unmeasured, BestBy::Loss), "without validation the later state is the best");
    }
}
