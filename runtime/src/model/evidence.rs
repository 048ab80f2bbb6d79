//! The graphs that say where the model looked: sessions of their own, so that drafting never pays for them.

use std::borrow::Cow;

use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use xreport_models::bundle::{Architecture, Bundle, EvidenceGraphs, GraphInterface, interface};

use super::encoder::Encoder;
use super::{ModelError, session};
use crate::device::Device;

/// Encoder and evidence graph of a bundle, on the CPU in 32-bit floats whatever the variant that drafts.
#[derive(Debug)]
pub struct EvidenceModel {
    encoder: Encoder,
    attention: Session,
    start: u32,
    grid: [usize; 2],
    covered: [usize; 2],
    /// Names of what the graph takes beside the text, as the encoder gives them.
    cross: Vec<String>,
}

impl EvidenceModel {
    /// Makes the sessions; `threads` within an operator, 0: one per core. `None` where the bundle has no such graphs: bundles
    /// from before format version 3, and those in 16-bit floats alone.
    pub fn open(bundle: &Bundle, threads: usize) -> Result<Option<Self>, ModelError> {
        let manifest = bundle.manifest();
        let Some(EvidenceGraphs { encoder, attention }) = &manifest.evidence else { return Ok(None) };
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let open = |graph: &str| session::open(bundle, graph, Device::Cpu, threads, &session::Work::Whole);
        let wanted = GraphInterface::evidence(&manifest.architecture);
        Ok(Some(Self {
            encoder: Encoder::new(open(encoder)?, &manifest.architecture),
            attention: open(attention)?,
            start: manifest.vocabulary.start(),
            grid: manifest.architecture.token_grid(),
            covered: covered(&manifest.architecture),
            cross: wanted.inputs.into_iter().skip(1).map(|spec| spec.name).collect(),
        }))
    }

    /// Lines and columns of the grid of image tokens.
    pub fn grid(&self) -> [usize; 2] {
        self.grid
    }

    /// Columns and lines of the model's input that the grid covers: all, or what pooling leaves of them.
    pub fn covered(&self) -> [usize; 2] {
        self.covered
    }

    /// The token with which every text begins.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// How each token of each text shares its look out over the image tokens: `f32 [B, N, S]`, row-major, N the longest
    /// text. Images `u8 [B, H, W, C]`; texts with their start token. What stands behind a shorter text's end means nothing.
    pub fn attention(&mut self, images: Vec<u8>, texts: &[Vec<u32>]) -> Result<Vec<f32>, ModelError> {
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let padded = |text: &Vec<u32>| -> Vec<i64> {
            let fill = std::iter::repeat(self.start);
            text.iter().copied().chain(fill).take(longest).map(i64::from).collect()
        };
        let ids: Vec<i64> = texts.iter().flat_map(padded).collect();
        let encoded = self.encoder.encode(texts.len(), images)?;
        let ids = Tensor::from_array(([texts.len(), longest], ids))?;
        let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = vec![(interface::INPUT_IDS.into(), ids.into())];
        // The encoder gives them in the same order, and the last layer's values besides.
        for (name, value) in self.cross.iter().zip(encoded.outputs()) {
            inputs.push((name.as_str().into(), value.into()));
        }
        let outputs = self.attention.run(inputs)?;
        let (_, shares) = outputs[interface::ATTENTION].try_extract_tensor::<f32>()?;
        Ok(shares.to_vec())
    }
}

/// Width and height in pixels of what the image tokens stand for: a cell is as many pixels as pooling joins.
fn covered(arch: &Architecture) -> [usize; 2] {
    let [lines, columns] = arch.token_grid();
    [columns, lines].map(|cells| cells << arch.conv_channels.len())
}
