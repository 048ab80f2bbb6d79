//! Text and image tokens → logits: token and position embeddings, transformer decoders, vocabulary head.

use tch::Tensor;
use xreport_models::bundle::{Architecture, DType, interface};

use super::attention::{CacheForm, CacheStep, HeadShape};
use super::linear::{LayerNorm, Linear};
use super::parameters::{Init, ParameterId, ParameterLayout, Weights};
use super::transformer::DecoderLayer;
use super::{at_least_float, first_rows};
use crate::native::head_loss;
use crate::onnx::{GraphBuilder, StepNames, Value};

/// The text half of the network.
#[derive(Debug)]
pub struct TextDecoder {
    shape: [i64; 3],
    tokens: ParameterId,
    positions: ParameterId,
    layers: Vec<DecoderLayer>,
    norm: LayerNorm,
    head: Linear,
}

/// Which cache form a decoder graph is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepForm {
    /// [`CacheForm::GroupQuery`].
    GroupQuery,
    /// [`CacheForm::Scatter`].
    Scatter,
}

impl TextDecoder {
    /// Registers the layers.
    pub fn new(layout: &mut ParameterLayout, arch: &Architecture) -> Self {
        let dims = arch.embedding_dims as i64;
        let (vocabulary, positions) = (arch.vocabulary as i64, arch.max_positions as i64);
        let shape = HeadShape { dims, heads: arch.heads as i64, head_dims: arch.head_dims as i64 };
        Self {
            shape: [vocabulary, positions, dims],
            tokens: layout.add("token_embedding", &[vocabulary, dims], Init::Normal(0.02), false),
            positions: layout.add("text_positions", &[positions, dims], Init::Normal(0.02), false),
            layers: (0..arch.decoders)
                .map(|index| DecoderLayer::new(layout, index, shape, arch.ffn_dims as i64))
                .collect(),
            norm: LayerNorm::new(layout, "text_norm", dims),
            head: Linear::new(layout, "head", dims, vocabulary),
        }
    }

    /// Tokens `i64 [B, T]` and image tokens `f32 [B, S, D]` → hidden states `f32 [B, T, D]`.
    pub fn hidden(&self, weights: &Weights, tokens: &Tensor, memory: &Tensor, dropout: f64) -> Tensor {
        let mut x = self.embedded(weights, tokens);
        if dropout > 0.0 {
            x = x.dropout(dropout, true);
        }
        for layer in &self.layers {
            x = layer.forward(weights, &x, memory, dropout);
        }
        self.norm.forward(weights, &x)
    }

    /// Tokens `i64 [B, T]` with their positions → `f32 [B, T, D]`.
    fn embedded(&self, weights: &Weights, tokens: &Tensor) -> Tensor {
        let table = weights.get(self.tokens);
        let exact = table.to_kind(at_least_float(table.kind()));
        let embedded = Tensor::embedding(&exact, tokens, -1, false, false).to_kind(table.kind());
        embedded + first_rows(weights.get(self.positions), tokens.size()[1])
    }

    /// How each of the tokens `i64 [B, T]` shares its look out over the image tokens `f32 [B, S, D]`: `f32 [B, T, S]`, the
    /// mean over all heads of all layers, which sums to 1 over S.
    pub fn attention(&self, weights: &Weights, tokens: &Tensor, memory: &Tensor) -> Tensor {
        let mut x = self.embedded(weights, tokens);
        let mut shares = Vec::new();
        for layer in &self.layers {
            shares.push(layer.shares(weights, &x, memory));
            x = layer.forward(weights, &x, memory, 0.0);
        }
        Tensor::stack(&shares, 0).mean_dim(&[0i64, 2][..], false, None)
    }

    /// Hidden states `f32 [..., D]` → logits `f32 [..., V]`.
    pub fn logits(&self, weights: &Weights, hidden: &Tensor) -> Tensor {
        self.head.forward(weights, hidden)
    }

    /// Hidden states `[N, D]` and targets `i64 [N]` → the loss and how many are right, as `native::head_loss` has them.
    pub fn head_loss(&self, weights: &Weights, hidden: &Tensor, targets: &Tensor, label_smoothing: f64) -> [Tensor; 2] {
        head_loss(hidden, self.head.parts(weights), targets, label_smoothing)
    }

