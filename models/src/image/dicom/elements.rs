//! The elements that the walk over a file kept, and their values as text and numbers.
//!
//! Values come from a stranger's file: whatever is wrong with one gives none, never a panic.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec as _};

/// Longest text that is believed to be a code (CS has 16 characters).
const LONGEST_CODE: usize = 64;

/// A data set: elements by tag. Of several with one tag the last counts, as readers have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Elements(BTreeMap<Tag, Element>);

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// Value representation; `\0\0` where the file names none.
    pub vr: [u8; 2],
    /// Whether its numbers are big-endian.
    pub big_endian: bool,
    /// What it holds.
    pub value: Value,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A value as the file has it.
    Bytes(Vec<u8>),
    /// The items of a sequence.
    Items(Vec<Elements>),
}

impl Element {
    /// The bytes of a value that is no sequence.
    pub fn bytes(&self) -> &[u8] {
        match &self.value {
            Value::Bytes(bytes) => bytes,
            Value::Items(_) => &[],
        }
    }

    /// 16-bit words without sign, whatever the value representation; an odd byte at the end is dropped.
    pub fn words(&self) -> impl Iterator<Item = u16> {
        let pairs = self.bytes().as_chunks::<2>().0.iter();
        pairs.map(|&pair| if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    }

    /// Whole numbers by the value representation; where none is named, 16-bit words.
    fn integers(&self) -> Vec<i64> {
        let longs = self.bytes().as_chunks::<4>().0.iter();
        let long = |&four: &[u8; 4]| if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
        match &self.vr {
            b"UL" => longs.map(|four| i64::from(long(four))).collect(),
            b"SL" => longs.map(|four| i64::from(long(four).cast_signed())).collect(),
            b"SS" => self.words().map(|word| i64::from(word.cast_signed())).collect(),
            b"IS" | b"DS" | b"CS" | b"LO" | b"SH" => {
                let text = String::from_utf8_lossy(self.bytes());
                text.split('\\').map_while(|part| trimmed(part).parse().ok()).collect()
            }
            _ => self.words().map(i64::from).collect(),
        }
    }
}

/// A decimal string as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Decimal {
    /// Not there, or empty.
    None,
    Number(f64),
    /// Something else than a number.
    Unreadable,
}

impl Elements {
    pub fn insert(&mut self, tag: Tag, element: Element) {
        self.0.insert(tag, element);
    }

    pub fn get(&self, tag: Tag) -> Option<&Element> {
        self.0.get(&tag)
    }

    /// The items of a sequence; none where it is absent, or no sequence.
    pub fn items(&self, tag: Tag) -> &[Elements] {
        match self.get(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// All whole numbers of an element.
    pub fn integers(&self, tag: Tag) -> Vec<i64> {
        self.get(tag).map(Element::integers).unwrap_or_default()
    }

    /// The first number of an element, where it has 16 bits and no sign.
    pub fn number(&self, tag: Tag) -> Option<u16> {
        self.integers(tag).first().and_then(|&number| u16::try_from(number).ok())
    }

    /// The first value of a number that is written as text.
    pub fn decimal(&self, tag: Tag) -> Decimal {
        let Some(element) = self.get(tag) else { return Decimal::None };
        if matches!(&element.vr, b"FD" | b"FL") {
            return float(element).filter(|number| number.is_finite()).map_or(Decimal::Unreadable, Decimal::Number);
        }
        let text = String::from_utf8_lossy(element.bytes());
        let first = trimmed(text.split('\\').next().unwrap_or_default());
        match first.parse::<f64>() {
            _ if first.is_empty() => Decimal::None,
            Ok(number) if number.is_finite() => Decimal::Number(number),
            _ => Decimal::Unreadable,
        }
    }

    /// Every value of an element as a code: capitals, without what is no part of codes, in the file's character set.
    pub fn codes(&self, tag: Tag, characters: &Characters) -> Vec<String> {
        let Some(element) = self.get(tag) else { return Vec::new() };
        characters.decode(element.bytes()).split('\\').filter_map(code_of).collect()
    }

    /// The first of [`codes`](Self::codes).
    pub fn code(&self, tag: Tag, characters: &Characters) -> Option<String> {
        self.codes(tag, characters).into_iter().next()
    }

    /// The character set that the file names for its texts.
    pub fn characters(&self) -> Characters {
        let named = self.get(tags::SPECIFIC_CHARACTER_SET).map(|element| String::from_utf8_lossy(element.bytes()));
        // Of several sets the first, or where that is the default the second, is what most of a text is in.
        let set = named.as_deref().and_then(|sets| sets.split('\\').map(trimmed).find(|set| !set.is_empty()));
        Characters(set.and_then(SpecificCharacterSet::from_code))
    }
}

/// A character set (PS3.3, C.12.1.1.2).
pub(super) struct Characters(Option<SpecificCharacterSet>);

impl Characters {
    /// Codes should be ASCII, and writers put words there in the file's own set, or in UTF-8 without saying so.
    fn decode(&self, bytes: &[u8]) -> String {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return text.to_owned();
        }
        let named = self.0.as_ref().and_then(|set| set.decode(bytes).ok());
        named.unwrap_or_else(|| bytes.iter().map(|&byte| char::from(byte)).collect())
    }
}

fn float(element: &Element) -> Option<f64> {
    let bytes = element.bytes();
    Some(match (&element.vr, element.big_endian) {
        (b"FD", true) => f64::from_be_bytes(*bytes.first_chunk()?),
        (b"FD", false) => f64::from_le_bytes(*bytes.first_chunk()?),
        (_, true) => f32::from_be_bytes(*bytes.first_chunk()?).into(),
        (_, false) => f32::from_le_bytes(*bytes.first_chunk()?).into(),
    })
}

/// Without the padding of DICOM's texts.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace())
}

