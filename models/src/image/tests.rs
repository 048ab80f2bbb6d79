use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};

use super::samples::{
    asymmetric, encode, exif, grey_tiff_tags, jpeg_with_exif, png_chunk, png_end, png_header, png_pixels, tiff,
};
use super::*;

fn grey(bytes: &[u8]) -> Result<Raster, ImageError> {
    decode(bytes, Path::new("test.img"), 1, &Limits::default())
}

fn rgb(bytes: &[u8]) -> Result<Raster, ImageError> {
    decode(bytes, Path::new("test.img"), 3, &Limits::default())
}

fn to_8_bits(raster: &Raster) -> Vec<u8> {
    raster.samples().iter().map(|&v| (v / 257) as u8).collect()
}

fn rewritten(format: ImageFormat) -> Vec<u8> {
    let picture = DynamicImage::ImageLuma8(asymmetric(48, 32));
    match format {
        ImageFormat::Gif => encode(&picture.to_rgba8().into(), format),
        ImageFormat::WebP => encode(&picture.to_rgb8().into(), format),
        _ => encode(&picture, format),
    }
}

const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
    ImageFormat::WebP,
    ImageFormat::Gif,
    ImageFormat::Pnm,
];

#[test]
fn every_format_gives_the_same_upright_picture() {
    let expected = asymmetric(48, 32);
    for format in FORMATS {
        let raster = grey(&rewritten(format)).unwrap();
        assert_eq!((raster.width(), raster.height()), (48, 32), "{format:?}");
        let worst = to_8_bits(&raster).iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        // JPEG rounds its coefficients; the others are lossless.
        let tolerance = u8::from(format == ImageFormat::Jpeg) * 12;
        assert!(worst.unwrap() <= tolerance, "{format:?}: off by {worst:?}");
    }
}

/// The picture as a viewer shows it, from a picture stored with this orientation (EXIF 2.32, tag 274): pixel (x, y)
/// of the upright picture is pixel f(x, y) of the stored one. Written here independently of the `image` crate.
fn stored_position(orientation: u8, x: u32, y: u32, width: u32, height: u32) -> (u32, u32) {
    let (right, bottom) = (width - 1, height - 1);
    match orientation {
        1 => (x, y),
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (y, bottom - x),
        7 => (right - y, bottom - x),
        8 => (right - y, x),
        _ => unreachable!(),
    }
}

fn assert_oriented(stored: &Raster, upright: &Raster, orientation: u8) {
    let (width, height) = (stored.width(), stored.height());
    let turned = orientation >= 5;
    let expected_size = if turned { (height, width) } else { (width, height) };
    assert_eq!((upright.width(), upright.height()), expected_size, "{orientation}");
    for y in 0..upright.height() {
        for x in 0..upright.width() {
            let (sx, sy) = stored_position(orientation, x, y, width, height);
            let found = upright.samples()[(y * upright.width() + x) as usize];
            let expected = stored.samples()[(sy * width + sx) as usize];
            assert_eq!(found, expected, "orientation {orientation} at ({x}, {y})");
        }
    }
}

#[test]
fn all_eight_orientations_of_a_jpeg_are_applied() {
    let jpeg = rewritten(ImageFormat::Jpeg);
    let stored = grey(&jpeg).unwrap();
    for orientation in 1..=8 {
        let upright = grey(&jpeg_with_exif(&jpeg, orientation)).unwrap();
        assert_oriented(&stored, &upright, orientation);
    }
    // Not an orientation: as stored.
    assert_eq!(grey(&jpeg_with_exif(&jpeg, 9)).unwrap(), stored);
}

#[test]
fn orientation_of_png_is_applied_before_and_after_the_pixels() {
    let lines = [0, 10, 20, 30, 0, 40, 50, 60];
    let header = png_header(3, 2, 8, 0);
    let pixels = png_pixels(&lines);
    let stored = grey(&[header.clone(), pixels.clone(), png_end()].concat()).unwrap();
    for orientation in 1..=8 {
        let chunk = png_chunk(*b"eXIf", &exif(orientation));
        let before = [header.clone(), chunk.clone(), pixels.clone(), png_end()].concat();
        let after = [header.clone(), pixels.clone(), chunk, png_end()].concat();
        assert_oriented(&stored, &grey(&before).unwrap(), orientation);
        assert_oriented(&stored, &grey(&after).unwrap(), orientation);
    }
}

