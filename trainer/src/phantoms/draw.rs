//! Draws a frontal chest phantom.
//!
//! Every structure adds or removes thickness in the beam (soft tissue, air, bone, metal); the sum is
//! shown through a film curve. So borders appear where they do on a radiograph: where air meets
//! tissue. The patient's left is on the image's right.

mod anatomy;
mod bones;
mod canvas;
mod devices;
mod film;
mod lesions;
mod texture;
mod vessels;

use image::GrayImage;
use rand::Rng;

pub use anatomy::Anatomy;
use anatomy::Heart;
use canvas::{Extent, Layer, Point, Pose, Profile, smooth};
use film::Film;
use lesions::{AirEffect, Lesions};
use texture::Texture;

use super::findings::{Findings, Location};
use super::observation::{EffusionSize, Observation, Side};

/// A drawn phantom.
#[derive(Debug, Clone, PartialEq)]
pub struct Phantom {
    /// The film: 8-bit grey, square, dense parts bright.
    pub image: GrayImage,
    /// One box for each observation of the findings, in their order.
    pub boxes: Vec<FindingBox>,
}

/// Where a finding lies on the image, in pixels: `x0, y0` is its first pixel, `x1, y1` lies just
/// beyond its last; x to the right, y down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingBox {
    /// What lies there.
    pub observation: Observation,
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// Column after the last.
    pub x1: u32,
    /// Row after the last.
    pub y1: u32,
}

/// Draws `findings` on the chest of a person.
///
/// `size` is the image's side in pixels, 64 or more. `rng` decides what differs from film to film:
/// pose, exposure, noise, and where and how strongly findings show.
pub fn draw(findings: &Findings, anatomy: &Anatomy, size: u32, rng: &mut impl Rng) -> Phantom {
    let pose = sample_pose(size, rng);
    let film = Film::sample(rng);
    let texture = Texture::sample(rng);
    let heart = anatomy.heart(findings.cardiomegaly);
    let lesions = Lesions::sample(findings, anatomy, &heart, rng);

    let mut vessels = Layer::new(size);
    vessels::draw(&mut vessels, pose, anatomy);
    let mut bones = Layer::new(size);
    bones::shoulders(&mut bones, pose, anatomy);
    let mut metal = Layer::new(size);
    let mut seen = Seen::default();
    for &device in &findings.devices {
        let extent = devices::draw(device, &mut metal, pose, anatomy, &heart, rng);
        seen.push(Observation::SupportDevice { device: Some(device) }, extent);
    }
    if rng.random_bool(0.5) {
        side_marker(&mut metal, size, rng);
    }

    let chest = Chest { findings, anatomy, heart, lesions: &lesions, texture: &texture };
    let mut attenuation = Layer::new(size);
    let mut extents = Extents::new(&lesions);
    for y in 0..size {
        for x in 0..size {
            let index = (y * size + x) as usize;
            let point = pose.to_body(x as f32, y as f32);
            let beam = chest.beam(point, vessels.values[index]);
            extents.include(&beam, x, y);
            attenuation.values[index] = beam.total + bones.values[index] + metal.values[index];
        }
    }
    extents.report(findings, &lesions, &mut seen);
    let image = film.develop(&attenuation, &texture, rng);
    Phantom { image, boxes: seen.into_boxes(findings) }
}

/// Small differences in how a person stands before the detector.
fn sample_pose(size: u32, rng: &mut impl Rng) -> Pose {
    let half = size as f32 / 2.0;
    Pose {
        centre: (half * (1.0 + rng.random_range(-0.05..0.05)), half * (1.03 + rng.random_range(-0.04..0.05))),
        scale: half * rng.random_range(0.97..1.07),
        width: rng.random_range(0.97..1.07),
        rotation: rng.random_range(-0.045..0.045),
    }
}

/// The radiographer's lead letter L beside the patient's left shoulder.
fn side_marker(metal: &mut Layer, size: u32, rng: &mut impl Rng) {
    let half = size as f32 / 2.0;
    let film = Pose { centre: (half, half), scale: half, width: 1.0, rotation: 0.0 };
    let (u, v) = (rng.random_range(0.84..0.9), rng.random_range(-0.93..-0.86));
    let letter: [Point; 3] = [(u, v - 0.045), (u, v + 0.035), (u + 0.045, v + 0.035)];
    metal.stroke(film, &letter, (0.011, 0.011), 1.6, Profile::Flat);
}

