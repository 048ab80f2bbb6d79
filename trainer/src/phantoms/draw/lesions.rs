//! Findings in lung and pleura: where they lie on this film, and how they change it.

use rand::Rng;

use super::super::findings::{Findings, Location};
use super::super::observation::{EffusionSize, Side, Zone};
use super::anatomy::{Anatomy, Heart};
use super::canvas::smooth;
use super::texture::Texture;

/// Fluid in one pleural space.
#[derive(Debug, Clone, Copy)]
pub struct Fluid {
    /// Level against the chest wall.
    wall_level: f32,
    /// How far the surface falls from the wall inwards.
    drop: f32,
    /// Over what distance it falls.
    reach: f32,
}

impl Fluid {
    /// Places an effusion.
    pub fn sample(size: EffusionSize, side: Side, anatomy: &Anatomy, rng: &mut impl Rng) -> Self {
        let dome = anatomy.dome_top(side);
        match size {
            EffusionSize::Small => Self {
                wall_level: dome - rng.random_range(0.02..0.10),
                drop: rng.random_range(0.20..0.26),
                reach: rng.random_range(0.12..0.16),
            },
            EffusionSize::Large => Self {
                wall_level: dome - rng.random_range(0.40..0.58),
                drop: rng.random_range(0.16..0.24),
                reach: rng.random_range(0.14..0.2),
            },
        }
    }

    /// Share of the lung's place that is fluid at a point.
    pub fn share(&self, x: f32, v: f32, cage: f32) -> f32 {
        let level = self.wall_level + self.drop * (1.0 - (-(cage - x).max(0.0) / self.reach).exp());
        smooth(level - 0.022, level + 0.022, v) * (0.86 + 0.14 * smooth(level, level + 0.2, v))
    }
}

/// Free air in one pleural space.
#[derive(Debug, Clone, Copy)]
pub struct FreeAir {
    /// How far the lung's apex has come down.
    drop: f32,
    /// How far the lung has come off the side wall, at its widest.
    gap: f32,
}

/// What free air does to one point.
#[derive(Debug, Clone, Copy, Default)]
pub struct AirEffect {
    /// 1 in the free air, 0 in the lung.
    pub free: f32,
    /// Density of the visceral pleura's line, 0 to 1.
    pub line: f32,
}

impl FreeAir {
    /// Places a pneumothorax.
    pub fn sample(rng: &mut impl Rng) -> Self {
        Self { drop: rng.random_range(0.13..0.24), gap: rng.random_range(0.07..0.15) }
    }

    fn lung_edge(self, anatomy: &Anatomy, v: f32) -> f32 {
        let taper = 0.22 + 0.78 * smooth(0.5, -0.35, v);
        anatomy.cage(v - self.drop * smooth(0.35, -0.5, v)) - self.gap * taper
    }

    /// The effect at a point inside the cage.
    pub fn effect(self, anatomy: &Anatomy, x: f32, v: f32) -> AirEffect {
        const STEP: f32 = 0.01;
        let edge = self.lung_edge(anatomy, v);
        let slope = (self.lung_edge(anatomy, v + STEP) - self.lung_edge(anatomy, v - STEP)) / (2.0 * STEP);
        // Distance across the edge rather than along the row, or the line would swell at the apex.
        let distance = (x - edge) / (1.0 + slope * slope).sqrt();
        let across = distance / 0.008;
        let line = if across.abs() < 3.0 { (-across * across).exp() } else { 0.0 };
        AirEffect { free: smooth(-0.004, 0.004, distance), line }
    }
}

/// A consolidation or nodule.
#[derive(Debug, Clone, Copy)]
pub struct Lesion {
    /// Centre in body coordinates.
    pub centre: (f32, f32),
    /// Half-axes.
    pub radius: (f32, f32),
    /// Added density at the thickest.
    pub density: f32,
    /// Whether it is patchy and soft-edged, or round and well defined.
    pub patchy: bool,
}

