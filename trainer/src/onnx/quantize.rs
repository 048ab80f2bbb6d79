//! Linear layers with 8-bit weights, in the two forms that ONNX Runtime's CPU provider is fast at.
//!
//! Both quantise the weights once, here, symmetrically, and the activations in each step, **each row by itself**: what a
//! row computes does not depend on its neighbours. (`DynamicQuantizeMatMul`, the usual form, takes one scale for the
//! whole batch: the same image then gets another text beside other images.)

use xreport_models::bundle::{Axis, DType};

use super::graph::{GraphBuilder, Node, Value};

/// How a graph writes its linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearForm {
    /// `MatMul` with float weights.
    Float,
    /// com.microsoft `MatMulNBits`: 8-bit weights in blocks of up to 128 along the inputs, each with a scale. One node,
    /// fastest for one row; for one alone, since its kernels for one and for several differ in the last bit.
    Blocks,
    /// `MatMulInteger`: 8-bit weights with a scale per output. More nodes, fastest for several rows.
    Rows,
}

/// Longest block: of 32, 64, 128 and 256 a step of one row took 1.80, 1.49, 1.28 and 1.24 ms (d 512, V 30,522, one thread),
/// and a longer block rounds more coarsely.
const LONGEST_BLOCK: usize = 128;
const SHORTEST_BLOCK: usize = 16;
/// A weight of 0 is stored as this.
const ZERO: f32 = 128.0;
/// Kernel choice of `MatMulNBits`: activations in 8 bits.
const ACCURACY_LEVEL: i64 = 4;
/// Added to a row's largest magnitude: a row of zeros then gives zeros.
const MAGNITUDE_FLOOR: f32 = 1e-12;

/// A weight matrix in blocks, as `MatMulNBits` takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocks {
    /// Weights per block.
    pub block: usize,
    /// Blocks per output.
    pub count: usize,
    /// `u8 [outputs, count, block]`; 128 is zero.
    pub values: Vec<u8>,
    /// `f32 [outputs, count]`.
    pub scales: Vec<f32>,
}

impl Blocks {
    /// Quantises `f32 [outputs, inputs]`. In each block the weight of largest magnitude becomes exactly -128, so that
    /// the whole range is used, as ONNX Runtime's own quantiser does it.
    pub fn quantise(weights: &[f32], inputs: usize) -> Self {
        let block = block_length(inputs);
        let count = inputs.div_ceil(block);
        let mut quantised = Self { block, count, values: Vec::new(), scales: Vec::new() };
        for row in weights.chunks(inputs) {
            for part in row.chunks(block) {
                let largest = part.iter().copied().fold(0f32, |most, w| if w.abs() > most.abs() { w } else { most });
                let scale = largest / -ZERO;
                let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
                let start = quantised.values.len();
                quantised.values.extend(part.iter().map(|w| (w * inverse + ZERO).round().clamp(0.0, 255.0) as u8));
                quantised.values.resize(start + block, ZERO as u8);
                quantised.scales.push(scale);
            }
        }
        quantised
    }

    /// The weights that the graph computes with, `f32 [outputs, inputs]`.
    #[cfg(test)]
    fn dequantise(&self, inputs: usize) -> Vec<f32> {
        let blocks: Vec<f32> = (self.values.chunks(self.block).zip(&self.scales))
            .flat_map(|(block, scale)| block.iter().map(move |&value| (f32::from(value) - ZERO) * scale))
            .collect();
        blocks.chunks(self.count * self.block).flat_map(|row| row[..inputs].to_vec()).collect()
    }
}

/// The longest power of two up to [`LONGEST_BLOCK`] that divides `inputs`; where none does, the last block is padded.
fn block_length(inputs: usize) -> usize {
    let lengths = std::iter::successors(Some(LONGEST_BLOCK), |length| Some(length / 2));
    let mut fitting =
        lengths.take_while(|&length| length >= SHORTEST_BLOCK).filter(|length| inputs.is_multiple_of(*length));
    fitting.next().unwrap_or(SHORTEST_BLOCK)
}

/// A weight matrix with a scale per output, as `MatMulInteger` takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// `i8 [inputs, outputs]`.
    pub values: Vec<i8>,
    /// `f32 [outputs]`.
    pub scales: Vec<f32>,
}

impl Rows {
    /// Quantises `f32 [outputs, inputs]` to -127..=127.
    pub fn quantise(weights: &[f32], inputs: usize) -> Self {
        let outputs = weights.len() / inputs;
        let mut quantised = Self { values: vec![0; weights.len()], scales: Vec::with_capacity(outputs) };
        for (output, row) in weights.chunks(inputs).enumerate() {
            let largest = row.iter().fold(0f32, |most, w| most.max(w.abs()));
            let scale = largest / 127.0;
            let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
            for (input, weight) in row.iter().enumerate() {
                quantised.values[input * outputs + output] = (weight * inverse).round() as i8;
            }
            quantised.scales.push(scale);
        }
        quantised
    }
}

