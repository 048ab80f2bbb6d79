//! From a file's bytes to the bytes of UTF-8 text.

use std::borrow::Cow;

/// What is written where a unit of UTF-16 has no partner: no UTF-8, so that the cell it stands in is named, and no other.
const NO_CHARACTER: u8 = 0xff;

/// What a file is that is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotText {
    /// In words: "an XLSX or other ZIP file".
    pub found: &'static str,
    /// How to get a text of it.
    pub hint: &'static str,
}

/// The text of a table: a byte order mark goes, UTF-16 (what spreadsheets call "Unicode text") becomes UTF-8.
///
/// Everything else is taken as it is. Whether a cell is UTF-8 is told cell by cell: bytes of Windows-1252 are not guessed
/// at, since a wrong guess makes another name or another word of them.
pub(super) fn as_utf8(bytes: Vec<u8>) -> Result<Vec<u8>, NotText> {
    const SAVE: &str = "save it as \"CSV UTF-8\"";
    let not = |found, hint| Err(NotText { found, hint });
    match &bytes[..] {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => not("UTF-32, expected UTF-8 or UTF-16", SAVE),
        [0xff, 0xfe, text @ ..] => Ok(from_utf16(text, u16::from_le_bytes)),
        [0xfe, 0xff, text @ ..] => Ok(from_utf16(text, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, text @ ..] => Ok(text.to_vec()),
        [b'P', b'K', 3, 4, ..] => not("an XLSX or other ZIP file, expected CSV", SAVE),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => not("an XLS file, expected CSV", SAVE),
        [0x1f, 0x8b, ..] => not("compressed with gzip, expected CSV", "unpack it with gunzip"),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => Ok(from_utf16(&bytes, u16::from_le_bytes)),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => Ok(from_utf16(&bytes, u16::from_be_bytes)),
        _ => Ok(bytes),
    }
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u8> {
    let mut pairs = bytes.chunks_exact(2);
    let units = pairs.by_ref().filter_map(|pair| Some(unit(pair.try_into().ok()?)));
    let mut text = Vec::with_capacity(bytes.len());
    for character in char::decode_utf16(units) {
        match character {
            Ok(character) => text.extend(character.encode_utf8(&mut [0; 4]).bytes()),
            Err(_) => text.push(NO_CHARACTER),
        }
    }
    // Half a unit: the file is cut off.
    if bytes.len() % 2 == 1 {
        text.push(NO_CHARACTER);
    }
    text
}

/// A name without what surrounds it: white space, quotes that a wrong writer left, byte order marks of files put together.
pub(super) fn bare_name(name: &[u8]) -> Cow<'_, str> {
    let around = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '\u{feff}' | '\u{200b}');
    match String::from_utf8_lossy(name) {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim_matches(around)),
        Cow::Owned(name) => Cow::Owned(name.trim_matches(around).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_form_of_unicode_text_is_one() {
        let text = "id\ttext\né\t胸部 𝄞\r\n";
        let marked = format!("\u{feff}{text}");
        for bytes in [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf16(&marked, u16::to_le_bytes),
            utf16(&marked, u16::to_be_bytes),
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
        ] {
            assert_eq!(as_utf8(bytes).map(|text| String::from_utf8(text).unwrap()), Ok(text.to_owned()));
        }
        assert_eq!(as_utf8(Vec::new()), Ok(Vec::new()));
        assert_eq!(as_utf8(vec![0xff, 0xfe]), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_character_spoils_its_own_cell_alone() {
        let mut bytes = utf16("\u{feff}a,", u16::to_le_bytes);
        bytes.extend([0x00, 0xd8]);
        bytes.extend(utf16(",b", u16::to_le_bytes));
        bytes.push(b'c');
        assert_eq!(as_utf8(bytes), Ok(b"a,\xff,b\xff".to_vec()));
        // Bytes of Windows-1252 stay what they are: the cell is named.
        assert_eq!(as_utf8(b"M\xfcller".to_vec()), Ok(b"M\xfcller".to_vec()));
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, found) in [
            (&b"PK\x03\x04\x14\0"[..], "XLSX"),
            (b"\xd0\xcf\x11\xe0\xa1", "XLS"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\xff\xfe\0\0i\0\0\0", "UTF-32"),
            (b"\0\0\xfe\xff\0\0\0i", "UTF-32"),
        ] {
            let NotText { found: told, hint } = as_utf8(bytes.to_vec()).unwrap_err();
            assert!(told.contains(found) && !hint.is_empty(), "{told}");
        }
    }
}