impl Lesion {
    /// Places a consolidation.
    pub fn consolidation(place: Location, anatomy: &Anatomy, heart: &Heart, rng: &mut impl Rng) -> Self {
        let radius = (rng.random_range(0.15..0.2), rng.random_range(0.12..0.155));
        let centre = centre(place, anatomy, heart, 0.10, rng);
        Self { centre, radius, density: rng.random_range(0.34..0.46), patchy: true }
    }

    /// Places a nodule.
    pub fn nodule(place: Location, anatomy: &Anatomy, heart: &Heart, rng: &mut impl Rng) -> Self {
        let radius = rng.random_range(0.056..0.08);
        let centre = centre(place, anatomy, heart, 0.075, rng);
        let radius = (radius * rng.random_range(0.93..1.07), radius);
        Self { centre, radius, density: rng.random_range(0.26..0.36), patchy: false }
    }

    /// Added density at a point, before the lung's air is taken into account.
    pub fn at(&self, u: f32, v: f32, texture: &Texture) -> f32 {
        let (du, dv) = ((u - self.centre.0) / self.radius.0, (v - self.centre.1) / self.radius.1);
        let square = du * du + dv * dv;
        if square > 2.2 {
            return 0.0;
        }
        if !self.patchy {
            return self.density * smooth(1.08, 0.72, square.sqrt()) * (0.5 + 0.5 * (1.0 - square).max(0.0).sqrt());
        }
        let ragged = square.sqrt() + 0.38 * texture.at(u * 8.0, v * 8.0);
        let patches = 0.92 + 0.28 * texture.at(u * 17.0 + 40.0, v * 17.0);
        self.density * smooth(1.2, 0.3, ragged) * patches
    }
}

/// A centre for a lesion of half-size `room` in a zone: inside the lung, beside the heart, and well
/// away from the neighbouring zones.
fn centre(place: Location, anatomy: &Anatomy, heart: &Heart, room: f32, rng: &mut impl Rng) -> (f32, f32) {
    let bottom = anatomy.dome_top(place.side);
    let height = bottom - anatomy.apex;
    let part = match place.zone {
        Zone::Upper => rng.random_range(0.19..0.26),
        Zone::Mid => rng.random_range(0.47..0.54),
        Zone::Lower => rng.random_range(0.77..0.85),
    };
    let v = anatomy.apex + part * height;
    let outer = anatomy.cage(v) - room - 0.02;
    let inner = match (place.zone, place.side) {
        (Zone::Lower, Side::Left) => heart.left_edge + 0.5 * room,
        (Zone::Lower, Side::Right) => heart.right_edge + 1.2 * room,
        (Zone::Mid, _) => 0.27 + 0.5 * room,
        (Zone::Upper, _) => 0.13 + room,
    }
    .min(outer - 0.02);
    let x = inner + (outer - inner) * rng.random_range(0.1..0.9);
    (if place.side == Side::Left { x } else { -x }, v)
}

/// All findings of lung and pleura as they lie on one film. Sides: right first, as in [`Side::ALL`].
#[derive(Debug, Clone)]
pub struct Lesions {
    /// Fluid by side.
    pub fluid: [Option<Fluid>; 2],
    /// Free air by side.
    pub air: [Option<FreeAir>; 2],
    /// Consolidations and the nodule, with their places.
    pub solid: Vec<(Location, Lesion)>,
}

impl Lesions {
    /// Places everything that `findings` names.
    pub fn sample(findings: &Findings, anatomy: &Anatomy, heart: &Heart, rng: &mut impl Rng) -> Self {
        let fluid =
            Side::ALL.map(|side| findings.effusions.get(&side).map(|&size| Fluid::sample(size, side, anatomy, rng)));
        let air = Side::ALL.map(|side| (findings.pneumothorax == Some(side)).then(|| FreeAir::sample(rng)));
        let mut solid: Vec<_> = findings
            .consolidations
            .iter()
            .map(|&place| (place, Lesion::consolidation(place, anatomy, heart, rng)))
            .collect();
        solid.extend(findings.nodule.map(|place| (place, Lesion::nodule(place, anatomy, heart, rng))));
        Self { fluid, air, solid }
    }
}
