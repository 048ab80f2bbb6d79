//! Multi-head attention (Vaswani et al. 2017): over the text so far, over the image tokens, and between the two.

use tch::{Device, Kind, Tensor};

use super::linear::Linear;
use super::parameters::{ParameterLayout, Weights};
use crate::onnx::{GraphBuilder, Value};

/// Number and width of attention heads, and the width of the residual stream around them.
#[derive(Debug, Clone, Copy)]
pub struct HeadShape {
    /// Width D of the residual stream.
    pub dims: i64,
    /// Heads.
    pub heads: i64,
    /// Dimensions of a head.
    pub head_dims: i64,
}

impl HeadShape {
    /// All heads side by side.
    pub fn inner(&self) -> i64 {
        self.heads * self.head_dims
    }

    /// `[B, N, heads·head_dims]` → `[B, heads, N, head_dims]`.
    fn split(&self, x: &Tensor) -> Tensor {
        let (batch, length) = (x.size()[0], x.size()[1]);
        x.view([batch, length, self.heads, self.head_dims]).transpose(1, 2)
    }
}

/// Attention of split heads, `[B, heads, N, head_dims]` each → `[B, N, heads·head_dims]`.
///
/// Without dropout on the attention weights: libtorch's fused kernel for the CPU has none, and the residual stream has it.
/// On the CPU that kernel is slow in bfloat16: there attention is written out, its softmax in float.
fn attend(query: &Tensor, key: &Tensor, value: &Tensor, causal: bool) -> Tensor {
    if query.kind() == Kind::BFloat16 && query.device() == Device::Cpu {
        return attend_written_out(query, key, value, causal);
    }
    let context = Tensor::scaled_dot_product_attention(query, key, value, None::<&Tensor>, 0.0, causal, None, false);
    context.transpose(1, 2).flatten(2, 3)
}

/// As [`attend`]: matrix product, softmax, matrix product.
fn attend_written_out(query: &Tensor, key: &Tensor, value: &Tensor, causal: bool) -> Tensor {
    let (length, head_dims) = (query.size()[2], query.size()[3]);
    let mut scores = (query * (head_dims as f64).sqrt().recip()).matmul(&key.transpose(-2, -1));
    if causal {
        let later = Tensor::ones([length, length], (Kind::Bool, query.device())).triu(1);
        scores = scores.masked_fill(&later, f64::NEG_INFINITY);
    }
    let shares = scores.softmax(-1, Kind::Float).to_kind(query.kind());
    shares.matmul(value).transpose(1, 2).flatten(2, 3)
}

/// How the decoder's cache is written in ONNX.
#[derive(Debug, Clone, Copy)]
pub enum CacheForm<'v> {
    /// com.microsoft GroupQueryAttention: fastest on the CPU; its CUDA kernel has no fp32.
    GroupQuery,
    /// TensorScatter + Attention of opset 24: runs in fp32 on CUDA, and on the CPU for the check at export.
    Scatter {
        /// Place in the cache to write, `i64 [B]`: the position.
        write_index: &'v Value,
        /// Places of the cache that count, `i64 [B]`: position + 1.
        length: &'v Value,
    },
}

/// One token's self-attention in a decoder step: the cache of its layer and where in it the token stands.
#[derive(Debug)]
pub struct CacheStep<'v> {
    /// How to write it.
    pub form: CacheForm<'v>,
    /// `i32 [B]`.
    pub position: &'v Value,
    /// `f32 [B, heads, T, head_dims]`.
    pub past_key: &'v Value,
    /// `f32 [B, heads, T, head_dims]`.
    pub past_value: &'v Value,
    /// Name of the updated keys.
    pub present_key: &'v str,
    /// Name of the updated values.
    pub present_value: &'v str,
}

/// Attention of a sequence over itself.
#[derive(Debug)]
pub struct SelfAttention {
    shape: HeadShape,
    qkv: Linear,
    output: Linear,
}

impl SelfAttention {
    /// Registers one fused projection to queries, keys and values, and the output projection.
    pub fn new(layout: &mut ParameterLayout, name: &str, shape: HeadShape) -> Self {
        layout.scope(name, |l| Self {
            shape,
            qkv: Linear::new(l, "qkv", shape.dims, 3 * shape.inner()),
            output: Linear::new(l, "output", shape.inner(), shape.dims),
        })
    }

    /// `f32 [B, N, D]` → `f32 [B, N, D]`; `causal`: a token sees itself and what stands before it.
    pub fn forward(&self, weights: &Weights, x: &Tensor, causal: bool) -> Tensor {
        let qkv = self.qkv.forward(weights, x).chunk(3, -1);
        let [query, key, value] = [0, 1, 2].map(|index| self.shape.split(&qkv[index]));
        self.output.forward(weights, &attend(&query, &key, &value, causal))
    }

