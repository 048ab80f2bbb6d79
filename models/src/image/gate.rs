//! The input gate: what a chest-radiograph model should not be shown, each with a reason of its own.
//!
//! A file can be whole and still be the wrong picture: a hip, a lateral view, a series, a black frame. A network drafts a
//! report on anything, so what is known of a picture is held against what the model was made for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::grey_range;

/// Pixels without an entry in a short look-up table that leave a picture what it is, in percent: its brightest or darkest.
const SHORT_LUT_PERCENT: u8 = 5;

/// One thing about an image that a user should know. The codes of DICOM are quoted, never a name or a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// DICOM Modality is stated, and neither CR, DX nor RG.
    Modality(String),
    /// DICOM Modality is not stated.
    ModalityNotStated,
    /// DICOM Body Part Examined is stated, and not the chest.
    BodyPart(String),
    /// DICOM View Position or View Code says lateral or oblique.
    LateralView(String),
    /// There are more frames or pages than the one that is looked at.
    MultiFrame(u32),
    /// All pixels have one value.
    Constant,
    /// The picture uses hardly any of the grey values that there are, see [`grey_range`](super::grey_range).
    GreyRange {
        /// Grey levels of 256 between the 0.5th and the 99.5th percentile.
        levels: u16,
        /// Share of the range from black to white between the same percentiles, in percent.
        percent: u8,
    },
    /// DICOM Rescale Slope is 0; it is taken for 1.
    SlopeZero,
    /// DICOM Window Width is 0 or less (below 1 for LINEAR); the window is ignored.
    WindowWidthZero,
    /// A number, or a table, cannot be read and is done without. Named as DICOM names it.
    Unreadable(String),
    /// A DICOM look-up table holds fewer entries than its descriptor says; values beyond them take the last entry. A reason
    /// to refuse where more than a few pixels have such values.
    LutShort {
        /// Entries that the descriptor says.
        said: usize,
        /// Entries that are there.
        found: usize,
        /// Share of the pixels that ask for an entry which is not there, in percent, rounded up.
        percent: u8,
    },
    /// The entries of a DICOM VOI LUT have another depth than its descriptor says; white is what they can hold. Never a
    /// reason to refuse.
    LutDepth {
        /// Bits that the descriptor says.
        said: u32,
        /// Bits that the largest entry needs.
        found: u32,
    },
    /// The first value of a DICOM look-up table meets no pixel by its stated sign, and does so by the other, which is
    /// taken. Never a reason to refuse.
    LutSign,
    /// A DICOM file is not written as it should be, and read all the same. Never a reason to refuse.
    Encoding(String),
    /// DICOM Burned In Annotation is YES: the pixels may show the patient's name.
    BurnedInAnnotation,
    /// Fewer pixels than the model's input has, both ways: the picture has to be enlarged.
    Small {
        /// Width and height of the image.
        found: [u32; 2],
        /// Width and height of the model's input.
        needed: [u32; 2],
    },
    /// DICOM Presentation LUT Shape is INVERSE with MONOCHROME2; the picture is inverted. Never a reason to refuse.
    InverseShape,
}

