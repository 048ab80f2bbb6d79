//! The structural pre-scan: what stands between an untrusted file and the DICOM parser.
//!
//! A parser believes lengths: 488 bytes may claim an element of 4 GB, and nested sequences may recurse until the stack
//! ends, which no program survives. So the file is walked over here first, with every length held against the bytes that
//! are there and a limit on depth (PS3.5, chapter 7; PS3.10, chapter 7). Only the elements that rendering and the gate
//! need ([`KEPT`]) are copied into a small data set, with headers written anew, for the parser to read; the pixel data
//! stays where it is. The patient's name and number are not among them: they never get as far as any message.

use std::borrow::Cow;
use std::io::Read;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use flate2::read::DeflateDecoder;

use super::super::decode::Failure;

/// Sequences within sequences that are followed; radiographs have 3 or 4 levels.
const MAX_DEPTH: usize = 16;
/// Elements that are walked over; radiographs have some hundred, enhanced multi-frame files some ten thousand.
const MAX_ELEMENTS: usize = 2_000_000;
/// Longest value of a kept element: a look-up table of 65,536 entries, 16 bits each.
const MAX_KEPT_VALUE: usize = 2 * 65_536;
/// All kept elements together.
const MAX_KEPT: usize = 4 * MAX_KEPT_VALUE;
/// Pieces of encapsulated pixel data.
const MAX_FRAGMENTS: usize = 100_000;

/// PS3.5, 7.5.
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// Retired, and still in archives.
pub(super) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

const PREAMBLE: usize = 128;
const MAGIC: &[u8] = b"DICM";

/// What the parser gets to see.
const KEPT: [Tag; 29] = [
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
    tags::MODALITY_LUT_SEQUENCE,
    tags::LUT_DESCRIPTOR,
    tags::LUT_DATA,
    tags::VOILUT_SEQUENCE,
    tags::VIEW_CODE_SEQUENCE,
    tags::PRESENTATION_LUT_SHAPE,
];

/// How the elements of a data set are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    /// Whether each element names its value representation.
    pub explicit: bool,
    /// Whether numbers are big-endian.
    pub big_endian: bool,
}

const EXPLICIT_LITTLE: Encoding = Encoding { explicit: true, big_endian: false };
const IMPLICIT_LITTLE: Encoding = Encoding { explicit: false, big_endian: false };

/// The pixel data as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PixelBytes {
    /// One value: its place in [`Scanned::bytes`].
    Native(std::ops::Range<usize>),
    /// Compressed: places in [`Scanned::bytes`].
    Encapsulated {
        /// Where each frame starts, counted from the first fragment's item tag; often empty.
        offsets: Vec<u32>,
        /// The fragments.
        fragments: Vec<std::ops::Range<usize>>,
    },
}

/// A file that was walked over.
#[derive(Debug)]
pub(super) struct Scanned<'a> {
    /// UID of the transfer syntax.
    pub transfer_syntax: String,
    /// The data set, inflated where it was deflated.
    pub bytes: Cow<'a, [u8]>,
    /// How [`kept`](Self::kept) is written.
    pub encoding: Encoding,
    /// A data set of the elements that are needed.
    pub kept: Vec<u8>,
    /// The pixel data.
    pub pixels: PixelBytes,
}

/// Whether a file is DICOM: its magic stands after a preamble of 128 bytes (PS3.10, 7.1).
pub(in crate::image) fn has_magic(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE..PREAMBLE + MAGIC.len()) == Some(MAGIC)
}

/// Walks over a file. `max_inflated` is what a deflated data set may take.
pub(super) fn scan(file: &[u8], max_inflated: u64) -> Result<Scanned<'_>, Failure> {
    check_preamble(&file[..PREAMBLE.min(file.len())])?;
    let mut meta = Walker::new(file, PREAMBLE + MAGIC.len(), EXPLICIT_LITTLE);
    let transfer_syntax = meta.transfer_syntax()?;
    let start = meta.at;
    let encoding = match transfer_syntax.as_str() {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => IMPLICIT_LITTLE,
        EXPLICIT_VR_BIG_ENDIAN => Encoding { explicit: true, big_endian: true },
        _ => EXPLICIT_LITTLE,
    };
    let (bytes, start) = if transfer_syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
        (Cow::Owned(inflate(&file[start..], max_inflated)?), 0)
    } else {
        (Cow::Borrowed(file), start)
    };
    let mut walker = Walker::new(&bytes, start, encoding);
    walker.data_set()?;
    let (kept, pixels) = (walker.kept, walker.pixels);
    let pixels = pixels.ok_or_else(|| Failure::Unsupported("it holds no pixel data".to_owned()))?;
    Ok(Scanned { transfer_syntax, bytes, encoding, kept, pixels })
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
        .take(limit + 1)
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
    /// `\0\0` where the encoding names none.
    vr: [u8; 2],
    /// `None`: undefined, closed by a delimiter.
    length: Option<usize>,
}

