//! The structural walk: what stands between an untrusted file and everything that reads values.
//!
//! A parser that believes lengths can be had: 488 bytes may claim an element of 4 GB, and nested sequences may recurse
//! until the stack ends, which no program survives. So every length is held against the bytes that are there, with a
//! limit on depth (PS3.5, chapter 7; PS3.10, chapter 7). Only the elements that rendering and the gate need ([`KEPT`])
//! are copied; the pixel data stays where it is. The patient's name and number are not among them: they never get as far
//! as any message.
//!
//! What other readers forgive is forgiven here, and told ([`Oddity`]): no file meta information, no transfer syntax, or
//! elements that are written otherwise than it says.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::ops::Range;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use flate2::read::DeflateDecoder;

use super::super::decode::Failure;
use super::codec::Syntax;
use super::elements::{Element, Elements, Value};
use super::start;

/// Sequences within sequences that are followed; radiographs have 3 or 4 levels.
const MAX_DEPTH: usize = 16;
/// Elements that are walked over; radiographs have some hundred, enhanced multi-frame files some ten thousand.
const MAX_ELEMENTS: usize = 2_000_000;
/// Longest value of a kept element: a look-up table of 65,536 entries, 16 bits each.
const MAX_KEPT_VALUE: usize = 2 * 65_536;
/// All kept elements together.
const MAX_KEPT: usize = 4 * MAX_KEPT_VALUE;
/// Items that are kept of a sequence: the first is what counts, of views all.
const MAX_KEPT_ITEMS: usize = 8;
/// Pieces of encapsulated pixel data.
const MAX_FRAGMENTS: usize = 100_000;

/// PS3.5, 7.5.
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
/// Of every item and delimiter.
const ITEM_GROUP: u16 = 0xFFFE;

/// Retired, and still in archives.
pub(super) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// The values that are kept.
const KEPT: [Tag; 28] = [
    tags::SPECIFIC_CHARACTER_SET,
    tags::SOP_CLASS_UID,
    tags::CODE_VALUE,
    tags::CODE_MEANING,
    tags::MODALITY,
    tags::BODY_PART_EXAMINED,
    tags::VIEW_POSITION,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::BURNED_IN_ANNOTATION,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::VOILUT_FUNCTION,
    tags::LUT_DESCRIPTOR,
    tags::LUT_DATA,
    tags::PRESENTATION_LUT_SHAPE,
];
/// The sequences that are kept, with what of [`KEPT`] is in their items.
const KEPT_SEQUENCES: [Tag; 4] =
    [tags::MODALITY_LUT_SEQUENCE, tags::VOILUT_SEQUENCE, tags::VIEW_CODE_SEQUENCE, tags::ANATOMIC_REGION_SEQUENCE];

/// How the elements of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Whether each element names its value representation.
    pub explicit: bool,
    /// Whether numbers are big-endian.
    pub big_endian: bool,
}

pub(super) const EXPLICIT_LITTLE: Encoding = Encoding { explicit: true, big_endian: false };
const IMPLICIT_LITTLE: Encoding = Encoding { explicit: false, big_endian: false };

/// How a file is not written as it should be, and is read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    NoMeta,
    NoTransferSyntax,
    Implicit,
    Explicit,
    ByteOrder,
    ImplicitParts,
    LowerCase,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMeta => "no file meta information, read by the look of its elements",
            Self::NoTransferSyntax => "no transfer syntax, read by the look of its elements",
            Self::Implicit => "explicit by its transfer syntax, implicit by its elements",
            Self::Explicit => "implicit by its transfer syntax, explicit by its elements",
            Self::ByteOrder => "another byte order than its transfer syntax says",
            Self::ImplicitParts => "implicit elements in an explicit file",
            Self::LowerCase => "value representations in lower case",
        })
    }
}

