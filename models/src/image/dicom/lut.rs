//! Look-up tables: the Modality LUT (PS3.3, C.11.1) and the VOI LUT (C.11.2), read as they are meant.
//!
//! A table's descriptor and its data contradict each other in many archives. What is certain is taken: the entries that
//! are there. Where the descriptor promises something else, the picture is told to have been mended.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::RangeInclusive;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::super::gate::Concern;
use super::elements::{Element, Elements};

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Modality,
    Voi,
}

impl Kind {
    fn sequence(self) -> Tag {
        match self {
            Self::Modality => tags::MODALITY_LUT_SEQUENCE,
            Self::Voi => tags::VOILUT_SEQUENCE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Modality => "Modality LUT",
            Self::Voi => "VOI LUT",
        }
    }
}

/// A look-up table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lut {
    /// The input value that the first entry stands for; smaller ones take it too.
    pub first: i32,
    /// Bits that an entry needs, 1 to 16: the largest value of an output is 2^bits − 1.
    pub bits: u32,
    /// The entries that are there, at least one; values beyond them take the last.
    pub entries: Vec<u16>,
    /// How many its descriptor says, where these are more.
    pub promised: Option<usize>,
}

/// Reads the first table of a kind, where the file has one that can be read. `inputs` are the values that may be looked up.
pub(super) fn read(
    kind: Kind,
    elements: &Elements,
    inputs: &RangeInclusive<f64>,
    concerns: &mut Vec<Concern>,
) -> Option<Lut> {
    let item = elements.items(kind.sequence()).first()?;
    let Some(descriptor) = Descriptor::read(item) else {
        concerns.push(Concern::Unreadable(kind.name().to_owned()));
        return None;
    };
    let entries = item.get(tags::LUT_DATA).map(|data| entries(data, &descriptor)).unwrap_or_default();
    let Some(&largest) = entries.iter().max() else {
        concerns.push(Concern::Unreadable(kind.name().to_owned()));
        return None;
    };
    let held = u32::from(largest).checked_ilog2().map_or(1, |log| log.saturating_add(1));
    let bits = match kind {
        // Its output has no white: what the largest entry may be counts for nothing but room.
        Kind::Modality => descriptor.bits.clamp(held, 16),
        Kind::Voi => held,
    };
    if kind == Kind::Voi && bits != descriptor.bits {
        concerns.push(Concern::LutDepth { said: descriptor.bits, found: bits });
    }
    let first = descriptor.first(inputs, entries.len());
    if first.doubtful {
        concerns.push(Concern::LutSign);
    }
    let promised = (entries.len() < descriptor.count).then_some(descriptor.count);
    Some(Lut { first: first.value, bits, entries, promised })
}

/// PS3.3, C.11.1.1 and C.11.2.1.1.
struct Descriptor {
    count: usize,
    first: u16,
    /// Whether the file says that the first value has no sign.
    unsigned: bool,
    bits: u32,
}

/// The first input value.
struct First {
    value: i32,
    /// Whether the sign is not the one that the file or the standard gives it.
    doubtful: bool,
}

impl Descriptor {
    fn read(item: &Elements) -> Option<Self> {
        let element = item.get(tags::LUT_DESCRIPTOR)?;
        let mut words = element.words();
        let (count, first, bits) = (words.next()?, words.next()?, words.next()?);
        // 65,536 does not fit into the number and is written 0.
        let count = if count == 0 { 65_536 } else { usize::from(count) };
        Some(Self { count, first, unsigned: element.vr == *b"US", bits: bits.into() })
    }

    /// C.11.2.1.1: the value has a sign only where those that are looked up may be negative; which the file says only in
    /// explicit encodings. Where so no value at all would meet the table, the other reading is what was meant.
    fn first(&self, inputs: &RangeInclusive<f64>, entries: usize) -> First {
        let (unsigned, signed) = (i32::from(self.first), i32::from(self.first.cast_signed()));
        let (said, other) =
            if self.unsigned || *inputs.start() >= 0.0 { (unsigned, signed) } else { (signed, unsigned) };
        let meets = |first: i32| {
            let last = f64::from(first) + entries as f64 - 1.0;
            f64::from(first) <= *inputs.end() && last >= *inputs.start()
        };
        let doubtful = !meets(said) && meets(other);
        First { value: if doubtful { other } else { said }, doubtful }
    }

    fn largest(&self) -> u16 {
        u16::MAX.checked_shr(16u32.saturating_sub(self.bits)).unwrap_or(u16::MAX)
    }
}

/// The entries that are there, no more than promised. They are words; bytes where entries of at most 8 bits fill the data
/// exactly, or where words would be beyond them.
fn entries(data: &Element, descriptor: &Descriptor) -> Vec<u16> {
    let Descriptor { count, bits, .. } = *descriptor;
    let length = data.bytes().len();
    let words: Vec<u16> = data.words().collect();
    let fills = length == count || length == count.saturating_add(count % 2);
    let beyond = words.len() < count && words.iter().any(|&word| word > descriptor.largest());
    let mut entries = if bits <= 8 && (fills || beyond) {
        // Two entries lie in each word, the first in its low byte; only OB is written byte by byte.
        let bytes: Vec<u16> = match &data.vr {
            b"OB" | b"UN" => data.bytes().iter().map(|&byte| byte.into()).collect(),
            _ => words.into_iter().flat_map(u16::to_le_bytes).map(u16::from).collect(),
        };
        bytes
    } else {
        words
    };
    entries.truncate(count);
    entries
}

impl Lut {
    /// The entry of an input value; those outside take the first or last (C.11.1.1.1).
    pub fn look_up(&self, value: f64) -> f64 {
        // Inputs are whole numbers but after a slope that is none.
        let index = (value - f64::from(self.first)).floor().max(0.0) as usize;
        f64::from(self.entries.get(index).or(self.entries.last()).copied().unwrap_or_default())
    }

    /// Whether a value asks for an entry that its descriptor promises and that is not there.
    pub fn misses(&self, value: f64) -> bool {
        let index = (value - f64::from(self.first)).floor();
        self.promised.is_some() && index >= self.entries.len() as f64
    }
}
