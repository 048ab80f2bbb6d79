//! Linear layer and layer normalisation.

use tch::Tensor;
use xreport_models::bundle::DType;

use super::parameters::{Init, ParameterId, ParameterLayout, Weights};
use crate::onnx::{GraphBuilder, Value};

/// `y = x Wᵀ + b` over the last axis.
#[derive(Debug)]
pub struct Linear {
    weight: ParameterId,
    bias: ParameterId,
}

impl Linear {
    /// Registers weight `[outputs, inputs]` and bias `[outputs]`, uniform in ±1/√inputs as PyTorch starts them.
    pub fn new(layout: &mut ParameterLayout, name: &str, inputs: i64, outputs: i64) -> Self {
        let bound = Init::Uniform(1.0 / (inputs as f32).sqrt());
        layout.scope(name, |l| Self {
            weight: l.add("weight", &[outputs, inputs], bound, true),
            bias: l.add("bias", &[outputs], Init::Zeros, false),
        })
    }

    /// `f32 [..., inputs]` → `f32 [..., outputs]`.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Tensor {
        let [weight, bias] = self.parts(weights);
        x.linear(weight, Some(bias))
    }

    /// Weight `[outputs, inputs]` and bias `[outputs]`.
    pub fn parts<'w>(&self, weights: &'w Weights) -> [&'w Tensor; 2] {
        [weights.get(self.weight), weights.get(self.bias)]
    }

    /// The same in ONNX, in the graph's form of linear layers.
    pub fn emit(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value) -> Value {
        graph.linear(x, &weights.values(self.weight), &weights.values(self.bias), None)
    }

    /// As [`Linear::emit`], as the graph output `name`, in 32-bit floats.
    pub fn emit_named(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value, name: &str) -> Value {
        let (weight, bias) = (weights.values(self.weight), weights.values(self.bias));
        if graph.floats() == DType::F32 {
            return graph.linear(x, &weight, &bias, Some(name));
        }
        let result = graph.linear(x, &weight, &bias, None);
        graph.cast_named(&result, DType::F32, name)
    }
}

/// Layer normalisation over the last axis (Ba et al. 2016), with scale and shift.
#[derive(Debug)]
pub struct LayerNorm {
    dims: i64,
    scale: ParameterId,
    shift: ParameterId,
}

/// Added to the variance.
const EPSILON: f32 = 1e-5;

impl LayerNorm {
    /// Registers scale (ones) and shift (zeros), `[dims]` each.
    pub fn new(layout: &mut ParameterLayout, name: &str, dims: i64) -> Self {
        layout.scope(name, |l| Self {
            dims,
            scale: l.add("scale", &[dims], Init::Ones, false),
            shift: l.add("shift", &[dims], Init::Zeros, false),
        })
    }

    /// `f32 [..., dims]` → the same shape.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Tensor {
        let (scale, shift) = (weights.get(self.scale), weights.get(self.shift));
        x.layer_norm([self.dims], Some(scale), Some(shift), f64::from(EPSILON), false)
    }

    /// The same in ONNX.
    pub fn emit(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value) -> Value {
        let scale = graph.weight(&[self.dims], &weights.values(self.scale));
        let shift = graph.weight(&[self.dims], &weights.values(self.shift));
        graph.layer_norm(x, &scale, &shift, EPSILON)
    }
}
