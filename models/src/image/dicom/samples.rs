//! DICOM files for the tests, made in code; nothing here uses the parser that is tested.

use std::collections::BTreeMap;
use std::io::Write as _;

pub const IMPLICIT: &str = "1.2.840.10008.1.2";
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
pub const RLE: &str = "1.2.840.10008.1.2.5";

pub const MODALITY: (u16, u16) = (0x0008, 0x0060);
pub const BODY_PART: (u16, u16) = (0x0018, 0x0015);
pub const VIEW_POSITION: (u16, u16) = (0x0018, 0x5101);
pub const PHOTOMETRIC: (u16, u16) = (0x0028, 0x0004);
pub const FRAMES: (u16, u16) = (0x0028, 0x0008);
pub const ROWS: (u16, u16) = (0x0028, 0x0010);
pub const COLUMNS: (u16, u16) = (0x0028, 0x0011);
pub const BITS_ALLOCATED: (u16, u16) = (0x0028, 0x0100);
pub const BITS_STORED: (u16, u16) = (0x0028, 0x0101);
pub const HIGH_BIT: (u16, u16) = (0x0028, 0x0102);
pub const SIGNED: (u16, u16) = (0x0028, 0x0103);
pub const PADDING: (u16, u16) = (0x0028, 0x0120);
pub const BURNED_IN: (u16, u16) = (0x0028, 0x0301);
pub const WINDOW_CENTER: (u16, u16) = (0x0028, 0x1050);
pub const WINDOW_WIDTH: (u16, u16) = (0x0028, 0x1051);
pub const INTERCEPT: (u16, u16) = (0x0028, 0x1052);
pub const SLOPE: (u16, u16) = (0x0028, 0x1053);
pub const WINDOW_FUNCTION: (u16, u16) = (0x0028, 0x1056);
pub const MODALITY_LUT: (u16, u16) = (0x0028, 0x3000);
pub const VOI_LUT: (u16, u16) = (0x0028, 0x3010);
pub const SHAPE: (u16, u16) = (0x2050, 0x0020);

/// A data set: tag to value representation and value.
pub type Item = BTreeMap<(u16, u16), ([u8; 2], Value)>;

/// An element's value, as the test means it.
#[derive(Clone)]
pub enum Value {
    Text(String),
    Words(Vec<u16>),
    Bytes(Vec<u8>),
    /// Items of a sequence.
    Items(Vec<Item>),
}

/// A file in the making.
#[derive(Clone)]
pub struct DicomFile {
    elements: Item,
    syntax: String,
    fragments: Option<Vec<Vec<u8>>>,
    preamble: [u8; 128],
    class: String,
}

/// Computed Radiography Image Storage.
const RADIOGRAPH: &str = "1.2.840.10008.5.1.4.1.1.1";

impl DicomFile {
    /// A file without any element.
    pub fn empty() -> Self {
        let (elements, preamble) = (BTreeMap::new(), [0; 128]);
        Self { elements, syntax: EXPLICIT.to_owned(), fragments: None, preamble, class: RADIOGRAPH.to_owned() }
    }

