//! Sequential JPEG, Huffman coded, one component of 8 or 12 bits (ITU-T T.81, processes 1, 2 and 4).
//!
//! Two reasons to have it here. Older computed-radiography archives hold 12 bits, which none of the JPEG decoders in Rust
//! reads. And decoders differ by a grey level or two in how they round the transform: this one rounds as the Independent
//! JPEG Group's accurate integer method does, which viewers and pydicom use, so a radiograph has the same grey values here.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::super::decode::Failure;
use super::super::jpeg::{EOI, Segments};

const SOF0: u8 = 0xC0;
const SOF1: u8 = 0xC1;
const DHT: u8 = 0xC4;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;

/// Coefficients in the order of the file (T.81, figure A.6) to places in a block, row by row.
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Decodes to H × W samples, 0 to 255 or 4095.
pub(super) fn decode(jpeg: &[u8]) -> Result<Vec<u16>, Failure> {
    let mut tables = Tables::default();
    let mut frame = None;
    let mut segments = Segments::new(jpeg);
    while let Some((marker, segment)) = segments.next() {
        match marker {
            SOF0 | SOF1 => frame = Some(Frame::read(segment)?),
            0xC2..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => {
                return Err(Failure::Unsupported("JPEG other than sequential with Huffman coding".to_owned()));
            }
            DHT => tables.read_codes(segment)?,
            DQT => tables.read_steps(segment)?,
            DRI => tables.restart = usize::from(word(segment, 0).ok_or_else(|| damaged("a restart interval"))?),
            SOS => {
                let frame = frame.as_ref().ok_or_else(|| damaged("a scan before its frame header"))?;
                return frame.scan(segment, segments.rest(), &tables);
            }
            EOI => break,
            _ => {}
        }
    }
    Err(damaged("no scan"))
}

/// Quantisation steps and Huffman codes, as far as they are defined.
#[derive(Default)]
struct Tables {
    steps: [Option<[u16; 64]>; 4],
    dc: [Option<Codes>; 4],
    ac: [Option<Codes>; 4],
    /// Blocks between two restarts; 0: none.
    restart: usize,
}

impl Tables {
    /// T.81, B.2.4.1; steps stay in the order of the file.
    fn read_steps(&mut self, mut segment: &[u8]) -> Result<(), Failure> {
        let cut = || damaged("its quantisation steps");
        while let [head, rest @ ..] = segment {
            let wide = head >> 4 != 0;
            let (bytes, rest) = rest.split_at_checked(if wide { 128 } else { 64 }).ok_or_else(cut)?;
            let mut steps = [0; 64];
            if wide {
                let words = bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair));
                steps.iter_mut().zip(words).for_each(|(step, word)| *step = word);
            } else {
                steps.iter_mut().zip(bytes).for_each(|(step, &byte)| *step = byte.into());
            }
            *self.steps.get_mut(usize::from(head & 15)).ok_or_else(cut)? = Some(steps);
            segment = rest;
        }
        Ok(())
    }

    /// T.81, B.2.4.2.
    fn read_codes(&mut self, mut segment: &[u8]) -> Result<(), Failure> {
        let cut = || damaged("its Huffman codes");
        while let [head, rest @ ..] = segment {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(cut)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or_else(cut)?;
            let codes = Codes::new(counts, symbols).ok_or_else(cut)?;
            let kind = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *kind.get_mut(usize::from(head & 15)).ok_or_else(cut)? = Some(codes);
            segment = rest;
        }
        Ok(())
    }
}

/// A Huffman code, to be read bit by bit (T.81, F.2.2.3).
struct Codes {
    /// For each length from 1: the first code, how many there are, and where their symbols start.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Codes {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let (mut code, mut start) = (0u32, 0);
        let mut lengths = [(0, 0, 0); 16];
        let mut limit = 1u32;
        for (length, &count) in lengths.iter_mut().zip(counts) {
            *length = (code, u32::from(count), start);
            code = code.saturating_add(count.into());
            start = usize::saturating_add(start, count.into());
            limit = limit.saturating_mul(2);
            // More codes than bits can tell apart.
            if code > limit {
                return None;
            }
            code = code.saturating_mul(2);
        }
        Some(Self { lengths, symbols: symbols.to_vec() })
    }
}

/// T.81, B.2.2.
struct Frame {
    /// 8 or 12.
    bits: u32,
    width: usize,
    height: usize,
    component: u8,
    steps: usize,
}