/// Everything that the beam may meet.
struct Chest<'a> {
    findings: &'a Findings,
    anatomy: &'a Anatomy,
    heart: Heart,
    lesions: &'a Lesions,
    texture: &'a Texture,
}

/// What the beam met on its way to one pixel.
#[derive(Default)]
struct Beam {
    /// Attenuation but for shoulders and metal.
    total: f32,
    side_index: usize,
    heart: f32,
    fluid: f32,
    free_air: f32,
    /// Density of each solid lesion.
    solid: [f32; MAX_SOLID],
}

/// Two consolidations and a nodule at most.
const MAX_SOLID: usize = 3;

impl Chest<'_> {
    fn beam(&self, (u, v): Point, vessel: f32) -> Beam {
        let anatomy = self.anatomy;
        let tissue = anatomy.tissue(u, v);
        let mut beam = Beam { side_index: usize::from(u > 0.0), ..Beam::default() };
        if tissue <= 0.0 {
            return beam;
        }
        let side = Side::ALL[beam.side_index];
        let x = u.abs();
        let cage = anatomy.cage(v);
        let chord = if x < cage { (1.0 - (x / cage) * (x / cage)).sqrt() } else { 0.0 };
        beam.heart = if v > -0.3 { self.heart.thickness(u, v) } else { 0.0 };

        let mut air = 0.0;
        let mut dense = 0.0;
        if chord > 0.0 {
            let depth = chord * (0.62 + 0.38 * cage / anatomy.cage_width);
            let lung = self.lung_share(side, x, v, beam.heart);
            let effect = match self.lesions.air[beam.side_index] {
                Some(free) => free.effect(anatomy, x, v),
                None => AirEffect::default(),
            };
            beam.free_air = effect.free * lung;
            let fluid = self.lesions.fluid[beam.side_index].map_or(0.0, |fluid| fluid.share(x, v, cage));
            // What lies below the diaphragm counts for the shadow, not for the finding's box.
            beam.fluid = if v < anatomy.dome(side, x) { fluid } else { 0.0 };
            let aerated = lung * (1.0 - fluid);
            let collapse = if self.lesions.air[beam.side_index].is_some() { 0.93 } else { 1.0 };
            air = 0.66 * depth * aerated * (collapse + (1.22 - collapse) * effect.free);
            let markings = aerated * (1.0 - effect.free);
            dense += markings * (vessel + hilum(side, x, v) + 0.02 * self.texture.at(u * 26.0, v * 26.0));
            dense += 0.16 * effect.line * aerated;
            for (slot, (_, lesion)) in beam.solid.iter_mut().zip(&self.lesions.solid) {
                *slot = lesion.at(u, v, self.texture) * (0.25 + 0.75 * markings) * smooth(0.0, 0.3, depth);
                dense += *slot;
            }
        }
        dense += bones::spine(anatomy, u, v) + bones::ribs(anatomy, x, v, cage);
        dense += self.trunk_extras(u, v);
        beam.total = (0.92 * tissue - air).max(0.06 * tissue) + 0.08 * beam.heart + dense;
        beam
    }

    /// Share of the cavity's depth that is lung at a point.
    fn lung_share(&self, side: Side, x: f32, v: f32, heart: f32) -> f32 {
        let anatomy = self.anatomy;
        let border = anatomy.mediastinum(&self.heart, side, v);
        let ratio = x / border;
        let mediastinum = (1.0 - ratio * ratio).max(0.0).sqrt();
        let inner = anatomy.inner_border(v);
        let beside_spine = smooth(inner - 0.03, inner + 0.03, x);
        let dome = anatomy.dome(side, x);
        // Lung reaches down behind the dome, so that the shadow below it is not quite even.
        let above = smooth(dome + 0.012, dome - 0.012, v).max(0.17 * smooth(dome + 0.2, dome, v));
        above * beside_spine * (1.0 - (1.7 * mediastinum).min(1.0)) * (1.0 - (1.25 * heart).min(0.94))
    }

    /// Windpipe, breasts and stomach gas.
    fn trunk_extras(&self, u: f32, v: f32) -> f32 {
        let anatomy = self.anatomy;
        let mut extra = 0.0;
        if v < -0.2 && u.abs() < 0.2 {
            extra -= windpipe(u, v);
        }
        if anatomy.breast > 0.0 {
            let (dx, dv) = ((u.abs() - 0.40) / 0.30, (v - 0.20) / 0.30);
            let inside = 1.0 - dx * dx - dv * dv;
            if inside > 0.0 && v > -0.2 {
                extra += anatomy.breast * inside.sqrt();
            }
        }
        if let Some([gas_u, gas_v, half_width, half_height]) = anatomy.gas
            && self.findings.effusions.get(&Side::Left) != Some(&EffusionSize::Large)
        {
            let (du, dv) = ((u - gas_u) / half_width, (v - gas_v) / half_height);
            extra -= 0.22 * (1.0 - du * du - dv * dv).max(0.0).sqrt();
        }
        extra
    }
}

