//! Files that say one thing and mean another: look-up tables, signs, encodings, views. After the bug reports of DICOM
//! libraries and viewers.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::{
    Concern, Gate, GateMode, ImageError, Limits, Preprocessing, Raster, Views, decode, decode_picture, is_image_file,
};
use super::samples::{
    BIG_ENDIAN, BITS_STORED, BODY_PART, DicomFile, EXPLICIT, HIGH_BIT, IMPLICIT, INTERCEPT, Item, MODALITY,
    MODALITY_LUT, PHOTOMETRIC, SIGNED, SLOPE, VIEW_POSITION, VOI_LUT, Value, WINDOW_CENTER, WINDOW_WIDTH,
};

const CHARACTERS: (u16, u16) = (0x0008, 0x0005);
const REGION: (u16, u16) = (0x0008, 0x2218);
const VIEW_CODE: (u16, u16) = (0x0054, 0x0220);
const MEANING: (u16, u16) = (0x0008, 0x0104);
const CODE: (u16, u16) = (0x0008, 0x0100);

/// A smooth picture of 64 × 64 with values of `bits` bits, from black to white.
fn shades(bits: u32) -> Vec<u16> {
    (0..4096u32).map(|at| ((at * 37 % 4096) >> (12 - bits)) as u16).collect()
}

fn rendered(bytes: &[u8]) -> (Raster, Vec<Concern>) {
    let picture = decode_picture(bytes, Path::new("test"), 1, &Limits::default()).unwrap_or_else(|e| panic!("{e}"));
    (picture.raster, picture.concerns)
}

fn codes(concerns: &[Concern]) -> Vec<&str> {
    concerns.iter().map(Concern::code).collect()
}

/// How far two pictures are apart, in levels of 255.
fn apart(one: &Raster, other: &Raster) -> u16 {
    one.samples().iter().zip(other.samples()).map(|(a, b)| a.abs_diff(*b)).max().unwrap().div_ceil(257)
}

fn strictly(file: &[u8]) -> Result<Vec<Concern>, ImageError> {
    let gate = Gate { mode: GateMode::Strict, views: Views::Frontal };
    Preprocessing::grey(32, 32).admit_bytes(file, Path::new("test"), gate).map(|admitted| admitted.concerns)
}

/// A file of `bits` bits whose VOI LUT is the plain scale to the same bits.
fn with_table(bits: u16, descriptor: [u16; 3], data_vr: &str, data: Vec<u8>) -> DicomFile {
    DicomFile::grey(64, 64, bits, &shades(bits.into())).lut_as(VOI_LUT, "US", descriptor, data_vr, data)
}

fn words(entries: impl IntoIterator<Item = u16>) -> Vec<u8> {
    entries.into_iter().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn white_is_what_a_table_holds_and_not_what_its_descriptor_promises() {
    let base = rendered(&with_table(12, [4096, 0, 12], "OW", words(0..4096)).build());
    assert_eq!(codes(&base.1), Vec::<&str>::new());
    for said in [8, 10, 11, 13, 14, 16] {
        let (picture, concerns) = rendered(&with_table(12, [4096, 0, said], "OW", words(0..4096)).build());
        assert!(apart(&picture, &base.0) <= 1, "{said} bits said");
        assert_eq!(concerns, [Concern::LutDepth { said: said.into(), found: 12 }]);
    }
    // 10-bit values to 8-bit entries under a descriptor of 16 bits, as a hospital's workstation wrote them.
    let file = with_table(10, [1024, 0, 16], "OW", words((0..1024).map(|value| value >> 2)));
    let (picture, concerns) = rendered(&file.build());
    assert_eq!(picture.samples().iter().max(), Some(&u16::MAX));
    assert_eq!(concerns, [Concern::LutDepth { said: 16, found: 8 }]);
    // What is told here is no reason to refuse: the picture is certain.
    assert_eq!(codes(&strictly(&file.build()).unwrap()), ["lut-depth"]);
}

#[test]
fn a_short_table_goes_on_with_its_last_entry() {
    let whole = rendered(&with_table(12, [4096, 0, 12], "OW", words(0..4096)).build()).0;
    for (missing, percent) in [(1, 1), (40, 1), (2000, 49)] {
        let file = with_table(12, [4096, 0, 12], "OW", words(0..4096 - missing)).build();
        let (picture, concerns) = rendered(&file);
        assert_eq!(
            concerns.last(),
            Some(&Concern::LutShort { said: 4096, found: 4096 - usize::from(missing), percent })
        );
        let kept = picture.samples().iter().zip(whole.samples()).zip(shades(12)).filter(|(_, v)| *v < 4096 - missing);
        // White moves with the depth of the entries that are there.
        assert!(missing > 40 || kept.clone().all(|((a, b), _)| a.abs_diff(*b) <= 257), "{missing} missing");
        assert_eq!(strictly(&file).is_err(), percent > 5, "{missing} missing");
    }
    // A descriptor of more entries than there are values misses nothing.
    let (picture, concerns) = rendered(&with_table(10, [0, 0, 10], "OW", words(0..1024)).build());
    assert_eq!(concerns, [Concern::LutShort { said: 65_536, found: 1024, percent: 0 }]);
    assert_eq!(picture.samples().iter().max(), Some(&u16::MAX));
}

#[test]
fn entries_are_bytes_only_where_bytes_fit() {
    let base = rendered(&with_table(8, [256, 0, 8], "OW", words(0..256)).build()).0;
    let bytes: Vec<u8> = (0..=255).collect();
    for vr in ["OW", "OB"] {
        for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
            let file = with_table(8, [256, 0, 8], vr, bytes.clone()).syntax(syntax);
            assert_eq!(rendered(&file.build()), (base.clone(), vec![]), "{vr} {syntax}");
        }
    }
    // Fewer bytes than entries: they are bytes still, for as words they would go beyond 8 bits.
    let (picture, concerns) = rendered(&with_table(8, [256, 0, 8], "OW", bytes[..254].to_vec()).build());
    assert_eq!(codes(&concerns), ["lut-short"]);
    assert!(apart(&picture, &base) <= 2);
    // An odd number of bytes is padded.
    let odd = with_table(8, [255, 0, 8], "OB", bytes[..255].to_vec());
    assert!(apart(&rendered(&odd.build()).0, &base) <= 1);
}

