//! XLA_STATE: the whole training step (forward, backward, clip, update, average) captured as a CUDA graph and replayed:
//! one launch for a step instead of hundreds of kernels.
//!
//! A captured step has fixed shapes and addresses. Batches are brought to one of a few [`Shape`]s, each with buffers and a
//! graph of its own; what changes from step to step (learning rate, bias corrections, the average's share) lies in a
//! tensor. Padding changes no value: nothing looks back at padded positions, and targets that do not count are left out
//! of the mean. The first steps of a shape are computed without a graph, for libraries set themselves up in them; they
//! count as any other.

mod buffers;
mod library;
mod shape;

use std::collections::HashMap;

use anyhow::Context;
use tch::{Device, Kind, Tensor};

use self::buffers::Buffers;
use self::library::{Graph, Library};
use self::shape::Shape;
use super::checkpoint::Tensors;
use super::optimizer::clip_on_device;
use crate::network::{Batch, Mode, Network};

/// Steps of a shape before it is captured.
const WARM_UP: usize = 2;

/// The captured steps of a run.
#[derive(Debug)]
pub struct Captured {
    /// Where CUDA graphs come from; without it steps of fixed shape are computed kernel by kernel.
    library: Option<Library>,
    shapes: HashMap<Shape, Step>,
}

/// The step of one shape.
#[derive(Debug)]
struct Step {
    buffers: Buffers,
    /// Steps made so far.
    made: usize,
    graph: Option<Graph>,
}

/// How a run computes its steps.
#[derive(Debug, Clone, Copy)]
pub struct Computing {
    /// Number format of the pass.
    pub kind: Kind,
    /// LABEL_SMOOTHING.
    pub label_smoothing: f64,
    /// GRADIENT_CLIP.
    pub gradient_clip: f64,
}

/// What changes from step to step.
#[derive(Debug, Clone, Copy)]
pub struct Changing {
    /// Learning rate.
    pub learning_rate: f64,
    /// Which step this is, from 1.
    pub step: u64,
}

/// What a step came to.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Mean cross-entropy, label smoothing included.
    pub loss: f64,
    /// Targets that were the most probable token.
    pub correct: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

impl Captured {
    /// Gets ready to capture steps on a CUDA device: this thread computes on a stream of its own from now on.
    pub fn new(device: Device) -> anyhow::Result<Self> {
        let Device::Cuda(index) = device else {
            anyhow::bail!(
                "XLA_STATE is true, but training is on the CPU: only steps on a CUDA device can be captured\n\
                 hint: set training.XLA_STATE to false, or training.ML_DEVICE to \"cuda\""
            );
        };
        let library = Library::load().context("XLA_STATE is true, but steps cannot be captured")?;
        library.leave_default_stream(index).map_err(anyhow::Error::msg).context("a CUDA stream cannot be had")?;
        Ok(Self { library: Some(library), shapes: HashMap::new() })
    }

    /// Steps of fixed shape without graphs, which the CPU can compute too.
    #[cfg(test)]
    fn uncaptured() -> Self {
        Self { library: None, shapes: HashMap::new() }
    }

    /// One whole step, in place.
    pub fn step(
        &mut self,
        network: &Network,
        tensors: &mut Tensors,
        batch: &Batch,
        computing: Computing,
        changing: Changing,
    ) -> anyhow::Result<Found> {
        let shape = Shape::of(batch, network.config.architecture.max_positions as i64);
        // Graphs of all shapes share a pool: they are never replayed at once.
        let like = self.shapes.values().find_map(|step| step.graph.as_ref()).map(Graph::share);
        let step = self.shapes.entry(shape).or_insert_with(|| {
            let pixels = &batch.images.size()[1..];
            Step { buffers: Buffers::new(shape, pixels, batch.images.device()), made: 0, graph: None }
        });
        let numbers = tensors.optimizer.numbers(changing.learning_rate, changing.step).to_array();
        let taken = tensors.average.as_ref().map_or(0.0, |average| average.taken(changing.step)) as f32;
        step.buffers.fill(batch, numbers, taken);
        match (&mut step.graph, &self.library) {
            (Some(graph), _) => graph.replay().map_err(anyhow::Error::msg)?,
            (empty @ None, Some(library)) if step.made >= WARM_UP => {
                let begun = library.begin(like.as_ref()).map_err(anyhow::Error::msg);
                let graph = begun.context("a step cannot be captured")?;
                compute(network, tensors, &step.buffers, computing);
                graph.end().map_err(anyhow::Error::msg).context("a step cannot be captured")?;
                graph.replay().map_err(anyhow::Error::msg)?;
                *empty = Some(graph);
            }
            (None, _) => compute(network, tensors, &step.buffers, computing),
        }
        step.made += 1;
        let [loss, correct, gradient_norm] = step.buffers.found();
        Ok(Found { loss, correct, gradient_norm })
    }

    /// Shapes that were captured.
    pub fn graphs(&self) -> usize {
        self.shapes.values().filter(|step| step.graph.is_some()).count()
    }
}

/// The step itself: reads the buffers, changes the tensors, writes what was found. Nothing in it waits for the device or
/// depends on a number of the program that changes.
fn compute(network: &Network, tensors: &mut Tensors, buffers: &Buffers, computing: Computing) {
    let weights = network.layout.views(&tensors.flat.to_kind(computing.kind));
    let batch = buffers.batch();
    let loss = network.loss(&weights, &tensors.statistics, &batch, Mode::Train, computing.label_smoothing);
    let mut gradient = Tensor::run_backward(&[&loss.value], &[&tensors.flat], false, false).remove(0);
    let norm = clip_on_device(&mut gradient, computing.gradient_clip);
    tensors.optimizer.step_by(&tensors.flat, &gradient, &buffers.numbers());
    if let Some(average) = &mut tensors.average {
        average.update_by(&tensors.flat, &tensors.statistics, &buffers.taken());
    }
    // A padded target is no token: it is never the most probable one.
    buffers.write_found([&loss.value, &loss.correct, &norm]);
}

#[cfg(test)]
mod tests;
