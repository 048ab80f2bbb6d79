//! Spine, ribs, clavicles and shoulder blades.

use super::anatomy::Anatomy;
use super::canvas::{Layer, Pose, Profile, curve, smooth};

/// Density of the spine at a point: vertebral bodies with darker discs, pedicles, spinous processes.
pub fn spine(anatomy: &Anatomy, u: f32, v: f32) -> f32 {
    const HEIGHT: f32 = 0.118;
    let x = u.abs();
    if x > 0.16 {
        return 0.0;
    }
    let phase = ((v + 1.3) / HEIGHT).fract();
    let waist = 0.068 + 0.008 * (2.0 * (phase - 0.5)).powi(2) + 0.008 * v;
    let body = smooth(waist + 0.012, waist - 0.012, x);
    let disc = 1.0 - 0.5 * smooth(0.38, 0.46, (phase - 0.5).abs());
    let pedicle = {
        let (dx, dy) = ((x - 0.045) / 0.013, (phase - 0.35) * HEIGHT / 0.02);
        (-(dx * dx + dy * dy)).exp()
    };
    let process = smooth(0.014, 0.006, x) * smooth(0.5, 0.62, phase) * smooth(0.98, 0.86, phase);
    let transverse = smooth(0.135, 0.10, x) * smooth(0.12, 0.05, (phase - 0.38).abs()) * 0.35;
    anatomy.bone * 0.10 * (body * disc + 0.45 * pedicle + 0.5 * process + transverse * (1.0 - body))
}

/// Density of the ribs at a distance `x` from the midline, where the cage's half-width is `cage`.
pub fn ribs(anatomy: &Anatomy, x: f32, v: f32, cage: f32) -> f32 {
    if cage <= 0.05 || x > cage * 1.04 {
        return 0.0;
    }
    let t = x / anatomy.cage_width;
    // Seen edge-on at the side of the cage, a rib is longer in the beam.
    let edge_on = 1.0 + 0.8 * smooth(0.75, 1.0, x / cage);
    let inside = smooth(1.04, 0.99, x / cage);
    anatomy.bone * inside * edge_on * (0.095 * posterior(anatomy, x, v, t) + 0.055 * anterior(anatomy, v, t))
}

/// Posterior ribs run from the spine outwards, nearly level, and turn down at the side.
fn posterior(anatomy: &Anatomy, x: f32, v: f32, t: f32) -> f32 {
    let bend = anatomy.rib_fall * (-0.05 * t * (1.0 - t) * 4.0 + 0.07 * t + 0.26 * t * t * t * t);
    let count = (v - anatomy.rib_start - 0.7 * bend) / (anatomy.rib_pitch + 0.09 * bend);
    if !(-0.3..10.6).contains(&count) {
        return 0.0;
    }
    let near_spine = smooth(0.05, 0.09, x);
    near_spine * band(count, 0.19) * smooth(10.6, 9.0, count)
}

/// Anterior ribs run down towards the midline and end in cartilage, which hardly shows.
fn anterior(anatomy: &Anatomy, v: f32, t: f32) -> f32 {
    let rise = (1.0 - t).max(0.0);
    let bend = anatomy.rib_fall * (0.40 * rise + 0.10 * rise * rise);
    let count = (v - anatomy.rib_start - 0.14 - bend) / (anatomy.rib_pitch * 1.12);
    if !(-0.4..6.6).contains(&count) {
        return 0.0;
    }
    let end = 0.30 + 0.045 * count;
    smooth(end - 0.04, end + 0.05, t) * band(count, 0.21)
}

/// A rib's cross-section where its centre lies at each whole number: brighter at the cortex.
fn band(count: f32, half: f32) -> f32 {
    let distance = (count - count.round()).abs() / half;
    smooth(1.18, 0.86, distance) * (0.6 + 0.4 * smooth(0.3, 0.9, distance))
}

/// Draws clavicles, shoulder blades and the heads of the humeri.
pub fn shoulders(layer: &mut Layer, pose: Pose, anatomy: &Anatomy) {
    let top = anatomy.clavicle;
    let density = anatomy.bone;
    for sign in [-1.0, 1.0] {
        let clavicle: Vec<_> =
            [(0.075, top), (0.2, top - 0.035), (0.42, top - 0.11), (0.62, top - 0.16), (0.82, top - 0.13)]
                .map(|(x, v)| (sign * x, v))
                .to_vec();
        layer.stroke(pose, &curve(&clavicle, 8), (0.036, 0.028), 0.15 * density, Profile::Bone);
        let blade: Vec<_> = [(0.76, -0.68), (0.71, -0.47), (0.72, -0.22), (0.77, 0.02), (0.81, 0.06)]
            .map(|(x, v)| (sign * x, v))
            .to_vec();
        layer.stroke(pose, &curve(&blade, 6), (0.022, 0.014), 0.07 * density, Profile::Soft);
        let neck: Vec<_> = [(0.70, -0.66), (0.88, -0.62)].map(|(x, v)| (sign * x, v)).to_vec();
        layer.stroke(pose, &neck, (0.03, 0.085), 0.10 * density, Profile::Soft);
        let humerus: Vec<_> = [(1.0, -0.63), (1.08, -0.5), (1.14, -0.2)].map(|(x, v)| (sign * x, v)).to_vec();
        layer.stroke(pose, &humerus, (0.10, 0.07), 0.15 * density, Profile::Bone);
    }
}
