//! Images that stand apart from all others of the data set, and those that no model should be shown.

use serde::Serialize;

use super::likeness::standardised;
use super::scan::{ImageFacts, LIKENESS};

/// How an image stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// All pixels are (nearly) one grey.
    Blank,
    /// The picture uses hardly any of the grey values, by the input gate's rule and whatever the other images are like.
    GreyRange,
    /// Black and white are swapped, as far as can be told from the other images.
    Inverted,
    /// Much darker than the others.
    Dark,
    /// Much brighter than the others.
    Bright,
    /// Much less contrast than the others.
    Flat,
    /// Unlike the mean of all images: another view, another body part, or turned.
    Unlike,
}

impl Oddity {
    /// In a few words, for a caption.
    pub fn words(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::GreyRange => "hardly any grey values",
            Self::Inverted => "looks inverted",
            Self::Dark => "very dark",
            Self::Bright => "very bright",
            Self::Flat => "little contrast",
            Self::Unlike => "unlike the others",
        }
    }
}

/// An image that stands apart.
#[derive(Debug, Clone, Serialize)]
pub struct Outlier {
    /// Index of the study.
    #[serde(skip)]
    pub study: usize,
    /// Id of the study.
    pub id: String,
    /// How.
    pub oddity: Oddity,
    /// How far, in units that grow with the distance; only to sort by within one oddity.
    #[serde(skip)]
    pub distance: f32,
    /// Mean grey value, 0 to 255.
    pub mean: f32,
    /// Standard deviation of the grey values.
    pub deviation: f32,
}

/// Grey values within which an image counts as blank.
const BLANK: f32 = 2.0;
/// Robust standard deviations from the median beyond which an image stands apart (Iglewicz and Hoaglin 1993 take 3.5).
const FAR: f32 = 3.5;
/// Correlation with the mean of all images below which one looks inverted, or unlike.
const INVERTED: f32 = -0.4;
const UNLIKE: f32 = 0.1;
/// Fewer images than this tell nothing of what is usual.
const ENOUGH: usize = 30;

/// The images that stand apart, the gravest kind first, within a kind the farthest first. `ids` by study.
pub fn outliers(images: &[(usize, ImageFacts)], id: impl Fn(usize) -> String) -> Vec<Outlier> {
    let usual = (images.len() >= ENOUGH).then(|| Usual::of(images));
    let mut outliers: Vec<Outlier> = images
        .iter()
        .filter_map(|(study, facts)| {
            let (oddity, distance) = judge(facts, usual.as_ref())?;
            let (mean, deviation) = (facts.mean, facts.deviation);
            Some(Outlier { study: *study, id: id(*study), oddity, distance, mean, deviation })
        })
        .collect();
    outliers
        .sort_by(|a, b| a.oddity.cmp(&b.oddity).then(b.distance.total_cmp(&a.distance)).then(a.study.cmp(&b.study)));
    outliers
}

/// What is usual in this data set.
struct Usual {
    mean: Spread,
    deviation: Spread,
    /// The mean of all standardised likenesses, itself of length 1.
    picture: Box<[f32; LIKENESS]>,
    /// How the images correlate with it.
    resemblance: Spread,
}

impl Usual {
    fn of(images: &[(usize, ImageFacts)]) -> Self {
        let mut picture = Box::new([0.0_f32; LIKENESS]);
        for (_, facts) in images {
            if let Some(likeness) = standardised(&facts.likeness) {
                picture.iter_mut().zip(likeness).for_each(|(sum, pixel)| *sum += pixel);
            }
        }
        let length = picture.iter().map(|pixel| pixel * pixel).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        picture.iter_mut().for_each(|pixel| *pixel /= length);
        let of =
            |value: &dyn Fn(&ImageFacts) -> f32, least| Spread::of(images.iter().map(|(_, facts)| value(facts)), least);
        Self {
            mean: of(&|facts| facts.mean, 1.0),
            deviation: of(&|facts| facts.deviation, 1.0),
            resemblance: of(&|facts| resemblance(facts, &picture), 0.02),
            picture,
        }
    }
}

fn resemblance(facts: &ImageFacts, picture: &[f32; LIKENESS]) -> f32 {
    let Some(likeness) = standardised(&facts.likeness) else { return 0.0 };
    let dot: f32 = likeness.iter().zip(picture).map(|(a, b)| a * b).sum();
    dot / (LIKENESS as f32).sqrt()
}

