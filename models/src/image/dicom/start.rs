//! Where a DICOM file begins.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::scan::is_representation;

const PREAMBLE: usize = 128;
const MAGIC: &[u8] = b"DICM";

/// Bytes that tell whether a file is DICOM, and of which kind.
pub(in crate::image) const HEAD: usize = 4096;

/// Where the first element stands, and the preamble before it; `None` where this is no DICOM file.
///
/// A file begins with 128 bytes of preamble and `DICM` (PS3.10, 7.1). Old software leaves out one or both, or the whole
/// file meta information: such a file begins with an element of group 0002 or 0008.
pub(super) fn find(file: &[u8]) -> Option<(usize, &[u8])> {
    if let Some((preamble, rest)) = file.split_at_checked(PREAMBLE)
        && rest.starts_with(MAGIC)
    {
        return Some((PREAMBLE.saturating_add(MAGIC.len()), preamble));
    }
    if let Some(rest) = file.strip_prefix(MAGIC)
        && begins_with_element(rest)
    {
        return Some((MAGIC.len(), &[]));
    }
    begins_with_element(file).then_some((0, &[]))
}

/// Whether the bytes begin with an element that may be a file's first one: of group 0002 or 0008, in either byte order,
/// and not as long as no first element is.
fn begins_with_element(bytes: &[u8]) -> bool {
    const LONGEST: u32 = 256;
    let Some(&[g0, g1, e0, e1, v0, v1, l0, l1]) = bytes.first_chunk() else { return false };
    let (little, big) = (u16::from_le_bytes([g0, g1]), u16::from_be_bytes([g0, g1]));
    let element = match (little, big) {
        (0x0002 | 0x0008, _) => u16::from_le_bytes([e0, e1]),
        (_, 0x0002 | 0x0008) => u16::from_be_bytes([e0, e1]),
        _ => return false,
    };
    let length = u16::from_le_bytes([l0, l1]).min(u16::from_be_bytes([l0, l1]));
    let explicit = is_representation([v0, v1]) && u32::from(length) <= LONGEST;
    // Without a name for its representation an element could be anything: only group length, version, character set, image
    // type, dates, UIDs and Modality are believed.
    let implicit =
        matches!(little, 0x0002 | 0x0008) && element <= 0x0060 && u32::from_le_bytes([v0, v1, l0, l1]) <= LONGEST;
    explicit || implicit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_after_its_preamble_or_at_once() {
        let with_preamble = [&[0; 128][..], b"DICM\x02\0\0\0UL\x04\0"].concat();
        assert_eq!(find(&with_preamble).map(|(at, preamble)| (at, preamble.len())), Some((132, 128)));
        let begins = |bytes: &[u8]| find(bytes).map(|(at, _)| at);
        assert_eq!(begins(b"DICM\x02\0\0\0UL\x04\0"), Some(4));
        assert_eq!(begins(b"\x02\0\0\0UL\x04\0"), Some(0));
        assert_eq!(begins(b"\x08\0\x05\0CS\x0a\0"), Some(0));
        assert_eq!(begins(b"\x08\0\x60\0CS\x02\0"), Some(0));
        assert_eq!(begins(b"\x08\0\x05\0\x0a\0\0\0"), Some(0));
        assert_eq!(begins(b"\0\x08\0\x05CS\0\x0a"), Some(0));
        for other in
            [&b"\x08\0\x05\0\xFF\xFF\xFF\x7F"[..], b"\x08\0\x61\0\x02\0\0\0", b"\x08\0\x05\0", b"GIF89a..", b""]
        {
            assert_eq!(begins(other), None, "{other:?}");
        }
    }
}
