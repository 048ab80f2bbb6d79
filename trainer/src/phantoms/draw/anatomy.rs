//! One person's chest: sampled measures, and the outlines that follow from them.
//!
//! Body coordinates throughout ([`Point`](super::canvas::Point)); `x` is the distance from the midline
//! on one side, whatever the side.

use rand::Rng;

use super::super::observation::Side;
use super::canvas::smooth;

/// Measures of one person, the same on every film of that person.
#[derive(Debug, Clone)]
pub struct Anatomy {
    /// Half-width of the trunk.
    pub body_width: f32,
    /// Depth of the trunk: how much tissue the beam crosses.
    pub body_depth: f32,
    /// Half-width of the rib cage.
    pub cage_width: f32,
    /// Height of the lung apices.
    pub apex: f32,
    /// Height of the right dome's top.
    pub right_dome: f32,
    /// How much lower the left dome stands.
    pub dome_step: f32,
    /// Cardiothoracic ratio without cardiomegaly.
    pub normal_ratio: f32,
    /// Cardiothoracic ratio with cardiomegaly.
    pub enlarged_ratio: f32,
    /// Tilt of the heart's long axis below the horizontal, in radians.
    pub heart_tilt: f32,
    /// Factor on the width of the upper mediastinum.
    pub mediastinum: f32,
    /// Factor on the size of the aortic knob.
    pub knob: f32,
    /// Distance of one posterior rib from the next.
    pub rib_pitch: f32,
    /// Height of the first posterior rib at the spine.
    pub rib_start: f32,
    /// Obliquity of the ribs.
    pub rib_fall: f32,
    /// Density of bone.
    pub bone: f32,
    /// Height of the clavicles' inner ends.
    pub clavicle: f32,
    /// Density of breast shadows, 0 where there are none.
    pub breast: f32,
    /// Gas in the stomach under the left dome: centre and half-axes, or `None`.
    pub gas: Option<[f32; 4]>,
    /// Seed of the vascular tree.
    pub vessel_seed: u64,
}

impl Anatomy {
    /// Draws a person.
    pub fn sample(rng: &mut impl Rng) -> Self {
        let cage_width = rng.random_range(0.72..0.79);
        let right_dome = rng.random_range(0.38..0.46);
        let dome_step = rng.random_range(0.04..0.085);
        let gas = rng.random_bool(0.6).then(|| {
            let half_width = rng.random_range(0.07..0.13);
            let half_height = rng.random_range(0.035..0.06);
            let top = right_dome + dome_step + half_height + rng.random_range(0.02..0.04);
            [rng.random_range(0.30..0.38), top, half_width, half_height]
        });
        Self {
            body_width: cage_width + rng.random_range(0.12..0.19),
            body_depth: rng.random_range(0.94..1.1),
            cage_width,
            apex: rng.random_range(-0.84..-0.77),
            right_dome,
            dome_step,
            normal_ratio: rng.random_range(0.38..0.45),
            enlarged_ratio: rng.random_range(0.58..0.66),
            heart_tilt: rng.random_range(0.5..0.7),
            mediastinum: rng.random_range(0.9..1.15),
            knob: rng.random_range(0.7..1.2),
            rib_pitch: rng.random_range(0.118..0.132),
            rib_start: rng.random_range(-0.80..-0.76),
            rib_fall: rng.random_range(0.85..1.15),
            bone: rng.random_range(0.85..1.1),
            clavicle: rng.random_range(-0.63..-0.57),
            breast: if rng.random_bool(0.45) { rng.random_range(0.04..0.1) } else { 0.0 },
            gas,
            vessel_seed: rng.random(),
        }
    }

    /// Half-width of the rib cage's inside at a height, 0 above the apex.
    pub fn cage(&self, v: f32) -> f32 {
        const WIDEST: f32 = 0.34;
        if v <= self.apex {
            return 0.0;
        }
        if v >= WIDEST {
            return self.cage_width * (1.0 - 0.12 * (v - WIDEST));
        }
        let t = (WIDEST - v) / (WIDEST - self.apex);
        // t^2.25, written with square roots because this runs for every pixel.
        let power = t * t * t.sqrt().sqrt();
        self.cage_width * (1.0 - power).max(0.0).sqrt()
    }

    /// Where the lung's inner border would run if there were no heart.
    pub fn inner_border(&self, v: f32) -> f32 {
        0.085 + 0.17 * (-(v - self.apex).max(0.0) / 0.09).exp()
    }

    /// Height of a dome's top.
    pub fn dome_top(&self, side: Side) -> f32 {
        match side {
            Side::Right => self.right_dome,
            Side::Left => self.right_dome + self.dome_step,
        }
    }

    /// Height of the diaphragm at a distance from the midline.
    pub fn dome(&self, side: Side, x: f32) -> f32 {
        const TOP_AT: f32 = 0.30;
        let fall = if x > TOP_AT {
            let t = (x - TOP_AT) / (self.cage_width - TOP_AT);
            0.30 * t * t * (0.35 + 0.65 * t)
        } else {
            let t = (TOP_AT - x) / TOP_AT;
            0.07 * t * t
        };
        self.dome_top(side) + fall
    }

