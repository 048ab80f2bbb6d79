//! A DICOM picture for a viewer: modality values before VOI LUT, window and inversion.

use super::super::view::{GreyWindow, Radiograph};
use super::attributes::{Attributes, Window, WindowFunction};
use super::lut::Lut;
use super::render;

/// Takes stored values, `bits_stored` low bits each; `None` where there are fewer than the attributes say.
///
/// A VOI LUT is no window: with one, what it gives is the picture, shown whole.
pub(super) fn view(mut samples: Vec<u16>, attributes: &Attributes) -> Option<Radiograph> {
    let (width, height) = (u32::from(attributes.columns), u32::from(attributes.rows));
    if samples.len() != width as usize * height as usize {
        return None;
    }
    if attributes.voi_lut.is_some() {
        render::render(&mut samples, attributes);
        let white = f64::from(u16::MAX);
        let window = GreyWindow { center: white / 2.0, width: white };
        let (bits, slope, intercept, inverted) = (16, 1.0, 0.0, false);
        return Some(Radiograph { width, height, samples, bits, slope, intercept, window, inverted });
    }
    let values = render::stored_values(attributes);
    let padded: Vec<bool> = values.iter().map(|&value| render::is_padding(value, attributes)).collect();
    let modality = render::modality_values(&values, attributes);
    let window = match attributes.window.filter(|window| window.is_usable()) {
        Some(window) => exact(window),
        None => stretched(render::percentiles(&samples, &modality, &padded)),
    };
    let inverted = render::inverts(attributes);
    let scale = Scale::of(attributes);
    let black = if inverted == (scale.slope > 0.0) { ((1u32 << scale.bits) - 1) as u16 } else { 0 };
    let table: Vec<u16> = values
        .iter()
        .zip(&padded)
        .map(|(&value, &padded)| if padded { black } else { scale.sample(value, attributes) })
        .collect();
    for sample in &mut samples {
        *sample = table[usize::from(*sample)];
    }
    let Scale { bits, slope, intercept } = scale;
    Some(Radiograph { width, height, samples, bits, slope, intercept, window, inverted })
}

/// How samples without sign stand for modality values.
struct Scale {
    bits: u16,
    slope: f64,
    intercept: f64,
}

impl Scale {
    fn of(attributes: &Attributes) -> Self {
        if let Some(Lut { bits, .. }) = attributes.modality_lut {
            return Self { bits: bits as u16, slope: 1.0, intercept: 0.0 };
        }
        let slope = attributes.slope_or_one();
        let intercept = attributes.intercept + f64::from(attributes.lowest()) * slope;
        Self { bits: attributes.bits_stored, slope, intercept }
    }

    fn sample(&self, stored: i32, attributes: &Attributes) -> u16 {
        match &attributes.modality_lut {
            Some(lut) => (lut.look_up(f64::from(stored)) as u32).min((1 << self.bits) - 1) as u16,
            None => (stored - attributes.lowest()) as u16,
        }
    }
}

/// DICOM's windows in the one form that a viewer uses; a sigmoid's straight middle.
fn exact(window: Window) -> GreyWindow {
    match window.function {
        // PS3.3, C.11.2.1.2.1; a width of 1 is a step.
        WindowFunction::Linear => {
            GreyWindow { center: window.center - 0.5, width: (window.width - 1.0).max(f64::EPSILON) }
        }
        WindowFunction::LinearExact | WindowFunction::Sigmoid => {
            GreyWindow { center: window.center, width: window.width }
        }
    }
}

fn stretched((low, high): (f64, f64)) -> GreyWindow {
    GreyWindow { center: f64::midpoint(low, high), width: (high - low).max(1.0) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::{Limits, decode};
    use super::super::samples::{
        DicomFile, INTERCEPT, MODALITY_LUT, PADDING, PHOTOMETRIC, SIGNED, SLOPE, VOI_LUT, WINDOW_CENTER,
        WINDOW_FUNCTION, WINDOW_WIDTH,
    };
    use super::*;

    /// What a viewer shows before anybody touches the window.
    fn shown(picture: &Radiograph) -> Vec<f64> {
        let GreyWindow { center, width } = picture.window;
        let show = |&sample: &u16| {
            let grey = ((f64::from(sample) * picture.slope + picture.intercept - center) / width + 0.5).clamp(0.0, 1.0);
            if picture.inverted { 1.0 - grey } else { grey }
        };
        picture.samples.iter().map(show).collect()
    }

    #[test]
    fn at_first_a_viewer_shows_what_the_network_sees() {
        let ramp: Vec<u16> = (0..4096).collect();
        let file = || DicomFile::grey(64, 64, 12, &ramp);
        let windowed = || file().text(WINDOW_CENTER, "DS", "900").text(WINDOW_WIDTH, "DS", "700");
        for (name, file) in [
            ("window", windowed()),
            ("inverted", windowed().text(PHOTOMETRIC, "CS", "MONOCHROME1")),
            ("exact", windowed().text(WINDOW_FUNCTION, "CS", "LINEAR_EXACT")),
            ("slope", windowed().text(SLOPE, "DS", "0.5").text(INTERCEPT, "DS", "-20")),
            ("negative slope", windowed().text(SLOPE, "DS", "-1").text(INTERCEPT, "DS", "2000")),
            ("signed", windowed().number(SIGNED, 1)),
            ("padding", windowed().number(PADDING, 4000)),
            ("inverted padding", windowed().number(PADDING, 0).text(PHOTOMETRIC, "CS", "MONOCHROME1")),
            ("no window", file()),
            ("modality table", windowed().lut(MODALITY_LUT, 0, 12, &ramp.iter().rev().copied().collect::<Vec<_>>())),
            ("VOI table", file().lut(VOI_LUT, 0, 12, &ramp.iter().rev().copied().collect::<Vec<_>>())),
        ] {
            let bytes = file.build();
            let seen = decode(&bytes, Path::new("test"), 1, &Limits::default()).unwrap();
            let picture = Radiograph::read(&bytes, Path::new("test"), &Limits::default()).unwrap();
            let far = shown(&picture)
                .iter()
                .zip(seen.samples())
                .map(|(shown, &seen)| (shown * 65_535.0 - f64::from(seen)).abs())
                .fold(0.0, f64::max);
            assert!(far <= 1.0, "{name}: {far} of 65,535 apart");
        }
    }

    #[test]
    fn what_lies_outside_the_window_is_still_there() {
        let ramp: Vec<u16> = (0..4096).collect();
        let file = DicomFile::grey(64, 64, 12, &ramp).text(WINDOW_CENTER, "DS", "900").text(WINDOW_WIDTH, "DS", "10");
        let picture = Radiograph::read(&file.build(), Path::new("test"), &Limits::default()).unwrap();
        assert_eq!((picture.bits, &picture.samples), (12, &ramp));
    }
}