/// The pixel data as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PixelBytes {
    /// One value.
    Native {
        /// Its place in [`Scanned::bytes`].
        place: Range<usize>,
        /// Whether it is written in 16-bit words (OW), also where samples have 8 bits.
        words: bool,
    },
    /// Compressed: places in [`Scanned::bytes`].
    Encapsulated {
        /// Where each frame starts, counted from the first fragment's item tag; often empty.
        offsets: Vec<u32>,
        /// The fragments.
        fragments: Vec<Range<usize>>,
    },
}

/// A file that was walked over.
#[derive(Debug)]
pub(super) struct Scanned<'a> {
    /// UID of the transfer syntax; empty where the file names none.
    pub transfer_syntax: String,
    /// What it stands for; `None` where the file names none.
    pub syntax: Option<Syntax>,
    /// The data set, inflated where it was deflated.
    pub bytes: Cow<'a, [u8]>,
    /// Whether numbers are big-endian, those of the pixel data among them.
    pub big_endian: bool,
    /// The elements that are needed.
    pub elements: Elements,
    /// The pixel data; `None` where there is none.
    pub pixels: Option<PixelBytes>,
    /// How the file is not written as it should be.
    pub oddities: BTreeSet<Oddity>,
}

/// Walks over a file. `max_inflated` is what a deflated data set may take.
pub(super) fn scan(file: &[u8], max_inflated: u64) -> Result<Scanned<'_>, Failure> {
    let (start, preamble) = start::find(file).ok_or_else(|| damaged("no start of a DICOM file"))?;
    check_preamble(preamble)?;
    let mut meta = Walker::new(file, start, EXPLICIT_LITTLE);
    let transfer_syntax = meta.transfer_syntax()?;
    let mut oddities = meta.oddities;
    if meta.at == start {
        oddities.insert(Oddity::NoMeta);
    } else if transfer_syntax.is_none() {
        oddities.insert(Oddity::NoTransferSyntax);
    }
    // An unknown syntax is refused before elements are taken for damaged that are only written otherwise.
    let syntax = transfer_syntax.as_deref().map(Syntax::of).transpose()?;
    let transfer_syntax = transfer_syntax.unwrap_or_default();
    let deflated = transfer_syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let (bytes, start) = if deflated {
        (Cow::Owned(inflate(file.get(meta.at..).unwrap_or_default(), max_inflated)?), 0)
    } else {
        (Cow::Borrowed(file), meta.at)
    };
    let mut walker = Walker::new(&bytes, start, said_by(&transfer_syntax));
    walker.oddities = oddities;
    walker.look(!transfer_syntax.is_empty());
    if walker.at == bytes.len() {
        return Err(damaged("the file ends before its first element"));
    }
    let elements = walker.data_set()?;
    let (big_endian, pixels, oddities) = (walker.encoding.big_endian, walker.pixels, walker.oddities);
    Ok(Scanned { transfer_syntax, syntax, bytes, big_endian, elements, pixels, oddities })
}

fn said_by(transfer_syntax: &str) -> Encoding {
    match transfer_syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => IMPLICIT_LITTLE,
        EXPLICIT_VR_BIG_ENDIAN => Encoding { explicit: true, big_endian: true },
        _ => EXPLICIT_LITTLE,
    }
}

/// What the head of a file says that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// SOP classes: of the file meta information, and of the data set, which should be the same.
    pub classes: Vec<String>,
    /// Modality.
    pub modality: Option<String>,
}

/// Reads as much of the head of a file as is there and can be read.
pub(super) fn identity(head: &[u8]) -> Identity {
    let mut identity = Identity::default();
    if let Some((start, _)) = start::find(head) {
        let mut walker = Walker::new(head, start, EXPLICIT_LITTLE);
        // What cannot be read of a head is cut, or told when the file is read.
        let _ = walker.identify(&mut identity);
    }
    identity
}

/// A UID without its padding, if it is one.
fn uid(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let plain = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && !text.is_empty()).then(|| text.to_owned())
}

