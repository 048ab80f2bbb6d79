//! A matrix of weights laid out for products with few rows.

#![allow(unsafe_code, reason = "tiles work on places in slices whose lengths are checked here")]

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::tiles::{Place, avx2, avx2_bytes, avx512, avx512_bytes};

/// Columns of a panel.
pub const LANES: usize = 16;
/// Bytes between the end of a panel and the next: panels that are read side by side would else fall into the same places
/// of the cache, since a matrix is as high as a power of two more often than not.
const GAP: usize = 64;

/// The instructions that make the products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// AVX-512: up to eight rows at once.
    Avx512,
    /// AVX2 with fused multiply-add: up to three.
    Avx2,
}

impl Instructions {
    /// The best that this processor has.
    pub fn detect() -> Option<Self> {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let best = if is_x86_feature_detected!("avx512f") { Self::Avx512 } else { Self::Avx2 };
        avx2.then_some(best)
    }

    /// Rows of a tile, at most.
    fn rows(self) -> usize {
        match self {
            Self::Avx512 => 8,
            Self::Avx2 => 3,
        }
    }

    /// Panels of a tile with so many rows: as many sums as there are registers, but for those of the weights.
    fn side(self, rows: usize) -> usize {
        match (self, rows) {
            (Self::Avx512, 1 | 2) => 8,
            (Self::Avx512, 3 | 4) => 6,
            (Self::Avx512, 5 | 6) | (Self::Avx2, 1) => 4,
            (Self::Avx512, _) => 3,
            (Self::Avx2, _) => 2,
        }
    }
}

/// A number of a matrix, by what it is multiplied with.
pub trait Weight: Copy + Default + Sync {
    /// A tile of `rows` rows by `side` panels from `panel` on, of a size that there is.
    ///
    /// # Safety
    /// `place` holds `rows` rows of inputs and of sums, `side` panels wide; the panels exist.
    unsafe fn tile(panels: &Panels<Self>, rows: usize, side: usize, panel: usize, place: Place);
}

/// A matrix `[depth, width]` in panels of [`LANES`] columns: for each input the panel's weights stand together. A column's
/// sum is multiplied with its scale, float32 `[width]`, and added to its bias.
#[derive(Debug)]
pub struct Panels<T = f32> {
    data: Vec<T>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    depth: usize,
    width: usize,
    instructions: Instructions,
}

impl<T: Weight> Panels<T> {
    /// Numbers from one panel to the next.
    const fn stride(depth: usize) -> usize {
        depth * LANES + GAP / size_of::<T>()
    }

    /// Lays out `weights`, `[depth, width]` row-major, `scale` and `bias`.
    ///
    /// # Panics
    /// Where a length is not what depth and width say.
    pub fn scaled(weights: &[T], scale: &[f32], bias: &[f32], width: usize, instructions: Instructions) -> Self {
        assert!(width > 0 && !weights.is_empty() && weights.len().is_multiple_of(width), "weights of whole rows");
        assert!(scale.len() == width && bias.len() == width, "a scale and a bias for each column");
        let depth = weights.len() / width;
        let count = width.div_ceil(LANES);
        let mut data = vec![T::default(); count * Self::stride(depth)];
        for (panel, data) in data.chunks_exact_mut(Self::stride(depth)).enumerate() {
            let columns = panel * LANES..width.min((panel + 1) * LANES);
            for (row, to) in weights.chunks_exact(width).zip(data.chunks_exact_mut(LANES)) {
                to[..columns.len()].copy_from_slice(&row[columns.clone()]);
            }
        }
        let padded = |numbers: &[f32]| {
            let mut padded = vec![0.0; count * LANES];
            padded[..width].copy_from_slice(numbers);
            padded
        };
        Self { data, scale: padded(scale), bias: padded(bias), depth, width, instructions }
    }

    /// Inputs of a row.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Sums of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers of a column, from the first input's to the last's, and its bias.
    pub fn column(&self, index: usize) -> (impl Iterator<Item = T> + '_, f32) {
        let start = index / LANES * Self::stride(self.depth) + index % LANES;
        (self.data[start..].iter().step_by(LANES).take(self.depth).copied(), self.bias[index])
    }

    /// Instructions that make the products.
    pub fn instructions(&self) -> Instructions {
        self.instructions
    }

    /// Panels.
    pub fn count(&self) -> usize {
        self.width.div_ceil(LANES)
    }

