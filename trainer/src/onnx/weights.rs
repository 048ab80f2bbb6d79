//! The file in which all graphs of a bundle keep their weights.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// Start of each tensor is a multiple of this many bytes: a cache line, so that a reader may use the bytes in place.
const ALIGNMENT: usize = 64;

/// Weights outside the ONNX files, so that the CPU and the CUDA form of a decoder share them: equal bytes are stored
/// once.
#[derive(Debug)]
pub struct WeightFile {
    name: String,
    bytes: Vec<u8>,
    places: HashMap<[u8; 32], usize>,
}

impl WeightFile {
    /// An empty file of that name inside the bundle.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), bytes: Vec::new(), places: HashMap::new() }
    }

    /// Its name inside the bundle.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stores `data` unless it is there already; the offset at which it lies.
    pub fn store(&mut self, data: &[u8]) -> usize {
        let hash: [u8; 32] = Sha256::digest(data).into();
        if let Some(&offset) = self.places.get(&hash) {
            return offset;
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(data);
        self.places.insert(hash, offset);
        offset
    }

    /// The file's content.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_are_stored_once_and_aligned() {
        let mut file = WeightFile::new("w");
        let first = file.store(&[1; 100]);
        let second = file.store(&[2; 100]);
        assert_eq!((first, second % ALIGNMENT), (0, 0));
        assert_eq!(file.store(&[1; 100]), first);
        assert_eq!(file.into_bytes().len(), 128 + 100);
    }
}