impl Frame {
    fn read(segment: &[u8]) -> Result<Self, Failure> {
        let &[bits @ (8 | 12), h0, h1, w0, w1, 1, component, _, steps, ..] = segment else {
            return Err(Failure::Unsupported("JPEG other than grey of 8 or 12 bits".to_owned()));
        };
        let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
        if width == 0 || height == 0 {
            return Err(damaged("a frame without pixels"));
        }
        Ok(Self { bits: bits.into(), width: width.into(), height: height.into(), component, steps: steps.into() })
    }

    /// The one scan that holds everything (T.81, B.2.3).
    fn scan(&self, header: &[u8], coded: &[u8], tables: &Tables) -> Result<Vec<u16>, Failure> {
        // A sequential scan always holds the whole spectrum. Some writers say otherwise (0 to 0), and mean that.
        let &[1, component, selectors, ..] = header else {
            return Err(damaged("a scan of several components"));
        };
        let missing = || damaged("a scan whose tables are missing");
        if component != self.component {
            return Err(missing());
        }
        let steps = tables.steps.get(self.steps).and_then(Option::as_ref).ok_or_else(missing)?;
        let dc = tables.dc.get(usize::from(selectors >> 4)).and_then(Option::as_ref).ok_or_else(missing)?;
        let ac = tables.ac.get(usize::from(selectors & 15)).and_then(Option::as_ref).ok_or_else(missing)?;
        let (across, down) = (self.width.div_ceil(8), self.height.div_ceil(8));
        let mut samples = vec![0; self.width.saturating_mul(self.height)];
        let mut bits = Bits::new(coded);
        let mut previous = 0;
        let mut before_restart = tables.restart;
        for row in 0..down {
            for column in 0..across {
                if tables.restart > 0 && before_restart == 0 {
                    bits.restart()?;
                    (previous, before_restart) = (0, tables.restart);
                }
                before_restart = before_restart.saturating_sub(1);
                let coefficients = block_coefficients(&mut bits, dc, ac, steps, &mut previous)?;
                let block = inverse_dct(&coefficients, if self.bits == 8 { 2 } else { 1 });
                self.place(&block, column, row, &mut samples);
            }
        }
        Ok(samples)
    }

    /// Writes a block at its place; what lies beyond the edge is padding.
    fn place(&self, block: &[i64; 64], column: usize, row: usize, samples: &mut [u16]) {
        // Samples are coded around the middle (T.81, A.3.1).
        let (middle, white) = if self.bits == 8 { (128i64, 255i64) } else { (2048, 4095) };
        let (left, top) = (column.saturating_mul(8), row.saturating_mul(8));
        let lines = samples.chunks_exact_mut(self.width.max(1)).skip(top);
        for (line, values) in lines.zip(block.as_chunks::<8>().0) {
            for (sample, &value) in line.iter_mut().skip(left).zip(values) {
                *sample = value.saturating_add(middle).clamp(0, white) as u16;
            }
        }
    }
}

/// One block's dequantised coefficients, row by row (T.81, F.2.2).
fn block_coefficients(
    bits: &mut Bits<'_>,
    dc: &Codes,
    ac: &Codes,
    steps: &[u16; 64],
    previous: &mut i32,
) -> Result<[i64; 64], Failure> {
    let mut block = [0; 64];
    let size = u32::from(bits.symbol(dc)?);
    if size > 15 {
        return Err(damaged("a coefficient beyond all range"));
    }
    // The limit keeps nonsense from overflowing the transform; a sound file stays far below it.
    *previous = previous.saturating_add(bits.signed(size)?).clamp(-65_536, 65_536);
    // The product of 17 and 16 bits.
    let [first, ..] = &mut block;
    let [first_step, ..] = steps;
    *first = i64::from(*previous).saturating_mul(i64::from(*first_step));
    let mut at = 1usize;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (15, 0) => at = at.saturating_add(16),
            (_, 0) => break,
            _ => {
                at = at.saturating_add(run);
                let beyond = || damaged("more coefficients than a block has");
                let (place, step) = ZIGZAG.get(at).zip(steps.get(at)).ok_or_else(beyond)?;
                let coefficient = i64::from(bits.signed(size)?).saturating_mul(i64::from(*step));
                *block.get_mut(*place).ok_or_else(beyond)? = coefficient;
                at = at.saturating_add(1);
            }
        }
    }
    Ok(block)
}

