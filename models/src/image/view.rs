//! A radiograph for a viewer: grey samples of their full depth, and the window to begin with.
//!
//! The network sees what [`decode`](super::decode) renders. A reader wants to look beyond that window: here nothing is
//! cut off, and level and width are the viewer's business.

use std::path::Path;

use super::decode::{self, Limits};
use super::{ImageError, Raster};

/// Which values are shown from black to white: 0 at `center - width / 2`, 1 at `center + width / 2`, cut off beyond
/// (DICOM's LINEAR_EXACT, PS3.3, C.11.2.1.3.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GreyWindow {
    /// The value in the middle.
    pub center: f64,
    /// From black to white; above 0.
    pub width: f64,
}

/// Grey samples before any window.
#[derive(Debug, Clone, PartialEq)]
pub struct Radiograph {
    /// Width W in pixels.
    pub width: u32,
    /// Height H in pixels.
    pub height: u32,
    /// H × W samples, row-major, 0 to 2^bits − 1.
    pub samples: Vec<u16>,
    /// Bits that a sample has, 1 to 16.
    pub bits: u16,
    /// A sample times `slope` plus `intercept` is the value that windows speak of. Not 0, possibly negative.
    pub slope: f64,
    /// See `slope`.
    pub intercept: f64,
    /// What the file asks for, else what it holds but for half a percent of its pixels at each end.
    pub window: GreyWindow,
    /// Whether low values are shown white (MONOCHROME1).
    pub inverted: bool,
}

impl Radiograph {
    /// Reads an image file in memory, any that [`decode`](super::decode()) reads; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`decode`](super::decode()).
    pub fn read(bytes: &[u8], name: &Path, limits: &Limits) -> Result<Self, ImageError> {
        decode::view(bytes, name, limits)
    }

    /// A picture that is rendered already, in 16 bits and shown whole; colour becomes luma.
    pub(super) fn of_raster(raster: Raster) -> Self {
        let raster = if raster.channels == 1 { raster } else { raster.with_channels(1).into_owned() };
        let white = f64::from(u16::MAX);
        Self {
            width: raster.width,
            height: raster.height,
            samples: raster.samples,
            bits: 16,
            slope: 1.0,
            intercept: 0.0,
            window: GreyWindow { center: white / 2.0, width: white },
            inverted: false,
        }
    }
}
