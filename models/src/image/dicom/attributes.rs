//! What a DICOM file says of its pixels and of its view, read by `dicom-object` from the elements that the pre-scan kept.

use dicom_core::value::PrimitiveValue;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use dicom_transfer_syntax_registry::entries;

use super::super::decode::Failure;
use super::scan::Encoding;

/// A look-up table: PS3.3, C.11.1.1 (modality) and C.11.2.1.1 (VOI).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lut {
    /// The input value that the first entry stands for; smaller ones take it too.
    pub first: i32,
    /// Bits of an entry, 8 to 16.
    pub bits: u32,
    /// The entries, at least one.
    pub entries: Vec<u16>,
}

/// From modality values to grey: PS3.3, C.11.2.1.2 and C.11.2.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WindowFunction {
    Linear,
    LinearExact,
    Sigmoid,
}

/// The first window of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub center: f64,
    pub width: f64,
    pub function: WindowFunction,
}

/// How samples become colours; other interpretations are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometric {
    Monochrome1,
    Monochrome2,
    Rgb,
    YbrFull,
}

/// What is needed of a file but its pixels.
#[allow(clippy::struct_excessive_bools, reason = "each is an attribute of the file that is a yes or a no")]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attributes {
    pub rows: u16,
    pub columns: u16,
    pub samples_per_pixel: u16,
    /// As written, for codecs.
    pub photometric_name: String,
    pub photometric: Photometric,
    pub planar: bool,
    pub frames: u32,
    /// 8 or 16.
    pub bits_allocated: u16,
    /// 1 to 16.
    pub bits_stored: u16,
    pub high_bit: u16,
    pub signed: bool,
    /// Stored values, both ends included, that are no part of the picture.
    pub padding: Option<(i32, i32)>,
    pub modality_lut: Option<Lut>,
    pub slope: f64,
    pub intercept: f64,
    pub voi_lut: Option<Lut>,
    pub window: Option<Window>,
    /// Presentation LUT Shape is INVERSE.
    pub inverse: bool,
    /// Modality, as code.
    pub modality: Option<String>,
    /// Body Part Examined, as code.
    pub body_part: Option<String>,
    /// View Position, or what the View Code Sequence calls it; in capitals.
    pub view: Option<String>,
    pub burned_in: bool,
}

impl Attributes {
    /// Reads the data set that the pre-scan made.
    pub fn read(kept: &[u8], encoding: Encoding) -> Result<Self, Failure> {
        let syntax = match (encoding.explicit, encoding.big_endian) {
            (true, false) => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
            (true, true) => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
            (false, _) => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        };
        // The parser's own words could quote a value: they are not passed on.
        let object = InMemDicomObject::read_dataset_with_ts(kept, &syntax)
            .map_err(|_| Failure::Damaged("elements that cannot be read".to_owned()))?;
        let source = Source { object: &object };
        let (photometric_name, photometric) = source.photometric()?;
        let bits_allocated = source.required(tags::BITS_ALLOCATED, "Bits Allocated")?;
        let bits_stored = source.number(tags::BITS_STORED).unwrap_or(bits_allocated);
        let signed = source.number(tags::PIXEL_REPRESENTATION).unwrap_or(0) == 1;
        let attributes = Self {
            rows: source.required(tags::ROWS, "Rows")?,
            columns: source.required(tags::COLUMNS, "Columns")?,
            samples_per_pixel: source.number(tags::SAMPLES_PER_PIXEL).unwrap_or(1),
            photometric_name,
            photometric,
            planar: source.number(tags::PLANAR_CONFIGURATION).unwrap_or(0) == 1,
            frames: source.frames(),
            bits_allocated,
            bits_stored,
            high_bit: source.number(tags::HIGH_BIT).unwrap_or(bits_stored.saturating_sub(1)),
            signed,
            padding: source.padding(signed),
            modality_lut: source.lut(tags::MODALITY_LUT_SEQUENCE, "Modality LUT Sequence", signed)?,
            slope: source.decimal(tags::RESCALE_SLOPE, "Rescale Slope")?.unwrap_or(1.0),
            intercept: source.decimal(tags::RESCALE_INTERCEPT, "Rescale Intercept")?.unwrap_or(0.0),
            voi_lut: source.lut(tags::VOILUT_SEQUENCE, "VOI LUT Sequence", signed)?,
            window: source.window()?,
            inverse: source.code(tags::PRESENTATION_LUT_SHAPE).as_deref() == Some("INVERSE"),
            modality: source.code(tags::MODALITY),
            body_part: source.code(tags::BODY_PART_EXAMINED),
            view: source.view(),
            burned_in: source.code(tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES"),
        };
        attributes.check()?;
        Ok(attributes)
    }

    fn check(&self) -> Result<(), Failure> {
        let unsupported = |detail: String| Err(Failure::Unsupported(detail));
        if !matches!(self.bits_allocated, 8 | 16) {
            return unsupported(format!("expected 8 or 16 bits allocated, found {}", self.bits_allocated));
        }
        if self.bits_stored == 0 || self.bits_stored > self.bits_allocated {
            return Err(Failure::Damaged(format!(
                "{} bits stored in {} bits allocated",
                self.bits_stored, self.bits_allocated
            )));
        }
        if self.high_bit >= self.bits_allocated || self.high_bit + 1 < self.bits_stored {
            return Err(Failure::Damaged(format!("high bit {} with {} bits stored", self.high_bit, self.bits_stored)));
        }
        let colour = matches!(self.photometric, Photometric::Rgb | Photometric::YbrFull);
        if self.samples_per_pixel != if colour { 3 } else { 1 } {
            return Err(Failure::Damaged(format!(
                "{} samples per pixel in a {} image",
                self.samples_per_pixel, self.photometric_name
            )));
        }
        if colour && (self.bits_stored != 8 || self.signed) {
            return unsupported(format!("colour of {} bits, expected 8", self.bits_stored));
        }
        if self.rows == 0 || self.columns == 0 {
            return Err(Failure::Damaged(format!("{} rows and {} columns", self.rows, self.columns)));
        }
        Ok(())
    }
}

/// Longest text that is believed to be a code (CS has 16 characters).
const LONGEST_CODE: usize = 64;

struct Source<'a> {
    object: &'a InMemDicomObject,
}