/// The 128 bytes are free for use, by which a file can be two things at once. A TIFF's start is what they are meant for
/// (PS3.10, 7.1). A program's or another picture's is refused: what people see must not depend on who opens the file.
fn check_preamble(preamble: &[u8]) -> Result<(), Failure> {
    const OTHERS: [(&[u8], &str); 12] = [
        (b"MZ", "a Windows program"),
        (b"\x7fELF", "a Unix program"),
        (b"\xfe\xed\xfa", "a macOS program"),
        (b"\xce\xfa\xed\xfe", "a macOS program"),
        (b"\xcf\xfa\xed\xfe", "a macOS program"),
        (b"\xca\xfe\xba\xbe", "a program"),
        (b"#!", "a script"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"%PDF", "a PDF file"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
    ];
    match OTHERS.iter().find(|(start, _)| preamble.starts_with(start)) {
        Some((_, kind)) => Err(Failure::Unsupported(format!("its preamble makes it {kind} as well as a DICOM file"))),
        None => Ok(()),
    }
}

fn inflate(deflated: &[u8], limit: u64) -> Result<Vec<u8>, Failure> {
    let mut inflated = Vec::new();
    DeflateDecoder::new(deflated)
        .take(limit.saturating_add(1))
        .read_to_end(&mut inflated)
        .map_err(|error| Failure::Damaged(format!("deflated data that cannot be inflated ({error})")))?;
    if inflated.len() as u64 > limit {
        return Err(Failure::Damaged(format!("deflated data that inflates to more than {limit} bytes")));
    }
    Ok(inflated)
}

/// One element's header.
#[derive(Debug, Clone, Copy)]
struct Header {
    tag: Tag,
    /// `\0\0` where the file names none.
    vr: [u8; 2],
    /// `None`: undefined, closed by a delimiter.
    length: Option<usize>,
}

/// An item of a sequence, its header read already.
#[derive(Debug, Clone, Copy)]
struct Item {
    header: Header,
    depth: usize,
    /// Whether its sequence is a value of unknown representation.
    unknown: bool,
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
    elements: usize,
    kept_bytes: usize,
    pixels: Option<PixelBytes>,
    oddities: BTreeSet<Oddity>,
}

/// Value representations whose header has 4 bytes of length after 2 reserved ones (PS3.5, 7.1.2).
const LONG: [&[u8; 2]; 13] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];
/// The others.
const SHORT: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
];

/// Whether two bytes are a value representation that the standard has, in capitals or not.
pub(super) fn is_representation(bytes: [u8; 2]) -> bool {
    let vr = bytes.map(|byte| byte.to_ascii_uppercase());
    SHORT.contains(&&vr) || LONG.contains(&&vr)
}

impl<'a> Walker<'a> {
    fn new(bytes: &'a [u8], at: usize, encoding: Encoding) -> Self {
        Self { bytes, at, encoding, elements: 0, kept_bytes: 0, pixels: None, oddities: BTreeSet::new() }
    }