#[test]
fn orientation_of_tiff_is_applied() {
    let tags = grey_tiff_tags(3, 2, 8, 1, 1);
    let pixels = [10, 20, 30, 40, 50, 60];
    let stored = grey(&tiff(&tags, &pixels)).unwrap();
    for orientation in 1..=8u8 {
        let mut tags = tags.clone();
        tags.push((274, 3, u32::from(orientation)));
        assert_oriented(&stored, &grey(&tiff(&tags, &pixels)).unwrap(), orientation);
    }
}

#[test]
fn sixteen_bits_survive_until_after_the_resize() {
    // Each 2 × 2 block holds 100, 101, 101, 104 of 65535 around one level: 8 bits before the mean would lose them.
    let level = |x: u32| 257 * 40 + if x.is_multiple_of(2) { 0 } else { 240 };
    let picture = ImageBuffer::from_fn(64, 64, |x, _| Luma([level(x)]));
    let png = encode(&DynamicImage::ImageLuma16(picture), ImageFormat::Png);
    let raster = grey(&png).unwrap();
    assert_eq!(raster.samples()[..2], [10_280, 10_520]);
    let small = Preprocessing::grey(32, 32).apply(&raster).unwrap();
    // Mean 10400 / 257 = 40.47 → 40; rounding to 8 bits first gives 40 and 41, whose mean 40.5 is rounded to 41.
    assert!(small.chunks(32).all(|row| row[1..31].iter().all(|&v| v == 40)), "{small:?}");
}

#[test]
fn alpha_is_composited_on_black() {
    let la = ImageBuffer::from_pixel(2, 2, LumaA([200u8, 51]));
    let rgba = ImageBuffer::from_pixel(2, 2, Rgba([200u8, 200, 200, 51]));
    let rgba16 = ImageBuffer::from_pixel(2, 2, Rgba([51_400u16, 51_400, 51_400, 13_107]));
    for picture in [DynamicImage::ImageLumaA8(la), DynamicImage::ImageRgba8(rgba), DynamicImage::ImageRgba16(rgba16)] {
        let raster = grey(&encode(&picture, ImageFormat::Png)).unwrap();
        assert!(raster.samples().iter().all(|&v| v == 40 * 257), "{:?}", raster.samples());
    }
}

