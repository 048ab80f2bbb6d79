//! Pixels, body coordinates and strokes.

use std::f32::consts::FRAC_1_SQRT_2;

/// A point in body coordinates: `u` to the patient's left (the image's right), `v` downwards, both
/// about −1 to 1 over the height of the image, the origin in mid-thorax.
pub type Point = (f32, f32);

/// How the body lies on the film.
#[derive(Debug, Clone, Copy)]
pub struct Pose {
    /// Pixel position of the body's origin.
    pub centre: (f32, f32),
    /// Pixels in one body unit.
    pub scale: f32,
    /// Factor on widths alone.
    pub width: f32,
    /// Rotation in radians, clockwise on the film.
    pub rotation: f32,
}

impl Pose {
    /// Body coordinates of a pixel position.
    pub fn to_body(self, x: f32, y: f32) -> Point {
        let (sin, cos) = self.rotation.sin_cos();
        let (dx, dy) = ((x - self.centre.0) / self.scale, (y - self.centre.1) / self.scale);
        ((dx * cos + dy * sin) / self.width, dy * cos - dx * sin)
    }

    /// Pixel position of body coordinates.
    pub fn to_pixel(self, (u, v): Point) -> (f32, f32) {
        let (sin, cos) = self.rotation.sin_cos();
        let u = u * self.width;
        (self.centre.0 + (u * cos - v * sin) * self.scale, self.centre.1 + (u * sin + v * cos) * self.scale)
    }
}

/// A bounding box in pixels that grows with what it is shown: `x0, y0` inside, `x1, y1` just outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    bounds: Option<[u32; 4]>,
}

impl Extent {
    /// Takes in one pixel.
    pub fn include(&mut self, x: u32, y: u32) {
        let [x0, y0, x1, y1] = self.bounds.unwrap_or([x, y, x, y]);
        self.bounds = Some([x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)]);
    }

    /// The box as `[x0, y0, x1, y1]`, or `None` where nothing was taken in.
    pub fn bounds(self) -> Option<[u32; 4]> {
        self.bounds
    }
}

/// How a stroke's strength falls off across its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Bell-shaped: vessels, wires.
    Soft,
    /// A flat plate: catheters' walls, generators, clips.
    Flat,
    /// A tube of cortical bone: brighter near its edges.
    Bone,
}

impl Profile {
    /// Strength at a distance in half-widths.
    fn at(self, distance: f32) -> f32 {
        match self {
            Self::Soft => (-1.4 * distance * distance).exp(),
            Self::Flat => smooth(1.15, 0.85, distance),
            Self::Bone => smooth(1.15, 0.85, distance) * (0.62 + 0.38 * smooth(0.35, 0.9, distance)),
        }
    }

    /// Distance in half-widths beyond which nothing is drawn.
    fn reach(self) -> f32 {
        match self {
            Self::Soft => 2.0,
            Self::Flat | Self::Bone => 1.2,
        }
    }
}

/// Hermite step from 0 at `from` to 1 at `to`; `from` may be the greater.
pub fn smooth(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A square layer of thickness values, row by row.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Pixels along a side.
    pub size: u32,
    /// `size * size` values.
    pub values: Vec<f32>,
}

impl Layer {
    /// An empty layer.
    pub fn new(size: u32) -> Self {
        Self { size, values: vec![0.0; (size * size) as usize] }
    }

    /// Draws a line through `points`; where strokes cross the stronger one shows. Half-widths in body
    /// units, linear from the first point to the last.
    pub fn stroke(
        &mut self,
        pose: Pose,
        points: &[Point],
        half_width: (f32, f32),
        strength: f32,
        profile: Profile,
    ) -> Extent {
        let mut extent = Extent::default();
        let steps = (points.len().max(2) - 1) as f32;
        for (index, pair) in points.windows(2).enumerate() {
            let at = |step: f32| half_width.0 + (half_width.1 - half_width.0) * step / steps;
            // A stroke thinner than a pixel fades instead of breaking up.
            let wanted = [at(index as f32) * pose.scale, at(index as f32 + 1.0) * pose.scale];
            let half = wanted.map(|half| half.max(FRAC_1_SQRT_2));
            let fade = (wanted[0] / half[0]).min(1.0);
            let segment = Segment { from: pose.to_pixel(pair[0]), to: pose.to_pixel(pair[1]), half };
            self.segment(&segment, strength * fade, profile, &mut extent);
        }
        extent
    }