impl Source<'_> {
    fn value(&self, tag: Tag) -> Option<&PrimitiveValue> {
        primitive(self.object.get(tag)?)
    }

    fn number(&self, tag: Tag) -> Option<u16> {
        self.value(tag)?.to_int().ok()
    }

    fn required(&self, tag: Tag, name: &str) -> Result<u16, Failure> {
        self.number(tag).ok_or_else(|| Failure::Damaged(format!("no {name}")))
    }

    fn frames(&self) -> u32 {
        self.value(tags::NUMBER_OF_FRAMES).and_then(|value| value.to_int::<u32>().ok()).unwrap_or(1).max(1)
    }

    /// The first value of a decimal string; none where it is absent or empty.
    fn decimal(&self, tag: Tag, name: &str) -> Result<Option<f64>, Failure> {
        let Some(text) = self.value(tag).map(PrimitiveValue::to_raw_str) else { return Ok(None) };
        let first = text.split('\\').next().unwrap_or_default();
        let first = first.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if first.is_empty() {
            return Ok(None);
        }
        match first.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(Failure::Damaged(format!("{name} that is no number"))),
        }
    }

    /// A code string in capitals, without anything that is no part of codes.
    fn code(&self, tag: Tag) -> Option<String> {
        code_of(self.value(tag)?)
    }

    fn photometric(&self) -> Result<(String, Photometric), Failure> {
        let name = self
            .code(tags::PHOTOMETRIC_INTERPRETATION)
            .ok_or_else(|| Failure::Damaged("no Photometric Interpretation".to_owned()))?;
        let kind = match name.as_str() {
            "MONOCHROME1" => Photometric::Monochrome1,
            "MONOCHROME2" => Photometric::Monochrome2,
            // Codecs turn the YBR that belongs to them into RGB.
            "RGB" | "YBR_FULL_422" | "YBR_ICT" | "YBR_RCT" => Photometric::Rgb,
            "YBR_FULL" => Photometric::YbrFull,
            _ => return Err(Failure::Unsupported(format!("photometric interpretation {name}"))),
        };
        Ok((name, kind))
    }

    /// PS3.3, C.7.5.1.1.2: one value, or a range with the other limit.
    fn padding(&self, signed: bool) -> Option<(i32, i32)> {
        let first = self.stored(tags::PIXEL_PADDING_VALUE, signed)?;
        let other = self.stored(tags::PIXEL_PADDING_RANGE_LIMIT, signed).unwrap_or(first);
        Some((first.min(other), first.max(other)))
    }

    /// A stored value, US or SS as the pixels are; implicit encodings do not say which.
    fn stored(&self, tag: Tag, signed: bool) -> Option<i32> {
        let value: i32 = self.value(tag)?.to_int().ok()?;
        let bits = value as u16;
        Some(if signed { i32::from(bits.cast_signed()) } else { i32::from(bits) })
    }

    fn view(&self) -> Option<String> {
        self.code(tags::VIEW_POSITION).or_else(|| {
            let first = self.object.get(tags::VIEW_CODE_SEQUENCE)?.items()?.first()?;
            code_of(primitive(first.get(tags::CODE_MEANING)?)?)
        })
    }

    fn window(&self) -> Result<Option<Window>, Failure> {
        let center = self.decimal(tags::WINDOW_CENTER, "Window Center")?;
        let width = self.decimal(tags::WINDOW_WIDTH, "Window Width")?;
        let function = match self.code(tags::VOILUT_FUNCTION).as_deref() {
            None | Some("LINEAR") => WindowFunction::Linear,
            Some("LINEAR_EXACT") => WindowFunction::LinearExact,
            Some("SIGMOID") => WindowFunction::Sigmoid,
            Some(other) => return Err(Failure::Unsupported(format!("VOI LUT function {other}"))),
        };
        Ok(center.zip(width).map(|(center, width)| Window { center, width, function }))
    }

    /// The first table of a sequence.
    fn lut(&self, tag: Tag, name: &str, signed: bool) -> Result<Option<Lut>, Failure> {
        let broken = |detail: &str| Failure::Damaged(format!("{name} with {detail}"));
        let Some(item) = self.object.get(tag).and_then(|element| element.items()).and_then(<[_]>::first) else {
            return Ok(None);
        };
        let descriptor = item.get(tags::LUT_DESCRIPTOR).ok_or_else(|| broken("no descriptor"))?;
        let numbers = primitive(descriptor).and_then(|value| value.to_multi_int::<i32>().ok()).unwrap_or_default();
        let &[count, first, bits] = numbers.as_slice() else {
            return Err(broken("a descriptor of other than 3 numbers"));
        };
        // 65,536 does not fit into the number and is written 0.
        let count = match count as u16 {
            0 => 65_536,
            count => usize::from(count),
        };
        let first_signed = descriptor.vr() == VR::SS || signed;
        let first = first as u16;
        let first = if first_signed { i32::from(first.cast_signed()) } else { i32::from(first) };
        if !(8..=16).contains(&bits) {
            return Err(broken(&format!("entries of {bits} bits")));
        }
        let data = item.get(tags::LUT_DATA).and_then(primitive).ok_or_else(|| broken("no data"))?;
        let entries = entries(data, count).ok_or_else(|| broken("fewer entries than its descriptor says"))?;
        Ok(Some(Lut { first, bits: bits as u32, entries }))
    }
}

/// The entries of a table: words, or bytes where there are too few for words.
fn entries(data: &PrimitiveValue, count: usize) -> Option<Vec<u16>> {
    let words: Vec<u16> = match data {
        PrimitiveValue::U8(bytes) if bytes.len() >= 2 * count => {
            bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect()
        }
        PrimitiveValue::U8(bytes) => bytes.iter().map(|&byte| u16::from(byte)).collect(),
        other => {
            let words: Vec<u16> = other.to_multi_int::<i32>().ok()?.into_iter().map(|word| word as u16).collect();
            if words.len() < count && 2 * words.len() >= count {
                words.into_iter().flat_map(u16::to_le_bytes).map(u16::from).collect()
            } else {
                words
            }
        }
    };
    Some(words.get(..count)?.to_vec())
}

fn primitive(element: &InMemElement) -> Option<&PrimitiveValue> {
    element.value().primitive()
}

fn code_of(value: &PrimitiveValue) -> Option<String> {
    let text = value.to_raw_str();
    let first = text.split('\\').next().unwrap_or_default();
    let code: String = first
        .chars()
        .take(LONGEST_CODE)
        .filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.'))
        .collect::<String>()
        .trim()
        .to_uppercase();
    (!code.is_empty()).then_some(code)
}