/// T.81, A.3.3, columns before rows, by the factorisation of Loeffler, Ligtenberg and Moschytz (1989) with 13 bits of
/// fraction in its constants. `kept` bits of fraction stay between the passes: 2 for 8-bit samples, 1 for 12-bit ones, as
/// the Independent JPEG Group has it.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "fixed places in arrays of 64; see transform"
)]
fn inverse_dct(block: &[i64; 64], kept: u32) -> [i64; 64] {
    let mut columns = [0; 64];
    for x in 0..8 {
        let line = transform(std::array::from_fn(|v| block[8 * v + x]));
        for (y, value) in line.into_iter().enumerate() {
            columns[8 * y + x] = rounded(value, FRACTION - kept);
        }
    }
    let mut samples = [0; 64];
    for (from, to) in columns.as_chunks::<8>().0.iter().zip(samples.as_chunks_mut::<8>().0) {
        // Each pass scales by the square root of 8.
        *to = transform(*from).map(|value| rounded(value, FRACTION + kept + 3));
    }
    samples
}

/// Bits of fraction in the constants.
const FRACTION: u32 = 13;

/// Shifts right, to nearest.
#[allow(clippy::arithmetic_side_effects, reason = "see transform")]
fn rounded(value: i64, bits: u32) -> i64 {
    (value + (1 << (bits - 1))) >> bits
}

/// One line of the transform, scaled by the square root of 8 and by 2¹³. The constants are sums and differences of
/// √2 cos(k π / 16).
///
/// Coefficients have at most 33 bits and a sign, the constants 15, a sum adds 5: far below 63, in both passes.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "bounded as said; places are fixed")]
fn transform(line: [i64; 8]) -> [i64; 8] {
    let [c0, c1, c2, c3, c4, c5, c6, c7] = line;
    // Even coefficients: a rotation by 3π/8 and a butterfly.
    let turned = (c2 + c6) * 4433;
    let (low, high) = (turned - c6 * 15_137, turned + c2 * 6270);
    let (sum, difference) = ((c0 + c4) << FRACTION, (c0 - c4) << FRACTION);
    let even = [sum + high, difference + low, difference - low, sum - high];
    // Odd coefficients.
    let common = (c7 + c3 + c5 + c1) * 9633;
    let (a, b) = ((c7 + c1) * -7373, (c5 + c3) * -20_995);
    let (c, d) = ((c7 + c3) * -16_069 + common, (c5 + c1) * -3196 + common);
    let odd = [c1 * 12_299 + a + d, c3 * 25_172 + b + c, c5 * 16_819 + b + d, c7 * 2446 + a + c];
    std::array::from_fn(|at| if at < 4 { even[at] + odd[at] } else { even[7 - at] - odd[7 - at] })
}

/// The bits of a scan; a zero byte after 0xFF is no data (T.81, F.1.2.3).
struct Bits<'a> {
    rest: &'a [u8],
    byte: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    fn new(coded: &'a [u8]) -> Self {
        Self { rest: coded, byte: 0, left: 0 }
    }

    fn bit(&mut self) -> Result<u32, Failure> {
        if self.left == 0 {
            (self.byte, self.rest) = match self.rest {
                [0xFF, 0x00, rest @ ..] => (0xFF, rest),
                [0xFF, ..] | [] => return Err(damaged("coded data that ends too early")),
                [byte, rest @ ..] => (*byte, rest),
            };
            self.left = 8;
        }
        self.left = self.left.saturating_sub(1);
        Ok(u32::from(self.byte.wrapping_shr(self.left) & 1))
    }

    fn symbol(&mut self, codes: &Codes) -> Result<u8, Failure> {
        let mut code = 0u32;
        for &(first, count, start) in &codes.lengths {
            code = code.wrapping_shl(1) | self.bit()?;
            if let Some(place) = code.checked_sub(first).filter(|&place| place < count)
                && let Some(&symbol) = codes.symbols.get(start.saturating_add(place as usize))
            {
                return Ok(symbol);
            }
        }
        Err(damaged("coded data that is no code"))
    }

    /// A number of `size` bits: those that start with 0 are negative (T.81, F.2.2.1).
    fn signed(&mut self, size: u32) -> Result<i32, Failure> {
        // At most 15 bits.
        let mut value = 0i32;
        let mut first = 1;
        for at in 0..size {
            let bit = self.bit()?;
            value = value.wrapping_shl(1) | bit.cast_signed();
            first = if at == 0 { bit } else { first };
        }
        let range = 1i32.wrapping_shl(size);
        Ok(if first == 0 { value.saturating_sub(range).saturating_add(1) } else { value })
    }

    /// Steps over a restart marker.
    fn restart(&mut self) -> Result<(), Failure> {
        self.left = 0;
        match self.rest {
            [0xFF, 0xD0..=0xD7, rest @ ..] => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(damaged("a restart marker that is missing")),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn damaged(found: &str) -> Failure {
    Failure::Damaged(format!("a JPEG with {found}"))
}

#[cfg(test)]
#[path = "jpeg_sequential_tests.rs"]
mod tests;
