//! What a DICOM file says of its pixels and of its view.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::RangeInclusive;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::super::decode::Failure;
use super::super::gate::Concern;
use super::elements::{Characters, Decimal, Elements};
use super::lut::{self, Lut};

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
    /// Body Part Examined, as code; else what the Anatomic Region Sequence calls it.
    pub body_part: Option<String>,
    /// View Position and what the View Code Sequence calls it, in capitals.
    pub views: Vec<String>,
    pub burned_in: bool,
    /// What could not be read and was done without.
    pub remedied: Vec<Concern>,
}

impl Attributes {
    /// Reads the elements that the walk over the file kept.
    pub fn read(elements: &Elements) -> Result<Self, Failure> {
        let characters = elements.characters();
        let mut source = Source { elements, characters: &characters, remedied: Vec::new() };
        let (photometric_name, photometric) = source.photometric()?;
        let bits_allocated = source.required(tags::BITS_ALLOCATED, "Bits Allocated")?;
        let bits_stored = elements.number(tags::BITS_STORED).unwrap_or(bits_allocated);
        let signed = elements.number(tags::PIXEL_REPRESENTATION).unwrap_or(0) == 1;
        let mut attributes = Self {
            rows: source.required(tags::ROWS, "Rows")?,
            columns: source.required(tags::COLUMNS, "Columns")?,
            samples_per_pixel: elements.number(tags::SAMPLES_PER_PIXEL).unwrap_or(1),
            photometric_name,
            photometric,
            planar: elements.number(tags::PLANAR_CONFIGURATION).unwrap_or(0) == 1,
            frames: source.frames(),
            bits_allocated,
            bits_stored,
            high_bit: elements.number(tags::HIGH_BIT).unwrap_or(bits_stored.saturating_sub(1)),
            signed,
            padding: source.padding(signed),
            modality_lut: None,
            slope: source.decimal(tags::RESCALE_SLOPE, "Rescale Slope").unwrap_or(1.0),
            intercept: source.decimal(tags::RESCALE_INTERCEPT, "Rescale Intercept").unwrap_or(0.0),
            voi_lut: None,
            window: source.window(),
            inverse: source.code(tags::PRESENTATION_LUT_SHAPE).as_deref() == Some("INVERSE"),
            modality: source.code(tags::MODALITY),
            body_part: source.body_part(),
            views: source.views(),
            burned_in: source.code(tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES"),
            remedied: source.remedied,
        };
        attributes.check()?;
        let mut remedied = std::mem::take(&mut attributes.remedied);
        attributes.modality_lut = lut::read(lut::Kind::Modality, elements, &attributes.stored(), &mut remedied);
        attributes.voi_lut = lut::read(lut::Kind::Voi, elements, &attributes.modality_values(), &mut remedied);
        attributes.remedied = remedied;
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
        if self.high_bit >= self.bits_allocated || self.high_bit.saturating_add(1) < self.bits_stored {
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

    /// The smallest value that can be stored.
    pub fn lowest(&self) -> i32 {
        if self.signed { 0i32.saturating_sub(self.patterns() / 2) } else { 0 }
    }

    /// How many values can be stored.
    pub fn patterns(&self) -> i32 {
        1i32.checked_shl(self.bits_stored.into()).unwrap_or(0)
    }

    /// The values that can be stored.
    fn stored(&self) -> RangeInclusive<f64> {
        let lowest = f64::from(self.lowest());
        lowest..=lowest + f64::from(self.patterns()) - 1.0
    }

    /// The values that can come of them by table, or slope and intercept.
    fn modality_values(&self) -> RangeInclusive<f64> {
        if let Some(lut) = &self.modality_lut {
            return 0.0..=f64::from(lut.entries.iter().copied().max().unwrap_or_default());
        }
        let stored = self.stored();
        let of = |value: f64| value * self.slope_or_one() + self.intercept;
        let (a, b) = (of(*stored.start()), of(*stored.end()));
        a.min(b)..=a.max(b)
    }

    /// Rescale Slope; 0 leaves no picture and is taken for 1.
    pub fn slope_or_one(&self) -> f64 {
        if self.slope == 0.0 { 1.0 } else { self.slope }
    }
}

struct Source<'a> {
    elements: &'a Elements,
    characters: &'a Characters,
    remedied: Vec<Concern>,
}

impl Source<'_> {
    fn required(&self, tag: Tag, name: &str) -> Result<u16, Failure> {
        self.elements.number(tag).ok_or_else(|| Failure::Damaged(format!("no {name}")))
    }

    fn frames(&self) -> u32 {
        let frames = self.elements.integers(tags::NUMBER_OF_FRAMES);
        frames.first().and_then(|&frames| u32::try_from(frames).ok()).unwrap_or(1).max(1)
    }

    /// The first value of a decimal string; none where it is absent, empty or, which is told, no number.
    fn decimal(&mut self, tag: Tag, name: &str) -> Option<f64> {
        match self.elements.decimal(tag) {
            Decimal::Number(number) => Some(number),
            Decimal::None => None,
            Decimal::Unreadable => {
                self.remedied.push(Concern::Unreadable(name.to_owned()));
                None
            }
        }
    }

    fn code(&self, tag: Tag) -> Option<String> {
        self.elements.code(tag, self.characters)
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
        let bits = *self.elements.integers(tag).first()? as u16;
        Some(if signed { i32::from(bits.cast_signed()) } else { i32::from(bits) })
    }

    fn body_part(&self) -> Option<String> {
        self.code(tags::BODY_PART_EXAMINED).or_else(|| {
            let region = self.elements.items(tags::ANATOMIC_REGION_SEQUENCE).first()?;
            region.code(tags::CODE_MEANING, self.characters)
        })
    }

    fn views(&self) -> Vec<String> {
        let mut views = self.elements.codes(tags::VIEW_POSITION, self.characters);
        for item in self.elements.items(tags::VIEW_CODE_SEQUENCE) {
            views.extend(item.code(tags::CODE_MEANING, self.characters));
            views.extend(item.code(tags::CODE_VALUE, self.characters));
        }
        views
    }

    fn window(&mut self) -> Option<Window> {
        let center = self.decimal(tags::WINDOW_CENTER, "Window Center");
        let width = self.decimal(tags::WINDOW_WIDTH, "Window Width");
        let function = match self.code(tags::VOILUT_FUNCTION).as_deref() {
            None | Some("LINEAR") => WindowFunction::Linear,
            Some("LINEAR_EXACT") => WindowFunction::LinearExact,
            Some("SIGMOID") => WindowFunction::Sigmoid,
            Some(_) => {
                self.remedied.push(Concern::Unreadable("VOI LUT Function".to_owned()));
                return None;
            }
        };
        center.zip(width).map(|(center, width)| Window { center, width, function })
    }
}