impl GraphBuilder<'_> {
    /// `y = x Wᵀ + b` over the last axis, in this graph's form: `[..., inputs]` → `[..., outputs]`, from weights
    /// `[outputs, inputs]` and bias `[outputs]`. `name`: of the result, where it is a graph output.
    pub fn linear(&mut self, x: &Value, weights: &[f32], bias: &[f32], name: Option<&str>) -> Value {
        match self.linear_form() {
            LinearForm::Float => self.float_linear(x, weights, bias, name),
            LinearForm::Blocks => self.block_linear(x, weights, bias, name),
            LinearForm::Rows => self.row_linear(x, weights, bias, name),
        }
    }

    fn float_linear(&mut self, x: &Value, weights: &[f32], bias: &[f32], name: Option<&str>) -> Value {
        let [inputs, outputs] = [x.fixed(-1), bias.len() as i64];
        let weight = self.weight(&[inputs, outputs], &transposed(weights, inputs as usize));
        let bias = self.weight(&[outputs], bias);
        let product = self.matmul(x, &weight);
        self.sum(&product, &bias, name)
    }

    fn block_linear(&mut self, x: &Value, weights: &[f32], bias: &[f32], name: Option<&str>) -> Value {
        let [inputs, outputs] = [x.fixed(-1), bias.len() as i64];
        let quantised = Blocks::quantise(weights, inputs as usize);
        let [block, count] = [quantised.block as i64, quantised.count as i64];
        let values = self.bytes(&[outputs, count, block], quantised.values);
        let scales = self.weight(&[outputs, count], &quantised.scales);
        let bias = self.weight(&[outputs], bias);
        let node = Node::microsoft("MatMulNBits", &[Some(x), Some(&values), Some(&scales), None, None, Some(&bias)])
            .int("K", inputs)
            .int("N", outputs)
            .int("bits", 8)
            .int("block_size", block)
            .int("accuracy_level", ACCURACY_LEVEL);
        self.node_with_outputs(node, vec![(name, x.dtype, with_last(x, outputs))]).remove(0)
    }

    /// Activations as `u8` around 128, a scale per row; then whole numbers until the two scales and the bias.
    fn row_linear(&mut self, x: &Value, weights: &[f32], bias: &[f32], name: Option<&str>) -> Value {
        let [inputs, outputs] = [x.fixed(-1), bias.len() as i64];
        let quantised = Rows::quantise(weights, inputs as usize);
        let values = self.signed_bytes(&[inputs, outputs], &quantised.values);
        let column_scales = self.weight(&[outputs], &quantised.scales);
        let bias = self.weight(&[outputs], bias);

        let magnitude = self.node(Node::new("Abs", &[x]), x.dtype, x.axes.clone());
        let last = self.ints(&[-1]);
        let reduce = Node::new("ReduceMax", &[&magnitude, &last]).int("keepdims", 1);
        let largest = self.node(reduce, x.dtype, with_last(x, 1));
        let floor = self.scalar(MAGNITUDE_FLOOR);
        let largest = self.add(&largest, &floor);
        let step = self.scalar(1.0 / 127.0);
        let row_scale = self.mul(&largest, &step);
        let steps = self.div(x, &row_scale);
        // Adding 128.5 before the fraction is cut off rounds to the nearest step around 128.
        let half = self.scalar(ZERO + 0.5);
        let raised = self.add(&steps, &half);
        let activations = self.cast(&raised, DType::U8);
        let zero = self.scalar_u8(ZERO as u8);
        let product = Node::new("MatMulInteger", &[&activations, &values, &zero]);
        let product = self.node(product, DType::I32, with_last(x, outputs));
        let product = self.cast(&product, DType::F32);
        let product = self.mul(&product, &row_scale);
        let product = self.mul(&product, &column_scales);
        self.sum(&product, &bias, name)
    }

    fn sum(&mut self, x: &Value, bias: &Value, name: Option<&str>) -> Value {
        match name {
            Some(name) => self.add_named(x, bias, name),
            None => self.add(x, bias),
        }
    }
}

fn with_last(x: &Value, last: i64) -> Vec<Axis> {
    let mut axes = x.axes.clone();
    *axes.last_mut().expect("a value with axes") = Axis::Fixed(last);
    axes
}

/// `[rows, columns]` → `[columns, rows]`.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len()).map(|place| values[place % rows * columns + place / rows]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(count: usize) -> Vec<f32> {
        (0..count).map(|index| ((index * 37 % 101) as f32 - 50.0) * (1.0 + (index % 7) as f32) * 1e-3).collect()
    }

    #[test]
    fn blocks_use_the_whole_range_and_err_by_half_a_step_at_most() {
        for inputs in [16, 20, 96, 128] {
            let weights = weights(3 * inputs);
            let blocks = Blocks::quantise(&weights, inputs);
            assert_eq!(blocks.values.len(), 3 * blocks.count * blocks.block, "{inputs} inputs");
            assert!(blocks.values.chunks(blocks.block).all(|block| block.contains(&0)), "the largest weight is -128");
            for (place, (found, expected)) in blocks.dequantise(inputs).iter().zip(&weights).enumerate() {
                let scale = blocks.scales[place / inputs * blocks.count + place % inputs / blocks.block];
                // The side opposite to the largest weight ends at 127, a whole step earlier.
                let is_clipped = (found / scale - 127.0).abs() < 0.01;
                let most = if is_clipped { 1.001 } else { 0.501 };
                assert!((found - expected).abs() <= scale.abs() * most, "{found} for {expected}");
            }
        }
        assert_eq!(block_length(96), 32);
        assert_eq!(block_length(20), SHORTEST_BLOCK, "the last block is padded");
    }

    #[test]
    fn zeros_stay_zeros() {
        let blocks = Blocks::quantise(&[0.0; 32], 16);
        assert!(blocks.values.iter().all(|&value| value == 128) && blocks.dequantise(16).iter().all(|&w| w == 0.0));
        assert_eq!(Rows::quantise(&[0.0; 32], 16).values, [0; 32]);
    }

    #[test]
    fn rows_are_transposed_and_err_by_half_a_step_at_most() {
        let weights = weights(5 * 8);
        let rows = Rows::quantise(&weights, 8);
        for (place, weight) in weights.iter().enumerate() {
            let (output, input) = (place / 8, place % 8);
            let found = f32::from(rows.values[input * 5 + output]) * rows.scales[output];
            assert!((found - weight).abs() <= rows.scales[output] * 0.501, "{found} for {weight}");
        }
        assert_eq!(transposed(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