#[test]
fn colour_becomes_rec_601_luma_or_stays_rgb() {
    let colours = [[255u8, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];
    let picture = ImageBuffer::from_fn(4, 1, |x, _| Rgb(colours[x as usize]));
    let png = encode(&DynamicImage::ImageRgb8(picture), ImageFormat::Png);
    assert_eq!(to_8_bits(&grey(&png).unwrap()), [76, 149, 29, 255]);
    assert_eq!(to_8_bits(&rgb(&png).unwrap()), colours.concat());
    // Grey in three channels.
    let png = encode(&DynamicImage::ImageLuma8(asymmetric(2, 2)), ImageFormat::Png);
    assert_eq!(to_8_bits(&rgb(&png).unwrap())[..6], [240, 240, 240, 160, 160, 160]);
}

#[test]
fn luma_of_a_colour_jpeg_agrees_with_its_rgb() {
    let picture = ImageBuffer::from_fn(64, 64, |x, y| Rgb([(x * 3) as u8, (y * 3) as u8, 90]));
    let jpeg = encode(&DynamicImage::ImageRgb8(picture), ImageFormat::Jpeg);
    let direct = grey(&jpeg).unwrap();
    let through_rgb = rgb(&jpeg).unwrap().with_channels(1).into_owned();
    let worst = direct.samples().iter().zip(through_rgb.samples()).map(|(a, b)| a.abs_diff(*b));
    // Two roundings of 8-bit values apart, where RGB does not clip.
    assert!(worst.max().unwrap() <= 3 * 257);
}

#[test]
fn palette_png_is_expanded() {
    let palette = png_chunk(*b"PLTE", &[0, 0, 0, 200, 200, 200, 90, 90, 90]);
    // 2 bits a pixel: indices 1, 2, 0, 1.
    let pixels = png_pixels(&[0, 0b01_10_00_01]);
    let png = [png_header(4, 1, 2, 3), palette, pixels, png_end()].concat();
    assert_eq!(to_8_bits(&grey(&png).unwrap()), [200, 90, 0, 200]);
}

#[test]
fn cmyk_jpeg_has_the_right_polarity() {
    // Left half dark, right half bright; see the README beside the fixture.
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cmyk.jpg");
    let bytes = std::fs::read(fixture).unwrap();
    let raster = grey(&bytes).unwrap();
    let pixels = to_8_bits(&raster);
    let (width, row) = (raster.width() as usize, raster.height() as usize / 2);
    let at = |x: usize| pixels[row * width + x];
    assert!(at(width / 4).abs_diff(40) <= 3, "{}", at(width / 4));
    assert!(at(3 * width / 4).abs_diff(200) <= 3, "{}", at(3 * width / 4));
}

#[test]
fn tiff_white_is_zero_is_inverted_and_floats_are_refused() {
    let wide = [0u16, 65_535, 1000, 2000].iter().flat_map(|v| v.to_le_bytes());
    let wide: Vec<u8> = wide.collect();
    let black_is_zero = grey(&tiff(&grey_tiff_tags(2, 2, 16, 1, 1), &wide)).unwrap();
    assert_eq!(black_is_zero.samples(), [0, 65_535, 1000, 2000]);
    let white_is_zero = grey(&tiff(&grey_tiff_tags(2, 2, 16, 0, 1), &wide)).unwrap();
    assert_eq!(white_is_zero.samples(), [65_535, 0, 64_535, 63_535]);
    let float = grey(&tiff(&grey_tiff_tags(1, 1, 32, 1, 3), &1.0f32.to_le_bytes()));
    assert!(matches!(float, Err(ImageError::Unsupported { .. })), "{float:?}");
    let rgb_float = DynamicImage::ImageRgb32F(ImageBuffer::from_pixel(2, 2, Rgb([0.5, 0.5, 0.5])));
    let float = grey(&encode(&rgb_float, ImageFormat::Tiff));
    assert!(matches!(float, Err(ImageError::Unsupported { .. })), "{float:?}");
}

#[test]
fn pnm_white_level_is_honoured() {
    let twelve_bits = [b"P5 3 1 4095\n".as_slice(), &[0x00, 0x00, 0x0F, 0xFF, 0x08, 0x00]].concat();
    assert_eq!(grey(&twelve_bits).unwrap().samples(), [0, 65_535, 32_776]);
    assert_eq!(grey(b"P5 3 1 100\n\x00\x32\x64").unwrap().samples(), [0, 32_896, 65_535]);
    assert_eq!(grey(b"P2 2 1 255\n0 255\n").unwrap().samples(), [0, 65_535]);
    // In a bitmap 1 is black.
    assert_eq!(grey(b"P1 2 1\n0 1\n").unwrap().samples(), [65_535, 0]);
}

#[test]
fn letterbox_keeps_axes_apart() {
    // A wide picture, bright on the left, in a tall input: an axis swap or a lost offset changes these bytes.
    let png = encode(&DynamicImage::ImageLuma8(asymmetric(40, 20)), ImageFormat::Png);
    let letterboxed = Preprocessing::grey(4, 8);
    let pixels = letterboxed.from_bytes(&png, Path::new("wide.png")).unwrap();
    assert_eq!(pixels.len(), letterboxed.len());
    let rows: Vec<&[u8]> = pixels.chunks(4).collect();
    assert!(rows[..3].iter().chain(&rows[5..]).all(|row| row.iter().all(|&v| v == 0)), "{rows:?}");
    assert!(rows[3][0] > 200 && rows[3][0] > rows[3][3] && rows[4][0] > rows[4][3], "{rows:?}");
    assert!(rows[3][0] > rows[4][0], "{rows:?}");
    // A tall picture in a wide input: bars left and right, two columns of picture in the middle.
    let png = encode(&DynamicImage::ImageLuma8(asymmetric(20, 40)), ImageFormat::Png);
    let pixels = Preprocessing::grey(8, 4).from_bytes(&png, Path::new("tall.png")).unwrap();
    for row in pixels.chunks(8) {
        assert!(row[..3].iter().chain(&row[5..]).all(|&v| v == 0), "{row:?}");
        assert!(row[3] > row[4] && row[4] > 0, "{row:?}");
    }
    assert!(pixels[3] > pixels[27], "{pixels:?}");
    // Stretched, the picture fills the input.
    let stretched = Preprocessing { fit: Fit::Stretch, ..letterboxed };
    let pixels = stretched.from_bytes(&png, Path::new("wide.png")).unwrap();
    assert!(pixels.iter().all(|&v| v > 0), "{pixels:?}");
}

#[test]
fn pixels_are_pinned_bit_for_bit() {
    // Whoever changes these bytes must raise ALGORITHM_VERSION: bundles in use were trained on them.
    let noise = |x: u32, y: u32| x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519);
    let picture = ImageBuffer::from_fn(301, 257, |x, y| {
        let n = noise(x, y);
        Rgb([(n >> 16) as u16, (x * 200) as u16, (y * 250) as u16])
    });
    let png = encode(&DynamicImage::ImageRgb16(picture), ImageFormat::Png);
    for (channels, expected) in [(1, GOLDEN_GREY), (3, GOLDEN_RGB)] {
        let preprocessing = Preprocessing { channels, ..Preprocessing::grey(96, 112) };
        let pixels = preprocessing.from_bytes(&png, Path::new("noise.png")).unwrap();
        let digest = hex(&Sha256::digest(&pixels));
        assert_eq!(digest, expected, "{channels} channels");
    }
}

