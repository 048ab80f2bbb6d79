//! Smooth random texture.

use rand::Rng;

const GRID: usize = 64;

/// Value noise: random values on a lattice that repeats every 64 steps, smoothly joined.
#[derive(Debug, Clone)]
pub struct Texture {
    lattice: Vec<f32>,
}

impl Texture {
    /// Draws a lattice.
    pub fn sample(rng: &mut impl Rng) -> Self {
        Self { lattice: (0..GRID * GRID).map(|_| rng.random_range(-1.0..1.0)).collect() }
    }

    /// The value at a position in lattice steps, −1 to 1.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (tx, ty) = (ease(x - left), ease(y - top));
        // GRID is a power of two: masking wraps negative numbers the right way too.
        let wrap = |value: f32| (value as i32 as usize) & (GRID - 1);
        let (x0, y0) = (wrap(left), wrap(top));
        let (x1, y1) = ((x0 + 1) & (GRID - 1), (y0 + 1) & (GRID - 1));
        let value = |x: usize, y: usize| self.lattice[y * GRID + x];
        let upper = value(x0, y0) + (value(x1, y0) - value(x0, y0)) * tx;
        let lower = value(x0, y1) + (value(x1, y1) - value(x0, y1)) * tx;
        upper + (lower - upper) * ty
    }
}
