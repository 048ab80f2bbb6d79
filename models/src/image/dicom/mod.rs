//! DICOM: from a file to the picture that a viewer shows.
//!
//! 1. [`scan`]: every length and the depth are checked before a parser sees the file; only what is needed is kept.
//! 2. [`attributes`]: `dicom-object` reads what was kept.
//! 3. [`codec`]: the first frame is decoded to stored values.
//! 4. [`render`]: modality LUT → VOI LUT or window, or without any a percentile window → inversion.
//!
//! The crate `dicom-pixeldata` decodes, but does not render: its two ways of doing so differ in inversion and VOI, and
//! neither knows the Presentation LUT Shape.

mod attributes;
mod codec;
mod codestream;
mod jpeg_sequential;
mod render;
#[cfg(test)]
mod samples;
mod scan;
#[cfg(test)]
mod tests;
mod view;

use super::decode::{Failure, Limits};
use super::gate::Concern;
use super::raster::{Raster, widen};
use super::view::Radiograph;
use attributes::{Attributes, Photometric};
use codec::{Samples, Syntax};

pub(super) use scan::has_magic;

/// A rendered file, and what the gate should know of it.
pub(super) struct Rendered {
    pub raster: Raster,
    pub concerns: Vec<Concern>,
}

/// Renders the first frame of a DICOM file.
pub(super) fn render_file(file: &[u8], channels: u8, limits: &Limits) -> Result<Rendered, Failure> {
    with_first_frame(file, channels, limits, |decoded, attributes| {
        let mut concerns = concerns(attributes);
        let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
        let raster = match decoded {
            Samples::Stored(mut samples) => {
                let remedies = render::render(&mut samples, attributes);
                concerns.extend(remedies.slope.then_some(Concern::SlopeZero));
                concerns.extend(remedies.window.then_some(Concern::WindowWidthZero));
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
    with_first_frame(file, 1, limits, |decoded, attributes| match decoded {
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
    then: impl FnOnce(Samples, &Attributes) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let scanned = scan::scan(file, limits.max_memory / 4)?;
    let attributes = Attributes::read(&scanned.kept, scanned.encoding)?;
    let syntax = Syntax::of(&scanned.transfer_syntax)?;
    let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
    let samples = u64::from(width) * u64::from(height) * u64::from(attributes.samples_per_pixel);
    let inflated = if matches!(scanned.bytes, std::borrow::Cow::Owned(_)) { scanned.bytes.len() as u64 } else { 0 };
    // Stored values and raster are one buffer, but for three channels of grey.
    let raster_bytes = 2 * samples.max(u64::from(width) * u64::from(height) * u64::from(channels)) + 2 * samples;
    let working = inflated + raster_bytes + syntax.working_bytes() * samples;
    let _permit = limits.check(width, height, file.len(), working)?;
    then(codec::decode(&scanned, &attributes)?, &attributes)
}

/// What the attributes alone give rise to.
fn concerns(attributes: &Attributes) -> Vec<Concern> {
    let mut concerns = Vec::new();
    match attributes.modality.as_deref() {
        Some("CR" | "DX") => {}
        Some(other) => concerns.push(Concern::Modality(other.to_owned())),
        None => concerns.push(Concern::ModalityNotStated),
    }
    if let Some(part) = attributes.body_part.as_deref().filter(|part| !is_chest(part)) {
        concerns.push(Concern::BodyPart(part.to_owned()));
    }
    if let Some(view) = attributes.view.as_deref().filter(|view| is_lateral(view)) {
        concerns.push(Concern::LateralView(view.to_owned()));
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
    concerns
}

/// Body Part Examined: the standard's CHEST and THORAX, and what is written in their place. Nothing stated is no concern:
/// many detectors leave it empty.
fn is_chest(part: &str) -> bool {
    ["CHEST", "THORA", "TORAX", "TÓRAX", "LUNG"].iter().any(|word| part.contains(word))
}

/// View Position (PS3.3, C.8.1.1 and C.8.11.5): left and right lateral, obliques, and what people write for them.
/// Decubitus views (LLD, RLD) are frontal.
fn is_lateral(view: &str) -> bool {
    matches!(view, "LL" | "RL" | "LLO" | "RLO" | "LAT" | "LLAT" | "RLAT")
        || view.contains("LATERAL")
        || view.contains("OBLIQUE")
}