#[test]
fn a_table_that_cannot_be_read_is_done_without() {
    let windowed = |file: DicomFile| file.text(WINDOW_CENTER, "DS", "2048").text(WINDOW_WIDTH, "DS", "4096");
    let plain = DicomFile::grey(64, 64, 12, &shades(12));
    let base = rendered(&windowed(plain.clone()).build()).0;
    let descriptor = ((0x0028, 0x3002), (*b"US", Value::Words(vec![4096, 0, 12])));
    for item in [
        Item::new(),
        BTreeMap::from([descriptor.clone()]),
        BTreeMap::from([(descriptor.0, (*b"US", Value::Words(vec![4096, 0])))]),
    ] {
        for (tag, name) in [(VOI_LUT, "VOI LUT"), (MODALITY_LUT, "Modality LUT")] {
            let (picture, concerns) = rendered(&windowed(plain.clone()).items(tag, vec![item.clone()]).build());
            assert_eq!((picture, concerns), (base.clone(), vec![Concern::Unreadable(name.to_owned())]));
        }
    }
}

#[test]
fn the_first_value_of_a_table_has_the_sign_that_is_said_or_that_meets_the_pixels() {
    // Values from 40,000 on, stored with a sign.
    let pixels: Vec<u16> = shades(12).iter().map(|value| (i32::from(*value) - 2048) as i16 as u16 & 0x0FFF).collect();
    let signed = DicomFile::grey(64, 64, 12, &pixels).number(SIGNED, 1);
    let base = rendered(&with_table(12, [4096, 0, 12], "OW", words(0..4096)).build()).0;
    let table = |file: &DicomFile, vr: &str, first: u16| {
        file.clone().lut_as(VOI_LUT, vr, [4096, first, 12], "OW", words(0..4096))
    };
    let high = signed.clone().text(SLOPE, "DS", "1").text(INTERCEPT, "DS", "42048");
    for (vr, syntax) in [("US", EXPLICIT), ("SS", EXPLICIT), ("US", IMPLICIT)] {
        assert_eq!(rendered(&table(&high, vr, 40_000).syntax(syntax).build()), (base.clone(), vec![]), "{vr} {syntax}");
    }
    // From −2048 on: SS, or in implicit files what the pixels are.
    for (vr, syntax) in [("SS", EXPLICIT), ("US", IMPLICIT)] {
        let file = table(&signed, vr, (-2048i16) as u16).syntax(syntax);
        assert_eq!(rendered(&file.build()), (base.clone(), vec![]), "{vr} {syntax}");
    }
    // The same, wrongly called US: it would meet no pixel.
    assert_eq!(rendered(&table(&signed, "US", (-2048i16) as u16).build()), (base, vec![Concern::LutSign]));
}

