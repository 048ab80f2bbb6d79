//! Pre-norm transformer layers: `x + f(norm(x))` for each sub-layer (Xiong et al. 2020).

use tch::Tensor;

use super::attention::{CacheStep, CrossAttention, HeadShape, SelfAttention};
use super::linear::{LayerNorm, Linear};
use super::parameters::{ParameterLayout, Weights};
use crate::onnx::{GraphBuilder, Value};

/// Two linear layers with a GELU between them.
#[derive(Debug)]
struct FeedForward {
    expand: Linear,
    contract: Linear,
}

impl FeedForward {
    fn new(layout: &mut ParameterLayout, dims: i64, ffn_dims: i64) -> Self {
        layout.scope("ffn", |l| Self {
            expand: Linear::new(l, "expand", dims, ffn_dims),
            contract: Linear::new(l, "contract", ffn_dims, dims),
        })
    }

    fn forward(&self, weights: &Weights, x: &Tensor) -> Tensor {
        self.contract.forward(weights, &self.expand.forward(weights, x).gelu("none"))
    }

    fn emit(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value) -> Value {
        let wide = self.expand.emit(graph, weights, x);
        let active = graph.gelu(&wide);
        self.contract.emit(graph, weights, &active)
    }
}

/// Dropout on a sub-layer's way back into the residual stream, in training alone.
fn residual(x: &Tensor, update: &Tensor, dropout: f64) -> Tensor {
    if dropout > 0.0 { x + update.dropout(dropout, true) } else { x + update }
}

/// Self-attention over the image tokens and a feed-forward layer.
#[derive(Debug)]
pub struct EncoderLayer {
    attention_norm: LayerNorm,
    attention: SelfAttention,
    ffn_norm: LayerNorm,
    ffn: FeedForward,
}

impl EncoderLayer {
    /// Registers the layer's weights; `index` from 0.
    pub fn new(layout: &mut ParameterLayout, index: usize, shape: HeadShape, ffn_dims: i64) -> Self {
        layout.scope(format!("encoder.{index}"), |l| Self {
            attention_norm: LayerNorm::new(l, "attention_norm", shape.dims),
            attention: SelfAttention::new(l, "attention", shape),
            ffn_norm: LayerNorm::new(l, "ffn_norm", shape.dims),
            ffn: FeedForward::new(l, shape.dims, ffn_dims),
        })
    }

    /// `f32 [B, S, D]` → `f32 [B, S, D]`; `dropout` 0 outside training.
    pub fn forward(&self, weights: &Weights, x: &Tensor, dropout: f64) -> Tensor {
        let attended = self.attention.forward(weights, &self.attention_norm.forward(weights, x), false);
        let x = residual(x, &attended, dropout);
        residual(&x, &self.ffn.forward(weights, &self.ffn_norm.forward(weights, &x)), dropout)
    }

    /// The same for inference in ONNX.
    pub fn emit(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value) -> Value {
        let normed = self.attention_norm.emit(graph, weights, x);
        let attended = self.attention.emit(graph, weights, &normed, false);
        let x = graph.add(x, &attended);
        let normed = self.ffn_norm.emit(graph, weights, &x);
        let update = self.ffn.emit(graph, weights, &normed);
        graph.add(&x, &update)
    }
}

/// Causal self-attention over the text, cross-attention over the image, and a feed-forward layer.
#[derive(Debug)]
pub struct DecoderLayer {
    self_norm: LayerNorm,
    self_attention: SelfAttention,
    cross_norm: LayerNorm,
    cross_attention: CrossAttention,
    ffn_norm: LayerNorm,
    ffn: FeedForward,
}

impl DecoderLayer {
    /// Registers the layer's weights; `index` from 0.
    pub fn new(layout: &mut ParameterLayout, index: usize, shape: HeadShape, ffn_dims: i64) -> Self {
        layout.scope(format!("decoder.{index}"), |l| Self {
            self_norm: LayerNorm::new(l, "self_norm", shape.dims),
            self_attention: SelfAttention::new(l, "self_attention", shape),
            cross_norm: LayerNorm::new(l, "cross_norm", shape.dims),
            cross_attention: CrossAttention::new(l, "cross_attention", shape),
            ffn_norm: LayerNorm::new(l, "ffn_norm", shape.dims),
            ffn: FeedForward::new(l, shape.dims, ffn_dims),
        })
    }

    /// Text `f32 [B, T, D]` and image tokens `f32 [B, S, D]` → `f32 [B, T, D]`; `dropout` 0 outside training.
    pub fn forward(&self, weights: &Weights, x: &Tensor, memory: &Tensor, dropout: f64) -> Tensor {
        let own = self.self_attention.forward(weights, &self.self_norm.forward(weights, x), true);
        let x = residual(x, &own, dropout);
        let cross = self.cross_attention.forward(weights, &self.cross_norm.forward(weights, &x), memory);
        let x = residual(&x, &cross, dropout);
        residual(&x, &self.ffn.forward(weights, &self.ffn_norm.forward(weights, &x)), dropout)
    }

    /// How the heads of the cross-attention share the look of each token out, `f32 [B, heads, T, S]`, for what
    /// [`DecoderLayer::forward`] takes, without dropout.
    pub fn shares(&self, weights: &Weights, x: &Tensor, memory: &Tensor) -> Tensor {
        let own = self.self_attention.forward(weights, &self.self_norm.forward(weights, x), true);
        self.cross_attention.shares(weights, &self.cross_norm.forward(weights, &(x + own)), memory)
    }

    /// A whole text in ONNX: the shares of [`DecoderLayer::shares`], and, where the image's values are there as well as its
    /// keys, the text for the next layer, `f32 [B, T, D]` each.
    pub fn emit_shares(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        x: &Value,
        key: &Value,
        value: Option<&Value>,
    ) -> (Value, Option<Value>) {
        let normed = self.self_norm.emit(graph, weights, x);
        let own = self.self_attention.emit(graph, weights, &normed, true);
        let x = graph.add(x, &own);
        let normed = self.cross_norm.emit(graph, weights, &x);
        let shares = self.cross_attention.emit_shares(graph, weights, &normed, key);
        let next = value.map(|value| self.emit_from_cross(graph, weights, &x, &normed, &[key.clone(), value.clone()]));
        (shares, next)
    }

    /// Keys and values of the image tokens in ONNX, for the encoder graph's outputs.
    pub fn emit_cross_key_value(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        memory: &Value,
        names: [&str; 2],
    ) -> [Value; 2] {
        self.cross_attention.emit_key_value(graph, weights, memory, names)
    }

    /// One token in ONNX: `f32 [B, 1, D]` → `f32 [B, 1, D]`.
    pub fn emit_step(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        x: &Value,
        cache: &CacheStep,
        cross: &[Value; 2],
    ) -> Value {
        let normed = self.self_norm.emit(graph, weights, x);
        let own = self.self_attention.emit_step(graph, weights, &normed, cache);
        let x = graph.add(x, &own);
        let normed = self.cross_norm.emit(graph, weights, &x);
        self.emit_from_cross(graph, weights, &x, &normed, cross)
    }

    /// What is left of the layer when `normed` of `x` is to look at the image, in ONNX.
    fn emit_from_cross(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        x: &Value,
        normed: &Value,
        cross: &[Value; 2],
    ) -> Value {
        let attended = self.cross_attention.emit_step(graph, weights, normed, cross);
        let x = graph.add(x, &attended);
        let normed = self.ffn_norm.emit(graph, weights, &x);
        let update = self.ffn.emit(graph, weights, &normed);
        graph.add(&x, &update)
    }
}