fn judge(facts: &ImageFacts, usual: Option<&Usual>) -> Option<(Oddity, f32)> {
    if facts.deviation < BLANK {
        return Some((Oddity::Blank, -facts.deviation));
    }
    if facts.range.is_too_small() {
        return Some((Oddity::GreyRange, -f32::from(facts.range.percent)));
    }
    let usual = usual?;
    let resemblance = resemblance(facts, &usual.picture);
    if resemblance < INVERTED {
        return Some((Oddity::Inverted, -resemblance));
    }
    let (brightness, contrast) = (usual.mean.score(facts.mean), usual.deviation.score(facts.deviation));
    if brightness.abs() > FAR {
        return Some((if brightness < 0.0 { Oddity::Dark } else { Oddity::Bright }, brightness.abs()));
    }
    if contrast < -FAR {
        return Some((Oddity::Flat, -contrast));
    }
    (resemblance < UNLIKE && usual.resemblance.score(resemblance) < -FAR).then_some((Oddity::Unlike, -resemblance))
}

/// Median and robust standard deviation of a measure.
struct Spread {
    median: f32,
    deviation: f32,
}

impl Spread {
    /// `least` is the smallest deviation that is believed: in a data set of equal images every speck would stand apart.
    fn of(values: impl Iterator<Item = f32>, least: f32) -> Self {
        let mut values: Vec<f32> = values.collect();
        let median = median(&mut values);
        let mut distances: Vec<f32> = values.iter().map(|value| (value - median).abs()).collect();
        // 1.4826 makes the median distance of a normal distribution its standard deviation.
        Self { median, deviation: (1.4826 * self::median(&mut distances)).max(least) }
    }

    fn score(&self, value: f32) -> f32 {
        (value - self.median) / self.deviation
    }
}

fn median(values: &mut [f32]) -> f32 {
    let half = values.len() / 2;
    *values.select_nth_unstable_by(half, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::super::scan::samples::facts;
    use super::*;

    /// A bright disc somewhere about the middle, as a chest is: dark around.
    fn chest(n: u32) -> ImageFacts {
        facts(64, 64, move |x, y| {
            let (dx, dy) = (i64::from(x) - 32, i64::from(y) - 30 - i64::from(n % 5));
            (48 + n % 7 + if dx * dx + dy * dy < 400 { 120 } else { 0 } + (x * 7 + y * 3) % 29) as u8
        })
    }

    fn found(odd: ImageFacts) -> Option<Oddity> {
        let mut images: Vec<_> = (0..60).map(|n| (n, chest(n as u32))).collect();
        images.push((60, odd));
        let outliers = outliers(&images, |study| study.to_string());
        assert!(outliers.iter().all(|outlier| outlier.study == 60), "{outliers:?}");
        outliers.first().map(|outlier| outlier.oddity)
    }

    #[test]
    fn each_way_to_stand_apart_is_named() {
        let usual = |x: u32, y: u32| chest(3).likeness[(y / 2 * 32 + x / 2) as usize];
        assert_eq!(found(chest(7)), None);
        assert_eq!(found(facts(64, 64, |_, _| 90)), Some(Oddity::Blank));
        assert_eq!(found(facts(64, 64, |x, y| 255 - usual(x, y))), Some(Oddity::Inverted));
        assert_eq!(found(facts(64, 64, |x, y| usual(x, y) / 4)), Some(Oddity::GreyRange));
        assert_eq!(found(facts(64, 64, |x, y| usual(x, y).saturating_sub(30))), Some(Oddity::Dark));
        assert_eq!(found(facts(64, 64, |x, y| usual(x, y).saturating_add(40))), Some(Oddity::Bright));
        // A scale of all greys along one edge, and little beside it.
        let flat = |x: u32, y: u32| if y < 2 { (x * 4) as u8 } else { 85 + usual(x, y) / 8 };
        assert_eq!(found(facts(64, 64, flat)), Some(Oddity::Flat));
        assert_eq!(
            found(facts(64, 64, |x, y| if x < y { 27 + (x % 30) as u8 } else { 147 + (y % 30) as u8 })),
            Some(Oddity::Unlike)
        );
    }

    #[test]
    fn few_images_have_no_usual_but_a_blank_one_is_blank() {
        let shades = |x: u32, y: u32| (y * 32 + x * 4) as u8;
        let images = [(0, chest(0)), (1, facts(8, 8, shades)), (2, facts(8, 8, |_, _| 0))];
        let outliers = outliers(&images, |study| study.to_string());
        assert_eq!(outliers.iter().map(|outlier| outlier.study).collect::<Vec<_>>(), [2]);
        // A picture of 12 bits in a file of 16 is nearly black, and so may all others be.
        let dark: Vec<_> = (0..60).map(|n| (n, facts(64, 64, |x, y| ((x + y) / 8) as u8))).collect();
        let outliers = super::outliers(&dark, |study| study.to_string());
        assert!(
            outliers.len() == 60 && outliers.iter().all(|outlier| outlier.oddity == Oddity::GreyRange),
            "{outliers:?}"
        );
    }
}