#[test]
fn a_modality_table_is_looked_up_by_stored_values() {
    let file =
        DicomFile::grey(64, 64, 12, &shades(12)).text(WINDOW_CENTER, "DS", "2048").text(WINDOW_WIDTH, "DS", "4096");
    let base = rendered(&file.build()).0;
    let with = |bits| file.clone().lut_as(MODALITY_LUT, "US", [4096, 0, bits], "OW", words(0..4096));
    // Its depth is room and no white: nothing is to be told.
    for bits in [8, 12, 16] {
        assert_eq!(rendered(&with(bits).build()), (base.clone(), vec![]), "{bits}");
    }
}

#[test]
fn signs_lie_in_the_highest_stored_bit_whatever_the_codestream_has() {
    let values: Vec<i16> = shades(12).iter().map(|&value| value as i16 - 2048).collect();
    let masked: Vec<u16> = values.iter().map(|&value| value as u16 & 0x0FFF).collect();
    let window =
        |file: DicomFile| file.text(WINDOW_CENTER, "DS", "0").text(WINDOW_WIDTH, "DS", "4096").number(SIGNED, 1);
    let base = rendered(&window(DicomFile::grey(64, 64, 12, &masked)).build()).0;
    for samples in [masked.clone(), values.iter().map(|&value| value as u16).collect()] {
        let mut stream = Vec::new();
        let mut options = jpegls::EncodeOptions::default();
        options.precision = Some(16);
        jpegls::encode_with_options(&samples, 64, 64, &options, &mut stream).unwrap();
        let file = window(DicomFile::grey(64, 64, 12, &masked)).encapsulated("1.2.840.10008.1.2.4.80", &[stream]);
        assert_eq!(rendered(&file.build()).0, base);
    }
}

#[test]
fn bytes_of_a_big_endian_file_lie_in_words() {
    let pixels: Vec<u8> = shades(8).iter().map(|&value| value as u8).collect();
    let file = DicomFile::grey(64, 64, 8, &[]).pixels_of_8_bits(&pixels);
    let base = rendered(&file.build()).0;
    let swapped: Vec<u8> = pixels.as_chunks::<2>().0.iter().flat_map(|&[a, b]| [b, a]).collect();
    let in_words = file.clone().bytes((0x7FE0, 0x0010), "OW", &swapped).syntax(BIG_ENDIAN);
    assert_eq!(rendered(&in_words.build()).0, base);
    assert_eq!(rendered(&file.syntax(BIG_ENDIAN).build()).0, base);
}

#[test]
fn a_file_is_read_by_how_it_is_written_and_the_oddity_told() {
    let file = DicomFile::grey(64, 64, 12, &shades(12)).text(CHARACTERS, "CS", "ISO_IR 100");
    let base = rendered(&file.build()).0;
    let (implicit, big) = (file.clone().syntax(IMPLICIT), file.clone().syntax(BIG_ENDIAN));
    let meta = |file: &DicomFile, syntax: &str| file.head(syntax)[132..].to_vec();
    for (name, bytes, oddity) in [
        ("no meta, implicit", implicit.data_set(), "no file meta information"),
        ("no meta, explicit", file.data_set(), "no file meta information"),
        ("no meta, big-endian", big.data_set(), "no file meta information"),
        ("no syntax, implicit", [implicit.head(""), implicit.data_set()].concat(), "no transfer syntax"),
        ("no syntax, explicit", [file.head(""), file.data_set()].concat(), "no transfer syntax"),
        ("implicit as explicit", [file.head(EXPLICIT), implicit.data_set()].concat(), "implicit by its elements"),
        ("explicit as implicit", [file.head(IMPLICIT), file.data_set()].concat(), "explicit by its elements"),
        ("big as little", [file.head(EXPLICIT), big.data_set()].concat(), "byte order"),
        ("little as big", [file.head(BIG_ENDIAN), file.data_set()].concat(), "byte order"),
    ] {
        let (picture, concerns) = rendered(&bytes);
        assert_eq!(picture, base, "{name}");
        let [Concern::Encoding(how)] = &concerns[..] else { panic!("{name}: {concerns:?}") };
        assert!(how.contains(oddity), "{name}: {how}");
        assert!(strictly(&bytes).is_ok(), "{name}");
    }
    // Without a preamble, with or without its magic.
    for start in [&b""[..], b"DICM"] {
        assert_eq!(rendered(&[start, &meta(&file, EXPLICIT), &file.data_set()].concat()), (base.clone(), vec![]));
    }
}

