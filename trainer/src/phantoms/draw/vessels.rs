//! The pulmonary vascular tree: what makes a lung look like a lung, and what a pneumothorax lacks.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::observation::Side;
use super::anatomy::Anatomy;
use super::canvas::{Layer, Point, Pose, Profile};

/// A branch on its way out from the hilum.
#[derive(Debug, Clone, Copy)]
struct Branch {
    at: Point,
    /// Direction in radians: 0 outwards, positive downwards.
    heading: f32,
    half_width: f32,
    steps: u32,
}

/// Draws both trees, from hilum to periphery. They are drawn beyond the lungs too: only aerated lung
/// shows them.
pub fn draw(layer: &mut Layer, pose: Pose, anatomy: &Anatomy) {
    let mut rng = ChaCha8Rng::seed_from_u64(anatomy.vessel_seed);
    for side in Side::ALL {
        // The left hilum stands a little higher than the right.
        let height = if side == Side::Left { -0.13 } else { -0.08 };
        let mut open: Vec<Branch> = (0..9)
            .map(|index| {
                let spread = index as f32 / 8.0;
                Branch {
                    at: (0.15 + rng.random_range(0.0..0.04), height + (spread - 0.45) * 0.16),
                    heading: -1.35 + 2.75 * spread + rng.random_range(-0.14..0.14),
                    half_width: rng.random_range(0.013..0.019),
                    steps: rng.random_range(5..8),
                }
            })
            .collect();
        while let Some(branch) = open.pop() {
            grow(layer, pose, side, branch, &mut open, &mut rng);
        }
    }
}

/// Draws one branch and leaves its children in `open`.
fn grow(layer: &mut Layer, pose: Pose, side: Side, branch: Branch, open: &mut Vec<Branch>, rng: &mut ChaCha8Rng) {
    let sign = if side == Side::Left { 1.0 } else { -1.0 };
    let mut heading = branch.heading;
    let mut points = vec![branch.at];
    let end_width = branch.half_width * 0.35;
    for step in 0..branch.steps {
        let last = points[points.len() - 1];
        heading += rng.random_range(-0.2..0.2);
        let length = rng.random_range(0.06..0.09);
        points.push((last.0 + length * heading.cos(), last.1 + length * heading.sin()));
        let width = branch.half_width + (end_width - branch.half_width) * step as f32 / branch.steps as f32;
        if step > 0 && branch.steps > 2 && width > 0.004 && rng.random_bool(0.75) {
            let turn = rng.random_range(0.35..0.8) * if rng.random_bool(0.5) { 1.0 } else { -1.0 };
            open.push(Branch {
                at: points[points.len() - 1],
                heading: heading + turn,
                half_width: width * 0.72,
                steps: branch.steps - 1 - step.min(2),
            });
        }
    }
    for point in &mut points {
        point.0 *= sign;
    }
    let strength = (branch.half_width * 7.5).min(0.13);
    layer.stroke(pose, &points, (branch.half_width, end_width), strength, Profile::Soft);
}
