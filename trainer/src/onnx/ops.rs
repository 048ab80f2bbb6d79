//! The operators that XREPORT's graphs are made of, each with the shapes that it takes and gives.

use xreport_models::bundle::{Axis, DType};

use super::graph::{GraphBuilder, Node, Value, elem_type};
use crate::network::{CacheForm, CacheStep};

impl GraphBuilder<'_> {
    /// `[..., K] × [K, N]` → `[..., N]`.
    pub fn matmul(&mut self, x: &Value, weight: &Value) -> Value {
        assert_eq!(x.fixed(-1), weight.fixed(0), "MatMul of {x:?} with {weight:?}");
        let axes = with_last(x, weight.axes[1].clone());
        self.node(Node::new("MatMul", &[x, weight]), x.dtype, axes)
    }

    /// Sum of equal shapes, or of `x` and a `y` that broadcasts onto its last axes.
    pub fn add(&mut self, x: &Value, y: &Value) -> Value {
        self.broadcast("Add", x, y)
    }

    /// As [`GraphBuilder::add`], with a name for the result, because it is a graph output.
    pub fn add_named(&mut self, x: &Value, y: &Value, name: &str) -> Value {
        assert_eq!(&x.axes[x.rank() - y.rank()..], &y.axes[..], "Add of {x:?} and {y:?}");
        self.node_with_outputs(Node::new("Add", &[x, y]), vec![(Some(name), x.dtype, x.axes.clone())]).remove(0)
    }

    /// Difference, broadcasting as [`GraphBuilder::add`].
    pub fn sub(&mut self, x: &Value, y: &Value) -> Value {
        self.broadcast("Sub", x, y)
    }

    /// Product, broadcasting as [`GraphBuilder::add`].
    pub fn mul(&mut self, x: &Value, y: &Value) -> Value {
        self.broadcast("Mul", x, y)
    }

    /// Quotient, broadcasting as [`GraphBuilder::add`].
    pub fn div(&mut self, x: &Value, y: &Value) -> Value {
        self.broadcast("Div", x, y)
    }

    fn broadcast(&mut self, op: &'static str, x: &Value, y: &Value) -> Value {
        let tail = &x.axes[x.rank() - y.rank()..];
        let fits = tail.iter().zip(&y.axes).all(|(a, b)| a == b || *b == Axis::Fixed(1));
        assert!(fits && x.dtype == y.dtype, "{op} of {x:?} and {y:?}");
        self.node(Node::new(op, &[x, y]), x.dtype, x.axes.clone())
    }

    /// Square root.
    pub fn sqrt(&mut self, x: &Value) -> Value {
        self.node(Node::new("Sqrt", &[x]), x.dtype, x.axes.clone())
    }

    /// max(x, 0).
    pub fn relu(&mut self, x: &Value) -> Value {
        self.node(Node::new("Relu", &[x]), x.dtype, x.axes.clone())
    }

    /// GELU by the error function.
    pub fn gelu(&mut self, x: &Value) -> Value {
        self.node(Node::microsoft("Gelu", &[Some(x)]), x.dtype, x.axes.clone())
    }

    /// Conversion to another element type; the value itself where it has that type.
    pub fn cast(&mut self, x: &Value, dtype: DType) -> Value {
        if x.dtype == dtype {
            return x.clone();
        }
        self.node(Node::new("Cast", &[x]).int("to", i64::from(elem_type(dtype))), dtype, x.axes.clone())
    }

    /// As [`GraphBuilder::cast`], with a name for the result, because it is a graph output.
    pub fn cast_named(&mut self, x: &Value, dtype: DType, name: &str) -> Value {
        let node = Node::new("Cast", &[x]).int("to", i64::from(elem_type(dtype)));
        self.node_with_outputs(node, vec![(Some(name), dtype, x.axes.clone())]).remove(0)
    }

    /// Mean over the given axes, which stay with size 1.
    pub fn mean(&mut self, x: &Value, axes: &[i64]) -> Value {
        let reduced = x
            .axes
            .iter()
            .enumerate()
            .map(|(index, axis)| if axes.contains(&(index as i64)) { Axis::Fixed(1) } else { axis.clone() });
        let reduced = reduced.collect();
        let axes = self.ints(axes);
        self.node(Node::new("ReduceMean", &[x, &axes]).int("keepdims", 1), x.dtype, reduced)
    }

    /// Layer normalisation over the last axis.
    pub fn layer_norm(&mut self, x: &Value, scale: &Value, shift: &Value, epsilon: f32) -> Value {
        assert_eq!((&x.axes[x.rank() - 1..], &scale.axes), (&shift.axes[..], &shift.axes), "LayerNormalization");
        let node = Node::new("LayerNormalization", &[x, scale, shift]).int("axis", -1).float("epsilon", epsilon);
        self.node(node, x.dtype, x.axes.clone())
    }

    /// 2-D convolution with stride 1: `[B, I, H, W]` and kernel `[O, I, k, k]` → `[B, O, H, W]` for padding k/2.
    pub fn conv(&mut self, x: &Value, kernel: &Value, bias: &Value, padding: i64) -> Value {
        assert_eq!(x.axes[1], kernel.axes[1], "Conv of {x:?} with {kernel:?}");
        assert_eq!(kernel.fixed(2), 2 * padding + 1, "the padding keeps height and width");
        let mut axes = x.axes.clone();
        axes[1] = kernel.axes[0].clone();
        let size = [kernel.fixed(2), kernel.fixed(3)];
        let node = Node::new("Conv", &[x, kernel, bias]).list("kernel_shape", &size).list("pads", &[padding; 4]);
        self.node(node, x.dtype, axes)
    }

    /// Maximum over 2×2 windows: `[B, C, H, W]` → `[B, C, H/2, W/2]`, rounding down.
    pub fn max_pool_2x2(&mut self, x: &Value) -> Value {
        let halved = [Axis::Fixed(x.fixed(2) / 2), Axis::Fixed(x.fixed(3) / 2)];
        let axes = x.axes[..2].iter().cloned().chain(halved).collect();
        let node = Node::new("MaxPool", &[x]).list("kernel_shape", &[2, 2]).list("strides", &[2, 2]);
        self.node(node, x.dtype, axes)
    }

    /// New axes: 0 keeps the axis at that place, other numbers are sizes.
    pub fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let axes: Vec<Axis> = shape
            .iter()
            .enumerate()
            .map(|(index, &size)| if size == 0 { x.axes[index].clone() } else { Axis::Fixed(size) })
            .collect();
        let elements = |axes: &[Axis]| -> i64 {
            axes.iter().map(|axis| if let Axis::Fixed(size) = axis { *size } else { 1 }).product()
        };
        assert_eq!(elements(&x.axes), elements(&axes), "Reshape of {x:?} to {shape:?}");
        let shape = self.ints(shape);
        self.node(Node::new("Reshape", &[x, &shape]), x.dtype, axes)
    }

    /// Axes in a new order.
    pub fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.transpose_as(x, order, None)
    }

    /// As [`GraphBuilder::transpose`], with a name for the result where it is a graph output.
    pub fn transpose_as(&mut self, x: &Value, order: &[i64], name: Option<&str>) -> Value {
        assert_eq!(x.rank(), order.len(), "Transpose of {x:?} to {order:?}");
        let axes = order.iter().map(|&index| x.axes[index as usize].clone()).collect();
        self.node_with_outputs(Node::new("Transpose", &[x]).list("perm", order), vec![(name, x.dtype, axes)]).remove(0)
    }

    /// Equal parts along the last axis.
    pub fn split_last(&mut self, x: &Value, parts: i64) -> Vec<Value> {
        let size = x.fixed(-1) / parts;
        assert_eq!(size * parts, x.fixed(-1), "Split of {x:?} into {parts}");
        let sizes = self.ints(&vec![size; parts as usize]);
        let outputs = (0..parts).map(|_| (None, x.dtype, with_last(x, Axis::Fixed(size)))).collect();
        self.node_with_outputs(Node::new("Split", &[x, &sizes]).int("axis", -1), outputs)
    }

    /// Rows of a table `[N, D]` by indices `[...]` → `[..., D]`.
    pub fn gather_rows(&mut self, table: &Value, indices: &Value) -> Value {
        let axes = indices.axes.iter().cloned().chain([table.axes[1].clone()]).collect();
        self.node(Node::new("Gather", &[table, indices]).int("axis", 0), table.dtype, axes)
    }

    /// The first N rows of a table `[M, D]`, N being the size of `like`'s axis 1 → `[N, D]`.
    pub fn first_rows(&mut self, table: &Value, like: &Value) -> Value {
        let length = Node::new("Shape", &[like]).int("start", 1).int("end", 2);
        let length = self.node(length, DType::I64, vec![Axis::Fixed(1)]);
        let zero = self.ints(&[0]);
        let axes = vec![like.axes[1].clone(), table.axes[1].clone()];
        self.node(Node::new("Slice", &[table, &zero, &length, &zero]), table.dtype, axes)
    }

    /// A new axis of size 1 at place `axis`.
    pub fn unsqueeze(&mut self, x: &Value, axis: i64) -> Value {
        let mut axes = x.axes.clone();
        axes.insert(axis as usize, Axis::Fixed(1));
        let axis = self.ints(&[axis]);
        self.node(Node::new("Unsqueeze", &[x, &axis]), x.dtype, axes)
    }

    /// Attention without a mask. Query `[B, N, heads·hd]`; keys and values either `[B, S, heads·hd]` or, already
    /// split, `[B, heads, S, hd]` → `[B, N, heads·hd]`.
    pub fn multi_head_attention(&mut self, query: &Value, key: &Value, value: &Value, heads: i64) -> Value {
        self.attention(query, key, value, heads, false)
    }

    /// As [`GraphBuilder::multi_head_attention`] of a sequence over itself, where each sees what stands before it.
    pub fn causal_attention(&mut self, query: &Value, key: &Value, value: &Value, heads: i64) -> Value {
        self.attention(query, key, value, heads, true)
    }

    fn attention(&mut self, query: &Value, key: &Value, value: &Value, heads: i64, causal: bool) -> Value {
        let inner = if key.rank() == 4 { key.fixed(1) * key.fixed(3) } else { key.fixed(2) };
        assert_eq!(query.fixed(-1), inner, "MultiHeadAttention of {query:?} over {key:?}");
        let node = Node::microsoft("MultiHeadAttention", &[Some(query), Some(key), Some(value)]);
        let node = node.int("num_heads", heads);
        // Said only where it is wanted: the graphs of older versions are the same bytes.
        let node = if causal { node.int("unidirectional", 1) } else { node };
        self.node(node, query.dtype, query.axes.clone())
    }

    /// How attention shares each query's look out over the keys: query `[B, N, heads·hd]`, keys `[B, heads, S, hd]` →
    /// `[B, heads, N, S]`, which sum to 1 over S.
    pub fn attention_shares(&mut self, query: &Value, key: &Value) -> Value {
        let (heads, head_dims) = (key.fixed(1), key.fixed(3));
        let query = self.reshape(query, &[0, 0, heads, head_dims]);
        let query = self.transpose(&query, &[0, 2, 1, 3]);
        let key = self.transpose(key, &[0, 1, 3, 2]);
        let mut axes = query.axes.clone();
        axes[3] = key.axes[3].clone();
        let scores = self.node(Node::new("MatMul", &[&query, &key]), query.dtype, axes.clone());
        let scale = self.scalar((head_dims as f32).sqrt());
        let scores = self.div(&scores, &scale);
        self.node(Node::new("Softmax", &[&scores]).int("axis", -1), query.dtype, axes)
    }

    /// Mean over one axis, which goes, under a name.
    pub fn mean_named(&mut self, x: &Value, axis: i64, name: &str) -> Value {
        let mut axes = x.axes.clone();
        axes.remove(axis as usize);
        let axis = self.ints(&[axis]);
        let node = Node::new("ReduceMean", &[x, &axis]).int("keepdims", 0);
        self.node_with_outputs(node, vec![(Some(name), x.dtype, axes)]).remove(0)
    }

    /// One token's attention over its cache, GroupQueryAttention with packed `[B, 1, 3·heads·hd]` → `[B, 1, heads·hd]`.
    ///
    /// `total_sequence_length` is the cache's full length, a constant: each row's own length comes from `position`.
    pub fn group_query_attention(&mut self, qkv: &Value, cache: &CacheStep, heads: i64) -> Value {
        let length = self.scalar_i32(cache.past_key.fixed(2) as i32);
        let inputs = [Some(qkv), None, None, Some(cache.past_key), Some(cache.past_value), Some(cache.position)];
        let inputs: Vec<_> = inputs.into_iter().chain([Some(&length)]).collect();
        let node = Node::microsoft("GroupQueryAttention", &inputs).int("num_heads", heads).int("kv_num_heads", heads);
        let context = with_last(qkv, Axis::Fixed(qkv.fixed(-1) / 3));
        self.node_with_outputs(
            node,
            vec![
                (None, qkv.dtype, context),
                (Some(cache.present_key), qkv.dtype, cache.past_key.axes.clone()),
                (Some(cache.present_value), qkv.dtype, cache.past_value.axes.clone()),
            ],
        )
        .remove(0)
    }

    /// One token's attention over its cache by TensorScatter and Attention (opset 24): query, key and value
    /// `[B, heads, 1, hd]` → `[B, heads, 1, hd]`.
    pub fn scatter_attention(&mut self, query: &Value, key: &Value, value: &Value, cache: &CacheStep) -> Value {
        let CacheForm::Scatter { write_index, length } = cache.form else {
            panic!("scatter_attention needs the Scatter form, found {:?}", cache.form)
        };
        let mut scatter = |past: &Value, update: &Value, name: &str| {
            let node = Node::new("TensorScatter", &[past, update, write_index]).int("axis", 2);
            self.node_with_outputs(node, vec![(Some(name), past.dtype, past.axes.clone())]).remove(0)
        };
        let keys = scatter(cache.past_key, key, cache.present_key);
        let values = scatter(cache.past_value, value, cache.present_value);
        let inputs = [Some(query), Some(&keys), Some(&values), None, None, None, Some(length)];
        self.node(Node::optional("Attention", &inputs), query.dtype, query.axes.clone())
    }

    /// The two most probable tokens of each place and their log-probabilities, under the given names: `[1, N, V]` →
    /// `i64 [1, N, 2]` and `f32 [1, N, 2]`.
    pub fn best_two(&mut self, logits: &Value, [ids, log_probabilities]: [&str; 2]) -> [Value; 2] {
        let logits = self.cast(logits, DType::F32);
        let log = Node::new("LogSoftmax", &[&logits]).int("axis", -1);
        let log = self.node(log, DType::F32, logits.axes.clone());
        let two = self.ints(&[2]);
        let axes = with_last(&logits, Axis::Fixed(2));
        let node = Node::new("TopK", &[&log, &two]).int("axis", -1);
        let outputs = vec![(Some(log_probabilities), DType::F32, axes.clone()), (Some(ids), DType::I64, axes)];
        let mut found = self.node_with_outputs(node, outputs);
        let ids = found.remove(1);
        [ids, found.remove(0)]
    }

    /// What a step gives besides the cache: the best token, its log-probability, the logits themselves and the next
    /// position, under the given names.
    pub fn step_outputs(&mut self, logits: &Value, position: &Value, names: &StepNames, blockwise: bool) -> [Value; 3] {
        let batch = [logits.axes[0].clone(), Axis::Fixed(1)];
        let named = |name, dtype, axes: &[Axis]| vec![(Some(name), dtype, axes.to_vec())];
        let next = if blockwise {
            self.blockwise_argmax(logits, names.next_ids)
        } else {
            let best = Node::new("ArgMax", &[logits]).int("axis", -1).int("keepdims", 0);
            self.node_with_outputs(best, named(names.next_ids, DType::I64, &batch)).remove(0)
        };
        let log = Node::new("LogSoftmax", &[logits]).int("axis", -1);
        let log = self.node(log, DType::F32, logits.axes.clone());
        let last = self.ints(&[2]);
        let best = Node::new("ReduceMax", &[&log, &last]).int("keepdims", 0);
        let log_probability = self.node_with_outputs(best, named(names.log_probability, DType::F32, &batch)).remove(0);
        // The position may be updated in place, so the increment must wait for everything that reads it: it is made
        // from this step's result. A log-probability is never above 0, whence the comparison is true, that is, 1.
        let zero = self.scalar(0.0);
        let rest = self.ints(&[1]);
        let flat = self.node(Node::new("Squeeze", &[&log_probability, &rest]), DType::F32, batch[..1].to_vec());
        let bool_as_i64 = Node::new("LessOrEqual", &[&flat, &zero]);
        let reached = self.node(bool_as_i64, DType::U8, batch[..1].to_vec());
        let increment = self.cast(&reached, DType::I32);
        let sum = Node::new("Add", &[position, &increment]);
        let next_position = self.node_with_outputs(sum, named(names.next_position, DType::I32, &batch[..1])).remove(0);
        [next, log_probability, next_position]
    }

    /// The place of the largest of `f32 [B, 1, N]`, the first of equals, `i64 [B, 1]`: the best block by ONNX Runtime's
    /// fast maximum, then the place within that block. On the CPU a quarter of the time that its `ArgMax` takes over all.
    fn blockwise_argmax(&mut self, values: &Value, name: &str) -> Value {
        let rows = values.axes[0].clone();
        let width = values.fixed(-1);
        let blocks = (width + ARGMAX_BLOCK - 1) / ARGMAX_BLOCK;
        let [by_block, of_block] = [
            vec![rows.clone(), Axis::Fixed(blocks), Axis::Fixed(ARGMAX_BLOCK)],
            vec![rows.clone(), Axis::Fixed(ARGMAX_BLOCK)],
        ];
        let one_each = vec![rows.clone(), Axis::Fixed(1)];
        let padding = self.ints(&[0, 0, 0, 0, 0, blocks * ARGMAX_BLOCK - width]);
        let lowest = self.scalar(f32::MIN);
        let padded_axes = vec![rows, Axis::Fixed(1), Axis::Fixed(blocks * ARGMAX_BLOCK)];
        let padded = self.node(Node::new("Pad", &[values, &padding, &lowest]), values.dtype, padded_axes);
        let shape = self.ints(&[-1, blocks, ARGMAX_BLOCK]);
        let table = self.node(Node::new("Reshape", &[&padded, &shape]), values.dtype, by_block.clone());
        let last = self.ints(&[-1]);
        let maxima = Node::new("ReduceMax", &[&table, &last]).int("keepdims", 0);
        let maxima = self.node(maxima, values.dtype, by_block[..2].to_vec());
        let argmax = |of: &Value| Node::new("ArgMax", &[of]).int("axis", -1).int("keepdims", 1);
        let block = self.node(argmax(&maxima), DType::I64, one_each.clone());
        let gather = Node::new("GatherND", &[&table, &block]).int("batch_dims", 1);
        let best = self.node(gather, values.dtype, of_block);
        let within = self.node(argmax(&best), DType::I64, one_each.clone());
        let length = self.ints(&[ARGMAX_BLOCK]);
        let before = self.node(Node::new("Mul", &[&block, &length]), DType::I64, one_each.clone());
        let sum = Node::new("Add", &[&before, &within]);
        self.node_with_outputs(sum, vec![(Some(name), DType::I64, one_each)]).remove(0)
    }
}

/// Values in a block of [`GraphBuilder::blockwise_argmax`].
const ARGMAX_BLOCK: i64 = 128;

/// Names of a step's outputs.
#[derive(Debug)]
pub struct StepNames {
    /// Best token.
    pub next_ids: &'static str,
    /// Its log-probability.
    pub log_probability: &'static str,
    /// Position + 1.
    pub next_position: &'static str,
}

fn with_last(x: &Value, last: Axis) -> Vec<Axis> {
    let mut axes = x.axes.clone();
    *axes.last_mut().expect("a value with axes") = last;
    axes
}