    /// The heart for a cardiothoracic ratio.
    pub fn heart(&self, enlarged: bool) -> Heart {
        let ratio = if enlarged { self.enlarged_ratio } else { self.normal_ratio };
        let half = ratio * self.cage_width;
        // About a third of the heart lies right of the midline, a little less when it grows.
        let right = 0.36 * half * if enlarged { 1.75 } else { 1.7 };
        // A heart that grows lies flatter on the diaphragm.
        let tilt = self.heart_tilt * if enlarged { 0.5 } else { 1.0 };
        let (sin, cos) = tilt.sin_cos();
        let slim = if enlarged { 0.72 } else { 0.74 };
        let long = half / (cos * cos + slim * slim * sin * sin).sqrt();
        let reach = long * (sin * sin + slim * slim * cos * cos).sqrt();
        // Its lower border lies a little below the dome's top, in the dome's own shadow.
        let bottom = self.dome_top(Side::Left) + 0.085;
        Heart {
            centre: (half - right, bottom - reach),
            long,
            short: slim * long,
            sin,
            cos,
            left_edge: 2.0 * half - right,
            right_edge: right,
        }
    }

    /// Half-width of the mediastinum to the given side: great vessels above, and a waist that runs
    /// smoothly into the heart below.
    pub fn mediastinum(&self, heart: &Heart, side: Side, v: f32) -> f32 {
        let bell = |centre: f32, width: f32| {
            let t = (v - centre) / width;
            if t.abs() < 3.0 { (-t * t).exp() } else { 0.0 }
        };
        let (vessels, waist) = match side {
            Side::Right => (0.092 + 0.03 * bell(-0.02, 0.2), 0.86 * heart.right_edge),
            Side::Left => {
                (0.078 + 0.08 * self.knob * bell(-0.38, 0.09) + 0.075 * bell(-0.14, 0.14), 0.74 * heart.left_edge)
            }
        };
        let vessels = self.mediastinum * vessels;
        let slope = smooth(heart.centre.1 - 1.5 * heart.short, heart.centre.1 + 0.1, v);
        vessels + (waist - vessels).max(0.0) * slope
    }

    /// Tissue that the beam crosses outside the thoracic cavity's contents, 0 beside the body.
    pub fn tissue(&self, u: f32, v: f32) -> f32 {
        let x = u.abs();
        let width = self.body_width + 0.06 * smooth(0.2, 0.9, v) + 0.7 * smooth(-0.3, -0.62, v);
        let side = (1.0 - (x / width) * (x / width)).max(0.0);
        // From the neck down the trapezius to the point of the shoulder.
        let shoulder = -1.12 + 0.47 * ((x - 0.12).max(0.0) / 0.88).powf(0.8);
        let below_shoulder = ((v - shoulder) / 0.5).clamp(0.0, 1.0);
        let neck = (1.0 - (x / 0.25) * (x / 0.25)).max(0.0).sqrt() * 0.60;
        let trunk = side.sqrt() * below_shoulder.sqrt();
        self.body_depth * trunk.max(neck * smooth(-0.5, -0.8, v)) * (1.0 + 0.12 * smooth(0.3, 0.8, v))
    }
}

/// The heart's outline: a tilted ellipse whose apex points to the patient's left.
#[derive(Debug, Clone, Copy)]
pub struct Heart {
    /// Centre.
    pub centre: (f32, f32),
    /// Long half-axis.
    pub long: f32,
    /// Short half-axis.
    pub short: f32,
    /// Sine of the tilt.
    pub sin: f32,
    /// Cosine of the tilt.
    pub cos: f32,
    /// Distance of the left border from the midline.
    pub left_edge: f32,
    /// Distance of the right border from the midline.
    pub right_edge: f32,
}

impl Heart {
    /// Thickness at a point, 1 at the thickest, 0 outside.
    pub fn thickness(&self, u: f32, v: f32) -> f32 {
        let (du, dv) = (u - self.centre.0, v - self.centre.1);
        let along = (du * self.cos + dv * self.sin) / self.long;
        let across = (dv * self.cos - du * self.sin) / self.short;
        (1.0 - along * along - across * across).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn people() -> Vec<Anatomy> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..200).map(|_| Anatomy::sample(&mut rng)).collect()
    }

    #[test]
    fn the_right_dome_stands_higher() {
        for person in people() {
            assert!(person.dome_top(Side::Right) < person.dome_top(Side::Left));
        }
    }

    #[test]
    fn an_enlarged_heart_passes_half_the_thorax_and_a_normal_one_does_not() {
        for person in people() {
            let ratio = |enlarged| {
                let heart = person.heart(enlarged);
                (heart.left_edge + heart.right_edge) / (2.0 * person.cage_width)
            };
            assert!(ratio(false) < 0.46 && ratio(true) > 0.57, "{} {}", ratio(false), ratio(true));
        }
    }

    #[test]
    fn the_heart_lies_more_to_the_left_and_its_ellipse_reaches_its_edges() {
        for person in people() {
            for enlarged in [false, true] {
                let heart = person.heart(enlarged);
                assert!(heart.left_edge > 1.3 * heart.right_edge);
                let at = |u: f32| (0..400).any(|row| heart.thickness(u, row as f32 / 200.0 - 1.0) > 0.0);
                assert!(at(heart.left_edge - 0.01) && !at(heart.left_edge + 0.01));
                assert!(at(-heart.right_edge + 0.01) && !at(-heart.right_edge - 0.01));
            }
        }
    }
}
