//! The operators that stand in a session's graph for what is done here.

#![allow(unsafe_code, reason = "a cache is read and written in one place, and by several threads, each its own part")]

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput, ShapeInferenceContext,
};
use ort::value::{TensorElementType, ValueRef, ValueType};

use super::Rewritten;
use super::attention::attend;

/// A product with a matrix of weights: `[…, depth]` to `[…, width]`.
pub const PROJECTION: &str = "Projection";
/// Attention of one token to the text before it: queries, keys and values `[B, 1, 3 · D]`, the cache's past keys and values
/// `[B, heads, T, size]`, and the token's position `[B]`, to `[B, 1, D]` and the cache with the token's own.
pub const SELF_ATTENTION: &str = "StepSelfAttention";
/// Attention of one token to the image: queries `[B, 1, D]`, keys and values `[B, heads, L, size]`, to `[B, 1, D]`.
pub const CROSS_ATTENTION: &str = "StepCrossAttention";
/// The attribute of [`PROJECTION`] that tells which matrix it is.
pub const MATRIX: &str = "matrix";

pub(super) const FLOATS: OperatorInput = OperatorInput::required(TensorElementType::Float32);

pub(super) fn floats() -> OperatorOutput {
    OperatorOutput::required(TensorElementType::Float32)
}

pub(super) fn refused(what: impl Into<String>) -> ort::Error {
    ort::Error::new(what.into())
}

/// The type of an input, with its last axis divided or set.
pub(super) fn with_last(ty: Option<&ValueType>, last: impl Fn(i64) -> i64) -> ort::Result<ValueType> {
    let Some(ValueType::Tensor { ty, shape, dimension_symbols }) = ty else {
        return Err(refused("a tensor expected"));
    };
    let mut shape = shape.clone();
    let axis = shape.last_mut().ok_or_else(|| refused("one axis at least expected"))?;
    *axis = last(*axis);
    Ok(ValueType::Tensor { ty: *ty, shape, dimension_symbols: dimension_symbols.clone() })
}

/// [`PROJECTION`].
#[derive(Debug)]
pub struct Projection {
    /// The graph; [`MATRIX`] is a place among its matrices.
    pub graph: Arc<Rewritten>,
    /// Threads that may work on one product.
    pub threads: usize,
}

impl Operator for Projection {
    type Kernel<'attr> = Product;

    fn name(&self) -> &str {
        PROJECTION
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [FLOATS]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [floats()]
    }

    fn create_kernel(&self, context: &KernelContext<'_>) -> ort::Result<Product> {
        let matrix = self.graph.place(context.get(MATRIX))?;
        Ok(Product { graph: Arc::clone(&self.graph), matrix, threads: self.threads })
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let matrix = &self.graph.matrices[self.graph.place(context.attr(MATRIX).ok())?].panels;
        let output = with_last(context.inputs().first(), |_| matrix.width() as i64)?;
        context.set_output(0, &output)
    }
}

/// One of the products.
#[derive(Debug)]
pub struct Product {
    graph: Arc<Rewritten>,
    matrix: usize,
    threads: usize,
}

impl Kernel for Product {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let panels = &self.graph.matrices[self.matrix].panels;
        let input = context.input(0)?.ok_or_else(|| refused("an input expected"))?;
        let (shape, input) = input.try_extract_tensor::<f32>()?;
        let mut shape = shape.to_vec();
        let depth = panels.depth() as i64;
        match shape.last_mut() {
            Some(last) if *last == depth => *last = panels.width() as i64,
            other => return Err(refused(format!("rows of {depth} numbers expected, found {other:?}"))),
        }
        let mut output = context.output(0, shape)?.ok_or_else(|| refused("an output expected"))?;
        let (_, output) = output.try_extract_tensor_mut::<f32>()?;
        let parts = self.threads.min(panels.count());
        panels.multiply(input, output, parts, |part| in_parts(context, parts, part))
    }
}