    /// Another SOP class.
    pub fn class(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.class);
        self
    }

    /// A chest radiograph: 16 bits allocated, MONOCHROME2, explicit little-endian, with a patient's name.
    pub fn grey(columns: u16, rows: u16, bits_stored: u16, pixels: &[u16]) -> Self {
        Self::empty()
            .text(MODALITY, "CS", "DX")
            .text((0x0010, 0x0010), "PN", "Secret^Patient")
            .text((0x0010, 0x0020), "LO", "PID-4711")
            .text(BODY_PART, "CS", "CHEST")
            .text(VIEW_POSITION, "CS", "PA")
            .number((0x0028, 0x0002), 1)
            .text(PHOTOMETRIC, "CS", "MONOCHROME2")
            .number(ROWS, rows)
            .number(COLUMNS, columns)
            .number(BITS_ALLOCATED, 16)
            .number(BITS_STORED, bits_stored)
            .number(HIGH_BIT, bits_stored - 1)
            .number(SIGNED, 0)
            .words((0x7FE0, 0x0010), "OW", pixels)
    }

    pub fn text(self, tag: (u16, u16), vr: &str, value: &str) -> Self {
        self.with(tag, vr, Value::Text(value.to_owned()))
    }

    pub fn number(self, tag: (u16, u16), value: u16) -> Self {
        self.words(tag, "US", &[value])
    }

    pub fn words(self, tag: (u16, u16), vr: &str, values: &[u16]) -> Self {
        self.with(tag, vr, Value::Words(values.to_vec()))
    }

    pub fn bytes(self, tag: (u16, u16), vr: &str, values: &[u8]) -> Self {
        self.with(tag, vr, Value::Bytes(values.to_vec()))
    }

    fn with(mut self, tag: (u16, u16), vr: &str, value: Value) -> Self {
        self.elements.insert(tag, (vr.as_bytes().try_into().expect("two letters"), value));
        self
    }

    pub fn without(mut self, tag: (u16, u16)) -> Self {
        self.elements.remove(&tag);
        self
    }

    /// A LUT sequence of one item.
    pub fn lut(self, tag: (u16, u16), first: u16, bits: u16, entries: &[u16]) -> Self {
        let data = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        self.lut_as(tag, "US", [entries.len() as u16, first, bits], "OW", data)
    }

    /// A LUT sequence of one item whose descriptor and data say what they will; the data in words is little-endian here.
    pub fn lut_as(
        self,
        tag: (u16, u16),
        descriptor_vr: &str,
        descriptor: [u16; 3],
        data_vr: &str,
        data: Vec<u8>,
    ) -> Self {
        let vr = |text: &str| -> [u8; 2] { text.as_bytes().try_into().expect("two letters") };
        let data = match data_vr {
            "OB" => Value::Bytes(data),
            _ => Value::Words(
                data.chunks(2).map(|pair| u16::from_le_bytes([pair[0], *pair.get(1).unwrap_or(&0)])).collect(),
            ),
        };
        let item = BTreeMap::from([
            ((0x0028, 0x3002), (vr(descriptor_vr), Value::Words(descriptor.to_vec()))),
            ((0x0028, 0x3006), (vr(data_vr), data)),
        ]);
        self.items(tag, vec![item])
    }

    /// A sequence.
    pub fn items(self, tag: (u16, u16), items: Vec<Item>) -> Self {
        self.with(tag, "SQ", Value::Items(items))
    }

    /// 8-bit pixels in 8 bits allocated.
    pub fn pixels_of_8_bits(self, pixels: &[u8]) -> Self {
        let file = self.number(BITS_ALLOCATED, 8).number(BITS_STORED, 8).number(HIGH_BIT, 7);
        file.bytes((0x7FE0, 0x0010), "OB", pixels)
    }

    /// Another transfer syntax; the pixels stay as they are.
    pub fn syntax(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.syntax);
        self
    }

    /// Compressed pixels.
    pub fn encapsulated(mut self, uid: &str, fragments: &[Vec<u8>]) -> Self {
        self.fragments = Some(fragments.to_vec());
        self.syntax(uid)
    }

    pub fn preamble(mut self, start: &[u8]) -> Self {
        self.preamble[..start.len()].copy_from_slice(start);
        self
    }

    /// The file.
    pub fn build(&self) -> Vec<u8> {
        [self.head(&self.syntax), self.data_set()].concat()
    }

    /// Preamble and file meta information that name this transfer syntax; none with an empty one.
    pub fn head(&self, syntax: &str) -> Vec<u8> {
        let mut head = self.preamble.to_vec();
        head.extend(b"DICM");
        let explicit = Writer { explicit: true, big: false };
        let mut meta = Vec::new();
        explicit.element(&mut meta, (0x0002, 0x0002), *b"UI", &padded(self.class.as_bytes(), 0));
        if !syntax.is_empty() {
            explicit.element(&mut meta, (0x0002, 0x0010), *b"UI", &padded(syntax.as_bytes(), 0));
        }
        explicit.element(&mut head, (0x0002, 0x0000), *b"UL", &(meta.len() as u32).to_le_bytes());
        head.extend(meta);
        head
    }

    /// The elements behind the file meta information.
    pub fn data_set(&self) -> Vec<u8> {
        let writer = Writer { explicit: self.syntax != IMPLICIT, big: self.syntax == BIG_ENDIAN };
        let mut data_set = Vec::new();
        for (&tag, (vr, value)) in &self.elements {
            if tag != (0x7FE0, 0x0010) || self.fragments.is_none() {
                writer.value(&mut data_set, tag, *vr, value);
            }
        }
        if let Some(fragments) = &self.fragments {
            data_set.extend([0xE0, 0x7F, 0x10, 0x00, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
            // An empty offset table first.
            for fragment in std::iter::once(&Vec::new()).chain(fragments) {
                let fragment = padded(fragment, 0);
                data_set.extend([0xFE, 0xFF, 0x00, 0xE0]);
                data_set.extend((fragment.len() as u32).to_le_bytes());
                data_set.extend(fragment);
            }
            data_set.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        }
        if self.syntax == DEFLATED {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&data_set).expect("memory takes it");
            data_set = encoder.finish().expect("memory takes it");
        }
        data_set
    }
}