impl Header {
    /// Whether a value of undefined length holds items: sequences, and by CP-246 unknown values, which are then
    /// implicit little-endian.
    fn nests_implicitly(self) -> bool {
        self.vr == *b"UN"
    }
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    encoding: Encoding,
    elements: usize,
    kept: Vec<u8>,
    pixels: Option<PixelBytes>,
}

/// Value representations whose header has 4 bytes of length after 2 reserved ones (PS3.5, 7.1.2).
const LONG: [&[u8; 2]; 13] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];
/// The others.
const SHORT: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
];

impl<'a> Walker<'a> {
    fn new(bytes: &'a [u8], at: usize, encoding: Encoding) -> Self {
        Self { bytes, at, encoding, elements: 0, kept: Vec::new(), pixels: None }
    }

    /// Steps over the file meta information (group 0002) and returns the transfer syntax that it names.
    fn transfer_syntax(&mut self) -> Result<String, Failure> {
        let mut found = None;
        while self.bytes.get(self.at..self.at + 2) == Some(&[0x02, 0x00]) {
            let header = self.header(self.bytes.len())?;
            let value = self.value(header, self.bytes.len())?;
            if header.tag == tags::TRANSFER_SYNTAX_UID {
                let text = String::from_utf8_lossy(&self.bytes[value]);
                let uid = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
                let plain = uid.len() <= 64 && uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                found = plain.then(|| uid.to_owned());
            }
        }
        found.ok_or_else(|| damaged("no transfer syntax in the file's meta information"))
    }

    /// Walks over the elements until the pixel data, or the end where there is none.
    fn data_set(&mut self) -> Result<(), Failure> {
        let end = self.bytes.len();
        // Some writers pad the end with zeros or a trailing item; nothing after the pixels matters.
        while self.at < end && self.pixels.is_none() {
            let header = self.header(end)?;
            match header.tag {
                tags::PIXEL_DATA => self.pixels = Some(self.pixel_data(header)?),
                tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA => {
                    return Err(Failure::Unsupported("floating-point pixel data".to_owned()));
                }
                _ => self.element(header, end, 0)?,
            }
        }
        Ok(())
    }

    /// One element, its header read already: kept or stepped over.
    fn element(&mut self, header: Header, end: usize, depth: usize) -> Result<(), Failure> {
        let keep = KEPT.contains(&header.tag);
        let sequence =
            matches!(header.tag, tags::MODALITY_LUT_SEQUENCE | tags::VOILUT_SEQUENCE | tags::VIEW_CODE_SEQUENCE);
        if sequence && [*b"SQ", [0; 2]].contains(&header.vr) {
            return self.kept_sequence(header, end, depth);
        }
        if header.length.is_none() {
            return self.skip_sequence(header, depth);
        }
        let value = self.value(header, end)?;
        if keep && !sequence {
            self.keep(header, value)?;
        }
        Ok(())
    }

    fn keep(&mut self, header: Header, value: std::ops::Range<usize>) -> Result<(), Failure> {
        if value.len() > MAX_KEPT_VALUE || self.kept.len() + value.len() > MAX_KEPT {
            return Err(damaged(&format!("element {} of {} bytes", header.tag, value.len())));
        }
        self.write_header(header, value.len() as u32);
        self.kept.extend_from_slice(&self.bytes[value]);
        Ok(())
    }

    /// A sequence that is needed: its items, with what is needed in them.
    fn kept_sequence(&mut self, header: Header, end: usize, depth: usize) -> Result<(), Failure> {
        self.write_header(header, u32::MAX);
        self.items(header, end, depth, Self::element)?;
        self.write_delimiter(SEQUENCE_END);
        Ok(())
    }

    /// A sequence of undefined length that is not needed: to find its end, it has to be walked over.
    fn skip_sequence(&mut self, header: Header, depth: usize) -> Result<(), Failure> {
        let encoding = self.encoding;
        if header.nests_implicitly() {
            self.encoding = IMPLICIT_LITTLE;
        }
        // What is kept inside would stand outside its sequence.
        let kept = std::mem::take(&mut self.kept);
        let walked = self.items(header, self.bytes.len(), depth, |walker, header, end, depth| {
            if header.length.is_none() {
                walker.skip_sequence(header, depth)
            } else {
                walker.value(header, end).map(drop)
            }
        });
        self.kept = kept;
        self.encoding = encoding;
        walked
    }