const GOLDEN_GREY: &str = "d7ce72491dfe6d445ec4d2d66e81aa89f613009738e245a9770b45ddad54789a";
const GOLDEN_RGB: &str = "35701b11222590dd5e0cb085913a10da826114a368a461218fb969e919a5a374";

#[test]
fn texts_and_profiles_of_a_png_are_not_read() {
    let lines = [0, 10, 20, 30, 0, 40, 50, 60];
    let (header, pixels) = (png_header(3, 2, 8, 0), png_pixels(&lines));
    let plain = [header.clone(), pixels.clone(), png_end()].concat();
    // None of them can be unpacked: whoever tried would find damage.
    let chunks = [*b"tEXt", *b"zTXt", *b"iTXt", *b"iCCP"].map(|kind| png_chunk(kind, b"Name\0\0not deflated"));
    let with = [header, chunks.concat(), pixels, chunks.concat(), png_end()].concat();
    assert_eq!(&*orientation::png_without_texts(&with), plain);
    assert_eq!(grey(&with).unwrap(), grey(&plain).unwrap());
    assert!(matches!(orientation::png_without_texts(&plain), std::borrow::Cow::Borrowed(_)));
}

#[test]
fn truncated_files_are_errors_at_every_length() {
    for format in FORMATS {
        let whole = rewritten(format);
        for sixteenth in 1..16 {
            let cut = &whole[..whole.len() * sixteenth / 16];
            let outcome = grey(cut).map(|_| "a picture");
            assert!(
                matches!(outcome, Err(ImageError::Damaged { .. } | ImageError::NotAnImage { .. })),
                "{format:?} cut to {sixteenth}/16: {outcome:?}"
            );
        }
    }
    // A noisy picture, cut by a few bytes only.
    let noise = ImageBuffer::from_fn(64, 64, |x, y| Luma([((x * 77) ^ (y * 131)) as u8]));
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
        let whole = encode(&DynamicImage::ImageLuma8(noise.clone()), format);
        for missing in [3, 40, 400] {
            let outcome = grey(&whole[..whole.len() - missing]);
            assert!(matches!(outcome, Err(ImageError::Damaged { .. })), "{format:?} -{missing}");
        }
    }
}