#[test]
fn implicit_items_and_representations_in_lower_case_are_read() {
    let file = DicomFile::grey(64, 64, 12, &shades(12)).lut(VOI_LUT, 0, 12, &(0..4096).collect::<Vec<_>>());
    let base = rendered(&file.build()).0;
    // The sequence's element explicit, its items implicit: of defined length here.
    let (explicit, implicit) = (file.data_set(), file.clone().syntax(IMPLICIT).data_set());
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what).unwrap();
    let tag = [0x28, 0, 0x10, 0x30];
    let (at, from) = (find(&explicit, &tag), find(&implicit, &tag));
    let items = &implicit[from + 8..find(&implicit, &[0xE0, 0x7F, 0x10, 0])];
    let pixels = find(&explicit, &[0xE0, 0x7F, 0x10, 0]);
    let length = (items.len() as u32).to_le_bytes();
    let mixed = [&file.head(EXPLICIT), &explicit[..at], &tag, b"SQ\0\0", &length, items, &explicit[pixels..]].concat();
    let (picture, concerns) = rendered(&mixed);
    assert_eq!((picture, codes(&concerns)), (base.clone(), vec!["encoding"]));
    // Every representation in lower case.
    let mut lower = explicit.clone();
    for vr in [&b"CS"[..], b"US", b"OW", b"SQ", b"PN", b"LO"] {
        let places: Vec<_> = (0..pixels + 8).filter(|&place| lower[place..].starts_with(vr)).collect();
        for place in places {
            lower[place..place + 2].make_ascii_lowercase();
        }
    }
    let (picture, concerns) = rendered(&[file.head(EXPLICIT), lower].concat());
    assert_eq!((picture, codes(&concerns)), (base, vec!["encoding"]));
}

#[test]
fn sequences_that_hold_more_than_they_should_are_walked_over() {
    let file = DicomFile::grey(64, 64, 12, &shades(12));
    let base = rendered(&file.build()).0;
    let (head, rest) = (file.head(EXPLICIT), file.data_set());
    let delimiter = |element: u16| [&[0xFE, 0xFF], &element.to_le_bytes()[..], &[0; 4]].concat();
    let private = |vr: &[u8; 2], length: u32, content: &[u8]| {
        [&[0x07, 0, 0x01, 0x10], &vr[..], &[0, 0], &length.to_le_bytes(), content].concat()
    };
    let element = [&[0x07, 0, 0x02, 0x10][..], b"LO\x04\0text"].concat();
    let item = [&[0xFE, 0xFF, 0x00, 0xE0], &(element.len() as u32).to_le_bytes()[..], &element].concat();
    let closed = [&item[..], &delimiter(0xE00D)].concat();
    for (name, sequence) in [
        ("a delimiter too many", private(b"SQ", u32::MAX, &[&closed[..], &delimiter(0xE0DD)].concat())),
        ("explicit items of an unknown value", private(b"UN", u32::MAX, &[&item[..], &delimiter(0xE0DD)].concat())),
    ] {
        let (picture, concerns) = rendered(&[&head[..], &sequence, &rest].concat());
        assert_eq!((picture, concerns), (base.clone(), vec![]), "{name}");
    }
}

#[test]
fn an_unknown_transfer_syntax_is_named_whatever_it_makes_of_the_elements() {
    // GE's private one: big-endian pixels in an implicit little-endian file.
    let file = DicomFile::grey(64, 64, 12, &shades(12)).syntax(IMPLICIT);
    let bytes = [file.head("1.2.840.113619.5.2"), file.data_set()].concat();
    let error = decode(&bytes, Path::new("test"), 1, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("cannot be read here: transfer syntax 1.2.840.113619.5.2"), "{error}");
}

#[test]
fn a_number_that_cannot_be_read_is_done_without_and_told() {
    let file = DicomFile::grey(64, 64, 12, &shades(12));
    let base = rendered(&file.build()).0;
    for (tag, name) in [
        (WINDOW_CENTER, "Window Center"),
        (WINDOW_WIDTH, "Window Width"),
        (SLOPE, "Rescale Slope"),
        (INTERCEPT, "Rescale Intercept"),
    ] {
        // A function that the standard does not have is as good as a number that is none.
        let function = file.clone().text((0x0028, 0x1056), "CS", "CUBIC").build();
        assert_eq!(rendered(&function), (base.clone(), vec![Concern::Unreadable("VOI LUT Function".to_owned())]));
        for value in ["1,5", "wide", "NaN", "1e999"] {
            let file = file.clone().text(WINDOW_WIDTH, "DS", "").text(tag, "DS", value).build();
            assert_eq!(rendered(&file), (base.clone(), vec![Concern::Unreadable(name.to_owned())]), "{name} {value}");
            // As a window without width.
            assert!(matches!(strictly(&file), Err(ImageError::Refused { .. })));
        }
    }
}