    /// The items of a sequence; `element` deals with each element of each item.
    fn items(
        &mut self,
        header: Header,
        end: usize,
        depth: usize,
        element: impl Fn(&mut Self, Header, usize, usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if depth >= MAX_DEPTH {
            return Err(damaged(&format!("sequences nested more than {MAX_DEPTH} deep")));
        }
        let end = match header.length {
            Some(length) => self.within(header.tag, length, end)?,
            None => end,
        };
        while self.at < end {
            let item = self.header(end)?;
            match item.tag {
                SEQUENCE_END if header.length.is_none() => return Ok(()),
                ITEM => {
                    let item_end = match item.length {
                        Some(length) => self.within(item.tag, length, end)?,
                        None => end,
                    };
                    self.write_delimiter(ITEM);
                    loop {
                        if self.at >= item_end {
                            if item.length.is_none() {
                                return Err(damaged("an item that is not closed"));
                            }
                            break;
                        }
                        let inner = self.header(item_end)?;
                        if inner.tag == ITEM_END {
                            break;
                        }
                        element(self, inner, item_end, depth + 1)?;
                    }
                    self.write_delimiter(ITEM_END);
                }
                tag => return Err(damaged(&format!("{tag} where an item of a sequence is expected"))),
            }
        }
        if header.length.is_none() { Err(damaged("a sequence that is not closed")) } else { Ok(()) }
    }

    fn pixel_data(&mut self, header: Header) -> Result<PixelBytes, Failure> {
        if header.length.is_some() {
            return Ok(PixelBytes::Native(self.value(header, self.bytes.len())?));
        }
        let (mut offsets, mut fragments) = (None, Vec::new());
        loop {
            let item = self.header(self.bytes.len())?;
            match item.tag {
                SEQUENCE_END => break,
                ITEM => {
                    let value = self.value(item, self.bytes.len())?;
                    if offsets.is_none() {
                        let table = self.bytes[value].as_chunks::<4>().0;
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
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(damaged(&format!("more than {MAX_ELEMENTS} elements")));
        }
        let tag = Tag(self.u16(end)?, self.u16(end)?);
        // Items and delimiters never name a value representation (PS3.5, 7.5).
        if tag.group() == 0xFFFE || !self.encoding.explicit {
            let length = self.u32(end)?;
            return Ok(Header { tag, vr: [0; 2], length: defined(length) });
        }
        let vr: [u8; 2] = self.take(2, end)?.try_into().expect("2 bytes were taken");
        // A representation that a later edition adds has the long form (PS3.5, 7.1.2).
        let length = if SHORT.contains(&&vr) {
            Some(usize::from(self.u16(end)?))
        } else if LONG.contains(&&vr) || vr.iter().all(u8::is_ascii_uppercase) {
            self.take(2, end)?;
            defined(self.u32(end)?)
        } else {
            return Err(damaged(&format!("element {tag} without a value representation")));
        };
        Ok(Header { tag, vr, length })
    }

    /// Steps over a value of defined length.
    fn value(&mut self, header: Header, end: usize) -> Result<std::ops::Range<usize>, Failure> {
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
        Ok(self.at + length)
    }

    fn take(&mut self, count: usize, end: usize) -> Result<&'a [u8], Failure> {
        let taken =
            self.bytes[..end].get(self.at..self.at + count).ok_or_else(|| damaged("the file ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    fn u16(&mut self, end: usize) -> Result<u16, Failure> {
        let bytes: [u8; 2] = self.take(2, end)?.try_into().expect("2 bytes were taken");
        Ok(if self.encoding.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&mut self, end: usize) -> Result<u32, Failure> {
        let bytes: [u8; 4] = self.take(4, end)?.try_into().expect("4 bytes were taken");
        Ok(if self.encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn write_header(&mut self, header: Header, length: u32) {
        self.write_u16(header.tag.group());
        self.write_u16(header.tag.element());
        if !self.encoding.explicit {
            self.write_u32(length);
        } else if SHORT.contains(&&header.vr) {
            self.kept.extend(header.vr);
            self.write_u16(length as u16);
        } else {
            self.kept.extend(if LONG.contains(&&header.vr) { header.vr } else { *b"UN" });
            self.kept.extend([0; 2]);
            self.write_u32(length);
        }
    }

    /// An item of undefined length, or a delimiter.
    fn write_delimiter(&mut self, tag: Tag) {
        self.write_u16(tag.group());
        self.write_u16(tag.element());
        self.write_u32(if tag == ITEM { u32::MAX } else { 0 });
    }

    fn write_u16(&mut self, value: u16) {
        self.kept.extend(if self.encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn write_u32(&mut self, value: u32) {
        self.kept.extend(if self.encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
    }
}

fn defined(length: u32) -> Option<usize> {
    (length != u32::MAX).then_some(length as usize)
}

fn damaged(found: &str) -> Failure {
    Failure::Damaged(found.to_owned())
}