struct Writer {
    explicit: bool,
    big: bool,
}

impl Writer {
    fn value(&self, out: &mut Vec<u8>, tag: (u16, u16), vr: [u8; 2], value: &Value) {
        let bytes = match value {
            Value::Text(text) => padded(text.as_bytes(), b' '),
            Value::Bytes(bytes) => padded(bytes, 0),
            Value::Words(words) => words.iter().flat_map(|&word| self.word(word)).collect(),
            Value::Items(items) => {
                let mut all = Vec::new();
                for item in items {
                    let mut inner = Vec::new();
                    for (&tag, (vr, value)) in item {
                        self.value(&mut inner, tag, *vr, value);
                    }
                    all.extend([self.word(0xFFFE), self.word(0xE000)].concat());
                    all.extend(self.long(inner.len() as u32));
                    all.extend(inner);
                }
                all
            }
        };
        self.element(out, tag, vr, &bytes);
    }

    fn element(&self, out: &mut Vec<u8>, tag: (u16, u16), vr: [u8; 2], bytes: &[u8]) {
        out.extend([self.word(tag.0), self.word(tag.1)].concat());
        if !self.explicit {
            out.extend(self.long(bytes.len() as u32));
        } else if [*b"OB", *b"OW", *b"SQ", *b"UN"].contains(&vr) {
            out.extend(vr);
            out.extend([0, 0]);
            out.extend(self.long(bytes.len() as u32));
        } else {
            out.extend(vr);
            out.extend(self.word(bytes.len() as u16));
        }
        out.extend(bytes);
    }

    fn word(&self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn long(&self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

fn padded(bytes: &[u8], with: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !bytes.len().is_multiple_of(2) {
        bytes.push(with);
    }
    bytes
}

/// One frame of 16-bit samples by RLE (PS3.5, annex G): high bytes, then low bytes, all as literal runs.
pub fn rle(pixels: &[u16]) -> Vec<u8> {
    let plane = |byte: usize| -> Vec<u8> {
        let bytes: Vec<u8> = pixels.iter().map(|pixel| pixel.to_be_bytes()[byte]).collect();
        bytes.chunks(128).flat_map(|run| [vec![run.len() as u8 - 1], run.to_vec()].concat()).collect()
    };
    let (high, low) = (padded(&plane(0), 128), padded(&plane(1), 128));
    let mut header = [0u32; 16];
    header[..3].copy_from_slice(&[2, 64, 64 + high.len() as u32]);
    let header: Vec<u8> = header.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    [header, high, low].concat()
}

/// The bytes of an element of explicit little-endian with a long length that it does not have.
pub fn claiming(tag: (u16, u16), vr: [u8; 2], length: u32, content: &[u8]) -> Vec<u8> {
    let head = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    [&head, &vr[..], &[0, 0], &length.to_le_bytes(), content].concat()
}

/// A file of this data set, explicit little-endian, as it stands.
pub fn raw(data_set: &[u8]) -> Vec<u8> {
    [DicomFile::empty().build(), data_set.to_vec()].concat()
}

/// `depth` sequences of undefined length within each other, none of them closed.
pub fn nested(depth: usize) -> Vec<u8> {
    let level =
        [claiming((0x0008, 0x1115), *b"SQ", u32::MAX, &[]), vec![0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]];
    raw(&level.concat().repeat(depth))
}
