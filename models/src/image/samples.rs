//! Image files for the tests, made in code.

use image::{DynamicImage, GrayImage, ImageFormat};

/// A grey picture without any symmetry: bright at the top left, dimmer at the top right, dark below.
pub fn asymmetric(width: u32, height: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| {
        let (left, top) = (x < width / 2, y < height / 2);
        let level = match (left, top) {
            (true, true) => 240,
            (false, true) => 160,
            (true, false) => 90,
            (false, false) => 20,
        };
        image::Luma([level])
    })
}

pub fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The EXIF block of a picture with this orientation, big-endian, from its TIFF header on.
pub fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

pub fn jpeg_with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let block = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    let length = (block.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, &block, &jpeg[2..]].concat()
}

pub fn png_chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for &byte in kind.iter().chain(data) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let length = (data.len() as u32).to_be_bytes();
    [&length, &kind, data, &(!crc).to_be_bytes()].concat()
}

pub const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

pub fn png_header(width: u32, height: u32, depth: u8, colour_type: u8) -> Vec<u8> {
    let mut data = [width.to_be_bytes(), height.to_be_bytes()].concat();
    data.extend([depth, colour_type, 0, 0, 0]);
    [PNG_SIGNATURE, &png_chunk(*b"IHDR", &data)].concat()
}

/// The IDAT chunk for scan lines that carry their filter byte already: zlib with one stored block.
pub fn png_pixels(lines: &[u8]) -> Vec<u8> {
    let length = lines.len() as u16;
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in lines {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let adler = (b << 16 | a).to_be_bytes();
    let block = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
    png_chunk(*b"IDAT", &[b"\x78\x01\x01".as_slice(), &block, lines, &adler].concat())
}

pub fn png_end() -> Vec<u8> {
    png_chunk(*b"IEND", &[])
}

/// A little-endian TIFF of one uncompressed strip; every entry is (tag, type, value) with one value.
pub fn tiff(entries: &[(u16, u16, u32)], pixels: &[u8]) -> Vec<u8> {
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    let pixels_at = 8 + 2 + 12 * (entries.len() as u32 + 2) + 4;
    let mut all = entries.to_vec();
    all.extend([(273, 4, pixels_at), (279, 4, pixels.len() as u32)]);
    all.sort_unstable();
    file.extend((all.len() as u16).to_le_bytes());
    for (tag, kind, value) in all {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend(pixels);
    file
}

/// Tags of a grey TIFF. `photometric` 0: white is zero; 1: black is zero. `sample_format` 1: integers; 3: floats.
pub fn grey_tiff_tags(
    width: u32,
    height: u32,
    bits: u32,
    photometric: u32,
    sample_format: u32,
) -> Vec<(u16, u16, u32)> {
    vec![
        (256, 4, width),
        (257, 4, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (277, 3, 1),
        (278, 4, height),
        (339, 3, sample_format),
    ]
}
