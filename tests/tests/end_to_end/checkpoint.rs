//! Checkpoint files, read by hand: what the format says, not what the trainer's own reader makes of it.
//!
//! `u64 length, little endian · JSON header of that length · data`; the header gives each tensor's place in the data.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// A `.safetensors` file.
pub struct Checkpoint {
    /// The run's state.
    pub state: Value,
    /// Bytes of each tensor.
    tensors: BTreeMap<String, Vec<u8>>,
    shapes: BTreeMap<String, Vec<u64>>,
}

impl Checkpoint {
    /// Reads `path`; `None` where there is no file.
    #[track_caller]
    pub fn find(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        Some(Self::parse(&bytes).unwrap_or_else(|| panic!("`{}` is no whole checkpoint", path.display())))
    }

    /// Reads `path`.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        Self::find(path).unwrap_or_else(|| panic!("`{}` is not there", path.display()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?) as usize;
        let header: Value = serde_json::from_slice(bytes.get(8..8 + length)?).ok()?;
        let data = &bytes[8 + length..];
        let state = serde_json::from_str(header["__metadata__"]["xreport.state"].as_str()?).ok()?;
        let mut read = Self { state, tensors: BTreeMap::new(), shapes: BTreeMap::new() };
        for (name, entry) in header.as_object()?.iter().filter(|(name, _)| *name != "__metadata__") {
            let place = |at: usize| entry["data_offsets"][at].as_u64().map(|offset| offset as usize);
            read.tensors.insert(name.clone(), data.get(place(0)?..place(1)?)?.to_vec());
            let shape = entry["shape"].as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
            read.shapes.insert(name.clone(), shape);
        }
        Some(read)
    }

    /// A tensor's floats.
    #[track_caller]
    pub fn floats(&self, name: &str) -> Vec<f32> {
        let bytes = self.tensors.get(name).unwrap_or_else(|| panic!("no tensor `{name}`"));
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    /// Largest absolute value of a tensor.
    #[track_caller]
    pub fn largest(&self, name: &str) -> f32 {
        self.floats(name).into_iter().fold(0.0, |largest, value| largest.max(value.abs()))
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<u64>> {
        &self.shapes
    }

    /// A number of the state.
    #[track_caller]
    pub fn number(&self, key: &str) -> u64 {
        self.state[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in the state {}", self.state))
    }

    /// Whether every tensor has the same bytes.
    pub fn same_tensors(&self, other: &Self) -> bool {
        self.tensors == other.tensors
    }

    /// Fails where a tensor's bytes or the progress of the run differ; names the tensors.
    #[track_caller]
    pub fn assert_same_run(&self, other: &Self) {
        let names = |checkpoint: &Self| checkpoint.tensors.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other));
        let differ: Vec<&String> =
            self.tensors.iter().filter(|(name, bytes)| other.tensors[*name] != **bytes).map(|(name, _)| name).collect();
        assert!(differ.is_empty(), "{} of {} tensors differ: {differ:?}", differ.len(), self.tensors.len());
        for key in ["step", "epoch", "batch", "running", "best", "latest", "vocabulary", "data_fingerprint"] {
            assert_eq!(self.state[key], other.state[key], "`{key}` of the state");
        }
    }
}
