//! What a file that cannot be read here looks like, for an error message. Quotes no content: it may name a patient.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Beginnings of files, and what they are.
const BEGINNINGS: [(&[u8], &str); 26] = [
    (b"%PDF", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"II\x2b\0", "a BigTIFF image"),
    (b"MM\0\x2b", "a BigTIFF image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"II\xbc", "a JPEG XR image"),
    (b"8BPS", "a Photoshop image"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"qoif", "a QOI image"),
    (b"DDS ", "a DDS image"),
    (b"\0\0\x01\0", "an icon"),
    (b"PF\n", "a PFM image"),
    (b"Pf\n", "a PFM image"),
    (b"NRRD000", "an NRRD volume"),
    (b"\x5c\x01\0\0", "a NIfTI volume"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Unix program"),
];

/// Brands of the ISO base media file format (ISO/IEC 23008-12 and AV1 in it), and what they are.
const BRANDS: [(&[u8; 4], &str); 11] = [
    (b"avif", "an AVIF image"),
    (b"avis", "an AVIF image"),
    (b"heic", "a HEIC image"),
    (b"heix", "a HEIC image"),
    (b"heim", "a HEIC image"),
    (b"heis", "a HEIC image"),
    (b"hevc", "a HEIC image"),
    (b"hevx", "a HEIC image"),
    (b"jxl ", "a JPEG XL image"),
    (b"mif1", "a HEIF image"),
    (b"msf1", "a HEIF image"),
];

/// In a few words, behind "found".
pub(super) fn describe(bytes: &[u8]) -> String {
    if let Some((_, kind)) = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*kind).to_owned();
    }
    if let Some(kind) = media(bytes) {
        return kind.to_owned();
    }
    if is_text(bytes) {
        return "text".to_owned();
    }
    let start: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("bytes that start with {}", start.join(" "))
}

/// What a file of the ISO base media format is by its brands: the major one, else a compatible one.
fn media(bytes: &[u8]) -> Option<&'static str> {
    let (&[_, _, s0, s1, b'f', b't', b'y', b'p'], rest) = bytes.split_first_chunk::<8>()? else { return None };
    let brands = rest.get(..usize::from(u16::from_be_bytes([s0, s1])).saturating_sub(8)).unwrap_or(rest);
    let mut brands = brands.as_chunks::<4>().0.iter();
    let known = |brand: &[u8; 4]| BRANDS.iter().find(|(name, _)| *name == brand).map(|(_, kind)| *kind);
    // The generic brands say less than those that follow.
    let found: Vec<_> = brands.by_ref().filter_map(known).collect();
    let telling = found.iter().find(|kind| !kind.contains("HEIF")).or(found.first());
    Some(telling.copied().unwrap_or("a video or an image of the ISO media format"))
}

/// Whether the start of the content is UTF-8 text without control characters.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.get(..512).unwrap_or(bytes);
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character may be cut at the end of the look.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            start.get(..error.valid_up_to()).and_then(|whole| std::str::from_utf8(whole).ok()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_cannot_be_read_are_named_as_what_they_are() {
        let media = |major: &str, compatible: &str| {
            let brands = format!("{major}\0\0\0\0{compatible}");
            [&[0, 0, 0, 8 + brands.len() as u8], &b"ftyp"[..], brands.as_bytes(), &[0; 40]].concat()
        };
        for (bytes, what) in [
            (b"II\x2b\0\x08\0\0\0".to_vec(), "BigTIFF"),
            (b"MM\0\x2b\0\x08".to_vec(), "BigTIFF"),
            (b"\xff\x0a\x41\x12".to_vec(), "JPEG XL"),
            (b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a".to_vec(), "JPEG XL"),
            (media("heic", "mif1heic"), "HEIC"),
            (media("mif1", "mif1heic"), "HEIC"),
            (media("mif1", "mif1avif"), "AVIF"),
            (media("avif", "mif1miaf"), "AVIF"),
            (media("mif1", "mif1"), "HEIF"),
            (media("mp42", "isom"), "video"),
            (b"plain words".to_vec(), "text"),
            (b"\x01\x02\x03\x04\x05".to_vec(), "bytes that start with 01 02 03 04"),
        ] {
            assert!(describe(&bytes).contains(what), "{what}: {}", describe(&bytes));
        }
    }
}