#[test]
fn broken_coded_data_in_a_jpeg_is_not_painted_grey() {
    let noise = ImageBuffer::from_fn(64, 64, |x, y| Luma([((x * 77) ^ (y * 131)) as u8]));
    let mut jpeg = encode(&DynamicImage::ImageLuma8(noise), ImageFormat::Jpeg);
    // All ones is no Huffman code (T.81, annex C); a lenient decoder gives up there and leaves the rest grey.
    let middle = jpeg.len() / 2;
    for pair in jpeg[middle..middle + 16].as_chunks_mut().0 {
        *pair = [0xFF, 0x00];
    }
    let outcome = grey(&jpeg).map(|_| "a picture");
    assert!(matches!(outcome, Err(ImageError::Damaged { .. })), "{outcome:?}");
}

#[test]
fn the_end_marker_of_a_thumbnail_does_not_complete_a_jpeg() {
    let whole = rewritten(ImageFormat::Jpeg);
    let thumbnail = b"\xff\xe1\x00\x08\xff\xd8\xff\xd9\xff\xd9";
    let with_thumbnail = [&whole[..2], thumbnail, &whole[2..]].concat();
    assert_eq!(grey(&with_thumbnail).unwrap(), grey(&whole).unwrap());
    let outcome = grey(&with_thumbnail[..with_thumbnail.len() - 2]).map(|_| "a picture");
    assert!(matches!(outcome, Err(ImageError::Damaged { .. })), "{outcome:?}");
}

#[test]
fn other_kinds_of_jpeg_are_named() {
    let mut jpeg = rewritten(ImageFormat::Jpeg);
    let sof = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    for (marker, precision, expected) in
        [(0xC3, 16, "lossless"), (0xC9, 8, "arithmetic"), (0xF7, 8, "JPEG-LS"), (0xC1, 12, "found 12")]
    {
        jpeg[sof + 1] = marker;
        jpeg[sof + 4] = precision;
        let message = grey(&jpeg).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn text_and_other_files_under_an_image_name_are_named() {
    let found = |content: &[u8]| grey(content).unwrap_err().to_string();
    assert!(found("No acute findings. Größe 3 cm.\n".as_bytes()).contains("found text"));
    assert!(found(b"BMI is 25, no effusion.\n").contains("found text"));
    assert!(found(b"P5\xff\x00").contains("start with 50 35 ff 00") || found(b"P5\xff\x00").contains("not an image"));
    assert!(found(b"%PDF-1.7\n").contains("PDF"));
    assert!(found(b"PK\x03\x04\x00\x00").contains("ZIP"));
    assert!(found(&[[0; 128].as_slice(), b"DICM"].concat()).contains("DICOM"));
    assert!(found(&[1, 2, 3]).contains("start with 01 02 03"));
}

#[test]
fn missing_empty_and_folder_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let preprocessing = Preprocessing::grey(8, 8);
    let missing = preprocessing.load(folder.path().join("none.png"));
    assert!(matches!(missing, Err(ImageError::Missing { .. })), "{missing:?}");
    let not_a_file = preprocessing.load(folder.path());
    assert!(matches!(not_a_file, Err(ImageError::Folder { .. })), "{not_a_file:?}");
    let path = folder.path().join("empty.png");
    std::fs::write(&path, []).unwrap();
    let empty = preprocessing.load(&path);
    assert!(matches!(empty, Err(ImageError::Empty { .. })), "{empty:?}");
    assert!(empty.unwrap_err().to_string().contains("empty.png"));
    // The extension says BMP, the content is a PNG: the content counts.
    let path = folder.path().join("scan.bmp");
    std::fs::write(&path, rewritten(ImageFormat::Png)).unwrap();
    assert_eq!(preprocessing.load(&path).unwrap().len(), 64);
}

#[test]
fn large_files_are_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let limits = Limits { max_file_bytes: 1000, ..Limits::default() };
    file.as_file().set_len(1001).unwrap();
    let outcome = read_file(file.path(), &limits);
    assert!(matches!(outcome, Err(ImageError::FileTooLarge { bytes: 1001, .. })), "{outcome:?}");
    file.as_file().set_len(1000).unwrap();
    assert_eq!(read_file(file.path(), &limits).unwrap().len(), 1000);
}