    /// Where a panel begins.
    pub(super) fn panel(&self, index: usize) -> *const T {
        self.data[index * Self::stride(self.depth)..].as_ptr()
    }

    /// Where scale and bias of a panel begin.
    pub(super) fn scale_and_bias(&self, index: usize) -> (*const f32, *const f32) {
        (self.scale[index * LANES..].as_ptr(), self.bias[index * LANES..].as_ptr())
    }

    /// `input · weights · scale + bias`: `input` is `[rows, depth]`, `output` `[rows, width]`, row-major. `each` calls what it is
    /// given once for every part from 0 to `parts`, in any order, on any thread; the numbers do not depend on it.
    ///
    /// # Panics
    /// Where a length does not fit, or a part is made twice.
    pub fn multiply<E>(
        &self,
        input: &[f32],
        output: &mut [f32],
        parts: usize,
        each: impl FnOnce(&(dyn Fn(usize) + Sync)) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = input.len() / self.depth;
        assert!(input.len() == rows * self.depth && output.len() == rows * self.width, "rows of inputs, rows of sums");
        let output = Shared(output.as_mut_ptr());
        let (count, parts) = (self.count(), parts.clamp(1, self.count()));
        let begun: Vec<_> = (0..parts).map(|_| AtomicBool::new(false)).collect();
        each(&|part| {
            assert!(!begun[part].swap(true, Ordering::Relaxed), "part {part} is made once");
            let panels = part * count / parts..(part + 1) * count / parts;
            // SAFETY: the lengths fit, and no two parts have a panel in common.
            unsafe { self.some(panels, input, rows, output) }
        })
    }

    /// The sums of one panel and one row, `input`, in their places of the row's sums.
    ///
    /// # Panics
    /// Where a length does not fit.
    pub fn multiply_panel(&self, panel: usize, input: &[f32], output: &mut [f32]) {
        assert!(input.len() == self.depth && output.len() >= self.width && panel < self.count(), "one row");
        // SAFETY: the lengths fit.
        unsafe { self.some(panel..panel + 1, input, 1, Shared(output.as_mut_ptr())) }
    }

    /// The columns of `panels`.
    ///
    /// # Safety
    /// `output` holds `rows` rows of sums, and nobody else works on these columns.
    unsafe fn some(&self, panels: Range<usize>, input: &[f32], rows: usize, output: Shared) {
        let most = self.instructions.rows();
        let side = self.instructions.side(rows.min(most));
        let whole = self.width / LANES;
        let mut panel = panels.start;
        while panel < panels.end {
            let side = if panel + side <= panels.end.min(whole) { side } else { 1 };
            for row in (0..rows).step_by(most) {
                let tall = most.min(rows - row);
                // SAFETY: row and panel lie within.
                unsafe {
                    let input = input.as_ptr().add(row * self.depth);
                    let to = output.0.add(row * self.width + panel * LANES);
                    if panel < whole {
                        T::tile(self, tall, side, panel, Place { input, output: to, width: self.width });
                    } else {
                        self.last(tall, panel, input, to);
                    }
                }
            }
            panel += side;
        }
    }

    /// The last panel, where the matrix ends within it.
    ///
    /// # Safety
    /// `output` holds the rest of `tall` rows of sums.
    unsafe fn last(&self, tall: usize, panel: usize, input: *const f32, output: *mut f32) {
        let mut sums = [0.0; 8 * LANES];
        let columns = self.width - panel * LANES;
        // SAFETY: no tile has more than 8 rows.
        unsafe { T::tile(self, tall, 1, panel, Place { input, output: sums.as_mut_ptr(), width: LANES }) };
        for (row, sums) in sums.chunks_exact(LANES).take(tall).enumerate() {
            // SAFETY: the rest of the row.
            let to = unsafe { std::slice::from_raw_parts_mut(output.add(row * self.width), columns) };
            to.copy_from_slice(&sums[..columns]);
        }
    }
}

impl Panels {
    /// Lays out `weights`, `[depth, width]` row-major, and `bias`, zeros where there is none.
    ///
    /// # Panics
    /// Where a length is not what depth and width say.
    pub fn new(weights: &[f32], bias: Option<&[f32]>, width: usize, instructions: Instructions) -> Self {
        let bias = bias.map_or_else(|| vec![0.0; width], <[f32]>::to_vec);
        // To multiply with 1 and add is to add, to the last bit.
        Self::scaled(weights, &vec![1.0; width], &bias, width, instructions)
    }
}

