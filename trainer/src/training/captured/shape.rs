//! The few shapes to which batches are brought.

use crate::network::Batch;

/// Positions come in multiples of this.
const POSITIONS: i64 = 16;
/// Targets come in so many parts of all positions.
const PARTS: i64 = 4;

/// A batch's fixed shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Images B.
    pub images: i64,
    /// Text positions T.
    pub positions: i64,
    /// Targets N, of at most B·T.
    pub targets: i64,
}

impl Shape {
    /// The smallest that holds the batch, which has no more than `most` positions.
    pub fn of(batch: &Batch, most: i64) -> Self {
        let size = batch.inputs.size();
        let (images, longest) = (size[0], size[1]);
        let positions = round_up(longest, POSITIONS).min(most.max(longest));
        let part = (images * positions + PARTS - 1) / PARTS;
        let targets = round_up(batch.targets.numel() as i64, part).min(images * positions);
        Self { images, positions, targets }
    }
}

fn round_up(value: i64, step: i64) -> i64 {
    (value.max(1) + step - 1) / step * step
}
