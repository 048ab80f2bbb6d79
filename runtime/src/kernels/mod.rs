//! Kernels of our own for a decoder's steps on the CPU, where ONNX Runtime leaves time lying.
//!
//! A step multiplies one row for each report with every matrix of the decoder, so that it takes about as long as reading
//! them. ONNX Runtime's kernel reads one stream of addresses, which leaves a core's memory pipeline half empty, and counts
//! on the same for several rows; its attention of one token does more than read the cache once, which a small model's step
//! feels. So when a session is made, its graph's products and attention are replaced ([`graph`]) by operators of ours
//! ([`operators`]): products with matrices laid out for few rows ([`products`], [`tiles`]), which all sessions of a bundle
//! share, and [`attention`]. The end of the graph, from the scores of all tokens to the best one, is one operator ([`ending`],
//! [`head`], [`choice`]), and where the best token alone is wanted, most are ruled out unseen ([`screen`]). The bundle's files remain plain ONNX. Where the processor has no AVX2, ONNX Runtime does it all.

mod attention;
mod choice;
mod ending;
mod exponential;
mod graph;
mod head;
mod operators;
mod products;
mod screen;
mod tiles;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ort::operator::OperatorDomain;
use xreport_models::bundle::{Bundle, BundleError};

use head::Head;
use operators::{Attention, Projection, refused};
use products::{Instructions, Panels};
use screen::Screen;

use crate::model::Scores;

/// Domain of the operators.
const DOMAIN: &str = "xreport";

/// A graph with operators of ours.
#[derive(Debug)]
pub struct Rewritten {
    /// As ONNX Runtime takes it.
    pub bytes: Vec<u8>,
    matrices: Vec<Matrix>,
}

/// Weights of a product.
#[derive(Debug)]
struct Matrix {
    panels: Panels,
    /// Where it gives the scores of many tokens.
    screen: Option<Screen>,
}

impl Rewritten {
    /// What a session on `threads` must know to run it, and `scores`, whether all of them are wanted.
    pub fn domain(self: &Arc<Self>, threads: usize, scores: &Scores) -> ort::Result<OperatorDomain> {
        scores.spare(self.spared());
        OperatorDomain::new(DOMAIN)?
            .add(Projection { graph: Arc::clone(self), threads })?
            .add(Head { graph: Some(Arc::clone(self)), threads, scores: scores.clone() })?
            .add(Head { graph: None, threads, scores: scores.clone() })?
            .add(Attention { own: true, threads })?
            .add(Attention { own: false, threads })
    }

    /// Bytes of weights that a step does not read where the best token alone is wanted, but for the few that it computes.
    fn spared(&self) -> u64 {
        let spared = |matrix: &Matrix| {
            let weights = matrix.panels.depth() * matrix.panels.width();
            matrix.screen.as_ref().map_or(0, |_| weights * (size_of::<f32>() - size_of::<i8>()))
        };
        self.matrices.iter().map(spared).sum::<usize>() as u64
    }

    /// A node's matrix, by its attribute.
    fn place(&self, attribute: Option<i64>) -> ort::Result<usize> {
        let place = attribute.and_then(|place| usize::try_from(place).ok());
        place.filter(|&place| place < self.matrices.len()).ok_or_else(|| refused("no such matrix"))
    }
}

/// A graph's file in memory, and what was made of it while a session lives.
type Made = (Weak<[u8]>, Weak<Rewritten>);

/// The graphs of which a session lives.
static ALIVE: Mutex<Vec<Made>> = Mutex::new(Vec::new());

/// A graph of the bundle with operators of ours, shared with the other sessions that run it; `None` where nothing can be
/// replaced.
pub fn rewritten(bundle: &Bundle, graph: &str) -> Result<Option<Arc<Rewritten>>, BundleError> {
    let (Some(instructions), Some(file)) = (Instructions::detect(), bundle.file(graph)) else { return Ok(None) };
    let of = Arc::downgrade(file);
    let mut alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner);
    alive.retain(|(_, its)| its.strong_count() > 0);
    if let Some(found) = alive.iter().find_map(|(its, found)| its.ptr_eq(&of).then(|| found.upgrade()).flatten()) {
        return Ok(Some(found));
    }
    let external = bundle.external_files(graph)?;
    let bytes = |name: &str| external.iter().find(|(its, _)| its == name).map(|(_, bytes)| &bytes[..]);
    let Some((bytes, weights)) = graph::rewrite(file, bytes) else { return Ok(None) };
    // One after another, so that no more than one matrix is there twice.
    let matrix = |of: graph::Weights| {
        let panels = Panels::new(&of.matrix, of.bias.as_deref(), of.width, instructions);
        let screen = of.is_head.then(|| Screen::of(&panels)).flatten();
        Matrix { panels, screen }
    };
    let rewritten = Arc::new(Rewritten { bytes, matrices: weights.into_iter().map(matrix).collect() });
    alive.push((of, Arc::downgrade(&rewritten)));
    Ok(Some(rewritten))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost::Message;
    use xreport_models::onnx::proto::ModelProto;

    use super::*;

    #[test]
    fn a_bundles_step_is_ours() {
        if Instructions::detect().is_none() {
            return;
        }
        let bundle =
            Bundle::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/demo")).expect("the demo bundle");
        let rewritten = rewritten(&bundle, "decoder.onnx").expect("its files").expect("operators of ours");
        let graph = ModelProto::decode(rewritten.bytes.as_slice()).expect("a graph").graph.expect("a graph");
        let count = |kind: &str| graph.node.iter().filter(|node| node.domain == DOMAIN && node.op_type == kind).count();
        let layers = bundle.manifest().architecture.decoders;
        assert_eq!([operators::SELF_ATTENTION, operators::CROSS_ATTENTION].map(count), [layers, layers]);
        assert_eq!((count(head::HEAD), count(operators::PROJECTION)), (1, 6 * layers));
        assert!(!graph.node.iter().any(|node| ["MatMul", "LogSoftmax", "ArgMax"].contains(&node.op_type.as_str())));
        assert!(rewritten.matrices.iter().all(|matrix| matrix.screen.is_none()), "a small vocabulary is read whole");
    }
}
