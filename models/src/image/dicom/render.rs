//! From stored values to grey: modality LUT, VOI LUT or window, inversion; in this order (PS3.4, N.2; PS3.3, C.11).
//!
//! A stored value has at most 16 bits, so the whole way is worked out once for each value that there can be, in double
//! precision, and the picture is one look-up. The result is 16 bits wide, so that nothing is lost before the resize.

use super::super::gate::Concern;
use super::attributes::{Attributes, Photometric, Window, WindowFunction};
use super::lut::Lut;

/// Share of the pixels below the window that a file without one gets, in thousandths; as much above.
const PERCENTILE: u64 = 5;

/// Renders grey stored values in place: `stored` holds `bits_stored` low bits each, unsigned or two's complement. Returns
/// what had to be mended for that.
///
/// Afterwards they are 0 (black) to 65535 (white).
pub(super) fn render(stored: &mut [u16], attributes: &Attributes) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let values = stored_values(attributes);
    let padded: Vec<bool> = values.iter().map(|&value| is_padding(value, attributes)).collect();
    let modality = modality_values(&values, attributes);
    if attributes.slope == 0.0 && attributes.modality_lut.is_none() {
        concerns.push(Concern::SlopeZero);
    }
    let window = attributes.window.filter(|window| window.is_usable());
    if attributes.window.is_some() && window.is_none() && attributes.voi_lut.is_none() {
        concerns.push(Concern::WindowWidthZero);
    }
    let stored_inputs = values.iter().map(|&value| f64::from(value));
    concerns.extend(attributes.modality_lut.as_ref().and_then(|lut| shortage(lut, stored_inputs, &padded, stored)));
    concerns
        .extend(attributes.voi_lut.as_ref().and_then(|lut| shortage(lut, modality.iter().copied(), &padded, stored)));
    let mut grey: Vec<f64> = match (&attributes.voi_lut, window) {
        (Some(lut), _) => {
            let white = f64::from((1u32 << lut.bits) - 1);
            modality.iter().map(|&value| lut.look_up(value) / white).collect()
        }
        (None, Some(window)) => modality.iter().map(|&value| window.apply(value)).collect(),
        (None, None) => {
            let (low, high) = percentiles(stored, &modality, &padded);
            modality.iter().map(|&value| stretch(value, low, high)).collect()
        }
    };
    if inverts(attributes) {
        for value in &mut grey {
            *value = 1.0 - *value;
        }
    }
    let table: Vec<u16> = grey
        .iter()
        .zip(&padded)
        .map(|(&grey, &padded)| if padded { 0 } else { (grey * f64::from(u16::MAX)).round() as u16 })
        .collect();
    for sample in stored {
        *sample = table[usize::from(*sample)];
    }
    concerns
}

/// A table that holds fewer entries than it promises, and how much of the picture asks for the others. `inputs` are what is
/// looked up for each pattern of bits.
fn shortage(lut: &Lut, inputs: impl Iterator<Item = f64>, padded: &[bool], stored: &[u16]) -> Option<Concern> {
    let said = lut.promised?;
    let missing: Vec<bool> = inputs.zip(padded).map(|(input, &padded)| !padded && lut.misses(input)).collect();
    let pixels = stored.iter().filter(|&&sample| missing[usize::from(sample)]).count();
    let percent = (100 * pixels).div_ceil(stored.len().max(1)) as u8;
    Some(Concern::LutShort { said, found: lut.entries.len(), percent })
}

/// MONOCHROME1 shows its smallest value white (PS3.3, C.7.6.3.1.2). Presentation LUT Shape INVERSE says the same of it
/// (C.11.6); with MONOCHROME2, which should not be, it is taken at its word.
pub(super) fn inverts(attributes: &Attributes) -> bool {
    attributes.photometric == Photometric::Monochrome1 || attributes.inverse
}

/// What each pattern of `bits_stored` bits stands for.
pub(super) fn stored_values(attributes: &Attributes) -> Vec<i32> {
    let patterns = 1i32 << attributes.bits_stored;
    (0..patterns)
        .map(|pattern| if attributes.signed && pattern >= patterns / 2 { pattern - patterns } else { pattern })
        .collect()
}

pub(super) fn is_padding(value: i32, attributes: &Attributes) -> bool {
    attributes.padding.is_some_and(|(from, to)| (from..=to).contains(&value))
}

/// PS3.3, C.11.1: a table, or slope and intercept.
pub(super) fn modality_values(values: &[i32], attributes: &Attributes) -> Vec<f64> {
    if let Some(lut) = &attributes.modality_lut {
        return values.iter().map(|&value| lut.look_up(f64::from(value))).collect();
    }
    let slope = attributes.slope_or_one();
    values.iter().map(|&value| f64::from(value) * slope + attributes.intercept).collect()
}

impl Window {
    /// PS3.3, C.11.2.1.2.1: at least 1 for LINEAR; above 0 for the others (C.11.2.1.3).
    pub(super) fn is_usable(self) -> bool {
        match self.function {
            WindowFunction::Linear => self.width >= 1.0,
            WindowFunction::LinearExact | WindowFunction::Sigmoid => self.width > 0.0,
        }
    }

    /// 0 to 1.
    fn apply(self, value: f64) -> f64 {
        let (center, width) = (self.center, self.width);
        match self.function {
            // C.11.2.1.2.1
            WindowFunction::Linear => {
                let (center, width) = (center - 0.5, width - 1.0);
                if value <= center - width / 2.0 {
                    0.0
                } else if value > center + width / 2.0 {
                    1.0
                } else {
                    (value - center) / width + 0.5
                }
            }
            // C.11.2.1.3.2
            WindowFunction::LinearExact => ((value - center) / width + 0.5).clamp(0.0, 1.0),
            // C.11.2.1.3.1
            WindowFunction::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
        }
    }
}

/// The modality values between which all pixels but [`PERCENTILE`] thousandths at each end lie, by nearest rank. Padding
/// does not count. Where both are one, the smallest and the largest value.
pub(super) fn percentiles(stored: &[u16], modality: &[f64], padded: &[bool]) -> (f64, f64) {
    let mut counts = vec![0u64; modality.len()];
    for &sample in stored {
        counts[usize::from(sample)] += 1;
    }
    let mut seen: Vec<(f64, u64)> =
        (0..modality.len()).filter(|&at| counts[at] > 0 && !padded[at]).map(|at| (modality[at], counts[at])).collect();
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: u64 = seen.iter().map(|(_, count)| count).sum();
    let at_rank = |rank: u64| {
        let mut below = 0;
        seen.iter().find(|(_, count)| {
            below += count;
            below >= rank
        })
    };
    let rank = |thousandths: u64| (total * thousandths).div_ceil(1000).max(1);
    let (Some(low), Some(high)) = (at_rank(rank(PERCENTILE)), at_rank(rank(1000 - PERCENTILE))) else {
        return (0.0, 0.0);
    };
    if low.0 < high.0 { (low.0, high.0) } else { (seen[0].0, seen[seen.len() - 1].0) }
}

fn stretch(value: f64, low: f64, high: f64) -> f64 {
    if low < high { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 }
}
