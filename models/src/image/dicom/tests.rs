use std::path::Path;

use super::super::{Concern, Raster};
use super::super::{
    DicomRendering, Fit, Gate, GateMode, ImageError, Limits, Preprocessing, Views, decode, decode_picture,
};
use super::samples::{
    BIG_ENDIAN, BITS_ALLOCATED, BODY_PART, BURNED_IN, COLUMNS, DEFLATED, DicomFile, EXPLICIT, FRAMES, HIGH_BIT,
    IMPLICIT, INTERCEPT, MODALITY, MODALITY_LUT, PADDING, PHOTOMETRIC, RLE, ROWS, SHAPE, SIGNED, SLOPE, VIEW_POSITION,
    VOI_LUT, WINDOW_CENTER, WINDOW_FUNCTION, WINDOW_WIDTH, claiming, nested, raw, rle,
};

fn grey(file: &DicomFile) -> Raster {
    decode(&file.build(), Path::new("test"), 1, &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn error(bytes: &[u8]) -> String {
    decode(bytes, Path::new("test"), 1, &Limits::default()).expect_err("refused").to_string()
}

fn concerns(file: &DicomFile) -> Vec<Concern> {
    decode_picture(&file.build(), Path::new("test"), 1, &Limits::default()).unwrap().concerns
}

/// 0, 1, … of 12 bits, in a picture of 64 × 64.
fn ramp() -> Vec<u16> {
    (0..4096).collect()
}

fn ramp_file() -> DicomFile {
    DicomFile::grey(64, 64, 12, &ramp()).text(WINDOW_CENTER, "DS", "2048").text(WINDOW_WIDTH, "DS", "4096")
}

fn to_16_bits(share: f64) -> u16 {
    (share.clamp(0.0, 1.0) * 65_535.0).round() as u16
}

#[test]
fn every_encoding_gives_the_same_picture() {
    let expected = grey(&ramp_file());
    assert_eq!(expected.samples()[..2], [0, 16]);
    assert_eq!(expected.samples()[4095], 65_535);
    for syntax in [IMPLICIT, DEFLATED, BIG_ENDIAN] {
        assert_eq!(grey(&ramp_file().syntax(syntax)), expected, "{syntax}");
    }
    assert_eq!(grey(&ramp_file().encapsulated(RLE, &[rle(&ramp())])), expected);
    let mut jpeg_ls = Vec::new();
    let mut options = jpegls::EncodeOptions::default();
    options.precision = Some(12);
    jpegls::encode_with_options(&ramp(), 64, 64, &options, &mut jpeg_ls).unwrap();
    assert_eq!(grey(&ramp_file().encapsulated("1.2.840.10008.1.2.4.80", &[jpeg_ls.clone()])), expected);
    // In several fragments, too.
    let halves = [jpeg_ls[..500].to_vec(), jpeg_ls[500..].to_vec()];
    assert_eq!(grey(&ramp_file().encapsulated("1.2.840.10008.1.2.4.80", &halves)), expected);
}

#[test]
fn baseline_jpeg_in_16_bits_allocated_is_not_torn() {
    let picture = image::GrayImage::from_fn(64, 48, |x, y| image::Luma([(x * 3 + y) as u8]));
    let jpeg = super::super::samples::encode(&picture.clone().into(), image::ImageFormat::Jpeg);
    let file = DicomFile::grey(64, 48, 8, &[]).text(WINDOW_CENTER, "DS", "128").text(WINDOW_WIDTH, "DS", "256");
    for allocated in [8, 16] {
        let file = file.clone().number(BITS_ALLOCATED, allocated);
        let raster = grey(&file.encapsulated("1.2.840.10008.1.2.4.50", std::slice::from_ref(&jpeg)));
        let worst = raster.samples().iter().zip(picture.as_raw()).map(|(a, &b)| (a / 257).abs_diff(b.into())).max();
        assert!(worst.unwrap() <= 4, "{allocated}: {worst:?}");
    }
}

#[test]
fn stored_bits_are_taken_from_where_they_lie() {
    // 10 bits at the top of 16, the rest filled with an old overlay.
    let pixels: Vec<u16> = (0..16).map(|v: u16| ((v * 64) << 6) | 0x3F).collect();
    let file = DicomFile::grey(4, 4, 10, &pixels).number(HIGH_BIT, 15);
    let file = file.text(WINDOW_CENTER, "DS", "512").text(WINDOW_WIDTH, "DS", "1024");
    let expected: Vec<u16> = (0..16).map(|v| to_16_bits(f64::from(v) * 64.0 / 1023.0)).collect();
    assert_eq!(grey(&file).samples(), expected);
}

#[test]
fn a_high_bit_outside_the_pixel_is_refused() {
    for high_bit in [8, 16, 0xFFFF] {
        let told = error(&DicomFile::grey(4, 4, 10, &[0; 16]).number(HIGH_BIT, high_bit).build());
        assert!(told.contains(&format!("high bit {high_bit} with 10 bits stored")), "{told}");
    }
}

#[test]
fn signed_values_slope_and_intercept_come_before_the_window() {
    let pixels: Vec<u16> = (-8..8).map(|v: i16| v.cast_unsigned() & 0x0FFF).collect();
    let file = DicomFile::grey(4, 4, 12, &pixels).number(SIGNED, 1);
    let file = file.text(SLOPE, "DS", "2").text(INTERCEPT, "DS", "-1000");
    // Modality values -1016 to -986.
    let file = file.text(WINDOW_CENTER, "DS", "-1000\\40").text(WINDOW_WIDTH, "DS", "21\\400");
    let expected: Vec<u16> = (-8..8).map(|v| to_16_bits((f64::from(v * 2) + 0.5) / 20.0 + 0.5)).collect();
    assert_eq!(grey(&file).samples(), expected);
    let exact = file.clone().text(WINDOW_FUNCTION, "CS", "LINEAR_EXACT");
    let expected: Vec<u16> = (-8..8).map(|v| to_16_bits(f64::from(v * 2) / 21.0 + 0.5)).collect();
    assert_eq!(grey(&exact).samples(), expected);
    let sigmoid = file.text(WINDOW_FUNCTION, "CS", "SIGMOID");
    let expected: Vec<u16> =
        (-8..8).map(|v| to_16_bits(1.0 / (1.0 + (-4.0 * f64::from(v * 2) / 21.0).exp()))).collect();
    assert_eq!(grey(&sigmoid).samples(), expected);
}

#[test]
fn tables_replace_slope_and_window() {
    let file = DicomFile::grey(4, 2, 8, &[0, 1, 2, 3, 4, 5, 6, 255]).text(SLOPE, "DS", "100");
    // Modality: below 2 the first entry, above 5 the last.
    let file = file.lut(MODALITY_LUT, 2, 16, &[10, 20, 40, 80]);
    let window = file.clone().text(WINDOW_CENTER, "DS", "50.5").text(WINDOW_WIDTH, "DS", "101");
    let expected = [10, 10, 10, 20, 40, 80, 80, 80].map(|v| to_16_bits(f64::from(v) / 100.0));
    assert_close(&grey(&window), &expected);
    // The VOI LUT goes before the window.
    let entries: Vec<u16> = (0..100).map(|v| v * 41).collect();
    for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
        let file = window.clone().lut(VOI_LUT, 0, 12, &entries).syntax(syntax);
        let expected = [10, 10, 10, 20, 40, 80, 80, 80].map(|v| to_16_bits(f64::from(v * 41) / 4095.0));
        assert_close(&grey(&file), &expected);
    }
}

/// A value that lies halfway may be rounded either way, by which formula it is had.
fn assert_close(found: &Raster, expected: &[u16]) {
    let close = found.samples().iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
    assert!(close && found.samples().len() == expected.len(), "{:?} {expected:?}", found.samples());
}

#[test]
fn without_a_window_the_percentiles_are_one() {
    // 1,000 pixels: 5 far below, 5 far above, and 990 from 1000 to 1989.
    let mut pixels = vec![0, 1, 2, 3, 4, 4091, 4092, 4093, 4094, 4095];
    pixels.extend(1000..1990);
    let raster = grey(&DicomFile::grey(40, 25, 12, &pixels));
    // By nearest rank the 5th smallest is 4 and the 995th is 1989.
    let expected: Vec<u16> = pixels.iter().map(|&v| to_16_bits((f64::from(v) - 4.0) / 1985.0)).collect();
    assert_eq!(raster.samples(), expected);
    // Padding is black and no part of the count.
    let mut padded = pixels.clone();
    padded.extend([4000; 1000]);
    let file = DicomFile::grey(40, 50, 12, &padded).number(PADDING, 4000);
    let raster = grey(&file);
    assert_eq!(raster.samples()[..1000], expected);
    assert!(raster.samples()[1000..].iter().all(|&v| v == 0));
    let inverted = grey(&file.text(PHOTOMETRIC, "CS", "MONOCHROME1"));
    assert_eq!(inverted.samples()[500], 65_535 - raster.samples()[500]);
    assert!(inverted.samples()[1000..].iter().all(|&v| v == 0));
}

#[test]
fn there_is_one_inversion_and_the_shape_adds_none() {
    let plain = grey(&ramp_file());
    let complement: Vec<u16> = plain.samples().iter().map(|v| 65_535 - v).collect();
    let with = |photometric: &str, shape: &str| {
        grey(&ramp_file().text(PHOTOMETRIC, "CS", photometric).text(SHAPE, "CS", shape)).samples().to_vec()
    };
    assert_eq!(with("MONOCHROME2", "IDENTITY"), plain.samples());
    for (photometric, shape) in [("MONOCHROME1", ""), ("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "INVERSE")] {
        let found = with(photometric, shape);
        // Rounding half up of a value and of its complement may differ by one of 65,535.
        assert!(found.iter().zip(&complement).all(|(a, b)| a.abs_diff(*b) <= 1), "{photometric} {shape}");
    }
    assert_eq!(concerns(&ramp_file().text(SHAPE, "CS", "INVERSE")), [Concern::InverseShape]);
    assert_eq!(concerns(&ramp_file().text(SHAPE, "CS", "INVERSE").text(PHOTOMETRIC, "CS", "MONOCHROME1")), []);
}

#[test]
fn colour_becomes_luma() {
    let rgb: Vec<u8> = (0..16).flat_map(|v| [v * 10, 255 - v * 10, v]).collect();
    let file = DicomFile::grey(4, 4, 8, &[]).number((0x0028, 0x0002), 3).text(PHOTOMETRIC, "CS", "RGB");
    let file = file.pixels_of_8_bits(&rgb);
    let raster = decode(&file.build(), Path::new("test"), 3, &Limits::default()).unwrap();
    assert_eq!(raster.samples(), rgb.iter().map(|&v| u16::from(v) * 257).collect::<Vec<_>>());
    let planes: Vec<u8> = (0..3).flat_map(|plane| rgb.iter().skip(plane).step_by(3).copied()).collect();
    let planar = file.clone().number((0x0028, 0x0006), 1).pixels_of_8_bits(&planes);
    assert_eq!(decode(&planar.build(), Path::new("test"), 3, &Limits::default()).unwrap(), raster);
    assert_eq!(grey(&planar).samples(), raster.with_channels(1).samples());
    let ybr = [128u8, 128, 128, 76, 85, 255].repeat(8);
    let ybr = grey(&file.text(PHOTOMETRIC, "CS", "YBR_FULL").pixels_of_8_bits(&ybr));
    assert!(ybr.samples()[0].abs_diff(128 * 257) <= 257 && ybr.samples()[1].abs_diff(76 * 257) <= 300, "{ybr:?}");
}

#[test]
fn each_concern_has_its_reason() {
    let file = ramp_file();
    assert_eq!(concerns(&file), []);
    for (file, code) in [
        (file.clone().text(MODALITY, "CS", "MR"), "modality"),
        (file.clone().without(MODALITY), "modality-not-stated"),
        (file.clone().text(BODY_PART, "CS", "HIP"), "body-part"),
        (file.clone().text(VIEW_POSITION, "CS", "LL"), "lateral-view"),
        (file.clone().text(VIEW_POSITION, "CS", "LATERAL"), "lateral-view"),
        (file.clone().text(FRAMES, "IS", "2").words((0x7FE0, 0x0010), "OW", &ramp().repeat(2)), "multi-frame"),
        (file.clone().text(SLOPE, "DS", "0"), "slope-zero"),
        (file.clone().text(WINDOW_WIDTH, "DS", "0"), "window-width-zero"),
        (file.clone().text(BURNED_IN, "CS", "YES"), "burned-in-annotation"),
        (file.clone().text(SHAPE, "CS", "INVERSE"), "inverse-shape"),
    ] {
        let found = concerns(&file);
        assert_eq!(found.iter().map(Concern::code).collect::<Vec<_>>(), [code]);
    }
    for (tag, value) in [(BODY_PART, "THORAX"), (BODY_PART, ""), (VIEW_POSITION, "AP"), (VIEW_POSITION, "LLD")] {
        assert_eq!(concerns(&file.clone().text(tag, "CS", value)), [], "{value}");
    }
    // What is mended is rendered as a picture all the same.
    assert!(!grey(&file.clone().text(SLOPE, "DS", "0").without(WINDOW_CENTER)).is_constant());
    assert!(!grey(&file.text(WINDOW_WIDTH, "DS", "0")).is_constant());
}

#[test]
fn the_gate_refuses_warns_or_is_open() {
    let preprocessing = Preprocessing::grey(32, 32);
    let admit = |file: &DicomFile, mode, views| {
        preprocessing.admit_bytes(&file.build(), Path::new("test"), Gate { mode, views })
    };
    let hip = ramp_file().text(BODY_PART, "CS", "HIP").text(VIEW_POSITION, "CS", "LL");
    let refused = admit(&hip, GateMode::Strict, Views::Frontal).expect_err("refused").to_string();
    assert!(
        refused.contains("body part HIP") && refused.contains("view LL") && refused.contains("hint: "),
        "{refused}"
    );
    let refused = admit(&hip, GateMode::Strict, Views::All).expect_err("refused").to_string();
    assert!(refused.contains("body part HIP") && !refused.contains("view LL"), "{refused}");
    let warned = admit(&hip, GateMode::Warn, Views::Frontal).unwrap();
    assert_eq!(warned.concerns.len(), 2);
    let open = admit(&hip, GateMode::Off, Views::Frontal).unwrap();
    assert_eq!((open.concerns.len(), &open.pixels), (0, &warned.pixels));
    // A warning alone lets the strict gate open.
    let inverse = admit(&ramp_file().text(SHAPE, "CS", "INVERSE"), GateMode::Strict, Views::Frontal).unwrap();
    assert_eq!(inverse.concerns, [Concern::InverseShape]);
    // Pixels count, whatever the file is.
    let flat = super::super::samples::encode(&image::GrayImage::new(16, 16).into(), image::ImageFormat::Png);
    let gate = Gate { mode: GateMode::Warn, views: Views::All };
    let concerns = preprocessing.admit_bytes(&flat, Path::new("flat"), gate).unwrap().concerns;
    assert_eq!(concerns.iter().map(Concern::code).collect::<Vec<_>>(), ["constant", "small"]);
    let wide = super::super::samples::encode(&image::GrayImage::new(40, 16).into(), image::ImageFormat::Png);
    let concerns = preprocessing.admit_bytes(&wide, Path::new("wide"), gate).unwrap().concerns;
    assert_eq!(concerns, [Concern::Constant], "one side is large enough: nothing is enlarged");
}

#[test]
fn no_identifier_reaches_a_message() {
    let file = ramp_file().text(BODY_PART, "CS", "HIP").text(MODALITY, "CS", "OT");
    let gate = Gate::default();
    let told = Preprocessing::grey(32, 32).admit_bytes(&file.build(), Path::new("x"), gate).expect_err("refused");
    let bytes = file.build();
    let mut all = vec![format!("{told} {told:?}")];
    for cut in (200..bytes.len()).step_by(7) {
        if let Err(error) = decode(&bytes[..cut], Path::new("x"), 1, &Limits::default()) {
            all.push(format!("{error} {error:?}"));
        }
    }
    for secret in ["Secret", "Patient", "PID-"] {
        assert!(all.iter().all(|message| !message.contains(secret)), "{secret}");
    }
}

#[test]
fn truncated_files_are_errors_at_every_length() {
    for file in [ramp_file(), ramp_file().syntax(DEFLATED), ramp_file().encapsulated(RLE, &[rle(&ramp())])] {
        let whole = file.build();
        for cut in (132..whole.len()).step_by(41).chain(whole.len() - 8..whole.len()) {
            let outcome = decode(&whole[..cut], Path::new("test"), 1, &Limits::default());
            assert!(matches!(outcome, Err(ImageError::Damaged { .. } | ImageError::NoPicture { .. })), "{cut}");
        }
    }
}

#[test]
fn lengths_and_depth_are_checked_before_the_parser() {
    let huge = raw(&claiming((0x0008, 0x0060), *b"UN", 0xFFFF_FFF0, &[0; 300]));
    assert!(error(&huge).contains("claims 4294967280 bytes where 300 are left"), "{}", error(&huge));
    let pixels = raw(&claiming((0x7FE0, 0x0010), *b"OW", 0xFFFF_FFF0, &[0; 300]));
    assert!(error(&pixels).contains("claims 4294967280 bytes"), "{}", error(&pixels));
    assert!(error(&nested(100_000)).contains("nested more than 16 deep"));
    // Within a sequence that is kept, and as unknown values, which hide sequences.
    let view = claiming((0x0054, 0x0220), *b"SQ", u32::MAX, &[0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    assert!(error(&raw(&view.repeat(100_000))).contains("nested more than 16 deep"));
    let unknown = claiming((0x0009, 0x1001), *b"UN", u32::MAX, &[]);
    let item = [0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF];
    let inner = [&item[..], &[0x09, 0x00, 0x01, 0x10, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    assert!(error(&raw(&[unknown, inner.repeat(1000)].concat())).contains("nested more than 16 deep"));
}

#[test]
fn frames_beyond_all_measure_are_refused_before_they_are_decoded() {
    let vast = ramp_file().number(ROWS, 65_535).number(COLUMNS, 65_535);
    for file in [vast.clone(), vast.encapsulated(RLE, &[rle(&ramp())])] {
        let message = error(&file.build());
        assert!(message.contains("too large: found 65535×65535"), "{message}");
    }
    // A small picture whose codestream claims to be vast.
    let mut jpeg = super::super::samples::encode(&image::GrayImage::new(64, 64).into(), image::ImageFormat::Jpeg);
    let sof = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xFF; 4]);
    let message = error(&ramp_file().encapsulated("1.2.840.10008.1.2.4.50", &[jpeg]).build());
    assert!(message.contains("65535×65535 pixels") && message.contains("64×64"), "{message}");
    // 140 MB of zeros, deflated to 140 kB.
    let zeros = DicomFile::grey(64, 64, 12, &vec![0; 70_000_000]).syntax(DEFLATED);
    assert!(error(&zeros.build()).contains("inflates to more than"));
}

#[test]
fn other_things_in_a_dicom_file_are_named() {
    let jpeg_xl = ramp_file().encapsulated("1.2.840.10008.1.2.4.110", &[vec![0xFF, 0x0A]]);
    assert!(error(&jpeg_xl.build()).contains("JPEG XL"), "{}", error(&jpeg_xl.build()));
    assert!(error(&ramp_file().encapsulated("1.2.3.4", &[vec![0; 8]]).build()).contains("transfer syntax 1.2.3.4"));
    assert!(error(&ramp_file().text(PHOTOMETRIC, "CS", "PALETTE COLOR").build()).contains("PALETTE COLOR"));
    assert!(error(&ramp_file().without((0x7FE0, 0x0010)).build()).contains("without pixel data"));
    assert!(error(&ramp_file().number(BITS_ALLOCATED, 32).build()).contains("8 or 16 bits"));
    for (start, kind) in [(&b"MZ\x90"[..], "Windows program"), (b"\x89PNG", "PNG image"), (b"#!/bin/sh", "script")] {
        assert!(error(&ramp_file().preamble(start).build()).contains(kind), "{kind}");
    }
    // What a TIFF reader sees there is what the standard made the preamble for.
    assert_eq!(grey(&ramp_file().preamble(b"II\x2a\0")), grey(&ramp_file()));
}

#[test]
fn the_manifest_names_the_rendering_and_old_ones_need_not() {
    let new = serde_json::to_string(&Preprocessing::grey(8, 8)).unwrap();
    assert!(new.contains(r#""dicom":"voi-or-percentile-1""#), "{new}");
    let old = r#"{"width":8,"height":8,"channels":1,"fit":"letterbox","filter":"bilinear"}"#;
    let old: Preprocessing = serde_json::from_str(old).unwrap();
    assert_eq!((old.dicom, old.fit), (None, Fit::Letterbox));
    assert!(serde_json::from_str::<Preprocessing>(&new.replace("percentile-1", "percentile-2")).is_err());
    assert_eq!(Preprocessing::grey(8, 8).dicom, Some(DicomRendering::VoiOrPercentile1));
    // The file's pixels are the same by either.
    let bytes = ramp_file().build();
    let path = Path::new("x");
    assert_eq!(old.from_bytes(&bytes, path).unwrap(), Preprocessing::grey(8, 8).from_bytes(&bytes, path).unwrap());
}
