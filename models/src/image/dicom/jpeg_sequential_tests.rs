#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test may panic")]

use super::*;

#[test]
fn the_transform_is_the_standards_formula() {
    let mut block = [0; 64];
    for (at, coefficient) in block.iter_mut().enumerate() {
        *coefficient = (at as i64 * 37 + 11) % 101 - 50;
    }
    for kept in [1, 2] {
        let fast = inverse_dct(&block, kept);
        for (at, &found) in fast.iter().enumerate() {
            let (x, y) = ((at % 8) as f64, (at / 8) as f64);
            let mut sum = 0.0;
            for (place, &coefficient) in block.iter().enumerate() {
                let (u, v) = ((place % 8) as f64, (place / 8) as f64);
                let scale = |k: f64| if k == 0.0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
                let angle = |s: f64, k: f64| ((2.0 * s + 1.0) * k * std::f64::consts::PI / 16.0).cos();
                sum += scale(u) * scale(v) * coefficient as f64 * angle(x, u) * angle(y, v) / 4.0;
            }
            assert!((found as f64 - sum).abs() < 0.9, "{at}: {found} {sum}");
        }
    }
    assert_eq!(inverse_dct(&std::array::from_fn(|at| if at == 0 { 80 } else { 0 }), 2), [10; 64]);
}

/// Bits of a scan in the making.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    bits: u32,
    count: u32,
}

impl Writer {
    fn put(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            self.bits = (self.bits << 1) | ((value >> at) & 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.bits as u8);
                if self.bits == 0xFF {
                    self.bytes.push(0);
                }
                (self.bits, self.count) = (0, 0);
            }
        }
    }

    fn align(&mut self) {
        while self.count > 0 {
            self.put(1, 1);
        }
    }

    /// A number's bits as T.81, F.1.2.1 has them.
    fn number(&mut self, value: i32) {
        let size = size_of(value);
        let bits = if value < 0 { value + (1 << size) - 1 } else { value };
        self.put(bits as u32, size);
    }
}

fn size_of(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

/// A 12-bit JPEG of steps of 1, with codes of equal length: a DC code has 5 bits, an AC code 8.
fn encoded(width: usize, height: usize, restart: usize, sample: impl Fn(usize, usize) -> u16) -> Vec<u8> {
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    jpeg.extend([1; 64]);
    let size = [(height as u16).to_be_bytes(), (width as u16).to_be_bytes()].concat();
    jpeg.extend([&[0xFF, 0xC1, 0, 11, 12], &size[..], &[1, 1, 0x11, 0]].concat());
    for (head, length, symbols) in [(0x00u8, 5, 16u8), (0x10, 8, 251)] {
        let mut counts = [0; 16];
        counts[length - 1] = symbols;
        let bytes = (19 + u16::from(symbols)).to_be_bytes();
        jpeg.extend([&[0xFF, 0xC4], &bytes[..], &[head], &counts, &(0..symbols).collect::<Vec<_>>()].concat());
    }
    jpeg.extend([0xFF, 0xDD, 0, 4]);
    jpeg.extend((restart as u16).to_be_bytes());
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    let (mut writer, mut previous) = (Writer::default(), 0);
    let across = width.div_ceil(8);
    for block in 0..across * height.div_ceil(8) {
        if restart > 0 && block > 0 && block % restart == 0 {
            writer.align();
            writer.bytes.extend([0xFF, 0xD0 + (block / restart - 1) as u8 % 8]);
            previous = 0;
        }
        let (left, top) = (block % across * 8, block / across * 8);
        let at = |x: usize, y: usize| f64::from(sample((left + x).min(width - 1), (top + y).min(height - 1)));
        let coefficients: Vec<i32> = ZIGZAG.iter().map(|&place| forward(place, &at)).collect();
        writer.put(size_of(coefficients[0] - previous), 5);
        writer.number(coefficients[0] - previous);
        previous = coefficients[0];
        let mut run = 0;
        for &coefficient in &coefficients[1..] {
            if coefficient == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                writer.put(0xF0, 8);
                run -= 16;
            }
            writer.put((run << 4) | size_of(coefficient), 8);
            writer.number(coefficient);
            run = 0;
        }
        if run > 0 {
            writer.put(0, 8);
        }
    }
    writer.align();
    jpeg.extend(writer.bytes);
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

/// One coefficient of a block (T.81, A.3.3).
fn forward(place: usize, sample: &impl Fn(usize, usize) -> f64) -> i32 {
    let (u, v) = (place % 8, place / 8);
    let scale = |k: usize| if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
    let angle = |s: usize, k: usize| ((2 * s + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
    let mut sum = 0.0;
    for y in 0..8 {
        for x in 0..8 {
            sum += (sample(x, y) - 2048.0) * angle(x, u) * angle(y, v);
        }
    }
    (sum * scale(u) * scale(v) / 4.0).round() as i32
}

fn wave(x: usize, y: usize) -> u16 {
    ((x * 97 + y * 31 + x * y * 7) % 4096) as u16
}

#[test]
fn what_was_encoded_comes_back() {
    for (width, height, restart) in [(16, 16, 0), (21, 13, 0), (40, 9, 2)] {
        let samples = decode(&encoded(width, height, restart, wave)).unwrap();
        assert_eq!(samples.len(), width * height);
        for (at, &found) in samples.iter().enumerate() {
            let expected = wave(at % width, at / width);
            assert!(found.abs_diff(expected) <= 2, "{width}×{height} at {at}: {found} {expected}");
        }
    }
}

#[test]
fn a_cut_or_foreign_file_is_an_error() {
    let whole = encoded(24, 24, 0, wave);
    for cut in 2..whole.len() - 2 {
        assert!(decode(&whole[..cut]).is_err(), "{cut}");
    }
    let mut progressive = whole.clone();
    let at = whole.windows(2).position(|pair| pair == [0xFF, SOF1]).unwrap();
    progressive[at + 1] = 0xC2;
    assert!(matches!(decode(&progressive), Err(Failure::Unsupported(_))));
}

#[test]
fn a_dicom_file_holds_one() {
    use super::super::samples::{DicomFile, WINDOW_CENTER, WINDOW_WIDTH};
    use crate::image::{Limits, decode};
    let file = DicomFile::grey(21, 13, 12, &[]).text(WINDOW_CENTER, "DS", "2048").text(WINDOW_WIDTH, "DS", "4096");
    let file = file.encapsulated("1.2.840.10008.1.2.4.51", &[encoded(21, 13, 0, wave)]).build();
    let raster = decode(&file, std::path::Path::new("test"), 1, &Limits::default()).unwrap();
    let worst = raster.samples().iter().enumerate().map(|(at, &found)| {
        let expected = (f64::from(wave(at % 21, at / 21)) / 4095.0 * 65_535.0).round() as u16;
        found.abs_diff(expected)
    });
    assert!(worst.max().unwrap() <= 40, "two levels of 4096");
}