/// Calls `part` for each part, on the session's threads where there are several.
pub(super) fn in_parts(context: &ComputeContext, parts: usize, part: &(dyn Fn(usize) + Sync)) -> ort::Result<()> {
    if parts <= 1 {
        part(0);
        return Ok(());
    }
    // The borrow outlives the call, which returns when all parts are done.
    let part = Callable(part);
    context.par_for(parts, parts, move |index| part.call(index))
}

/// A function that may be called from any thread.
#[derive(Clone, Copy)]
struct Callable<'a>(&'a (dyn Fn(usize) + Sync));

impl Callable<'_> {
    fn call(self, index: usize) {
        (self.0)(index);
    }
}

/// [`SELF_ATTENTION`] or [`CROSS_ATTENTION`].
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// To the text, else to the image.
    pub own: bool,
    /// Threads that may work on it.
    pub threads: usize,
}

impl Operator for Attention {
    type Kernel<'attr> = Self;

    fn name(&self) -> &str {
        if self.own { SELF_ATTENTION } else { CROSS_ATTENTION }
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let position = self.own.then(|| OperatorInput::required(TensorElementType::Int32));
        [FLOATS, FLOATS, FLOATS].into_iter().chain(position)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        (0..if self.own { 3 } else { 1 }).map(|_| floats())
    }

    fn create_kernel(&self, _: &KernelContext<'_>) -> ort::Result<Self> {
        Ok(*self)
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let inputs = context.inputs();
        let parts = if self.own { 3 } else { 1 };
        context.set_output(0, &with_last(inputs.first(), |last| if last > 0 { last / parts } else { last })?)?;
        if self.own {
            for cache in [1, 2] {
                context.set_output(cache, &with_last(inputs.get(cache), |last| last)?)?;
            }
        }
        Ok(())
    }
}

impl Kernel for Attention {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let input = |index: usize| context.input(index)?.ok_or_else(|| refused("an input expected"));
        let (queries, keys, values) = (input(0)?, input(1)?, input(2)?);
        let (shape, queries) = queries.try_extract_tensor::<f32>()?;
        let cache = Shape::of(&keys)?;
        let width = cache.heads * cache.size * if self.own { 3 } else { 1 };
        if shape[..] != [cache.rows as i64, 1, width as i64] || Shape::of(&values)? != cache {
            return Err(refused(format!(
                "one token of {width} numbers a row and equal caches expected, found {shape}"
            )));
        }
        let output_shape = [cache.rows, 1, cache.heads * cache.size].map(|axis| axis as i64);
        let mut output = context.output(0, output_shape.to_vec())?.ok_or_else(|| refused("an output expected"))?;
        let (_, output) = output.try_extract_tensor_mut::<f32>()?;
        let (keys, values, lengths) = if self.own {
            let position = input(3)?;
            let (_, positions) = position.try_extract_tensor::<i32>()?;
            let lengths = cache.lengths(positions)?;
            let caches = [present(context, 1, &keys, cache)?, present(context, 2, &values, cache)?];
            for (part, to) in caches.iter().enumerate() {
                // SAFETY: nobody else works on the caches now.
                unsafe { cache.append(&queries[cache.heads * cache.size * (part + 1)..], width, &lengths, *to) };
            }
            (caches[0].cast_const(), caches[1].cast_const(), lengths)
        } else {
            let lengths = vec![cache.length; cache.rows];
            (address(&keys)?, address(&values)?, lengths)
        };
        let step = Step { cache, queries, width, keys: Place(keys), values: Place(values), lengths: &lengths };
        let output = Output(output.as_mut_ptr());
        let heads = cache.rows * cache.heads;
        let parts = self.threads.clamp(1, heads.max(1));
        in_parts(context, parts, &|part| {
            let mut scores = Vec::new();
            for head in part * heads / parts..(part + 1) * heads / parts {
                // SAFETY: the caches are read alone from here on, and each head has an output of its own.
                unsafe { step.attend(head, &mut scores, output) };
            }
        })
    }
}

/// Axes of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rows: usize,
    heads: usize,
    length: usize,
    size: usize,
}

