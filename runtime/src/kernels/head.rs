//! The operators at the end of a decoder's step: scores of all tokens, the best of them, and its log-probability.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput, ShapeInferenceContext,
};
use ort::value::{SymbolicDimensions, TensorElementType, ValueType};

use super::choice::{Choice, best};
use super::operators::{FLOATS, MATRIX, floats, in_parts, refused, with_last};
use super::products::Panels;
use super::screen::Screen;
use super::{Matrix, Rewritten};
use crate::model::Scores;

/// Scores of one token's row and what they come to: `[B, 1, depth]` to scores `[B, 1, V]`, the best token `[B, 1]` and its
/// log-probability `[B, 1]`. The scores are left as they were while nobody wants them ([`Scores`]).
pub const HEAD: &str = "StepHead";
/// The same from scores that another operator made.
pub const BEST: &str = "StepBest";

/// [`HEAD`], or [`BEST`] where there is no graph.
#[derive(Debug)]
pub struct Head {
    /// The graph; [`MATRIX`] is a place among its matrices.
    pub graph: Option<Arc<Rewritten>>,
    /// Threads that may work on a step.
    pub threads: usize,
    /// Whether scores are wanted.
    pub scores: Scores,
}

/// One number of this type for each row of the input.
fn one_each(input: Option<&ValueType>, of: TensorElementType) -> ort::Result<ValueType> {
    match with_last(input, |last| last)? {
        ValueType::Tensor { shape, dimension_symbols, .. } => {
            let axes = shape.len().saturating_sub(1);
            let shape = shape[..axes].into();
            let dimension_symbols = SymbolicDimensions::new(dimension_symbols[..axes].iter().cloned());
            Ok(ValueType::Tensor { ty: of, shape, dimension_symbols })
        }
        _ => Err(refused("a tensor expected")),
    }
}

impl Operator for Head {
    type Kernel<'attr> = HeadKernel;

    fn name(&self) -> &str {
        if self.graph.is_some() { HEAD } else { BEST }
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [FLOATS]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        let scores = self.graph.is_some().then(floats);
        scores.into_iter().chain([OperatorOutput::required(TensorElementType::Int64), floats()])
    }

    fn create_kernel(&self, context: &KernelContext<'_>) -> ort::Result<HeadKernel> {
        let Self { threads, scores, .. } = self;
        let graph = self.graph.as_ref();
        let matrix = graph.map(|graph| Ok::<_, ort::Error>((Arc::clone(graph), graph.place(context.get(MATRIX))?)));
        Ok(HeadKernel { matrix: matrix.transpose()?, threads: *threads, scores: scores.clone(), room: Vec::new() })
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let inputs = context.inputs();
        let mut first = 0;
        if let Some(graph) = &self.graph {
            let width = graph.matrices[graph.place(context.attr(MATRIX).ok())?].panels.width();
            context.set_output(0, &with_last(inputs.first(), |_| width as i64)?)?;
            first = 1;
        }
        context.set_output(first, &one_each(inputs.first(), TensorElementType::Int64)?)?;
        context.set_output(first + 1, &one_each(inputs.first(), TensorElementType::Float32)?)
    }
}

/// A session's [`Head`].
#[derive(Debug)]
pub struct HeadKernel {
    matrix: Option<(Arc<Rewritten>, usize)>,
    threads: usize,
    scores: Scores,
    /// Rough scores of all rows.
    room: Vec<f32>,
}

