use std::path::Path;

use image::{DynamicImage, ImageFormat};

use super::samples::{encode, grey_tiff_tags, png_chunk, png_end, png_header, png_pixels, tiff};
use super::{Concern, Gate, GateMode, ImageError, Limits, Preprocessing, Raster, Views, decode, decode_picture};

/// A picture of 32 × 32 with `bits` bits, from black to white.
fn shades(bits: u32) -> Vec<u16> {
    (0..1024u32).map(|at| (((at * 37 % 1024) * ((1 << bits) - 1) + 511) / 1023) as u16).collect()
}

fn picture(bytes: &[u8]) -> (Raster, Vec<Concern>) {
    let picture = decode_picture(bytes, Path::new("test"), 1, &Limits::default()).unwrap_or_else(|e| panic!("{e}"));
    (picture.raster, picture.concerns)
}

fn warned(bytes: &[u8]) -> Vec<Concern> {
    let gate = Gate { mode: GateMode::Warn, views: Views::Frontal };
    Preprocessing::grey(32, 32).admit_bytes(bytes, Path::new("test"), gate).unwrap().concerns
}

fn le(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A 16-bit grey PNG, with a chunk before its pixels.
fn png16(samples: &[u16], chunk: &[u8]) -> Vec<u8> {
    let lines: Vec<u8> = samples
        .chunks(32)
        .flat_map(|line| std::iter::once(0).chain(line.iter().flat_map(|sample| sample.to_be_bytes())))
        .collect();
    [&png_header(32, 32, 16, 0), chunk, &png_pixels(&lines), &png_end()].concat()
}

fn full() -> Raster {
    picture(&png16(&shades(16), &[])).0
}

fn apart(one: &Raster, other: &Raster) -> u16 {
    one.samples().iter().zip(other.samples()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn fewer_bits_than_a_file_says_are_a_concern_in_every_format() {
    for bits in [8, 10, 12, 14] {
        let samples = shades(bits);
        let pgm =
            [&b"P5 32 32 65535\n"[..], &samples.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<_>>()].concat();
        let tif = tiff(&grey_tiff_tags(32, 32, 16, 1, 1), &le(&samples));
        for file in [png16(&samples, &[]), pgm, tif] {
            let [Concern::GreyRange { percent, .. }] = warned(&file)[..] else { panic!("{bits}: {:?}", warned(&file)) };
            assert!(percent <= 25, "{bits} bits: {percent} %");
            let strict = Preprocessing::grey(32, 32).admit_bytes(&file, Path::new("test"), Gate::default());
            assert!(matches!(strict, Err(ImageError::Refused { .. })));
        }
    }
    assert_eq!(warned(&png16(&shades(16), &[])), []);
    // Few levels over the whole range: a picture of 4 bits, or a scanned line drawing.
    let coarse: Vec<u16> = shades(16).iter().map(|value| value / 4369 * 4369).collect();
    assert!(matches!(warned(&png16(&coarse, &[]))[..], [Concern::GreyRange { levels: 15, percent: 93 }]));
}

#[test]
fn white_is_what_the_file_says() {
    let full = full();
    for (bits, largest) in [(10, 1023u16), (12, 4095), (14, 16_383)] {
        let samples = shades(bits);
        let allowed = 65_535 / u16::try_from((1u32 << bits) - 1).unwrap() + 1;
        let max = (281, 3, u32::from(largest));
        for photometric in [0, 1] {
            let stored: Vec<u16> = samples.iter().map(|&v| if photometric == 0 { largest - v } else { v }).collect();
            let tags = [grey_tiff_tags(32, 32, 16, photometric, 1), vec![max]].concat();
            let (raster, concerns) = picture(&tiff(&tags, &le(&stored)));
            assert!(apart(&raster, &full) <= allowed && concerns.is_empty(), "{bits} bits, photometric {photometric}");
        }
        let pgm = format!("P5 32 32 {largest}\n");
        let pgm = [pgm.as_bytes(), &samples.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<_>>()].concat();
        assert!(apart(&picture(&pgm).0, &full) <= allowed, "{bits} bits in a PGM");
        let significant = png_chunk(*b"sBIT", &[bits as u8]);
        assert!(apart(&picture(&png16(&samples, &significant)).0, &full) <= allowed, "{bits} bits in a PNG");
        // As the PNG standard has it: the bits lie at the top, and nothing is to be done.
        let scaled: Vec<u16> = samples.iter().map(|&v| v << (16 - bits)).collect();
        assert_eq!(picture(&png16(&scaled, &significant)).0, picture(&png16(&scaled, &[])).0);
    }
    // A white that samples go beyond is none.
    let tags = [grey_tiff_tags(32, 32, 16, 1, 1), vec![(281, 3, 4095)]].concat();
    assert_eq!(picture(&tiff(&tags, &le(&shades(16)))).0, full);
    let tags = [grey_tiff_tags(32, 32, 8, 1, 1), vec![(281, 3, 255)]].concat();
    let bytes: Vec<u8> = shades(8).iter().map(|&v| v as u8).collect();
    assert!(picture(&tiff(&tags, &bytes)).1.is_empty());
}

#[test]
fn further_pictures_in_a_file_are_told() {
    let frames = |bytes: &[u8]| match &picture(bytes).1[..] {
        [] => 1,
        [Concern::MultiFrame(frames)] => *frames,
        other => panic!("{other:?}"),
    };
    // APNG: three frames.
    let animation = png_chunk(*b"acTL", &[0, 0, 0, 3, 0, 0, 0, 0]);
    assert_eq!(frames(&png16(&shades(16), &animation)), 3);
    assert_eq!(frames(&png16(&shades(16), &png_chunk(*b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]))), 1);
    // GIF.
    let grey = image::GrayImage::from_fn(32, 32, |x, y| image::Luma([(x * 7 + y) as u8]));
    let still = encode(&DynamicImage::ImageRgb8(DynamicImage::ImageLuma8(grey.clone()).to_rgb8()), ImageFormat::Gif);
    let mut animated = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut animated);
    for _ in 0..4 {
        encoder.encode_frame(image::Frame::new(DynamicImage::ImageLuma8(grey.clone()).to_rgba8())).unwrap();
    }
    drop(encoder);
    assert_eq!((frames(&still), frames(&animated)), (1, 4));
    // PNM: one after the other.
    let pgm = [&b"P5\n# a comment\n32 32\n255\n"[..], grey.as_raw()].concat();
    assert_eq!((frames(&pgm), frames(&[&pgm[..], &pgm].concat())), (1, 2));
    assert_eq!(frames(&[&pgm[..], b"\nP5 is no header here"].concat()), 2);
    // WebP: chunks of frames.
    assert_eq!(super::pages::Pages::of(b"RIFF\0\0\0\0WEBPANMF\x01\0\0\0x\0ANMF\0\0\0\0", ImageFormat::WebP).count, 2);
}

#[test]
fn pages_of_a_tiff_are_counted_but_for_smaller_copies() {
    // The first page's end leads to a second, which is the same but for its place and kind.
    let two = |kind: u32| {
        let tags = [grey_tiff_tags(32, 32, 8, 1, 1), vec![(254, 4, kind)]].concat();
        let pixels: Vec<u8> = shades(8).iter().map(|&v| v as u8).collect();
        let mut file = tiff(&tags, &pixels);
        let entries = usize::from(u16::from_le_bytes([file[8], file[9]]));
        let (directory, end) = (file[8..10 + 12 * entries].to_vec(), 10 + 12 * entries);
        let second = file.len() as u32;
        file[end..end + 4].copy_from_slice(&second.to_le_bytes());
        file.extend(directory);
        file.extend([0; 4]);
        file
    };
    assert_eq!(picture(&two(0)).1, [Concern::MultiFrame(2)]);
    for copy in [1, 4, 5] {
        assert_eq!(picture(&two(copy)).1, [], "kind {copy}");
    }
}

#[test]
fn big_tiffs_are_named() {
    let error = decode(b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0", Path::new("x"), 1, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("found a BigTIFF image"), "{error}");
}
