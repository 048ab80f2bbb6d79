//! Lines, tubes and implants.

use rand::Rng;

use super::super::observation::Device;
use super::anatomy::{Anatomy, Heart};
use super::canvas::{Extent, Layer, Point, Pose, Profile, curve};

/// Draws one device into the layer of metal and plastic and says where it lies.
pub fn draw(
    device: Device,
    layer: &mut Layer,
    pose: Pose,
    anatomy: &Anatomy,
    heart: &Heart,
    rng: &mut impl Rng,
) -> Extent {
    match device {
        Device::CentralLine => central_line(layer, pose, anatomy, rng),
        Device::EndotrachealTube => endotracheal_tube(layer, pose, rng),
        Device::Pacemaker => pacemaker(layer, pose, anatomy, heart, rng),
    }
}

/// From the right internal jugular or subclavian vein into the superior vena cava.
fn central_line(layer: &mut Layer, pose: Pose, anatomy: &Anatomy, rng: &mut impl Rng) -> Extent {
    let tip: Point = (-rng.random_range(0.07..0.09), rng.random_range(-0.16..-0.04));
    let cava: Point = (-0.085, -0.38);
    let course: Vec<Point> = if rng.random_bool(0.6) {
        let entry = -rng.random_range(0.2..0.26);
        vec![(entry, -1.05), (entry + 0.015, -0.9), (-0.15, -0.66), cava, tip]
    } else {
        let under = anatomy.clavicle;
        vec![(-0.62, under + 0.12), (-0.45, under + 0.0), (-0.25, under + 0.01), (-0.12, under + 0.08), cava, tip]
    };
    layer.stroke(pose, &curve(&course, 8), (0.0105, 0.0105), 0.40, Profile::Soft)
}

/// In the trachea, ending above the carina; its marker line lies on one side.
fn endotracheal_tube(layer: &mut Layer, pose: Pose, rng: &mut impl Rng) -> Extent {
    let end = rng.random_range(-0.56..-0.46);
    let lean = rng.random_range(-0.006..0.006);
    let half = 0.023;
    let mut extent = Extent::default();
    for (offset, strength) in [(-half, 0.34), (half, 0.50)] {
        let wall = [(offset - lean, -1.05), (offset, -0.75), (offset + lean, end - offset * 0.6)];
        let drawn = layer.stroke(pose, &curve(&wall, 6), (0.0095, 0.0095), strength, Profile::Soft);
        if let Some([x0, y0, x1, y1]) = drawn.bounds() {
            extent.include(x0, y0);
            extent.include(x1 - 1, y1 - 1);
        }
    }
    extent
}

/// Generator over the left upper chest, leads through the left subclavian vein to the right heart.
fn pacemaker(layer: &mut Layer, pose: Pose, anatomy: &Anatomy, heart: &Heart, rng: &mut impl Rng) -> Extent {
    let centre: Point = (rng.random_range(0.46..0.54), anatomy.clavicle + rng.random_range(0.13..0.19));
    let (half, lean) = (0.035, rng.random_range(-0.02..0.02));
    let can = [(centre.0 - half, centre.1 - lean), (centre.0 + half, centre.1 + lean)];
    let mut extent = layer.stroke(pose, &can, (0.07, 0.066), 0.75, Profile::Flat);
    let header = [(centre.0 - half, centre.1 - 0.075), (centre.0 + half * 0.6, centre.1 - 0.075)];
    layer.stroke(pose, &header, (0.02, 0.02), 0.42, Profile::Flat);
    let under = anatomy.clavicle;
    let to_cava: [Point; 5] = [
        (centre.0 - 0.02, centre.1 - 0.08),
        (centre.0 - 0.1, under + 0.035),
        (0.2, under + 0.02),
        (-0.03, under + 0.14),
        (-0.085, -0.28),
    ];
    let bottom = heart.centre.1 + 0.62 * heart.short;
    let atrium: [Point; 3] =
        [(-heart.right_edge * 0.55, 0.0), (-heart.right_edge * 0.72, 0.08), (-heart.right_edge * 0.5, 0.01)];
    let apex = heart.left_edge * rng.random_range(0.52..0.62);
    let ventricle: [Point; 4] = [(-0.105, 0.0), (-0.06, bottom - 0.1), (0.06, bottom - 0.02), (apex, bottom + 0.01)];
    let courses = [[&to_cava[..], &atrium[..]].concat(), [&to_cava[..], &ventricle[..]].concat()];
    for course in courses.iter().skip(usize::from(rng.random_bool(0.3))) {
        let drawn = layer.stroke(pose, &curve(course, 8), (0.0085, 0.0085), 0.38, Profile::Soft);
        let tip = &course[course.len() - 1..];
        let near = (tip[0].0 - 0.03, tip[0].1);
        layer.stroke(pose, &[near, tip[0]], (0.013, 0.013), 0.42, Profile::Flat);
        if let Some([x0, y0, x1, y1]) = drawn.bounds() {
            extent.include(x0, y0);
            extent.include(x1 - 1, y1 - 1);
        }
    }
    extent
}
