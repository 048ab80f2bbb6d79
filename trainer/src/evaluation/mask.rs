//! Covering a part of every image, to see what a model's score hangs on.
//!
//! A model that reads lungs loses little when the border is covered, and nearly everything when only the border is left.
//! One that reads side marks, collimation or the edge of the film does the opposite.

use serde::{Deserialize, Serialize};

use crate::data::{ImageStore, LostImage};

/// Of each side of the image, the share that is border.
pub const BORDER: f64 = 0.125;

/// What is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// An eighth of the image along each side.
    Border,
    /// All but that.
    Centre,
}

impl Mask {
    /// How results name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Border => "an eighth of the image along each side is covered",
            Self::Centre => "all but an eighth of the image along each side is covered",
        }
    }

    /// Whether the pixel at this place is covered.
    fn covers(self, [row, column]: [usize; 2], [height, width]: [usize; 2]) -> bool {
        let edge = |side: usize| (side as f64 * BORDER).round() as usize;
        let inside = |at: usize, side: usize| (edge(side)..side - edge(side)).contains(&at);
        let is_centre = inside(row, height) && inside(column, width);
        is_centre == (self == Self::Centre)
    }
}

/// The images with a part covered by the mean grey of what is left, which tells nothing.
pub(super) fn covered(images: &ImageStore, mask: Mask) -> Result<ImageStore, LostImage> {
    let preprocessing = images.preprocessing().clone();
    let (height, width) = (preprocessing.height as usize, preprocessing.width as usize);
    let channels = preprocessing.len() / (height * width);
    let is_covered: Vec<bool> =
        (0..height * width).map(|at| mask.covers([at / width, at % width], [height, width])).collect();
    let mut all = Vec::with_capacity(images.len() * preprocessing.len());
    for index in 0..images.len() {
        let pixels = images.get(index)?;
        let mean = mean_outside(pixels, &is_covered, channels);
        all.extend(
            pixels
                .chunks(channels)
                .zip(&is_covered)
                .flat_map(|(pixel, &covered)| pixel.iter().map(move |&value| if covered { mean } else { value })),
        );
    }
    Ok(ImageStore::of_pixels(preprocessing, all))
}

fn mean_outside(pixels: &[u8], is_covered: &[bool], channels: usize) -> u8 {
    let left = pixels.chunks(channels).zip(is_covered).filter(|(_, covered)| !**covered).flat_map(|(pixel, _)| pixel);
    let (sum, count) = left.fold((0u64, 0u64), |(sum, count), &value| (sum + u64::from(value), count + 1));
    (sum / count.max(1)) as u8
}

#[cfg(test)]
mod tests {
    use xreport_models::image::Preprocessing;

    use super::*;
    use crate::settings::Settings;

    fn images() -> ImageStore {
        let mut settings = Settings::default();
        settings.model.img_shape = [16, 16, 1];
        let preprocessing: Preprocessing = settings.preprocessing();
        ImageStore::of_pixels(preprocessing, (0..=255).collect())
    }

    #[test]
    fn border_and_centre_are_each_others_rest() {
        let images = images();
        let [border, centre] = [Mask::Border, Mask::Centre].map(|mask| covered(&images, mask).unwrap());
        let (whole, border, centre) = (images.get(0).unwrap(), border.get(0).unwrap(), centre.get(0).unwrap());
        let kept = |masked: &[u8]| (0..256).filter(|&at| masked[at] == whole[at]).count();
        assert!(kept(border) >= 144 && kept(centre) >= 112, "12 x 12 pixels are the centre");
        assert!((0..256).all(|at| border[at] == whole[at] || centre[at] == whole[at]));
        assert_eq!(border[0], border[15], "one grey covers");
        assert_eq!((border[0], centre[8 * 16 + 8]), (127, 127), "the mean of what is left");
    }
}
