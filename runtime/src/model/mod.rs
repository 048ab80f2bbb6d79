//! A bundle's graphs as ONNX Runtime sessions.

mod ahead;
mod buffers;
mod decoder;
mod encoder;
mod evidence;
mod features;
mod floats;
mod scores;
mod session;
mod verifier;

use std::num::NonZeroUsize;
use std::path::Path;

use thiserror::Error;
use xreport_models::bundle::{Architecture, Bundle, BundleError, VariantRequest};

pub use decoder::Decoder;
pub use encoder::{Encoded, Encoder};
pub use evidence::EvidenceModel;

use crate::decoding::StepError;
use crate::device::{Device, DeviceRequest};
use crate::onnxruntime::OnnxRuntimeError;
pub(crate) use scores::Scores;
use session::Work;

/// Why a model cannot run.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// ONNX Runtime is not there.
    #[error(transparent)]
    OnnxRuntime(#[from] OnnxRuntimeError),
    /// ONNX Runtime refuses a graph or fails in it.
    #[error("ONNX Runtime: {0}")]
    Ort(#[from] ort::Error),
    /// CUDA was asked for and does not work.
    #[error(
        "device `{device}` cannot be used: {problem}\nhint: `xreport doctor` names the missing library; `--device cpu` runs without a GPU"
    )]
    Cuda {
        /// The device.
        device: Device,
        /// What ONNX Runtime said.
        problem: String,
    },
    /// A step of the decoder failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// How sessions are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionOptions {
    /// Where to run.
    pub device: DeviceRequest,
    /// Threads within an operator; 0: one per core.
    pub threads: usize,
    /// Which of the bundle's variants to run.
    pub variant: VariantRequest,
    /// Steps that the decoder takes before anyone looks; none: one at a time.
    pub ahead: Option<StepsAhead>,
}

/// How far a batch goes by itself, for plain greedy search alone: the scores of all tokens stay where they are. The texts
/// do not depend on it. Each look makes the computer wait for a CUDA device; on the CPU it gains nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepsAhead {
    /// Steps until the next look. Rows that ended in between step for nothing, and get their next image afterwards.
    pub steps: NonZeroUsize,
    /// Captures them as CUDA graphs, each batch size for itself; nothing on the CPU.
    pub cuda_graph: bool,
}

impl SessionOptions {
    /// Threads with 0 resolved to the cores of this machine.
    pub fn resolved_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// Encoder and decoder of one variant, ready to run.
#[derive(Debug)]
pub struct Model {
    architecture: Architecture,
    variant: String,
    device: Device,
    encoder: Encoder,
    decoder: Decoder,
    /// Why CUDA is not used although `auto` tried it.
    fallback: Option<String>,
}

impl Model {
    /// Makes the sessions of the variant for the wanted device.
    ///
    /// `auto` tries CUDA where its provider is installed, and falls back to the CPU, saying why in [`Model::fallback`].
    pub fn new(bundle: &Bundle, options: &SessionOptions) -> Result<Self, ModelError> {
        match options.device {
            DeviceRequest::Cuda(index) => Self::on_cuda(bundle, index, options),
            DeviceRequest::Auto if session::cuda_installed() => match Self::on_cuda(bundle, 0, options) {
                Ok(model) => Ok(model),
                Err(error) => {
                    let model = Self::on(bundle, Device::Cpu, options)?;
                    Ok(Self { fallback: Some(error.to_string()), ..model })
                }
            },
            DeviceRequest::Cpu | DeviceRequest::Auto => Self::on(bundle, Device::Cpu, options),
        }
    }

    fn on_cuda(bundle: &Bundle, index: i32, options: &SessionOptions) -> Result<Self, ModelError> {
        let device = Device::Cuda(index);
        Self::on(bundle, device, options).map_err(|error| match error {
            ModelError::Ort(problem) => ModelError::Cuda { device, problem: problem.to_string() },
            other => other,
        })
    }

    fn on(bundle: &Bundle, device: Device, options: &SessionOptions) -> Result<Self, ModelError> {
        Self::of_variant(bundle, &bundle.choose(device.provider(), options.variant)?.name, device, options)
    }

    /// Makes the sessions of a named variant on a device; the trainer checks the CUDA form on the CPU with it.
    pub fn of_variant(
        bundle: &Bundle,
        variant: &str,
        device: Device,
        options: &SessionOptions,
    ) -> Result<Self, ModelError> {
        let manifest = bundle.manifest();
        let variant = manifest.variants.iter().find(|v| v.name == variant).ok_or_else(|| BundleError::NoVariant {
            bundle: manifest.name.clone(),
            provider: variant.to_owned(),
            found: manifest.variants.iter().map(|v| v.name.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let threads = options.resolved_threads();
        let cuda_graph = device != Device::Cpu && options.ahead.is_some_and(|ahead| ahead.cuda_graph);
        let ahead = options.ahead.map(|ahead| StepsAhead { cuda_graph, ..ahead });
        let encoder = session::open(bundle, &variant.encoder, device, threads, &Work::Whole)?;
        let scores = Scores::default();
        let work = Work::Steps { cuda_graph, scores: scores.clone() };
        let decoder = session::open(bundle, &variant.decoder, device, threads, &work)?;
        let mut decoder = Decoder::new(decoder, &manifest.architecture, variant.precision.floats(), device, scores);
        decoder.set_ahead(ahead);
        Ok(Self {
            architecture: manifest.architecture.clone(),
            variant: variant.name.clone(),
            device,
            encoder: Encoder::new(encoder, &manifest.architecture),
            decoder,
            fallback: None,
        })
    }

    /// Dimensions of the network.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Name of the variant that runs.
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why it runs on the CPU although CUDA was tried.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Encodes `rows` images, `u8 [rows, H, W, C]` row-major, and hands their keys and values to the decoder, which is
    /// then ready to begin.
    pub fn encode(&mut self, rows: usize, pixels: Vec<u8>) -> Result<&mut Decoder, ModelError> {
        let encoded = self.encoder.encode(rows, pixels)?;
        self.decoder.attach(rows)?;
        for row in 0..rows {
            self.decoder.fill(row, &encoded, row)?;
        }
        Ok(&mut self.decoder)
    }

    /// Prepares the check of guessed tokens; `false` where the bundle, the variant or the device has none.
    pub fn prepare_guessing(&mut self, bundle: &Bundle, options: &SessionOptions) -> Result<bool, ModelError> {
        let variant = bundle.manifest().variants.iter().find(|variant| variant.name == self.variant);
        let Some(verifier) = variant.and_then(|variant| variant.verifier.as_ref()) else { return Ok(false) };
        if self.device != Device::Cpu || options.ahead.is_some() {
            return Ok(false);
        }
        let work = Work::Steps { cuda_graph: false, scores: Scores::default() };
        self.decoder.set_verifier(session::open(bundle, verifier, self.device, options.resolved_threads(), &work)?);
        Ok(true)
    }

    /// Encoder and decoder, to be driven apart.
    pub fn parts(&mut self) -> (&mut Encoder, &mut Decoder) {
        (&mut self.encoder, &mut self.decoder)
    }
}

/// Whether the folder of the ONNX Runtime library also holds its CUDA provider.
pub fn cuda_provider_beside(library: &Path) -> bool {
    session::cuda_provider_beside(library)
}
