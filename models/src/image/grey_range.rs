//! Whether a picture uses the grey values that there are.
//!
//! A radiograph of 10 or 12 bits that lies in a file of 16 is whole, and nearly black. A network drafts from it all the
//! same, and drafts something else. So the rendered picture is judged, whatever its format, by two absolute bounds.

use super::Raster;
use super::resize::narrow;

/// Fewest grey levels of 256 between the percentiles. See `models/README.md` for what real radiographs have.
pub const LEAST_LEVELS: u16 = 32;
/// Smallest share of the range from black to white between the percentiles, in percent.
pub const LEAST_PERCENT: u8 = 30;
/// Share of the pixels below the darker percentile, in thousandths; as much above the brighter.
const TAIL: usize = 5;
/// Pixels that are looked at: a grid over the picture, so that a large one takes no longer than a small one.
const LOOKED_AT: usize = 1 << 16;

/// What a picture uses of the grey values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GreyRange {
    /// Grey levels of 256 between the 0.5th and the 99.5th percentile.
    pub levels: u16,
    /// Share of the range from black to white between the same percentiles, in percent.
    pub percent: u8,
}

impl GreyRange {
    /// Of a decoded picture; of colour, its first channel.
    pub fn of(raster: &Raster) -> Self {
        let mut counts = [0usize; 256];
        let step = (raster.samples().len() / usize::from(raster.channels())).div_ceil(LOOKED_AT).isqrt().max(1);
        let (width, channels) = (raster.width() as usize, usize::from(raster.channels()));
        for row in raster.samples().chunks_exact(width * channels).step_by(step) {
            for sample in row.iter().step_by(step * channels) {
                counts[usize::from(narrow(*sample))] += 1;
            }
        }
        let tail = counts.iter().sum::<usize>() * TAIL / 1000;
        let (low, high) = (percentile(counts.iter(), tail), 255 - percentile(counts.iter().rev(), tail));
        let levels = counts.get(low..=high).unwrap_or_default().iter().filter(|&&count| count > 0).count() as u16;
        Self { levels, percent: (high.saturating_sub(low) * 100 / 255) as u8 }
    }

    /// Whether it is as little as no radiograph has that was stored as its file says.
    pub fn is_too_small(self) -> bool {
        self.levels < LEAST_LEVELS || self.percent < LEAST_PERCENT
    }
}

/// The first level that more than `tail` pixels reach.
fn percentile<'a>(counts: impl Iterator<Item = &'a usize>, tail: usize) -> usize {
    let mut before = 0;
    let reached = |count: &usize| {
        before += count;
        before > tail
    };
    counts.into_iter().position(reached).unwrap_or(0)
}
