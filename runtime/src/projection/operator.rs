//! The operator that stands for a product with a matrix of weights in a session's graph.

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput, ShapeInferenceContext,
};
use ort::value::{TensorElementType, ValueType};

use super::Rewritten;

/// The attribute that tells which matrix it is.
pub const MATRIX: &str = "matrix";
/// The operator's name.
pub const NAME: &str = "Projection";

/// Products of a graph: `[…, depth]` to `[…, width]`, float32.
#[derive(Debug)]
pub struct Projection {
    /// The graph; [`MATRIX`] is a place among its matrices.
    pub graph: Arc<Rewritten>,
    /// Threads that may work on one product.
    pub threads: usize,
}

impl Projection {
    fn place(&self, attribute: Option<i64>) -> ort::Result<usize> {
        let place = attribute.and_then(|place| usize::try_from(place).ok());
        place.filter(|&place| place < self.graph.matrices.len()).ok_or_else(|| ort::Error::new("no such matrix"))
    }
}

impl Operator for Projection {
    type Kernel<'attr> = Product;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel(&self, context: &KernelContext<'_>) -> ort::Result<Product> {
        let matrix = self.place(context.get(MATRIX))?;
        Ok(Product { graph: Arc::clone(&self.graph), matrix, threads: self.threads })
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let matrix = &self.graph.matrices[self.place(context.attr(MATRIX).ok())?];
        let Some(ValueType::Tensor { ty, mut shape, dimension_symbols }) = context.inputs().into_iter().next() else {
            return Err(ort::Error::new("a tensor expected"));
        };
        let last = shape.len().checked_sub(1).ok_or_else(|| ort::Error::new("one axis at least expected"))?;
        shape[last] = matrix.width() as i64;
        context.set_output(0, &ValueType::Tensor { ty, shape, dimension_symbols })
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
        let panels = &self.graph.matrices[self.matrix];
        let input = context.input(0)?.ok_or_else(|| ort::Error::new("an input expected"))?;
        let (shape, input) = input.try_extract_tensor::<f32>()?;
        let mut shape = shape.to_vec();
        let depth = panels.depth() as i64;
        match shape.last_mut() {
            Some(last) if *last == depth => *last = panels.width() as i64,
            other => return Err(ort::Error::new(format!("rows of {depth} numbers expected, found {other:?}"))),
        }
        let mut output = context.output(0, shape)?.ok_or_else(|| ort::Error::new("an output expected"))?;
        let (_, output) = output.try_extract_tensor_mut::<f32>()?;
        let parts = self.threads.min(panels.count());
        panels.multiply(input, output, parts, |part| {
            if parts == 1 {
                part(0);
                return Ok(());
            }
            context.par_for(parts, parts, part)
        })
    }
}