    /// The encoder graph's outputs: keys and values of the image tokens for each decoder layer, in layer order.
    pub fn emit_cross(&self, graph: &mut GraphBuilder, weights: &Weights, memory: &Value) -> Vec<Value> {
        let mut outputs = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let names = [interface::cross_key(index), interface::cross_value(index)];
            outputs.extend(layer.emit_cross_key_value(graph, weights, memory, [&names[0], &names[1]]));
        }
        outputs
    }

    /// The decoder's step graph: one token per row, its cache updated in place. Every output is declared by the caller
    /// from the values returned, in the order of `GraphInterface::decoder`.
    pub fn emit_step(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        form: StepForm,
        inputs: &StepInputs,
    ) -> Vec<Value> {
        let [_, positions, dims] = self.shape;
        let embedded = self.emit_embedded(graph, weights, &inputs.ids);
        let position_table = graph.weight(&[positions, dims], &weights.values(self.positions));
        let place = graph.gather_rows(&position_table, &inputs.position);
        let place = graph.unsqueeze(&place, 1);
        let x = graph.add(&embedded, &place);
        let (hidden, presents) = self.emit_layers(graph, weights, form, x, inputs);
        let logits = self.head.emit_named(graph, weights, &hidden, interface::LOGITS);
        let names = StepNames {
            next_ids: interface::NEXT_IDS,
            log_probability: interface::LOG_PROBABILITY,
            next_position: interface::NEXT_POSITION,
        };
        let [next, log_probability, next_position] =
            graph.step_outputs(&logits, &inputs.position, &names, form == StepForm::GroupQuery);
        [next, log_probability, logits, next_position].into_iter().chain(presents).collect()
    }

    /// The verifier: several tokens of one row, `places` the position of each, `i32 [1, N]`. Its outputs in the order of
    /// `GraphInterface::verifier`.
    pub fn emit_verifier(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        places: &Value,
        inputs: &StepInputs,
    ) -> Vec<Value> {
        let [_, positions, dims] = self.shape;
        let embedded = self.emit_embedded(graph, weights, &inputs.ids);
        let position_table = graph.weight(&[positions, dims], &weights.values(self.positions));
        let place = graph.gather_rows(&position_table, places);
        let x = graph.add(&embedded, &place);
        let (hidden, presents) = self.emit_layers(graph, weights, StepForm::GroupQuery, x, inputs);
        let logits = self.head.emit(graph, weights, &hidden);
        let names = [interface::TOP_IDS, interface::TOP_LOG_PROBABILITIES];
        graph.best_two(&logits, names).into_iter().chain(presents).collect()
    }

    /// The evidence graph: [`TextDecoder::attention`] of tokens `i64 [B, N]` over the keys and values of the image, in layer
    /// order as [`TextDecoder::emit_cross`] gives them; the last layer's values are not wanted.
    pub fn emit_attention(&self, graph: &mut GraphBuilder, weights: &Weights, ids: &Value, cross: &[Value]) -> Value {
        let [_, positions, dims] = self.shape;
        let embedded = self.emit_embedded(graph, weights, ids);
        let position_table = graph.weight(&[positions, dims], &weights.values(self.positions));
        let places = graph.first_rows(&position_table, ids);
        let mut x = Some(graph.add(&embedded, &places));
        let mut sum: Option<Value> = None;
        for (layer, its) in self.layers.iter().zip(cross.chunks(2)) {
            let text = x.take().expect("every layer but the last has the image's values");
            let (shares, next) = layer.emit_shares(graph, weights, &text, &its[0], its.get(1));
            sum = Some(sum.map_or_else(|| shares.clone(), |sum| graph.add(&sum, &shares)));
            x = next;
        }
        let layers = graph.scalar(self.layers.len() as f32);
        let mean = graph.div(&sum.expect("a decoder has layers"), &layers);
        graph.mean_named(&mean, 1, interface::ATTENTION)
    }

    fn emit_embedded(&self, graph: &mut GraphBuilder, weights: &Weights, ids: &Value) -> Value {
        let [vocabulary, _, dims] = self.shape;
        let table = graph.weight(&[vocabulary, dims], &weights.values(self.tokens));
        graph.gather_rows(&table, ids)
    }

    /// All layers over their caches: hidden states and the updated caches.
    fn emit_layers(
        &self,
        graph: &mut GraphBuilder,
        weights: &Weights,
        form: StepForm,
        mut x: Value,
        inputs: &StepInputs,
    ) -> (Value, Vec<Value>) {
        let scatter = (form == StepForm::Scatter).then(|| {
            let write_index = graph.cast(&inputs.position, DType::I64);
            let one = graph.ints(&[1]);
            let length = graph.add(&write_index, &one);
            (write_index, length)
        });
        let mut presents = Vec::new();
        for (index, (layer, cache)) in self.layers.iter().zip(&inputs.layers).enumerate() {
            let (present_key, present_value) = (interface::present_key(index), interface::present_value(index));
            let step = CacheStep {
                form: match &scatter {
                    None => CacheForm::GroupQuery,
                    Some((write_index, length)) => CacheForm::Scatter { write_index, length },
                },
                position: &inputs.position,
                past_key: &cache.past[0],
                past_value: &cache.past[1],
                present_key: &present_key,
                present_value: &present_value,
            };
            x = layer.emit_step(graph, weights, &x, &step, &cache.cross);
            for (name, past) in [(present_key, &cache.past[0]), (present_value, &cache.past[1])] {
                presents.push(Value { name, ..past.clone() });
            }
        }
        (self.norm.emit(graph, weights, &x), presents)
    }
}

/// The inputs of the decoder's step graph.
#[derive(Debug)]
pub struct StepInputs {
    /// `i64 [B, 1]`.
    pub ids: Value,
    /// `i32 [B]`.
    pub position: Value,
    /// Per decoder layer.
    pub layers: Vec<LayerInputs>,
}

/// What a decoder layer's step reads besides the token.
#[derive(Debug)]
pub struct LayerInputs {
    /// Keys and values of the text so far, `f32 [B, heads, T, head_dims]` each.
    pub past: [Value; 2],
    /// Keys and values of the image, `f32 [B, heads, S, head_dims]` each.
    pub cross: [Value; 2],
}
