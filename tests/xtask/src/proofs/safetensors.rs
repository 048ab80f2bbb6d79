//! As much of a `.safetensors` checkpoint as a proof has to see: its tensors' bytes and where the run stood.
//!
//! The file: length of the header (u64, little endian), the header as JSON, the tensors' bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A checkpoint file.
#[derive(Debug, PartialEq)]
pub struct Checkpoint {
    /// Names, types, shapes and places of the tensors, without the file's metadata.
    tensors: Value,
    /// All tensors.
    data: Vec<u8>,
    /// Optimizer steps that the run has made.
    pub step: u64,
}

impl Checkpoint {
    /// Reads a file and checks that it is whole: the tensors fill it without a gap.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("`{}` is no whole checkpoint", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>().context("8 bytes at least expected")?;
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        ensure!(length <= rest.len(), "a header of {length} bytes expected, found {}", rest.len());
        let (header, data) = rest.split_at(length);
        let mut tensors: Value = serde_json::from_slice(header).context("the header")?;
        let metadata = tensors.as_object_mut().and_then(|map| map.remove("__metadata__")).unwrap_or_default();
        let state: Value = serde_json::from_str(metadata["xreport.state"].as_str().context("no state of the run")?)?;
        let entries = tensors.as_object().context("the header names no tensors")?.values();
        let end = entries.filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max().unwrap_or(0);
        ensure!(end == data.len() as u64, "{end} bytes of tensors expected, found {}", data.len());
        let step = state["step"].as_u64().context("the state has no step")?;
        Ok(Self { tensors, data: data.to_vec(), step })
    }

    /// Whether every tensor (weights, running statistics, optimizer) has the same name, shape and bytes.
    pub fn same_tensors(&self, other: &Self) -> bool {
        self.tensors == other.tensors && self.data == other.data
    }

    /// The largest difference between floats of the same place, among those that `counts`: asked for a tensor's name, the
    /// place in it and how many it holds.
    pub fn largest_difference(&self, other: &Self, counts: impl Fn(&str, usize, usize) -> bool) -> Result<f32> {
        ensure!(self.tensors == other.tensors, "the checkpoints hold other tensors");
        let mut largest = 0f32;
        for (name, tensor) in self.tensors.as_object().into_iter().flatten() {
            let place = |at: usize| tensor["data_offsets"][at].as_u64().map(|offset| offset as usize);
            let place = place(0).zip(place(1)).context("a tensor without a place")?;
            let [one, two] = [self, other].map(|file| file.data.get(place.0..place.1).unwrap_or_default());
            let [one, two] = [one, two].map(|bytes| bytes.as_chunks::<4>().0);
            for (at, (a, b)) in one.iter().zip(two).enumerate() {
                if counts(name, at, one.len()) {
                    largest = largest.max((f32::from_le_bytes(*a) - f32::from_le_bytes(*b)).abs());
                }
            }
        }
        Ok(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(step: u64, weight: u8) -> Vec<u8> {
        let header = format!(
            r#"{{"__metadata__":{{"xreport.state":"{{\"step\":{step},\"seconds\":{step}.5}}"}},
            "w":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#
        );
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([weight, 2, 3, 4]);
        bytes
    }

    #[test]
    fn tensors_are_compared_and_the_clock_is_not() {
        let [first, later, other] =
            [file(3, 1), file(4, 1), file(3, 9)].map(|bytes| Checkpoint::parse(&bytes).expect("whole"));
        assert_eq!(first.step, 3);
        assert!(first.same_tensors(&later));
        assert!(!first.same_tensors(&other));
    }

    #[test]
    fn differences_are_those_of_the_named_tensors() {
        let [one, two] = [file(3, 1), file(3, 9)].map(|bytes| Checkpoint::parse(&bytes).expect("whole"));
        let [a, b] = [[1, 2, 3, 4], [9, 2, 3, 4]].map(f32::from_le_bytes);
        let found = one.largest_difference(&two, |_, _, _| true).expect("the same tensors");
        assert!((found - (a - b).abs()).abs() < f32::EPSILON && found > 0.0);
        assert!(one.largest_difference(&two, |name, _, _| name != "w").expect("the same tensors").abs() < f32::EPSILON);
    }

    #[test]
    fn a_cut_file_is_not_whole() {
        let whole = file(3, 1);
        for length in [0, 7, 20, whole.len() - 1] {
            assert!(Checkpoint::parse(&whole[..length]).is_err(), "{length}");
        }
    }
}