impl Kernel for HeadKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let input = context.input(0)?.ok_or_else(|| refused("an input expected"))?;
        let (shape, input) = input.try_extract_tensor::<f32>()?;
        let (&width, axes) = shape.split_last().ok_or_else(|| refused("one axis at least expected"))?;
        let step = Step { context, threads: self.threads, input, width: width as usize };
        let Some((graph, place)) = &self.matrix else { return self.give(context, axes, &step.best_of_each(input)?) };
        let Matrix { panels, screen } = &graph.matrices[*place];
        if step.width != panels.depth() {
            return Err(refused(format!("rows of {} numbers expected, found {width}", panels.depth())));
        }
        let shape: Vec<i64> = axes.iter().copied().chain([panels.width() as i64]).collect();
        let mut scores = context.output(0, shape)?.ok_or_else(|| refused("an output expected"))?;
        let choices = match screen {
            Some(screen) if !self.scores.wanted() => step.screened(panels, screen, &mut self.room)?,
            _ => step.whole(panels, scores.try_extract_tensor_mut::<f32>()?.1)?,
        };
        self.give(context, axes, &choices)
    }
}

impl HeadKernel {
    /// Writes what was chosen for each row.
    fn give(&self, context: &ComputeContext, axes: &[i64], choices: &[Choice]) -> ort::Result<()> {
        let first = usize::from(self.matrix.is_some());
        let output = |index| context.output(index, axes.to_vec())?.ok_or_else(|| refused("an output expected"));
        let (mut tokens, mut log_probabilities) = (output(first)?, output(first + 1)?);
        let (_, tokens) = tokens.try_extract_tensor_mut::<i64>()?;
        let (_, log_probabilities) = log_probabilities.try_extract_tensor_mut::<f32>()?;
        for (choice, (token, log_probability)) in choices.iter().zip(tokens.iter_mut().zip(log_probabilities)) {
            (*token, *log_probability) = (choice.token as i64, choice.log_probability);
        }
        Ok(())
    }
}

/// A step of several rows.
struct Step<'a> {
    context: &'a ComputeContext,
    threads: usize,
    /// `[rows, width]`.
    input: &'a [f32],
    width: usize,
}

impl Step<'_> {
    fn rows(&self) -> usize {
        self.input.len() / self.width.max(1)
    }

    /// All scores, and the best.
    fn whole(&self, panels: &Panels, scores: &mut [f32]) -> ort::Result<Vec<Choice>> {
        let parts = self.threads.min(panels.count());
        panels.multiply(self.input, scores, parts, |part| in_parts(self.context, parts, part))?;
        self.best_of_each(scores)
    }

    /// The best of scores that are there.
    fn best_of_each(&self, scores: &[f32]) -> ort::Result<Vec<Choice>> {
        let width = scores.len() / self.rows().max(1);
        self.choose(|row| best(&scores[row * width..(row + 1) * width]))
    }

    /// The best, most tokens being ruled out.
    fn screened(&self, panels: &Panels, screen: &Screen, room: &mut Vec<f32>) -> ort::Result<Vec<Choice>> {
        room.resize(self.rows() * screen.scores(), 0.0);
        let parts = self.threads.min(panels.count());
        screen.rough(self.input, room, parts, |part| in_parts(self.context, parts, part))?;
        let rough: Vec<_> = room.chunks_exact_mut(screen.scores()).map(Mutex::new).collect();
        let Self { input, width, .. } = *self;
        self.choose(|row| {
            let mut scores = rough[row].lock().unwrap_or_else(PoisonError::into_inner);
            screen.choose(panels, &input[row * width..(row + 1) * width], &mut scores)
        })
    }

    /// Chooses for each row, on several threads.
    fn choose(&self, choose: impl Fn(usize) -> Choice + Sync) -> ort::Result<Vec<Choice>> {
        let rows = self.rows();
        let choices: Vec<_> = (0..rows).map(|_| OnceLock::new()).collect();
        let parts = self.threads.clamp(1, rows.max(1));
        in_parts(self.context, parts, &|part| {
            let some = part * rows / parts..(part + 1) * rows / parts;
            for (choice, row) in choices[some.clone()].iter().zip(some) {
                choice.get_or_init(|| choose(row));
            }
        })?;
        choices.into_iter().map(|choice| choice.into_inner().ok_or_else(|| refused("a row was left out"))).collect()
    }
}
