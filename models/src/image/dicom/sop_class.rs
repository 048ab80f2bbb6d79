//! DICOM files without a picture: reports, directories, settings of viewers. They are no damaged images.

use dicom_dictionary_std::tags;

use super::super::decode::Failure;
use super::elements::Elements;
use super::scan::{self, Identity};

/// Modalities of what is no picture (PS3.3, C.7.3.1.1.1).
const WITHOUT_PICTURE: [&str; 17] = [
    "SR", "PR", "KO", "ECG", "EPS", "HD", "RESP", "AU", "DOC", "PLAN", "RTPLAN", "RTSTRUCT", "RTRECORD", "REG", "FID",
    "RWV", "SMR",
];

/// Whether the head of a DICOM file (see [`HEAD`](super::HEAD)) leaves room for a picture: whether neither its SOP class nor its
/// modality is one that has none.
pub(in crate::image) fn holds_picture(head: &[u8]) -> bool {
    let Identity { classes, modality } = scan::identity(head);
    classes.iter().all(|class| kind(class).is_none())
        && modality.is_none_or(|modality| !WITHOUT_PICTURE.contains(&modality.as_str()))
}

/// Why nothing can be shown of a file without pixel data.
pub(super) fn without_pixels(elements: &Elements) -> Failure {
    let characters = elements.characters();
    let class = elements.code(tags::SOP_CLASS_UID, &characters).unwrap_or_default();
    match kind(&class) {
        Some(kind) => Failure::NoPicture(kind.to_owned()),
        None => Failure::NoPicture("a DICOM file without pixel data".to_owned()),
    }
}

/// What a SOP class without pixels is (PS3.4, B.5 and I.4), where it is one.
fn kind(class: &str) -> Option<&'static str> {
    const STORAGE: &str = "1.2.840.10008.5.1.4.1.1.";
    if class == "1.2.840.10008.1.3.10" {
        return Some("a DICOM directory (DICOMDIR)");
    }
    let Some(numbers) = class.strip_prefix(STORAGE) else {
        // Palettes, hanging protocols, templates of implants, definitions of protocols.
        return class.starts_with("1.2.840.10008.5.1.4.").then_some("settings of a viewer or a template");
    };
    let (first, second) = numbers.split_once('.').unwrap_or((numbers, ""));
    Some(match (first, second) {
        ("88", "59") => "a key object selection",
        ("88", _) => "a structured report",
        ("11", _) => "a presentation state",
        ("9", _) => "a waveform",
        ("104", _) => "an encapsulated document",
        // Segmentations have pixels, as images and doses of radiotherapy have.
        ("66", "4" | "7") | ("481", "1" | "2") => return None,
        ("66" | "67", _) => "raw data or a registration",
        ("481", _) => "a radiotherapy plan, structure set or record",
        ("68" | "78" | "79" | "80" | "90" | "131" | "200" | "201" | "202", _) => "measurements or a protocol",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_pixels_are_told_from_images() {
        for (class, what) in [
            ("1.2.840.10008.1.3.10", "directory"),
            ("1.2.840.10008.5.1.4.1.1.88.11", "structured report"),
            ("1.2.840.10008.5.1.4.1.1.88.59", "key object"),
            ("1.2.840.10008.5.1.4.1.1.11.1", "presentation state"),
            ("1.2.840.10008.5.1.4.1.1.9.1.1", "waveform"),
            ("1.2.840.10008.5.1.4.1.1.104.1", "document"),
            ("1.2.840.10008.5.1.4.1.1.481.5", "radiotherapy"),
            ("1.2.840.10008.5.1.4.39.1", "settings of a viewer"),
        ] {
            assert!(kind(class).is_some_and(|kind| kind.contains(what)), "{class}");
        }
        // CR, DX for presentation, secondary capture, segmentation, RT image and dose.
        for class in ["1", "1.1", "7", "66.4", "481.1", "481.2", "2"] {
            assert_eq!(kind(&format!("1.2.840.10008.5.1.4.1.1.{class}")), None, "{class}");
        }
    }
}