/// Soft density around the lung roots.
fn hilum(side: Side, x: f32, v: f32) -> f32 {
    let centre = if side == Side::Left { -0.14 } else { -0.09 };
    let (dx, dv) = ((x - 0.15) / 0.075, (v - centre) / 0.12);
    0.12 * (-(dx * dx + dv * dv)).exp()
}

/// Air in the windpipe and main bronchi.
fn windpipe(u: f32, v: f32) -> f32 {
    const CARINA: f32 = -0.30;
    const HALF: f32 = 0.036;
    let tube = |x: f32| (1.0 - (x / HALF) * (x / HALF)).max(0.0).sqrt();
    // Below the carina the tube parts in two; the right bronchus falls more steeply.
    let spread = (v - CARINA).max(0.0);
    let trachea = tube(u) * smooth(CARINA + 0.03, CARINA - 0.02, v);
    let right = tube((u + 1.1 * spread) * 1.25);
    let left = tube((u - 1.7 * spread) * 1.35);
    let bronchi = if spread > 0.0 { right.max(left) * smooth(0.12, 0.05, spread) } else { 0.0 };
    0.24 * trachea.max(0.5 * bronchi)
}

/// Boxes of what the per-pixel pass draws.
struct Extents {
    heart: Extent,
    fluid: [Extent; 2],
    air: [Extent; 2],
    solid: Vec<(Extent, f32)>,
}

impl Extents {
    fn new(lesions: &Lesions) -> Self {
        Self {
            heart: Extent::default(),
            fluid: [Extent::default(); 2],
            air: [Extent::default(); 2],
            solid: lesions.solid.iter().map(|(_, one)| (Extent::default(), 0.2 * one.density)).collect(),
        }
    }

    fn include(&mut self, beam: &Beam, x: u32, y: u32) {
        if beam.heart > 0.0 {
            self.heart.include(x, y);
        }
        if beam.fluid > 0.5 {
            self.fluid[beam.side_index].include(x, y);
        }
        if beam.free_air > 0.5 {
            self.air[beam.side_index].include(x, y);
        }
        for ((extent, threshold), &density) in self.solid.iter_mut().zip(&beam.solid) {
            if density > *threshold {
                extent.include(x, y);
            }
        }
    }

    fn report(&self, findings: &Findings, lesions: &Lesions, seen: &mut Seen) {
        if findings.cardiomegaly {
            seen.push(Observation::Cardiomegaly, self.heart);
        }
        for (index, side) in Side::ALL.into_iter().enumerate() {
            if let Some(&size) = findings.effusions.get(&side) {
                seen.push(Observation::Effusion { side: Some(side), size: Some(size) }, self.fluid[index]);
            }
            if findings.pneumothorax == Some(side) {
                seen.push(Observation::Pneumothorax { side: Some(side) }, self.air[index]);
            }
        }
        for ((Location { side, zone }, lesion), (extent, _)) in lesions.solid.iter().zip(&self.solid) {
            let (side, zone) = (Some(*side), Some(*zone));
            let observation = if lesion.patchy {
                Observation::Consolidation { side, zone }
            } else {
                Observation::Nodule { side, zone }
            };
            seen.push(observation, *extent);
        }
    }
}

/// Observations with the place where they were drawn.
#[derive(Default)]
struct Seen(Vec<(Observation, Extent)>);

impl Seen {
    fn push(&mut self, observation: Observation, extent: Extent) {
        self.0.push((observation, extent));
    }

    /// In the canonical order of observations.
    fn into_boxes(mut self, findings: &Findings) -> Vec<FindingBox> {
        self.0.sort_by_key(|&(observation, _)| observation);
        debug_assert!(self.0.iter().map(|one| one.0).eq(findings.observations()));
        self.0
            .into_iter()
            .map(|(observation, extent)| {
                let [x0, y0, x1, y1] = extent.bounds().expect("every finding is drawn on the film");
                FindingBox { observation, x0, y0, x1, y1 }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