#[test]
fn files_without_a_picture_are_named_and_no_images() {
    let folder = tempfile::tempdir().unwrap();
    for (class, what) in [
        ("1.2.840.10008.1.3.10", "a DICOM directory"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "a structured report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "a key object selection"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "a presentation state"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "a waveform"),
    ] {
        let file =
            DicomFile::empty().class(class).text((0x0008, 0x0016), "UI", class).text(MODALITY, "CS", "OT").build();
        let error = decode(&file, Path::new("test"), 1, &Limits::default()).unwrap_err();
        assert!(matches!(&error, ImageError::NoPicture { found, .. } if found.contains(what)), "{error}");
        for name in ["DICOMDIR", "report.dcm"] {
            let path = folder.path().join(name);
            std::fs::write(&path, &file).unwrap();
            assert!(!is_image_file(&path), "{name} {class}");
        }
    }
    // Files that were made of an image: the data set alone, or nothing but the modality, says what they are.
    let report = ((0x0008, 0x0016), "1.2.840.10008.5.1.4.1.1.88.11", (0x0008, 0x0070), "CR");
    let settings = ((0x0008, 0x0070), "maker", MODALITY, "PR");
    for (first, value, second, other) in [report, settings] {
        for syntax in [EXPLICIT, IMPLICIT, BIG_ENDIAN] {
            let file = DicomFile::empty().text(first, "UI", value).text(second, "CS", other).syntax(syntax);
            std::fs::write(folder.path().join("made"), file.build()).unwrap();
            assert!(!is_image_file(&folder.path().join("made")), "{value} {syntax}");
        }
    }
    // A directory whose file meta information does not say so.
    let records = DicomFile::empty().class("").items((0x0004, 0x1220), vec![Item::new()]);
    std::fs::write(folder.path().join("DICOMDIR"), records.build()).unwrap();
    assert!(!is_image_file(&folder.path().join("DICOMDIR")));
    // An image without pixels is an image, and fails as one; one without file meta information is found by its elements.
    let file = DicomFile::grey(64, 64, 12, &shades(12));
    for (name, bytes) in
        [("IM1", file.clone().without((0x7FE0, 0x0010)).build()), ("IM2", file.data_set()), ("IM3", file.build())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert!(is_image_file(&path), "{name}");
    }
    std::fs::write(folder.path().join("notes"), "no image").unwrap();
    assert!(!is_image_file(&folder.path().join("notes")));
}

#[test]
fn the_gate_reads_views_parts_and_modalities_as_people_write_them() {
    let file = DicomFile::grey(64, 64, 12, &shades(12));
    let told = |file: DicomFile| codes(&rendered(&file.build()).1).join(" ");
    let meaning = |tag, text: &str| vec![Item::from([(tag, (*b"LO", Value::Text(text.to_owned())))])];
    for view in ["LAO", "L LAT", "LAT_L", "LAT-R", "RPO", "LL", "PA\\LL", "PROFIL"] {
        assert_eq!(told(file.clone().text(VIEW_POSITION, "CS", view)), "lateral-view", "{view}");
    }
    for view in ["PA", "AP", "LLD", "LEFT LATERAL DECUBITUS"] {
        assert_eq!(told(file.clone().text(VIEW_POSITION, "CS", view)), "", "{view}");
    }
    // A code counts beside an empty or a contradicting View Position.
    assert_eq!(told(file.clone().items(VIEW_CODE, meaning(MEANING, "left lateral"))), "lateral-view");
    assert_eq!(told(file.clone().items(VIEW_CODE, meaning(CODE, "399173006"))), "lateral-view");
    assert_eq!(told(file.clone().items(VIEW_CODE, meaning(MEANING, "postero-anterior"))), "");
    let utf8 = file.clone().text(CHARACTERS, "CS", "ISO_IR 192");
    assert_eq!(told(utf8.text(BODY_PART, "CS", "TÓRAX")), "");
    let latin = file.clone().text(CHARACTERS, "CS", "ISO_IR 100");
    assert_eq!(told(latin.bytes(BODY_PART, "CS", b"T\xD3RAX ")), "");
    assert_eq!(told(file.clone().without(BODY_PART).items(REGION, meaning(MEANING, "Hip joint"))), "body-part");
    assert_eq!(told(file.clone().without(BODY_PART).items(REGION, meaning(MEANING, "Chest"))), "");
    assert_eq!(told(file.clone().text(MODALITY, "CS", "RG")), "");
    assert_eq!(told(file.clone().text(MODALITY, "CS", "MG")), "modality");
    assert_eq!(told(file.text(PHOTOMETRIC, "CS", "MONOCHROME1").number(BITS_STORED, 12).number(HIGH_BIT, 11)), "");
}