impl Concern {
    /// Its name, for counts and tables.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Modality(_) => "modality",
            Self::ModalityNotStated => "modality-not-stated",
            Self::BodyPart(_) => "body-part",
            Self::LateralView(_) => "lateral-view",
            Self::MultiFrame(_) => "multi-frame",
            Self::Constant => "constant",
            Self::GreyRange { .. } => "grey-range",
            Self::Unreadable(_) => "unreadable",
            Self::LutShort { .. } => "lut-short",
            Self::LutDepth { .. } => "lut-depth",
            Self::LutSign => "lut-sign",
            Self::Encoding(_) => "encoding",
            Self::SlopeZero => "slope-zero",
            Self::WindowWidthZero => "window-width-zero",
            Self::BurnedInAnnotation => "burned-in-annotation",
            Self::Small { .. } => "small",
            Self::InverseShape => "inverse-shape",
        }
    }

    /// Whether a strict gate refuses for it.
    pub fn refuses(&self) -> bool {
        match self {
            Self::InverseShape | Self::LutDepth { .. } | Self::LutSign | Self::Encoding(_) => false,
            Self::LutShort { percent, .. } => *percent > SHORT_LUT_PERCENT,
            _ => true,
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modality(found) => write!(f, "modality {found}, expected CR, DX or RG"),
            Self::ModalityNotStated => f.write_str("modality not stated, expected CR, DX or RG"),
            Self::BodyPart(found) => write!(f, "body part {found}, expected the chest"),
            Self::LateralView(found) => write!(f, "view {found}, expected a frontal view"),
            Self::MultiFrame(frames) => write!(f, "{frames} frames or pages, expected one image"),
            Self::Constant => f.write_str("all pixels alike, expected a picture"),
            Self::GreyRange { levels, percent } => write!(
                f,
                "{levels} grey levels over {percent} % of the range from black to white, expected {} over {} % at least \
                 (fewer bits in use than the file says, or hardly any contrast)",
                grey_range::LEAST_LEVELS,
                grey_range::LEAST_PERCENT
            ),
            Self::Unreadable(what) => write!(f, "{what} that cannot be read, done without it"),
            Self::LutShort { said, found, percent } => write!(
                f,
                "a look-up table of {found} entries that should have {said}, {percent} % of the pixels ask for the others"
            ),
            Self::LutDepth { said, found } => {
                write!(
                    f,
                    "a VOI LUT whose entries have {found} bits and not {said} as it says, shown by what they have"
                )
            }
            Self::LutSign => f.write_str("a look-up table whose first value has the wrong sign, shown by the other"),
            Self::Encoding(how) => write!(f, "a DICOM file that is not written as it should be: {how}"),
            Self::SlopeZero => f.write_str("rescale slope 0, which leaves no picture"),
            Self::WindowWidthZero => f.write_str("window width 0, which leaves no picture"),
            Self::BurnedInAnnotation => f.write_str("annotation burned into the pixels"),
            Self::Small { found, needed } => write!(
                f,
                "{}×{} pixels, expected at least {}×{}, the model's input",
                found[0], found[1], needed[0], needed[1]
            ),
            Self::InverseShape => f.write_str("MONOCHROME2 with presentation LUT shape INVERSE, shown inverted"),
        }
    }
}

/// Several concerns in one line.
pub fn listed(concerns: &[Concern]) -> String {
    concerns.iter().map(Concern::to_string).collect::<Vec<_>>().join("; ")
}

/// What is done with a concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GateMode {
    /// The image is refused.
    #[default]
    Strict,
    /// The image is taken, and the concern told.
    Warn,
    /// Nothing is looked for.
    Off,
}

/// Which views are no concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Views {
    /// Frontal ones.
    #[default]
    Frontal,
    /// All.
    All,
}

/// What is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gate {
    /// What is done with a concern.
    pub mode: GateMode,
    /// Which views are no concern.
    pub views: Views,
}

impl Gate {
    /// Whether this gate looks for such a concern at all.
    pub(super) fn minds(self, concern: &Concern) -> bool {
        match concern {
            Concern::LateralView(_) => self.views == Views::Frontal,
            _ => true,
        }
    }
}

impl FromStr for GateMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "strict" => Ok(Self::Strict),
            "warn" => Ok(Self::Warn),
            "off" => Ok(Self::Off),
            _ => Err(format!("expected strict, warn or off, found `{text}`")),
        }
    }
}

impl fmt::Display for GateMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::Warn => "warn",
            Self::Off => "off",
        })
    }
}

impl FromStr for Views {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "frontal" => Ok(Self::Frontal),
            "all" => Ok(Self::All),
            _ => Err(format!("expected frontal or all, found `{text}`")),
        }
    }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frontal => "frontal",
            Self::All => "all",
        })
    }
}