#[test]
fn huge_claims_are_refused_at_once() {
    let side = 100_000u32;
    let png = [png_header(side, side, 16, 6), png_pixels(&[0]), png_end()].concat();
    let tiff = tiff(&grey_tiff_tags(side, side, 16, 1, 1), &[0; 64]);
    let mut bmp = rewritten(ImageFormat::Bmp);
    // The decoder itself refuses more than 65,535.
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    let mut gif = rewritten(ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    let mut jpeg = rewritten(ImageFormat::Jpeg);
    let sof = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xFF; 4]);
    let pnm = format!("P6 {side} {side} 65535\n").into_bytes();
    // A lossless WebP of 16,383 × 16,383: width - 1 and height - 1 in 14 bits each.
    let mut webp = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f".to_vec();
    webp.extend([0xFE, 0xBF, 0xFF, 0x0F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (format, bytes) in
        [("png", png), ("tiff", tiff), ("bmp", bmp), ("gif", gif), ("jpeg", jpeg), ("pnm", pnm), ("webp", webp)]
    {
        let outcome = grey(&bytes).map(|_| "a picture");
        let Err(ImageError::TooLarge { width, height, .. }) = outcome else {
            panic!("{format}: {outcome:?}");
        };
        assert!(width > 10_000 && height > 10_000, "{format}: {width} × {height}");
    }
}

#[test]
fn a_real_radiograph_passes_and_memory_counts() {
    let limits = Limits::default();
    let pixels = 4300 * 3500;
    // 16-bit grey TIFF: file, decoder's buffer, decoded pixels and raster.
    assert!(limits.check(4300, 3500, 2 * pixels, 6 * pixels as u64).is_ok());
    assert!(limits.check(30_001, 1, 0, 0).is_err());
    assert!(limits.check(8000, 8000, 0, 0).is_err());
    assert!(limits.check(100, 100, 1, limits.max_memory).is_err());
}

#[test]
fn settings_are_checked_and_closed() {
    let json = r#"{"width":64,"height":32,"channels":3,"fit":"letterbox","filter":"bilinear"}"#;
    let preprocessing: Preprocessing = serde_json::from_str(json).unwrap();
    assert_eq!(preprocessing.len(), 64 * 32 * 3);
    assert_eq!(serde_json::to_string(&preprocessing).unwrap(), json);
    assert!(serde_json::from_str::<Preprocessing>(&json.replace('}', ",\"mean\":0}")).is_err());
    for wrong in [
        Preprocessing::grey(0, 8),
        Preprocessing::grey(8, 5000),
        Preprocessing { channels: 2, ..Preprocessing::grey(8, 8) },
    ] {
        assert!(matches!(wrong.check(), Err(ImageError::Settings { .. })), "{wrong:?}");
    }
}

#[test]
fn fingerprint_tells_settings_apart() {
    let base = Preprocessing::grey(224, 192);
    let fingerprints: std::collections::BTreeSet<String> = [
        base.clone(),
        Preprocessing::grey(192, 224),
        Preprocessing { channels: 3, ..base.clone() },
        Preprocessing { fit: Fit::Stretch, ..base.clone() },
    ]
    .iter()
    .map(Preprocessing::fingerprint)
    .collect();
    assert_eq!(fingerprints.len(), 4);
    assert!(fingerprints.iter().all(|f| f.len() == 64));
    assert_eq!(base.fingerprint(), base.clone().fingerprint());
}

#[test]
fn image_paths_are_known_by_extension() {
    for yes in ["a.png", "a.JPG", "p10/a.Tiff", "a.b.webp", "a.dcm", "a.DCM"] {
        assert!(is_image_path(yes), "{yes}");
    }
    for no in ["a", "png", ".png", "a.txt", "1.2.840", "a.png.txt"] {
        assert!(!is_image_path(no), "{no}");
    }
}