fn code_of(text: &str) -> Option<String> {
    let code: String = text
        .chars()
        .take(LONGEST_CODE)
        .filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/'))
        .collect::<String>()
        .trim()
        .to_uppercase();
    (!code.is_empty()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(vr: [u8; 2], bytes: &[u8]) -> Elements {
        let mut elements = Elements::default();
        let value = Value::Bytes(bytes.to_vec());
        elements.insert(tags::ROWS, Element { vr, big_endian: false, value });
        elements
    }

    #[test]
    fn numbers_are_read_by_what_they_are_written_as() {
        for (vr, bytes) in [
            (*b"US", &[7, 0][..]),
            (*b"UL", &[7, 0, 0, 0]),
            (*b"IS", b"7 "),
            (*b"DS", b" 7\\8 "),
            ([0; 2], &[7, 0, 9, 9]),
        ] {
            assert_eq!(holding(vr, bytes).number(tags::ROWS), Some(7), "{vr:?}");
        }
        assert_eq!(holding(*b"SS", &[0xFF, 0xFF]).number(tags::ROWS), None);
        assert_eq!(holding(*b"SS", &[0xFF, 0xFF]).integers(tags::ROWS), [-1]);
        assert_eq!(holding(*b"US", &[7]).number(tags::ROWS), None);
        assert_eq!(holding(*b"IS", b"seven").number(tags::ROWS), None);
    }

    #[test]
    fn a_decimal_is_a_number_nothing_or_unreadable() {
        let of = |vr, bytes: &[u8]| holding(vr, bytes).decimal(tags::ROWS);
        assert_eq!(of(*b"DS", b"1.5\\2 "), Decimal::Number(1.5));
        assert_eq!(of(*b"DS", b"  "), Decimal::None);
        for unreadable in [&b"1,5"[..], b"NaN", b"1e999", b"wide", b"\xFF"] {
            assert_eq!(of(*b"DS", unreadable), Decimal::Unreadable, "{unreadable:?}");
        }
        assert_eq!(of(*b"FD", &2.5f64.to_le_bytes()), Decimal::Number(2.5));
        assert_eq!(of(*b"FL", &[1]), Decimal::Unreadable);
        assert_eq!(Elements::default().decimal(tags::ROWS), Decimal::None);
    }

    #[test]
    fn codes_are_in_the_files_characters_or_in_utf_8() {
        let file = |set: &str, bytes: &[u8]| {
            let mut elements = holding(*b"CS", bytes);
            let value = Value::Bytes(set.as_bytes().to_vec());
            elements.insert(tags::SPECIFIC_CHARACTER_SET, Element { vr: *b"CS", big_endian: false, value });
            elements.codes(tags::ROWS, &elements.characters())
        };
        assert_eq!(file("ISO_IR 192", "tórax\\PA".as_bytes()), ["TÓRAX", "PA"]);
        assert_eq!(file("", "tórax".as_bytes()), ["TÓRAX"]);
        assert_eq!(file("ISO_IR 100", b"T\xD3RAX"), ["TÓRAX"]);
        assert_eq!(file("\\ISO 2022 IR 144", b"\xB3\xC0\xC3\xD4\xEC"), ["ГРУДЬ"]);
        assert_eq!(file("nonsense", b"T\xD3RAX"), ["TÓRAX"]);
    }
}