/// Picks the tile of the size that the numbers name.
macro_rules! choose {
    ($panels:ident, $rows:ident, $side:ident, $panel:ident, $place:ident, $($set:ident $tiles:ident $($tall:literal by $wide:literal),+;)+) => {
        match ($panels.instructions, $rows, $side) {
            $($(
                // SAFETY: the processor has these instructions, see `Instructions::detect`; the rest is the caller's.
                (Instructions::$set, $tall, $wide) => unsafe { $tiles::tile::<$tall, $wide>($panels, $panel, $place) },
            )+)+
            _ => unreachable!("no tile of {} rows by {} panels", $rows, $side),
        }
    };
}

/// Weights of this type, with the tiles of these modules.
macro_rules! weights {
    ($weight:ty, $avx512:ident, $avx2:ident) => {
        impl Weight for $weight {
            unsafe fn tile(panels: &Panels<Self>, rows: usize, side: usize, panel: usize, place: Place) {
                choose! {
                    panels, rows, side, panel, place,
                    Avx512 $avx512 1 by 8, 2 by 8, 3 by 6, 4 by 6, 5 by 4, 6 by 4,
                        1 by 3, 2 by 3, 3 by 3, 4 by 3, 5 by 3, 6 by 3, 7 by 3, 8 by 3,
                        1 by 1, 2 by 1, 3 by 1, 4 by 1, 5 by 1, 6 by 1, 7 by 1, 8 by 1;
                    Avx2 $avx2 1 by 4, 1 by 2, 2 by 2, 3 by 2, 1 by 1, 2 by 1, 3 by 1;
                }
            }
        }
    };
}

weights!(f32, avx512, avx2);
weights!(i8, avx512_bytes, avx2_bytes);

/// Sums to which several threads write, each to columns of its own.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: see above.
unsafe impl Send for Shared {}
// SAFETY: see above.
unsafe impl Sync for Shared {}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::thread;

    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 37 + seed * 101) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    /// Products one after another, fused: what each tile must give to the last bit.
    fn expected(input: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
        let width = bias.len();
        let depth = weights.len() / width;
        let sum = |row: &[f32], column: usize| {
            let inputs = row.iter().enumerate();
            inputs.fold(0f32, |sum, (at, value)| value.mul_add(weights[at * width + column], sum)) + bias[column]
        };
        input.chunks_exact(depth).flat_map(|row| (0..width).map(move |column| sum(row, column))).collect()
    }

    fn sets() -> Vec<Instructions> {
        match Instructions::detect() {
            Some(Instructions::Avx512) => vec![Instructions::Avx512, Instructions::Avx2],
            other => other.into_iter().collect(),
        }
    }

    #[test]
    fn products_are_the_same_to_the_last_bit_for_any_rows_parts_and_instructions() {
        for instructions in sets() {
            for (depth, width) in [(1, 1), (3, 32), (64, 33), (40, 95), (17, 320), (5, 31)] {
                let (weights, bias) = (numbers(depth * width, 1), numbers(width, 2));
                let panels = Panels::new(&weights, Some(&bias), width, instructions);
                for rows in (1..=9).chain([16, 19, 33]) {
                    let input = numbers(rows * depth, rows);
                    let expected = expected(&input, &weights, &bias);
                    for parts in [1, 2, 5] {
                        let mut output = vec![f32::NAN; rows * width];
                        let done = panels.multiply(&input, &mut output, parts, |part| {
                            thread::scope(|scope| {
                                for index in 0..parts.min(panels.count()) {
                                    scope.spawn(move || part(index));
                                }
                            });
                            Ok::<(), Infallible>(())
                        });
                        assert!(done.is_ok());
                        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
                        assert_eq!(
                            bits(&output),
                            bits(&expected),
                            "{instructions:?} {rows} x {depth} x {width}, {parts} parts"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn no_bias_is_zero() {
        let Some(instructions) = Instructions::detect() else { return };
        let panels = Panels::new(&[2.0, 3.0], None, 2, instructions);
        let mut output = [f32::NAN; 2];
        let done = panels.multiply(&[0.5], &mut output, 1, |part| {
            part(0);
            Ok::<(), Infallible>(())
        });
        assert!(done.is_ok());
        assert_eq!(output.map(f32::to_bits), [1.0, 1.5].map(f32::to_bits));
    }
}