    /// Steps over the file meta information (group 0002) and hands on its elements.
    fn meta(&mut self, mut each: impl FnMut(Tag, &[u8])) -> Result<(), Failure> {
        while self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(&[0x02, 0x00])) {
            let header = self.header(self.bytes.len())?;
            let value = self.value(header, self.bytes.len())?;
            each(header.tag, self.bytes.get(value).unwrap_or_default());
        }
        Ok(())
    }

    /// Steps over the file meta information and returns the transfer syntax that it names.
    fn transfer_syntax(&mut self) -> Result<Option<String>, Failure> {
        let mut found = None;
        self.meta(|tag, value| {
            if tag == tags::TRANSFER_SYNTAX_UID {
                found = uid(value);
            }
        })?;
        Ok(found)
    }

    /// See [`identity`].
    fn identify(&mut self, identity: &mut Identity) -> Result<(), Failure> {
        self.meta(|tag, value| {
            identity.classes.extend(uid(value).filter(|_| tag == tags::MEDIA_STORAGE_SOP_CLASS_UID));
        })?;
        self.look(false);
        loop {
            let header = self.header(self.bytes.len())?;
            match header.tag {
                // Directories alone have elements of this group.
                tag if tag.group() == 0x0004 => {
                    identity.classes.push(uids::MEDIA_STORAGE_DIRECTORY_STORAGE.to_owned());
                    return Ok(());
                }
                tag if tag > tags::MODALITY => return Ok(()),
                _ if header.length.is_none() => _ = self.items(header, self.bytes.len(), 0, false)?,
                tag => {
                    let value = self.value(header, self.bytes.len())?;
                    let value = self.bytes.get(value).unwrap_or_default();
                    if tag == tags::SOP_CLASS_UID {
                        identity.classes.extend(uid(value));
                    } else if tag == tags::MODALITY {
                        identity.modality = Some(String::from_utf8_lossy(value).trim().to_owned());
                    }
                }
            }
        }
    }

    /// Takes the first element's looks for how all are written, where they are not as said. Some writers name one
    /// transfer syntax and write another.
    fn look(&mut self, said: bool) {
        let Some(&[g0, g1, _, _, v0, v1]) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) else {
            return;
        };
        let told = self.encoding;
        let explicit = is_representation([v0, v1]);
        // A data set begins with a small group: in the wrong order it is a large one.
        let (little, big) = (u16::from_le_bytes([g0, g1]), u16::from_be_bytes([g0, g1]));
        let (as_told, other) = if told.big_endian { (big, little) } else { (little, big) };
        let swapped = as_told > 0xFF && other <= 0xFF;
        let big_endian = explicit && (told.big_endian != swapped);
        self.encoding = Encoding { explicit, big_endian };
        if said {
            let odd = match (told.explicit, explicit) {
                (true, false) => Some(Oddity::Implicit),
                (false, true) => Some(Oddity::Explicit),
                _ => None,
            };
            self.oddities.extend(odd);
            self.oddities.extend((told.big_endian != big_endian && odd.is_none()).then_some(Oddity::ByteOrder));
        }
    }

    /// Walks over the elements until the pixel data, or the end where there is none.
    fn data_set(&mut self) -> Result<Elements, Failure> {
        let end = self.bytes.len();
        let mut elements = Elements::default();
        // Some writers pad the end with zeros or a trailing item; nothing after the pixels matters.
        while self.at < end && self.pixels.is_none() {
            let header = self.header(end)?;
            match header.tag {
                tags::PIXEL_DATA => self.pixels = Some(self.pixel_data(header)?),
                tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA => {
                    return Err(Failure::Unsupported("floating-point pixel data".to_owned()));
                }
                _ => self.element(header, end, 0, Some(&mut elements))?,
            }
        }
        Ok(elements)
    }

    /// One element, its header read already: put where it is needed, or stepped over.
    fn element(
        &mut self,
        header: Header,
        end: usize,
        depth: usize,
        kept: Option<&mut Elements>,
    ) -> Result<(), Failure> {
        let Header { tag, vr, .. } = header;
        let big_endian = self.encoding.big_endian;
        match kept {
            Some(kept) if KEPT_SEQUENCES.contains(&tag) && matches!(&vr, b"SQ" | b"UN" | [0, 0]) => {
                let items = self.items(header, end, depth, true)?;
                kept.insert(tag, Element { vr: *b"SQ", big_endian, value: Value::Items(items) });
            }
            _ if header.length.is_none() => _ = self.items(header, end, depth, false)?,
            Some(kept) if KEPT.contains(&tag) => {
                let place = self.value(header, end)?;
                self.kept_bytes = self.kept_bytes.saturating_add(place.len());
                if place.len() > MAX_KEPT_VALUE || self.kept_bytes > MAX_KEPT {
                    return Err(damaged(&format!("element {tag} of {} bytes", place.len())));
                }
                let value = Value::Bytes(self.bytes.get(place).unwrap_or_default().to_vec());
                kept.insert(tag, Element { vr, big_endian, value });
            }
            _ => _ = self.value(header, end)?,
        }
        Ok(())
    }

    /// The items of a sequence, with what is needed in them; or, to find its end, only walked over.
    fn items(&mut self, header: Header, end: usize, depth: usize, keep: bool) -> Result<Vec<Elements>, Failure> {
        if depth >= MAX_DEPTH {
            return Err(damaged(&format!("sequences nested more than {MAX_DEPTH} deep")));
        }
        let end = match header.length {
            Some(length) => self.within(header.tag, length, end)?,
            None => end,
        };
        let encoding = self.encoding;
        let unknown = header.vr == *b"UN";
        if unknown {
            // Unknown values that are sequences are implicit little-endian (CP-246).
            self.encoding = IMPLICIT_LITTLE;
        }
        let mut items = Vec::new();
        while self.at < end {
            let item = self.header(end)?;
            match item.tag {
                SEQUENCE_END if header.length.is_none() => {
                    self.encoding = encoding;
                    return Ok(items);
                }
                ITEM => {
                    let mut elements = (keep && items.len() < MAX_KEPT_ITEMS).then(Elements::default);
                    let start = Item { header: item, depth: depth.saturating_add(1), unknown };
                    self.item(start, end, elements.as_mut())?;
                    items.extend(elements);
                }
                // Delimiters behind what has a length are one too many, and harmless.
                ITEM_END | SEQUENCE_END if item.length == Some(0) => {}
                tag => return Err(damaged(&format!("{tag} where an item of a sequence is expected"))),
            }
        }
        self.encoding = encoding;
        if header.length.is_none() { Err(damaged("a sequence that is not closed")) } else { Ok(items) }
    }

    /// The elements of an item.
    fn item(&mut self, item: Item, end: usize, mut kept: Option<&mut Elements>) -> Result<(), Failure> {
        let Item { header: item, depth, unknown } = item;
        let end = match item.length {
            Some(length) => self.within(item.tag, length, end)?,
            None => end,
        };
        let encoding = self.encoding;
        self.look_into_item(end, unknown);
        while self.at < end {
            let header = self.header(end)?;
            if header.tag == ITEM_END {
                self.encoding = encoding;
                return Ok(());
            }
            self.element(header, end, depth, kept.as_deref_mut())?;
        }
        self.encoding = encoding;
        if item.length.is_none() { Err(damaged("an item that is not closed")) } else { Ok(()) }
    }

    /// Items of an explicit file may be implicit, and those of an unknown value explicit, which they should not be.
    fn look_into_item(&mut self, end: usize, unknown: bool) {
        let first = self.bytes.get(self.at..end).and_then(|rest| rest.first_chunk::<6>());
        let Some(&[g0, g1, _, _, v0, v1]) = first else { return };
        let item = [u16::from_le_bytes([g0, g1]), u16::from_be_bytes([g0, g1])].contains(&ITEM_GROUP);
        if self.encoding.explicit && !item && !is_named([v0, v1]) {
            self.encoding.explicit = false;
            self.oddities.insert(Oddity::ImplicitParts);
        } else if unknown && !item && is_representation([v0, v1]) {
            self.encoding.explicit = true;
        }
    }

    fn pixel_data(&mut self, header: Header) -> Result<PixelBytes, Failure> {
        let end = self.bytes.len();
        if header.length.is_some() {
            let words = header.vr == *b"OW" || (header.vr == [0; 2] && !self.encoding.explicit);
            return Ok(PixelBytes::Native { place: self.value(header, end)?, words });
        }
        let (mut offsets, mut fragments) = (None, Vec::new());
        loop {
            let item = self.header(end)?;
            match item.tag {
                SEQUENCE_END => break,
                ITEM => {
                    let value = self.value(item, end)?;
                    if offsets.is_none() {
                        let table = self.bytes.get(value).unwrap_or_default().as_chunks::<4>().0;
                        offsets = Some(table.iter().take(2).map(|&entry| u32::from_le_bytes(entry)).collect());
                    } else if fragments.len() < MAX_FRAGMENTS {
                        fragments.push(value);
                    } else {
                        return Err(damaged(&format!("pixel data in more than {MAX_FRAGMENTS} fragments")));
                    }
                }
                tag => return Err(damaged(&format!("{tag} where a fragment of the pixel data is expected"))),
            }
        }
        Ok(PixelBytes::Encapsulated { offsets: offsets.unwrap_or_default(), fragments })
    }

    /// Reads a header; it lies before `end`.
    fn header(&mut self, end: usize) -> Result<Header, Failure> {
        self.elements = self.elements.saturating_add(1);
        if self.elements > MAX_ELEMENTS {
            return Err(damaged(&format!("more than {MAX_ELEMENTS} elements")));
        }
        let tag = Tag(self.u16(end)?, self.u16(end)?);
        // Items and delimiters never name a value representation (PS3.5, 7.5).
        if tag.group() == ITEM_GROUP || !self.encoding.explicit {
            return Ok(Header { tag, vr: [0; 2], length: defined(self.u32(end)?) });
        }
        let [v0, v1] = self.take::<2>(end)?;
        if !is_named([v0, v1]) {
            self.oddities.insert(Oddity::ImplicitParts);
            let [v2, v3] = self.take::<2>(end)?;
            return Ok(Header { tag, vr: [0; 2], length: defined(self.long([v0, v1, v2, v3])) });
        }
        let vr = [v0, v1].map(|byte| byte.to_ascii_uppercase());
        if vr != [v0, v1] {
            self.oddities.insert(Oddity::LowerCase);
        }
        // A representation that a later edition adds has the long form (PS3.5, 7.1.2).
        let length = if SHORT.contains(&&vr) {
            Some(usize::from(self.u16(end)?))
        } else {
            self.take::<2>(end)?;
            defined(self.u32(end)?)
        };
        Ok(Header { tag, vr, length })
    }

    /// Steps over a value of defined length.
    fn value(&mut self, header: Header, end: usize) -> Result<Range<usize>, Failure> {
        let length = header.length.ok_or_else(|| damaged(&format!("element {} of undefined length", header.tag)))?;
        let start = self.at;
        self.at = self.within(header.tag, length, end)?;
        Ok(start..self.at)
    }

    /// Where a value of `length` bytes ends, if it ends before `end`.
    fn within(&self, tag: Tag, length: usize, end: usize) -> Result<usize, Failure> {
        let left = end.saturating_sub(self.at);
        if length > left {
            return Err(damaged(&format!("element {tag} that claims {length} bytes where {left} are left")));
        }
        Ok(self.at.saturating_add(length))
    }

    fn take<const COUNT: usize>(&mut self, end: usize) -> Result<[u8; COUNT], Failure> {
        let taken = self.bytes.get(self.at..end).and_then(|rest| rest.first_chunk::<COUNT>());
        let taken = taken.ok_or_else(|| damaged("the file ends too early"))?;
        self.at = self.at.saturating_add(COUNT);
        Ok(*taken)
    }

    fn u16(&mut self, end: usize) -> Result<u16, Failure> {
        let bytes = self.take(end)?;
        Ok(if self.encoding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self, end: usize) -> Result<u32, Failure> {
        let bytes = self.take(end)?;
        Ok(self.long(bytes))
    }

    fn long(&self, bytes: [u8; 4]) -> u32 {
        if self.encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// Whether an explicit element's two bytes name a value representation, one of the standard's or a later one.
fn is_named(bytes: [u8; 2]) -> bool {
    is_representation(bytes) || bytes.iter().all(u8::is_ascii_uppercase)
}

fn defined(length: u32) -> Option<usize> {
    (length != u32::MAX).then_some(length as usize)
}

fn damaged(found: &str) -> Failure {
    Failure::Damaged(found.to_owned())
}
