//! DICOM: from a file to the picture that a viewer shows.
//!
//! 1. [`scan`]: the file is walked over, every length and the depth are checked; only the [`elements`] that are needed are
//!    kept.
//! 2. [`attributes`] and [`lut`]: what they say of the pixels and of the view.
//! 3. [`codec`]: the first frame is decoded to stored values.
//! 4. [`render`]: modality LUT → VOI LUT or window, or without any a percentile window → inversion.
//!
//! The crate `dicom-pixeldata` decodes, but does not render: its two ways of doing so differ in inversion and VOI, and
//! neither knows the Presentation LUT Shape.

mod attributes;
mod codec;
mod codestream;

mod elements;
mod jpeg_sequential;
mod lut;
#[cfg(test)]
mod odd_files_tests;
mod projection;
mod render;
#[cfg(test)]
mod samples;
mod scan;
mod sop_class;
mod start;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;

use super::decode::{Failure, Limits};
use super::gate::Concern;
use super::raster::{Raster, widen};
use super::view::Radiograph;
use attributes::{Attributes, Photometric};
use codec::{Samples, Syntax};
use scan::Oddity;

pub(super) use sop_class::holds_picture;
pub(super) use start::HEAD;

/// Whether a file is DICOM, by its magic or, where old software left that out, by its first element.
pub(super) fn is_dicom(file: &[u8]) -> bool {
    start::find(file).is_some()
}

/// A rendered file, and what the gate should know of it.
pub(super) struct Rendered {
    pub raster: Raster,
    pub concerns: Vec<Concern>,
}

/// Renders the first frame of a DICOM file.
pub(super) fn render_file(file: &[u8], channels: u8, limits: &Limits) -> Result<Rendered, Failure> {
    with_first_frame(file, channels, limits, |decoded, attributes, oddities| {
        let mut concerns = concerns(attributes);
        concerns.extend(oddities.iter().map(|oddity| Concern::Encoding(oddity.to_string())));
        let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
        let raster = match decoded {
            Samples::Stored(mut samples) => {
                concerns.extend(render::render(&mut samples, attributes));
                Raster::new(width, height, 1, samples)
            }
            Samples::Rgb(samples) => Raster::new(width, height, 3, samples.into_iter().map(widen).collect()),
        };
        let raster = raster.ok_or_else(too_few)?;
        Ok(Rendered { raster: raster.with_channels(channels).into_owned(), concerns })
    })
}

/// The first frame of a DICOM file as it is stored, for a viewer.
pub(super) fn view_file(file: &[u8], limits: &Limits) -> Result<Radiograph, Failure> {
    with_first_frame(file, 1, limits, |decoded, attributes, _| match decoded {
        Samples::Stored(samples) => view::view(samples, attributes).ok_or_else(too_few),
        Samples::Rgb(samples) => {
            let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
            let raster = Raster::new(width, height, 3, samples.into_iter().map(widen).collect());
            Ok(Radiograph::of_raster(raster.ok_or_else(too_few)?))
        }
    })
}

fn too_few() -> Failure {
    Failure::Damaged("fewer pixels than the attributes say".to_owned())
}

/// Decodes the first frame within the limits and hands it on; `channels` is what it becomes there.
fn with_first_frame<T>(
    file: &[u8],
    channels: u8,
    limits: &Limits,
    then: impl FnOnce(Samples, &Attributes, &BTreeSet<Oddity>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let scanned = scan::scan(file, limits.max_memory / 4)?;
    let Some(pixels) = &scanned.pixels else { return Err(sop_class::without_pixels(&scanned.elements)) };
    let attributes = Attributes::read(&scanned.elements)?;
    let syntax = scanned.syntax.unwrap_or(Syntax::Native);
    let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
    let samples = u64::from(width) * u64::from(height) * u64::from(attributes.samples_per_pixel);
    let inflated = if matches!(scanned.bytes, std::borrow::Cow::Owned(_)) { scanned.bytes.len() as u64 } else { 0 };
    // Stored values and raster are one buffer, but for three channels of grey.
    let raster_bytes = 2 * samples.max(u64::from(width) * u64::from(height) * u64::from(channels)) + 2 * samples;
    let working = inflated + raster_bytes + syntax.working_bytes() * samples;
    let _permit = limits.check(width, height, file.len(), working)?;
    then(codec::decode(&scanned, pixels, &attributes)?, &attributes, &scanned.oddities)
}

/// What the attributes alone give rise to.
fn concerns(attributes: &Attributes) -> Vec<Concern> {
    let mut concerns = Vec::new();
    match attributes.modality.as_deref() {
        // RG is film that was digitised.
        Some("CR" | "DX" | "RG") => {}
        Some(other) => concerns.push(Concern::Modality(other.to_owned())),
        None => concerns.push(Concern::ModalityNotStated),
    }
    if let Some(part) = attributes.body_part.as_deref().filter(|part| !projection::is_chest(part)) {
        concerns.push(Concern::BodyPart(part.to_owned()));
    }
    if let Some(view) = attributes.views.iter().find(|view| projection::is_lateral(view)) {
        concerns.push(Concern::LateralView(projection::in_words(view)));
    }
    if attributes.frames > 1 {
        concerns.push(Concern::MultiFrame(attributes.frames));
    }
    if attributes.burned_in {
        concerns.push(Concern::BurnedInAnnotation);
    }
    if attributes.inverse && attributes.photometric == Photometric::Monochrome2 {
        concerns.push(Concern::InverseShape);
    }
    concerns.extend(attributes.remedied.iter().cloned());
    concerns
}
