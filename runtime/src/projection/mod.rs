//! Products of few rows with matrices of weights: where the time of a decoder's step goes on the CPU.
//!
//! A step multiplies one row for each report with every matrix of the decoder, so that it takes about as long as reading
//! them. ONNX Runtime's kernel reads one stream of addresses, which leaves a core's memory pipeline half empty, and counts
//! on the same for several rows. Here the products of a graph are taken out when a session is made ([`graph`]) and made by
//! an operator of ours ([`operator`]) on matrices laid out for it ([`matrix`], [`tiles`]), which all sessions of a bundle
//! share. The bundle's files remain plain ONNX. Where the processor has neither AVX-512 nor AVX2, ONNX Runtime does it all.

mod graph;
mod matrix;
mod operator;
mod tiles;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use ort::operator::OperatorDomain;
use xreport_models::bundle::{Bundle, BundleError};

use matrix::{Instructions, Panels};
use operator::Projection;

/// Domain of the operator.
const DOMAIN: &str = "xreport";

/// A graph whose products are ours.
#[derive(Debug)]
pub struct Rewritten {
    /// As ONNX Runtime takes it.
    pub bytes: Vec<u8>,
    matrices: Vec<Panels>,
}

impl Rewritten {
    /// What a session on `threads` must know to run it.
    pub fn domain(self: &Arc<Self>, threads: usize) -> ort::Result<OperatorDomain> {
        OperatorDomain::new(DOMAIN)?.add(Projection { graph: Arc::clone(self), threads })
    }
}

/// A graph's file in memory, and what was made of it while a session lives.
type Made = (Weak<[u8]>, Weak<Rewritten>);

/// The graphs of which a session lives.
static ALIVE: Mutex<Vec<Made>> = Mutex::new(Vec::new());

/// A graph of the bundle with its products taken out, shared with the other sessions that run it; `None` where it has none or
/// the processor cannot make them.
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
    let Some((bytes, weights)) = graph::take_out(file, bytes) else { return Ok(None) };
    let panels = |of: &graph::Weights| Panels::new(&of.matrix, of.bias.as_deref(), of.width, instructions);
    let rewritten = Arc::new(Rewritten { bytes, matrices: weights.iter().map(panels).collect() });
    alive.push((of, Arc::downgrade(&rewritten)));
    Ok(Some(rewritten))
}