impl Shape {
    fn of(cache: &ValueRef<'_>) -> ort::Result<Self> {
        let (shape, _) = cache.try_extract_tensor::<f32>()?;
        let [rows, heads, length, size] = shape[..] else { return Err(refused("a cache of four axes expected")) };
        Ok(Self { rows: rows as usize, heads: heads as usize, length: length as usize, size: size as usize })
    }

    /// Tokens of each row with the present one, which must fit.
    fn lengths(self, positions: &[i32]) -> ort::Result<Vec<usize>> {
        if positions.len() != self.rows {
            return Err(refused("a position for each row expected"));
        }
        let length = |&position: &i32| usize::try_from(position).ok().filter(|&at| at < self.length).map(|at| at + 1);
        let lengths: Option<Vec<usize>> = positions.iter().map(length).collect();
        lengths.ok_or_else(|| refused(format!("positions below {} expected, found {positions:?}", self.length)))
    }

    /// Writes each row's token, `[heads, size]` every `width` numbers of `from`, behind the row's others.
    ///
    /// # Safety
    /// `to` is a cache of this shape, and nobody else works on it.
    unsafe fn append(self, from: &[f32], width: usize, lengths: &[usize], to: *mut f32) {
        for (row, length) in lengths.iter().enumerate() {
            for head in 0..self.heads {
                let token = &from[row * width + head * self.size..][..self.size];
                let place = ((row * self.heads + head) * self.length + length - 1) * self.size;
                // SAFETY: within the cache.
                unsafe { to.add(place).copy_from_nonoverlapping(token.as_ptr(), self.size) };
            }
        }
    }
}

/// Where a tensor's numbers lie.
fn address(tensor: &ValueRef<'_>) -> ort::Result<*const f32> {
    Ok(tensor.try_extract_tensor::<f32>()?.1.as_ptr())
}

/// The cache that goes out, which is the one that came in where both are bound to one place, else a copy of it.
fn present(context: &ComputeContext, output: usize, past: &ValueRef<'_>, cache: Shape) -> ort::Result<*mut f32> {
    let Shape { rows, heads, length, size } = cache;
    let shape = [rows, heads, length, size].map(|axis| axis as i64);
    let mut present = context.output(output, shape.to_vec())?.ok_or_else(|| refused("a cache expected"))?;
    let from = address(past)?;
    let to = present.try_extract_tensor_mut::<f32>()?.1.as_mut_ptr();
    if from != to.cast_const() {
        // SAFETY: both are caches of this shape, and apart.
        unsafe { to.copy_from_nonoverlapping(from, rows * heads * length * size) };
    }
    Ok(to)
}

/// What the heads of a step read.
struct Step<'a> {
    cache: Shape,
    queries: &'a [f32],
    /// Numbers from one row's query to the next.
    width: usize,
    keys: Place,
    values: Place,
    lengths: &'a [usize],
}

impl Step<'_> {
    /// # Safety
    /// The caches have their shape, nobody writes to them, and the output of this head is nobody else's.
    unsafe fn attend(&self, head: usize, scores: &mut Vec<f32>, output: Output) {
        let Shape { heads, length, size, .. } = self.cache;
        let (row, of) = (head / heads, head % heads);
        let query = &self.queries[row * self.width + of * size..][..size];
        let numbers = self.lengths[row] * size;
        // SAFETY: a head's first keys and values, and its output.
        unsafe {
            let keys = std::slice::from_raw_parts(self.keys.0.add(head * length * size), numbers);
            let values = std::slice::from_raw_parts(self.values.0.add(head * length * size), numbers);
            attend(query, keys, values, scores, std::slice::from_raw_parts_mut(output.0.add(head * size), size));
        }
    }
}

/// A cache that several threads read.
#[derive(Clone, Copy)]
struct Place(*const f32);

// SAFETY: it is only read.
unsafe impl Send for Place {}
// SAFETY: it is only read.
unsafe impl Sync for Place {}

/// An output to which several threads write, each its heads.
#[derive(Clone, Copy)]
struct Output(*mut f32);

// SAFETY: see above.
unsafe impl Send for Output {}
// SAFETY: see above.
unsafe impl Sync for Output {}