    /// The whole sequence at once in ONNX: `f32 [B, N, D]` → `f32 [B, N, D]`; `causal` as in [`SelfAttention::forward`].
    pub fn emit(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value, causal: bool) -> Value {
        let qkv = self.qkv.emit(graph, weights, x);
        let parts = graph.split_last(&qkv, 3);
        let context = if causal {
            graph.causal_attention(&parts[0], &parts[1], &parts[2], self.shape.heads)
        } else {
            graph.multi_head_attention(&parts[0], &parts[1], &parts[2], self.shape.heads)
        };
        self.output.emit(graph, weights, &context)
    }

    /// One token with a cache in ONNX: `f32 [B, 1, D]` → `f32 [B, 1, D]`; emits the updated cache as graph outputs.
    pub fn emit_step(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value, cache: &CacheStep) -> Value {
        let qkv = self.qkv.emit(graph, weights, x);
        let context = match cache.form {
            CacheForm::GroupQuery => graph.group_query_attention(&qkv, cache, self.shape.heads),
            CacheForm::Scatter { .. } => {
                let heads = [0, self.shape.heads, 1, self.shape.head_dims];
                let parts: Vec<Value> =
                    graph.split_last(&qkv, 3).iter().map(|part| graph.reshape(part, &heads)).collect();
                let context = graph.scatter_attention(&parts[0], &parts[1], &parts[2], cache);
                graph.reshape(&context, &[0, 1, self.shape.inner()])
            }
        };
        self.output.emit(graph, weights, &context)
    }
}

/// Attention of the text over the image tokens.
#[derive(Debug)]
pub struct CrossAttention {
    shape: HeadShape,
    query: Linear,
    key_value: Linear,
    output: Linear,
}

impl CrossAttention {
    /// Registers the query projection, one fused projection to keys and values, and the output projection.
    pub fn new(layout: &mut ParameterLayout, name: &str, shape: HeadShape) -> Self {
        layout.scope(name, |l| Self {
            shape,
            query: Linear::new(l, "query", shape.dims, shape.inner()),
            key_value: Linear::new(l, "key_value", shape.dims, 2 * shape.inner()),
            output: Linear::new(l, "output", shape.inner(), shape.dims),
        })
    }

    /// Text `f32 [B, N, D]` over image tokens `f32 [B, S, D]` → `f32 [B, N, D]`.
    pub fn forward(&self, weights: &Weights, x: &Tensor, memory: &Tensor) -> Tensor {
        let query = self.shape.split(&self.query.forward(weights, x));
        let key_value = self.key_value.forward(weights, memory).chunk(2, -1);
        let [key, value] = [0, 1].map(|index| self.shape.split(&key_value[index]));
        self.output.forward(weights, &attend(&query, &key, &value, false))
    }

    /// How each head shares the look of each token of a text `f32 [B, N, D]` out over the image tokens `f32 [B, S, D]`:
    /// `f32 [B, heads, N, S]`, which sum to 1 over S. What [`CrossAttention::forward`] weighs its values by.
    pub fn shares(&self, weights: &Weights, x: &Tensor, memory: &Tensor) -> Tensor {
        let query = self.shape.split(&self.query.forward(weights, x));
        let key = self.shape.split(&self.key_value.forward(weights, memory).chunk(2, -1)[0]);
        let scores = query.matmul(&key.transpose(-2, -1)) / (self.shape.head_dims as f64).sqrt();
        scores.softmax(-1, scores.kind())
    }

    /// The same in ONNX, over the image's keys as [`CrossAttention::emit_key_value`] gives them.
    pub fn emit_shares(&self, graph: &mut GraphBuilder, weights: &Weights, x: &Value, key: &Value) -> Value {
        let query = self.query.emit(graph, weights, x);
        graph.attention_shares(&query, key)
    }

    /// Keys and values of the image tokens in ONNX under the given names, `f32 [B, heads, S, head_dims]` each: computed
    /// once per image.
    pub fn emit_key_value(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        memory: &Value,
        names: [&str; 2],
    ) -> [Value; 2] {
        let key_value = self.key_value.emit(graph, weights, memory);
        let parts = graph.split_last(&key_value, 2);
        [0, 1].map(|index| {
            let split = graph.reshape(&parts[index], &[0, 0, self.shape.heads, self.shape.head_dims]);
            graph.transpose_as(&split, &[0, 2, 1, 3], Some(names[index]))
        })
    }

    /// Tokens over the image's keys and values in ONNX: `f32 [B, N, D]` → `f32 [B, N, D]`.
    pub fn emit_step(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        x: &Value,
        [key, value]: &[Value; 2],
    ) -> Value {
        let query = self.query.emit(graph, weights, x);
        let context = graph.multi_head_attention(&query, key, value, self.shape.heads);
        self.output.emit(graph, weights, &context)
    }
}