    fn segment(&mut self, segment: &Segment, strength: f32, profile: Profile, extent: &mut Extent) {
        let reach = segment.half[0].max(segment.half[1]) * profile.reach();
        let last = self.size as f32 - 1.0;
        let ((ax, ay), (bx, by)) = (segment.from, segment.to);
        let (left, right) = ((ax.min(bx) - reach).floor().max(0.0), (ax.max(bx) + reach).ceil().min(last));
        let (top, bottom) = ((ay.min(by) - reach).floor().max(0.0), (ay.max(by) + reach).ceil().min(last));
        if right < left || bottom < top {
            return;
        }
        for y in top as u32..=bottom as u32 {
            for x in left as u32..=right as u32 {
                let distance = segment.distance(x as f32, y as f32);
                if distance > profile.reach() {
                    continue;
                }
                let value = strength * profile.at(distance);
                let slot = &mut self.values[(y * self.size + x) as usize];
                *slot = slot.max(value);
                if distance < 1.0 {
                    extent.include(x, y);
                }
            }
        }
    }
}

struct Segment {
    from: (f32, f32),
    to: (f32, f32),
    half: [f32; 2],
}

impl Segment {
    /// Distance to the segment in half-widths at the nearest point.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let length = (dx * dx + dy * dy).max(1e-6);
        let t = (((x - self.from.0) * dx + (y - self.from.1) * dy) / length).clamp(0.0, 1.0);
        let (ex, ey) = (x - self.from.0 - t * dx, y - self.from.1 - t * dy);
        (ex * ex + ey * ey).sqrt() / (self.half[0] + (self.half[1] - self.half[0]) * t)
    }
}

/// A smooth curve through control points (Catmull-Rom), `steps` points per piece.
pub fn curve(control: &[Point], steps: usize) -> Vec<Point> {
    let at = |index: isize| control[index.clamp(0, control.len() as isize - 1) as usize];
    let mut points = Vec::with_capacity(control.len() * steps + 1);
    for piece in 0..control.len() as isize - 1 {
        let (a, b, c, d) = (at(piece - 1), at(piece), at(piece + 1), at(piece + 2));
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            let blend = |a: f32, b: f32, c: f32, d: f32| {
                0.5 * (2.0 * b
                    + (c - a) * t
                    + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                    + (3.0 * b - a - 3.0 * c + d) * t * t * t)
            };
            points.push((blend(a.0, b.0, c.0, d.0), blend(a.1, b.1, c.1, d.1)));
        }
    }
    points.extend(control.last());
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSE: Pose = Pose { centre: (60.0, 64.0), scale: 60.0, width: 0.95, rotation: 0.05 };

    #[test]
    fn pixels_and_body_coordinates_are_inverse() {
        for point in [(0.0, 0.0), (0.5, -0.7), (-0.6, 0.3)] {
            let (x, y) = POSE.to_pixel(point);
            let (u, v) = POSE.to_body(x, y);
            assert!((u - point.0).abs() < 1e-5 && (v - point.1).abs() < 1e-5);
        }
        assert!(POSE.to_pixel((0.5, 0.0)).0 > POSE.centre.0, "the patient's left lies on the image's right");
    }

    #[test]
    fn a_stroke_stays_on_its_line() {
        let mut layer = Layer::new(128);
        let extent = layer.stroke(POSE, &[(0.0, -0.5), (0.0, 0.5)], (0.03, 0.03), 1.0, Profile::Flat);
        let [x0, y0, x1, y1] = extent.bounds().expect("the line lies on the film");
        assert!(x1 - x0 < 12 && y1 - y0 > 55, "{extent:?}");
        let (x, y) = POSE.to_pixel((0.0, 0.1));
        assert!(layer.values[y as usize * 128 + x as usize] > 0.9);
        let off_film = layer.stroke(POSE, &[(5.0, 5.0), (6.0, 6.0)], (0.03, 0.03), 1.0, Profile::Soft);
        assert_eq!(off_film.bounds(), None);
    }

    #[test]
    fn a_curve_goes_through_its_control_points() {
        let control = [(0.0, 0.0), (0.4, 0.1), (0.5, 0.5)];
        let points = curve(&control, 6);
        assert_eq!(points.len(), 13);
        for wanted in control {
            assert!(points.iter().any(|p| (p.0 - wanted.0).abs() + (p.1 - wanted.1).abs() < 1e-5));
        }
    }
}
